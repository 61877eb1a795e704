//! One lane's queue: a chain of epochs, appended at its end, read from each stream's cursor, dropped at its front.
//!
//! Invariants: a record is acknowledged only after the fdatasync of its epoch's log. Nothing removes a record but the
//! removal of its whole epoch, and that happens only when every stream's durable cursor has passed it, or after the loss
//! was booked. Numbers in a chain only grow. What this file may not do: repair (`recover`), decide about space (`space`).

use super::block::{self, Assembler, Blocks, View};
use super::database::Database;
use super::epoch::{self, Epoch, Meta};
use super::error::{Inner, Trouble};
use super::files;
use super::ledger::{Ledger, STREAMS};
use super::pool::Pool;
use super::slots::Sync;
use crate::core::{Lane, Record, Seq};
use std::collections::VecDeque;
use std::ops::ControlFlow;
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
    heads: [Head; STREAMS],
    /// The last epoch's summary before the last append.
    undo: Option<Meta>,
}

/// Numbers, lengths and wall times of what was read last, and where the cursor stood then.
#[derive(Clone, Debug, Default)]
struct Head {
    cursor: Seq,
    read: Vec<(Seq, u32, i64)>,
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

    /// The oldest undelivered records of a stream, in order; at least one if there is any.
    pub(super) fn read(
        &mut self,
        env: &mut Env,
        stream: u8,
        max_records: usize,
        max_bytes: usize,
    ) -> Inner<Vec<(Seq, Record)>> {
        let cursor = env.ledger.lane(self.lane).cursor[usize::from(stream)];
        let mut out: Vec<(Seq, Record)> = Vec::new();
        let mut head = Head { cursor, read: Vec::new() };
        let (mut room, mut at) = (max_bytes, 0);
        while at < self.epochs.len() && out.len() < max_records.max(1) {
            let number = self.epochs[at].number;
            if self.epochs[at].meta.share(stream).is_none_or(|s| s.last <= cursor) {
                at += 1;
                continue;
            }
            self.prepare(env, number)?;
            let from = out.last().map_or(cursor, |(seq, _)| *seq) + 1;
            let mut full = false;
            let mut undecodable = None;
            let result = self.visit(env, number, from, &mut |seq, bytes| {
                let (of, wall_ms) = block::glance(bytes);
                if of != stream {
                    return ControlFlow::Continue(());
                }
                let Some(record) = block::decode(bytes) else {
                    undecodable = Some(seq);
                    return ControlFlow::Break(());
                };
                full = out.len() >= max_records.max(1) || (!out.is_empty() && record.body.len() > room);
                if full {
                    return ControlFlow::Break(());
                }
                room = room.saturating_sub(record.body.len());
                head.read.push((seq, bytes.len() as u32, wall_ms));
                out.push((seq, record));
                ControlFlow::Continue(())
            });
            if let Some(seq) = undecodable {
                let lane = self.lane.name();
                return Err(Trouble::Io(format!(
                    "record {seq} of lane {lane} is in a form this arclet lacks"
                )));
            }
            match result {
                Ok(()) if full => break,
                Ok(()) => at += 1,
                // Found only now: set it aside, and go on with what was saved, after what is read already.
                Err(Trouble::Damaged(why)) => self.repair(env, number, &why)?,
                Err(other) => return Err(other),
            }
        }
        self.heads[usize::from(stream)] = head;
        Ok(out)
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

    /// Calls `give` with the records of an epoch from number `from` on, as far as they count.
    pub(super) fn visit(
        &mut self,
        env: &mut Env,
        number: u32,
        from: Seq,
        give: &mut dyn FnMut(Seq, &[u8]) -> ControlFlow<()>,
    ) -> Inner<()> {
        let Some(at) = self.position(number) else { return Ok(()) };
        let epoch = &self.epochs[at];
        let range = from.max(epoch.meta.first)..=epoch.meta.last;
        let mut assembler = Assembler::default();
        let mut damage = None;
        let mut step = |bytes: &[u8]| {
            let Some(view) = View::parse(bytes).filter(|v| v.lane == self.lane as u8) else {
                damage = Some("a block with a wrong checksum");
                return ControlFlow::Break(());
            };
            let mut go = ControlFlow::Continue(());
            assembler.push(&view, |seq, bytes| {
                if go.is_continue() && range.contains(&seq) {
                    go = give(seq, bytes);
                } else if seq > *range.end() {
                    go = ControlFlow::Break(());
                }
            });
            go
        };
        if let Some(blocks) = &epoch.memory {
            let start = block_of(from, blocks);
            let _ = blocks.range(start..).try_for_each(|(_, bytes)| step(bytes));
        } else if epoch.meta.records() > 0 {
            let path = epoch::path(&self.dir, number);
            let db = env.pool.get(&path)?;
            let start = db.key_below(&block::key(from.saturating_add(1), 0))?;
            let start = start.as_deref().and_then(block::seq_of).unwrap_or(0);
            db.visit(&block::key(start, 0), |_, bytes| step(bytes))?;
            // Opening it to read writes too: a snapshot, a segment.
            let log = db.log_allocated();
            (self.epochs[at].allocated, self.epochs[at].log) = (files::allocated(&path), log);
        }
        damage.map_or(Ok(()), |what| {
            let path = epoch::path(&self.dir, number);
            Err(Trouble::Damaged(format!("{}: {what}", path.display())))
        })
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

    /// Keeps the counts of what waits true. Best effort: the cursor is what counts, and it has moved already.
    fn count_delivered(&mut self, env: &mut Env, stream: u8, old: Seq, through: Seq) {
        let mut head = std::mem::take(&mut self.heads[usize::from(stream)]);
        for at in 0..self.epochs.len() {
            let (number, last_of_epoch) = (self.epochs[at].number, self.epochs[at].meta.last);
            let first_of_epoch = self.epochs[at].meta.first;
            let Some(share) = self.epochs[at].meta.shares.iter_mut().find(|s| s.stream == stream) else {
                continue;
            };
            if share.last <= through {
                (share.delivered, share.delivered_bytes) = (share.records, share.bytes);
                continue;
            }
            if first_of_epoch > through {
                break;
            }
            let covered = head.cursor == old && head.read.last().is_some_and(|(seq, ..)| *seq >= through);
            let read: Vec<(Seq, u32, i64)> = if covered {
                let range = first_of_epoch.max(old + 1)..=through.min(last_of_epoch);
                head.read.iter().filter(|(seq, ..)| range.contains(seq)).copied().collect()
            } else {
                self.numbers(env, number, stream, old + 1, through)
            };
            if let Some(share) = self.epochs[at].meta.shares.iter_mut().find(|s| s.stream == stream) {
                share.delivered = (share.delivered + read.len() as u64).min(share.records);
                share.delivered_bytes += read.iter().map(|(_, len, _)| u64::from(*len)).sum::<u64>();
                // The one after it is hardly older: good enough for an age.
                share.wall_ms = read.last().map_or(share.wall_ms, |(.., wall)| *wall);
            }
            break;
        }
        if head.cursor == old {
            head.read.retain(|(seq, ..)| *seq > through);
            head.cursor = through;
            self.heads[usize::from(stream)] = head;
        }
    }

    /// Number, length and wall time of a stream's records in a part of an epoch.
    pub(super) fn numbers(
        &mut self,
        env: &mut Env,
        number: u32,
        stream: u8,
        from: Seq,
        through: Seq,
    ) -> Vec<(Seq, u32, i64)> {
        let mut found = Vec::new();
        let result = self.visit(env, number, from, &mut |seq, bytes| {
            if seq > through {
                return ControlFlow::Break(());
            }
            let (of, wall_ms) = block::glance(bytes);
            if of == stream {
                found.push((seq, bytes.len() as u32, wall_ms));
            }
            ControlFlow::Continue(())
        });
        if let Err(e) = result {
            log::debug!("store: counting what is delivered: {e}");
        }
        found
    }
}

fn write(db: Inner<&Database>, blocks: &[block::Block]) -> Inner<u64> {
    let db = db?;
    for block in blocks {
        db.insert(&block.key, &block.bytes)?;
    }
    db.sync()?;
    Ok(db.log_allocated())
}

/// The key to begin at so that record `from` is not missed.
fn block_of(from: Seq, blocks: &Blocks) -> block::Key {
    let below = blocks.range(..block::key(from.saturating_add(1), 0)).next_back();
    below.and_then(|(key, _)| block::seq_of(key)).map_or([0; 10], |first| block::key(first, 0))
}

/// Notes are for people: what was not asked for is in the journal.
const NOTES: usize = 32;

/// The directory of a lane.
pub(super) fn lane_dir(root: &Path, lane: Lane) -> PathBuf {
    root.join("outbox").join(lane.name())
}
