//! Nothing acknowledged is lost: outages and kill -9 at random moments, judged by the ack log alone.
//!
//! `cargo test` runs a small round; CI runs the heavy one: `ARCLET_RING_REPORTS=10000 ARCLET_RING_KILLS=200`.

use crate::rig::{Rig, Setup, eventually, report};
use azure_standin::Endpoint;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};

#[test]
fn every_acknowledged_report_arrives_in_order_after_outages_and_kills() {
    let reports = number("ARCLET_RING_REPORTS", 300);
    let kills = number("ARCLET_RING_KILLS", 10);
    // Every look at the cluster makes a whole report: the report lane is the one that may lose nothing at all.
    let rig = Rig::new(Setup { report: report("50ms", "10ms", "10ms"), ..Setup::default() });
    let mut dice = Dice::new();
    let begin = std::time::Instant::now();
    let (mut done, mut outages) = (0, 0);
    let mut agent = rig.start();
    let mut acks = Acks::default();
    while acks.read(&rig) < reports || done < kills {
        // Between one and twice the share of a kill, so that the kills are spread over all reports.
        let share = reports / (kills + 1).max(1);
        let target = acks.read(&rig) + 1 + dice.below(2 * share.max(1));
        let mut more =
            || eventually("more acknowledged reports", || (acks.read(&rig) >= target).then_some(()));
        match dice.below(3) {
            0 => {
                outages += 1;
                let cut = [Endpoint::Ingest, Endpoint::Login][dice.below(2)];
                rig.azure.cut(cut);
                more();
                rig.azure.restore(cut);
            }
            _ => more(),
        }
        if done < kills {
            agent.kill();
            done += 1;
            agent = rig.start();
        }
    }
    // The last kill may have been a moment ago: a signal before the agent listens for it is the kernel's to answer.
    agent.wait("an agent that answers", |_| true);
    let (ended, _) = agent.terminate();
    assert!(ended.success(), "{ended}");

    // Whatever waits still goes out with the next start, and nothing new is made: the cluster is gone.
    rig.k3s.cut();
    let mut agent = rig.start();
    agent.wait("an empty report lane", |status| {
        status.lanes.iter().any(|lane| lane.lane == "report" && lane.records == 0)
    });
    let losses: u64 = agent
        .status()
        .lanes
        .iter()
        .filter(|l| l.lane == "report")
        .map(|l| l.lost_by_quota + l.lost_by_damage)
        .sum();
    drop(agent);
    acks.read(&rig);
    let judged = judge(&rig, acks.reports);
    println!(
        "sent {}, arrived {}, duplicated {}, lost {}; {done} kills, {outages} outages, {:.0} s",
        judged.sent,
        judged.arrived,
        judged.duplicated,
        judged.lost.len(),
        begin.elapsed().as_secs_f64()
    );
    assert_eq!(judged.lost, BTreeSet::new(), "acknowledged and never arrived");
    assert_eq!(losses, 0, "a loss was counted that there was not");
}

struct Judged {
    sent: usize,
    arrived: usize,
    duplicated: usize,
    lost: BTreeSet<String>,
}

/// Compares the ack log with what arrived. Panics when a duplicate differs or when an order is broken.
fn judge(rig: &Rig, sent: BTreeSet<String>) -> Judged {
    let mut first: BTreeMap<String, serde_json::Value> = BTreeMap::new();
    let mut last_seq = BTreeMap::new();
    let mut duplicated = 0;
    for arrived in rig.azure.arrived() {
        let row = arrived.row;
        let id = row["MessageId"].as_str().expect("every row has its MessageId").to_owned();
        let seq = row["Seq"].as_u64().expect("every row has its Seq");
        let lane = id.rsplit('-').nth(1).expect("store-lane-seq").to_owned();
        if let Some(before) = first.get(&id) {
            duplicated += 1;
            // The same record: the times of a row may be corrected between two tries, what it says may not change.
            for column in
                ["Kind", "BootId", "Seq", "KubernetesVersion", "NodeCount", "VcpuCount", "From", "To"]
            {
                assert_eq!(before[column], row[column], "column {column} of duplicate {id}");
            }
            continue;
        }
        // Order per key: each of these lanes has one key a table, so first arrivals come in the order of their numbers.
        let last = last_seq.entry((lane, arrived.stream)).or_insert(0);
        assert!(seq > *last, "{id} arrived after number {last}");
        *last = seq;
        first.insert(id, row);
    }
    let lost = sent.iter().filter(|id| !first.contains_key(*id)).cloned().collect();
    Judged { sent: sent.len(), arrived: first.keys().filter(|id| is_report(id)).count(), duplicated, lost }
}

/// The acknowledged ids of the report lane. A heartbeat may be replaced by a newer one before it is sent, a report may not.
#[derive(Default)]
struct Acks {
    reports: BTreeSet<String>,
    /// Bytes of the ack log that were read.
    read: u64,
}

impl Acks {
    /// Takes in what is new; how many reports there are now.
    fn read(&mut self, rig: &Rig) -> usize {
        let mut text = String::new();
        if let Ok(mut file) = std::fs::File::open(rig.path("acks")) {
            file.seek(SeekFrom::Start(self.read)).expect("a file");
            file.read_to_string(&mut text).expect("ids are text");
        }
        // Whole lines only: the rest of one that is being written comes with the next look.
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        self.reports.extend(text[..whole].lines().filter(|id| is_report(id)).map(str::to_owned));
        self.reports.len()
    }
}

fn is_report(id: &str) -> bool {
    id.contains("-report-")
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// splitmix64; the seed is printed, though the schedule of processes is not repeated by it.
struct Dice(u64);

impl Dice {
    fn new() -> Self {
        let seed = getrandom::u64().expect("the kernel gives random numbers");
        println!("seed {seed}");
        Dice(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}
