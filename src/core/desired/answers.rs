//! What an answer means for the documents.

use super::*;
use crate::core::document::{
    Compliance, Confirmation, Enforced, Head, Listing, NOT_CACHED, Parent, WAITS_FOR_SUPPLY, Withdrawn,
};

impl Desired {
    /// A complete listing.
    pub fn listed(&mut self, now: Now, rng: &mut dyn Random, listing: Listing) {
        self.last_pull = Some(now);
        self.news = true;
        self.pull_due = match self.asked {
            true => now.mono,
            false => Desired::later(now, self.settings.pull_interval, rng),
        };
        // First the resource: under another one absence means something else.
        if let Some(parent) = &listing.parent {
            self.parent_is(parent);
        }
        self.documents.each(&mut |key, document| {
            if listing.heads.binary_search_by(|head| head.key.cmp(key)).is_ok() {
                return;
            }
            match document.life {
                Life::Withdrawing(_) | Life::Orphan => {}
                // Once more, for what a listing put into the cache again while it was leaving; then it is forgotten.
                Life::Withdrawn => {
                    document.leaving = false;
                    document.enter(now, Life::Withdrawing(None));
                    document.due = Some(now.mono);
                }
                _ if self.parent_gone => {}
                _ if document.ours => {
                    document.missing = (document.missing + 1).min(LISTINGS);
                    self.changed = true;
                }
                // Whose it was is not known, or it was another's: not to be withdrawn by this one's silence.
                _ if self.parent.is_some() => {
                    document.abandon(now);
                    self.changed = true;
                }
                _ => {}
            }
        });
        for head in &listing.heads {
            self.seen(now, head);
        }
    }

    /// A document is in a listing.
    fn seen(&mut self, now: Now, head: &Head) {
        let ours = self.parent.is_some();
        let Some(mut document) = self.documents.get_mut(&head.key) else {
            let life = match (&head.stored, head.leaving) {
                (_, true) => Life::Withdrawing(None),
                (Ok(_), false) => Life::Stored,
                (Err(reason), false) => Life::Failed(reason.clone()),
            };
            let due = (head.leaving || head.stored.is_ok()).then_some(now.mono);
            let mut document = Document::new(now, head.digest, life, due);
            (document.ours, document.leaving) = (ours, head.leaving);
            if let Ok(needs) = head.stored {
                document.need(needs, now.mono);
            }
            self.documents.insert(head.key.clone(), document);
            if let Some(number) = self.away.remove(&head.key) {
                self.back.insert(head.key.clone(), number);
            }
            self.changed = true;
            return;
        };
        self.changed |= document.missing > 0 || document.ours != ours || document.leaving != head.leaving;
        (document.missing, document.ours, document.leaving) = (0, ours, head.leaving);
        if head.leaving {
            if document.digest == Digest::UNKNOWN {
                document.digest = head.digest;
            }
            if !matches!(document.life, Life::Withdrawing(_) | Life::Withdrawn) {
                document.enter(now, Life::Withdrawing(None));
                document.due = Some(now.mono);
                self.changed = true;
                self.back.remove(&head.key);
            }
            return;
        }
        let returned = matches!(document.life, Life::Withdrawing(_) | Life::Withdrawn | Life::Orphan);
        self.changed |= returned;
        if returned {
            self.back.insert(head.key.clone(), self.remembered);
        }
        match &head.stored {
            Err(reason) => {
                if returned {
                    // What the cache still has of it is wanted again.
                    document.enter(now, Life::Stored);
                    document.due = Some(now.mono);
                }
                if document.due.is_none() && matches!(document.life, Life::Failed(_)) {
                    document.life = Life::Failed(reason.clone());
                }
                document.unstored = Some(reason.clone());
            }
            Ok(needs) => {
                let was_unstored = document.unstored.take().is_some();
                let was_lost = match &document.life {
                    Life::Failed(reason) => document.due.is_none() || reason.code == NOT_CACHED,
                    _ => false,
                };
                if document.digest != head.digest || returned || was_unstored || was_lost {
                    document.need(*needs, now.mono);
                    document.digest = head.digest;
                    document.waits = None;
                    document.enter(now, Life::Stored);
                    document.tries = 0;
                    document.due = Some(now.mono);
                }
            }
        }
    }

    /// The cluster's own resource was looked at.
    fn parent_is(&mut self, parent: &Parent) {
        match parent {
            Parent::Gone => {
                self.parent_gone = true;
                self.forgive();
            }
            Parent::There { created_at } => {
                self.parent_gone = false;
                if self.parent.as_ref() == Some(created_at) {
                    return;
                }
                self.changed = true;
                let another = self.parent.replace(created_at.clone()).is_some();
                if another {
                    self.documents.each(&mut |_, document| {
                        document.ours = false;
                        document.missing = 0;
                    });
                }
            }
        }
    }

    /// What is missing has to be missing anew before it is asked about again.
    fn forgive(&mut self) {
        self.documents.each(&mut |_, document| {
            self.changed |= document.missing > 0;
            document.missing = 0;
        });
    }

    /// A document that listings lack was asked for by itself.
    pub fn confirmed(&mut self, now: Now, key: &Key, confirmation: &Confirmation) {
        let same = match &confirmation.parent {
            Parent::There { created_at } => self.parent.as_ref() == Some(created_at),
            Parent::Gone => false,
        };
        self.parent_is(&confirmation.parent);
        let Some(mut document) = self.documents.get_mut(key).filter(|document| document.missing >= LISTINGS)
        else {
            return;
        };
        self.news = true;
        document.missing = 0;
        if same && confirmation.gone {
            document.enter(now, Life::Withdrawing(None));
            document.due = Some(now.mono);
            self.back.remove(key);
        }
        drop(document);
        // When thousands go the marks are written once and not thousands of times: what is asked about still is as it was.
        self.changed |= self.documents.first(Line::Gone, now.mono).is_none();
    }

    /// The question whether a document is gone has no answer: the listings have to say so anew.
    pub fn not_confirmed(&mut self, key: &Key) {
        if let Some(mut document) = self.documents.get_mut(key) {
            document.missing = document.missing.min(LISTINGS - 1);
        }
        self.changed = true;
    }

    /// There was no listing. It is tried again when the link allows; after a refusal (`later`) not before the interval.
    pub fn not_listed(&mut self, now: Now, rng: &mut dyn Random, later: bool) {
        self.pull_due = if later { Desired::later(now, self.settings.pull_interval, rng) } else { now.mono };
    }

    /// A document was enforced, or could not be.
    pub fn enforced(&mut self, now: Now, rng: &mut dyn Random, key: &Key, enforced: Enforced) {
        let interval = self.settings.enforce_interval;
        self.news = true;
        let Some(mut document) = self.documents.get_mut(key) else { return };
        if matches!(document.life, Life::Withdrawing(_) | Life::Withdrawn | Life::Orphan) {
            return;
        }
        let hastened = std::mem::take(&mut document.hastened);
        match enforced {
            // Newer content came while the older was on its way.
            Enforced::Applied { digest, .. } if digest != document.digest && document.unstored.is_none() => {
                document.enter(now, Life::Stored);
                // At once, but not for ever if the cache does not have what the listing says.
                match document.tries {
                    0 => (document.tries, document.due) = (1, Some(now.mono)),
                    _ => document.back_off(now, interval, rng),
                }
            }
            Enforced::Applied { picture, .. } => {
                document.waits = None;
                let settled = matches!(picture.compliance, Compliance::Compliant | Compliance::Suspended);
                if settled {
                    document.enter(now, Life::Verified(picture));
                    document.due = Some(Desired::later(now, interval, rng));
                } else {
                    document.enter(now, Life::Applied(picture));
                    document.tries = document.tries.saturating_add(1);
                    let most = ceiling(LOOK, interval, document.tries);
                    document.due = Some(now.mono + rng.between(most / 2, most));
                }
            }
            Enforced::Failed(reason) if WAITS_FOR_SUPPLY.contains(&reason.code.as_str()) => {
                document.enter(now, Life::Stored);
                document.tries = document.tries.saturating_add(1);
                document.waits = Some(reason);
                document.due = Some(Desired::later(now, interval, rng));
                document.fetch_again(now.mono);
            }
            Enforced::Failed(reason) => {
                document.waits = None;
                let lost = reason.code == NOT_CACHED;
                document.enter(now, Life::Failed(reason));
                document.back_off(now, interval, rng);
                if lost {
                    self.pull_due = self.pull_due.min(document.due.unwrap_or(now.mono));
                }
            }
        }
        if hastened {
            document.due = Some(now.mono);
        }
    }

    /// A document was taken out of the cluster, as far as that goes.
    pub fn withdrawn(&mut self, now: Now, rng: &mut dyn Random, key: &Key, withdrawn: Withdrawn) {
        self.news = true;
        let Some(mut document) = self.documents.get_mut(key) else { return };
        match withdrawn {
            Withdrawn::Gone => {
                match document.life {
                    Life::Withdrawing(_) if document.leaving => {
                        document.enter(now, Life::Withdrawn);
                        document.due = None;
                        return;
                    }
                    Life::Withdrawing(_) => {}
                    // It came back meanwhile, and with its objects its content went: it has to be fetched again.
                    _ => self.pull_due = now.mono,
                }
                drop(document);
                if let Some(document) = self.documents.remove(key) {
                    self.farewells.insert(key.clone(), document.digest);
                }
                self.went(now, key);
            }
            Withdrawn::Waiting(reason) | Withdrawn::Failed(reason) => {
                if matches!(document.life, Life::Withdrawing(_)) {
                    document.enter(now, Life::Withdrawing(Some(reason)));
                }
                document.back_off(now, self.settings.enforce_interval, rng);
            }
        }
    }

    /// A document is out of the cluster, and its mark out of date. Of many that go the marks are written with the last.
    fn went(&mut self, now: Now, key: &Key) {
        self.away.insert(key.clone(), self.remembered);
        let next = self.documents.first(Line::Cluster, now.mono);
        let more = next.is_some_and(|(_, next)| matches!(next.life, Life::Withdrawing(_)))
            || self.documents.first(Line::Gone, now.mono).is_some();
        self.changed |= !more;
    }

    /// The API server could not be asked: the same again when the link allows.
    pub fn cluster_failed(&mut self, now: Now, key: &Key) {
        if let Some(mut document) = self.documents.get_mut(key)
            && !matches!(document.life, Life::Orphan | Life::Withdrawn)
        {
            document.due = Some(now.mono);
        }
    }
}

/// While the cluster works on a document it is looked at after about this, then less and less often.
const LOOK: Duration = Duration::from_secs(15);
