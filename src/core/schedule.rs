//! Every timer of the core by name, one table of deadlines, and the next moment at which one is due.
//!
//! A deadline that has passed is taken out of the table before anything is decided, so that a timer whose work cannot
//! be done yet never makes the shell spin.

use super::Mono;

/// What the core waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Timer {
    /// The next heartbeat is due: Azure is to see that the cluster lives.
    Heartbeat,
    /// The next look at the cluster is due.
    Observe,
    /// The next metadata report is to be whole: who lost a delta has it again within a day.
    Whole,
    /// Tags may be sent again: ARM's write quota is shared with everyone in the subscription.
    Tags,
    /// Kubernetes may be asked again after a failure.
    Kubernetes,
    /// The token authority may be asked again after a failure.
    Login,
    /// ARM may be called again after a failure.
    Arm,
    /// Ingestion may be called again after a failure.
    Ingest,
    /// The Key Vault may be asked again after a failure.
    Vault,
    /// Registries may be asked again after a failure.
    Registry,
    /// The feed of releases may be asked again after a failure.
    Releases,
    /// The next batch after a long outage may go: a fleet does not come back as one wave.
    Drain,
    /// A stream that was set aside alone may be tried again.
    Stream,
    /// A store operation that failed (a full disk) may be tried again.
    Store,
    /// The byte allowance has room again.
    Allowance,
    /// The next look at Azure for desired state is due.
    Pull,
    /// A document is to be enforced, looked at or withdrawn.
    Enforce,
    /// Something that a document needs is to be fetched.
    Supply,
    /// The next look for a newer release is due.
    Upgrade,
    /// The Lease is to be renewed, or looked at.
    Lease,
}

impl Timer {
    const ALL: [Timer; 20] = [
        Timer::Heartbeat,
        Timer::Observe,
        Timer::Whole,
        Timer::Tags,
        Timer::Kubernetes,
        Timer::Login,
        Timer::Arm,
        Timer::Ingest,
        Timer::Vault,
        Timer::Registry,
        Timer::Releases,
        Timer::Drain,
        Timer::Stream,
        Timer::Store,
        Timer::Allowance,
        Timer::Pull,
        Timer::Enforce,
        Timer::Supply,
        Timer::Upgrade,
        Timer::Lease,
    ];
}

/// The table of deadlines.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    deadlines: [Option<Mono>; Timer::ALL.len()],
}

impl Schedule {
    /// Sets a timer, or moves it.
    pub fn set(&mut self, timer: Timer, at: Mono) {
        self.deadlines[timer as usize] = Some(at);
    }

    /// Sets a timer to what may be no deadline at all.
    pub fn put(&mut self, timer: Timer, at: Option<Mono>) {
        self.deadlines[timer as usize] = at;
    }

    /// The deadline of a timer that has not gone off.
    pub fn get(&self, timer: Timer) -> Option<Mono> {
        self.deadlines[timer as usize]
    }

    /// Takes out one timer whose deadline has come.
    pub fn expire(&mut self, now: Mono) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().find(|t| self.get(*t).is_some_and(|at| at <= now))?;
        self.put(timer, None);
        Some(timer)
    }

    /// The earliest deadline.
    pub fn next_wake(&self) -> Option<Mono> {
        self.deadlines.iter().flatten().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_wake_is_the_earliest_deadline_and_an_expired_timer_goes_off_once() {
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next_wake(), None);
        schedule.set(Timer::Observe, Mono(30));
        schedule.set(Timer::Heartbeat, Mono(20));
        schedule.set(Timer::Tags, Mono(40));
        assert_eq!(schedule.next_wake(), Some(Mono(20)));
        assert_eq!(schedule.expire(Mono(19)), None);
        assert_eq!(schedule.expire(Mono(30)), Some(Timer::Heartbeat));
        assert_eq!(schedule.expire(Mono(30)), Some(Timer::Observe));
        assert_eq!(schedule.expire(Mono(30)), None);
        assert_eq!(schedule.next_wake(), Some(Mono(40)));
    }

    #[test]
    fn every_timer_has_a_place_of_its_own() {
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
    }
}
