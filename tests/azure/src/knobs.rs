//! What a test may do to a running stand-in, and ask it: faults, roles, shapes of operations, what arrived.

use crate::fault::{Endpoint, Fault};
use crate::ingest::Arrived;
use crate::principals::{Principal, Role};
use crate::server::Service;
use crate::state::{Seen, Stats};
use crate::{Azure, Shape, arm};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

impl Azure {
    /// The endpoint has this fault for the next `times` requests, or until it is cleared.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault, times: Option<u32>) {
        self.state().faults.set(endpoint, fault, times);
        self.shared.changed.send_replace(());
    }

    /// Requests to the endpoint whose path and query have this text in them, whatever its case, have this fault: the
    /// next `times` of them, or until the endpoint's faults are cleared. Other requests are as they were.
    pub fn set_fault_on(&self, endpoint: Endpoint, text: &str, fault: Fault, times: Option<u32>) {
        self.state().faults.set_on(endpoint, text, fault, times);
        self.shared.changed.send_replace(());
    }

    /// The endpoint answers as it should again.
    pub fn clear_fault(&self, endpoint: Endpoint) {
        self.state().faults.clear(endpoint);
        self.shared.changed.send_replace(());
    }

    /// What went over an endpoint's wire.
    pub fn stats(&self, endpoint: Endpoint) -> Stats {
        self.shared.counters[endpoint as usize].read()
    }

    /// Requests that were answered, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Rows that arrived, in order.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived_since(0)
    }

    /// The same without the first `known`.
    pub fn arrived_since(&self, known: usize) -> Vec<Arrived> {
        self.state().ingestion.arrived.get(known..).unwrap_or_default().to_vec()
    }

    /// How many rows arrived.
    pub fn arrived_count(&self) -> usize {
        self.state().ingestion.arrived.len()
    }

    /// Forgets what arrived; for long runs.
    pub fn forget_arrived(&self) {
        self.state().ingestion.arrived.clear();
    }

    /// What Azure would have dropped or cut of what arrived. Empty is right.
    pub fn violations(&self) -> Vec<String> {
        self.state().ingestion.violations.clone()
    }

    /// A call with a row whose text has this in it is a 400 of the API from now on.
    pub fn poison(&self, text: &str) {
        self.state().ingestion.poison.push(text.to_owned());
    }

    /// From now on a TimeGenerated older than this is rewritten to the time of arrival, as Azure may do.
    pub fn rewrite_old_time(&self, older_than: Duration) {
        self.state().ingestion.rewrite_older_than_ms = Some(older_than.as_millis() as i64);
    }

    /// The rule loses a stream, or has it again.
    pub fn declare(&self, stream: &str, declared: bool) {
        let missing = &mut self.state().ingestion.missing_streams;
        missing.retain(|s| s != stream);
        if !declared {
            missing.push(stream.to_owned());
        }
    }

    /// Calls with tokens that were not asked with these claims are challenged from now on (`None`: no more).
    pub fn challenge(&self, claims: Option<&str>) {
        self.state().challenge = claims.map(str::to_owned);
    }

    /// No token that was given out is accepted any more.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke_all();
    }

    /// Changes a principal's roles.
    pub fn set_roles(&self, client_id: &str, roles: Vec<Role>) {
        if let Some(principal) = self.state().principals.iter_mut().find(|p| p.client_id == client_id) {
            principal.roles = roles;
        }
    }

    /// Registers a principal, or replaces one with the same client id.
    pub fn set_principal(&self, principal: Principal) {
        let principals = &mut self.state().principals;
        principals.retain(|p| p.client_id != principal.client_id);
        principals.push(principal);
    }

    /// Registration state of a resource provider: `Registered`, `NotRegistered`.
    pub fn set_provider(&self, namespace: &str, state: &str) {
        self.state().providers.insert(namespace.to_lowercase(), (namespace.to_owned(), state.to_owned()));
    }

    /// Removes the resource group.
    pub fn remove_group(&self) {
        self.state().groups.clear();
    }

    /// How long-running operations are answered from now on: their shape, how many polls they take, and `Retry-After`.
    pub fn operations(&self, shape: Shape, polls: u32, retry_after: u32) {
        let clusters = &mut self.state().clusters;
        (clusters.shape, clusters.polls, clusters.retry_after) = (shape, polls, retry_after);
    }

    /// A cluster as it is in Resource Manager.
    pub fn cluster(&self, id: &str) -> Option<Value> {
        self.state().clusters.resources.get(&id.to_lowercase()).cloned()
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<Value> {
        self.state().clusters.resources.values().cloned().collect()
    }

    /// Puts a cluster there, as somebody else would have.
    pub fn seed_cluster(&self, id: &str, resource: Value) {
        self.state().clusters.resources.insert(id.to_lowercase(), resource);
    }

    /// Puts a cluster there that Microsoft's own agents serve.
    pub fn seed_arc_cluster(&self, id: &str) {
        let tenant = self.state().tenant.clone();
        self.seed_cluster(id, arm::owned::owned_by_arc(id, &tenant));
    }

    /// Throttles Resource Manager by its documented token buckets.
    pub fn throttle(&self, on: bool) {
        self.state().buckets = on.then(BTreeMap::new);
    }

    /// How many entries a page of a listing has.
    pub fn page_size(&self, entries: usize) {
        self.state().page_size = entries.max(1);
    }

    /// How many requests HIMDS got.
    pub fn himds_requests(&self) -> u64 {
        self.shared.counters(Service::Himds).read().requests
    }

    /// What HIMDS says as realm instead of its key file (`None`: the key file).
    pub fn himds_realm(&self, realm: Option<&str>) {
        if let Some(himds) = &mut self.state().himds {
            himds.realm = realm.map(str::to_owned);
        }
    }
}
