//! Times of a device whose clock may say 1970: what was stamped with a wrong clock is set right before it is sent.
//!
//! A trusted time (the `Date` of a verified TLS peer) is kept as the moment at which the boot began, because
//! CLOCK_BOOTTIME runs on evenly while the wall clock may jump. One such anchor corrects every stamp of its boot,
//! those from before it was known too.

use crate::core::{ClockState, Now, Stamp};
use serde::{Deserialize, Serialize};

/// When a boot began, in trusted time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Which boot.
    pub boot: [u8; 16],
    /// Trusted time at CLOCK_BOOTTIME zero, in milliseconds since 1970.
    pub epoch_ms: i64,
}

impl Anchor {
    /// From `offset_ms`, trusted time minus wall clock, as it is `now`.
    pub fn from_offset(boot: [u8; 16], now: Now, offset_ms: i64) -> Anchor {
        Anchor { boot, epoch_ms: now.wall_ms.saturating_add(offset_ms).saturating_sub(now.mono.0 as i64) }
    }

    /// Trusted time at a point of this boot's monotonic clock.
    pub fn at(&self, mono_ms: u64) -> i64 {
        self.epoch_ms.saturating_add(mono_ms as i64)
    }
}

/// The anchors of this boot and of those before it: records may wait for longer than a boot lasts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchors {
    known: Vec<Anchor>,
}

impl Anchors {
    /// The anchor of a boot.
    pub fn of(&self, boot: &[u8; 16]) -> Option<&Anchor> {
        self.known.iter().find(|a| a.boot == *boot)
    }

    /// Takes a newer anchor; true if it is worth remembering (a new boot, or off by more than [`TOLERANCE_MS`] / 6).
    pub fn learn(&mut self, anchor: Anchor) -> bool {
        if let Some(known) = self.known.iter_mut().find(|a| a.boot == anchor.boot) {
            let moved = known.epoch_ms.abs_diff(anchor.epoch_ms) > TOLERANCE_MS / 6;
            if moved {
                known.epoch_ms = anchor.epoch_ms;
            }
            return moved;
        }
        if self.known.len() >= KEPT_BOOTS {
            self.known.remove(0);
        }
        self.known.push(anchor);
        true
    }

    /// What is known of the wall clock `now`, in the given boot.
    pub fn judge(&self, boot: &[u8; 16], now: Now) -> ClockState {
        match self.of(boot) {
            None => ClockState::Unknown,
            Some(a) if a.at(now.mono.0).abs_diff(now.wall_ms) <= TOLERANCE_MS => ClockState::Synced,
            Some(_) => ClockState::Wrong,
        }
    }

    /// The best time of a stamp, in milliseconds since 1970, and how far it can be trusted.
    pub fn correct(&self, stamp: &Stamp) -> (i64, ClockState) {
        if matches!(stamp.clock, ClockState::Synced | ClockState::Corrected) {
            return (stamp.wall_ms, stamp.clock);
        }
        match self.of(&stamp.boot) {
            None => (stamp.wall_ms, stamp.clock),
            Some(a) if a.at(stamp.mono_ms).abs_diff(stamp.wall_ms) <= TOLERANCE_MS => {
                (stamp.wall_ms, ClockState::Synced)
            }
            Some(a) => (a.at(stamp.mono_ms), ClockState::Corrected),
        }
    }
}

/// A wall clock that is off by no more than this counts as right (`ClockState::Synced`).
pub const TOLERANCE_MS: u64 = 60_000;
/// Boots whose anchors are kept; older records keep the times that they were stamped with.
pub const KEPT_BOOTS: usize = 16;
