//! Many agents that lose the same link at the same moment do not come back as one.

use crate::far::Mode;
use crate::world::{HOUR, MINUTE, SECOND, World};
use arclet::core::{Endpoint, Lane, Profile, Stream};
use std::collections::BTreeMap;

const AGENTS: u64 = 60;

/// The most that fall into one of the slices of this length.
fn peak(times: impl IntoIterator<Item = u64>, slice: u64) -> u64 {
    let mut slices = BTreeMap::new();
    for time in times {
        *slices.entry(time / slice).or_insert(0) += 1;
    }
    slices.into_values().max().unwrap_or(0)
}

#[test]
fn after_a_shared_outage_first_signs_of_life_and_drains_are_spread_over_minutes() {
    let mut first = Vec::new();
    let mut drains = Vec::new();
    for seed in 0..AGENTS {
        let mut world = World::new(seed, Profile::Default);
        world.run_until(HOUR);
        for endpoint in [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest] {
            world.set_mode(endpoint, Mode::Down);
        }
        for hour in 1..=4 {
            world.run_until(hour * HOUR + 30 * MINUTE);
            world.produce(Lane::Audit, Stream::Heartbeat, 3, 50, 0);
        }
        world.run_until(5 * HOUR);
        world.heal();
        world.run_until(6 * HOUR);
        assert!(world.store.is_empty());
        first.push(world.first_call_to_azure(5 * HOUR));
        drains.push(world.check.bulk.iter().copied().find(|t| *t >= 5 * HOUR).expect("a drain"));
    }
    // Sixty agents evenly over five minutes are two in ten seconds; all in step would be sixty.
    for (what, times) in [("first calls", &first), ("drains", &drains)] {
        let peak = peak(times.iter().copied(), 10 * SECOND);
        assert!(peak <= 12, "{peak} of {AGENTS} {what} within ten seconds");
    }
    assert!(first.iter().all(|t| *t <= 5 * HOUR + 5 * MINUTE + SECOND), "the link is noticed within the cap");
    assert!(drains.iter().all(|t| *t <= 5 * HOUR + 12 * MINUTE), "and the drain has begun soon after");
}

#[test]
fn agents_that_are_switched_on_together_have_heartbeats_at_different_times() {
    let mut beats = Vec::new();
    for seed in 0..AGENTS {
        let mut world = World::new(seed, Profile::Default);
        world.run_until(3 * HOUR);
        let in_third_hour =
            world.check.delivered_rows.iter().find(|(t, lane, ..)| *t > 2 * HOUR && *lane == Lane::State);
        beats.push(in_third_hour.expect("a heartbeat").0);
    }
    let peak = peak(beats, 10 * SECOND);
    assert!(peak <= 12, "{peak} of {AGENTS} heartbeats within ten seconds");
}

#[test]
fn a_drain_after_a_long_outage_goes_in_paced_batches_and_after_a_short_one_at_once() {
    for (outage, paced) in [(5 * MINUTE, false), (2 * HOUR, true)] {
        let mut world = World::new(1, Profile::Default);
        world.run_until(HOUR);
        world.set_mode(Endpoint::Ingest, Mode::Down);
        world.produce(Lane::Audit, Stream::Heartbeat, 3, 1_200, 0);
        world.run_until(HOUR + outage);
        world.heal();
        let healed = world.time;
        world.run_until(healed + 20 * MINUTE);
        assert!(world.store.is_empty());
        let batches: Vec<u64> = world.check.bulk.iter().copied().filter(|t| *t >= healed).collect();
        assert!(batches.len() >= 15, "{}", batches.len());
        let mean = (batches[15] - batches[0]) / 15;
        // A batch and its answer take 0.4 s in the mean, a pace half a second on top.
        assert_eq!(mean > 650, paced, "{mean} ms between batches after {} min", outage / MINUTE);
    }
}

#[test]
fn devices_that_get_their_power_back_together_do_not_drain_in_the_same_second() {
    let mut drains = Vec::new();
    for seed in 0..AGENTS {
        let mut world = World::new(seed, Profile::Default);
        world.run_until(HOUR);
        world.set_mode(Endpoint::Ingest, Mode::Down);
        world.produce(Lane::Audit, Stream::Heartbeat, 3, 50, 0);
        world.run_until(2 * HOUR);
        world.crash(true);
        world.heal();
        let on = world.time;
        world.run_until(on + HOUR);
        assert!(world.store.is_empty());
        drains.push(world.check.bulk.iter().copied().find(|t| *t >= on).expect("a drain") - on);
    }
    let peak = peak(drains, SECOND);
    assert!(peak <= 16, "{peak} of {AGENTS} drains within a second");
}
