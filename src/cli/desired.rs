//! `arclet desired`: what Azure wants of this cluster, and how far it is enforced.

mod diff;

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
       arclet desired diff [NAME] [OPTIONS]
       arclet desired refresh [OPTIONS]

  ls        each document with its state, since when, and why it is not enforced
  show      one document: what is wanted, the objects that arclet made for it, and how each fares
  diff      what Azure wants against what the cluster has, field by field, and who set what differs; changes nothing
  refresh   look at Azure now, and at the cluster, whatever the intervals say

  -o, --output FORMAT   text (default) or json
      --config FILE     where the configuration is [/etc/arclet/arclet.toml]

NAME is a document as ls prints it (flux/cluster-config), or the part behind the slash. Asks the running service.
The fields of -o json are those of Desired and DesiredDocument in src/status.rs. Secrets are in none of them.
diff asks the API server what an apply would change, and ends as kubectl diff does. Of a Secret it says at most that it
differs. -o json: {\"same\", \"documents\"}, with the fields of DocumentDiff in src/status.rs.

Exit code 0: everything that is wanted is enforced. 2: something is not, or the scenario is off.
1: there is nothing to show. Of diff: 0: no difference. 1: there are some. 2: it could not be compared.
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
        ["show", name] => whole(&socket, name).and_then(|name| show(&socket, output, name)),
        ["show"] => return Err(Usage("desired show: which document? arclet desired lists them".to_owned())),
        ["diff"] => return Ok(diff::main(&socket, output, None)),
        ["diff", name] => return Ok(diff::main(&socket, output, Some(name))),
        ["refresh"] => refresh(&socket),
        ["ls" | "refresh" | "show" | "diff", .., unexpected] | [unexpected, ..] => {
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

fn show(socket: &Path, output: Output, name: String) -> Result<Exit, Reason> {
    let document: DesiredDocument = get(socket, Get::Document(name))?;
    match output {
        Output::Json => json(&document),
        Output::Text => say(&one(&document)),
    }
    Ok(if document.status.reason.is_none() { Exit::Ok } else { Exit::Attention })
}

/// The name of a document as the agent knows it: of a short one, the only document that is called so.
fn whole(socket: &Path, name: &str) -> Result<String, Reason> {
    if name.contains('/') {
        return Ok(name.to_owned());
    }
    let desired: Desired = get(socket, Get::Desired)?;
    let called = |document: &&DocumentStatus| {
        document.document.split_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(name))
    };
    let found: Vec<&str> = desired.documents.iter().filter(called).map(|d| d.document.as_str()).collect();
    match found[..] {
        [] => Ok(format!("flux/{name}")),
        [one] => Ok(one.to_owned()),
        _ => Err(Reason::new("NotOne", format!("{name} is the name of {}", found.join(" and ")))
            .cure("say which: with its kind")),
    }
}

fn refresh(socket: &Path) -> Result<Exit, Reason> {
    ask(socket, Request::Do(Do::Refresh))?;
    say("arclet looks at Azure and at the cluster now; arclet desired shows what comes of it\n");
    Ok(Exit::Ok)
}

fn screen(desired: &Desired) -> String {
    if !desired.on {
        return "Nothing is pulled: [desired] gitops and extensions are false in the configuration (arclet connect \
                --gitops, --extensions set them).\n"
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
    let mut text = line(&document.status, &document.time);
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
            "  {} {}/{}: {}{}",
            clean(&status.kind),
            clean(&status.namespace),
            clean(&status.name),
            compliance(status.compliance),
            status
                .applied_by
                .as_ref()
                .map(|by| format!(" (made by {})", clean(&by.name)))
                .unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::{ObjectRef, ObjectStatus};

    fn document() -> DocumentStatus {
        DocumentStatus {
            document: "flux/fleet".into(),
            state: "verified".into(),
            since: "2026-11-23T01:55:00Z".into(),
            digest: None,
            reason: None,
            next_try_seconds: Some(120),
            picture: Some(Picture {
                compliance: Compliance::Compliant,
                source_revision: Some("main@sha1:0011".into()),
                statuses: vec![ObjectStatus {
                    kind: "Kustomization".into(),
                    namespace: "cluster-config".into(),
                    name: "fleet-apps".into(),
                    compliance: Compliance::Compliant,
                    ready: None,
                    applied_by: None,
                    helm_release_properties: None,
                }],
            }),
        }
    }

    fn desired(documents: Vec<DocumentStatus>) -> Desired {
        let time = "2026-11-23T02:00:00Z".to_owned();
        Desired { version: 1, last_pull: Some(time.clone()), time, on: true, documents }
    }

    #[test]
    fn each_document_has_a_line_and_what_is_wrong_with_it_stands_under_it() {
        let failed = DocumentStatus {
            document: "flux/odd".into(),
            state: "failed".into(),
            reason: Some(Reason::new("UnknownValue", "sourceKind is \u{1b}[2Jodd").cure("mend it in Azure")),
            picture: None,
            ..document()
        };
        let text = screen(&desired(vec![document(), failed]));
        for line in [
            "flux/fleet                     verified for 5 min, compliant at main@sha1:0011",
            "flux/odd                       failed for 5 min",
            "    sourceKind is \\u{1b}[2Jodd (UnknownValue)",
            "    next step: mend it in Azure",
            "    tried again in 2 min",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n---\n{text}");
        }
    }

    #[test]
    fn nothing_wanted_and_nothing_asked_for_are_told_apart() {
        assert!(screen(&desired(Vec::new())).contains("Nothing is wanted."));
        let off = Desired { on: false, ..desired(Vec::new()) };
        assert!(screen(&off).contains("arclet connect --gitops"), "{}", screen(&off));
        let never = Desired { last_pull: None, ..desired(Vec::new()) };
        assert!(screen(&never).starts_with("Azure was not listed whole since the service started"));
    }

    #[test]
    fn one_document_is_shown_with_its_objects_and_what_is_wanted() {
        let made = ObjectRef {
            api_version: "kustomize.toolkit.fluxcd.io/v1".into(),
            kind: "Kustomization".into(),
            namespace: Some("cluster-config".into()),
            name: "fleet-apps".into(),
            uid: Some("1".into()),
        };
        let wanted = serde_json::json!({"properties": {"suspend": false}});
        let time = "2026-11-23T02:00:00Z".to_owned();
        let shown = DesiredDocument { time, status: document(), wanted: Some(wanted), objects: vec![made] };
        let text = one(&shown);
        assert!(
            text.starts_with("flux/fleet                     verified for 5 min, compliant at "),
            "{text}"
        );
        assert!(text.contains("  Kustomization cluster-config/fleet-apps: compliant\n"), "{text}");
        assert!(text.contains("Made by arclet: 1 object\n"), "{text}");
        assert!(
            text.contains("  Kustomization cluster-config/fleet-apps (kustomize.toolkit.fluxcd.io/v1)\n")
        );
        assert!(text.contains("    \"suspend\": false\n"), "{text}");
    }
}
