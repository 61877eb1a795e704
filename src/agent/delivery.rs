//! From kept records to the body of one call: rows of a JSON array, compressed while they are made.
//!
//! Neither the array nor the batch stands whole beside its compressed form: a record is dropped as soon as its row went into the
//! compressor. Nothing here decides what goes: the core named lane, stream and bounds.

use crate::core::{Reason, Seq};
use crate::scenario::clock::Anchors;
use crate::scenario::encode;
use crate::store::Kept;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

/// A body, and which records are in it.
#[derive(Debug)]
pub struct Batch {
    /// The number of the first record.
    pub first: Seq,
    /// The number of the last.
    pub through: Seq,
    /// How many.
    pub records: usize,
    /// The JSON array, gzip.
    pub body: Vec<u8>,
}

/// A record that cannot become a row, at the head of what was read.
#[derive(Debug)]
pub struct Unfit {
    /// Its number.
    pub seq: Seq,
    /// Why.
    pub reason: Reason,
}

/// Packs records in their order until the array would grow beyond `max_bytes`; the first goes in whatever its size. A
/// record that cannot become a row ends the batch before it; as the first one it is the error. `None`: no records.
pub fn pack(
    kept: Vec<Kept>,
    cluster: &str,
    anchors: &Anchors,
    max_bytes: usize,
) -> Option<Result<Batch, Unfit>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut span: Option<(Seq, Seq)> = None;
    let mut records = 0;
    // Each row brings its bracket or comma with it.
    let mut size = "]".len();
    let mut row = Vec::new();
    for Kept { seq, id, record } in kept {
        row.clear();
        row.push(if span.is_none() { b'[' } else { b',' });
        if let Err(reason) = encode::row(&mut row, &record, seq, &id, cluster, anchors) {
            if span.is_none() {
                return Some(Err(Unfit { seq, reason }));
            }
            break;
        }
        if span.is_some() && size + row.len() > max_bytes {
            break;
        }
        size += row.len();
        if let Err(error) = gzip.write_all(&row) {
            return Some(Err(Unfit { seq, reason: compressor(&error) }));
        }
        span = Some((span.map_or(seq, |(first, _)| first), seq));
        records += 1;
    }
    let (first, through) = span?;
    let body = gzip.write_all(b"]").and_then(|()| gzip.finish());
    Some(
        body.map(|body| Batch { first, through, records, body })
            .map_err(|error| Unfit { seq: first, reason: compressor(&error) }),
    )
}

/// Writing to memory does not fail; should it, the record stays and the reason is seen.
fn compressor(error: &std::io::Error) -> Reason {
    Reason::new("Compression", format!("the batch cannot be compressed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ClockState, Lane, MessageId, Record, Stamp, Stream};
    use std::io::Read;

    fn kept(seq: Seq, body: &str) -> Kept {
        let stamp =
            Stamp { boot: [1; 16], mono_ms: 0, wall_ms: 1_800_000_000_000, clock: ClockState::Synced };
        let record = Record { stream: Stream::Heartbeat, key: "k".into(), stamp, body: body.into() };
        Kept { seq, id: MessageId::new(&[7; 16], Lane::Report, seq), record }
    }

    fn rows(batch: &Batch) -> Vec<serde_json::Value> {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&batch.body[..]).read_to_string(&mut text).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn pack_all(kept: Vec<Kept>, max_bytes: usize) -> Result<Batch, Unfit> {
        pack(kept, "/subscriptions/x", &Anchors::default(), max_bytes).unwrap()
    }

    #[test]
    fn rows_keep_their_order_and_their_ids() {
        let batch = pack_all(vec![kept(4, r#"{"Kind":"a"}"#), kept(9, r#"{"Kind":"b"}"#)], 10_000).unwrap();
        assert_eq!((batch.first, batch.through, batch.records), (4, 9, 2));
        let rows = rows(&batch);
        assert_eq!(rows[0]["Seq"], 4);
        assert_eq!(rows[0]["Kind"], "a");
        assert!(rows[1]["MessageId"].as_str().unwrap().ends_with("-report-9"));
    }

    #[test]
    fn the_array_counts_every_byte_and_stays_within_its_bound() {
        let text = |batch: &Batch| {
            let mut text = String::new();
            flate2::read::GzDecoder::new(&batch.body[..]).read_to_string(&mut text).unwrap();
            text
        };
        let three = || (1..4).map(|seq| kept(seq, r#"{"Kind":"heartbeat"}"#)).collect::<Vec<_>>();
        let row = text(&pack_all(three(), 0).unwrap()).len() - "[]".len();
        for records in 1..4 {
            let exactly = records * row + records - 1 + "[]".len();
            let batch = pack_all(three(), exactly).unwrap();
            assert_eq!((batch.records, text(&batch).len()), (records, exactly));
            assert_eq!(pack_all(three(), exactly - 1).unwrap().records, (records - 1).max(1));
        }
    }

    #[test]
    fn a_single_record_goes_whatever_its_size() {
        let long = format!(r#"{{"Detail":"{}"}}"#, "x".repeat(5_000));
        assert_eq!(pack_all(vec![kept(1, &long), kept(2, "{}")], 100).unwrap().records, 1);
    }

    #[test]
    fn a_record_that_is_no_row_ends_the_batch_before_it_and_is_the_error_at_the_head() {
        let batch = pack_all(vec![kept(1, "{}"), kept(2, "not json"), kept(3, "{}")], 10_000).unwrap();
        assert_eq!((batch.first, batch.through), (1, 1));
        assert_eq!(pack_all(vec![kept(2, "not json"), kept(3, "{}")], 10_000).unwrap_err().seq, 2);
    }

    #[test]
    fn nothing_makes_no_batch() {
        assert!(pack(Vec::new(), "", &Anchors::default(), 10).is_none());
    }
}
