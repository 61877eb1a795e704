//! The Lease by which agents agree on one leader: what the API server makes of two that want it at once, and what the
//! agent's own role suffices for.

use super::{INSTALL, PATIENCE, Rig, eventually, known, on_each_server, rest};
use arclet::clock::Clock;
use arclet::core::Mono;
use arclet::core::document::{Key, Kind, ObjectRef};
use arclet::core::lease::{Answer, Call, Seen};
use arclet::k3s::{Client, Deleted, Fence, Resource, code, install};
use std::sync::PoisonError;
use std::time::Duration;

fn write(base: Option<&Seen>, holder: &str) -> Call {
    Call::Write { base: base.cloned(), holder: holder.to_owned() }
}

#[track_caller]
fn there(answer: Answer) -> Seen {
    match answer {
        Answer::There(seen) => seen,
        other => panic!("{other:?}"),
    }
}

/// The agent's client, as `arclet connect` leaves it without any scenario.
fn agent(rig: &Rig) -> Client {
    install::apply_all(&rig.client, &[], PATIENCE, &mut rest).unwrap();
    let token = install::wait_token(&rig.client, PATIENCE, &mut rest).unwrap();
    Client::new(install::limited(&rig.connection, token), Clock::new()).unwrap()
}

#[test]
fn of_two_that_write_the_lease_one_has_it_and_the_other_a_conflict() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("lease", |rig| {
        install::remove_all(&rig.client).unwrap();
        let agent = agent(rig);
        // A real server's authorizer learns of a role by and by.
        eventually("the role", || agent.lease(&Call::Look) == Answer::Absent);
        eventually("the first write", || matches!(agent.lease(&write(None, "a")), Answer::There(_)));
        let first = there(agent.lease(&Call::Look));
        assert_eq!((first.holder.as_str(), first.transitions), ("a", 0));
        assert_eq!(agent.lease(&write(None, "b")), Answer::Conflict, "it is there");
        let renewed = there(agent.lease(&write(Some(&first), "a")));
        assert_eq!((renewed.acquired.as_str(), renewed.transitions), (first.acquired.as_str(), 0));
        assert!(renewed.version != first.version && renewed.renewed != first.renewed, "{renewed:?}");
        assert_eq!(agent.lease(&write(Some(&first), "b")), Answer::Conflict, "it was renewed meanwhile");
        let taken = there(agent.lease(&write(Some(&renewed), "b")));
        assert_eq!((taken.holder.as_str(), taken.transitions), ("b", 1));
        let released = there(agent.lease(&write(Some(&taken), "")));
        assert_eq!(released.holder, "");
        let lease = Resource::known("coordination.k8s.io/v1", "Lease").unwrap();
        assert_eq!(rig.client.delete(&lease, Some("arclet"), "arclet", None), Ok(Deleted::Yes));
        // Kubernetes makes a Lease by a PUT too, and still only one of two has it.
        assert_eq!(there(agent.lease(&write(Some(&released), "a"))).holder, "a", "it was deleted meanwhile");
        assert_eq!(agent.lease(&write(None, "b")), Answer::Conflict);
        assert_eq!(agent.lease(&write(Some(&released), "b")), Answer::Conflict);
        install::remove_all(&rig.client).unwrap();
    });
}

#[test]
fn without_its_role_or_its_namespace_the_lease_is_refused_with_a_cure() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("no-lease", |rig| {
        install::remove_all(&rig.client).unwrap();
        // Once it is away altogether: a namespace that leaves still has a name.
        eventually("the end of the namespace", || {
            rig.client.get(&known("Namespace"), None, "arclet") == Ok(None)
        });
        assert_eq!(rig.client.lease(&Call::Look), Answer::Absent);
        let Answer::Refused(reason) = rig.client.lease(&write(None, "a")) else { panic!("a namespace") };
        assert!(reason.next_step.contains("connect"), "{reason}");
        let agent = agent(rig);
        let binding = Resource::known("rbac.authorization.k8s.io/v1", "RoleBinding").unwrap();
        assert_eq!(rig.client.delete(&binding, Some("arclet"), "arclet-lease", None), Ok(Deleted::Yes));
        eventually(
            "the end of the role",
            || matches!(agent.lease(&Call::Look), Answer::Refused(reason) if reason.code == code::FORBIDDEN),
        );
        install::remove_all(&rig.client).unwrap();
    });
}

#[test]
fn what_changes_the_cluster_goes_only_before_the_fence_and_a_passed_fence_stays_passed() {
    on_each_server("fence", |rig| {
        let object = rig.config_map("fenced", serde_json::json!({"a": "1"}));
        let now = || Clock::new().now().mono;
        let fence = Fence::new(now() + Duration::from_secs(20));
        let client = rig.client.fenced(&fence);
        client.apply(&object, "suite", false).unwrap();
        fence.close();
        assert_eq!(super::refused(client.apply(&object, "suite", false)).code, "NotLeading");
        let delete = client.delete(&known("ConfigMap"), Some(&rig.namespace), "fenced", None);
        assert_eq!(super::refused(delete).code, "NotLeading");
        assert!(!fence.extend(now(), Mono(u64::MAX)), "a new right brings a new fence");
        assert!(client.get(&known("ConfigMap"), Some(&rig.namespace), "fenced").unwrap().is_some());
    });
}

#[test]
fn what_a_leader_made_is_found_by_the_next_in_its_order_and_is_gone_with_the_last() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("made", |rig| {
        install::remove_all(&rig.client).unwrap();
        let agent = agent(rig);
        let key = Key::new(Kind::Flux, "fleet");
        let object = |name: &str, uid: Option<&str>| ObjectRef {
            api_version: "source.toolkit.fluxcd.io/v1".into(),
            kind: "GitRepository".into(),
            namespace: Some("apps".into()),
            name: name.into(),
            uid: uid.map(str::to_owned),
        };
        eventually("the role", || agent.made(&key) == Ok(Vec::new()));
        let made = [object("b", Some("1-2-3")), object("a", None)];
        eventually("the first note", || agent.keep_made(&key, &made) == Ok(()));
        // Who leads next knows an object by its marks: it may have been made anew.
        assert_eq!(agent.made(&key), Ok(vec![object("b", None), object("a", None)]));
        assert_eq!(agent.made(&Key::new(Kind::Extension, "fleet")), Ok(Vec::new()));
        agent.keep_made(&key, &made[1..]).unwrap();
        assert_eq!(agent.made(&key), Ok(vec![object("a", None)]));
        agent.drop_made(&key).unwrap();
        agent.drop_made(&key).unwrap();
        assert_eq!(agent.made(&key), Ok(Vec::new()));
        install::remove_all(&rig.client).unwrap();
    });
}
