//! `arclet desired diff` with the real binary: what differs is told before it is undone, and telling changes nothing.

use crate::desired::{KUSTOMIZATION, SOURCE, enforced, put};
use crate::rig::{Agent, Rig, Setup, eventually};
use azure_standin::cluster_id;
use k3s_standin::{Fault, Flux};
use serde_json::{Value, json};
use std::process::Command;

/// What is not wanted is not undone within the test: an hour lies between two looks.
fn rig() -> Rig {
    Rig::new(Setup {
        report: crate::rig::report("1h", "1h", "24h"),
        desired: "gitops = true\npull-interval = \"50ms\"\nenforce-interval = \"1h\"",
        flux: Flux::Stable,
        ..Setup::default()
    })
}

/// Exit code, standard output and standard error of `arclet desired diff`.
fn diff(rig: &Rig, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(&rig.setup.binary);
    command.args(["desired", "diff"]).args(more).arg("--config").arg(rig.path("arclet.toml"));
    let done = command.output().expect("the command runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (done.status.code().expect("a code"), text(done.stdout), text(done.stderr))
}

fn json_diff(rig: &Rig) -> (i32, Value) {
    let (code, out, err) = diff(rig, &["-o", "json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")))
}

/// A source that Flux is content with, so that nothing is looked at again for an hour.
fn settled(rig: &Rig, agent: &mut Agent, name: &str) {
    put(rig, name, "main");
    enforced(rig, name, "main");
    let ready = json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True",
        "reason": "Succeeded", "message": "", "lastTransitionTime": "2026-11-23T00:00:00Z"}]});
    for (kind, name) in [(SOURCE, name.to_owned()), (KUSTOMIZATION, format!("{name}-apps"))] {
        assert!(rig.k3s.set_status((kind.0, kind.1, "cluster-config", &name), ready.clone()));
    }
    agent.ask(r#"{"do":"refresh"}"#).expect("an answer");
    eventually("a verified document", || {
        let desired = agent.ask(r#"{"get":"desired"}"#)?;
        let found =
            desired["documents"].as_array()?.iter().find(|d| d["document"] == format!("flux/{name}"))?;
        (found["state"] == "verified").then_some(())
    });
}

#[test]
fn drift_is_shown_before_it_is_undone_and_the_exit_code_is_that_of_kubectl_diff() {
    let rig = rig();
    let mut agent = rig.start();
    settled(&rig, &mut agent, "fleet");
    let (code, out, err) = diff(&rig, &[]);
    assert_eq!((code, out.as_str()), (0, "flux/fleet (verified) is as it is wanted\n"), "{err}");

    let source = (SOURCE.0, SOURCE.1, "cluster-config", "fleet");
    assert!(rig.k3s.edit(source, "kubectl-edit", |object| {
        object["spec"]["ref"]["branch"] = json!("mine");
        object["spec"]["url"] = json!("https://me:geheim@git.example/fleet");
    }));
    assert!(rig.k3s.delete((KUSTOMIZATION.0, KUSTOMIZATION.1, "cluster-config", "fleet-apps")));
    let (code, out, err) = diff(&rig, &["fleet"]);
    assert_eq!(code, 1, "{out}{err}");
    for line in [
        "flux/fleet (verified) differs",
        "  GitRepository cluster-config/fleet differs",
        "      spec.ref.branch: wanted main, has mine (set by kubectl-edit)",
        "  Kustomization cluster-config/fleet-apps is missing",
    ] {
        assert!(out.lines().any(|l| l == line), "{line}\n---\n{out}");
    }
    let (code, shown) = json_diff(&rig);
    assert_eq!((code, &shown["same"]), (1, &json!(false)));
    let source_diff = &shown["documents"][0]["objects"][0];
    assert_eq!(source_diff["difference"], "differs");
    assert_eq!(
        source_diff["fields"],
        json!([
            {"path": "spec.ref.branch", "wanted": "main", "has": "mine", "owner": "kubectl-edit"},
            {"path": "spec.url", "wanted": "https://git.example/fleet", "has": "https://***@git.example/fleet",
                "owner": "kubectl-edit"},
        ])
    );
    assert!(!out.contains("geheim"), "{out}");
    // It was told, and is as it was: only enforcing undoes it.
    assert_eq!(rig.k3s.object(source).expect("it")["spec"]["ref"]["branch"], "mine");
    agent.ask(r#"{"do":"refresh"}"#).expect("an answer");
    enforced(&rig, "fleet", "main");
    eventually("no difference", || (diff(&rig, &[]).0 == 0).then_some(()));
}

#[test]
fn a_cluster_that_does_not_answer_is_a_clear_reason_and_stalls_nothing_else() {
    let rig = rig();
    let mut agent = rig.start();
    settled(&rig, &mut agent, "fleet");
    rig.k3s.set_fault(Some(Fault::Status(503)));
    let (code, out, err) = diff(&rig, &[]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.contains("503"), "{err}");
    // While one question hangs, the agent answers others and Azure is listened to.
    rig.k3s.set_fault(Some(Fault::Stalled));
    let ask = || {
        Command::new(&rig.setup.binary)
            .args(["desired", "diff", "fleet", "--config"])
            .arg(rig.path("arclet.toml"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("the command runs")
    };
    // Of two who ask, one hangs, and the other is told so.
    let mut asking = vec![ask(), ask()];
    let turned_away = eventually("one of them to be turned away", || {
        asking.iter_mut().position(|child| child.try_wait().expect("the command is ours").is_some())
    });
    let turned_away = asking.remove(turned_away).wait_with_output().expect("it ended");
    let said = String::from_utf8_lossy(&turned_away.stderr).into_owned();
    assert!(turned_away.status.code() == Some(2) && said.contains("Busy"), "{said}");
    let listings =
        || rig.azure.seen().iter().filter(|s| s.path.to_lowercase().ends_with("/fluxconfigurations")).count();
    let before = listings();
    eventually("two listings", || (listings() > before + 2).then_some(()));
    agent.status();
    rig.k3s.set_fault(None);
    let hanging = asking.remove(0).wait_with_output().expect("it ends");
    assert_ne!(hanging.status.code(), None, "it ends by itself");
    assert!(rig.azure.delete_flux(&cluster_id("k3s-1"), "fleet"));
    crate::desired::gone(&rig, "fleet");
}

#[test]
fn a_document_that_is_not_understood_says_so_and_the_others_are_compared() {
    let rig = rig();
    let mut agent = rig.start();
    settled(&rig, &mut agent, "fleet");
    let odd = json!({"scope": "cluster", "namespace": "odd", "sourceKind": "Teleport"});
    rig.azure.put_flux(&cluster_id("k3s-1"), "a-odd", odd);
    eventually("both documents", || {
        (agent.ask(r#"{"get":"desired"}"#)?["documents"].as_array()?.len() == 2).then_some(())
    });
    let (code, out, _) = diff(&rig, &[]);
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("flux/a-odd") && out.contains("cannot be compared") && out.contains("sourceKind"),
        "{out}"
    );
    assert!(out.contains("flux/fleet (verified) is as it is wanted"), "{out}");
    let (code, _, err) = diff(&rig, &["nobody"]);
    assert!(
        code == 2 && err.contains("NoSuchDocument") || err.contains("nothing of the name"),
        "{code} {err}"
    );
}
