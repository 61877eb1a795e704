//! What fails, or stands still, or never ends, takes nothing else with it.

use crate::far::Mode;
use crate::world::{HOUR, MINUTE, SECOND, World};
use arclet::core::{Endpoint, Lane, Profile, Stream};

fn delivered(world: &World, lane: Lane, stream: Stream) -> usize {
    world.check.delivered_rows.iter().filter(|(_, l, s, _)| *l == lane && *s == stream).count()
}

#[test]
fn a_stream_that_the_server_refuses_or_breaks_on_holds_up_no_other() {
    for mode in [Mode::Lacks(Stream::Heartbeat), Mode::FailsOn(Stream::Heartbeat)] {
        let mut world = World::new(1, Profile::Default);
        world.set_mode(Endpoint::Ingest, mode);
        for lane in [Lane::Report, Lane::Audit, Lane::Logs] {
            world.produce(lane, Stream::Heartbeat, 2, 30, 0);
            world.produce(lane, Stream::Inventory, 2, 30, 0);
        }
        world.run_until(20 * MINUTE);
        for lane in [Lane::Report, Lane::Audit, Lane::Logs] {
            assert!(delivered(&world, lane, Stream::Inventory) >= 30, "{mode:?} {lane:?}");
            assert_eq!(delivered(&world, lane, Stream::Heartbeat), 0);
        }
        let shown = world.view().conditions.iter().any(|c| c.about == "stream ArcletHeartbeat_CL");
        assert_eq!(shown, matches!(mode, Mode::Lacks(_)), "what someone has to set right is shown");
        world.heal();
        world.run_until(40 * MINUTE);
        assert!(world.store.is_empty(), "{mode:?}");
        assert!(world.view().conditions.is_empty());
    }
}

#[test]
fn an_endpoint_that_stands_still_delays_no_other() {
    for stalled in [Endpoint::Kubernetes, Endpoint::Arm] {
        let mut world = World::new(2, Profile::Default);
        world.set_mode(stalled, Mode::Stalled);
        world.run_until(HOUR);
        let beats = delivered(&world, Lane::State, Stream::Heartbeat);
        assert!(beats >= 11, "{beats} heartbeats while {} stands still", stalled.name());
    }
    // A token that still holds is used while its authority stands still.
    let mut world = World::new(2, Profile::Default);
    world.run_until(MINUTE);
    world.set_mode(Endpoint::Login, Mode::Stalled);
    world.run_until(50 * MINUTE);
    assert!(delivered(&world, Lane::State, Stream::Heartbeat) >= 8);
}

#[test]
fn a_lane_that_is_never_empty_starves_no_other() {
    let mut world = World::new(3, Profile::Default);
    world.settings.batch_records = 10;
    let settings = world.settings.clone();
    world.reconfigure(settings);
    world.produce(Lane::Metrics, Stream::Inventory, 1, 20, 0);
    for _ in 0..600 {
        // More than goes out in a second, in lanes of more importance.
        world.produce(Lane::Report, Stream::Heartbeat, 1, 30, 0);
        world.produce(Lane::Audit, Stream::Heartbeat, 1, 30, 0);
        world.run_until(world.time + SECOND);
    }
    let (report, metrics) = (
        delivered(&world, Lane::Report, Stream::Heartbeat),
        delivered(&world, Lane::Metrics, Stream::Inventory),
    );
    assert_eq!(metrics, 20, "the last lane has come through");
    assert!(report > 5_000, "and the first lane still went first: {report}");
}

#[test]
fn a_report_lane_that_is_full_stops_no_heartbeat_and_loses_no_change() {
    let mut world = World::new(4, Profile::Default);
    world.run_until(HOUR);
    world.store.full = true;
    world.facts.node_count = 9;
    world.run_until(2 * HOUR);
    assert!(delivered(&world, Lane::State, Stream::Heartbeat) >= 22);
    assert!(world.view().conditions.iter().any(|c| c.about == "lane report"));
    world.facts.vcpu_count = 40;
    world.run_until(3 * HOUR);
    world.store.full = false;
    world.run_until(4 * HOUR);
    let last = world.far.arrived.rows.values().last().unwrap();
    assert_eq!(
        (&last.1["Kind"], &last.1["NodeCount"], &last.1["VcpuCount"]),
        (&"delta".into(), &9.into(), &40.into())
    );
    assert!(world.view().conditions.is_empty());
}

#[test]
fn a_token_that_is_rejected_is_replaced_once_and_then_slowly() {
    let mut world = World::new(5, Profile::Default);
    world.run_until(HOUR);
    world.revoke();
    let logins = |world: &World| world.check.calls.iter().filter(|c| c.1 == Endpoint::Login).count();
    let before = logins(&world);
    world.run_until(HOUR + 10 * MINUTE);
    assert_eq!(logins(&world), before + 1, "one new token");
    assert!(world.view().conditions.is_empty());
    world.set_mode(Endpoint::Ingest, Mode::Unauthorized);
    world.run_until(3 * HOUR);
    let tries = logins(&world) - before - 1;
    assert!((15..=40).contains(&tries), "{tries} tokens in two hours in which none is accepted");
    assert!(world.view().conditions.iter().any(|c| c.about == "ingest"));
    world.heal();
    world.run_until(3 * HOUR + 10 * MINUTE);
    assert!(world.store.is_empty());
    assert!(world.view().conditions.is_empty());
}

#[test]
fn tags_follow_the_cluster_but_not_more_than_once_an_hour() {
    let mut world = World::new(6, Profile::Default);
    for step in 0..40 {
        world.facts.node_count = 3 + step % 5;
        world.run_until((step + 1) * 7 * MINUTE);
    }
    let patches = world.check.calls.iter().filter(|c| c.1 == Endpoint::Arm).count();
    assert!((4..=5).contains(&patches), "{patches} in 4 h 40 min");
    world.run_until(7 * HOUR);
    assert_eq!(world.check.tagged.as_ref().unwrap()["arclet-node-count"], world.facts.node_count.to_string());
}
