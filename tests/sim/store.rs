//! A model of the store: what is in it is durable, what is still on its way is the world's business.

use arclet::core::{Backlog, Lane, Loss, LossCause, MessageId, Reason, Record, Seq, Stream};
use std::collections::{BTreeMap, VecDeque};

pub struct Kept {
    pub seq: Seq,
    pub id: MessageId,
    pub record: Record,
}

#[derive(Default)]
pub struct Store {
    slots: BTreeMap<(u8, u8), VecDeque<Kept>>,
    next: [Seq; 5],
    /// Lost by quota: since the store was made, and the mark up to which losses are reported.
    lost: [u64; 5],
    reported: [u64; 5],
    pub quarantined: Vec<(Lane, Stream, Seq)>,
    pub documents: BTreeMap<String, Vec<u8>>,
    /// Every record that was ever durable, but values of the state lane that newer ones replaced.
    pub durable: BTreeMap<(u8, Seq), Stream>,
    /// Those that the quota dropped.
    pub dropped: Vec<(u8, Seq)>,
    /// Whether the report lane is full, and whether other operations fail.
    pub full: bool,
    pub broken: bool,
}

/// Most records of a lane that drops its oldest.
const QUOTA: usize = 100;

impl Store {
    pub fn enqueue(&mut self, records: &[(Lane, Record)]) -> Result<Vec<(Lane, Stream, Seq)>, Reason> {
        if self.full && records.iter().any(|(lane, _)| *lane != Lane::State) {
            return Err(Reason::new("Full", "the report lane is full"));
        }
        let mut numbers = Vec::new();
        for (lane, record) in records {
            self.next[*lane as usize] += 1;
            let seq = self.next[*lane as usize];
            let slot = self.slots.entry((*lane as u8, record.stream as u8)).or_default();
            if *lane == Lane::State
                && let Some(old) = slot.iter().position(|k| k.record.key == record.key)
            {
                let old = slot.remove(old).unwrap();
                self.durable.remove(&(0, old.seq));
            }
            let id = MessageId::new(&[7; 16], *lane, seq);
            slot.push_back(Kept { seq, id, record: record.clone() });
            self.durable.insert((*lane as u8, seq), record.stream);
            numbers.push((*lane, record.stream, seq));
            if matches!(lane, Lane::Logs | Lane::Metrics) && slot.len() > QUOTA {
                let dropped = slot.pop_front().unwrap();
                self.dropped.push((*lane as u8, dropped.seq));
                self.lost[*lane as usize] += 1;
            }
        }
        Ok(numbers)
    }

    pub fn read(&self, lane: Lane, stream: Stream, most: usize) -> Vec<&Kept> {
        self.slots.get(&(lane as u8, stream as u8)).into_iter().flatten().take(most).collect()
    }

    pub fn ack(&mut self, lane: Lane, stream: Stream, through: Seq) -> Vec<Seq> {
        let Some(slot) = self.slots.get_mut(&(lane as u8, stream as u8)) else { return Vec::new() };
        let gone = slot.iter().map(|k| k.seq).filter(|seq| *seq <= through).collect();
        slot.retain(|k| k.seq > through);
        gone
    }

    /// Only the head of a stream can be set aside.
    pub fn quarantine(&mut self, lane: Lane, stream: Stream, seq: Seq) -> Result<(), Reason> {
        let slot = self.slots.get_mut(&(lane as u8, stream as u8));
        match slot.and_then(|slot| slot.pop_front_if(|head| head.seq == seq)) {
            Some(_) => {
                self.quarantined.push((lane, stream, seq));
                Ok(())
            }
            None => Err(Reason::new("Io", "it is not at the head")),
        }
    }

    pub fn backlog(&self) -> Backlog {
        let waiting = self.slots.iter().filter(|(_, slot)| !slot.is_empty()).map(|((lane, stream), slot)| {
            (Lane::ALL[*lane as usize], Stream::from_number(*stream).unwrap(), slot.len() as u64)
        });
        let losses = Lane::ALL
            .into_iter()
            .filter(|l| self.lost[*l as usize] > self.reported[*l as usize])
            .map(|lane| Loss {
                lane,
                cause: LossCause::Quota,
                count: self.lost[lane as usize] - self.reported[lane as usize],
                total: self.lost[lane as usize],
            });
        Backlog { waiting: waiting.collect(), losses: losses.collect() }
    }

    pub fn losses_reported(&mut self, losses: &[Loss]) {
        for loss in losses {
            let mark = &mut self.reported[loss.lane as usize];
            *mark += loss.count;
            assert!(
                *mark <= self.lost[loss.lane as usize],
                "more losses were reported than there are: {loss:?}"
            );
        }
    }

    pub fn lost(&self, lane: Lane) -> u64 {
        self.lost[lane as usize]
    }

    pub fn is_empty(&self) -> bool {
        self.slots.values().all(VecDeque::is_empty)
    }
}
