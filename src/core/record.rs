//! What goes through the outbox: records, their lane, their stream and their names.
//!
//! The numbers of [`Lane`] and [`Stream`] are on disk and on the wire of the control socket: they never change meaning.

use serde::{Deserialize, Serialize};

/// A part of the outbox with a quota and a policy of its own. What one lane drops never takes another's record with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Lane {
    /// Latest value only, by key; kept apart from the queue. A newer value replaces an undelivered older one.
    State = 0,
    /// Never dropped before its own reserve is full.
    Report = 1,
    /// Who did what through a session. Never dropped before its own reserve is full.
    Audit = 2,
    /// Agent and workload logs; the oldest go first when the quota is full.
    Logs = 3,
    /// Metrics; the oldest go first when the quota is full.
    Metrics = 4,
}

impl Lane {
    /// All lanes, in the order of their priority when the link is slow.
    pub const ALL: [Lane; 5] = [Lane::State, Lane::Report, Lane::Audit, Lane::Logs, Lane::Metrics];

    /// The lane's name in paths, status output and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Lane::State => "state",
            Lane::Report => "report",
            Lane::Audit => "audit",
            Lane::Logs => "logs",
            Lane::Metrics => "metrics",
        }
    }
}

/// A destination table in Azure Monitor and the DCR stream that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[repr(u8)]
pub enum Stream {
    /// Heartbeats, gap reports, loss reports, quarantine reports (column `Kind`).
    Heartbeat = 0,
    /// Cluster metadata: Kubernetes version, node count, vCPU count, agent version.
    Inventory = 1,
    /// How each document of the desired state fares.
    Config = 2,
}

impl Stream {
    /// All streams, in the order of their numbers.
    pub const ALL: [Stream; 3] = [Stream::Heartbeat, Stream::Inventory, Stream::Config];

    /// The table in the Log Analytics workspace.
    pub const fn table(self) -> &'static str {
        match self {
            Stream::Heartbeat => "ArcletHeartbeat_CL",
            Stream::Inventory => "ArcletInventory_CL",
            Stream::Config => "ArcletConfig_CL",
        }
    }

    /// The stream's name in the data collection rule (`config/azure/`).
    pub const fn dcr_stream(self) -> &'static str {
        match self {
            Stream::Heartbeat => "Custom-ArcletHeartbeat",
            Stream::Inventory => "Custom-ArcletInventory",
            Stream::Config => "Custom-ArcletConfig",
        }
    }

    /// The stream with this number on disk.
    pub fn from_number(number: u8) -> Option<Stream> {
        Stream::ALL.into_iter().find(|s| *s as u8 == number)
    }
}

/// A record's number within its lane. Starts at 1, grows by one, never starts again.
pub type Seq = u64;

/// How far the wall clock could be trusted when a time was taken (column `ClockState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum ClockState {
    /// Not compared with anything yet since boot.
    Unknown = 0,
    /// Agrees with a trusted time (the `Date` of a verified TLS peer) within a minute.
    Synced = 1,
    /// Known to be wrong, for example 1970 after a boot without an RTC; times are corrected by the offset when it is known.
    Wrong = 2,
    /// Corrected: taken while the clock was wrong or unknown, and set right before it was sent.
    Corrected = 3,
}

/// When something was observed, in all the clocks that the device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// `/proc/sys/kernel/random/boot_id`: monotonic times of different boots do not compare.
    pub boot: [u8; 16],
    /// CLOCK_BOOTTIME in milliseconds.
    pub mono_ms: u64,
    /// The wall clock as it was, in milliseconds since 1970.
    pub wall_ms: i64,
    /// What was known of the wall clock then.
    pub clock: ClockState,
}

/// One record on its way to Azure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it goes.
    pub stream: Stream,
    /// Order is kept per key; in the state lane a newer value of the same (stream, key) replaces the older one.
    pub key: String,
    /// When it was observed.
    pub stamp: Stamp,
    /// The columns of its own: the text of one JSON object, without the common columns, which delivery adds.
    pub body: Vec<u8>,
}

/// The stable name of a record: a query drops duplicates by it. `{store}-{lane}-{seq}`, the store's id in 32 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(pub String);

impl MessageId {
    /// The id of the record with number `seq` in `lane` of the store with this id.
    pub fn new(store: &[u8; 16], lane: Lane, seq: Seq) -> Self {
        let mut text = String::with_capacity(64);
        for byte in store {
            text.push_str(&format!("{byte:02x}"));
        }
        MessageId(format!("{text}-{}-{seq}", lane.name()))
    }
}

impl std::fmt::Display for MessageId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
