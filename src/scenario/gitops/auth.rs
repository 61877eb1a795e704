//! What a source shows to be let in.
//!
//! ARM takes secrets and does not give them back. So there are three ways: what is no secret (a CA, a user's name, the
//! client id of a managed identity) is in the document and becomes part of a Secret here, because Flux reads it from one;
//! what is one comes from the Key Vault by its name; or the operator's own Secret is named by `localAuthRef`. Else there
//! is a reason that says what is missing. Never a guess: Flux without the secret would fail with a message about the wrong
//! thing, or read something else anonymously.
//!
//! Each source says what its Secrets are made of ([`Access`]), once for two readers: who fetches, and who renders.

use super::code;
use super::document::Document;
use crate::core::Reason;
use crate::core::document::SECRET_NOT_FETCHED;
use crate::scenario::fields::Fields;
use crate::scenario::names;
use crate::scenario::supplies::{Naming, SecretWanted, Supplies};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;

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

/// Whether the document's protected settings have one of this name. Their values never come, their names may.
pub(super) fn is_protected(document: &Document, field: &str) -> Result<bool, Reason> {
    let protected = document.properties()?.texts(PROTECTED)?;
    Ok(protected.iter().any(|(name, _)| *name == field))
}

/// The path of a protected setting.
pub(super) fn protected(field: &str) -> String {
    format!("properties.{PROTECTED}.{field}")
}

/// How a value has to look in the vault, and what becomes of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One line; the line break that files end in is cut off.
    Line,
    /// PEM, as it is.
    Pem,
    /// PEM, or PKCS#12 in base64, as a vault keeps certificates.
    Certificate,
    /// The file that `docker login` writes.
    DockerConfig,
}

/// A secret that the document asks for.
pub(super) struct Ask {
    /// ARM's name of it, or where ARM has none the key that Flux reads.
    pub field: &'static str,
    /// What it is, in a sentence.
    pub what: &'static str,
    /// How it has to look.
    pub form: Form,
    /// The field of the document that asks for it.
    pub at: String,
    /// Nothing in the document says for certain that there is one.
    pub optional: bool,
}

enum Origin<'a> {
    /// In base64, as a Secret has its values.
    Document(Cow<'a, str>),
    Vault(Ask),
}

/// A Secret that a source reads, as it will be.
pub(super) struct Plan<'a> {
    /// The field of the source that refers to it.
    reference: &'static str,
    /// `{config}-{suffix}`.
    suffix: &'static str,
    kind: Option<&'static str>,
    parts: Vec<(&'static [&'static str], Origin<'a>)>,
    /// What else the document has to say.
    lacks: Option<Reason>,
    /// Of the fields that are optional by themselves: what is wanted is at least one of these.
    one_of: &'static [&'static str],
    /// None of these without the others.
    together: &'static [&'static str],
}

impl<'a> Plan<'a> {
    /// A Secret without anything in it so far.
    pub fn new(reference: &'static str, suffix: &'static str) -> Plan<'a> {
        Plan { reference, suffix, kind: None, parts: Vec::new(), lacks: None, one_of: &[], together: &[] }
    }

    /// With a type other than Opaque.
    pub fn kind(mut self, kind: &'static str) -> Plan<'a> {
        self.kind = Some(kind);
        self
    }

    /// With a value that is in the document as base64, under these keys.
    pub fn base64(mut self, keys: &'static [&'static str], value: Option<&'a str>) -> Plan<'a> {
        self.parts.extend(value.map(|value| (keys, Origin::Document(value.into()))));
        self
    }

    /// With a text of the document.
    pub fn text(mut self, key: &'static [&'static str], value: Option<&str>) -> Plan<'a> {
        let encode = |value| (key, Origin::Document(BASE64_STANDARD.encode(value).into()));
        self.parts.extend(value.map(encode));
        self
    }

    /// With a secret.
    pub fn secret(mut self, keys: &'static [&'static str], ask: Ask) -> Plan<'a> {
        self.parts.push((keys, Origin::Vault(ask)));
        self
    }

    /// If this is missing in the document, that is the reason.
    pub fn lacks(mut self, lacks: Option<Reason>) -> Plan<'a> {
        self.lacks = self.lacks.or(lacks);
        self
    }

    /// At least one of these fields.
    pub fn one_of(mut self, fields: &'static [&'static str]) -> Plan<'a> {
        self.one_of = fields;
        self
    }

    /// All of these fields or none.
    pub fn together(mut self, fields: &'static [&'static str]) -> Plan<'a> {
        self.together = fields;
        self
    }

    fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.parts.iter().filter_map(|(_, origin)| match origin {
            Origin::Vault(ask) => Some(ask),
            Origin::Document(_) => None,
        })
    }

    /// The Secret; `None` if nothing would be in it.
    fn render(
        &self,
        document: &Document,
        source: &Fields,
        supplies: &Supplies,
    ) -> Result<Option<Value>, Reason> {
        let needed = |ask: &&Ask| !ask.optional || self.one_of.contains(&ask.field);
        if let (None, Some(ask)) = (&supplies.naming, self.asks().find(needed)) {
            return Err(needs(document, source, ask));
        }
        if let Some(reason) = &self.lacks {
            return Err(reason.clone());
        }
        let found = |ask: &Ask| {
            let name = supplies.naming.as_ref()?.secret(&document.key(), ask.field);
            supplies.secrets.get_key_value(&name)
        };
        let has = |field: &&&str| self.asks().any(|ask| ask.field == **field && found(ask).is_some());
        let lost = self.asks().find(|ask| match ask.optional {
            false => found(ask).is_none(),
            true => self.one_of.contains(&ask.field) && !self.one_of.iter().any(|f| has(&f)),
        });
        let torn = self.asks().find(|ask| {
            self.together.contains(&ask.field)
                && found(ask).is_none()
                && self.together.iter().any(|f| has(&f))
        });
        if let (Some(ask), Some(naming)) = (lost.or(torn), &supplies.naming) {
            return Err(not_fetched(document, naming, ask));
        }
        let mut data = Map::new();
        for (keys, origin) in &self.parts {
            let value = match origin {
                Origin::Document(value) => value.clone().into_owned(),
                Origin::Vault(ask) => match found(ask) {
                    Some((name, value)) => encoded(name, value, ask.form)?,
                    None => continue,
                },
            };
            data.extend(keys.iter().map(|key| ((*key).to_owned(), Value::from(value.clone()))));
            drop(zeroize::Zeroizing::new(value));
        }
        Ok((!data.is_empty()).then(|| secret(document, self.suffix, self.kind, data)))
    }
}

/// How a source is let in.
#[derive(Default)]
pub(super) struct Access<'a> {
    /// The operator's own Secret.
    pub local: Option<&'a str>,
    /// Those that are made here.
    pub plans: Vec<Plan<'a>>,
}

impl<'a> Access<'a> {
    /// By the operator's own Secret, if one is named, else by these.
    pub fn new(
        local: Option<&'a str>,
        plan: impl FnOnce() -> Result<Plan<'a>, Reason>,
    ) -> Result<Access<'a>, Reason> {
        let plans = if local.is_some() { Vec::new() } else { vec![plan()?] };
        Ok(Access { local, plans })
    }

    /// The secrets that are in the vault, by their names there.
    pub fn wanted(&self, document: &Document, naming: &Naming) -> Vec<SecretWanted> {
        let asks = self.plans.iter().flat_map(Plan::asks);
        asks.map(|ask| SecretWanted {
            field: ask.field,
            vault_name: naming.secret(&document.key(), ask.field),
            optional: ask.optional,
        })
        .collect()
    }

    /// The Secrets, referred to in the source's `spec`.
    pub fn render(
        &self,
        document: &Document,
        source: &Fields,
        supplies: &Supplies,
        spec: &mut Map<String, Value>,
    ) -> Result<Vec<Value>, Reason> {
        if let Some(name) = self.local {
            refer(spec, "secretRef", name);
        }
        let mut secrets = Vec::new();
        for plan in &self.plans {
            if let Some(secret) = plan.render(document, source, supplies)? {
                refer(spec, plan.reference, &document.own(plan.suffix));
                secrets.push(secret);
            }
        }
        Ok(secrets)
    }
}

/// The reason for a secret that is nowhere to be had.
fn needs(document: &Document, source: &Fields, ask: &Ask) -> Reason {
    let Ask { field, what, at, .. } = ask;
    let message = format!("{at} asks for {what}, and ARM does not give secrets back");
    let name = Naming { prefix: String::new() }.secret(&document.key(), field);
    let cure = format!(
        "name a vault in [desired] key-vault of arclet.toml and put it there as {name}, or put it into a Secret in the \
         namespace {}, in the form that Flux reads, and name that in {}",
        document.namespace,
        source.path("localAuthRef")
    );
    Reason::new(code::SECRET_NEEDS_KEY_VAULT, message).cure(cure)
}

/// The reason for a secret that the cache does not have. Why the vault does not give it is told elsewhere.
fn not_fetched(document: &Document, naming: &Naming, ask: &Ask) -> Reason {
    let name = naming.secret(&document.key(), ask.field);
    let message = format!("{} asks for {}: the vault's secret {name} was not fetched yet", ask.at, ask.what);
    Reason::new(SECRET_NOT_FETCHED, message).cure(format!("set {name} in the vault, if it is not there"))
}

/// A value of the vault in base64. No complaint has anything of it in its text.
fn encoded(name: &str, value: &str, form: Form) -> Result<String, Reason> {
    let is = match form {
        Form::Line => return Ok(BASE64_STANDARD.encode(value.trim_end_matches(['\n', '\r']))),
        Form::Pem if value.contains(PEM) => return Ok(BASE64_STANDARD.encode(value)),
        Form::Certificate if value.contains(PEM) => return Ok(BASE64_STANDARD.encode(value)),
        Form::Certificate if BASE64_STANDARD.decode(value.trim()).is_ok() => {
            return Ok(value.trim().to_owned());
        }
        Form::DockerConfig if is_docker_config(value) => return Ok(BASE64_STANDARD.encode(value)),
        Form::Pem => "PEM (-----BEGIN …)",
        Form::Certificate => "PEM (-----BEGIN …) or PKCS#12 in base64",
        Form::DockerConfig => "a docker config.json with \"auths\"",
    };
    let message = format!("the vault's secret {name} is not {is}");
    Err(Reason::new(code::BAD_VALUE, message).cure(
        "set it as it is in its file: ARM's protected settings are base64, the vault's secrets are not",
    ))
}

fn is_docker_config(value: &str) -> bool {
    let config: Option<BTreeMap<Cow<'_, str>, IgnoredAny>> = serde_json::from_str(value).ok();
    config.is_some_and(|config| config.contains_key("auths"))
}

/// A Secret of the configuration's own; the values are base64 already.
fn secret(document: &Document, suffix: &str, kind: Option<&str>, data: Map<String, Value>) -> Value {
    let mut secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": document.own(suffix), "namespace": document.namespace},
        "data": data,
    });
    if let Some(kind) = kind {
        secret["type"] = kind.into();
    }
    secret
}

/// A Secret of public keys.
pub(super) fn public(document: &Document, suffix: &str, keys: Vec<(&str, &str)>) -> Value {
    secret(
        document,
        suffix,
        None,
        keys.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect(),
    )
}

/// Sets a reference to a Secret, `secretRef` or `certSecretRef`.
pub(super) fn refer(spec: &mut Map<String, Value>, field: &str, name: &str) {
    spec.insert(field.into(), json!({"name": name}));
}

/// A field that has to be there for a Secret to be of use.
pub(super) fn missing(source: &Fields, field: &str) -> Option<Reason> {
    (!source.holds_something(field)).then(|| source.missing(field))
}

/// The CA under both names: `ca.crt` came with Flux 2.1, `caFile` is what those before it read.
pub(super) const CA: [&str; 2] = ["ca.crt", "caFile"];
const PROTECTED: &str = "configurationProtectedSettings";
const PEM: &str = "-----BEGIN ";
