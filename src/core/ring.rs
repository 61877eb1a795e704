//! The ring: what is observed becomes records, records become deliveries.

use super::{Action, Input, Mono, Now, Random, Restored, Settings, View};
use crate::scenario::clock::Anchors;

/// The agent's brain. See the module.
pub struct Core {
    settings: Settings,
    anchors: Anchors,
}

impl Core {
    /// A core that has just started.
    pub fn new(settings: Settings, restored: Restored, now: Now, rng: &mut dyn Random) -> Core {
        let _ = (restored, now, rng);
        Core { settings, anchors: Anchors::default() }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Now, rng: &mut dyn Random, input: Input) {
        let _ = (now, rng);
        if let Input::Reconfigured(settings) = input {
            self.settings = settings;
        }
    }

    /// The next thing to do; call until `None` after each [`Core::handle`] and at [`Core::next_wake`].
    pub fn poll(&mut self, now: Now, rng: &mut dyn Random) -> Option<Action> {
        let _ = (now, rng, &self.settings);
        None
    }

    /// When to call [`Core::poll`] again though nothing happened.
    pub fn next_wake(&self) -> Option<Mono> {
        None
    }

    /// For status output.
    pub fn view(&self) -> View {
        View { links: Vec::new(), conditions: Vec::new(), last_delivery: None, delivered: 0, facts: None }
    }

    /// What is known of the clocks of this boot and of earlier ones, for [`crate::scenario::encode`].
    pub fn anchors(&self) -> &Anchors {
        &self.anchors
    }
}
