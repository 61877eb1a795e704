//! What Azure is to be told of the documents: one report for each change of how a document fares, and none for a look that
//! found everything as before.
//!
//! What was told is forgotten at a restart, so that the first look of each process is told whole.

use super::*;
use crate::core::document::{Compliance, Kind};
use crate::scenario::configuration;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a report said, as far as a difference is worth another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    state: &'static str,
    digest: Digest,
    reason: Option<String>,
    compliance: Option<Compliance>,
    revision: Option<String>,
    wrong: u64,
}

/// Which objects are not as they should be, and the word of each, in one number. Without the messages: those of a
/// controller that tries again are others at every try, for the names of its temporary files are in them.
fn wrong(picture: &Picture) -> u64 {
    let mut hasher = DefaultHasher::new();
    for status in picture.statuses.iter().filter(|status| status.compliance == Compliance::NonCompliant) {
        let word = status.ready.as_ref().map(|ready| &ready.code);
        (&status.kind, &status.namespace, &status.name, word).hash(&mut hasher);
    }
    hasher.finish()
}

/// One report on its way into the store.
#[derive(Clone, Debug)]
pub struct News {
    /// On which document.
    pub key: Key,
    told: Told,
    reason: Option<Reason>,
    picture: Option<Picture>,
}

impl News {
    /// The record's body.
    pub fn body(&self) -> Vec<u8> {
        let (reason, picture) = (self.reason.as_ref(), self.picture.as_ref());
        configuration::body(&self.key, self.told.digest, self.told.state, reason, picture)
    }
}

impl Document {
    /// It waits for a supply, and longer than it takes to fetch one.
    fn stays(&self) -> bool {
        self.supply_trouble().is_some() || self.waits.is_some() && self.tries > 1
    }

    /// What is to be said of it; `None` while nothing came of it yet.
    fn fares(&self, kind: Kind) -> Option<Told> {
        let picture = self.picture();
        (self.life != Life::Stored || self.stays()).then(|| Told {
            state: self.phase(kind),
            digest: self.digest,
            reason: self.trouble(kind).map(|reason| reason.code),
            compliance: picture.map(|picture| picture.compliance),
            revision: picture.and_then(|picture| picture.source_revision.clone()),
            wrong: picture.map_or(0, wrong),
        })
    }
}

impl Desired {
    /// Reports that are due, as many as go into the store at once.
    pub fn news(&mut self) -> Vec<News> {
        if !self.news {
            return Vec::new();
        }
        let gone = self.farewells.iter().map(|(key, digest)| News {
            key: key.clone(),
            told: Told {
                state: Life::Withdrawn.name(),
                digest: *digest,
                reason: None,
                compliance: None,
                revision: None,
                wrong: 0,
            },
            reason: None,
            picture: None,
        });
        let mut news: Vec<News> = gone.take(AT_ONCE).collect();
        let mut settled = Vec::new();
        for (key, document) in self.documents.touched() {
            if news.len() >= AT_ONCE {
                break;
            }
            match document.fares(key.kind).filter(|told| document.told.as_ref() != Some(told)) {
                None => settled.push(key.clone()),
                Some(told) => news.push(News {
                    key: key.clone(),
                    told,
                    reason: document.trouble(key.kind),
                    picture: document.picture().cloned(),
                }),
            }
        }
        self.documents.settled(&settled);
        self.news = !news.is_empty();
        news
    }

    /// These are durable.
    pub fn told(&mut self, news: Vec<News>) {
        for News { key, told, .. } in news {
            if told.state == Life::Withdrawn.name() && self.farewells.remove(&key).is_some() {
                continue;
            }
            if let Some(mut document) = self.documents.get_mut(&key) {
                document.told = Some(told);
            }
        }
    }

    /// Reports were lost: how each document fares is said anew.
    pub fn tell_all(&mut self) {
        self.news = true;
        self.documents.each(&mut |_, document| document.told = None);
    }
}

/// So many go into the store with one sync; the others follow.
const AT_ONCE: usize = 64;
