//! `ociRepository` → OCIRepository.

use super::auth::{self, Access, Ask, Form, Plan};
use super::document::{Document, Rendered, url};
use super::stamp;
use super::versions::{Versions, duration, timeout};
use crate::core::Reason;
use crate::scenario::fields::{Fields, bad};
use crate::scenario::names;
use crate::scenario::supplies::Supplies;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

pub(super) fn render(
    document: &Document,
    versions: &Versions,
    supplies: &Supplies,
) -> Result<Rendered, Reason> {
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

    let mut secrets = access(document)?.render(document, &source, supplies, &mut spec)?;
    if let Some(verify) = source.object("verify")? {
        spec.insert("verify".into(), Value::Object(verification(document, &verify, &mut secrets)?));
    }
    let object = stamp::object(&versions.source(), "OCIRepository", document, &document.name, spec);
    Ok(Rendered { secrets, object })
}

/// How a registry is let into: a login, which ARM has no field for, and what TLS needs.
pub(super) fn access(document: &Document) -> Result<Access<'_>, Reason> {
    let source = document.section("ociRepository")?;
    let local = auth::local(&source, &[])?;
    let identity = source.flag("useWorkloadIdentity", false)? || source.holds_something("serviceAccountName");
    let mut access = Access::new(local, || {
        let plan = Plan::new("secretRef", "registry").kind("kubernetes.io/dockerconfigjson");
        let ask = Ask {
            field: "dockerconfigjson",
            what: "the login of a registry",
            form: Form::DockerConfig,
            at: source.place().to_owned(),
            optional: true,
        };
        Ok(if identity { plan } else { plan.secret(&[".dockerconfigjson"], ask) })
    })?;
    if let Some(tls) = source.object("tlsConfig")? {
        access.plans.push(tls_plan(&tls)?);
    }
    Ok(access)
}

/// Every member counts as a secret for ARM, the CA too: what is shown of one says at least that it is there. A certificate
/// without its key lets nobody in, and `localAuthRef` is the registry's login and holds neither.
fn tls_plan<'a>(tls: &Fields<'a>) -> Result<Plan<'a>, Reason> {
    let shown = ["privateKey", "clientCertificate"].into_iter().find(|field| tls.holds_something(field));
    let ca = tls.base64("caCertificate")?;
    let at = tls.path(shown.unwrap_or_default());
    let ask =
        |field, what, at: &str, optional| Ask { field, what, form: Form::Pem, at: at.to_owned(), optional };
    let mut plan = Plan::new("certSecretRef", "tls").base64(&auth::CA, ca);
    if ca.is_none() {
        let at = tls.path("caCertificate");
        plan = plan.secret(&auth::CA, ask("caCertificate", "the CA of a registry", &at, true));
    }
    let certificate = "a client certificate with its private key";
    if shown.is_some() || ca.is_none() {
        plan = plan
            .secret(&["tls.crt", "certFile"], ask("clientCertificate", certificate, &at, shown.is_none()))
            .secret(&["tls.key", "keyFile"], ask("privateKey", certificate, &at, shown.is_none()))
            .together(&["clientCertificate", "privateKey"]);
    }
    Ok(plan)
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
        secrets.push(auth::public(document, "verify", keys));
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
