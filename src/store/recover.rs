//! What happens when the medium is not as it was left: find it out, save what can be read, count the rest, go on.
//!
//! sled truncates silently at the first damage and zeroes what follows when it opens. So before it is let at an epoch that
//! it has not opened in this process, the raw bytes are searched for blocks and held in memory: if they are fewer than the
//! books say, sled never sees the file; if sled then shows fewer than the raw bytes, it is overruled. A damaged epoch is
//! replaced in steps that a crash may interrupt anywhere: the new one is complete, the loss is booked together with the
//! number of the epoch under repair, the directories change places, the mark is taken back.

use super::block::{Blocks, View};
use super::chain::{Chain, Env};
use super::epoch::{self, Census, Epoch, Meta};
use super::error::{Inner, Trouble};
use super::files;
use super::ledger::LaneBooks;
use super::slots::Sync;
use crate::core::{Lane, Seq};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// How many damaged databases a lane keeps as evidence.
const KEEP_ASIDE: usize = 2;

/// What is known of the epoch behind one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// This one's last number, by the next one's word.
    Begins(Seq),
    /// There is one that cannot tell.
    Unknown,
    /// This is the last.
    None,
}

impl Chain {
    /// Finds a lane's epochs and makes the chain whole: interrupted repairs are finished, finished epochs removed, losses
    /// counted. Opens no database; reads the log only of epochs without a complete summary.
    pub(super) fn open(env: &mut Env, lane: Lane, dir: PathBuf, hint: Seq) -> Inner<Chain> {
        files::make_dir(&dir)?;
        files::empty_trash(&dir);
        let books = *env.ledger.lane(lane);
        let mut chain = Chain::new(lane, dir, books.high + 1);
        chain.finish_repairs(env);
        let mut numbers: Vec<u32> = Vec::new();
        for name in files::names(&chain.dir) {
            match epoch::number(&name, "e") {
                Some(number) if number < books.first_epoch => {
                    let _ = files::discard(&chain.dir.join(&name));
                }
                Some(number) => numbers.push(number),
                None if name.starts_with(files::BAD) => {
                    chain.aside += files::allocated(&chain.dir.join(&name))
                }
                None => {}
            }
        }
        numbers.sort_unstable();
        let metas: Vec<Option<Meta>> =
            numbers.iter().map(|n| epoch::read_meta(&epoch::path(&chain.dir, *n))).collect();
        for (at, number) in numbers.iter().enumerate() {
            let next = match (numbers.get(at + 1), metas.get(at + 1)) {
                (Some(_), Some(Some(meta))) => Next::Begins(meta.prev_last),
                (Some(next), _) => {
                    let blocks = epoch::scan(&epoch::path(&chain.dir, *next), lane, *next)?;
                    let first = blocks.keys().next().and_then(|key| super::block::seq_of(key));
                    first.map_or(Next::Unknown, |seq| Next::Begins(seq - 1))
                }
                (None, _) => Next::None,
            };
            chain.adopt(env, *number, metas[at].clone(), next, hint)?;
        }
        chain.check_tail(env)?;
        let high = chain.epochs.back().map_or(0, |e| e.meta.last);
        env.ledger.take(lane, high);
        chain.next = env.ledger.lane(lane).high + 1;
        for at in 0..chain.epochs.len() {
            chain.count_epoch(env, at);
        }
        // Only now: the mark also guards losses that `link` books.
        if env.ledger.lane(lane).repairing != 0 {
            env.ledger.update(lane, |books| books.repairing = 0)?;
        }
        Ok(chain)
    }

    /// Makes sure that an epoch may be read: compares its database with its raw bytes once per process, and repairs it if
    /// they do not agree with the books or with each other.
    pub(super) fn prepare(&mut self, env: &mut Env, number: u32) -> Inner<()> {
        let Some(at) = self.position(number) else { return Ok(()) };
        if self.epochs[at].memory.is_some() || self.epochs[at].meta.records() == 0 {
            return Ok(());
        }
        let path = epoch::path(&self.dir, number);
        // One that was opened before may be closed by now, and opening it again fail: for want of space above all.
        if self.epochs[at].checked && env.pool.get(&path).is_ok() {
            return Ok(());
        }
        env.pool.close(&path);
        let blocks = epoch::scan(&path, self.lane, number)?;
        let meta = &self.epochs[at].meta;
        let census = epoch::census(&blocks, meta.first, meta.last);
        if census.meta.records() < meta.records() {
            let missing = meta.records() - census.meta.records();
            return self.replace(env, number, blocks, &format!("{missing} records cannot be read"));
        }
        let compared = match env.pool.get(&path) {
            Ok(db) => {
                let mut left = blocks.range(super::block::key(meta.first, 0)..);
                // Blocks beyond the last number were never acknowledged: sled may have them or not.
                let mut expected = left
                    .by_ref()
                    .filter(|(key, _)| super::block::seq_of(*key).is_some_and(|s| s <= meta.last));
                let mut same = true;
                db.visit(&super::block::key(meta.first, 0), |key, value| {
                    if super::block::seq_of(key).is_none_or(|seq| seq > meta.last) {
                        return ControlFlow::Break(());
                    }
                    same = expected.next().is_some_and(|(k, v)| k[..] == *key && v[..] == *value);
                    if same { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
                .map(|()| same && expected.next().is_none())
            }
            Err(trouble) => Err(trouble),
        };
        match compared {
            Ok(true) => self.epochs[at].checked = true,
            Ok(false) => return self.replace(env, number, blocks, "sled shows less than the file holds"),
            Err(Trouble::Damaged(why)) => return self.replace(env, number, blocks, &why),
            Err(Trouble::NoSpace(_)) => {
                // sled writes when it opens. The blocks are all here: deliver from memory, which is what frees space.
                env.pool.close(&path);
                self.epochs.iter_mut().for_each(|e| e.memory = None);
                self.epochs[at].memory = Some(blocks);
            }
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// An epoch turned out to be damaged while it was read.
    pub(super) fn repair(&mut self, env: &mut Env, number: u32, why: &str) -> Inner<()> {
        let path = epoch::path(&self.dir, number);
        env.pool.close(&path);
        let blocks = epoch::scan(&path, self.lane, number)?;
        self.replace(env, number, blocks, why)
    }

    /// Puts a new epoch with these blocks in the place of a damaged one, and counts what is missing.
    fn replace(&mut self, env: &mut Env, number: u32, blocks: Blocks, why: &str) -> Inner<()> {
        let Some(at) = self.position(number) else { return Ok(()) };
        if at + 1 == self.epochs.len() {
            self.appendable = false;
        }
        let was = self.epochs[at].meta.clone();
        let census = epoch::census(&blocks, was.first, was.last);
        let lost = lost(env.ledger.lane(self.lane), &was, &census);
        let meta = Meta {
            complete: true,
            repaired: true,
            prev: was.prev,
            prev_last: was.prev_last,
            lost,
            ..census.meta.clone()
        };
        let (saved, lane) = (meta.records(), self.lane.name());
        self.build(env, number, &meta, &blocks)?;
        self.finish_repair(env, number)?;
        env.note(format!(
            "epoch {number} of lane {lane} was not whole ({why}): {saved} records saved, {lost} undelivered ones \
             lost; the old database is kept beside it"
        ));
        self.epochs[at] = Epoch::found(&self.dir, number, meta);
        self.aside = bad_bytes(self);
        self.count_epoch(env, at);
        Ok(())
    }

    /// Makes the new epoch, complete and durable under a name that only `finish_repair` knows.
    fn build(&self, env: &mut Env, number: u32, meta: &Meta, blocks: &Blocks) -> Inner<()> {
        let path = epoch::repaired_path(&self.dir, number);
        env.pool.forget(&path);
        let _ = std::fs::remove_dir_all(&path);
        let make = |env: &mut Env| {
            files::make_dir(&path)?;
            if !blocks.is_empty() {
                let db = env.pool.get(&path)?;
                for (key, bytes) in blocks {
                    db.insert(key, bytes)?;
                }
                db.sync()?;
            }
            // Last: only with its summary is it believed.
            epoch::write_meta(&path, meta, Sync::Now)?;
            files::sync_dir(&path)?;
            files::sync_dir(&self.dir)
        };
        let made = make(env);
        env.pool.forget(&path);
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&path);
        }
        made
    }

    /// Books the loss of a repair and lets the directories change places. Every step may be the last one of this process;
    /// the next one comes here again.
    fn finish_repair(&self, env: &mut Env, number: u32) -> Inner<()> {
        let (old, new) = (epoch::path(&self.dir, number), epoch::repaired_path(&self.dir, number));
        if let Some(meta) = epoch::read_meta(&new).filter(|meta| meta.complete) {
            if env.ledger.lane(self.lane).repairing != number {
                env.ledger.update(self.lane, |books| {
                    books.lost_damage += meta.lost;
                    books.repairing = number;
                })?;
            }
            env.pool.forget(&old);
            if old.exists() {
                files::set_aside(&old, KEEP_ASIDE)?;
            }
            std::fs::rename(&new, &old).map_err(|e| Trouble::at(&new, "rename", &e))?;
            files::sync_dir(&self.dir)?;
        }
        if env.ledger.lane(self.lane).repairing == number {
            env.ledger.update(self.lane, |books| books.repairing = 0)?;
        }
        Ok(())
    }

    fn finish_repairs(&self, env: &mut Env) {
        for name in files::names(&self.dir) {
            let Some(number) = epoch::number(&name, "new") else { continue };
            if let Err(e) = self.finish_repair(env, number) {
                env.note(format!("an interrupted repair is not finished: {e}"));
            }
            // What was not complete is made again.
            let _ = std::fs::remove_dir_all(epoch::repaired_path(&self.dir, number));
        }
    }

    /// Takes an epoch into the chain.
    fn adopt(&mut self, env: &mut Env, number: u32, meta: Option<Meta>, next: Next, hint: Seq) -> Inner<()> {
        let books = *env.ledger.lane(self.lane);
        let before = self.epochs.back().map(|e| (e.number, e.meta.last));
        let (prev, prev_last) = before.unwrap_or((0, books.first_seq.saturating_sub(1)));
        let path = epoch::path(&self.dir, number);
        // The highest number that was acknowledged here, as far as anybody else knows.
        let known = match next {
            Next::Begins(prev_last) => prev_last,
            Next::Unknown => 0,
            Next::None => books.high.max(hint),
        };
        let believed = meta.as_ref().is_some_and(|m| m.complete && (next != Next::None || m.last >= known));
        let mut meta = match meta {
            Some(meta) => meta,
            None => {
                let first = if prev_last > 0 {
                    prev_last + 1
                } else {
                    let blocks = epoch::scan(&path, self.lane, number)?;
                    blocks.keys().next().and_then(|k| super::block::seq_of(k)).unwrap_or(known + 1)
                };
                Meta { prev, prev_last, ..Meta::new(first.max(1), prev, prev_last) }
            }
        };
        self.link(env, number, &mut meta, before)?;
        if believed {
            self.epochs.push_back(Epoch::found(&self.dir, number, meta));
            // This process goes on where the last one left off in good order; after a crash it begins a new epoch.
            self.appendable = next == Next::None;
            return Ok(());
        }
        self.appendable = false;
        let blocks = epoch::scan(&path, self.lane, number)?;
        let last = match next {
            Next::Begins(prev_last) => prev_last,
            // The hint may be older than the last acknowledgement, never newer.
            Next::Unknown | Next::None => epoch::highest(&blocks, known.max(meta.first - 1)),
        };
        let census = epoch::census(&blocks, meta.first, last);
        let expected =
            if meta.repaired { census.meta.records() } else { (last + 1).saturating_sub(meta.first) };
        let counted = Meta {
            complete: true,
            repaired: meta.repaired,
            prev: meta.prev,
            prev_last: meta.prev_last,
            lost: 0,
            ..census.meta.clone()
        };
        if census.meta.records() >= expected {
            if let Err(e) = epoch::write_meta(&path, &counted, Sync::Later) {
                env.note(format!("no summary: {e}"));
            }
            self.epochs.push_back(Epoch::found(&self.dir, number, counted));
            return Ok(());
        }
        // `replace` counts against what should have been there.
        let mut should = counted;
        should.complete = false;
        self.epochs.push_back(Epoch::found(&self.dir, number, should));
        let missing = expected - census.meta.records();
        match self.replace(env, number, blocks, &format!("{missing} records are missing")) {
            Ok(()) => Ok(()),
            Err(e) => {
                // No room for a new one: what is there can be delivered, and the repair is tried when it is read.
                env.note(format!("a damaged epoch cannot be repaired yet: {e}"));
                Ok(())
            }
        }
    }

    /// Sees whether whole directories are gone before this one, and books them.
    fn link(&mut self, env: &mut Env, number: u32, meta: &mut Meta, before: Option<(u32, Seq)>) -> Inner<()> {
        let books = *env.ledger.lane(self.lane);
        let (have, have_last) = before.unwrap_or((0, books.first_seq.saturating_sub(1)));
        if meta.prev <= have || meta.prev < books.first_epoch {
            return Ok(());
        }
        let from = have_last + 1;
        let lost = undelivered(&books, from, meta.prev_last);
        let gone = meta.prev;
        if env.ledger.lane(self.lane).repairing != number {
            env.ledger.update(self.lane, |books| {
                books.lost_damage += lost;
                books.repairing = number;
            })?;
        }
        (meta.prev, meta.prev_last) = (have, have_last);
        epoch::write_meta(&epoch::path(&self.dir, number), meta, Sync::Now)?;
        env.ledger.update(self.lane, |books| books.repairing = 0)?;
        let lane = self.lane.name();
        env.note(format!("epoch {gone} of lane {lane} is gone: {lost} undelivered records lost"));
        Ok(())
    }

    /// Sees whether the newest epochs are gone, and books them.
    fn check_tail(&mut self, env: &mut Env) -> Inner<()> {
        let books = *env.ledger.lane(self.lane);
        let (have, have_last) = self
            .epochs
            .back()
            .map_or((0, books.first_seq.saturating_sub(1)), |epoch| (epoch.number, epoch.meta.last));
        if books.tail_epoch <= have || books.tail_epoch < books.first_epoch {
            return Ok(());
        }
        let lost = undelivered(&books, have_last + 1, books.high);
        env.ledger.update(self.lane, |books| {
            books.lost_damage += lost;
            if have == 0 {
                (books.first_epoch, books.first_seq) = (books.tail_epoch + 1, books.high + 1);
            } else {
                books.tail_epoch = have;
            }
        })?;
        let (gone, lane) = (books.tail_epoch, self.lane.name());
        env.note(format!("epoch {gone} of lane {lane} is gone: {lost} undelivered records lost"));
        self.appendable = false;
        Ok(())
    }

    /// Counts what is delivered of an epoch that a cursor stands in.
    fn count_epoch(&mut self, env: &Env, at: usize) {
        let books = env.ledger.lane(self.lane);
        let epoch = &mut self.epochs[at];
        let mut standing = false;
        for share in &mut epoch.meta.shares {
            let cursor = books.cursor.get(usize::from(share.stream)).copied().unwrap_or(0);
            if cursor >= share.last {
                (share.delivered, share.delivered_bytes) = (share.records, share.bytes);
            } else if cursor >= epoch.meta.first {
                (share.delivered, share.delivered_bytes) = (0, 0);
                standing = true;
            }
        }
        let path = epoch::path(&self.dir, epoch.number);
        let blocks = match standing.then(|| epoch::scan(&path, self.lane, epoch.number)) {
            Some(Ok(blocks)) => blocks,
            _ => return,
        };
        let mut assembler = super::block::Assembler::default();
        for view in blocks.values().filter_map(|bytes| View::parse(bytes)) {
            assembler.push(&view, |seq, bytes| {
                let (stream, wall_ms) = super::block::glance(bytes);
                let cursor = books.cursor.get(usize::from(stream)).copied().unwrap_or(0);
                let counts = (epoch.meta.first..=epoch.meta.last).contains(&seq) && seq <= cursor;
                if let Some(share) = epoch.meta.shares.iter_mut().find(|s| s.stream == stream)
                    && counts
                    && share.last > cursor
                {
                    share.delivered += 1;
                    share.delivered_bytes += bytes.len() as u64;
                    share.wall_ms = wall_ms;
                }
            });
        }
    }
}

fn bad_bytes(chain: &Chain) -> u64 {
    let bad = files::names(&chain.dir).into_iter().filter(|n| n.starts_with(files::BAD));
    bad.map(|n| files::allocated(&chain.dir.join(n))).sum()
}

/// How many of an epoch's missing records were not delivered yet.
///
/// Whose a missing number was is known where one stream alone lacks records; else what the slowest stream still waits for
/// is counted, which may be too many but never too few.
fn lost(books: &LaneBooks, was: &Meta, census: &Census) -> u64 {
    let cursor = |stream: u8| books.cursor.get(usize::from(stream)).copied().unwrap_or(0);
    let found = |stream: u8| census.meta.share(stream).map_or(0, |share| share.records);
    let lacking: Vec<_> = if was.complete {
        was.shares.iter().filter(|s| s.records > found(s.stream)).map(|s| s.stream).collect()
    } else {
        census.meta.shares.iter().map(|s| s.stream).collect()
    };
    let passed = lacking.iter().map(|s| cursor(*s)).min();
    let passed = passed.unwrap_or_else(|| highest_cursor(books));
    if was.repaired {
        // Its holes are counted already: only the difference is new.
        let behind = was.shares.iter().filter(|s| s.last > cursor(s.stream));
        return behind.map(|s| s.records.saturating_sub(found(s.stream))).sum();
    }
    census.missing.iter().map(|(from, to)| (to + 1).saturating_sub((*from).max(passed + 1))).sum()
}

/// How many of a range of lost numbers were not delivered yet, where nothing tells whose they were: a cursor tells that
/// what lies below it was either delivered or another stream's.
fn undelivered(books: &LaneBooks, from: Seq, to: Seq) -> u64 {
    (to + 1).saturating_sub(from.max(highest_cursor(books) + 1))
}

fn highest_cursor(books: &LaneBooks) -> Seq {
    books.cursor.iter().copied().max().unwrap_or(0)
}
