//! The ring: what is observed becomes records, records become deliveries.
//!
//! This file has the state, its timers and the order in which things are done; `call` decides whom to call, `answers` what
//! an answer means, `say` what is put into the store, `status` what is shown. The machines that they move know nothing of
//! each other.

mod answers;
mod call;
mod desired;
mod flux;
mod lease;
mod say;
mod status;
mod supply;
mod upgrade;

use super::allowance::Allowance;
use super::backoff::{Draw, ceiling};
use super::conditions::Conditions;
use super::desired::Desired;
use super::drain::Drain;
use super::lease::Lease;
use super::link::{Link, State};
use super::outbox::Outbox;
use super::port::{self, Restored};
use super::reports::Reports;
use super::schedule::{Schedule, Timer};
use super::token::Tokens;
use super::{Action, Endpoint, Input, Mono, Now, Random, Scope, Settings};
use crate::scenario::clock::Anchors;
use crate::scenario::metadata::{Facts, Metadata};
use crate::scenario::silence::Silence;
use crate::scenario::tags::Tags;
use crate::scenario::upgrade::Upgrade;
use flux::Survey;
use std::collections::BTreeMap;
use std::time::Duration;

/// The agent's brain. See the module `core`.
pub struct Core {
    settings: Settings,
    boot: [u8; 16],
    started: Mono,
    schedule: Schedule,
    links: [Link; Endpoint::ALL.len()],
    tokens: Tokens,
    /// Per scope: a token that was fetched for a rejected one has not been accepted yet.
    rejected: [bool; Scope::ALL.len()],
    /// Per scope: the authority refuses; not before.
    scope_not_before: [Option<Mono>; Scope::ALL.len()],
    outbox: Outbox,
    drain: Drain,
    allowance: Option<Allowance>,
    /// In a profile that delivers with heartbeats: the time has come.
    contact_open: bool,
    reports: Reports,
    heartbeat_due: bool,
    /// The second heartbeat has come: it gave this agent a phase of its own within the interval.
    in_phase: bool,
    /// A heartbeat is in the state lane.
    heartbeat_waiting: bool,
    silence: Silence,
    observe_due: bool,
    /// When the last look at the cluster was sent.
    observe_sent: Mono,
    /// Which agent of the cluster leads.
    lease: Lease,
    /// Nothing more is begun.
    stopping: bool,
    metadata: Metadata,
    facts: Option<(Facts, Now)>,
    tags: Tags,
    patching: Option<BTreeMap<String, String>>,
    /// Desired state, where the scenario is on.
    desired: Option<Desired>,
    survey: Survey,
    /// Newer releases, where they are looked for, and when the feed was last read.
    upgrade: Option<(Upgrade, Option<Now>)>,
    look_due: bool,
    /// The cluster was looked at last: documents are next there.
    looked_last: bool,
    /// Tags went last: documents are next at ARM, and the other way round.
    tags_went: bool,
    anchors: Anchors,
    conditions: Conditions,
    /// Documents to remember, and the one that is being written.
    memory: BTreeMap<&'static str, Vec<u8>>,
    remembering: Option<(&'static str, Vec<u8>)>,
    memory_blocked: bool,
    /// Losses of which a durable report exists and the store's mark must move.
    marks: Vec<super::Loss>,
    marks_blocked: bool,
    store_failures: u32,
    delivered: u64,
    last_delivery: Option<Now>,
}

impl Core {
    /// A core that has just started.
    pub fn new(settings: Settings, restored: Restored, now: Now, rng: &mut dyn Random) -> Core {
        let settings = settings.bounded();
        let document = |name: &str| {
            restored.documents.iter().find(|(n, _)| n == name).map(|(_, content)| content.as_slice())
        };
        let mut core = Core {
            boot: restored.boot,
            started: now.mono,
            schedule: Schedule::default(),
            links: settings.links.map(Link::new),
            tokens: Tokens::new(),
            rejected: [false; Scope::ALL.len()],
            scope_not_before: [None; Scope::ALL.len()],
            outbox: Outbox::new(settings.batch_records, settings.batch_bytes),
            drain: Drain::default(),
            allowance: settings
                .allowance
                .map(|per_day| Allowance::restore(per_day, document(port::DOCUMENT_ALLOWANCE), now.mono)),
            contact_open: false,
            reports: Reports::default(),
            heartbeat_due: false,
            in_phase: false,
            heartbeat_waiting: false,
            silence: Silence::restore(document(port::DOCUMENT_CONTACT)),
            observe_due: false,
            observe_sent: now.mono,
            lease: Lease::new(restored.me.clone()),
            stopping: false,
            metadata: Metadata::default(),
            facts: None,
            tags: Tags::restore(document(port::DOCUMENT_TAGS)),
            patching: None,
            desired: settings.desired.map(|desired| {
                let remembered = [port::DOCUMENT_DESIRED, port::DOCUMENT_RETURNED].map(document);
                Desired::restore(desired, &restored.desired, remembered, now, rng)
            }),
            survey: Survey::default(),
            upgrade: upgrade::restored(&settings, document(port::DOCUMENT_UPGRADE)),
            look_due: false,
            looked_last: false,
            tags_went: false,
            anchors: Anchors::restore(document(port::DOCUMENT_CLOCK)),
            conditions: Conditions::default(),
            memory: BTreeMap::new(),
            remembering: None,
            memory_blocked: false,
            marks: Vec::new(),
            marks_blocked: false,
            store_failures: 0,
            delivered: 0,
            last_delivery: None,
            settings,
        };
        for (scope, validity) in &restored.tokens {
            core.tokens.got(now.mono, *scope, *validity);
        }
        core.backlog(now, &restored.backlog);
        if let Some(anchor) = restored.anchor {
            core.clock(now, anchor);
        }
        core.first_timers(now, rng);
        core
    }

    /// The first of everything comes soon, so that an operator sees it, but not at the same moment in every agent of a
    /// fleet whose power has come back.
    fn first_timers(&mut self, now: Now, rng: &mut dyn Random) {
        let soon = |rng: &mut dyn Random, interval: Duration, most: Duration| {
            now.mono + rng.up_to(interval.min(most))
        };
        let settings = &self.settings;
        self.schedule.set(Timer::Observe, soon(rng, settings.metadata_interval, SOON / 2));
        self.schedule.set(Timer::Heartbeat, soon(rng, settings.heartbeat_interval, SOON));
        let tags = match self.tags.sent() {
            // When they were sent is not known after a restart, and an interval is at least to lie between.
            true => now.mono + rng.between(settings.tags_interval, settings.tags_interval * 5 / 4),
            false => soon(rng, settings.tags_interval, SOON * 2),
        };
        self.schedule.set(Timer::Tags, tags);
        if let Some(upgrade) = &settings.upgrade {
            self.schedule.set(Timer::Upgrade, soon(rng, upgrade.interval, SOON * 10));
        }
        if self.silence.rebooted(&self.boot) {
            self.drain.power_is_back(now.mono, rng);
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, rng: &mut dyn Random, input: Input) {
        match input {
            Input::Tick => {}
            Input::Observed(result) => self.observed(now, rng, result),
            Input::Surveyed(result) => self.surveyed(now, rng, result),
            Input::Enqueued { ticket, result } => self.enqueued(now, rng, ticket, result),
            Input::Token { scope, result } => self.token(now, rng, scope, result),
            Input::Delivered { lane, stream, first, through, records, bytes, outcome } => {
                self.answered(now, rng, (lane, stream), (first, through), (records, bytes), outcome);
            }
            Input::DeliveredNothing { lane, stream } => {
                self.links[Endpoint::Ingest as usize].idle();
                self.outbox.nothing(lane, stream);
            }
            Input::DeliveryFailed { lane, stream, reason } => {
                self.links[Endpoint::Ingest as usize].idle();
                self.outbox.unread(now.mono, rng, lane, stream);
                self.conditions.raise(now, ABOUT_STORE, reason);
            }
            Input::Acked { lane, stream, through, result } => {
                self.acked(now, rng, lane, stream, through, result);
            }
            Input::Quarantined { lane, stream, seq, result } => {
                self.quarantined(now, rng, lane, stream, seq, result);
            }
            Input::Tagged(outcome) => self.tagged(now, rng, outcome),
            Input::Pulled(result) => self.pulled(now, rng, result),
            Input::Confirmed { key, result } => self.confirmed(now, rng, &key, result),
            Input::Enforced { key, result } => self.enforced(now, rng, &key, result),
            Input::Withdrawn { key, result } => self.withdrawn(now, rng, &key, result),
            Input::Supplied { key, supply, result } => self.supplied(now, rng, &key, supply, result),
            Input::Looked(result) => self.looked(now, rng, result),
            Input::Leased(answer) => self.leased(now, rng, answer),
            Input::Stopping => self.stop(),
            Input::Refresh => self.refresh(now),
            Input::LossesReported { result } => self.marked(now, rng, result),
            Input::Remembered { name, result } => self.remembered(now, rng, name, result),
            Input::Backlog(backlog) => self.backlog(now, &backlog),
            Input::Clock(anchor) => self.clock(now, anchor),
            Input::Reconfigured(settings) => self.reconfigured(now, rng, *settings),
            Input::LinkHint(endpoint) => self.hint(endpoint),
        }
        self.close_contact(now);
    }

    /// The next thing to do; call until `None` after each [`Core::handle`] and at [`Core::next_wake`].
    pub fn poll(&mut self, now: Now, rng: &mut dyn Random) -> Option<Action> {
        while let Some(timer) = self.schedule.expire(now.mono) {
            self.expired(now, rng, timer);
        }
        let action = self.tell_store(now).or_else(|| self.call(now));
        self.arm(now);
        action
    }

    /// When to call [`Core::poll`] again though nothing happened.
    pub fn next_wake(&self) -> Option<Mono> {
        self.schedule.next_wake()
    }

    fn expired(&mut self, now: Now, rng: &mut dyn Random, timer: Timer) {
        match timer {
            Timer::Heartbeat => {
                if self.heartbeat_waiting {
                    self.silence.heartbeat_missed();
                    self.remember_contact();
                }
                self.heartbeat_due = true;
                let interval = self.settings.heartbeat_interval;
                let next = match std::mem::replace(&mut self.in_phase, true) {
                    true => interval,
                    false => rng.between(interval / 4, interval),
                };
                self.schedule.set(Timer::Heartbeat, now.mono + next);
            }
            Timer::Observe => {
                self.observe_due = true;
                self.survey_next();
                self.schedule.set(Timer::Observe, now.mono + self.settings.metadata_interval);
            }
            Timer::Whole => self.metadata.whole_next(),
            Timer::Upgrade => self.look_due = true,
            Timer::Store => {
                self.reports.state.blocked = false;
                self.reports.report.blocked = false;
                self.marks_blocked = false;
                self.memory_blocked = false;
                self.outbox.tell_again();
            }
            // These say that something may be tried that is looked at in each poll anyway.
            Timer::Tags
            | Timer::Kubernetes
            | Timer::Login
            | Timer::Arm
            | Timer::Ingest
            | Timer::Vault
            | Timer::Registry
            | Timer::Releases
            | Timer::Drain
            | Timer::Stream
            | Timer::Allowance
            | Timer::Pull
            | Timer::Enforce
            | Timer::Supply
            | Timer::Lease => {}
        }
    }

    /// Sets the timers of those who wait.
    fn arm(&mut self, now: Now) {
        let ahead = |at: Option<Mono>| at.filter(|at| *at > now.mono);
        for (endpoint, timer) in [
            (Endpoint::Kubernetes, Timer::Kubernetes),
            (Endpoint::Arm, Timer::Arm),
            (Endpoint::Ingest, Timer::Ingest),
            (Endpoint::Vault, Timer::Vault),
            (Endpoint::Registry, Timer::Registry),
            (Endpoint::Releases, Timer::Releases),
        ] {
            self.schedule.put(timer, ahead(self.link(endpoint).not_before()));
        }
        let login = ahead(self.link(Endpoint::Login).not_before());
        let scopes = self.scope_not_before.into_iter().filter_map(ahead);
        self.schedule.put(Timer::Login, login.into_iter().chain(scopes).min());
        self.schedule.put(Timer::Drain, ahead(self.drain.not_before()));
        self.schedule.put(Timer::Stream, ahead(self.outbox.not_before()));
        let desired = self.desired.as_ref();
        self.schedule.put(Timer::Pull, ahead(desired.map(Desired::azure_due)));
        self.schedule.put(Timer::Enforce, ahead(desired.and_then(|desired| desired.cluster_due(now.mono))));
        self.schedule.put(Timer::Lease, ahead(self.lease.due().filter(|_| !self.stopping)));
        self.schedule.put(Timer::Supply, ahead(desired.and_then(|desired| desired.supply_due(now.mono))));
    }

    /// A store operation failed; it is tried again soon, then less soon.
    fn store_failed(&mut self, now: Now, rng: &mut dyn Random) {
        self.store_failures = self.store_failures.saturating_add(1);
        let most = ceiling(STORE, STORE_MOST, self.store_failures);
        if self.schedule.get(Timer::Store).is_none() {
            self.schedule.set(Timer::Store, now.mono + rng.between(STORE / 2, most));
        }
    }

    /// In a profile that delivers with heartbeats: the contact ends when nothing waits any more.
    fn close_contact(&mut self, now: Now) {
        if self.outbox.busy() || self.reports.pending() {
            return;
        }
        self.drain.over();
        if std::mem::take(&mut self.contact_open)
            && let Some(allowance) = &self.allowance
        {
            self.memory.insert(port::DOCUMENT_ALLOWANCE, allowance.document(now.mono));
        }
    }

    fn reconfigured(&mut self, now: Now, rng: &mut dyn Random, settings: Settings) {
        let settings = settings.bounded();
        for (link, config) in self.links.iter_mut().zip(settings.links) {
            link.reconfigure(config);
        }
        self.outbox.resize(settings.batch_records, settings.batch_bytes);
        if settings.allowance != self.settings.allowance {
            self.allowance = settings.allowance.map(Allowance::new);
        }
        for (timer, interval) in [
            (Timer::Heartbeat, settings.heartbeat_interval),
            (Timer::Observe, settings.metadata_interval),
            (Timer::Whole, settings.whole_interval),
            (Timer::Tags, settings.tags_interval),
        ] {
            if self.schedule.get(timer).is_some_and(|at| at > now.mono + interval) {
                self.schedule.set(timer, now.mono + rng.between(interval / 2, interval));
            }
        }
        self.reconfigure_desired(now, rng, settings.desired);
        self.reconfigure_upgrade(now, rng, &settings);
        self.settings = settings;
    }

    /// Try now, whatever was decided: someone asks.
    fn hint(&mut self, endpoint: Endpoint) {
        self.links[endpoint as usize].hint();
        match endpoint {
            Endpoint::Kubernetes => self.observe_due = true,
            Endpoint::Login => self.scope_not_before = [None; Scope::ALL.len()],
            // Tags that were refused wait on their own.
            Endpoint::Arm if self.conditions.holds(answers::ABOUT_TAGS) => {
                self.schedule.put(Timer::Tags, None)
            }
            Endpoint::Arm | Endpoint::Vault | Endpoint::Registry => {}
            Endpoint::Releases => self.look_due = self.upgrade.is_some(),
            Endpoint::Ingest => {
                self.outbox.hint();
                self.drain.over();
                self.contact_open = self.settings.deliver_with_heartbeat;
            }
        }
    }

    fn link(&self, endpoint: Endpoint) -> &Link {
        &self.links[endpoint as usize]
    }

    fn ready(&self, endpoint: Endpoint, now: Now) -> bool {
        self.link(endpoint).ready(now.mono)
    }

    fn start(&mut self, endpoint: Endpoint) {
        self.links[endpoint as usize].start();
    }
}

/// The first heartbeat comes within this.
const SOON: Duration = Duration::from_secs(30);
/// A store operation that failed is tried again after about this, then twice as much.
const STORE: Duration = Duration::from_secs(4);
/// And never later than this.
const STORE_MOST: Duration = Duration::from_secs(60);
const ABOUT_STORE: &str = "store";
const ABOUT_REPORTS: &str = "lane report";
