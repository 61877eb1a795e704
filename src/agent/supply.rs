//! What documents need from elsewhere, on its way into the store's cache.
//!
//! What is in such a document of the cache is between whoever fetches it and whoever renders: in here it is bytes, which
//! may be secret. Secrets are sealed in the store and wiped from memory.

use super::calls::Calls;
use super::desired::{Documents, wait, wanted};
use crate::core::document::{Key, Supplied, Supply};
use crate::core::{Outcome, Reason};
use zeroize::Zeroizing;

/// What the cache holds for one document, by supply.
#[derive(Default)]
pub struct Held([Option<Zeroizing<Vec<u8>>>; Supply::ALL.len()]);

impl Held {
    /// With these.
    #[cfg(test)]
    pub fn with(supplies: &[(Supply, Option<&[u8]>)]) -> Held {
        let mut held = Held::default();
        for (supply, bytes) in supplies {
            held.0[*supply as usize] = bytes.map(|bytes| Zeroizing::new(bytes.to_vec()));
        }
        held
    }

    /// What it holds of one supply.
    pub fn get(&self, supply: Supply) -> Option<&[u8]> {
        self.0[supply as usize].as_ref().map(|bytes| bytes.as_slice())
    }
}

/// What came of asking for a supply.
pub enum Fetched {
    /// The cache is to have this from now on. With what is wrong with it all the same.
    New(Zeroizing<Vec<u8>>, Option<Reason>),
    /// The cache is to have this before anybody is asked: then it is looked again.
    Renewed(Zeroizing<Vec<u8>>),
    /// The cache keeps what it has.
    Kept {
        /// Whoever has it was asked.
        asked: bool,
        /// Why there is nothing better.
        trouble: Option<Reason>,
    },
}

impl Documents {
    /// Fetches what a document needs; what is new is durably in the cache when this returns.
    pub fn supply(
        &self,
        world: &dyn Calls,
        key: &Key,
        supply: Supply,
        token: Option<&str>,
    ) -> Result<Supplied, Outcome> {
        let trouble = |reason| Supplied { trouble: Some(reason), ..Supplied::default() };
        let content = match wait(self.store.doc_get(wanted(key))) {
            Ok(Some(content)) => content,
            // It was lost, or went meanwhile: there is nothing to fetch for.
            Ok(None) => return Ok(Supplied::default()),
            Err(reason) => return Ok(trouble(reason)),
        };
        let mut held = Held::default();
        for one in [supply, Supply::Versions] {
            match self.held_of(key, one) {
                Ok(bytes) => held.0[one as usize] = bytes,
                // What the cache cannot read it does not have.
                Err(reason) => {
                    log::warn!("desired state: the {} of {key} cannot be read: {reason}", one.name())
                }
            }
        }
        // Settings are kept with a chart, and as well hidden as the document that they come from.
        let secret = supply != Supply::Versions;
        let put = |bytes: &[u8]| wait(self.store.doc_put(place(key, supply), bytes.to_vec(), secret));
        let mut fetched = world.supply(key, &content, supply, &held, token)?;
        if let Fetched::Renewed(bytes) = fetched {
            if let Err(reason) = put(&bytes) {
                return Ok(trouble(reason));
            }
            held.0[supply as usize] = Some(bytes);
            fetched = world.supply(key, &content, supply, &held, token)?;
        }
        match fetched {
            Fetched::New(bytes, why) => match put(&bytes) {
                Ok(()) => Ok(Supplied { asked: true, changed: true, trouble: why }),
                Err(reason) => Ok(Supplied { asked: true, ..trouble(reason) }),
            },
            Fetched::Kept { asked, trouble } => Ok(Supplied { asked, changed: false, trouble }),
            // What was just renewed is new.
            Fetched::Renewed(_) => Ok(Supplied::default()),
        }
    }

    /// All that the cache holds for a document. What cannot be read is not there: it is fetched again.
    pub(super) fn held(&self, key: &Key) -> Held {
        Held(Supply::ALL.map(|supply| self.held_of(key, supply).ok().flatten()))
    }

    /// The document has gone: what was fetched for it goes too.
    pub(super) fn drop_supplies(&self, key: &Key) -> Result<(), Reason> {
        Supply::ALL.into_iter().try_for_each(|supply| wait(self.store.doc_remove(place(key, supply))))
    }

    fn held_of(&self, key: &Key, supply: Supply) -> Result<Option<Zeroizing<Vec<u8>>>, Reason> {
        Ok(wait(self.store.doc_get(place(key, supply)))?.map(Zeroizing::new))
    }
}

/// The name of a supply in the store: `supply/secrets/flux/cluster-config`.
fn place(key: &Key, supply: Supply) -> String {
    format!("supply/{}/{key}", supply.name())
}
