//! Heartbeats, and the reports about silence, losses and refused records: all rows of one table, told apart by `Kind`.
//!
//! Only what they say is in here; when they are said is decided by the core, and by [`super::silence`].

use super::silence::Gap;
use crate::core::{Lane, LossCause, Reason, Seq, Stream};
use serde::Serialize;
use std::time::Duration;

/// The key of heartbeats in the state lane.
pub const KEY: &str = "heartbeat";

/// The columns of all kinds; each has its own (`columns::HEARTBEAT`).
#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uptime_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lane: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl Row<'_> {
    fn body(&self) -> Vec<u8> {
        // Text and numbers only: there is nothing in here that could fail to serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The body of a heartbeat. `role` where several agents take turns.
pub fn heartbeat(agent_version: &str, uptime: Duration, role: Option<&str>) -> Vec<u8> {
    Row {
        kind: "heartbeat",
        agent_version: Some(agent_version),
        uptime_seconds: Some(uptime.as_secs()),
        role,
        ..Row::default()
    }
    .body()
}

/// The body of a loss report.
pub fn loss(lane: Lane, cause: LossCause, count: u64, total: u64) -> Vec<u8> {
    Row {
        kind: "loss",
        lane: Some(lane.name()),
        reason: Some(cause.name()),
        count: Some(count),
        total: Some(total),
        ..Row::default()
    }
    .body()
}

/// The body of a quarantine report; `others` more were set aside that have no report of their own.
pub fn quarantine(lane: Lane, stream: Stream, seq: Seq, reason: &Reason, others: u64) -> Vec<u8> {
    Row {
        kind: "quarantine",
        lane: Some(lane.name()),
        table: Some(stream.table()),
        record_seq: Some(seq),
        count: Some(1 + others),
        reason: Some(cut(&reason.code)),
        detail: Some(cut(&reason.message)),
        ..Row::default()
    }
    .body()
}

/// The body of a gap report.
pub fn gap(gap: &Gap) -> Vec<u8> {
    Row {
        kind: "gap",
        from: Some(super::encode::time(gap.from_ms)),
        to: Some(super::encode::time(gap.to_ms)),
        count: gap.missed,
        reason: Some(cut(&gap.why.0)),
        detail: Some(cut(&gap.why.1)),
        ..Row::default()
    }
    .body()
}

/// Text of others, cut: a field holds 64 KB, and a report about a failure must never fail for its length.
pub(super) fn cut(text: &str) -> &str {
    let mut end = text.len().min(1_024);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::super::columns::HEARTBEAT;
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_kind_has_columns_that_the_table_has() {
        let reason = Reason::new("ConnectionRefused", "nobody listens");
        let silence =
            Gap { from_ms: 0, to_ms: 1, missed: Some(1), why: ("Restarted".into(), "it was off".into()) };
        for body in [
            heartbeat("0.1.0", Duration::from_secs(300), None),
            loss(Lane::Logs, LossCause::Damage, 3, 9),
            quarantine(Lane::Audit, Stream::Inventory, 7, &reason, 2),
            gap(&silence),
        ] {
            let row: Value = serde_json::from_slice(&body).unwrap();
            for (name, value) in row.as_object().unwrap() {
                let column = HEARTBEAT.iter().find(|(known, _)| known == name);
                let (_, kind) = column.unwrap_or_else(|| panic!("{name} is no column"));
                assert_eq!(value.is_u64(), kind.name() == "long", "{name}");
            }
        }
    }

    #[test]
    fn long_words_of_others_are_cut_at_a_character() {
        let long = Reason::new("C", "é".repeat(5_000));
        let body = quarantine(Lane::Logs, Stream::Inventory, 1, &long, 0);
        let row: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(row["Detail"].as_str().unwrap().len(), 1_024);
    }
}
