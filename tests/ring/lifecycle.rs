//! Start, reload, stop, and what is on the medium between two lives.

use crate::rig::{Rig, Setup, eventually, report};
use azure_standin::{Endpoint, Fault};
use rustix::process::Signal;
use std::collections::BTreeSet;

#[test]
fn sigterm_under_load_with_stalled_endpoints_stops_in_time_and_loses_nothing() {
    let rig = Rig::new(Setup { report: report("10ms", "10ms", "10ms"), ..Setup::default() });
    let agent = rig.start();
    eventually("a delivery", || rig.arrived("whole").pop());
    rig.azure.set_fault(Endpoint::Ingest, Fault::Stall, None);
    let seen = rig.acknowledged().len();
    eventually("a backlog", || (rig.acknowledged().len() > seen + 50).then_some(()));
    let (status, took) = agent.terminate();
    println!("stopped under load, ingestion stalled: {} ms", took.as_millis());
    assert!(status.success(), "{status}");
    assert!(!rig.path("sock").exists(), "the socket is taken away");

    rig.azure.clear_fault(Endpoint::Ingest);
    let mut agent = rig.start();
    let acknowledged: BTreeSet<_> =
        rig.acknowledged().into_iter().filter(|id| id.contains("-report-")).collect();
    agent.wait("the backlog to arrive", |_| {
        let arrived: BTreeSet<_> = rig
            .azure
            .arrived()
            .iter()
            .filter_map(|a| a.row["MessageId"].as_str().map(str::to_owned))
            .collect();
        acknowledged.is_subset(&arrived)
    });
}

#[test]
fn sighup_takes_a_good_configuration_and_keeps_the_old_one_when_it_is_bad() {
    let rig = Rig::new(Setup { report: report("1h", "1h", "24h"), ..Setup::default() });
    let mut agent = rig.start();
    eventually("the first heartbeat", || rig.arrived("heartbeat").pop());

    let good = std::fs::read_to_string(rig.path("arclet.toml")).expect("the configuration");
    std::fs::write(rig.path("arclet.toml"), good.replace("dcr = ", "drc = ")).expect("a file");
    agent.signal(Signal::HUP);
    let status = agent.wait("the mistake to be shown", |s| s.conditions.iter().any(|c| c.about == "config"));
    let condition = status.conditions.iter().find(|c| c.about == "config").expect("just seen");
    assert!(condition.reason.message.contains("drc"), "{condition:?}");

    rig.configure(&report("50ms", "1h", "24h"));
    let before = rig.arrived("heartbeat").len();
    agent.signal(Signal::HUP);
    eventually("heartbeats at the new interval", || {
        (rig.arrived("heartbeat").len() >= before + 3).then_some(())
    });
    agent.wait("the mistake to be gone", |s| s.conditions.iter().all(|c| c.about != "config"));
}

#[test]
fn what_takes_a_restart_is_said_and_changes_nothing_until_then() {
    let desired = "gitops = true\nkey-vault = \"{vault}\"";
    let rig = Rig::new(Setup { report: report("1h", "1h", "24h"), desired, ..Setup::default() });
    let mut agent = rig.start();
    // Before it listens to signals one would end it.
    agent.status();
    let good = std::fs::read_to_string(rig.path("arclet.toml")).expect("the configuration");
    let named = |status: &arclet::status::Status, key: &str| {
        let about = |c: &&arclet::status::Condition| c.reason.code == "NeedsRestart";
        status.conditions.iter().find(about).is_some_and(|c| c.reason.message.contains(key))
    };
    for (key, change) in [
        ("[desired] gitops", good.replace("gitops = true", "gitops = false")),
        ("[desired] key-vault", good.replace("key-vault = ", "key-vault-prefix = \"other-\"\nkey-vault = ")),
    ] {
        std::fs::write(rig.path("arclet.toml"), change).expect("a file");
        agent.signal(Signal::HUP);
        agent.wait("the key to be named", |s| named(s, key));
        std::fs::write(rig.path("arclet.toml"), &good).expect("a file");
        agent.signal(Signal::HUP);
        agent.wait("nothing that needs a restart", |s| !named(s, key));
    }
}

#[test]
fn a_damaged_store_is_repaired_told_of_and_used_again() {
    let rig = Rig::new(Setup { report: report("10ms", "10ms", "10ms"), ..Setup::default() });
    let agent = rig.start();
    eventually("a delivery", || rig.arrived("whole").pop());
    rig.azure.cut(Endpoint::Ingest);
    let seen = rig.acknowledged().len();
    eventually("a backlog", || (rig.acknowledged().len() > seen + 100).then_some(()));
    agent.kill();
    let damaged = damage(&rig.path("store"));
    assert!(damaged > 0, "there are files to damage");

    rig.azure.restore(Endpoint::Ingest);
    let mut agent = rig.start();
    let status = agent.status();
    println!("{damaged} files damaged; the store says: {:?}", status.store_notes);
    assert!(!status.store_notes.is_empty(), "a repair is told");
    let before = rig.arrived("whole").len();
    eventually("new reports to arrive", || (rig.arrived("whole").len() > before + 3).then_some(()));
}

#[test]
fn a_second_agent_is_refused_and_does_not_disturb_the_first() {
    let rig = Rig::new(Setup::default());
    let mut first = rig.start();
    first.status();
    let status = rig.start().end();
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(rig.log().contains("another agent answers"), "{}", rig.log());
    let before = rig.arrived("heartbeat").len();
    eventually("the first to go on", || (rig.arrived("heartbeat").len() > before).then_some(()));
    first.status();
}

#[test]
fn the_service_manager_hears_of_each_turn_of_the_life() {
    let rig = Rig::new(Setup::default());
    let socket = std::os::unix::net::UnixDatagram::bind(rig.path("notify")).expect("a socket");
    socket.set_read_timeout(Some(crate::rig::HANG)).expect("a limit");
    let next = |wanted: &str| {
        let mut message = [0; 1024];
        loop {
            let n = socket.recv(&mut message).unwrap_or_else(|e| panic!("no {wanted}: {e}"));
            let text = String::from_utf8_lossy(&message[..n]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    };
    let notify = rig.path("notify").display().to_string();
    let agent = rig.start_with(&[("NOTIFY_SOCKET", &notify), ("WATCHDOG_USEC", "1000000")]);
    next("READY=1");
    next("STATUS=links up; ");
    // Twice: it is fed again and again, not once.
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    agent.signal(Signal::HUP);
    assert!(next("RELOADING=1").contains("MONOTONIC_USEC="));
    next("READY=1");
    agent.signal(Signal::TERM);
    next("STOPPING=1");
    assert!(agent.end().success());
}

/// Overwrites the middle of every file of the store that is larger than a page; returns how many there were.
fn damage(directory: &std::path::Path) -> usize {
    use std::os::unix::fs::FileExt;
    let mut damaged = 0;
    for entry in std::fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry")) {
        let about = entry.metadata().expect("its metadata");
        if about.is_dir() {
            damaged += damage(&entry.path());
        } else if about.len() > 4096 && entry.file_name() == "db" {
            let file = std::fs::OpenOptions::new().write(true).open(entry.path()).expect("a file");
            file.write_all_at(&[0x5a; 512], about.len() / 8).expect("a write");
            damaged += 1;
        }
    }
    damaged
}
