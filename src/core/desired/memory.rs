//! The little that must survive a restart beside the cache itself: whose the documents are, and which of them go.

use super::*;
use serde::{Deserialize, Serialize};

/// JSON, so that a newer arclet reads it with more fields and an older one with fewer.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Memory {
    version: u32,
    parent: Option<String>,
    documents: BTreeMap<String, Mark>,
}

/// What is remembered of a document. What is not remembered is wanted, and never withdrawn by its absence alone.
#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Mark {
    /// Seen under the parent that is remembered.
    Ours,
    /// And missing since.
    Missing,
    Withdrawing,
    Orphan,
}

const VERSION: u32 = 1;

impl Desired {
    /// What is to be remembered, if it has changed since it was last asked for.
    pub fn document(&mut self) -> Option<Vec<u8>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mark = |document: &Document| match document.life {
            // Also when nothing is left: the listing that shows it as leaving puts its content into the cache again.
            Life::Withdrawing(_) | Life::Withdrawn => Some(Mark::Withdrawing),
            Life::Orphan => Some(Mark::Orphan),
            _ if document.missing > 0 => Some(Mark::Missing),
            _ if document.ours => Some(Mark::Ours),
            _ => None,
        };
        let documents =
            self.documents.iter().filter_map(|(key, document)| Some((key.to_string(), mark(document)?)));
        let memory = Memory { version: VERSION, parent: self.parent.clone(), documents: documents.collect() };
        serde_json::to_vec(&memory).ok()
    }

    /// Takes up what was remembered. What cannot be read is forgotten: then documents are wanted that were going, and go
    /// again by the same rule.
    pub(super) fn recall(&mut self, now: Now, remembered: Option<&[u8]>) {
        let memory: Memory =
            remembered.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        self.parent = memory.parent;
        for (name, mark) in memory.documents {
            let Some(key) = Key::parse(&name) else { continue };
            // Not in the cache, but objects of it may be in the cluster still.
            let nothing = || Document::new(now, Digest([0; 32]), Life::Orphan, None);
            match mark {
                Mark::Ours | Mark::Missing => {
                    if let Some(document) = self.documents.get_mut(&key) {
                        document.ours = true;
                        document.missing = u8::from(matches!(mark, Mark::Missing));
                    }
                }
                Mark::Withdrawing => {
                    let document = self.documents.entry(key).or_insert_with(nothing);
                    document.enter(now, Life::Withdrawing(None));
                    document.due = Some(now.mono);
                }
                Mark::Orphan => {
                    if let Some(document) = self.documents.get_mut(&key) {
                        document.abandon(now);
                    }
                }
            }
        }
    }
}
