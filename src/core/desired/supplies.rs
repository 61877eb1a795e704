//! What documents need from elsewhere: when it is fetched, and what its coming means.
//!
//! A supply is fetched at once when a document is new or changed, and looked at again as often as it may change by itself.
//! What comes is enforced at once; what does not leaves the last good one where it is.

use super::*;
use crate::core::document::{Needs, Supplied, Supply};

/// The fetching of one supply for one document.
#[derive(Clone, Debug, Default)]
pub(super) struct Fetch {
    /// When; `None`: it is under way, or it does not change by itself.
    due: Option<Mono>,
    under_way: bool,
    /// The document changed while it was under way.
    again: bool,
    /// Troubles in a row.
    tries: u32,
    trouble: Option<Reason>,
}

/// By supply; `None`: it is not needed.
pub(super) type Fetches = [Option<Fetch>; Supply::ALL.len()];

impl Document {
    /// From now on it needs these; each is fetched at `due`, though it may have been fetched before.
    pub(super) fn need(&mut self, needs: Needs, due: Mono) {
        if needs == Needs::default() {
            self.supplies = None;
            return;
        }
        let fetches = self.supplies.get_or_insert_default();
        for supply in Supply::ALL {
            let place = &mut fetches[supply as usize];
            if !needs.has(supply) {
                *place = None;
                continue;
            }
            let fetch = place.get_or_insert_default();
            fetch.again = fetch.under_way;
            (fetch.due, fetch.tries) = (Some(due).filter(|_| !fetch.under_way), 0);
        }
    }

    /// The cluster cannot have it for want of a supply: the cache may have lost it.
    pub(super) fn fetch_again(&mut self, now: Mono) {
        self.fetch_all(now, |fetch| fetch.trouble.is_none());
    }

    /// Someone asks for it, and may have mended what was wrong.
    pub(super) fn fetch_anyhow(&mut self, now: Mono) {
        self.fetch_all(now, |_| true);
    }

    fn fetch_all(&mut self, now: Mono, which: impl Fn(&Fetch) -> bool) {
        let fetches = self.supplies.iter_mut().flat_map(|all| all.iter_mut()).flatten();
        for fetch in fetches.filter(|fetch| !fetch.under_way && which(fetch)) {
            fetch.due = Some(now);
        }
    }

    /// What is wrong with what it needs.
    pub(super) fn supply_trouble(&self) -> Option<&Reason> {
        self.supplies.iter().flat_map(|all| all.iter()).flatten().find_map(|fetch| fetch.trouble.as_ref())
    }

    fn fetch(&mut self, supply: Supply) -> Option<&mut Fetch> {
        self.supplies.as_mut()?[supply as usize].as_mut()
    }

    pub(super) fn fetch_due(&self, supply: Supply) -> Option<Mono> {
        match self.life {
            Life::Withdrawing(_) | Life::Withdrawn | Life::Orphan => None,
            _ => self.supplies.as_ref()?[supply as usize].as_ref()?.due,
        }
    }
}

impl Desired {
    /// What to fetch next of this sort.
    pub fn want_supply(&self, now: Mono, supply: Supply) -> Option<Want> {
        if supply == Supply::Secrets && !self.settings.vault {
            return None;
        }
        let (key, _) = self.documents.first(Line::Supply(supply), now)?;
        Some(Want::Supply(key.clone(), supply))
    }

    /// When [`Desired::want_supply`] will want something that it does not want yet.
    pub fn supply_due(&self, now: Mono) -> Option<Mono> {
        Supply::ALL.into_iter().filter_map(|supply| self.documents.next(Line::Supply(supply), now)).min()
    }

    pub(super) fn supply_begun(&mut self, key: &Key, supply: Supply) {
        let mut document = self.documents.get_mut(key);
        if let Some(fetch) = document.as_mut().and_then(|document| document.fetch(supply)) {
            (fetch.due, fetch.under_way, fetch.again) = (None, true, false);
        }
    }

    /// A supply was fetched, or is in the cache already, or cannot be had for this document.
    pub fn supplied(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        key: &Key,
        supply: Supply,
        supplied: Supplied,
    ) {
        let interval = self.settings.pull_interval;
        let Some(mut document) = self.documents.get_mut(key) else { return };
        let Some(fetch) = document.fetch(supply) else { return };
        fetch.under_way = false;
        self.news |= supplied.changed || fetch.trouble != supplied.trouble;
        fetch.trouble = supplied.trouble;
        fetch.due = match (&fetch.trouble, std::mem::take(&mut fetch.again)) {
            (_, true) => Some(now.mono),
            (Some(_), _) => {
                fetch.tries = fetch.tries.saturating_add(1);
                let most = ceiling(RETRY, interval.max(RETRY), fetch.tries);
                Some(now.mono + rng.between(RETRY / 4, most))
            }
            (None, _) => {
                fetch.tries = 0;
                match supply {
                    Supply::Secrets => Some(Desired::later(now, interval, rng)),
                    // A chart never changes, but which one it is to be does: the catalogue is a file on the device.
                    Supply::Chart => Some(Desired::later(now, interval, rng)),
                    Supply::Versions => Some(Desired::later(now, interval.max(DAY), rng)),
                }
            }
        };
        // Which chart it is to be depends on which versions there are.
        if supply == Supply::Versions
            && supplied.changed
            && let Some(chart) = document.fetch(Supply::Chart)
        {
            chart.again = chart.under_way;
            chart.due = Some(now.mono).filter(|_| !chart.under_way);
        }
        let leaves = matches!(document.life, Life::Withdrawing(_) | Life::Withdrawn | Life::Orphan);
        if supplied.changed && !leaves {
            document.hasten(now);
        }
    }

    /// Whoever has it could not be asked: the same again when the link allows.
    pub fn not_supplied(&mut self, now: Now, key: &Key, supply: Supply) {
        let mut document = self.documents.get_mut(key);
        if let Some(fetch) = document.as_mut().and_then(|document| document.fetch(supply)) {
            (fetch.under_way, fetch.due) = (false, Some(now.mono));
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
