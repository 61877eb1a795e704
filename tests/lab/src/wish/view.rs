//! Desired state for the page: what Azure wants, what arclet knows, what the cluster has.

use super::ask::{documents, pretty};
use super::played::is_ready;
use super::scene::is_ours;
use azure_standin::Azure;
use k3s_standin::ApiServer;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What of the cluster is shown, whoever made it. Of Secrets arclet's only.
const KINDS: [(&str, &str); 7] = [
    ("source.toolkit.fluxcd.io/v1", "GitRepository"),
    ("source.toolkit.fluxcd.io/v1", "Bucket"),
    ("source.toolkit.fluxcd.io/v1", "OCIRepository"),
    ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ("helm.cattle.io/v1", "HelmChart"),
    ("batch/v1", "Job"),
    ("v1", "Secret"),
];

/// One thing in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    /// By which the page asks for its text; empty: it has none.
    pub id: String,
    pub name: String,
    pub what: String,
    /// In the cluster: somebody else's than arclet's.
    pub theirs: bool,
}

/// A part of the page.
#[derive(Clone, Default, Serialize)]
pub struct View {
    /// The documents of Azure.
    pub wants: Vec<Line>,
    /// The documents as the agent shows them: name, state, why.
    pub documents: Vec<Line>,
    /// The objects in the cluster: kind and name, what matters of it.
    pub objects: Vec<Line>,
    /// What the page's editor gets, by id.
    #[serde(skip)]
    pub texts: BTreeMap<String, String>,
}

impl View {
    /// `desired` is what `arclet desired -o json` gets.
    pub fn of(azure: &Azure, cluster: &ApiServer, desired: &Value) -> View {
        let mut view = View::default();
        for (name, what, text) in documents(azure) {
            let id = format!("azure/{name}");
            view.texts.insert(id.clone(), text);
            view.wants.push(Line { id, name, what, theirs: false });
        }
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        for document in desired["documents"].as_array().into_iter().flatten() {
            let why = word(&document["reason"]["message"]);
            let state = word(&document["state"]);
            let what = if why.is_empty() { state } else { format!("{state}: {why}") };
            view.documents.push(Line { name: word(&document["document"]), what, ..Line::default() });
        }
        for (api_version, kind) in KINDS {
            for object in cluster.objects(api_version, kind) {
                let namespace = word(&object["metadata"]["namespace"]);
                // The agent's own credential is not for the page.
                if namespace == "arclet" || (kind == "Secret" && !is_ours(&object)) {
                    continue;
                }
                let id = format!("cluster/{kind}/{namespace}/{}", word(&object["metadata"]["name"]));
                view.texts.insert(id.clone(), text(&object));
                view.objects.push(Line {
                    id,
                    name: format!("{kind} {}", word(&object["metadata"]["name"])),
                    what: what_matters(kind, &object),
                    theirs: kind != "Job" && !is_ours(&object),
                });
            }
        }
        view
    }
}

fn what_matters(kind: &str, object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let leaves = text("/metadata/deletionTimestamp").is_some();
    let state = match kind {
        _ if leaves => ", being deleted",
        "Job" if is_ready(object) => "complete",
        "Job" => "Helm is at work",
        _ if is_ready(object) => ", ready",
        _ => "",
    };
    let what = match kind {
        "GitRepository" => text("/spec/ref/branch").map(|branch| format!("branch {branch}")),
        "Kustomization" => text("/spec/path").map(|path| format!("path {path}")),
        "HelmChart" => text("/metadata/annotations/arclet.dev~1version").map(|v| format!("version {v}")),
        _ => None,
    };
    format!("{}{state}", what.unwrap_or_default()).trim_start_matches(", ").to_owned()
}

/// An object as somebody would edit it: without what the API server sets.
fn text(object: &Value) -> String {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().into_iter();
    for fields in metadata {
        fields.retain(|name, _| {
            let its_own = [
                "uid",
                "resourceVersion",
                "generation",
                "creationTimestamp",
                "managedFields",
                "deletionTimestamp",
            ];
            !its_own.contains(&name.as_str())
        });
    }
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    pretty(&object)
}

/// What the page's editor begins with for something new, by id.
pub fn template(id: &str) -> Option<String> {
    Some(match id {
        "azure/flux/" => {
            pretty(&json!({"name": "another", "properties": super::scene::configuration("main")}))
        }
        "azure/extension/" => {
            pretty(&json!({"name": "another", "properties": super::scene::extension("1.0.0")}))
        }
        "cluster/" => pretty(&super::scene::theirs()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_edited_without_what_the_api_server_sets_and_its_owner_shows() {
        let object = json!({"kind": "HelmChart", "metadata": {"name": "a", "uid": "u", "resourceVersion": "1",
            "annotations": {"arclet.dev/version": "1.1.0"}, "labels": {"app.kubernetes.io/managed-by": "arclet"}},
            "spec": {"a": 1}, "status": {"conditions": [{"status": "True"}]}});
        let shown: Value = serde_json::from_str(&text(&object)).unwrap();
        assert_eq!(shown["spec"], object["spec"]);
        assert_eq!(
            shown["metadata"].as_object().unwrap().keys().collect::<Vec<_>>(),
            ["annotations", "labels", "name"]
        );
        assert!(shown.get("status").is_none() && is_ours(&object));
        assert_eq!(what_matters("HelmChart", &object), "version 1.1.0, ready");
    }
}
