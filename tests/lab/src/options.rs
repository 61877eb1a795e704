//! The lab's command line.

use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
const HELP: &str = "\
cargo lab: arclet's main job, running, with embedded stand-ins for both ends

  --for TIME         end by itself after TIME (30s, 2m): the script runs once, then everything must have arrived
  --summary json     print {sent, arrived, duplicated, lost, outages, kills, desired} at the end; an error unless at least
                     1,000 reports, 3 outages and one kill -9 happened, nothing was lost, and desired state (a
                     configuration, an extension) arrived, was set right without a link, left an object of
                     somebody else alone, and was withdrawn
  --kubeconfig FILE  a real cluster instead of the embedded one (needs the right to create a ServiceAccount and roles);
                     its facts change rarely, so few reports are made and no minimum is asked for; desired state is off
                     there, for what is in that cluster is its owner's
  --port PORT        port of the local page (default: 8123; 0: any)
  --arclet FILE      use this binary instead of building the release binary
  --keep DIRECTORY   keep the device's files (config, store, log) there
  -h, --help
";

/// How this run goes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// End after this time; `None`: until Ctrl-C.
    pub length: Option<Duration>,
    /// Print the summary as JSON.
    pub json: bool,
    /// A real cluster.
    pub kubeconfig: Option<PathBuf>,
    /// The page's port.
    pub port: u16,
    /// The agent's binary.
    pub arclet: Option<PathBuf>,
    /// Where the device's files stay.
    pub keep: Option<PathBuf>,
}

/// Parses the process's arguments; `None`: help was asked for and printed.
pub fn parse() -> Result<Option<Options>, String> {
    parse_from(lexopt::Parser::from_env()).map_err(|e| e.to_string())
}

fn parse_from(mut arguments: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut options = Options { port: 8123, ..Options::default() };
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("for") => options.length = Some(arguments.value()?.parse_with(duration)?),
            Long("summary") => match arguments.value()?.string()?.as_str() {
                "json" => options.json = true,
                other => return Err(format!("--summary knows json, not {other}").into()),
            },
            Long("kubeconfig") => options.kubeconfig = Some(arguments.value()?.into()),
            Long("port") => options.port = arguments.value()?.parse()?,
            Long("arclet") => options.arclet = Some(arguments.value()?.into()),
            Long("keep") => options.keep = Some(arguments.value()?.into()),
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(None);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok(Some(options))
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = digits.parse().map_err(|_| format!("{text:?} is no time: write 30s or 2m"))?;
    match unit {
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(format!("{text:?} is no time: write 30s or 2m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_the_readme_is_understood() {
        let options =
            parse_from(lexopt::Parser::from_args(["--for", "30s", "--summary", "json"])).unwrap().unwrap();
        assert_eq!((options.length, options.json), (Some(Duration::from_secs(30)), true));
    }

    #[test]
    fn a_time_without_a_unit_is_refused_with_an_example() {
        let refused = parse_from(lexopt::Parser::from_args(["--for", "30"])).unwrap_err();
        assert!(refused.to_string().contains("30s"), "{refused}");
    }
}
