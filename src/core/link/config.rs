//! How patiently a link is tried: three durations that cannot be set wrongly.

use crate::core::Random;
use crate::core::backoff::{Draw, ceiling};
use std::time::Duration;

/// How a link is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) base: Duration,
    pub(super) cap: Duration,
    refused: Duration,
}

/// What is wrong with a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// `base` is below [`BASE_LEAST`]: a dead link would be hammered.
    BaseTooShort,
    /// `cap` is shorter than `base`.
    CapBelowBase,
    /// `cap` is above [`WAIT_MOST`]: a link that is back would not be noticed for too long.
    CapTooLong,
    /// `refused` is shorter than `base`, or above [`WAIT_MOST`].
    RefusedOutOfRange,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ConfigError::BaseTooShort => "the first retry delay must be at least 10 ms",
            ConfigError::CapBelowBase => "the longest retry delay must not be shorter than the first",
            ConfigError::CapTooLong => "the longest retry delay must be at most 24 h",
            ConfigError::RefusedOutOfRange => {
                "the delay after a refusal must lie between the first retry delay and 24 h"
            }
        })
    }
}

impl std::error::Error for ConfigError {}

/// The shortest first delay.
pub const BASE_LEAST: Duration = Duration::from_millis(10);
/// The longest wait of any kind.
pub const WAIT_MOST: Duration = Duration::from_secs(24 * 3600);

impl Config {
    /// `base`: the first delay is drawn from zero to this, each further one from twice as much. `cap`: no delay is
    /// drawn from more. `refused`: between tries of an endpoint that refuses, for someone has to change something first.
    pub const fn try_new(base: Duration, cap: Duration, refused: Duration) -> Result<Config, ConfigError> {
        let (b, c, r) = (base.as_millis(), cap.as_millis(), refused.as_millis());
        if b < BASE_LEAST.as_millis() {
            return Err(ConfigError::BaseTooShort);
        }
        if c < b {
            return Err(ConfigError::CapBelowBase);
        }
        if c > WAIT_MOST.as_millis() {
            return Err(ConfigError::CapTooLong);
        }
        if r < b || r > WAIT_MOST.as_millis() {
            return Err(ConfigError::RefusedOutOfRange);
        }
        Ok(Config { base, cap, refused })
    }

    /// One second, doubling to five minutes; five minutes after a refusal.
    pub const NEAR: Config = Config {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(300),
        refused: Duration::from_secs(300),
    };

    /// For calls that can wait and cost much: half a minute, doubling to an hour; an hour after a refusal.
    pub const PATIENT: Config = Config {
        base: Duration::from_secs(30),
        cap: Duration::from_secs(3600),
        refused: Duration::from_secs(3600),
    };

    /// The delay before the next try after the `attempt`-th failure in a row.
    pub fn delay(&self, rng: &mut dyn Random, attempt: u32) -> Duration {
        rng.up_to(ceiling(self.base, self.cap, attempt))
    }

    /// The delay after a refusal: from three quarters to five quarters of `refused`, so that agents drift apart.
    pub fn refused_delay(&self, rng: &mut dyn Random) -> Duration {
        rng.between(self.refused * 3 / 4, self.refused * 5 / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bad_value_has_an_error_of_its_own() {
        let s = Duration::from_secs;
        assert!(Config::try_new(s(1), s(300), s(300)).is_ok());
        assert_eq!(Config::try_new(s(0), s(300), s(300)), Err(ConfigError::BaseTooShort));
        assert_eq!(Config::try_new(s(10), s(9), s(300)), Err(ConfigError::CapBelowBase));
        assert_eq!(Config::try_new(s(1), s(86_401), s(300)), Err(ConfigError::CapTooLong));
        assert_eq!(Config::try_new(s(10), s(300), s(9)), Err(ConfigError::RefusedOutOfRange));
        for preset in [Config::NEAR, Config::PATIENT] {
            assert_eq!(Config::try_new(preset.base, preset.cap, preset.refused), Ok(preset));
        }
    }
}
