//! The documents, and where to find the one that is due without looking at the others.
//!
//! The core asks what to do next after everything that happens. With ten thousand documents a look at each of them, for
//! each of them, would keep a small processor busy for minutes. So whoever changes a document does it through here, and it
//! is filed anew when that is done. Nothing in here knows what a document's life means.

use super::{Document, LISTINGS};
use crate::core::Mono;
use crate::core::document::{Key, Kind, Supply};
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::ops::{Deref, DerefMut};

/// What documents wait for. Each stands in a line by its time, and those of one time by their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// For the cluster to be looked at.
    Cluster,
    /// Since a listing lacked it. It has no time.
    Missing,
    /// For Azure to say whether it is gone. It has no time.
    Gone,
    /// For a supply to be fetched.
    Supply(Supply),
}

const LINES: usize = 3 + Supply::ALL.len();

impl Line {
    const fn number(self) -> usize {
        match self {
            Line::Cluster => 0,
            Line::Missing => 1,
            Line::Gone => 2,
            Line::Supply(supply) => 3 + supply as usize,
        }
    }
}

/// A document's time in each line; `None`: it does not stand there.
type Places = [Option<Mono>; LINES];

#[derive(Clone, Debug, Default)]
struct Lines {
    waiting: [BTreeSet<(Mono, Key)>; LINES],
    /// Those that changed since somebody said that nothing is to be said of them.
    touched: BTreeSet<Key>,
}

impl Lines {
    fn file(&mut self, key: &Key, before: Places, after: Places) {
        for ((line, before), after) in self.waiting.iter_mut().zip(before).zip(after) {
            if before == after {
                continue;
            }
            if let Some(at) = before {
                line.remove(&(at, key.clone()));
            }
            if let Some(at) = after {
                line.insert((at, key.clone()));
            }
        }
        if !self.touched.contains(key) {
            self.touched.insert(key.clone());
        }
    }

    /// The first in a line whose time is not before this.
    fn first(&self, line: Line, from: Mono) -> Option<&(Mono, Key)> {
        let lowest = Key { kind: Kind::ALL[0], name: String::new() };
        self.waiting.get(line.number())?.range((from, lowest)..).next()
    }
}

/// The documents by their keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    documents: BTreeMap<Key, Document>,
    lines: Lines,
}

impl Shelf {
    /// A document to be changed. It is filed anew when what is returned goes out of scope.
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<Taken<'_>> {
        let (key, document) = self.documents.range_mut(key..=key).next()?;
        Some(Taken { key, before: document.places(), document, lines: &mut self.lines })
    }

    /// Changes each of them, in order.
    pub(super) fn each(&mut self, change: &mut dyn FnMut(&Key, &mut Document)) {
        for (key, document) in &mut self.documents {
            let before = document.places();
            change(key, document);
            self.lines.file(key, before, document.places());
        }
    }

    pub(super) fn insert(&mut self, key: Key, document: Document) {
        let before = self.documents.get(&key).map(Document::places).unwrap_or_default();
        self.lines.file(&key, before, document.places());
        self.documents.insert(key, document);
    }

    pub(super) fn remove(&mut self, key: &Key) -> Option<Document> {
        let document = self.documents.remove(key)?;
        self.lines.file(key, document.places(), Places::default());
        self.lines.touched.remove(key);
        Some(document)
    }

    /// All of them: for what is done once a listing, or when someone asks.
    pub(super) fn iter(&self) -> btree_map::Iter<'_, Key, Document> {
        work::step(self.documents.len());
        self.documents.iter()
    }

    /// Who has waited longest in a line, of those whose time has come.
    pub(super) fn first(&self, line: Line, now: Mono) -> Option<(&Key, &Document)> {
        let (at, key) = self.lines.first(line, Mono(0))?;
        work::step(1);
        self.documents.get_key_value(key).filter(|_| *at <= now)
    }

    /// When the next one's time comes, after now.
    pub(super) fn next(&self, line: Line, now: Mono) -> Option<Mono> {
        self.lines.first(line, Mono(now.0.saturating_add(1))).map(|(at, _)| *at)
    }

    /// Those that changed since they were [`Shelf::settled`].
    pub(super) fn touched(&self) -> impl Iterator<Item = (&Key, &Document)> {
        let touched = self.lines.touched.iter();
        touched.inspect(|_| work::step(1)).filter_map(|key| self.documents.get_key_value(key))
    }

    /// Nothing is to be said of these until they change again.
    pub(super) fn settled(&mut self, keys: &[Key]) {
        for key in keys {
            self.lines.touched.remove(key);
        }
    }
}

impl Document {
    fn places(&self) -> Places {
        work::step(1);
        let mut places = Places::default();
        let mut stand = |line: Line, at: Option<Mono>| {
            if let Some(place) = places.get_mut(line.number()) {
                *place = at;
            }
        };
        stand(Line::Cluster, self.due);
        stand(Line::Missing, (self.missing > 0).then_some(Mono(0)));
        stand(Line::Gone, (self.missing >= LISTINGS).then_some(Mono(0)));
        for supply in Supply::ALL {
            stand(Line::Supply(supply), self.fetch_due(supply));
        }
        places
    }
}

/// A document that is being changed.
pub(super) struct Taken<'a> {
    key: &'a Key,
    before: Places,
    document: &'a mut Document,
    lines: &'a mut Lines,
}

impl Deref for Taken<'_> {
    type Target = Document;

    fn deref(&self) -> &Document {
        self.document
    }
}

impl DerefMut for Taken<'_> {
    fn deref_mut(&mut self) -> &mut Document {
        self.document
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.lines.file(self.key, self.before, self.document.places());
    }
}

/// How often a document was looked at: a test bounds it.
pub(super) mod work {
    #[cfg(test)]
    thread_local!(pub(in super::super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });

    #[cfg(test)]
    pub(super) fn step(documents: usize) {
        STEPS.set(STEPS.get() + documents);
    }

    #[cfg(not(test))]
    pub(super) const fn step(_documents: usize) {}
}
