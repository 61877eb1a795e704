//! Connected clusters, their long-running operations, and tags.

use crate::rig::{Rig, VERSION, new_cluster, public_key};
use azure_standin::{Shape, cluster_id};
use serde_json::{Value, json};

fn at(name: &str) -> String {
    format!("{}{VERSION}", cluster_id(name))
}

fn tags_at(name: &str) -> String {
    format!("{}/providers/Microsoft.Resources/tags/default?api-version=2025-04-01", cluster_id(name))
}

fn made(rig: &Rig, name: &str) {
    rig.azure.operations(Shape::Sync, 0, 0);
    assert_eq!(rig.arm("PUT", &at(name), new_cluster()).status, 200);
}

fn state(rig: &Rig, name: &str) -> Value {
    rig.azure.cluster(&cluster_id(name)).unwrap()["properties"]["provisioningState"].clone()
}

#[test]
fn a_put_with_a_status_url_is_done_when_that_says_so() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Async, 2, 7);
    let first = rig.arm("PUT", &at("k3s-1"), new_cluster());
    assert_eq!((first.status, &first.json()["properties"]["provisioningState"]), (201, &json!("Accepted")));
    let url = first.header("azure-asyncoperation").unwrap().to_owned();
    assert!(url.starts_with(&rig.azure.arm_url()) && url.contains("/locations/"), "{url}");
    // The wait is told with each answer on the status, where the SDKs look for it, and not with the first one.
    assert_eq!(first.header("retry-after"), None);
    for _ in 0..2 {
        let running = rig.poll(&url);
        assert_eq!((running.status, &running.json()["status"]), (202, &json!("InProgress")));
        assert_eq!(running.header("retry-after"), Some("7"));
    }
    assert_eq!(state(&rig, "k3s-1"), "Accepted");
    let done = rig.poll(&url);
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("Succeeded")));
    let cluster = rig.get(&at("k3s-1")).json();
    assert_eq!(cluster["properties"]["provisioningState"], "Succeeded");
    // As the real service writes it.
    assert_eq!(cluster["type"], "microsoft.kubernetes/connectedclusters");
    // A second PUT replaces.
    rig.azure.operations(Shape::Async, 0, 0);
    assert_eq!(rig.arm("PUT", &at("k3s-1"), new_cluster()).status, 200);
}

#[test]
fn a_put_without_a_status_url_is_watched_at_the_resource() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Body, 2, 0);
    let first = rig.arm("PUT", &at("k3s-1"), new_cluster());
    assert_eq!((first.status, first.header("azure-asyncoperation")), (201, None));
    let look = || rig.get(&at("k3s-1")).json()["properties"]["provisioningState"].clone();
    assert_eq!([look(), look(), look()], ["Accepted", "Succeeded", "Succeeded"]);
}

#[test]
fn a_put_that_failed_says_so_on_its_status_url_and_on_the_resource() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Failed, 0, 0);
    let first = rig.arm("PUT", &at("k3s-1"), new_cluster());
    let done = rig.poll(first.header("azure-asyncoperation").unwrap()).json();
    assert_eq!(
        (&done["status"], &done["error"]["code"]),
        (&json!("Failed"), &json!("ClusterAlreadyOnboarded"))
    );
    assert_eq!(state(&rig, "k3s-1"), "Failed");
}

#[test]
fn what_is_read_only_stays_as_it_is_and_connecting_for_ever() {
    let rig = Rig::new();
    rig.azure.operations(Shape::Sync, 0, 0);
    let mut body = new_cluster();
    for (name, value) in [
        ("connectivityStatus", json!("Connected")),
        ("agentVersion", json!("1.0")),
        ("kubernetesVersion", json!("1.36")),
        ("totalNodeCount", json!(3)),
        ("totalCoreCount", json!(12)),
        ("lastConnectivityTime", json!("2026-11-22T15:00:00Z")),
        ("offering", json!("x")),
        ("managedIdentityCertificateExpirationTime", json!("2026-11-22T15:00:00Z")),
        ("miscellaneousProperties", json!({"a": "b"})),
        ("invented", json!(1)),
    ] {
        body["properties"][name] = value;
    }
    let properties = rig.arm("PUT", &at("k3s-1"), body.clone()).json()["properties"].clone();
    assert_eq!(properties["connectivityStatus"], "Connecting");
    let names: Vec<&str> = properties.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "agentPublicKeyCertificate",
            "azureHybridBenefit",
            "connectivityStatus",
            "distribution",
            "distributionVersion",
            "infrastructure",
            "privateLinkState",
            "provisioningState"
        ]
    );
    // What Microsoft's agents reported of their cluster survives somebody else's PUT.
    rig.azure.seed_arc_cluster(&cluster_id("theirs"));
    let replaced = rig.arm("PUT", &at("theirs"), body).json();
    assert_eq!(replaced["properties"]["connectivityStatus"], "Connected");
    assert_eq!(replaced["properties"]["agentVersion"], "1.36.1");
}

#[test]
fn a_put_that_lacks_something_is_refused_and_makes_nothing() {
    let rig = Rig::new();
    let change = |pointer: &str, value: Value| {
        let mut body = new_cluster();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let too_many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("t{n}"), json!("v"))).collect();
    for (body, code) in [
        (change("/location", Value::Null), "LocationRequired"),
        (change("/identity/type", json!("UserAssigned")), "InvalidRequestContent"),
        (change("/properties", Value::Null), "InvalidRequestContent"),
        (change("/properties/agentPublicKeyCertificate", Value::Null), "InvalidRequestContent"),
        (change("/properties/agentPublicKeyCertificate", json!("")), "BadRequest"),
        (change("/properties/agentPublicKeyCertificate", json!("MIICYzCC")), "BadRequest"),
        (change("/properties/agentPublicKeyCertificate", json!(public_key() + "AAAA")), "BadRequest"),
        (change("/tags", Value::Object(too_many)), "InvalidTagValueLength"),
        (json!([]), "InvalidRequestContent"),
    ] {
        assert_eq!(rig.arm("PUT", &at("k3s-1"), body.clone()).refusal(), (400, code.to_owned()), "{body}");
    }
    let elsewhere = at("k3s-1").replace("edge-rg", "absent-rg");
    let reply = rig.arm("PUT", &elsewhere, new_cluster());
    // Without rights there, nobody is told whether it exists.
    assert_eq!(reply.refusal().0, 404);
    rig.azure.set_provider("Microsoft.Kubernetes", "NotRegistered");
    let reply = rig.arm("PUT", &at("k3s-1"), new_cluster());
    assert_eq!(reply.refusal(), (409, "MissingSubscriptionRegistration".to_owned()));
    assert!(rig.azure.clusters().is_empty());
}

#[test]
fn a_cluster_does_not_move_to_another_location() {
    let rig = Rig::new();
    made(&rig, "k3s-1");
    let mut body = new_cluster();
    body["location"] = json!("westeurope");
    assert_eq!(rig.arm("PUT", &at("k3s-1"), body).refusal(), (409, "InvalidResourceLocation".to_owned()));
}

#[test]
fn a_patch_takes_what_the_model_has_and_nothing_else() {
    let rig = Rig::new();
    made(&rig, "k3s-1");
    for body in [
        json!({ "location": "westeurope" }),
        json!({ "identity": { "type": "None" } }),
        json!({ "properties": { "infrastructure": "azure" } }),
        json!({ "properties": { "agentPublicKeyCertificate": "" } }),
        json!({ "properties": { "connectivityStatus": "Connected" } }),
        json!({ "properties": { "arcAgentProfile": {} } }),
    ] {
        assert_eq!(rig.arm("PATCH", &at("k3s-1"), body.clone()).refusal().0, 400, "{body}");
    }
    let body = json!({ "tags": { "site": "x" }, "properties": { "distribution": "k3s", "distributionVersion": "v2" } });
    let reply = rig.arm("PATCH", &at("k3s-1"), body.clone());
    assert_eq!((reply.status, &reply.json()["properties"]["distributionVersion"]), (200, &json!("v2")));
    assert_eq!(reply.json()["tags"], json!({ "site": "x" }));
    rig.azure.operations(Shape::Async, 0, 0);
    let reply = rig.arm("PATCH", &at("k3s-1"), body.clone());
    assert_eq!(reply.status, 202);
    assert_eq!(rig.poll(reply.header("azure-asyncoperation").unwrap()).json()["status"], "Succeeded");
    assert_eq!(rig.arm("PATCH", &at("absent"), body).refusal(), (404, "ResourceNotFound".to_owned()));
}

#[test]
fn a_delete_is_over_when_its_operation_is_and_gone_twice_is_no_error() {
    let rig = Rig::new();
    for (shape, header) in [(Shape::Async, "azure-asyncoperation"), (Shape::Body, "location")] {
        made(&rig, "k3s-1");
        rig.azure.operations(shape, 1, 3);
        let reply = rig.arm("DELETE", &at("k3s-1"), Value::Null);
        assert_eq!((reply.status, state(&rig, "k3s-1")), (202, json!("Deleting")));
        let url = reply.header(header).unwrap();
        let running = rig.poll(url);
        assert_eq!((running.status, running.header("retry-after")), (202, Some("3")));
        assert!(rig.azure.cluster(&cluster_id("k3s-1")).is_some());
        let done = rig.poll(url);
        match shape {
            Shape::Body => assert_eq!((done.status, done.body.len()), (204, 0)),
            _ => assert_eq!(done.json()["status"], "Succeeded"),
        }
        assert!(rig.azure.cluster(&cluster_id("k3s-1")).is_none());
        assert_eq!(rig.arm("DELETE", &at("k3s-1"), Value::Null).status, 204);
    }
    made(&rig, "k3s-1");
    assert_eq!(rig.arm("DELETE", &at("k3s-1"), Value::Null).status, 200);
}

#[test]
fn names_are_compared_without_regard_to_case() {
    let rig = Rig::new();
    made(&rig, "k3s-1");
    let other = cluster_id("K3S-1").replace("resourceGroups/edge-rg", "resourcegroups/EDGE-RG");
    assert_eq!(rig.get(&format!("{other}{VERSION}")).json()["name"], "k3s-1");
    assert_eq!(rig.arm("DELETE", &format!("{}{VERSION}", other.to_uppercase()), Value::Null).status, 200);
    assert!(rig.azure.clusters().is_empty());
}

#[test]
fn a_list_comes_in_pages_with_absolute_links() {
    let rig = Rig::new();
    (0..5).for_each(|n| rig.azure.seed_arc_cluster(&cluster_id(&format!("k3s-{n}"))));
    rig.azure.page_size(2);
    let list = cluster_id("").trim_end_matches('/').to_owned();
    let mut page = rig.get(&format!("{list}{VERSION}")).json();
    let mut names = Vec::new();
    loop {
        assert!(page["value"].as_array().unwrap().len() <= 2);
        names
            .extend(page["value"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["nextLink"].as_str() else { break };
        assert!(next.contains("$skipToken="), "{next}");
        page = rig.poll(next).json();
    }
    assert_eq!(names, ["k3s-0", "k3s-1", "k3s-2", "k3s-3", "k3s-4"]);
}

#[test]
fn tags_are_merged_replaced_and_removed_and_nothing_else_is_touched() {
    let rig = Rig::new();
    made(&rig, "k3s-1");
    let change = |operation: &str, tags: Value| {
        rig.arm("PATCH", &tags_at("k3s-1"), json!({ "operation": operation, "properties": { "tags": tags } }))
    };
    let shown = change("Merge", json!({ "a": "1" })).json();
    assert_eq!(shown["properties"]["tags"], json!({ "a": "1", "site": "store-17" }));
    assert_eq!(change("Delete", json!({ "site": "" })).json()["properties"]["tags"], json!({ "a": "1" }));
    assert_eq!(change("Replace", json!({ "b": "2" })).json()["properties"]["tags"], json!({ "b": "2" }));
    assert_eq!(rig.get(&tags_at("k3s-1")).json()["properties"]["tags"], json!({ "b": "2" }));
    assert_eq!(rig.azure.cluster(&cluster_id("k3s-1")).unwrap()["tags"], json!({ "b": "2" }));
    for (operation, tags) in [
        ("Upsert", json!({ "a": "1" })),
        ("Merge", json!({ "a": 1 })),
        ("Merge", json!({ "a": "x".repeat(257) })),
        ("Merge", json!({ "n".repeat(513): "x" })),
        ("Merge", json!({ "": "x" })),
        ("Merge", Value::Null),
    ] {
        assert_eq!(change(operation, tags.clone()).status, 400, "{operation} {tags}");
    }
    // With the one that is there it would be one too many.
    let many: serde_json::Map<String, Value> = (0..50).map(|n| (format!("t{n}"), json!("v"))).collect();
    assert_eq!(change("Merge", Value::Object(many.clone())).refusal().1, "InvalidTagValueLength");
    assert_eq!(change("Replace", Value::Object(many)).status, 200);
    assert_eq!(rig.get(&tags_at("absent")).status, 404);
}
