//! The ring as a whole: the real binary against the stand-ins, cut off, lied to and killed.
//!
//! `--ack-log` is the only oracle: what it names must arrive, whatever happens in between. One file a group of properties.

// A test fails by panicking, and looks again until it sees something: that takes a pause between two looks and a clock
// for the hang guard.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used, clippy::panic)]

mod arrivals;
mod desired;
mod diff;
mod extensions;
mod faults;
mod flux;
mod kills;
mod lease;
mod life;
mod lifecycle;
// Shared with benches/, which use more of it.
#[allow(dead_code)]
mod rig;
mod roles;
mod secrets;
mod upgrade;
