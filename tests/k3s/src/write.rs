//! Writing: server-side apply and delete; and create and update, which know resourceVersions.

use crate::access::{self, User};
use crate::apply;
use crate::cluster::{self, Cluster, Stored};
use crate::kinds::Kind;
use crate::routes::{Answer, Question, not_found};
use serde_json::{Value, json};
use std::collections::HashMap;

/// One object's place, and the version it is asked for in.
pub struct Place<'a> {
    pub kind: &'static Kind,
    pub version: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

pub fn patch(
    cluster: &mut Cluster,
    user: &User,
    &Place { kind, version, namespace, name }: &Place<'_>,
    query: &HashMap<String, String>,
    question: &Question,
) -> Answer {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    if question.content_type != "application/apply-patch+yaml" || text("fieldManager").is_empty() {
        return Answer::status(415, "UnsupportedMediaType", "only server-side apply is known here");
    }
    let Ok(wanted) = serde_json::from_slice::<Value>(&question.body) else {
        return Answer::status(400, "BadRequest", "error decoding the patch");
    };
    if wanted["metadata"]["name"] != name || wanted["kind"] != kind.kind {
        return Answer::status(400, "BadRequest", "the name or kind of the object does not match the URL");
    }
    let common = ["apiVersion", "kind", "metadata"];
    let fields = wanted.as_object().unwrap();
    if let Some(unknown) =
        fields.keys().find(|f| !common.contains(&f.as_str()) && !kind.fields.contains(&f.as_str()))
        && text("fieldValidation") == "Strict"
    {
        let message =
            format!("failed to create typed patch object: .{unknown}: field not declared in schema");
        // Of a kind that came by a CRD it is the server's fault, says the real one.
        let code = if kind.is_flux() { 500 } else { 400 };
        return Answer::status(code, if code == 500 { "" } else { "BadRequest" }, &message);
    }
    if kind.namespaced && cluster.get(Kind::find("", "namespaces").unwrap(), "", namespace).is_none() {
        return not_found(Kind::find("", "namespaces").unwrap(), namespace);
    }
    if kind.namespaced && cluster.is_leaving(namespace) && cluster.get(kind, namespace, name).is_none() {
        let message = format!(
            "{} \"{name}\" is forbidden: unable to create new content in namespace {namespace} because it is being terminated",
            kind.plural
        );
        return Answer::detailed(403, "Forbidden", &message, json!({"name": name, "kind": kind.plural}));
    }
    if kind.kind.ends_with("RoleBinding") && !access::may_bind(cluster, user, &wanted, namespace) {
        let message =
            format!("user \"{}\" is attempting to grant RBAC permissions not currently held", user.name());
        return Answer::detailed(403, "Forbidden", &message, json!({"name": name, "kind": kind.plural}));
    }
    let old = cluster.get(kind, namespace, name);
    let existed = old.is_some();
    let before = old.cloned();
    let mut owners = old.map(|s| s.owners.clone()).unwrap_or_default();
    let mut object = old.map(|s| s.object.clone()).unwrap_or_else(|| {
        let mut metadata = json!({"name": name});
        if kind.namespaced {
            metadata["namespace"] = json!(namespace);
        }
        json!({"apiVersion": kind.api_version("v1"), "kind": kind.kind, "metadata": metadata})
    });
    let force = text("force") == "true";
    if let Err(causes) = apply::apply(&mut object, &mut owners, &wanted, text("fieldManager"), force) {
        let message = format!("Apply failed with {} conflict", causes.len());
        return Answer::detailed(409, "Conflict", &message, json!({"causes": causes}));
    }
    // The version is that of the request, not of the object.
    object["apiVersion"] = json!(kind.api_version("v1"));
    if let Some(before) = before.filter(|before| before.object == object && before.owners == owners) {
        // What changes nothing leaves no trace, not even in the resourceVersion.
        return Answer::object(200, &before.with_managers(), version, question);
    }
    let code = if existed { 200 } else { 201 };
    let stored = Stored { object, owners };
    if text("dryRun") == "All" {
        return Answer::object(code, &stored.with_managers_of(cluster.next_version()), version, question);
    }
    cluster.put(kind, namespace, name, stored.clone());
    let now = cluster.get(kind, namespace, name).map(Stored::with_managers).unwrap_or(stored.object);
    cluster.end_if_over(&cluster::key(kind, namespace, name));
    Answer::object(code, &now, version, question)
}

/// POST: the object is not to be there yet.
pub fn create(
    cluster: &mut Cluster,
    &Place { kind, version, namespace, .. }: &Place<'_>,
    query: &HashMap<String, String>,
    question: &Question,
) -> Answer {
    let Ok(object) = serde_json::from_slice::<Value>(&question.body) else {
        return Answer::status(400, "BadRequest", "error decoding the object");
    };
    let namespaces = Kind::find("", "namespaces").unwrap();
    if kind.namespaced && cluster.get(namespaces, "", namespace).is_none() {
        return not_found(namespaces, namespace);
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if cluster.get(kind, namespace, &name).is_some() {
        let message = format!("{} \"{name}\" already exists", kind.plural);
        return Answer::detailed(409, "AlreadyExists", &message, json!({"name": name, "kind": kind.plural}));
    }
    replaced(cluster, &Place { kind, version, namespace, name: &name }, query, question, object, 201)
}

/// PUT: the object is to be there (but for a Lease), and of the resourceVersion that the new one names, if it names one.
pub fn update(
    cluster: &mut Cluster,
    place: &Place<'_>,
    query: &HashMap<String, String>,
    question: &Question,
) -> Answer {
    let Ok(mut object) = serde_json::from_slice::<Value>(&question.body) else {
        return Answer::status(400, "BadRequest", "error decoding the object");
    };
    let &Place { kind, namespace, name, .. } = place;
    let Some(old) = cluster.get(kind, namespace, name) else {
        return match kind.kind {
            // Of the kinds here it is the one that a PUT makes, whatever resourceVersion it names.
            "Lease" => create(cluster, place, query, question),
            _ => not_found(kind, name),
        };
    };
    let wanted = &object["metadata"]["resourceVersion"];
    if !wanted.is_null() && *wanted != old.object["metadata"]["resourceVersion"] {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your \
             changes to the latest version and try again",
            kind.plural
        );
        return Answer::detailed(409, "Conflict", &message, json!({"name": name, "kind": kind.plural}));
    }
    for field in ["uid", "creationTimestamp", "resourceVersion"] {
        object["metadata"][field] = old.object["metadata"][field].clone();
    }
    for field in ["generation", "deletionTimestamp"] {
        if let Some(is) = old.object["metadata"].get(field) {
            object["metadata"][field] = is.clone();
        }
    }
    // The status of a kind that has one is a resource of its own, which this is not.
    if let Some(status) = old.object.get("status") {
        object["status"] = status.clone();
    }
    if object == old.object {
        return Answer::object(200, &old.with_managers(), place.version, question);
    }
    replaced(cluster, place, query, question, object, 200)
}

fn replaced(
    cluster: &mut Cluster,
    &Place { kind, version, namespace, name }: &Place<'_>,
    query: &HashMap<String, String>,
    question: &Question,
    object: Value,
    code: u16,
) -> Answer {
    let manager = query.get("fieldManager").map(String::as_str).unwrap_or("unknown");
    let old = cluster.get(kind, namespace, name);
    let mut owners = old.map(|old| old.owners.clone()).unwrap_or_default();
    let before = apply::Leaves::of(old.map_or(&Value::Null, |old| &old.object));
    apply::updated(&mut owners, &before, &apply::Leaves::of(&object), manager);
    cluster.put(kind, namespace, name, Stored { object, owners });
    let stored = cluster.get(kind, namespace, name).unwrap();
    Answer::object(code, &stored.with_managers(), version, question)
}

pub fn delete(
    cluster: &mut Cluster,
    &Place { kind, version, namespace, name }: &Place<'_>,
    question: &Question,
) -> Answer {
    let Some(stored) = cluster.get(kind, namespace, name) else { return not_found(kind, name) };
    let options: Value = serde_json::from_slice(&question.body).unwrap_or(Value::Null);
    let uid = &options["preconditions"]["uid"];
    if !uid.is_null() && *uid != stored.object["metadata"]["uid"] {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the UID in the precondition does not match",
            kind.plural
        );
        return Answer::detailed(409, "Conflict", &message, json!({"name": name, "kind": kind.plural}));
    }
    cluster.remove(kind, namespace, name);
    // What still has to wait comes back as it is.
    if let Some(stored) = cluster.get(kind, namespace, name) {
        return Answer::object(200, &stored.object, version, question);
    }
    let done = json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": {"name": name}});
    Answer::ok(&done)
}
