//! Arguments as every command reads them.

use std::ffi::OsString;
use std::path::PathBuf;

/// What is wrong with the command line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Usage(pub(super) String);

impl From<lexopt::Error> for Usage {
    fn from(error: lexopt::Error) -> Usage {
        Usage(error.to_string())
    }
}

/// One argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arg {
    /// `--name` or `-n`, without its dashes.
    Option(String),
    /// Anything else.
    Value(String),
}

/// The arguments that are left.
pub(super) struct Args(lexopt::Parser);

impl Args {
    pub(super) fn new(arguments: impl IntoIterator<Item = OsString>) -> Args {
        Args(lexopt::Parser::from_args(arguments))
    }

    /// The next argument.
    pub(super) fn next(&mut self) -> Result<Option<Arg>, Usage> {
        Ok(match self.0.next()? {
            None => None,
            Some(lexopt::Arg::Short(short)) => Some(Arg::Option(short.to_string())),
            Some(lexopt::Arg::Long(long)) => Some(Arg::Option(long.to_owned())),
            Some(lexopt::Arg::Value(value)) => Some(Arg::Value(text(value)?)),
        })
    }

    /// The value of the option before.
    pub(super) fn value(&mut self) -> Result<String, Usage> {
        text(self.0.value()?)
    }

    /// The value of the option before, as a path; relative ones count from here, and are kept absolute.
    pub(super) fn path(&mut self) -> Result<PathBuf, Usage> {
        let path = PathBuf::from(self.0.value()?);
        std::path::absolute(&path).map_err(|error| Usage(format!("{}: {error}", path.display())))
    }

    /// `-o text` or `-o json`.
    pub(super) fn output(&mut self) -> Result<Output, Usage> {
        match self.value()?.as_str() {
            "text" => Ok(Output::Text),
            "json" => Ok(Output::Json),
            other => Err(Usage(format!("-o {other}: text or json"))),
        }
    }

    /// The refusal of an option that the command does not know.
    pub(super) fn unknown(&self, option: &str) -> Usage {
        let dashes = if option.chars().count() == 1 { "-" } else { "--" };
        Usage(format!("no such option here: {dashes}{option}"))
    }

    /// The refusal of a value that the command has no use for.
    pub(super) fn unexpected(&self, value: &str) -> Usage {
        Usage(format!("unexpected argument: {value}"))
    }
}

/// Whether an option asks for help.
pub(super) fn is_help(option: &str) -> bool {
    option == "help" || option == "h"
}

/// For whom a command prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    /// People.
    #[default]
    Text,
    /// Programs.
    Json,
}

fn text(value: OsString) -> Result<String, Usage> {
    value.into_string().map_err(|value| Usage(format!("not UTF-8: {}", value.to_string_lossy())))
}
