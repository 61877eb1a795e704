//! The durable store: outbox and cache. Nothing outside this folder knows that it is sled.
//!
//! INTERFACE DRAFT: the names and signatures below are what the agent is written against.

use crate::core::{Lane, MessageId, Record, Seq, Stream};
use std::path::PathBuf;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// `StateDirectory`, for example /var/lib/arclet.
    pub dir: PathBuf,
    /// Quota per lane, in allocated bytes, indexed by `Lane as usize`.
    pub quotas: [u64; 5],
    /// The ceiling of the cache in allocated bytes.
    pub cache_quota: u64,
    /// The key that seals secrets: 32 bytes from a systemd credential or a 0600 file; `None` = `<dir>/store.key` is made.
    pub key: Option<Box<[u8; 32]>>,
    /// How much goes into an epoch before the next begins, in payload bytes.
    pub epoch_bytes: u64,
}

/// A record as it is kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number in the lane.
    pub seq: Seq,
    /// Its stable name.
    pub id: MessageId,
    /// The record.
    pub record: Record,
}

/// The state of one lane, for `status` and for the core.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct LaneStats {
    /// Undelivered records.
    pub records: u64,
    /// Undelivered payload bytes.
    pub bytes: u64,
    /// Allocated bytes on disk.
    pub allocated: u64,
    /// Wall time in ms of the oldest undelivered record.
    pub oldest_wall_ms: Option<i64>,
    /// Undelivered records per stream number.
    pub per_stream: Vec<(u8, u64)>,
    /// Lost since the store was made: by quota, by damage, quarantined by the server.
    pub lost_quota: u64,
    /// Lost by damage of the medium.
    pub lost_damage: u64,
    /// Refused by the server and set aside.
    pub quarantined: u64,
}

/// A store operation that failed. The store goes on after each of them.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// The lane's reserve is full and its policy is to drop nothing, or the disk is full: nothing was taken.
    Full {
        /// The lane.
        lane: Lane,
        /// What to do.
        message: String,
    },
    /// The format is newer than this program; the store was left untouched.
    Newer(String),
    /// Anything else, with path and reason.
    Io(String),
}

/// A record that the server refused, kept for `arclet outbox`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Quarantined {
    /// Its name.
    pub id: String,
    /// Its stream number.
    pub stream: u8,
    /// Wall time in ms when it was set aside.
    pub at_ms: i64,
    /// Why, in the server's words, cut.
    pub reason: String,
    /// The start of its body, cut to 4 KiB.
    pub body: String,
}

// impl Store {
//   pub fn open(options: Options) -> Result<(Store, OpenReport), StoreError>
//   pub fn id(&self) -> [u8; 16]
//   /// Durable when it returns: one sync for the whole call. State lane: (stream, key) replaces.
//   pub fn enqueue(&mut self, records: &[(Lane, Record)]) -> Result<Vec<MessageId>, StoreError>
//   /// The oldest undelivered records of one stream of a lane, in order; at most `max_records`, `max_bytes` (at least one).
//   pub fn read(&mut self, lane, stream, max_records: usize, max_bytes: usize) -> Result<Vec<Kept>, StoreError>
//   /// All of the stream's records up to and including `through` are delivered. Durable. (State: removes values <= through.)
//   pub fn ack(&mut self, lane, stream, through: Seq) -> Result<(), StoreError>
//   /// The head record `seq` was refused for ever: set aside with its reason, counted, cursor past it. Durable.
//   pub fn quarantine(&mut self, lane, stream, seq, reason: &str, at_ms: i64) -> Result<(), StoreError>
//   pub fn stats(&mut self) -> Vec<(Lane, LaneStats)>        // cheap: from memory
//   pub fn quarantined(&mut self) -> Vec<Quarantined>
//   /// Losses not yet reported, per lane (quota, damage); `losses_reported` moves the durable mark after the report is enqueued.
//   pub fn unreported_losses(&self) -> Vec<LossReport>;  pub fn losses_reported(&mut self, &[LossReport])
//   // cache (apart from the outbox; chunked; manifest last; 16 MB ceiling; sealed when `secret`)
//   pub fn doc_put(&mut self, name: &str, content: &[u8], secret: bool) -> Result<(), StoreError>
//   pub fn doc_get(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError>
//   pub fn doc_remove(&mut self, name: &str) -> Result<(), StoreError>
//   pub fn doc_list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError>
//   pub fn close(self)                                    // everything durable
// }
// store::Handle: Clone + Send; a thread `arclet-store` owns the Store; every method above as
//   `fn enqueue(&self, …) -> tokio::sync::oneshot::Receiver<Result<…>>` (usable by await and by blocking_recv);
//   waiting commands are taken together, so that concurrent enqueues share one sync (group commit).
//   `Handle::spawn(options, on_panic) -> Result<(Handle, OpenReport, [u8;16]), StoreError>`; `handle.close()` joins.
#[allow(dead_code)]
type Draft = (Seq, Stream);
