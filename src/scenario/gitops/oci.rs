//! `ociRepository` → OCIRepository.

use super::auth;
use super::document::{Document, Rendered, url};
use super::fields::{Fields, bad};
use super::names;
use super::stamp;
use super::versions::{Versions, duration, timeout};
use crate::core::Reason;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

pub(super) fn render(document: &Document, versions: &Versions) -> Result<Rendered, Reason> {
    let source = document.section("ociRepository")?;
    let mut spec = Map::from_iter([
        ("url".to_owned(), json!(url(&source, &["oci://"])?)),
        ("interval".to_owned(), json!(duration(source.seconds("syncIntervalInSeconds")?.unwrap_or(600)))),
        ("timeout".to_owned(), json!(timeout(source.seconds("timeoutInSeconds")?.unwrap_or(600)))),
        ("suspend".to_owned(), json!(document.suspend)),
        ("ref".to_owned(), Value::Object(reference(&source)?)),
        ("insecure".to_owned(), json!(source.flag("insecure", false)?)),
    ]);
    if source.flag("useWorkloadIdentity", false)? {
        spec.insert("provider".into(), "azure".into());
    }
    if let Some(account) = source.text("serviceAccountName")? {
        names::subdomain(&source.path("serviceAccountName"), account)?;
        spec.insert("serviceAccountName".into(), account.into());
    }
    if let Some(selector) = source.object("layerSelector")? {
        let operation = selector.word("operation", &[("extract", "extract"), ("copy", "copy")])?;
        let mut layer = Map::from_iter([("operation".to_owned(), json!(operation.unwrap_or("extract")))]);
        if let Some(media) = selector.text("mediaType")? {
            layer.insert("mediaType".into(), media.into());
        }
        spec.insert("layerSelector".into(), Value::Object(layer));
    }

    let mut secrets = Vec::new();
    match auth::local(&source, &[])? {
        Some(name) => auth::refer(&mut spec, "secretRef", name),
        None => auth::refuse_secrets(document, &source, &[])?,
    }
    if let Some(tls) = source.object("tlsConfig")? {
        // A certificate without its key lets nobody in. `localAuthRef` is the registry's login and holds neither.
        if let Some(field) = ["privateKey", "clientCertificate"].into_iter().find(|f| tls.holds_something(f))
        {
            return Err(client_certificate(document, &tls.path(field)));
        }
        if let Some(pem) = tls.base64("caCertificate")? {
            auth::refer(&mut spec, "certSecretRef", &document.own("tls"));
            secrets.push(auth::secret(document, "tls", auth::ca(pem)));
        }
    }
    if let Some(verify) = source.object("verify")? {
        spec.insert("verify".into(), Value::Object(verification(document, &verify, &mut secrets)?));
    }
    let object = stamp::object(&versions.source(), "OCIRepository", document, &document.name, spec);
    Ok(Rendered { secrets, object })
}

/// Flux takes the digest before the semver and that before the tag; `latest` is what ARM means by none of them.
fn reference(source: &Fields) -> Result<Map<String, Value>, Reason> {
    let mut reference = Map::new();
    if let Some(wanted) = source.object("repositoryRef")? {
        for field in ["tag", "semver", "digest"] {
            if let Some(text) = wanted.text(field)? {
                reference.insert(field.into(), text.into());
            }
        }
    }
    if reference.is_empty() {
        reference.insert("tag".into(), "latest".into());
    }
    Ok(reference)
}

/// Who must have signed. The keys in `verificationConfig` are public, and become a Secret because Flux reads them there.
fn verification(
    document: &Document,
    verify: &Fields,
    secrets: &mut Vec<Value>,
) -> Result<Map<String, Value>, Reason> {
    let provider = verify.word("provider", &[("cosign", "cosign"), ("notation", "notation")])?;
    let mut wanted = Map::from_iter([("provider".to_owned(), json!(provider.unwrap_or("cosign")))]);

    let keys = verify.texts("verificationConfig")?;
    let config = verify.path("verificationConfig");
    for (key, value) in &keys {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        if key.is_empty() || key.len() > 253 || !key.bytes().all(plain) {
            return Err(bad(&config, "an object whose names are letters, digits, '-', '_' and '.'"));
        }
        // Withheld or broken: a Secret without its key would let every signature through, or none.
        if value.is_empty() || BASE64_STANDARD.decode(value).is_err() {
            return Err(bad(&format!("{config}.{key}"), "a public key in base64"));
        }
    }
    if !keys.is_empty() {
        auth::refer(&mut wanted, "secretRef", &document.own("verify"));
        secrets.push(auth::secret(document, "verify", keys));
    }

    let mut identities = Vec::new();
    for identity in verify.list_of_objects("matchOidcIdentity")? {
        identities
            .push(json!({"issuer": identity.required("issuer")?, "subject": identity.required("subject")?}));
    }
    if !identities.is_empty() {
        wanted.insert("matchOIDCIdentity".into(), Value::Array(identities));
    }
    Ok(wanted)
}

fn client_certificate(document: &Document, field: &str) -> Reason {
    let message = format!(
        "{field} asks for a client certificate with its private key, and ARM does not give secrets back"
    );
    let cure = format!(
        "use localAuthRef (a Secret in the namespace {}) or a registry that asks for no client certificate",
        document.namespace
    );
    Reason::new(super::code::SECRET_NEEDS_KEY_VAULT, message).cure(cure)
}
