//! Two devices of one cluster: one leads, the other takes over, and never do both change the cluster.

use crate::desired::{KUSTOMIZATION, SOURCE, enforced, put, shown};
use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::status::Status;
use azure_standin::cluster_id;
use k3s_standin::Flux;
use serde_json::{Value, json};

/// Two devices, the first known to the API server by a token and the second by a certificate.
fn devices() -> [Rig; 2] {
    let first = Rig::new(Setup {
        report: crate::rig::report("100ms", "1h", "24h"),
        desired: "gitops = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"",
        flux: Flux::Stable,
        nodes: 2,
        ..Setup::default()
    });
    let second = first.beside();
    [first, second]
}

fn leader(agent: &mut Agent) -> Status {
    agent.wait("that it leads", |status| status.lease.state == "leader")
}

fn stands_by(agent: &mut Agent) -> Status {
    agent.wait("that it stands by", |status| {
        status.lease.state == "candidate" && status.lease.holder.is_some()
    })
}

/// Every change of the cluster came from the device that the Lease named when it arrived.
fn only_leaders_wrote(rig: &Rig, names: &[(&str, &str)]) {
    let writes = rig.k3s.writes();
    let of_documents = writes.iter().filter(|write| !["Lease", "Namespace"].contains(&write.kind));
    let mut seen = 0;
    for write in of_documents {
        let me = names.iter().find(|(by, _)| write.by.contains(by)).map(|(_, me)| *me);
        assert_eq!(write.holder.as_deref(), me, "{write:?}");
        assert!(write.limited.is_some(), "it ends before the right does: {write:?}");
        seen += 1;
    }
    assert!(seen > 0, "something was written");
}

fn is_there(rig: &Rig, kustomization: &str) -> bool {
    rig.k3s.object((KUSTOMIZATION.0, KUSTOMIZATION.1, "cluster-config", kustomization)).is_some()
}

#[test]
fn one_of_two_agents_leads_and_who_is_stopped_hands_over_at_once_with_all_that_it_made() {
    let [first, second] = devices();
    let mut a = first.start();
    let me = leader(&mut a).lease.me;
    let two = |kustomizations: Value| {
        json!({
            "scope": "cluster", "namespace": "cluster-config", "sourceKind": "GitRepository", "suspend": false,
            "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": "main"}},
            "kustomizations": kustomizations,
        })
    };
    let (apps, web) = (json!({"path": "./apps", "prune": true}), json!({"path": "./web", "prune": true}));
    first.azure.put_flux(&cluster_id("k3s-1"), "fleet", two(json!({"apps": apps, "web": web})));
    enforced(&first, "fleet", "main");
    eventually("the second Kustomization", || is_there(&first, "fleet-web").then_some(()));

    // The other one enforces nothing and says so; but it hears what is wanted, and both give signs of life.
    let mut b = second.start();
    let standing = stands_by(&mut b);
    assert_eq!(standing.lease.holder.as_deref(), Some(me.as_str()));
    let waiting = shown(&mut b, "the document", |desired| desired.documents.len() == 1);
    assert_eq!(waiting.documents[0].state, "stored");
    let reason = waiting.documents[0].reason.as_ref().expect("why it is not applied");
    assert!(reason.code == "StandsBy" && reason.message.contains(&me), "{reason}");
    let roles = |role: &str| first.arrived("heartbeat").iter().any(|beat| beat.row["Role"] == role);
    eventually("a sign of life of each", || (roles("leader") && roles("candidate")).then_some(()));
    b.kill();
    let (ended, _) = a.terminate();
    assert!(ended.success());

    // What only the first one ever knew of is not wanted any more when the second one begins to lead: with a clean store,
    // so that it has nothing but what the first one left in the cluster.
    first.azure.put_flux(&cluster_id("k3s-1"), "fleet", two(json!({"apps": apps})));
    let third = first.beside();
    let mut c = third.start();
    let other = leader(&mut c).lease.me;
    assert_ne!(other, me);
    eventually("the end of what is not wanted", || (!is_there(&first, "fleet-web")).then_some(()));
    assert!(is_there(&first, "fleet-apps"));
    only_leaders_wrote(&first, &[("certificate", &other), ("", &me)]);

    // And with the last object goes what was noted of it.
    let noted = ("v1", "ConfigMap", "arclet", "made-flux-fleet");
    assert!(first.k3s.object(noted).is_some());
    assert!(first.azure.delete_flux(&cluster_id("k3s-1"), "fleet"));
    eventually("the end of the note", || first.k3s.object(noted).is_none().then_some(()));
    assert!(first.k3s.object((SOURCE.0, SOURCE.1, "cluster-config", "fleet")).is_none());
}

/// Takes the minute after which a Lease has run out.
#[test]
fn who_stands_by_takes_over_from_a_killed_leader_without_a_link_and_goes_on_enforcing() {
    let [first, second] = devices();
    put(&first, "fleet", "main");
    let mut a = first.start();
    let me = leader(&mut a).lease.me;
    enforced(&first, "fleet", "main");
    let mut b = second.start();
    let other = stands_by(&mut b).lease.me;
    shown(&mut b, "the document", |desired| desired.documents.len() == 1);
    // Rows about the cluster come from one of them.
    let rows = |me: &Rig| me.arrived("whole").len();
    eventually("the row of the leader", || (rows(&first) == 1).then_some(()));
    first.azure.cut_all();
    a.kill();
    assert!(first.k3s.delete((SOURCE.0, SOURCE.1, "cluster-config", "fleet")));
    let before = first.k3s.writes().len();
    leader(&mut b);
    enforced(&first, "fleet", "main");
    // It comes back and stands by, though it was the last that wrote before.
    let mut a = first.start();
    assert_eq!(stands_by(&mut a).lease.holder.as_deref(), Some(other.as_str()));
    assert!(first.k3s.writes().len() > before);
    only_leaders_wrote(&first, &[("certificate", &other), ("", &me)]);
}
