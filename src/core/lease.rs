//! Which agent of a cluster leads: one Lease, many candidates, and a right that ends by itself.
//!
//! ```text
//!        one node, and no Lease      more than one node, or a Lease       our write of the Lease was answered
//!   (unknown) ───────────▶ Alone  ───────────────────────▶ Candidate ───────────────────────▶ Leader
//!                            ▲                                │    ▲                             │
//!                            └── one node, and no Lease ──────┘    └── conflict, or its time ran out
//! ```
//!
//! Nobody's wall clock is compared with another's. A Lease has expired when it was seen unchanged for [`TERM`] on our own
//! monotonic clock; its absence counts likewise. A right lasts until [`MARGIN`] before [`TERM`] after its request was
//! *sent*: what others see of it they see later, so it is over before any of them may begin. Writes are conditional on
//! the `resourceVersion`; a write without an answer proves nothing, and the Lease is looked at before the next.
//!
//! Who is alone has the right for as long after counting the nodes: an agent on a new node waits longer. Each count is
//! followed by a look for the Lease, for an agent whose node was taken out of the cluster counts one node less than there
//! are agents; where there is a Lease, it decides. Who may not look and counts one node believes the count: a device that
//! was connected before there was a role for it goes on working. Who may not count goes by the Lease.
//!
//! Not in here: requests, the Lease's form in Kubernetes, and what a leader does with its right.

#[cfg(test)]
mod tests;

use super::backoff::Draw;
use super::{Mono, Random, Reason};
use std::time::Duration;

/// So long has a Lease to be seen unchanged before another takes it.
pub const TERM: Duration = Duration::from_secs(60);
/// About so often the leader renews it, and the others look.
pub const RENEW: Duration = Duration::from_secs(20);
/// For what the API server still has in hand when we have given it up, and for clocks that run unevenly.
pub const MARGIN: Duration = Duration::from_secs(10);
/// After a call without an answer.
const RETRY: Duration = Duration::from_secs(4);

/// The Lease as the API server has it. Any difference means that someone wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `spec.holderIdentity`; empty: it was released.
    pub holder: String,
    /// `spec.renewTime`, never read as a time.
    pub renewed: String,
    /// `spec.acquireTime`, kept when the holder renews.
    pub acquired: String,
    /// `spec.leaseTransitions`.
    pub transitions: u64,
    /// `metadata.resourceVersion`.
    pub version: String,
}

/// What to ask the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Get the Lease.
    Look,
    /// Write the Lease, if it is still as it was.
    Write {
        /// To be replaced; `None`: to be created.
        base: Option<Seen>,
        /// Empty: to release it.
        holder: String,
    },
}

/// What came of a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so, or it is so now.
    There(Seen),
    /// The API server says that there is none.
    Absent,
    /// It was not written: someone else was faster.
    Conflict,
    /// The API server does not allow it, or cannot: a role or the namespace is missing.
    Refused(Reason),
    /// No answer. A write may come into force yet.
    Failed,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Lease {
    me: String,
    nodes: Option<u64>,
    /// When the request was sent that counted them.
    counted: Mono,
    /// The count still lacks its look for the Lease.
    unlooked: bool,
    /// The count that the last look was sent after.
    looked_after: Mono,
    contest: bool,
    refused: Option<Reason>,
    /// What was last seen, and since when it is so.
    seen: Option<(Option<Seen>, Mono)>,
    /// What was seen may be out of date by our own or another's write.
    blind: bool,
    due: Mono,
    /// The call under way: when it was sent, and whom a write makes the holder.
    asked: Option<(Mono, Option<String>)>,
    right: Option<Mono>,
    unsettled: Option<Mono>,
}

impl Lease {
    /// `me` names this device to the cluster: the same after a restart, and no other's.
    pub fn new(me: String) -> Lease {
        Lease {
            me,
            nodes: None,
            counted: Mono(0),
            unlooked: false,
            looked_after: Mono(0),
            contest: false,
            refused: None,
            seen: None,
            blind: true,
            due: Mono(0),
            asked: None,
            right: None,
            unsettled: None,
        }
    }

    /// The nodes were counted, by a request that was sent at `sent`.
    pub fn counted(&mut self, now: Mono, sent: Mono, nodes: u64) {
        (self.nodes, self.counted) = (Some(nodes), sent);
        if nodes > 1 {
            self.compete(now);
        } else if !self.contest {
            (self.unlooked, self.due) = (true, now);
        }
    }

    /// The nodes cannot be counted, and that will stay so until someone acts: the Lease decides.
    pub fn uncountable(&mut self, now: Mono) {
        self.compete(now);
    }

    fn compete(&mut self, now: Mono) {
        if !self.contest {
            (self.contest, self.blind, self.due, self.right) = (true, true, now, None);
        }
    }

    /// Whether a fresh count would bring a right that the last one does not bring any more for `room`.
    pub fn count_due(&self, now: Mono, room: Duration) -> bool {
        !self.contest && (self.nodes.is_none() || self.counted + (TERM - MARGIN) <= now + room)
    }

    /// What to ask now; it is to be told with [`Lease::begun`] when it is sent.
    pub fn want(&self, now: Mono) -> Option<Call> {
        if !self.competes_or_looks() || self.due > now {
            return None;
        }
        if !self.contest {
            return Some(Call::Look);
        }
        Some(match &self.seen {
            Some((seen, since)) if !self.blind && self.free(seen, *since, now) => {
                Call::Write { base: seen.clone(), holder: self.me.clone() }
            }
            _ => Call::Look,
        })
    }

    fn free(&self, seen: &Option<Seen>, since: Mono, now: Mono) -> bool {
        let open = seen.as_ref().is_some_and(|seen| seen.holder == self.me || seen.holder.is_empty());
        open || now.since(since) >= TERM
    }

    /// When [`Lease::want`] is to be asked again.
    pub fn due(&self) -> Option<Mono> {
        self.competes_or_looks().then_some(self.due)
    }

    fn competes_or_looks(&self) -> bool {
        (self.contest || self.unlooked) && self.asked.is_none()
    }

    /// A call is being sent. Who releases the Lease has no right from here on.
    pub fn begun(&mut self, now: Mono, call: &Call) {
        let holder = match call {
            Call::Look => None,
            Call::Write { holder, .. } => Some(holder.clone()),
        };
        if holder.as_deref() == Some("") {
            self.right = None;
        }
        self.looked_after = self.counted;
        self.asked = Some((now, holder));
    }

    /// The answer to the call under way.
    pub fn answered(&mut self, now: Mono, rng: &mut dyn Random, answer: Answer) {
        let Some((sent, holder)) = self.asked.take() else { return };
        self.refused = None;
        let seen = match answer {
            Answer::There(seen) => Some(seen),
            Answer::Absent => None,
            Answer::Conflict => {
                (self.right, self.blind, self.due) = (None, true, now);
                return;
            }
            Answer::Refused(reason) => {
                self.refused = Some(reason);
                if self.contest {
                    (self.blind, self.due) = (true, now + rng.between(RENEW * 9 / 10, RENEW * 11 / 10));
                } else {
                    self.alone();
                }
                return;
            }
            Answer::Failed => {
                self.blind = true;
                self.due = now + rng.between(RETRY / 4, RETRY);
                return;
            }
        };
        self.blind = false;
        if self.seen.as_ref().is_none_or(|(known, _)| *known != seen) {
            self.seen = Some((seen.clone(), now));
        }
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        self.due = (now + rng.between(RENEW * 9 / 10, RENEW * 11 / 10)).min((since + TERM).max(now));
        match seen {
            None if !self.contest => self.alone(),
            // The count is older than the look.
            None if self.nodes.is_some_and(|nodes| nodes <= 1) && self.looked_after == self.counted => {
                (self.contest, self.right) = (false, None);
                self.alone();
            }
            Some(_) if !self.contest => {
                (self.contest, self.unlooked, self.right, self.due) = (true, false, None, now);
            }
            Some(seen) if seen.holder == self.me => match holder {
                Some(holder) if holder == self.me => self.right = Some(sent + (TERM - MARGIN)),
                // Ours, of a former process or by a write without an answer: renewed, it is a right.
                _ => self.due = now,
            },
            Some(seen) => {
                self.right = None;
                if seen.holder.is_empty() {
                    self.due = now + rng.up_to(RETRY);
                }
            }
            None => {}
        }
    }

    /// One node was counted, and a look that was sent after that found no Lease.
    fn alone(&mut self) {
        // A count that came while the look was under way has a look of its own.
        self.unlooked = self.looked_after < self.counted;
        self.right = Some(self.looked_after + (TERM - MARGIN));
    }

    /// A request that changes the cluster ended without an answer: it may come into force within [`MARGIN`].
    pub fn unanswered(&mut self, now: Mono) {
        self.unsettled = Some(now + MARGIN);
    }

    /// How to give the Lease back, if it is ours and nothing of ours can be under way. The caller starts nothing more.
    pub fn release(&self, now: Mono) -> Option<Call> {
        let settled = self.asked.is_none() && self.unsettled.is_none_or(|until| until <= now);
        let held =
            self.seen.as_ref().and_then(|(seen, _)| seen.clone()).filter(|seen| seen.holder == self.me);
        let base = held.filter(|_| self.contest && settled && !self.blind)?;
        Some(Call::Write { base: Some(base), holder: String::new() })
    }

    /// Until when the cluster may be written to; `None`: not now.
    pub fn fence(&self, now: Mono) -> Option<Mono> {
        self.right.filter(|until| *until > now)
    }

    /// Whether this agent tells of the cluster as a whole: who is alone or leads. While the API server lets nobody have
    /// the Lease, all of them: a row that comes twice is better than none.
    pub fn reports(&self, now: Mono) -> bool {
        match self.contest {
            true => self.refused.is_some() || self.fence(now).is_some(),
            false => self.right.is_some(),
        }
    }

    /// Whether a Lease decides: then others may have led before.
    pub fn is_shared(&self) -> bool {
        self.contest
    }

    /// Why nobody can lead; `None` where nobody has to.
    pub fn trouble(&self) -> Option<&Reason> {
        self.refused.as_ref().filter(|_| self.contest)
    }

    /// Whom a Lease names that this agent holds.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// `unknown`, `alone`, `candidate` or `leader`.
    pub fn state(&self, now: Mono) -> &'static str {
        match (self.nodes, self.contest, self.fence(now)) {
            (_, true, Some(_)) => "leader",
            (_, true, None) => "candidate",
            (None, ..) => "unknown",
            (_, false, _) => "alone",
        }
    }

    /// Whom the Lease names, as it was last seen.
    pub fn holder(&self) -> Option<&str> {
        let seen = self.seen.as_ref()?.0.as_ref()?;
        Some(&seen.holder).filter(|holder| !holder.is_empty()).map(String::as_str)
    }
}
