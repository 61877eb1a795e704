//! The only place that asks the machine what time it is, and the judge of whether the answer can be true.
//!
//! An edge device boots in 1970 when it has no RTC, and its wall clock jumps when NTP finally answers. So a trusted time
//! (the `Date` of a TLS-verified Azure peer) is kept relative to CLOCK_BOOTTIME, which neither jumps nor stops while the
//! device sleeps. Nothing in here sets the system clock, waits, or reads time from a peer that was not verified.

use crate::core::{ClockState, Mono, Now, Stamp};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Wall clock and trusted time within this of each other agree (`ClockState::Synced`).
pub const AGREE_MS: i64 = 60_000;
/// When this binary was built, in milliseconds since 1970.
pub const BUILD_MS: i64 = parse_seconds(env!("ARCLET_BUILD_EPOCH")) * 1000;
/// How far a peer's `Date` may lie from our best time. Its certificate was valid at our best time, certificates of public
/// authorities live for 398 days at most, and an honest peer's own time lies within them too.
const CREDIBLE_MS: i64 = 400 * 24 * 3600 * 1000;
/// A `Date` header has whole seconds: on average it lies half of one behind.
const DATE_HALF_MS: i64 = 500;
/// No trusted time known yet.
const UNKNOWN: i64 = i64::MIN;

/// The device's clocks. Clones share what was learned.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    boot: [u8; 16],
    /// Trusted time at CLOCK_BOOTTIME zero, or [`UNKNOWN`].
    epoch_ms: AtomicI64,
    /// No moment before this one can be now: the build date, or a later trusted time.
    floor_ms: AtomicI64,
    /// Added to the wall clock: zero but in tests.
    shift_ms: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// The clocks of this machine; the trusted time is unknown.
    pub fn new() -> Self {
        Self::shifted(0)
    }

    /// The clocks of a machine whose wall clock is off by this much, for tests: nothing is learned yet.
    pub fn shifted(shift_ms: i64) -> Self {
        Clock(Arc::new(Inner {
            boot: boot_id(),
            epoch_ms: AtomicI64::new(UNKNOWN),
            floor_ms: AtomicI64::new(BUILD_MS),
            shift_ms,
        }))
    }

    /// Both clocks, read together.
    pub fn now(&self) -> Now {
        Now {
            mono: Mono(millis(ClockId::Boottime).max(0) as u64),
            wall_ms: millis(ClockId::Realtime).saturating_add(self.0.shift_ms),
        }
    }

    /// This boot's id (`/proc/sys/kernel/random/boot_id`): monotonic times of other boots do not compare.
    pub fn boot(&self) -> [u8; 16] {
        self.0.boot
    }

    /// Now, in all the clocks there are, with what is known of the wall clock.
    pub fn stamp(&self) -> Stamp {
        let now = self.now();
        Stamp { boot: self.0.boot, mono_ms: now.mono.0, wall_ms: now.wall_ms, clock: self.judge(now) }
    }

    fn judge(&self, now: Now) -> ClockState {
        match self.offset_at(now) {
            Some(offset) if offset.abs() <= AGREE_MS => ClockState::Synced,
            Some(_) => ClockState::Wrong,
            None if now.wall_ms < self.0.floor_ms.load(Ordering::Relaxed) => ClockState::Wrong,
            None => ClockState::Unknown,
        }
    }

    /// The best guess at the time of day, in milliseconds since 1970: the trusted time when it is known, else the wall
    /// clock; never before the build date or the last trusted time.
    pub fn best_wall_ms(&self) -> i64 {
        let now = self.now();
        let guess = now.wall_ms.saturating_add(self.offset_at(now).unwrap_or(0));
        guess.max(self.0.floor_ms.load(Ordering::Relaxed))
    }

    /// Takes the `Date` of a reply from a TLS-verified Azure peer, in milliseconds since 1970. Returns whether it was
    /// believed: one from before the build, or further from our best time than a certificate lives, is not.
    pub fn learn(&self, date_ms: i64) -> bool {
        let date_ms = date_ms.saturating_add(DATE_HALF_MS);
        if date_ms < BUILD_MS || date_ms.abs_diff(self.best_wall_ms()) > CREDIBLE_MS as u64 {
            return false;
        }
        self.0.epoch_ms.store(date_ms.saturating_sub(self.now().mono.0 as i64), Ordering::Relaxed);
        self.set_floor(date_ms.saturating_sub(2 * DATE_HALF_MS));
        true
    }

    /// Trusted time minus wall clock, in milliseconds, once a trusted time is known.
    pub fn offset_ms(&self) -> Option<i64> {
        self.offset_at(self.now())
    }

    fn offset_at(&self, now: Now) -> Option<i64> {
        match self.0.epoch_ms.load(Ordering::Relaxed) {
            UNKNOWN => None,
            epoch => Some(epoch.saturating_add(now.mono.0 as i64).saturating_sub(now.wall_ms)),
        }
    }

    /// Raises the floor to a trusted time of an earlier boot; an earlier floor changes nothing.
    pub fn set_floor(&self, ms: i64) {
        self.0.floor_ms.fetch_max(ms, Ordering::Relaxed);
    }
}

/// Certificates are judged by the best time there is, so that TLS to the local API server works in 1970 too.
impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<rustls::pki_types::UnixTime> {
        let seconds = (self.best_wall_ms() / 1000).max(0) as u64;
        Some(rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

fn boot_id() -> [u8; 16] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    parse_uuid(text.trim()).unwrap_or_else(|| {
        // Without /proc each process counts as a boot of its own: times then never compare, which is the safe side.
        let mut id = [0; 16];
        let _ = getrandom::fill(&mut id);
        id
    })
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).filter_map(|d| Some((d.first()? << 4 | d.get(1)?) as u8)).collect();
    bytes.try_into().ok()
}

const fn parse_seconds(text: &str) -> i64 {
    let (bytes, mut value, mut at) = (text.as_bytes(), 0i64, 0);
    while at < bytes.len() {
        value = value * 10 + (bytes[at] - b'0') as i64;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::time_provider::TimeProvider;

    const DAY_MS: i64 = 24 * 3600 * 1000;

    #[test]
    fn a_clock_that_says_1970_is_known_to_be_wrong_before_anything_was_learned() {
        let clock = Clock::new();
        let in_1970 = Now { mono: Mono(5_000), wall_ms: 7_000 };
        assert_eq!(clock.judge(in_1970), ClockState::Wrong);
        let plausible = Now { mono: Mono(5_000), wall_ms: BUILD_MS + DAY_MS };
        assert_eq!(clock.judge(plausible), ClockState::Unknown);
    }

    #[test]
    fn a_trusted_time_corrects_the_wall_clock_and_says_by_how_much() {
        let clock = Clock::new();
        let ahead = clock.now().wall_ms + 40 * DAY_MS;
        assert!(clock.learn(ahead));
        let offset = clock.offset_ms().unwrap();
        assert!((offset - 40 * DAY_MS).abs() < 5_000, "{offset}");
        assert!((clock.best_wall_ms() - ahead).abs() < 5_000);
        assert_eq!(clock.stamp().clock, ClockState::Wrong);
        assert!(clock.learn(clock.now().wall_ms));
        assert_eq!(clock.stamp().clock, ClockState::Synced);
    }

    #[test]
    fn a_trusted_time_stays_right_when_the_wall_clock_jumps() {
        let clock = Clock::new();
        assert!(clock.learn(clock.now().wall_ms));
        let jumped = Now { mono: clock.now().mono, wall_ms: clock.now().wall_ms - 3 * DAY_MS };
        assert!((clock.offset_at(jumped).unwrap() - 3 * DAY_MS).abs() < 5_000);
        assert_eq!(clock.judge(jumped), ClockState::Wrong);
    }

    #[test]
    fn a_date_that_no_valid_certificate_could_carry_is_not_believed() {
        let clock = Clock::new();
        assert!(!clock.learn(BUILD_MS - DAY_MS));
        assert!(!clock.learn(clock.best_wall_ms() + 4_000 * DAY_MS));
        assert_eq!(clock.offset_ms(), None);
    }

    #[test]
    fn tls_time_is_never_before_the_last_trusted_time_and_the_floor_never_falls() {
        let clock = Clock::new();
        let floor = clock.now().wall_ms.max(BUILD_MS) + 10 * DAY_MS;
        clock.set_floor(floor);
        clock.set_floor(0);
        assert_eq!(clock.best_wall_ms(), floor);
        assert_eq!(clock.current_time().unwrap().as_secs() as i64, floor / 1000);
    }

    #[test]
    fn a_boot_id_is_read_as_sixteen_bytes_and_nothing_else_is() {
        assert_eq!(parse_uuid("01020304-0506-0708-090a-0b0c0d0e0fff").unwrap()[14..], [0x0f, 0xff]);
        assert_eq!(parse_uuid("0102"), None);
        assert_eq!(parse_uuid("not a boot id"), None);
        assert_eq!(Clock::new().boot(), Clock::new().boot());
    }

    #[test]
    fn the_build_date_is_after_this_file_was_written() {
        const { assert!(BUILD_MS > 1_700_000_000_000) };
    }
}
