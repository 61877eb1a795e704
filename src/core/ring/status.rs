//! What is shown of the core: a picture of its state, taken when someone asks.

use super::*;
use crate::core::port::{LinkView, View};

impl Core {
    /// For status output.
    pub fn view(&self) -> View {
        View {
            links: Endpoint::ALL.into_iter().map(|endpoint| self.link_view(endpoint)).collect(),
            conditions: self.conditions.all().to_vec(),
            last_delivery: self.last_delivery,
            delivered: self.delivered,
            facts: self.facts.clone(),
            desired: self.desired.as_ref().map(Desired::view),
            flux: self.survey.seen.clone(),
            upgrade: self.upgrade_view(),
        }
    }

    fn link_view(&self, endpoint: Endpoint) -> LinkView {
        let link = self.link(endpoint);
        // Where an endpoint refuses its users one by one, the first of them to try again tries the link.
        let users = match (endpoint, link.state()) {
            (Endpoint::Login, State::Refused(_)) => self.scope_not_before.into_iter().flatten().min(),
            (Endpoint::Ingest, State::Refused(_)) => self.outbox.not_before(),
            _ => None,
        };
        LinkView {
            endpoint,
            state: link.state().name(),
            since: link.since(),
            reason: link.state().reason().cloned(),
            next_try: link.not_before().or(users),
            attempts: link.attempts(),
        }
    }

    /// What is known of the clocks of this boot and of earlier ones, for [`crate::scenario::encode`].
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
