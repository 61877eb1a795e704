//! The pump: inputs into the core, actions out of it, each carried out once and answered once.
//!
//! ```text
//!            signals, control socket, the core's next wake-up
//!                                 │
//!    results ──▶ settle ──▶ core.handle ──▶ core.poll ──▶ carry out ──▶ store thread, worker threads
//!       ▲                                                                        │
//!       └────────────────────────────── jobs (bounded) ◀─────────────────────────┘
//! ```
//!
//! Nothing here blocks: what takes time is a job, and the core keeps at most one per endpoint and a handful at the store
//! under way. Nothing here decides: what to send, when to try again and what a refusal means is the core's. What the
//! shell does know: secrets, threads, clocks, and how to stop.

use super::ack_log::AckLog;
use super::calls::{Calls, Right};
use super::control::Question;
use super::deliver::{self, Order, no_token};
use super::desired::Documents;
use super::notify::Notifier;
use super::publish::Publisher;
use super::signals::Asked;
use super::status::{Fixed, OwnCondition};
use super::tokens::Tokens;
use super::workers::{NoResult, Workers};
use crate::azure::Token;
use crate::clock::Clock;
use crate::core::lease;
use crate::core::{
    Action, Core, Endpoint, Input, Lane, Loss, MessageId, Mono, Outcome, Random, Reason, Scope, Settings,
    Stream,
};
use crate::k3s::Fence;
use crate::scenario::clock::Anchor;
use crate::store::{Handle, LaneStats, Quarantined, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Everything that the pump joins.
pub struct Parts {
    /// The brain.
    pub core: Core,
    /// Where it asks for numbers.
    pub rng: Box<dyn Random>,
    /// The clocks.
    pub clock: Clock,
    /// The store's thread.
    pub store: Handle,
    /// Desired state in the store's cache.
    pub documents: Arc<Documents>,
    /// The world.
    pub calls: Arc<dyn Calls>,
    /// Tokens at hand.
    pub tokens: Tokens,
    /// What the status document says of the process.
    pub fixed: Fixed,
    /// Where it goes.
    pub publisher: Publisher,
    /// The word to the service manager.
    pub notifier: Notifier,
    /// `--ack-log`.
    pub ack_log: Option<AckLog>,
}

/// What a reload brings: all that the configuration decides and that can change while the process runs.
pub struct Reloaded {
    /// For the core.
    pub settings: Settings,
    /// New connections.
    pub calls: Arc<dyn Calls>,
    /// New names.
    pub fixed: Fixed,
    /// Whose tokens are good now.
    pub account: String,
    /// What changed and takes a restart.
    pub needs_restart: Vec<&'static str>,
}

/// See the module.
pub struct Pump {
    pub(super) parts: Parts,
    pub(super) workers: Arc<Workers>,
    /// Calls to endpoints: given up at the end.
    pub(super) calls: JoinSet<Done>,
    /// Work at the store: waited for at the end.
    pub(super) writes: JoinSet<Done>,
    /// What the store held when it was last asked.
    pub(super) stats: Vec<(Lane, LaneStats)>,
    /// When the core was last told of it.
    pub(super) backlog_told: Option<Mono>,
    /// The anchor that the core was last told.
    pub(super) anchor: Option<Anchor>,
    /// When the trusted time was last kept for the next boot.
    pub(super) time_kept: Option<Mono>,
    /// Conditions of the shell, one per thing.
    pub(super) own: Vec<OwnCondition>,
    /// Panics of workers that a condition tells of.
    pub(super) panics_told: u64,
    /// Something changed since the status was last published.
    pub(super) dirty: bool,
    /// A look at the store for the status is under way.
    pub(super) looking: bool,
    pub(super) stopping: bool,
    /// The right to change the cluster, while there is one.
    right: Option<Right>,
    /// How many there were.
    rights: u64,
}

/// The end of a job.
pub(super) enum Done {
    /// The core's answer.
    Tell(Input),
    Enqueued {
        ticket: u64,
        result: Result<Vec<MessageId>, Reason>,
    },
    Token {
        scope: Scope,
        result: Result<Token, Outcome>,
    },
    Looked(Look),
    /// Somebody was answered.
    Nothing,
    /// A document of the shell's own.
    Kept {
        what: &'static str,
        result: Result<(), Reason>,
    },
}

/// What the store holds; `None` where it did not answer in time.
pub(super) struct Look {
    pub stats: Option<Vec<(Lane, LaneStats)>>,
    pub losses: Option<Vec<Loss>>,
    pub quarantined: Option<Vec<Quarantined>>,
    /// What the store repaired since it was last asked.
    pub notes: Vec<String>,
    pub question: Option<Question>,
}

impl Pump {
    /// Ready to run; nothing happens yet.
    pub fn new(parts: Parts) -> Self {
        Pump {
            parts,
            workers: Arc::default(),
            calls: JoinSet::new(),
            writes: JoinSet::new(),
            stats: Vec::new(),
            backlog_told: None,
            anchor: None,
            time_kept: None,
            own: Vec::new(),
            panics_told: 0,
            dirty: true,
            looking: false,
            stopping: false,
            right: None,
            rights: 0,
        }
    }

    /// Runs until a signal says stop, then makes everything durable. `reload` reads the configuration again.
    pub async fn run(
        mut self,
        mut signals: mpsc::Receiver<Asked>,
        mut questions: mpsc::Receiver<Question>,
        mut reload: impl FnMut() -> Result<Reloaded, Reason>,
    ) {
        self.parts.notifier.ready();
        loop {
            self.turn();
            let idle = self.idle_for();
            tokio::select! {
                asked = signals.recv() => match asked {
                    Some(Asked::Reload) => self.reload(&mut reload),
                    Some(Asked::Stop) | None => break,
                },
                Some(done) = self.calls.join_next() => self.settle(done),
                Some(done) = self.writes.join_next() => self.settle(done),
                Some(question) = questions.recv() => self.question(question),
                () = tokio::time::sleep(idle) => self.handle(Input::Tick),
            }
        }
        self.stop().await;
    }

    /// Carries out what is due, and feeds the watchdog: this and nothing else proves that the agent lives.
    pub(super) fn turn(&mut self) {
        loop {
            let now = self.parts.clock.now();
            let Some(action) = self.parts.core.poll(now, self.parts.rng.as_mut()) else { break };
            self.mind_right();
            self.carry_out(action);
        }
        let now = self.parts.clock.now().mono;
        self.parts.notifier.turned(now);
        if self.look_due().is_some_and(|due| due <= now) {
            self.look(None);
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        let now = self.parts.clock.now();
        self.parts.core.handle(now, self.parts.rng.as_mut(), input);
        self.mind_right();
    }

    /// Moves the fence of those who change the cluster, or closes it: they ask it before each request.
    fn mind_right(&mut self) {
        let (now, core) = (self.parts.clock.now(), &self.parts.core);
        let until = core.fence(now);
        if let (Some(right), Some(until)) = (&self.right, until)
            && right.shared == core.is_shared()
            && right.fence.extend(now.mono, until)
        {
            return;
        }
        if let Some(right) = self.right.take() {
            right.fence.close();
        }
        if let Some(until) = until {
            self.rights += 1;
            let shared = core.is_shared();
            let fence = Fence::new(until);
            self.right = Some(Right { number: self.rights, fence, shared, anew: shared });
        }
    }

    /// For one document. Without one nothing is sent.
    fn right(&self) -> Right {
        let none = || Right { number: 0, fence: Fence::new(Mono(0)), shared: true, anew: true };
        self.right.clone().unwrap_or_else(none)
    }

    /// How long nothing is due. A suspended device counts differently than tokio's timers, hence the ceiling.
    fn idle_for(&self) -> Duration {
        let due = [self.parts.core.next_wake(), self.parts.notifier.due(), self.look_due()];
        let now = self.parts.clock.now().mono;
        let idle = due.into_iter().flatten().map(|due| due.since(now)).fold(LONGEST_SLEEP, Duration::min);
        // Whatever is due and not done after a turn must not become a busy loop.
        idle.max(SHORTEST_SLEEP)
    }

    /// When the store is to be looked at: soon after something changed, and for the core once a minute.
    fn look_due(&self) -> Option<Mono> {
        if self.looking || self.stopping {
            return None;
        }
        let told = self.backlog_told.map_or(Mono(0), |at| at + BACKLOG_EVERY);
        Some(if self.dirty { told.min(self.parts.publisher.due()) } else { told })
    }

    fn carry_out(&mut self, action: Action) {
        if self.stopping && action.endpoint().is_some() {
            return;
        }
        let store = &self.parts.store;
        match action {
            Action::Observe => self.call(
                Endpoint::Kubernetes,
                |world| world.observe(),
                |result| Done::Tell(Input::Observed(result)),
            ),
            Action::Survey => self.call(
                Endpoint::Kubernetes,
                |world| world.survey(),
                |result| Done::Tell(Input::Surveyed(result)),
            ),
            Action::Lease(call) => {
                let world = Arc::clone(&self.parts.calls);
                let result = self.workers.lease(move || world.lease(&call));
                self.calls.spawn(async move {
                    let answer = result.await.ok().and_then(Result::ok);
                    Done::Tell(Input::Leased(answer.unwrap_or(lease::Answer::Failed)))
                });
            }
            Action::FetchToken { scope, claims } => self.call(
                Endpoint::Login,
                move |world| world.token(scope, claims.as_deref()),
                move |result| Done::Token { scope, result },
            ),
            Action::PatchTags { tags } => {
                let token = self.parts.tokens.get(Scope::Arm);
                self.call(
                    Endpoint::Arm,
                    move |world| match token {
                        Some(token) => as_result(world.tag(&tags, &token)),
                        None => Err(no_token()),
                    },
                    |result| Done::Tell(Input::Tagged(result.err().unwrap_or(Outcome::Success))),
                );
            }
            Action::Pull { parent, going } => {
                let token = self.parts.tokens.get(Scope::Arm);
                let documents = Arc::clone(&self.parts.documents);
                self.call(
                    Endpoint::Arm,
                    move |world| documents.pull(world, parent, &going, &token.ok_or_else(no_token)?),
                    |result| Done::Tell(Input::Pulled(result)),
                );
            }
            Action::Confirm { key } => {
                let token = self.parts.tokens.get(Scope::Arm);
                let asked = key.clone();
                self.call(
                    Endpoint::Arm,
                    move |world| world.confirm(&asked, &token.ok_or_else(no_token)?),
                    |result| Done::Tell(Input::Confirmed { key, result }),
                );
            }
            Action::Enforce { key } => {
                let documents = Arc::clone(&self.parts.documents);
                let (asked, right) = (key.clone(), self.right());
                self.call(
                    Endpoint::Kubernetes,
                    move |world| documents.enforce(world, &asked, &right),
                    |result| Done::Tell(Input::Enforced { key, result }),
                );
            }
            Action::Withdraw { key } => {
                let documents = Arc::clone(&self.parts.documents);
                let (asked, right) = (key.clone(), self.right());
                self.call(
                    Endpoint::Kubernetes,
                    move |world| documents.withdraw(world, &asked, &right),
                    |result| Done::Tell(Input::Withdrawn { key, result }),
                );
            }
            Action::Supply { key, supply } => {
                let token = supply.scope().map(|scope| self.parts.tokens.get(scope).ok_or_else(no_token));
                let documents = Arc::clone(&self.parts.documents);
                let asked = key.clone();
                self.call(
                    supply.endpoint(),
                    move |world| {
                        let token = token.transpose()?;
                        documents.supply(world, &asked, supply, token.as_ref().map(|token| token.as_str()))
                    },
                    move |result| Done::Tell(Input::Supplied { key, supply, result }),
                );
            }
            Action::Look { known } => self.call(
                Endpoint::Releases,
                move |world| world.look(known.as_ref()),
                |result| Done::Tell(Input::Looked(result)),
            ),
            Action::Deliver { lane, stream, max_records, max_bytes } => {
                let order = Order {
                    lane,
                    stream,
                    max_bytes,
                    cluster: self.parts.fixed.cluster.clone(),
                    anchors: self.parts.core.anchors().clone(),
                    token: self.parts.tokens.get(Scope::Monitor),
                };
                let kept = store.read(lane, stream, max_records, max_bytes);
                let (workers, calls) = (Arc::clone(&self.workers), Arc::clone(&self.parts.calls));
                self.calls.spawn(async move {
                    let read = answer(kept).await;
                    Done::Tell(deliver::deliver(order, read, &workers, calls).await)
                });
            }
            Action::Enqueue { ticket, records } => {
                let kept = answer(store.enqueue(records));
                self.writes.spawn(async move { Done::Enqueued { ticket, result: kept.await } });
            }
            Action::Ack { lane, stream, through } => {
                let acked = store.ack(lane, stream, through);
                self.write(answer(acked), move |result| Input::Acked { lane, stream, through, result });
            }
            Action::Quarantine { lane, stream, seq, reason } => {
                log::warn!("{} {seq} of lane {} is set aside: {reason}", stream.table(), lane.name());
                let at_ms = self.parts.clock.best_wall_ms();
                let done = store.quarantine(lane, stream, seq, reason.to_string(), at_ms);
                self.write(answer(done), move |result| Input::Quarantined { lane, stream, seq, result });
            }
            Action::ReportedLosses { losses } => {
                let done = store.losses_reported(losses);
                self.write(answer(done), |result| Input::LossesReported { result });
            }
            Action::Remember { name, content } => {
                let done = store.doc_put(name.to_owned(), content, false);
                self.write(answer(done), move |result| Input::Remembered { name, result });
            }
        }
    }

    fn call<T: Send + 'static>(
        &mut self,
        endpoint: Endpoint,
        job: impl FnOnce(&dyn Calls) -> Result<T, Outcome> + Send + 'static,
        done: impl FnOnce(Result<T, Outcome>) -> Done + Send + 'static,
    ) {
        let calls = Arc::clone(&self.parts.calls);
        let world = Arc::clone(&calls);
        let result = self.workers.start(endpoint, move || job(world.as_ref()));
        self.calls.spawn(async move {
            let result =
                result.await.unwrap_or_else(|_| Err(NoResult::Panicked("its thread is gone".into())));
            let result = match result {
                Ok(result) => result,
                Err(why) => {
                    calls.forget(endpoint);
                    Err(Outcome::Unreachable(why.into()))
                }
            };
            // A refused credential may have been replaced on disk meanwhile: the next try reads it anew.
            if matches!(result, Err(Outcome::Unauthorized { .. } | Outcome::Refused(_))) {
                calls.forget(endpoint);
            }
            done(result)
        });
    }

    fn write(
        &mut self,
        done: impl Future<Output = Result<(), Reason>> + Send + 'static,
        input: impl FnOnce(Result<(), Reason>) -> Input + Send + 'static,
    ) {
        self.writes.spawn(async move { Done::Tell(input(done.await)) });
    }

    /// Keeps a document of the shell's own; the core hears nothing of it.
    pub(super) fn keep(&mut self, what: &'static str, name: &str, content: &[u8], secret: bool) {
        let kept = answer(self.parts.store.doc_put(name.to_owned(), content.to_vec(), secret));
        self.writes.spawn(async move { Done::Kept { what, result: kept.await } });
    }
}

/// What the store's thread says, in the core's words.
pub(super) async fn answer<T>(receiver: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, Reason> {
    match receiver.await {
        Ok(result) => result.map_err(Reason::from),
        Err(_) => Err(Reason::new("StoreGone", "the store's thread has ended")),
    }
}

/// Undelivered records by lane and stream.
pub(super) fn backlog(stats: &[(Lane, LaneStats)]) -> Vec<(Lane, Stream, u64)> {
    let of = |(lane, stats): &(Lane, LaneStats)| {
        let lane = *lane;
        let counts = stats.per_stream.clone();
        counts.into_iter().filter_map(move |(n, count)| Some((lane, Stream::from_number(n)?, count)))
    };
    stats.iter().flat_map(of).filter(|(_, _, count)| *count > 0).collect()
}

fn as_result(outcome: Outcome) -> Result<(), Outcome> {
    match outcome {
        Outcome::Success => Ok(()),
        other => Err(other),
    }
}

/// Sealed: the tokens at hand.
pub(super) const DOCUMENT_TOKENS: &str = "agent/tokens";
/// The last trusted time, in milliseconds since 1970, as text.
pub(super) const DOCUMENT_TIME: &str = "agent/time";
/// The core wants to know what waits and what was lost that often, whatever happens.
pub(super) const BACKLOG_EVERY: Duration = Duration::from_secs(60);
/// tokio's timers stand still while the device sleeps, deadlines do not: at the latest so long after it woke up they meet.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// The grain of tokio's timers.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);
