//! What Azure is told of a time in which it heard nothing.

use crate::far::Mode;
use crate::world::{HOUR, MINUTE, START_MS, World};
use arclet::core::{Endpoint, Lane, Profile};

fn rows<'a>(world: &'a World, kind: &'a str) -> Vec<&'a serde_json::Value> {
    world.check.delivered_rows.iter().map(|(_, _, _, row)| row).filter(|row| row["Kind"] == kind).collect()
}

fn ms(value: &serde_json::Value) -> u64 {
    let time: jiff::Timestamp = value.as_str().expect("text").parse().expect("a time");
    (time.as_millisecond() - START_MS) as u64
}

#[test]
fn an_outage_ends_with_the_latest_heartbeat_and_one_gap_report_that_says_when_and_why() {
    let mut world = World::new(1, Profile::Default);
    world.run_until(2 * HOUR);
    let before = rows(&world, "heartbeat").len();
    world.set_mode(Endpoint::Ingest, Mode::Down);
    world.run_until(5 * HOUR);
    world.heal();
    world.run_until(5 * HOUR + 20 * MINUTE);

    let gaps = rows(&world, "gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    let (from, to) = (ms(&gaps[0]["From"]), ms(&gaps[0]["To"]));
    assert!((2 * HOUR - 6 * MINUTE..=2 * HOUR).contains(&from), "from {from}");
    assert!((5 * HOUR..=5 * HOUR + 6 * MINUTE).contains(&to), "to {to}");
    assert_eq!(gaps[0]["Reason"], "ConnectionRefused");
    let missed = gaps[0]["Count"].as_u64().unwrap();
    assert!((34..=37).contains(&missed), "{missed} heartbeats of three hours");
    let after = rows(&world, "heartbeat").len() - before;
    assert!(
        (3..=6).contains(&after),
        "{after} heartbeats came after the outage, of which one is from within it"
    );
}

#[test]
fn a_power_cut_without_a_clock_is_a_gap_too_with_times_set_right() {
    for seed in 0..20 {
        let mut world = World::new(seed, Profile::Default);
        world.run_until(HOUR);
        let off_from = world.time;
        world.crash(true);
        let off_to = world.time;
        world.run_until(off_to + 30 * MINUTE);
        let gaps = rows(&world, "gap");
        if off_to - off_from < 20 * MINUTE {
            assert!(gaps.len() <= 1);
            continue;
        }
        assert_eq!(gaps.len(), 1, "seed {seed}, off for {} min", (off_to - off_from) / MINUTE);
        assert_eq!(gaps[0]["Reason"], "Restarted");
        assert!(ms(&gaps[0]["From"]).abs_diff(off_from) < 6 * MINUTE, "seed {seed}: {}", gaps[0]);
        assert!(ms(&gaps[0]["To"]).abs_diff(off_to) < 6 * MINUTE, "seed {seed}: {}", gaps[0]);
        return;
    }
    unreachable!("one of twenty power cuts is longer than 20 minutes");
}

#[test]
fn a_restart_within_a_heartbeat_is_no_gap() {
    let mut world = World::new(3, Profile::Default);
    for hour in 1..=5 {
        world.run_until(hour * HOUR);
        world.crash(false);
    }
    world.run_until(6 * HOUR);
    assert_eq!(world.crashes, 5);
    assert_eq!(rows(&world, "gap").len(), 0);
}

#[test]
fn a_kill_in_the_middle_of_an_outage_does_not_hide_why_it_began() {
    let mut world = World::new(4, Profile::Default);
    world.run_until(HOUR);
    world.set_mode(Endpoint::Login, Mode::Refuses);
    world.revoke();
    world.run_until(2 * HOUR);
    world.crash(false);
    world.run_until(3 * HOUR);
    world.heal();
    world.run_until(4 * HOUR);
    let gaps = rows(&world, "gap");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["Reason"], "InvalidToken", "what was seen first");
}

#[test]
fn while_the_cluster_does_not_answer_nothing_is_reported_of_it_and_heartbeats_go_on() {
    let mut world = World::new(5, Profile::Default);
    world.run_until(HOUR);
    let reports = |world: &World| {
        world.check.delivered_rows.iter().filter(|(_, lane, _, _)| *lane == Lane::Report).count()
    };
    let (before, beats) = (reports(&world), rows(&world, "heartbeat").len());
    world.set_mode(Endpoint::Kubernetes, Mode::Refuses);
    world.facts.node_count = 0;
    world.run_until(30 * HOUR);
    assert_eq!(reports(&world), before);
    assert!(rows(&world, "heartbeat").len() > beats + 29 * 11);
    assert!(world.view().conditions.iter().any(|c| c.about == "kubernetes"));
    // A server that answers with no nodes has not been looked at either.
    world.heal();
    world.run_until(32 * HOUR);
    assert_eq!(reports(&world), before);
    assert!(world.view().conditions.iter().any(|c| c.about == "metadata"));
    world.facts.node_count = 4;
    world.run_until(33 * HOUR);
    assert_eq!(reports(&world), before + 1);
    assert!(world.view().conditions.is_empty(), "{:?}", world.view().conditions);
}

#[test]
fn a_gap_that_the_store_cannot_take_yet_is_told_later_though_the_process_dies_meanwhile() {
    for die in [false, true] {
        let mut world = World::new(6, Profile::Default);
        world.run_until(HOUR);
        world.set_mode(Endpoint::Ingest, Mode::Down);
        world.run_until(3 * HOUR);
        world.store.full = true;
        world.set_mode(Endpoint::Ingest, Mode::Up);
        world.run_until(4 * HOUR);
        assert_eq!(rows(&world, "gap").len(), 0);
        if die {
            world.crash(false);
        }
        world.run_until(5 * HOUR);
        world.store.full = false;
        world.run_until(6 * HOUR);
        let gaps = rows(&world, "gap");
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        let (from, to) = (ms(&gaps[0]["From"]), ms(&gaps[0]["To"]));
        assert!((HOUR - 6 * MINUTE..=HOUR).contains(&from), "from {from}");
        // One that had to be found anew goes on to the first contact of the process that could tell it.
        let latest = if die { 4 * HOUR + 6 * MINUTE } else { 3 * HOUR + 6 * MINUTE };
        assert!((3 * HOUR..=latest).contains(&to), "to {to}");
    }
}
