//! `arclet connect`: checks first, then steps that can be repeated (docs in `steps`).

mod azure;
mod cluster;
pub(super) mod journal;
mod local;
pub(super) mod options;
pub(super) mod ownership;
mod render;
mod steps;

pub(super) use azure::{device_role, missing_rights};
pub(super) use cluster::agent_may;

use super::args::{Args, Output, Usage};
use super::checks::{Check, Checks};
use super::{Exit, complain, say};
use crate::clock::Clock;
use crate::core::Reason;
use options::{HELP, Options};
use serde::Serialize;
use steps::Ready;

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let Some(options) = Options::read(args, |name| std::env::var(name).ok())? else {
        say(HELP);
        return Ok(Exit::Ok);
    };
    let mut report = connect(&options);
    let exit = if report.error.is_some() { Exit::Failed } else { Exit::Ok };
    match options.output {
        Output::Json => say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")),
        Output::Text => {
            if let Some(reason) = report.error.take() {
                complain(&reason.to_string());
            }
        }
    }
    Ok(exit)
}

/// What is printed with `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    cluster: String,
    dry_run: bool,
    /// The cluster is connected and the configuration is written.
    connected: bool,
    checks: Vec<Check>,
    /// What was to be done.
    plan: Vec<String>,
    /// What was done.
    done: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Reason>,
}

fn connect(options: &Options) -> Report {
    let mut report = Report {
        cluster: options.cluster.as_ref().map(ToString::to_string).unwrap_or_default(),
        dry_run: options.dry_run,
        connected: false,
        checks: Vec::new(),
        plan: Vec::new(),
        done: Vec::new(),
        error: None,
    };
    let tell = |text: &str| {
        if options.output == Output::Text {
            say(text);
        }
    };
    tell("Checks\n");
    let clock = Clock::new();
    let mut checks = Checks::new(options.output);
    let ready = check(options, &clock, &mut checks);
    let failed = checks.any_failed();
    report.checks = checks.list;
    let Some(ready) = ready.filter(|_| !failed) else {
        report.error = Some(
            Reason::new("ChecksFailed", "not connected, nothing was changed")
                .cure("do what the lines with FAILED say, then run it again"),
        );
        return report;
    };
    report.plan = steps::plan(&ready);
    if options.dry_run {
        tell("\nThis would be done (nothing was changed)\n");
        tell(&report.plan.iter().map(|step| format!("  {step}\n")).collect::<String>());
        return report;
    }
    tell("\nConnecting\n");
    let mut done = Checks::new(options.output);
    let made = ready.azure.existing.is_none();
    let result = steps::run(&ready, &mut done);
    report.done = done.list;
    match result {
        Ok(()) => {
            report.connected = true;
            tell(&format!("\nConnected: {}\nNext:\n", report.cluster));
            if made {
                tell(&format!(
                    "  {}\n",
                    azure::device_role(&ready.id.name, options.gitops || options.extensions)
                ));
            }
            tell("  systemctl enable arclet && systemctl restart arclet, then arclet status\n");
        }
        Err(reason) => {
            let again = "run the same command again: what is done is left alone";
            let step = if reason.next_step.is_empty() {
                again.to_owned()
            } else {
                format!("{}; then {again}", reason.next_step)
            };
            report.error = Some(reason.cure(step));
        }
    }
    report
}

fn check<'a>(options: &'a Options, clock: &'a Clock, checks: &mut Checks) -> Option<Ready<'a>> {
    let id = options.cluster.as_ref()?;
    let local = local::check(options, clock, checks);
    // Asked although something here is wrong already: whoever reads the list wants all of it.
    let cluster = cluster::check(options, clock, checks);
    let local = local?;
    let azure = azure::check(options, &local, clock, checks);
    Some(Ready { options, id, clock, local, cluster: cluster?, azure: azure? })
}
