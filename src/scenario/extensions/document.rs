//! What an extension of Azure says: type, train, version, how it may be upgraded, where it goes, its open settings.

use super::code;
use crate::core::Reason;
use crate::core::document::{Key, Kind};
use crate::scenario::fields::{Fields, bad};
use crate::scenario::names;
use serde_json::Value;

/// Which newer versions are taken by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None: what is installed stays.
    None,
    /// Those that differ in the last number.
    Patch,
    /// Those of the same major version.
    Compatible,
}

/// An extension, read.
#[derive(Clone, Debug)]
pub struct Extension {
    /// Its name, in lower case: that of the HelmChart and of the release.
    pub name: String,
    /// ARM's id, in lower case.
    pub id: String,
    /// `microsoft.flux`, in lower case.
    pub extension_type: String,
    /// `stable`, in lower case.
    pub train: String,
    /// The version that is asked for by its number.
    pub version: Option<String>,
    /// What holds without one.
    pub upgrade: Upgrade,
    /// The namespace of the release, if the document names one.
    pub target: Option<String>,
    /// The open settings, as they came.
    pub settings: Vec<(String, String)>,
}

impl Extension {
    /// Reads a stored document.
    pub fn read(content: &[u8]) -> Result<Extension, Reason> {
        let whole: Value = serde_json::from_slice(content).map_err(|e| {
            let message = format!("the document is not JSON at line {} column {}", e.line(), e.column());
            Reason::new(code::NOT_A_DOCUMENT, message).cure("fetch it again: arclet desired refresh")
        })?;
        let no_document = |reason: Reason| Reason { code: code::NOT_A_DOCUMENT.into(), ..reason };
        let outer = Fields::of(&whole, String::new()).map_err(no_document)?;
        let name = outer.required("name").map_err(no_document)?.to_lowercase();
        let id = outer.text("id")?.unwrap_or_default().to_lowercase();
        // helm-controller's Job is called helm-install-NAME, in 63 characters; helm itself takes 53.
        names::label("name", &name)?;
        if name.len() > LONGEST_NAME {
            let message = format!(
                "the name has {} characters; a release of Helm's has at most {LONGEST_NAME} here",
                name.len()
            );
            return Err(Reason::new(code::BAD_NAME, message).cure("make the extension under a shorter name"));
        }
        let fields = outer.object("properties")?.ok_or_else(|| no_document(outer.missing("properties")))?;
        let extension_type = fields.required("extensionType")?.to_lowercase();
        let train = fields.text("releaseTrain")?.unwrap_or("stable").to_lowercase();
        let version = fields.text("version")?.map(str::to_owned);
        let mode = fields.word(
            "autoUpgradeMode",
            &[("none", Upgrade::None), ("patch", Upgrade::Patch), ("compatible", Upgrade::Compatible)],
        )?;
        let upgrade = match (mode, fields.flag("autoUpgradeMinorVersion", true)?) {
            (Some(mode), _) => mode,
            (None, true) => Upgrade::Compatible,
            (None, false) => Upgrade::None,
        };
        let settings = fields.texts("configurationSettings")?;
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Ok(Extension {
            name,
            id,
            extension_type,
            train,
            version,
            upgrade,
            target: target(&fields)?,
            settings,
        })
    }

    /// `extension/mon`.
    pub fn key(&self) -> Key {
        Key::new(Kind::Extension, &self.name)
    }
}

/// `scope`: one of two objects, each with its namespace.
fn target(fields: &Fields<'_>) -> Result<Option<String>, Reason> {
    let Some(scope) = fields.object("scope")? else { return Ok(None) };
    let (cluster, namespace) = (scope.object("cluster")?, scope.object("namespace")?);
    let named = match (&cluster, &namespace) {
        (Some(_), Some(_)) => return Err(bad(scope.place(), "either for the cluster or for a namespace")),
        (Some(cluster), None) => {
            cluster.text("releaseNamespace")?.map(|name| (cluster.path("releaseNamespace"), name))
        }
        (None, Some(inner)) => Some((inner.path("targetNamespace"), inner.required("targetNamespace")?)),
        (None, None) => None,
    };
    let Some((path, name)) = named else { return Ok(None) };
    // ARM fills it in with the extension's name as that was written, and its names know no case.
    let name = name.to_lowercase();
    names::label(&path, &name)?;
    Ok(Some(name))
}

/// Characters of a name: 63 less those of `helm-install-`.
const LONGEST_NAME: usize = 50;
