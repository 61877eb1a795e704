//! `gitRepository` → GitRepository.

use super::auth::{self, Access, Ask, Form, Plan};
use super::code;
use super::document::{Document, Rendered, url};
use super::stamp;
use super::versions::{Versions, duration, timeout};
use crate::core::Reason;
use crate::scenario::fields::{Fields, bad};
use crate::scenario::supplies::Supplies;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

pub(super) fn render(
    document: &Document,
    versions: &Versions,
    supplies: &Supplies,
) -> Result<Rendered, Reason> {
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
    if let Some(provider) = provider(&source)? {
        if !versions.source_is_stable() {
            let message = format!("{} needs source.toolkit.fluxcd.io/v1", source.path("provider"));
            return Err(
                Reason::new(code::FLUX_TOO_OLD, message).cure("bring Flux to 2.4 or newer (2.5 for GitHub)")
            );
        }
        spec.insert("provider".into(), provider.into());
    }
    let secrets = access(document)?.render(document, &source, supplies, &mut spec)?;
    Ok(Rendered {
        secrets,
        object: stamp::object(&versions.source(), "GitRepository", document, &document.name, spec),
    })
}

/// How this source is let in.
pub(super) fn access(document: &Document) -> Result<Access<'_>, Reason> {
    let source = document.section("gitRepository")?;
    let ca = source.base64("httpsCACert")?;
    let known_hosts = source.base64("sshKnownHosts")?;
    let user = source.text("httpsUser")?;
    let ask = |field, what, form, at| Ask { field, what, form, at, optional: false };
    let local = auth::local(&source, &["httpsUser", "httpsCACert", "sshKnownHosts"])?;
    Access::new(local, || {
        let plan = Plan::new("secretRef", "auth");
        if address(&source)?.starts_with("ssh://") {
            // Without a key of the operator's, Azure would make a pair of its own and show its public half: it too is in
            // Azure alone.
            let key = ask("sshPrivateKey", "an SSH private key", Form::Pem, source.path("url"));
            let unknown = known_hosts.is_none().then(|| {
                let at = source.path("sshKnownHosts");
                Reason::new(code::MISSING_FIELD, format!("{at} is missing: Flux reads nothing over SSH from a host that it does not know"))
                    .cure(format!("set {at} to what ssh-keyscan says of the host, in base64, after a look whether it is true"))
            });
            return Ok(plan.secret(&["identity"], key).base64(&["known_hosts"], known_hosts).lacks(unknown));
        }
        let plan = plan.base64(&auth::CA, ca);
        let at = source.path("provider");
        Ok(match (provider(&source)?, user) {
            (Some("github"), _) => plan
                .secret(
                    &["githubAppID"],
                    ask("githubAppID", "the id of a GitHub app", Form::Line, at.clone()),
                )
                .secret(
                    &["githubAppInstallationID"],
                    ask(
                        "githubAppInstallationID",
                        "the id of a GitHub app's installation",
                        Form::Line,
                        at.clone(),
                    ),
                )
                .secret(
                    &["githubAppPrivateKey"],
                    ask("githubAppPrivateKey", "the private key of a GitHub app", Form::Pem, at),
                ),
            (_, Some(name)) => {
                let what = "the password or token of that user";
                let key = ask(HTTPS_KEY, what, Form::Line, source.path("httpsUser"));
                plan.text(&["username"], Some(name)).secret(&["password"], key)
            }
            (_, None) if auth::is_protected(document, HTTPS_KEY)? => {
                let key = ask(HTTPS_KEY, "a bearer token", Form::Line, auth::protected(HTTPS_KEY));
                plan.secret(&["bearerToken"], key)
            }
            _ => plan,
        })
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
fn provider(source: &Fields) -> Result<Option<&'static str>, Reason> {
    let words = [("Generic", None), ("Azure", Some("azure")), ("GitHub", Some("github"))];
    Ok(source.word("provider", &words)?.flatten())
}

const HTTPS_KEY: &str = "httpsKey";
