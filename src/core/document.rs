//! What the desired state is made of: documents, their names, and what a look at either side says of them.
//!
//! A document is one resource of Azure that says how the cluster is to be (a fluxConfiguration). Only its name and its
//! digest pass through the core; its content goes from the source into the store's cache and from there to the cluster.

use super::{Endpoint, Reason, Scope};
use serde::{Deserialize, Serialize};

/// What sort of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// `Microsoft.KubernetesConfiguration/fluxConfigurations`.
    Flux = 0,
    /// `Microsoft.KubernetesConfiguration/extensions`.
    Extension = 1,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Kind; 2] = [Kind::Flux, Kind::Extension];

    /// The kind's name in the store, in labels and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Flux => "flux",
            Kind::Extension => "extension",
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    /// With one more.
    #[must_use]
    pub const fn and(self, kind: Kind) -> Kinds {
        Kinds(self.0 | 1 << kind as u8)
    }

    /// Whether it is among them.
    pub const fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// All there are.
    pub fn all() -> Kinds {
        Kind::ALL.into_iter().fold(Kinds::default(), Kinds::and)
    }
}

/// Names a document. ARM compares names without regard to case, so `name` is in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// What sort.
    pub kind: Kind,
    /// The resource's own name, in lower case.
    pub name: String,
}

impl Key {
    /// The key of a name as Azure writes it.
    pub fn new(kind: Kind, name: &str) -> Key {
        Key { kind, name: name.to_lowercase() }
    }

    /// The key that [`Key`]'s text names.
    pub fn parse(text: &str) -> Option<Key> {
        let (kind, name) = text.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|k| k.name() == kind)?;
        (!name.is_empty()).then(|| Key::new(kind, name))
    }
}

impl std::fmt::Display for Key {
    /// `flux/cluster-config`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// SHA-256 of what a document wants, in canonical form and without what only Azure may write: the change of a status is no
/// change. (These resources have no ETag.)
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Of a document whose content is not known any more.
    pub const UNKNOWN: Digest = Digest([0; 32]);

    /// As it is shown: 64 hexadecimal digits, or nothing where the content is not known.
    pub fn shown(self) -> Option<String> {
        (self != Digest::UNKNOWN).then(|| self.to_string())
    }

    /// Of a document's canonical content.
    pub fn of(content: &[u8]) -> Digest {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, content).as_ref());
        Digest(bytes)
    }
}

impl Digest {
    /// Reads `sha256:` and 64 hexadecimal digits, as registries write it.
    pub fn parse(text: &str) -> Option<Digest> {
        let lower = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let hex = text.strip_prefix("sha256:").filter(|hex| hex.len() == 64 && hex.bytes().all(lower))?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Digest(bytes))
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What a document may need beside itself: fetched from elsewhere and kept in the store's cache before it is used, so that
/// nothing that the cluster is to have waits for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Supply {
    /// Secrets, from the Key Vault.
    Secrets = 0,
    /// The chart of an extension, from a registry.
    Chart = 1,
    /// Which versions of an extension's type there are, from ARM.
    Versions = 2,
}

impl Supply {
    /// All supplies, in the order of their numbers.
    pub const ALL: [Supply; 3] = [Supply::Secrets, Supply::Chart, Supply::Versions];

    /// The supply's name in the store and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Supply::Secrets => "secrets",
            Supply::Chart => "chart",
            Supply::Versions => "versions",
        }
    }

    /// Who has it.
    pub const fn endpoint(self) -> Endpoint {
        match self {
            Supply::Secrets => Endpoint::Vault,
            Supply::Chart => Endpoint::Registry,
            Supply::Versions => Endpoint::Arm,
        }
    }

    /// The token that asking for it takes.
    pub const fn scope(self) -> Option<Scope> {
        match self {
            Supply::Secrets => Some(Scope::Vault),
            Supply::Chart => None,
            Supply::Versions => Some(Scope::Arm),
        }
    }
}

/// A set of supplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs(u8);

impl Needs {
    /// Nothing.
    pub const NONE: Needs = Needs(0);

    /// With one more.
    #[must_use]
    pub const fn and(self, supply: Supply) -> Needs {
        Needs(self.0 | 1 << supply as u8)
    }

    /// Whether it is among them.
    pub const fn has(self, supply: Supply) -> bool {
        self.0 & 1 << supply as u8 != 0
    }
}

/// What came of fetching a supply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supplied {
    /// Whoever has it was asked: the cache alone did not answer.
    pub asked: bool,
    /// The cache has something else now than before.
    pub changed: bool,
    /// Why it, or a part of it, cannot be had for this document, while others can: a secret that is missing or has expired,
    /// a chart that is not the one that was promised. What the cache had stays.
    pub trouble: Option<Reason>,
}

/// Codes of [`Enforced::Failed`] that say: a supply is not in the cache yet. It is under way; nothing is wrong so far.
pub const WAITS_FOR_SUPPLY: [&str; 2] = [SECRET_NOT_FETCHED, CHART_NOT_FETCHED];
/// A secret that the vault is to give.
pub const SECRET_NOT_FETCHED: &str = "SecretNotFetched";
/// A chart that a registry is to give.
pub const CHART_NOT_FETCHED: &str = "ChartNotFetched";

/// One document in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which.
    pub key: Key,
    /// What it wants.
    pub digest: Digest,
    /// Azure is deleting it (`provisioningState` is `Deleting`).
    pub leaving: bool,
    /// Its content is in the store's cache durably, under this digest, and needs these; or why not (the older content is
    /// still there).
    pub stored: Result<Needs, Reason>,
}

/// The resource that the documents belong to: the connected cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Parent {
    /// It is there.
    There {
        /// `systemData.createdAt` as ARM writes it: a cluster that was deleted and made again is another one.
        created_at: String,
    },
    /// ARM itself says that it is not there.
    Gone,
}

/// A complete listing: every page was read to its end, in ARM's form. Anything less is no listing but a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Each document once, sorted by key.
    pub heads: Vec<Head>,
    /// The cluster's own resource, when it was asked for.
    pub parent: Option<Parent>,
}

/// What a look at one document that is missing in listings says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// Its own GET said 404 in ARM's form.
    pub gone: bool,
    /// And the cluster's own resource.
    pub parent: Parent,
}

/// What came of enforcing a document in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Enforced {
    /// Every object is in the cluster as it is wanted.
    Applied {
        /// Of which content.
        digest: Digest,
        /// What the cluster makes of it.
        picture: Picture,
    },
    /// This document cannot be enforced, others can: what it says is not understood, or the cluster refuses an object.
    Failed(Reason),
}

/// The code of [`Enforced::Failed`] when the cache has lost the document: it is to be fetched again.
pub const NOT_CACHED: &str = "NotCached";

/// What came of taking a document out of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// Nothing that arclet made for it is left.
    Gone,
    /// Deletion is under way; with the object that is still there and what it waits for.
    Waiting(Reason),
    /// The cluster refuses.
    Failed(Reason),
}

/// How a document fares in the cluster, in ARM's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Picture {
    /// See there.
    pub compliance: Compliance,
    /// `main@sha1:…`: the revision that the source has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_revision: Option<String>,
    /// One per object.
    pub statuses: Vec<ObjectStatus>,
}

/// `complianceState` of ARM's fluxConfigurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compliance {
    /// Every object is ready.
    Compliant,
    /// An object says that it is not.
    #[serde(rename = "Non-Compliant")]
    NonCompliant,
    /// Not known yet.
    Pending,
    /// The document says suspend.
    Suspended,
    /// Nobody in the cluster looks after it.
    Unknown,
}

/// One object of a document, as the cluster shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    /// `Kustomization`.
    pub kind: String,
    /// Its namespace; empty if it has none.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its own compliance.
    pub compliance: Compliance,
    /// Reason and message of its condition `Ready`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Reason>,
    /// The Kustomization that made it, if arclet did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_by: Option<NamedObject>,
    /// Of a HelmRelease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_release_properties: Option<HelmRelease>,
}

/// An object by its name, as ARM writes it (`ObjectReferenceDefinition`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NamedObject {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// What is told of a HelmRelease, as ARM writes it (`HelmReleasePropertiesDefinition`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmRelease {
    /// Failures of all sorts since the last success.
    pub failure_count: u64,
    /// The chart that it installs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_chart_ref: Option<NamedObject>,
    /// Failed installations.
    pub install_failure_count: u64,
    /// The number of Helm's last release of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_revision_applied: Option<u64>,
    /// Failed upgrades.
    pub upgrade_failure_count: u64,
}

/// An object that arclet made for a document, as it is remembered to be recognised again and to be removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `source.toolkit.fluxcd.io/v1`.
    pub api_version: String,
    /// `GitRepository`.
    pub kind: String,
    /// `None` for what has no namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The UID that the API server gave it. `None`: to be made; a crash may have come between making and noting.
    pub uid: Option<String>,
}

/// Group → versions that the API server serves, the preferred one first.
pub type Served = std::collections::BTreeMap<String, Vec<String>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_back_from_its_text_and_knows_no_case() {
        let key = Key::new(Kind::Flux, "Cluster-Config");
        assert_eq!(key.to_string(), "flux/cluster-config");
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        let key = Key::new(Kind::Extension, "a/b");
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        assert_eq!(Key::parse("flux/"), None);
        assert_eq!(Key::parse("floppy/a"), None);
    }

    #[test]
    fn a_set_of_needs_has_what_was_put_into_it_and_nothing_else() {
        let needs = Needs::default().and(Supply::Chart).and(Supply::Versions);
        assert_eq!(Supply::ALL.map(|supply| needs.has(supply)), [false, true, true]);
    }
}
