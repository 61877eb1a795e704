//! The little that must survive a restart beside the cache itself: whose the documents are, and which of them go.

use super::*;
use crate::core::document::NOT_CACHED;
use serde::{Deserialize, Serialize};

/// JSON, so that a newer arclet reads it with more fields and an older one with fewer.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Memory {
    version: u32,
    parent: Option<String>,
    documents: BTreeMap<String, Mark>,
}

/// What is remembered of a document. Each is remembered, for one that the cache loses has objects in the cluster still.
#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Mark {
    /// Wanted by the parent that is remembered.
    Ours,
    /// Not seen under it.
    Stranger,
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
            Life::Withdrawing(_) | Life::Withdrawn => Mark::Withdrawing,
            Life::Orphan => Mark::Orphan,
            _ if document.missing > 0 => Mark::Missing,
            _ if document.ours => Mark::Ours,
            _ => Mark::Stranger,
        };
        let documents =
            self.documents.iter().map(|(key, document)| (key.to_string(), mark(document))).collect();
        let memory = Memory { version: VERSION, parent: self.parent.clone(), documents };
        serde_json::to_vec(&memory).ok()
    }

    /// Takes up what was remembered. What cannot be read is forgotten: then documents are wanted that were going, and go
    /// again by the same rule.
    pub(super) fn recall(&mut self, now: Now, remembered: Option<&[u8]>) {
        let memory: Memory =
            remembered.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        self.parent = memory.parent;
        // If the parent is still this one, it was this one when they were put into the cache.
        self.documents.each(&mut |_, document| document.ours = self.parent.is_some());
        for (name, mark) in memory.documents {
            let key = Key::parse(&name).filter(|key| self.settings.kinds.has(key.kind));
            let Some(key) = key else { continue };
            if self.documents.get_mut(&key).is_none() {
                let lost = Reason::new(NOT_CACHED, "it was lost from the cache")
                    .cure("the next look at Azure brings it again; until then its objects stay as they are");
                let lost = Document::new(now, Digest([0; 32]), Life::Failed(lost), None);
                self.documents.insert(key.clone(), lost);
            }
            let Some(mut document) = self.documents.get_mut(&key) else { continue };
            document.ours = matches!(mark, Mark::Ours | Mark::Missing);
            match mark {
                Mark::Ours | Mark::Stranger => {}
                Mark::Missing => document.missing = 1,
                Mark::Withdrawing => {
                    document.enter(now, Life::Withdrawing(None));
                    document.due = Some(now.mono);
                }
                Mark::Orphan => document.abandon(now),
            }
        }
    }
}
