//! The store's promises (src/store/mod.rs), held against a model, damage, full disks and crashes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

mod basics;
mod damage;
mod full_disk;
mod kills;
mod lanes;
mod model;
mod rig;
