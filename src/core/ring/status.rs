//! What is shown of the core: a picture of its state, taken when someone asks.

use super::*;
use crate::core::Reason;
use crate::core::port::{DesiredView, DocumentView, LeaseView, LinkView, View};

impl Core {
    /// For status output.
    pub fn view(&self, now: Now) -> View {
        View {
            lease: LeaseView {
                state: self.lease.state(now.mono),
                me: self.lease.me().to_owned(),
                holder: self.lease.holder().map(str::to_owned),
            },
            links: Endpoint::ALL.into_iter().map(|endpoint| self.link_view(endpoint)).collect(),
            conditions: self.conditions.all().to_vec(),
            last_delivery: self.last_delivery,
            delivered: self.delivered,
            facts: self.facts.clone(),
            desired: self.desired.as_ref().map(|desired| self.desired_view(now, desired)),
            flux: self.survey.seen.clone(),
            upgrade: self.upgrade_view(),
        }
    }

    /// Documents that wait for another device say so.
    fn desired_view(&self, now: Now, desired: &Desired) -> DesiredView {
        let mut view = desired.view();
        if self.lease.state(now.mono) == "candidate" {
            let by = self.lease.holder().unwrap_or("no device at present");
            let reason =
                Reason::new("StandsBy", format!("{by} leads the cluster's devices and looks after it"));
            let waits = |document: &&mut DocumentView| {
                document.reason.is_none() && ["stored", "pending", "withdrawing"].contains(&document.state)
            };
            view.documents.iter_mut().filter(waits).for_each(|d| d.reason = Some(reason.clone()));
        }
        view
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
