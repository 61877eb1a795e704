//! What `arclet status` shows: the agent writes it, the commands read it. `-o json` prints exactly these fields.

use crate::core::difference::ObjectDiff;
use crate::core::document::{ObjectRef, Picture};
use crate::core::{Endpoint, Reason};
use crate::scenario::flux::Controller;
use serde::{Deserialize, Serialize};

/// Version of this document's shape; raised when a field changes its meaning.
pub const STATUS_VERSION: u32 = 1;

/// The whole picture. Times are RFC 3339 in UTC, ages and delays in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// arclet's version.
    pub agent_version: String,
    /// When this was written.
    pub time: String,
    /// When the process started.
    pub started: String,
    /// Its process id.
    pub pid: u32,
    /// ARM id of the connected cluster.
    pub cluster: String,
    /// `unknown`, `synced`, `wrong`, and by how much (seconds) the wall clock is off, where known.
    pub clock: ClockStatus,
    /// One per endpoint.
    pub links: Vec<LinkStatus>,
    /// One per lane.
    pub lanes: Vec<LaneStatus>,
    /// When a record was last delivered.
    pub last_delivery: Option<String>,
    /// Records delivered since the start of the process.
    pub delivered: u64,
    /// What an operator should look at: misconfiguration, losses, a full disk, a rejected credential.
    pub conditions: Vec<Condition>,
    /// What was last observed of the cluster.
    pub cluster_facts: Option<ClusterStatus>,
    /// What is pulled and enforced, in numbers; absent where the scenario is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredSummary>,
    /// What was last observed of Flux; absent where the scenario is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flux: Option<FluxStatus>,
    /// Newer releases of arclet; absent where nobody looks for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<UpgradeStatus>,
    /// Which agent of the cluster leads.
    #[serde(default)]
    pub lease: LeaseStatus,
    /// What the store repaired when it was opened, in words; empty after a clean start.
    pub store_notes: Vec<String>,
}

/// Which agent of the cluster leads, where several nodes run arclet.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeaseStatus {
    /// `alone` (one node: no Lease is needed), `leader`, `candidate`, or `unknown` (the nodes were not counted yet).
    pub state: String,
    /// What this agent is called in the Lease.
    pub me: String,
    /// Whom the Lease named when it was last seen; absent where none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
}

/// The clock as the agent judges it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockStatus {
    /// `unknown`, `synced` or `wrong`.
    pub state: String,
    /// Trusted time minus wall clock, in seconds.
    pub offset_seconds: Option<i64>,
}

/// The link to one endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkStatus {
    /// Which.
    pub endpoint: Endpoint,
    /// Host name, as configured.
    pub host: String,
    /// `up`, `down`, `refused` (reached, but set up wrongly) or `unknown` (not tried yet).
    pub state: String,
    /// Since when.
    pub since: Option<String>,
    /// Why it is not up.
    pub reason: Option<Reason>,
    /// When the next try is due, in seconds from `time`.
    pub next_try_seconds: Option<u64>,
    /// Tries since it was last up.
    pub attempts: u32,
}

/// One lane's backlog.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LaneStatus {
    /// Its name.
    pub lane: String,
    /// Undelivered records.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Allocated bytes on disk and the quota they count against.
    pub allocated_bytes: u64,
    /// The quota.
    pub quota_bytes: u64,
    /// Age of the oldest, in seconds.
    pub oldest_age_seconds: Option<u64>,
    /// Records dropped by the quota, since the store was made.
    pub lost_by_quota: u64,
    /// Records lost by damage of the medium, since the store was made.
    pub lost_by_damage: u64,
    /// Records that the server refused for ever.
    pub quarantined: u64,
}

/// Something that stays wrong until someone acts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Since when.
    pub since: String,
    /// What it is about: an endpoint's name, `store`, `clock`, `config`.
    pub about: String,
    /// Reason and cure.
    pub reason: Reason,
}

/// What was last observed of the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// `v1.36.3+k3s1`.
    pub kubernetes_version: String,
    /// Nodes.
    pub node_count: u64,
    /// vCPUs of all nodes.
    pub vcpu_count: u64,
    /// When.
    pub observed: String,
}

/// The installation of Flux.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FluxStatus {
    /// `available`, `unavailable` (a controller does not work), `incomplete` (one is missing), `absent`, or `unknown` (they
    /// may not be listed).
    pub state: String,
    /// Why, and the cure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Reason>,
    /// Its controllers.
    pub controllers: Vec<Controller>,
    /// Which of its APIs the API server has.
    pub served: Vec<String>,
    /// When.
    pub observed: String,
}

/// What is known of newer releases. What is wrong with the feed is among the conditions, as `upgrade` or `releases`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// Which train is followed.
    pub train: String,
    /// The newest release that is newer than `agentVersion`, signed with the configured key; `null`: there is none.
    pub available: Option<String>,
    /// When it was first seen.
    pub since: Option<String>,
    /// When it was released, in its own words.
    pub released: Option<String>,
    /// When the feed was last read; `null`: not since the start.
    pub last_look: Option<String>,
}

/// What `arclet outbox` shows: the lanes, and what the server refused for ever.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbox {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// When this was written.
    pub time: String,
    /// One per lane.
    pub lanes: Vec<LaneStatus>,
    /// Records set aside, oldest first.
    pub quarantined: Vec<QuarantinedRecord>,
}

/// A record that the server refused for ever.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedRecord {
    /// Its MessageId.
    pub id: String,
    /// The table it was meant for.
    pub table: String,
    /// When it was set aside.
    pub at: String,
    /// Why, in the server's words.
    pub reason: String,
    /// The start of its body.
    pub body: String,
}

/// Desired state in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredSummary {
    /// When Azure last gave a complete listing; `null`: not since the start.
    pub last_pull: Option<String>,
    /// Documents that are wanted.
    pub documents: u64,
    /// Of those: in the cluster as they are wanted.
    pub enforced: u64,
    /// Of those: failed, each with its reason in `arclet desired`.
    pub failed: u64,
}

/// What `arclet desired` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// [`STATUS_VERSION`].
    pub version: u32,
    /// When this was written.
    pub time: String,
    /// Whether anything is pulled and enforced at all (`[desired]` in the configuration).
    pub on: bool,
    /// When Azure last gave a complete listing; `null`: not since the start.
    pub last_pull: Option<String>,
    /// Sorted by name.
    pub documents: Vec<DocumentStatus>,
}

/// One document of the desired state.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentStatus {
    /// `flux/cluster-config`.
    pub document: String,
    /// Where it is in its life; the words are those of `core::desired`.
    pub state: String,
    /// Since when.
    pub since: String,
    /// SHA-256 of what is wanted, in hexadecimal; absent where the cache has lost it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why it is not enforced.
    pub reason: Option<Reason>,
    /// When it is tried or looked at again, in seconds from `time`.
    pub next_try_seconds: Option<u64>,
    /// How it fares in the cluster, in ARM's words.
    pub picture: Option<Picture>,
}

/// What `arclet desired show` shows of one document.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DesiredDocument {
    /// When this was asked.
    pub time: String,
    /// As in the list.
    pub status: DocumentStatus,
    /// What is wanted, as it was pulled; `null`: the cache has lost it.
    pub wanted: Option<serde_json::Value>,
    /// The objects that arclet made for it.
    pub objects: Vec<ObjectRef>,
}

/// How the cluster differs from one document: one of those that `arclet desired diff` shows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentDiff {
    /// `flux/cluster-config`.
    pub document: String,
    /// Where it is in its life.
    pub state: String,
    /// Whether every object is as it is wanted, and none is left over.
    pub same: bool,
    /// Why it could not be compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// Objects of which there is something to say. What is somebody else's and as it is wanted is among them.
    pub objects: Vec<ObjectDiff>,
}
