//! `bucket` and `azureBlob` → Bucket, with provider `generic` (anything that speaks S3) and `azure`.

use super::auth;
use super::document::{Document, Rendered, url};
use super::fields::{Fields, bad};
use super::stamp;
use super::versions::{Versions, duration, timeout};
use crate::core::Reason;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value, json};

pub(super) fn render(document: &Document, versions: &Versions) -> Result<Rendered, Reason> {
    let source = document.section("bucket")?;
    let mut spec = common(document, &source, "bucketName")?;
    let (endpoint, insecure) = endpoint(&source)?;
    spec.insert("provider".into(), "generic".into());
    spec.insert("endpoint".into(), endpoint.into());
    spec.insert("insecure".into(), insecure.into());
    match auth::local(&source, &["accessKey"])? {
        Some(name) => auth::refer(&mut spec, "secretRef", name),
        None => {
            auth::refuse_secrets(document, &source, &[("accessKey", "the secret key of that access key")])?
        }
    }
    Ok(rendered(document, versions, spec, Vec::new()))
}

pub(super) fn render_azure_blob(document: &Document, versions: &Versions) -> Result<Rendered, Reason> {
    let source = document.section("azureBlob")?;
    let mut spec = common(document, &source, "containerName")?;
    spec.insert("provider".into(), "azure".into());
    spec.insert("endpoint".into(), url(&source, &["https://", "http://"])?.into());

    let mut secrets = Vec::new();
    let identity = source.object("managedIdentity")?;
    let client = identity.as_ref().map(|i| i.text("clientId")).transpose()?.flatten();
    if let Some(name) =
        auth::local(&source, &["servicePrincipal", "accountKey", "sasToken", "managedIdentity"])?
    {
        auth::refer(&mut spec, "secretRef", name);
    } else {
        let secret = [
            ("servicePrincipal", "the secret or certificate of a service principal"),
            ("accountKey", "the account key"),
            ("sasToken", "the shared access signature"),
        ];
        auth::refuse_secrets(document, &source, &secret)?;
        if let Some(client) = client {
            auth::refer(&mut spec, "secretRef", &document.own("auth"));
            let client = BASE64_STANDARD.encode(client);
            secrets.push(auth::secret(document, "auth", [("clientId", client.as_str())]));
        }
    }
    Ok(rendered(document, versions, spec, secrets))
}

fn common(document: &Document, source: &Fields, name: &str) -> Result<Map<String, Value>, Reason> {
    Ok(Map::from_iter([
        ("bucketName".to_owned(), json!(source.required(name)?)),
        ("interval".to_owned(), json!(duration(source.seconds("syncIntervalInSeconds")?.unwrap_or(600)))),
        ("timeout".to_owned(), json!(timeout(source.seconds("timeoutInSeconds")?.unwrap_or(600)))),
        ("suspend".to_owned(), json!(document.suspend)),
    ]))
}

/// Azure has a URL where Flux has a host. ARM's default for `insecure` is true; where it is absent and the URL says https,
/// the URL is what somebody wrote, and nothing goes over the network in the clear because of a default.
fn endpoint<'a>(source: &Fields<'a>) -> Result<(&'a str, bool), Reason> {
    let text = source.required("url")?;
    let (host, default) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(host), _) => (host, false),
        (_, Some(host)) => (host, true),
        _ => (text, true),
    };
    let host = host.trim_end_matches('/');
    if host.is_empty() || host.contains(|c: char| "/?#@".contains(c) || c.is_whitespace() || c.is_control()) {
        return Err(bad(&source.path("url"), "the URL of a host, without a path"));
    }
    Ok((host, source.flag("insecure", default)?))
}

fn rendered(
    document: &Document,
    versions: &Versions,
    spec: Map<String, Value>,
    secrets: Vec<Value>,
) -> Rendered {
    Rendered { secrets, object: stamp::object(&versions.source(), "Bucket", document, &document.name, spec) }
}
