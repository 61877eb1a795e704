//! How long to wait before the next try: exponential, and drawn from the whole range ("full jitter"), so that no two
//! agents that lost the same link come back in step.
//!
//! The random source is an argument; nothing in here knows what is being tried.

use super::Random;
use std::time::Duration;

/// Drawing from a random source.
pub trait Draw {
    /// Uniformly from zero to `most`, both included.
    fn up_to(&mut self, most: Duration) -> Duration;

    /// Uniformly from `least` to `most`; `least` if it is the greater.
    fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + self.up_to(most.saturating_sub(least))
    }
}

impl<R: Random + ?Sized> Draw for R {
    fn up_to(&mut self, most: Duration) -> Duration {
        let range = (most.as_millis() as u64).saturating_add(1);
        // The high half of the product is uniform enough: the bias is below 2^-20 for ranges under a day.
        Duration::from_millis(((u128::from(self.next_u64()) * u128::from(range)) >> 64) as u64)
    }
}

/// The longest delay that may be drawn for the `attempt`-th failure in a row (1 is the first): `base` doubled for each
/// further one, and never more than `cap`.
pub fn ceiling(base: Duration, cap: Duration, attempt: u32) -> Duration {
    base.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX)).min(cap)
}

/// A server says when it wants to be asked again; more than this would be a mistake of the server or of a proxy.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::testing::Seeded;

    #[test]
    fn the_ceiling_doubles_up_to_the_cap_and_never_overflows() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(300));
        let seconds: Vec<u64> = (1..=11).map(|n| ceiling(base, cap, n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(ceiling(base, cap, u32::MAX), cap);
        assert_eq!(ceiling(base, cap, 0), base);
    }

    #[test]
    fn draws_fill_the_whole_range_and_stay_inside() {
        let mut rng = Seeded(7);
        let most = Duration::from_millis(9);
        let mut seen = [0u32; 10];
        for _ in 0..1_000 {
            seen[rng.up_to(most).as_millis() as usize] += 1;
        }
        assert!(seen.iter().all(|n| *n > 50), "{seen:?}");
        assert_eq!(rng.between(Duration::from_secs(5), Duration::from_secs(2)), Duration::from_secs(5));
    }
}
