//! `arclet doctor`: each hop from here to Azure, in the order in which the service depends on them; names the first that
//! fails, and the cure.
//!
//! It reads and asks; it changes nothing, sends no record and never touches the store's files. At the end it may ask the
//! running service to try again at once.

use super::args::{Arg, Args, Output, Usage, is_help};
use super::ask::{ask, not_understood};
use super::checks::{Check, Checks, Verdict, reason_of};
use super::connect::ownership::{Owner, owner};
use super::connect::{agent_may, device_role, missing_rights};
use super::reach::{compare, host, may_read_secrets, reach};
use super::text::{ago, bytes, span};
use super::{Exit, say};
use crate::agent::control::{Do, Get, Request};
use crate::azure::arm::Arm;
use crate::azure::vault::Vault;
use crate::azure::{Cloud, Token};
use crate::clock::Clock;
use crate::config::{Config, CredentialFile, DEFAULT_PATH, Desired, Identity};
use crate::core::{Outcome, Reason, Scope};
use crate::device;
use crate::http::Client;
use crate::k3s::install::Scenario;
use crate::scenario::extensions;
use crate::status::Status;
use crate::{azure, k3s};
use serde::Serialize;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Tries each hop from here to Azure, in order: configuration, credentials, API server, names, proxy, TLS, clock, login,
Resource Manager, ingestion, disk, service. Says what is fine, which hop fails first, and the cure.

Usage: arclet doctor [OPTIONS]

  -o, --output FORMAT   text (default) or json
      --config FILE     where the configuration is [/etc/arclet/arclet.toml]

Run it as root: the credentials are readable for nobody else. Nothing is changed, no record is sent, the store is not
touched. When every hop is fine and the running service still waits for its next try, it is asked to try now.

Exit code 0: every hop is fine. 2: one is not. 78: the configuration is wrong.
";

/// Below this the store cannot work (it holds a reserve of 3 MB of its own).
const LEAST_SPACE: u64 = 16 << 20;

pub(super) fn main(args: &mut Args) -> Result<Exit, Usage> {
    let (mut output, mut path) = (Output::Text, PathBuf::from(DEFAULT_PATH));
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Option(option) => match option.as_str() {
                "o" | "output" => output = args.output()?,
                "config" => path = args.path()?,
                _ if is_help(&option) => {
                    say(HELP);
                    return Ok(Exit::Ok);
                }
                _ => return Err(args.unknown(&option)),
            },
            Arg::Value(value) => return Err(args.unexpected(&value)),
        }
    }
    let mut checks = Checks::new(output);
    let config = match Config::load(&path) {
        Ok(config) => {
            checks.ok("configuration", path.display().to_string());
            Some(config)
        }
        Err(errors) => {
            errors.0.into_iter().for_each(|error| checks.failed("configuration", error.into()));
            None
        }
    };
    if let Some(config) = &config {
        examine(config, &mut checks);
    }
    Ok(conclude(checks.list, config.is_some(), output))
}

/// What is printed with `-o json`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    /// Nothing failed.
    ok: bool,
    /// The first hop that failed.
    first_failure: Option<String>,
    checks: Vec<Check>,
}

fn conclude(checks: Vec<Check>, configured: bool, output: Output) -> Exit {
    let first = checks.iter().find(|check| check.verdict == Verdict::Failed);
    let report = Report { ok: first.is_none(), first_failure: first.map(|check| check.name.clone()), checks };
    match (output, &report.first_failure) {
        (Output::Json, _) => say(&(serde_json::to_string_pretty(&report).unwrap_or_default() + "\n")),
        (Output::Text, None) => say("\nEvery hop is fine.\n"),
        (Output::Text, Some(name)) => say(&format!("\nThe first to fail: {name}. Begin there.\n")),
    }
    match (report.ok, configured) {
        (true, _) => Exit::Ok,
        (false, true) => Exit::Attention,
        (false, false) => Exit::Config,
    }
}

fn examine(config: &Config, checks: &mut Checks) {
    let clock = Clock::new();
    credentials(config, checks);
    api_server(config, &clock, checks);
    to_azure(config, &clock, checks);
    disk(config, checks);
    service(config, checks);
}

fn credentials(config: &Config, checks: &mut Checks) {
    let mut files: Vec<&CredentialFile> = vec![&config.kubernetes.kubeconfig];
    match &config.identity {
        Identity::ClientSecret { secret, .. } => files.push(secret),
        Identity::Certificate { certificate, .. } => files.push(certificate),
        Identity::FederatedToken { token, .. } => match std::fs::metadata(token) {
            Ok(_) => checks.ok("credential", token.display().to_string()),
            Err(error) => checks.failed(
                "credential",
                Reason::new("FederatedToken", format!("{}: {error}", token.display()))
                    .cure("whoever issues the token has to put it there"),
            ),
        },
        Identity::ArcServer { .. } => {}
    }
    files.extend(config.store.key.as_ref());
    files.extend(config.proxy.url_file.as_ref());
    for file in files {
        checks.take("credential", file.read(), |_| file.location().display().to_string());
    }
}

fn api_server(config: &Config, clock: &Clock, checks: &mut Checks) {
    let made = k3s::kubeconfig::load(config.kubernetes.kubeconfig.location())
        .and_then(|connection| k3s::Client::new(connection, clock.clone()));
    let Some(client) = checks.take("kubeconfig", made, |client| client.server().to_owned()) else { return };
    let version = client.version();
    if checks.take("API server", version, Clone::clone).is_none() {
        return;
    }
    if let Ok(me) = client.who_am_i() {
        checks.ok("account", me.username);
    }
    let Desired { gitops, extensions, key_vault, .. } = &config.desired;
    let scenarios = Scenario::of(*gitops, *extensions, key_vault.is_some());
    checks.take("rights in the cluster", agent_may(&client, &scenarios), |_| {
        "all that the service needs".to_owned()
    });
    if *extensions {
        checks.take("extensions", installs_charts(config, &client), Clone::clone);
        helms_image(&client, checks);
    }
}

/// Whether something installs charts, and which ones it may.
fn installs_charts(config: &Config, client: &k3s::Client) -> Result<String, Reason> {
    extensions::is_served(&client.served().map_err(reason_of)?)?;
    let charts = device::catalogue(&config.desired.catalogue)?;
    Ok(format!("k3s's helm-controller; {} charts in {}", charts.len(), config.desired.catalogue.display()))
}

/// Whether Helm's Job can start without a link. A list that is too long to be read says nothing.
fn helms_image(client: &k3s::Client, checks: &mut Checks) {
    let nodes = k3s::Resource::known("v1", "Node").map(|nodes| client.list(&nodes, None, ""));
    match nodes {
        Some(Ok(nodes)) if extensions::has_job_image(&nodes) => checks.ok("Helm's image", "on a node"),
        Some(Ok(_)) => {
            let message = "no node says that it has rancher/klipper-helm, in which k3s runs Helm";
            let cure =
                "without a link no extension is installed before it is there: k3s's airgap images have it";
            checks.warning("Helm's image", Reason::new("NoHelmImage", message).cure(cure));
        }
        _ => checks.skipped("Helm's image", "the nodes could not be listed"),
    }
}

fn to_azure(config: &Config, clock: &Clock, checks: &mut Checks) {
    let cloud = checks.take("cloud", device::cloud(&config.cloud), |cloud| cloud.name.clone());
    let way = device::proxy(&config.proxy).and_then(|proxy| {
        let text = proxy.as_ref().map_or("direct".to_owned(), |proxy| format!("proxy {}", proxy.address()));
        Ok((device::client(config.tls.extra_ca_file.as_deref(), proxy, clock)?, text))
    });
    let client = checks.take("way out", way, |(_, text)| text.clone()).map(|(client, _)| client);
    let (Some(cloud), Some(client)) = (cloud, client) else { return };
    let reached = hosts(config, &cloud, &client, clock, checks);
    let identity = match device::identity(&config.identity, &cloud, &client, clock) {
        Ok(identity) => identity,
        Err(reason) => return checks.failed("login", reason),
    };
    let token = |scope: Scope, what: &str, checks: &mut Checks| -> Option<Token> {
        let got = identity.token(scope, None);
        checks.take("login", got, |token| {
            format!("token for {what}, valid for {}", span(token.valid_for.as_secs()))
        })
    };
    let pulls = config.desired.gitops || config.desired.extensions;
    match (config.report.tags || pulls, token(Scope::Arm, "Resource Manager", checks)) {
        (false, _) => {
            let why = "[report] tags is off and nothing is pulled: the service does not call it";
            checks.skipped("Resource Manager", why)
        }
        (true, None) => checks.skipped("Resource Manager", "no token"),
        (true, Some(token)) => resource_manager(config, &cloud, client.clone(), &token, checks),
    }
    if let Some(url) = &config.desired.key_vault {
        match token(Scope::Vault, "Key Vault", checks) {
            None => checks.skipped("Key Vault", "no token"),
            Some(token) => {
                let vault = Vault::new(url, client, clock.clone());
                let may = may_read_secrets(&vault, &token.secret);
                checks.take("Key Vault", may, |()| "reachable, and secrets may be read".to_owned());
            }
        }
    }
    match (token(Scope::Monitor, "ingestion", checks), reached) {
        (None, _) => checks.skipped("ingestion", "no token"),
        (Some(_), false) => checks.skipped("ingestion", "a host is out of reach"),
        // A probe would be a record in somebody's table; the service knows whether the last real one was taken.
        (Some(_), true) => {
            checks.ok("ingestion", "reachable, with a token; whether records are taken: see service")
        }
    }
}

/// Whether all hosts can be reached, and what time they have.
fn hosts(config: &Config, cloud: &Cloud, client: &Client, clock: &Clock, checks: &mut Checks) -> bool {
    let mut urls = vec![cloud.arm.as_str(), config.ingest.endpoint.as_str()];
    urls.extend(config.desired.key_vault.as_deref());
    match &config.identity {
        // On this machine; asked by the login itself.
        Identity::ArcServer { .. } => {}
        _ => urls.insert(0, &cloud.login),
    }
    let (mut all, mut compared) = (true, false);
    for url in urls {
        match reach(client, url) {
            Ok(reached) => {
                checks.ok(host(url), "name, connection, TLS, HTTP");
                if let Some(date) = reached.date_ms.filter(|_| !compared) {
                    compared = true;
                    clock.learn(date);
                    match compare(clock, host(url), date) {
                        Ok(fine) => checks.ok("clock", fine),
                        Err(reason) => checks.warning("clock", reason),
                    }
                }
            }
            Err(reason) => {
                all = false;
                checks.failed(host(url), reason);
            }
        }
    }
    all
}

fn resource_manager(
    config: &Config,
    cloud: &azure::Cloud,
    client: Client,
    token: &Token,
    checks: &mut Checks,
) {
    let id = &config.cluster.id;
    let arm = Arm::new(&cloud.arm, client);
    match arm.get_cluster(id, &token.secret) {
        Ok(Some(cluster)) => match owner(&cluster) {
            Owner::Agents(sign) => checks.failed(
                "Resource Manager",
                Reason::new(
                    "OwnedByArcAgents",
                    format!("{} belongs to Microsoft's Azure Arc agents: {sign}", id.name),
                )
                .cure("two reporters for one cluster confuse everybody: disconnect one of them"),
            ),
            _ => checks.ok("Resource Manager", format!("{} is there, in {}", id.name, cluster.location)),
        },
        Ok(None) => checks.failed(
            "Resource Manager",
            Reason::new("ResourceNotFound", format!("{} is not there (any more)", id.name))
                .cure("arclet connect makes it again"),
        ),
        // Tags can be written by a role that reads nothing; the service says so if even that is refused.
        Err(Outcome::Refused(reason)) if reason.code == "AuthorizationFailed" => {
            checks.warning("Resource Manager", reason);
        }
        Err(outcome) => checks.failed("Resource Manager", reason_of(outcome)),
    }
    let Desired { gitops, extensions, .. } = config.desired;
    // A role that does not show its own rights may give them all the same: the service tells, `arclet desired` shows it.
    if let (true, Ok(permissions)) = (gitops || extensions, arm.permissions(&id.to_string(), &token.secret)) {
        let missing = missing_rights(&permissions, false, gitops, extensions);
        let may = match missing.first() {
            None => Ok(()),
            Some(action) => Err(Reason::new("MissingRight", format!("the device may not {action}"))
                .cure(device_role(&id.name, true))),
        };
        checks.take("what is wanted", may, |()| "may be read in Azure".to_owned());
    }
}

fn disk(config: &Config, checks: &mut Checks) {
    let directory = &config.store.directory;
    let mut place: &Path = directory;
    while !place.exists() {
        place = place.parent().unwrap_or(Path::new("/"));
    }
    match rustix::fs::statvfs(place) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let wanted: u64 = config.store.quotas.iter().sum::<u64>() + config.store.cache_quota;
            let cure = "free some, or lower the quotas under [store]";
            if free < LEAST_SPACE {
                let message = format!("{} has only {} left", place.display(), bytes(free));
                checks.failed("disk", Reason::new("DiskFull", message).cure(cure));
            } else if free < wanted {
                let message = format!(
                    "{} has {} left, the quotas add up to {}",
                    place.display(),
                    bytes(free),
                    bytes(wanted)
                );
                checks.warning("disk", Reason::new("DiskSmall", message).cure(cure));
            } else {
                checks.ok("disk", format!("{}: {} free", place.display(), bytes(free)));
            }
        }
        Err(error) => {
            let message = format!("{}: {error}", place.display());
            checks.failed("disk", Reason::new("Disk", message).cure("check the mount of [store] directory"));
        }
    }
}

fn service(config: &Config, checks: &mut Checks) {
    let socket = &config.control.socket;
    let status = ask(socket, Request::Get(Get::Status))
        .and_then(|text| serde_json::from_str::<Status>(&text).map_err(|error| not_understood(&error)));
    let status = match status {
        Ok(status) => status,
        Err(reason) => return checks.failed("service", reason),
    };
    let last = match &status.last_delivery {
        Some(time) => format!("last delivery {}", ago(time, &status.time)),
        None => "nothing delivered yet".to_owned(),
    };
    checks.ok("service", format!("process {}, {last}", status.pid));
    let hops_are_fine = !checks.any_failed();
    for condition in status.conditions {
        checks.failed(format!("service: {}", condition.about), condition.reason);
    }
    let waits = status.links.iter().any(|link| link.state != "up" && link.next_try_seconds.is_some());
    if hops_are_fine && waits && ask(socket, Request::Do(Do::Retry)).is_ok() {
        checks.ok("service", "asked to try again at once");
    }
}
