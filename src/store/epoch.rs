//! One epoch of a lane: a small database, and a summary of what is in it that needs no database to be read.
//!
//! Blocks are only ever added to an epoch and never removed; delivery moves a cursor in the ledger, and the directory goes
//! as a whole. The summary (`meta`) is overwritten in place. It is believed only when it says that it is complete.

use super::block::{self, Assembler, Blocks, View};
use super::bytes::{Put, Take};
use super::database::DB;
use super::error::{Inner, Trouble};
use super::files;
use super::slots::{Slots, Sync, open_file};
use crate::core::{Lane, Seq};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What one stream has in an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub stream: u8,
    pub records: u64,
    pub bytes: u64,
    /// Its highest number in here.
    pub last: Seq,
    /// Wall time of its first record in here, in milliseconds.
    pub wall_ms: i64,
    /// How many of the records are delivered; in memory only, the cursor is what counts.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
}

/// The summary of an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    /// All that follows is final, unless it says otherwise before the next block goes in.
    pub complete: bool,
    /// Made by a repair: numbers may be missing, and they are counted already.
    pub repaired: bool,
    /// The epoch before this one, 0 if there was none: shows when a whole directory is gone.
    pub prev: u32,
    /// The last number of that one.
    pub prev_last: Seq,
    /// The first number that can be in here.
    pub first: Seq,
    /// The last one; `first - 1` while empty.
    pub last: Seq,
    /// What a repair has to count as lost when it takes the place of the damaged epoch.
    pub lost: u64,
    /// What each stream has.
    pub shares: Vec<Share>,
}

impl Meta {
    /// Of an empty epoch.
    pub(super) fn new(first: Seq, prev: u32, prev_last: Seq) -> Meta {
        Meta { first, last: first - 1, prev, prev_last, ..Meta::default() }
    }

    /// Counts a record in.
    pub(super) fn add(&mut self, seq: Seq, stream: u8, bytes: u64, wall_ms: i64) {
        self.last = self.last.max(seq);
        let at = self.shares.iter().position(|s| s.stream == stream).unwrap_or_else(|| {
            self.shares.push(Share { stream, wall_ms, ..Share::default() });
            self.shares.len() - 1
        });
        let share = &mut self.shares[at];
        share.records += 1;
        share.bytes += bytes;
        share.last = share.last.max(seq);
    }

    pub(super) fn share(&self, stream: u8) -> Option<&Share> {
        self.shares.iter().find(|s| s.stream == stream)
    }

    pub(super) fn records(&self) -> u64 {
        self.shares.iter().map(|s| s.records).sum()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.shares.iter().map(|s| s.bytes).sum()
    }

    /// Whether all of it is delivered, by these cursors.
    pub(super) fn passed(&self, cursor: &[Seq]) -> bool {
        self.shares.iter().all(|s| cursor.get(usize::from(s.stream)).is_some_and(|c| *c >= s.last))
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.shares.len() * 40);
        out.push(u8::from(self.complete) | u8::from(self.repaired) << 1);
        out.u32(self.prev);
        for n in [self.prev_last, self.first, self.last, self.lost] {
            out.u64(n);
        }
        for share in &self.shares {
            out.push(share.stream);
            out.u64(share.records);
            out.u64(share.bytes);
            out.u64(share.last);
            out.i64(share.wall_ms);
        }
        out
    }

    fn read(payload: &[u8]) -> Option<Meta> {
        let mut take = Take(payload);
        let flags = take.u8()?;
        let mut meta = Meta {
            complete: flags & 1 != 0,
            repaired: flags & 2 != 0,
            prev: take.u32()?,
            prev_last: take.u64()?,
            first: take.u64()?,
            last: take.u64()?,
            lost: take.u64()?,
            shares: Vec::new(),
        };
        while let Some(stream) = take.u8() {
            meta.shares.push(Share {
                stream,
                records: take.u64()?,
                bytes: take.u64()?,
                last: take.u64()?,
                wall_ms: take.i64()?,
                ..Share::default()
            });
        }
        Some(meta)
    }
}

/// An epoch as the chain knows it: no handle, no file, a few words of memory.
#[derive(Debug)]
pub(super) struct Epoch {
    pub number: u32,
    pub meta: Meta,
    /// Bytes on the medium.
    pub allocated: u64,
    /// Those of its log among them.
    pub log: u64,
    /// Its database was compared with its raw bytes, or is this process's own work.
    pub checked: bool,
    /// Its blocks, when the disk is too full for sled to open it.
    pub memory: Option<Blocks>,
}

/// The directory of an epoch.
pub(super) fn path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("e{number:08x}"))
}

/// The directory of the epoch that is to take its place.
pub(super) fn repaired_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("new{number:08x}"))
}

/// The number in a directory's name.
pub(super) fn number(name: &str, prefix: &str) -> Option<u32> {
    let digits = name.strip_prefix(prefix)?;
    (digits.len() == 8).then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

/// Writes the summary; the file is made if need be.
pub(super) fn write_meta(epoch: &Path, meta: &Meta, sync: Sync) -> Inner<()> {
    let path = epoch.join(META);
    let (file, _) = open_file(&path, 2 * META_SLOT)?;
    let (mut slots, _) = Slots::at(file, &path, 0, META_SLOT);
    slots.write(&meta.write(), sync)
}

/// Reads the summary; `None` if it is missing or no copy of it is whole.
pub(super) fn read_meta(epoch: &Path) -> Option<Meta> {
    let path = epoch.join(META);
    let file = File::open(&path).ok()?;
    let (_, payload) = Slots::at(file.into(), &path, 0, META_SLOT);
    Meta::read(&payload?)
}

/// Finds all blocks in the raw bytes of an epoch's database. Reads only; a missing file has none.
pub(super) fn scan(epoch: &Path, lane: Lane, number: u32) -> Inner<Blocks> {
    let mut found = Blocks::new();
    let path = epoch.join(DB);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(e) => return Err(Trouble::at(&path, "open", &e)),
    };
    let mut window = vec![0; WINDOW];
    let mut have = 0;
    loop {
        // A sector that cannot be read ends the scan: what came before it is what can be saved.
        let read = match file.read(&mut window[have..]) {
            Ok(read) => read,
            Err(e) => {
                log::warn!("{} cannot be read to its end: {e}", path.display());
                0
            }
        };
        have += read;
        let done = block::scan(lane, number, &window[..have], read == 0, &mut found);
        if read == 0 {
            return Ok(found);
        }
        window.copy_within(done..have, 0);
        have -= done;
    }
}

/// What a scan amounts to.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Records found, by stream, with `first` and `last` as they were expected.
    pub meta: Meta,
    /// Numbers that are missing between them, as inclusive ranges.
    pub missing: Vec<(Seq, Seq)>,
}

/// Counts what is in these blocks of what is expected: the numbers `first..=last`. What lies outside was never
/// acknowledged and is not counted.
pub(super) fn census(blocks: &Blocks, first: Seq, last: Seq) -> Census {
    let mut census = Census { meta: Meta::new(first, 0, 0), missing: Vec::new() };
    let mut next = first;
    let mut assembler = Assembler::default();
    for view in blocks.values().filter_map(|bytes| View::parse(bytes)) {
        assembler.push(&view, |seq, bytes| {
            if !(next..=last).contains(&seq) {
                return;
            }
            if seq > next {
                census.missing.push((next, seq - 1));
            }
            next = seq + 1;
            let (stream, wall_ms) = block::glance(bytes);
            census.meta.add(seq, stream, bytes.len() as u64, wall_ms);
        });
    }
    if next <= last {
        census.missing.push((next, last));
    }
    census.meta.last = last;
    census
}

/// The highest number in these blocks, or `or` if there is none.
pub(super) fn highest(blocks: &Blocks, or: Seq) -> Seq {
    let mut high = or;
    let mut assembler = Assembler::default();
    for view in blocks.values().filter_map(|bytes| View::parse(bytes)) {
        assembler.push(&view, |seq, _| high = high.max(seq));
    }
    high
}

impl Epoch {
    /// An epoch that is on the medium.
    pub(super) fn found(dir: &Path, number: u32, meta: Meta) -> Epoch {
        let path = path(dir, number);
        let (allocated, log) = (files::allocated(&path), files::allocated(&path.join(DB)));
        Epoch { number, meta, allocated, log, checked: false, memory: None }
    }

    /// Its log takes so much now; nothing else in the directory has grown.
    pub(super) fn grow(&mut self, log: u64) {
        self.allocated += log.saturating_sub(self.log);
        self.log = log;
    }

    /// Undelivered records and bytes.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let sum = |f: fn(&Share) -> u64| self.meta.shares.iter().map(f).sum();
        (sum(|s| s.records - s.delivered), sum(|s| s.bytes - s.delivered_bytes))
    }
}

const META: &str = "meta";
/// Sixteen streams fit.
const META_SLOT: usize = 1024;
const WINDOW: usize = 128 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_comes_back_as_it_was_written_and_sixteen_streams_fit() {
        let dir = tempfile::tempdir().expect("tempdir");
        let mut meta = Meta::new(8, 3, 7);
        for stream in 0..16 {
            meta.add(8 + u64::from(stream), stream, 100, -1);
        }
        meta.complete = true;
        write_meta(dir.path(), &meta, Sync::Now).expect("write");
        assert_eq!(read_meta(dir.path()), Some(meta));
    }
}
