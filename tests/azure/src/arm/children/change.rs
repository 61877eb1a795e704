//! PUT, PATCH and DELETE of a document. Each is accepted, and waits for an agent that is not there.

use super::document::{self, SOURCES, fresh, overlay, system_data};
use super::kind::Kind;
use super::life::Operation;
use super::{CLUSTER_SEGMENTS, Call, Child, absent, id_of};
use crate::arm::clusters::{bad, registered};
use crate::state::State;
use crate::wire::{Answer, guid};
use serde_json::{Map, Value, json};

/// `PUT`: makes it, or replaces what a client may write of it.
pub fn put(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Answer, Answer> {
    registered(state, "Microsoft.KubernetesConfiguration")?;
    let body = call.question.json().filter(Value::is_object);
    let body = body.ok_or_else(|| bad("The request content was invalid and could not be deserialized."))?;
    let given = body["properties"].as_object().ok_or_else(|| bad("properties is required."))?;
    let written: Map<String, Value> = given
        .iter()
        .filter(|(name, value)| kind.writable().contains(&name.as_str()) && !value.is_null())
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    has_its_source(kind, &written)?;
    let name = &call.segments[CLUSTER_SEGMENTS + 3];
    let id = id_of(call);
    let old = state.children.all.get(&id).map(|c| c.resource.clone());
    let mut properties = fresh(kind, name);
    overlay(&mut properties, Value::Object(written));
    document::fill(&mut properties);
    if let Some(old) = &old {
        not_going(old)?;
        for name in kind.create_only() {
            if properties[name] != old["properties"][name] {
                return Err(bad(&format!("properties.{name} cannot be changed.")));
            }
        }
        properties["provisioningState"] = "Updating".into();
    }
    let now = state.clock.now();
    let created = old.as_ref().map(|o| o["systemData"]["createdAt"].clone());
    let mut resource = json!({
        "id": format!("/{}", call.segments.join("/")), "name": name, "type": kind.type_name(), "properties": properties,
        "systemData": system_data(&call.principal.client_id, created, now),
    });
    if kind == Kind::Extension {
        resource["plan"] = body["plan"].clone();
        resource["identity"] = identity(&body, old.as_ref(), &state.tenant);
    }
    state.children.all.insert(id.clone(), Child { resource: resource.clone(), since: now });
    let url = begin(state, call, &id);
    let answer = Answer::json(if old.is_some() { 200 } else { 201 }, resource);
    // So the specification's examples have it: how long the operation may wait for the cluster.
    Ok(answer.with("azure-asyncoperation", url).with("x-ms-async-operation-timeout", "PT48H"))
}

/// A fluxConfiguration describes the source that it names.
fn has_its_source(kind: Kind, written: &Map<String, Value>) -> Result<(), Answer> {
    let text = |name: &str| written.get(name).and_then(Value::as_str);
    match kind {
        Kind::Flux => {
            let source = text("sourceKind").unwrap_or("GitRepository");
            let member = SOURCES.iter().find(|(name, _)| *name == source).map(|(_, member)| *member);
            let member = member.ok_or_else(|| bad("properties.sourceKind is none that is known."))?;
            match written.get(member).is_some_and(Value::is_object) {
                true => Ok(()),
                false => Err(bad(&format!("properties.{member} is required for {source}."))),
            }
        }
        Kind::Extension => match text("extensionType") {
            Some(name) if !name.is_empty() => Ok(()),
            _ => Err(bad("properties.extensionType is required.")),
        },
    }
}

/// An extension's own identity is made once.
fn identity(body: &Value, old: Option<&Value>, tenant: &str) -> Value {
    if body["identity"]["type"] != "SystemAssigned" {
        return Value::Null;
    }
    let known = old.map(|o| o["identity"].clone()).filter(Value::is_object);
    known.unwrap_or_else(|| json!({ "type": "SystemAssigned", "principalId": guid(), "tenantId": tenant }))
}

/// `PATCH`: merges.
pub fn patch(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Answer, Answer> {
    let body = call.question.json().filter(Value::is_object);
    let body = body.ok_or_else(|| bad("The request content was invalid."))?;
    let unknown = body.as_object().into_iter().flatten().any(|(name, _)| name != "properties")
        || body["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .any(|(name, _)| !kind.patchable().contains(&name.as_str()));
    if unknown {
        return Err(bad("The request has members that cannot be patched."));
    }
    let now = state.clock.now();
    let id = id_of(call);
    let child = state.children.all.get_mut(&id).ok_or_else(|| absent(call, kind))?;
    not_going(&child.resource)?;
    document::patch(&mut child.resource["properties"], &body["properties"]);
    child.resource["properties"]["provisioningState"] = "Updating".into();
    let created = child.resource["systemData"]["createdAt"].clone();
    child.resource["systemData"] = system_data(&call.principal.client_id, Some(created), now);
    child.since = now;
    let resource = child.resource.clone();
    let url = begin(state, call, &id);
    Ok(Answer::json(202, resource).with("azure-asyncoperation", url))
}

/// `DELETE`: without an agent that takes it down it only goes by force.
pub fn delete(state: &mut State, call: &Call<'_>) -> Result<Answer, Answer> {
    let id = id_of(call);
    let Some(child) = state.children.all.get_mut(&id) else { return Ok(Answer::empty(204)) };
    if call.question.parameter("forcedelete").is_some_and(|v| v.eq_ignore_ascii_case("true")) {
        state.children.all.remove(&id);
    } else {
        child.resource["properties"]["provisioningState"] = "Deleting".into();
    }
    let url = begin(state, call, &id);
    Ok(Answer::empty(202).with("azure-asyncoperation", url))
}

fn not_going(resource: &Value) -> Result<(), Answer> {
    match resource["properties"]["provisioningState"].as_str() {
        Some("Deleting") => Err(Answer::error(409, "Conflict", "The resource is being deleted.")),
        _ => Ok(()),
    }
}

/// Notes a change, and returns its status URL: under the resource, for these types.
fn begin(state: &mut State, call: &Call<'_>, id: &str) -> String {
    let operation = guid();
    state.children.operations.insert(operation.clone(), Operation { resource: id.to_owned() });
    let version = call.question.parameter("api-version").unwrap_or_default();
    format!("{}{}/operations/{operation}?api-version={version}", call.question.base, call.question.path)
}
