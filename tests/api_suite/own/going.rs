//! How a document's objects go: in order, only ours, and what is left says why.

use super::{KUSTOMIZE, Keeper, OURS, left};
use crate::on_each_server;
use arclet::core::document::ObjectRef;
use arclet::k3s::own::{KEEP, LEAVING, OTHER_DOCUMENT, WAITS};
use serde_json::json;

#[test]
fn what_is_not_wanted_any_more_goes_and_what_two_documents_want_stays_with_the_first() {
    on_each_server("renamed", |rig| {
        let mut keeper = Keeper::new(rig);
        keeper.enforced(&[rig.source("source", "10m"), rig.kustomization("old", &[])]);
        let mut other = Keeper::new(rig);
        let theirs = other.try_enforce("flux/other", &[rig.source("source", "1h")]).unwrap();
        assert_eq!(left(&theirs.refused), [("source", OTHER_DOCUMENT)]);
        assert!(theirs.refused[0].1.message.contains(OURS), "{:?}", theirs.refused);
        assert_eq!((other.noted.len(), rig.interval("source")), (0, Some(json!("10m"))));
        keeper.enforced(&[rig.source("source", "10m"), rig.kustomization("new", &[])]);
        assert_eq!(keeper.names(), ["GitRepository source", "Kustomization new"]);
        assert_eq!(rig.flux(KUSTOMIZE, "Kustomization", "old"), None);
        assert_eq!(keeper.withdraw(), []);
    });
}

#[test]
fn nothing_goes_before_what_needs_it_and_what_is_left_says_what_it_waits_for() {
    on_each_server("order", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [
            rig.source("source", "10m"),
            rig.kustomization("base", &[]),
            rig.kustomization("apps", &["base"]),
        ];
        keeper.enforced(&objects);
        rig.hold(&objects[2], true);
        let waiting = keeper.withdraw();
        assert_eq!(left(&waiting), [("source", WAITS), ("base", WAITS), ("apps", LEAVING)]);
        assert!(waiting[2].1.message.contains("suite.example.com/clean-up"), "{:?}", waiting[2]);
        assert!(waiting[1].1.message.contains("Kustomization suite-order"), "{:?}", waiting[1]);
        assert_eq!(left(&keeper.withdraw()).len(), 3, "asking again changes nothing");
        // What is on its way out cannot be enforced; it is made anew when it is away.
        let owned = keeper.enforce(&objects);
        assert_eq!((left(&owned.refused), owned.refs.len()), (vec![("apps", LEAVING)], 3));
        rig.hold(&objects[2], false);
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.interval("source"), None);
    });
}

#[test]
fn kustomizations_that_need_each_other_in_a_circle_go_all_the_same() {
    on_each_server("circle", |rig| {
        let mut keeper = Keeper::new(rig);
        // In the wrong order too.
        keeper.enforced(&[
            rig.kustomization("a", &["b"]),
            rig.kustomization("b", &["a"]),
            rig.source("source", "1m"),
        ]);
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.flux(KUSTOMIZE, "Kustomization", "a"), None);
    });
}

#[test]
fn what_is_to_be_kept_is_made_once_then_left_alone_and_never_removed() {
    on_each_server("keep", |rig| {
        let mut keeper = Keeper::new(rig);
        let mut kept = rig.config_map("kept", json!({"one": "1"}));
        kept["metadata"]["annotations"] = json!({KEEP: "true"});
        keeper.enforced(std::slice::from_ref(&kept));
        rig.client.apply(&rig.config_map("kept", json!({"one": "2"})), "somebody-else", true).unwrap();
        let owned = keeper.enforced(std::slice::from_ref(&kept));
        assert_eq!((owned.refs.len(), owned.live.len()), (0, 1));
        keeper.enforced(&[]);
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.get("ConfigMap", "kept").unwrap()["data"], json!({"one": "2"}));
    });
}

#[test]
fn an_object_is_found_again_when_its_version_is_served_no_more_and_is_gone_with_its_kind() {
    on_each_server("versions", |rig| {
        let served = rig.client.served().unwrap();
        assert_eq!(served["kustomize.toolkit.fluxcd.io"][0], "v1");
        assert!(served.contains_key("source.toolkit.fluxcd.io"), "{served:?}");
        let mut keeper = Keeper::new(rig);
        keeper.enforced(&[rig.source("source", "10m")]);
        keeper.noted[0].api_version = "source.toolkit.fluxcd.io/v1alpha7".into();
        let chart = ObjectRef { api_version: "helm.example.com/v1".into(), ..keeper.noted[0].clone() };
        keeper.noted.push(chart);
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.interval("source"), None);
    });
}
