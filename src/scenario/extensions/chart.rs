//! A chart as the cache keeps it: what it is beside its bytes.

use super::catalogue::Entry;
use super::document::Extension;
use crate::core::document::Digest;
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
}

impl<'a> Chart<'a> {
    /// A chart of the catalogue with its bytes.
    pub fn new(entry: &'a Entry, bytes: &'a [u8]) -> Chart<'a> {
        Chart {
            extension_type: &entry.extension_type,
            train: &entry.train,
            version: entry.version.as_str(),
            location: &entry.location,
            release_namespace: entry.release_namespace.as_deref(),
            bytes,
        }
    }

    /// What the cache kept; `None`: it is not understood, and is fetched again.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Chart<'a>> {
        let (&FORM, rest) = bytes.split_first()? else { return None };
        let (extension_type, train, version, location, release_namespace, bytes): Stored<'a> =
            postcard::from_bytes(rest).ok()?;
        Some(Chart { extension_type, train, version, location, release_namespace, bytes })
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
        Zeroizing::new(postcard::to_extend(&stored, vec![FORM]).unwrap_or_default())
    }

    /// Whether it is a chart of this extension's type.
    pub fn is_for(&self, extension: &Extension) -> bool {
        self.extension_type == extension.extension_type
    }

    /// Whether it is this one of the catalogue.
    pub fn is(&self, entry: &Entry) -> bool {
        *self == Chart::new(entry, self.bytes) && Digest::of(self.bytes) == entry.digest
    }
}

type Stored<'a> = (&'a str, &'a str, &'a str, &'a str, Option<&'a str>, &'a [u8]);

/// First byte of what is stored.
const FORM: u8 = 1;
