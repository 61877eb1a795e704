//! The installation of Flux: what works and what does not is seen here, and once in Azure for each change.

use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::status::FluxStatus;
use k3s_standin::Flux;
use serde_json::{Value, json};

const DEPLOYMENT: (&str, &str) = ("apps/v1", "Deployment");
const NAMESPACE: &str = "flux-system";
const CONTROLLERS: [&str; 2] = ["kustomize-controller", "source-controller"];

/// A rig whose cluster is looked at all the time.
fn rig(desired: &'static str) -> Rig {
    Rig::new(Setup {
        report: crate::rig::report("1h", "50ms", "24h"),
        desired,
        flux: Flux::Stable,
        ..Setup::default()
    })
}

fn install(rig: &Rig, name: &str) {
    let connection = arclet::k3s::kubeconfig::load(&rig.path("kubeconfig")).expect("a kubeconfig");
    let client = arclet::k3s::Client::new(connection, arclet::clock::Clock::new()).expect("a client");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let labels = json!({"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/version": "v2.7.3"});
    let deployment = json!({"apiVersion": DEPLOYMENT.0, "kind": DEPLOYMENT.1,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        // At once, as no real server takes it: otherwise somebody may look in between.
        "spec": {"replicas": 1}, "status": standing("True")});
    for object in [namespace, deployment] {
        client.apply(&object, "flux", false).expect("an object");
    }
}

/// What Kubernetes says of a controller's pods.
fn standing(available: &str) -> Value {
    json!({"conditions": [{"type": "Available", "status": available,
        "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability."}]})
}

fn says(rig: &Rig, name: &str, available: &str) {
    let deployment = (DEPLOYMENT.0, DEPLOYMENT.1, NAMESPACE, name);
    assert!(rig.k3s.set_status(deployment, standing(available)));
}

fn seen(agent: &mut Agent, state: &str) -> FluxStatus {
    let is = |flux: &Option<FluxStatus>| flux.as_ref().is_some_and(|flux| flux.state == state);
    let status = agent.wait(&format!("Flux that is {state}"), |status| is(&status.flux));
    status.flux.expect("as was waited for")
}

/// The rows that Azure has of it, in the order in which they were written.
fn rows(rig: &Rig) -> Vec<Value> {
    let mut rows: Vec<Value> = rig.arrived("flux-installation").into_iter().map(|a| a.row).collect();
    rows.sort_by_key(|row| row["Seq"].as_u64());
    rows.dedup_by_key(|row| row["MessageId"].to_string());
    rows
}

/// Waits for the row of a state, and returns it.
fn row(rig: &Rig, state: &str) -> Value {
    eventually(&format!("a row that says {state}"), || {
        rows(rig).into_iter().rfind(|row| row["State"] == state)
    })
}

#[test]
fn controllers_that_come_and_one_that_fails_are_shown_and_told_once_each() {
    let rig = rig("gitops = true");
    let mut agent = rig.start();
    // The kinds are there, and nobody who does anything with them.
    let missing = seen(&mut agent, "incomplete").trouble.expect("a reason");
    assert_eq!(missing.code, "ControllerMissing");
    assert!(missing.message.contains("source-controller and kustomize-controller"), "{missing}");
    row(&rig, "incomplete");
    CONTROLLERS.iter().for_each(|name| install(&rig, name));
    let there = seen(&mut agent, "available");
    assert_eq!(there.trouble, None);
    let all = ["helm.toolkit.fluxcd.io/v2", "kustomize.toolkit.fluxcd.io/v1", "source.toolkit.fluxcd.io/v1"];
    assert_eq!(there.served, all);
    let names: Vec<_> = there.controllers.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
    assert_eq!(names, CONTROLLERS.map(|name| (name, Some("v2.7.3"))));
    let told = row(&rig, "available");
    assert_eq!((told["Name"].as_str(), &told["Reason"]), (Some("flux"), &Value::Null));
    assert_eq!(told["Controllers"][1]["name"], "source-controller");
    assert_eq!(told["ServedApis"], json!(there.served));

    says(&rig, "source-controller", "False");
    let down = seen(&mut agent, "unavailable");
    assert_eq!(down.controllers.iter().map(|c| c.available).collect::<Vec<_>>(), [true, false]);
    let told = row(&rig, "unavailable");
    assert_eq!(told["Reason"], "MinimumReplicasUnavailable");
    assert!(told["Detail"].as_str().is_some_and(|text| text.starts_with("source-controller: ")), "{told}");
    says(&rig, "source-controller", "True");
    seen(&mut agent, "available");
    // However often it was looked at: a row for each change. The first controller may have come a look before the second.
    eventually("the last row", || (rows(&rig).last()?["State"] == "available").then_some(()));
    let states: Vec<String> =
        rows(&rig).iter().map(|row| row["State"].to_string().replace('"', "")).collect();
    let mut changes = states.clone();
    changes.dedup();
    assert_eq!(changes, ["incomplete", "available", "unavailable", "available"], "{states:?}");
    let (status, _) = agent.terminate();
    assert!(status.success(), "{status}");
}

#[test]
fn a_cluster_without_flux_says_so_and_one_that_needs_none_is_not_asked() {
    let with = rig("gitops = true");
    with.k3s.set_flux(Flux::Absent);
    let mut agent = with.start();
    let absent = seen(&mut agent, "absent");
    assert_eq!(absent.trouble.map(|reason| reason.code).as_deref(), Some("FluxNotInstalled"));
    let without = rig("");
    let mut agent = without.start();
    let status = agent.wait("a look at the cluster", |status| status.cluster_facts.is_some());
    assert_eq!(status.flux, None);
}
