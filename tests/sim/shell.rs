//! The shell as a model: carries actions out, each in steps between which the process may die.

use crate::far::{Mode, reason};
use crate::world::{Event, HOUR, MINUTE, SECOND, World};
use arclet::core::lease::Answer;
use arclet::core::{Action, Endpoint, Input, Outcome, Scope, Validity};
use arclet::scenario::clock::Anchor;
use arclet::scenario::encode;
use std::time::Duration;

impl World {
    pub(super) fn carry_out(&mut self, action: Action) {
        let endpoint = action.endpoint();
        let latency = 5 + self.rng.below(400);
        match &action {
            Action::Deliver { lane, stream, max_records, max_bytes } => {
                let (lane, stream) = (*lane, *stream);
                let kept = self.store.read(lane, stream, *max_records);
                if let (Some(first), Some(last)) = (kept.first(), kept.last())
                    && let Some(outcome) = self.far.meets(Endpoint::Ingest)
                    && self.far.mode(Endpoint::Ingest) != Mode::Mute
                {
                    // Nothing of it will arrive: the simulation saves itself the encoding.
                    let (first, through, records) = (first.seq, last.seq, kept.len());
                    let bytes = records * 50 + 400;
                    let input = Input::Delivered { lane, stream, first, through, records, bytes, outcome };
                    return self.answer_later(Endpoint::Ingest, input);
                }
                let refs = kept.iter().map(|k| (k.seq, &k.id, &k.record));
                let batch = encode::batch(refs, "/subscriptions/s", self.core.anchors(), *max_bytes);
                match batch.expect("all bodies are objects") {
                    None => {
                        let nothing = Input::DeliveredNothing { lane, stream };
                        self.after(latency / 100, Event::Answer(Endpoint::Ingest, nothing));
                    }
                    Some(batch) => {
                        let rows: Vec<serde_json::Value> = serde_json::from_slice(&batch.body).expect("JSON");
                        let rows = rows.into_iter().map(|row| (row["Seq"].as_u64().expect("a number"), row));
                        let (bytes, token) =
                            (batch.body.len() / 4 + 400, self.tokens[Scope::Monitor as usize].0);
                        self.after(
                            latency,
                            Event::Arrive { lane, stream, rows: rows.collect(), bytes, token },
                        );
                    }
                }
            }
            Action::Lease(call) => self.after(latency, Event::Lease(call.clone())),
            _ if endpoint.is_some() => self.after(latency, Event::Call(action)),
            _ => self.after(latency / 20, Event::Store(action)),
        }
    }

    pub(super) fn happen(&mut self, event: Event) {
        if self.burns_down() {
            return self.crash(false);
        }
        match event {
            Event::Store(action) => self.store_does(action),
            Event::Arrive { lane, stream, rows, bytes, token } => {
                let outcome = self.far.post(lane, stream, &rows, token);
                self.check.arrived(&rows, &outcome, lane, stream, self.time, &self.far);
                let (first, through) = (rows[0].0, rows[rows.len() - 1].0);
                let records = rows.len();
                let input = Input::Delivered { lane, stream, first, through, records, bytes, outcome };
                self.answer_later(Endpoint::Ingest, input);
            }
            Event::Call(action) => self.far_does(action),
            Event::Lease(call) => {
                let answer = match self.far.meets(Endpoint::Kubernetes) {
                    None => self.lease.does(call),
                    Some(Outcome::Refused(reason)) => Answer::Refused(reason),
                    Some(_) => {
                        // It was done, and nobody heard of it.
                        if self.far.mode(Endpoint::Kubernetes) == Mode::Mute {
                            self.lease.does(call);
                        }
                        Answer::Failed
                    }
                };
                let late = 5 + self.rng.below(400);
                self.after(late, Event::Leased(answer));
            }
            Event::Another => self.another_acts(),
            Event::Leased(answer) => self.tell(Input::Leased(answer)),
            Event::Answer(endpoint, input) => {
                self.check.answer(endpoint, &input, self.time, &self.far);
                self.site.heard(&input);
                // Whoever answers in its own words tells the time; who does not answer tells nothing.
                let silent = matches!(self.far.mode(endpoint), Mode::Down | Mode::Mute | Mode::Stalled)
                    || endpoint == Endpoint::Kubernetes
                    || matches!(input, Input::DeliveredNothing { .. });
                if !silent {
                    let offset = self.true_ms() - self.now().wall_ms;
                    let anchor = Anchor::from_offset([self.boot; 16], self.now(), offset);
                    self.tell(Input::Clock(anchor));
                }
                self.tell(input);
            }
            Event::Look => {
                let backlog = self.store.backlog();
                self.tell(Input::Backlog(backlog));
                self.after(MINUTE, Event::Look);
            }
        }
    }

    fn answer_later(&mut self, endpoint: Endpoint, input: Input) {
        let late = match self.far.mode(endpoint) {
            Mode::Mute | Mode::Stalled => 30 * SECOND,
            _ => 5 + self.rng.below(400),
        };
        self.after(late, Event::Answer(endpoint, input));
    }

    fn store_does(&mut self, action: Action) {
        let failed = || Err(reason("Io"));
        let broken = self.store.broken && self.rng.chance(60);
        let input = match action {
            Action::Enqueue { ticket, records } => {
                let result = self.store.enqueue(&records);
                if let Ok(numbers) = &result {
                    self.check.enqueued(numbers, &records, self.true_ms());
                }
                Input::Enqueued { ticket, result: result.map(|_| ()) }
            }
            Action::Ack { lane, stream, through } => {
                let result = if broken {
                    failed()
                } else {
                    let gone = self.store.ack(lane, stream, through);
                    self.check.deleted(lane, &gone, &self.far);
                    Ok(())
                };
                Input::Acked { lane, stream, through, result }
            }
            Action::Quarantine { lane, stream, seq, .. } => {
                let result = if broken { failed() } else { self.store.quarantine(lane, stream, seq) };
                Input::Quarantined { lane, stream, seq, result }
            }
            Action::ReportedLosses { losses } => {
                if !broken {
                    self.store.losses_reported(&losses);
                }
                Input::LossesReported { result: if broken { failed() } else { Ok(()) } }
            }
            Action::Remember { name, content } => {
                if !broken {
                    self.store.documents.insert(name.into(), content);
                }
                Input::Remembered { name, result: if broken { failed() } else { Ok(()) } }
            }
            other => unreachable!("{other:?} is not the store's"),
        };
        // It is done; whether the process learns of it is another matter.
        if self.burns_down() {
            return self.crash(false);
        }
        self.tell(input);
    }

    fn far_does(&mut self, action: Action) {
        let endpoint = action.endpoint().expect("a call");
        let others = matches!(action, Action::Observe | Action::PatchTags { .. });
        let met = match others && self.site.refuses == Some(endpoint) {
            true => Some(Outcome::Refused(reason("Forbidden"))),
            false => self.far.meets(endpoint),
        };
        if matches!(action, Action::Enforce { .. } | Action::Withdraw { .. }) && met.is_none() {
            assert!(!self.lease.is_anothers(), "{action:?} reaches a cluster in which another agent leads");
        }
        let input = match action {
            Action::Observe => Input::Observed(met.map_or(Ok(self.facts.clone()), Err)),
            Action::Survey => Input::Surveyed(met.map_or(Ok(Default::default()), Err)),
            Action::Look { .. } => Input::Looked(met.map_or(Ok(self.far.feed.clone()), Err)),
            Action::FetchToken { scope, .. } => {
                let result = met.map_or(Ok(()), Err).map(|()| {
                    self.tokens[scope as usize] = (self.far.generation, self.time + HOUR);
                    Validity { valid_for: Duration::from_secs(3_600), refresh_in: None }
                });
                Input::Token { scope, result }
            }
            Action::PatchTags { tags } => {
                if met.is_none() {
                    self.check.tagged(&tags, self.time);
                }
                Input::Tagged(met.unwrap_or(Outcome::Success))
            }
            Action::Pull { parent, going } => Input::Pulled(self.pull(parent, &going, met)),
            Action::Confirm { key } => {
                let result = met.map_or_else(|| Ok(self.site.confirm(&key)), Err);
                Input::Confirmed { key, result }
            }
            Action::Enforce { key } => {
                let roll = self.rng.below(100);
                let result = met.map_or_else(|| Ok(self.site.enforce(&key, roll)), Err);
                Input::Enforced { key, result }
            }
            Action::Withdraw { key } => {
                let roll = self.rng.below(100);
                let result = met.map_or_else(|| Ok(self.site.withdraw(&key, roll)), Err);
                Input::Withdrawn { key, result }
            }
            Action::Supply { key, supply } => {
                let broken = self.store.broken && self.rng.chance(60);
                let result = self.site.shelf.fetch(&key, supply, met, broken);
                Input::Supplied { key, supply, result }
            }
            other => unreachable!("{other:?} is no call"),
        };
        self.answer_later(endpoint, input);
    }
}
