//! What the lab plays with: a configuration, an extension, and an object of somebody else that is in the way of a second
//! configuration. Their names, what Azure is asked for, and what the cluster has of them.

use super::ask::Ask;
use azure_standin::{Azure, cluster_id};
use k3s_standin::ApiServer;
use serde_json::{Value, json};
use std::path::Path;

/// An object: apiVersion, kind, namespace, name.
pub type Name = (&'static str, &'static str, &'static str, &'static str);

/// The fluxConfiguration, and the one that somebody is in the way of.
pub const FLEET: &str = "fleet";
pub const SHOP: &str = "shop";
/// The extension.
pub const MONITOR: &str = "monitor";
/// The branches that Azure wants: first this, then that.
pub const BRANCHES: [&str; 2] = ["main", "release"];
/// The versions of the extension, likewise.
pub const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];
/// Where the catalogue says that its charts are.
const CHARTS: &str = "charts/monitor";
const EXTENSION_TYPE: &str = "Contoso.Monitor";
const NAMESPACE: &str = "cluster-config";
const SOURCES: &str = "source.toolkit.fluxcd.io/v1";

pub const SOURCE: Name = (SOURCES, "GitRepository", NAMESPACE, FLEET);
pub const APPS: Name = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", NAMESPACE, "fleet-apps");
pub const CHART: Name = ("helm.cattle.io/v1", "HelmChart", "arclet-extensions", MONITOR);
pub const THEIRS: Name = (SOURCES, "GitRepository", NAMESPACE, SHOP);

/// The namespace of both configurations.
pub const fn namespace() -> Name {
    ("v1", "Namespace", "", NAMESPACE)
}

/// What Azure offers before anybody wants anything, and the device's catalogue of it.
///
/// Nobody unpacks the charts in here: helm-controller is played.
pub fn furnish(azure: &Azure, catalogue: &Path) -> Result<(), String> {
    let place = azure.repository(CHARTS);
    let entries = VERSIONS.map(|version| {
        azure.put_extension_version(&EXTENSION_TYPE.to_lowercase(), "stable", version, json!({}));
        let digest = azure.push_chart(CHARTS, version, format!("stands in for chart {version}").as_bytes());
        format!(
            "[[chart]]\ntype = \"{}\"\nversion = \"{version}\"\nchart = \"{place}:{version}\"\ndigest = \"{digest}\"\n",
            EXTENSION_TYPE.to_lowercase()
        )
    });
    std::fs::write(catalogue, entries.concat()).map_err(|e| format!("{}: {e}", catalogue.display()))
}

/// The properties of a configuration of this branch.
pub fn configuration(branch: &str) -> Value {
    json!({
        "scope": "cluster", "namespace": NAMESPACE, "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": branch}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true}},
    })
}

/// The properties of the extension in this version.
pub fn extension(version: &str) -> Value {
    json!({"extensionType": EXTENSION_TYPE, "version": version, "autoUpgradeMinorVersion": false,
        "configurationSettings": {"site": "17"}})
}

/// Somebody's own GitRepository, of the name that arclet's would have.
pub fn theirs() -> Value {
    json!({
        "apiVersion": THEIRS.0, "kind": THEIRS.1, "metadata": {"name": THEIRS.3, "namespace": THEIRS.2},
        "spec": {"url": "https://git.example/team-a", "interval": "1m0s", "ref": {"branch": "theirs"}},
    })
}

/// What Azure wants at present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The branch of the configuration.
    pub branch: Option<String>,
    /// Whether it wants its Kustomization.
    pub apps: bool,
    /// The version of the extension.
    pub version: Option<String>,
    /// Whether it wants the configuration that somebody is in the way of.
    pub shop: bool,
}

impl Wants {
    pub fn of(azure: &Azure) -> Wants {
        let id = cluster_id("k3s-1");
        let live = |found: Option<Value>| {
            found.filter(|document| document["properties"]["provisioningState"] != "Deleting")
        };
        let fleet = live(azure.flux(&id, FLEET));
        let text = |found: &Option<Value>, pointer: &str| {
            found.as_ref().and_then(|f| f.pointer(pointer)?.as_str()).map(str::to_owned)
        };
        Wants {
            branch: text(&fleet, "/properties/gitRepository/repositoryRef/branch"),
            apps: fleet.is_some_and(|f| f.pointer("/properties/kustomizations/apps").is_some()),
            version: text(&live(azure.extension(&id, MONITOR)), "/properties/version"),
            shop: live(azure.flux(&id, SHOP)).is_some(),
        }
    }
}

/// What the cluster has of it, and how arclet says that it fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Has {
    pub branch: Option<String>,
    pub apps: bool,
    /// The version of the chart in the HelmChart, unless that is being deleted.
    pub version: Option<String>,
    /// The HelmChart is there, or Helm is still uninstalling it.
    pub helm: bool,
    /// arclet says that the extension is installed.
    pub installed: bool,
    /// The object that is in the way of [`SHOP`], or arclet's in its place: its `spec`, and whether arclet owns it.
    pub shop: Option<(Value, bool)>,
    /// arclet says that somebody is in its way there.
    pub conflict: bool,
}

impl Has {
    /// `desired` is what `arclet desired -o json` gets.
    pub fn of(cluster: &ApiServer, desired: &Value) -> Has {
        let is = |name: Name| {
            cluster.object(name).filter(|object| object["metadata"]["deletionTimestamp"].is_null())
        };
        let chart = is(CHART);
        let version =
            chart.as_ref().and_then(|c| c["metadata"]["annotations"]["arclet.dev/version"].as_str());
        let document = |name: &str| {
            let all = desired["documents"].as_array().into_iter().flatten();
            all.into_iter().find(|document| document["document"] == name).cloned().unwrap_or_default()
        };
        Has {
            branch: is(SOURCE).and_then(|s| s["spec"]["ref"]["branch"].as_str().map(str::to_owned)),
            apps: is(APPS).is_some(),
            version: version.map(str::to_owned),
            helm: cluster.object(CHART).is_some(),
            installed: document("extension/monitor")["state"] == "succeeded",
            shop: is(THEIRS).map(|object| (object["spec"].clone(), is_ours(&object))),
            conflict: document("flux/shop")["reason"]["code"] == "FieldConflict",
        }
    }

    /// Nothing of what arclet made is there.
    pub fn is_empty(&self) -> bool {
        let ours = self.shop.as_ref().is_some_and(|(_, ours)| *ours);
        self.branch.is_none() && !self.apps && !self.helm && !ours
    }
}

/// Whether arclet made an object.
pub fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "arclet"
}

/// Asks Azure for it, as a user does.
pub fn want(azure: &Azure, ask: &Ask, properties: Value) -> Result<(), String> {
    let body = json!({"name": ask.name, "properties": properties});
    ask.put(azure, &body.to_string())
}
