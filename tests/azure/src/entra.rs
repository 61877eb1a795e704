//! Microsoft Entra: metadata and the token endpoint, with client secret, certificate and federated assertion
//! (azure-identity.md, sections 1 to 3). Errors carry `error` and `error_codes`, as a client must react to these.

use crate::principals::Principal;
use crate::state::State;
use crate::wire::{Answer, Question, guid, pairs};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Entra accepts assertions that live at most this long (documented: 5 to 10 minutes).
const ASSERTION_SECONDS: f64 = 660.0;
/// Tolerated difference of clocks.
const SKEW_SECONDS: f64 = 300.0;

/// Answers a request to the login endpoint.
pub fn answer(state: &mut State, question: &Question) -> Answer {
    let segments: Vec<&str> = question.path.split('/').filter(|s| !s.is_empty()).collect();
    match (question.method.as_str(), segments.as_slice()) {
        ("GET", [tenant, "v2.0", ".well-known", "openid-configuration"]) => metadata(question, tenant),
        ("GET", ["common", "discovery", "instance"]) => Answer::json(
            200,
            json!({ "tenant_discovery_endpoint": format!("{}/common/v2.0/.well-known/openid-configuration", question.base), "metadata": [] }),
        ),
        ("POST", [tenant, "oauth2", "v2.0", "token"]) => token(state, question, tenant),
        _ => refuse(404, "invalid_request", 900144, "no such endpoint"),
    }
}

fn metadata(question: &Question, tenant: &str) -> Answer {
    let base = format!("{}/{tenant}", question.base);
    Answer::json(
        200,
        json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "device_authorization_endpoint": format!("{base}/oauth2/v2.0/devicecode"),
            "issuer": format!("{base}/v2.0"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "response_types_supported": ["code", "id_token"], "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid"],
        }),
    )
}

fn token(state: &mut State, question: &Question, tenant: &str) -> Answer {
    if !question.header("content-type").is_some_and(|t| t.starts_with("application/x-www-form-urlencoded")) {
        return refuse(400, "invalid_request", 900144, "the body must be a form");
    }
    let form = pairs(&String::from_utf8_lossy(&question.body));
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if field("grant_type") != Some("client_credentials") {
        return refuse(400, "unsupported_grant_type", 70003, "grant_type must be client_credentials");
    }
    if !tenant.eq_ignore_ascii_case(&state.tenant) {
        return refuse(400, "invalid_request", 90002, "Tenant not found");
    }
    let Some(principal) = field("client_id").and_then(|id| state.principal(id)).cloned() else {
        return refuse(400, "unauthorized_client", 700016, "Application was not found in the directory");
    };
    let scope = field("scope").unwrap_or_default();
    let Some(audience) = scope
        .strip_suffix("/.default")
        .filter(|a| state.audiences.contains(&a.trim_end_matches('/').to_owned()))
    else {
        return refuse(
            400,
            "invalid_scope",
            70011,
            "The provided value for the input parameter 'scope' is not valid",
        );
    };
    let proof = match (field("client_secret"), field("client_assertion"), field("client_assertion_type")) {
        (Some(secret), None, _) if principal.secret.as_deref() == Some(secret) => Ok(()),
        (Some(_), None, _) => Err((401, "invalid_client", 7000215, "Invalid client secret provided")),
        (None, Some(assertion), Some(JWT_BEARER)) => {
            let endpoint = format!("{}{}", question.base, question.path);
            assertion_proves(state, &principal, assertion, &endpoint)
        }
        _ => Err((
            401,
            "invalid_client",
            7000218,
            "The request body must contain client_assertion or client_secret",
        )),
    };
    if let Err((status, error, code, text)) = proof {
        return refuse(status, error, code, text);
    }
    let claims = field("claims").map(str::to_owned);
    let lifetime = state.token_lifetime;
    let tenant = state.tenant.clone();
    let token = state.tokens.grant(&tenant, &principal, audience.trim_end_matches('/'), lifetime, claims);
    let seconds = lifetime.as_secs();
    Answer::json(200, json!({ "token_type": "Bearer", "expires_in": seconds, "ext_expires_in": seconds, "access_token": token }))
        .with("cache-control", "no-store, no-cache")
}

type Refusal = (u16, &'static str, u32, &'static str);

fn assertion_proves(
    state: &mut State,
    principal: &Principal,
    assertion: &str,
    endpoint: &str,
) -> Result<(), Refusal> {
    if principal.federated.as_deref() == Some(assertion) {
        return Ok(());
    }
    let bad = |text| (401, "invalid_client", 700027, text);
    let Some(certificate) = &principal.certificate else {
        return Err((
            400,
            "invalid_client",
            70021,
            "No matching federated identity record found for presented assertion",
        ));
    };
    let parts: Vec<&str> = assertion.split('.').collect();
    let [head, body, signature] = parts.as_slice() else { return Err(bad("the assertion is no JWT")) };
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok();
    let object = |part: &str| decode(part).and_then(|b| serde_json::from_slice::<Value>(&b).ok());
    let (Some(header), Some(claims), Some(signature)) = (object(head), object(body), decode(signature))
    else {
        return Err(bad("the assertion cannot be decoded"));
    };
    let thumbprint = |name: &str, algorithm| {
        let given = header[name].as_str().and_then(decode);
        given.is_some_and(|g| g == digest::digest(algorithm, certificate).as_ref())
    };
    if !thumbprint("x5t#S256", &digest::SHA256) && !thumbprint("x5t", &digest::SHA1_FOR_LEGACY_USE_ONLY) {
        return Err(bad("the certificate with this thumbprint is not registered"));
    }
    let key = public_key(certificate).ok_or_else(|| bad("the registered certificate has no RSA key"))?;
    let signed = format!("{head}.{body}");
    let sound = match header["alg"].as_str() {
        Some("PS256") => {
            UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &key).verify(signed.as_bytes(), &signature)
        }
        Some("RS256") => {
            UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key).verify(signed.as_bytes(), &signature)
        }
        _ => return Err(bad("the algorithm is neither PS256 nor RS256")),
    };
    sound.map_err(|_| bad("the assertion's signature is wrong"))?;
    if claims["aud"].as_str() != Some(endpoint) {
        return Err((401, "invalid_client", 700023, "the assertion's audience is not this endpoint"));
    }
    if [&claims["iss"], &claims["sub"]].iter().any(|c| c.as_str() != Some(&principal.client_id)) {
        return Err((401, "invalid_client", 700021, "the assertion's issuer and subject must be the client"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
    let (expires, begins) = (claims["exp"].as_f64().unwrap_or(0.0), claims["nbf"].as_f64());
    if expires < now - SKEW_SECONDS || begins.is_some_and(|nbf| nbf > now + SKEW_SECONDS) {
        return Err((401, "invalid_client", 700024, "the assertion is not within its valid time range"));
    }
    if expires - begins.or(claims["iat"].as_f64()).unwrap_or(now) > ASSERTION_SECONDS {
        return Err((401, "invalid_client", 700024, "the assertion lives too long"));
    }
    match claims["jti"].as_str() {
        Some(id) if state.assertions.insert(id.to_owned()) => Ok(()),
        _ => Err(bad("the assertion's jti is missing or was used before")),
    }
}

/// The PKCS#1 public key in a certificate: what the SubjectPublicKeyInfo's bit string holds.
fn public_key(certificate: &[u8]) -> Option<Vec<u8>> {
    let der = rustls::pki_types::CertificateDer::from(certificate.to_vec());
    let entity = webpki::EndEntityCert::try_from(&der).ok()?;
    let info = entity.subject_public_key_info();
    // SEQUENCE { SEQUENCE algorithm, BIT STRING 0x00 key }
    bit_string(&info)
}

fn bit_string(info: &[u8]) -> Option<Vec<u8>> {
    let (outer, _) = element(info)?;
    let (_, rest) = element(outer)?;
    let (bits, _) = element(rest)?;
    bits.split_first().filter(|(unused, _)| **unused == 0).map(|(_, key)| key.to_vec())
}

/// The content of the first DER element, and what follows it.
pub fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.get(1..)?.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (bytes.iter().try_fold(0_usize, |n, b| n.checked_mul(256)?.checked_add(usize::from(*b)))?, rest)
    };
    rest.split_at_checked(length)
}

/// An error as Entra writes it.
pub fn refuse(status: u16, error: &str, code: u32, text: &str) -> Answer {
    Answer::json(
        status,
        json!({
            "error": error, "error_description": format!("AADSTS{code}: {text}. Trace ID: {} Correlation ID: {}", guid(), guid()),
            "error_codes": [code], "timestamp": "2026-11-22 15:00:00Z", "trace_id": guid(), "correlation_id": guid(),
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        }),
    )
}

/// How long tokens live unless a test says otherwise.
pub const LIFETIME: Duration = Duration::from_secs(3599);
