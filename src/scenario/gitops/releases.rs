//! The HelmReleases that a configuration's Kustomizations made: found in their inventories, and shown as ARM shows them.
//!
//! arclet does not make them and does not enforce them; each that is looked at is a request, so their number is bounded.

use super::picture::{compliance, ready};
use super::versions::is_flux;
use crate::core::Reason;
use crate::core::document::{Compliance, HelmRelease, NamedObject, ObjectStatus};
use crate::scenario::live::{items, text};
use serde_json::Value;

/// The API group of HelmReleases.
pub const HELM_GROUP: &str = "helm.toolkit.fluxcd.io";
/// So many of a configuration are looked at, the first of each inventory's order.
pub const MOST_RELEASES: usize = 20;

/// Where a HelmRelease is, and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `v2`, of [`HELM_GROUP`].
    pub version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    by: NamedObject,
}

/// What came of looking at one: the object, or nothing, or why it may not be seen.
pub type Seen = Result<Option<Value>, Reason>;

/// The HelmReleases in the inventories of these objects' Kustomizations. An entry is `NAMESPACE_NAME_GROUP_KIND` with a version
/// (fluxcd/pkg, `ObjMetadata`); what is not understood is passed over.
pub fn releases(live: &[Value]) -> Vec<Release> {
    let kustomizations = live.iter().filter(|object| {
        text(object, "/kind") == Some("Kustomization") && text(object, "/apiVersion").is_some_and(is_flux)
    });
    let entries = kustomizations.flat_map(|by| items(by, "/status/inventory/entries").map(move |e| (by, e)));
    let releases = entries.filter_map(|(by, entry)| {
        let mut parts = text(entry, "/id")?.split('_');
        let (namespace, name) = (parts.next()?, parts.next()?);
        let is_release =
            parts.next()? == HELM_GROUP && parts.next()? == "HelmRelease" && parts.next().is_none();
        let version = text(entry, "/v")?;
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        };
        (is_release && [namespace, name, version].into_iter().all(plain)).then(|| Release {
            version: version.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            by: NamedObject {
                name: text(by, "/metadata/name").unwrap_or_default().to_owned(),
                namespace: text(by, "/metadata/namespace").unwrap_or_default().to_owned(),
            },
        })
    });
    releases.take(MOST_RELEASES).collect()
}

/// How one fares.
pub(super) fn status(release: &Release, seen: &Seen) -> ObjectStatus {
    let (fares, said) = match seen {
        Ok(Some(object)) => (compliance(object), ready(object)),
        Ok(None) => (Compliance::Pending, None),
        Err(reason) => (Compliance::Unknown, Some(reason.clone())),
    };
    ObjectStatus {
        kind: "HelmRelease".to_owned(),
        namespace: release.namespace.clone(),
        name: release.name.clone(),
        compliance: fares,
        ready: said,
        applied_by: Some(release.by.clone()),
        helm_release_properties: seen.as_ref().ok().and_then(Option::as_ref).map(properties),
    }
}

fn properties(object: &Value) -> HelmRelease {
    let number = |pointer| object.pointer(pointer).and_then(Value::as_u64);
    // `namespace/name`.
    let chart = text(object, "/status/helmChart").and_then(|chart| chart.split_once('/'));
    HelmRelease {
        failure_count: number("/status/failures").unwrap_or(0),
        helm_chart_ref: chart
            .map(|(namespace, name)| NamedObject { name: name.to_owned(), namespace: namespace.to_owned() }),
        install_failure_count: number("/status/installFailures").unwrap_or(0),
        // v2 has a history; its betas a number.
        last_revision_applied: number("/status/history/0/version")
            .or_else(|| number("/status/lastReleaseRevision")),
        upgrade_failure_count: number("/status/upgradeFailures").unwrap_or(0),
    }
}
