//! One request, one answer: paths, rights and errors in the form that the real server gives them.

use crate::access::{self, Deed, User};
use crate::cluster::Cluster;
use crate::discovery::{groups, resources, serves};
use crate::kinds::{self, Kind};
use crate::write::{Place, create, delete, patch, update};
use crate::{Shared, Write};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::HashMap;

pub struct Question {
    pub method: String,
    pub path: String,
    pub query: String,
    pub content_type: String,
    /// The reply is to hold no more of an object than its metadata.
    pub metadata_only: bool,
    pub bearer: Option<String>,
    pub certified: bool,
    pub body: Bytes,
}

pub struct Answer {
    pub status: u16,
    pub content_type: &'static str,
    pub body: String,
}

impl Answer {
    pub fn json(status: u16, body: String) -> Answer {
        Answer { status, content_type: "application/json", body }
    }

    /// An object, in the version and the form that were asked for.
    pub fn object(status: u16, object: &Value, version: &str, question: &Question) -> Answer {
        if question.metadata_only {
            let metadata = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
                "metadata": object["metadata"]});
            return Answer::json(status, metadata.to_string());
        }
        let group =
            object["apiVersion"].as_str().and_then(|text| text.split_once('/')).map(|(group, _)| group);
        let mut object = object.clone();
        object["apiVersion"] = json!(group.map_or(version.to_owned(), |group| format!("{group}/{version}")));
        Answer::json(status, object.to_string())
    }

    pub fn ok(value: &Value) -> Answer {
        Answer::json(200, value.to_string())
    }

    fn created(value: &Value) -> Answer {
        Answer::json(201, value.to_string())
    }

    pub fn status(code: u16, reason: &str, message: &str) -> Answer {
        Answer::detailed(code, reason, message, json!({}))
    }

    pub fn detailed(code: u16, reason: &str, message: &str, details: Value) -> Answer {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "details": details, "code": code});
        Answer::json(code, status.to_string())
    }

    /// A kind that its group does not have.
    fn no_such_kind() -> Answer {
        Answer::status(404, "NotFound", "the server could not find the requested resource")
    }

    /// A group that nobody serves, or no path of the API at all.
    fn no_such_path() -> Answer {
        Answer { status: 404, content_type: "text/plain; charset=utf-8", body: "404 page not found\n".into() }
    }
}

/// An object as it is read in a version of its group: all have the same fields here.
fn in_version(object: &Value, version: &str) -> String {
    let mut object = object.clone();
    if let Some((group, _)) = object["apiVersion"].as_str().and_then(|text| text.split_once('/')) {
        object["apiVersion"] = json!(format!("{group}/{version}"));
    }
    object.to_string()
}

/// An admission webhook that refuses a Secret and tells everybody what was in it.
fn nosy(body: &[u8]) -> Answer {
    use base64::prelude::{BASE64_STANDARD, Engine};
    let secret: Value = serde_json::from_slice(body).unwrap_or_default();
    let values = secret["data"].as_object().into_iter().flatten().filter_map(|(_, value)| value.as_str());
    let told: Vec<String> = values
        .map(|value| {
            let plain = BASE64_STANDARD.decode(value).unwrap_or_default();
            format!("{value} is {}", String::from_utf8_lossy(&plain))
        })
        .collect();
    Answer::status(
        422,
        "Invalid",
        &format!("admission webhook \"nosy\" denied the request: {}", told.join(", ")),
    )
}

/// Answers a request, with the cluster locked: requests take effect one after the other.
pub fn answer(shared: &Shared, question: &Question) -> Answer {
    let mut cluster = shared.cluster();
    let user = match &question.bearer {
        _ if question.certified => Some(User::Administrator),
        Some(token) => access::user_of(&cluster, token),
        None => None,
    };
    let Some(user) = user else { return Answer::status(401, "Unauthorized", "Unauthorized") };
    let parts: Vec<String> =
        question.path.split('/').filter(|p| !p.is_empty()).map(kinds::unescaped).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    if let ("PATCH", true, ["api", "v1", "namespaces", _, "secrets", _]) =
        (question.method.as_str(), cluster.nosy, parts.as_slice())
    {
        return nosy(&question.body);
    }
    let body = || serde_json::from_slice::<Value>(&question.body).unwrap_or(Value::Null);
    match (question.method.as_str(), parts.as_slice()) {
        ("GET", ["version"]) => {
            Answer::ok(&json!({"major": "1", "minor": "36", "gitVersion": cluster.version}))
        }
        ("GET", ["readyz"]) => {
            Answer { status: 200, content_type: "text/plain; charset=utf-8", body: "ok".into() }
        }
        ("GET", ["apis"]) => Answer::ok(&groups(&cluster)),
        ("GET", ["api", "v1"]) => Answer::ok(&resources("", "v1")),
        ("GET", ["apis", group, version]) if serves(&cluster, group, version) => {
            Answer::ok(&resources(group, version))
        }
        ("POST", ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]) => {
            let mut review = body();
            let asked = &review["spec"]["resourceAttributes"];
            let text = |field: &str| asked[field].as_str().unwrap_or_default();
            let resource = match text("subresource") {
                "" => text("resource").to_owned(),
                sub => format!("{}/{sub}", text("resource")),
            };
            let deed = Deed {
                verb: text("verb"),
                group: text("group"),
                resource: &resource,
                namespace: text("namespace"),
                name: text("name"),
            };
            review["status"] = json!({"allowed": access::may(&cluster, &user, &deed)});
            Answer::created(&review)
        }
        ("POST", ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"]) => {
            let mut review = body();
            review["status"] = json!({"userInfo": {"username": user.name(), "groups": user.groups()}});
            Answer::created(&review)
        }
        ("POST", ["api", "v1", "namespaces", namespace, "serviceaccounts", name, "token"]) => {
            token_request(&mut cluster, &user, namespace, name, body())
        }
        ("GET", ["api", "v1", "namespaces", namespace, "pods", name, "log"]) => {
            let deed = Deed { verb: "get", group: "", resource: "pods/log", namespace, name };
            if !access::may(&cluster, &user, &deed) {
                return forbidden(&user, &deed, name);
            }
            match cluster.logs.get(&((*namespace).to_owned(), (*name).to_owned())) {
                Some(text) => Answer { status: 200, content_type: "text/plain", body: text.clone() },
                None => not_found(Kind::find("", "pods").unwrap(), name),
            }
        }
        (_, ["api", "v1", rest @ ..]) => object(&mut cluster, &user, question, ("", "v1"), rest),
        (_, ["apis", group, version, rest @ ..]) if serves(&cluster, group, version) => {
            object(&mut cluster, &user, question, (group, version), rest)
        }
        _ => Answer::no_such_path(),
    }
}

pub fn forbidden(user: &User, deed: &Deed<'_>, name: &str) -> Answer {
    let place = match deed.namespace {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace \"{namespace}\""),
    };
    let message = format!(
        "{} is forbidden: User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        deed.resource,
        user.name(),
        deed.verb,
        deed.resource,
        deed.group
    );
    Answer::detailed(403, "Forbidden", &message, json!({"name": name, "kind": deed.resource}))
}

pub fn not_found(kind: &Kind, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", kind.plural);
    Answer::detailed(404, "NotFound", &message, json!({"name": name, "kind": kind.plural}))
}

fn token_request(
    cluster: &mut Cluster,
    user: &User,
    namespace: &str,
    name: &str,
    mut request: Value,
) -> Answer {
    let deed = Deed { verb: "create", group: "", resource: "serviceaccounts/token", namespace, name };
    if !access::may(cluster, user, &deed) {
        return forbidden(user, &deed, name);
    }
    let kind = Kind::find("", "serviceaccounts").unwrap();
    if cluster.get(kind, namespace, name).is_none() {
        return not_found(kind, name);
    }
    if request["spec"]["expirationSeconds"].as_u64().is_some_and(|seconds| seconds < 600) {
        let message = "TokenRequest.authentication.k8s.io is invalid: spec.expirationSeconds: Invalid value: \
                       may not specify a duration less than 10 minutes";
        return Answer::detailed(422, "Invalid", message, json!({"name": name}));
    }
    let token = kinds::random();
    cluster.granted.insert(token.clone(), (namespace.to_owned(), name.to_owned()));
    request["status"] = json!({"token": token, "expirationTimestamp": "2100-01-01T00:00:00Z"});
    Answer::created(&request)
}

/// A request for one object or a collection: `rest` is the path after the version.
fn object(
    cluster: &mut Cluster,
    user: &User,
    question: &Question,
    (group, version): (&str, &str),
    rest: &[&str],
) -> Answer {
    let (namespace, plural, name) = match *rest {
        // A namespace itself is cluster-wide.
        ["namespaces", name] => ("", "namespaces", name),
        ["namespaces", namespace, plural] => (namespace, plural, ""),
        ["namespaces", namespace, plural, name] => (namespace, plural, name),
        [plural] => ("", plural, ""),
        [plural, name] => ("", plural, name),
        _ => return Answer::no_such_path(),
    };
    let Some(kind) = Kind::find(group, plural) else { return Answer::no_such_kind() };
    let query: HashMap<String, String> = question
        .query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), kinds::unescaped(value)))
        .collect();
    let verb = match (question.method.as_str(), name) {
        ("GET", "") => "list",
        ("GET", _) => "get",
        ("POST", "") => "create",
        ("PUT", name) if !name.is_empty() => "update",
        ("PATCH", name) if !name.is_empty() => "patch",
        ("DELETE", name) if !name.is_empty() => "delete",
        _ => {
            return Answer::status(405, "MethodNotAllowed", "the server does not allow this method");
        }
    };
    let mut deed = Deed { verb, group, resource: plural, namespace, name };
    if !access::may(cluster, user, &deed) {
        return forbidden(user, &deed, name);
    }
    deed.verb = "create";
    if verb == "patch" && cluster.get(kind, namespace, name).is_none() && !access::may(cluster, user, &deed) {
        return forbidden(user, &deed, name);
    }
    if !["get", "list"].contains(&verb) {
        let lease = Kind::find("coordination.k8s.io", "leases").unwrap();
        let held = cluster.get(lease, "arclet", "arclet");
        let holder = held.and_then(|lease| lease.object["spec"]["holderIdentity"].as_str());
        let write = Write {
            by: if question.certified { "certificate".into() } else { user.name() },
            verb,
            kind: kind.kind,
            name: name.to_owned(),
            limited: query.get("timeout").cloned(),
            holder: holder.map(str::to_owned),
        };
        cluster.writes.push(write);
    }
    match verb {
        "get" => {
            cluster.looked_at(kind, name);
            match cluster.get(kind, namespace, name) {
                Some(stored) => Answer::object(200, &stored.with_managers(), version, question),
                None => not_found(kind, name),
            }
        }
        "list" => list(cluster, kind, version, namespace, &query),
        "create" => create(cluster, &Place { kind, version, namespace, name }, &query, question),
        "update" => update(cluster, &Place { kind, version, namespace, name }, &query, question),
        "patch" => patch(cluster, user, &Place { kind, version, namespace, name }, &query, question),
        _ => delete(cluster, &Place { kind, version, namespace, name }, question),
    }
}

fn list(
    cluster: &mut Cluster,
    kind: &Kind,
    version: &str,
    namespace: &str,
    query: &HashMap<String, String>,
) -> Answer {
    let text = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let start = match text("continue") {
        "" => 0,
        _ if cluster.expire_pages > 0 => {
            cluster.expire_pages -= 1;
            let message = "The provided continue parameter is too old to display a consistent list result.";
            return Answer::status(410, "Expired", message);
        }
        token => match token.strip_prefix("page-").and_then(|n| n.parse().ok()) {
            Some(start) => start,
            None => return Answer::status(400, "BadRequest", "continue key is not valid"),
        },
    };
    let limit = text("limit").parse().ok().filter(|n| *n > 0).unwrap_or(usize::MAX);
    let wanted = |object: &Value| {
        text("labelSelector").split(',').filter(|s| !s.is_empty()).all(|selector| {
            let (label, value) = selector.split_once('=').unwrap_or((selector, ""));
            object["metadata"]["labels"][label] == value
        }) && text("fieldSelector").split(',').filter(|s| !s.is_empty()).all(|selector| {
            let (field, value) = selector.split_once('=').unwrap_or((selector, ""));
            object.pointer(&format!("/{}", field.replace('.', "/"))).is_some_and(|found| found == value)
        })
    };
    let made = if kind.kind == "Node" { cluster.nodes.count() } else { 0 };
    let plural = format!("{}/{}", kind.group, kind.plural);
    let stored = cluster
        .objects
        .iter()
        .filter(|((p, ns, _), s)| {
            *p == plural && (namespace.is_empty() || ns == namespace) && wanted(&s.object)
        })
        .map(|(_, s)| in_version(&s.object, version));
    // One more than the page, to know whether there is another.
    let nodes = (start.min(made)..made).map(|number| cluster.nodes.text(number));
    let mut items: Vec<String> =
        nodes.chain(stored.skip(start.saturating_sub(made))).take(limit.saturating_add(1)).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let token = if more { format!("page-{}", start + limit) } else { String::new() };
    let body = format!(
        r#"{{"kind":"{}List","apiVersion":"{}","metadata":{{"resourceVersion":"1","continue":"{token}"}},"items":[{}]}}"#,
        kind.kind,
        kind.api_version(version),
        items.join(",")
    );
    Answer::json(200, body)
}
