//! The way back after an outage that many agents shared: the first sign of life goes at once, the rest after a delay by
//! chance and then in paced batches, so that a fleet comes back as drizzle and not as a wave.

use super::backoff::Draw;
use super::{Mono, Random};
use std::time::Duration;

/// When bulk may go.
#[derive(Clone, Debug, Default)]
pub struct Drain {
    not_before: Option<Mono>,
    pacing: bool,
}

impl Drain {
    /// The link is back after so long. An outage shorter than `long` changes nothing.
    pub fn outage_over(
        &mut self,
        now: Mono,
        rng: &mut dyn Random,
        lasted: Duration,
        long: Duration,
        most: Duration,
    ) {
        if lasted >= long {
            self.pacing = true;
            let at = now + rng.up_to(most.min(lasted / 3));
            self.not_before = Some(self.not_before.map_or(at, |known| known.max(at)));
        }
    }

    /// The device has booted, and perhaps all its neighbours with it.
    pub fn power_is_back(&mut self, now: Mono, rng: &mut dyn Random) {
        self.pacing = true;
        self.not_before = Some(now + rng.up_to(POWER));
    }

    /// A batch of bulk was delivered.
    pub fn batch_delivered(&mut self, now: Mono, rng: &mut dyn Random) {
        if self.pacing {
            self.not_before = Some(now + rng.up_to(PACE * 2));
        }
    }

    /// Nothing waits any more, or someone asked for everything at once.
    pub fn over(&mut self) {
        *self = Drain::default();
    }

    /// Whether bulk may go now.
    pub fn open(&self, now: Mono) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// When it may.
    pub fn not_before(&self) -> Option<Mono> {
        self.not_before
    }
}

/// Between two batches of a paced drain, in the mean: a batch is at most 1 MB before compression.
const PACE: Duration = Duration::from_millis(500);

/// After a boot the drain begins within this: devices do not boot equally fast, which spreads them more.
const POWER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::Seeded;

    const LONG: Duration = Duration::from_secs(900);
    const MOST: Duration = Duration::from_secs(300);

    #[test]
    fn a_fleet_does_not_drain_in_step_after_a_shared_outage() {
        let starts: Vec<u64> = (0..200)
            .map(|seed| {
                let mut drain = Drain::default();
                drain.outage_over(Mono(0), &mut Seeded(seed), LONG * 4, LONG, MOST);
                drain.not_before().map_or(0, |at| at.0)
            })
            .collect();
        for minute in 0..5 {
            let n = starts.iter().filter(|s| (minute * 60_000..(minute + 1) * 60_000).contains(*s)).count();
            assert!((15..=70).contains(&n), "{n} of 200 agents in minute {minute}");
        }
    }

    #[test]
    fn a_short_outage_delays_nothing() {
        let mut drain = Drain::default();
        drain.outage_over(Mono(0), &mut Seeded(1), LONG - Duration::from_secs(1), LONG, MOST);
        drain.batch_delivered(Mono(1), &mut Seeded(1));
        assert!(drain.open(Mono(0)));
    }
}
