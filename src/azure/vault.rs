//! Key Vault's data plane: one secret by its name, its newest version.
//!
//! Two sorts of failure, kept apart because they are mended by different people: the vault's or its link's, which stops
//! every secret ([`Outcome`]), and one secret's own ([`Reason`]), which stops only whoever needs it. What a challenge
//! names is shown and never followed: a token goes to the configured authority and vault, or nowhere.
//!
//! A value is in the reply's body and in [`Secret`], both wiped; it is in no error, no log and no Debug. (TLS and HTTP
//! buffers below are not ours to wipe.)

use super::error::{self, parameter, plain};
use crate::clock::Clock;
use crate::core::{Outcome, Reason};
use crate::http::{Client, Request, Response};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::time::Duration;
use zeroize::{Zeroize, Zeroizing};

/// Who is asked, in messages.
const API: &str = "Key Vault";
const VERSION: &str = "7.4";
const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of an answer: a value of 25 kB, the service's limit, with every character escaped, and some tags.
const MOST_BODY: usize = 256 << 10;
/// Bytes of a value that are taken: beyond the service's limit, far below a Kubernetes Secret's.
pub const MOST_VALUE: usize = 64 << 10;
/// Characters of a secret's name (Microsoft.KeyVault 7.4, secrets.json: `^[0-9a-zA-Z-]+$`, 127 by documentation).
pub const MOST_NAME: usize = 127;

/// What a secret's own failures are recognised by.
pub mod code {
    /// The vault has no such secret.
    pub const MISSING: &str = "SecretMissing";
    /// It is switched off.
    pub const DISABLED: &str = "SecretDisabled";
    /// Its `nbf` is in the future.
    pub const NOT_YET_VALID: &str = "SecretNotYetValid";
    /// Its `exp` is in the past.
    pub const EXPIRED: &str = "SecretExpired";
    /// Its value has more than [`super::MOST_VALUE`] bytes.
    pub const TOO_LARGE: &str = "SecretTooLarge";
    /// Its value is empty.
    pub const EMPTY: &str = "SecretEmpty";
    /// No secret can have this name.
    pub const BAD_NAME: &str = "BadName";
    /// The device may not read it.
    pub const FORBIDDEN: &str = "Forbidden";
}

/// A version of a secret that may be used now. No Debug.
pub struct Secret {
    /// The secret itself, wiped when dropped.
    pub value: Zeroizing<String>,
    /// Which version: the last part of its id. Another one is a change.
    pub version: String,
    /// Not before, in Unix seconds.
    pub not_before: Option<i64>,
    /// Not after, in Unix seconds.
    pub expires: Option<i64>,
}

/// A vault by its address.
pub struct Vault {
    /// Without a slash at its end.
    base: String,
    client: Client,
    clock: Clock,
}

impl Vault {
    /// `base_url` is the vault's own: `https://edge-kv.vault.azure.net`. The clock judges when secrets are valid.
    pub fn new(base_url: &str, client: Client, clock: Clock) -> Vault {
        Vault { base: base_url.trim_end_matches('/').to_owned(), client, clock }
    }

    /// The newest version of a secret. The inner error is this secret's own; the others may be fine.
    pub fn get(&self, name: &str, token: &str) -> Result<Result<Secret, Reason>, Outcome> {
        let plain_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if name.is_empty() || name.len() > MOST_NAME || !name.bytes().all(plain_name) {
            let text = format!(
                "no secret of a vault can be called {}: 1 to {MOST_NAME} letters, digits and '-'",
                plain(name)
            );
            return Ok(Err(Reason::new(code::BAD_NAME, text)
                .cure("choose shorter names, or a shorter key-vault-prefix in [desired]")));
        }
        let request =
            super::named(Request::get(format!("{}/secrets/{name}?api-version={VERSION}", self.base)))
                .header("Accept", "application/json")
                .bearer(token)
                .deadline(DEADLINE)
                .max_body(MOST_BODY);
        let mut response = self.client.call(&request)?;
        let judged = self.judge(name, &response);
        response.body.zeroize();
        judged
    }

    /// What an answer means for the secret that was asked for.
    fn judge(&self, name: &str, response: &Response) -> Result<Result<Secret, Reason>, Outcome> {
        match response.status {
            200 => match read(name, &response.body) {
                Some(bundle) => Ok(self.usable(name, &bundle, response.date_ms)),
                None => Err(Outcome::Refused(error::nonsense(API, response))),
            },
            404 if has_code(response, "SecretNotFound") => Ok(Err(self.missing(name))),
            403 if response.retry_after().is_none() && error::ApiError::of(response).is_some() => {
                Ok(Err(self.forbidden(name, response)))
            }
            status if status < 400 => Err(Outcome::Refused(error::nonsense(API, response))),
            _ => Err(error::outcome(API, "reading a secret", response, |status, _| cure(status, response))),
        }
    }

    /// The secret, if it may be used now. `date_ms` is the vault's own time.
    fn usable(&self, name: &str, bundle: &Bundle<'_>, date_ms: Option<i64>) -> Result<Secret, Reason> {
        let own = |code: &str, what: &str| {
            let text = format!("the secret {name} in {} {what}", self.base);
            Reason::new(code, text).cure(format!("set a new version: {}", self.set(name)))
        };
        let Attributes { enabled, nbf, exp } = bundle.attributes;
        if enabled == Some(false) {
            return Err(self.disabled(name));
        }
        // Only a time that somebody vouches for may keep a secret from being used.
        let now = self.clock.offset_ms().map(|_| self.clock.best_wall_ms()).or(date_ms).map(|ms| ms / 1000);
        if let (Some(now), Some(nbf)) = (now, nbf)
            && now < nbf
        {
            return Err(own(code::NOT_YET_VALID, &format!("is valid from {} on only", day(nbf))).cure(
                "wait, or set an earlier activation date: az keyvault secret set-attributes --not-before",
            ));
        }
        if let (Some(now), Some(exp)) = (now, exp)
            && now >= exp
        {
            return Err(own(code::EXPIRED, &format!("expired at {}", day(exp))));
        }
        let value = match unquoted(bundle.value.get()) {
            Some(value) if value.len() > MOST_VALUE => {
                let what = format!("has {} bytes, at most {MOST_VALUE} are taken", value.len());
                return Err(own(code::TOO_LARGE, &what));
            }
            Some(value) if !value.is_empty() => value,
            _ => return Err(own(code::EMPTY, "has no text as its value")),
        };
        let version = bundle.id.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Secret { value, version, not_before: nbf, expires: exp })
    }

    fn missing(&self, name: &str) -> Reason {
        Reason::new(code::MISSING, format!("{} has no secret named {name}", self.base)).cure(self.set(name))
    }

    fn disabled(&self, name: &str) -> Reason {
        Reason::new(code::DISABLED, format!("the secret {name} in {} is disabled", self.base)).cure(format!(
            "enable it: az keyvault secret set-attributes --vault-name {} --name {name} --enabled true",
            self.name()
        ))
    }

    /// 403 in the vault's own form: the service may be in the way, or the roles, or the secret is disabled.
    fn forbidden(&self, name: &str, response: &Response) -> Reason {
        let inner = inner_code(response);
        let cure = match inner.as_deref() {
            Some("SecretDisabled") => return self.disabled(name),
            Some("ForbiddenByFirewall") => {
                "let this device's address through the vault's firewall, or give the vault a private endpoint"
            }
            _ => {
                "give this identity the role \"Key Vault Secrets User\" on the vault (or get for secrets in its access \
                 policy); an assignment may take minutes to spread"
            }
        };
        let inner = inner.map(|inner| format!(" ({inner})")).unwrap_or_default();
        Reason::new(
            code::FORBIDDEN,
            format!("this identity may not read the secret {name} in {}{inner}", self.base),
        )
        .cure(cure)
    }

    /// The command that sets a secret; from a file, so that it does not get into a shell's history.
    fn set(&self, name: &str) -> String {
        format!("az keyvault secret set --vault-name {} --name {name} --file FILE", self.name())
    }

    /// The vault's name: the first label of its host.
    fn name(&self) -> &str {
        let host = self.base.split_once("://").map_or(self.base.as_str(), |(_, rest)| rest);
        host.split(['.', ':', '/']).next().unwrap_or(host)
    }
}

/// What a GET brings, as far as it matters. The value stays where it is in the body until it is known to be wanted: a
/// reader of escaped texts would leave a copy in a buffer of its own.
#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Deserialize, Default, Clone, Copy)]
struct Attributes {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

/// The answer, if it is one about the secret that was asked for: `…/secrets/{name}/{version}`.
fn read<'a>(name: &str, body: &'a [u8]) -> Option<Bundle<'a>> {
    let bundle: Bundle<'a> = serde_json::from_slice(body).ok()?;
    let mut parts = bundle.id.rsplit('/');
    let (version, named, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let plain =
        !version.is_empty() && version.len() <= 64 && version.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && kind == "secrets" && named.eq_ignore_ascii_case(name)).then_some(bundle)
}

/// A JSON string without its quotes and escapes. Room for all of it is made at once: a text that grows leaves copies
/// behind. `None` if it is no string, or has half a surrogate.
fn unquoted(raw: &str) -> Option<Zeroizing<String>> {
    let raw = raw.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut text = Zeroizing::new(String::with_capacity(raw.len()));
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut left = after.chars();
        text.push(match left.next()? {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let (unit, after) = unit(left.as_str())?;
                left = after.chars();
                match unit {
                    0xd800..0xdc00 => {
                        let (low, after) = self::unit(after.strip_prefix("\\u")?)?;
                        left = after.chars();
                        char::decode_utf16([unit, low]).next()?.ok()?
                    }
                    _ => char::from_u32(u32::from(unit))?,
                }
            }
            other => other,
        });
        rest = left.as_str();
    }
    text.push_str(rest);
    Some(text)
}

fn unit(text: &str) -> Option<(u16, &str)> {
    Some((u16::from_str_radix(text.get(..4)?, 16).ok()?, text.get(4..)?))
}

fn has_code(response: &Response, code: &str) -> bool {
    error::ApiError::of(response).is_some_and(|error| error.code == code)
}

/// `error.innererror.code`.
fn inner_code(response: &Response) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
    let code = body.pointer("/error/innererror/code")?.as_str()?;
    Some(plain(code)).filter(|code| !code.is_empty())
}

fn cure(status: u16, response: &Response) -> Option<String> {
    if status != 401 {
        return None;
    }
    // Shown, never followed.
    let authority =
        response.header_all("www-authenticate").find_map(|challenge| parameter(challenge, "authorization"));
    Some(match authority {
        Some(authority) => {
            format!("check identity.tenant and cloud.name: the vault takes tokens of {}", plain(authority))
        }
        None => "check identity.tenant and that cloud.name is the cloud of the vault".to_owned(),
    })
}

/// Unix seconds as people write them.
fn day(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("second {seconds}"),
    }
}
