//! What is asked of Azure before anything is made there.

use super::super::checks::{Checks, reason_of};
use super::super::operator::{Operator, VARIABLE};
use super::super::reach::{compare, host, may_read_secrets, reach};
use super::local::Local;
use super::options::Options;
use super::ownership::{Owner, owner, refusal};
use super::render::Looked;
use crate::azure::ResourceId;
use crate::azure::arm::{self, Arm, Permissions};
use crate::azure::vault::Vault;
use crate::clock::Clock;
use crate::core::{Reason, Scope};
use crate::device;
use zeroize::Zeroizing;

/// What the steps go on with.
pub(super) struct Azure {
    pub(super) arm: Arm,
    pub(super) operator: Operator,
    /// As it is there now.
    pub(super) existing: Option<arm::Cluster>,
    /// For the configuration.
    pub(super) looked: Looked,
}

/// The provider of connected clusters.
const PROVIDER: &str = "Microsoft.Kubernetes";
/// What the operator must be allowed to do.
const OPERATOR_ACTIONS: [&str; 2] =
    ["Microsoft.Kubernetes/connectedClusters/read", "Microsoft.Kubernetes/connectedClusters/write"];
/// What the device should be allowed to do with ARM: for its tags, for configurations, for extensions.
const DEVICE_ACTIONS: [&str; 3] = [
    "Microsoft.Resources/tags/write",
    "Microsoft.KubernetesConfiguration/fluxConfigurations/read",
    "Microsoft.KubernetesConfiguration/extensions/read",
];

/// Asks everything; `None` when an answer is missing that the rest needs.
pub(super) fn check(options: &Options, local: &Local, clock: &Clock, checks: &mut Checks) -> Option<Azure> {
    let id = options.cluster.as_ref()?;
    hosts(options, local, clock, checks);
    let arm = Arm::new(&local.cloud.arm, local.client.clone());
    let operator = Operator::new(
        &options.operator,
        options.device.tenant.as_deref(),
        std::env::var(VARIABLE).ok(),
        &local.cloud,
        &local.client,
        clock,
    );
    let token = operator.and_then(|operator| {
        let token = operator.token().map_err(reason_of)?;
        Ok((operator, token))
    });
    let operator = checks.take("operator's token", token, |_| "for Azure Resource Manager".to_owned());
    let azure = operator.and_then(|(operator, token)| {
        let (existing, looked) = resources(options, id, &arm, &token, checks)?;
        Some(Azure { arm: arm.clone(), operator, existing, looked })
    });
    let there = azure.as_ref().is_some_and(|azure| azure.existing.is_some());
    the_device(options, id, there, local, &arm, clock, checks);
    azure
}

fn hosts(options: &Options, local: &Local, clock: &Clock, checks: &mut Checks) {
    let cloud = &local.cloud;
    let mut urls = vec![cloud.login.as_str(), cloud.arm.as_str()];
    urls.extend(options.dcr_endpoint.as_deref());
    urls.extend(options.key_vault.as_deref().map(|url| url.trim_end_matches('/')));
    let mut compared = false;
    for url in urls {
        let name = host(url);
        match reach(&local.client, url) {
            Ok(reached) => {
                checks.ok(name, "name, connection, TLS, HTTP");
                if let Some(date) = reached.date_ms.filter(|_| !compared) {
                    compared = true;
                    clock.learn(date);
                    match compare(clock, name, date) {
                        Ok(fine) => checks.ok("clock", fine),
                        Err(reason) => checks.warning("clock", reason),
                    }
                }
            }
            Err(reason) => checks.failed(name, reason),
        }
    }
}

/// Provider, group, cluster, rights and rule, with the operator's token.
fn resources(
    options: &Options,
    id: &ResourceId,
    arm: &Arm,
    token: &Zeroizing<String>,
    checks: &mut Checks,
) -> Option<(Option<arm::Cluster>, Looked)> {
    let registered = provider(&id.subscription, arm, token, checks);
    let group =
        arm.get_resource_group(&id.subscription, &id.group, token).map_err(reason_of).and_then(|group| {
            group.ok_or_else(|| {
                Reason::new("ResourceGroupNotFound", format!("there is no resource group {}", id.group))
                    .cure(format!("az group create --name {} --location REGION", id.group))
            })
        });
    let group = checks.take("resource group", group, |group| format!("{} in {}", group.name, group.location));
    let existing = arm.get_cluster(id, token).map_err(reason_of).and_then(|found| ours(found, options));
    let existing = checks.take("connected cluster", existing, |found| match found {
        None => format!("{} is not there yet", id.name),
        Some(_) => format!("{} is there and may be used", id.name),
    });
    let scope = match &existing {
        Some(Some(_)) => id.to_string(),
        _ => format!("/subscriptions/{}/resourceGroups/{}", id.subscription, id.group),
    };
    match arm.permissions(&scope, token) {
        Ok(permissions) => {
            for action in OPERATOR_ACTIONS {
                if permissions.allow(action) {
                    checks.ok("operator's right", action);
                } else {
                    checks.failed("operator's right", not_allowed("the operator", action, &scope));
                }
            }
        }
        Err(outcome) => checks.failed("operator's rights", reason_of(outcome)),
    }
    let (endpoint, dcr) = match (&options.dcr_endpoint, &options.dcr_id, &options.dcr_resource_id) {
        (_, _, Some(rule)) => rule_of(rule, arm, token, checks)?,
        (endpoint, dcr, None) => (endpoint.clone()?, dcr.clone()?),
    };
    let (group, existing) = (group?, existing?);
    registered.then_some(())?;
    let location = match (&existing, &options.location) {
        (Some(cluster), _) => cluster.location.clone(),
        (None, Some(location)) => location.clone(),
        (None, None) => group.location,
    };
    Some((existing, Looked { endpoint, dcr, location: Some(location) }))
}

/// Whether connected clusters can be made in the subscription at all.
fn provider(subscription: &str, arm: &Arm, token: &str, checks: &mut Checks) -> bool {
    let name = "resource provider";
    match arm.provider_state(subscription, PROVIDER, token).map_err(reason_of) {
        Ok(state) if state.eq_ignore_ascii_case("Registered") => {
            checks.ok(name, format!("{PROVIDER}: {state}"));
            true
        }
        Ok(state) => {
            let message = format!("{PROVIDER} is {state} in subscription {subscription}");
            let cure = format!("az provider register --namespace {PROVIDER} --wait");
            checks.failed(name, Reason::new("ProviderNotRegistered", message).cure(cure));
            false
        }
        // The onboarding role is of a resource group and may not see so far; making the cluster will tell.
        Err(reason) if reason.code == "AuthorizationFailed" => {
            checks.warning(name, reason);
            true
        }
        Err(reason) => {
            checks.failed(name, reason);
            false
        }
    }
}

/// Passes on what arclet may use.
fn ours(found: Option<arm::Cluster>, options: &Options) -> Result<Option<arm::Cluster>, Reason> {
    let Some(cluster) = found else { return Ok(None) };
    match owner(&cluster) {
        Owner::Agents(sign) => Err(refusal(&cluster, &sign)),
        Owner::Nobody if !options.adopt => {
            Err(Reason::new("NotOurs", format!("{} is there already and was not made by arclet", cluster.id))
                .cure("choose another --name, or take it over with --adopt"))
        }
        Owner::Nobody | Owner::Arclet | Owner::Adopted => Ok(Some(cluster)),
    }
}

fn rule_of(rule: &str, arm: &Arm, token: &str, checks: &mut Checks) -> Option<(String, String)> {
    let found =
        ResourceId::parse(rule).and_then(|id| arm.get_dcr(&id, token).map_err(reason_of)).and_then(|dcr| {
            let wanted = crate::core::Stream::ALL.map(crate::core::Stream::dcr_stream);
            // An answer without declarations says nothing of them.
            let none = dcr.streams.is_empty();
            let lacks = |stream: &&&str| !none && !dcr.streams.iter().any(|have| have == **stream);
            if let Some(missing) = wanted.iter().find(lacks) {
                return Err(Reason::new(
                    "InvalidStream",
                    format!("the data collection rule has no stream {missing}"),
                )
                .cure("deploy config/azure again: its rule has every stream of this version"));
            }
            let endpoint = dcr.logs_ingestion.ok_or_else(|| {
                Reason::new(
                    "NoEndpoint",
                    "the data collection rule has no logs ingestion endpoint of its own",
                )
                .cure(
                    "use a rule of kind Direct (config/azure makes one), or give --dcr-endpoint and --dcr-id",
                )
            })?;
            Ok((endpoint, dcr.immutable_id))
        });
    checks.take("collection rule", found, |(endpoint, id)| format!("{id} at {}", host(endpoint)))
}

/// Whether the device itself gets tokens, and may do what it will do.
fn the_device(
    options: &Options,
    id: &ResourceId,
    there: bool,
    local: &Local,
    arm: &Arm,
    clock: &Clock,
    checks: &mut Checks,
) {
    let made = device::identity(&local.identity, &local.cloud, &local.client, clock);
    let identity = match made {
        Ok(identity) => identity,
        Err(reason) => return checks.failed("device's identity", reason),
    };
    let monitor = identity.token(Scope::Monitor, None);
    checks.take("device's token", monitor, |_| "for Azure Monitor ingestion".to_owned());
    if let Some(url) = &options.key_vault {
        let may = identity.token(Scope::Vault, None).map_err(reason_of).and_then(|token| {
            may_read_secrets(&Vault::new(url, local.client.clone(), clock.clone()), &token.secret)
        });
        // Nothing stops for it: what needs no secret is enforced, the rest waits and says so.
        match may {
            Ok(()) => checks.ok("Key Vault", "the device may read secrets"),
            Err(reason) => checks.warning("Key Vault", reason),
        }
    }
    let token = identity.token(Scope::Arm, None);
    let token = checks.take("device's token", token, |_| "for Azure Resource Manager".to_owned());
    let Some(token) = token else { return };
    let first_record = "ARM does not tell it; arclet status shows it with the first record";
    if !there {
        checks.skipped("device's rights", "roles are given on the cluster, which is not there yet");
        checks.skipped("right to send records", first_record);
        return;
    }
    // Missing rights of the device stop nothing: records are kept until they are there, and `status` names them.
    match arm.permissions(&id.to_string(), &token.secret) {
        Ok(permissions) => {
            let (gitops, extensions) = (options.gitops, options.extensions);
            let missing = missing_rights(&permissions, true, gitops, extensions);
            for action in &missing {
                let reason = Reason::new("MissingRight", format!("the device may not {action}"));
                checks.warning("device's right", reason.cure(device_role(&id.name, gitops || extensions)));
            }
            if missing.is_empty() {
                checks.ok("device's rights", "all that it needs on the connected cluster");
            }
        }
        Err(outcome) => checks.warning("device's rights", reason_of(outcome)),
    }
    checks.skipped("right to send records", first_record);
}

fn not_allowed(who: &str, action: &str, scope: &str) -> Reason {
    Reason::new("MissingRight", format!("{who} may not {action}")).cure(format!(
        "az role assignment create --assignee ID --role \"Kubernetes Cluster - Azure Arc Onboarding\" --scope {scope}; \
         it may take minutes to spread"
    ))
}

/// What the device may not do on the cluster, of all that it will: write tags, read configurations, read extensions.
pub(in crate::cli) fn missing_rights(
    permissions: &Permissions,
    tags: bool,
    gitops: bool,
    extensions: bool,
) -> Vec<&'static str> {
    let needed = DEVICE_ACTIONS.into_iter().zip([tags, gitops, extensions]);
    needed
        .filter(|(action, needed)| *needed && !permissions.allow(action))
        .map(|(action, _)| action)
        .collect()
}

/// How the device gets its role on the cluster, from which it also pulls or not.
pub(in crate::cli) fn device_role(name: &str, pulls: bool) -> String {
    let then = match pulls {
        true => "write this cluster's tags and read what it is to have",
        false => "write this cluster's tags; or set tags = false under [report]",
    };
    format!("deploy config/azure again with clusterName={name}: the device may then {then}")
}
