//! What a source shows to be let in.
//!
//! ARM takes secrets and does not give them back. So there are three ways: nothing secret is needed (a CA, a known public
//! key, the client id of a managed identity: those become a Secret here, because Flux reads them from one), the operator's
//! own Secret named by `localAuthRef`, or a reason that says what is missing. Never a guess: Flux without the secret would
//! fail with a message about the wrong thing, or read something else anonymously.

use super::code;
use super::document::Document;
use super::fields::Fields;
use super::names;
use crate::core::Reason;
use serde_json::{Map, Value, json};

/// `localAuthRef`, a name that Kubernetes takes. Nothing may ask for a second Secret beside it (`others`, by name).
pub(super) fn local<'a>(source: &Fields<'a>, others: &[&str]) -> Result<Option<&'a str>, Reason> {
    let Some(name) = source.text("localAuthRef")? else { return Ok(None) };
    names::subdomain(&source.path("localAuthRef"), name)?;
    match others.iter().find(|other| source.holds_something(other)) {
        None => Ok(Some(name)),
        Some(other) => {
            let (local, other) = (source.path("localAuthRef"), source.path(other));
            let message = format!("{local} and {other} are both set, and a source reads one Secret");
            let cure =
                format!("put what {other} holds into the Secret that localAuthRef names, and remove {other}");
            Err(Reason::new(code::CONFLICTING_AUTH, message).cure(cure))
        }
    }
}

/// The first of `secret` (field and what it stands for) that the source asks for; else `configurationProtectedSettings`,
/// if there are any.
pub(super) fn refuse_secrets(
    document: &Document,
    source: &Fields,
    secret: &[(&str, &str)],
) -> Result<(), Reason> {
    if let Some((field, what)) = secret.iter().find(|(field, _)| source.holds_something(field)) {
        return Err(needs(document, source, &source.path(field), what));
    }
    let properties = document.properties()?;
    if properties.holds_something(PROTECTED) {
        return Err(needs(document, source, &properties.path(PROTECTED), "the protected settings"));
    }
    Ok(())
}

/// The reason for a secret that is nowhere to be had: `field` asks for `what`.
pub(super) fn needs(document: &Document, source: &Fields, field: &str, what: &str) -> Reason {
    let message = format!("{field} asks for {what}, and ARM does not give secrets back");
    let cure = format!(
        "put {what} into a Secret in the namespace {}, in the form that Flux reads, and name it in {}",
        document.namespace,
        source.path("localAuthRef")
    );
    Reason::new(code::SECRET_NEEDS_KEY_VAULT, message).cure(cure)
}

/// A Secret of the configuration's own; the values are base64 already.
pub(super) fn secret<'a>(
    document: &Document,
    what: &str,
    data: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Value {
    let data: Map<String, Value> = data.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": document.own(what), "namespace": document.namespace},
        "data": data,
    })
}

/// The CA under both names: `ca.crt` came with Flux 2.1, `caFile` is what those before it read.
pub(super) fn ca(pem: &str) -> [(&'static str, &str); 2] {
    [("ca.crt", pem), ("caFile", pem)]
}

/// Sets a reference to a Secret, `secretRef` or `certSecretRef`.
pub(super) fn refer(spec: &mut Map<String, Value>, field: &str, name: &str) {
    spec.insert(field.into(), json!({"name": name}));
}

const PROTECTED: &str = "configurationProtectedSettings";
