//! Questions with an answer in one line: `ok`, or what is wrong and what to do. `connect` and `doctor` ask them.
//!
//! A line is printed when its answer is there, not at the end: someone who waits for a time-out sees for whom.

use super::args::Output;
use super::say;
use super::text::clean;
use crate::core::{Outcome, Reason};
use serde::Serialize;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Fine.
    Ok,
    /// Worth knowing; nothing stops because of it.
    Warning,
    /// It cannot go on like this.
    Failed,
    /// Not asked, because an earlier answer makes it pointless, or nothing here needs it.
    Skipped,
}

/// One line.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    /// What was asked.
    pub(super) name: String,
    /// The answer.
    pub(super) verdict: Verdict,
    /// What was found.
    pub(super) detail: String,
    /// What is wrong and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<Reason>,
}

/// The answers so far.
pub(super) struct Checks {
    output: Output,
    /// In the order of asking.
    pub(super) list: Vec<Check>,
}

impl Checks {
    pub(super) fn new(output: Output) -> Checks {
        Checks { output, list: Vec::new() }
    }

    /// Fine, with what was found.
    pub(super) fn ok(&mut self, name: impl Into<String>, detail: impl Into<String>) {
        self.add(name.into(), Verdict::Ok, detail.into(), None);
    }

    /// Wrong.
    pub(super) fn failed(&mut self, name: impl Into<String>, reason: Reason) {
        self.add(name.into(), Verdict::Failed, String::new(), Some(reason));
    }

    /// Not as it should be, and no obstacle.
    pub(super) fn warning(&mut self, name: impl Into<String>, reason: Reason) {
        self.add(name.into(), Verdict::Warning, String::new(), Some(reason));
    }

    /// Not asked, and why.
    pub(super) fn skipped(&mut self, name: impl Into<String>, why: impl Into<String>) {
        self.add(name.into(), Verdict::Skipped, why.into(), None);
    }

    /// Takes down a result and hands on its value.
    pub(super) fn take<T, E: Into<Trouble>>(
        &mut self,
        name: &str,
        result: Result<T, E>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                self.ok(name, detail(&value));
                Some(value)
            }
            Err(error) => {
                self.failed(name, error.into().0);
                None
            }
        }
    }

    /// Whether anything failed.
    pub(super) fn any_failed(&self) -> bool {
        self.list.iter().any(|check| check.verdict == Verdict::Failed)
    }

    fn add(&mut self, name: String, verdict: Verdict, detail: String, reason: Option<Reason>) {
        let check = Check { name, verdict, detail, reason };
        if self.output == Output::Text {
            say(&line(&check));
        }
        self.list.push(check);
    }
}

/// An error of either side as a reason.
pub(super) struct Trouble(Reason);

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Trouble {
        Trouble(reason)
    }
}

impl From<Outcome> for Trouble {
    fn from(outcome: Outcome) -> Trouble {
        Trouble(reason_of(outcome))
    }
}

impl From<crate::config::Error> for Trouble {
    fn from(error: crate::config::Error) -> Trouble {
        Trouble(error.into())
    }
}

/// The reason of an outcome that is no success.
pub(super) fn reason_of(outcome: Outcome) -> Reason {
    match outcome {
        Outcome::TooLarge(reason)
        | Outcome::BadRecord(reason)
        | Outcome::Refused(reason)
        | Outcome::Unauthorized { reason, .. }
        | Outcome::Throttled { reason, .. }
        | Outcome::Unreachable(reason) => reason,
        // A client that hands its success out as an error has a bug; the text says so to whoever meets it.
        Outcome::Success => Reason::new("Bug", "a success was reported as an error"),
    }
}

fn line(check: &Check) -> String {
    let word = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "note",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "-",
    };
    let mut text =
        format!("  {word:<7}{:<22} {}", clean(&check.name), clean(&check.detail)).trim_end().to_owned();
    text.push('\n');
    if let Some(reason) = &check.reason {
        text.push_str(&super::text::reason(reason, "         "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_ok_or_what_to_do() {
        let mut check =
            Check { name: "DNS".into(), verdict: Verdict::Ok, detail: "3 hosts".into(), reason: None };
        assert_eq!(line(&check), "  ok     DNS                    3 hosts\n");
        check.verdict = Verdict::Failed;
        check.detail.clear();
        check.reason = Some(Reason::new("Dns", "no such host").cure("check the name server"));
        assert_eq!(
            line(&check),
            "  FAILED DNS\n         no such host (Dns)\n         next step: check the name server\n"
        );
    }
}
