//! What an apply would change is told, by the server's own rehearsal, and nothing is changed by asking.

use super::{KUSTOMIZE, Keeper, OURS, SOURCES, on_each_server};
use crate::Rig;
use arclet::core::Outcome;
use arclet::core::difference::{Difference, ObjectDiff};
use arclet::core::document::ObjectRef;
use serde_json::{Value, json};
use std::time::Duration;

fn diff(rig: &Rig, objects: &[Value], noted: &[ObjectRef]) -> Vec<ObjectDiff> {
    rig.client.diff(OURS, objects, noted, Duration::from_secs(60)).unwrap()
}

/// Path, wanted, has.
fn fields(diff: &ObjectDiff) -> Vec<(&str, Value, Value)> {
    let value = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
    diff.fields.iter().map(|f| (f.path.as_str(), value(&f.wanted), value(&f.has))).collect()
}

#[test]
fn drift_is_told_field_by_field_with_who_did_it_and_looking_changes_nothing() {
    on_each_server("diff-drift", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [rig.source("source", "10m"), rig.kustomization("apps", &["base"])];
        keeper.enforced(&objects);
        assert_eq!(diff(rig, &objects, &keeper.noted), []);
        let mut edited = rig.source("source", "5m");
        edited["spec"]["ref"]["branch"] = json!("mine");
        rig.client.apply(&edited, "somebody-else", true).unwrap();
        let before = rig.flux(SOURCES, "GitRepository", "source").unwrap();

        let found = diff(rig, &objects, &keeper.noted);
        let [source] = &found[..] else { panic!("{found:?}") };
        assert_eq!(source.difference, Difference::Differs);
        assert_eq!(
            fields(source),
            [("spec.interval", json!("10m"), json!("5m")), ("spec.ref.branch", json!("main"), json!("mine"))]
        );
        assert!(source.fields.iter().all(|f| f.owner.as_deref() == Some("somebody-else")), "{source:?}");
        let after = rig.flux(SOURCES, "GitRepository", "source").unwrap();
        assert_eq!(before["metadata"]["resourceVersion"], after["metadata"]["resourceVersion"]);
        keeper.enforced(&objects);
        assert_eq!(diff(rig, &objects, &keeper.noted), []);
    });
}

#[test]
fn missing_left_over_and_foreign_objects_are_told_apart() {
    on_each_server("diff-sorts", |rig| {
        let mut keeper = Keeper::new(rig);
        let first = [rig.source("source", "10m"), rig.kustomization("old", &[])];
        keeper.enforced(&first);
        rig.client.apply(&rig.source("theirs", "1m"), "somebody-else", false).unwrap();
        rig.client.apply(&rig.source("alike", "10m"), "somebody-else", false).unwrap();
        let wanted = [
            rig.source("source", "10m"),
            rig.source("theirs", "10m"),
            rig.source("alike", "10m"),
            rig.kustomization("new", &[]),
        ];
        let found = diff(rig, &wanted, &keeper.noted);
        let sorts: Vec<_> = found.iter().map(|d| (d.object.name.as_str(), d.difference)).collect();
        assert_eq!(
            sorts,
            [
                ("theirs", Difference::Foreign),
                ("alike", Difference::Foreign),
                ("new", Difference::Missing),
                ("old", Difference::LeftOver),
            ]
        );
        assert_eq!(fields(&found[0]), [("spec.interval", json!("10m"), json!("1m"))]);
        let conflict = found[0].reason.as_ref().unwrap();
        assert!(conflict.message.contains(".spec.interval (somebody-else)"), "{conflict}");
        let counts: Vec<bool> = found.iter().map(ObjectDiff::counts).collect();
        assert_eq!(counts, [true, false, true, true], "what is alike does not differ");
        assert_eq!(rig.flux(KUSTOMIZE, "Kustomization", "new"), None);
        assert_eq!(diff(rig, &[], &keeper.noted).len(), 2, "nothing is wanted any more");
    });
}

#[test]
fn a_secret_differs_without_any_value_being_asked_for() {
    on_each_server("diff-secret", |rig| {
        let secret = |user: &str, password: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "auth", "namespace": rig.namespace},
                "data": {"username": user, "password": password}})
        };
        let mut keeper = Keeper::new(rig);
        keeper.enforced(&[secret("bWU=", "bWFyazE=")]);
        assert_eq!(diff(rig, &[secret("bWU=", "bWFyazE=")], &keeper.noted), []);
        // The real server keeps whole seconds.
        super::super::rest(Duration::from_millis(1_100));
        let rotated = diff(rig, &[secret("bWU=", "bWFyazI=")], &keeper.noted);
        assert_eq!(fields(&rotated[0]), [("data", Value::Null, Value::Null)]);
        rig.client.apply(&secret("bWU=", "bWFyazM="), "somebody-else", true).unwrap();
        let taken = diff(rig, &[secret("bWU=", "bWFyazE=")], &keeper.noted);
        assert_eq!(fields(&taken[0]), [("data.password", Value::Null, Value::Null)]);
        assert!(taken[0].fields[0].secret);
        let said = format!("{rotated:?}{taken:?}{}", json!([rotated, taken]));
        for value in ["bWFyazE=", "bWFyazI=", "bWFyazM=", "mark"] {
            assert!(!said.contains(value), "{said}");
        }
    });
}

#[test]
fn what_takes_too_long_ends_with_how_far_it_came() {
    on_each_server("diff-slow", |rig| {
        let objects = [rig.source("source", "10m")];
        let slow = rig.client.diff(OURS, &objects, &[], Duration::ZERO);
        let Err(Outcome::Unreachable(reason)) = slow else { panic!("{slow:?}") };
        assert_eq!(reason.code, "TooSlow");
        assert!(reason.message.contains("0 of 1"), "{reason}");
    });
}
