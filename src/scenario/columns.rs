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
    /// JSON of any shape.
    Dynamic,
}

impl Type {
    /// The type's name in `streamDeclarations`, and in a table's schema.
    pub const fn name(self) -> &'static str {
        match self {
            Type::DateTime => "datetime",
            Type::String => "string",
            Type::Long => "long",
            Type::Dynamic => "dynamic",
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
    // heartbeat: leader or candidate, where several nodes of the cluster run arclet.
    ("Role", Type::String),
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

/// Columns of [`Stream::Config`]: one row per change of a document.
pub const CONFIG: &[Column] = &[
    // flux, extension: a document. flux-installation: Flux itself. upgrade: arclet itself.
    ("Kind", Type::String),
    // The resource's name in Azure, in lower case.
    ("Name", Type::String),
    // applied, verified, failed, withdrawing, withdrawn, orphan; of Flux itself: available, unavailable, incomplete,
    // absent, unknown; of arclet: current, upgradable, unverified (what the feed has is not to be trusted).
    ("State", Type::String),
    // Of what is wanted, and of a release's manifest: SHA-256 in hex.
    ("Digest", Type::String),
    // As ARM's complianceState.
    ("Compliance", Type::String),
    // main@sha1:…: what the source has.
    ("SourceRevision", Type::String),
    // Why it is not enforced: a stable word.
    ("Reason", Type::String),
    // And one sentence.
    ("Detail", Type::String),
    // kind, namespace, name, compliance and ready of its objects, as many as fit.
    ("Statuses", Type::Dynamic),
    // How many objects there are.
    ("Objects", Type::Long),
    // flux-installation: namespace, name, version, available and reason of its controllers.
    ("Controllers", Type::Dynamic),
    // flux-installation: source.toolkit.fluxcd.io/v1, …: which of its APIs are served.
    ("ServedApis", Type::Dynamic),
    // upgrade: the newest signed release.
    ("Version", Type::String),
    // upgrade: what runs.
    ("AgentVersion", Type::String),
];

/// The columns of a stream's own, without [`COMMON`].
pub const fn own(stream: Stream) -> &'static [Column] {
    match stream {
        Stream::Heartbeat => HEARTBEAT,
        Stream::Inventory => INVENTORY,
        Stream::Config => CONFIG,
    }
}

/// All columns of a stream.
pub fn all(stream: Stream) -> impl Iterator<Item = Column> {
    COMMON.iter().chain(own(stream)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// What the template's object of this type and name says of its columns, types in lower case.
    fn declared(resource: impl Fn(&Value) -> Option<&Value>) -> Vec<(String, String)> {
        let template: Value = serde_json::from_str(include_str!("../../config/azure/arclet.json")).unwrap();
        let found = template["resources"].as_array().unwrap().iter().find_map(resource).unwrap().clone();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let columns = found.as_array().unwrap().iter();
        columns.map(|c| (text(&c["name"]), text(&c["type"]).to_lowercase())).collect()
    }

    fn ours(stream: Stream) -> Vec<(String, String)> {
        all(stream).map(|(name, kind)| (name.to_owned(), kind.name().to_owned())).collect()
    }

    #[test]
    fn the_template_declares_the_columns_that_are_sent_in_the_rule_and_in_the_table() {
        for stream in Stream::ALL {
            let rule = declared(|r| {
                let streams = &r["properties"]["streamDeclarations"];
                streams.get(stream.dcr_stream()).map(|s| &s["columns"])
            });
            assert_eq!(rule, ours(stream), "{}", stream.dcr_stream());
            let table = declared(|r| {
                let schema = &r["properties"]["schema"];
                (schema["name"] == stream.table()).then_some(&schema["columns"])
            });
            assert_eq!(table, ours(stream), "{}", stream.table());
        }
    }

    #[test]
    fn every_name_is_one_that_a_table_may_have() {
        // Azure Monitor: at most 45 characters, a letter first, and these are taken.
        let reserved = ["_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"];
        for stream in Stream::ALL {
            let mut seen = std::collections::BTreeSet::new();
            for (name, _) in all(stream) {
                assert!(name.len() <= 45 && name.starts_with(|c: char| c.is_ascii_alphabetic()), "{name}");
                assert!(name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
                assert!(!reserved.iter().any(|r| r.eq_ignore_ascii_case(name)), "{name}");
                assert!(seen.insert(name.to_lowercase()), "{name} twice in {stream:?}");
            }
        }
    }
}
