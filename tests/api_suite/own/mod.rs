//! A document's objects: whose they are and how drift ends; how they go is in `going`.

mod diff;
mod going;

use super::{Rig, on_each_server};
use arclet::core::document::ObjectRef;
use arclet::core::{Outcome, Reason};
use arclet::k3s::own::{DOCUMENT, KEEP, Owned};
use arclet::k3s::{Deleted, code};
use serde_json::{Value, json};

const SOURCES: &str = "source.toolkit.fluxcd.io/v1";
const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io/v1";
/// The document of most tests.
const OURS: &str = "flux/suite";

/// What a document asks for and what was noted of it: the part of the agent.
struct Keeper<'a> {
    rig: &'a Rig,
    noted: Vec<ObjectRef>,
    notes: Vec<Vec<ObjectRef>>,
}

impl<'a> Keeper<'a> {
    fn new(rig: &'a Rig) -> Keeper<'a> {
        Keeper { rig, noted: Vec::new(), notes: Vec::new() }
    }

    fn try_enforce(&mut self, document: &str, objects: &[Value]) -> Result<Owned, Outcome> {
        let notes = &mut self.notes;
        let owned = self.rig.client.enforce(document, objects, &self.noted, &mut |list| {
            notes.push(list.to_vec());
            Ok(())
        })?;
        self.noted = owned.refs.clone();
        Ok(owned)
    }

    fn enforce(&mut self, objects: &[Value]) -> Owned {
        self.try_enforce(OURS, objects).unwrap()
    }

    /// All are as they are wanted.
    #[track_caller]
    fn enforced(&mut self, objects: &[Value]) -> Owned {
        let owned = self.enforce(objects);
        assert_eq!(owned.refused, []);
        owned
    }

    fn withdraw(&self) -> Vec<(ObjectRef, Reason)> {
        self.rig.client.withdraw(OURS, &self.noted).unwrap()
    }

    /// Kind and name of what was noted.
    fn names(&self) -> Vec<String> {
        names(&self.noted)
    }
}

fn names(references: &[ObjectRef]) -> Vec<String> {
    references.iter().map(|r| format!("{} {}", r.kind, r.name)).collect()
}

/// Name and code of what is left, in order.
fn left(withdrawn: &[(ObjectRef, Reason)]) -> Vec<(&str, &str)> {
    withdrawn.iter().map(|(r, reason)| (r.name.as_str(), reason.code.as_str())).collect()
}

impl Rig {
    fn source(&self, name: &str, interval: &str) -> Value {
        json!({"apiVersion": SOURCES, "kind": "GitRepository",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"url": "https://git.example.com/fleet", "interval": interval, "ref": {"branch": "main"}}})
    }

    fn kustomization(&self, name: &str, after: &[&str]) -> Value {
        let depends_on: Vec<Value> = after.iter().map(|name| json!({"name": name})).collect();
        json!({"apiVersion": KUSTOMIZE, "kind": "Kustomization",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"interval": "10m", "prune": true, "path": "./apps", "dependsOn": depends_on,
                "sourceRef": {"kind": "GitRepository", "name": "source"}}})
    }

    fn flux(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        let resource = self.client.resource(api_version, kind).unwrap();
        self.client.get(&resource, Some(&self.namespace), name).unwrap()
    }

    fn interval(&self, name: &str) -> Option<Value> {
        self.flux(SOURCES, "GitRepository", name).map(|object| object["spec"]["interval"].clone())
    }

    /// Gives an object a finalizer, as its controller does, or takes it away.
    fn hold(&self, object: &Value, held: bool) {
        let finalizers = if held { json!(["suite.example.com/clean-up"]) } else { json!([]) };
        let hold = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {
            "name": object["metadata"]["name"], "namespace": self.namespace, "finalizers": finalizers}});
        self.client.apply(&hold, "a-controller", true).unwrap();
    }
}

#[test]
fn objects_are_noted_before_they_are_made_and_a_repetition_changes_and_notes_nothing() {
    on_each_server("make", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [rig.source("source", "10m"), rig.kustomization("apps", &[])];
        let first = keeper.enforced(&objects);
        assert_eq!(names(&keeper.notes[0]), ["GitRepository source", "Kustomization apps"]);
        assert!(keeper.notes[0].iter().all(|noted| noted.uid.is_none()), "{:?}", keeper.notes);
        assert_eq!(keeper.names(), ["GitRepository source", "Kustomization apps"]);
        for (live, reference) in first.live.iter().zip(&first.refs) {
            assert_eq!(live["metadata"]["uid"].as_str(), reference.uid.as_deref());
            assert_eq!(live["metadata"]["labels"]["app.kubernetes.io/managed-by"], "arclet");
            assert_eq!(live["metadata"]["annotations"][DOCUMENT], OURS);
        }
        // Flux's CRDs have a default in the status, which a real server writes down with the first apply after the making.
        let again = keeper.enforced(&objects);
        let once_more = keeper.enforced(&objects);
        assert_eq!(once_more.refs, first.refs);
        let version = |owned: &Owned| owned.live[0]["metadata"]["resourceVersion"].clone();
        assert_eq!(version(&once_more), version(&again));
        assert_eq!(keeper.notes.len(), 1, "nothing was to be made");
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.interval("source"), None);
    });
}

#[test]
fn what_others_change_or_delete_of_ours_is_set_right() {
    on_each_server("drift", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [rig.source("source", "10m"), rig.kustomization("apps", &[])];
        keeper.enforced(&objects);
        rig.client.apply(&rig.source("source", "1h"), "somebody-else", true).unwrap();
        assert_eq!(rig.interval("source"), Some(json!("1h")));
        let kustomization = rig.client.resource(KUSTOMIZE, "Kustomization").unwrap();
        assert_eq!(rig.client.delete(&kustomization, Some(&rig.namespace), "apps", None), Ok(Deleted::Yes));
        let before = keeper.noted.clone();
        keeper.enforced(&objects);
        assert_eq!(rig.interval("source"), Some(json!("10m")));
        assert_eq!(keeper.noted[0], before[0]);
        assert_ne!(keeper.noted[1].uid, before[1].uid, "it was made anew");
        assert_eq!(keeper.withdraw(), []);
    });
}

#[test]
fn a_field_of_somebody_elses_object_is_refused_in_the_servers_words_and_the_rest_goes_on() {
    on_each_server("theirs", |rig| {
        rig.apply(&rig.source("source", "1h"), "somebody-else").unwrap();
        let mut keeper = Keeper::new(rig);
        let owned = keeper.enforce(&[rig.source("source", "10m"), rig.kustomization("apps", &[])]);
        let [(reference, reason)] = &owned.refused[..] else { panic!("{:?}", owned.refused) };
        assert_eq!((reference.name.as_str(), reason.code.as_str()), ("source", code::FIELD_CONFLICT));
        assert!(reason.message.contains(".spec.interval (somebody-else)"), "{reason}");
        assert_eq!(keeper.names(), ["Kustomization apps"], "theirs is never noted as ours");
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.interval("source"), Some(json!("1h")));
    });
}

#[test]
fn somebody_elses_object_that_is_as_wanted_stays_theirs_and_gets_no_mark() {
    on_each_server("agree", |rig| {
        rig.apply(&rig.source("source", "10m"), "somebody-else").unwrap();
        let mut keeper = Keeper::new(rig);
        let owned = keeper.enforced(&[rig.source("source", "10m")]);
        assert_eq!((owned.refs.len(), owned.live.len()), (0, 1));
        assert_eq!(owned.live[0]["metadata"]["labels"]["app.kubernetes.io/managed-by"], Value::Null);
        keeper.enforced(&[]);
        assert_eq!(keeper.withdraw(), []);
        assert!(rig.interval("source").is_some());
    });
}

#[test]
fn after_a_crash_between_the_note_and_the_making_the_marks_say_whose_it_is() {
    on_each_server("crash", |rig| {
        let mut keeper = Keeper::new(rig);
        keeper.enforced(&[rig.source("source", "10m")]);
        // The answer was lost: what stands is the note.
        keeper.noted = keeper.notes[0].clone();
        rig.client.apply(&rig.source("source", "1h"), "somebody-else", true).unwrap();
        // Of a note without a UID somebody else may have made the object.
        rig.apply(&rig.source("other", "1h"), "somebody-else").unwrap();
        keeper.noted.push(ObjectRef { name: "other".into(), ..keeper.noted[0].clone() });
        let owned = keeper.enforce(&[rig.source("source", "10m"), rig.source("other", "10m")]);
        assert_eq!(left(&owned.refused), [("other", code::FIELD_CONFLICT)]);
        assert_eq!(rig.interval("source"), Some(json!("10m")));
        assert!(keeper.noted[0].uid.is_some());
        // And once more without any answer at all, straight to the withdrawal.
        keeper.noted = keeper.notes[0].clone();
        keeper.noted.push(ObjectRef { name: "other".into(), ..keeper.noted[0].clone() });
        assert_eq!(keeper.withdraw(), []);
        assert_eq!((rig.interval("source"), rig.interval("other")), (None, Some(json!("1h"))));
    });
}

#[test]
fn an_object_with_our_marks_but_another_uid_is_not_ours() {
    on_each_server("replaced", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [rig.source("source", "10m")];
        let mut copy = keeper.enforced(&objects).live[0].clone();
        let kind = rig.client.resource(SOURCES, "GitRepository").unwrap();
        assert_eq!(rig.client.delete(&kind, Some(&rig.namespace), "source", None), Ok(Deleted::Yes));
        // A backup is played back, with another interval.
        let metadata = copy["metadata"].as_object_mut().unwrap();
        metadata.retain(|name, _| ["name", "namespace", "labels", "annotations"].contains(&name.as_str()));
        copy["spec"]["interval"] = json!("1h");
        copy.as_object_mut().unwrap().remove("status");
        rig.apply(&copy, "a-backup").unwrap();
        assert_eq!(keeper.withdraw(), [], "what was ours is gone");
        let owned = keeper.enforce(&objects);
        assert_eq!(left(&owned.refused), [("source", code::FIELD_CONFLICT)]);
        assert_eq!((owned.refs.len(), rig.interval("source")), (0, Some(json!("1h"))));
    });
}

#[test]
fn who_takes_our_label_off_takes_the_object_over() {
    on_each_server("hands-off", |rig| {
        let mut keeper = Keeper::new(rig);
        let objects = [rig.source("source", "10m")];
        keeper.enforced(&objects);
        let mut mine = rig.source("source", "1h");
        mine["metadata"]["labels"] = json!({"app.kubernetes.io/managed-by": "somebody-else"});
        rig.client.apply(&mine, "somebody-else", true).unwrap();
        let owned = keeper.enforce(&objects);
        assert_eq!(left(&owned.refused), [("source", code::FIELD_CONFLICT)]);
        assert_eq!((keeper.noted.len(), rig.interval("source")), (0, Some(json!("1h"))));
    });
}

#[test]
fn what_cannot_be_noted_is_not_made_and_what_is_there_is_still_kept_right() {
    on_each_server("unnoted", |rig| {
        let mut keeper = Keeper::new(rig);
        keeper.enforced(&[rig.source("source", "10m")]);
        rig.client.apply(&rig.source("source", "1h"), "somebody-else", true).unwrap();
        let objects = [rig.source("source", "10m"), rig.kustomization("apps", &[])];
        let full = Reason::new("DiskFull", "the store is full");
        let owned = rig.client.enforce(OURS, &objects, &keeper.noted, &mut |_| Err(full.clone())).unwrap();
        assert_eq!(left(&owned.refused), [("apps", "DiskFull")]);
        assert_eq!(owned.refs, keeper.noted);
        assert_eq!(rig.interval("source"), Some(json!("10m")));
        assert_eq!(rig.flux(KUSTOMIZE, "Kustomization", "apps"), None);
    });
}

#[test]
fn an_object_that_the_server_cannot_take_is_refused_and_the_others_go_on() {
    on_each_server("refused", |rig| {
        let mut keeper = Keeper::new(rig);
        let mut chart = rig.source("chart", "10m");
        chart["apiVersion"] = json!("helm.example.com/v1");
        let mut strange = rig.source("strange", "10m");
        strange["spce"] = json!({});
        let mut nowhere = rig.source("nowhere", "10m");
        nowhere["metadata"]["namespace"] = json!("no-such-namespace");
        let nameless = json!({"apiVersion": SOURCES, "kind": "GitRepository"});
        let owned = keeper.enforce(&[chart, strange, nowhere, nameless, rig.source("source", "10m")]);
        let mut refused = left(&owned.refused);
        refused.sort();
        let expected = [
            ("", code::INVALID),
            ("chart", code::NO_SUCH_KIND),
            ("nowhere", code::NOT_FOUND),
            ("strange", refused[3].1),
        ];
        assert_eq!(refused, expected);
        assert!(
            owned.refused.iter().any(|(_, reason)| reason.message.contains("spce")),
            "{:?}",
            owned.refused
        );
        assert_eq!(keeper.names(), ["GitRepository source"]);
        assert_eq!(keeper.withdraw(), []);
    });
}

#[test]
fn of_a_secret_nothing_but_its_metadata_comes_back() {
    on_each_server("secret", |rig| {
        let mut keeper = Keeper::new(rig);
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "login", "namespace": rig.namespace}, "data": {"password": "bWFyaw=="}});
        for _ in 0..2 {
            let owned = keeper.enforced(std::slice::from_ref(&secret));
            assert!(owned.live[0]["metadata"]["uid"].is_string() && owned.live[0]["data"].is_null());
        }
        assert_eq!(rig.get("Secret", "login").unwrap()["data"]["password"], "bWFyaw==");
        assert_eq!(keeper.withdraw(), []);
        assert_eq!(rig.get("Secret", "login"), None);
    });
}

#[test]
fn every_golden_object_of_gitops_is_taken_by_the_servers_own_schemas() {
    assert_eq!(arclet::scenario::gitops::DOCUMENT, DOCUMENT);
    assert_eq!(arclet::scenario::gitops::KEEP, KEEP);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/scenario/gitops/golden");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        (path, serde_json::from_str::<Value>(&text).unwrap())
    };
    let cases: Vec<_> = std::fs::read_dir(golden).unwrap().map(read).collect();
    on_each_server("golden", |rig| {
        let served = rig.client.served().unwrap();
        let is_served = |object: &Value| {
            let api_version = object["apiVersion"].as_str().unwrap();
            let known =
                |(group, version)| served.get(group).is_some_and(|all| all.iter().any(|v| v == version));
            api_version == "v1" || api_version.split_once('/').is_some_and(known)
        };
        let mut taken = 0;
        for (path, case) in &cases {
            let mut objects = case["objects"].as_array().unwrap().clone();
            if !objects.iter().all(is_served) {
                continue;
            }
            objects.retain(|object| object["kind"] != "Namespace");
            for object in &mut objects {
                object["metadata"]["namespace"] = json!(rig.namespace);
            }
            let mut keeper = Keeper::new(rig);
            let owned = keeper.enforced(&objects);
            assert_eq!(owned.refs.len(), objects.len(), "{}", path.display());
            assert_eq!(keeper.withdraw(), [], "{}", path.display());
            taken += 1;
        }
        assert!(taken > 10, "of {} cases only {taken}", cases.len());
    });
}
