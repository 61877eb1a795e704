//! fluxConfigurations and extensions of a cluster, as a client makes, reads and removes them, and as they grow old.

use crate::rig::{Reply, Rig};
use azure_standin::{DEVICE, cluster_id};
use serde_json::{Value, json};
use std::time::Duration;

const FLUX: &str = "?api-version=2025-04-01";
const EXTENSIONS: &str = "?api-version=2025-03-01";
const HOURS: Duration = Duration::from_secs(3600);

fn of(kind: &str) -> String {
    format!("{}/providers/Microsoft.KubernetesConfiguration/{kind}", cluster_id("k3s-1"))
}

fn flux(name: &str) -> String {
    format!("{}/{name}{FLUX}", of("fluxConfigurations"))
}

fn extension(name: &str) -> String {
    format!("{}/{name}{EXTENSIONS}", of("extensions"))
}

/// A stand-in whose cluster is there.
fn rig() -> Rig {
    let rig = Rig::new();
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    rig
}

fn git() -> Value {
    json!({"properties": {
        "namespace": "apps", "sourceKind": "GitRepository", "gitRepository": {"url": "https://git.example/r", "repositoryRef": {"branch": "main"}},
        "kustomizations": {"infra": {"path": "./infra", "prune": true}, "apps": {"path": "./apps", "dependsOn": ["infra"]}},
        "configurationProtectedSettings": {"httpsKey": "bWFyaw=="}, "complianceState": "Compliant", "statuses": [{"name": "x"}], "invented": 1,
    }})
}

fn monitor() -> Value {
    json!({"identity": {"type": "SystemAssigned"}, "properties": {
        "extensionType": "azuremonitor-containers", "autoUpgradeMinorVersion": false, "version": "3.1.9", "configurationSettings": {"a": "b"},
        "configurationProtectedSettings": {"k": "bWFyaw=="}, "currentVersion": "9", "provisioningState": "Succeeded",
    }})
}

fn state(reply: &Reply) -> Value {
    reply.json()["properties"]["provisioningState"].clone()
}

#[test]
fn a_configuration_is_made_with_what_a_client_may_write_and_stays_creating() {
    let rig = rig();
    let made = rig.arm("PUT", &flux("config"), git());
    assert_eq!((made.status, state(&made)), (201, json!("Creating")));
    let operation = made.header("azure-asyncoperation").unwrap().to_owned();
    assert!(operation.contains("/fluxConfigurations/config/operations/"), "{operation}");
    for _ in 0..3 {
        let status = rig.poll(&operation);
        assert_eq!((status.status, &status.json()["status"]), (200, &json!("Creating")));
    }
    let shown = rig.get(&flux("config")).json();
    assert_eq!(shown["type"], "Microsoft.KubernetesConfiguration/fluxConfigurations");
    assert!(shown.get("location").is_none() && shown.get("tags").is_none(), "{shown}");
    assert!(shown["systemData"]["createdAt"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    let properties = &shown["properties"];
    assert_eq!(
        properties["kustomizations"]["apps"],
        json!({"name": "apps", "path": "./apps", "dependsOn": ["infra"]})
    );
    // What Azure fills in, and what only Microsoft's agents would have written.
    assert_eq!((&properties["scope"], &properties["suspend"]), (&json!("cluster"), &json!(false)));
    assert_eq!((&properties["complianceState"], &properties["statuses"]), (&json!("Pending"), &json!([])));
    assert_eq!(properties.get("invented"), None);
}

#[test]
fn protected_settings_are_given_back_by_nothing() {
    let rig = rig();
    rig.azure.put_flux(&cluster_id("k3s-1"), "seeded", git()["properties"].clone());
    let replies = [
        rig.arm("PUT", &flux("config"), git()),
        rig.arm("PUT", &extension("mon"), monitor()),
        rig.arm(
            "PATCH",
            &flux("config"),
            json!({"properties": {"configurationProtectedSettings": {"httpsKey": "bWFyaw=="}}}),
        ),
        rig.arm(
            "PATCH",
            &extension("mon"),
            json!({"properties": {"configurationProtectedSettings": {"k": "bWFyaw=="}}}),
        ),
        rig.get(&flux("config")),
        rig.get(&extension("mon")),
        rig.get(&flux("")),
        rig.get(&extension("")),
        rig.get(&flux("seeded")),
    ];
    for reply in replies {
        assert!(reply.status < 300, "{reply:?}");
        assert!(!String::from_utf8(reply.body).unwrap().contains("bWFyaw"));
    }
}

#[test]
fn what_nobody_picked_up_in_48_hours_has_failed_and_a_new_put_begins_again() {
    let rig = rig();
    let operation = rig.arm("PUT", &flux("config"), git()).header("azure-asyncoperation").unwrap().to_owned();
    rig.arm("PUT", &extension("mon"), monitor());
    rig.azure.advance(47 * HOURS);
    assert_eq!(state(&rig.get(&flux("config"))), "Creating");
    rig.azure.advance(HOURS);
    let (config, mon) = (rig.get(&flux("config")), rig.get(&extension("mon")));
    assert_eq!((state(&config), state(&mon)), (json!("Failed"), json!("Failed")));
    assert_ne!(config.json()["properties"]["errorMessage"], "");
    assert!(mon.json()["properties"]["errorInfo"]["message"].is_string());
    let status = rig.poll(&operation).json();
    assert_eq!((&status["status"], status["error"]["code"].is_string()), (&json!("Failed"), true));
    let again = rig.arm("PUT", &flux("config"), git());
    assert_eq!((again.status, state(&again)), (200, json!("Updating")));
    assert_eq!(again.json()["properties"]["errorMessage"], "");
    assert_eq!(again.json()["systemData"]["createdAt"], config.json()["systemData"]["createdAt"]);
    rig.azure.advance(48 * HOURS);
    assert_eq!(state(&rig.get(&flux("config"))), "Failed");
}

#[test]
fn a_deletion_stays_deleting_until_it_is_forced() {
    let rig = rig();
    for (path, body) in [(flux("config"), git()), (extension("mon"), monitor())] {
        rig.arm("PUT", &path, body.clone());
        let begun = rig.arm("DELETE", &path, Value::Null);
        assert_eq!(begun.status, 202);
        let operation = begun.header("azure-asyncoperation").unwrap();
        rig.azure.advance(480 * HOURS);
        assert_eq!(state(&rig.get(&path)), "Deleting");
        assert_eq!(rig.poll(operation).json()["status"], "Deleting");
        // Nothing brings it back meanwhile.
        assert_eq!(rig.arm("PUT", &path, body.clone()).refusal(), (409, "Conflict".into()));
        assert_eq!(rig.arm("DELETE", &format!("{path}&forceDelete=true"), Value::Null).status, 202);
        assert_eq!(rig.get(&path).refusal(), (404, "ResourceNotFound".into()));
        assert_eq!(rig.arm("DELETE", &path, Value::Null).status, 204);
        assert_eq!(rig.arm("PUT", &path, body).status, 201);
    }
}

#[test]
fn a_patch_merges_and_removes_the_kustomization_that_is_null() {
    let rig = rig();
    rig.arm("PUT", &flux("config"), git());
    let change = json!({"properties": {"gitRepository": {"url": "https://git.example/new"}, "kustomizations": {"infra": {"prune": false}, "apps": null}}});
    let reply = rig.arm("PATCH", &flux("config"), change);
    assert_eq!((reply.status, state(&reply)), (202, json!("Updating")));
    assert!(reply.header("azure-asyncoperation").is_some());
    let properties = rig.get(&flux("config")).json()["properties"].clone();
    // What was not written is shown as null.
    let reference = json!({"branch": "main", "tag": null, "semver": null, "commit": null});
    assert_eq!(
        properties["gitRepository"],
        json!({"url": "https://git.example/new", "repositoryRef": reference})
    );
    assert_eq!(
        properties["kustomizations"],
        json!({"infra": {"name": "infra", "path": "./infra", "prune": false}})
    );
    for refused in [json!({"properties": {"scope": "namespace"}}), json!({"location": "x"})] {
        assert_eq!(rig.arm("PATCH", &flux("config"), refused).status, 400);
    }
    assert_eq!(rig.arm("PATCH", &extension("mon"), json!({"properties": {"version": "1"}})).status, 404);
}

#[test]
fn what_lacks_something_or_changes_what_is_made_once_is_refused() {
    let rig = rig();
    let with = |mut body: Value, name: &str, value: Value| {
        body["properties"][name] = value;
        body
    };
    for (path, body) in [
        (flux("config"), json!({})),
        (flux("config"), with(git(), "sourceKind", json!("Tomorrow"))),
        (flux("config"), with(git(), "sourceKind", json!("Bucket"))),
        (extension("mon"), with(monitor(), "extensionType", Value::Null)),
    ] {
        assert_eq!(rig.arm("PUT", &path, body).refusal(), (400, "InvalidRequestContent".into()));
        assert_eq!(rig.get(&path).status, 404);
    }
    // A source's kind that is not said is git.
    let made = rig.arm("PUT", &flux("config"), with(git(), "sourceKind", Value::Null));
    assert_eq!((made.status, &made.json()["properties"]["sourceKind"]), (201, &json!("GitRepository")));
    assert_eq!(rig.arm("PUT", &flux("config"), with(git(), "namespace", json!("other"))).status, 400);
    let old = format!("{}/config?api-version=2019-01-01", of("fluxConfigurations"));
    assert_eq!(rig.get(&old).refusal(), (400, "InvalidApiVersionParameter".into()));
    assert_eq!(rig.arm("POST", &flux("config"), Value::Null).status, 405);
    rig.azure.set_provider("Microsoft.KubernetesConfiguration", "NotRegistered");
    assert_eq!(
        rig.arm("PUT", &flux("config"), git()).refusal(),
        (409, "MissingSubscriptionRegistration".into())
    );
}

#[test]
fn a_cluster_that_is_gone_takes_its_documents_with_it_and_answers_as_a_document_would() {
    let rig = rig();
    rig.arm("PUT", &flux("config"), git());
    let created =
        |rig: &Rig| rig.azure.cluster(&cluster_id("k3s-1")).unwrap()["systemData"]["createdAt"].clone();
    let first = created(&rig);
    assert!(rig.azure.remove_cluster(&cluster_id("K3S-1")));
    for path in [flux("config"), flux("")] {
        assert_eq!(rig.get(&path).refusal(), (404, "ResourceNotFound".into()));
    }
    rig.azure.seed_arc_cluster(&cluster_id("k3s-1"));
    assert_eq!(rig.get(&flux("")).json(), json!({"value": [], "nextLink": null}));
    assert_ne!(created(&rig), first);
    rig.azure.remove_group();
    assert_eq!(rig.get(&flux("")).refusal(), (404, "ResourceGroupNotFound".into()));
}

#[test]
fn the_device_reads_what_is_wanted_of_its_own_cluster_and_changes_none_of_it() {
    let rig = rig();
    rig.azure.seed_arc_cluster(&cluster_id("other"));
    rig.azure.put_extension(&cluster_id("k3s-1"), "mon", json!({"extensionType": "t"}));
    assert_eq!(rig.arm_as(DEVICE, "GET", &extension("mon"), Value::Null).status, 200);
    assert_eq!(rig.arm_as(DEVICE, "GET", &flux(""), Value::Null).status, 200);
    let refused = (403, "AuthorizationFailed".to_owned());
    assert_eq!(rig.arm_as(DEVICE, "PUT", &flux("config"), git()).refusal(), refused);
    assert_eq!(rig.arm_as(DEVICE, "DELETE", &extension("mon"), Value::Null).refusal(), refused);
    let others = flux("").replace("k3s-1", "other");
    assert_eq!(rig.arm_as(DEVICE, "GET", &others, Value::Null).refusal(), refused);
}

#[test]
fn what_a_test_puts_there_is_shown_as_it_is_also_with_tomorrows_values() {
    let rig = rig();
    let cluster = cluster_id("k3s-1");
    rig.azure.put_flux(
        &cluster,
        "later",
        json!({"sourceKind": "Tomorrow", "provisioningState": "Succeeded", "complianceState": "Compliant"}),
    );
    rig.azure.advance(480 * HOURS);
    let shown = rig.get(&flux("LATER")).json();
    assert_eq!(shown["properties"]["sourceKind"], "Tomorrow");
    assert_eq!(shown["properties"]["provisioningState"], "Succeeded");
    assert_eq!(rig.azure.flux(&cluster, "later"), Some(shown));
    assert!(rig.azure.delete_flux(&cluster, "Later") && !rig.azure.delete_flux(&cluster, "later"));
    assert_eq!(rig.get(&flux("later")).status, 404);
}
