//! What Azure wants of the cluster is there, stays there, and goes when Azure says so, and only then.

use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::core::document::Compliance;
use arclet::status::Desired;
use azure_standin::{Endpoint, Fault, cluster_id};
use k3s_standin::Flux;
use rustix::process::Signal;
use serde_json::{Value, json};

pub const SOURCE: (&str, &str) = ("source.toolkit.fluxcd.io/v1", "GitRepository");
pub const KUSTOMIZATION: (&str, &str) = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization");

fn rig() -> Rig {
    rig_with(Flux::Stable)
}

fn rig_with(flux: Flux) -> Rig {
    Rig::new(Setup {
        report: crate::rig::report("1h", "1h", "24h"),
        desired: "gitops = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"",
        flux,
        ..Setup::default()
    })
}

fn configuration(branch: &str) -> Value {
    json!({
        "scope": "cluster", "namespace": "cluster-config", "sourceKind": "GitRepository", "suspend": false,
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": branch}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true}},
    })
}

pub fn put(rig: &Rig, name: &str, branch: &str) {
    rig.azure.put_flux(&cluster_id("k3s-1"), name, configuration(branch));
}

fn source(rig: &Rig, name: &str) -> Option<Value> {
    rig.k3s.object((SOURCE.0, SOURCE.1, "cluster-config", name))
}

fn branch(rig: &Rig, name: &str) -> Option<String> {
    Some(source(rig, name)?["spec"]["ref"]["branch"].as_str()?.to_owned())
}

fn apps(rig: &Rig, name: &str) -> Option<Value> {
    rig.k3s.object((KUSTOMIZATION.0, KUSTOMIZATION.1, "cluster-config", &format!("{name}-apps")))
}

/// The last object of the document is there, and the first one as it is wanted.
pub fn enforced(rig: &Rig, name: &str, wanted: &str) {
    eventually(&format!("{name} at {wanted}"), || {
        (branch(rig, name)? == wanted && apps(rig, name).is_some()).then_some(())
    });
}

pub fn gone(rig: &Rig, name: &str) {
    eventually(&format!("the end of {name}"), || {
        (source(rig, name).is_none() && apps(rig, name).is_none()).then_some(())
    });
}

/// What `arclet desired` shows, as soon as it is as wanted.
pub fn shown(agent: &mut Agent, what: &str, mut wanted: impl FnMut(&Desired) -> bool) -> Desired {
    eventually(what, || {
        let answer = agent.ask(r#"{"get":"desired"}"#)?;
        let desired: Desired = serde_json::from_value(answer).expect("the document of arclet desired");
        wanted(&desired).then_some(desired)
    })
}

/// Two more whole listings than there are now.
fn listed(rig: &Rig) {
    let count = || {
        let listing = |seen: &&azure_standin::Seen| seen.path.to_lowercase().ends_with("/fluxconfigurations");
        rig.azure.seen().iter().filter(listing).count()
    };
    let before = count();
    eventually("two listings more", || (count() > before + 2).then_some(()));
}

#[test]
fn what_azure_wants_comes_into_the_cluster_changes_with_azure_and_goes_with_azure() {
    let rig = rig();
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    put(&rig, "fleet", "release");
    enforced(&rig, "fleet", "release");
    assert!(rig.azure.delete_flux(&cluster_id("k3s-1"), "fleet"));
    gone(&rig, "fleet");
    shown(&mut agent, "nothing wanted", |desired| desired.on && desired.documents.is_empty());
    assert!(rig.k3s.object(("v1", "Namespace", "", "cluster-config")).is_some(), "others use the namespace");
}

#[test]
fn flux_s_own_word_becomes_the_picture_of_the_document() {
    let rig = rig();
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    shown(&mut agent, "the objects without a word of Flux", |desired| {
        desired.documents.first().is_some_and(|document| document.state == "applied")
    });
    let ready = |revision: &str| {
        json!({"artifact": {"revision": revision}, "lastAppliedRevision": revision, "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "applied",
                "lastTransitionTime": "2026-11-23T00:00:00Z"}]})
    };
    for (kind, name) in [(SOURCE, "fleet"), (KUSTOMIZATION, "fleet-apps")] {
        let object = (kind.0, kind.1, "cluster-config", name);
        eventually("the object", || rig.k3s.set_status(object, ready("main@sha1:0011")).then_some(()));
    }
    // What the Kustomization made of Helm's is part of the picture; an object of that name is the cluster's own affair.
    let release = |status: &str| {
        json!({"apiVersion": "helm.toolkit.fluxcd.io/v2", "kind": "HelmRelease",
            "metadata": {"name": "redis", "namespace": "data", "generation": 1, "finalizers": ["finalizers.fluxcd.io"]},
            "status": {"observedGeneration": 1, "failures": 2, "helmChart": "data/data-redis",
                "conditions": [{"type": "Ready", "status": status, "reason": "Test", "message": "in Flux's words"}]}})
    };
    rig.k3s.put(release("False"));
    let apps = (KUSTOMIZATION.0, KUSTOMIZATION.1, "cluster-config", "fleet-apps");
    let entry = json!({"id": "data_redis_helm.toolkit.fluxcd.io_HelmRelease", "v": "v2"});
    assert!(rig.k3s.edit(apps, "flux", |object| object["status"]["inventory"] = json!({"entries": [entry]})));
    agent.ask(r#"{"do":"refresh"}"#).expect("an answer");
    let failed = shown(&mut agent, "a HelmRelease that failed", |desired| {
        let picture = desired.documents.first().and_then(|document| document.picture.as_ref());
        picture.is_some_and(|p| p.statuses.len() == 3 && p.compliance == Compliance::NonCompliant)
    });
    let release_status = &failed.documents[0].picture.as_ref().expect("a picture").statuses[2];
    assert_eq!(release_status.applied_by.as_ref().expect("who made it").name, "fleet-apps");
    assert_eq!(release_status.helm_release_properties.as_ref().expect("Helm's").failure_count, 2);
    rig.k3s.put(release("True"));
    agent.ask(r#"{"do":"refresh"}"#).expect("an answer");
    let desired = shown(&mut agent, "a verified document", |desired| {
        desired.documents.first().is_some_and(|document| document.state == "verified")
    });
    let picture = desired.documents[0].picture.as_ref().expect("a picture");
    assert_eq!(picture.source_revision.as_deref(), Some("main@sha1:0011"));
    let status = agent.status();
    let summary = status.desired.expect("a summary");
    assert_eq!((summary.documents, summary.enforced, summary.failed), (1, 1, 0));
}

#[test]
fn a_device_that_boots_without_a_link_enforces_what_it_knows() {
    let rig = rig();
    let agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    agent.kill();
    for endpoint in [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest] {
        rig.azure.cut(endpoint);
    }
    // Somebody emptied the cluster meanwhile.
    for (kind, name) in [(KUSTOMIZATION, "fleet-apps"), (SOURCE, "fleet")] {
        assert!(rig.k3s.delete((kind.0, kind.1, "cluster-config", name)));
    }
    let _agent = rig.start();
    enforced(&rig, "fleet", "main");
}

#[test]
fn what_somebody_changes_in_our_objects_is_undone_and_what_is_somebody_elses_is_left() {
    let rig = rig();
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    let object = (SOURCE.0, SOURCE.1, "cluster-config", "fleet");
    assert!(rig.k3s.edit(object, "kubectl-edit", |object| object["spec"]["ref"]["branch"] = json!("mine")));
    enforced(&rig, "fleet", "main");
    // An object of the same name that was there before: nothing of it is taken.
    let theirs = json!({"apiVersion": SOURCE.0, "kind": SOURCE.1,
        "metadata": {"name": "other", "namespace": "cluster-config"},
        "spec": {"url": "https://theirs.example", "interval": "1m0s", "ref": {"branch": "theirs"}}});
    let connection = arclet::k3s::kubeconfig::load(&rig.path("kubeconfig")).expect("a kubeconfig");
    let client = arclet::k3s::Client::new(connection, arclet::clock::Clock::new()).expect("a client");
    client.apply(&theirs, "somebody-else", false).expect("an object");
    put(&rig, "other", "main");
    let desired = shown(&mut agent, "the conflict", |desired| {
        desired
            .documents
            .iter()
            .any(|document| document.document == "flux/other" && document.reason.is_some())
    });
    let other = desired.documents.iter().find(|document| document.document == "flux/other").expect("it");
    assert_eq!(other.state, "failed", "{other:?}");
    assert_eq!(branch(&rig, "other").as_deref(), Some("theirs"));
    assert!(rig.azure.delete_flux(&cluster_id("k3s-1"), "other"));
    shown(&mut agent, "its end", |desired| desired.documents.len() == 1);
    assert_eq!(branch(&rig, "other").as_deref(), Some("theirs"), "what is not ours is not removed");
}

/// Answers of many sorts that are no listing, and none of which says that nothing is wanted.
pub fn no_listings() -> [Fault; 10] {
    let error = |status, code: &str| Fault::Error(status, code.to_owned());
    [
        Fault::Html(200),
        error(401, "InvalidAuthenticationToken"),
        error(403, "AuthorizationFailed"),
        error(404, "ResourceNotFound"),
        error(404, "ResourceGroupNotFound"),
        error(500, "InternalServerError"),
        Fault::Html(404),
        Fault::Redirect,
        Fault::Reset,
        Fault::Truncated,
    ]
}

#[test]
fn no_answer_that_is_not_a_listing_takes_anything_out_of_the_cluster() {
    let rig = rig();
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    // From here on Azure would say that nothing is wanted, if it could be heard.
    rig.azure.set_fault(Endpoint::Arm, Fault::Reset, None);
    assert!(rig.azure.delete_flux(&cluster_id("k3s-1"), "fleet"));
    for fault in no_listings() {
        rig.azure.set_fault(Endpoint::Arm, fault.clone(), None);
        let before = rig.azure.stats(Endpoint::Arm).requests;
        eventually(&format!("{fault:?} to be met"), || {
            (rig.azure.stats(Endpoint::Arm).requests > before + 2).then_some(())
        });
        assert_eq!(branch(&rig, "fleet").as_deref(), Some("main"), "{fault:?}");
    }
    let desired = shown(&mut agent, "the document", |desired| !desired.documents.is_empty());
    assert_ne!(desired.documents[0].state, "withdrawing");
    // Once it can be heard, it is believed.
    rig.azure.clear_fault(Endpoint::Arm);
    gone(&rig, "fleet");
}

#[test]
fn a_cluster_resource_that_is_gone_withdraws_nothing() {
    let rig = rig();
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    assert!(rig.azure.remove_cluster(&cluster_id("k3s-1")));
    agent.wait("a condition", |status| {
        status.conditions.iter().any(|condition| condition.reason.code == "ResourceNotFound")
    });
    assert_eq!(branch(&rig, "fleet").as_deref(), Some("main"));
    assert!(rig.k3s.delete((SOURCE.0, SOURCE.1, "cluster-config", "fleet")));
    enforced(&rig, "fleet", "main");
}

#[test]
fn a_document_that_cannot_be_enforced_says_why_and_delays_no_other() {
    let rig = rig();
    let mut agent = rig.start();
    let mut odd = configuration("main");
    odd["sourceKind"] = json!("Teleport");
    rig.azure.put_flux(&cluster_id("k3s-1"), "a-odd", odd);
    put(&rig, "fleet", "main");
    enforced(&rig, "fleet", "main");
    let desired = shown(&mut agent, "the reason", |desired| {
        desired
            .documents
            .iter()
            .any(|document| document.document == "flux/a-odd" && document.reason.is_some())
    });
    let odd = desired.documents.iter().find(|document| document.document == "flux/a-odd").expect("it");
    let reason = odd.reason.as_ref().expect("a reason");
    assert!(reason.message.contains("sourceKind") && !reason.next_step.is_empty(), "{reason}");
    // It is mended in Azure, and nobody has to do anything here.
    put(&rig, "a-odd", "main");
    enforced(&rig, "a-odd", "main");
}

#[test]
fn a_cluster_without_flux_is_told_apart_and_served_when_flux_comes() {
    let rig = rig_with(Flux::Absent);
    let mut agent = rig.start();
    put(&rig, "fleet", "main");
    shown(&mut agent, "what is missing", |desired| {
        desired.documents.first().is_some_and(|document| {
            document.reason.as_ref().is_some_and(|reason| reason.code == "FluxMissing")
        })
    });
    rig.k3s.set_flux(Flux::Stable);
    enforced(&rig, "fleet", "main");
}

#[test]
fn whenever_it_is_killed_the_cluster_ends_as_azure_wants_it() {
    let rig = rig();
    let mut agent = rig.start();
    for round in 0..12 {
        let name = format!("round-{round}");
        put(&rig, &name, "main");
        put(&rig, "fleet", &format!("release-{round}"));
        if round > 0 {
            rig.azure.delete_flux(&cluster_id("k3s-1"), &format!("round-{}", round - 1));
        }
        // Killed at another point of the turn each time: by what it has done, not by the clock.
        let requests = rig.k3s.stats().requests + round * 3;
        eventually("some turns", || (rig.k3s.stats().requests >= requests).then_some(()));
        agent.signal(Signal::KILL);
        agent = {
            drop(agent);
            rig.start()
        };
    }
    enforced(&rig, "fleet", "release-11");
    enforced(&rig, "round-11", "main");
    for round in 0..11 {
        gone(&rig, &format!("round-{round}"));
    }
    listed(&rig);
    assert_eq!(rig.k3s.objects(SOURCE.0, SOURCE.1).len(), 2);
}
