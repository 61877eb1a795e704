//! The store's face towards the outbox: read, ack, quarantine, counts; `enqueue` has the way in.
//!
//! Policies live here (who is refused, who drops what); how a lane is kept is `chain`, how documents are is `keyed`.

use super::chain::{Chain, Env};
use super::document::Draft;
use super::error::{Inner, StoreError, Trouble};
use super::keyed::{Keyed, MAX_NAME};
use super::seal::Sealer;
use super::slots::Sync;
use super::space::{Purpose, Reserve, with_room};
use super::{Kept, LaneStats, Options, Quarantined};
use crate::core::{Lane, Loss, LossCause, MessageId, Record, Seq, Stream};
use std::fs::File;

/// The longest record, its body and key together.
pub const MAX_RECORD: usize = 1 << 20;
/// The most that one call may bring.
pub const MAX_BATCH: usize = 4 << 20;
/// The longest key of a record.
pub const MAX_KEY: usize = 160;
/// So many records that the server refused are kept per lane to be looked at; the count of all is kept for ever.
pub const MAX_QUARANTINED: usize = 64;

/// A batch for [`Store::enqueue`]: what belongs together.
pub type Batch = [(Lane, Record)];

/// The store: outbox and cache in one directory, owned by one thread.
#[derive(Debug)]
pub struct Store {
    pub(super) options: Options,
    pub(super) env: Env,
    /// The lanes that are queues, in the order of `open::QUEUES`.
    pub(super) chains: Vec<Chain>,
    pub(super) state: Keyed,
    pub(super) cache: Keyed,
    pub(super) sealer: Sealer,
    pub(super) reserve: Reserve,
    pub(super) _lock: File,
}

impl Store {
    /// The store's id.
    pub fn id(&self) -> [u8; 16] {
        self.env.ledger.id
    }

    /// The oldest undelivered records of one stream of a lane, in order; at most `max_records` and `max_bytes` of bodies,
    /// but one if there is any.
    ///
    /// # Errors
    /// `Io` if the medium cannot be read for a reason that setting aside does not cure.
    pub fn read(
        &mut self,
        lane: Lane,
        stream: Stream,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let found = if lane == Lane::State {
            self.read_state(stream, max_records, max_bytes)?
        } else {
            self.with_chain(lane, Purpose::Lane(lane), |chain, env| {
                chain.read(env, stream as u8, max_records, max_bytes)
            })?
        };
        let id = self.id();
        let name = |(seq, record)| Kept { seq, id: MessageId::new(&id, lane, seq), record };
        Ok(found.into_iter().map(name).collect())
    }

    /// All of the stream's records up to and with `through` are delivered: durable when it returns. In the state lane a
    /// value that came after the one that was read stays.
    ///
    /// # Errors
    /// `Io` if `through` was never given out, or the ledger cannot be written.
    pub fn ack(&mut self, lane: Lane, stream: Stream, through: Seq) -> Result<(), StoreError> {
        self.pass(lane, stream, through, false)
    }

    /// The head record `seq` of a stream was refused for ever: it is set aside with the reason, counted, and the cursor
    /// moves past it. Durable when it returns.
    ///
    /// # Errors
    /// `Io` if `seq` is not the stream's oldest undelivered record, or the ledger cannot be written.
    pub fn quarantine(
        &mut self,
        lane: Lane,
        stream: Stream,
        seq: Seq,
        reason: &str,
        at_ms: i64,
    ) -> Result<(), StoreError> {
        let head = self.read(lane, stream, 1, 0)?.pop();
        let Some(kept) = head.filter(|kept| kept.seq == seq) else {
            return Err(StoreError::Io(format!(
                "{seq} is not the oldest record of {} in lane {}",
                stream.table(),
                lane.name()
            )));
        };
        let cut = |text: &str, len: usize| text.chars().take(len).collect::<String>();
        let body = &kept.record.body[..kept.record.body.len().min(4096)];
        let refused = Quarantined {
            id: kept.id.0,
            stream: stream as u8,
            at_ms,
            reason: cut(reason, 1024),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        if let Err(e) = self.keep_refused(lane, seq, &refused) {
            // The count and the log are what is left of it then; it must not hold up what comes after it.
            self.env.note(format!("{} is refused by the server and cannot be kept: {e}", refused.id));
        }
        self.pass(lane, stream, seq, true)
    }

    /// What each lane holds, from memory.
    pub fn stats(&self) -> Vec<(Lane, LaneStats)> {
        let mut all = vec![(Lane::State, self.state_stats())];
        for chain in &self.chains {
            let mut stats = self.counters(chain.lane);
            stats.allocated = chain.allocated();
            let mut streams = [0u64; super::ledger::STREAMS];
            for epoch in &chain.epochs {
                for share in epoch.meta.shares.iter().filter(|s| s.records > s.delivered) {
                    stats.records += share.records - share.delivered;
                    stats.bytes += share.bytes.saturating_sub(share.delivered_bytes);
                    if let Some(count) = streams.get_mut(usize::from(share.stream)) {
                        *count += share.records - share.delivered;
                    }
                    stats.oldest_wall_ms = stats.oldest_wall_ms.or(Some(share.wall_ms));
                }
            }
            stats.per_stream = (0u8..).zip(streams).filter(|(_, count)| *count > 0).collect();
            all.push((chain.lane, stats));
        }
        all
    }

    /// Losses that no durable report carries yet.
    pub fn unreported_losses(&self) -> Vec<Loss> {
        let mut losses = Vec::new();
        for lane in Lane::ALL {
            let books = self.env.ledger.lane(lane);
            for (cause, total, reported) in [
                (LossCause::Quota, books.lost_quota, books.reported_quota),
                (LossCause::Damage, books.lost_damage, books.reported_damage),
            ] {
                if total > reported {
                    losses.push(Loss { lane, cause, count: total - reported, total });
                }
            }
        }
        losses
    }

    /// A durable report carries these losses: they are not reported again.
    ///
    /// # Errors
    /// `Io` if the ledger cannot be written.
    pub fn losses_reported(&mut self, losses: &[Loss]) -> Result<(), StoreError> {
        self.env.ledger.update_all(|books| {
            for loss in losses {
                let lane = &mut books[loss.lane as usize];
                let (total, reported) = match loss.cause {
                    LossCause::Quota => (lane.lost_quota, &mut lane.reported_quota),
                    LossCause::Damage => (lane.lost_damage, &mut lane.reported_damage),
                };
                *reported = (*reported + loss.count).min(total);
            }
        })?;
        Ok(())
    }

    /// Takes what happened that an operator should know; it was logged when it happened.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.env.notes)
    }

    /// Gives memory back: closes the databases. They open again when they are needed.
    pub fn idle(&mut self) {
        for chain in &mut self.chains {
            chain.close_writer(&mut self.env, Sync::Later);
        }
        self.env.pool.close_all();
        self.reserve.fill();
    }

    /// Closes in good order, so that the next start has nothing to look for. What was acknowledged is durable without.
    pub fn close(mut self) {
        for chain in &mut self.chains {
            chain.close_writer(&mut self.env, Sync::Now);
        }
        self.env.pool.close_all();
        if let Err(e) = self.env.ledger.update_all(|_| ()) {
            log::warn!("store: {e}");
        }
    }

    pub(super) fn counters(&self, lane: Lane) -> LaneStats {
        let books = self.env.ledger.lane(lane);
        LaneStats {
            lost_quota: books.lost_quota,
            lost_damage: books.lost_damage,
            quarantined: books.quarantined,
            ..LaneStats::default()
        }
    }

    /// Runs `work` on a lane's chain, making room as long as it fails for want of space.
    pub(super) fn with_chain<T>(
        &mut self,
        lane: Lane,
        purpose: Purpose,
        mut work: impl FnMut(&mut Chain, &mut Env) -> Inner<T>,
    ) -> Inner<T> {
        let Some(at) = self.chains.iter().position(|c| c.lane == lane) else {
            return Err(Trouble::Io(format!("lane {} is no queue", lane.name())));
        };
        with_room(&mut self.env, &mut self.chains, &self.reserve, purpose, |env, chains| {
            work(&mut chains[at], env)
        })
    }

    fn pass(&mut self, lane: Lane, stream: Stream, through: Seq, refused: bool) -> Result<(), StoreError> {
        if through > self.env.ledger.lane(lane).high {
            return Err(StoreError::Io(format!("lane {} has no record {through} yet", lane.name())));
        }
        let book = |books: &mut super::ledger::LaneBooks| books.quarantined += u64::from(refused);
        if lane == Lane::State {
            self.pass_state(stream, through, book)?;
            return Ok(());
        }
        let Some(chain) = self.chains.iter_mut().find(|c| c.lane == lane) else { return Ok(()) };
        chain.ack(&mut self.env, stream as u8, through, book)?;
        Ok(())
    }

    pub(super) fn put_docs(&mut self, drafts: &[Draft<'_>]) -> Inner<()> {
        let Store { env, chains, state, reserve, .. } = self;
        with_room(env, chains, reserve, Purpose::Keep, |env, _| state.put(env, drafts))?;
        self.book_state_loss()
    }
}

const _: () = assert!(MAX_NAME > MAX_KEY + 8);
