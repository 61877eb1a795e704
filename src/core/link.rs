//! One state machine per endpoint: reachable? when to try again? how many bytes may go?

use std::time::Duration;

/// How a link is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The first delay is drawn from zero to this, and each further one from twice as much.
    pub(super) base: Duration,
    /// No delay is drawn from more than this.
    pub(super) cap: Duration,
    /// Between tries of an endpoint that refuses: someone has to change something first.
    pub(super) refused: Duration,
    /// Bytes of a day; `None`: as many as there are.
    pub(super) allowance: Option<u32>,
}
