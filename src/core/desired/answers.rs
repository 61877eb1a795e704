//! What an answer means for the documents.

use super::*;
use crate::core::backoff::ceiling;
use crate::core::document::{Compliance, Confirmation, Enforced, Head, Listing, Parent, Withdrawn};

impl Desired {
    /// A complete listing.
    pub fn listed(&mut self, now: Now, rng: &mut dyn Random, listing: Listing) {
        self.last_pull = Some(now);
        self.pull_due = Desired::later(now, self.settings.pull_interval, rng);
        for head in &listing.heads {
            self.seen(now, head);
        }
        for (key, document) in &mut self.documents {
            let there = listing.heads.binary_search_by(|head| head.key.cmp(key)).is_ok();
            if !there && !matches!(document.life, Life::Withdrawing(_) | Life::Orphan) {
                document.missing = (document.missing + 1).min(LISTINGS);
                self.changed = true;
            }
        }
        if let Some(parent) = &listing.parent {
            self.parent_is(now, parent);
        }
    }

    /// A document is in a listing.
    fn seen(&mut self, now: Now, head: &Head) {
        let withdrawing = Life::Withdrawing(None);
        let Some(document) = self.documents.get_mut(&head.key) else {
            let document = match (&head.stored, head.leaving) {
                (Ok(()), true) => Document::new(now, head.digest, withdrawing, Some(now.mono)),
                (Ok(()), false) => Document::new(now, head.digest, Life::Stored, Some(now.mono)),
                // Nothing of it was ever stored, so there is nothing to take back either.
                (Err(_), true) => return,
                (Err(reason), false) => Document::new(now, head.digest, Life::Failed(reason.clone()), None),
            };
            self.changed |= head.leaving;
            self.documents.insert(head.key.clone(), document);
            return;
        };
        self.changed |= document.missing > 0 || document.life == Life::Orphan;
        document.missing = 0;
        if head.leaving {
            if !matches!(document.life, Life::Withdrawing(_)) {
                document.enter(now, withdrawing);
                document.due = Some(now.mono);
                self.changed = true;
            }
            return;
        }
        let returned = matches!(document.life, Life::Withdrawing(_) | Life::Orphan);
        self.changed |= returned;
        match &head.stored {
            Err(reason) => document.unstored = Some(reason.clone()),
            Ok(()) => {
                let was_unstored = document.unstored.take().is_some();
                let never_stored = document.due.is_none() && matches!(document.life, Life::Failed(_));
                if document.digest != head.digest || returned || was_unstored || never_stored {
                    document.digest = head.digest;
                    document.enter(now, Life::Stored);
                    document.tries = 0;
                    document.due = Some(now.mono);
                }
            }
        }
    }

    /// The cluster's own resource was looked at.
    fn parent_is(&mut self, now: Now, parent: &Parent) {
        match parent {
            Parent::Gone => {
                self.parent_gone = true;
                self.forgive();
            }
            Parent::There { created_at } => {
                self.parent_gone = false;
                let known = self.parent.replace(created_at.clone());
                if known.as_ref() == Some(created_at) {
                    return;
                }
                self.changed = true;
                if known.is_some() {
                    // What the new one does not list was never its to withdraw.
                    for document in self.documents.values_mut().filter(|document| document.missing > 0) {
                        document.missing = 0;
                        document.enter(now, Life::Orphan);
                        document.due = None;
                    }
                }
            }
        }
    }

    /// What is missing has to be missing anew before it is asked about again.
    fn forgive(&mut self) {
        for document in self.documents.values_mut().filter(|document| document.missing > 0) {
            document.missing = 0;
            self.changed = true;
        }
    }

    /// A document that listings lack was asked for by itself.
    pub fn confirmed(&mut self, now: Now, key: &Key, confirmation: &Confirmation) {
        let same = match &confirmation.parent {
            Parent::There { created_at } => self.parent.as_ref() == Some(created_at),
            Parent::Gone => false,
        };
        self.parent_is(now, &confirmation.parent);
        let Some(document) = self.documents.get_mut(key).filter(|document| document.missing >= LISTINGS)
        else {
            return;
        };
        self.changed = true;
        document.missing = 0;
        if same && confirmation.gone {
            document.enter(now, Life::Withdrawing(None));
            document.due = Some(now.mono);
        }
    }

    /// The question whether a document is gone has no answer: the listings have to say so anew.
    pub fn not_confirmed(&mut self, key: &Key) {
        if let Some(document) = self.documents.get_mut(key) {
            document.missing = LISTINGS - 1;
        }
    }

    /// There was no listing. It is tried again when the link allows; after a refusal (`later`) not before the interval.
    pub fn not_listed(&mut self, now: Now, rng: &mut dyn Random, later: bool) {
        self.pull_due = if later { Desired::later(now, self.settings.pull_interval, rng) } else { now.mono };
    }

    /// A document was enforced, or could not be.
    pub fn enforced(&mut self, now: Now, rng: &mut dyn Random, key: &Key, enforced: Enforced) {
        let interval = self.settings.enforce_interval;
        let Some(document) = self.documents.get_mut(key) else { return };
        if matches!(document.life, Life::Withdrawing(_) | Life::Orphan) {
            return;
        }
        match enforced {
            // Newer content came while the older was on its way.
            Enforced::Applied { digest, .. } if digest != document.digest && document.unstored.is_none() => {
                document.enter(now, Life::Stored);
                document.due = Some(now.mono);
            }
            Enforced::Applied { picture, .. } => {
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
            Enforced::Failed(reason) => {
                document.enter(now, Life::Failed(reason));
                document.tries = document.tries.saturating_add(1);
                let most = ceiling(RETRY, interval, document.tries);
                document.due = Some(now.mono + rng.between(most / 2, most));
            }
        }
    }

    /// A document was taken out of the cluster, as far as that goes.
    pub fn withdrawn(&mut self, now: Now, rng: &mut dyn Random, key: &Key, withdrawn: Withdrawn) {
        let Some(document) = self.documents.get_mut(key) else { return };
        match withdrawn {
            Withdrawn::Gone => {
                if !matches!(document.life, Life::Withdrawing(_)) {
                    // It came back meanwhile, and with its objects its content went: it has to be fetched again.
                    self.pull_due = now.mono;
                }
                self.documents.remove(key);
                self.changed = true;
            }
            Withdrawn::Waiting(reason) | Withdrawn::Failed(reason) => {
                if matches!(document.life, Life::Withdrawing(_)) {
                    document.enter(now, Life::Withdrawing(Some(reason)));
                }
                document.tries = document.tries.saturating_add(1);
                let most = ceiling(RETRY, self.settings.enforce_interval, document.tries);
                document.due = Some(now.mono + rng.between(most / 2, most));
            }
        }
    }

    /// The API server could not be asked: the same again when the link allows.
    pub fn cluster_failed(&mut self, now: Now, key: &Key) {
        if let Some(document) = self.documents.get_mut(key)
            && document.life != Life::Orphan
        {
            document.due = Some(now.mono);
        }
    }
}

/// While the cluster works on a document it is looked at after about this, then less and less often.
const LOOK: Duration = Duration::from_secs(15);
/// A document that failed is tried again after about this, then less and less often.
const RETRY: Duration = Duration::from_secs(4);
