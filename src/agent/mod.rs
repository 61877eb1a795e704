//! The shell.

pub mod control;
mod notify;
mod signals;
mod workers;
