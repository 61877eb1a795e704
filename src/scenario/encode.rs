//! Records as rows of the JSON array that is posted.
//!
//! A pure function of the record, its number and name, and what is known of the clocks now: the same record becomes the
//! same row on every try, but for a time that has become known meanwhile.

use super::clock::Anchors;
use super::columns::COMMON;
use crate::core::{ClockState, MessageId, Reason, Record, Seq};
use serde::de::IgnoredAny;
use std::collections::HashSet;

/// Appends the record's row to `out`. The body must be one JSON object that has none of the common columns and none
/// twice; else `out` stays as it was.
pub fn row(
    out: &mut Vec<u8>,
    record: &Record,
    seq: Seq,
    id: &MessageId,
    cluster: &str,
    anchors: &Anchors,
) -> Result<(), Reason> {
    let own = own_columns(record)?;
    let (time_ms, clock) = anchors.correct(&record.stamp);
    let time = time(time_ms);
    out.extend_from_slice(b"{\"TimeGenerated\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\",\"EventTime\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\",\"ClockState\":\"");
    out.extend_from_slice(clock_name(clock).as_bytes());
    out.extend_from_slice(b"\",\"BootId\":\"");
    out.extend_from_slice(hex(&record.stamp.boot).as_bytes());
    out.extend_from_slice(format!("\",\"Seq\":{seq},\"MessageId\":").as_bytes());
    text(out, &id.0);
    out.extend_from_slice(b",\"ClusterId\":");
    text(out, cluster);
    if !own.is_empty() {
        out.push(b',');
        out.extend_from_slice(own);
    }
    out.push(b'}');
    Ok(())
}

/// A batch, ready to be compressed and posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The JSON array.
    pub body: Vec<u8>,
    /// The first record's number.
    pub first: Seq,
    /// The last record's.
    pub through: Seq,
    /// How many there are.
    pub records: usize,
}

/// The head of a queue cannot be a row at all: it is at fault as if the server had said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadHead {
    /// Its number.
    pub seq: Seq,
    /// What is wrong with it.
    pub reason: Reason,
}

/// The longest run of `records` from the first on that fits into `max_bytes` of JSON, but at least one record. A record
/// that cannot be a row ends the batch before it, and is a [`BadHead`] when it comes first. `None`: there are none.
pub fn batch<'a>(
    records: impl IntoIterator<Item = (Seq, &'a MessageId, &'a Record)>,
    cluster: &str,
    anchors: &Anchors,
    max_bytes: usize,
) -> Result<Option<Batch>, BadHead> {
    let mut batch: Option<Batch> = None;
    for (seq, id, record) in records {
        match &mut batch {
            None => {
                let mut body = vec![b'['];
                row(&mut body, record, seq, id, cluster, anchors)
                    .map_err(|reason| BadHead { seq, reason })?;
                batch = Some(Batch { body, first: seq, through: seq, records: 1 });
            }
            Some(batch) => {
                let before = batch.body.len();
                batch.body.push(b',');
                let fits = row(&mut batch.body, record, seq, id, cluster, anchors).is_ok()
                    && batch.body.len() < max_bytes;
                if !fits {
                    batch.body.truncate(before);
                    break;
                }
                batch.through = seq;
                batch.records += 1;
            }
        }
    }
    if let Some(batch) = &mut batch {
        batch.body.push(b']');
    }
    Ok(batch)
}

/// RFC 3339 in UTC with milliseconds. A time that no calendar has becomes the nearest that it has.
pub fn time(ms: i64) -> String {
    let clamped = ms.clamp(jiff::Timestamp::MIN.as_millisecond() + 1, jiff::Timestamp::MAX.as_millisecond());
    let timestamp = jiff::Timestamp::from_millisecond(clamped).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{timestamp:.3}")
}

/// The clock state's name in the column `ClockState`.
pub const fn clock_name(clock: ClockState) -> &'static str {
    match clock {
        ClockState::Unknown => "unknown",
        ClockState::Synced => "synced",
        ClockState::Wrong => "wrong",
        ClockState::Corrected => "corrected",
    }
}

/// The body between its braces, after a look at its columns' names.
fn own_columns(record: &Record) -> Result<&[u8], Reason> {
    let bad = |what: &str| {
        Reason::new(
            "BadRecord",
            format!("a record of {} {what}, so it cannot become a row", record.stream.table()),
        )
    };
    let columns: Columns = serde_json::from_slice(&record.body)
        .map_err(|e| bad(&format!("is not one JSON object of distinct columns: {e}")))?;
    if let Some((name, _)) = COMMON.iter().find(|(name, _)| columns.0.contains(*name)) {
        return Err(bad(&format!("has the common column {name}")));
    }
    let body = record.body.trim_ascii();
    Ok(body[1..body.len() - 1].trim_ascii())
}

/// The names of an object's members; their values are only checked to be JSON.
struct Columns(HashSet<String>);

impl<'de> serde::Deserialize<'de> for Columns {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Columns;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut names = HashSet::new();
                while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
                    if let Some(twice) = names.replace(name) {
                        return Err(serde::de::Error::custom(format_args!("column {twice} is there twice")));
                    }
                }
                Ok(Columns(names))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A JSON string.
fn text(out: &mut Vec<u8>, text: &str) {
    // Writing text into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::clock::Anchor;
    use super::super::columns;
    use super::*;
    use crate::core::{Lane, Stamp, Stream};
    use serde_json::Value;

    const BOOT: [u8; 16] = [0xab; 16];

    fn record(body: &str, clock: ClockState, wall_ms: i64) -> Record {
        let stamp = Stamp { boot: BOOT, mono_ms: 5_000, wall_ms, clock };
        Record { stream: Stream::Inventory, key: "cluster".into(), stamp, body: body.as_bytes().to_vec() }
    }

    fn one(record: &Record, anchors: &Anchors) -> Result<Value, Reason> {
        let mut out = Vec::new();
        row(&mut out, record, 7, &MessageId::new(&[1; 16], Lane::Report, 7), "/subscriptions/x", anchors)?;
        Ok(serde_json::from_slice(&out).unwrap())
    }

    fn anchored() -> Anchors {
        let mut anchors = Anchors::default();
        anchors.learn(Anchor { boot: BOOT, epoch_ms: 1_790_000_000_000 });
        anchors
    }

    #[test]
    fn a_row_has_the_common_columns_and_its_own() {
        let row = one(
            &record(r#" {"Kind":"delta","NodeCount":4} "#, ClockState::Synced, 1_790_000_005_123),
            &anchored(),
        )
        .unwrap();
        assert_eq!(row["EventTime"], "2026-09-21T14:13:25.123Z");
        assert_eq!(row["TimeGenerated"], row["EventTime"]);
        assert_eq!(row["BootId"], "abababababababababababababababab");
        assert_eq!(row["Seq"], 7);
        assert_eq!(row["MessageId"], "01010101010101010101010101010101-report-7");
        assert_eq!(row["NodeCount"], 4);
        for (name, _) in columns::COMMON {
            assert!(row.get(*name).is_some(), "{name}");
        }
        let empty = one(&record("{}", ClockState::Synced, 0), &anchored()).unwrap();
        assert_eq!(empty.as_object().unwrap().len(), columns::COMMON.len());
    }

    #[test]
    fn a_time_from_1970_is_set_right_when_the_boots_anchor_is_known_and_else_says_that_it_is_wrong() {
        let early = record("{}", ClockState::Unknown, 5_000);
        let row = one(&early, &Anchors::default()).unwrap();
        assert_eq!(
            (&row["EventTime"], &row["ClockState"]),
            (&"1970-01-01T00:00:05.000Z".into(), &"unknown".into())
        );
        let row = one(&early, &anchored()).unwrap();
        assert_eq!(
            (&row["EventTime"], &row["ClockState"]),
            (&"2026-09-21T14:13:25.000Z".into(), &"corrected".into())
        );
        let right = record("{}", ClockState::Unknown, 1_790_000_005_700);
        let row = one(&right, &anchored()).unwrap();
        assert_eq!(
            (&row["EventTime"], &row["ClockState"]),
            (&"2026-09-21T14:13:25.700Z".into(), &"synced".into())
        );
    }

    #[test]
    fn what_is_not_an_object_of_distinct_own_columns_is_no_row() {
        for body in
            ["", "[]", "3", "{", "{}x", r#"{"A":1,"A":2}"#, r#"{"Seq":1}"#, "{\"A\":\"\u{0}\"}", "\u{feff}{}"]
        {
            let mut out = b"kept".to_vec();
            let id = MessageId(String::new());
            let error = row(&mut out, &record(body, ClockState::Synced, 0), 1, &id, "c", &Anchors::default());
            assert_eq!(error.unwrap_err().code, "BadRecord", "{body}");
            assert_eq!(out, b"kept");
        }
    }

    #[test]
    fn names_of_others_are_escaped() {
        let mut out = Vec::new();
        let id = MessageId("a\"b\\\n".into());
        row(&mut out, &record("{}", ClockState::Synced, 0), 1, &id, "c\"", &Anchors::default()).unwrap();
        let row: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!((&row["MessageId"], &row["ClusterId"]), (&"a\"b\\\n".into(), &"c\"".into()));
    }

    #[test]
    fn a_batch_ends_before_the_limit_and_before_a_record_that_is_no_row() {
        let records: Vec<_> = (1..=20u64)
            .map(|seq| {
                let body = if seq == 13 { "nonsense" } else { r#"{"Kind":"delta"}"# };
                (seq, MessageId(format!("m-{seq}")), record(body, ClockState::Synced, 0))
            })
            .collect();
        let refs = |from: usize| records[from..].iter().map(|(seq, id, record)| (*seq, id, record));
        let anchors = Anchors::default();
        let all = batch(refs(0), "c", &anchors, 1_000_000).unwrap().unwrap();
        assert_eq!((all.first, all.through, all.records), (1, 12, 12));
        assert_eq!(serde_json::from_slice::<Vec<Value>>(&all.body).unwrap().len(), 12);
        for limit in [1, 300, 777, all.body.len() - 1, all.body.len()] {
            let some = batch(refs(0), "c", &anchors, limit).unwrap().unwrap();
            assert!(some.records == 1 || some.body.len() <= limit, "{limit}: {}", some.body.len());
            assert_eq!(serde_json::from_slice::<Vec<Value>>(&some.body).unwrap().len(), some.records);
        }
        assert_eq!(batch(refs(0), "c", &anchors, all.body.len()).unwrap().unwrap().records, 12);
        assert_eq!(batch(refs(12), "c", &anchors, 1_000).unwrap_err().seq, 13);
        assert_eq!(batch(refs(20), "c", &anchors, 1_000), Ok(None));
    }

    #[test]
    fn every_time_can_be_written() {
        for ms in [i64::MIN, -1, 0, 999, i64::MAX] {
            let text = time(ms);
            assert!(text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok(), "{ms}: {text}");
        }
    }
}
