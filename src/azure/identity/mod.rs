//! Tokens: one blocking call from a credential to a bearer token, with every refusal explained.
//!
//! The four ways in are one file each; what they share (the token request and its answer) is here. Nothing is cached
//! (`token_cache`), nothing retried. Secrets are wiped after use and have no Debug.

mod aadsts;
mod certificate;
mod federated;
mod himds;
mod secret;

pub use certificate::Certificate;
pub use federated::FederatedToken;
pub use himds::ArcServer;
pub use secret::ClientSecret;

use super::cloud::Cloud;
use super::error;
use crate::clock::{AGREE_MS, Clock};
use crate::core::{Outcome, Reason, Scope, Validity};
use crate::http::{Client, Request, Response, http::Method};
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// Who is asked, in messages.
const ENTRA: &str = "Microsoft Entra";
/// For one request of a token.
const DEADLINE: Duration = Duration::from_secs(30);
/// A token answer has a few kB; 64 kB leave room for many groups in a token.
const MOST_BODY: usize = 64 * 1024;
/// What a certificate or federated token is presented as.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How the device proves who it is.
pub enum Credential {
    /// A password of an app registration.
    ClientSecret(ClientSecret),
    /// A certificate of an app registration, with its key.
    Certificate(Box<Certificate>),
    /// A token of another issuer that the app registration trusts.
    FederatedToken(FederatedToken),
    /// The managed identity of the machine, from the Arc-enabled-servers agent beside us.
    ArcServer(ArcServer),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::ClientSecret(_) => "ClientSecret",
            Credential::Certificate(_) => "Certificate",
            Credential::FederatedToken(_) => "FederatedToken",
            Credential::ArcServer(_) => "ArcServer",
        })
    }
}

/// A bearer token. No Debug, wiped when dropped.
pub struct Token {
    /// What goes into the `Authorization` header after `Bearer `.
    pub secret: Zeroizing<String>,
    /// From the answer's arrival until it expires.
    pub valid_for: Duration,
    /// The authority's advice on when to renew it.
    pub refresh_in: Option<Duration>,
}

impl Token {
    /// How long it may be used, for the core.
    pub fn validity(&self) -> Validity {
        Validity { valid_for: self.valid_for, refresh_in: self.refresh_in }
    }
}

/// Asks for tokens.
#[derive(Debug)]
pub struct Identity {
    credential: Credential,
    token_url: String,
    cloud: Cloud,
    client: Client,
    clock: Clock,
}

impl Identity {
    /// Nothing is asked yet. `tenant` is the directory's id or a domain of it; HIMDS needs none.
    pub fn new(credential: Credential, tenant: &str, cloud: Cloud, client: Client, clock: Clock) -> Identity {
        let token_url = format!("{}/{tenant}/oauth2/v2.0/token", cloud.login);
        Identity { credential, token_url, cloud, client, clock }
    }

    /// Gets a new token for a scope. `claims` is the decoded challenge of continuous access evaluation.
    ///
    /// Refused: the credential or the setup is wrong; what to change is in the reason. Throttled, Unreachable: as for
    /// every call. The clock learns the time from Entra's answer, errors too: a device whose clock is hours off signs
    /// assertions that Entra must refuse, and knows better the second time.
    pub fn token(&self, scope: Scope, claims: Option<&str>) -> Result<Token, Outcome> {
        let text = self.cloud.scope(scope);
        match &self.credential {
            Credential::ArcServer(server) => server.token(&self.client, self.cloud.resource(scope)),
            Credential::ClientSecret(secret) => self.ask(Ok(secret.form(text)), claims),
            Credential::FederatedToken(token) => self.ask(token.form(text), claims),
            Credential::Certificate(certificate) => {
                let offset = self.clock.offset_ms().unwrap_or(0);
                let sign = || certificate.form(text, &self.token_url, self.clock.best_wall_ms());
                match self.ask(sign(), claims) {
                    Err(Outcome::Refused(_)) if self.learned_since(offset) => self.ask(sign(), claims),
                    answer => answer,
                }
            }
        }
    }

    fn ask(&self, form: Result<Form, Reason>, claims: Option<&str>) -> Result<Token, Outcome> {
        let mut form = form.map_err(Outcome::Refused)?;
        if let Some(claims) = claims {
            form.add("claims", claims);
        }
        let mut request = super::named(Request::new(Method::POST, &self.token_url))
            .header("Accept", "application/json")
            .body("application/x-www-form-urlencoded", form.into_bytes())
            .deadline(DEADLINE)
            .max_body(MOST_BODY);
        let answer = self.client.call(&request);
        request.body.zeroize();
        let mut response = answer.map_err(Outcome::from)?;
        // Over TLS only: anybody could tell the time otherwise.
        if let Some(date_ms) = response.date_ms.filter(|_| self.token_url.starts_with("https:")) {
            self.clock.learn(date_ms);
        }
        let token = read_token(&mut response);
        token.ok_or_else(|| aadsts::outcome(&response))
    }

    fn learned_since(&self, offset: i64) -> bool {
        self.clock.offset_ms().is_some_and(|now| now.abs_diff(offset) > AGREE_MS as u64)
    }
}

/// A form body, percent-encoded as it grows, wiped when dropped.
struct Form(Zeroizing<String>);

impl Form {
    fn new(client_id: &str, scope: &str) -> Form {
        // Room for an assertion, so that growing leaves no copy of a secret behind.
        let mut form = Form(Zeroizing::new(String::with_capacity(8 * 1024)));
        form.add("client_id", client_id);
        form.add("scope", scope);
        form.add("grant_type", "client_credentials");
        form
    }

    fn add(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    self.0.push(byte as char)
                }
                _ => {
                    self.0.push('%');
                    for digit in [byte >> 4, byte & 15] {
                        self.0.push(char::from_digit(digit.into(), 16).unwrap_or('0').to_ascii_uppercase());
                    }
                }
            }
        }
    }

    fn assertion(mut self, jwt: &str) -> Form {
        self.add("client_assertion_type", JWT_BEARER);
        self.add("client_assertion", jwt);
        self
    }

    fn into_bytes(mut self) -> Vec<u8> {
        std::mem::take(&mut *self.0).into_bytes()
    }
}

/// The token of a 200 that really holds one; wipes the body. Numbers may be strings: HIMDS writes them so.
fn read_token(response: &mut Response) -> Option<Token> {
    if response.status != 200 {
        return None;
    }
    let mut reply: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    let seconds = |value: Option<&serde_json::Value>| {
        let value = value?;
        value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok())
            .filter(|s| *s > 0)
            .map(Duration::from_secs)
    };
    let (valid_for, refresh_in) = (seconds(reply.get("expires_in")), seconds(reply.get("refresh_in")));
    let bearer =
        reply.get("token_type").and_then(|t| t.as_str()).is_none_or(|t| t.eq_ignore_ascii_case("bearer"));
    let secret = match reply.get_mut("access_token").map(serde_json::Value::take) {
        Some(serde_json::Value::String(text)) => Zeroizing::new(text),
        _ => return None,
    };
    // Once there is a token in it, the text has to go, whatever else is wrong with the answer.
    response.body.zeroize();
    let printable = !secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic());
    let token = Token { valid_for: valid_for?, refresh_in, secret };
    (bearer && printable).then_some(token)
}

/// An answer that is neither a token nor an error as the token endpoint gives them.
fn no_answer(who: &str, response: &Response) -> Outcome {
    error::outcome(who, "asking for a token", response, |_, _| None)
}

/// A file of a credential that cannot be read or used.
fn bad_file(path: &std::path::Path, what: impl std::fmt::Display, cure: &str) -> Reason {
    Reason::new("CredentialFile", format!("{}: {what}", path.display())).cure(cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_encodes_every_character_that_is_not_plain() {
        let mut form = Form::new("00001111-aaaa", "https://management.azure.com/.default");
        form.add("client_secret", "s3cr~t&x=1 +ä");
        let text = String::from_utf8(form.into_bytes()).unwrap();
        assert_eq!(
            text,
            "client_id=00001111-aaaa&scope=https%3A%2F%2Fmanagement.azure.com%2F.default\
             &grant_type=client_credentials&client_secret=s3cr~t%26x%3D1%20%2B%C3%A4"
        );
    }
}
