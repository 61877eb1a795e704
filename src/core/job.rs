//! A Job of the cluster with what is needed to tell how it fares, as the API server gave it.

use super::Reason;
use serde_json::Value;

/// A Job and what belongs to it. What is not there, or may not be read, is left out.
#[derive(Clone, Debug, Default)]
pub struct JobView {
    /// The Job itself (`batch/v1`).
    pub job: Option<Value>,
    /// Its pods, while it is not complete.
    pub pods: Vec<Value>,
    /// The last lines of the container that failed last, if its pod says nothing itself.
    pub log: Option<String>,
    /// Messages of the warnings about the Job, the newest last, while it has no pod.
    pub warnings: Vec<String>,
    /// Why something of this could not be read.
    pub refused: Option<Reason>,
}
