//! Entra: every refusal by its number, and assertions that are really verified.

use crate::rig::{ARM, MONITOR, PATIENCE, Rig, secret_form};
use azure_standin::{DEVICE, Options, Principal, TENANT};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PEM: &str = include_str!("../../../../src/azure/testdata/app.pem");
const APP: &str = "33334444-dddd-5555-eeee-6666ffff7777";
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn certificate() -> Vec<u8> {
    CertificateDer::from_pem_slice(PEM.as_bytes()).unwrap().to_vec()
}

fn sign(header: &Value, claims: &Value, how: &'static dyn RsaEncoding) -> String {
    let key = PrivatePkcs8KeyDer::from_pem_slice(PEM.as_bytes()).unwrap();
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(how, &ring::rand::SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

struct App {
    rig: Rig,
}

impl App {
    fn new() -> App {
        let rig = Rig::new();
        rig.azure.set_principal(Principal {
            certificate: Some(certificate()),
            secret: None,
            ..Principal::with_secret(APP, "", Vec::new())
        });
        App { rig }
    }

    fn header(&self) -> Value {
        json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(digest(&SHA256, &certificate())) })
    }

    fn claims(&self, jti: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        json!({
            "aud": format!("{}/{TENANT}/oauth2/v2.0/token", self.rig.azure.login_url()), "iss": APP, "sub": APP, "jti": jti,
            "nbf": now - 60, "iat": now, "exp": now + 540,
        })
    }

    /// 0 where there is a token, else the number of the refusal.
    fn present(&self, assertion: &str) -> u64 {
        let reply = self.rig.form(&[
            ("client_id", APP),
            ("scope", ARM),
            ("grant_type", "client_credentials"),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
        ]);
        number(&reply)
    }
}

fn number(reply: &crate::rig::Reply) -> u64 {
    if reply.status == 200 {
        assert!(reply.json()["access_token"].is_string());
        return 0;
    }
    let body = reply.json();
    let number = body["error_codes"][0].as_u64().unwrap();
    assert!(body["error_description"].as_str().unwrap().starts_with(&format!("AADSTS{number}: ")));
    assert!(body["trace_id"].is_string() && body["correlation_id"].is_string() && body["error"].is_string());
    number
}

#[test]
fn a_secret_gets_a_token_that_lives_as_long_as_it_says() {
    let rig = Rig::with(Options { token_lifetime: Duration::from_secs(77), ..Options::default() });
    let reply = rig.form(&secret_form(DEVICE, ARM)).json();
    assert_eq!((&reply["token_type"], &reply["expires_in"]), (&json!("Bearer"), &json!(77)));
    let claims = reply["access_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["aud"], "https://management.azure.com");
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 77);
    assert_eq!(claims["appid"], DEVICE.0);
}

#[test]
fn every_refusal_has_its_number_and_status() {
    let rig = Rig::new();
    let right = secret_form(DEVICE, ARM);
    let change = |name: &str, value: &'static str| {
        let mut fields = right.to_vec();
        fields.retain(|(n, _)| *n != name);
        if !value.is_empty() {
            let name = right.iter().find(|(n, _)| *n == name).unwrap().0;
            fields.push((name, value));
        }
        fields
    };
    for (fields, status, error, code) in [
        (change("client_secret", "wrong"), 401, "invalid_client", 7000215),
        (change("client_secret", ""), 401, "invalid_client", 7000218),
        (change("client_id", "99990000-0000-0000-0000-000000000000"), 400, "unauthorized_client", 700016),
        (change("client_id", ""), 400, "unauthorized_client", 700016),
        (change("scope", "https://nowhere.example/.default"), 400, "invalid_scope", 70011),
        (change("scope", "https://management.azure.com"), 400, "invalid_scope", 70011),
        (change("grant_type", "password"), 400, "unsupported_grant_type", 70003),
    ] {
        let reply = rig.form(&fields);
        let found = (reply.status, reply.json()["error"].as_str().unwrap().to_owned(), number(&reply));
        assert_eq!(found, (status, error.to_owned(), code), "{fields:?}");
    }
    let reply = rig.form_at("00000000-0000-0000-0000-000000000000", &right);
    assert_eq!((reply.status, number(&reply)), (400, 90002));
    let url = format!("{}/{TENANT}/oauth2/v2.0/token", rig.azure.login_url());
    let json = [("content-type", "application/json")];
    let reply = rig.send("POST", &url, &json, b"{}", PATIENCE).unwrap();
    assert_eq!((reply.status, number(&reply)), (400, 900144));
}

#[test]
fn an_assertion_is_accepted_in_the_form_of_npm_and_in_that_of_python() {
    let app = App::new();
    assert_eq!(app.present(&sign(&app.header(), &app.claims("npm"), &RSA_PSS_SHA256)), 0);
    // Python: RS256, the SHA-1 thumbprint with padding, no nbf, times with fractions.
    let thumbprint = URL_SAFE.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate()));
    let header = json!({ "alg": "RS256", "typ": "JWT", "x5t": thumbprint });
    let mut claims = app.claims("python");
    claims.as_object_mut().unwrap().remove("nbf");
    for name in ["iat", "exp"] {
        claims[name] = json!(claims[name].as_f64().unwrap() + 0.25);
    }
    assert_eq!(app.present(&sign(&header, &claims, &RSA_PKCS1_SHA256)), 0);
}

#[test]
fn a_signature_that_is_not_by_the_registered_key_over_these_very_bytes_is_refused() {
    let app = App::new();
    let good = sign(&app.header(), &app.claims("one"), &RSA_PSS_SHA256);
    let other = sign(&app.header(), &app.claims("two"), &RSA_PSS_SHA256);
    let (body, signature) = (good.rsplit_once('.').unwrap().0, other.rsplit_once('.').unwrap().1);
    assert_eq!(app.present(&format!("{body}.{signature}")), 700027);
    // PS256 announced and RS256 made.
    assert_eq!(app.present(&sign(&app.header(), &app.claims("three"), &RSA_PKCS1_SHA256)), 700027);
    for alg in ["none", "HS256"] {
        let mut header = app.header();
        header["alg"] = json!(alg);
        assert_eq!(app.present(&sign(&header, &app.claims(alg), &RSA_PSS_SHA256)), 700027, "{alg}");
    }
    let mut header = app.header();
    header["x5t#S256"] = json!(URL_SAFE_NO_PAD.encode([7; 32]));
    assert_eq!(app.present(&sign(&header, &app.claims("four"), &RSA_PSS_SHA256)), 700027);
    for nonsense in ["", "a.b", "a.b.c", "!.!.!"] {
        assert_eq!(app.present(nonsense), 700027, "{nonsense}");
    }
    // Nothing of it has spoilt the right one.
    assert_eq!(app.present(&good), 0);
}

#[test]
fn an_assertion_counts_once() {
    let app = App::new();
    let assertion = sign(&app.header(), &app.claims("once"), &RSA_PSS_SHA256);
    assert_eq!(app.present(&assertion), 0);
    assert_eq!(app.present(&assertion), 700027);
    let mut claims = app.claims("");
    claims.as_object_mut().unwrap().remove("jti");
    assert_eq!(app.present(&sign(&app.header(), &claims, &RSA_PSS_SHA256)), 700027);
}

#[test]
fn claims_are_for_this_endpoint_this_client_and_this_time() {
    let app = App::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (name, value, code) in [
        ("aud", json!("https://login.microsoftonline.com/x/oauth2/v2.0/token"), 700023),
        ("iss", json!("somebody else"), 700021),
        ("sub", json!("somebody else"), 700021),
        ("exp", json!(now - 3600), 700024),
        ("nbf", json!(now + 3600), 700024),
        ("exp", json!(now + 86_400), 700024),
        ("exp", Value::Null, 700024),
    ] {
        let mut claims = app.claims(&format!("{name} {value}"));
        claims[name] = value;
        assert_eq!(app.present(&sign(&app.header(), &claims, &RSA_PSS_SHA256)), code, "{claims}");
    }
}

#[test]
fn a_federated_token_is_compared_whole() {
    let rig = Rig::new();
    rig.azure.set_principal(Principal {
        federated: Some("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN".into()),
        secret: None,
        ..Principal::with_secret(APP, "", Vec::new())
    });
    let present = |assertion: &str, kind: &str| {
        number(&rig.form(&[
            ("client_id", APP),
            ("scope", MONITOR),
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ]))
    };
    assert_eq!(present("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN", JWT_BEARER), 0);
    assert_eq!(present("eyJhbGciOiJSUzI1NiJ9.SA.TOKEX", JWT_BEARER), 70021);
    assert_eq!(present("eyJhbGciOiJSUzI1NiJ9.SA.TOKEN", "another kind"), 7000218);
}

#[test]
fn the_metadata_has_what_official_clients_demand() {
    let rig = Rig::new();
    let base = format!("{}/{TENANT}", rig.azure.login_url());
    let document = rig.plain(&format!("{base}/v2.0/.well-known/openid-configuration"), &[]).json();
    for name in ["authorization_endpoint", "token_endpoint", "issuer", "jwks_uri"] {
        assert!(document[name].as_str().unwrap().starts_with(&base), "{name}");
    }
}
