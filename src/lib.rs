//! arclet: what the Azure Arc agents do for a cluster, as one small service beside k3s.
//!
//! CONTRIBUTING.md has the plan of the house.

pub mod agent;
pub mod azure;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
mod device;
pub mod http;
pub mod k3s;
pub mod log;
pub mod scenario;
pub mod status;
pub mod store;
