//! The log: one line per event on stderr, with the priority in front when the journal reads it.
//!
//! Our own, because it is all that is needed (systemd turns `<3>` into PRIORITY=3) and costs 5 KB where the usual
//! crates cost 24 to 700 KB. Two rules live here and nowhere else: text that came from outside can neither start a line of
//! its own nor drive a terminal, and the crates below us say warnings at most, whatever the level, because their debug
//! lines may hold headers.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::OnceLock;

/// Starts logging; later calls only change the level. `journal` says whether the journal reads stderr, see [`to_journal`].
pub fn init(level: LevelFilter, journal: bool) {
    static LOGGER: OnceLock<Stderr> = OnceLock::new();
    // An error means that a logger is there already: a test's, or ours.
    let _ = log::set_logger(LOGGER.get_or_init(|| Stderr { journal }));
    set_level(level);
}

/// Changes the level, for example after SIGHUP.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
}

/// Whether stderr leads to the journal: systemd says so in JOURNAL_STREAM.
pub fn to_journal() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}

struct Stderr {
    journal: bool,
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && (ours(metadata.target()) || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(record, self.journal);
            // One write, so that lines of different threads do not mix. There is nowhere to report its failure.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn ours(target: &str) -> bool {
    target == "arclet" || target.starts_with("arclet::")
}

fn line(record: &Record<'_>, journal: bool) -> String {
    let mut line = String::with_capacity(160);
    line.push_str(match (journal, record.level()) {
        (true, Level::Error) => "<3>",
        (true, Level::Warn) => "<4>",
        (true, Level::Info) => "<6>",
        (true, _) => "<7>",
        (false, Level::Error) => "error: ",
        (false, Level::Warn) => "warning: ",
        (false, _) => "",
    });
    if !ours(record.target()) {
        let _ = write!(line, "{}: ", record.target());
    }
    let _ = write!(Cleaned(&mut line), "{}", record.args());
    line.push('\n');
    line
}

/// Escapes control characters and stops at [`LONGEST_LINE`].
struct Cleaned<'a>(&'a mut String);

impl std::fmt::Write for Cleaned<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for c in text.chars() {
            if self.0.len() >= LONGEST_LINE {
                break;
            }
            if c.is_control() {
                self.0.extend(c.escape_default());
            } else {
                self.0.push(c);
            }
        }
        Ok(())
    }
}

/// Bytes of a line; an answer of the other side may be quoted in it. The journal itself splits at 48 KiB.
const LONGEST_LINE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn text(level: Level, target: &str, message: &str, journal: bool) -> String {
        line(&Record::builder().level(level).target(target).args(format_args!("{message}")).build(), journal)
    }

    #[test]
    fn priorities_are_those_of_syslog() {
        let lines = [
            (Level::Error, "<3>x\n"),
            (Level::Warn, "<4>x\n"),
            (Level::Info, "<6>x\n"),
            (Level::Debug, "<7>x\n"),
            (Level::Trace, "<7>x\n"),
        ];
        for (level, expected) in lines {
            assert_eq!(text(level, "arclet::agent", "x", true), expected);
        }
        assert_eq!(text(Level::Info, "arclet", "x", false), "x\n");
    }

    #[test]
    fn text_from_outside_starts_no_line_of_its_own() {
        assert_eq!(text(Level::Info, "arclet", "a\n<3>forged\x1b[2J", true), "<6>a\\n<3>forged\\u{1b}[2J\n");
    }

    #[test]
    fn a_line_is_bounded() {
        assert!(text(Level::Info, "arclet", &"x".repeat(100_000), true).len() <= LONGEST_LINE + 1);
    }

    #[test]
    fn crates_below_say_warnings_at_most() {
        let logger = Stderr { journal: false };
        set_level(LevelFilter::Trace);
        let enabled =
            |target, level| logger.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(enabled("arclet::store", Level::Trace));
        assert!(enabled("rustls", Level::Warn));
        assert!(!enabled("ureq", Level::Info));
        assert!(!enabled("arclets", Level::Debug));
    }
}
