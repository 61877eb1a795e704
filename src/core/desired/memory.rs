//! The little that must survive a restart beside the cache itself: whose the documents are, and which of them go.
//!
//! What goes may wait long for the API server, or for its turn among several agents. If Azure wants it again meanwhile and
//! the process dies before these marks say so, it would be withdrawn: so a listing that has it is heard only when that is
//! durable ([`Going`]).

use super::*;
use crate::core::document::{Head, NOT_CACHED};
use serde::{Deserialize, Serialize};

/// JSON, so that a newer arclet reads it with more fields and an older one with fewer.
#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Memory {
    version: u32,
    /// One more with each that is written.
    number: u64,
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

/// The documents that are going, as far as is remembered up to a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Going {
    number: u64,
    keys: Vec<Key>,
    /// Came back earlier, which the marks may not say yet.
    back: Vec<Key>,
}

/// What came back: stronger than the marks up to the number.
#[derive(Serialize, Deserialize, Default)]
struct Returned {
    number: u64,
    documents: Vec<String>,
}

impl Going {
    /// What has to be durable, as [`DOCUMENT_RETURNED`](crate::core::port::DOCUMENT_RETURNED), before the core hears of a
    /// listing; `None`: nothing.
    pub fn returned(&self, heads: &[Head]) -> Option<Vec<u8>> {
        let wanted = |key: &&Key| heads.iter().any(|head| head.key == **key && !head.leaving);
        let mut documents: Vec<String> = self.keys.iter().filter(wanted).map(Key::to_string).collect();
        if documents.is_empty() {
            return None;
        }
        documents.extend(self.back.iter().map(Key::to_string));
        serde_json::to_vec(&Returned { number: self.number, documents }).ok()
    }
}

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
        self.remembered += 1;
        let (number, parent) = (self.remembered, self.parent.clone());
        let memory = Memory { version: VERSION, number, parent, documents };
        serde_json::to_vec(&memory).ok()
    }

    /// What a listing might bring back.
    pub fn going(&self) -> Going {
        let goes = |document: &Document| matches!(document.life, Life::Withdrawing(_) | Life::Withdrawn);
        let going = self.documents.iter().filter(|(_, document)| goes(document));
        // Of what is away the marks may still say that it goes.
        let keys = going.map(|(key, _)| key).chain(self.away.keys()).cloned().collect();
        Going { number: self.remembered, keys, back: self.back.keys().cloned().collect() }
    }

    /// All that was given to be remembered is durable.
    pub fn is_remembered(&mut self) {
        // What happened since has the number of these marks, and is in the next.
        let remembered = self.remembered;
        self.back.retain(|_, number| *number >= remembered);
        self.away.retain(|_, number| *number >= remembered);
    }

    /// Takes up what was remembered, and what came back since. What cannot be read is forgotten: then documents are wanted that were going, and go
    /// again by the same rule.
    pub(super) fn recall(&mut self, now: Now, [remembered, returned]: Remembered<'_>) {
        let memory: Memory =
            remembered.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let returned: Returned =
            returned.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or_default();
        let stronger = returned.number >= memory.number;
        // Never a number again that what came back may be compared with.
        self.remembered = memory.number.max(returned.number);
        self.parent = memory.parent;
        // If the parent is still this one, it was this one when they were put into the cache.
        self.documents.each(&mut |_, document| document.ours = self.parent.is_some());
        for (name, mark) in memory.documents {
            let key = Key::parse(&name).filter(|key| self.settings.kinds.has(key.kind));
            let Some(key) = key else { continue };
            if self.documents.get_mut(&key).is_none() {
                let lost = Reason::new(NOT_CACHED, "it was lost from the cache")
                    .cure("the next look at Azure brings it again; until then its objects stay as they are");
                let lost = Document::new(now, Digest::UNKNOWN, Life::Failed(lost), None);
                self.documents.insert(key.clone(), lost);
            }
            let Some(mut document) = self.documents.get_mut(&key) else { continue };
            let mark = match mark {
                Mark::Withdrawing if stronger && returned.documents.contains(&name) => {
                    self.changed = true;
                    self.back.insert(key.clone(), self.remembered);
                    Mark::Ours
                }
                mark => mark,
            };
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
