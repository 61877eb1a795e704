//! Desired state on its way: from the source into the cache, from the cache into the cluster.
//!
//! What the core's words pull, enforce and withdraw mean, each as one blocking job on a worker. Two documents of the store
//! belong to each document of Azure: what is wanted, as it was pulled, and what was made for it in the cluster. The second
//! is written before the first object is made, so that nothing that arclet made is ever forgotten by a crash.
//!
//! Nothing in here decides: when, what next and what an answer means is the core's.

use super::calls::{Calls, Right};
use super::pump::answer;
use crate::core::desired::Going;
use crate::core::difference::ObjectDiff;
use crate::core::document::{Digest, Enforced, Key, Kinds, Listing, NOT_CACHED, Needs, ObjectRef, Withdrawn};
use crate::core::port::DOCUMENT_RETURNED;
use crate::core::{Outcome, Reason};
use crate::scenario::mask;
use crate::store::{Answer, Handle, StoreError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The documents that the store's cache holds.
pub struct Documents {
    pub(super) store: Handle,
    /// By the digest of what is in the cache: what a listing brings is written only when it differs. And what it needs.
    known: Mutex<BTreeMap<Key, (Digest, Needs)>>,
    /// Under which right each was enforced last: under that one nobody else has touched its objects.
    under: Mutex<BTreeMap<Key, u64>>,
}

impl Documents {
    /// Reads what the cache holds of the kinds that are on. What cannot be read any more is not there: the next listing
    /// brings it again.
    pub async fn restore(store: Handle, kinds: Kinds, world: &dyn Calls) -> Documents {
        let mut known = BTreeMap::new();
        for name in answer(store.doc_list(WANTED.to_owned())).await.unwrap_or_default() {
            let key = name.strip_prefix(WANTED).and_then(Key::parse);
            let Some(key) = key.filter(|key| kinds.has(key.kind)) else { continue };
            match answer(store.doc_get(name)).await {
                Ok(Some(content)) => {
                    let needs = world.needs(&key, &content);
                    known.insert(key, (Digest::of(&content), needs));
                }
                Ok(None) => {
                    log::warn!("desired state: {key} is lost; the next look at Azure brings it again")
                }
                Err(reason) => log::warn!("desired state: {key} cannot be read: {reason}"),
            }
        }
        Documents { store, known: Mutex::new(known), under: Mutex::default() }
    }

    /// What the cache holds, for the core's start.
    pub fn heads(&self) -> Vec<(Key, Digest, Needs)> {
        self.known().iter().map(|(key, (digest, needs))| (key.clone(), *digest, *needs)).collect()
    }

    /// Lists the source; what is new or changed, and what of these came back, is durable when this returns.
    pub fn pull(
        &self,
        world: &dyn Calls,
        parent: bool,
        going: &Going,
        token: &str,
    ) -> Result<Listing, Outcome> {
        let listing = world.pull(parent, token, &mut |key, digest, content| {
            if let Some((_, needs)) = self.known().get(key).filter(|(known, _)| *known == digest) {
                return Ok(*needs);
            }
            // Sealed: a URL may have a password in it, and ARM may show more than it says.
            wait(self.store.doc_put(wanted(key), content.to_vec(), true))?;
            let needs = world.needs(key, content);
            self.known().insert(key.clone(), (digest, needs));
            Ok(needs)
        })?;
        if let Some(returned) = going.returned(&listing.heads) {
            // A listing that cannot be kept is one that was not heard.
            wait(self.store.doc_put(DOCUMENT_RETURNED.to_owned(), returned, false))
                .map_err(Outcome::Refused)?;
        }
        Ok(listing)
    }

    /// Puts a document's objects into the cluster as the cache has them.
    pub fn enforce(&self, world: &dyn Calls, key: &Key, right: &Right) -> Result<Enforced, Outcome> {
        let read = wait(self.store.doc_get(wanted(key))).and_then(|content| {
            let content = content.ok_or_else(|| self.lost(key))?;
            Ok((content, self.made(key)?))
        });
        let (content, before) = match read {
            Ok(read) => read,
            Err(reason) => return Ok(Enforced::Failed(reason)),
        };
        let mut noted = before.clone();
        let (held, still) = (self.held(key), self.still(key, right));
        let (enforced, after) = world.enforce(key, &content, &held, &before, &still, &mut |objects| {
            self.note(key, &mut noted, objects)
        })?;
        // An object whose UID is not noted is recognised by its label and annotation: this failing loses nothing.
        if let Err(reason) = self.note(key, &mut noted, &after) {
            return Ok(Enforced::Failed(reason));
        }
        // Of what failed it is not known whether the next leader would find it.
        if !matches!(enforced, Enforced::Failed(_)) {
            self.under().insert(key.clone(), right.number);
        }
        Ok(enforced)
    }

    /// Takes a document's objects out of the cluster, and when the last is gone the document out of the cache.
    pub fn withdraw(&self, world: &dyn Calls, key: &Key, right: &Right) -> Result<Withdrawn, Outcome> {
        let made = match self.made(key) {
            Ok(made) => made,
            Err(reason) => return Ok(Withdrawn::Failed(reason)),
        };
        let right = self.still(key, right);
        let content = match right.anew {
            true => match wait(self.store.doc_get(wanted(key))) {
                Ok(content) => content,
                Err(reason) => return Ok(Withdrawn::Failed(reason)),
            },
            false => None,
        };
        let held = self.held(key);
        let outcome = world.withdraw(key, content.as_deref(), &held, &made, &right)?;
        if outcome == Withdrawn::Gone {
            // What is wanted goes first: between the two there is nothing wanted and a list of objects that are not there.
            let gone = wait(self.store.doc_remove(wanted(key)))
                .and_then(|()| self.drop_supplies(key))
                .and_then(|()| wait(self.store.doc_remove(format!("{MADE}{key}"))));
            if let Err(reason) = gone {
                return Ok(Withdrawn::Failed(reason));
            }
            self.known().remove(key);
            self.under().remove(key);
        }
        Ok(outcome)
    }

    /// The right as it is for this document: what was noted under it is not out of date.
    fn still(&self, key: &Key, right: &Right) -> Right {
        let same = self.under().get(key) == Some(&right.number);
        Right { anew: right.anew && !same, ..right.clone() }
    }

    fn under(&self) -> MutexGuard<'_, BTreeMap<Key, u64>> {
        self.under.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store has of a document: what is wanted, and the objects made for it.
    pub async fn show(&self, key: &Key) -> (Option<serde_json::Value>, Vec<ObjectRef>) {
        let read = async |name| answer(self.store.doc_get(name)).await.ok().flatten();
        let content = read(wanted(key)).await;
        let made = read(format!("{MADE}{key}")).await;
        let mut wanted: Option<serde_json::Value> =
            content.and_then(|content| serde_json::from_slice(&content).ok());
        wanted.iter_mut().for_each(mask::value);
        (wanted, made.and_then(|made| serde_json::from_slice(&made).ok()).unwrap_or_default())
    }

    /// How the cluster differs from what a document wants; `wants`: whether it wants anything still. Changes nothing.
    pub fn diff(
        &self,
        world: &dyn Calls,
        key: &Key,
        wants: bool,
    ) -> Result<Result<Vec<ObjectDiff>, Reason>, Outcome> {
        let read = || -> Result<_, Reason> {
            let content = match wants {
                true => Some(wait(self.store.doc_get(wanted(key)))?.ok_or_else(|| lost(key))?),
                false => None,
            };
            Ok((content, self.made(key)?))
        };
        let (content, made) = match read() {
            Ok(read) => read,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut found = world.diff(key, content.as_deref(), &self.held(key), &made)?;
        found.iter_mut().flatten().for_each(masked);
        Ok(found)
    }

    fn made(&self, key: &Key) -> Result<Vec<ObjectRef>, Reason> {
        let Some(content) = wait(self.store.doc_get(format!("{MADE}{key}")))? else { return Ok(Vec::new()) };
        serde_json::from_slice(&content).map_err(|error| {
            Reason::new("StoreDocument", format!("the list of {key}'s objects is not understood: {error}"))
        })
    }

    fn note(&self, key: &Key, noted: &mut Vec<ObjectRef>, objects: &[ObjectRef]) -> Result<(), Reason> {
        if noted == objects {
            return Ok(());
        }
        let content = serde_json::to_vec(objects)
            .map_err(|error| Reason::new("StoreDocument", format!("{key}'s objects: {error}")))?;
        wait(self.store.doc_put(format!("{MADE}{key}"), content, false))?;
        *noted = objects.to_vec();
        Ok(())
    }

    /// The cache has lost a document: the next listing finds it changed.
    fn lost(&self, key: &Key) -> Reason {
        self.known().remove(key);
        lost(key)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Key, (Digest, Needs)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A URL may have a password in it, on either side.
fn masked(object: &mut ObjectDiff) {
    for field in &mut object.fields {
        field.wanted.iter_mut().chain(&mut field.has).for_each(mask::value);
    }
    if let Some(reason) = &mut object.reason {
        reason.message = mask::text(&reason.message);
    }
}

fn lost(key: &Key) -> Reason {
    Reason::new(NOT_CACHED, format!("{key} was lost from the cache"))
        .cure("the next look at Azure brings it again; until then its objects stay as they are")
}

/// The name of what is wanted in the store.
pub(super) fn wanted(key: &Key) -> String {
    format!("{WANTED}{key}")
}

const WANTED: &str = "desired/";
const MADE: &str = "made/";

/// Waits for the store's thread. For workers: never on the runtime's own thread.
pub(super) fn wait<T>(asked: Answer<T>) -> Result<T, Reason> {
    match asked.blocking_recv() {
        Ok(result) => result.map_err(|error: StoreError| error.into()),
        Err(_) => Err(Reason::new("StoreGone", "the store's thread has ended")),
    }
}
