//! `arclet desired`: what Azure wants of this cluster, and how far it is enforced.

use super::args::{Arg, Args, Output, Usage, is_help};
use super::ask::{ask, control, not_understood};
use super::text::{ago, clean, count, reason, span};
use super::{Exit, complain, say};
use crate::agent::control::{Do, Get, Request};
use crate::config::DEFAULT_PATH;
use crate::core::Reason;
use crate::core::document::{Compliance, Picture};
use crate::status::{Desired, DesiredDocument, DocumentStatus};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Shows what Azure wants of this cluster, and how far it is enforced.

Usage: arclet desired [ls] [OPTIONS]
       arclet desired show NAME [OPTIONS]
       arclet desired refresh [OPTIONS]

  ls        each document with its state, since when, and why it is not enforced
  show      one document: what is wanted, the objects that arclet made for it, and how each fares
  refresh   look at Azure now, and at the cluster, whatever the intervals say

  -o, --output FORMAT   text (default) or json
      --config FILE     where the configuration is [/etc/arclet/arclet.toml]

NAME is a document as ls prints it (flux/cluster-config), or the part behind the slash. Asks the running service.
The fields of -o json are those of Desired and DesiredDocument in src/status.rs. Secrets are in none of them.

Exit code 0: everything that is wanted is enforced. 2: something is not, or the scenario is off.
1: there is nothing to show.
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
    let socket = control(&config).socket;
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] | ["ls"] => list(&socket, output),
        ["show", name] => show(&socket, output, name),
        ["show"] => return Err(Usage("desired show: which document? arclet desired lists them".to_owned())),
        ["refresh"] => refresh(&socket),
        ["ls" | "refresh" | "show", .., unexpected] | [unexpected, ..] => {
            return Err(args.unexpected(unexpected));
        }
    };
    Ok(done.unwrap_or_else(|why| {
        complain(&why.to_string());
        Exit::Failed
    }))
}

fn get<T: DeserializeOwned>(socket: &Path, what: Get) -> Result<T, Reason> {
    let answer = ask(socket, Request::Get(what))?;
    serde_json::from_str(&answer).map_err(|error| not_understood(&error))
}

fn json<T: Serialize>(shown: &T) {
    say(&(serde_json::to_string_pretty(shown).unwrap_or_default() + "\n"));
}

fn list(socket: &Path, output: Output) -> Result<Exit, Reason> {
    let desired: Desired = get(socket, Get::Desired)?;
    match output {
        Output::Json => json(&desired),
        Output::Text => say(&screen(&desired)),
    }
    let fine = desired.on && desired.documents.iter().all(|document| document.reason.is_none());
    Ok(if fine { Exit::Ok } else { Exit::Attention })
}

fn show(socket: &Path, output: Output, name: &str) -> Result<Exit, Reason> {
    let name = if name.contains('/') { name.to_owned() } else { format!("flux/{name}") };
    let document: DesiredDocument = get(socket, Get::Document(name))?;
    match output {
        Output::Json => json(&document),
        Output::Text => say(&one(&document)),
    }
    Ok(if document.status.reason.is_none() { Exit::Ok } else { Exit::Attention })
}

fn refresh(socket: &Path) -> Result<Exit, Reason> {
    ask(socket, Request::Do(Do::Refresh))?;
    say("arclet looks at Azure and at the cluster now; arclet desired shows what comes of it\n");
    Ok(Exit::Ok)
}

fn screen(desired: &Desired) -> String {
    if !desired.on {
        return "Nothing is pulled: [desired] gitops is false in the configuration (arclet connect --gitops sets it).\n"
            .to_owned();
    }
    let now = desired.time.as_str();
    let mut text = match &desired.last_pull {
        Some(at) => format!("Azure was last listed whole {}\n", ago(at, now)),
        None => "Azure was not listed whole since the service started; what it wanted before is enforced\n"
            .to_owned(),
    };
    if desired.documents.is_empty() {
        text.push_str("\nNothing is wanted.\n");
    }
    for document in &desired.documents {
        text.push('\n');
        text.push_str(&line(document, now));
    }
    text
}

fn line(document: &DocumentStatus, now: &str) -> String {
    let mut text = format!("{:<30} {}", clean(&document.document), clean(&document.state));
    if let Some(seconds) = super::text::seconds_between(&document.since, now) {
        let _ = write!(text, " for {}", span(seconds));
    }
    if let Some(picture) = &document.picture {
        let _ = write!(text, ", {}", compliance(picture.compliance));
        if let Some(revision) = &picture.source_revision {
            let _ = write!(text, " at {}", clean(revision));
        }
    }
    text.push('\n');
    if let Some(why) = &document.reason {
        text.push_str(&reason(why, "    "));
        if let Some(seconds) = document.next_try_seconds {
            let _ = writeln!(text, "    tried again in {}", span(seconds));
        }
    }
    text
}

fn one(document: &DesiredDocument) -> String {
    let mut text = line(&document.status, &document.status.since);
    if let Some(picture) = &document.status.picture {
        text.push_str("\nIn the cluster\n");
        text.push_str(&statuses(picture));
    }
    let _ = writeln!(text, "\nMade by arclet: {}", count(document.objects.len() as u64, "object"));
    for object in &document.objects {
        let namespace = object.namespace.as_deref().map(|n| format!("{n}/")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} {}{} ({})",
            clean(&object.kind),
            clean(&namespace),
            clean(&object.name),
            clean(&object.api_version)
        );
    }
    match &document.wanted {
        Some(wanted) => {
            let wanted = serde_json::to_string_pretty(wanted).unwrap_or_default();
            let _ = writeln!(text, "\nWanted\n{}", wanted.lines().map(clean).collect::<Vec<_>>().join("\n"));
        }
        None => text
            .push_str("\nWhat is wanted was lost from the cache; the next look at Azure brings it again.\n"),
    }
    text
}

fn statuses(picture: &Picture) -> String {
    let mut text = String::new();
    for status in &picture.statuses {
        let _ = writeln!(
            text,
            "  {} {}/{}: {}",
            clean(&status.kind),
            clean(&status.namespace),
            clean(&status.name),
            compliance(status.compliance)
        );
        if let Some(ready) = &status.ready {
            text.push_str(&reason(ready, "      "));
        }
    }
    text
}

fn compliance(compliance: Compliance) -> &'static str {
    match compliance {
        Compliance::Compliant => "compliant",
        Compliance::NonCompliant => "not compliant",
        Compliance::Pending => "pending",
        Compliance::Suspended => "suspended",
        Compliance::Unknown => "nobody in the cluster looks after it",
    }
}
