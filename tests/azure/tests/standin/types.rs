//! Versions of extension types, at the cluster's scope and at a location's.

use crate::rig::{Reply, Rig};
use azure_standin::{DEVICE, Role, SUBSCRIPTION, cluster_id};
use serde_json::{Value, json};

const VERSION: &str = "api-version=2026-05-01";

fn rig() -> Rig {
    let rig = Rig::new();
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    let unsupported = json!({"supportedClusterTypes": ["connectedCluster"], "unsupportedKubernetesVersions": {"connectedCluster": [{"distributions": ["k3s"], "unsupportedVersions": [">1.22", "1.18..1.21", "1.20"]}]}});
    rig.azure.put_extension_version("microsoft.flux", "Stable", "1.9.0", unsupported);
    rig.azure.put_extension_version(
        "microsoft.flux",
        "Stable",
        "1.10.2",
        json!({"supportedClusterTypes": ["managedClusters"]}),
    );
    rig.azure.put_extension_version(
        "microsoft.flux",
        "Stable",
        "1.8.14",
        json!({"supportedClusterTypes": ["connectedClusters"]}),
    );
    rig.azure.put_extension_version("microsoft.flux", "preview", "2.0.0-rc1", json!({}));
    rig.azure.put_extension_version("microsoft.dapr", "Stable", "1.0.0", json!({}));
    rig
}

fn of_cluster(rest: &str) -> String {
    format!("{}/providers/Microsoft.KubernetesConfiguration/extensionTypes{rest}", cluster_id("k3s-1"))
}

fn of_location(rest: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/providers/Microsoft.KubernetesConfiguration/locations/eastus/extensionTypes{rest}"
    )
}

fn names(reply: &Reply) -> Vec<String> {
    let value = reply.json()["value"].as_array().cloned().unwrap_or_default();
    value.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn versions_are_listed_in_no_order_and_by_train_and_major() {
    let rig = rig();
    let versions =
        |query: &str| names(&rig.get(&of_cluster(&format!("/Microsoft.Flux/versions?{VERSION}{query}"))));
    assert_eq!(versions(""), ["1.9.0", "1.10.2", "1.8.14", "2.0.0-rc1"]);
    assert_eq!(versions("&releaseTrain=stable"), ["1.9.0", "1.10.2", "1.8.14"]);
    assert_eq!(versions("&releaseTrain=stable&showLatest=true"), ["1.10.2"]);
    assert_eq!(versions("&majorVersion=2"), ["2.0.0-rc1"]);
    let one = rig.get(&of_cluster(&format!("/microsoft.flux/versions/1.9.0?{VERSION}"))).json();
    assert_eq!(one["type"], "Microsoft.KubernetesConfiguration/extensionTypes/versions");
    assert_eq!(one["properties"]["version"], "1.9.0");
    assert_eq!(
        one["properties"]["unsupportedKubernetesVersions"]["connectedCluster"][0]["unsupportedVersions"][1],
        "1.18..1.21"
    );
    for absent in ["/microsoft.flux/versions/9.9.9", "/nobodys.type/versions", "/nobodys.type"] {
        assert_eq!(
            rig.get(&of_cluster(&format!("{absent}?{VERSION}"))).refusal(),
            (404, "ResourceNotFound".into())
        );
    }
}

#[test]
fn pages_keep_the_filters() {
    let rig = rig();
    rig.azure.page_size(2);
    let first = rig.get(&of_cluster(&format!("/microsoft.flux/versions?releaseTrain=stable&{VERSION}")));
    assert_eq!(names(&first), ["1.9.0", "1.10.2"]);
    let last = rig.poll(first.json()["nextLink"].as_str().unwrap());
    assert_eq!((names(&last), &last.json()["nextLink"]), (vec!["1.8.14".to_owned()], &Value::Null));
}

#[test]
fn a_location_lists_for_a_kind_of_cluster_in_either_spelling_and_is_beyond_the_devices_role() {
    let rig = rig();
    let path = of_location(&format!("/microsoft.flux/versions?{VERSION}&clusterType=connectedClusters"));
    // The operator's role ends at the group, the device's at its cluster.
    assert_eq!(rig.get(&path).status, 403);
    assert_eq!(rig.arm_as(DEVICE, "GET", &path, Value::Null).status, 403);
    let own = of_cluster(&format!("/microsoft.flux/versions?{VERSION}"));
    assert_eq!(rig.arm_as(DEVICE, "GET", &own, Value::Null).status, 200);
    rig.azure.set_roles(DEVICE.0, vec![Role::contributor(&format!("/subscriptions/{SUBSCRIPTION}"))]);
    let listed = rig.arm_as(DEVICE, "GET", &path, Value::Null);
    assert_eq!(names(&listed), ["1.9.0", "1.8.14", "2.0.0-rc1"]);
    let types = rig.arm_as(DEVICE, "GET", &of_location(&format!("?{VERSION}")), Value::Null);
    assert_eq!(names(&types), ["microsoft.flux", "microsoft.dapr"]);
}

#[test]
fn nothing_is_listed_for_a_cluster_that_is_not_there_or_written_at_all() {
    let rig = rig();
    let path = of_cluster(&format!("/microsoft.flux/versions?{VERSION}"));
    assert_eq!(rig.arm("PUT", &path, json!({})).status, 405);
    rig.azure.remove_cluster(&cluster_id("k3s-1"));
    assert_eq!(rig.get(&path).refusal(), (404, "ResourceNotFound".into()));
}
