//! What Azure is told of the documents.

use super::*;
use crate::core::document::ObjectStatus;

#[test]
fn azure_is_told_of_each_change_once_and_of_what_is_gone() {
    let say = |name: &str, state: &str| (name.to_owned(), state.to_owned());
    let mut rig = Rig::settled(&["a", "b"]);
    assert_eq!(tell(&mut rig), [say("a", "verified"), say("b", "verified")]);
    rig.apply("a", 1, Compliance::Compliant);
    rig.list(vec![head("a", 1), head("b", 1)], None);
    assert_eq!(tell(&mut rig), [], "nothing has changed");
    rig.apply("a", 1, Compliance::NonCompliant);
    assert_eq!(tell(&mut rig), [say("a", "applied")]);
    rig.apply("a", 1, Compliance::Pending);
    assert_eq!(tell(&mut rig), [say("a", "applied")], "another compliance");
    rig.fail("a", "Refused");
    let lost = rig.desired.news();
    assert_eq!(lost.len(), 1);
    rig.fail("a", "Refused");
    assert_eq!(tell(&mut rig), [say("a", "failed")], "what the store did not take is said again");
    rig.list(vec![head("a", 1), Head { leaving: true, ..head("b", 1) }], None);
    assert_eq!(tell(&mut rig), [say("b", "withdrawing")]);
    rig.list(vec![head("a", 1)], Some(there("p")));
    rig.withdrawal("b", Withdrawn::Gone);
    assert_eq!(tell(&mut rig), [say("b", "withdrawn")]);
    rig.list(vec![head("a", 1)], None);
    rig.withdrawal("b", Withdrawn::Gone);
    assert_eq!(tell(&mut rig), [say("b", "withdrawn")], "its last word, when Azure lists it no more");
    assert_eq!(tell(&mut rig), []);
    rig.desired.tell_all();
    assert_eq!(tell(&mut rig), [say("a", "failed")]);
}

#[test]
fn many_changes_are_told_in_portions() {
    let names: Vec<String> = (0..150).map(|n| format!("c-{n:03}")).collect();
    let mut rig = Rig::settled(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let portions: Vec<usize> = (0..4).map(|_| tell(&mut rig).len()).collect();
    assert_eq!(portions, [64, 64, 22, 0]);
}

#[test]
fn azure_is_told_what_is_wrong_also_when_something_else_was_wrong_before() {
    let mut rig = Rig::settled(&["a"]);
    tell(&mut rig);
    let status = |name: &str, (compliance, code): (Compliance, &str), message: &str| ObjectStatus {
        kind: "Kustomization".into(),
        namespace: "team".into(),
        name: name.into(),
        compliance,
        ready: Some(Reason::new(code, message)),
        applied_by: None,
        helm_release_properties: None,
    };
    let waits = (Compliance::NonCompliant, "DependencyNotReady");
    let broken = (Compliance::NonCompliant, "BuildFailed");
    let mut told = |infra, message| {
        let statuses = vec![status("apps", waits, ""), status("infra", infra, message)];
        rig.show("a", 1, Picture { statuses, ..picture(Compliance::NonCompliant) });
        tell(&mut rig).len()
    };
    assert_eq!(told((Compliance::Pending, "Progressing"), ""), 1, "one waits for the other");
    assert_eq!(told(broken, "/tmp/kustomization-1/a.yaml"), 1, "which is broken: that is the cause");
    assert_eq!(told(broken, "/tmp/kustomization-2/a.yaml"), 0, "the same at the next try");
    assert_eq!(told((Compliance::NonCompliant, "HealthCheckFailed"), ""), 1);
}

/// Killed between the removal, with which its content leaves the cache, and the row on it.
#[test]
fn of_what_is_no_longer_known_no_digest_is_told_until_azure_lists_it_again() {
    let leaving = Head { leaving: true, ..head("a", 7) };
    let killed = || {
        let mut rig = Rig::settled(&["a"]);
        rig.list(vec![leaving.clone()], None);
        rig.restart(&[]);
        assert_eq!(rig.state("a"), Some("withdrawing"));
        rig
    };
    let told = |rig: &mut Rig| -> serde_json::Value {
        let news = rig.desired.news();
        assert_eq!(news.len(), 1);
        serde_json::from_slice(&news[0].body()).unwrap()
    };
    let mut rig = killed();
    rig.withdrawal("a", Withdrawn::Gone);
    let row = told(&mut rig);
    assert_eq!((&row["State"], row.get("Digest")), (&"withdrawn".into(), None));
    let mut rig = killed();
    rig.list(vec![leaving.clone()], None);
    rig.withdrawal("a", Withdrawn::Gone);
    assert_eq!(told(&mut rig)["Digest"], digest(7).to_string());
}
