//! The core under a seeded scheduler: outages, slow links, crashes at any step, clock jumps, every class of answer.
//!
//! Everything is decided by a seed, time is a number, and nothing sleeps: a failing seed is printed and
//! `ARCLET_SIM_SEED=<seed> cargo test --test sim weather` replays it. `ARCLET_SIM_SEEDS=<n>` tries more of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a simulation that is surprised has failed

mod another;
mod check;
mod desired;
mod far;
mod fleet;
mod lanes;
mod metered;
mod shell;
mod silence;
mod store;
mod supplies;
mod upgrade;
mod world;

use arclet::core::{Endpoint, Input, Lane, Profile, Stream};
use far::Mode;
use world::{HOUR, MINUTE, SECOND, World};

/// Seeds of a usual run.
const SEEDS: u64 = 300;

#[test]
fn whatever_the_weather_nothing_acknowledged_is_lost() {
    if let Some(seed) = number("ARCLET_SIM_SEED") {
        println!("seed {seed}: {:?}", weather(seed));
        return;
    }
    let seeds = number("ARCLET_SIM_SEEDS").unwrap_or(SEEDS);
    let mut seen = Seen::default();
    for seed in 0..seeds {
        match std::panic::catch_unwind(|| weather(seed)) {
            Ok(in_this) => seen.add(in_this),
            Err(panic) => {
                eprintln!("replay with ARCLET_SIM_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{seeds} seeds: {seen:?}");
    // A sky that is always blue proves nothing.
    let Seen { delivered, duplicates, crashes, quarantined, dropped } = seen;
    assert!(
        seeds < 50 || [delivered, duplicates, crashes, quarantined, dropped].iter().all(|n| *n > seeds),
        "{seen:?}"
    );
}

/// What the weather brought.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    delivered: u64,
    duplicates: u64,
    crashes: u64,
    quarantined: u64,
    dropped: u64,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.delivered += other.delivered;
        self.duplicates += other.duplicates;
        self.crashes += other.crashes;
        self.quarantined += other.quarantined;
        self.dropped += other.dropped;
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Six hours of chaos, then a healed world until everything has arrived.
fn weather(seed: u64) -> Seen {
    let mut world = World::new(seed, Profile::Default);
    let chaos_ends = 6 * HOUR;
    while world.time < chaos_ends {
        let next = world.time + SECOND + world.rng.below(20 * MINUTE);
        world.run_until(next);
        trouble(&mut world);
    }
    world.heal();
    for endpoint in Endpoint::ALL {
        world.tell(Input::LinkHint(endpoint));
    }
    world.check.hinted();
    let healed = world.time;
    // Fifteen records at fault in a row are set aside at the slow pace.
    while world.time < healed + 30 * HOUR && (world.time < healed + 2 * HOUR || !world.store.is_empty()) {
        world.run_until(world.time + 10 * MINUTE);
    }
    world.check.end(&world.far, &world.store, &world.facts);
    Seen {
        delivered: world.far.arrived.seen.len() as u64,
        duplicates: world.far.arrived.duplicates,
        crashes: world.crashes,
        quarantined: world.store.quarantined.len() as u64,
        dropped: world.store.dropped.len() as u64,
    }
}

fn trouble(world: &mut World) {
    match world.rng.below(20) {
        0..=6 => {
            let endpoint = Endpoint::ALL[world.rng.below(Endpoint::ALL.len() as u64) as usize];
            let stream = Stream::ALL[world.rng.below(2) as usize];
            let mode = match world.rng.below(16) {
                0 | 1 => Mode::Down,
                2 => Mode::Mute,
                3 => Mode::Stalled,
                4 => Mode::Refuses,
                5 => Mode::Throttles(world.rng.below(2_000)),
                6 => Mode::Fails,
                7 => Mode::Unauthorized,
                8 => Mode::Small(1 + world.rng.below(20) as usize),
                9 => Mode::Lacks(stream),
                10 => Mode::FailsOn(stream),
                _ => Mode::Up,
            };
            world.set_mode(endpoint, mode);
        }
        7..=11 => {
            let lane = [Lane::Report, Lane::Audit, Lane::Logs, Lane::Metrics][world.rng.below(4) as usize];
            let stream = Stream::ALL[world.rng.below(2) as usize];
            let (count, poison) = (world.rng.below(120), world.rng.below(4));
            world.produce(lane, stream, 3, count, poison);
        }
        12 | 13 => {
            let steps = world.rng.below(40);
            world.crash_in(steps);
        }
        14 => {
            world.crash(true);
            world.check.weather(world.time);
        }
        15 => {
            let by = world.rng.below(4 * HOUR) as i64 - 2 * HOUR as i64;
            world.jump_clock(by);
        }
        16 => world.revoke(),
        17 => {
            world.store.full = world.rng.chance(40);
            world.store.broken = world.rng.chance(40);
        }
        18 => {
            world.facts.node_count = 1 + world.rng.below(5);
            world.facts.kubernetes_version = format!("v1.36.{}+k3s1", world.rng.below(3));
        }
        _ => {
            let endpoint = Endpoint::ALL[world.rng.below(Endpoint::ALL.len() as u64) as usize];
            world.tell(Input::LinkHint(endpoint));
            world.check.hinted();
            world.check.weather(world.time);
        }
    }
}
