//! The clock by which what a user wants grows old: a test moves it on, and nothing else depends on it. Tokens, TLS and
//! arrival times go by the machine's clock.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// The machine's clock, and how far a test has moved this one beyond it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    ahead: Duration,
}

impl Clock {
    /// The time by this clock.
    pub fn now(self) -> Timestamp {
        Timestamp::now() + SignedDuration::try_from(self.ahead).expect("a test moves the clock by days")
    }

    /// Moves it on.
    pub fn advance(&mut self, by: Duration) {
        self.ahead += by;
    }
}
