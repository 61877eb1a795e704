//! What to send next, and what an answer means for the records that were sent.
//!
//! A slot is one stream of one lane: a queue in the store, sent in order, one batch at a time. Slots know nothing of
//! each other: a slot that fails waits alone. Records themselves are never here, only how many of them may go.
//!
//! ```text
//!     Idle ──next──▶ Sending ──success──▶ Acking ──durable──▶ Idle
//!                       ├──the one at fault──▶ SettingAside ──durable──▶ Idle
//!                       └──anything else──▶ Idle, later
//! ```
//!
//! A delivered batch stays where it is until the server's success is known; only then is the store told to delete it.

use super::backoff::{Draw, ceiling};
use super::link::Config;
use super::window::Window;
use super::{Action, Lane, Mono, Outcome, Random, Reason, Seq, Stream};
use std::time::Duration;

/// What a slot does.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Sending,
    Acking { through: Seq, told: Told },
    SettingAside { seq: Seq, reason: Reason, told: Told },
}

/// Whether the store knows what it has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    NotYet,
    /// And has not answered.
    Yes,
    /// And could not do it.
    InVain,
}

/// One stream of one lane.
#[derive(Clone, Debug)]
struct Slot {
    lane: Lane,
    stream: Stream,
    /// The store may have something.
    waiting: bool,
    phase: Phase,
    window: Window,
    not_before: Option<Mono>,
    /// Refused as set up wrongly: why.
    refused: Option<Reason>,
    /// Failures in a row, of any kind.
    failures: u32,
    /// Failures in a row that no other slot had: the link was up before.
    alone: u32,
    /// Records set aside in a row, with no success between.
    aside: u32,
    /// When it was last served, in calls.
    served: u64,
}

/// What an answer means beyond the slot itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Delivered: the server has so many records more.
    Delivered,
    /// The API answered, and the slot goes on with fewer records or without the one at fault.
    Narrowed,
    /// The slot waits; others may go on.
    Refused,
    /// The endpoint is at fault, not the slot.
    Endpoint,
    /// There was no such call.
    Stray,
}

/// All slots.
#[derive(Clone, Debug)]
pub struct Outbox {
    slots: Vec<Slot>,
    calls: u64,
}

impl Outbox {
    /// Everything idle and nothing known to wait.
    pub fn new(most_records: usize, most_bytes: usize) -> Outbox {
        let slots = Lane::ALL
            .into_iter()
            .flat_map(|lane| Stream::ALL.into_iter().map(move |stream| (lane, stream)))
            .map(|(lane, stream)| Slot {
                lane,
                stream,
                waiting: false,
                phase: Phase::Idle,
                window: Window::new(most_records, most_bytes),
                not_before: None,
                refused: None,
                failures: 0,
                alone: 0,
                aside: 0,
                served: 0,
            })
            .collect();
        Outbox { slots, calls: 0 }
    }

    /// Another size of a full batch.
    pub fn resize(&mut self, most_records: usize, most_bytes: usize) {
        for slot in &mut self.slots {
            slot.window.resize(most_records, most_bytes);
        }
    }

    /// The store has something here.
    pub fn waiting(&mut self, lane: Lane, stream: Stream) {
        if let Some(slot) = self.slot(lane, stream) {
            slot.waiting = true;
        }
    }

    /// Whether anything waits or is under way.
    pub fn busy(&self) -> bool {
        self.slots.iter().any(|s| s.waiting || s.phase != Phase::Idle)
    }

    /// Whether anything waits that could go by `now`.
    pub fn wants(&self, now: Mono, bulk: bool) -> bool {
        self.slots.iter().any(|s| s.could_go(now, bulk))
    }

    /// The next batch. With a link that is up, the most important lane goes first, and each eighth call serves who
    /// waited longest, so that no lane starves. With one that is not, those that failed least: a batch that breaks the
    /// server must not hide that the link is back. `bulk`: lanes other than the state lane may go.
    pub fn next(&mut self, now: Mono, link_up: bool, bulk: bool) -> Option<Action> {
        let fair = self.calls % FAIR == FAIR - 1;
        let candidates = self.slots.iter_mut().filter(|s| s.could_go(now, bulk));
        let slot = candidates.min_by_key(|s| match (link_up, fair) {
            (false, _) => (u64::from(s.failures), s.lane as u64, s.served),
            (true, true) => (s.served, 0, 0),
            (true, false) => (s.lane as u64, s.served, 0),
        })?;
        self.calls += 1;
        slot.served = self.calls;
        slot.phase = Phase::Sending;
        slot.not_before = None;
        let (max_records, max_bytes) = slot.window.next();
        Some(Action::Deliver { lane: slot.lane, stream: slot.stream, max_records, max_bytes })
    }

    /// The store had nothing to send.
    pub fn nothing(&mut self, lane: Lane, stream: Stream) {
        if let Some(slot) = self.sending(lane, stream) {
            slot.phase = Phase::Idle;
            slot.waiting = false;
        }
    }

    /// The store could not read; later.
    pub fn unread(&mut self, now: Mono, rng: &mut dyn Random, lane: Lane, stream: Stream) {
        if let Some(slot) = self.sending(lane, stream) {
            slot.phase = Phase::Idle;
            slot.failures = slot.failures.saturating_add(1);
            slot.not_before = Some(now + rng.between(UNREAD / 2, UNREAD));
        }
    }

    /// An answer. `link_was_up`: the call before this one had come through. `span` is the batch's first and last number.
    #[allow(clippy::too_many_arguments)] // each is one fact of the answer; a struct would only rename them
    pub fn answered(
        &mut self,
        now: Mono,
        rng: &mut dyn Random,
        link: &Config,
        link_was_up: bool,
        (lane, stream): (Lane, Stream),
        (first, through): (Seq, Seq),
        records: usize,
        outcome: &Outcome,
    ) -> Verdict {
        let Some(slot) = self.sending(lane, stream) else { return Verdict::Stray };
        slot.phase = Phase::Idle;
        if !matches!(outcome, Outcome::Success) {
            slot.failures = slot.failures.saturating_add(1);
        }
        match outcome {
            Outcome::Success => {
                slot.window.delivered(records);
                (slot.failures, slot.alone, slot.aside, slot.refused) = (0, 0, 0, None);
                slot.phase = Phase::Acking { through, told: Told::NotYet };
                Verdict::Delivered
            }
            Outcome::TooLarge(reason) | Outcome::BadRecord(reason) => {
                let at_fault = match outcome {
                    Outcome::TooLarge(_) => slot.window.too_large(records),
                    _ => slot.window.bad(records),
                };
                if at_fault {
                    slot.phase =
                        Phase::SettingAside { seq: first, reason: reason.clone(), told: Told::NotYet };
                }
                Verdict::Narrowed
            }
            Outcome::Refused(reason) => {
                slot.refused = Some(reason.clone());
                slot.not_before = Some(now + link.refused_delay(rng));
                Verdict::Refused
            }
            Outcome::Unreachable(_) if link_was_up => {
                // The first of these is an outage as often as not; the more of them in a row, the surer it is this slot.
                slot.alone = slot.alone.saturating_add(1);
                slot.not_before = Some(now + rng.up_to(ceiling(ALONE, ALONE_MOST, slot.alone)));
                Verdict::Endpoint
            }
            Outcome::Unreachable(_) | Outcome::Unauthorized { .. } | Outcome::Throttled { .. } => {
                Verdict::Endpoint
            }
        }
    }

    /// The next thing that the store must be told.
    pub fn tell(&mut self) -> Option<Action> {
        self.slots.iter_mut().find_map(|slot| {
            let (lane, stream) = (slot.lane, slot.stream);
            match &mut slot.phase {
                Phase::Acking { through, told: told @ Told::NotYet } => {
                    *told = Told::Yes;
                    Some(Action::Ack { lane, stream, through: *through })
                }
                Phase::SettingAside { seq, reason, told: told @ Told::NotYet } => {
                    *told = Told::Yes;
                    Some(Action::Quarantine { lane, stream, seq: *seq, reason: reason.clone() })
                }
                _ => None,
            }
        })
    }

    /// The store has deleted what was delivered. False if that is not what it was told.
    pub fn acked(&mut self, lane: Lane, stream: Stream, acked: Seq) -> bool {
        match self.slot(lane, stream) {
            Some(slot) if matches!(slot.phase, Phase::Acking { through, .. } if through == acked) => {
                slot.phase = Phase::Idle;
                true
            }
            _ => false,
        }
    }

    /// The store has set the record aside; returns why it was. A slot in which nothing is ever accepted slows down to
    /// one record per slow retry: then it is not the records.
    pub fn set_aside(
        &mut self,
        now: Mono,
        rng: &mut dyn Random,
        link: &Config,
        lane: Lane,
        stream: Stream,
        aside: Seq,
    ) -> Option<Reason> {
        let slot = self.slot(lane, stream)?;
        let Phase::SettingAside { seq, reason, .. } = &slot.phase else { return None };
        if *seq != aside {
            return None;
        }
        let reason = reason.clone();
        slot.phase = Phase::Idle;
        slot.window.set_aside();
        slot.aside = slot.aside.saturating_add(1);
        if slot.aside >= ASIDE_MOST {
            slot.not_before = Some(now + link.refused_delay(rng));
        }
        Some(reason)
    }

    /// The store could not delete what was delivered; [`Outbox::tell_again`] says when to tell it again. Until then
    /// nothing more goes: what was delivered would go twice.
    pub fn not_acked(&mut self, lane: Lane, stream: Stream) {
        if let Some(slot) = self.slot(lane, stream)
            && let Phase::Acking { told, .. } = &mut slot.phase
        {
            *told = Told::InVain;
        }
    }

    /// The store could not set the record aside. It may not be at the head any more (a quota drops the oldest), so it is
    /// not insisted on: what is at the head goes again, later, and the server judges it anew.
    pub fn not_set_aside(&mut self, now: Mono, rng: &mut dyn Random, lane: Lane, stream: Stream) {
        if let Some(slot) = self.slot(lane, stream)
            && matches!(slot.phase, Phase::SettingAside { .. })
        {
            slot.phase = Phase::Idle;
            slot.window.set_aside();
            slot.not_before = Some(now + rng.between(UNREAD / 2, UNREAD));
        }
    }

    /// Tells the store again what it could not do.
    pub fn tell_again(&mut self) {
        for slot in &mut self.slots {
            if let Phase::Acking { told, .. } = &mut slot.phase
                && *told == Told::InVain
            {
                *told = Told::NotYet;
            }
        }
    }

    /// Nobody waits any longer.
    pub fn hint(&mut self) {
        for slot in &mut self.slots {
            slot.not_before = None;
        }
    }

    /// When the next slot that waits alone may go.
    pub fn not_before(&self) -> Option<Mono> {
        self.slots.iter().filter(|s| s.waiting && s.phase == Phase::Idle).filter_map(|s| s.not_before).min()
    }

    /// The streams that are refused as set up wrongly, and why.
    pub fn refused(&self) -> impl Iterator<Item = (Stream, &Reason)> {
        self.slots.iter().filter_map(|s| s.refused.as_ref().map(|reason| (s.stream, reason)))
    }

    /// Whether every slot that has something to send is refused: then it is the endpoint.
    pub fn all_refused(&self) -> bool {
        self.slots.iter().filter(|s| s.waiting).all(|s| s.refused.is_some())
    }

    /// Whether the slot is being refused for what it holds, record after record.
    pub fn hopeless(&self, lane: Lane, stream: Stream) -> bool {
        self.slots.iter().any(|s| s.lane == lane && s.stream == stream && s.aside >= ASIDE_MOST)
    }

    fn slot(&mut self, lane: Lane, stream: Stream) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|s| s.lane == lane && s.stream == stream)
    }

    fn sending(&mut self, lane: Lane, stream: Stream) -> Option<&mut Slot> {
        self.slot(lane, stream).filter(|s| s.phase == Phase::Sending)
    }
}

impl Slot {
    fn could_go(&self, now: Mono, bulk: bool) -> bool {
        self.waiting
            && self.phase == Phase::Idle
            && (bulk || self.lane == Lane::State)
            && self.not_before.is_none_or(|at| at <= now)
    }
}

/// Each so many calls, who waited longest is served.
const FAIR: u64 = 8;
/// A slot that fails while others come through waits so long, then twice as long, and so on.
const ALONE: Duration = Duration::from_secs(1);
/// And never longer than this.
const ALONE_MOST: Duration = Duration::from_secs(300);
/// A store that could not read is asked again after this at most.
const UNREAD: Duration = Duration::from_secs(30);
/// So many records set aside in a row: from there on slowly, for it may be the rule and not the records.
const ASIDE_MOST: u32 = 8;

#[cfg(test)]
mod tests;
