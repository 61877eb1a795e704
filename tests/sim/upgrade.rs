//! Newer releases over days: how often the feed is asked, and that whatever happens each change is told, and stays known.

use crate::far::Mode;
use crate::trouble;
use crate::world::{HOUR, MINUTE, World};
use arclet::core::document::Digest;
use arclet::core::settings::UpgradeSettings;
use arclet::core::{Endpoint, Input, Profile};
use arclet::scenario::upgrade::{Look, Release};

const DAY: u64 = 24 * HOUR;

fn world(seed: u64, profile: Profile) -> World {
    let mut world = World::new(seed, profile);
    let mut settings = world.settings.clone();
    settings.upgrade = Some(UpgradeSettings {
        interval: UpgradeSettings::interval(profile),
        train: "stable".into(),
        source: "oci://h/arclet stable".into(),
    });
    world.reconfigure(settings);
    world
}

fn release(minor: u64) -> Look {
    let version = format!("0.{minor}.0");
    let manifest = Digest::of(version.as_bytes());
    let newest = Release { version, train: "stable".into(), manifest, released: None };
    Look { newest: Some(newest), trouble: None }
}

/// When the feed was asked.
fn looks(world: &World) -> Vec<u64> {
    world.check.calls.iter().filter(|call| call.1 == Endpoint::Releases).map(|call| call.0).collect()
}

fn available(world: &World) -> Option<String> {
    Some(world.view().upgrade?.available?.release.version)
}

/// What Azure was told, in order: the newest version, or the state without one.
fn told(world: &World) -> Vec<String> {
    let rows = world.far.arrived.rows.values().filter(|(_, row)| row["Kind"] == "upgrade");
    rows.map(|(_, row)| row["Version"].as_str().or(row["State"].as_str()).unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn the_feed_is_asked_once_an_interval_and_not_by_all_at_once() {
    for (profile, interval, days) in [(Profile::Default, HOUR, 2), (Profile::Metered, DAY, 14)] {
        let mut phases = Vec::new();
        for seed in 0..8 {
            let mut world = world(seed, profile);
            world.run_until(days * DAY);
            let looks = looks(&world);
            for pair in looks.windows(2) {
                let between = pair[1] - pair[0];
                assert!((interval * 7 / 8..=interval * 9 / 8 + MINUTE).contains(&between), "{between}");
            }
            assert!(looks.len() as u64 >= days * DAY / (interval * 9 / 8) - 1, "{}", looks.len());
            assert!(told(&world).len() == 1, "{:?}", told(&world));
            phases.push(looks[looks.len() / 2] / MINUTE);
        }
        phases.sort_unstable();
        phases.dedup();
        assert!(phases.len() > 4, "{phases:?}");
    }
}

#[test]
fn a_feed_that_is_away_is_asked_less_and_less_often_and_nothing_is_forgotten() {
    let mut world = world(1, Profile::Default);
    world.far.feed = release(2);
    world.run_until(2 * HOUR);
    assert_eq!(available(&world).as_deref(), Some("0.2.0"));
    world.set_mode(Endpoint::Releases, Mode::Down);
    let (from, heard) = (world.time, world.far.arrived.seen.len());
    world.run_until(from + DAY);
    let tries = looks(&world).iter().filter(|at| **at > from).count();
    // From half a minute to an hour: a dozen tries to get there, and then two an hour at the most, drawn at random.
    assert!((12..=80).contains(&tries), "{tries}");
    assert!(world.far.arrived.seen.len() >= heard + 280, "heartbeats go on");
    world.crash(true);
    assert_eq!(available(&world).as_deref(), Some("0.2.0"));
    world.far.feed = release(3);
    world.set_mode(Endpoint::Releases, Mode::Up);
    world.tell(Input::LinkHint(Endpoint::Releases));
    world.run_until(world.time + HOUR);
    assert_eq!((available(&world).as_deref(), told(&world).join(" ")), (Some("0.3.0"), "0.2.0 0.3.0".into()));
}

#[test]
fn whatever_the_weather_the_newest_release_is_told_in_the_end_and_none_after_a_newer_one() {
    for seed in 0..30 {
        let mut world = world(seed, Profile::Default);
        let mut minor = 1;
        while world.time < 12 * HOUR {
            let next = world.time + world.rng.below(40 * MINUTE);
            world.run_until(next);
            trouble(&mut world);
            if world.rng.chance(30) {
                minor += 1;
                world.far.feed = release(minor);
            } else if world.rng.chance(20) {
                // Somebody shows an old feed, or an empty one.
                world.far.feed = if world.rng.chance(50) { Look::default() } else { release(minor / 2) };
            }
        }
        world.heal();
        minor += 1;
        world.far.feed = release(minor);
        for endpoint in Endpoint::ALL {
            world.tell(Input::LinkHint(endpoint));
        }
        world.check.hinted();
        let healed = world.time;
        while world.time < healed + 30 * HOUR && (world.time < healed + 2 * HOUR || !world.store.is_empty()) {
            world.run_until(world.time + 10 * MINUTE);
        }
        let newest = format!("0.{minor}.0");
        assert_eq!(available(&world), Some(newest.clone()), "seed {seed}");
        let versions: Vec<u64> =
            told(&world).iter().filter_map(|version| version.split('.').nth(1)?.parse().ok()).collect();
        assert_eq!(versions.last(), Some(&minor), "seed {seed}");
        assert!(versions.is_sorted(), "seed {seed}: {versions:?}");
    }
}
