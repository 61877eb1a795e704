//! Random actions on the store and on a reference model that fits on a page: they must agree at every step.
//!
//! Epochs are tiny, so that nearly every action meets a rotation. A crash is a copy of the files as they are at that
//! moment: what was acknowledged must be in the copy, whatever the store would have written later.

use super::rig::*;
use arclet::core::{Lane, MessageId, Record, Seq, Stream};
use arclet::store::{Options, Store};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What sled takes at once.
const SEGMENT: u64 = 128 << 10;

#[derive(Clone, Debug)]
enum Action {
    /// One batch: lane, stream, length of each record.
    Enqueue(Vec<(Lane, Stream, usize)>),
    /// Reads so many, acks the first so many of them.
    Deliver(Lane, Stream, usize, usize),
    /// The head of a stream is refused.
    Refuse(Lane, Stream),
    /// Memory is given back.
    Idle,
    /// Closed and opened.
    Restart,
    /// Cut off and opened.
    Crash,
    /// A document.
    Put(u8, usize),
    /// Removed.
    Remove(u8),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let lane = || prop::sample::select(Lane::ALL.to_vec());
    let stream = || prop::sample::select(Stream::ALL.to_vec());
    let len = prop_oneof![8 => 20usize..400, 1 => 1_500usize..6_000];
    let one = (lane(), stream(), len);
    let same = (lane(), stream(), 1usize..12).prop_map(|(l, s, n)| vec![(l, s, 120); n]);
    let action = prop_oneof![
        6 => prop_oneof![prop::collection::vec(one, 1..8), same].prop_map(Action::Enqueue),
        5 => (lane(), stream(), 1usize..30, 0usize..30).prop_map(|(l, s, n, k)| Action::Deliver(l, s, n, k)),
        1 => (lane(), stream()).prop_map(|(l, s)| Action::Refuse(l, s)),
        1 => Just(Action::Idle),
        1 => Just(Action::Restart),
        1 => Just(Action::Crash),
        1 => (0u8..4, 0usize..9_000).prop_map(|(n, len)| Action::Put(n, len)),
        1 => (0u8..4).prop_map(Action::Remove),
    ];
    prop::collection::vec(action, 1..50)
}

/// What the store should hold.
#[derive(Default)]
struct Model {
    high: BTreeMap<Lane, Seq>,
    waiting: BTreeMap<Lane, Vec<(Seq, Record)>>,
    lost: BTreeMap<Lane, u64>,
    refused: BTreeMap<Lane, u64>,
    documents: BTreeMap<String, Vec<u8>>,
    made: u64,
}

impl Model {
    fn of(&mut self, lane: Lane) -> &mut Vec<(Seq, Record)> {
        self.waiting.entry(lane).or_default()
    }

    fn take(&mut self, lane: Lane, record: Record) -> Seq {
        let high = self.high.entry(lane).or_default();
        *high += 1;
        let seq = *high;
        let waiting = self.waiting.entry(lane).or_default();
        if lane == Lane::State {
            waiting.retain(|(_, r)| (r.stream, &r.key) != (record.stream, &record.key));
        }
        waiting.push((seq, record));
        seq
    }

    /// What a stream has to deliver.
    fn stream(&mut self, lane: Lane, stream: Stream) -> Vec<(Seq, Record)> {
        self.of(lane).iter().filter(|(_, r)| r.stream == stream).cloned().collect()
    }

    /// The store says that it dropped more: it must have been the oldest.
    fn drop_oldest(&mut self, lane: Lane, lost: u64) {
        let before = self.lost.insert(lane, lost).unwrap_or(0);
        self.of(lane).drain(..(lost - before) as usize);
    }
}

struct Run {
    home: tempfile::TempDir,
    dir: PathBuf,
    crashes: u32,
    store: Option<Store>,
    model: Model,
}

impl Run {
    fn options(&self) -> Options {
        let mut options = options(&self.dir);
        // So small that it drops.
        options.quotas[Lane::Metrics as usize] = 500 << 10;
        options
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    fn reopen(&mut self) {
        let (store, report) = Store::open(self.options()).expect("open");
        assert_eq!(report.notes, [""; 0], "nothing was damaged");
        self.store = Some(store);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Enqueue(wanted) => {
                let mut batch = Vec::new();
                for (lane, stream, len) in wanted {
                    self.model.made += 1;
                    batch.push((lane, record(stream, self.model.made, len)));
                }
                let ids = self.store().enqueue(&batch).expect("taken");
                let id = self.store().id();
                // Drops happen before the batch comes in.
                self.account();
                let expected: Vec<MessageId> = batch
                    .into_iter()
                    .map(|(lane, record)| MessageId::new(&id, lane, self.model.take(lane, record)))
                    .collect();
                assert_eq!(ids, expected);
            }
            Action::Deliver(lane, stream, read, ack) => {
                let kept = self.store().read(lane, stream, read, 3_000).expect("read");
                let kept: Vec<_> = kept.into_iter().map(|k| (k.seq, k.record)).collect();
                let all = self.model.stream(lane, stream);
                assert_eq!(kept, all[..kept.len()]);
                assert!(!kept.is_empty() || all.is_empty(), "one at least");
                if let Some((through, _)) = kept.get(ack.min(kept.len()).wrapping_sub(1)).cloned() {
                    self.store().ack(lane, stream, through).expect("ack");
                    self.model.of(lane).retain(|(seq, r)| r.stream != stream || *seq > through);
                }
            }
            Action::Refuse(lane, stream) => {
                let Some((seq, _)) = self.model.stream(lane, stream).first().cloned() else { return };
                self.store().quarantine(lane, stream, seq, "refused", 1).expect("set aside");
                self.model.of(lane).retain(|(s, _)| *s != seq);
                *self.model.refused.entry(lane).or_default() += 1;
            }
            Action::Idle => self.store().idle(),
            Action::Restart => {
                self.store.take().expect("open").close();
                self.reopen();
            }
            Action::Crash => {
                self.crashes += 1;
                let copy = self.home.path().join(format!("crash{}", self.crashes));
                copy_tree(&self.dir, &copy);
                self.store = None;
                std::fs::remove_dir_all(&self.dir).expect("remove");
                self.dir = copy;
                self.reopen();
            }
            Action::Put(n, len) => {
                let content = vec![n; len];
                self.store().doc_put(&format!("d{n}"), &content, n % 2 == 0).expect("put");
                self.model.documents.insert(format!("d{n}"), content);
            }
            Action::Remove(n) => {
                self.store().doc_remove(&format!("d{n}")).expect("remove");
                self.model.documents.remove(&format!("d{n}"));
            }
        }
    }

    /// The counts agree, and what was lost is what was the oldest of a lane that drops.
    fn account(&mut self) {
        let stats = self.store().stats();
        for (lane, stats) in stats {
            if stats.lost_quota > 0 {
                assert_eq!(lane, Lane::Metrics, "no other lane is short of room");
                self.model.drop_oldest(lane, stats.lost_quota);
            }
            assert_eq!(stats.lost_damage, 0);
        }
    }

    fn compare(&mut self, after: &Action) {
        self.account();
        let quotas = self.options().quotas;
        for (lane, stats) in self.store().stats() {
            let waiting = self.model.of(lane);
            assert_eq!(stats.records, waiting.len() as u64, "{lane:?}");
            for stream in Stream::ALL {
                let count = stats.per_stream.iter().find(|(s, _)| *s == stream as u8).map_or(0, |(_, n)| *n);
                assert_eq!(count, waiting.iter().filter(|(_, r)| r.stream == stream).count() as u64);
            }
            assert_eq!(stats.quarantined, self.model.refused.get(&lane).copied().unwrap_or(0));
            // What is written stays within the quota. A finished database that is read again takes a segment more, until
            // the next record of its lane comes in.
            let wrote = matches!(after, Action::Enqueue(batch) if batch.iter().any(|(l, ..)| *l == lane));
            let most = quotas[lane as usize] + if wrote { 0 } else { self.databases(lane) * SEGMENT };
            assert!(stats.allocated <= most, "{lane:?} takes {} after {after:?}", stats.allocated);
        }
    }

    /// How many databases a lane has on disk.
    fn databases(&self, lane: Lane) -> u64 {
        let dir = self.dir.join("outbox").join(lane.name());
        std::fs::read_dir(dir).map_or(0, |found| found.count() as u64)
    }

    fn finish(&mut self) {
        for lane in Lane::ALL {
            for stream in Stream::ALL {
                let left = drain(self.store(), lane, stream);
                let expected: Vec<_> =
                    self.model.stream(lane, stream).into_iter().map(|(seq, r)| (seq, r.body)).collect();
                assert_eq!(left, expected, "{lane:?} {stream:?}");
            }
        }
        let names: Vec<String> = self.model.documents.keys().cloned().collect();
        assert_eq!(self.store().doc_list("").expect("list"), names);
        for name in names {
            let found = self.store().doc_get(&name).expect("get");
            assert_eq!(found.as_ref(), self.model.documents.get(&name));
        }
    }
}

#[test]
fn reading_what_was_closed_takes_a_segment_a_database_and_the_next_record_brings_the_lane_within_its_quota() {
    use Action::{Crash, Deliver, Enqueue, Idle};
    use Lane::Metrics;
    let home = home();
    let dir = home.path().join("store");
    let mut run = Run { home, dir, crashes: 0, store: None, model: Model::default() };
    run.reopen();
    let one = |stream, len| Enqueue(vec![(Metrics, stream, len)]);
    for action in [
        Enqueue(vec![(Metrics, Stream::Heartbeat, 20); 2]),
        one(Stream::Config, 2097),
        one(Stream::Config, 78),
        Crash,
        one(Stream::Heartbeat, 120),
        Idle,
        one(Stream::Heartbeat, 20),
        Deliver(Metrics, Stream::Heartbeat, 1, 0),
        Deliver(Metrics, Stream::Config, 2, 0),
        one(Stream::Heartbeat, 20),
    ] {
        run.act(action.clone());
        run.compare(&action);
    }
    run.finish();
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        max_shrink_iters: 200,
        // The failing actions are printed; they are to become a test of their own.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn the_store_agrees_with_the_model_after_every_action_and_across_crashes(actions in actions()) {
        let home = home();
        let dir = home.path().join("store");
        let mut run = Run { home, dir, crashes: 0, store: None, model: Model::default() };
        run.reopen();
        for action in actions {
            run.act(action.clone());
            run.compare(&action);
        }
        run.finish();
    }
}
