//! The store's promises (src/store/mod.rs), held against a model, damage, full disks and crashes.
#![allow(clippy::unwrap_used)]

mod basics;
mod damage;
mod full_disk;
mod lanes;
mod model;
mod rig;
