//! Cluster metadata: what changed goes out, whole once a day and after each start.
//!
//! A delta names every column that differs from the last report that is durable, so a report that could not be kept is
//! covered by the next one. What could not be observed is not reported: a cluster that does not answer has not lost its
//! nodes.

use crate::core::Reason;
use serde::{Deserialize, Serialize};

/// The key of metadata reports.
pub const KEY: &str = "cluster";

/// What is observed of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The API server's `gitVersion`: `v1.36.3+k3s1`.
    pub kubernetes_version: String,
    /// Nodes.
    pub node_count: u64,
    /// vCPUs of all nodes, rounded down.
    pub vcpu_count: u64,
    /// arclet's version.
    pub agent_version: String,
}

impl Facts {
    /// Facts that no cluster has are a bad observation, and not news.
    pub fn check(&self) -> Result<(), Reason> {
        if self.kubernetes_version.is_empty() || self.kubernetes_version.len() > 256 {
            return Err(Reason::new("BadObservation", "the API server gave no usable version")
                .cure("check with `kubectl version` that the configured server is a Kubernetes API server"));
        }
        if self.node_count == 0 {
            return Err(Reason::new("BadObservation", "the API server listed no nodes")
                .cure("check with `kubectl get nodes` that the cluster has registered its nodes"));
        }
        Ok(())
    }
}

/// The columns of a report: in a delta only those that changed.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kubernetes_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vcpu_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_version: Option<&'a str>,
}

/// What is to be reported, against what is known to be durable.
#[derive(Clone, Debug, Default)]
pub struct Metadata {
    /// What was seen and is not yet covered by a durable report.
    fresh: Option<Facts>,
    /// The last report that is durable; none: the next one is whole.
    base: Option<Facts>,
}

/// A report on its way into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What it says, for [`Metadata::durable`].
    pub facts: Facts,
    /// Whether it has all columns.
    pub whole: bool,
    /// The record's body.
    pub body: Vec<u8>,
}

impl Metadata {
    /// What was seen just now.
    pub fn observed(&mut self, facts: Facts) {
        self.fresh = (self.base.as_ref() != Some(&facts)).then_some(facts);
    }

    /// The report of the next observation has all columns: a day has passed, or one was lost.
    pub fn whole_next(&mut self) {
        self.base = None;
    }

    /// What is to be reported, if anything is.
    pub fn draft(&self) -> Option<Draft> {
        let facts = self.fresh.clone()?;
        let base = self.base.as_ref();
        fn changed<T: PartialEq>(base: Option<T>, now: T) -> Option<T> {
            (base.as_ref() != Some(&now)).then_some(now)
        }
        let row = Row {
            kind: if base.is_some() { "delta" } else { "whole" },
            kubernetes_version: changed(
                base.map(|b| b.kubernetes_version.as_str()),
                facts.kubernetes_version.as_str(),
            ),
            node_count: changed(base.map(|b| b.node_count), facts.node_count),
            vcpu_count: changed(base.map(|b| b.vcpu_count), facts.vcpu_count),
            agent_version: changed(base.map(|b| b.agent_version.as_str()), facts.agent_version.as_str()),
        };
        // Text and numbers only: there is nothing in here that could fail to serialise.
        let body = serde_json::to_vec(&row).unwrap_or_default();
        Some(Draft { whole: base.is_none(), facts, body })
    }

    /// A report of these facts is durable.
    pub fn durable(&mut self, facts: Facts) {
        if self.fresh.as_ref() == Some(&facts) {
            self.fresh = None;
        }
        self.base = Some(facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: &str, nodes: u64) -> Facts {
        Facts {
            kubernetes_version: version.into(),
            node_count: nodes,
            vcpu_count: 8,
            agent_version: "0.1.0".into(),
        }
    }

    fn text(draft: Option<Draft>) -> String {
        String::from_utf8(draft.unwrap().body).unwrap()
    }

    #[test]
    fn the_first_report_is_whole_and_then_only_what_changed_goes_out() {
        let mut metadata = Metadata::default();
        assert_eq!(metadata.draft(), None, "nothing observed, nothing said");
        metadata.observed(facts("v1.36.3+k3s1", 3));
        let whole = metadata.draft().unwrap();
        assert!(whole.whole);
        assert_eq!(
            String::from_utf8(whole.body).unwrap(),
            r#"{"Kind":"whole","KubernetesVersion":"v1.36.3+k3s1","NodeCount":3,"VcpuCount":8,"AgentVersion":"0.1.0"}"#
        );
        metadata.durable(whole.facts);
        assert_eq!(metadata.draft(), None);
        metadata.observed(facts("v1.36.3+k3s1", 4));
        assert_eq!(text(metadata.draft()), r#"{"Kind":"delta","NodeCount":4}"#);
    }

    #[test]
    fn a_report_that_was_not_kept_is_covered_by_the_next_one() {
        let mut metadata = Metadata::default();
        metadata.observed(facts("v1", 3));
        metadata.durable(facts("v1", 3));
        metadata.observed(facts("v1", 4));
        assert!(metadata.draft().is_some()); // never becomes durable
        metadata.observed(facts("v2", 4));
        assert_eq!(text(metadata.draft()), r#"{"Kind":"delta","KubernetesVersion":"v2","NodeCount":4}"#);
    }

    #[test]
    fn after_a_day_or_a_loss_the_report_is_whole_though_nothing_changed() {
        let mut metadata = Metadata::default();
        metadata.observed(facts("v1", 3));
        metadata.durable(facts("v1", 3));
        metadata.whole_next();
        assert_eq!(metadata.draft(), None, "what was seen a day ago is no news");
        metadata.observed(facts("v1", 3));
        assert!(metadata.draft().unwrap().whole);
    }

    #[test]
    fn an_answer_without_nodes_or_version_is_not_an_observation() {
        assert_eq!(facts("v1", 0).check().unwrap_err().code, "BadObservation");
        assert_eq!(facts("", 1).check().unwrap_err().code, "BadObservation");
        assert_eq!(facts("v1", 1).check(), Ok(()));
    }
}
