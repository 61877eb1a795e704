//! Key Vault, secrets only, on an endpoint of its own (azure-identity.md section 7): set, change, read, versions.
//!
//! Errors are in its own form, with an inner code. A secret outside its dates is given all the same, as documented: the
//! reader has to look. A disabled one is refused. Nothing here is ever deleted but by a test.

use crate::principals::Principal;
use crate::state::State;
use crate::wire::{Answer, Question, decode, guid};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The audience of its tokens.
pub const AUDIENCE: &str = "https://vault.azure.net";
/// Accepted api-versions: those that the Python client 4.12.0 knows.
const VERSIONS: [&str; 10] =
    ["2016-10-01", "7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"];
/// The longest value, in bytes (general knowledge: 25 kB).
const VALUE_MAX: usize = 25 * 1024;
/// Attributes that a client may set.
const ATTRIBUTES: [&str; 3] = ["enabled", "nbf", "exp"];

/// One version of a secret.
struct Version {
    /// 32 hexadecimal digits, the last part of its id.
    id: String,
    /// `value`, `contentType`, `tags` and `attributes`, as a GET shows them.
    bundle: Map<String, Value>,
}

/// Secrets by name, each with its versions, oldest first.
#[derive(Default)]
pub struct Vault {
    secrets: BTreeMap<String, Vec<Version>>,
}

impl Vault {
    /// A new version of a secret, from what a PUT may have: `value`, `contentType`, `tags`, `attributes`. Returns the
    /// version's id.
    pub fn set(&mut self, now: Timestamp, name: &str, given: &Value) -> String {
        let now = now.as_second();
        let mut attributes = json!({
            "enabled": true, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable", "recoverableDays": 90,
        });
        let mut bundle = Map::new();
        overlay(&mut bundle, &mut attributes, given);
        bundle.insert("attributes".into(), attributes);
        bundle.insert("value".into(), given["value"].clone());
        let id = guid().replace('-', "");
        self.secrets.entry(name.to_lowercase()).or_default().push(Version { id: id.clone(), bundle });
        id
    }

    /// Changes a version, or (`None`) the newest, as a PATCH does; whether there is one.
    pub fn change(&mut self, now: Timestamp, name: &str, version: Option<&str>, given: &Value) -> bool {
        let Some(found) = self.find(name, version) else { return false };
        let mut attributes = found.bundle.remove("attributes").unwrap_or_default();
        attributes["updated"] = now.as_second().into();
        overlay(&mut found.bundle, &mut attributes, given);
        found.bundle.insert("attributes".into(), attributes);
        true
    }

    /// How many versions a secret has.
    pub fn versions(&self, name: &str) -> usize {
        self.secrets.get(&name.to_lowercase()).map_or(0, Vec::len)
    }

    /// Removes a secret with all its versions; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        self.secrets.remove(&name.to_lowercase()).is_some()
    }

    fn find(&mut self, name: &str, version: Option<&str>) -> Option<&mut Version> {
        let versions = self.secrets.get_mut(&name.to_lowercase())?;
        match version {
            None => versions.last_mut(),
            Some(id) => versions.iter_mut().find(|v| v.id.eq_ignore_ascii_case(id)),
        }
    }
}

/// Puts what a client may set over what is there.
fn overlay(bundle: &mut Map<String, Value>, attributes: &mut Value, given: &Value) {
    for name in ["contentType", "tags"] {
        if !given[name].is_null() {
            bundle.insert(name.into(), given[name].clone());
        }
    }
    for name in ATTRIBUTES {
        if !given["attributes"][name].is_null() {
            attributes[name] = given["attributes"][name].clone();
        }
    }
}

/// Answers a request to the vault.
pub fn answer(state: &mut State, question: &Question) -> Answer {
    let answer = route(state, question).unwrap_or_else(|refusal| refusal);
    answer.with("x-ms-keyvault-region", "eastus").with("x-ms-request-id", guid())
}

fn route(state: &mut State, question: &Question) -> Result<Answer, Answer> {
    let principal = authenticate(state, question)?;
    match question.parameter("api-version") {
        Some(version) if VERSIONS.contains(&version) => {}
        _ => return Err(refuse(400, "BadParameter", "api-version is missing or not supported.", None)),
    }
    let path = decode(&question.path, false);
    // The Python client asks for the newest version with an empty last segment.
    let parts: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    if let ["secrets", name, ..] = parts.as_slice()
        && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    {
        return Err(refuse(
            400,
            "BadParameter",
            "The secret's name has characters that are not allowed.",
            None,
        ));
    }
    match (question.method.as_str(), parts.as_slice()) {
        ("GET", ["secrets", name, "versions"]) => {
            may(&principal, "readMetadata")?;
            versions(state, question, name)
        }
        ("GET", ["secrets", name, rest @ ..]) if rest.len() < 2 => {
            may(&principal, "getSecret")?;
            get(state, question, name, rest.first().copied())
        }
        ("PUT", ["secrets", name]) => {
            may(&principal, "setSecret")?;
            put(state, question, name)
        }
        ("PATCH", ["secrets", name, rest @ ..]) if rest.len() < 2 => {
            may(&principal, "setSecret")?;
            let given = body(question)?;
            let version = rest.first().copied();
            let now = state.clock.now();
            if !state.vault.change(now, name, version, &given) {
                return Err(absent(name));
            }
            shown(state, question, name, version, false).ok_or_else(|| absent(name))
        }
        _ => Err(refuse(405, "MethodNotAllowed", "The method is not supported here.", None)),
    }
}

/// The principal, or the challenge (section 7.2): no commas or `=` in its values, as clients split at these.
fn authenticate(state: &State, question: &Question) -> Result<Principal, Answer> {
    state.whose(question, AUDIENCE).map_err(|refused| {
        let (login, tenant) = (state.login, &state.tenant);
        let mut challenge =
            format!("Bearer authorization=\"https://{login}/{tenant}\", resource=\"{AUDIENCE}\"");
        if let Some(claims) = &refused.claims {
            challenge += &format!(", error=\"insufficient_claims\", claims=\"{claims}\"");
        }
        refuse(401, "Unauthorized", refused.text, None).with("www-authenticate", challenge)
    })
}

fn may(principal: &Principal, action: &str) -> Result<(), Answer> {
    if principal.may_data(&format!("Microsoft.KeyVault/vaults/secrets/{action}/action"), &crate::vault_id()) {
        return Ok(());
    }
    let text = format!("Caller is not authorized to perform action {action} on resource.");
    Err(refuse(403, "Forbidden", &text, Some("ForbiddenByRbac")))
}

fn get(state: &mut State, question: &Question, name: &str, version: Option<&str>) -> Result<Answer, Answer> {
    let found = state.vault.find(name, version).ok_or_else(|| absent(name))?;
    if found.bundle["attributes"]["enabled"] == false {
        let text = "Operation get is not allowed on a disabled secret.";
        return Err(refuse(403, "Forbidden", text, Some("SecretDisabled")));
    }
    shown(state, question, name, version, true).ok_or_else(|| absent(name))
}

fn put(state: &mut State, question: &Question, name: &str) -> Result<Answer, Answer> {
    let given = body(question)?;
    match given["value"].as_str() {
        Some(value) if value.len() <= VALUE_MAX => {}
        _ => return Err(refuse(400, "BadParameter", "value is missing or longer than 25 kB.", None)),
    }
    let now = state.clock.now();
    state.vault.set(now, name, &given);
    shown(state, question, name, None, true).ok_or_else(|| absent(name))
}

fn body(question: &Question) -> Result<Value, Answer> {
    let body = question.json().filter(Value::is_object);
    body.ok_or_else(|| refuse(400, "BadParameter", "The request body is no JSON object.", None))
}

/// A version as a client sees it.
fn shown(
    state: &mut State,
    question: &Question,
    name: &str,
    version: Option<&str>,
    value: bool,
) -> Option<Answer> {
    let found = state.vault.find(name, version)?;
    Some(Answer::json(200, seen(question, name, found, value)))
}

fn seen(question: &Question, name: &str, version: &Version, value: bool) -> Value {
    let mut bundle = version.bundle.clone();
    if !value {
        bundle.remove("value");
    }
    bundle.insert("id".into(), format!("{}/secrets/{name}/{}", question.base, version.id).into());
    Value::Object(bundle)
}

fn versions(state: &State, question: &Question, name: &str) -> Result<Answer, Answer> {
    let all = state.vault.secrets.get(&name.to_lowercase()).ok_or_else(|| absent(name))?;
    let all: Vec<Value> = all.iter().map(|v| seen(question, name, v, false)).collect();
    Ok(Answer::json(200, json!({ "value": all, "nextLink": null })))
}

fn absent(name: &str) -> Answer {
    let text = format!("A secret with (name/id) {name} was not found in this key vault.");
    refuse(404, "SecretNotFound", &text, None)
}

/// An error in Key Vault's form.
pub fn refuse(status: u16, code: &str, text: &str, inner: Option<&str>) -> Answer {
    let mut error = json!({ "code": code, "message": text });
    if let Some(inner) = inner {
        error["innererror"] = json!({ "code": inner });
    }
    Answer::json(status, json!({ "error": error }))
}
