//! What arrives, and how: every column declared, the latest heartbeat after an outage and one report of the gap.

use crate::rig::{Rig, Setup, eventually, report};
use arclet::core::Stream;
use arclet::scenario::columns;
use std::collections::BTreeSet;

#[test]
fn heartbeats_and_metadata_arrive_with_declared_columns_only() {
    let rig = Rig::new(Setup { nodes: 7, ..Setup::default() });
    let mut agent = rig.start();
    eventually("three heartbeats", || (rig.arrived("heartbeat").len() >= 3).then_some(()));
    let whole = eventually("a whole metadata report", || rig.arrived("whole").into_iter().next());
    assert_eq!(whole.row["NodeCount"], 7);
    assert_eq!(whole.row["VcpuCount"], 28);
    assert_eq!(whole.row["AgentVersion"], env!("CARGO_PKG_VERSION"));
    rig.k3s.set_nodes(8, 4);
    let delta = eventually("a delta", || rig.arrived("delta").into_iter().next());
    assert_eq!((&delta.row["NodeCount"], &delta.row["VcpuCount"]), (&8.into(), &32.into()));
    assert!(delta.row.get("KubernetesVersion").is_none(), "a delta holds what changed: {}", delta.row);

    let status = agent.status();
    assert!(
        status.links.iter().filter(|l| l.endpoint.name() != "arm").all(|l| l.state == "up"),
        "{status:?}"
    );
    assert_eq!(status.cluster_facts.expect("facts").node_count, 8);
    assert_eq!(status.clock.state, "synced", "the stand-in's Date is right");
    assert_eq!(rig.azure.violations(), Vec::<String>::new(), "Azure would drop or cut something");
    for arrived in rig.azure.arrived() {
        let stream =
            Stream::ALL.into_iter().find(|s| s.dcr_stream() == arrived.stream).expect("a stream of ours");
        let declared: BTreeSet<_> = columns::all(stream).map(|(name, _)| name).collect();
        for column in arrived.row.as_object().expect("rows are objects").keys() {
            assert!(declared.contains(column.as_str()), "{column} is not declared");
        }
        for (column, _) in columns::COMMON {
            assert!(arrived.row.get(*column).is_some(), "{column} is missing in {}", arrived.row);
        }
    }
}

#[test]
fn after_an_outage_the_latest_heartbeat_and_one_gap_report_arrive() {
    let rig = Rig::new(Setup::default());
    let mut agent = rig.start();
    eventually("a heartbeat", || rig.arrived("heartbeat").pop());
    rig.azure.cut_all();
    agent.wait("the link to be seen down", |s| {
        s.links.iter().any(|l| l.endpoint.name() == "ingest" && l.state == "down")
    });
    let before = rig.arrived("heartbeat").len();
    let kept = heartbeats_kept(&rig);
    eventually("twelve heartbeats while offline", || (heartbeats_kept(&rig) >= kept + 12).then_some(()));
    rig.azure.restore_all();
    let gap = eventually("the gap report", || rig.arrived("gap").pop());
    let heartbeats = rig.arrived("heartbeat");
    let (last, next) = (&heartbeats[before - 1].row, &heartbeats[before].row);
    let missing = next["Seq"].as_u64().expect("a number") - last["Seq"].as_u64().expect("a number");
    assert!(
        missing > 10,
        "while offline only the latest heartbeat is kept, but {missing} numbers later one came"
    );
    assert!(gap.row["From"].as_str() < gap.row["To"].as_str(), "{}", gap.row);
    assert!(gap.row["Count"].as_u64() >= Some(10), "{}", gap.row);
    assert!(gap.row["Reason"].is_string() && gap.row["Detail"].is_string(), "{}", gap.row);
    // A few more heartbeats, to see that it stays one report.
    let after = heartbeats.len();
    eventually("more heartbeats", || (rig.arrived("heartbeat").len() > after + 5).then_some(()));
    assert_eq!(rig.arrived("gap").len(), 1);
}

#[test]
fn times_come_from_the_clock_and_order_from_the_numbers() {
    let rig = Rig::new(Setup { report: report("50ms", "50ms", "50ms"), ..Setup::default() });
    let _agent = rig.start();
    eventually("twenty rows", || (rig.azure.arrived().len() >= 20).then_some(()));
    for arrived in rig.azure.arrived() {
        let row = arrived.row;
        assert!(matches!(row["ClockState"].as_str(), Some("unknown" | "synced")), "{row}");
        let time: jiff::Timestamp = row["EventTime"].as_str().expect("a text").parse().expect("RFC 3339");
        let apart = jiff::Timestamp::now().as_second() - time.as_second();
        assert!((0..crate::rig::HANG.as_secs() as i64).contains(&apart), "{row}");
    }
}

fn heartbeats_kept(rig: &Rig) -> usize {
    rig.acknowledged().iter().filter(|id| id.contains("-state-")).count()
}
