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
    v: u32,
    known: Vec<Anchor>,
}

impl Anchors {
    /// As they were remembered; what is of another version, or nonsense, is as good as none.
    pub fn restore(content: Option<&[u8]>) -> Anchors {
        let known =
            content.and_then(|c| serde_json::from_slice::<Anchors>(c).ok()).filter(|a| a.v == VERSION);
        let mut anchors = known.unwrap_or_default();
        anchors.known.truncate(KEPT_BOOTS);
        anchors
    }

    /// The document to remember.
    pub fn document(&self) -> Vec<u8> {
        serde_json::to_vec(&Anchors { v: VERSION, ..self.clone() }).unwrap_or_default()
    }

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
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Mono;

    const BOOT: [u8; 16] = [1; 16];

    fn stamp(boot: u8, mono_ms: u64, wall_ms: i64, clock: ClockState) -> Stamp {
        Stamp { boot: [boot; 16], mono_ms, wall_ms, clock }
    }

    #[test]
    fn an_anchor_corrects_the_whole_boot_from_before_it_was_known_too() {
        let mut anchors = Anchors::default();
        let early = stamp(1, 2_000, 2_000, ClockState::Unknown);
        assert_eq!(anchors.correct(&early), (2_000, ClockState::Unknown));
        // At 100 s after boot the wall says 100 s after 1970, and the trusted time is 50 years on.
        let now = Now { mono: Mono(100_000), wall_ms: 100_000 };
        anchors.learn(Anchor::from_offset(BOOT, now, 1_600_000_000_000));
        assert_eq!(anchors.correct(&early), (1_600_000_002_000, ClockState::Corrected));
        assert_eq!(anchors.judge(&BOOT, now), ClockState::Wrong);
        let set = Now { mono: Mono(101_000), wall_ms: 1_600_000_101_000 };
        assert_eq!(anchors.judge(&BOOT, set), ClockState::Synced);
        let other = stamp(2, 2_000, 2_000, ClockState::Unknown);
        assert_eq!(anchors.correct(&other), (2_000, ClockState::Unknown), "another boot is another matter");
    }

    #[test]
    fn a_stamp_of_a_right_clock_stays_as_it_is_though_the_anchor_drifts() {
        let mut anchors = Anchors::default();
        anchors.learn(Anchor { boot: BOOT, epoch_ms: 1_000_000 });
        let stamp = stamp(1, 5, 1_000_900, ClockState::Synced);
        assert_eq!(anchors.correct(&stamp), (1_000_900, ClockState::Synced));
    }

    #[test]
    fn only_a_move_of_ten_seconds_is_worth_a_write_and_old_boots_are_let_go() {
        let mut anchors = Anchors::default();
        assert!(anchors.learn(Anchor { boot: BOOT, epoch_ms: 0 }));
        assert!(!anchors.learn(Anchor { boot: BOOT, epoch_ms: 9_000 }));
        assert!(anchors.learn(Anchor { boot: BOOT, epoch_ms: 11_000 }));
        for boot in 2..=KEPT_BOOTS as u8 + 1 {
            anchors.learn(Anchor { boot: [boot; 16], epoch_ms: 0 });
        }
        assert_eq!(anchors.of(&BOOT), None);
        assert_eq!(Anchors::restore(Some(&anchors.document())).known, anchors.known);
        assert_eq!(Anchors::restore(Some(b"{}")), Anchors::default());
        assert_eq!(Anchors::restore(Some(br#"{"v":2,"known":[]}"#)), Anchors::default());
    }

    #[test]
    fn extreme_clocks_do_not_overflow() {
        let mut anchors = Anchors::default();
        let now = Now { mono: Mono(u64::MAX), wall_ms: i64::MIN };
        anchors.learn(Anchor::from_offset(BOOT, now, i64::MIN));
        anchors.judge(&BOOT, now);
        anchors.correct(&stamp(1, u64::MAX, i64::MAX, ClockState::Wrong));
    }
}
