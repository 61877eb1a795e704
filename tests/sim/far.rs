//! A model of the other sides: four endpoints, each with a mode that the chaos changes, and what has arrived.

use arclet::core::{Endpoint, Lane, Outcome, Reason, Seq, Stream};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Up,
    /// Refuses the connection.
    Down,
    /// Takes the request, does what it says, and never answers.
    Mute,
    /// Hangs until the deadline without having taken anything.
    Stalled,
    Refuses,
    Throttles(u64),
    Fails,
    Unauthorized,
    /// Takes so many records at once.
    Small(usize),
    /// Knows all streams but this one.
    Lacks(Stream),
    /// Fails on whatever goes to this one.
    FailsOn(Stream),
}

#[derive(Default)]
pub struct Arrived {
    /// In the order of their first arrival, by slot.
    pub first: BTreeMap<(u8, u8), Vec<Seq>>,
    pub seen: BTreeSet<(u8, Seq)>,
    pub duplicates: u64,
    /// Rows of the report lane, by number: they are what a reader pieces together.
    pub rows: BTreeMap<Seq, (Stream, serde_json::Value)>,
}

pub struct Far {
    pub modes: [Mode; Endpoint::ALL.len()],
    pub arrived: Arrived,
    /// Records that no server will ever take.
    pub poison: BTreeSet<(u8, Seq)>,
    /// The generation of tokens that is accepted.
    pub generation: u64,
    /// What the feed of releases has.
    pub feed: arclet::scenario::upgrade::Look,
}

pub fn reason(code: &str) -> Reason {
    Reason::new(code, "as the model has it")
}

impl Far {
    pub fn new() -> Far {
        Far {
            modes: [Mode::Up; Endpoint::ALL.len()],
            arrived: Arrived::default(),
            poison: BTreeSet::new(),
            generation: 0,
            feed: Default::default(),
        }
    }

    pub fn mode(&self, endpoint: Endpoint) -> Mode {
        self.modes[endpoint as usize]
    }

    /// What a call without records meets; `None`: it is served.
    pub fn meets(&self, endpoint: Endpoint) -> Option<Outcome> {
        match self.mode(endpoint) {
            Mode::Up | Mode::Small(_) | Mode::Lacks(_) | Mode::FailsOn(_) => None,
            Mode::Down => Some(Outcome::Unreachable(reason("ConnectionRefused"))),
            Mode::Mute | Mode::Stalled => Some(Outcome::Unreachable(reason("Timeout"))),
            Mode::Refuses => Some(Outcome::Refused(reason("AuthorizationFailed"))),
            Mode::Throttles(s) => Some(Outcome::Throttled {
                reason: reason("TooManyRequests"),
                retry_after: (s > 0).then(|| Duration::from_secs(s)),
            }),
            Mode::Fails => Some(Outcome::Unreachable(reason("Http503"))),
            Mode::Unauthorized => {
                Some(Outcome::Unauthorized { reason: reason("InvalidToken"), claims: None })
            }
        }
    }

    /// A batch arrives, with a token of this generation.
    pub fn post(
        &mut self,
        lane: Lane,
        stream: Stream,
        rows: &[(Seq, serde_json::Value)],
        token: u64,
    ) -> Outcome {
        let mode = self.mode(Endpoint::Ingest);
        let met = self.meets(Endpoint::Ingest);
        if let Some(outcome) = met
            && mode != Mode::Mute
        {
            return outcome;
        }
        if token != self.generation {
            let claims = self.generation.is_multiple_of(2).then(|| "{\"access_token\":{}}".to_owned());
            return Outcome::Unauthorized { reason: reason("InvalidToken"), claims };
        }
        match mode {
            Mode::Lacks(lacking) if lacking == stream => return Outcome::Refused(reason("InvalidStream")),
            Mode::FailsOn(failing) if failing == stream => {
                return Outcome::Unreachable(reason("Http500"));
            }
            Mode::Small(most) if rows.len() > most => {
                return Outcome::TooLarge(reason("ContentLengthLimitExceeded"));
            }
            _ => {}
        }
        if rows.iter().any(|(seq, _)| self.poison.contains(&(lane as u8, *seq))) {
            return Outcome::BadRecord(reason("InvalidRecord"));
        }
        for (seq, row) in rows {
            if self.arrived.seen.insert((lane as u8, *seq)) {
                self.arrived.first.entry((lane as u8, stream as u8)).or_default().push(*seq);
            } else {
                self.arrived.duplicates += 1;
            }
            if lane == Lane::Report {
                self.arrived.rows.insert(*seq, (stream, row.clone()));
            }
        }
        if mode == Mode::Mute { Outcome::Unreachable(reason("Timeout")) } else { Outcome::Success }
    }
}
