//! `arclet status`: links, backlog, losses and clock on one screen.

use super::args::{Arg, Args, Output, Usage, is_help};
use super::ask::{ask, control, not_understood};
use super::text::{ago, bytes, clean, count, grouped, reason, span};
use super::{Exit, complain, say};
use crate::agent::control::{Get, Request};
use crate::azure::ResourceId;
use crate::config::DEFAULT_PATH;
use crate::core::Reason;
use crate::status::{DesiredSummary, FluxStatus, LaneStatus, LinkStatus, Status, UpgradeStatus};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Shows the links, the backlog, losses and the clock of the running service.

Usage: arclet status [OPTIONS]

  -o, --output FORMAT   text (default) or json
      --config FILE     where the configuration is [/etc/arclet/arclet.toml]

Asks the running service over its socket (root and the group arclet may). When no service answers, the last
status that it wrote is shown, with its age. Never touches the store.

The fields of -o json are those of src/status.rs, with answeredBy (\"agent\" or \"file\"), and where it is a file
ageSeconds and whyNotAgent.

Exit code 0: all links are up and nothing needs attention. 2: something does, or no service answers.
1: there is nothing to show.
";

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let (mut output, mut config) = (Output::Text, PathBuf::from(DEFAULT_PATH));
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
            Arg::Value(value) => return Err(args.unexpected(&value)),
        }
    }
    let control = control(&config);
    let shown = match from_agent(&control.socket) {
        Ok(status) => Shown { answered_by: "agent", age_seconds: None, why_not_agent: None, status },
        Err(why) => match from_file(&control.status_file) {
            Ok((status, age)) => {
                Shown { answered_by: "file", age_seconds: age, why_not_agent: Some(why), status }
            }
            Err(no_file) => {
                complain(&why.to_string());
                complain(&no_file.to_string());
                return Ok(Exit::Failed);
            }
        },
    };
    match output {
        Output::Text => say(&screen(&shown)),
        Output::Json => say(&json(&shown)),
    }
    Ok(if shown.needs_attention() { Exit::Attention } else { Exit::Ok })
}

/// What is printed with `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    answered_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_not_agent: Option<Reason>,
    #[serde(flatten)]
    status: Status,
}

impl Shown {
    fn needs_attention(&self) -> bool {
        let down = |link: &LinkStatus| link.state != "up" && link.state != "unknown";
        self.why_not_agent.is_some()
            || !self.status.conditions.is_empty()
            || self.status.desired.as_ref().is_some_and(|desired| desired.failed > 0)
            || self.status.links.iter().any(down)
    }
}

fn json<T: Serialize>(shown: &T) -> String {
    serde_json::to_string_pretty(shown).unwrap_or_default() + "\n"
}

fn from_agent(socket: &Path) -> Result<Status, Reason> {
    let answer = ask(socket, Request::Get(Get::Status))?;
    serde_json::from_str(&answer).map_err(|error| not_understood(&error))
}

/// The last status and its age in seconds by the file's own time: the clock that wrote it is the one that reads it.
pub(super) fn from_file(file: &Path) -> Result<(Status, Option<u64>), Reason> {
    let failed = |what: String| Reason::new("NoStatusFile", format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let written = std::fs::metadata(file).and_then(|about| about.modified()).ok();
    let now = crate::clock::Clock::new().now().wall_ms;
    let age = written
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map(|time| (now - time.as_millis() as i64).max(0) as u64 / 1000);
    let status =
        serde_json::from_str(&text).map_err(|error| failed(format!("is not understood: {error}")))?;
    Ok((status, age))
}

fn screen(shown: &Shown) -> String {
    let status = &shown.status;
    let mut text = String::new();
    if let Some(why) = &shown.why_not_agent {
        let age = shown.age_seconds.map(span).unwrap_or_else(|| "unknown age".to_owned());
        let _ = write!(
            text,
            "THE SERVICE DOES NOT ANSWER. This is its last word, {age} old.\n{}\n",
            reason(why, "  ")
        );
    }
    let now = status.time.as_str();
    let _ = match shown.why_not_agent {
        None => writeln!(
            text,
            "arclet {}, process {}, started {}",
            clean(&status.agent_version),
            status.pid,
            ago(&status.started, now)
        ),
        Some(_) => writeln!(text, "arclet {}", clean(&status.agent_version)),
    };
    text.push_str(&cluster(status));
    text.push_str(&leads(status));
    for condition in &status.conditions {
        let about = clean(&condition.about);
        let _ = write!(
            text,
            "\nATTENTION  {about}, since {}\n{}",
            ago(&condition.since, now),
            reason(&condition.reason, "  ")
        );
    }
    text.push_str("\nLinks\n");
    for link in &status.links {
        text.push_str(&line_of_link(link, now));
    }
    text.push_str("\nBacklog\n");
    text.push_str(&lanes(&status.lanes));
    if let Some(desired) = &status.desired {
        text.push_str(&wanted(desired, now));
    }
    if let Some(flux) = &status.flux {
        text.push_str(&installation(flux, now));
    }
    if let Some(upgrade) = &status.upgrade {
        text.push_str(&newer(upgrade, status));
    }
    let last = status.last_delivery.as_deref().map_or("never yet".to_owned(), |time| ago(time, now));
    let _ =
        write!(text, "\nDelivered  {} since the start, the last {last}\n", count(status.delivered, "record"));
    let _ = writeln!(text, "Losses     {}", losses(&status.lanes));
    let _ = writeln!(text, "Clock      {}", clock(status));
    for note in &status.store_notes {
        let _ = writeln!(text, "Store      {}", clean(note));
    }
    text
}

fn cluster(status: &Status) -> String {
    let mut text = match ResourceId::parse(&status.cluster) {
        Ok(id) => format!(
            "Cluster    {} in resource group {}, subscription {}\n",
            id.name, id.group, id.subscription
        ),
        Err(_) => format!("Cluster    {}\n", clean(&status.cluster)),
    };
    if let Some(facts) = &status.cluster_facts {
        let _ = writeln!(
            text,
            "           Kubernetes {}, {}, {}, seen {}",
            clean(&facts.kubernetes_version),
            count(facts.node_count, "node"),
            count(facts.vcpu_count, "vCPU"),
            ago(&facts.observed, &status.time)
        );
    }
    text
}

/// Nothing where it needs no word: on one node.
fn leads(status: &Status) -> String {
    let holder = status.lease.holder.as_deref();
    match status.lease.state.as_str() {
        "leader" => "Leads      this device, for all nodes of the cluster\n".to_owned(),
        "candidate" => match holder.filter(|holder| *holder != status.lease.me) {
            Some(holder) => format!("Leads      {}; this device stands by\n", clean(holder)),
            None => "Leads      no device at present; this one stands by\n".to_owned(),
        },
        _ => String::new(),
    }
}

fn line_of_link(link: &LinkStatus, now: &str) -> String {
    let state = match link.state.as_str() {
        "unknown" => "not tried yet",
        state => state,
    };
    let since = link.since.as_deref().and_then(|since| super::text::seconds_between(since, now));
    let since = since.map(|seconds| format!(" for {}", span(seconds))).unwrap_or_default();
    let mut text = format!("  {:<11}{state}{since}, {}\n", link.endpoint.name(), clean(&link.host));
    if let Some(why) = &link.reason {
        text.push_str(&reason(why, "             "));
    }
    if link.state != "up"
        && let Some(seconds) = link.next_try_seconds
    {
        let tries = if link.attempts > 0 {
            format!(", after {} in vain", tries(link.attempts))
        } else {
            String::new()
        };
        let _ = writeln!(text, "             next try in {}{tries}", span(seconds));
    }
    text
}

fn tries(attempts: u32) -> String {
    if attempts == 1 { "1 try".to_owned() } else { format!("{} tries", grouped(attempts.into())) }
}

/// The lanes that hold something or take space, one line each.
pub(super) fn lanes(lanes: &[LaneStatus]) -> String {
    let mut text = String::new();
    for lane in lanes.iter().filter(|lane| lane.records > 0) {
        let oldest = lane.oldest_age_seconds.map(|age| format!(", oldest {}", span(age))).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {:<11}{}, {}{oldest}; {} of {} on disk",
            clean(&lane.lane),
            count(lane.records, "record"),
            bytes(lane.bytes),
            bytes(lane.allocated_bytes),
            bytes(lane.quota_bytes)
        );
    }
    if text.is_empty() {
        text.push_str("  empty: everything was delivered\n");
    }
    text
}

fn wanted(desired: &DesiredSummary, now: &str) -> String {
    let mut text = format!("\nDesired    {}", count(desired.documents, "document"));
    if desired.documents > 0 {
        let _ = write!(text, ", {} enforced", grouped(desired.enforced));
    }
    if desired.failed > 0 {
        let _ = write!(text, ", {} failed (arclet desired says why)", grouped(desired.failed));
    }
    let listed = desired.last_pull.as_deref();
    let _ = match listed {
        Some(at) => writeln!(text, "; Azure was last listed {}", ago(at, now)),
        None => writeln!(text, "; Azure was not listed since the start"),
    };
    text
}

fn installation(flux: &FluxStatus, now: &str) -> String {
    let mut text = format!("Flux       {}", clean(&flux.state));
    for (n, controller) in flux.controllers.iter().enumerate() {
        let version = controller.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
        let down = if controller.available { "" } else { " (not available)" };
        let before = if n == 0 { ": " } else { ", " };
        let _ = write!(text, "{before}{}{}{down}", clean(&controller.name), clean(&version));
    }
    let _ = writeln!(text, "; seen {}", ago(&flux.observed, now));
    if let Some(why) = &flux.trouble {
        text.push_str(&reason(why, "           "));
    }
    text
}

fn newer(upgrade: &UpgradeStatus, status: &Status) -> String {
    let train = clean(&upgrade.train);
    let looked = match upgrade.last_look.as_deref() {
        Some(at) => format!("looked {}", ago(at, &status.time)),
        None => "not looked since the start".to_owned(),
    };
    match (&upgrade.available, &upgrade.since) {
        (Some(version), since) => {
            let since = since.as_deref().unwrap_or_default();
            let (version, since) = (clean(version), clean(since));
            format!("Upgrade    {version} is available ({train}, signed, since {since}); {looked}\n")
        }
        // Nothing is known before the first look.
        (None, _) if upgrade.last_look.is_none() => {
            format!("Upgrade    nothing known of {train} yet; {looked}\n")
        }
        (None, _) => {
            format!(
                "Upgrade    none: {train} has nothing newer than {}; {looked}\n",
                clean(&status.agent_version)
            )
        }
    }
}

fn losses(lanes: &[LaneStatus]) -> String {
    let mut parts = Vec::new();
    for lane in lanes {
        let name = clean(&lane.lane);
        for (number, what) in [
            (lane.lost_by_quota, "dropped because the quota was full"),
            (lane.lost_by_damage, "lost by damage of the disk"),
            (lane.quarantined, "refused by Azure (arclet outbox shows them)"),
        ] {
            if number > 0 {
                parts.push(format!("{name}: {} {what}", grouped(number)));
            }
        }
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join("; ") }
}

fn clock(status: &Status) -> String {
    let off = status.clock.offset_seconds.unwrap_or(0);
    match status.clock.state.as_str() {
        "synced" => "right".to_owned(),
        "wrong" if off != 0 => {
            let way = if off > 0 { "slow" } else { "fast" };
            format!(
                "wrong: {} {way}; reported times are corrected, set the clock (timedatectl)",
                span(off.unsigned_abs())
            )
        }
        "wrong" => "wrong: before this program was built; set the clock (timedatectl)".to_owned(),
        _ => "not compared with Azure's yet".to_owned(),
    }
}

#[cfg(test)]
mod tests;
