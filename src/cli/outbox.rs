//! `arclet outbox`: what waits for delivery, and the records that Azure refused for ever.

use super::args::{Arg, Args, Output, Usage, is_help};
use super::ask::{ask, control, not_understood};
use super::status::{from_file, lanes};
use super::text::{ago, clean, reason};
use super::{Exit, complain, say};
use crate::agent::control::{Get, Request};
use crate::config::DEFAULT_PATH;
use crate::core::Reason;
use crate::status::{Outbox, QuarantinedRecord};
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Shows what waits for delivery, and the records that Azure refused for ever, with its reason.

Usage: arclet outbox [OPTIONS]
       arclet outbox show ID [OPTIONS]

  -o, --output FORMAT   text (default) or json
      --config FILE     where the configuration is [/etc/arclet/arclet.toml]

show ID prints one refused record (the start of its body, as JSON). ID is its MessageId, or the end of it.

Asks the running service; when none answers, the lanes of its last status are shown. Never touches the store.
The fields of -o json are those of Outbox in src/status.rs.

Exit code 0: nothing was refused. 2: something was, or no service answers. 1: there is nothing to show.
";

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let (mut output, mut config, mut words) = (Output::Text, PathBuf::from(DEFAULT_PATH), Vec::new());
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Option(option) => match option.as_str() {
                "o" | "output" => output = args.output()?,
                "config" => config = args.path()?,
                _ if is_help(&option) => {
                    say(HELP);
                    return Ok(Exit::Ok);
                }
                _ => return Err(args.unknown(&option)),
            },
            Arg::Value(value) => words.push(value),
        }
    }
    let wanted = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => None,
        ["show", id] => Some(id),
        ["show"] => return Err(Usage("outbox show: which record? arclet outbox lists them".to_owned())),
        ["show", _, unexpected, ..] | [unexpected, ..] => return Err(args.unexpected(unexpected)),
    };
    let control = control(&config);
    let (outbox, why) = match from_agent(&control.socket) {
        Ok(outbox) => (outbox, None),
        Err(why) => match last_lanes(&control.status_file) {
            Ok(outbox) if wanted.is_none() => (outbox, Some(why)),
            _ => {
                complain(&why.to_string());
                return Ok(Exit::Failed);
            }
        },
    };
    if let Some(id) = wanted {
        return Ok(show(&outbox, id));
    }
    match output {
        Output::Json => say(&(serde_json::to_string_pretty(&outbox).unwrap_or_default() + "\n")),
        Output::Text => say(&screen(&outbox, why.as_ref())),
    }
    Ok(if why.is_some() || !outbox.quarantined.is_empty() { Exit::Attention } else { Exit::Ok })
}

fn from_agent(socket: &Path) -> Result<Outbox, Reason> {
    let answer = ask(socket, Request::Get(Get::Outbox))?;
    serde_json::from_str(&answer).map_err(|error| not_understood(&error))
}

fn last_lanes(file: &Path) -> Result<Outbox, Reason> {
    let (status, _) = from_file(file)?;
    Ok(Outbox { version: status.version, time: status.time, lanes: status.lanes, quarantined: Vec::new() })
}

fn show(outbox: &Outbox, id: &str) -> Exit {
    let found: Vec<&QuarantinedRecord> = outbox.quarantined.iter().filter(|r| r.id.ends_with(id)).collect();
    match found[..] {
        [record] => {
            say(&(serde_json::to_string_pretty(record).unwrap_or_default() + "\n"));
            Exit::Ok
        }
        [] => {
            complain(&format!("no refused record has an id that ends in {id}; arclet outbox lists them"));
            Exit::Failed
        }
        _ => {
            complain(&format!("{} refused records have ids that end in {id}: give more of it", found.len()));
            Exit::Failed
        }
    }
}

fn screen(outbox: &Outbox, why: Option<&Reason>) -> String {
    let mut text = String::new();
    if let Some(why) = why {
        let _ = write!(
            text,
            "THE SERVICE DOES NOT ANSWER. These are the lanes of its last status, {} (UTC).\n{}\n",
            clean(&outbox.time),
            reason(why, "  ")
        );
    }
    let _ = write!(text, "Waiting\n{}", lanes(&outbox.lanes));
    let refused: u64 = outbox.lanes.iter().map(|lane| lane.quarantined).sum();
    if outbox.quarantined.is_empty() {
        let _ = match refused {
            0 => writeln!(text, "\nRefused    none"),
            _ => writeln!(text, "\nRefused    {refused}; the running service can list them"),
        };
        return text;
    }
    text.push_str("\nRefused by Azure, set aside (arclet outbox show ID)\n");
    for record in &outbox.quarantined {
        let _ = write!(
            text,
            "  {}\n             {}, {}: {}\n",
            clean(&record.id),
            clean(&record.table),
            ago(&record.at, &outbox.time),
            clean(&record.reason)
        );
    }
    text
}
