//! Words for people: ages, sizes, counts, and texts of others that must not command a terminal.

use crate::core::Reason;
use jiff::Timestamp;

/// `just now`, `45 s`, `12 min`, `3 h`, `9 days`: one unit, the one that matters.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=5_399 => format!("{} min", (seconds + 30) / 60),
        5_400..=172_799 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => count((seconds + 43_200) / 86_400, "day"),
    }
}

/// Seconds from one RFC 3339 time to another; `None` when either is not one.
pub(super) fn seconds_between(earlier: &str, later: &str) -> Option<u64> {
    let (earlier, later): (Timestamp, Timestamp) = (earlier.parse().ok()?, later.parse().ok()?);
    Some((later.as_second() - earlier.as_second()).max(0) as u64)
}

/// `3 h ago`, or the time itself where it cannot be compared.
pub(super) fn ago(time: &str, now: &str) -> String {
    match seconds_between(time, now) {
        Some(seconds) => format!("{} ago", span(seconds)),
        None => clean(time),
    }
}

/// `1 record`, `1,234 records`.
pub(super) fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `512 B`, `3.4 KiB`, `128 MiB`.
pub(super) fn bytes(number: u64) -> String {
    let (mut value, mut unit) = (number as f64, "B");
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, next);
    }
    if unit == "B" || value >= 10.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A text of somebody else: control characters, which could move the cursor or hide the rest, become `\u{…}`.
pub(super) fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\t' | '\n' => cleaned.push(' '),
            c if c.is_control()
                || ('\u{202a}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                cleaned.extend(c.escape_unicode());
            }
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// What happened, and under it what to do, both indented.
pub(super) fn reason(reason: &Reason, indent: &str) -> String {
    let mut text = format!("{indent}{} ({})\n", clean(&reason.message), clean(&reason.code));
    if !reason.next_step.is_empty() {
        text.push_str(&format!("{indent}next step: {}\n", clean(&reason.next_step)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_one_unit() {
        let spans = [0, 89, 90, 5_399, 5_400, 172_799, 172_800, 86_400 * 120].map(span);
        assert_eq!(spans, ["0 s", "89 s", "2 min", "90 min", "2 h", "48 h", "2 days", "120 days"]);
    }

    #[test]
    fn numbers_are_grouped_and_sizes_short() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1_023, 1_024, 3_500, 134_217_728].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "3.4 KiB", "128 MiB"]
        );
    }

    #[test]
    fn a_hostile_text_does_not_command_the_terminal() {
        let text = clean("ok\u{1b}[2J\u{7}\u{202e}x\n");
        assert_eq!(text, "ok\\u{1b}[2J\\u{7}\\u{202e}x ");
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        assert_eq!(ago("2026-11-23T02:00:00Z", "2026-11-23T01:00:00Z"), "0 s ago");
        assert_eq!(ago("1970-01-01", "2026-11-23T01:00:00Z"), "1970-01-01");
    }
}
