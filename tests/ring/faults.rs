//! Whatever the other side answers: the agent lives, says why, delays no other endpoint, and delivers when it is over.

use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::core::Endpoint as Link;
use azure_standin::{Endpoint, Fault};

/// Each kind of fault, and the state that the link shows: `refused` means that someone has to act.
fn kinds() -> Vec<(&'static str, Fault, &'static str)> {
    let error = |status| Fault::Error(status, "OperationFailed".into());
    vec![
        ("a reset before the answer", Fault::Reset, "down"),
        ("a reset in place of the answer", Fault::ResetAfter, "down"),
        ("an answer that breaks off", Fault::Truncated, "down"),
        ("401", error(401), "refused"),
        ("403", error(403), "refused"),
        ("404", error(404), "refused"),
        ("429 with Retry-After", Fault::Throttled(1), "down"),
        ("500", error(500), "down"),
        ("503", error(503), "down"),
        ("an HTML page with 200", Fault::Html(200), "refused"),
        ("an HTML page with 502", Fault::Html(502), "down"),
        ("a redirect", Fault::Redirect, "refused"),
        ("a body of 8 MB", Fault::Huge(8 << 20), "refused"),
        ("a header of 1 MB", Fault::HugeHeader(1 << 20), "refused"),
        ("JSON nested 100,000 deep", Fault::Deep(100_000), "refused"),
    ]
}

#[test]
fn each_fault_of_ingestion_is_survived_and_shown_with_its_reason() {
    let rig = Rig::new(Setup::default());
    let mut agent = rig.start();
    for (name, fault, state) in kinds() {
        delivers(&rig, name);
        healed(&mut agent, Link::Ingest, name);
        rig.azure.set_fault(Endpoint::Ingest, fault, None);
        let link = shown(&mut agent, Link::Ingest, name);
        println!("{name}: {} because {}", link.state, link.reason.as_ref().expect("a reason"));
        rig.azure.clear_fault(Endpoint::Ingest);
        assert_eq!(link.state, state, "{name}");
    }
    delivers(&rig, "the last of them");
}

#[test]
fn each_fault_of_the_token_endpoint_is_survived_and_shown_with_its_reason() {
    let rig = Rig::new(Setup::default());
    let mut agent = rig.start();
    delivers(&rig, "a token");
    for (name, fault, _) in kinds() {
        rig.azure.set_fault(Endpoint::Login, fault, None);
        rig.azure.revoke_tokens();
        let link = shown(&mut agent, Link::Login, name);
        println!("{name}: {} because {}", link.state, link.reason.as_ref().expect("a reason"));
        rig.azure.clear_fault(Endpoint::Login);
        delivers(&rig, name);
        healed(&mut agent, Link::Login, name);
    }
}

#[test]
fn each_fault_of_the_cluster_is_survived_and_says_nothing_about_nodes() {
    use k3s_standin::Fault as Odd;
    let rig = Rig::new(Setup { nodes: 5, ..Setup::default() });
    let mut agent = rig.start();
    eventually("a whole report", || rig.arrived("whole").pop());
    for (name, fault) in [
        ("401", Odd::Status(401)),
        ("403", Odd::Status(403)),
        ("500", Odd::Status(500)),
        ("429", Odd::Throttled(1)),
        ("an HTML page with 200", Odd::Html(200)),
        ("a redirect", Odd::Redirect),
        ("an answer that breaks off", Odd::Truncated),
    ] {
        rig.k3s.set_fault(Some(fault));
        let link = shown(&mut agent, Link::Kubernetes, name);
        println!("{name}: {} because {}", link.state, link.reason.as_ref().expect("a reason"));
        delivers(&rig, name);
        rig.k3s.set_fault(None);
        healed(&mut agent, Link::Kubernetes, name);
    }
    assert_eq!(rig.arrived("delta").len(), 0, "a cluster that does not answer has not lost its nodes");
}

#[test]
fn a_stalled_endpoint_delays_no_other() {
    let tags = "tags = true\ntags-interval = \"50ms\"";
    let report = crate::rig::report("100ms", "100ms", "24h").replace("tags = false", tags);
    let rig = Rig::new(Setup { report, ..Setup::default() });
    let mut agent = rig.start();
    delivers(&rig, "at first");
    // Or the first whole report would already have what is to be a change.
    eventually("a whole report", || rig.arrived("whole").pop());
    // Resource Manager and the cluster stall: heartbeats go on.
    rig.azure.set_fault(Endpoint::Arm, Fault::Stall, None);
    rig.k3s.set_fault(Some(k3s_standin::Fault::Stalled));
    for _ in 0..5 {
        delivers(&rig, "while ARM and the cluster stall");
    }
    rig.k3s.set_fault(None);
    // Ingestion stalls: the cluster is still looked at, and what is seen is kept.
    rig.azure.set_fault(Endpoint::Ingest, Fault::Stall, None);
    rig.k3s.set_nodes(9, 4);
    agent.wait("the change, seen and kept", |s| {
        s.cluster_facts.as_ref().is_some_and(|f| f.node_count == 9)
            && s.lanes.iter().any(|lane| lane.lane == "report" && lane.records > 0)
    });
    rig.azure.clear_fault(Endpoint::Ingest);
    rig.azure.clear_fault(Endpoint::Arm);
    eventually("the change", || rig.arrived("delta").into_iter().find(|a| a.row["NodeCount"] == 9));
}

#[test]
fn a_record_that_azure_refuses_for_ever_is_set_aside_alone_and_reported() {
    let rig = Rig::new(Setup { nodes: 3, ..Setup::default() });
    let mut agent = rig.start();
    // Or what is to be a change would be in the first whole report.
    eventually("a whole report", || rig.arrived("whole").pop());
    rig.azure.poison("\"NodeCount\":13");
    for nodes in [12, 13, 14] {
        rig.k3s.set_nodes(nodes, 4);
        agent.wait("the change to be seen", |s| {
            s.cluster_facts.as_ref().is_some_and(|f| f.node_count == nodes as u64)
        });
    }
    let report = eventually("the report of it", || rig.arrived("quarantine").pop());
    assert_eq!(report.row["Table"], "ArcletInventory_CL");
    // As a change, or within a whole report: what was refused makes the next one whole.
    eventually("what came after it", || rig.azure.arrived().into_iter().find(|a| a.row["NodeCount"] == 14));
    assert!(rig.arrived("delta").iter().any(|a| a.row["NodeCount"] == 12), "what came before it");
    let outbox = agent.ask(r#"{"get":"outbox"}"#).expect("an answer");
    let set_aside = outbox["quarantined"].as_array().expect("a list");
    assert_eq!(set_aside.len(), 1, "{outbox}");
    assert!(set_aside[0]["body"].as_str().expect("a text").contains("13"), "{outbox}");
    assert!(set_aside[0]["reason"].as_str().expect("a text").contains("InvalidRecord"), "{outbox}");
}

#[test]
fn a_challenge_of_continuous_access_evaluation_is_answered_with_its_claims() {
    let rig = Rig::new(Setup::default());
    let _agent = rig.start();
    delivers(&rig, "at first");
    rig.azure.challenge(Some(r#"{"access_token":{"nbf":{"essential":true,"value":"1795365000"}}}"#));
    delivers(&rig, "after the challenge");
}

#[test]
fn a_stream_that_the_rule_does_not_have_is_a_condition_and_delays_no_other_stream() {
    let rig = Rig::new(Setup::default());
    rig.azure.declare("Custom-ArcletInventory", false);
    let mut agent = rig.start();
    let status = agent.wait("a condition", |s| s.conditions.iter().any(|c| c.reason.code == "InvalidStream"));
    println!("{:?}", status.conditions);
    delivers(&rig, "of the other stream");
    rig.azure.declare("Custom-ArcletInventory", true);
    eventually("what was kept", || rig.arrived("whole").pop());
}

fn shown(agent: &mut Agent, endpoint: Link, what: &str) -> arclet::status::LinkStatus {
    let status = agent.wait(what, |status| {
        status
            .links
            .iter()
            .any(|link| link.endpoint == endpoint && link.state != "up" && link.reason.is_some())
    });
    status.links.into_iter().find(|link| link.endpoint == endpoint).expect("just seen")
}

/// The link is shown as up again. Azure has a record a moment before the agent knows that: until then the status is the
/// last fault's, and would be taken for the next one's.
fn healed(agent: &mut Agent, endpoint: Link, what: &str) {
    agent
        .wait(what, |status| status.links.iter().any(|link| link.endpoint == endpoint && link.state == "up"));
}

/// New heartbeats arrive.
fn delivers(rig: &Rig, what: &str) {
    let before = rig.arrived("heartbeat").len();
    eventually(&format!("delivery ({what})"), || (rig.arrived("heartbeat").len() > before).then_some(()));
}
