//! The store's promises (src/store/mod.rs), held against a model, damage and crashes. Full disks: tests/full_disk.rs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod basics;
mod damage;
mod kills;
mod lanes;
mod model;
mod rig;
