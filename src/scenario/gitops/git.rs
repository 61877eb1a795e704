//! `gitRepository` → GitRepository.

use super::document::{Document, Rendered, url};
use super::fields::{Fields, bad};
use super::stamp;
use super::versions::{Versions, duration, timeout};
use super::{auth, code};
use crate::core::Reason;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

pub(super) fn render(document: &Document, versions: &Versions) -> Result<Rendered, Reason> {
    let source = document.section("gitRepository")?;
    let address = address(&source)?;
    let mut spec = Map::from_iter([
        ("url".to_owned(), json!(address)),
        ("interval".to_owned(), json!(duration(source.seconds("syncIntervalInSeconds")?.unwrap_or(600)))),
        ("timeout".to_owned(), json!(timeout(source.seconds("timeoutInSeconds")?.unwrap_or(600)))),
        ("suspend".to_owned(), json!(document.suspend)),
    ]);
    let reference = reference(&source)?;
    if !reference.is_empty() {
        spec.insert("ref".into(), Value::Object(reference));
    }
    let provider = provider(&source, versions)?;
    if let Some(provider) = provider {
        spec.insert("provider".into(), provider.into());
    }

    let mut secrets = Vec::new();
    let ca = source.base64("httpsCACert")?;
    if let Some(name) = auth::local(&source, &["httpsUser", "httpsCACert", "sshKnownHosts"])? {
        auth::refer(&mut spec, "secretRef", name);
    } else if address.starts_with("ssh://") {
        // Azure would make a key pair of its own and show its public half: it too is in Azure alone.
        return Err(auth::needs(
            document,
            &source,
            &source.path("url"),
            "an SSH private key with its known hosts",
        ));
    } else if provider == Some("github") {
        return Err(auth::needs(
            document,
            &source,
            &source.path("provider"),
            "the private key of a GitHub app",
        ));
    } else {
        auth::refuse_secrets(document, &source, &[("httpsUser", "the password or token of that user")])?;
        if let Some(pem) = ca {
            auth::refer(&mut spec, "secretRef", &document.own("auth"));
            secrets.push(auth::secret(document, "auth", auth::ca(pem)));
        }
    }
    Ok(Rendered {
        secrets,
        object: stamp::object(&versions.source(), "GitRepository", document, &document.name, spec),
    })
}

/// The URL as Flux takes it. Azure also takes git's short form `user@host:path`, which Flux does not.
fn address<'a>(source: &Fields<'a>) -> Result<Cow<'a, str>, Reason> {
    let text = source.required("url")?;
    match text.split_once(':') {
        Some((host, path)) if host.contains('@') && !host.contains('/') && !path.starts_with("//") => {
            let plain = |t: &str| !t.contains(|c: char| c.is_whitespace() || c.is_control());
            match path.trim_start_matches('/') {
                rest if !rest.is_empty() && plain(host) && plain(rest) => {
                    Ok(format!("ssh://{host}/{rest}").into())
                }
                _ => Err(bad(&source.path("url"), "a URL or user@host:path")),
            }
        }
        _ => url(source, &["https://", "http://", "ssh://"]).map(Cow::Borrowed),
    }
}

fn reference(source: &Fields) -> Result<Map<String, Value>, Reason> {
    let mut reference = Map::new();
    if let Some(wanted) = source.object("repositoryRef")? {
        for field in ["branch", "tag", "semver", "commit"] {
            if let Some(text) = wanted.text(field)? {
                reference.insert(field.into(), text.into());
            }
        }
    }
    Ok(reference)
}

/// Flux's word; none for `Generic`, so that the field is not asked of a Flux that does not have it yet.
fn provider(source: &Fields, versions: &Versions) -> Result<Option<&'static str>, Reason> {
    let words = [("Generic", None), ("Azure", Some("azure")), ("GitHub", Some("github"))];
    let provider = source.word("provider", &words)?.flatten();
    if provider.is_some() && !versions.source_is_stable() {
        let message = format!("{} needs source.toolkit.fluxcd.io/v1", source.path("provider"));
        return Err(
            Reason::new(code::FLUX_TOO_OLD, message).cure("bring Flux to 2.4 or newer (2.5 for GitHub)")
        );
    }
    Ok(provider)
}
