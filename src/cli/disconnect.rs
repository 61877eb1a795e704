//! `arclet disconnect`: takes away what `connect` made, and nothing else.
//!
//! In the opposite order, the local files last: whatever a kill leaves is found by the next run. Azure's resource goes only
//! if arclet made it, the cluster's objects only with arclet's label and as they were seen, files only if `connect` wrote
//! them. The store stays: it may hold records that nobody has yet.

use super::args::{Arg, Args, Output, Usage, is_help};
use super::ask::ask;
use super::checks::{Check, Checks, reason_of};
use super::connect::journal::{self, Journal};
use super::connect::options::OperatorOptions;
use super::connect::ownership::{Owner, owner};
use super::operator::{Operator, VARIABLE};
use super::{Exit, complain, files, pause, say};
use crate::agent::control::{Get, Request};
use crate::azure::ResourceId;
use crate::azure::arm::{Arm, TagOperation};
use crate::clock::Clock;
use crate::config::{Config, Identity};
use crate::core::{Outcome, Reason};
use crate::device;
use crate::k3s::{self, Deleted, install, kubeconfig};
use crate::scenario::tags::PREFIX;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Undoes arclet connect: the connected cluster in Azure (only if arclet made it), arclet's objects in the cluster, the
configuration and the credentials. The store in the state directory stays: it may hold records that were not delivered.

Usage: arclet disconnect [OPTIONS]

      --operator-token-file FILE, --operator-client-id ID with --operator-client-secret-file FILE or
      --operator-certificate-file FILE, --operator-tenant ID, or the environment variable ARCLET_OPERATOR_TOKEN:
                                who you are, as for connect
      --keep-azure              leave the connected cluster as it is
      --keep-cluster            leave arclet's objects in the cluster as they are
      --force                   go on where Azure or the cluster cannot be reached, and say what stays behind
      --kubeconfig FILE         an administrator's [KUBECONFIG, k3s's own, those of other distributions, ~/.kube/config]
      --config-dir DIR          [/etc/arclet]
      --dry-run                 say what would be done, change nothing
  -o, --output FORMAT           text (default) or json
  -y, --yes                     ask nothing (without a terminal it must be given)

Stop the service first: systemctl disable --now arclet. On a worker node, only its own files are removed.

Exit code 0: disconnected, or there was nothing to undo. 1: not, or not wholly; 64: see arclet --help.
";

#[derive(Default)]
struct Options {
    operator: OperatorOptions,
    keep_azure: bool,
    keep_cluster: bool,
    force: bool,
    kubeconfig: Option<PathBuf>,
    config_dir: PathBuf,
    dry_run: bool,
    output: Output,
    yes: bool,
}

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let mut options = Options { config_dir: "/etc/arclet".into(), ..Options::default() };
    while let Some(arg) = args.next()? {
        let option = match arg {
            Arg::Option(option) => option,
            Arg::Value(value) => return Err(args.unexpected(&value)),
        };
        match option.as_str() {
            _ if is_help(&option) => {
                say(HELP);
                return Ok(Exit::Ok);
            }
            _ if options.operator.take(&option, args)? => {}
            "keep-azure" => options.keep_azure = true,
            "keep-cluster" => options.keep_cluster = true,
            "force" => options.force = true,
            "kubeconfig" => options.kubeconfig = Some(args.path()?),
            "config-dir" => options.config_dir = args.path()?,
            "dry-run" => options.dry_run = true,
            "o" | "output" => options.output = args.output()?,
            "y" | "yes" => options.yes = true,
            _ => return Err(args.unknown(&option)),
        }
    }
    let report = disconnect(&options);
    match options.output {
        Output::Json => say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")),
        Output::Text => {
            if let Some(reason) = &report.error {
                complain(&reason.to_string());
            }
        }
    }
    Ok(if report.error.is_some() { Exit::Failed } else { Exit::Ok })
}

/// What is printed with `-o json`.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Report {
    cluster: String,
    dry_run: bool,
    disconnected: bool,
    plan: Vec<String>,
    done: Vec<Check>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Reason>,
}

/// What there is to undo.
struct Known {
    journal: Option<Journal>,
    config: Option<Config>,
    cluster: String,
    worker: bool,
}

fn disconnect(options: &Options) -> Report {
    let mut report = Report { dry_run: options.dry_run, ..Report::default() };
    let tell = |text: &str| {
        if options.output == Output::Text {
            say(text);
        }
    };
    let known = match known(options) {
        Ok(Some(known)) => known,
        Ok(None) => {
            tell(&format!("{}: nothing is connected from here\n", options.config_dir.display()));
            report.disconnected = true;
            return report;
        }
        Err(reason) => {
            report.error = Some(reason);
            return report;
        }
    };
    report.cluster.clone_from(&known.cluster);
    report.plan = plan(options, &known);
    tell(&report.plan.iter().map(|step| format!("  {step}\n")).collect::<String>());
    if options.dry_run {
        tell("Nothing was changed.\n");
        return report;
    }
    if !options.yes && !agreed() {
        report.error = Some(Reason::new("NotAgreed", "nothing was changed").cure("say yes, or give --yes"));
        return report;
    }
    let mut done = Checks::new(options.output);
    report.error = undo(options, &known, &mut done).err();
    report.done = done.list;
    report.disconnected = report.error.is_none();
    report
}

/// What `connect` left here; `None` when it left nothing.
fn known(options: &Options) -> Result<Option<Known>, Reason> {
    let journal = Journal::read(&options.config_dir)?;
    // A run of connect that was killed left no configuration; a broken one is told when it is needed.
    let config = Config::load(&options.config_dir.join("arclet.toml")).ok();
    let cluster = match (&journal, &config) {
        (Some(journal), _) => journal.cluster.clone(),
        (None, Some(config)) => config.cluster.id.to_string(),
        (None, None) => return Ok(None),
    };
    if let Some(config) = &config
        && !options.force
        && !options.dry_run
        && ask(&config.control.socket, Request::Get(Get::Links)).is_ok()
    {
        return Err(Reason::new("Running", "the service is running and would go on without its credentials")
            .cure("systemctl disable --now arclet first"));
    }
    let worker = journal.as_ref().is_some_and(|journal| journal.worker);
    Ok(Some(Known { journal, config, cluster, worker }))
}

fn plan(options: &Options, known: &Known) -> Vec<String> {
    let mut plan = Vec::new();
    if !options.keep_azure && !known.worker {
        plan.push(format!("delete {} in Azure, if arclet made it", known.cluster));
    }
    if !options.keep_cluster && !known.worker {
        plan.push(format!("delete arclet's objects in the cluster (namespace {})", install::NAMESPACE));
    }
    plan.extend(local_files(options, known).iter().map(|path| format!("delete {}", path.display())));
    plan
}

fn agreed() -> bool {
    use std::io::{BufRead, IsTerminal};
    let input = std::io::stdin();
    if !input.is_terminal() {
        return false;
    }
    say("Go on? [y/N] ");
    let mut answer = String::new();
    input.lock().read_line(&mut answer).is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

fn undo(options: &Options, known: &Known, done: &mut Checks) -> Result<(), Reason> {
    let clock = Clock::new();
    let mut step = |name: &str, result: Result<Vec<String>, Reason>| match result {
        Ok(lines) => {
            lines.into_iter().for_each(|line| done.ok(name, line));
            Ok(())
        }
        Err(reason) if options.force => {
            done.warning(name, Reason { message: format!("{}: left behind", reason.message), ..reason });
            Ok(())
        }
        Err(reason) => {
            let way = "or --force to go on without it, and remove it by hand later";
            let step = [reason.next_step.as_str(), way]
                .iter()
                .filter(|s| !s.is_empty())
                .copied()
                .collect::<Vec<_>>();
            let step = step.join("; ");
            Err(reason.cure(step))
        }
    };
    match (options.keep_azure, known.worker) {
        (false, false) => step("Azure", in_azure(options, known, &clock))?,
        _ => step("Azure", Ok(vec!["left as it is".to_owned()]))?,
    }
    match (options.keep_cluster, known.worker) {
        (false, false) => step("cluster", in_cluster(options, &clock))?,
        _ => step("cluster", Ok(vec!["left as it is".to_owned()]))?,
    }
    step("files", local(options, known))
}

/// Deletes what arclet made; takes its tags off what it only took over.
fn in_azure(options: &Options, known: &Known, clock: &Clock) -> Result<Vec<String>, Reason> {
    let id = ResourceId::parse(&known.cluster)?;
    let config = known.config.as_ref().ok_or_else(|| {
        Reason::new("NoConfig", "the configuration that says how to reach Azure is not there or not readable")
            .cure("run the same arclet connect again to its end, then disconnect")
    })?;
    let cloud = device::cloud(&config.cloud)?;
    let client = device::client(config.tls.extra_ca_file.as_deref(), device::proxy(&config.proxy)?, clock)?;
    let tenant = match &config.identity {
        Identity::ClientSecret { tenant, .. }
        | Identity::Certificate { tenant, .. }
        | Identity::FederatedToken { tenant, .. } => Some(tenant.as_str()),
        Identity::ArcServer { .. } => None,
    };
    let operator =
        Operator::new(&options.operator, tenant, std::env::var(VARIABLE).ok(), &cloud, &client, clock)?;
    let token = operator.token().map_err(reason_of)?;
    let arm = Arm::new(&cloud.arm, client);
    let Some(cluster) = arm.get_cluster(&id, &token).map_err(reason_of)? else {
        return Ok(vec![format!("{} is not there", id.name)]);
    };
    match owner(&cluster) {
        Owner::Arclet => {
            let mut operation = arm.delete_cluster(&id, &token).map_err(reason_of)?;
            arm.wait(&mut operation, &token, pause).map_err(reason_of)?;
            Ok(vec![format!("{} deleted", id.name)])
        }
        Owner::Adopted => {
            let ours = |name: &str| name.to_ascii_lowercase().starts_with(PREFIX);
            let tags: BTreeMap<String, String> =
                cluster.tags.into_iter().filter(|(name, _)| ours(name)).collect();
            match arm.patch_tags(&id, TagOperation::Delete, &tags, &token) {
                Outcome::Success => {
                    Ok(vec![format!("{} was not made by arclet: left, without arclet's tags", id.name)])
                }
                outcome => Err(reason_of(outcome)),
            }
        }
        Owner::Agents(sign) => {
            Ok(vec![format!("{} belongs to Microsoft's agents now ({sign}): left as it is", id.name)])
        }
        Owner::Nobody => Ok(vec![format!("{} was not made by arclet: left as it is", id.name)]),
    }
}

fn in_cluster(options: &Options, clock: &Clock) -> Result<Vec<String>, Reason> {
    let path = options.kubeconfig.clone().map_or_else(kubeconfig::find, Ok)?;
    let client = k3s::Client::new(kubeconfig::load(&path)?, clock.clone())?;
    let removed = install::remove_all(&client).map_err(reason_of)?;
    let line = |(title, how): (String, Deleted)| match how {
        Deleted::AnotherOne => format!("{title} is not arclet's: left as it is"),
        Deleted::NotThere => format!("{title} is not there"),
        _ => format!("{title} deleted"),
    };
    Ok(removed.into_iter().map(line).collect())
}

/// The journal's files; without one, those that connect writes always.
fn local_files(options: &Options, known: &Known) -> Vec<PathBuf> {
    let dir = &options.config_dir;
    let mut list = match &known.journal {
        Some(journal) => journal.files.clone(),
        None => vec![dir.join("credentials/kubeconfig"), dir.join("arclet.toml")],
    };
    // The configuration last of all but the journal: it says how to reach Azure.
    list.sort_by_key(|path| path.ends_with("arclet.toml"));
    list.retain(|path| std::fs::symlink_metadata(path).is_ok());
    list
}

fn local(options: &Options, known: &Known) -> Result<Vec<String>, Reason> {
    let mut lines = Vec::new();
    for path in local_files(options, known) {
        if files::remove(&path)? {
            lines.push(format!("{} deleted", path.display()));
        }
    }
    // Only when empty: what an operator put there is theirs.
    let _ = std::fs::remove_dir(options.config_dir.join("credentials"));
    files::remove(&options.config_dir.join(journal::NAME))?;
    let store =
        known.config.as_ref().map_or(Path::new(crate::config::STATE_DIRECTORY), |c| &c.store.directory);
    lines.push(format!("{} kept: delete it when nothing in it is wanted", store.display()));
    Ok(lines)
}
