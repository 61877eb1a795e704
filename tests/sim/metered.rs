//! What a day costs on the link: little by default, and next to nothing where it is paid by the kilobyte.

use crate::far::Mode;
use crate::world::{HOUR, MINUTE, World};
use arclet::core::{Endpoint, Lane, Profile, Stream};

const DAY: u64 = 24 * HOUR;

/// What the calls of a day cost, as dear as they can be: no TLS session kept, each token with a handshake of its own.
fn dearest(world: &World, from: u64) -> u64 {
    let mut last = None;
    let mut bytes = 0;
    for (time, endpoint) in world.check.calls.iter().filter(|(t, _)| (from..from + DAY).contains(t)) {
        match endpoint {
            Endpoint::Login => bytes += 9_500,
            Endpoint::Ingest => {
                let kept = last.replace(*time).is_some_and(|before| time - before < 2 * MINUTE);
                bytes += if kept { 3_100 } else { 8_600 };
            }
            Endpoint::Arm | Endpoint::Kubernetes | Endpoint::Vault => {}
            Endpoint::Registry | Endpoint::Releases => {}
        }
    }
    bytes
}

#[test]
fn no_day_of_the_metered_profile_costs_more_than_33_kilobytes() {
    let mut world = World::new(1, Profile::Metered);
    for day in 0..14 {
        world.facts.node_count = 3 + day % 2;
        world.run_until((day + 1) * DAY);
        let bytes = dearest(&world, day * DAY);
        assert!((1..=33_000).contains(&bytes), "day {day}: {bytes}");
    }
    let beats = world.check.delivered_rows.iter().filter(|(_, lane, ..)| *lane == Lane::State).count();
    assert!(beats >= 13, "at least one sign of life a day, {beats}");
    assert!(world.check.tagged.is_none(), "tags are a third connection");
}

#[test]
fn restarts_and_outages_do_not_buy_more_bytes() {
    let mut world = World::new(2, Profile::Metered);
    world.run_until(HOUR);
    for step in 0..48 {
        if step % 3 == 0 {
            world.crash(false);
        }
        world.set_mode(Endpoint::Ingest, if step % 2 == 0 { Mode::Fails } else { Mode::Up });
        world.run_until(world.time + HOUR / 2);
    }
    let bytes = dearest(&world, 0);
    // A crash forgets what was spent since the last contact ended: one call each at the most, and rarely.
    assert!(bytes <= 66_000, "{bytes}");
}

#[test]
fn what_happens_between_contacts_waits_durably_and_comes_along() {
    let mut world = World::new(3, Profile::Metered);
    world.run_until(HOUR);
    let calls = world.check.calls.iter().filter(|c| c.1 == Endpoint::Ingest).count();
    world.facts.node_count = 8;
    world.produce(Lane::Audit, Stream::Heartbeat, 1, 20, 0);
    world.run_until(2 * HOUR);
    assert_eq!(
        world.check.calls.iter().filter(|c| c.1 == Endpoint::Ingest).count(),
        calls,
        "no call of its own"
    );
    assert!(!world.store.is_empty());
    world.run_until(50 * HOUR);
    assert!(world.store.is_empty());
    assert_eq!(world.far.arrived.rows.values().last().unwrap().1["NodeCount"], 8);
}

#[test]
fn a_quiet_day_of_the_default_profile_is_one_call_a_heartbeat() {
    let mut world = World::new(4, Profile::Default);
    world.run_until(DAY);
    let before = world.check.calls.len();
    world.run_until(2 * DAY);
    let of = |endpoint| world.check.calls[before..].iter().filter(|c| c.1 == endpoint).count();
    // Each heartbeat is looked for once more after it was delivered; the store answers that, not the server.
    let posts = world.check.delivered_rows.iter().filter(|(time, ..)| *time > DAY).count();
    assert!((286..=290).contains(&posts), "{posts} records: 288 heartbeats, one whole report, no deltas");
    assert!((24..=49).contains(&of(Endpoint::Login)), "{} tokens of an hour each", of(Endpoint::Login));
    assert_eq!(of(Endpoint::Arm), 0, "tags that have not changed");
}
