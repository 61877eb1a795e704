//! Which kinds there are, as the server tells it.

use crate::cluster::Cluster;
use crate::kinds::KINDS;
use serde_json::{Value, json};

pub fn serves(cluster: &Cluster, group: &str, version: &str) -> bool {
    KINDS.iter().any(|k| k.group == group) && cluster.versions(group).contains(&version)
}

pub fn groups(cluster: &Cluster) -> Value {
    let mut names: Vec<&str> = KINDS.iter().map(|k| k.group).filter(|g| !g.is_empty()).collect();
    names.dedup();
    let group = |name: &&str| {
        let versions: Vec<Value> = cluster
            .versions(name)
            .iter()
            .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
            .collect();
        let preferred = versions.first()?.clone();
        Some(json!({"name": name, "versions": versions, "preferredVersion": preferred}))
    };
    let groups: Vec<Value> = names.iter().filter_map(group).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

pub fn resources(group: &str, version: &str) -> Value {
    let resources: Vec<Value> = KINDS
        .iter()
        .filter(|k| k.group == group)
        .map(|k| json!({"name": k.plural, "kind": k.kind, "namespaced": k.namespaced, "verbs": []}))
        .collect();
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}
