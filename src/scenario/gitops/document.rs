//! A configuration as a whole: what it is called, where it goes, which source it has.

use super::auth::Access;
use super::versions::Versions;
use super::{bucket, code, git, oci};
use crate::core::Reason;
use crate::core::document::{Key, Kind};
use crate::scenario::fields::{Fields, bad};
use crate::scenario::names;
use crate::scenario::supplies::Supplies;
use serde_json::Value;

/// `sourceKind`: Azure's word. Two of the four are the same kind in Flux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    GitRepository,
    Bucket,
    AzureBlob,
    OciRepository,
}

impl Source {
    /// The kind that Flux has for it.
    pub fn kind(self) -> &'static str {
        match self {
            Source::GitRepository => "GitRepository",
            Source::Bucket | Source::AzureBlob => "Bucket",
            Source::OciRepository => "OCIRepository",
        }
    }
}

/// What a source becomes: itself, and the Secrets that it needs before it.
pub(super) struct Rendered {
    pub secrets: Vec<Value>,
    pub object: Value,
}

/// A document whose head has been read; the source and the kustomizations are read where they are rendered.
pub(super) struct Document {
    /// The configuration's name, in lower case (ARM's names know no case): a DNS label.
    pub name: String,
    /// Where all of its objects go: a DNS label.
    pub namespace: String,
    /// Scope `namespace`: what the configuration may do ends at its namespace.
    pub namespaced: bool,
    /// Nothing is fetched and nothing applied until this is false again.
    pub suspend: bool,
    /// Which source.
    pub source: Source,
    properties: Value,
}

impl Document {
    /// Reads the head. ARM's defaults, as the constructors of Microsoft's SDK have them, stand for absent fields.
    pub fn read(content: &[u8]) -> Result<Document, Reason> {
        let mut whole: Value = serde_json::from_slice(content).map_err(|e| {
            // serde's own text could quote the content; the place cannot.
            let message = format!("the document is not JSON at line {} column {}", e.line(), e.column());
            Reason::new(code::NOT_A_DOCUMENT, message).cure("fetch it again: arclet desired refresh")
        })?;
        let name = Fields::of(&whole, String::new())
            .and_then(|fields| Ok(fields.required("name")?.to_lowercase()))
            .map_err(|r| Reason { code: code::NOT_A_DOCUMENT.into(), ..r })?;
        names::label("name", &name)?;

        let properties = whole.get_mut("properties").map(Value::take).unwrap_or_default();
        let fields = Fields::of(&properties, PROPERTIES.into())
            .map_err(|r| Reason { code: code::NOT_A_DOCUMENT.into(), ..r })?;
        let namespace = fields.text("namespace")?.unwrap_or("default").to_owned();
        names::label("properties.namespace", &namespace)?;
        let namespaced = fields.word("scope", &[("cluster", false), ("namespace", true)])?.unwrap_or(false);
        let suspend = fields.flag("suspend", false)?;
        let source = fields
            .word(
                "sourceKind",
                &[
                    ("GitRepository", Source::GitRepository),
                    ("Bucket", Source::Bucket),
                    ("AzureBlob", Source::AzureBlob),
                    ("OCIRepository", Source::OciRepository),
                ],
            )?
            .ok_or_else(|| fields.missing("sourceKind"))?;
        Ok(Document { name, namespace, namespaced, suspend, source, properties })
    }

    /// Everything beside the head.
    pub fn properties(&self) -> Result<Fields<'_>, Reason> {
        Fields::of(&self.properties, PROPERTIES.into())
    }

    /// The source's object and its Secrets.
    pub fn source(&self, versions: &Versions, supplies: &Supplies) -> Result<Rendered, Reason> {
        match self.source {
            Source::GitRepository => git::render(self, versions, supplies),
            Source::Bucket => bucket::render(self, versions, supplies),
            Source::AzureBlob => bucket::render_azure_blob(self, versions, supplies),
            Source::OciRepository => oci::render(self, versions, supplies),
        }
    }

    /// How the source is let in.
    pub fn access(&self) -> Result<Access<'_>, Reason> {
        match self.source {
            Source::GitRepository => git::access(self),
            Source::Bucket => bucket::access(self),
            Source::AzureBlob => bucket::azure_blob_access(self),
            Source::OciRepository => oci::access(self),
        }
    }

    /// The part of the document that describes the source.
    pub fn section(&self, name: &str) -> Result<Fields<'_>, Reason> {
        let properties = self.properties()?;
        properties.object(name)?.ok_or_else(|| properties.missing(name))
    }

    /// `flux/cluster-config`.
    pub fn key(&self) -> Key {
        Key::new(Kind::Flux, &self.name)
    }

    /// The name of an object that only this configuration has: `cluster-config-auth`.
    pub fn own(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    /// What a kustomization's object is called: as Azure's own agents call it.
    pub fn kustomization(&self, name: &str, path: &str) -> Result<String, Reason> {
        names::label(path, name)?;
        let full = self.own(name);
        names::label(path, &full)?;
        Ok(full)
    }
}

/// A text that starts with one of these, or the complaint without the text itself: URLs may hold passwords.
pub(super) fn url<'a>(fields: &Fields<'a>, schemes: &[&str]) -> Result<&'a str, Reason> {
    let url = fields.required("url")?;
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    match rest.filter(|r| !r.is_empty() && !r.contains(|c: char| c.is_whitespace() || c.is_control())) {
        Some(_) => Ok(url),
        None => Err(bad(&fields.path("url"), &format!("a URL that begins with {}", schemes.join(" or ")))),
    }
}

const PROPERTIES: &str = "properties";
