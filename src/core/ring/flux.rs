//! The installation of Flux in the ring: when it is looked at, and that each change is told once.
//!
//! With the look at the cluster, in a call of its own: one that needs another role, and whose failure is nobody else's.

use super::*;
use crate::core::Outcome;
use crate::core::document::Kind;
use crate::scenario::flux::Installation;

/// What is known of Flux.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    /// It is to be looked at.
    due: bool,
    /// What was seen last, and when.
    pub(super) seen: Option<(Installation, Now)>,
    /// What Azure was told last; forgotten at a restart, so that the first look of each process is told.
    told: Option<Installation>,
}

impl Survey {
    /// What Azure is to be told.
    pub(super) fn news(&self) -> Option<&Installation> {
        let (seen, _) = self.seen.as_ref()?;
        (self.told.as_ref() != Some(seen)).then_some(seen)
    }

    /// This is durable.
    pub(super) fn told(&mut self, installation: Installation) {
        self.told = Some(installation);
    }

    /// A report was lost.
    pub(super) fn tell_again(&mut self) {
        self.told = None;
    }
}

impl Core {
    /// It is looked at next, if there is anything for Flux to do.
    pub(super) fn survey_next(&mut self) {
        self.survey.due = self.settings.desired.is_some_and(|desired| desired.kinds.has(Kind::Flux));
    }

    /// The look at Flux, if it is due and may go.
    pub(super) fn survey(&mut self, now: Now) -> Option<Action> {
        if !self.survey.due || !self.ready(Endpoint::Kubernetes, now) {
            return None;
        }
        // Once: what fails is tried with the next look at the cluster, and delays no document.
        (self.survey.due, self.looked_last) = (false, true);
        self.start(Endpoint::Kubernetes);
        Some(Action::Survey)
    }

    /// Flux was looked at.
    pub(super) fn surveyed(&mut self, now: Now, rng: &mut dyn Random, result: Result<Installation, Outcome>) {
        match result {
            Ok(installation) => {
                self.links[Endpoint::Kubernetes as usize].reached(now);
                self.conditions.clear(Endpoint::Kubernetes.name());
                self.survey.seen = Some((installation, now));
            }
            Err(outcome) => {
                if let Some(reason) = self.fail(now, rng, Endpoint::Kubernetes, outcome) {
                    self.conditions.raise(now, Endpoint::Kubernetes.name(), reason);
                }
            }
        }
    }
}
