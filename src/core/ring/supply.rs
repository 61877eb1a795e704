//! What documents need from elsewhere, in the ring: when a fetch may go, and what its answer means for links and tokens.

use super::*;
use crate::core::Outcome;
use crate::core::desired::Want;
use crate::core::document::{Key, Supplied, Supply};

impl Core {
    /// What is to be fetched of this sort, if whoever has it may be asked.
    pub(super) fn supply_wanted(&self, now: Now, supply: Supply) -> Option<Want> {
        let ready = self.ready(supply.endpoint(), now);
        self.desired.as_ref().filter(|_| ready)?.want_supply(now.mono, supply)
    }

    /// A supply was asked for.
    pub(super) fn supplied(
        &mut self,
        now: Now,
        rng: &mut dyn Random,
        key: &Key,
        supply: Supply,
        result: Result<Supplied, Outcome>,
    ) {
        match result {
            Ok(supplied) => {
                self.supplier_answered(now, supply, supplied.asked);
                if let Some(desired) = &mut self.desired {
                    desired.supplied(now, rng, key, supply, supplied);
                }
            }
            Err(outcome) => {
                self.supplier_failed(now, rng, supply, outcome);
                if let Some(desired) = &mut self.desired {
                    desired.not_supplied(now, key, supply);
                }
            }
        }
        self.desired_changed(now);
    }

    fn supplier_answered(&mut self, now: Now, supply: Supply, asked: bool) {
        let endpoint = supply.endpoint();
        if !asked {
            return self.links[endpoint as usize].idle();
        }
        if let Some(scope) = supply.scope() {
            self.rejected[scope as usize] = false;
        }
        self.links[endpoint as usize].reached(now);
        self.conditions.clear(endpoint.name());
    }

    fn supplier_failed(&mut self, now: Now, rng: &mut dyn Random, supply: Supply, outcome: Outcome) {
        let endpoint = supply.endpoint();
        match (outcome, supply.scope()) {
            (Outcome::Unauthorized { reason, claims }, Some(scope)) => {
                self.unauthorized(now, rng, endpoint, scope, reason, claims);
            }
            (outcome, _) => {
                if let Some(reason) = self.fail(now, rng, endpoint, outcome) {
                    self.conditions.raise(now, endpoint.name(), reason);
                }
            }
        }
    }
}
