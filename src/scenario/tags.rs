//! Coarse facts as tags of the ARM resource, for lists and queries that see no workspace.
//!
//! Merged beside the tags of others, sent only when they differ from what was last sent, and rarely: ARM's write quota
//! is shared with everyone in the subscription.

use super::metadata::Facts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What all of arclet's tags begin with; no other tag is ever touched.
pub const PREFIX: &str = "arclet-";

/// The tags that tell of these facts.
pub fn of(facts: &Facts) -> BTreeMap<String, String> {
    [
        ("kubernetes-version", facts.kubernetes_version.clone()),
        ("node-count", facts.node_count.to_string()),
        ("vcpu-count", facts.vcpu_count.to_string()),
        ("agent-version", facts.agent_version.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (format!("{PREFIX}{name}"), value.chars().take(VALUE_MOST).collect()))
    .collect()
}

#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    tags: BTreeMap<String, String>,
}

/// What was last sent and what is to be sent.
#[derive(Clone, Debug, Default)]
pub struct Tags {
    sent: Option<BTreeMap<String, String>>,
}

impl Tags {
    /// As they were remembered.
    pub fn restore(content: Option<&[u8]>) -> Tags {
        let document = content.and_then(|c| serde_json::from_slice::<Document>(c).ok());
        Tags { sent: document.filter(|d| d.v == VERSION).map(|d| d.tags) }
    }

    /// Whether tags were ever sent, by this process or an earlier one.
    pub fn sent(&self) -> bool {
        self.sent.is_some()
    }

    /// The tags to send, if they differ from those that were.
    pub fn due(&self, facts: &Facts) -> Option<BTreeMap<String, String>> {
        let tags = of(facts);
        (self.sent.as_ref() != Some(&tags)).then_some(tags)
    }

    /// They have arrived. Returns the document to remember.
    pub fn arrived(&mut self, tags: BTreeMap<String, String>) -> Vec<u8> {
        let document = Document { v: VERSION, tags };
        let content = serde_json::to_vec(&document).unwrap_or_default();
        self.sent = Some(document.tags);
        content
    }
}

const VERSION: u32 = 1;
/// ARM's limit of a tag's value.
const VALUE_MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(nodes: u64) -> Facts {
        Facts {
            kubernetes_version: "v1.36.3+k3s1".into(),
            node_count: nodes,
            vcpu_count: 8,
            agent_version: "0.1.0".into(),
        }
    }

    #[test]
    fn tags_are_sent_on_change_only_and_a_restart_is_no_change() {
        let mut tags = Tags::restore(None);
        assert!(!tags.sent());
        let due = tags.due(&facts(3)).unwrap();
        assert!(due.keys().all(|k| k.starts_with(PREFIX)));
        assert_eq!(due["arclet-node-count"], "3");
        let document = tags.arrived(due);
        assert_eq!(tags.due(&facts(3)), None);
        let restored = Tags::restore(Some(&document));
        assert_eq!(restored.due(&facts(3)), None);
        assert!(restored.due(&facts(4)).is_some());
    }

    #[test]
    fn a_document_of_another_version_is_as_good_as_none() {
        assert!(!Tags::restore(Some(br#"{"v":2,"tags":{}}"#)).sent());
    }

    #[test]
    fn a_value_is_never_longer_than_arm_takes() {
        let mut long = facts(1);
        long.kubernetes_version = "é".repeat(400);
        assert_eq!(of(&long)["arclet-kubernetes-version"].chars().count(), 256);
    }
}
