//! What `connect` makes in the cluster for the agent, and `disconnect` takes away: the objects of `config/rbac.yaml` and
//! the token that the cluster puts into one of them.
//!
//! Runs with an administrator's connection. Repeating it changes nothing. An object of the same name that does not carry
//! our label belongs to somebody else: it is neither changed nor removed. Why the credential is this one:
//! docs/decisions/0004-kubernetes-credential.md.

use super::apply::Deleted;
use super::client::Client;
use super::connection::{Connection, Identity};
use super::own::KEEP;
use super::reply;
use super::resource::Resource;
use super::yaml;
use crate::core::{Outcome, Reason};
use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use ureq::http::Method;
use zeroize::{Zeroize, Zeroizing};

/// The namespace of all that arclet has in the cluster.
pub const NAMESPACE: &str = "arclet";
/// The ServiceAccount that the agent acts as.
pub const SERVICE_ACCOUNT: &str = "arclet";
/// The Secret with the agent's token.
pub const TOKEN_SECRET: &str = "arclet-token";
/// Marks what is ours.
pub const OWNER_LABEL: (&str, &str) = ("app.kubernetes.io/managed-by", "arclet");
/// The label of what belongs to a scenario and is left out unless that is wanted.
pub const SCENARIO_LABEL: &str = "arclet.dev/scenario";
/// Owns the fields of these objects (server-side apply).
pub const FIELD_MANAGER: &str = "arclet-connect";

const OBJECTS: &str = include_str!("../../config/rbac.yaml");
/// Between two looks for what the cluster's controllers do. They need milliseconds for a token, seconds for a namespace.
const PAUSE: Duration = Duration::from_millis(100);

/// What arclet may be allowed to do beside reporting, each as a whole. docs/security.md says what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Objects of Flux, the namespaces that they are in, and accounts that are admin there.
    Gitops,
    /// Secrets that the sources of Flux read.
    GitopsSecrets,
    /// HelmCharts of k3s, in a namespace of arclet's own.
    Extensions,
}

impl Scenario {
    /// All scenarios.
    pub const ALL: [Scenario; 3] = [Scenario::Gitops, Scenario::GitopsSecrets, Scenario::Extensions];

    /// Those that a configuration needs: with fluxConfigurations, with extensions, with a Key Vault.
    pub fn of(gitops: bool, extensions: bool, vault: bool) -> Vec<Scenario> {
        let needed = [
            (gitops, Scenario::Gitops),
            (gitops && vault, Scenario::GitopsSecrets),
            (extensions, Scenario::Extensions),
        ];
        needed.into_iter().filter(|(is, _)| *is).map(|(_, scenario)| scenario).collect()
    }

    /// The value of [`SCENARIO_LABEL`].
    pub const fn name(self) -> &'static str {
        match self {
            Scenario::Gitops => "gitops",
            Scenario::GitopsSecrets => "gitops-secrets",
            Scenario::Extensions => "extensions",
        }
    }

    /// What grants its role.
    pub const fn granted_by(self) -> &'static str {
        match self {
            Scenario::Gitops => "arclet connect --gitops",
            Scenario::GitopsSecrets => {
                "arclet connect --gitops --key-vault URL (or kubectl apply of that role and its binding)"
            }
            Scenario::Extensions => "arclet connect --extensions",
        }
    }
}

/// What the cluster has of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing: connecting makes it.
    Missing,
    /// Ours: connecting sets it right.
    Ours,
    /// Ours and on its way out, as a namespace is for seconds after `disconnect`: connecting waits for its end.
    Leaving,
    /// Somebody else's object of that name: connecting refuses.
    Foreign,
}

/// One object to be made or removed.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the cluster has now.
    pub state: State,
    /// The object as it is to be.
    pub object: Value,
    resource: Resource,
    uid: Option<String>,
}

impl Step {
    /// `ClusterRole arclet-metadata`, for people.
    pub fn title(&self) -> String {
        match self.namespace() {
            Some(namespace) => format!("{} {namespace}/{}", self.resource.kind, self.name()),
            None => format!("{} {}", self.resource.kind, self.name()),
        }
    }

    fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    fn namespace(&self) -> Option<&str> {
        self.object.pointer("/metadata/namespace").and_then(Value::as_str)
    }
}

fn broken(error: &dyn std::fmt::Display) -> Reason {
    Reason::new("BadBuild", format!("config/rbac.yaml: {error}"))
}

/// The objects of `config/rbac.yaml` that these scenarios need, in the order in which they are made. With none: what every
/// arclet has.
pub fn objects(scenarios: &[Scenario]) -> Result<Vec<Value>, Reason> {
    let mut objects = yaml::documents(OBJECTS).map_err(|error| broken(&error))?;
    objects.retain(|object| {
        let of =
            object.pointer("/metadata/labels").and_then(|l| l.get(SCENARIO_LABEL)).and_then(Value::as_str);
        of.is_none_or(|of| scenarios.iter().any(|scenario| scenario.name() == of))
    });
    Ok(objects)
}

fn is_kept(object: &Value) -> bool {
    object.pointer("/metadata/annotations").and_then(|all| all.get(KEEP)).is_some_and(|keep| keep == "true")
}

fn scenario_of(object: &Value) -> Option<&str> {
    object.pointer("/metadata/labels")?.get(SCENARIO_LABEL)?.as_str()
}

/// Reads what the cluster has of each object, in the order in which they are made. Changes nothing.
pub fn plan(client: &Client, scenarios: &[Scenario]) -> Result<Vec<Step>, Outcome> {
    let objects = objects(scenarios).map_err(Outcome::Refused)?;
    let mut steps = Vec::with_capacity(objects.len());
    for object in objects {
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
        let resource = Resource::known(text("apiVersion"), text("kind"))
            .ok_or_else(|| Outcome::Refused(broken(&format!("unknown kind {}", text("kind")))))?;
        let mut step = Step { state: State::Missing, object, resource, uid: None };
        if let Some(mut found) = client.get(&step.resource, step.namespace(), step.name())? {
            let (label, owner) = OWNER_LABEL;
            let ours = found.pointer("/metadata/labels").and_then(|l| l.get(label)).and_then(Value::as_str);
            let leaving = found.pointer("/metadata/deletionTimestamp").is_some();
            step.state = match ours == Some(owner) {
                true if leaving => State::Leaving,
                true => State::Ours,
                false => State::Foreign,
            };
            step.uid = found.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
            forget_secrets(&mut found);
        }
        steps.push(step);
    }
    Ok(steps)
}

/// What the agent is granted beyond these scenarios, for people: of each other one that has something of ours in the cluster,
/// its name and the command that takes it back. Changes nothing.
pub fn beyond(client: &Client, scenarios: &[Scenario]) -> Result<Vec<(&'static str, String)>, Outcome> {
    let others: Vec<Scenario> = Scenario::ALL.into_iter().filter(|s| !scenarios.contains(s)).collect();
    let steps = match others.is_empty() {
        true => Vec::new(),
        false => plan(client, &others)?,
    };
    let mut found = Vec::new();
    for scenario in others {
        let (mut command, mut any) = ("kubectl".to_owned(), false);
        let of = |step: &&Step| scenario_of(&step.object) == Some(scenario.name()) && !is_kept(&step.object);
        for step in steps.iter().filter(of).filter(|step| step.state == State::Ours) {
            if !any {
                command +=
                    &step.namespace().map(|n| format!(" -n {n} delete")).unwrap_or(" delete".to_owned());
                any = true;
            }
            command += &format!(" {}/{}", step.resource.kind.to_lowercase(), step.name());
        }
        if any {
            found.push((scenario.name(), command));
        }
    }
    Ok(found)
}

/// Makes or mends every object; nothing at all if one of them is somebody else's, or is still being deleted after
/// `patience`. `pause` waits between two looks. Returns what was found before. What was granted for other scenarios stays.
pub fn apply_all(
    client: &Client,
    scenarios: &[Scenario],
    patience: Duration,
    pause: &mut dyn FnMut(Duration),
) -> Result<Vec<Step>, Outcome> {
    let steps = settled(client, scenarios, patience, pause)?;
    if let Some(foreign) = steps.iter().find(|step| step.state == State::Foreign) {
        let (label, owner) = OWNER_LABEL;
        let message = format!("{} is there already and is not arclet's", foreign.title());
        return Err(Outcome::Refused(
            Reason::new("NotOurs", message)
                .cure(format!("remove it, or give it to arclet with the label {label}={owner}")),
        ));
    }
    for step in &steps {
        // With force: the objects are ours, and what somebody changed in them is set right.
        forget_secrets(&mut client.apply(&step.object, FIELD_MANAGER, true)?);
    }
    Ok(steps)
}

/// The plan, once nothing in it is on its way out: what is made in a namespace that leaves would leave with it.
fn settled(
    client: &Client,
    scenarios: &[Scenario],
    patience: Duration,
    pause: &mut dyn FnMut(Duration),
) -> Result<Vec<Step>, Outcome> {
    let start = client.clock().now().mono;
    loop {
        let steps = plan(client, scenarios)?;
        let Some(leaving) = steps.iter().find(|step| step.state == State::Leaving) else { return Ok(steps) };
        if client.clock().now().mono.since(start) > patience {
            let kind = leaving.resource.kind.to_lowercase();
            let message =
                format!("{} is being deleted, and is still there after {patience:?}", leaving.title());
            return Err(Outcome::Unreachable(Reason::new("Leaving", message).cure(format!(
                "kubectl get {kind} {} -o yaml says in status.conditions what it waits for",
                leaving.name()
            ))));
        }
        pause(PAUSE);
    }
}

#[derive(Deserialize)]
struct TokenSecret {
    data: Option<TokenData>,
}

#[derive(Deserialize)]
struct TokenData {
    token: Option<ByteString>,
}

/// The agent's token, as soon as the cluster has made it. `pause` waits between two looks; after `patience` it is an error.
pub fn wait_token(
    client: &Client,
    patience: Duration,
    pause: &mut dyn FnMut(Duration),
) -> Result<Zeroizing<String>, Outcome> {
    let secret = Resource::known("v1", "Secret").map(|r| r.object(Some(NAMESPACE), TOKEN_SECRET));
    let path = secret.unwrap_or_default();
    let start = client.clock().now().mono;
    loop {
        let mut reply = client.send(Method::GET, &path, None)?;
        let found = reply::read::<TokenSecret>(&format!("GET {path}"), &reply);
        reply.body.zeroize();
        let token = found?.data.and_then(|data| data.token).map(|token| Zeroizing::new(token.0));
        if let Some(token) = token.filter(|token| !token.is_empty()) {
            return std::str::from_utf8(&token).map(|text| Zeroizing::new(text.to_owned())).map_err(|_| {
                Outcome::Refused(Reason::new(reply::code::NOT_KUBERNETES, "the token is not text"))
            });
        }
        if client.clock().now().mono.since(start) > patience {
            let message = format!(
                "the cluster put no token into Secret {NAMESPACE}/{TOKEN_SECRET} within {patience:?}"
            );
            return Err(Outcome::Unreachable(
                Reason::new("NoToken", message)
                    .cure("look whether the cluster's controllers run (k3s: journalctl -u k3s)"),
            ));
        }
        pause(PAUSE);
    }
}

/// The same server, as the agent: what goes into the agent's own kubeconfig.
pub fn limited(administrator: &Connection, token: Zeroizing<String>) -> Connection {
    Connection { identity: Identity::Token(token), ..administrator.clone() }
}

/// Removes what is ours, of all scenarios, last made first, and each only as it was seen: an object that was replaced meanwhile stays.
/// Returns what was found of each; not of scenarios that were never granted.
pub fn remove_all(client: &Client) -> Result<Vec<(String, Deleted)>, Outcome> {
    let mut removed = Vec::new();
    for step in plan(client, &Scenario::ALL)?.iter().rev() {
        // What is in it would go with it, and leave its traces all over the cluster.
        if is_kept(&step.object) {
            continue;
        }
        let outcome = match step.state {
            State::Missing if scenario_of(&step.object).is_some() => continue,
            State::Missing => Deleted::NotThere,
            State::Foreign => Deleted::AnotherOne,
            State::Ours | State::Leaving => {
                client.delete(&step.resource, step.namespace(), step.name(), step.uid.as_deref())?
            }
        };
        removed.push((step.title(), outcome));
    }
    Ok(removed)
}

/// Wipes the values of a Secret that the server sent back.
fn forget_secrets(object: &mut Value) {
    if let Some(data) = object.get_mut("data").and_then(Value::as_object_mut) {
        for value in data.values_mut() {
            if let Value::String(text) = value {
                text.zeroize();
            }
        }
    }
}
