//! What documents need from elsewhere: a model of a vault whose secret is rotated, and of what the device keeps of it.

use crate::far::reason;
use arclet::core::Outcome;
use arclet::core::document::{
    CHART_NOT_FETCHED, Digest, Enforced, Key, Needs, SECRET_NOT_FETCHED, Supplied, Supply,
};
use std::collections::BTreeMap;

/// The vault, the device's cache of it, and what reached the cluster.
#[derive(Default)]
pub struct Shelf {
    /// The secret's version in the vault.
    pub version: u8,
    /// The vault lacks the secret.
    pub lacks: bool,
    /// What the device has kept, by version; of what never changes, a zero.
    pub kept: BTreeMap<(Key, Supply), u8>,
    /// The secret with which a document was last applied.
    pub applied: BTreeMap<Key, u8>,
    /// Changes that reached the cache.
    pub fetched: u64,
}

/// What a content needs.
pub fn needs(digest: Digest) -> Needs {
    match digest.0[0] % 4 {
        0 => Needs::default(),
        1 => Needs::default().and(Supply::Secrets),
        2 => Needs::default().and(Supply::Chart),
        _ => Needs::default().and(Supply::Secrets).and(Supply::Versions),
    }
}

impl Shelf {
    /// A fetch, as it is carried out.
    pub fn fetch(
        &mut self,
        key: &Key,
        supply: Supply,
        met: Option<Outcome>,
        broken: bool,
    ) -> Result<Supplied, Outcome> {
        let held = self.kept.get(&(key.clone(), supply)).copied();
        if supply == Supply::Chart && held.is_some() {
            return Ok(Supplied::default());
        }
        if let Some(outcome) = met {
            return Err(outcome);
        }
        let trouble = |code| Ok(Supplied { asked: true, changed: false, trouble: Some(reason(code)) });
        if supply == Supply::Secrets && self.lacks {
            return trouble("SecretMissing");
        }
        if broken {
            return trouble("Io");
        }
        let version = if supply == Supply::Secrets { self.version } else { 0 };
        let changed = held != Some(version);
        self.fetched += u64::from(changed);
        self.kept.insert((key.clone(), supply), version);
        Ok(Supplied { asked: true, changed, trouble: None })
    }

    /// What keeps a content from the cluster, if anything; else it goes there with what is kept.
    pub fn apply(&mut self, key: &Key, digest: Digest) -> Option<Enforced> {
        let needs = needs(digest);
        for (supply, code) in [(Supply::Secrets, SECRET_NOT_FETCHED), (Supply::Chart, CHART_NOT_FETCHED)] {
            if needs.has(supply) && !self.kept.contains_key(&(key.clone(), supply)) {
                return Some(Enforced::Failed(reason(code)));
            }
        }
        if needs.has(Supply::Secrets) {
            self.applied.insert(key.clone(), self.kept[&(key.clone(), Supply::Secrets)]);
        }
        None
    }

    /// The document has gone.
    pub fn drop_all(&mut self, key: &Key) {
        self.kept.retain(|(kept, _), _| kept != key);
    }
}
