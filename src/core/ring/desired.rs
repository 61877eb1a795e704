//! Desired state in the ring: when its calls may go, and what their answers mean for links, tokens and the operator.

use super::*;
use crate::core::Outcome;
use crate::core::desired::Want;
use crate::core::document::{Confirmation, Enforced, Key, Listing, Withdrawn};
use crate::core::settings::DesiredSettings;

impl Core {
    /// The next document to be put into the cluster, or taken out.
    pub(super) fn look_after_cluster(&mut self, now: Now) -> Option<Action> {
        if !self.ready(Endpoint::Kubernetes, now) {
            return None;
        }
        let want = self.desired.as_ref()?.want(now.mono, false, true)?;
        if !self.may_change_cluster(now) {
            return self.count_missing(now).then(|| self.observe(now));
        }
        Some(self.begin(now, Endpoint::Kubernetes, want))
    }

    /// What is to be asked of Azure, if it may be asked.
    pub(super) fn desired_of_azure(&self, now: Now) -> Option<Want> {
        let ready = self.ready(Endpoint::Arm, now);
        self.desired.as_ref().filter(|_| ready)?.want(now.mono, true, false)
    }

    pub(super) fn begin(&mut self, now: Now, endpoint: Endpoint, want: Want) -> Action {
        self.start(endpoint);
        if let Some(desired) = &mut self.desired {
            desired.begun(now, &want);
        }
        match want {
            Want::Pull { parent } => {
                let going = self.desired.as_ref().map(Desired::going).unwrap_or_default();
                Action::Pull { parent, going }
            }
            Want::Confirm(key) => Action::Confirm { key },
            Want::Enforce(key) => Action::Enforce { key },
            Want::Withdraw(key) => Action::Withdraw { key },
            Want::Supply(key, supply) => Action::Supply { key, supply },
        }
    }

    /// Azure was asked for all documents.
    pub(super) fn pulled(&mut self, now: Now, rng: &mut dyn Random, result: Result<Listing, Outcome>) {
        match result {
            Ok(listing) => {
                self.azure_answered(now);
                if let Some(desired) = &mut self.desired {
                    desired.listed(now, rng, listing);
                }
            }
            Err(outcome) => {
                let refused = self.azure_failed(now, rng, outcome);
                if let Some(desired) = &mut self.desired {
                    desired.not_listed(now, rng, refused);
                }
            }
        }
        self.desired_changed(now);
    }

    /// Azure was asked for one document.
    pub(super) fn confirmed(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        key: &Key,
        result: Result<Confirmation, Outcome>,
    ) {
        match result {
            Ok(confirmation) => {
                self.azure_answered(now);
                if let Some(desired) = &mut self.desired {
                    desired.confirmed(now, key, &confirmation);
                }
            }
            Err(outcome) => {
                self.azure_failed(now, rng, outcome);
                if let Some(desired) = &mut self.desired {
                    desired.not_confirmed(key);
                }
            }
        }
        self.desired_changed(now);
    }

    /// A document's objects were put into the cluster.
    pub(super) fn enforced(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        key: &Key,
        result: Result<Enforced, Outcome>,
    ) {
        match result {
            Ok(enforced) => {
                self.cluster_answered(now);
                if let Some(desired) = &mut self.desired {
                    desired.enforced(now, rng, key, enforced);
                }
            }
            Err(outcome) => self.cluster_failed(now, rng, key, outcome),
        }
        self.desired_changed(now);
    }

    /// A document's objects were taken out of the cluster.
    pub(super) fn withdrawn(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        key: &Key,
        result: Result<Withdrawn, Outcome>,
    ) {
        match result {
            Ok(withdrawn) => {
                self.cluster_answered(now);
                if let Some(desired) = &mut self.desired {
                    desired.withdrawn(now, rng, key, withdrawn);
                }
            }
            Err(outcome) => self.cluster_failed(now, rng, key, outcome),
        }
        self.desired_changed(now);
    }

    /// Someone asks for a look at both sides.
    pub(super) fn refresh(&mut self, now: Now) {
        if let Some(desired) = &mut self.desired {
            desired.refresh(now);
            self.links[Endpoint::Arm as usize].hint();
            self.links[Endpoint::Kubernetes as usize].hint();
            self.survey_next();
        }
    }

    /// Other intervals; or the scenario is switched on or off, which a restart does: what is in the cluster stays.
    pub(super) fn reconfigure_desired(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        settings: Option<DesiredSettings>,
    ) {
        if let (Some(desired), Some(settings)) = (&mut self.desired, settings) {
            desired.reconfigure(settings, now, rng);
        }
    }

    fn azure_answered(&mut self, now: Now) {
        self.rejected[Scope::Arm as usize] = false;
        self.links[Endpoint::Arm as usize].reached(now);
        self.conditions.clear(ABOUT_DESIRED);
        self.conditions.clear(Endpoint::Arm.name());
    }

    /// Whether ARM refused this very thing: then it is up, for others.
    fn azure_failed(&mut self, now: Now, rng: &mut dyn Random, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Unauthorized { reason, claims } => {
                self.unauthorized(now, rng, Endpoint::Arm, Scope::Arm, reason, claims);
                false
            }
            Outcome::Refused(reason) | Outcome::BadRecord(reason) | Outcome::TooLarge(reason) => {
                self.rejected[Scope::Arm as usize] = false;
                self.links[Endpoint::Arm as usize].reached(now);
                self.conditions.raise(now, ABOUT_DESIRED, reason);
                true
            }
            outcome => {
                self.fail(now, rng, Endpoint::Arm, outcome);
                false
            }
        }
    }

    fn cluster_answered(&mut self, now: Now) {
        self.links[Endpoint::Kubernetes as usize].reached(now);
        self.conditions.clear(Endpoint::Kubernetes.name());
    }

    fn cluster_failed(&mut self, now: Now, rng: &mut dyn Random, key: &Key, outcome: Outcome) {
        if let Some(desired) = &mut self.desired {
            desired.cluster_failed(now, key);
        }
        if self.unfinished(now, &outcome) {
            return;
        }
        if let Some(reason) = self.fail(now, rng, Endpoint::Kubernetes, outcome) {
            self.conditions.raise(now, Endpoint::Kubernetes.name(), reason);
        }
    }

    /// What changed is to be remembered, and shown.
    pub(super) fn desired_changed(&mut self, now: Now) {
        let Some(desired) = &mut self.desired else { return };
        if let Some(document) = desired.document() {
            self.memory.insert(port::DOCUMENT_DESIRED, document);
        }
        match desired.parent_trouble() {
            Some(reason) => self.conditions.raise(now, ABOUT_PARENT, reason),
            None => self.conditions.clear(ABOUT_PARENT),
        }
    }
}

/// Listing documents.
const ABOUT_DESIRED: &str = "desired state";
/// The cluster's own resource.
const ABOUT_PARENT: &str = "cluster resource";
