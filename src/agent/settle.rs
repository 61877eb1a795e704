//! The pump's other half: what a finished job, a question or a reload means, and how it all ends.

use super::control::{Do, Get, Question, Request, refuse};
use super::pump::{
    BACKLOG_EVERY, DOCUMENT_TIME, DOCUMENT_TOKENS, Done, Look, Pump, Reloaded, answer, backlog,
};
use super::status::{self, Fixed, Moment, OwnCondition};
use crate::core::difference::ObjectDiff;
use crate::core::document::Key;
use crate::core::{Backlog, Endpoint, Input, Loss, Reason};
use crate::scenario::clock::Anchor;
use crate::status::{ClockStatus, Desired, DesiredDocument, DocumentDiff, DocumentStatus, Status};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinError;

impl Pump {
    /// Hands a result to the core, and keeps what is not the core's to know.
    pub(super) fn settle(&mut self, done: Result<Done, JoinError>) {
        self.dirty = true;
        self.learn_clock();
        self.count_panics();
        let done = match done {
            Ok(done) => done,
            // Jobs only wait for threads, whose panics are caught where they happen.
            Err(error) => return log::error!("a job of the agent ended without a result: {error}"),
        };
        match done {
            Done::Tell(input) => self.handle(input),
            Done::Enqueued { ticket, result } => {
                if let (Ok(ids), Some(log)) = (&result, &mut self.parts.ack_log)
                    && let Err(error) = log.write(ids)
                {
                    self.parts.ack_log = None;
                    self.complain("ack-log", Reason::new("AckLog", format!("no longer written: {error}")));
                }
                self.handle(Input::Enqueued { ticket, result: result.map(drop) });
            }
            Done::Token { scope, result } => {
                let validity = result.map(|token| self.parts.tokens.keep(scope, token));
                if validity.is_ok() {
                    self.keep_tokens();
                }
                self.handle(Input::Token { scope, result: validity });
            }
            Done::Looked(look) => self.looked(look),
            Done::Nothing => {}
            Done::Kept { what, result } => {
                if let Err(reason) = result {
                    log::warn!("{what} could not be kept for the next start: {reason}");
                }
            }
        }
    }

    /// A verified peer's time became known, or moved: the core hears of it before the answer that taught it.
    fn learn_clock(&mut self) {
        let Some(offset_ms) = self.parts.clock.offset_ms() else { return };
        let anchor = Anchor::from_offset(self.parts.clock.boot(), self.parts.clock.now(), offset_ms);
        let first = self.anchor.is_none();
        if self.anchor.is_none_or(|told| told.epoch_ms.abs_diff(anchor.epoch_ms) > DATE_JITTER_MS) {
            self.anchor = Some(anchor);
            self.handle(Input::Clock(anchor));
        }
        let now = self.parts.clock.now().mono;
        if first || self.time_kept.is_none_or(|at| now.since(at) >= KEEP_TIME_EVERY) {
            self.keep_time();
        }
    }

    /// A panic was caught on a worker: one try is lost, the agent is not.
    fn count_panics(&mut self) {
        let panics = self.workers.panics();
        if panics > self.panics_told {
            self.panics_told = panics;
            let reason = Reason::new("Panicked", format!("calls that ended in a bug of arclet: {panics}"))
                .cure("report it with the error lines of the log");
            self.complain("agent", reason);
        }
    }

    /// Shows a condition of the shell's own; a newer one about the same thing takes its place.
    pub(super) fn complain(&mut self, about: &'static str, reason: Reason) {
        if self.own.iter().any(|c| c.about == about && c.reason == reason) {
            return;
        }
        let since = self.own.iter().find(|c| c.about == about).map(|c| c.since);
        let since = since.unwrap_or_else(|| self.parts.clock.now());
        self.content(about);
        self.own.push(OwnCondition { since, about, reason });
    }

    /// The condition about this thing is over.
    fn content(&mut self, about: &'static str) {
        self.own.retain(|c| c.about != about);
        self.dirty = true;
    }

    /// Seals the tokens at hand for the next start.
    fn keep_tokens(&mut self) {
        let content = self.parts.tokens.to_bytes();
        self.keep("the token", DOCUMENT_TOKENS, &content, true);
    }

    /// Remembers the trusted time, so that TLS works after the next boot in 1970.
    fn keep_time(&mut self) {
        self.time_kept = Some(self.parts.clock.now().mono);
        let content = self.parts.clock.best_wall_ms().to_string().into_bytes();
        self.keep("the trusted time", DOCUMENT_TIME, &content, false);
    }

    /// Asks the store what it holds: for the core, the status, and for whoever asked.
    pub(super) fn look(&mut self, question: Option<Question>) {
        let outbox = question.as_ref().is_some_and(|q| q.request == Request::Get(Get::Outbox));
        let store = &self.parts.store;
        let stats = answer(store.stats());
        let losses = answer(store.unreported_losses());
        let notes = answer(store.take_notes());
        let quarantined = outbox.then(|| answer(store.quarantined()));
        self.looking |= question.is_none();
        self.writes.spawn(async move {
            // A store that is busy with a slow medium is no reason to leave a person without an answer.
            let patience = tokio::time::sleep(STORE_PATIENCE);
            tokio::pin!(patience);
            let all = async {
                let (stats, losses, notes) = (stats.await, losses.await, notes.await);
                let quarantined = match quarantined {
                    Some(q) => q.await.ok(),
                    None => None,
                };
                (stats.ok(), losses.ok(), quarantined, notes.unwrap_or_default())
            };
            let (stats, losses, quarantined, notes) = tokio::select! {
                all = all => all,
                () = patience => (None, None, None, Vec::new()),
            };
            Done::Looked(Look { stats, losses, quarantined, notes, question })
        });
    }

    fn looked(&mut self, look: Look) {
        if let Some(stats) = look.stats {
            self.stats = stats;
        }
        if !look.notes.is_empty() {
            let known = &mut self.parts.fixed.store_notes;
            known.extend(look.notes);
            known.drain(..known.len().saturating_sub(STORE_NOTES));
        }
        match look.question {
            Some(question) => {
                let status = self.status();
                let text = match question.request {
                    Request::Get(Get::Links) => serde_json::to_string(&status.links),
                    Request::Get(Get::Outbox) => {
                        let quarantined = look.quarantined.unwrap_or_default();
                        serde_json::to_string(&status::outbox(status, quarantined))
                    }
                    _ => serde_json::to_string(&status),
                };
                // A peer that has gone meanwhile does not matter.
                let _ = question.answer.send(text.unwrap_or_else(unwritten));
            }
            None => {
                self.looking = false;
                self.dirty = false;
                self.tell_backlog(look.losses);
                let status = self.status();
                let now = self.parts.clock.now().mono;
                self.parts.notifier.status(status::line(&status));
                match self.parts.publisher.publish(now, &status) {
                    Ok(()) => self.own.retain(|c| c.about != "status-file"),
                    Err(reason) => self.complain("status-file", reason),
                }
            }
        }
    }

    fn tell_backlog(&mut self, losses: Option<Vec<Loss>>) {
        let now = self.parts.clock.now().mono;
        if self.backlog_told.is_some_and(|at| now.since(at) < BACKLOG_EVERY) {
            return;
        }
        // Also when the store did not answer: asking it again at once would not make it faster.
        self.backlog_told = Some(now);
        if let Some(losses) = losses {
            let waiting = backlog(&self.stats);
            self.handle(Input::Backlog(Backlog { waiting, losses }));
        }
    }

    fn moment(&self) -> Moment {
        let clock = &self.parts.clock;
        Moment { now: clock.now(), best_wall_ms: clock.best_wall_ms() }
    }

    fn desired(&self) -> Desired {
        status::desired(self.moment(), self.parts.core.view(self.parts.clock.now()))
    }

    fn document(&self, name: &str) -> Result<(String, DocumentStatus, Key), Reason> {
        let Desired { time, documents, .. } = self.desired();
        let found = documents.into_iter().find(|document| document.document == name).zip(Key::parse(name));
        found.map(|(status, key)| (time, status, key)).ok_or_else(|| {
            Reason::new("NoSuchDocument", format!("nothing of the name {name} is wanted"))
                .cure("arclet desired lists what is")
        })
    }

    /// Answers with what differs between a document and the cluster, as soon as the cluster has said so. The core knows
    /// nothing of it: nothing is changed, and its own calls go on meanwhile.
    fn diff(&mut self, name: &str, question: Question) {
        let (_, status, key) = match self.document(name) {
            Ok(found) => found,
            Err(reason) => return drop(question.answer.send(refuse(reason))),
        };
        let wants = !["withdrawing", "withdrawn", "orphan"].contains(&status.state.as_str());
        let (documents, world) = (Arc::clone(&self.parts.documents), Arc::clone(&self.parts.calls));
        let job = self.workers.ask(move || documents.diff(world.as_ref(), &key, wants));
        self.calls.spawn(async move {
            let found = match job.await {
                Ok(Ok(found)) => found.map_err(|outcome| {
                    let unsaid = || Reason::new("NoAnswer", "the API server gave no answer");
                    outcome.reason().cloned().unwrap_or_else(unsaid)
                }),
                Ok(Err(none)) => Err(none.into()),
                Err(_) => Err(Reason::new("Stopping", "the agent is stopping")),
            };
            let text = match found {
                Ok(found) => {
                    let (objects, reason) = match found {
                        Ok(objects) => (objects, None),
                        Err(reason) => (Vec::new(), Some(reason)),
                    };
                    let same = reason.is_none() && !objects.iter().any(ObjectDiff::counts);
                    let DocumentStatus { document, state, .. } = status;
                    serde_json::to_string(&DocumentDiff { document, state, same, reason, objects })
                        .unwrap_or_else(unwritten)
                }
                Err(reason) => refuse(reason),
            };
            let _ = question.answer.send(text);
            Done::Nothing
        });
    }

    /// Answers with one document: what is known of it, and what the store has.
    fn show(&mut self, name: &str, question: Question) {
        let (time, status, key) = match self.document(name) {
            Ok(found) => found,
            Err(reason) => return drop(question.answer.send(refuse(reason))),
        };
        let documents = Arc::clone(&self.parts.documents);
        self.writes.spawn(async move {
            let (wanted, objects) = documents.show(&key).await;
            let text = serde_json::to_string(&DesiredDocument { time, status, wanted, objects });
            let _ = question.answer.send(text.unwrap_or_else(unwritten));
            Done::Nothing
        });
    }

    fn status(&self) -> Status {
        let clock = &self.parts.clock;
        let at = self.moment();
        let state = ClockStatus {
            state: format!("{:?}", clock.stamp().clock).to_lowercase(),
            offset_seconds: clock.offset_ms().map(|ms| ms / 1000),
        };
        status::document(
            &self.parts.fixed,
            at,
            state,
            self.parts.core.view(self.parts.clock.now()),
            &self.stats,
            &self.own,
        )
    }

    pub(super) fn question(&mut self, question: Question) {
        match &question.request {
            Request::Get(Get::Desired) => {
                let text = serde_json::to_string(&self.desired());
                let _ = question.answer.send(text.unwrap_or_else(unwritten));
            }
            Request::Get(Get::Document(name)) => {
                let name = name.clone();
                self.show(&name, question);
            }
            Request::Get(Get::Diff(name)) => {
                let name = name.clone();
                self.diff(&name, question);
            }
            Request::Get(_) => self.look(Some(question)),
            Request::Do(Do::Refresh) => {
                self.handle(Input::Refresh);
                let _ = question.answer.send("{}".to_owned());
            }
            Request::Do(Do::Retry) => {
                for endpoint in Endpoint::ALL {
                    self.handle(Input::LinkHint(endpoint));
                }
                let _ = question.answer.send("{}".to_owned());
            }
        }
    }

    /// Reads the configuration again. A bad one changes nothing and is shown until a good one comes.
    pub(super) fn reload(&mut self, read: &mut dyn FnMut() -> Result<Reloaded, Reason>) {
        self.parts.notifier.reloading();
        match read() {
            Ok(Reloaded { settings, calls, fixed, account, needs_restart }) => {
                self.content("config");
                self.parts.tokens.belong_to(account);
                if !needs_restart.is_empty() {
                    let keys = needs_restart.join(", ");
                    self.complain(
                        "config",
                        Reason::new("NeedsRestart", format!("changed, but not in force yet: {keys}"))
                            .cure("systemctl restart arclet"),
                    );
                }
                self.parts.calls = calls;
                let store_notes = std::mem::take(&mut self.parts.fixed.store_notes);
                self.parts.fixed = Fixed { store_notes, ..fixed };
                self.handle(Input::Reconfigured(Box::new(settings)));
                log::info!("the configuration was read again");
            }
            Err(reason) => self.complain("config", reason),
        }
        self.parts.notifier.reloaded();
    }

    /// The end: no new calls, a moment for those under way, and all work at the store finished. What a call may still
    /// bring is not worth waiting for: its records are kept until their success is.
    pub(super) async fn stop(mut self) {
        log::info!("stopping");
        self.stopping = true;
        self.parts.notifier.stopping();
        let calls_end = tokio::time::Instant::now() + CALLS_GRACE;
        let end = tokio::time::Instant::now() + STORE_GRACE;
        let mut grace = true;
        // The Lease is given back as soon as no document is under way: whoever leads next need not wait for it to run out.
        self.handle(Input::Stopping);
        loop {
            self.turn();
            let graceful = grace && !self.calls.is_empty();
            if self.writes.is_empty() && !graceful {
                break;
            }
            tokio::select! {
                Some(done) = self.calls.join_next() => self.settle(done),
                Some(done) = self.writes.join_next() => self.settle(done),
                () = tokio::time::sleep_until(calls_end), if graceful => grace = false,
                () = tokio::time::sleep_until(end) => {
                    log::error!("the store did not finish in time; what was acknowledged is durable");
                    return;
                }
            }
        }
        if tokio::time::timeout_at(end, self.parts.store.close()).await.is_err() {
            log::error!("the store did not close in time; what was acknowledged is durable");
        }
    }
}

fn unwritten(error: serde_json::Error) -> String {
    refuse(Reason::new("Status", format!("cannot be written: {error}")))
}

/// How much a trusted time may wander before the core is told again: a `Date` has whole seconds.
const DATE_JITTER_MS: u64 = 2_000;
/// Flash wears: the trusted time is kept when it becomes known and once a day.
const KEEP_TIME_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Notes of the store that the status keeps; older ones are in the log.
const STORE_NOTES: usize = 32;
/// How long a question waits for the store.
const STORE_PATIENCE: Duration = Duration::from_secs(1);
/// How long calls under way may still bring their result at the end.
const CALLS_GRACE: Duration = Duration::from_secs(1);
/// When the end comes in any case; the promise is five seconds.
const STORE_GRACE: Duration = Duration::from_millis(4_500);
