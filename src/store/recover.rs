//! Finding a lane's epochs at the start, whatever state they are in: interrupted repairs, directories and summaries that
//! are gone, a tail that is missing. Every loss is counted once, though a crash may interrupt the counting.

use super::block::View;
use super::chain::{Chain, Env};
use super::epoch::{self, Epoch, Meta};
use super::error::Inner;
use super::files;
use super::ledger::LaneBooks;
use super::slots::Sync;
use crate::core::{Lane, Seq};
use std::path::PathBuf;

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
    pub(super) fn count_epoch(&mut self, env: &Env, at: usize) {
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

/// How many of a range of lost numbers were not delivered yet, where nothing tells whose they were: a cursor tells that
/// what lies below it was either delivered or another stream's.
fn undelivered(books: &LaneBooks, from: Seq, to: Seq) -> u64 {
    (to + 1).saturating_sub(from.max(highest_cursor(books) + 1))
}

pub(super) fn highest_cursor(books: &LaneBooks) -> Seq {
    books.cursor.iter().copied().max().unwrap_or(0)
}
