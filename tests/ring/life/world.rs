//! What a life is lived in: both stand-ins, what somebody changes in Azure, what controllers do, and what is looked at.

use crate::rig::{Agent, Rig, Setup};
use arclet::status::Desired;
use azure_standin::cluster_id;
use k3s_standin::Flux;
use serde_json::{Value, json};

/// What happens to a document, or to what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It comes.
    Install,
    /// It changes.
    Update,
    /// It changes into one that fails: a configuration into one of a kind that nobody knows yet, an extension into one that
    /// Helm does not install.
    Break,
    /// It is right again.
    Mend,
    /// Its secret in the vault gets another version.
    Rotate,
    /// It is `Deleting` in Azure, and stays so.
    Leave,
    /// It is gone from Azure.
    Withdraw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Configuration,
    Extension,
}

/// The Secret that the HelmChart names has another name for each of its contents; here it has this one.
const SETTINGS: &str = "mon-settings";

/// What is looked at in the end: the objects in the cluster, what `arclet desired ls` shows, and what Azure was told last.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub objects: Vec<Value>,
    pub documents: Vec<Value>,
    pub told: Value,
}

impl End {
    /// Something is looked at in the cluster again and again.
    pub fn is_enforced(&self) -> bool {
        self.documents.iter().any(|document| document[1] != "withdrawn")
    }
}

impl Sort {
    pub fn rig(self) -> Rig {
        let rig = Rig::new(Setup {
            report: crate::rig::report("1h", "1h", "24h"),
            desired: "gitops = true\nextensions = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"\n\
                      catalogue = \"{catalogue}\"\nkey-vault = \"{vault}\"",
            flux: Flux::Stable,
            helm: true,
            level: "info",
            ..Setup::default()
        });
        rig.k3s
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "arclet-extensions"}}));
        rig.azure.put_secret("flux-fleet-httpsKey", "pass");
        rig.azure.put_secret("extension-mon-configurationProtectedSettings", r#"{"key": "pass"}"#);
        let mut catalogue = String::new();
        for version in ["1.0.0", "2.0.0"] {
            rig.azure.put_extension_version("contoso.monitor", "stable", version, json!({}));
            let digest = rig.azure.push_chart("charts/monitor", version, version.as_bytes());
            let place = rig.azure.repository("charts/monitor");
            catalogue += &format!(
                "[[chart]]\ntype = \"contoso.monitor\"\nversion = \"{version}\"\nchart = \"{place}:{version}\"\n\
                 digest = \"{digest}\"\n"
            );
        }
        std::fs::write(rig.path("extensions.toml"), catalogue).expect("a file");
        rig
    }

    /// What somebody does in Azure.
    pub fn change(self, rig: &Rig, step: Step) {
        let cluster = cluster_id("k3s-1");
        match (self, step) {
            (Sort::Configuration, Step::Withdraw) => assert!(rig.azure.delete_flux(&cluster, "fleet")),
            (Sort::Extension, Step::Withdraw) => assert!(rig.azure.delete_extension(&cluster, "mon")),
            (Sort::Configuration, Step::Rotate) => drop(rig.azure.put_secret("flux-fleet-httpsKey", "pass2")),
            (Sort::Extension, Step::Rotate) => {
                rig.azure.put_secret("extension-mon-configurationProtectedSettings", r#"{"key": "pass2"}"#);
            }
            (Sort::Configuration, _) => rig.azure.put_flux(&cluster, "fleet", configuration(step)),
            (Sort::Extension, _) => rig.azure.put_extension(&cluster, "Mon", extension(step)),
        }
    }

    pub fn listing(self) -> &'static str {
        match self {
            Sort::Configuration => "/fluxconfigurations?",
            Sort::Extension => "/extensions?",
        }
    }

    /// The document's name in `arclet desired`, and in rows.
    pub fn document(self) -> (&'static str, &'static str) {
        match self {
            Sort::Configuration => ("flux/fleet", "fleet"),
            Sort::Extension => ("extension/mon", "mon"),
        }
    }

    /// The word for a document before the controllers' word on it.
    pub fn unverified(self) -> &'static str {
        match self {
            Sort::Configuration => "applied",
            Sort::Extension => "installing",
        }
    }

    /// The word for a document at the end of a step; `None`: it is in no list any more.
    pub fn word(self, step: Step) -> Option<&'static str> {
        match (step, self) {
            (Step::Withdraw, _) => None,
            (Step::Leave, _) => Some("withdrawn"),
            (Step::Break, _) => Some("failed"),
            (_, Sort::Configuration) => Some("verified"),
            (_, Sort::Extension) => Some("succeeded"),
        }
    }
}

fn configuration(step: Step) -> Value {
    // The update lets one kustomization go and brings another.
    let (branch, part) = match step {
        Step::Update | Step::Mend => ("release", "infra"),
        _ => ("main", "apps"),
    };
    json!({
        "scope": "cluster", "namespace": "cluster-config",
        "sourceKind": if step == Step::Break { "Svn" } else { "GitRepository" },
        "gitRepository": {"url": "https://git.example/fleet", "httpsUser": "me",
            "repositoryRef": {"branch": branch}},
        "kustomizations": {part: {"path": "./a"}},
        "provisioningState": if step == Step::Leave { "Deleting" } else { "Creating" },
    })
}

fn extension(step: Step) -> Value {
    let version = if step == Step::Update { "2.0.0" } else { "1.0.0" };
    let site = match step {
        Step::Break => NOT_INSTALLED,
        Step::Mend => "18",
        _ => "17",
    };
    json!({
        "extensionType": "Contoso.Monitor", "version": version, "autoUpgradeMinorVersion": false,
        "configurationSettings": {"site": site},
        "provisioningState": if step == Step::Leave { "Deleting" } else { "Creating" },
    })
}

/// The setting with which Helm installs nothing.
const NOT_INSTALLED: &str = "bad";

/// All of the cluster that documents have a part in, without what the API server counts.
pub fn objects(rig: &Rig) -> Vec<Value> {
    let kinds = [
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("source.toolkit.fluxcd.io/v1", "GitRepository"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
        ("helm.cattle.io/v1", "HelmChart"),
    ];
    let all = kinds.iter().flat_map(|(version, kind)| rig.k3s.objects(version, kind));
    let plain = |object: Value| {
        let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
        json!({"kind": part("/kind"), "name": part("/metadata/name"), "namespace": part("/metadata/namespace"),
            "labels": part("/metadata/labels"), "annotations": part("/metadata/annotations"),
            "spec": part("/spec"), "data": part("/data")})
    };
    // Where this test's registry is goes into the chart's address, and that into the name of the settings' Secret.
    let place = rig.azure.repository("charts/monitor");
    let secret = rig.k3s.object(("helm.cattle.io/v1", "HelmChart", "arclet-extensions", "mon"));
    let secret =
        secret.and_then(|chart| Some(chart["spec"]["valuesSecrets"][0]["name"].as_str()?.to_owned()));
    let alike = |object: Value| {
        let mut text = object.to_string().replace(&place, "oci://registry/charts/monitor");
        if let Some(name) = &secret {
            text = text.replace(name, SETTINGS);
        }
        serde_json::from_str(&text).expect("JSON as before")
    };
    all.map(plain).map(alike).collect()
}

/// What controllers do: Flux's say of each object that it is ready, and k3s's leaves its Job and its pod.
fn controllers(rig: &Rig) {
    for (version, kind) in [
        ("source.toolkit.fluxcd.io/v1", "GitRepository"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ] {
        for object in rig.k3s.objects(version, kind) {
            let generation = object["metadata"]["generation"].clone();
            if object["status"]["observedGeneration"] == generation && !generation.is_null() {
                continue;
            }
            let status = json!({"observedGeneration": generation, "artifact": {"revision": "sha1:00"},
                "lastAppliedRevision": "sha1:00", "conditions": [{"type": "Ready", "status": "True",
                    "reason": "Succeeded", "message": "done", "lastTransitionTime": "2026-11-23T00:00:00Z"}]});
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            rig.k3s.set_status((version, kind, text("/metadata/namespace"), text("/metadata/name")), status);
        }
    }
    if let Some(chart) = rig.k3s.object(("helm.cattle.io/v1", "HelmChart", "arclet-extensions", "mon")) {
        helm(rig, &chart);
    }
}

/// What k3s's helm-controller leaves of its work for a HelmChart.
fn helm(rig: &Rig, chart: &Value) {
    let Some(name) = chart["spec"]["valuesSecrets"][0]["name"].as_str() else { return };
    let fails = chart["spec"]["valuesContent"].as_str().is_some_and(|values| values.contains(NOT_INSTALLED));
    let pod = ("v1", "Pod", "arclet-extensions", "helm-install-mon-x");
    let status = match fails {
        true => json!({"active": 1}),
        false => json!({"conditions": [{"type": "Complete", "status": "True"}]}),
    };
    if fails {
        let ended = json!({"exitCode": 1, "reason": "Error", "message": "Error: no such site"});
        rig.k3s.put(json!({"apiVersion": pod.0, "kind": pod.1,
            "metadata": {"name": pod.3, "namespace": pod.2, "labels": {"job-name": "helm-install-mon"}},
            "status": {"phase": "Running", "containerStatuses": [{"lastState": {"terminated": ended}}]}}));
    } else {
        rig.k3s.delete(pod);
    }
    rig.k3s.put(json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "helm-install-mon", "namespace": "arclet-extensions"}, "status": status,
        "spec": {"template": {"spec": {"volumes": [{"projected": {"sources": [{"secret": {"name": name}}]}}]}}}}));
}

/// What there is to see, after the controllers did their part.
pub fn end(rig: &Rig, agent: &Agent, sort: Sort) -> Option<End> {
    controllers(rig);
    look(rig, agent, sort)
}

pub fn look(rig: &Rig, agent: &Agent, sort: Sort) -> Option<End> {
    let desired: Desired = serde_json::from_value(agent.ask(r#"{"get":"desired"}"#)?).ok()?;
    let documents = desired.documents.iter().map(|document| {
        let code = document.reason.as_ref().map(|reason| reason.code.clone());
        json!([document.document, document.state, document.digest, code])
    });
    let kinds = ["flux", "extension"];
    let of_it = |a: &azure_standin::Arrived| {
        a.row["Name"] == sort.document().1 && kinds.iter().any(|kind| a.row["Kind"] == *kind)
    };
    let rows = rig.azure.arrived();
    let told = rows.iter().rev().find(|a| of_it(a));
    // Whoever is killed between the removal and the row may no longer know what the content was that went.
    let digest = |a: &azure_standin::Arrived| match a.row["State"] == "withdrawn" {
        true => Value::Null,
        false => a.row["Digest"].clone(),
    };
    let told = told.map(|a| json!([a.row["State"], digest(a), a.row["Reason"]])).unwrap_or_default();
    Some(End { objects: objects(rig), documents: documents.collect(), told })
}

/// A Secret of an older HelmChart: it goes after the new one is there.
pub fn left_over(object: &Value) -> bool {
    let name = object["name"].as_str().unwrap_or_default();
    object["kind"] == "Secret" && name.starts_with("mon-") && name != SETTINGS
}
