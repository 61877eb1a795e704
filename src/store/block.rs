//! The packed block of records: what a value in the outbox's databases is.
//!
//! Blocks describe and check themselves (magic, lane, epoch, numbers, CRC-32), so that what a damaged database still
//! holds can be found by scanning its raw bytes. A block is small enough that sled never moves a page of them into a
//! blob file, which it would not sync; a record that does not fit is cut into pieces, each a block of its own.
//!
//! Format 1, little-endian: magic 8, lane 1, kind 1, count 2, pieces 2, zero 2, epoch 4, length 4, first number 8, body,
//! CRC-32 over all before it. Body of whole records: (length 4, record)*; of a piece: a part of one record's bytes.
//! Record: stream 1, clock state 1, key length 2, boot 16, monotonic 8, wall 8, key, body.

use super::bytes::{Put, Take};
use crate::core::{ClockState, Lane, Record, Seq, Stamp, Stream};
use std::collections::BTreeMap;

/// The longest block: with its key, 17 of them must stay below a quarter of a segment (see `database::SEGMENT`), or
/// sled would write a full leaf as a blob.
pub(super) const MAX_BLOCK: usize = (super::database::SEGMENT / 4 - 20 - 32 - PAGE_SLACK) / 17 - KEY - 16;
/// What a serialised leaf holds besides keys and values, generously.
const PAGE_SLACK: usize = 256;

/// A key: the first record's number, then the piece's, both big-endian so that order of keys is order of records.
pub(super) type Key = [u8; KEY];
const KEY: usize = 10;

/// The key of the block that begins with record `first`.
pub(super) fn key(first: Seq, piece: u16) -> Key {
    let mut key = [0; KEY];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&piece.to_be_bytes());
    key
}

/// The record number in a key; `None` if it is none of ours.
pub(super) fn seq_of(key: &[u8]) -> Option<Seq> {
    (key.len() == KEY).then(|| key[..8].try_into().map(Seq::from_be_bytes).ok()).flatten()
}

/// A block as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Where it sorts.
    pub key: Key,
    /// All its bytes.
    pub bytes: Vec<u8>,
}

/// A block whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a> {
    pub lane: u8,
    pub epoch: u32,
    pub first: Seq,
    /// Records in it; of a piece: its index.
    pub count: u16,
    /// 0: whole records; else how many pieces the record `first` has.
    pub pieces: u16,
    pub len: usize,
    body: &'a [u8],
}

/// The length of a record's bytes, before packing.
pub(super) fn encoded_len(record: &Record) -> usize {
    RECORD + record.key.len() + record.body.len()
}

fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(record));
    out.push(record.stream as u8);
    out.push(record.stamp.clock as u8);
    out.u16(record.key.len() as u16);
    out.put(&record.stamp.boot);
    out.u64(record.stamp.mono_ms);
    out.i64(record.stamp.wall_ms);
    out.put(record.key.as_bytes());
    out.put(&record.body);
    out
}

/// The record in these bytes; `None` if a newer program wrote a stream or a state that this one does not know, or they
/// are no record.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    let mut take = Take(bytes);
    let stream = Stream::from_number(take.u8()?)?;
    let clock = match take.u8()? {
        0 => ClockState::Unknown,
        1 => ClockState::Synced,
        2 => ClockState::Wrong,
        3 => ClockState::Corrected,
        _ => return None,
    };
    let key_len = usize::from(take.u16()?);
    let boot = take.id()?;
    let (mono_ms, wall_ms) = (take.u64()?, take.i64()?);
    let key = String::from_utf8(take.bytes(key_len)?.to_vec()).ok()?;
    Some(Record { stream, key, stamp: Stamp { boot, mono_ms, wall_ms, clock }, body: take.0.to_vec() })
}

/// A record's stream and wall time without decoding it: also of a stream that this program does not know.
pub(super) fn glance(bytes: &[u8]) -> (u8, i64) {
    let stream = bytes.first().copied().unwrap_or(0);
    let wall = bytes.get(28..36).and_then(|b| b.try_into().ok()).map_or(0, i64::from_le_bytes);
    (stream, wall)
}

/// The bytes of one record for a place other than a block (the state lane's documents).
pub(super) fn encode_alone(record: &Record) -> Vec<u8> {
    encode(record)
}

/// Packs records with consecutive numbers into blocks.
pub(super) fn pack<'a>(
    lane: Lane,
    epoch: u32,
    first: Seq,
    records: impl IntoIterator<Item = &'a Record>,
) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut body = Vec::new();
    let (mut begin, mut count) = (first, 0u16);
    for (seq, record) in (first..).zip(records) {
        let bytes = encode(record);
        if body.len() + 4 + bytes.len() > BODY && count > 0 {
            blocks.push(seal(lane, epoch, begin, count, 0, &std::mem::take(&mut body)));
            count = 0;
        }
        if 4 + bytes.len() > BODY {
            let pieces = bytes.len().div_ceil(BODY) as u16;
            for (piece, part) in (0..).zip(bytes.chunks(BODY)) {
                blocks.push(seal(lane, epoch, seq, piece, pieces, part));
            }
            continue;
        }
        if count == 0 {
            begin = seq;
        }
        body.u32(bytes.len() as u32);
        body.put(&bytes);
        count += 1;
    }
    if count > 0 {
        blocks.push(seal(lane, epoch, begin, count, 0, &body));
    }
    blocks
}

fn seal(lane: Lane, epoch: u32, first: Seq, count: u16, pieces: u16, body: &[u8]) -> Block {
    let len = HEAD + body.len() + 4;
    let mut bytes = Vec::with_capacity(len);
    bytes.put(MAGIC);
    bytes.push(lane as u8);
    bytes.push(u8::from(pieces > 0));
    bytes.u16(count);
    bytes.u16(pieces);
    bytes.u16(0);
    bytes.u32(epoch);
    bytes.u32(len as u32);
    bytes.u64(first);
    bytes.put(body);
    let crc = crc32fast::hash(&bytes);
    bytes.u32(crc);
    Block { key: key(first, if pieces > 0 { count } else { 0 }), bytes }
}

impl<'a> View<'a> {
    /// The block at the start of `bytes`, if it is whole and its checksum is right.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<View<'a>> {
        let mut take = Take(bytes.strip_prefix(MAGIC.as_slice())?);
        let (lane, kind) = (take.u8()?, take.u8()?);
        let (count, pieces, _zero) = (take.u16()?, take.u16()?, take.u16()?);
        let epoch = take.u32()?;
        let len = take.u32()? as usize;
        let first = take.u64()?;
        if !(HEAD + 4..=MAX_BLOCK).contains(&len) || len > bytes.len() || kind != u8::from(pieces > 0) {
            return None;
        }
        let crc = u32::from_le_bytes(bytes[len - 4..len].try_into().ok()?);
        (crc32fast::hash(&bytes[..len - 4]) == crc).then(|| View {
            lane,
            epoch,
            first,
            count,
            pieces,
            len,
            body: &bytes[HEAD..len - 4],
        })
    }

    /// Its key.
    pub(super) fn key(&self) -> Key {
        key(self.first, if self.pieces > 0 { self.count } else { 0 })
    }

    /// The bytes of its whole records with their numbers; nothing for a piece.
    fn records(&self) -> impl Iterator<Item = (Seq, &'a [u8])> {
        let mut take = Take(if self.pieces > 0 { &[] } else { self.body });
        let mut seq = self.first;
        std::iter::from_fn(move || {
            let len = take.u32()? as usize;
            let bytes = take.bytes(len)?;
            seq += 1;
            Some((seq - 1, bytes))
        })
    }
}

/// Puts blocks, given in the order of their keys, together to records.
#[derive(Default)]
pub(super) struct Assembler {
    /// A record of which pieces are missing: number, pieces, next piece, bytes.
    partial: Option<(Seq, u16, u16, Vec<u8>)>,
}

impl Assembler {
    /// Gives each record that is complete with this block: number, and its bytes for [`decode`]. A record whose pieces
    /// are not all there is given to nobody.
    pub(super) fn push(&mut self, view: &View<'_>, mut give: impl FnMut(Seq, &[u8])) {
        if view.pieces == 0 {
            self.partial = None;
            view.records().for_each(|(seq, bytes)| give(seq, bytes));
            return;
        }
        match &mut self.partial {
            Some((seq, pieces, next, bytes))
                if (*seq, *pieces, *next) == (view.first, view.pieces, view.count) =>
            {
                bytes.extend_from_slice(view.body);
                *next += 1;
            }
            _ if view.count == 0 => {
                self.partial = Some((view.first, view.pieces, 1, view.body.to_vec()));
            }
            _ => self.partial = None,
        }
        if let Some((seq, pieces, next, bytes)) = &self.partial
            && pieces == next
        {
            give(*seq, bytes);
            self.partial = None;
        }
    }
}

/// Blocks by key: what a scan found.
pub(super) type Blocks = BTreeMap<Key, Vec<u8>>;

/// Finds the blocks of one epoch in raw bytes, a window at a time. `window` must begin where the last one left off:
/// returns how many bytes of it are done.
pub(super) fn scan(lane: Lane, epoch: u32, window: &[u8], last: bool, found: &mut Blocks) -> usize {
    let mut at = 0;
    while let Some(step) = window[at..].iter().position(|b| *b == MAGIC[0]) {
        at += step;
        if !last && window.len() - at < MAX_BLOCK {
            return at;
        }
        match View::parse(&window[at..]) {
            Some(view) if view.lane == lane as u8 && view.epoch == epoch => {
                found.entry(view.key()).or_insert_with(|| window[at..at + view.len].to_vec());
                at += view.len;
            }
            _ => at += 1,
        }
    }
    window.len()
}

/// The first byte is rare in JSON and in sled's own structures.
const MAGIC: &[u8; 8] = b"\xA7arcblk\x01";
const HEAD: usize = 8 + 1 + 1 + 2 + 2 + 2 + 4 + 4 + 8;
/// The most that a block's body may hold.
const BODY: usize = MAX_BLOCK - HEAD - 4;
/// A record's fields of fixed size.
const RECORD: usize = 1 + 1 + 2 + 16 + 8 + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(key: String, body: Vec<u8>) -> Record {
        let stamp = Stamp { boot: [3; 16], mono_ms: 1, wall_ms: -5, clock: ClockState::Wrong };
        Record { stream: Stream::Inventory, key, stamp, body }
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again_in_order_also_when_scanned_from_noise(
            sizes in prop::collection::vec(prop_oneof![0usize..400, 1500usize..2500, 4000usize..9000], 1..30),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let records: Vec<_> =
                sizes.iter().enumerate().map(|(i, n)| record(format!("k{i}"), vec![0xA7; *n])).collect();
            let blocks = pack(Lane::Logs, 4, 11, &records);
            let mut file = noise.clone();
            for block in &blocks {
                prop_assert!(block.bytes.len() <= MAX_BLOCK);
                file.extend_from_slice(&block.bytes);
                file.extend_from_slice(&noise);
            }
            let mut found = Blocks::new();
            // Two windows, to cross a border.
            let half = file.len() / 2;
            let done = scan(Lane::Logs, 4, &file[..half], false, &mut found);
            scan(Lane::Logs, 4, &file[done..], true, &mut found);
            let expected: Blocks = blocks.into_iter().map(|b| (b.key, b.bytes)).collect();
            prop_assert_eq!(&found, &expected);
            let mut out = Vec::new();
            let mut assembler = Assembler::default();
            for bytes in found.values() {
                let view = View::parse(bytes).expect("whole");
                assembler.push(&view, |seq, bytes| out.push((seq, decode(bytes).expect("record"))));
            }
            let expected: Vec<_> = (11..).zip(records).collect();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn one_flipped_bit_is_seen(body in prop::collection::vec(any::<u8>(), 1..300), at in any::<prop::sample::Index>()) {
            let mut bytes = pack(Lane::Audit, 1, 1, [&record("k".into(), body)]).remove(0).bytes;
            let bit = at.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(View::parse(&bytes).is_none());
        }
    }
}
