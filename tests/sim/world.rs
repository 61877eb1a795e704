//! The world around the core: a scheduler that decides by its seed what happens next, and when the power goes.

use crate::another::Lease;
use crate::check::Check;
use crate::desired::Site;
use crate::far::{Far, Mode};
use crate::store::Store;
use arclet::core::lease;
use arclet::core::{
    Action, Core, Endpoint, Input, Lane, Mono, Now, Profile, Random, Record, Restored, Scope, Seq, Settings,
    Stamp, Stream, Validity, View,
};
use arclet::scenario::metadata::Facts;
use std::collections::BTreeMap;
use std::time::Duration;

/// SplitMix64: the same on every machine.
pub struct Seeded(pub u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

impl Seeded {
    pub fn below(&mut self, n: u64) -> u64 {
        self.next_u64() % n
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Something under way in the process; a crash takes all of it.
pub enum Event {
    /// The store does it now; the answer follows.
    Store(Action),
    /// The batch reaches the server now; the answer follows.
    Arrive {
        lane: Lane,
        stream: Stream,
        rows: Vec<(Seq, serde_json::Value)>,
        bytes: usize,
        token: u64,
    },
    /// A call without records reaches its server now.
    Call(Action),
    Answer(Endpoint, Input),
    /// The request about the Lease reaches the API server now; the answer follows.
    Lease(lease::Call),
    Leased(lease::Answer),
    /// The other agent's turn.
    Another,
    /// The shell's look at the store, once a minute.
    Look,
}

pub const START_MS: i64 = 1_790_000_000_000;
pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;

pub struct World {
    pub rng: Seeded,
    agent_rng: Seeded,
    /// True time since the start, in milliseconds.
    pub time: u64,
    pub(super) boot: u8,
    boot_at: u64,
    /// Wall clock minus true time, in milliseconds.
    wall_off: i64,
    pub settings: Settings,
    pub core: Core,
    pub store: Store,
    pub far: Far,
    pub check: Check,
    pub facts: Facts,
    pub site: Site,
    /// The cluster's Lease, and who else wants it.
    pub lease: Lease,
    /// Generation of the token at hand, by scope, and when it expires.
    pub(super) tokens: [(u64, u64); Scope::ALL.len()],
    events: BTreeMap<(u64, u64), Event>,
    counter: u64,
    /// A crash in so many steps.
    fuse: Option<u64>,
    pub crashes: u64,
}

impl World {
    pub fn new(seed: u64, profile: Profile) -> World {
        let mut agent_rng = Seeded(seed ^ 0xA6E7);
        let mut settings = Settings::of(profile, "0.1.0");
        settings.batch_records = 64; // so that a backlog takes several batches
        let restored = Restored { boot: [1; 16], me: "this".into(), ..Restored::default() };
        let now = Now { mono: Mono(20_000), wall_ms: START_MS };
        let core = Core::new(settings.clone(), restored, now, &mut agent_rng);
        let mut world = World {
            rng: Seeded(seed),
            agent_rng,
            time: 20_000,
            boot: 1,
            boot_at: 0,
            wall_off: 0,
            settings,
            core,
            store: Store::default(),
            far: Far::new(),
            check: Check::default(),
            facts: Facts {
                kubernetes_version: "v1.36.3+k3s1".into(),
                node_count: 1,
                vcpu_count: 12,
                agent_version: "0.1.0".into(),
            },
            site: Site::default(),
            lease: Lease::default(),
            tokens: [(u64::MAX, 0); Scope::ALL.len()],
            events: BTreeMap::new(),
            counter: 0,
            fuse: None,
            crashes: 0,
        };
        world.after(0, Event::Look);
        world
    }

    pub fn true_ms(&self) -> i64 {
        START_MS + self.time as i64
    }

    /// What an operator would see now.
    pub fn view(&self) -> View {
        self.core.view(self.now())
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Mono(self.time - self.boot_at), wall_ms: self.true_ms() + self.wall_off }
    }

    pub(super) fn after(&mut self, ms: u64, event: Event) {
        self.counter += 1;
        self.events.insert((self.time + ms, self.counter), event);
    }

    /// Lets everything happen until `end`.
    pub fn run_until(&mut self, end: u64) {
        self.pump();
        loop {
            let wake = self.core.next_wake().map(|at| at.0 + self.boot_at);
            let event = self.events.keys().next().copied();
            let next = [wake, event.map(|(at, _)| at)].into_iter().flatten().min().unwrap_or(end);
            if next > end {
                self.time = end;
                return;
            }
            self.time = self.time.max(next);
            match event {
                Some(key) if key.0 <= self.time => {
                    let event = self.events.remove(&key).expect("it was the first");
                    self.happen(event);
                }
                _ => self.tell(Input::Tick),
            }
            self.pump();
        }
    }

    pub fn tell(&mut self, input: Input) {
        let now = self.now();
        self.core.handle(now, &mut self.agent_rng, input);
    }

    /// Carries out what the core wants; may crash at any step of it.
    pub fn pump(&mut self) {
        let mut steps = 0;
        while let Some(action) = self.core.poll(self.now(), &mut self.agent_rng) {
            steps += 1;
            assert!(steps < 200, "the core spins at one instant: {action:?}");
            if self.burns_down() {
                return self.crash(false);
            }
            self.check.action(&action, self.time, &self.far, &self.store);
            self.site.allows(&action);
            if matches!(action, Action::Enforce { .. } | Action::Withdraw { .. }) {
                assert!(self.core.fence(self.now()).is_some(), "{action:?} without the right to it");
            }
            self.carry_out(action);
        }
        let now = self.now().mono;
        assert!(
            self.core.next_wake().is_none_or(|at| at > now),
            "a wake-up that lies in the past makes the shell spin"
        );
    }

    pub(super) fn burns_down(&mut self) -> bool {
        match &mut self.fuse {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// The process dies; with `reboot` the device too. What the store has is all that is left.
    pub fn crash(&mut self, reboot: bool) {
        self.crashes += 1;
        self.fuse = None;
        // The other agent runs elsewhere.
        self.events.retain(|_, event| matches!(event, Event::Another));
        if reboot {
            self.boot += 1;
            self.time += 20_000 + self.rng.below(2 * HOUR);
            self.boot_at = self.time - 15_000;
            // Without a battery for its clock the device wakes up in 1970, or an hour off.
            self.wall_off = match self.rng.below(3) {
                0 => 0,
                1 => -self.true_ms() + 15_000,
                _ => 2 * HOUR as i64,
            };
        }
        self.time += 500 + self.rng.below(5_000);
        self.check.restarted();
        self.site.restarted();
        let documents = self.store.documents.iter().map(|(n, c)| (n.clone(), c.clone())).collect();
        let tokens = Scope::ALL.into_iter().filter_map(|scope| {
            let left = self.tokens[scope as usize].1.checked_sub(self.time)?;
            Some((scope, Validity { valid_for: Duration::from_millis(left), refresh_in: None }))
        });
        let restored = Restored {
            me: "this".into(),
            boot: [self.boot; 16],
            documents,
            tokens: if reboot { Vec::new() } else { tokens.collect() },
            backlog: self.store.backlog(),
            desired: self.site.cached(),
            anchor: None,
        };
        self.core = Core::new(self.settings.clone(), restored, self.now(), &mut self.agent_rng);
        self.after(MINUTE, Event::Look);
    }

    /// A crash after so many further steps, wherever that is.
    pub fn crash_in(&mut self, steps: u64) {
        self.fuse = Some(steps);
    }

    pub fn heal(&mut self) {
        self.fuse = None;
        self.far.modes = [Mode::Up; Endpoint::ALL.len()];
        self.store.full = false;
        self.store.broken = false;
        self.check.weather(self.time);
    }

    pub fn jump_clock(&mut self, ms: i64) {
        self.wall_off += ms;
    }

    pub fn set_mode(&mut self, endpoint: Endpoint, mode: Mode) {
        self.far.modes[endpoint as usize] = mode;
        self.check.weather(self.time);
    }

    /// Someone else than the core puts records into the store.
    pub fn produce(&mut self, lane: Lane, stream: Stream, keys: u64, count: u64, poison_percent: u64) {
        for _ in 0..count {
            let clock = self.core.anchors().judge(&[self.boot; 16], self.now());
            let now = self.now();
            let stamp = Stamp { boot: [self.boot; 16], mono_ms: now.mono.0, wall_ms: now.wall_ms, clock };
            let key = format!("key-{}", self.rng.below(keys));
            let body = br#"{"Kind":"other"}"#.to_vec();
            let record = (lane, Record { stream, key, stamp, body });
            if let Ok(numbers) = self.store.enqueue(std::slice::from_ref(&record)) {
                self.check.enqueued(&numbers, std::slice::from_ref(&record), self.true_ms());
                if self.rng.chance(poison_percent) {
                    self.far.poison.insert((lane as u8, numbers[0].2));
                }
            }
        }
        let backlog = self.store.backlog();
        self.tell(Input::Backlog(backlog));
        self.pump();
    }

    /// The first call after this time that leaves the site.
    pub fn first_call_to_azure(&self, from: u64) -> u64 {
        let mut calls = self.check.calls.iter().filter(|c| c.1 != Endpoint::Kubernetes);
        calls.find(|c| c.0 >= from).expect("a call").0
    }

    /// Tokens that were given out are not accepted any more.
    pub fn revoke(&mut self) {
        self.far.generation += 1;
    }

    pub fn reconfigure(&mut self, settings: Settings) {
        self.settings = settings.clone();
        self.tell(Input::Reconfigured(Box::new(settings)));
        self.pump();
    }
}
