//! What the agent asks of the world, each a single blocking call to one endpoint.
//!
//! A trait, so that the pump can be tested with a world that stalls, lies and panics. Calls run on [`super::workers`];
//! none of them retries, waits or caches: that is the core's business.

use super::supply::{Fetched, Held};
use crate::azure::Token;
use crate::core::difference::ObjectDiff;
use crate::core::document::{
    Confirmation, Digest, Enforced, Key, Listing, Needs, ObjectRef, Supply, Withdrawn,
};
use crate::core::lease;
use crate::core::{Endpoint, Outcome, Reason, Scope, Stream};
use crate::k3s::Fence;
use crate::scenario::flux::Installation;
use crate::scenario::metadata::Facts;
use crate::scenario::upgrade::{Look, Release};
use std::collections::BTreeMap;

/// The world as the pump sees it. Each call ends by a deadline of its own.
pub trait Calls: Send + Sync {
    /// Kubernetes: version, nodes, vCPUs.
    fn observe(&self) -> Result<Facts, Outcome>;

    /// Kubernetes: the controllers of Flux and which of its APIs are served. What the API server refuses to list is in the
    /// picture.
    fn survey(&self) -> Result<Installation, Outcome>;

    /// Kubernetes, beside its other calls: looks at the Lease, or writes it.
    fn lease(&self, call: &lease::Call) -> lease::Answer;

    /// Login: a fresh token, past any cache; with the claims of a challenge.
    fn token(&self, scope: Scope, claims: Option<&str>) -> Result<Token, Outcome>;

    /// Ingest: posts one batch, a gzip JSON array.
    fn post(&self, stream: Stream, body: &[u8], token: &str) -> Outcome;

    /// Arm: merges tags into the cluster's resource.
    fn tag(&self, tags: &BTreeMap<String, String>, token: &str) -> Outcome;

    /// Arm: all documents of the desired state. Each goes through `keep` with its digest and content, which returns when
    /// it is durable. With the cluster's own resource, if `parent`.
    fn pull(&self, parent: bool, token: &str, keep: &mut Keep<'_>) -> Result<Listing, Outcome>;

    /// Arm: whether a document is really gone, and whether the cluster's resource is still the same one.
    fn confirm(&self, key: &Key, token: &str) -> Result<Confirmation, Outcome>;

    /// No endpoint: what a document needs beside itself.
    fn needs(&self, key: &Key, content: &[u8]) -> Needs;

    /// [`Supply::endpoint`]: fetches what a document needs. `held` is what the cache has of that and of [`Supply::Versions`];
    /// the token is that of [`Supply::scope`].
    fn supply(
        &self,
        key: &Key,
        content: &[u8],
        supply: Supply,
        held: &Held,
        token: Option<&str>,
    ) -> Result<Fetched, Outcome>;

    /// Kubernetes: puts a document's objects into the cluster, as long as the right lasts. `held` is what the cache has of
    /// what it needs, `noted` what was made for it before; `note` makes a new list of it durable before anything is made.
    /// Returns with what came of it the list as it is then.
    fn enforce(
        &self,
        key: &Key,
        content: &[u8],
        held: &Held,
        noted: &[ObjectRef],
        right: &Right,
        note: &mut Note<'_>,
    ) -> Result<(Enforced, Vec<ObjectRef>), Outcome>;

    /// Kubernetes: takes out what was made for a document, as far as that goes now. `wanted` is the document, where another
    /// agent may have made objects of it.
    fn withdraw(
        &self,
        key: &Key,
        wanted: Option<&[u8]>,
        held: &Held,
        noted: &[ObjectRef],
        right: &Right,
    ) -> Result<Withdrawn, Outcome>;

    /// Kubernetes: how the cluster differs from a document, without changing anything. `content` is what is wanted; none:
    /// nothing is, any more. The inner error is the document's own: it cannot be put into objects.
    fn diff(
        &self,
        key: &Key,
        content: Option<&[u8]>,
        held: &Held,
        noted: &[ObjectRef],
    ) -> Result<Result<Vec<ObjectDiff>, Reason>, Outcome>;

    /// Releases: the newest release after this program's version; what is `known` is not fetched again.
    fn look(&self, known: Option<&Release>) -> Result<Look, Outcome>;

    /// Forgets the connection to an endpoint, and what was read from files for it: the next call starts afresh. For when a
    /// call panicked in the middle, or the credential was refused and the file may have a newer one.
    fn forget(&self, endpoint: Endpoint);
}

/// The right to change the cluster, of an agent that is alone or leads.
#[derive(Clone, Debug)]
pub struct Right {
    /// Which one since the start: what was noted under another may be out of date.
    pub number: u64,
    /// How long it lasts.
    pub fence: Fence,
    /// Several agents take turns: what is made is noted for the others.
    pub shared: bool,
    /// Another one may have made a document's objects since they were noted here.
    pub anew: bool,
}

/// Makes a document durable: its key, digest and content. Returns with what it needs.
pub type Keep<'a> = dyn FnMut(&Key, Digest, &[u8]) -> Result<Needs, Reason> + 'a;
/// Makes the list of a document's objects durable.
pub type Note<'a> = dyn FnMut(&[ObjectRef]) -> Result<(), Reason> + 'a;
