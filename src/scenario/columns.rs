//! The columns of each stream, in one place: the encoder writes no others and the template in `config/azure/` declares
//! the same ones (a test compares them), because an undeclared column is dropped by Azure without a word.

use crate::core::Stream;

/// The type of a column, in the words of a data collection rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// RFC 3339 in UTC with milliseconds.
    DateTime,
    /// Text.
    String,
    /// A whole number.
    Long,
}

impl Type {
    /// The type's name in `streamDeclarations`, and in a table's schema.
    pub const fn name(self) -> &'static str {
        match self {
            Type::DateTime => "datetime",
            Type::String => "string",
            Type::Long => "long",
        }
    }
}

/// A column: its name and type.
pub type Column = (&'static str, Type);

/// Columns of every stream; delivery adds them.
pub const COMMON: &[Column] = &[
    // Required by Azure, and rewritten by it when it is too old: never the only time of a record.
    ("TimeGenerated", Type::DateTime),
    // When it happened, corrected where the clock was wrong.
    ("EventTime", Type::DateTime),
    // unknown, synced, wrong, corrected: how far EventTime can be trusted.
    ("ClockState", Type::String),
    // With Seq: the order of records, whatever the clock said.
    ("BootId", Type::String),
    // Number within the lane, growing; MessageId names the lane.
    ("Seq", Type::Long),
    // The same for every copy of a record: `| summarize take_any(*) by MessageId`.
    ("MessageId", Type::String),
    // ARM id of the connected cluster.
    ("ClusterId", Type::String),
];

/// Columns of [`Stream::Heartbeat`].
pub const HEARTBEAT: &[Column] = &[
    // heartbeat, gap, loss, quarantine.
    ("Kind", Type::String),
    ("AgentVersion", Type::String),
    // heartbeat: seconds since the process started.
    ("UptimeSeconds", Type::Long),
    // gap: Azure heard nothing from .. to.
    ("From", Type::DateTime),
    ("To", Type::DateTime),
    // gap: heartbeats that were missed. loss: records that no earlier report has. quarantine: records, this one and
    // those that have no report of their own.
    ("Count", Type::Long),
    // loss: records since the store was made; the highest one counts where a report came twice.
    ("Total", Type::Long),
    // loss, quarantine: the lane.
    ("Lane", Type::String),
    // quarantine: the table that the record was meant for.
    ("Table", Type::String),
    // quarantine: its number in the lane; `arclet outbox` has the record.
    ("RecordSeq", Type::Long),
    // gap, loss, quarantine: a stable word.
    ("Reason", Type::String),
    // gap, quarantine: one sentence.
    ("Detail", Type::String),
];

/// Columns of [`Stream::Inventory`]: a delta has only those that changed.
pub const INVENTORY: &[Column] = &[
    // whole, delta.
    ("Kind", Type::String),
    ("KubernetesVersion", Type::String),
    ("NodeCount", Type::Long),
    ("VcpuCount", Type::Long),
    ("AgentVersion", Type::String),
];

/// The columns of a stream's own, without [`COMMON`].
pub const fn own(stream: Stream) -> &'static [Column] {
    match stream {
        Stream::Heartbeat => HEARTBEAT,
        Stream::Inventory => INVENTORY,
    }
}

/// All columns of a stream.
pub fn all(stream: Stream) -> impl Iterator<Item = Column> {
    COMMON.iter().chain(own(stream)).copied()
}
