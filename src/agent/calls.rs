//! The four things that the agent asks of the world, one per endpoint, each a single blocking call.
//!
//! A trait, so that the pump can be tested with a world that stalls, lies and panics. Calls run on [`super::workers`];
//! none of them retries, waits or caches: that is the core's business.

use crate::azure::Token;
use crate::core::{Endpoint, Outcome, Scope, Stream};
use crate::scenario::metadata::Facts;
use std::collections::BTreeMap;

/// The world as the pump sees it. Each call ends by a deadline of its own.
pub trait Calls: Send + Sync {
    /// Kubernetes: version, nodes, vCPUs.
    fn observe(&self) -> Result<Facts, Outcome>;

    /// Login: a fresh token, past any cache; with the claims of a challenge.
    fn token(&self, scope: Scope, claims: Option<&str>) -> Result<Token, Outcome>;

    /// Ingest: posts one batch, a gzip JSON array.
    fn post(&self, stream: Stream, body: &[u8], token: &str) -> Outcome;

    /// Arm: merges tags into the cluster's resource.
    fn tag(&self, tags: &BTreeMap<String, String>, token: &str) -> Outcome;

    /// Forgets the connection to an endpoint, and what was read from files for it: the next call starts afresh. For when a
    /// call panicked in the middle, or the credential was refused and the file may have a newer one.
    fn forget(&self, endpoint: Endpoint);
}
