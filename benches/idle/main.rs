//! What arclet costs while nothing happens, after a life: 5,000 nodes listed, 100,000 records queued and drained, an outage.
//!
//!     cargo bench --bench idle -- [PATH OF AN ARCLET] [--seconds 60] [--check]
//!
//! Prints PSS, peak, wake-ups and processor time beside their budgets; `--check` makes an exceeded budget exit code 1. The
//! budgets are those of the static musl build: with glibc's allocator 2 to 3 MB more are normal.

// A measurement takes its time.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

#[allow(dead_code)]
mod figures;
#[path = "../../tests/ring/rig.rs"]
#[allow(dead_code)]
mod rig;

use arclet::clock::Clock;
use arclet::core::{Lane, Record, Stream};
use arclet::store::{Handle, Options};
use figures::Watched;
use rig::{Rig, Setup, eventually, report};
use rustix::process::Signal;
use std::process::ExitCode;
use std::time::Duration;

/// Queued by another process before, with the store's own library.
const QUEUED: usize = 100_000;
/// Queued by the agent itself during the outage.
const OWN: usize = 1_000;

struct Figures {
    pss_kib: u64,
    peak_kib: u64,
    threads: u64,
    wakeups: f64,
    cpu: f64,
}

fn main() -> ExitCode {
    let mut binary = None;
    let (mut seconds, mut check) = (60, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            // What cargo itself passes.
            "--bench" => {}
            "--check" => check = true,
            "--seconds" => seconds = arguments.next().and_then(|s| s.parse().ok()).expect("--seconds N"),
            path => binary = Some(path.into()),
        }
    }
    let mut setup = Setup::default();
    if let Some(binary) = binary {
        setup.binary = binary;
    }
    println!("idle state of {}, measured for {seconds} s", setup.binary.display());
    let large = measure(setup.clone(), 5_000, Duration::from_secs(seconds));
    let small = measure(setup, 100, Duration::from_secs(seconds));
    let apart = large.pss_kib.abs_diff(small.pss_kib);
    println!("\n{:<36}{:>12}{:>12}{:>12}", "", "5,000 nodes", "100 nodes", "budget");
    let row =
        |name: &str, a: String, b: String, budget: &str| println!("{name:<36}{a:>12}{b:>12}{budget:>12}");
    row("PSS, KiB", large.pss_kib.to_string(), small.pss_kib.to_string(), "6144");
    row("  difference, KiB", apart.to_string(), String::new(), "1024");
    row("peak RSS, KiB", large.peak_kib.to_string(), small.peak_kib.to_string(), "-");
    row("threads", large.threads.to_string(), small.threads.to_string(), "-");
    row("wake-ups a second", format!("{:.2}", large.wakeups), format!("{:.2}", small.wakeups), "2");
    row("processor, percent of one", format!("{:.3}", large.cpu), format!("{:.3}", small.cpu), "0.1");
    let kept = large.pss_kib <= 6144 && apart <= 1024 && large.wakeups <= 2.0 && large.cpu <= 0.1;
    println!("budgets {}", if kept { "kept" } else { "EXCEEDED" });
    if check && !kept { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure(setup: Setup, nodes: usize, time: Duration) -> Figures {
    let busy = report("1s", "10ms", "10ms");
    let rig = Rig::new(Setup { nodes: 3, report: busy, ..setup });
    queue(&rig);
    rig.azure.cut_all();
    let mut agent = rig.start();
    agent.wait("an outage that is seen", |s| s.links.iter().any(|l| l.state == "down"));
    eventually("its own records", || (rig.acknowledged().len() >= OWN).then_some(()));
    rig.azure.restore_all();
    // From here on the usual intervals: nothing is due for minutes.
    rig.k3s.set_nodes(nodes, 4);
    agent.wait("all nodes", |s| s.cluster_facts.as_ref().is_some_and(|f| f.node_count == nodes as u64));
    rig.configure(&report("5m", "5m", "24h"));
    agent.signal(Signal::HUP);
    let status = agent.wait("an empty queue", |s| s.lanes.iter().all(|lane| lane.records == 0));
    println!("{nodes} nodes: {} records delivered, then idle", status.delivered);
    let watched = Watched::new(agent.pid());
    // What is left of the drain ends by itself: worker threads, and the connections that the stand-ins close.
    std::thread::sleep(Duration::from_secs(10));
    let before = watched.sample();
    std::thread::sleep(time);
    let rate = before.until(watched.sample());
    Figures {
        pss_kib: watched.pss_kib(),
        peak_kib: watched.peak_kib(),
        threads: watched.threads(),
        wakeups: rate.wakeups,
        cpu: rate.cpu,
    }
}

/// A queue as weeks without a link leave it.
fn queue(rig: &Rig) {
    let config = arclet::config::Config::load(&rig.path("arclet.toml")).expect("the configuration is good");
    let options = Options {
        dir: config.store.directory,
        quotas: config.store.quotas,
        cache_quota: config.store.cache_quota,
        key: None,
        epoch_bytes: config.store.epoch_size,
    };
    let clock = Clock::new();
    let (store, _) = Handle::spawn(options).expect("a store");
    let body = br#"{"Kind":"whole","KubernetesVersion":"v1.36.3+k3s1","NodeCount":3,"VcpuCount":12,"AgentVersion":"0.1.0"}"#;
    let record = || Record {
        stream: Stream::Inventory,
        key: "cluster".into(),
        stamp: clock.stamp(),
        body: body.to_vec(),
    };
    for _ in 0..QUEUED / 1_000 {
        let records = (0..1_000).map(|_| (Lane::Report, record())).collect();
        store.enqueue(records).blocking_recv().expect("the store lives").expect("room for all of them");
    }
    store.close().blocking_recv().expect("the store closes");
}
