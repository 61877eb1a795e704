//! Another agent of the same cluster, as far as the Lease shows it: it comes, takes the Lease when that is free by its own
//! clock, and stops without a word or gives it back. While it leads, nothing of ours may reach the cluster.

use crate::world::{Event, MINUTE, SECOND, World};
use arclet::core::lease::{Answer, Call, Seen, TERM};
use arclet::core::{Endpoint, Input};

const OTHER: &str = "another";

/// The cluster's Lease, and who else wants it.
#[derive(Default)]
pub struct Lease {
    object: Option<Seen>,
    version: u64,
    /// What the other one sees, and since when. `None`: it does not run.
    seen: Option<(Option<Seen>, u64)>,
    /// When it stops; and whether it gives the Lease back then.
    stops: (u64, bool),
}

impl Lease {
    pub fn does(&mut self, call: Call) -> Answer {
        match call {
            Call::Look => self.object.clone().map_or(Answer::Absent, Answer::There),
            Call::Write { base, holder } if base == self.object => Answer::There(self.write(&holder)),
            Call::Write { .. } => Answer::Conflict,
        }
    }

    fn write(&mut self, holder: &str) -> Seen {
        self.version += 1;
        let seen = Seen {
            holder: holder.to_owned(),
            version: self.version.to_string(),
            renewed: self.version.to_string(),
            acquired: String::new(),
            transitions: 0,
        };
        self.object.insert(seen).clone()
    }

    /// Whether the other one has it, by all that it knows.
    pub fn is_anothers(&self) -> bool {
        self.seen.is_some() && self.object.as_ref().is_some_and(|seen| seen.holder == OTHER)
    }

    fn step(&mut self, time: u64) -> bool {
        let Some((seen, since)) = &mut self.seen else { return false };
        if *seen != self.object {
            (*seen, *since) = (self.object.clone(), time);
        }
        let holder = self.object.as_ref().map(|seen| seen.holder.clone());
        let expired = u128::from(time - *since) >= TERM.as_millis();
        if time >= self.stops.0 {
            if self.stops.1 && holder.as_deref() == Some(OTHER) {
                self.write("");
            }
            self.seen = None;
            return false;
        }
        if matches!(holder.as_deref(), Some(OTHER | "")) || expired {
            let taken = self.write(OTHER);
            self.seen = Some((Some(taken), time));
        }
        true
    }
}

impl World {
    /// A node joins the cluster with an agent of its own, which runs for a while.
    pub fn another_agent(&mut self) {
        if self.lease.seen.is_some() {
            return;
        }
        self.facts.node_count = 2;
        self.lease.seen = Some((self.lease.object.clone(), self.time));
        self.lease.stops = (self.time + self.rng.below(60 * MINUTE), self.rng.chance(50));
        self.another_acts();
    }

    /// Another agent takes over, and stays.
    pub fn another_leads(&mut self) {
        self.lease.seen = Some((None, self.time));
        self.lease.stops = (u64::MAX, false);
        self.lease.write(OTHER);
        self.another_acts();
        self.facts.node_count = 2;
        self.tell(Input::LinkHint(Endpoint::Kubernetes));
    }

    pub(super) fn another_acts(&mut self) {
        if self.lease.step(self.time) {
            self.after(20 * SECOND, Event::Another);
        }
    }

    /// It ends at once, as everybody's power does.
    pub fn another_ends(&mut self) {
        self.lease.seen = None;
    }
}
