//! Cluster metadata: what changed goes out, whole once a day.

use serde::{Deserialize, Serialize};

/// What is observed of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The API server's `gitVersion`: `v1.36.3+k3s1`.
    pub kubernetes_version: String,
    /// Nodes.
    pub node_count: u64,
    /// vCPUs of all nodes, rounded down.
    pub vcpu_count: u64,
    /// arclet's version.
    pub agent_version: String,
}
