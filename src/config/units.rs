//! Durations and sizes as people write them, and the key that was probably meant.
//!
//! Integers with one unit, nothing else: `1.5h` and `1h30m` have two readings somewhere, `90m` has one.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

/// `250ms`, `30s`, `5m`, `24h`, `7d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    measure(text, &DURATIONS, "a duration: a whole number and ms, s, m, h or d, as in \"5m\"")
        .map(Duration::from_millis)
}

/// `512KiB`, `64MiB`, `1GiB`, `4096B`; in bytes.
pub fn size(text: &str) -> Result<u64, String> {
    measure(text, &SIZES, "a size: a whole number and B, KiB, MiB or GiB, as in \"64MiB\"")
}

/// The shortest way to write a duration that [`duration`] reads back.
pub fn show_duration(duration: Duration) -> String {
    show(duration.as_millis().try_into().unwrap_or(u64::MAX), &DURATIONS, "ms")
}

/// The shortest way to write a size that [`size`] reads back.
pub fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES, "B")
}

fn measure(text: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, String> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(end);
    let wrong = || format!("{text:?} is not {expected}");
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*factor).ok_or_else(|| format!("{text:?} is beyond all bounds"))
}

fn show(value: u64, units: &[(&str, u64)], smallest: &str) -> String {
    let best = units
        .iter()
        .filter(|(_, factor)| value != 0 && value.is_multiple_of(*factor))
        .max_by_key(|(_, f)| *f);
    match best {
        Some((unit, factor)) => format!("{}{unit}", value / factor),
        None => format!("{value}{smallest}"),
    }
}

/// The one of `known` that `text` was probably meant to be: at most a third of it differs.
pub fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let plain = |s: &str| s.replace('_', "-").to_lowercase();
    let text = plain(text);
    let (distance, best) = known.iter().map(|k| (edits(&text, &plain(k)), *k)).min_by_key(|(d, _)| *d)?;
    (distance <= best.len().max(text.len()) / 3).then_some(best)
}

/// Levenshtein's distance with a swap of neighbours as one edit (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let mut cost = (last[j] + usize::from(a[i] != b[j])).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                cost = cost.min(before[j - 1] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_back() {
        for ms in [0, 1, 250, 1_000, 90_000, 300_000, 86_400_000, 3_600_001] {
            let d = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(d)), Ok(d));
        }
        for bytes in [0, 1, 1023, 1024, 64 << 20, 3 << 30] {
            assert_eq!(size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_duration(Duration::from_secs(300)), "5m");
        assert_eq!(show_size(64 << 20), "64MiB");
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "1.5h",
            "1h30m",
            "-5m",
            "5 m",
            "5M",
            "+5m",
            "99999999999999999999d",
            "9999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        for text in ["64", "64MB", "64mib", "MiB", "1e3B"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_key_that_was_meant_is_found_and_a_foreign_one_is_not() {
        let known = ["heartbeat-interval", "metadata-interval", "tags", "profile"];
        assert_eq!(nearest("heartbeat_interval", &known), Some("heartbeat-interval"));
        assert_eq!(nearest("hearbeat-intreval", &known), Some("heartbeat-interval"));
        assert_eq!(nearest("tag", &known), Some("tags"));
        assert_eq!(nearest("colour", &known), None);
    }
}
