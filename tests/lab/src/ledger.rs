//! What was acknowledged, what arrived, and the difference: the lab's only judge.
//!
//! Acknowledged is what the agent wrote to its `--ack-log` after the sync; nothing else counts as sent.

use crate::wish::Seen;
use std::collections::{HashMap, HashSet};

/// Counts by MessageId. Only the report lane is judged for loss: in the state lane a newer value replaces an older one
/// that was not delivered yet, which is its purpose.
#[derive(Default)]
pub struct Ledger {
    acknowledged: HashSet<String>,
    arrived: HashMap<String, u64>,
}

/// The lab's last word, printed by `--summary json`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Reports that the agent acknowledged as durable.
    pub sent: u64,
    /// Of these, how many arrived at least once.
    pub arrived: u64,
    /// Arrivals beyond the first of the same MessageId.
    pub duplicated: u64,
    /// Acknowledged and never arrived.
    pub lost: u64,
    /// How often the link was cut.
    pub outages: u64,
    /// How often the agent was killed with SIGKILL.
    pub kills: u64,
    /// What was seen of desired state; absent on a real cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desired: Option<Seen>,
}

impl Ledger {
    /// A MessageId from the ack log.
    pub fn acknowledge(&mut self, id: &str) {
        if is_report(id) {
            self.acknowledged.insert(id.to_owned());
        }
    }

    /// A MessageId in a row that arrived.
    pub fn arrive(&mut self, id: &str) {
        if is_report(id) {
            *self.arrived.entry(id.to_owned()).or_default() += 1;
        }
    }

    /// Acknowledged reports.
    pub fn sent(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    /// Acknowledged reports that have not arrived yet. (A report that arrived before its acknowledgement was read is not
    /// counted on either side until it is.)
    pub fn missing(&self) -> u64 {
        self.acknowledged.iter().filter(|id| !self.arrived.contains_key(*id)).count() as u64
    }

    /// Arrivals beyond the first.
    pub fn duplicated(&self) -> u64 {
        self.arrived.values().map(|n| n - 1).sum()
    }

    /// The last word.
    pub fn summary(&self, outages: u64, kills: u64) -> Summary {
        let lost = self.missing();
        Summary {
            sent: self.sent(),
            arrived: self.sent() - lost,
            duplicated: self.duplicated(),
            lost,
            outages,
            kills,
            desired: None,
        }
    }
}

impl Summary {
    /// Why this run does not show what the lab promises, if it does not. On a cluster that changes rarely (`quiet`) one
    /// report is enough.
    pub fn objection(&self, quiet: bool) -> Option<String> {
        if quiet && self.lost == 0 {
            (self.sent == 0).then(|| "nothing was reported".to_owned())
        } else if self.lost > 0 {
            Some(format!("{} acknowledged reports never arrived", self.lost))
        } else if self.sent < 1_000 || self.outages < 3 || self.kills < 1 {
            Some(format!(
                "too little happened to prove anything: {} reports (1000 wanted), {} outages (3), {} kill -9 (1); give it more time with --for",
                self.sent, self.outages, self.kills
            ))
        } else {
            self.desired.as_ref().and_then(Seen::objection)
        }
    }
}

fn is_report(id: &str) -> bool {
    id.contains("-report-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> String {
        format!("00ff-report-{n}")
    }

    #[test]
    fn an_acknowledged_report_that_never_arrives_is_lost_and_objected_to() {
        let mut ledger = Ledger::default();
        for n in 0..1_500 {
            ledger.acknowledge(&id(n));
            if n != 7 {
                ledger.arrive(&id(n));
            }
        }
        let summary = ledger.summary(3, 1);
        assert_eq!((summary.sent, summary.arrived, summary.lost), (1_500, 1_499, 1));
        assert!(summary.objection(false).is_some_and(|o| o.contains("1 acknowledged")));
        ledger.arrive(&id(7));
        assert_eq!(ledger.summary(3, 1).objection(false), None);
    }

    #[test]
    fn a_second_arrival_is_a_duplicate_and_not_a_second_report() {
        let mut ledger = Ledger::default();
        ledger.acknowledge(&id(1));
        ledger.arrive(&id(1));
        ledger.arrive(&id(1));
        let summary = ledger.summary(0, 0);
        assert_eq!((summary.sent, summary.arrived, summary.duplicated, summary.lost), (1, 1, 1, 0));
    }

    #[test]
    fn a_superseded_heartbeat_is_no_loss() {
        let mut ledger = Ledger::default();
        ledger.acknowledge("00ff-state-5");
        assert_eq!(ledger.summary(0, 0).lost, 0);
    }

    #[test]
    fn a_quiet_run_is_objected_to() {
        assert!(Ledger::default().summary(3, 1).objection(false).is_some());
        assert!(Ledger::default().summary(3, 1).objection(true).is_some());
    }
}
