//! The cluster's side: a blocking client for the local Kubernetes API server and what arclet asks of it.
//!
//! Every call has a deadline and a bounded reply; nothing retries, watches or caches (docs/decisions/0003-polling.md).
//! What came of a call is an [`Outcome`](crate::core::Outcome), so that the core needs to know nothing of Kubernetes. A body
//! that is not Kubernetes' own is a refusal and never counts as "not there". Azure and the store are unknown in here.

pub mod access;
pub mod apply;
pub mod client;
pub mod connection;
pub mod discovery;
pub mod distribution;
mod helm;
pub mod install;
pub mod kubeconfig;
pub mod lease;
pub mod made;
pub mod nodes;
pub mod own;
mod refusal;
mod reply;
pub mod resource;
mod yaml;

pub use access::{TokenGrant, WhoAmI};
pub use apply::Deleted;
pub use client::{Client, Fence};
pub use connection::{Connection, Identity};
pub use nodes::NodeTotals;
pub use own::Owned;
pub use reply::{code, is_kubernetes_own};
pub use resource::Resource;
