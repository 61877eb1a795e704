//! kill -9 at each state of a document's life, then a restart with and without a link: the end is that of a run that
//! nobody killed.
//!
//! Where the agent is killed is no matter of time: a stand-in holds the one request that the state is known by, and says
//! when it has come. Without a link the agent must reach what was durable when it died; with the link back, what Azure wants.

use crate::rig::{Agent, HANG, Rig, Setup, eventually};
use arclet::status::Desired;
use azure_standin::{Endpoint, Fault, cluster_id};
use k3s_standin::Flux;
use serde_json::{Value, json};
use std::time::Duration;

/// What a document goes through, in this order.
const STEPS: [Step; 3] = [Step::Install, Step::Update, Step::Withdraw];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Install,
    Update,
    Withdraw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Configuration,
    Extension,
}

/// The Secret that the HelmChart names has another name for each of its contents; here it has this one.
const SETTINGS: &str = "mon-settings";

/// The request at which the agent is killed.
#[derive(Clone, Copy, Debug)]
enum At {
    /// One to Azure, by what is in its path and query. It is not carried out.
    Azure(Endpoint, &'static str),
    /// The listing that comes after the one with the document: what that one brought is stored and not heard of.
    NextListing,
    /// One to the API server, by what is in its method, path and body. It is not carried out.
    Before(&'static [&'static str]),
    /// The same, carried out; its answer never comes.
    After(&'static [&'static str]),
    /// None: the objects are there, and no controller has said anything of them.
    Unverified,
    /// None: all of the step is done, and what there is to say of it waits.
    Unreported,
}

/// What the agent has to make of it before it hears of Azure again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offline {
    /// The step had not become durable.
    Old,
    /// It had.
    New,
}

/// What is looked at in the end: the objects in the cluster, what `arclet desired ls` shows, and what Azure was told last.
#[derive(Clone, Debug, PartialEq)]
struct End {
    objects: Vec<Value>,
    documents: Vec<Value>,
    told: Value,
}

impl Sort {
    fn rig(self) -> Rig {
        let rig = Rig::new(Setup {
            report: crate::rig::report("1h", "1h", "24h"),
            desired: "gitops = true\nextensions = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"\n\
                      catalogue = \"{catalogue}\"\nkey-vault = \"{vault}\"",
            flux: Flux::Stable,
            helm: true,
            level: "info",
            ..Setup::default()
        });
        rig.k3s
            .put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "arclet-extensions"}}));
        rig.azure.put_secret("flux-fleet-httpsKey", "pass");
        rig.azure.put_secret("extension-mon-configurationProtectedSettings", r#"{"key": "pass"}"#);
        let mut catalogue = String::new();
        for version in ["1.0.0", "2.0.0"] {
            rig.azure.put_extension_version("contoso.monitor", "stable", version, json!({}));
            let digest = rig.azure.push_chart("charts/monitor", version, version.as_bytes());
            let place = rig.azure.repository("charts/monitor");
            catalogue += &format!(
                "[[chart]]\ntype = \"contoso.monitor\"\nversion = \"{version}\"\nchart = \"{place}:{version}\"\n\
                 digest = \"{digest}\"\n"
            );
        }
        std::fs::write(rig.path("extensions.toml"), catalogue).expect("a file");
        rig
    }

    /// What somebody does in Azure.
    fn change(self, rig: &Rig, step: Step) {
        let cluster = cluster_id("k3s-1");
        match (self, step) {
            (Sort::Configuration, Step::Withdraw) => assert!(rig.azure.delete_flux(&cluster, "fleet")),
            (Sort::Configuration, _) => {
                // The update lets one kustomization go and brings another.
                let (branch, part) = match step {
                    Step::Install => ("main", "apps"),
                    _ => ("release", "infra"),
                };
                let properties = json!({
                    "scope": "cluster", "namespace": "cluster-config", "sourceKind": "GitRepository",
                    "gitRepository": {"url": "https://git.example/fleet", "httpsUser": "me",
                        "repositoryRef": {"branch": branch}},
                    "kustomizations": {part: {"path": "./a"}},
                });
                rig.azure.put_flux(&cluster, "fleet", properties);
            }
            (Sort::Extension, Step::Withdraw) => assert!(rig.azure.delete_extension(&cluster, "mon")),
            (Sort::Extension, _) => {
                let version = if step == Step::Install { "1.0.0" } else { "2.0.0" };
                let properties = json!({"extensionType": "Contoso.Monitor", "version": version,
                    "autoUpgradeMinorVersion": false, "configurationSettings": {"site": "17"}});
                rig.azure.put_extension(&cluster, "Mon", properties);
            }
        }
    }

    fn listing(self) -> &'static str {
        match self {
            Sort::Configuration => "/fluxconfigurations?",
            Sort::Extension => "/extensions?",
        }
    }

    /// The document's name in `arclet desired`, and in rows.
    fn document(self) -> (&'static str, &'static str) {
        match self {
            Sort::Configuration => ("flux/fleet", "fleet"),
            Sort::Extension => ("extension/mon", "mon"),
        }
    }

    /// The words for a document before and after the controllers' word.
    fn words(self) -> [&'static str; 2] {
        match self {
            Sort::Configuration => ["applied", "verified"],
            Sort::Extension => ["installing", "succeeded"],
        }
    }
}

/// All of the cluster that documents have a part in, without what the API server counts.
fn objects(rig: &Rig) -> Vec<Value> {
    let kinds = [
        ("v1", "Namespace"),
        ("v1", "Secret"),
        ("source.toolkit.fluxcd.io/v1", "GitRepository"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
        ("helm.cattle.io/v1", "HelmChart"),
    ];
    let all = kinds.iter().flat_map(|(version, kind)| rig.k3s.objects(version, kind));
    let plain = |object: Value| {
        let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
        json!({"kind": part("/kind"), "name": part("/metadata/name"), "namespace": part("/metadata/namespace"),
            "labels": part("/metadata/labels"), "annotations": part("/metadata/annotations"),
            "spec": part("/spec"), "data": part("/data")})
    };
    // Where this test's registry is goes into the chart's address, and that into the name of the settings' Secret.
    let place = rig.azure.repository("charts/monitor");
    let secret = rig.k3s.object(("helm.cattle.io/v1", "HelmChart", "arclet-extensions", "mon"));
    let secret =
        secret.and_then(|chart| Some(chart["spec"]["valuesSecrets"][0]["name"].as_str()?.to_owned()));
    let alike = |object: Value| {
        let mut text = object.to_string().replace(&place, "oci://registry/charts/monitor");
        if let Some(name) = &secret {
            text = text.replace(name, SETTINGS);
        }
        serde_json::from_str(&text).expect("JSON as before")
    };
    all.map(plain).map(alike).collect()
}

/// What controllers do: Flux's say of each object that it is ready, and k3s's leaves its Job.
fn controllers(rig: &Rig) {
    for (version, kind) in [
        ("source.toolkit.fluxcd.io/v1", "GitRepository"),
        ("kustomize.toolkit.fluxcd.io/v1", "Kustomization"),
    ] {
        for object in rig.k3s.objects(version, kind) {
            let generation = object["metadata"]["generation"].clone();
            if object["status"]["observedGeneration"] == generation && !generation.is_null() {
                continue;
            }
            let status = json!({"observedGeneration": generation, "artifact": {"revision": "sha1:00"},
                "lastAppliedRevision": "sha1:00", "conditions": [{"type": "Ready", "status": "True",
                    "reason": "Succeeded", "message": "done", "lastTransitionTime": "2026-11-23T00:00:00Z"}]});
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            rig.k3s.set_status((version, kind, text("/metadata/namespace"), text("/metadata/name")), status);
        }
    }
    let chart = rig.k3s.object(("helm.cattle.io/v1", "HelmChart", "arclet-extensions", "mon"));
    if let Some(name) =
        chart.and_then(|chart| chart["spec"]["valuesSecrets"][0]["name"].as_str().map(str::to_owned))
    {
        rig.k3s.put(json!({"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "helm-install-mon", "namespace": "arclet-extensions"},
            "status": {"conditions": [{"type": "Complete", "status": "True"}]},
            "spec": {"template": {"spec": {"volumes": [{"projected": {"sources": [{"secret": {"name": name}}]}}]}}}}));
    }
}

/// What there is to see, after the controllers did their part.
fn end(rig: &Rig, agent: &Agent, sort: Sort) -> Option<End> {
    controllers(rig);
    look(rig, agent, sort)
}

fn look(rig: &Rig, agent: &Agent, sort: Sort) -> Option<End> {
    let desired: Desired = serde_json::from_value(agent.ask(r#"{"get":"desired"}"#)?).ok()?;
    let documents = desired.documents.iter().map(|document| {
        let code = document.reason.as_ref().map(|reason| reason.code.clone());
        json!([document.document, document.state, document.digest, code])
    });
    let of_it = |a: &azure_standin::Arrived| a.row["Name"] == sort.document().1 && !a.row["Digest"].is_null();
    let rows = rig.azure.arrived();
    let told = rows.iter().rev().find(|a| of_it(a));
    // Whoever is killed between the removal and the row no longer knows what the content was that went.
    let digest = |a: &azure_standin::Arrived| match a.row["State"] == "withdrawn" {
        true => Value::Null,
        false => a.row["Digest"].clone(),
    };
    let told = told.map(|a| json!([a.row["State"], digest(a), a.row["Reason"]])).unwrap_or_default();
    Some(End { objects: objects(rig), documents: documents.collect(), told })
}

/// A Secret of an older HelmChart: it goes after the new one is there.
fn left_over(object: &Value) -> bool {
    let name = object["name"].as_str().unwrap_or_default();
    object["kind"] == "Secret" && name.starts_with("mon-") && name != SETTINGS
}

/// The end of each step of a life in which nobody kills: `[before, installed, updated, withdrawn]`.
fn unkilled(sort: Sort) -> Vec<End> {
    let rig = sort.rig();
    let mut agent = rig.start();
    agent.status();
    let mut ends = vec![eventually("an answer", || end(&rig, &agent, sort))];
    for step in STEPS {
        let before = ends.last().expect("one").clone();
        sort.change(&rig, step);
        let settled = eventually(&format!("{sort:?}: {step:?}, undisturbed"), || {
            let end = end(&rig, &agent, sort)?;
            let state = end.documents.first().map(|document| document[1].clone());
            let wanted = (step != Step::Withdraw).then(|| json!(sort.words()[1]));
            let told = wanted.clone().unwrap_or_else(|| json!("withdrawn"));
            (state == wanted
                && end.told[0] == told
                && end.objects != before.objects
                && !end.objects.iter().any(left_over)
                && end.told != before.told)
                .then_some(end)
        });
        // What is left of the older goes after the newer is there.
        ends.push(rested(&rig, &agent, sort, settled));
    }
    assert_eq!(
        ends[0].objects.len() + usize::from(sort == Sort::Configuration),
        ends[3].objects.len(),
        "{ends:#?}"
    );
    ends
}

/// The end that no further look at the cluster and no further listing changes.
fn rested(rig: &Rig, agent: &Agent, sort: Sort, mut seen: End) -> End {
    loop {
        let requests = || (rig.k3s.stats().requests, rig.azure.stats(Endpoint::Arm).requests);
        let before = requests();
        let documents = if seen.documents.is_empty() { 0 } else { 12 };
        eventually("more looks", || {
            let now = requests();
            (now.0 >= before.0 + documents && now.1 >= before.1 + 6).then_some(())
        });
        let now = eventually("an answer", || end(rig, agent, sort));
        if now == seen {
            return now;
        }
        seen = now;
    }
}

/// How often a stand-in of Azure holds such a request, or has held it.
fn stalled(rig: &Rig, endpoint: Endpoint, text: &str) -> usize {
    let path = text.trim_end_matches('?');
    let is = |seen: &&azure_standin::Seen| {
        seen.endpoint == endpoint && seen.status == 0 && seen.path.to_lowercase().contains(path)
    };
    rig.azure.seen().iter().filter(is).count()
}

fn stall(rig: &Rig, endpoint: Endpoint, text: &str) -> impl Fn() {
    let (before, text) = (stalled(rig, endpoint, text), text.to_owned());
    rig.azure.set_fault_on(endpoint, &text, Fault::Stall, None);
    move || {
        eventually(&format!("{text} to be held"), || (stalled(rig, endpoint, &text) > before).then_some(()));
    }
}

/// Lets the step happen up to the request.
fn up_to(rig: &Rig, agent: &Agent, sort: Sort, step: Step, at: At, goal: &End) {
    match at {
        At::Azure(endpoint, text) => {
            let held = stall(rig, endpoint, text);
            sort.change(rig, step);
            held();
        }
        At::NextListing => {
            // Nothing is under way when Azure changes: what is held next comes after a listing that has the change.
            stall(rig, Endpoint::Arm, sort.listing())();
            sort.change(rig, step);
            let held = stall(rig, Endpoint::Arm, "/extensions?");
            rig.azure.set_fault_on(Endpoint::Arm, sort.listing(), Fault::Slow(Duration::ZERO), None);
            held();
        }
        At::Before(texts) | At::After(texts) => {
            rig.k3s.hold(texts, matches!(at, At::After(_)));
            sort.change(rig, step);
            eventually(&format!("{texts:?} to be held"), || rig.k3s.held().then_some(()));
        }
        At::Unverified => {
            sort.change(rig, step);
            eventually("objects without a word on them", || {
                let now = look(rig, agent, sort)?;
                let document = now.documents.first()?;
                let is = document[1] == sort.words()[0] && document[2] == goal.documents[0][2];
                (is && now.objects == goal.objects).then_some(())
            });
        }
        At::Unreported => {
            rig.azure.cut(Endpoint::Ingest);
            sort.change(rig, step);
            eventually("the end of the step", || {
                let now = end(rig, agent, sort)?;
                (now.objects == goal.objects && now.documents == goal.documents).then_some(())
            });
        }
    }
}

/// Looks until both are the same; says what was there instead when that never comes.
fn same<T: PartialEq + std::fmt::Debug>(what: &str, wanted: &T, mut look: impl FnMut() -> Option<T>) {
    let (begin, mut last) = (std::time::Instant::now(), None);
    loop {
        last = look().or(last);
        if last.as_ref() == Some(wanted) {
            return;
        }
        assert!(begin.elapsed() < HANG, "{what}: {last:#?}\ninstead of {wanted:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One life, killed once. `ends` are those of [`unkilled`].
fn lived(sort: Sort, step: Step, at: At, offline: Offline, link: bool, ends: &[End]) {
    let name = format!("{sort:?}, {step:?}, killed at {at:?}, link: {link}");
    let rig = sort.rig();
    let mut agent = rig.start();
    agent.status();
    let number = STEPS.iter().position(|one| *one == step).expect("a step");
    for (earlier, goal) in STEPS[..number].iter().zip(&ends[1..]) {
        sort.change(&rig, *earlier);
        same(&format!("{name}: before it"), goal, || end(&rig, &agent, sort));
    }
    let (old, new) = (&ends[number], &ends[number + 1]);
    up_to(&rig, &agent, sort, step, at, new);
    agent.kill();
    if !link {
        rig.azure.cut_all();
    }
    for endpoint in Endpoint::ALL {
        rig.azure.clear_fault(endpoint);
    }
    rig.k3s.release();
    if link {
        rig.azure.restore(Endpoint::Ingest);
    }
    let mut agent = rig.start();
    agent.status();
    if !link {
        let durable = if offline == Offline::Old { old } else { new };
        same(&format!("{name}: {offline:?}"), &durable.objects, || Some(objects(&rig)));
        // Nothing comes after it either: each document is looked at some times more.
        if !durable.documents.is_empty() {
            let looks = rig.k3s.stats().requests + 12;
            eventually("more looks", || (rig.k3s.stats().requests > looks).then_some(()));
        }
        assert_eq!(objects(&rig), durable.objects, "{name}: {offline:?}");
        for endpoint in Endpoint::ALL {
            rig.azure.restore(endpoint);
        }
    }
    same(&name, new, || end(&rig, &agent, sort));
    // And what is kept is that: nothing comes back with the next start, without a link.
    agent.kill();
    rig.azure.cut_all();
    let agent = rig.start();
    same(&format!("{name}, started once more"), new, || {
        Some(End { told: new.told.clone(), ..end(&rig, &agent, sort)? })
    });
}

fn lives(sort: Sort, step: Step, cases: &[(At, Offline)]) {
    let ends = unkilled(sort);
    for (at, offline) in cases {
        for link in [true, false] {
            lived(sort, step, *at, *offline, link, &ends);
        }
    }
}

use At::{After, Azure, Before, NextListing, Unreported, Unverified};
use Offline::{New, Old};

#[test]
fn a_configuration_that_comes_ends_the_same_wherever_its_coming_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/fluxconfigurations?"), Old),
        // Stored, and its secret is not there: nothing can be made of it before the vault is heard.
        (NextListing, Old),
        (Azure(Endpoint::Vault, "/secrets/"), Old),
        (Before(&["PATCH", "/secrets/fleet-auth"]), New),
        (Before(&["PATCH", "/gitrepositories/fleet"]), New),
        (After(&["PATCH", "/gitrepositories/fleet"]), New),
        (After(&["PATCH", "/kustomizations/fleet-apps"]), New),
        (Unverified, New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, Step::Install, &cases);
}

#[test]
fn a_configuration_that_changes_ends_the_same_wherever_its_change_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/fluxconfigurations?"), Old),
        (NextListing, New),
        (Before(&["PATCH", "/gitrepositories/fleet", "release"]), New),
        (After(&["PATCH", "/gitrepositories/fleet", "release"]), New),
        (After(&["PATCH", "/kustomizations/fleet-infra"]), New),
        (Before(&["DELETE", "/kustomizations/fleet-apps"]), New),
        (After(&["DELETE", "/kustomizations/fleet-apps"]), New),
        (Unverified, New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, Step::Update, &cases);
}

#[test]
fn a_configuration_that_goes_ends_the_same_wherever_its_going_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/fluxconfigurations?"), Old),
        // Listings lack it and Azure has not yet said of itself that it is gone.
        (Azure(Endpoint::Arm, "/fluxconfigurations/fleet"), Old),
        (Before(&["DELETE", "/kustomizations/fleet-infra"]), New),
        (After(&["DELETE", "/kustomizations/fleet-infra"]), New),
        (After(&["DELETE", "/gitrepositories/fleet"]), New),
        (After(&["DELETE", "/secrets/fleet-auth"]), New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, Step::Withdraw, &cases);
}

#[test]
fn an_extension_that_comes_ends_the_same_wherever_its_coming_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        (Azure(Endpoint::Vault, "/secrets/"), Old),
        (Azure(Endpoint::Registry, "/blobs/"), Old),
        (Before(&["PATCH", "/namespaces/arclet-extensions/secrets/"]), New),
        (After(&["PATCH", "/namespaces/arclet-extensions/secrets/"]), New),
        (Before(&["PATCH", "/helmcharts/mon"]), New),
        (After(&["PATCH", "/helmcharts/mon"]), New),
        (Unverified, New),
        (Unreported, New),
    ];
    lives(Sort::Extension, Step::Install, &cases);
}

#[test]
fn an_extension_that_changes_ends_the_same_wherever_its_change_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        // The last good chart stays until the other one is there.
        (Azure(Endpoint::Registry, "/blobs/"), Old),
        // With the other chart, in base64.
        (Before(&["PATCH", "/helmcharts/mon", "Mi4wLjA="]), New),
        (After(&["PATCH", "/helmcharts/mon", "Mi4wLjA="]), New),
        (Unverified, New),
        (Unreported, New),
    ];
    lives(Sort::Extension, Step::Update, &cases);
}

#[test]
fn an_extension_that_goes_ends_the_same_wherever_its_going_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        (Azure(Endpoint::Arm, "/extensions/mon"), Old),
        (Before(&["DELETE", "/helmcharts/mon"]), New),
        (After(&["DELETE", "/helmcharts/mon"]), New),
        (After(&["DELETE", "/namespaces/arclet-extensions/secrets/"]), New),
        (Unreported, New),
    ];
    lives(Sort::Extension, Step::Withdraw, &cases);
}
