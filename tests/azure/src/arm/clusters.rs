//! Microsoft.Kubernetes/connectedClusters 2026-05-01 (azure-arm.md 3): what a client may write and what it reads.

use super::Call;
use super::operations::{Operation, Shape, advance_body, begin};
use super::tags::tags_fit;
use crate::entra;
use crate::state::State;
use crate::wire::{Answer, guid};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const VERSIONS: [&str; 5] = ["2021-03-01", "2021-10-01", "2024-01-01", "2026-03-01", "2026-05-01"];
/// What a PUT may set; everything else in `properties` is read-only or unknown and is not stored.
const WRITABLE: [&str; 11] = [
    "agentPublicKeyCertificate",
    "distribution",
    "distributionVersion",
    "infrastructure",
    "privateLinkState",
    "azureHybridBenefit",
    "aadProfile",
    "arcAgentProfile",
    "securityProfile",
    "oidcIssuerProfile",
    "gateway",
];
/// What a PATCH may have.
const PATCHABLE: [&str; 4] = ["distribution", "distributionVersion", "azureHybridBenefit", "gateway"];

/// Clusters by lower-case id, and operations by id.
#[derive(Default)]
pub struct Clusters {
    pub resources: BTreeMap<String, Value>,
    pub(crate) operations: BTreeMap<String, Operation>,
    /// How the next operations are answered.
    pub shape: Shape,
    /// How many polls an operation takes.
    pub polls: u32,
    /// `Retry-After` of status answers, in seconds.
    pub retry_after: u32,
}

fn id_of(call: &Call<'_>) -> String {
    format!("/{}", call.lower[..8.min(call.lower.len())].join("/"))
}

/// Answers a request to a connected cluster or to their list.
pub fn answer(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.version_of(&VERSIONS)?;
    let parts: Vec<&str> = call.lower.iter().map(String::as_str).collect();
    match (call.question.method.as_str(), parts.as_slice()) {
        ("GET", [.., "connectedclusters"]) => list(state, call),
        ("GET", [.., "connectedclusters", _]) => get(state, call),
        (
            "PUT",
            [.., "resourcegroups", group, "providers", "microsoft.kubernetes", "connectedclusters", _],
        ) => {
            if !state.groups.contains_key(*group) {
                return Err(Answer::error(
                    404,
                    "ResourceGroupNotFound",
                    &format!("Resource group '{group}' could not be found."),
                ));
            }
            put(state, call)
        }
        ("PATCH", [.., "connectedclusters", _]) => patch(state, call),
        ("DELETE", [.., "connectedclusters", _]) => delete(state, call),
        _ => Err(Answer::error(405, "HttpMethodNotAllowed", "The method is not supported by this resource.")),
    }
}

pub(super) fn not_found(call: &Call<'_>) -> Answer {
    let (group, name) = (
        call.segments.get(3).cloned().unwrap_or_default(),
        call.segments.get(7).cloned().unwrap_or_default(),
    );
    Answer::error(
        404,
        "ResourceNotFound",
        &format!(
            "The Resource 'Microsoft.Kubernetes/connectedClusters/{name}' under resource group '{group}' was not found."
        ),
    )
}

fn get(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Kubernetes/connectedClusters/read", &call.question.path)?;
    // A resource that must itself be polled moves on with each look.
    advance_body(state, &id_of(call));
    state
        .clusters
        .resources
        .get(&id_of(call))
        .map(|c| Answer::json(200, c.clone()))
        .ok_or_else(|| not_found(call))
}

fn list(state: &State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Kubernetes/connectedClusters/read", &call.question.path)?;
    let prefix = format!("/{}/", call.lower[..call.lower.len() - 3].join("/"));
    let skip: usize = call.question.parameter("$skiptoken").and_then(|t| t.parse().ok()).unwrap_or(0);
    let all: Vec<&Value> =
        state.clusters.resources.iter().filter(|(id, _)| id.starts_with(&prefix)).map(|(_, c)| c).collect();
    let page: Vec<&Value> = all.iter().skip(skip).take(state.page_size).copied().collect();
    let mut body = json!({ "value": page });
    if skip + state.page_size < all.len() {
        let version = call.question.parameter("api-version").unwrap_or_default();
        body["nextLink"] = format!(
            "{}{}?api-version={version}&$skipToken={}",
            call.question.base,
            call.question.path,
            skip + state.page_size
        )
        .into();
    }
    Ok(Answer::json(200, body))
}

pub(super) fn bad(text: &str) -> Answer {
    Answer::error(400, "InvalidRequestContent", text)
}

/// 409, if the subscription has not registered this resource provider.
pub(super) fn registered(state: &State, namespace: &str) -> Result<(), Answer> {
    match state.providers.get(&namespace.to_lowercase()) {
        Some((_, registration)) if registration == "Registered" => Ok(()),
        _ => {
            let text = format!("The subscription is not registered to use namespace '{namespace}'.");
            Err(Answer::error(409, "MissingSubscriptionRegistration", &text))
        }
    }
}

fn put(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Kubernetes/connectedClusters/write", &call.question.path)?;
    registered(state, "Microsoft.Kubernetes")?;
    let body = call
        .question
        .json()
        .filter(Value::is_object)
        .ok_or_else(|| bad("The request content was invalid and could not be deserialized."))?;
    let location = body["location"].as_str().ok_or_else(|| {
        Answer::error(400, "LocationRequired", "The location property is required for this definition.")
    })?;
    if !matches!(body["identity"]["type"].as_str(), Some("SystemAssigned" | "None")) {
        return Err(bad("identity.type must be SystemAssigned or None."));
    }
    let given = body["properties"].as_object().ok_or_else(|| bad("properties is required."))?;
    let key = given
        .get("agentPublicKeyCertificate")
        .and_then(Value::as_str)
        .ok_or_else(|| bad("agentPublicKeyCertificate is required."))?;
    let provisioned = body["kind"] == "ProvisionedCluster" && key.is_empty();
    if !provisioned && !is_public_key(key, state.any_key) {
        return Err(Answer::error(
            400,
            "BadRequest",
            "agentPublicKeyCertificate is not the base64 of an RSA public key.",
        ));
    }
    tags_fit(&body["tags"])?;
    let id = id_of(call);
    let existing = state.clusters.resources.get(&id).cloned();
    if let Some(old) = &existing
        && old["location"].as_str().is_some_and(|l| !l.eq_ignore_ascii_case(location))
    {
        return Err(Answer::error(
            409,
            "InvalidResourceLocation",
            "The resource already exists in another location.",
        ));
    }
    let mut properties: Map<String, Value> = given
        .iter()
        .filter(|(name, _)| WRITABLE.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect();
    // A replaced cluster keeps what its agents reported; nobody else can write it.
    for name in [
        "kubernetesVersion",
        "agentVersion",
        "totalNodeCount",
        "totalCoreCount",
        "lastConnectivityTime",
        "connectivityStatus",
    ] {
        if let Some(value) = existing.as_ref().and_then(|c| c["properties"].get(name)) {
            properties.insert(name.to_owned(), value.clone());
        }
    }
    properties.entry("connectivityStatus").or_insert("Connecting".into());
    for (name, default) in [("privateLinkState", "Disabled"), ("azureHybridBenefit", "NotApplicable")] {
        properties.entry(name).or_insert(default.into());
    }
    let done = state.clusters.shape == Shape::Sync;
    properties.insert("provisioningState".into(), if done { "Succeeded" } else { "Accepted" }.into());
    let now = state.clock.now().to_string();
    let created = existing.as_ref().map_or_else(
        || now.clone(),
        |c| c["systemData"]["createdAt"].as_str().unwrap_or_default().to_owned(),
    );
    // The identity is made once: what was granted to it outlives a replacement.
    let object = existing.as_ref().and_then(|c| c["identity"]["principalId"].as_str());
    let object = object.map_or_else(guid, str::to_owned);
    let resource = json!({
        "id": format!("/{}", call.segments.join("/")), "name": call.segments[7], "type": "microsoft.kubernetes/connectedclusters",
        "location": location, "tags": if body["tags"].is_null() { json!({}) } else { body["tags"].clone() },
        "identity": { "type": body["identity"]["type"], "principalId": object, "tenantId": state.tenant }, "properties": properties,
        "systemData": { "createdBy": call.principal.client_id, "createdByType": "Application", "createdAt": created,
                        "lastModifiedBy": call.principal.client_id, "lastModifiedByType": "Application", "lastModifiedAt": now },
    });
    state.clusters.resources.insert(id.clone(), resource.clone());
    let status = if existing.is_some() { 200 } else { 201 };
    Ok(match state.clusters.shape {
        Shape::Sync => Answer::json(200, resource),
        Shape::Body => {
            let left = state.clusters.polls.max(1);
            state.clusters.operations.insert(id, Operation { left, failed: false, deletes: None });
            Answer::json(status, resource)
        }
        Shape::Async | Shape::Failed => {
            let url = begin(state, call, id, None);
            Answer::json(status, resource).with("azure-asyncoperation", url)
        }
    })
}

fn patch(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Kubernetes/connectedClusters/write", &call.question.path)?;
    let body = call
        .question
        .json()
        .filter(Value::is_object)
        .ok_or_else(|| bad("The request content was invalid."))?;
    let unknown =
        body.as_object().into_iter().flatten().any(|(name, _)| name != "tags" && name != "properties")
            || body["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .any(|(name, _)| !PATCHABLE.contains(&name.as_str()));
    if unknown {
        return Err(bad("The request has members that cannot be patched."));
    }
    tags_fit(&body["tags"])?;
    let resource = state.clusters.resources.get_mut(&id_of(call)).ok_or_else(|| not_found(call))?;
    if body["tags"].is_object() {
        resource["tags"] = body["tags"].clone();
    }
    for (name, value) in body["properties"].as_object().into_iter().flatten() {
        resource["properties"][name] = value.clone();
    }
    let resource = resource.clone();
    Ok(match state.clusters.shape {
        Shape::Async => {
            let id = id_of(call);
            let url = begin(state, call, id, None);
            Answer::empty(202).with("azure-asyncoperation", url)
        }
        _ => Answer::json(200, resource),
    })
}

fn delete(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    call.require("Microsoft.Kubernetes/connectedClusters/delete", &call.question.path)?;
    let id = id_of(call);
    let Some(resource) = state.clusters.resources.get_mut(&id) else { return Ok(Answer::empty(204)) };
    resource["properties"]["provisioningState"] = "Deleting".into();
    Ok(match state.clusters.shape {
        Shape::Sync => {
            state.remove_cluster(&id);
            Answer::empty(200)
        }
        Shape::Body => {
            let url = begin(state, call, id.clone(), Some(id));
            Answer::empty(202).with("location", format!("{url}&form=location"))
        }
        Shape::Async | Shape::Failed => {
            let url = begin(state, call, id.clone(), Some(id));
            Answer::empty(202).with("azure-asyncoperation", url)
        }
    })
}

/// `SEQUENCE { INTEGER n, INTEGER e }` in base64. `any`: accept what official clients' samples send.
fn is_public_key(text: &str, any: bool) -> bool {
    if any && !text.is_empty() {
        return true;
    }
    let Ok(der) = STANDARD.decode(text) else { return false };
    let parsed = || {
        let (sequence, rest) = entra::element(&der).filter(|_| der.first() == Some(&0x30))?;
        let (modulus, exponent) = entra::element(sequence).filter(|_| sequence.first() == Some(&0x02))?;
        let (e, end) = entra::element(exponent).filter(|_| exponent.first() == Some(&0x02))?;
        Some(rest.is_empty() && end.is_empty() && modulus.len() >= 256 && e == [1, 0, 1])
    };
    parsed().unwrap_or(false)
}
