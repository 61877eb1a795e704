//! What `connect` leaves behind, step by step. Each step can be repeated: it looks first and changes only what differs,
//! and the journal knows of it before it begins. A kill between any two steps, or within one, costs a run more.
//!
//! The order is chosen so that nothing is usable before all of it is: the configuration comes last, and without it the
//! unit does not start.

use super::super::checks::{Checks, reason_of};
use super::super::{files, pause};
use super::azure::Azure;
use super::cluster::{Cluster, agent_may};
use super::journal::Journal;
use super::local::Local;
use super::options::{DeviceKind, Options};
use super::ownership::{ADOPTED, MADE, MARK, Owner, owner};
use super::render::{credentials, render};
use crate::azure::arm::{self, NewCluster, TagOperation};
use crate::azure::{ResourceId, onboarding_key};
use crate::clock::Clock;
use crate::core::{Outcome, Reason};
use crate::k3s::{Client, install, kubeconfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// For the cluster to fill a Secret, and for a new role to take effect.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at something that takes a moment.
const MOMENT: Duration = Duration::from_millis(200);
/// Between two looks at a resource that an earlier run asked for.
const LOOK: Duration = Duration::from_secs(2);
/// Looks, before that is called stuck: a quarter of an hour.
const LOOKS: u32 = 450;

/// The drop-in that lets the service read the challenge of an Arc-enabled server.
const DROP_IN: &str = "arclet.service.d/himds.conf";
const DROP_IN_TEXT: &str = "\
# Written by arclet connect: the managed identity of this Arc-enabled server is handed out to the group himds.
[Service]
SupplementaryGroups=himds
";

/// All that the checks found.
pub(super) struct Ready<'a> {
    pub(super) options: &'a Options,
    pub(super) id: &'a ResourceId,
    pub(super) clock: &'a Clock,
    pub(super) local: Local,
    pub(super) cluster: Cluster,
    pub(super) azure: Azure,
}

/// What the steps will do, in words.
pub(super) fn plan(ready: &Ready<'_>) -> Vec<String> {
    let mut plan: Vec<String> =
        ready.cluster.missing.iter().map(|title| format!("make {title} in the cluster")).collect();
    if !ready.cluster.own && plan.is_empty() {
        plan.push("set arclet's objects in the cluster right, where somebody changed them".to_owned());
    }
    let id = ready.id;
    match &ready.azure.existing {
        None => {
            let location = ready.azure.looked.location.as_deref().unwrap_or_default();
            plan.push(format!("make the connected cluster {} in {location}", id.name));
        }
        Some(cluster) => {
            if let Some(change) = change(ready, cluster) {
                let to = [change.distribution, change.distribution_version].map(Option::unwrap_or_default);
                plan.push(format!("update the distribution of {} to {}", id.name, to.join(" ").trim()));
            }
            let tags: Vec<String> =
                tags(ready, cluster).into_iter().map(|(k, v)| format!("{k}={v}")).collect();
            if !tags.is_empty() {
                plan.push(format!("set tags of {}: {}", id.name, tags.join(", ")));
            }
        }
    }
    let mut written: Vec<PathBuf> = ready.local.secrets.iter().map(|(path, _)| path.clone()).collect();
    written.push(kubeconfig_path(ready.options));
    written.push(ready.options.config_dir.join("arclet.toml"));
    written.extend(drop_in(ready.options));
    plan.extend(written.iter().map(|path| format!("write {}", path.display())));
    plan
}

/// Does it.
pub(super) fn run(ready: &Ready<'_>, done: &mut Checks) -> Result<(), Reason> {
    let options = ready.options;
    let config_dir = &options.config_dir;
    files::directory(config_dir, 0o755)?;
    let mut journal = match &ready.local.journal {
        Some(earlier) => earlier.clone(),
        None => Journal::new(ready.id.to_string(), ready.cluster.own),
    };
    // Once an administrator ran it here, there is something in the cluster to be taken away again.
    journal.worker &= ready.cluster.own;
    journal.finished = false;
    journal.write(config_dir)?;

    files::directory(&credentials(config_dir), 0o700)?;
    for (path, secret) in &ready.local.secrets {
        journal.will_write(path, config_dir)?;
        note(done, "credential", path, files::put(path, secret, files::SECRET)?);
    }
    in_cluster(ready, &mut journal, done)?;
    in_azure(ready, done)?;

    let config = config_dir.join("arclet.toml");
    let text = render(options, &ready.azure.looked);
    journal.will_write(&config, config_dir)?;
    keep_old(&config, &text, done)?;
    note(done, "configuration", &config, files::put(&config, text.as_bytes(), files::PUBLIC)?);
    join_himds(options, &mut journal, done)?;
    journal.finished = true;
    journal.write(config_dir)
}

/// Lets the service into the group that an Arc-enabled server hands its tokens to.
fn join_himds(options: &Options, journal: &mut Journal, done: &mut Checks) -> Result<(), Reason> {
    let Some(path) = drop_in(options) else { return Ok(()) };
    journal.will_write(&path, &options.config_dir)?;
    if let Some(directory) = path.parent() {
        files::directory(directory, 0o755)?;
    }
    note(done, "unit", &path, files::put(&path, DROP_IN_TEXT.as_bytes(), files::PUBLIC)?);
    Ok(())
}

fn note(done: &mut Checks, name: &str, path: &std::path::Path, changed: bool) {
    let how = if changed { "written" } else { "as it was" };
    done.ok(name, format!("{} {how}", path.display()));
}

fn kubeconfig_path(options: &Options) -> PathBuf {
    credentials(&options.config_dir).join("kubeconfig")
}

fn drop_in(options: &Options) -> Option<PathBuf> {
    (options.device.kind == Some(DeviceKind::ArcServer)).then(|| options.unit_dir.join(DROP_IN))
}

/// An operator's own changes are not lost: the file that is replaced stays beside the new one.
fn keep_old(config: &std::path::Path, text: &str, done: &mut Checks) -> Result<(), Reason> {
    if let Some(old) = files::read(config)?
        && old != text.as_bytes()
    {
        let kept = config.with_extension("toml.old");
        files::put(&kept, &old, files::PUBLIC)?;
        let message = format!(
            "{} was changed since connect wrote it; it is kept as {}",
            config.display(),
            kept.display()
        );
        done.warning("configuration", Reason::new("Replaced", message).cure("carry your own settings over"));
    }
    Ok(())
}

/// Account, roles and token in the cluster, and the agent's own kubeconfig, tried out.
fn in_cluster(ready: &Ready<'_>, journal: &mut Journal, done: &mut Checks) -> Result<(), Reason> {
    let cluster = &ready.cluster;
    let mut connection = if cluster.own {
        cluster.connection.clone()
    } else {
        let steps = install::apply_all(&cluster.client, &ready.options.scenarios(), PATIENCE, &mut pause)
            .map_err(reason_of)?;
        done.ok("cluster", format!("{} objects are arclet's and as they should be", steps.len()));
        let token = install::wait_token(&cluster.client, PATIENCE, &mut pause).map_err(reason_of)?;
        install::limited(&cluster.connection, token)
    };
    if let Some(server) = &ready.options.api_server {
        connection.server = server.trim_end_matches('/').to_owned();
    }
    let agent = Client::new(connection.clone(), ready.clock.clone())?;
    let start = ready.clock.now().mono;
    // A role takes effect when the API server's own cache has it.
    while let Err(reason) = agent_may(&agent, &ready.options.scenarios()) {
        if reason.code != "MissingRight" || ready.clock.now().mono.since(start) > PATIENCE {
            return Err(reason);
        }
        pause(MOMENT);
    }
    let path = kubeconfig_path(ready.options);
    journal.will_write(&path, &ready.options.config_dir)?;
    let text = kubeconfig::to_text(&connection);
    note(done, "kubeconfig", &path, files::put(&path, text.as_bytes(), files::SECRET)?);
    Ok(())
}

/// The connected cluster: made, or brought up to date.
fn in_azure(ready: &Ready<'_>, done: &mut Checks) -> Result<(), Reason> {
    let (arm, id) = (&ready.azure.arm, ready.id);
    let token = ready.azure.operator.token().map_err(reason_of)?;
    let existing = match &ready.azure.existing {
        Some(cluster) => Some(settled(ready, cluster.clone(), &token)?),
        None => None,
    };
    let failed = |cluster: &arm::Cluster| matches!(state(cluster), State::Failed);
    match existing {
        Some(cluster) if !failed(&cluster) => {
            if let Some(change) = change(ready, &cluster) {
                let mut operation = arm.patch_cluster(id, &change, &token).map_err(reason_of)?;
                arm.wait(&mut operation, &token, pause).map_err(reason_of)?;
                done.ok("connected cluster", format!("distribution of {} updated", id.name));
            }
            let tags = tags(ready, &cluster);
            if !tags.is_empty() {
                match arm.patch_tags(id, TagOperation::Merge, &tags, &token) {
                    Outcome::Success => done.ok("connected cluster", format!("tags of {} set", id.name)),
                    outcome => return Err(reason_of(outcome)),
                }
            }
            done.ok("connected cluster", format!("{} is there", id.name));
        }
        found => {
            let mut tags = found.as_ref().map(|cluster| cluster.tags.clone()).unwrap_or_default();
            tags.extend(ready.options.tags.clone());
            tags.entry(MARK.to_owned()).or_insert_with(|| MADE.to_owned());
            let new = NewCluster {
                location: ready.azure.looked.location.clone().unwrap_or_default(),
                tags,
                public_key: onboarding_key::generate()?,
                distribution: ready.cluster.detected.distribution.to_owned(),
                distribution_version: ready.cluster.version.clone(),
                infrastructure: ready.cluster.detected.infrastructure.to_owned(),
            };
            let mut operation = arm.put_cluster(id, &new, &token).map_err(reason_of)?;
            arm.wait(&mut operation, &token, pause).map_err(reason_of)?;
            done.ok("connected cluster", format!("{} made in {}", id.name, new.location));
        }
    }
    Ok(())
}

enum State {
    Done,
    Running,
    Failed,
}

fn state(cluster: &arm::Cluster) -> State {
    match cluster.properties.provisioning_state.as_deref() {
        None | Some("Succeeded") => State::Done,
        Some("Failed" | "Canceled") => State::Failed,
        Some(_) => State::Running,
    }
}

/// A cluster that an earlier run asked for may still be in the making.
fn settled(ready: &Ready<'_>, mut cluster: arm::Cluster, token: &str) -> Result<arm::Cluster, Reason> {
    for _ in 0..LOOKS {
        if !matches!(state(&cluster), State::Running) {
            return Ok(cluster);
        }
        pause(LOOK);
        let found = ready.azure.arm.get_cluster(ready.id, token).map_err(reason_of)?;
        cluster = found.ok_or_else(|| {
            Reason::new("Gone", format!("{} is being deleted by somebody else", ready.id.name))
                .cure("run arclet connect again")
        })?;
    }
    Err(Reason::new("Stuck", format!("Azure has not finished {} for a quarter of an hour", ready.id.name))
        .cure("run arclet connect again later; if it stays so, delete the resource in the portal first"))
}

/// What of the resource is out of date and may be changed.
fn change(ready: &Ready<'_>, cluster: &arm::Cluster) -> Option<arm::ClusterChange> {
    let differs = |now: &Option<String>, then: &str| {
        Some(then.to_owned()).filter(|then| now.as_deref() != Some(then.as_str()))
    };
    let change = arm::ClusterChange {
        distribution: differs(&cluster.properties.distribution, ready.cluster.detected.distribution),
        distribution_version: differs(&cluster.properties.distribution_version, &ready.cluster.version),
    };
    (change.distribution.is_some() || change.distribution_version.is_some()).then_some(change)
}

/// The tags to be set: those of the command line that differ, and our mark. All others stay.
fn tags(ready: &Ready<'_>, cluster: &arm::Cluster) -> BTreeMap<String, String> {
    let mut tags = ready.options.tags.clone();
    tags.retain(|name, value| cluster.tags.get(name) != Some(value));
    if owner(cluster) == Owner::Nobody {
        tags.insert(MARK.to_owned(), ADOPTED.to_owned());
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Output;

    #[test]
    fn an_arc_server_lets_the_service_into_himds_and_the_journal_knows() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options {
            config_dir: dir.path().join("etc"),
            unit_dir: dir.path().join("units"),
            output: Output::Json,
            ..Options::default()
        };
        files::directory(&options.config_dir, 0o755).unwrap();
        let (mut journal, mut done) = (Journal::new("id".into(), false), Checks::new(Output::Json));
        join_himds(&options, &mut journal, &mut done).unwrap();
        assert!(!options.unit_dir.exists(), "other identities need no group");
        options.device.kind = Some(DeviceKind::ArcServer);
        join_himds(&options, &mut journal, &mut done).unwrap();
        let path = options.unit_dir.join("arclet.service.d/himds.conf");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().any(|line| line == "SupplementaryGroups=himds"));
        assert_eq!(Journal::read(&options.config_dir).unwrap().unwrap().files, [path]);
    }
}
