//! The controllers that the lab plays, for it has none: Flux's are content with what they find; k3s's helm-controller
//! needs a moment for each chart, and another to uninstall it. Everything that arclet does is real.

use k3s_standin::ApiServer;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;

/// How long Helm is at work.
const HELM_TAKES: Duration = Duration::from_millis(700);
/// What keeps a HelmChart until its release is uninstalled.
const FINALIZER: &str = "wrangler.cattle.io/on-helm-chart-remove";
const HELM: &str = "helm.cattle.io/v1";
const FLUX: [(&str, &str); 4] = [
    ("source.toolkit.fluxcd.io/v1", "GitRepository"),
    ("source.toolkit.fluxcd.io/v1", "Bucket"),
    ("source.toolkit.fluxcd.io/v1", "OCIRepository"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
];

/// Helm's work that is under way: for which HelmChart it began when, by what it is to do.
#[derive(Default)]
pub struct Played {
    begun: HashMap<String, (String, Duration)>,
}

impl Played {
    /// A turn of all controllers.
    pub fn turn(&mut self, cluster: &ApiServer, at: Duration) {
        for (api_version, kind) in FLUX {
            for object in cluster.objects(api_version, kind) {
                reconcile(cluster, (api_version, kind), &object);
            }
        }
        for chart in cluster.objects(HELM, "HelmChart") {
            self.helm(cluster, &chart, at);
        }
    }

    fn helm(&mut self, cluster: &ApiServer, chart: &Value, at: Duration) {
        let text = |pointer: &str| chart.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        let object = (HELM, "HelmChart", namespace, name);
        let leaves = !text("/metadata/deletionTimestamp").is_empty();
        if !leaves && chart["metadata"]["finalizers"].is_null() {
            cluster.edit(object, "helm-controller", |chart| {
                chart["metadata"]["finalizers"] = json!([FINALIZER]);
                chart["metadata"]["annotations"]["helmcharts.cattle.io/managed-by"] =
                    json!("helm-controller");
            });
        }
        // Each content of what a release needs has a name of its own.
        let secret = text("/spec/valuesSecrets/0/name");
        let task = if leaves { "uninstall".to_owned() } else { format!("install {secret}") };
        let (_, since) = match self.begun.get(name) {
            Some(begun) if begun.0 == task => begun.clone(),
            _ => {
                self.begun.insert(name.to_owned(), (task.clone(), at));
                (task, at)
            }
        };
        let done = at.saturating_sub(since) >= HELM_TAKES;
        let job = format!("helm-install-{name}");
        if leaves {
            if done {
                cluster.delete(("batch/v1", "Job", namespace, &job));
                cluster.finish(object);
                self.begun.remove(name);
            }
            return;
        }
        let status = match done {
            true => json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}),
            false => json!({"active": 1}),
        };
        let is = cluster.object(("batch/v1", "Job", namespace, &job));
        let reads = |job: &Value| {
            job.pointer("/spec/template/spec/volumes/0/projected/sources/0/secret/name")
                .is_some_and(|s| s == secret)
        };
        if !is.is_some_and(|job| job["status"] == status && reads(&job)) {
            cluster.put(json!({"apiVersion": "batch/v1", "kind": "Job",
                "metadata": {"name": job, "namespace": namespace}, "status": status,
                "spec": {"template": {"spec": {"volumes": [
                    {"projected": {"sources": [{"secret": {"name": secret}}]}}]}}}}));
        }
    }
}

/// What Flux would say of an object that it has just reconciled.
fn reconcile(cluster: &ApiServer, (api_version, kind): (&str, &str), object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    // A Kustomization applies the revision of its source.
    let source = match text("/spec/sourceRef/kind") {
        "" => Some(object.clone()),
        kind => cluster.object((FLUX[0].0, kind, namespace, text("/spec/sourceRef/name"))),
    };
    let branch = source.and_then(|s| s["spec"]["ref"]["branch"].as_str().map(str::to_owned));
    let revision = format!("{}@sha1:0011", branch.as_deref().unwrap_or("main"));
    let generation = &object["metadata"]["generation"];
    let status = &object["status"];
    if status["observedGeneration"] == *generation && status["lastAppliedRevision"] == revision {
        return;
    }
    let status = json!({
        "observedGeneration": generation, "artifact": {"revision": revision}, "lastAppliedRevision": revision,
        "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "played by the lab",
            "observedGeneration": generation, "lastTransitionTime": "2026-11-23T00:00:00Z"}],
    });
    cluster.set_status((api_version, kind, namespace, name), status);
}

/// Whether an object's controller is content with it; for the page.
pub fn is_ready(object: &Value) -> bool {
    object["status"]["conditions"][0]["status"] == "True"
}
