//! The open values of a release: what Azure's own agent tells every chart on k3s, and over it the extension's settings.
//!
//! Source of the names: the values that a user of such an extension printed (secrets-store-csi-driver-provider-azure,
//! issue 948). `Azure.Identity.isEnabled` is false: arclet gives pods no identity.

use super::document::Extension;
use super::settings;
use crate::core::Reason;
use serde_json::{Value, json};

/// Where the cluster is, as charts are told. The same at every start: another value is another release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// `AzureCloud`.
    pub cloud: String,
    /// ARM's id of the connected cluster.
    pub cluster: String,
    /// Its region, if the configuration has it.
    pub region: Option<String>,
    /// `k3s`.
    pub distribution: String,
    /// `generic`.
    pub infrastructure: String,
    /// The device reaches Azure through a proxy.
    pub proxied: bool,
    /// It trusts an authority of its own for that.
    pub custom_ca: bool,
}

pub(super) fn values(extension: &Extension, site: &Site) -> Result<Value, Reason> {
    let base = json!({"Azure": {
        "Cluster": {
            "Cloud": site.cloud,
            "Distribution": site.distribution,
            "Infrastructure": site.infrastructure,
            "Region": site.region.as_deref().unwrap_or_default(),
            "ResourceId": site.cluster,
        },
        "Extension": {"Name": extension.name, "ResourceId": extension.id},
        "Identity": {"isEnabled": false},
        "proxySettings": {"isCustomCert": site.custom_ca, "isProxyEnabled": site.proxied},
    }});
    let settings: Vec<(&str, &str)> =
        extension.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    settings::tree(base, &settings, "properties.configurationSettings")
}
