//! The durable store: outbox and cache. Nothing outside this folder knows that it is sled.
//!
//! What it promises
//!
//! 1. What [`Store::enqueue`] or [`Store::doc_put`] acknowledged is on the medium: it survives a power cut.
//! 2. A record goes when its stream's cursor has passed it ([`Store::ack`]) or its loss is counted, and not otherwise.
//! 3. Numbers of a lane only grow, also over an empty outbox, damage, and the loss of the books.
//! 4. A lane's loss, quota and damage stay its own: every lane has its own chain of databases.
//! 5. Damage never stops it: what can be read is saved, what is missing is counted, the rest goes on.
//! 6. A full disk never stops it: delivery goes on and frees space; telemetry yields to reports, reports to the cache.
//! 7. Memory does not grow with the queue: at most two small databases are open, none when idle.
//!
//! The rooms, from the medium up (docs/decisions/0001-store.md has the layout on disk and the measurements):
//!
//! ```text
//! handle    the thread, group commit           outbox, enqueue        the store's face, policies
//! open      format, lock, id                   state, cache           its two other faces
//! chain     one lane's epochs, written         recover, repair        what a crash or damage has left of them
//! delivery  one lane's epochs, read            keyed, salvage         documents by name; damage
//! space     who yields when the disk is full   epoch, block           what is on the medium, and checks itself
//! pool      at most two open databases         document, frame        the same of documents
//! database  sled, made safe                    ledger, attempts       small files overwritten in place (slots)
//! ```

mod attempts;
mod block;
mod bytes;
mod cache;
mod chain;
mod database;
mod delivery;
mod document;
mod enqueue;
mod epoch;
mod error;
mod files;
mod frame;
mod handle;
mod keyed;
mod ledger;
mod open;
mod outbox;
mod pool;
mod recover;
mod repair;
mod salvage;
mod seal;
mod slots;
mod space;
mod state;

pub use cache::MAX_DOCUMENT;
pub use error::StoreError;
#[cfg(feature = "unsynced")]
pub use files::skip_syncs;
pub use handle::{Answer, Handle};
pub use open::OpenReport;
pub use outbox::{Batch, MAX_BATCH, MAX_KEY, MAX_QUARANTINED, MAX_RECORD, Store};

use crate::core::{Lane, MessageId, Record, Seq};
use std::path::PathBuf;
use zeroize::Zeroize;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// `StateDirectory`, for example /var/lib/arclet.
    pub dir: PathBuf,
    /// Quota per lane, in allocated bytes, indexed by `Lane as usize`. What is written stays within it; a finished database
    /// that is read again takes a segment (128 KiB) more until the next record of its lane comes in.
    pub quotas: [u64; Lane::ALL.len()],
    /// The ceiling of the cache in allocated bytes.
    pub cache_quota: u64,
    /// The key that seals secrets: 32 bytes from a systemd credential or a 0600 file; `None` = `<dir>/store.key` is made.
    pub key: Option<Box<[u8; 32]>>,
    /// How much goes into an epoch before the next begins, in payload bytes.
    pub epoch_bytes: u64,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .field("quotas", &self.quotas)
            .field("cache_quota", &self.cache_quota)
            .field("epoch_bytes", &self.epoch_bytes)
            .finish_non_exhaustive()
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        if let Some(key) = &mut self.key {
            key.zeroize();
        }
    }
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number in the lane.
    pub seq: Seq,
    /// Its stable name.
    pub id: MessageId,
    /// The record.
    pub record: Record,
}

/// The state of one lane, for `status` and for the core.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LaneStats {
    /// Undelivered records.
    pub records: u64,
    /// Their bytes, before sled's overhead.
    pub bytes: u64,
    /// Allocated bytes on disk.
    pub allocated: u64,
    /// Wall time in ms of the oldest undelivered record, or of one delivered just before it.
    pub oldest_wall_ms: Option<i64>,
    /// Undelivered records per stream number; what is absent is empty.
    pub per_stream: Vec<(u8, u64)>,
    /// Lost since the store was made because the quota or the disk was full.
    pub lost_quota: u64,
    /// Lost since the store was made by damage of the medium.
    pub lost_damage: u64,
    /// Refused by the server and set aside since the store was made.
    pub quarantined: u64,
}

/// A record that the server refused, kept for `arclet outbox`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
