//! Whom to call next: an endpoint that is free, has something to do, and for which there is a token and the bytes.

use super::*;
use crate::core::document::Supply;
use crate::core::token::Standing;

impl Core {
    /// The next call to an endpoint that is free and has something to do.
    pub(super) fn call(&mut self, now: Now) -> Option<Action> {
        if let Some(action) = self.lease_call(now) {
            return Some(action);
        }
        if self.stopping {
            return None;
        }
        // Looks that are always due, or fail again and again, keep nobody from enforcing.
        if self.ready(Endpoint::Kubernetes, now)
            && std::mem::take(&mut self.looked_last)
            && let Some(action) = self.look_after_cluster(now)
        {
            return Some(action);
        }
        if self.observe_due && self.ready(Endpoint::Kubernetes, now) {
            return Some(self.observe(now));
        }
        if let Some(action) = self.survey(now).or_else(|| self.look_after_cluster(now)) {
            return Some(action);
        }
        let deliver = self.may_deliver(now);
        let patch = self.tags_due(now);
        let ask = self.desired_of_azure(now);
        let [secrets, chart, versions] = Supply::ALL.map(|supply| self.supply_wanted(now, supply));
        let arm = patch.is_some() || ask.is_some() || versions.is_some();
        for (wanted, scope) in
            [(deliver, Scope::Monitor), (arm, Scope::Arm), (secrets.is_some(), Scope::Vault)]
        {
            if wanted && let Some(action) = self.fetch_token(now, scope) {
                return Some(action);
            }
        }
        if deliver && self.usable(now, Scope::Monitor) {
            let up = matches!(self.link(Endpoint::Ingest).state(), State::Up);
            if let Some(action) = self.outbox.next(now.mono, up, self.drain.open(now.mono)) {
                self.start(Endpoint::Ingest);
                return Some(action);
            }
        }
        if let Some(action) = self.look_for_release(now) {
            return Some(action);
        }
        if let Some(want) = chart {
            return Some(self.begin(now, Endpoint::Registry, want));
        }
        if let Some(want) = secrets.filter(|_| self.usable(now, Scope::Vault)) {
            return Some(self.begin(now, Endpoint::Vault, want));
        }
        if !self.usable(now, Scope::Arm) {
            return None;
        }
        match (patch, ask) {
            // Whoever went last lets the other go first: a refusal of one is tried again and again.
            (Some(tags), ask) if ask.is_none() || !self.tags_went => {
                self.start(Endpoint::Arm);
                self.tags_went = true;
                self.patching = Some(tags.clone());
                Some(Action::PatchTags { tags })
            }
            (_, Some(want)) => {
                self.tags_went = false;
                Some(self.begin(now, Endpoint::Arm, want))
            }
            _ => versions.map(|want| self.begin(now, Endpoint::Arm, want)),
        }
    }

    pub(super) fn observe(&mut self, now: Now) -> Action {
        (self.observe_due, self.observe_sent, self.looked_last) = (false, now.mono, true);
        self.start(Endpoint::Kubernetes);
        Action::Observe
    }

    fn fetch_token(&mut self, now: Now, scope: Scope) -> Option<Action> {
        let claims = match self.tokens.standing(now.mono, scope) {
            Standing::Good => return None,
            // Where bytes are counted a token is used to its end.
            Standing::Ageing if self.allowance.is_some() => return None,
            Standing::Ageing => None,
            Standing::Missing(claims) => claims,
        };
        let held = self.scope_not_before[scope as usize].is_some_and(|at| at > now.mono);
        if held || !self.ready(Endpoint::Login, now) {
            return None;
        }
        self.start(Endpoint::Login);
        if let Some(allowance) = &mut self.allowance {
            allowance.charge_token(now.mono);
        }
        Some(Action::FetchToken { scope, claims })
    }

    /// Whether something waits that may go now, if there were a token.
    fn may_deliver(&mut self, now: Now) -> bool {
        let wanted = (self.contact_open || !self.settings.deliver_with_heartbeat)
            && self.ready(Endpoint::Ingest, now)
            && self.outbox.wants(now.mono, self.drain.open(now.mono));
        let token_needed = !self.usable(now, Scope::Monitor);
        match &self.allowance {
            // A token that is being fetched is paid for; the call that it is for is let through.
            Some(_) if !wanted || self.link(Endpoint::Login).in_flight() => wanted,
            Some(allowance) => match allowance.wait(now.mono, token_needed) {
                Some(at) => {
                    self.schedule.set(Timer::Allowance, at);
                    false
                }
                None => true,
            },
            None => wanted,
        }
    }

    fn tags_due(&self, now: Now) -> Option<BTreeMap<String, String>> {
        let waits = self.schedule.get(Timer::Tags).is_some();
        if !self.settings.tags || waits || !self.lease.reports(now.mono) || !self.ready(Endpoint::Arm, now) {
            return None;
        }
        self.facts.as_ref().and_then(|(facts, _)| self.tags.due(facts))
    }

    fn usable(&self, now: Now, scope: Scope) -> bool {
        !matches!(self.tokens.standing(now.mono, scope), Standing::Missing(_))
    }
}
