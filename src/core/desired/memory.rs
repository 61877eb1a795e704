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

/// What is remembered of a document that is not simply wanted.
#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Mark {
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
            Life::Withdrawing(_) => Some(Mark::Withdrawing),
            Life::Orphan => Some(Mark::Orphan),
            _ if document.missing > 0 => Some(Mark::Missing),
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
                Mark::Missing => {
                    if let Some(document) = self.documents.get_mut(&key) {
                        document.missing = 1;
                    }
                }
                Mark::Withdrawing => {
                    let document = self.documents.entry(key).or_insert_with(nothing);
                    document.enter(now, Life::Withdrawing(None));
                    document.due = Some(now.mono);
                }
                Mark::Orphan => {
                    if let Some(document) = self.documents.get_mut(&key) {
                        document.enter(now, Life::Orphan);
                        document.due = None;
                    }
                }
            }
        }
    }
}
