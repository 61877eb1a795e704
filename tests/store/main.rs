//! The store's promises (src/store/mod.rs), held against a model, damage, full disks and crashes.
#![allow(clippy::unwrap_used)]

mod basics;
mod damage;
mod lanes;
mod model;
mod rig;
