//! HIMDS of an Arc-enabled server: plain HTTP on loopback, a challenge by key file (azure-identity.md, section 5).

use crate::state::State;
use crate::wire::{Answer, Question, guid};
use serde_json::json;
use std::path::PathBuf;

/// How it is set.
pub struct Himds {
    /// Where the key files are made; the real one is /var/opt/azcmagent/tokens.
    pub directory: PathBuf,
    /// The principal whose tokens are given.
    pub client_id: String,
    /// Sent as realm instead of the key file's path: what an attacker on the port would say.
    pub realm: Option<String>,
    key: Option<(PathBuf, String)>,
}

impl Himds {
    /// Tokens of `client_id`, key files in `directory`.
    pub fn new(directory: PathBuf, client_id: &str) -> Himds {
        Himds { directory, client_id: client_id.into(), realm: None, key: None }
    }
}

/// Answers a request to HIMDS.
pub fn answer(state: &mut State, question: &Question) -> Answer {
    let bad =
        |text: &str| Answer::json(400, json!({ "error": "invalid_request", "error_description": text }));
    if question.method != "GET" || question.path != "/metadata/identity/oauth2/token" {
        return Answer::json(404, json!({ "error": "not_found" }));
    }
    if question.header("metadata") != Some("true") {
        return bad("Required metadata header not specified");
    }
    if !matches!(question.parameter("api-version"), Some("2020-06-01" | "2019-11-01")) {
        return bad("api-version is not supported");
    }
    let Some(resource) = question.parameter("resource").map(|r| r.trim_end_matches('/').to_owned()) else {
        return bad("resource is required");
    };
    let Some(himds) = &mut state.himds else { return Answer::json(404, json!({ "error": "not_found" })) };
    let proof = question.header("authorization").and_then(|v| v.strip_prefix("Basic "));
    // The key is good once, whether it was right or not.
    let key = himds.key.take();
    if let Some((path, _)) = &key {
        let _ = std::fs::remove_file(path);
    }
    if proof.is_none() || key.is_none_or(|(_, content)| Some(content.as_str()) != proof) {
        let path = himds.directory.join(format!("{}.key", guid()));
        let content = guid().replace('-', "");
        if let Err(e) = std::fs::write(&path, &content) {
            return Answer::json(500, json!({ "error": "internal", "error_description": e.to_string() }));
        }
        let realm = himds.realm.clone().unwrap_or_else(|| path.display().to_string());
        himds.key = Some((path, content));
        return Answer::empty(401).with("www-authenticate", format!("Basic realm={realm}"));
    }
    let client = himds.client_id.clone();
    let Some(principal) = state.principal(&client).cloned() else { return bad("no identity") };
    let (tenant, lifetime) = (state.tenant.clone(), state.token_lifetime);
    let token = state.tokens.grant(&tenant, &principal, &resource, lifetime, None);
    let expires = jiff::Timestamp::now().as_second() + lifetime.as_secs() as i64;
    Answer::json(
        200,
        json!({
            "access_token": token, "expires_in": lifetime.as_secs().to_string(), "expires_on": expires.to_string(),
            "not_before": jiff::Timestamp::now().as_second().to_string(), "resource": resource, "token_type": "Bearer",
        }),
    )
}
