//! A chart as the cache keeps it: what it is beside its bytes.

use super::catalogue::Entry;
use super::document::Extension;
use crate::core::document::Digest;
use crate::scenario::semver::Version;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Bytes of a packed chart. helm-controller puts it, in base64, into a ConfigMap, whose data has at most 1 MiB
/// (k8s.io/kubernetes, `ValidateConfigMap`).
pub const MOST_CHART: usize = 768 << 10;

/// A chart that was fetched and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chart<'a> {
    /// Of the extension.
    pub extension_type: &'a str,
    /// Its release train.
    pub train: &'a str,
    /// As the catalogue writes it.
    pub version: &'a str,
    /// Where it came from.
    pub location: &'a str,
    /// The catalogue's.
    pub release_namespace: Option<&'a str>,
    /// The packed chart.
    pub bytes: &'a [u8],
    /// What the extension said when this chart was what it wanted; `None`: nobody kept that.
    pub run: Option<Run<'a>>,
}

/// What a chart runs with: until another chart is there, what is said for that one is not for this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run<'a> {
    /// The open settings.
    #[serde(borrow)]
    pub settings: Vec<(&'a str, &'a str)>,
    /// The namespace of the release, if the document named one.
    pub target: Option<&'a str>,
}

impl<'a> Run<'a> {
    /// What an extension says.
    pub fn of(extension: &'a Extension) -> Run<'a> {
        let settings = extension.settings.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        Run { settings: settings.collect(), target: extension.target.as_deref() }
    }
}

impl<'a> Chart<'a> {
    /// A chart of the catalogue with its bytes, for this extension.
    pub fn new(entry: &'a Entry, bytes: &'a [u8], extension: &'a Extension) -> Chart<'a> {
        Chart {
            extension_type: &entry.extension_type,
            train: &entry.train,
            version: entry.version.as_str(),
            location: &entry.location,
            release_namespace: entry.release_namespace.as_deref(),
            bytes,
            run: Some(Run::of(extension)),
        }
    }

    /// What the cache kept; `None`: it is not understood, and is fetched again.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Chart<'a>> {
        let (form, rest) = bytes.split_first()?;
        let (stored, rest): (Stored<'a>, _) = postcard::take_from_bytes(rest).ok()?;
        let run = match *form {
            FORM => Some(postcard::from_bytes(rest).ok()?),
            WITHOUT_RUN if rest.is_empty() => None,
            _ => return None,
        };
        let (extension_type, train, version, location, release_namespace, bytes) = stored;
        Some(Chart { extension_type, train, version, location, release_namespace, bytes, run })
    }

    /// To be kept.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let stored: Stored<'_> = (
            self.extension_type,
            self.train,
            self.version,
            self.location,
            self.release_namespace,
            self.bytes,
        );
        // Lists of texts and bytes: there is nothing in here that could fail to serialise.
        let form = if self.run.is_some() { FORM } else { WITHOUT_RUN };
        let bytes = postcard::to_extend(&stored, vec![form]).unwrap_or_default();
        Zeroizing::new(match &self.run {
            Some(run) => postcard::to_extend(run, bytes).unwrap_or_default(),
            None => bytes,
        })
    }

    /// Whether it is a chart of this extension's type.
    pub fn is_for(&self, extension: &Extension) -> bool {
        self.extension_type == extension.extension_type
    }

    /// Whether it is this one of the catalogue.
    pub fn is(&self, entry: &Entry) -> bool {
        let said = (self.extension_type, self.train, self.version, self.location, self.release_namespace);
        let has = (
            entry.extension_type.as_str(),
            entry.train.as_str(),
            entry.version.as_str(),
            entry.location.as_str(),
            entry.release_namespace.as_deref(),
        );
        said == has && Digest::of(self.bytes) == entry.digest
    }

    /// Whether an extension may be meant to run with this chart. If not, another one is still to come, and what the
    /// extension says is said for that one.
    pub fn may_be_what_is_wanted(&self, extension: &Extension) -> bool {
        let named = |wanted: &String| match (Version::parse(wanted), Version::parse(self.version)) {
            (Some(wanted), Some(is)) => wanted == is,
            _ => wanted == self.version,
        };
        self.is_for(extension)
            && self.train == extension.train
            && extension.version.as_ref().is_none_or(named)
    }

    /// The same chart with what the extension says now, if that is something else.
    pub fn renewed(&self, extension: &'a Extension) -> Option<Chart<'a>> {
        let run = Some(Run::of(extension));
        (self.run != run).then(|| Chart { run, ..self.clone() })
    }
}

type Stored<'a> = (&'a str, &'a str, &'a str, &'a str, Option<&'a str>, &'a [u8]);

/// First byte of what is stored: a chart, and what it runs with.
const FORM: u8 = 2;
/// As the first versions stored it.
const WITHOUT_RUN: u8 = 1;
