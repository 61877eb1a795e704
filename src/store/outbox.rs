//! The store's face towards the outbox: enqueue, read, ack, quarantine, counts.
//!
//! Policies live here (who is refused, who drops what); how a lane is kept is `chain`, how documents are is `keyed`.

use super::chain::{Chain, Env};
use super::error::{Inner, StoreError, Trouble};
use super::keyed::{Draft, Keyed, MAX_NAME};
use super::seal::Sealer;
use super::slots::Sync;
use super::space::{Purpose, Reserve, with_room};
use super::{Kept, LaneStats, Options, Quarantined, block};
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

    /// Makes the records durable, all of them or none, with one sync for each lane that they touch. In the state lane a
    /// newer value of a (stream, key) replaces the older one.
    ///
    /// # Errors
    /// `Full` if a lane that drops nothing, or the disk, is full; `TooLarge`. Nothing was taken then.
    pub fn enqueue(&mut self, records: &Batch) -> Result<Vec<MessageId>, StoreError> {
        self.enqueue_group(&[records]).pop().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Several batches with one sync for each lane that they touch together; each is taken or refused for itself.
    pub fn enqueue_group(&mut self, batches: &[&Batch]) -> Vec<Result<Vec<MessageId>, StoreError>> {
        let mut results: Vec<Result<Vec<MessageId>, StoreError>> = Vec::with_capacity(batches.len());
        // Batches of one and the same queue share a commit; what spans lanes commits alone, so that it can be undone.
        let mut shared: [Vec<usize>; Lane::ALL.len()] = Default::default();
        let mut planned = [0u64; Lane::ALL.len()];
        let mut alone = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            results.push(self.admit(batch, &mut planned).map(|()| Vec::new()));
            match (&results[at], batch.first()) {
                (Ok(_), Some((lane, _))) if *lane != Lane::State && batch.iter().all(|(l, _)| l == lane) => {
                    shared[*lane as usize].push(at);
                }
                (Ok(_), Some(_)) => alone.push(at),
                _ => {}
            }
        }
        for (lane, group) in Lane::ALL.into_iter().zip(&shared) {
            if group.is_empty() {
                continue;
            }
            let records: Vec<&Record> =
                group.iter().flat_map(|at| batches[*at].iter().map(|(_, r)| r)).collect();
            let done = self.append(lane, &records);
            let mut next = *done.as_ref().unwrap_or(&0);
            for at in group {
                results[*at] = match &done {
                    Ok(_) => Ok(batches[*at].iter().map(|_| self.name(lane, &mut next)).collect()),
                    Err(e) => Err(e.clone()),
                };
            }
        }
        for at in alone {
            results[at] = self.enqueue_across(batches[at]);
        }
        self.env.ledger.hint();
        results
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

    pub(super) fn name(&self, lane: Lane, next: &mut Seq) -> MessageId {
        *next += 1;
        MessageId::new(&self.env.ledger.id, lane, *next - 1)
    }

    /// Runs `work` on a lane's chain, making room as long as it fails for want of space.
    fn with_chain<T>(
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

    fn append(&mut self, lane: Lane, records: &[&Record]) -> Result<Seq, StoreError> {
        let mut append =
            || self.with_chain(lane, Purpose::Lane(lane), |chain, env| chain.append(env, records));
        let done = match append() {
            // The epoch that it was to go to turned out to be damaged, and is closed now; a new one is not.
            Err(Trouble::Damaged(_)) => append(),
            other => other,
        };
        done.map_err(|trouble| match trouble {
            Trouble::NoSpace(why) => StoreError::Full { lane, message: why },
            other => other.into(),
        })
    }

    /// A batch over several lanes, or with state: all or nothing. The state lane comes last: it alone cannot be undone.
    fn enqueue_across(&mut self, batch: &Batch) -> Result<Vec<MessageId>, StoreError> {
        let mut firsts: [Option<Seq>; Lane::ALL.len()] = Default::default();
        let mut result = Ok(());
        for lane in super::open::QUEUES.into_iter().chain([Lane::State]) {
            let records: Vec<&Record> = batch.iter().filter(|(l, _)| *l == lane).map(|(_, r)| r).collect();
            if records.is_empty() {
                continue;
            }
            let done = match lane {
                Lane::State => self.put_state(&records),
                _ => self.append(lane, &records),
            };
            match done {
                Ok(first) => firsts[lane as usize] = Some(first),
                Err(e) => {
                    result = Err(e);
                    break;
                }
            }
        }
        if let Err(e) = result {
            for chain in &mut self.chains {
                if let Some(first) = firsts[chain.lane as usize] {
                    chain.undo(&mut self.env, first);
                }
            }
            return Err(e);
        }
        let mut next = firsts.map(|first| first.unwrap_or(0));
        Ok(batch.iter().map(|(lane, _)| self.name(*lane, &mut next[*lane as usize])).collect())
    }

    /// Whether a batch may come in; makes room by the lane's own policy.
    fn admit(&mut self, batch: &Batch, planned: &mut [u64; Lane::ALL.len()]) -> Result<(), StoreError> {
        let mut need = [0u64; Lane::ALL.len()];
        let mut total = 0;
        for (lane, record) in batch {
            let len = block::encoded_len(record);
            total += len;
            if record.key.len() > MAX_KEY || record.body.len() > MAX_RECORD {
                return Err(StoreError::TooLarge(format!(
                    "a record for {} has a key of {} and a body of {} bytes; at most {MAX_KEY} and {MAX_RECORD} are \
                     taken",
                    record.stream.table(),
                    record.key.len(),
                    record.body.len()
                )));
            }
            need[*lane as usize] += len as u64;
        }
        if total > MAX_BATCH {
            return Err(StoreError::TooLarge(format!(
                "a batch of {total} bytes; at most {MAX_BATCH} are taken at once"
            )));
        }
        for lane in Lane::ALL {
            let payload = need[lane as usize];
            if payload == 0 {
                continue;
            }
            let growth = payload * AMPLIFICATION + OVERHEAD;
            self.admit_to(lane, growth, planned[lane as usize])?;
            planned[lane as usize] += payload * AMPLIFICATION;
        }
        Ok(())
    }

    fn admit_to(&mut self, lane: Lane, growth: u64, planned: u64) -> Result<(), StoreError> {
        let quota = self.options.quotas[lane as usize];
        let full = |has: u64| StoreError::Full {
            lane,
            message: format!("{has} of {quota} bytes are taken and {growth} more are needed"),
        };
        if lane == Lane::State {
            let need = self.state.live() * AMPLIFICATION + growth + planned;
            return if need > quota { Err(full(self.state.allocated)) } else { Ok(()) };
        }
        let Some(chain) = self.chains.iter_mut().find(|c| c.lane == lane) else { return Ok(()) };
        let over = |chain: &Chain| chain.allocated() + growth + planned > quota;
        if over(chain) {
            chain.remove_evidence();
            chain.sweep(&mut self.env)?;
        }
        let drops = matches!(lane, Lane::Logs | Lane::Metrics);
        while over(chain) {
            // Batches that this call has let in already count on what is there.
            if !drops || chain.drop_oldest(&mut self.env)? == 0 {
                return Err(full(chain.allocated()));
            }
        }
        Ok(())
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
        with_room(env, chains, reserve, Purpose::Keep, |env, _| state.put(env, drafts))
    }
}

/// What a record takes on the medium, in its own bytes: sled writes a leaf anew as it fills. Measured 3.0 to 3.5.
const AMPLIFICATION: u64 = 4;
/// What a commit and a new epoch may take besides: sled fills a segment up when a database is opened again.
const OVERHEAD: u64 = super::database::SEGMENT as u64 + (64 << 10);
const _: () = assert!(MAX_NAME > MAX_KEY + 8);
