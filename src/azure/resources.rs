//! The resources of ARM as arclet sees them: only the fields that it has a use for. No calls in here.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is to be made of a cluster (`arclet connect`).
#[derive(Clone, Debug)]
pub struct NewCluster {
    /// An Azure region, fixed for ever.
    pub location: String,
    /// All of the resource's tags.
    pub tags: BTreeMap<String, String>,
    /// See [`super::onboarding_key`].
    pub public_key: String,
    /// `k3s`
    pub distribution: String,
    /// `v1.31.2+k3s1`
    pub distribution_version: String,
    /// `generic`, …
    pub infrastructure: String,
}

/// What ARM says of a connected cluster; fields that arclet has no use for are passed over.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// In whatever case the service writes it.
    pub id: String,
    /// The region.
    pub location: String,
    /// All tags, arclet's and others.
    #[serde(default, deserialize_with = "null_as_default")]
    pub tags: BTreeMap<String, String>,
    /// `ProvisionedCluster` for clusters that are not arclet's to touch.
    #[serde(default)]
    pub kind: Option<String>,
    /// The interesting part.
    pub properties: ClusterProperties,
    /// Who made it and when.
    #[serde(default, deserialize_with = "null_as_default")]
    pub system_data: SystemData,
}

/// Properties of a connected cluster.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterProperties {
    /// `Succeeded`, …
    #[serde(default)]
    pub provisioning_state: Option<String>,
    /// `k3s`
    #[serde(default)]
    pub distribution: Option<String>,
    /// As reported by `connect`.
    #[serde(default)]
    pub distribution_version: Option<String>,
    /// As reported by `connect`.
    #[serde(default)]
    pub infrastructure: Option<String>,
    /// Fed by Microsoft's own agents only: `Connecting` for a cluster of arclet.
    #[serde(default)]
    pub connectivity_status: Option<String>,
    /// Set when Microsoft's own agents run there.
    #[serde(default)]
    pub agent_version: Option<String>,
    /// Part of every later PUT.
    #[serde(default)]
    pub agent_public_key_certificate: Option<String>,
}

/// Who made a resource and when.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SystemData {
    /// RFC 3339: tells a resource from a later one of the same name.
    #[serde(default)]
    pub created_at: Option<String>,
}

/// The fields that a PATCH may change; `None` leaves one as it is.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterChange {
    /// `k3s`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution: Option<String>,
    /// `v1.31.3+k3s1`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distribution_version: Option<String>,
}

/// What a tags update does with those it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagOperation {
    /// Sets them; others stay.
    Merge,
    /// Removes them; others stay.
    Delete,
}

/// A resource group.
#[derive(Clone, Debug, Deserialize)]
pub struct ResourceGroup {
    /// Its name.
    pub name: String,
    /// The default region for what is made in it.
    pub location: String,
}

/// A data collection rule, as far as ingestion needs it.
#[derive(Clone, Debug)]
pub struct Dcr {
    /// `dcr-` and 32 hex digits.
    pub immutable_id: String,
    /// Only of rules of kind `Direct`; others have a data collection endpoint.
    pub logs_ingestion: Option<String>,
    /// The streams that it takes (`Custom-…`).
    pub streams: Vec<String>,
}

/// Services write `null` where they have nothing.
pub(super) fn null_as_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
