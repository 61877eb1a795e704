//! What the core has to say, on its way into the store: heartbeats into the state lane, everything else into the
//! report lane, each with at most one enqueue under way.
//!
//! What a full store does not take is not queued here: the heartbeat is made anew, metadata is covered by the next
//! delta, losses and gaps stay where they are counted. Only refused records are listed, a few of them; the rest is a
//! number.

use super::desired::News;
use super::{Lane, Loss, Reason, Seq, Stream};
use crate::scenario::flux::Installation;
use crate::scenario::metadata::Facts;
use std::collections::VecDeque;

/// A record that was set aside and not reported yet.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its lane.
    pub lane: Lane,
    /// Its stream.
    pub stream: Stream,
    /// Its number.
    pub seq: Seq,
    /// The server's words.
    pub reason: Reason,
}

/// What an enqueue into the report lane carries, for when its answer comes.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// A metadata report: its facts, and whether it is whole.
    pub metadata: Option<(Facts, bool)>,
    /// Reports on documents of the desired state.
    pub documents: Vec<News>,
    /// A report on the installation of Flux.
    pub installation: Option<Installation>,
    /// The report on newer releases.
    pub upgrade: Option<Vec<u8>>,
    /// A gap report.
    pub gap: bool,
    /// Loss reports.
    pub losses: Vec<Loss>,
    /// Quarantine reports, from the front of the list.
    pub refusals: usize,
    /// Refusals beyond the list that one of them counts.
    pub others: u64,
}

/// An enqueue under way, and whether the last one failed.
#[derive(Clone, Debug, Default)]
pub struct Way {
    ticket: Option<u64>,
    /// Not before the store's timer.
    pub blocked: bool,
}

impl Way {
    /// Whether an enqueue may start.
    pub fn free(&self) -> bool {
        self.ticket.is_none() && !self.blocked
    }

    /// Whether the ticket is this way's; it is free again then.
    fn answered(&mut self, ticket: u64) -> bool {
        let mine = self.ticket == Some(ticket);
        if mine {
            self.ticket = None;
        }
        mine
    }
}

/// Which enqueue an answer belongs to.
#[derive(Clone, Debug)]
pub enum Answered {
    /// That of a heartbeat.
    Heartbeat,
    /// That of reports.
    Reports(Box<Carried>),
}

/// Everything that waits to be said.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    tickets: u64,
    /// Into the state lane.
    pub state: Way,
    /// Into the report lane.
    pub report: Way,
    carried: Carried,
    losses: Vec<Loss>,
    /// The totals that durable reports carry, by lane and cause: an older look at the store tells nothing new.
    told: Vec<Loss>,
    /// The store is told that losses are reported.
    pub marking: bool,
    refusals: VecDeque<Refusal>,
    others: u64,
}

impl Reports {
    /// A heartbeat goes; returns its ticket.
    pub fn heartbeat_goes(&mut self) -> u64 {
        self.tickets += 1;
        self.state.ticket = Some(self.tickets);
        self.tickets
    }

    /// Reports go; returns their ticket.
    pub fn reports_go(&mut self, carried: Carried) -> u64 {
        self.tickets += 1;
        self.report.ticket = Some(self.tickets);
        self.carried = carried;
        self.tickets
    }

    /// Whose answer this is.
    pub fn answered(&mut self, ticket: u64) -> Option<Answered> {
        if self.state.answered(ticket) {
            return Some(Answered::Heartbeat);
        }
        self.report.answered(ticket).then(|| Answered::Reports(Box::new(std::mem::take(&mut self.carried))))
    }

    /// What the store says is lost and unreported. Returns what is new since the last look.
    pub fn lost(&mut self, losses: &[Loss]) -> Vec<Loss> {
        let mut news = Vec::new();
        for loss in losses.iter().filter(|l| l.count > 0) {
            let same = |l: &&Loss| l.lane == loss.lane && l.cause == loss.cause;
            let told = self.told.iter().find(same).map_or(0, |l| l.total);
            if loss.total <= told {
                continue;
            }
            let fresh = Loss { count: loss.count.min(loss.total - told), ..*loss };
            if self.losses.iter().find(same).is_none_or(|l| l.total < loss.total) {
                news.push(fresh);
            }
            self.losses.retain(|l| !same(&l));
            self.losses.push(fresh);
        }
        news
    }

    /// Losses that are to be reported.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// These are in a durable report.
    pub fn losses_told(&mut self, losses: &[Loss]) {
        for loss in losses {
            let same = |l: &Loss| l.lane == loss.lane && l.cause == loss.cause;
            self.told.retain(|l| !same(l));
            self.told.push(*loss);
            // What came on top meanwhile stays to be told.
            for open in self.losses.iter_mut().filter(|l| same(l)) {
                open.count = open.count.min(open.total.saturating_sub(loss.total));
            }
        }
        self.losses.retain(|l| l.count > 0);
    }

    /// A record was set aside.
    pub fn refused(&mut self, refusal: Refusal) {
        if self.refusals.len() < LISTED_MOST {
            self.refusals.push_back(refusal);
        } else {
            self.others += 1;
        }
    }

    /// Only counts a record that was set aside.
    pub fn refused_too(&mut self) {
        self.others += 1;
    }

    /// What was set aside and is not reported, and how many beyond the list.
    pub fn refusals(&self) -> (&VecDeque<Refusal>, u64) {
        (&self.refusals, self.others)
    }

    /// So many of the list, and of those beyond it, are in a durable report.
    pub fn refusals_told(&mut self, listed: usize, others: u64) {
        self.refusals.drain(..listed.min(self.refusals.len()));
        self.others = self.others.saturating_sub(others);
    }

    /// Whether there is anything to say, or being said.
    pub fn pending(&self) -> bool {
        self.state.ticket.is_some()
            || self.report.ticket.is_some()
            || !self.losses.is_empty()
            || !self.refusals.is_empty()
    }
}

/// Refusals that get a report of their own while the store takes none.
const LISTED_MOST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::LossCause;

    fn loss(count: u64, total: u64) -> Loss {
        Loss { lane: Lane::Logs, cause: LossCause::Quota, count, total }
    }

    #[test]
    fn each_loss_is_told_once_whatever_the_order_in_which_the_store_answers() {
        let mut reports = Reports::default();
        assert_eq!(reports.lost(&[loss(5, 5)]), [loss(5, 5)]);
        assert_eq!(reports.lost(&[loss(5, 5)]), [], "no news");
        reports.losses_told(&[loss(5, 5)]);
        assert!(reports.losses().is_empty());
        // A look at the store from before its mark moved: two more, the five are told.
        reports.lost(&[loss(7, 7)]);
        assert_eq!(reports.losses(), [loss(2, 7)]);
        reports.lost(&[loss(3, 8)]);
        assert_eq!(reports.losses(), [loss(3, 8)]);
    }

    #[test]
    fn what_is_lost_while_a_report_is_on_its_way_stays_to_be_told() {
        let mut reports = Reports::default();
        reports.lost(&[loss(5, 5)]);
        let carried = reports.losses().to_vec();
        reports.lost(&[loss(9, 9)]);
        reports.losses_told(&carried);
        assert_eq!(reports.losses(), [loss(4, 9)]);
    }

    #[test]
    fn refusals_are_listed_up_to_a_bound_and_counted_beyond() {
        let mut reports = Reports::default();
        for seq in 1..=20 {
            let reason = Reason::new("BadRecord", "no");
            reports.refused(Refusal { lane: Lane::Logs, stream: Stream::Heartbeat, seq, reason });
        }
        let (listed, others) = reports.refusals();
        assert_eq!((listed.len(), others), (16, 4));
        reports.refusals_told(16, 4);
        let (listed, others) = reports.refusals();
        assert_eq!((listed.len(), others), (0, 0));
    }

    #[test]
    fn an_answer_belongs_to_the_enqueue_with_its_ticket() {
        let mut reports = Reports::default();
        let beat = reports.heartbeat_goes();
        let rest = reports.reports_go(Carried { gap: true, ..Carried::default() });
        assert!(!reports.state.free() && !reports.report.free());
        assert!(matches!(reports.answered(rest), Some(Answered::Reports(c)) if c.gap));
        assert!(matches!(reports.answered(beat), Some(Answered::Heartbeat)));
        assert!(reports.answered(beat).is_none());
    }
}
