//! The namespace of a configuration, and what keeps one of scope `namespace` inside it.
//!
//! In scope `cluster` Flux applies with the rights of its own controllers: that is what the scope means. In scope
//! `namespace` it acts as a service account that is `admin` in that one namespace and nothing elsewhere; kustomizations
//! name it and the target namespace. Azure's agents have one account `flux-applier` for a namespace; here each
//! configuration has its own, because what two share neither can remove when it is withdrawn.

use super::KEEP;
use super::document::Document;
use serde_json::{Map, Value, json};

/// The namespace, and in scope `namespace` the account with its binding.
pub(super) fn render(document: &Document) -> Vec<Value> {
    let namespace = document.namespace.as_str();
    let mut objects = Vec::new();
    if !EVERY_CLUSTER_HAS.contains(&namespace) {
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "annotations": {KEEP: "true"}},
        }));
    }
    if document.namespaced {
        let name = account(document);
        let metadata = json!({"name": name, "namespace": namespace});
        objects.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }));
    }
    objects
}

/// Sets a kustomization's limits, in scope `namespace`.
pub(super) fn limit(spec: &mut Map<String, Value>, document: &Document) {
    if document.namespaced {
        spec.insert("serviceAccountName".into(), account(document).into());
        spec.insert("targetNamespace".into(), document.namespace.as_str().into());
    }
}

fn account(document: &Document) -> String {
    document.own("applier")
}

/// The API server makes these itself.
const EVERY_CLUSTER_HAS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
