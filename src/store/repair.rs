//! One damaged epoch: how it is noticed before sled makes it worse, what is saved, what is counted, what takes its place.
//!
//! sled truncates silently at the first damage and zeroes what follows when it opens. So before it is let at an epoch that
//! it has not opened in this process, the raw bytes are searched for blocks and held in memory: if they are fewer than the
//! books say, sled never sees the file; if sled then shows fewer than the raw bytes, it is overruled. A damaged epoch is
//! replaced in steps that a crash may interrupt anywhere: the new one is complete, the loss is booked together with the
//! number of the epoch under repair, the directories change places, the mark is taken back.

use super::block::Blocks;
use super::chain::{Chain, Env};
use super::epoch::{self, Census, Epoch, Meta};
use super::error::{Inner, Trouble};
use super::files;
use super::ledger::LaneBooks;
use super::recover::highest_cursor;
use super::slots::Sync;
use std::ops::ControlFlow;

/// How many damaged databases a lane keeps as evidence.
const KEEP_ASIDE: usize = 2;

impl Chain {
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
                db.visit_appended(&super::block::key(meta.first, 0), |key, value| {
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
    pub(super) fn replace(&mut self, env: &mut Env, number: u32, blocks: Blocks, why: &str) -> Inner<()> {
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
                    db.append(key, bytes)?;
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
    pub(super) fn finish_repair(&self, env: &mut Env, number: u32) -> Inner<()> {
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
