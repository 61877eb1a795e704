//! What must hold at every step, and at the end.

use crate::far::{Far, Mode};
use crate::store::Store;
use crate::world::{HOUR, SECOND};
use arclet::core::{Action, Endpoint, Input, Lane, Outcome, Record, Seq, Stream};
use arclet::scenario::columns;
use arclet::scenario::metadata::Facts;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub struct Check {
    in_flight: [bool; Endpoint::ALL.len()],
    /// Since when the weather is the same for this process, and calls that failed since.
    calm_since: u64,
    failed_calls: [u64; Endpoint::ALL.len()],
    /// Not before this, by the server's own word.
    told_to_wait: [u64; Endpoint::ALL.len()],
    /// True time of each record's making, and its key.
    made: BTreeMap<(u8, Seq), (i64, String)>,
    /// What has arrived, and the last of each key.
    seen: BTreeSet<(u8, Seq)>,
    last: BTreeMap<(u8, u8, String), Seq>,
    last_tagged: Option<u64>,
    pub tagged: Option<BTreeMap<String, String>>,
    /// When calls went out, by endpoint.
    pub calls: Vec<(u64, Endpoint)>,
    /// When batches of lanes other than the state lane went out.
    pub bulk: Vec<u64>,
    pub delivered_rows: Vec<(u64, Lane, Stream, serde_json::Value)>,
}

impl Check {
    pub fn action(&mut self, action: &Action, time: u64, far: &Far, store: &Store) {
        if let Some(endpoint) = action.endpoint() {
            let slot = &mut self.in_flight[endpoint as usize];
            assert!(!*slot, "two calls in flight to {}: {action:?}", endpoint.name());
            *slot = true;
            assert!(
                time >= self.told_to_wait[endpoint as usize],
                "{} asked to wait {} ms longer: {action:?}",
                endpoint.name(),
                self.told_to_wait[endpoint as usize] - time
            );
            self.calls.push((time, endpoint));
        }
        match action {
            Action::Deliver { lane, max_records, max_bytes, .. } => {
                assert!(*max_records >= 1 && (1..=1_000_000).contains(max_bytes), "{action:?}");
                if *lane != Lane::State {
                    self.bulk.push(time);
                }
            }
            Action::Ack { lane, stream, through } => {
                for kept in store.read(*lane, *stream, usize::MAX).iter().filter(|k| k.seq <= *through) {
                    assert!(
                        far.arrived.seen.contains(&(*lane as u8, kept.seq)),
                        "record {} of {lane:?} is to be deleted and has not arrived",
                        kept.seq
                    );
                }
            }
            Action::Quarantine { lane, seq, .. } => {
                assert!(
                    far.poison.contains(&(*lane as u8, *seq)),
                    "record {seq} of {lane:?} is set aside though nothing is wrong with it"
                );
            }
            _ => {}
        }
    }

    pub fn answer(&mut self, endpoint: Endpoint, input: &Input, time: u64, far: &Far) {
        let one_stream = matches!(far.mode(endpoint), Mode::FailsOn(_) | Mode::Lacks(_));
        self.in_flight[endpoint as usize] = false;
        let outcome = match input {
            Input::Delivered { outcome, .. } => Some(outcome),
            Input::Observed(Err(outcome)) | Input::Token { result: Err(outcome), .. } => Some(outcome),
            Input::Tagged(outcome) => Some(outcome),
            Input::Pulled(Err(outcome))
            | Input::Confirmed { result: Err(outcome), .. }
            | Input::Enforced { result: Err(outcome), .. }
            | Input::Withdrawn { result: Err(outcome), .. } => Some(outcome),
            _ => None,
        };
        let Some(outcome) = outcome else { return };
        if let Outcome::Throttled { retry_after: Some(wait), .. } = outcome {
            self.told_to_wait[endpoint as usize] = time + (wait.as_millis() as u64).min(HOUR);
        }
        if matches!(
            outcome,
            Outcome::Unreachable(_)
                | Outcome::Refused(_)
                | Outcome::Unauthorized { .. }
                | Outcome::Throttled { .. }
        ) {
            let failed = &mut self.failed_calls[endpoint as usize];
            *failed += 1;
            let calm = time - self.calm_since;
            // Ten doublings until the cap, and from there on one call in 150 s in the mean; of a single stream that is
            // at fault each of its five lanes.
            let most = if one_stream { 100 + calm / (15 * SECOND) } else { 30 + calm / (40 * SECOND) };
            assert!(
                *failed <= most,
                "{failed} failed calls to {} within {} s",
                endpoint.name(),
                calm / SECOND
            );
        }
    }

    pub fn arrived(
        &mut self,
        rows: &[(Seq, serde_json::Value)],
        outcome: &Outcome,
        lane: Lane,
        stream: Stream,
        time: u64,
        far: &Far,
    ) {
        assert!(rows.windows(2).all(|w| w[0].0 < w[1].0), "a batch is in order");
        self.order(lane, stream, rows, far);
        if !matches!(outcome, Outcome::Success) {
            return;
        }
        for (seq, row) in rows {
            let (made, _) = &self.made[&(lane as u8, *seq)];
            for name in row.as_object().expect("a row is an object").keys() {
                assert!(
                    columns::all(stream).any(|(known, _)| known == name),
                    "{name} is no column of {stream:?}"
                );
            }
            if matches!(row["ClockState"].as_str(), Some("synced" | "corrected")) {
                let told: jiff::Timestamp = row["EventTime"].as_str().expect("text").parse().expect("a time");
                let off = told.as_millisecond().abs_diff(*made);
                assert!(off <= 75_000, "a {} time is off by {off} ms: {row}", row["ClockState"]);
            }
            self.delivered_rows.push((time, lane, stream, row.clone()));
        }
    }

    /// The first arrivals of a key are in the order of their making.
    fn order(&mut self, lane: Lane, stream: Stream, rows: &[(Seq, serde_json::Value)], far: &Far) {
        for (seq, _) in rows.iter().filter(|(seq, _)| far.arrived.seen.contains(&(lane as u8, *seq))) {
            if !self.seen.insert((lane as u8, *seq)) {
                continue;
            }
            let key = (lane as u8, stream as u8, self.made[&(lane as u8, *seq)].1.clone());
            if let Some(before) = self.last.insert(key, *seq) {
                assert!(before < *seq, "{lane:?}: {seq} came after {before} of the same key");
            }
        }
    }

    pub fn enqueued(&mut self, numbers: &[(Lane, Stream, Seq)], records: &[(Lane, Record)], true_ms: i64) {
        for ((lane, _, seq), (_, record)) in numbers.iter().zip(records) {
            self.made.insert((*lane as u8, *seq), (true_ms, record.key.clone()));
        }
    }

    pub fn deleted(&mut self, lane: Lane, gone: &[Seq], far: &Far) {
        for seq in gone {
            assert!(far.arrived.seen.contains(&(lane as u8, *seq)), "{lane:?} {seq} was deleted undelivered");
        }
    }

    pub fn tagged(&mut self, tags: &BTreeMap<String, String>, time: u64) {
        assert!(tags.keys().all(|k| k.starts_with("arclet-")), "{tags:?}");
        if let Some(last) = self.last_tagged.replace(time) {
            assert!(time - last >= HOUR - 2 * SECOND, "tags twice within {} s", (time - last) / SECOND);
        }
        assert_ne!(self.tagged.as_ref(), Some(tags), "tags that have not changed");
        self.tagged = Some(tags.clone());
    }

    pub fn restarted(&mut self) {
        self.in_flight = [false; Endpoint::ALL.len()];
        self.failed_calls = [0; Endpoint::ALL.len()];
        // What a server asked is forgotten with the process, and what was tagged may not have been remembered.
        self.told_to_wait = [0; Endpoint::ALL.len()];
        self.last_tagged = None;
        self.tagged = None;
    }

    pub fn weather(&mut self, time: u64) {
        self.calm_since = time;
        self.failed_calls = [0; Endpoint::ALL.len()];
    }

    /// Someone asked for a try at once.
    pub fn hinted(&mut self) {
        self.told_to_wait = [0; Endpoint::ALL.len()];
    }

    /// The links are up and time has passed: what is left undone now is lost.
    pub fn end(&self, far: &Far, store: &Store, facts: &Facts) {
        assert!(far.modes.iter().all(|m| *m == Mode::Up));
        assert!(store.is_empty(), "undelivered with the link up: {:?}", store.backlog().waiting);
        let dropped: BTreeSet<_> = store.dropped.iter().copied().collect();
        let aside: BTreeSet<_> = store.quarantined.iter().map(|(lane, _, seq)| (*lane as u8, *seq)).collect();
        for name in store.durable.keys() {
            assert!(
                far.arrived.seen.contains(name) || dropped.contains(name) || aside.contains(name),
                "record {} of lane {} vanished",
                name.1,
                name.0
            );
        }
        for poison in far.poison.iter().filter(|p| !dropped.contains(*p)) {
            assert!(aside.contains(poison), "a record at fault was never set aside: {poison:?}");
        }
        self.end_losses(far, store);
        self.end_metadata(far, facts);
    }

    fn reports<'a>(&self, far: &'a Far, kind: &'a str) -> impl Iterator<Item = &'a serde_json::Value> {
        far.arrived
            .rows
            .values()
            .filter(move |(s, row)| *s == Stream::Heartbeat && row["Kind"] == kind)
            .map(|r| &r.1)
    }

    /// The highest total of the loss reports is what was lost.
    fn end_losses(&self, far: &Far, store: &Store) {
        for lane in [Lane::Logs, Lane::Metrics] {
            let told = self
                .reports(far, "loss")
                .filter(|row| row["Lane"] == lane.name())
                .map(|row| row["Total"].as_u64().expect("a number"))
                .max();
            assert_eq!(told.unwrap_or(0), store.lost(lane), "losses of {lane:?}");
        }
    }

    /// A reader who lays the reports over each other has the cluster as it is.
    fn end_metadata(&self, far: &Far, facts: &Facts) {
        let mut known = serde_json::Map::new();
        let mut whole = false;
        for (_, row) in
            far.arrived.rows.values().filter(|(s, row)| *s == Stream::Inventory && row["Kind"] != "other")
        {
            whole |= row["Kind"] == "whole";
            assert!(whole, "a delta without a base: {row}");
            for (name, value) in row.as_object().expect("an object") {
                known.insert(name.clone(), value.clone());
            }
        }
        assert_eq!(known["KubernetesVersion"], facts.kubernetes_version.as_str());
        assert_eq!(known["NodeCount"], facts.node_count);
        assert_eq!(known["VcpuCount"], facts.vcpu_count);
    }
}
