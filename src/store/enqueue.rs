//! Taking records in: who is refused, who makes room, what shares a sync.
//!
//! A batch is taken as a whole or not at all. Batches of one and the same queue share one commit; what spans lanes commits
//! alone, so that it can be undone.

use super::block;
use super::chain::Chain;
use super::error::{StoreError, Trouble};
use super::outbox::{Batch, MAX_BATCH, MAX_KEY, MAX_RECORD, Store};
use super::space::Purpose;
use crate::core::{Lane, MessageId, Record, Seq};

impl Store {
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

    fn name(&self, lane: Lane, next: &mut Seq) -> MessageId {
        *next += 1;
        MessageId::new(&self.env.ledger.id, lane, *next - 1)
    }
}

/// What a record takes on the medium, in its own bytes: sled writes a leaf anew as it fills. Measured 3.0 to 3.5.
const AMPLIFICATION: u64 = 4;
/// What a commit and a new epoch may take besides: sled fills a segment up when a database is opened again.
const OVERHEAD: u64 = super::database::SEGMENT as u64 + (64 << 10);
