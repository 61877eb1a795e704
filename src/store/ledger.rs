//! The store's books: who it is, how far each stream is delivered, what was lost, which numbers are taken.
//!
//! One file of fixed size, overwritten in place, so it can be written on a full disk and costs one fdatasync. What is
//! not in here: records. What must never happen: a number is given out twice, or a loss is counted twice or not at all;
//! therefore what belongs together (a loss and the epoch it concerns) is changed by one write.

use super::bytes::{Put, Take};
use super::error::Inner;
use super::slots::{Slots, Sync, open_file};
use crate::core::{Lane, Seq};
use std::path::Path;

/// How many streams a lane may have.
pub(super) const STREAMS: usize = 16;
/// How many lanes there are.
pub(super) const LANES: usize = Lane::ALL.len();

/// One lane's books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneBooks {
    /// The highest number that is taken; the next record gets the next one.
    pub high: Seq,
    /// Epochs below this one are finished: what is left of them is trash.
    pub first_epoch: u32,
    /// No undelivered record has a number below this one, as far as the first epoch tells.
    pub first_seq: Seq,
    /// The newest epoch that was ever begun.
    pub tail_epoch: u32,
    /// The epoch whose repair is already counted, 0 for none: a crash in the middle of it must not count it again.
    pub repairing: u32,
    /// Undelivered records that were dropped because the quota or the disk was full.
    pub lost_quota: u64,
    /// Records that the medium lost.
    pub lost_damage: u64,
    /// How many of `lost_quota` a durable report carries.
    pub reported_quota: u64,
    /// How many of `lost_damage` a durable report carries.
    pub reported_damage: u64,
    /// Records that the server refused for ever.
    pub quarantined: u64,
    /// All records of the stream up to and with this number are delivered, or set aside.
    pub cursor: [Seq; STREAMS],
}

/// The books of all lanes, indexed by `Lane as usize`.
pub(super) type Books = [LaneBooks; LANES];

/// The books and their file.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The store's id, in every MessageId.
    pub id: [u8; 16],
    books: Books,
    slots: Slots,
    hints: Slots,
}

/// What was found when the books were opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was there.
    Nothing,
    /// The books, whole.
    Whole,
    /// A file with no whole copy of the books in it.
    Damaged,
}

/// The highest number that each lane had acknowledged at its last commit. Left behind without a sync: it survives the
/// process and mostly the power, and shows whether the tail of an epoch is missing.
pub(super) type Hints = [Seq; LANES];

impl Ledger {
    /// Opens or makes the books; `id` names a store that has none yet.
    pub(super) fn open(path: &Path, id: [u8; 16]) -> Inner<(Ledger, Hints, Found)> {
        let (file, was) = open_file(path, FILE)?;
        let (slots, payload) = Slots::at(file.clone(), path, 0, SLOT);
        let (hints, hint) = Slots::at(file, path, 2 * SLOT as u64, SLOT);
        let hint = hint.as_deref().and_then(read_hints).unwrap_or_default();
        let read = payload.as_deref().and_then(read_books);
        let found = match (&read, was) {
            (Some(_), _) => Found::Whole,
            (None, true) => Found::Damaged,
            (None, false) => Found::Nothing,
        };
        let (id, mut books) = read.unwrap_or((id, Books::default()));
        for (lane, hint) in books.iter_mut().zip(&hint) {
            let delivered = lane.cursor.iter().copied().max().unwrap_or(0);
            lane.high = lane.high.max(*hint).max(delivered);
        }
        Ok((Ledger { id, books, slots, hints }, hint, found))
    }

    /// One lane's books.
    pub(super) fn lane(&self, lane: Lane) -> &LaneBooks {
        &self.books[lane as usize]
    }

    /// Changes one lane's books, durably; nothing has changed if it fails.
    pub(super) fn update(&mut self, lane: Lane, change: impl FnOnce(&mut LaneBooks)) -> Inner<()> {
        self.update_all(|books| change(&mut books[lane as usize]))
    }

    /// Changes the books of several lanes with one sync; nothing has changed if it fails.
    pub(super) fn update_all(&mut self, change: impl FnOnce(&mut Books)) -> Inner<()> {
        let mut next = self.books;
        change(&mut next);
        self.slots.write(&write_books(&self.id, &next), Sync::Now)?;
        self.books = next;
        Ok(())
    }

    /// Takes numbers in memory: the records that carry them are the durable witness, the books follow later.
    pub(super) fn take(&mut self, lane: Lane, through: Seq) {
        let high = &mut self.books[lane as usize].high;
        *high = (*high).max(through);
    }

    /// Leaves word of the last commit without a sync. A hint that cannot be written is only a hint less.
    pub(super) fn hint(&mut self) {
        let mut payload = Vec::with_capacity(LANES * 8);
        for lane in &self.books {
            payload.u64(lane.high);
        }
        if let Err(e) = self.hints.write(&payload, Sync::Later) {
            log::debug!("no hint: {e}");
        }
    }
}

fn write_books(id: &[u8; 16], books: &Books) -> Vec<u8> {
    let mut out = Vec::with_capacity(SLOT);
    out.put(id);
    for lane in books {
        out.u64(lane.high);
        out.u32(lane.first_epoch);
        out.u64(lane.first_seq);
        out.u32(lane.tail_epoch);
        out.u32(lane.repairing);
        for count in
            [lane.lost_quota, lane.lost_damage, lane.reported_quota, lane.reported_damage, lane.quarantined]
        {
            out.u64(count);
        }
        for cursor in lane.cursor {
            out.u64(cursor);
        }
    }
    out
}

fn read_books(payload: &[u8]) -> Option<([u8; 16], Books)> {
    let mut take = Take(payload);
    let id = take.id()?;
    let mut books = Books::default();
    for lane in &mut books {
        lane.high = take.u64()?;
        lane.first_epoch = take.u32()?;
        lane.first_seq = take.u64()?;
        lane.tail_epoch = take.u32()?;
        lane.repairing = take.u32()?;
        lane.lost_quota = take.u64()?;
        lane.lost_damage = take.u64()?;
        lane.reported_quota = take.u64()?;
        lane.reported_damage = take.u64()?;
        lane.quarantined = take.u64()?;
        for cursor in &mut lane.cursor {
            *cursor = take.u64()?;
        }
    }
    Some((id, books))
}

fn read_hints(payload: &[u8]) -> Option<Hints> {
    let mut take = Take(payload);
    let mut hints = Hints::default();
    for hint in &mut hints {
        *hint = take.u64()?;
    }
    Some(hints)
}

/// One page of most media: a write of it is rarely torn, and if it is, the other slot stands.
const SLOT: usize = 4096;
/// Two for the books, two for the hint.
const FILE: usize = 4 * SLOT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_come_back_as_they_were_and_a_hint_may_only_raise_the_high_water_mark() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("ledger");
        let (mut ledger, _, found) = Ledger::open(&path, [7; 16]).expect("open");
        assert_eq!(found, Found::Nothing);
        ledger
            .update(Lane::Logs, |lane| {
                lane.high = 9;
                lane.cursor[3] = 5;
                lane.lost_quota = 2;
            })
            .expect("update");
        ledger.take(Lane::Logs, 12);
        ledger.take(Lane::Audit, 1);
        ledger.hint();
        drop(ledger);
        let (ledger, hints, found) = Ledger::open(&path, [8; 16]).expect("open");
        assert_eq!((found, ledger.id, hints), (Found::Whole, [7; 16], [0, 0, 1, 12, 0]));
        let logs = ledger.lane(Lane::Logs);
        assert_eq!((logs.high, logs.cursor[3], logs.lost_quota), (12, 5, 2));
        assert_eq!(ledger.lane(Lane::Audit).high, 1);
    }

    #[test]
    fn the_books_fit_their_slot() {
        assert!(write_books(&[0; 16], &Books::default()).len() + 24 <= SLOT);
    }
}
