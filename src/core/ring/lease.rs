//! The Lease in the ring: when it is asked for, who may change the cluster and tell of it, and how it is given back.
//!
//! It has a place of its own at the API server, beside the one call of the link: a document that takes long starves no
//! renewal, and what fails here says nothing about the link.

use super::*;
use crate::core::Outcome;
use crate::core::lease::Answer;
use crate::core::outcome::NOT_LEADING;

impl Core {
    /// What is to be asked about the Lease now. An agent that stops gives it back, once nothing of it is under way.
    pub(super) fn lease_call(&mut self, now: Now) -> Option<Action> {
        let call = match self.stopping {
            false => self.lease.want(now.mono)?,
            true if self.link(Endpoint::Kubernetes).in_flight() => return None,
            true => self.lease.release(now.mono)?,
        };
        self.lease.begun(now.mono, &call);
        Some(Action::Lease(call))
    }

    /// The API server's answer about the Lease.
    pub(super) fn leased(&mut self, now: Now, rng: &mut dyn Random, answer: Answer) {
        self.lease.answered(now.mono, rng, answer);
        self.show_lease(now);
    }

    /// The agent stops: it begins nothing more.
    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// The nodes were counted, by the look at the cluster that was sent last.
    pub(super) fn counted(&mut self, now: Now, nodes: u64) {
        self.lease.counted(now.mono, self.observe_sent, nodes);
        self.show_lease(now);
    }

    /// Whether a document may be begun.
    pub(super) fn may_change_cluster(&self, now: Now) -> bool {
        self.lease.fence(now.mono).is_some_and(|until| until.since(now.mono) >= ROOM)
    }

    /// Whether only a fresh count of the nodes is missing for it.
    pub(super) fn count_missing(&self, now: Now) -> bool {
        self.lease.count_due(now.mono, ROOM)
    }

    /// What changes the cluster ended without a result. Whether the link is not to blame: the right had ended.
    pub(super) fn unfinished(&mut self, now: Now, outcome: &Outcome) -> bool {
        if outcome.reason().is_some_and(|reason| reason.code == NOT_LEADING) {
            self.links[Endpoint::Kubernetes as usize].idle();
            return true;
        }
        self.lease.unanswered(now.mono);
        false
    }

    /// Until when the cluster may be changed; `None`: not now.
    pub fn fence(&self, now: Now) -> Option<Mono> {
        self.lease.fence(now.mono)
    }

    /// Whether several agents take turns: what another one made is then to be known by its marks.
    pub fn is_shared(&self) -> bool {
        self.lease.is_shared()
    }

    pub(super) fn show_lease(&mut self, now: Now) {
        match self.lease.trouble() {
            Some(reason) => self.conditions.raise(now, ABOUT_LEASE, reason.clone()),
            None => self.conditions.clear(ABOUT_LEASE),
        }
    }
}

/// A document is begun with at least this much of the right left: most take a second.
const ROOM: Duration = Duration::from_secs(15);
const ABOUT_LEASE: &str = "lease";
