//! `bucket` and `azureBlob` → Bucket, with provider `generic` (anything that speaks S3) and `azure`.

use super::auth::{self, Access, Ask, Form, Plan};
use super::document::{Document, Rendered, url};
use super::stamp;
use super::versions::{Versions, duration, timeout};
use crate::core::Reason;
use crate::scenario::fields::{Fields, bad};
use crate::scenario::supplies::Supplies;
use serde_json::{Map, Value, json};

pub(super) fn render(
    document: &Document,
    versions: &Versions,
    supplies: &Supplies,
) -> Result<Rendered, Reason> {
    let source = document.section("bucket")?;
    let mut spec = common(document, &source, "bucketName")?;
    let (endpoint, insecure) = endpoint(&source)?;
    spec.insert("provider".into(), "generic".into());
    spec.insert("endpoint".into(), endpoint.into());
    spec.insert("insecure".into(), insecure.into());
    let secrets = access(document)?.render(document, &source, supplies, &mut spec)?;
    Ok(rendered(document, versions, spec, secrets))
}

/// How a bucket is let into.
pub(super) fn access(document: &Document) -> Result<Access<'_>, Reason> {
    let source = document.section("bucket")?;
    let key = source.text("accessKey")?;
    Access::new(auth::local(&source, &["accessKey"])?, || {
        let plan = Plan::new("secretRef", "auth");
        if key.is_none() && !auth::is_protected(document, "bucketSecretKey")? {
            return Ok(plan);
        }
        let ask = Ask {
            field: "bucketSecretKey",
            what: "the secret key of that access key",
            form: Form::Line,
            at: source.path("accessKey"),
            optional: false,
        };
        let lacks = auth::missing(&source, "accessKey");
        Ok(plan.text(&["accesskey"], key).secret(&["secretkey"], ask).lacks(lacks))
    })
}

pub(super) fn render_azure_blob(
    document: &Document,
    versions: &Versions,
    supplies: &Supplies,
) -> Result<Rendered, Reason> {
    let source = document.section("azureBlob")?;
    let mut spec = common(document, &source, "containerName")?;
    spec.insert("provider".into(), "azure".into());
    spec.insert("endpoint".into(), url(&source, &["https://", "http://"])?.into());
    let secrets = azure_blob_access(document)?.render(document, &source, supplies, &mut spec)?;
    Ok(rendered(document, versions, spec, secrets))
}

/// How a container is let into. What ARM shows of a secret tells which one it is, where it shows anything; else the vault
/// is asked for each that there may be.
pub(super) fn azure_blob_access(document: &Document) -> Result<Access<'_>, Reason> {
    let source = document.section("azureBlob")?;
    let identity = source.object("managedIdentity")?;
    let client = identity.as_ref().map(|i| i.text("clientId")).transpose()?.flatten();
    let others = ["servicePrincipal", "accountKey", "sasToken", "managedIdentity"];
    let shown = |field: &str| source.holds_something(field);
    Access::new(auth::local(&source, &others)?, || {
        let plan = Plan::new("secretRef", "auth");
        let account = |optional| Ask {
            field: "accountKey",
            what: "the account key",
            form: Form::Line,
            at: source.path("accountKey"),
            optional,
        };
        let sas = |optional| Ask {
            field: "sasToken",
            what: "the shared access signature",
            form: Form::Line,
            at: source.path("sasToken"),
            optional,
        };
        Ok(match source.object("servicePrincipal")? {
            Some(principal) if shown("servicePrincipal") => service_principal(plan, &principal)?,
            _ if shown("accountKey") => plan.secret(&["accountKey"], account(false)),
            _ if shown("sasToken") => plan.secret(&["sasKey"], sas(false)),
            _ if client.is_some() => plan.text(&["clientId"], client),
            _ if identity.is_some() => plan,
            _ => plan.secret(&["accountKey"], account(true)).secret(&["sasKey"], sas(true)),
        })
    })
}

/// A service principal with a secret, or with a certificate that may have a password.
fn service_principal<'a>(plan: Plan<'a>, principal: &Fields<'a>) -> Result<Plan<'a>, Reason> {
    let chain = principal.flag("clientCertificateSendChain", false)?;
    let password = principal.holds_something("clientCertificatePassword");
    let certificate = principal.holds_something("clientCertificate") || password || chain;
    let secret = principal.holds_something("clientSecret");
    let ask = |field, what, form, shown: bool, optional| Ask {
        field,
        what,
        form,
        at: if shown { principal.path(field) } else { principal.place().to_owned() },
        optional,
    };
    let mut plan = plan
        .lacks(auth::missing(principal, "tenantId").or_else(|| auth::missing(principal, "clientId")))
        .text(&["tenantId"], principal.text("tenantId")?)
        .text(&["clientId"], principal.text("clientId")?);
    if !certificate {
        let what = "the secret or certificate of a service principal";
        plan = plan.secret(&["clientSecret"], ask("clientSecret", what, Form::Line, secret, !secret));
    }
    if !secret {
        let what = "the certificate of a service principal, with its private key";
        let ask_certificate = ask("clientCertificate", what, Form::Certificate, certificate, !certificate);
        let what = "the password of that certificate";
        plan = plan
            .secret(&["clientCertificate"], ask_certificate)
            .secret(
                &["clientCertificatePassword"],
                ask("clientCertificatePassword", what, Form::Line, password, !password),
            )
            .text(&["clientCertificateSendChain"], chain.then_some("true"));
    }
    Ok(match certificate || secret {
        true => plan,
        false => plan.one_of(&["clientSecret", "clientCertificate"]),
    })
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
