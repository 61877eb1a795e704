//! `arclet connect` and `disconnect`, the real binary: what they check, make, keep, refuse and take away.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // tests fail by panicking; the scripted server has a clock of its own

mod azure;
mod connects;
mod disconnects;
mod killed;
mod preflight;
mod rig;
mod standin;
