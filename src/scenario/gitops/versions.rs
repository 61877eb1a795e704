//! Which API versions to write, from what the API server serves.
//!
//! The server says which versions a *group* has, and not which kinds are in each: `source.toolkit.fluxcd.io/v1` began
//! with GitRepository (Flux 2.0), took in Bucket with 2.4 and OCIRepository with 2.6; v1beta2, which has them all, was
//! served until 2.7. So these two are written as v1beta2 as long as it is there, which is right in every version of Flux,
//! and the others as the newest.

use super::code;
use super::document::{Document, Source};
use crate::core::Reason;
use crate::core::document::Served;

const SOURCE: &str = "source.toolkit.fluxcd.io";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";

/// The versions to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Versions {
    source: &'static str,
    kustomize: &'static str,
}

impl Versions {
    /// For this document's source and its kustomizations.
    pub fn choose(document: &Document, served: &Served) -> Result<Versions, Reason> {
        let source: &[&str] = match document.source {
            Source::GitRepository => &["v1", "v1beta2", "v1beta1"],
            Source::Bucket => &["v1beta2", "v1", "v1beta1"],
            // No OCIRepository, and no Bucket with the provider azure, before v1beta2.
            Source::AzureBlob | Source::OciRepository => &["v1beta2", "v1"],
        };
        let kind = document.source.kind();
        Ok(Versions {
            source: newest(served, SOURCE, kind, source)?,
            kustomize: newest(served, KUSTOMIZE, "Kustomization", &["v1", "v1beta2", "v1beta1"])?,
        })
    }

    /// `source.toolkit.fluxcd.io/v1`.
    pub fn source(&self) -> String {
        format!("{SOURCE}/{}", self.source)
    }

    /// `kustomize.toolkit.fluxcd.io/v1`.
    pub fn kustomize(&self) -> String {
        format!("{KUSTOMIZE}/{}", self.kustomize)
    }

    /// Whether the source is written in the stable version.
    pub fn source_is_stable(&self) -> bool {
        self.source == "v1"
    }
}

/// Whether an object is one of Flux's that a document's picture is made of.
pub(super) fn is_flux(api_version: &str) -> bool {
    matches!(api_version.split_once('/'), Some((SOURCE | KUSTOMIZE, _)))
}

fn newest(served: &Served, group: &str, kind: &str, known: &[&'static str]) -> Result<&'static str, Reason> {
    let Some(there) = served.get(group).filter(|versions| !versions.is_empty()) else {
        let message = format!("the cluster has no {group}: Flux is not installed");
        let cure = "install the microsoft.flux extension, or Flux itself (flux install)";
        return Err(Reason::new(code::FLUX_MISSING, message).cure(cure));
    };
    known.iter().copied().find(|version| there.iter().any(|v| v == version)).ok_or_else(|| {
        // From the cluster, and few: but not taken for granted.
        let there: Vec<&str> = there.iter().take(8).map(String::as_str).collect();
        let message = format!(
            "the cluster has {group} in {}, and {kind} needs {}",
            there.join(", "),
            known.join(" or ")
        );
        Reason::new(code::FLUX_TOO_OLD, message)
            .cure("bring Flux to a version that has it (2.0 or newer), or arclet")
    })
}

/// A time as Go writes it: `10m0s`, `1h0m0s`, `45s`.
pub(super) fn duration(seconds: u32) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 { format!("{hours}h{minutes}m{}s", seconds % 60) } else { timeout(seconds) }
}

/// The same for a source's timeout: its pattern has no hours.
pub(super) fn timeout(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
