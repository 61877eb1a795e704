//! kill -9 at each state of a document's life, then a restart with and without a link: the end is that of a run that
//! nobody killed.
//!
//! Where the agent is killed is no matter of time: a stand-in holds the one request that the state is known by, and says
//! when it has come. Without a link the agent must reach what was durable when it died; with the link back, what Azure wants.

mod world;

use crate::rig::{Agent, HANG, Rig, eventually};
use azure_standin::{Endpoint, Fault};
use serde_json::json;
use std::time::Duration;
use world::{End, Sort, Step, end, left_over, look, objects};

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

/// The end of each step of a life in which nobody kills, after that before the first.
fn unkilled(sort: Sort, road: &[Step]) -> Vec<End> {
    let rig = sort.rig();
    let mut agent = rig.start();
    agent.status();
    let mut ends = vec![eventually("an answer", || end(&rig, &agent, sort))];
    for step in road.iter().copied() {
        let before = ends.last().expect("one").clone();
        sort.change(&rig, step);
        let wanted = sort.word(step).map(|word| json!(word));
        let settled = eventually(&format!("{sort:?}: {step:?}, undisturbed"), || {
            let end = end(&rig, &agent, sort)?;
            let state = end.documents.first().map(|document| document[1].clone());
            let told = wanted.clone().unwrap_or_else(|| json!("withdrawn"));
            // What cannot be rendered leaves the objects alone, and a secret's version is nothing that Azure is told.
            let touches = (sort, step) != (Sort::Configuration, Step::Break);
            let is_told = step != Step::Rotate;
            (state == wanted
                && end.told[0] == told
                && (end.objects != before.objects) == touches
                && !end.objects.iter().any(left_over)
                && (end.told != before.told) == is_told)
                .then_some(end)
        });
        // What is left of the older goes after the newer is there.
        ends.push(rested(&rig, &agent, sort, settled));
        if matches!(step, Step::Withdraw | Step::Leave) {
            let namespace = usize::from(sort == Sort::Configuration);
            assert_eq!(ends[0].objects.len() + namespace, ends[ends.len() - 1].objects.len(), "{ends:#?}");
        }
    }
    ends
}

/// The end that no further look at the cluster and no further listing changes.
fn rested(rig: &Rig, agent: &Agent, sort: Sort, mut seen: End) -> End {
    loop {
        let requests = || (rig.k3s.stats().requests, rig.azure.stats(Endpoint::Arm).requests);
        let before = requests();
        let documents = if seen.is_enforced() { 12 } else { 0 };
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
                let is = document[1] == sort.unverified() && document[2] == goal.documents[0][2];
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

/// One life, killed once, in its last step. `ends` are those of [`unkilled`].
fn lived(sort: Sort, road: &[Step], at: At, offline: Offline, link: bool, ends: &[End]) {
    let [earlier @ .., step] = road else { panic!("nothing happens in this life") };
    let name = format!("{sort:?}, {step:?}, killed at {at:?}, link: {link}");
    let rig = sort.rig();
    let mut agent = rig.start();
    agent.status();
    for (step, goal) in earlier.iter().zip(&ends[1..]) {
        sort.change(&rig, *step);
        same(&format!("{name}: before it"), goal, || end(&rig, &agent, sort));
    }
    let [.., old, new] = ends else { panic!("a step has two ends") };
    up_to(&rig, &agent, sort, *step, at, new);
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
        if durable.is_enforced() {
            let looks = rig.k3s.stats().requests + 12;
            eventually("more looks", || (rig.k3s.stats().requests > looks).then_some(()));
        }
        assert_eq!(objects(&rig), durable.objects, "{name}: {offline:?}");
        for endpoint in Endpoint::ALL {
            rig.azure.restore(endpoint);
        }
    }
    same(&name, new, || end(&rig, &agent, sort));
    // And what is kept is that: nothing comes back with the next start, without a link. (That Azure still lists what was
    // withdrawn is not kept.)
    agent.kill();
    rig.azure.cut_all();
    let agent = rig.start();
    let mut kept = new.clone();
    kept.documents.retain(|document| document[1] != "withdrawn");
    same(&format!("{name}, started once more"), &kept, || {
        Some(End { told: kept.told.clone(), ..end(&rig, &agent, sort)? })
    });
}

/// Lives along a road, one for each place in its last step where the agent is killed, with a link afterwards and without.
fn lives(sort: Sort, road: &[Step], cases: &[(At, Offline)]) {
    let ends = unkilled(sort, road);
    for (at, offline) in cases {
        for link in [true, false] {
            lived(sort, road, *at, *offline, link, &ends);
        }
    }
}

use At::{After, Azure, Before, NextListing, Unreported, Unverified};
use Offline::{New, Old};
use Step::{Break, Install, Leave, Mend, Rotate, Update, Withdraw};

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
    lives(Sort::Configuration, &[Install], &cases);
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
    lives(Sort::Configuration, &[Install, Update], &cases);
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
    lives(Sort::Configuration, &[Install, Update, Withdraw], &cases);
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
    lives(Sort::Extension, &[Install], &cases);
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
    lives(Sort::Extension, &[Install, Update], &cases);
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
    lives(Sort::Extension, &[Install, Update, Withdraw], &cases);
}

#[test]
fn a_configuration_that_fails_ends_the_same_wherever_it_is_killed() {
    let cases = [(Azure(Endpoint::Arm, "/fluxconfigurations?"), Old), (NextListing, New), (Unreported, New)];
    lives(Sort::Configuration, &[Install, Break], &cases);
}

#[test]
fn a_configuration_that_is_mended_ends_the_same_wherever_its_mending_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/fluxconfigurations?"), Old),
        (NextListing, New),
        (Before(&["PATCH", "/gitrepositories/fleet", "release"]), New),
        (After(&["PATCH", "/gitrepositories/fleet", "release"]), New),
        (After(&["DELETE", "/kustomizations/fleet-apps"]), New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, &[Install, Break, Mend], &cases);
}

#[test]
fn an_extension_that_fails_ends_the_same_wherever_it_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        (Before(&["PATCH", "/helmcharts/mon", r#"site\":\"bad"#]), New),
        (After(&["PATCH", "/helmcharts/mon", r#"site\":\"bad"#]), New),
        (Unverified, New),
        (Unreported, New),
    ];
    lives(Sort::Extension, &[Install, Break], &cases);
}

#[test]
fn an_extension_that_is_mended_ends_the_same_wherever_its_mending_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        (Before(&["PATCH", "/helmcharts/mon", r#"site\":18"#]), New),
        (After(&["PATCH", "/helmcharts/mon", r#"site\":18"#]), New),
        (Unreported, New),
    ];
    lives(Sort::Extension, &[Install, Break, Mend], &cases);
}

/// The new password in base64.
const PASSWORD: &str = "cGFzczI=";
/// The new settings in base64.
const PROTECTED: &str = "eyJrZXkiOiJwYXNzMiJ9";

#[test]
fn a_configurations_secret_that_is_rotated_ends_the_same_wherever_that_is_killed() {
    let cases = [
        (Azure(Endpoint::Vault, "/secrets/"), Old),
        (Before(&["PATCH", "/secrets/fleet-auth", PASSWORD]), New),
        (After(&["PATCH", "/secrets/fleet-auth", PASSWORD]), New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, &[Install, Rotate], &cases);
}

#[test]
fn an_extensions_settings_that_are_rotated_end_the_same_wherever_that_is_killed() {
    let cases = [
        (Azure(Endpoint::Vault, "/secrets/"), Old),
        (Before(&["PATCH", "/namespaces/arclet-extensions/secrets/", PROTECTED]), New),
        (After(&["PATCH", "/namespaces/arclet-extensions/secrets/", PROTECTED]), New),
        // The HelmChart has the new one.
        (Before(&["DELETE", "/namespaces/arclet-extensions/secrets/"]), New),
        (After(&["DELETE", "/namespaces/arclet-extensions/secrets/"]), New),
        (Unreported, New),
    ];
    lives(Sort::Extension, &[Install, Rotate], &cases);
}

#[test]
fn a_configuration_that_azure_never_finishes_deleting_ends_the_same_wherever_its_going_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/fluxconfigurations?"), Old),
        (Before(&["DELETE", "/kustomizations/fleet-apps"]), New),
        (After(&["DELETE", "/kustomizations/fleet-apps"]), New),
        (After(&["DELETE", "/secrets/fleet-auth"]), New),
        (Unreported, New),
    ];
    lives(Sort::Configuration, &[Install, Leave], &cases);
}

#[test]
fn an_extension_that_azure_never_finishes_deleting_ends_the_same_wherever_its_going_is_killed() {
    let cases = [
        (Azure(Endpoint::Arm, "/extensions?"), Old),
        (Before(&["DELETE", "/helmcharts/mon"]), New),
        (After(&["DELETE", "/helmcharts/mon"]), New),
        (After(&["DELETE", "/namespaces/arclet-extensions/secrets/"]), New),
        (Unreported, New),
    ];
    lives(Sort::Extension, &[Install, Leave], &cases);
}
