//! The agent's brain: what to observe, keep and send next, as deterministic state machines.
//!
//! Nothing in here does I/O: no tokio, no clock, no randomness, no files, no threads. [`Core::handle`] takes what
//! happened together with the time and a random source; [`Core::poll`] gives what to do; [`Core::next_wake`] says when to
//! call again though nothing happened. The shell (`agent`) carries actions out and hands back their results. That is
//! what makes `tests/sim` possible: the same core under a seeded scheduler, with outages, crashes and clock jumps.
//!
//! ```text
//!     port        what crosses the border: Action, Input, View         settings   what an operator can set
//!     ring        Core itself: moves the machines below                schedule   every timer by name
//!     link        one endpoint: reachable? when to try again?          backoff    how long to wait, drawn by chance
//!     outbox      what to send next, and what an answer means          window     how much of it at once; bisection
//!     token       which tokens are at hand                             allowance  bytes of a day
//!     drain       the way back after a shared outage                   reports    what waits to be enqueued
//!     desired     the life of each document of the desired state    document   what that state is made of
//!     conditions  what an operator should look at                  lease      which agent of a cluster leads
//!     difference  what a document wants against what is there
//! ```
//!
//! The machines do not know each other. A decision that needs two of them is made in `ring`.

pub mod allowance;
pub mod backoff;
mod conditions;
pub mod desired;
pub mod difference;
pub mod document;
mod drain;
pub mod job;
pub mod lease;
pub mod link;
mod outbox;
pub mod outcome;
pub mod port;
pub mod record;
mod reports;
mod ring;
pub mod schedule;
pub mod settings;
#[cfg(test)]
pub(crate) mod testing;
mod token;
mod window;
pub mod wipe;

pub use outcome::{Endpoint, Outcome, Reason, Scope};
pub use port::{Action, Backlog, Input, Loss, LossCause, Restored, Validity, View};
pub use record::{ClockState, Lane, MessageId, Record, Seq, Stamp, Stream};
pub use ring::Core;
pub use settings::{Profile, Settings};

use std::time::Duration;

/// A point on the monotonic clock that goes on while the device sleeps (CLOCK_BOOTTIME), in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mono(pub u64);

impl std::ops::Add<Duration> for Mono {
    type Output = Mono;
    fn add(self, by: Duration) -> Mono {
        Mono(self.0.saturating_add(by.as_millis() as u64))
    }
}

impl Mono {
    /// The time from `earlier` to this point; zero if it lies ahead.
    pub fn since(self, earlier: Mono) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// The time as an argument: both clocks, read together by the shell.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// CLOCK_BOOTTIME.
    pub mono: Mono,
    /// The wall clock in milliseconds since 1970, right or wrong.
    pub wall_ms: i64,
}

/// The random source as an argument.
pub trait Random {
    /// A uniformly distributed number.
    fn next_u64(&mut self) -> u64;
}
