//! Extensions: the chart that the catalogue names is in the cluster, follows catalogue, vault and Azure, and needs no link
//! once it was fetched. Nobody plays helm-controller but these tests; the real one is in tests/cluster.

use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::status::{Desired, DocumentStatus};
use azure_standin::{Endpoint, Fault, cluster_id};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};

const SPACE: &str = "arclet-extensions";
const HELM: (&str, &str) = ("helm.cattle.io/v1", "HelmChart");
const REPOSITORY: &str = "charts/monitor";

fn rig() -> Rig {
    rig_with(true)
}

fn rig_with(helm: bool) -> Rig {
    let rig = Rig::new(Setup {
        report: crate::rig::report("1h", "1h", "24h"),
        desired: "extensions = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"\ncatalogue = \"{catalogue}\"\n\
                  key-vault = \"{vault}\"",
        helm,
        ..Setup::default()
    });
    // As connect --extensions leaves it.
    rig.k3s.put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}));
    rig.azure.put_extension_version("contoso.monitor", "stable", "1.0.0", json!({}));
    catalogue(&rig, &[("1.0.0", "first")]);
    rig
}

/// Pushes charts (version and bytes) and writes them into the catalogue.
fn catalogue(rig: &Rig, charts: &[(&str, &str)]) {
    let entries: String = charts
        .iter()
        .map(|(version, bytes)| {
            let digest = rig.azure.push_chart(REPOSITORY, version, bytes.as_bytes());
            entry(rig, version, &digest)
        })
        .collect();
    std::fs::write(rig.path("extensions.toml"), entries).expect("a file");
}

fn entry(rig: &Rig, version: &str, digest: &str) -> String {
    let place = rig.azure.repository(REPOSITORY);
    format!(
        "[[chart]]\ntype = \"contoso.monitor\"\nversion = \"{version}\"\nchart = \"{place}:{version}\"\ndigest = \"{digest}\"\n"
    )
}

fn put(rig: &Rig, properties: Value) {
    let mut all = json!({"extensionType": "Contoso.Monitor", "configurationSettings": {"site": "17"}});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    rig.azure.put_extension(&cluster_id("k3s-1"), "Mon", all);
}

fn chart(rig: &Rig) -> Option<Value> {
    rig.k3s.object((HELM.0, HELM.1, SPACE, "mon"))
}

fn content(rig: &Rig) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(chart(rig)?["spec"]["chartContent"].as_str()?).ok()?;
    String::from_utf8(bytes).ok()
}

fn has(rig: &Rig, wanted: &str) {
    eventually(&format!("the chart {wanted}"), || (content(rig)? == wanted).then_some(()));
}

fn secret(rig: &Rig) -> Option<String> {
    Some(chart(rig)?["spec"]["valuesSecrets"][0]["name"].as_str()?.to_owned())
}

/// An agent that has installed the first chart.
fn installed(rig: &Rig) -> Agent {
    let mut agent = rig.start();
    agent.status();
    put(rig, json!({}));
    has(rig, "first");
    helm(rig, complete());
    state(&agent, "succeeded");
    agent
}

/// What helm-controller leaves of its Job for the HelmChart as it is now.
fn helm(rig: &Rig, status: Value) {
    let name = eventually("the HelmChart's secret", || secret(rig));
    rig.k3s.put(json!({"apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": "helm-install-mon", "namespace": SPACE}, "status": status,
        "spec": {"template": {"spec": {"volumes": [{"projected": {"sources": [{"secret": {"name": name}}]}}]}}}}));
}

fn complete() -> Value {
    json!({"conditions": [{"type": "Complete", "status": "True"}]})
}

/// The document, as soon as it is as wanted.
fn shown(agent: &Agent, what: &str, wanted: impl Fn(&DocumentStatus) -> bool) -> DocumentStatus {
    eventually(what, || {
        let desired: Desired = serde_json::from_value(agent.ask(r#"{"get":"desired"}"#)?).ok()?;
        desired
            .documents
            .into_iter()
            .find(|document| document.document == "extension/mon" && wanted(document))
    })
}

fn state(agent: &Agent, wanted: &str) -> DocumentStatus {
    shown(agent, &format!("the state {wanted}"), |document| document.state == wanted)
}

fn reason(agent: &Agent, wanted: &str) -> DocumentStatus {
    let has =
        |document: &DocumentStatus| document.reason.as_ref().is_some_and(|reason| reason.code == wanted);
    shown(agent, &format!("the reason {wanted}"), has)
}

#[test]
fn an_extension_is_installed_upgraded_and_uninstalled_as_azure_and_the_catalogue_say() {
    let rig = rig();
    let mut agent = rig.start();
    agent.status();
    put(&rig, json!({}));
    has(&rig, "first");
    let values = chart(&rig).unwrap()["spec"]["valuesContent"].as_str().unwrap().to_owned();
    assert_eq!(serde_json::from_str::<Value>(&values).unwrap()["site"], 17);
    state(&agent, "installing");
    helm(&rig, complete());
    let document = state(&agent, "succeeded");
    let picture = document.picture.expect("a picture");
    assert!(picture.source_revision.unwrap().starts_with("1.0.0 oci://"), "the version is shown");

    // What the catalogue gets is taken, as far as the mode allows.
    catalogue(&rig, &[("1.0.0", "first"), ("1.1.0", "second"), ("2.0.0", "third")]);
    has(&rig, "second");
    // The Job of the first one says nothing about the second.
    state(&agent, "installing");
    helm(&rig, complete());
    state(&agent, "succeeded");
    put(&rig, json!({"version": "2.0.0"}));
    has(&rig, "third");

    assert!(rig.azure.delete_extension(&cluster_id("k3s-1"), "mon"));
    eventually("the end of the extension", || {
        (chart(&rig).is_none()
            && rig.k3s.objects("v1", "Secret").iter().all(|s| s["metadata"]["namespace"] != SPACE))
        .then_some(())
    });
}

#[test]
fn what_was_fetched_is_installed_again_without_a_link_after_a_kill() {
    let rig = rig();
    let agent = installed(&rig);
    agent.kill();
    for endpoint in [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest, Endpoint::Vault, Endpoint::Registry] {
        rig.azure.cut(endpoint);
    }
    assert!(rig.k3s.delete((HELM.0, HELM.1, SPACE, "mon")));
    let agent = rig.start();
    has(&rig, "first");
    state(&agent, "succeeded");
}

#[test]
fn no_answer_that_is_not_a_listing_uninstalls_anything() {
    let rig = rig();
    let agent = installed(&rig);
    // From here on Azure would say that nothing is wanted, if it could be heard.
    rig.azure.set_fault(Endpoint::Arm, Fault::Reset, None);
    assert!(rig.azure.delete_extension(&cluster_id("k3s-1"), "mon"));
    for fault in crate::desired::no_listings() {
        rig.azure.set_fault(Endpoint::Arm, fault.clone(), None);
        let before = rig.azure.stats(Endpoint::Arm).requests;
        eventually(&format!("{fault:?} to be met"), || {
            (rig.azure.stats(Endpoint::Arm).requests > before + 2).then_some(())
        });
        assert_eq!(content(&rig).as_deref(), Some("first"), "{fault:?}");
    }
    state(&agent, "succeeded");
    // Once it can be heard, it is believed.
    rig.azure.clear_fault(Endpoint::Arm);
    eventually("the HelmChart's end", || chart(&rig).is_none().then_some(()));
}

#[test]
fn a_registry_that_cannot_be_reached_shows_as_a_link_and_the_chart_comes_when_it_can() {
    let rig = rig();
    rig.azure.cut(Endpoint::Registry);
    let mut agent = rig.start();
    agent.status();
    put(&rig, json!({}));
    assert_eq!(reason(&agent, "ChartNotFetched").state, "pending");
    agent.wait("the registry's link", |status| {
        let registry = status.links.iter().find(|link| link.endpoint == arclet::core::Endpoint::Registry);
        registry.is_some_and(|link| link.state == "down" && link.reason.is_some() && !link.host.is_empty())
    });
    rig.azure.restore(Endpoint::Registry);
    has(&rig, "first");
}

#[test]
fn the_last_good_chart_stays_whatever_the_catalogue_and_the_registry_say() {
    let rig = rig();
    let agent = installed(&rig);
    let wrong = entry(&rig, "1.0.0", &rig.azure.push_chart(REPOSITORY, "1.0.0", b"first"))
        + &entry(&rig, "1.2.0", &rig.azure.push_chart(REPOSITORY, "1.3.0", b"another"));
    rig.azure.push_chart(REPOSITORY, "1.2.0", b"not what was promised");
    std::fs::write(rig.path("extensions.toml"), wrong).expect("a file");
    assert_eq!(reason(&agent, "WrongDigest").state, "succeeded");
    std::fs::write(rig.path("extensions.toml"), "[[chart]").expect("a file");
    assert_eq!(reason(&agent, "BadCatalogue").state, "succeeded");
    catalogue(&rig, &[("1.0.0", "first")]);
    put(&rig, json!({"version": "9.9.9"}));
    reason(&agent, "NotInCatalogue");
    assert_eq!(content(&rig).as_deref(), Some("first"));
    put(&rig, json!({"version": null}));
    shown(&agent, "nothing wrong", |document| document.reason.is_none() && document.state == "succeeded");
}

#[test]
fn the_last_good_chart_keeps_its_settings_until_the_one_that_others_were_said_for_is_there() {
    let rig = rig();
    let mut agent = installed(&rig);
    let digest = state(&agent, "succeeded").digest;
    let values = || Some(chart(&rig)?["spec"]["valuesContent"].as_str()?.to_owned());
    let before = chart(&rig).expect("the HelmChart")["spec"].clone();
    catalogue(&rig, &[("1.0.0", "first"), ("2.0.0", "third")]);
    rig.azure.cut(Endpoint::Registry);
    put(&rig, json!({"version": "2.0.0", "configurationSettings": {"site": "18"}}));
    shown(&agent, "what is wanted now", |document| document.digest != digest);
    agent.wait("the registry's link", |status| {
        let registry = status.links.iter().find(|link| link.endpoint == arclet::core::Endpoint::Registry);
        registry.is_some_and(|link| link.state == "down")
    });
    let looks = rig.k3s.stats().requests + 20;
    eventually("some looks more", || (rig.k3s.stats().requests > looks).then_some(()));
    assert_eq!(chart(&rig).expect("the HelmChart")["spec"], before);
    agent.kill();
    rig.azure.cut_all();
    assert!(rig.k3s.delete((HELM.0, HELM.1, SPACE, "mon")));
    let agent = rig.start();
    has(&rig, "first");
    assert_eq!(chart(&rig).expect("the HelmChart")["spec"], before);
    rig.azure.restore_all();
    has(&rig, "third");
    assert!(values().is_some_and(|values| values.contains(r#""site":18"#)), "both at once");
    helm(&rig, complete());
    shown(&agent, "nothing wrong", |document| document.reason.is_none() && document.state == "succeeded");
}

#[test]
fn protected_settings_come_from_the_vault_and_another_version_of_them_is_another_release() {
    let rig = rig();
    let secret_name = "extension-mon-configurationProtectedSettings";
    rig.azure.put_secret(secret_name, r#"{"key": "protected-one"}"#);
    let mut agent = rig.start();
    agent.status();
    put(&rig, json!({}));
    let value = || {
        let secret = rig.k3s.object(("v1", "Secret", SPACE, &secret(&rig)?))?;
        String::from_utf8(BASE64_STANDARD.decode(secret["data"]["values.yaml"].as_str()?).ok()?).ok()
    };
    eventually("the first settings", || (value()? == r#"{"key":"protected-one"}"#).then_some(()));
    helm(&rig, complete());
    state(&agent, "succeeded");
    let first = secret(&rig);
    rig.azure.put_secret(secret_name, r#"{"key": "protected-two"}"#);
    eventually("the second settings", || (value()? == r#"{"key":"protected-two"}"#).then_some(()));
    assert_ne!(secret(&rig), first);
    state(&agent, "installing");
    // Helm quotes what it complains of.
    helm(&rig, json!({"active": 1}));
    rig.k3s.put(json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "helm-install-mon-x", "namespace": SPACE, "labels": {"job-name": "helm-install-mon"}},
        "status": {"containerStatuses": [{"state": {"terminated": {"exitCode": 1, "message": "bad key: protected-two"}}}]}}));
    assert_eq!(state(&agent, "failed").reason.expect("a reason").message, "bad key: ***");
    eventually("the end of the older Secret", || {
        rig.k3s.object(("v1", "Secret", SPACE, first.as_deref()?)).is_none().then_some(())
    });
}

#[test]
fn a_failure_is_told_in_helms_own_words_and_ends_with_it() {
    let rig = rig();
    let mut agent = rig.start();
    agent.status();
    put(&rig, json!({}));
    has(&rig, "first");
    helm(&rig, json!({"active": 1}));
    let pod = |terminated: Value| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "helm-install-mon-x", "namespace": SPACE, "labels": {"job-name": "helm-install-mon"}},
            "status": {"phase": "Running", "containerStatuses": [{"lastState": {"terminated": terminated}}]}})
    };
    rig.k3s.put(pod(json!({"exitCode": 1, "reason": "Error", "message": "Error: no such template"})));
    let document = state(&agent, "failed");
    assert_eq!(document.reason.unwrap().message, "Error: no such template");
    // k3s's own image says it in its log only.
    rig.k3s.put_log(SPACE, "helm-install-mon-x", "Error: timed out\n");
    rig.k3s.put(pod(json!({"exitCode": 1, "reason": "Error"})));
    shown(&agent, "the words of the log", |document| {
        document.reason.as_ref().is_some_and(|reason| reason.message == "Error: timed out")
    });
    helm(&rig, complete());
    let healed = state(&agent, "succeeded");
    assert!(healed.reason.is_none());
}

#[test]
fn a_cluster_without_helm_controller_says_so_and_goes_on_when_it_comes() {
    let rig = rig_with(false);
    let mut agent = rig.start();
    agent.status();
    put(&rig, json!({}));
    reason(&agent, "HelmControllerMissing");
    rig.k3s.set_helm(true);
    has(&rig, "first");
}
