//! One lane's queue: a chain of epochs, appended at its end, passed by each stream's cursor, dropped at its front.
//!
//! Invariants: a record is acknowledged only after the fdatasync of its epoch's log. Nothing removes a record but the
//! removal of its whole epoch, and that happens only when every stream's durable cursor has passed it, or after the loss
//! was booked. Numbers in a chain only grow. What this file may not do: read (`delivery`), repair (`repair`),
//! decide about space (`space`).

use super::block;
use super::database::Database;
use super::delivery::Head;
use super::epoch::{self, Epoch, Meta};
use super::error::{Inner, Trouble};
use super::files;
use super::ledger::{Ledger, STREAMS};
use super::pool::Pool;
use super::slots::Sync;
use crate::core::{Lane, Record, Seq};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// What every room of the store works with.
#[derive(Debug)]
pub(super) struct Env {
    pub pool: Pool,
    pub ledger: Ledger,
    /// How much goes into an epoch.
    pub epoch_bytes: u64,
    /// What happened that an operator should know; taken by whoever asks.
    pub notes: Vec<String>,
}

impl Env {
    /// Tells the operator, at once in the log and later in the notes.
    pub(super) fn note(&mut self, text: String) {
        log::warn!("store: {text}");
        if self.notes.len() == NOTES {
            self.notes.remove(0);
        }
        self.notes.push(text);
    }
}

/// One lane's queue.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) lane: Lane,
    pub(super) dir: PathBuf,
    pub(super) epochs: VecDeque<Epoch>,
    /// The last epoch may be appended to.
    pub(super) appendable: bool,
    /// The number of the next record.
    pub(super) next: Seq,
    /// Bytes of damaged databases that are kept as evidence.
    pub(super) aside: u64,
    /// What was read last of each stream: an ack that covers it need not read again.
    pub(super) heads: [Head; STREAMS],
    /// The last epoch's summary before the last append.
    undo: Option<Meta>,
}

impl Chain {
    /// A chain of these epochs; `recover` finds them.
    pub(super) fn new(lane: Lane, dir: PathBuf, next: Seq) -> Chain {
        let heads = std::array::from_fn(|_| Head::default());
        Chain { lane, dir, epochs: VecDeque::new(), appendable: false, next, aside: 0, heads, undo: None }
    }

    /// Makes these records durable under consecutive numbers, and gives the first one. If it fails, none of them was
    /// taken, and their numbers are not used again.
    pub(super) fn append(&mut self, env: &mut Env, records: &[&Record]) -> Inner<Seq> {
        let bytes: usize = records.iter().map(|r| block::encoded_len(r)).sum();
        self.make_writable(env, bytes as u64)?;
        let first = self.next;
        // Taken even if it fails: what sled then did with them is unknown, and a number never means two things.
        self.next += records.len() as u64;
        let Some(epoch) = self.epochs.back_mut() else {
            return Err(Trouble::Io(format!("lane {} has no epoch to write to", self.lane.name())));
        };
        let path = epoch::path(&self.dir, epoch.number);
        let blocks = block::pack(self.lane, epoch.number, first, records.iter().copied());
        match write(env.pool.get(&path), &blocks) {
            Ok(log) => {
                self.undo = Some(epoch.meta.clone());
                epoch.grow(log);
                for (seq, record) in (first..).zip(records) {
                    let bytes = block::encoded_len(record) as u64;
                    epoch.meta.add(seq, record.stream as u8, bytes, record.stamp.wall_ms);
                }
                env.ledger.take(self.lane, self.next - 1);
                Ok(first)
            }
            Err(trouble) => {
                // What sled did with the blocks is unknown: the summary says that they are not there, and the epoch gets no
                // more. Whoever reads it next looks at its raw bytes first.
                env.pool.close(&path);
                epoch.checked = false;
                self.close_writer(env, Sync::Now);
                self.appendable = false;
                Err(trouble)
            }
        }
    }

    /// Takes back what was appended since `first`, the newest records of the chain: the rest of their batch failed.
    pub(super) fn undo(&mut self, env: &mut Env, first: Seq) {
        let Some(before) = self.undo.take().filter(|_| self.next > first) else { return };
        if let Some(epoch) = self.epochs.back_mut() {
            // The blocks stay in the log, but the summary says that they do not count.
            epoch.meta = Meta { complete: false, ..before };
            epoch.checked = false;
            env.pool.close(&epoch::path(&self.dir, epoch.number));
        }
        self.close_writer(env, Sync::Now);
        self.appendable = false;
    }

    /// Moves a stream's cursor durably, then removes the epochs that every cursor has passed. `booked` goes into the same
    /// write of the ledger.
    pub(super) fn ack(
        &mut self,
        env: &mut Env,
        stream: u8,
        through: Seq,
        booked: impl FnOnce(&mut super::ledger::LaneBooks),
    ) -> Inner<()> {
        let books = env.ledger.lane(self.lane);
        let at = usize::from(stream);
        let old = books.cursor[at];
        let mut cursor = books.cursor;
        cursor[at] = old.max(through);
        let done = self.passed(&cursor);
        let (first_epoch, first_seq) = self.front_after(done, env);
        env.ledger.update(self.lane, |books| {
            books.cursor = cursor;
            books.first_epoch = first_epoch;
            books.first_seq = first_seq;
            booked(books);
        })?;
        self.count_delivered(env, stream, old, through);
        self.remove_front(env, done);
        self.remove_passed(env, &cursor);
        Ok(())
    }

    /// Drops the oldest epoch and books what of it was not delivered. Gives the bytes that came free, 0 if there is none.
    pub(super) fn drop_oldest(&mut self, env: &mut Env) -> Inner<u64> {
        let Some(front) = self.epochs.front() else { return Ok(0) };
        let (lost, freed) = (front.waiting().0, front.allocated);
        let (first_epoch, first_seq) = self.front_after(1, env);
        env.ledger.update(self.lane, |books| {
            books.lost_quota += lost;
            books.first_epoch = first_epoch;
            books.first_seq = first_seq;
        })?;
        self.remove_front(env, 1);
        Ok(freed.max(1))
    }

    /// Removes what is delivered, the writer's epoch too: for space.
    pub(super) fn sweep(&mut self, env: &mut Env) -> Inner<()> {
        let cursor = env.ledger.lane(self.lane).cursor;
        let done = self.epochs.iter().take_while(|e| e.meta.passed(&cursor)).count();
        if done == 0 {
            return Ok(());
        }
        let (first_epoch, first_seq) = self.front_after(done, env);
        env.ledger.update(self.lane, |books| {
            books.first_epoch = first_epoch;
            books.first_seq = first_seq;
        })?;
        self.remove_front(env, done);
        Ok(())
    }

    /// Writes the writer's summary, so that the next start believes it and may append. Call before its database closes.
    pub(super) fn close_writer(&mut self, env: &mut Env, sync: Sync) {
        let Some(epoch) = self.epochs.back_mut().filter(|_| self.appendable) else { return };
        if !epoch.meta.complete {
            epoch.meta.complete = true;
            let path = epoch::path(&self.dir, epoch.number);
            if let Err(e) = epoch::write_meta(&path, &epoch.meta, sync) {
                // Then the next start counts for itself.
                env.note(format!("no summary: {e}"));
            }
            epoch.allocated = files::allocated(&path);
        }
    }

    /// Allocated bytes.
    pub(super) fn allocated(&self) -> u64 {
        self.aside + self.epochs.iter().map(|e| e.allocated).sum::<u64>()
    }

    /// The epoch's position, if it is still there.
    pub(super) fn position(&self, number: u32) -> Option<usize> {
        self.epochs.iter().position(|e| e.number == number)
    }

    fn make_writable(&mut self, env: &mut Env, bytes: u64) -> Inner<()> {
        if let Some(number) = self.epochs.back().filter(|e| self.appendable && !e.checked).map(|e| e.number) {
            // An earlier process's: look before sled does. A repaired one is not appendable any more.
            self.prepare(env, number)?;
        }
        if let Some(epoch) = self.epochs.back_mut().filter(|_| self.appendable) {
            let has = epoch.meta.bytes();
            if has == 0 || has + bytes <= env.epoch_bytes + env.epoch_bytes / 8 {
                if epoch.meta.complete {
                    // The summary will not be true any more: it has to say so before the first block is durable.
                    let path = epoch::path(&self.dir, epoch.number);
                    epoch.meta.complete = false;
                    epoch::write_meta(&path, &epoch.meta, Sync::Now)
                        .inspect_err(|_| self.appendable = false)?;
                }
                return Ok(());
            }
            self.close_writer(env, Sync::Later);
            let number = self.epochs.back().map_or(0, |e| e.number);
            env.pool.close(&epoch::path(&self.dir, number));
            self.appendable = false;
            let cursor = env.ledger.lane(self.lane).cursor;
            self.remove_passed(env, &cursor);
        }
        self.begin_epoch(env)
    }

    fn begin_epoch(&mut self, env: &mut Env) -> Inner<()> {
        let books = env.ledger.lane(self.lane);
        let (prev, prev_last) =
            self.epochs.back().map_or((0, books.high), |epoch| (epoch.number, epoch.meta.last));
        let number = books.tail_epoch.max(prev).max(books.first_epoch) + 1;
        let path = epoch::path(&self.dir, number);
        let meta = Meta::new(self.next, prev, prev_last);
        let make = |env: &mut Env| {
            files::make_dir(&path)?;
            epoch::write_meta(&path, &meta, Sync::Now)?;
            env.pool.forget(&path);
            env.pool.get(&path)?;
            files::sync_dir(&self.dir)?;
            env.ledger.update(self.lane, |books| books.tail_epoch = number)
        };
        if let Err(trouble) = make(env) {
            env.pool.forget(&path);
            let _ = std::fs::remove_dir_all(&path);
            return Err(trouble);
        }
        let mut epoch = Epoch::found(&self.dir, number, meta);
        epoch.checked = true;
        self.epochs.push_back(epoch);
        self.appendable = true;
        Ok(())
    }

    /// Whether every stream's cursor has passed the front epochs; how many of them. The writer's stays while it has room.
    fn passed(&self, cursor: &[Seq; STREAMS]) -> usize {
        let open = self.epochs.len() - usize::from(self.appendable);
        self.epochs.iter().take(open).take_while(|e| e.meta.passed(cursor)).count()
    }

    fn front_after(&self, done: usize, env: &Env) -> (u32, Seq) {
        let books = env.ledger.lane(self.lane);
        match (self.epochs.get(done), self.epochs.back()) {
            (Some(next), _) => (next.number, next.meta.first),
            (None, Some(last)) => (last.number + 1, self.next),
            (None, None) => (books.first_epoch, books.first_seq),
        }
    }

    /// Removes epochs from the front; the ledger knows already.
    fn remove_front(&mut self, env: &mut Env, count: usize) {
        for _ in 0..count {
            if let Some(epoch) = self.epochs.pop_front() {
                self.appendable &= !self.epochs.is_empty();
                self.remove(env, epoch.number);
            }
        }
    }

    /// Removes epochs that every cursor has passed though an older one is still waited for: a stream that does not move
    /// must not fill the lane with what others have delivered.
    fn remove_passed(&mut self, env: &mut Env, cursor: &[Seq; STREAMS]) {
        let mut at = 1;
        while at + 1 < self.epochs.len() {
            if !self.epochs[at].meta.passed(cursor) {
                at += 1;
                continue;
            }
            let before = &self.epochs[at - 1];
            let (prev, prev_last) = (before.number, before.meta.last);
            let next = &mut self.epochs[at + 1];
            let linked = Meta { prev, prev_last, ..next.meta.clone() };
            let path = epoch::path(&self.dir, next.number);
            if let Err(e) = epoch::write_meta(&path, &linked, Sync::Now) {
                // It stays until the front has passed it.
                log::debug!("store: {e}");
                return;
            }
            next.meta = linked;
            if let Some(epoch) = self.epochs.remove(at) {
                self.remove(env, epoch.number);
            }
        }
    }

    fn remove(&self, env: &mut Env, number: u32) {
        let path = epoch::path(&self.dir, number);
        env.pool.forget(&path);
        if let Err(e) = files::discard(&path) {
            env.note(format!("a finished epoch stays until the next start: {e}"));
        }
    }
}

fn write(db: Inner<&mut Database>, blocks: &[block::Block]) -> Inner<u64> {
    let db = db?;
    for block in blocks {
        db.append(&block.key, &block.bytes)?;
    }
    db.sync()?;
    Ok(db.log_allocated())
}

/// Notes are for people: what was not asked for is in the journal.
const NOTES: usize = 32;

/// The directory of a lane.
pub(super) fn lane_dir(root: &Path, lane: Lane) -> PathBuf {
    root.join("outbox").join(lane.name())
}
