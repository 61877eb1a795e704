//! What can be wrong with a configuration, as people and programs read it: file, line, key, kind, next step.
//!
//! Every mistake of a file is reported at once: an operator at a device on a slow line corrects it in one go.

use crate::core::Reason;
use std::path::PathBuf;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1, where it is known.
    pub line: Option<u32>,
    /// `section.key`, empty where the mistake is of the file as a whole.
    pub key: String,
    /// What is wrong.
    pub kind: Kind,
    /// What to do.
    pub next_step: String,
}

/// What is wrong with a key or a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file cannot be read; with the system's words.
    Unreadable(String),
    /// Longer than any configuration is.
    TooLong(u64),
    /// Not TOML; with the parser's words.
    Syntax(String),
    /// No such key.
    UnknownKey,
    /// No such section.
    UnknownSection,
    /// A key that must be there is not.
    Missing,
    /// Another type than the one that is needed.
    WrongType {
        /// What is needed, with an example.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// The right type, but not a value that means something here; with the reason.
    BadValue(String),
    /// Anybody on the device may read a file that holds a secret; with its mode.
    Exposed(u32),
}

impl Kind {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Kind::Unreadable(_) => "Unreadable",
            Kind::TooLong(_) => "TooLong",
            Kind::Syntax(_) => "Syntax",
            Kind::UnknownKey => "UnknownKey",
            Kind::UnknownSection => "UnknownSection",
            Kind::Missing => "Missing",
            Kind::WrongType { .. } => "WrongType",
            Kind::BadValue(_) => "BadValue",
            Kind::Exposed(_) => "Exposed",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Kind::TooLong(bytes) => write!(f, "has {bytes} bytes, which no configuration has"),
            Kind::Syntax(why) => write!(f, "is not TOML: {why}"),
            Kind::UnknownKey => f.write_str("no such key"),
            Kind::UnknownSection => f.write_str("no such section"),
            Kind::Missing => f.write_str("is missing"),
            Kind::WrongType { expected, found } => write!(f, "must be {expected}, not {found}"),
            Kind::BadValue(why) => f.write_str(why),
            Kind::Exposed(mode) => write!(f, "holds a secret and has mode {mode:04o}"),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.kind)?;
        if !self.next_step.is_empty() {
            write!(f, "; {}", self.next_step)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

impl From<Error> for Reason {
    fn from(error: Error) -> Reason {
        let what = match (&error.key, error.line) {
            (key, _) if key.is_empty() => error.file.display().to_string(),
            (key, None) => format!("{key} in {}", error.file.display()),
            (key, Some(line)) => format!("{key} in {}, line {line}", error.file.display()),
        };
        Reason::new(format!("Config{}", error.kind.code()), format!("{what}: {}", error.kind))
            .cure(error.next_step)
    }
}

/// Everything that is wrong with a file, in its order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors(pub Vec<Error>);

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (nth, error) in self.0.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl From<Errors> for Reason {
    /// The first mistake as a condition, with the number of the others.
    fn from(errors: Errors) -> Reason {
        let others = errors.0.len().saturating_sub(1);
        let mut reason = match errors.0.into_iter().next() {
            Some(first) => Reason::from(first),
            None => Reason::new("Config", "the configuration is not usable"),
        };
        if others > 0 {
            reason.message.push_str(&format!(" (and {others} more)"));
        }
        reason
    }
}
