//! Tokens: what is sent, and what each answer means.

use super::{PORTAL, client, kind, reason};
use crate::azure::Cloud;
use crate::azure::identity::{
    ArcServer, Certificate, ClientSecret, Credential, FederatedToken, Identity, Token,
};
use crate::clock::Clock;
use crate::core::{Outcome, Scope};
use crate::http::testing::{Seen, Server, answer, json};
use crate::http::{Client, Options, Roots};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use std::time::Duration;

const APP: &str = "00001111-aaaa-2222-bbbb-3333cccc4444";
const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
const TOKEN: &str = r#"{"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "FAKE.ACCESS.TOKEN"}"#;
const PEM: &[u8] = include_bytes!("../testdata/app.pem");

fn asker(credential: Credential, server: &Server) -> Identity {
    let public = Cloud::by_name("AzureCloud").unwrap();
    let cloud = Cloud::custom(&server.url, &server.url, &public.arm_scope, &public.monitor_scope);
    Identity::new(credential, TENANT, cloud, client(), Clock::new())
}

fn secret() -> Credential {
    Credential::ClientSecret(ClientSecret::new(APP, "s3cr~t&x=1\n"))
}

fn ask(answer: Vec<u8>) -> Result<Token, Outcome> {
    let server = Server::always(answer);
    asker(secret(), &server).token(Scope::Arm, None)
}

fn refusal(answer: Vec<u8>) -> Outcome {
    match ask(answer) {
        Ok(_) => panic!("a token came of it"),
        Err(outcome) => outcome,
    }
}

fn field(seen: &Seen, name: &str) -> Option<String> {
    let text = seen.text();
    let value = text.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    Some(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_client_secret_is_sent_as_a_form_to_the_tenants_token_endpoint() {
    let server = Server::always(json(200, TOKEN));
    let token = asker(secret(), &server).token(Scope::Monitor, None).unwrap();
    assert_eq!(token.secret.as_str(), "FAKE.ACCESS.TOKEN");
    assert_eq!((token.valid_for, token.refresh_in), (Duration::from_secs(3599), None));
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), format!("POST /{TENANT}/oauth2/v2.0/token HTTP/1.1"));
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(
        seen.text(),
        format!(
            "client_id={APP}&scope=https%3A%2F%2Fmonitor.azure.com%2F.default&grant_type=client_credentials\
             &client_secret=s3cr~t%26x%3D1"
        )
    );
}

#[test]
fn the_claims_of_a_challenge_are_passed_on_as_they_are() {
    let server = Server::always(json(200, TOKEN));
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
    asker(secret(), &server).token(Scope::Arm, Some(claims)).unwrap();
    assert_eq!(field(&server.seen()[0], "claims").as_deref(), Some(claims));
}

#[test]
fn an_assertion_is_signed_with_ps256_for_this_endpoint_and_is_new_each_time() {
    let server = Server::always(json(200, TOKEN));
    let certificate = Certificate::from_pem(APP, PEM).unwrap();
    // openssl x509 -outform DER | openssl dgst -sha256 -binary | base64url
    assert_eq!(certificate.thumbprint(), "YjtXRXqoyBixmy3WKJXS58Q15Kwq6tda1numTajzrHs");
    let asker = asker(Credential::Certificate(Box::new(certificate)), &server);
    let before = Clock::new().best_wall_ms() / 1000;
    let mut names = Vec::new();
    for _ in 0..2 {
        asker.token(Scope::Arm, None).unwrap();
        let seen = server.seen().pop().unwrap();
        assert_eq!(
            field(&seen, "client_assertion_type").as_deref(),
            Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
        );
        let jwt = field(&seen, "client_assertion").unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let decode = |text: &str| BASE64URL.decode(text).unwrap();
        public_key().verify(signed.as_bytes(), &decode(signature)).expect("the signature holds");
        let header: serde_json::Value = serde_json::from_slice(&decode(header)).unwrap();
        assert_eq!(
            header,
            serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": "YjtXRXqoyBixmy3WKJXS58Q15Kwq6tda1numTajzrHs"})
        );
        let claims: serde_json::Value = serde_json::from_slice(&decode(claims)).unwrap();
        let number = |name: &str| claims[name].as_i64().unwrap();
        assert_eq!(claims["aud"], format!("{}/{TENANT}/oauth2/v2.0/token", server.url));
        assert_eq!((&claims["iss"], &claims["sub"]), (&APP.into(), &APP.into()));
        assert!(number("nbf") < before && number("iat") < before, "a clock that is ahead does no harm");
        assert_eq!(number("exp") - number("nbf"), 600);
        assert!(number("exp") > before + 300);
        names.push(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_ne!(names[0], names[1]);
}

fn public_key() -> ring::signature::UnparsedPublicKey<Vec<u8>> {
    use ring::signature::{KeyPair, RSA_PSS_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
    use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
    let key = PrivatePkcs8KeyDer::from_pem_slice(PEM).unwrap();
    let pair = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pair.public_key().as_ref().to_vec())
}

#[test]
fn a_clock_that_is_off_is_set_right_by_entras_own_answer_and_the_assertion_signed_anew() {
    let tls = crate::http::testing::identity("127.0.0.1", 2020, 2099);
    let date = std::time::UNIX_EPOCH
        + Duration::from_millis(Clock::new().best_wall_ms() as u64 + 30 * 24 * 3_600_000);
    let date = httpdate::fmt_http_date(date);
    let refusal = r#"{"error": "invalid_client", "error_codes": [700024]}"#;
    let server = Server::tls(tls.config, move |n, _| {
        Some(answer(if n == 0 { 401 } else { 200 }, &[("Date", &date)], if n == 0 { refusal } else { TOKEN }))
    });
    let clock = Clock::new();
    let client = Client::new(Options::new(Roots::Only(tls.ca_pem), clock.clone())).unwrap();
    let cloud = Cloud::custom(&server.url, &server.url, "a/.default", "m/.default");
    let certificate = Credential::Certificate(Box::new(Certificate::from_pem(APP, PEM).unwrap()));
    Identity::new(certificate, TENANT, cloud, client, clock.clone()).token(Scope::Arm, None).unwrap();
    let begins: Vec<i64> = server
        .seen()
        .iter()
        .map(|seen| {
            let jwt = field(seen, "client_assertion").unwrap();
            let claims = BASE64URL.decode(jwt.split('.').nth(1).unwrap()).unwrap();
            serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["nbf"].as_i64().unwrap()
        })
        .collect();
    assert_eq!(begins.len(), 2);
    assert!((begins[1] - begins[0] - 30 * 24 * 3600).abs() < 60, "{begins:?}");
    assert!(clock.offset_ms().is_some());
}

#[test]
fn a_date_that_came_in_the_clear_teaches_nothing() {
    let server = Server::always(answer(200, &[("Date", "Mon, 23 Nov 2026 01:46:40 GMT")], TOKEN));
    let cloud = Cloud::custom(&server.url, &server.url, "a/.default", "m/.default");
    let clock = Clock::new();
    Identity::new(secret(), TENANT, cloud, client(), clock.clone()).token(Scope::Arm, None).unwrap();
    assert_eq!(clock.offset_ms(), None);
}

#[test]
fn a_certificate_file_that_cannot_serve_says_why() {
    let ec = rcgen::KeyPair::generate().unwrap();
    let other = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&ec).unwrap().pem();
    let app = String::from_utf8(PEM.to_vec()).unwrap();
    let key_at = app.find("-----BEGIN PRIVATE KEY").unwrap();
    let (certificate, key) = app.split_at(key_at);
    for (pem, word) in [
        (format!("{other}{}", ec.serialize_pem()), "RSA"),
        (format!("{other}{key}"), "does not belong"),
        (key.to_owned(), "no readable certificate"),
        (certificate.to_owned(), "no readable private key"),
        (format!("{certificate}{}", key.replace("PRIVATE", "ENCRYPTED PRIVATE")), "passphrase"),
        (String::new(), "certificate"),
    ] {
        let reason = Certificate::from_pem(APP, pem.as_bytes()).err().unwrap();
        assert_eq!(reason.code, "BadCertificateFile");
        assert!(reason.message.contains(word), "{word}: {reason}");
        assert!(!reason.next_step.is_empty());
    }
}

#[test]
fn a_federated_token_is_sent_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "eyJhbGciOiJSUzI1NiJ9.SA.TOKEN\n").unwrap();
    let server = Server::always(json(200, TOKEN));
    asker(Credential::FederatedToken(FederatedToken::new(APP, file)), &server)
        .token(Scope::Arm, None)
        .unwrap();
    assert_eq!(
        field(&server.seen()[0], "client_assertion").as_deref(),
        Some("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN")
    );
}

#[test]
fn entras_refusals_are_explained_by_their_numbers() {
    let refusal_of = |status, error: &str, codes: &str| {
        refusal(json(
            status,
            &format!(
                r#"{{"error": "{error}", "error_description": "AADSTS1: misleading", "error_codes": [{codes}],
                    "trace_id": "t-1", "correlation_id": "c", "timestamp": "2026-11-22 15:00:00Z"}}"#
            ),
        ))
    };
    for (status, error, codes, code, word) in [
        (401, "invalid_client", "7000215", "AADSTS7000215", "secret-file"),
        (401, "invalid_client", "7000222", "AADSTS7000222", "new secret"),
        (400, "unauthorized_client", "700016", "AADSTS700016", "identity.tenant"),
        (401, "invalid_client", "700027", "AADSTS700027", "clock"),
        (401, "invalid_client", "700024", "AADSTS700024", "timedatectl"),
        (400, "invalid_request", "90002", "AADSTS90002", "cloud.name"),
        (400, "invalid_scope", "70011", "AADSTS70011", "cloud.name"),
        (401, "invalid_client", "1, 700213", "AADSTS700213", "issuer"),
        (401, "invalid_client", "999999", "AADSTS999999", "error?code=999999"),
        (400, "something_new", "", "something_new", "identity"),
    ] {
        let outcome = refusal_of(status, error, codes);
        assert_eq!(kind(&outcome), "refused", "{code}");
        let reason = reason(&outcome);
        assert_eq!(reason.code, code);
        assert!(reason.next_step.contains(word), "{reason}");
        assert!(reason.message.contains("t-1") && !reason.message.contains("misleading"), "{reason}");
    }
    assert_eq!(kind(&refusal_of(503, "temporarily_unavailable", "90033")), "throttled");
    assert_eq!(kind(&refusal_of(500, "server_error", "")), "unreachable");
}

#[test]
fn overload_is_waited_for_as_long_as_entra_asks() {
    let body = r#"{"error":"temporarily_unavailable","error_codes":[90055]}"#;
    let outcome = refusal(answer(429, &[("Retry-After", "7"), ("Content-Type", "application/json")], body));
    assert!(matches!(outcome, Outcome::Throttled { retry_after: Some(wait), .. } if wait.as_secs() == 7));
}

/// Everything that is no answer of Entra's, with what it may at most be taken for.
#[test]
fn nonsense_never_becomes_a_token() {
    for (status, body, expected, code) in [
        (200, PORTAL, "refused", "CaptivePortal"),
        (200, "", "refused", "NotTheApi"),
        (200, "null", "refused", "NotTheApi"),
        (200, "[]", "refused", "NotTheApi"),
        (200, r#"{"access_token": "FAKE.TOK"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "", "expires_in": 3599}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "a b", "expires_in": 3599}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "a\r\nX: y", "expires_in": 3599}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": 7, "expires_in": 3599}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "t"}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "t", "expires_in": 0}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "t", "expires_in": -1}"#, "refused", "NotTheApi"),
        (200, r#"{"access_token": "t", "expires_in": 3599, "token_type": "mac"}"#, "refused", "NotTheApi"),
        (200, r#"{"error": "invalid_client", "error_codes": [7000215]}"#, "refused", "NotTheApi"),
        (201, TOKEN, "refused", "NotTheApi"),
        (302, "", "refused", "Redirected"),
        (400, PORTAL, "refused", "CaptivePortal"),
        (401, "{}", "refused", "NotTheApi"),
        (401, PORTAL, "refused", "CaptivePortal"),
        (403, "Forbidden", "refused", "NotTheApi"),
        (404, r#"{"message": "no Route matched"}"#, "refused", "NotTheApi"),
        (407, "", "refused", "CaptivePortal"),
        (502, PORTAL, "unreachable", "Unavailable"),
        (511, PORTAL, "refused", "CaptivePortal"),
    ] {
        let outcome = refusal(answer(status, &[("Content-Type", "text/plain")], body));
        assert_eq!(kind(&outcome), expected, "{status} {body}");
        assert_eq!(reason(&outcome).code, code, "{status} {body}");
        assert!(!outcome.reason().unwrap().to_string().contains("FAKE"), "{outcome:?}");
    }
}

#[test]
fn himds_is_asked_twice_with_the_content_of_its_own_key_file() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("1234-ab.key");
    std::fs::write(&key, "c2VjcmV0LWtleQ==").unwrap();
    let realm = format!("Basic realm={}", key.display());
    let unauthorized = answer(401, &[("Www-Authenticate", &realm)], r#"{"error": {"code": "unauthorized"}}"#);
    let token = json(
        200,
        r#"{"access_token": "ARC.TOKEN", "expires_in": "86400", "expires_on": "1795447193", "token_type": "Bearer"}"#,
    );
    let server = Server::script(vec![unauthorized, token]);
    let himds = ArcServer::with_directory(
        &format!("{}/metadata/identity/oauth2/token", server.url),
        directory.path(),
    );
    let token = asker(Credential::ArcServer(himds.unwrap()), &server).token(Scope::Monitor, None).unwrap();
    assert_eq!((token.secret.as_str(), token.valid_for.as_secs()), ("ARC.TOKEN", 86400));
    let seen = server.seen();
    assert_eq!(
        seen[0].line(),
        "GET /metadata/identity/oauth2/token?api-version=2020-06-01&resource=https://monitor.azure.com HTTP/1.1"
    );
    assert_eq!((seen[0].header("metadata"), seen[0].header("authorization")), (Some("true"), None));
    assert_eq!(
        seen[1].header("authorization"),
        Some("Basic c2VjcmV0LWtleQ=="),
        "verbatim, not encoded again"
    );
}

#[test]
fn a_challenge_that_names_another_file_gets_no_second_request() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.key"), "k").unwrap();
    let inside = directory.path().display();
    for challenge in [
        "Basic realm=/etc/passwd".to_owned(),
        "Basic realm=\"/etc/passwd\"".to_owned(),
        format!("Basic realm={inside}/../a.key"),
        format!("Basic realm={inside}/a.key/../../../etc/passwd"),
        format!("Bearer realm={inside}/a.key"),
        "Basic".to_owned(),
    ] {
        let server = Server::always(answer(401, &[("Www-Authenticate", &challenge)], "{}"));
        let himds = ArcServer::with_directory(&server.url, directory.path()).unwrap();
        let outcome = asker(Credential::ArcServer(himds), &server).token(Scope::Arm, None).err().unwrap();
        assert_eq!(
            (kind(&outcome), reason(&outcome).code.as_str()),
            ("refused", "UnsafeChallenge"),
            "{challenge}"
        );
        assert_eq!(server.seen().len(), 1, "{challenge}");
    }
}

#[test]
fn a_used_up_challenge_is_started_over_once_and_then_given_up() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.key"), "k").unwrap();
    let realm = format!("Basic realm={}/a.key", directory.path().display());
    let server = Server::always(answer(401, &[("Www-Authenticate", &realm)], "{}"));
    let himds = ArcServer::with_directory(&server.url, directory.path()).unwrap();
    let outcome = asker(Credential::ArcServer(himds), &server).token(Scope::Arm, None).err().unwrap();
    assert_eq!(reason(&outcome).code, "HimdsRefused");
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn no_credential_shows_its_secret() {
    let debug = format!("{:?}", asker(secret(), &Server::always(Vec::new())));
    assert!(!debug.contains("s3cr"), "{debug}");
}
