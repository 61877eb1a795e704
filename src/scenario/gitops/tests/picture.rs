//! What live objects say, in ARM's words.

use super::super::*;
use crate::core::document::Compliance::{self, *};
use serde_json::json;

fn document() -> Value {
    json!({"name": "fleet", "properties": {
        "namespace": "team", "sourceKind": "GitRepository", "gitRepository": {"url": "https://a/b"},
        "kustomizations": {"apps": {"dependsOn": ["infra"]}, "infra": {}},
    }})
}

/// An object as a controller leaves it: generation 2, with `Ready` about generation `seen`.
fn live(kind: &str, name: &str, status: &str, reason: &str, seen: i64) -> Value {
    let group = if kind == "Kustomization" { "kustomize" } else { "source" };
    json!({
        "apiVersion": format!("{group}.toolkit.fluxcd.io/v1"), "kind": kind,
        "metadata": {"name": name, "namespace": "team", "generation": 2, "finalizers": ["finalizers.fluxcd.io"]},
        "spec": {"suspend": false},
        "status": {"observedGeneration": seen, "conditions": [
            {"type": "Reconciling", "status": "True", "reason": "Progressing", "message": "no"},
            {"type": "Ready", "status": status, "reason": reason, "message": "in Flux's words", "observedGeneration": seen},
        ]},
    })
}

fn all_ready() -> Vec<Value> {
    let mut source = live("GitRepository", "fleet", "True", "Succeeded", 2);
    source["status"]["artifact"] = json!({"revision": "main@sha1:0ccaf23dcbb74a5bc2f0a4e2a4d8e6a0f0a1b2c3"});
    vec![
        live("Kustomization", "fleet-apps", "True", "ReconciliationSucceeded", 2),
        live("Kustomization", "fleet-infra", "True", "ReconciliationSucceeded", 2),
        source,
    ]
}

fn of(live: &[Value]) -> Picture {
    picture(document().to_string().as_bytes(), live, &[])
}

/// The compliance of the whole and of the kustomization `apps` when that one is `changed`.
fn with_apps(change: impl FnOnce(&mut Value)) -> (Compliance, Compliance) {
    let mut live = all_ready();
    change(&mut live[0]);
    let picture = of(&live);
    let apps = picture.statuses.iter().find(|s| s.name == "fleet-apps").unwrap();
    (picture.compliance, apps.compliance)
}

#[test]
fn all_ready_is_compliant_with_the_sources_revision_and_every_objects_own_words() {
    let picture = of(&all_ready());
    assert_eq!(picture.compliance, Compliant);
    assert_eq!(
        picture.source_revision.as_deref(),
        Some("main@sha1:0ccaf23dcbb74a5bc2f0a4e2a4d8e6a0f0a1b2c3")
    );
    let names: Vec<(&str, &str)> =
        picture.statuses.iter().map(|s| (s.kind.as_str(), s.name.as_str())).collect();
    let expected =
        [("GitRepository", "fleet"), ("Kustomization", "fleet-apps"), ("Kustomization", "fleet-infra")];
    assert_eq!(names, expected);
    assert_eq!(picture.statuses[0].ready, Some(Reason::new("Succeeded", "in Flux's words")));
}

#[test]
fn one_that_says_it_is_not_ready_makes_the_whole_non_compliant_as_azure_shows_it() {
    for reason in ["DependencyNotReady", "ProgressingWithRetry", "ReconciliationFailed"] {
        let apps = with_apps(|apps| *apps = live("Kustomization", "fleet-apps", "False", reason, 2));
        assert_eq!(apps, (NonCompliant, NonCompliant), "{reason}");
    }
}

#[test]
fn what_is_ready_for_an_older_generation_is_pending() {
    for status in ["True", "False"] {
        let apps = with_apps(|apps| *apps = live("Kustomization", "fleet-apps", status, "Old", 1));
        assert_eq!(apps, (Pending, Pending));
    }
    // Older versions of Flux say it once for the whole status only.
    let apps = with_apps(|apps| {
        let condition = apps.pointer_mut("/status/conditions/1").and_then(Value::as_object_mut);
        condition.unwrap().remove("observedGeneration");
    });
    assert_eq!(apps, (Compliant, Compliant));
}

#[test]
fn what_is_under_way_or_going_or_not_there_yet_is_pending() {
    let under_way =
        with_apps(|apps| *apps = live("Kustomization", "fleet-apps", "Unknown", "Progressing", 2));
    assert_eq!(under_way, (Pending, Pending));
    let going = with_apps(|apps| apps["metadata"]["deletionTimestamp"] = json!("2026-11-23T06:00:00Z"));
    assert_eq!(going, (Pending, Pending));
    let picture = of(&all_ready()[1..]);
    assert_eq!((picture.compliance, picture.statuses[1].compliance), (Pending, Pending));
    assert_eq!(picture.statuses[1].ready, None);
}

#[test]
fn what_no_controller_has_taken_up_is_unknown_and_what_one_has_is_pending() {
    let fresh = |apps: &mut Value| apps["status"] = json!({"observedGeneration": -1});
    assert_eq!(with_apps(fresh), (Pending, Pending));
    let untouched = with_apps(|apps| {
        fresh(apps);
        apps["metadata"].as_object_mut().unwrap().remove("finalizers");
    });
    assert_eq!(untouched, (Unknown, Unknown));
}

#[test]
fn a_document_that_says_suspend_is_suspended_whatever_its_objects_say() {
    let mut document = document();
    document["properties"]["suspend"] = json!(true);
    let live = [live("GitRepository", "fleet", "False", "Failed", 2)];
    let picture = picture(document.to_string().as_bytes(), &live, &[]);
    assert_eq!(picture.compliance, Suspended);
    assert_eq!(picture.statuses[0].compliance, NonCompliant);
}

#[test]
fn an_object_that_somebody_suspended_by_hand_does_not_pass_for_compliant() {
    assert_eq!(with_apps(|apps| apps["spec"]["suspend"] = json!(true)), (Suspended, Suspended));
}

#[test]
fn objects_of_other_documents_namespaces_and_groups_say_nothing() {
    let mut others = all_ready();
    for (at, field, value) in [
        (0, "/metadata/namespace", json!("other")),
        (1, "/apiVersion", json!("example.com/v1")),
        (2, "/metadata/name", json!("fleet2")),
    ] {
        *others[at].pointer_mut(field).unwrap() = value;
    }
    let picture = of(&others);
    assert_eq!(picture.compliance, Pending);
    assert!(picture.statuses.iter().all(|s| s.ready.is_none()), "{picture:?}");
    assert_eq!(picture.source_revision, None);
}

#[test]
fn a_document_that_is_not_understood_has_an_unknown_picture_without_objects() {
    let picture = picture(b"{", &all_ready(), &[]);
    assert_eq!((picture.compliance, picture.statuses.len()), (Unknown, 0));
}

#[test]
fn a_message_of_any_length_is_cut_between_characters() {
    let mut live = all_ready();
    live[0]["status"]["conditions"][1]["message"] = json!("ö".repeat(40_000));
    let picture = of(&live);
    let message = &picture.statuses[1].ready.as_ref().unwrap().message;
    assert_eq!(message.chars().count(), 1001);
    assert!(message.ends_with('…'));
}

fn inventory(entries: &[(&str, &str)]) -> Vec<Value> {
    let mut live = all_ready();
    let entries: Vec<Value> = entries.iter().map(|(id, v)| json!({"id": id, "v": v})).collect();
    live[0]["status"]["inventory"] = json!({"entries": entries});
    live
}

#[test]
fn the_helm_releases_of_a_kustomization_s_inventory_are_shown_with_who_made_them_and_what_failed() {
    let live = inventory(&[
        ("team_web_apps_Deployment", "v1"),
        ("data_redis_helm.toolkit.fluxcd.io_HelmRelease", "v2"),
        ("data_gone_helm.toolkit.fluxcd.io_HelmRelease", "v2beta1"),
        ("data_secret_helm.toolkit.fluxcd.io_HelmRelease", "v2"),
    ]);
    let found = releases(&live);
    let names: Vec<(&str, &str)> = found.iter().map(|r| (r.name.as_str(), r.version.as_str())).collect();
    assert_eq!(names, [("redis", "v2"), ("gone", "v2beta1"), ("secret", "v2")]);
    let mut redis = self::live("HelmRelease", "redis", "False", "UpgradeFailed", 2);
    redis["status"]["failures"] = json!(3);
    redis["status"]["upgradeFailures"] = json!(2);
    redis["status"]["helmChart"] = json!("team/data-redis");
    redis["status"]["history"] = json!([{"version": 7}, {"version": 6}]);
    let forbidden = Reason::new("Forbidden", "no role");
    let seen = [Ok(Some(redis)), Ok(None), Err(forbidden.clone())];
    let seen: Vec<(Release, Seen)> = found.into_iter().zip(seen).collect();
    let picture = picture(document().to_string().as_bytes(), &live, &seen);
    assert_eq!(picture.compliance, NonCompliant, "the whole is no better than what it made");
    let [.., redis, gone, secret] = &picture.statuses[..] else { panic!("{picture:?}") };
    assert_eq!((redis.compliance, gone.compliance, secret.compliance), (NonCompliant, Pending, Unknown));
    assert_eq!((&secret.ready, &gone.helm_release_properties), (&Some(forbidden), &None));
    // As ARM writes it.
    assert_eq!(
        serde_json::to_value(redis).unwrap(),
        json!({
            "kind": "HelmRelease", "namespace": "data", "name": "redis", "compliance": "Non-Compliant",
            "ready": {"code": "UpgradeFailed", "message": "in Flux's words", "next_step": ""},
            "appliedBy": {"name": "fleet-apps", "namespace": "team"},
            "helmReleaseProperties": {
                "failureCount": 3, "installFailureCount": 0, "upgradeFailureCount": 2, "lastRevisionApplied": 7,
                "helmChartRef": {"name": "data-redis", "namespace": "team"},
            },
        })
    );
}

#[test]
fn an_inventory_leads_nowhere_but_to_helm_releases_and_to_a_bounded_number_of_them() {
    for (id, v) in [
        ("../x_y_helm.toolkit.fluxcd.io_HelmRelease", "v2"),
        ("a_b?c_helm.toolkit.fluxcd.io_HelmRelease", "v2"),
        ("a_b_helm.toolkit.fluxcd.io_HelmRelease", "v2/x"),
        ("a_b_helm.toolkit.fluxcd.io_HelmRelease_more", "v2"),
        ("_b_helm.toolkit.fluxcd.io_HelmRelease", "v2"),
        ("a_b_helm.cattle.io_HelmRelease", "v2"),
        ("a_b", "v2"),
        ("", ""),
    ] {
        assert_eq!(releases(&inventory(&[(id, v)])), [], "{id}");
    }
    let many: Vec<String> = (0..500).map(|n| format!("a_r{n}_helm.toolkit.fluxcd.io_HelmRelease")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "v2")).collect();
    assert_eq!(releases(&inventory(&many)).len(), MOST_RELEASES);
}
