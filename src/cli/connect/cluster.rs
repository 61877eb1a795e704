//! What is asked of the cluster before anything is made in it.

use super::super::checks::{Checks, reason_of};
use super::super::text::count;
use super::options::Options;
use crate::clock::Clock;
use crate::core::{Outcome, Reason};
use crate::k3s::distribution::{Detected, detect};
use crate::k3s::install::{self, NAMESPACE, SERVICE_ACCOUNT, Scenario, State};
use crate::k3s::{Client, Connection, Resource, kubeconfig};
use serde_json::Value;

/// What the steps go on with.
pub(super) struct Cluster {
    /// As given: an administrator's, or the agent's own on a worker node.
    pub(super) connection: Connection,
    /// By that connection.
    pub(super) client: Client,
    /// The connection is the agent's own account already.
    pub(super) own: bool,
    /// The API server's version.
    pub(super) version: String,
    /// What it is and what it runs on.
    pub(super) detected: Detected,
    /// Objects that are missing.
    pub(super) missing: Vec<String>,
}

/// Asks everything; `None` when an answer is missing that the rest needs.
pub(super) fn check(options: &Options, clock: &Clock, checks: &mut Checks) -> Option<Cluster> {
    let path = options.kubeconfig.clone().map_or_else(kubeconfig::find, Ok);
    let path = checks.take("kubeconfig", path, |path| path.display().to_string())?;
    let made = kubeconfig::load(&path)
        .and_then(|connection| Ok((Client::new(connection.clone(), clock.clone())?, connection)));
    let (client, connection) = match made {
        Ok(made) => made,
        Err(reason) => {
            checks.failed("kubeconfig", reason);
            return None;
        }
    };
    let version = checks.take("API server", client.version(), |v| format!("{}, {v}", client.server()))?;
    let own = match client.who_am_i() {
        Ok(me) => {
            let own = me.username == format!("system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}");
            let what = if own {
                "the agent's own account: nothing has to be made here"
            } else {
                "makes the agent's account"
            };
            checks.ok("account", format!("{}, {what}", me.username));
            own
        }
        // Before Kubernetes 1.28 nobody can ask; then it is an administrator's, or the rights will tell.
        Err(Outcome::Refused(reason)) => {
            checks.warning("account", reason);
            false
        }
        Err(outcome) => {
            checks.failed("account", reason_of(outcome));
            return None;
        }
    };
    let wanted = &options.scenarios();
    let may = if own { agent_may(&client, wanted) } else { administrator_may(&client, wanted) };
    checks.take("rights in the cluster", may, |number| count(*number, "right"))?;
    let missing = if own { Vec::new() } else { objects(&client, wanted, checks)? };
    if !own {
        beyond(&client, wanted, checks);
    }
    let nodes = checks.take("nodes", client.nodes(), |nodes| {
        let Detected { distribution, infrastructure } = detect(nodes, &version);
        let (nodes, cpus) = (count(nodes.nodes, "node"), count(nodes.vcpus(), "vCPU"));
        format!("{nodes}, {cpus}; distribution {distribution}, infrastructure {infrastructure}")
    })?;
    let detected = detect(&nodes, &version);
    Some(Cluster { connection, client, own, version, detected, missing })
}

/// The objects that connecting will make. One that is somebody else's is a failure.
fn objects(client: &Client, scenarios: &[Scenario], checks: &mut Checks) -> Option<Vec<String>> {
    let plan = install::plan(client, scenarios).map_err(reason_of).and_then(|plan| {
        match plan.iter().find(|step| step.state == State::Foreign) {
            Some(foreign) => {
                let (label, owner) = install::OWNER_LABEL;
                Err(Reason::new(
                    "NotOurs",
                    format!("{} is there already and is not arclet's", foreign.title()),
                )
                .cure(format!("remove it, or give it to arclet with the label {label}={owner}")))
            }
            None => Ok(plan),
        }
    });
    let missing = |plan: &Vec<install::Step>| -> Vec<String> {
        plan.iter()
            .filter(|step| matches!(step.state, State::Missing | State::Leaving))
            .map(install::Step::title)
            .collect()
    };
    let plan = checks.take("objects", plan, |plan| match missing(plan).len() {
        0 => "all there, all arclet's".to_owned(),
        number => format!("{number} of {} to be made", plan.len()),
    })?;
    Some(missing(&plan))
}

/// Says what an earlier run granted and this one does not ask for. It is not taken back here: all devices of a cluster act as
/// one account, and another one may need it; so may this one's agent, to remove what it made.
fn beyond(client: &Client, scenarios: &[Scenario], checks: &mut Checks) {
    match install::beyond(client, scenarios) {
        Ok(found) => {
            for (scenario, command) in found {
                let message =
                    format!("the agent still has the roles of {scenario}, which this run does not ask for");
                checks.warning(
                    "granted before",
                    Reason::new("StillGranted", message).cure(format!(
                        "when no device of this cluster needs them and nothing that they made is left: {command}"
                    )),
                );
            }
        }
        Err(outcome) => checks.warning("granted before", reason_of(outcome)),
    }
}

/// Whether an administrator's connection may make each object.
fn administrator_may(client: &Client, scenarios: &[Scenario]) -> Result<u64, Reason> {
    let mut asked = 0;
    for object in install::objects(scenarios)? {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let Some(resource) = Resource::known(text("apiVersion"), text("kind")) else { continue };
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        for verb in ["get", "create", "patch"] {
            asked += 1;
            ask(client, verb, &resource.group, &resource.plural, namespace, None)?;
        }
    }
    Ok(asked)
}

/// Whether the agent's own connection has each right of its roles.
pub(in crate::cli) fn agent_may(client: &Client, scenarios: &[Scenario]) -> Result<u64, Reason> {
    let mut asked = 0;
    for object in install::objects(scenarios)? {
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str);
        for rule in object.get("rules").and_then(Value::as_array).into_iter().flatten() {
            let list = |field: &str| -> Vec<String> {
                let items = rule.get(field).and_then(Value::as_array).into_iter().flatten();
                items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
            };
            let names = list("resourceNames");
            let names =
                if names.is_empty() { vec![None] } else { names.iter().map(|n| Some(n.as_str())).collect() };
            for group in list("apiGroups") {
                for resource in list("resources") {
                    for verb in list("verbs") {
                        for name in &names {
                            asked += 1;
                            ask(client, &verb, &group, &resource, namespace, *name)?;
                        }
                    }
                }
            }
        }
    }
    Ok(asked)
}

fn ask(
    client: &Client,
    verb: &str,
    group: &str,
    resource: &str,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<(), Reason> {
    if client.can_i(verb, group, resource, namespace, name).map_err(reason_of)? {
        return Ok(());
    }
    let group = if group.is_empty() { String::new() } else { format!(".{group}") };
    Err(Reason::new("MissingRight", format!("this account may not {verb} {resource}{group} in the cluster"))
        .cure(
            "arclet connect, as an administrator of the cluster (k3s: /etc/rancher/k3s/k3s.yaml), sets the roles right, \
             with --gitops and --extensions also theirs",
        ))
}
