//! What the stand-in itself promises: it is as strict as what is known of Azure, and its faults are the faults they say
//! they are. A test of arclet against a lenient stand-in would pass for nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)] // a test: it fails by panicking

mod clusters;
mod desired;
mod entra;
mod faults;
mod himds;
mod ingestion;
mod listings;
mod management;
mod registry;
mod rig;
mod types;
mod vault;
