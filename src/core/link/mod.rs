//! One state machine per endpoint: is it reachable, and when may it be tried again?
//!
//! ```text
//!     Unknown ──success──▶ Up ──no answer──▶ Down ──success──▶ Up
//!        └──any failure──▶ …   └──refusal──▶ Refused (reached, but set up wrongly)
//! ```
//!
//! From each state each answer is possible. While an endpoint has a call under way, or its time has not come, nothing
//! may be sent to it; other endpoints know nothing of that. What is sent is not this module's business.

mod config;

pub use config::{BASE_LEAST, Config, ConfigError, WAIT_MOST};

use super::backoff::{Draw, RETRY_AFTER_MOST, ceiling};
use super::{Mono, Now, Random, Reason};
use std::time::Duration;

/// What is known of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not tried yet.
    Unknown,
    /// The last answer was one that the API gives.
    Up,
    /// No answer, or not a whole one.
    Down(Reason),
    /// Reached, but it will not serve us until someone changes something.
    Refused(Reason),
}

impl State {
    /// The state's name in status output.
    pub const fn name(&self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Up => "up",
            State::Down(_) => "down",
            State::Refused(_) => "refused",
        }
    }

    /// Why it is not up.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            State::Unknown | State::Up => None,
            State::Down(reason) | State::Refused(reason) => Some(reason),
        }
    }
}

/// The link to one endpoint.
#[derive(Clone, Debug)]
pub struct Link {
    config: Config,
    state: State,
    since: Option<Now>,
    attempts: u32,
    not_before: Option<Mono>,
    /// `not_before` is the server's wish, not our guess.
    ordered: bool,
    in_flight: bool,
}

impl Link {
    /// A link that was not tried yet.
    pub fn new(config: Config) -> Link {
        Link {
            config,
            state: State::Unknown,
            since: None,
            attempts: 0,
            not_before: None,
            ordered: false,
            in_flight: false,
        }
    }

    /// Another configuration; it holds from the next failure on.
    pub fn reconfigure(&mut self, config: Config) {
        self.config = config;
    }

    /// Whether a call may start now.
    pub fn ready(&self, now: Mono) -> bool {
        !self.in_flight && self.not_before.is_none_or(|at| at <= now)
    }

    /// A call starts.
    pub fn start(&mut self) {
        debug_assert!(!self.in_flight, "one call in flight per endpoint");
        self.in_flight = true;
    }

    /// The call ended without telling anything of the endpoint (there was nothing to send).
    pub fn idle(&mut self) {
        self.in_flight = false;
    }

    /// The API answered in its own words. Returns how long the link was down, if it was.
    pub fn reached(&mut self, now: Now) -> Option<Duration> {
        let outage = match (&self.state, self.since) {
            (State::Down(_), Some(since)) => Some(now.mono.since(since.mono)),
            _ => None,
        };
        self.enter(now, State::Up);
        self.in_flight = false;
        self.attempts = 0;
        self.not_before = None;
        outage
    }

    /// No answer, or not a whole one. Returns the time of the next try.
    pub fn unreachable(&mut self, now: Now, rng: &mut dyn Random, reason: Reason) -> Mono {
        self.enter(now, State::Down(reason));
        let attempt = self.attempts.saturating_add(1);
        self.wait(now.mono + self.config.delay(rng, attempt))
    }

    /// Reached, and refused: nothing helps but that someone changes something. Returns the time of the next try.
    pub fn refused(&mut self, now: Now, rng: &mut dyn Random, reason: Reason) -> Mono {
        self.enter(now, State::Refused(reason));
        self.wait(now.mono + self.config.refused_delay(rng))
    }

    /// Like [`Link::refused`], for an endpoint whose users wait each on their own.
    pub fn refused_someone(&mut self, now: Now, reason: Reason) {
        self.enter(now, State::Refused(reason));
        self.in_flight = false;
        self.attempts = self.attempts.saturating_add(1);
    }

    /// Told to wait. Never sooner than the server asks (within [`RETRY_AFTER_MOST`]), and a little later by chance.
    pub fn throttled(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        reason: Reason,
        asked: Option<Duration>,
    ) -> Mono {
        self.enter(now, State::Down(reason));
        // A server that asks for a second, and asks again each time, is not asked each second either.
        let own = ceiling(self.config.base, self.config.cap, self.attempts.saturating_add(1));
        let asked = asked.unwrap_or(self.config.base).min(RETRY_AFTER_MOST);
        let delay = asked + rng.up_to(own.max(asked / 4));
        let until = self.wait(now.mono + delay);
        self.ordered = true;
        until
    }

    /// Try at once: someone believes that it answers again.
    pub fn hint(&mut self) {
        self.not_before = None;
    }

    /// Another endpoint on the same way out is back: if this one is down, it is worth an early try. A server that
    /// asked to wait, or refuses, is not asked sooner.
    pub fn neighbour_is_back(&mut self, now: Mono, rng: &mut dyn Random) {
        if let (State::Down(_), Some(at), false) = (&self.state, self.not_before, self.ordered) {
            self.not_before = Some(at.min(now + rng.up_to(self.config.base * 4)));
        }
    }

    /// Its state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// When it came into its state.
    pub fn since(&self) -> Option<Now> {
        self.since
    }

    /// Failed tries since it was last up.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// When it may be tried again; `None`: at any time.
    pub fn not_before(&self) -> Option<Mono> {
        self.not_before
    }

    /// Whether a call is under way.
    pub fn in_flight(&self) -> bool {
        self.in_flight
    }

    fn wait(&mut self, until: Mono) -> Mono {
        self.in_flight = false;
        self.attempts = self.attempts.saturating_add(1);
        self.not_before = Some(until);
        self.ordered = false;
        until
    }

    /// `since` stays while only the reason changes.
    fn enter(&mut self, now: Now, state: State) {
        if self.state.name() != state.name() {
            self.since = Some(now);
            self.attempts = 0;
        }
        self.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::{Seeded, at};

    fn why() -> Reason {
        Reason::new("ConnectionRefused", "nobody listens")
    }

    #[test]
    fn delays_stay_below_the_doubling_ceiling_and_two_agents_do_not_draw_the_same() {
        let delays = |seed| {
            let mut rng = Seeded(seed);
            let mut link = Link::new(Config::NEAR);
            let mut now = at(0);
            let mut all = Vec::new();
            for attempt in 1..=20u32 {
                assert!(link.ready(now.mono));
                link.start();
                let next = link.unreachable(now, &mut rng, why());
                let delay = next.since(now.mono);
                assert!(delay <= ceiling(Config::NEAR.base, Config::NEAR.cap, attempt));
                assert_eq!(link.ready(now.mono), delay.is_zero());
                now.mono = next;
                all.push(delay);
            }
            all
        };
        let (one, other) = (delays(1), delays(2));
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same <= 1, "two agents in step: {one:?} {other:?}");
        assert!(one.iter().max() > Some(&Duration::from_secs(60)), "no growth: {one:?}");
    }

    #[test]
    fn retry_after_is_never_undercut_and_never_believed_beyond_an_hour() {
        for (asked, least, most) in [(10, 10, 14), (86_400, 3_600, 4_501)] {
            let mut link = Link::new(Config::NEAR);
            link.start();
            let next =
                link.throttled(at(0), &mut Seeded(3), why(), Some(Duration::from_secs(asked))).since(Mono(0));
            assert!(
                (Duration::from_secs(least)..=Duration::from_secs(most)).contains(&next),
                "{asked}: {next:?}"
            );
            link.neighbour_is_back(Mono(1), &mut Seeded(4));
            assert_eq!(
                link.not_before(),
                Some(Mono(0) + next),
                "a neighbour does not undo the server's wish"
            );
        }
    }

    #[test]
    fn since_is_when_the_state_began_and_an_outage_is_measured_from_there() {
        let mut rng = Seeded(5);
        let mut link = Link::new(Config::NEAR);
        assert_eq!(link.reached(at(5)), None);
        link.unreachable(at(10), &mut rng, why());
        link.unreachable(at(20), &mut rng, Reason::new("Timeout", "no answer in 30 s"));
        assert_eq!(link.since().map(|n| n.mono), Some(Mono(10_000)));
        assert_eq!(link.attempts(), 2);
        assert_eq!(link.reached(at(70)), Some(Duration::from_secs(60)));
        assert_eq!((link.state(), link.attempts(), link.not_before()), (&State::Up, 0, None));
    }

    #[test]
    fn a_refusal_waits_minutes_and_not_always_the_same() {
        let mut rng = Seeded(6);
        let waits: Vec<u64> = (0..50)
            .map(|_| Link::new(Config::NEAR).refused(at(0), &mut rng, why()).since(Mono(0)).as_secs())
            .collect();
        assert!(waits.iter().all(|w| (225..=375).contains(w)), "{waits:?}");
        assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 25);
    }

    #[test]
    fn a_neighbour_that_is_back_brings_the_next_try_forward() {
        let mut rng = Seeded(9);
        let mut link = Link::new(Config::PATIENT);
        for _ in 0..8 {
            link.unreachable(at(0), &mut rng, why());
        }
        link.neighbour_is_back(Mono(1_000), &mut rng);
        assert!(link.not_before() <= Some(Mono(1_000) + Config::PATIENT.base * 4));
    }
}
