//! How many bytes may go out on a link that is paid by the kilobyte.
//!
//! What was spent in the last 24 hours never exceeds the allowance but by what a single call turned out to cost more
//! than it was estimated at. The window slides: there is no midnight at which a fleet starts spending.

use super::Mono;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// The ledger of the last day.
#[derive(Clone, Debug)]
pub struct Allowance {
    per_day: u32,
    spent: VecDeque<(Mono, u32)>,
    last_call: Option<Mono>,
}

/// What is remembered of it. Time passes unseen while the device is off, so after a restart the whole sum counts as
/// spent just now: too little is sent rather than too much.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Remembered {
    v: u32,
    spent: u32,
}

impl Allowance {
    /// Nothing spent yet.
    pub fn new(per_day: u32) -> Allowance {
        Allowance { per_day, spent: VecDeque::new(), last_call: None }
    }

    /// As it was remembered.
    pub fn restore(per_day: u32, content: Option<&[u8]>, now: Mono) -> Allowance {
        let mut allowance = Allowance::new(per_day);
        if let Some(known) = content.and_then(|c| serde_json::from_slice::<Remembered>(c).ok())
            && known.v == VERSION
        {
            allowance.spent.push_back((now, known.spent.min(per_day)));
        }
        allowance
    }

    /// The document to remember.
    pub fn document(&self, now: Mono) -> Vec<u8> {
        format!(r#"{{"v":{VERSION},"spent":{}}}"#, self.sum(now)).into_bytes()
    }

    /// When a call may start: `None` if now, else when enough has fallen out of the window.
    pub fn wait(&self, now: Mono, token_needed: bool) -> Option<Mono> {
        let cost = self.estimate(now, token_needed).min(self.per_day);
        let mut sum = self.sum(now);
        for (at, bytes) in self.recent(now) {
            if sum.saturating_add(cost) <= self.per_day {
                break;
            }
            sum -= bytes;
            if sum.saturating_add(cost) <= self.per_day {
                return Some(*at + DAY);
            }
        }
        None
    }

    /// A call to the authority went out.
    pub fn charge_token(&mut self, now: Mono) {
        self.charge(now, TOKEN);
    }

    /// A call to ingestion went out with `bytes` of request.
    pub fn charge_call(&mut self, now: Mono, bytes: usize) {
        let handshake = if self.connected(now) { 0 } else { HANDSHAKE };
        self.charge(now, handshake + ANSWER + bytes.min(u32::MAX as usize / 2) as u32);
        self.last_call = Some(now);
    }

    fn estimate(&self, now: Mono, token_needed: bool) -> u32 {
        let handshake = if self.connected(now) { 0 } else { HANDSHAKE };
        handshake + REQUEST + ANSWER + if token_needed { TOKEN } else { 0 }
    }

    fn connected(&self, now: Mono) -> bool {
        self.last_call.is_some_and(|at| now.since(at) < KEPT_ALIVE)
    }

    fn charge(&mut self, now: Mono, bytes: u32) {
        while self.spent.front().is_some_and(|(at, _)| now.since(*at) >= DAY) {
            self.spent.pop_front();
        }
        // Neighbouring calls share an entry, so that the ledger stays small whatever happens.
        match self.spent.back_mut() {
            Some((at, sum)) if now.since(*at) < KEPT_ALIVE => *sum = sum.saturating_add(bytes),
            _ => self.spent.push_back((now, bytes)),
        }
    }

    fn recent(&self, now: Mono) -> impl Iterator<Item = &(Mono, u32)> {
        self.spent.iter().filter(move |(at, _)| now.since(*at) < DAY)
    }

    fn sum(&self, now: Mono) -> u32 {
        self.recent(now).fold(0, |sum, (_, bytes)| sum.saturating_add(*bytes))
    }
}

const VERSION: u32 = 1;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// A connection that was idle for longer is made anew (load balancers close at about four minutes).
const KEPT_ALIVE: Duration = Duration::from_secs(120);
/// A full TLS handshake with a public certificate chain, both directions.
const HANDSHAKE: u32 = 5_500;
/// A token with its own handshake, both directions.
const TOKEN: u32 = 9_500;
/// Headers with a bearer token, and a small compressed body.
const REQUEST: u32 = 2_600;
/// Status line and headers of a 204.
const ANSWER: u32 = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_day_costs_more_than_the_allowance() {
        let mut allowance = Allowance::new(33_000);
        let mut calls = Vec::new();
        let mut now = Mono(0);
        while now < Mono(0) + DAY * 7 {
            match allowance.wait(now, true) {
                None => {
                    allowance.charge_token(now);
                    allowance.charge_call(now, 2_600);
                    calls.push(now);
                }
                Some(at) => assert!(at > now),
            }
            now = now + Duration::from_secs(600);
        }
        let cost = TOKEN + HANDSHAKE + ANSWER + 2_600;
        for start in &calls {
            let day = calls.iter().filter(|c| *c >= start && c.since(*start) < DAY).count() as u32;
            assert!(day * cost <= 33_000, "{day} calls");
        }
        assert!(calls.len() >= 7, "at least one contact a day, {}", calls.len());
    }

    #[test]
    fn what_was_spent_is_spent_after_a_restart_too_and_a_foreign_document_is_passed_over() {
        let mut allowance = Allowance::new(20_000);
        allowance.charge_call(Mono(0), 10_000);
        let document = allowance.document(Mono(5));
        let restored = Allowance::restore(20_000, Some(&document), Mono(7));
        assert_eq!(restored.wait(Mono(8), false), Some(Mono(7) + DAY));
        assert_eq!(
            Allowance::restore(20_000, Some(b"{\"v\":99,\"spent\":20000}"), Mono(7)).wait(Mono(8), false),
            None
        );
        assert_eq!(Allowance::restore(20_000, Some(b"\xff"), Mono(7)).wait(Mono(8), false), None);
    }

    #[test]
    fn an_allowance_below_the_cost_of_one_call_still_lets_one_a_day_through() {
        let mut allowance = Allowance::new(100);
        assert_eq!(allowance.wait(Mono(0), true), None);
        allowance.charge_call(Mono(0), 50);
        assert_eq!(allowance.wait(Mono(1), true), Some(Mono(0) + DAY));
    }
}
