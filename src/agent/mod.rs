//! `arclet run`: the shell round the core.
//!
//! ```text
//!            bad configuration, no store,
//!            no place for the socket
//!   Starting ───────────────────────────▶ Failed (exit code and reason; nothing was changed)
//!      │ READY=1
//!      ▼           SIGHUP: RELOADING=1, then READY=1 with the new configuration or the old one
//!   Running ◀──┐
//!      │    └──┘
//!      │ SIGTERM, SIGINT
//!      ▼
//!   Stopping: no new calls; work at the store is finished; calls get a second, stalled ones are left behind
//!      │
//!      ▼
//!   Stopped: within five seconds, everything acknowledged durable
//! ```
//!
//! *Starting* reads all configuration before it opens anything, then opens the store (which repairs itself), restores what
//! the core remembered, and takes its socket. The network is not touched: a device starts without a link. In *Running*
//! nothing that is read from network or disk ends the process: it becomes an input, a condition, or a log line.
//! A process that is killed in any state loses nothing that it acknowledged; *Stopping* only saves the next start work.
//!
//! One thread runs [`pump`]; calls run on [`workers`]; the store has a thread of its own. Scenarios, policies and timers
//! are none of this module's business: they are in `core`.

mod ack_log;
mod calls;
mod charts;
mod clients;
pub mod control;
mod deliver;
mod delivery;
mod desired;
mod notify;
mod publish;
mod pump;
mod secrets;
mod settle;
mod signals;
mod start;
mod status;
mod supply;
#[cfg(test)]
mod tests;
mod tokens;
mod workers;

pub use start::{Failed, Options, run};
