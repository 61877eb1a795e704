//! One file a scenario: what is observed of the cluster, and the records that it becomes.
//!
//! No I/O, no clock and no randomness in here either: the core drives these machines, and nothing in them talks to
//! Azure or to Kubernetes.

pub mod clock;
pub mod columns;
pub mod configuration;
pub mod encode;
pub mod extensions;
pub(crate) mod fields;
pub mod flux;
pub mod gitops;
pub mod heartbeat;
pub(crate) mod live;
pub mod mask;
pub mod metadata;
pub(crate) mod names;
pub mod semver;
pub mod silence;
pub mod supplies;
pub mod tags;
pub mod upgrade;
