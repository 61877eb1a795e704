//! Reading a lane's queue: the oldest undelivered records of a stream, and how many of them are delivered.
//!
//! Nothing in here moves a cursor or removes anything: a reader that is cut off has changed nothing.

use super::block::{self, Assembler, Blocks, View};
use super::chain::{Chain, Env};
use super::epoch;
use super::error::{Inner, Trouble};
use super::files;
use crate::core::{Record, Seq};
use std::ops::ControlFlow;

/// Numbers, lengths and wall times of what was read last, and where the cursor stood then.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    pub(super) cursor: Seq,
    pub(super) read: Vec<(Seq, u32, i64)>,
}

impl Chain {
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
            let start = db.appended_below(&block::key(from.saturating_add(1), 0))?;
            let start = start.as_deref().and_then(block::seq_of).unwrap_or(0);
            db.visit_appended(&block::key(start, 0), |_, bytes| step(bytes))?;
            // Opening it to read writes too: a snapshot, a segment.
            let log = db.log_allocated();
            (self.epochs[at].allocated, self.epochs[at].log) = (files::allocated(&path), log);
        }
        damage.map_or(Ok(()), |what| {
            let path = epoch::path(&self.dir, number);
            Err(Trouble::Damaged(format!("{}: {what}", path.display())))
        })
    }

    /// Keeps the counts of what waits true. Best effort: the cursor is what counts, and it has moved already.
    pub(super) fn count_delivered(&mut self, env: &mut Env, stream: u8, old: Seq, through: Seq) {
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

/// The key to begin at so that record `from` is not missed.
fn block_of(from: Seq, blocks: &Blocks) -> block::Key {
    let below = blocks.range(..block::key(from.saturating_add(1), 0)).next_back();
    below.and_then(|(key, _)| block::seq_of(key)).map_or([0; 10], |first| block::key(first, 0))
}
