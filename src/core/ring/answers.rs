//! What an answer from outside means: for the link, the token, the slot, and for what an operator is shown.

use super::*;
use crate::core::outbox::Verdict;
use crate::core::{Lane, Outcome, Reason, Seq, Stream, Validity};
use crate::scenario::clock::Anchor;

impl Core {
    /// The cluster was looked at. What could not be seen is not reported: it has not gone away.
    pub(super) fn observed(&mut self, now: Now, rng: &mut dyn Random, result: Result<Facts, Outcome>) {
        let outcome = match result {
            Ok(facts) => {
                self.links[Endpoint::Kubernetes as usize].reached(now);
                self.conditions.clear(Endpoint::Kubernetes.name());
                // Also a cluster without nodes has nobody else who leads.
                self.counted(now, facts.node_count);
                match facts.check() {
                    Ok(()) => {
                        self.conditions.clear(ABOUT_METADATA);
                        self.metadata.observed(facts.clone());
                        self.facts = Some((facts, now));
                    }
                    Err(reason) => self.conditions.raise(now, ABOUT_METADATA, reason),
                }
                return;
            }
            Err(outcome) => outcome,
        };
        if self.desired.is_some()
            && let Outcome::Refused(reason) = outcome
        {
            // It refuses this look; documents may be served all the same, by who has the Lease.
            self.lease.uncountable(now.mono);
            let delay = self.settings.links[Endpoint::Kubernetes as usize].refused_delay(rng);
            self.schedule.set(Timer::Observe, now.mono + delay);
            self.links[Endpoint::Kubernetes as usize].refused_someone(now, reason.clone());
            return self.conditions.raise(now, ABOUT_METADATA, reason);
        }
        self.observe_due = true;
        if let Some(reason) = self.fail(now, rng, Endpoint::Kubernetes, outcome) {
            self.conditions.raise(now, Endpoint::Kubernetes.name(), reason);
        }
    }

    /// The authority answered.
    pub(super) fn token(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        scope: Scope,
        result: Result<Validity, Outcome>,
    ) {
        let about = about_token(scope);
        let outcome = match result {
            Ok(validity) if self.tokens.got(now.mono, scope, validity) => {
                self.scope_not_before[scope as usize] = None;
                self.conditions.clear(about);
                if let Some(outage) = self.links[Endpoint::Login as usize].reached(now) {
                    // A process that was started within the outage has not even come to try ingestion.
                    self.spread_drain(now, rng, outage);
                    self.links[Endpoint::Ingest as usize].neighbour_is_back(now.mono, rng);
                    self.links[Endpoint::Arm as usize].neighbour_is_back(now.mono, rng);
                }
                return;
            }
            Ok(_) => Outcome::Unreachable(
                Reason::new("TokenExpired", "the authority gave a token that has expired already")
                    .cure("compare the clocks of the device and of the authority"),
            ),
            Err(outcome) => outcome,
        };
        if let Some(reason) = outcome.reason() {
            self.silence.link_lost(reason);
        }
        match outcome {
            // It refuses this scope; the other one may still be served.
            Outcome::Refused(reason)
            | Outcome::BadRecord(reason)
            | Outcome::TooLarge(reason)
            | Outcome::Unauthorized { reason, .. } => {
                let delay = self.settings.links[Endpoint::Login as usize].refused_delay(rng);
                self.scope_not_before[scope as usize] = Some(now.mono + delay);
                self.links[Endpoint::Login as usize].refused_someone(now, reason.clone());
                self.conditions.raise(now, about, reason);
            }
            outcome => {
                self.fail(now, rng, Endpoint::Login, outcome);
            }
        }
    }

    /// Ingestion answered.
    pub(super) fn answered(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        slot: (Lane, Stream),
        span: (Seq, Seq),
        (records, bytes): (usize, usize),
        outcome: Outcome,
    ) {
        if let Some(allowance) = &mut self.allowance {
            allowance.charge_call(now.mono, bytes);
        }
        let was_up = matches!(self.link(Endpoint::Ingest).state(), State::Up);
        let config = self.settings.links[Endpoint::Ingest as usize];
        let verdict = self.outbox.answered(now.mono, rng, &config, was_up, slot, span, records, &outcome);
        match verdict {
            Verdict::Stray => {}
            Verdict::Delivered => {
                self.rejected[Scope::Monitor as usize] = false;
                self.delivered += records as u64;
                self.last_delivery = Some(now);
                self.ingest_reached(now, rng);
                if slot.0 != Lane::State {
                    self.drain.batch_delivered(now.mono, rng);
                }
            }
            Verdict::Narrowed => self.ingest_reached(now, rng),
            Verdict::Refused => {
                let reason = outcome.reason().cloned().unwrap_or_else(|| Reason::new("Refused", "refused"));
                self.silence.link_lost(&reason);
                if self.outbox.all_refused() {
                    self.links[Endpoint::Ingest as usize].refused_someone(now, reason);
                } else {
                    self.ingest_reached(now, rng);
                }
            }
            Verdict::Endpoint => {
                if let Some(reason) = outcome.reason() {
                    self.silence.link_lost(reason);
                }
                match outcome {
                    Outcome::Unauthorized { reason, claims } => {
                        self.unauthorized(now, rng, Endpoint::Ingest, Scope::Monitor, reason, claims);
                    }
                    outcome => {
                        self.fail(now, rng, Endpoint::Ingest, outcome);
                    }
                }
            }
        }
        self.show_refused_streams(now);
    }

    fn ingest_reached(&mut self, now: Now, rng: &mut dyn Random) {
        self.conditions.clear(Endpoint::Ingest.name());
        let Some(outage) = self.links[Endpoint::Ingest as usize].reached(now) else { return };
        self.spread_drain(now, rng, outage);
        self.links[Endpoint::Login as usize].neighbour_is_back(now.mono, rng);
        self.links[Endpoint::Arm as usize].neighbour_is_back(now.mono, rng);
    }

    fn spread_drain(&mut self, now: Now, rng: &mut dyn Random, outage: Duration) {
        let (long, most) = (self.settings.spread_after, self.settings.spread_most);
        self.drain.outage_over(now.mono, rng, outage, long, most);
    }

    /// A rejected token is replaced once; a fresh one that is rejected too is someone's mistake, and has time.
    pub(super) fn unauthorized(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        endpoint: Endpoint,
        scope: Scope,
        reason: Reason,
        claims: Option<String>,
    ) {
        self.tokens.rejected(scope, claims);
        if std::mem::replace(&mut self.rejected[scope as usize], true) {
            self.links[endpoint as usize].refused(now, rng, reason.clone());
            self.conditions.raise(now, endpoint.name(), reason);
        } else {
            self.links[endpoint as usize].idle();
        }
    }

    /// Tags were sent.
    pub(super) fn tagged(&mut self, now: Now, rng: &mut dyn Random, outcome: Outcome) {
        let Some(tags) = self.patching.take() else { return };
        match outcome {
            Outcome::Success => {
                self.rejected[Scope::Arm as usize] = false;
                self.links[Endpoint::Arm as usize].reached(now);
                self.conditions.clear(Endpoint::Arm.name());
                self.conditions.clear(ABOUT_TAGS);
                self.memory.insert(port::DOCUMENT_TAGS, self.tags.arrived(tags));
                let interval = self.settings.tags_interval;
                self.schedule.set(Timer::Tags, now.mono + rng.between(interval, interval * 9 / 8));
            }
            Outcome::Unauthorized { reason, claims } => {
                self.unauthorized(now, rng, Endpoint::Arm, Scope::Arm, reason, claims);
            }
            // It refuses tags; documents may be served all the same.
            Outcome::Refused(reason) if self.desired.is_some() => {
                let delay = self.settings.links[Endpoint::Arm as usize].refused_delay(rng);
                self.schedule.set(Timer::Tags, now.mono + delay);
                self.links[Endpoint::Arm as usize].refused_someone(now, reason.clone());
                self.conditions.raise(now, ABOUT_TAGS, reason);
            }
            outcome => {
                if let Some(reason) = self.fail(now, rng, Endpoint::Arm, outcome) {
                    self.conditions.raise(now, Endpoint::Arm.name(), reason);
                }
            }
        }
    }

    /// A call failed for the whole endpoint. Returns the reason if someone has to act.
    pub(super) fn fail(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        endpoint: Endpoint,
        outcome: Outcome,
    ) -> Option<Reason> {
        let link = &mut self.links[endpoint as usize];
        match outcome {
            // A success that brings nothing is no answer; to take it for one would ask again at once, and for ever.
            Outcome::Success => {
                link.unreachable(now, rng, Reason::new("Protocol", "a success without a result"));
                None
            }
            Outcome::Unreachable(reason) => {
                link.unreachable(now, rng, reason);
                None
            }
            Outcome::Throttled { reason, retry_after } => {
                link.throttled(now, rng, reason, retry_after);
                None
            }
            Outcome::Refused(reason)
            | Outcome::BadRecord(reason)
            | Outcome::TooLarge(reason)
            | Outcome::Unauthorized { reason, .. } => {
                link.refused(now, rng, reason.clone());
                Some(reason)
            }
        }
    }

    fn show_refused_streams(&mut self, now: Now) {
        for stream in Stream::ALL {
            let about = format!("stream {}", stream.table());
            match self.outbox.refused().find(|(refused, _)| *refused == stream) {
                Some((_, reason)) => self.conditions.raise(now, &about, reason.clone()),
                None => self.conditions.clear(&about),
            }
        }
    }

    /// A trusted time has become known.
    pub(super) fn clock(&mut self, now: Now, anchor: Anchor) {
        if self.anchors.learn(anchor) {
            self.memory.insert(port::DOCUMENT_CLOCK, self.anchors.document());
        }
        if anchor.boot != self.boot {
            return;
        }
        let off_by = anchor.at(now.mono.0).saturating_sub(now.wall_ms) / 1_000;
        match self.anchors.judge(&self.boot, now) {
            crate::core::ClockState::Wrong => {
                let reason = Reason::new("ClockWrong", format!("the wall clock is off by {off_by} s"))
                    .cure("set the clock, or let systemd-timesyncd or chrony do it; reports are corrected until then");
                self.conditions.raise(now, ABOUT_CLOCK, reason);
            }
            _ => self.conditions.clear(ABOUT_CLOCK),
        }
    }
}

const fn about_token(scope: Scope) -> &'static str {
    match scope {
        Scope::Monitor => "login (monitor)",
        Scope::Arm => "login (arm)",
        Scope::Vault => "login (vault)",
    }
}

const ABOUT_METADATA: &str = "metadata";
/// Tags of the cluster's resource.
pub(super) const ABOUT_TAGS: &str = "tags";
const ABOUT_CLOCK: &str = "clock";
