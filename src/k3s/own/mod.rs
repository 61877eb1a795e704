//! arclet's objects in the cluster: which are ours, how they are kept as they are wanted, how they go again.
//!
//! An object is ours when arclet made it: it carries our label and the document that it is for, and its UID is the one that
//! was noted when it was made. What is ours is applied with force, so that drift is undone, and is removed when nothing wants
//! it any more. Everything else is somebody else's: it is applied without force, a conflict is reported in the API server's
//! words, and it is never removed. Who takes our label off an object takes the object over.
//!
//! Not in here: what a document means, when it is enforced, and where what was noted is kept.

mod compare;
mod diff;
mod enforce;
mod withdraw;

use super::client::{Client, METADATA, WHOLE};
use super::install::OWNER_LABEL;
use super::reply::{self, code};
use super::resource::{Resource, split};
use crate::core::document::{ObjectRef, Served};
use crate::core::{Outcome, Reason};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use ureq::http::Method;

/// The annotation that names the document which an object was made for: `flux/cluster-config`.
pub const DOCUMENT: &str = "arclet.dev/document";
/// The annotation of an object that is made if it is not there, then left alone, and never removed (with `"true"`).
pub const KEEP: &str = "arclet.dev/keep";
/// Owns the fields of these objects (server-side apply).
pub const FIELD_MANAGER: &str = "arclet";
/// The code of an object that is being deleted and still there.
pub const LEAVING: &str = "Leaving";
/// The code of an object whose deletion waits for the end of others that need it.
pub const WAITS: &str = "WaitsForDependents";
/// The code of an object that another document of arclet's made.
pub const OTHER_DOCUMENT: &str = "OtherDocument";

/// Characters of what an object says about itself that are kept.
const MOST_WORDS: usize = 400;

/// What came of enforcing a document's objects.
#[derive(Clone, Debug, Default)]
pub struct Owned {
    /// What is ours now, in the order of its making, with what is to go but is still there. Replaces what was noted.
    pub refs: Vec<ObjectRef>,
    /// The wanted objects as they are in the cluster, ours and others', in the order in which they are wanted. Of a Secret,
    /// and of what is to be kept as it is found, the metadata only.
    pub live: Vec<Value>,
    /// What the API server refused, or what has to end first.
    pub refused: Vec<(ObjectRef, Reason)>,
}

impl Client {
    /// Which versions of each group the API server serves, the preferred one first. Without the core group.
    pub fn served(&self) -> Result<Served, Outcome> {
        Ok(self.discover()?.into_iter().map(|group| (group.name, group.versions)).collect())
    }

    /// Whether the API server says that it is ready: before, it may not know all of its kinds.
    fn is_ready(&self) -> Result<(), Outcome> {
        let reply = self.send_for(Method::GET, "/readyz", None, "*/*")?;
        if reply.status == 200 && reply.body == b"ok" {
            return Ok(());
        }
        let message = format!("GET /readyz: the API server is not ready (status {})", reply.status);
        Err(Outcome::Unreachable(Reason::new("NotReady", message)))
    }
}

/// What may be there of a document's objects where another agent may have made them since, or made them anew: all that is
/// in these lists, and what is wanted. Their marks alone tell that they are ours, as after a crash between the note and the
/// making.
pub fn by_marks(lists: &[&[ObjectRef]], objects: &[Value]) -> Vec<ObjectRef> {
    let part = |object, pointer| text(object, pointer).unwrap_or_default().to_owned();
    let wanted = objects.iter().filter(|object| !is_kept(object)).map(|object| ObjectRef {
        api_version: part(object, "/apiVersion"),
        kind: part(object, "/kind"),
        namespace: text(object, "/metadata/namespace").map(str::to_owned),
        name: part(object, "/metadata/name"),
        uid: None,
    });
    let mut all: Vec<ObjectRef> = Vec::new();
    for object in lists.iter().copied().flatten().cloned().chain(wanted) {
        if !all.iter().any(|known| same(known, &object)) {
            all.push(ObjectRef { uid: None, ..object });
        }
    }
    all
}

/// What the cluster has of an object.
enum Found {
    Absent,
    /// As it was found.
    Ours(Value),
    /// As it was found.
    Theirs(Value),
}

/// One pass over one document's objects. What is known of kinds is known for this pass only.
struct Hand<'a> {
    client: &'a Client,
    document: &'a str,
    kinds: BTreeMap<String, Vec<Resource>>,
    served: Option<Served>,
}

impl<'a> Hand<'a> {
    fn new(client: &'a Client, document: &'a str) -> Hand<'a> {
        Hand { client, document, kinds: BTreeMap::new(), served: None }
    }

    /// The resource of a kind, or None if the API server knows none.
    fn resource(&mut self, api_version: &str, kind: &str) -> Result<Option<Resource>, Outcome> {
        if let Some(known) = Resource::known(api_version, kind) {
            return Ok(Some(known));
        }
        if !self.kinds.contains_key(api_version) {
            let (group, version) = split(api_version);
            self.kinds.insert(api_version.to_owned(), self.client.resources(group, version)?);
        }
        Ok(self.kinds.get(api_version).and_then(|kinds| kinds.iter().find(|r| r.kind == kind)).cloned())
    }

    /// The resource of a kind in whatever version is served now: a cluster's upgrade may have ended the noted one.
    fn resource_now(&mut self, wanted: &ObjectRef) -> Result<Option<Resource>, Outcome> {
        if let Some(resource) = self.resource(&wanted.api_version, &wanted.kind)? {
            return Ok(Some(resource));
        }
        if self.served.is_none() {
            self.served = Some(self.client.served()?);
        }
        let (group, _) = split(&wanted.api_version);
        let versions = self.served.as_ref().and_then(|served| served.get(group)).cloned().unwrap_or_default();
        for version in versions {
            if let Some(resource) = self.resource(&format!("{group}/{version}"), &wanted.kind)? {
                return Ok(Some(resource));
            }
        }
        Ok(None)
    }

    /// The object as it is, or None if the API server says that it is not there.
    fn live(&self, resource: &Resource, object: &ObjectRef) -> Result<Option<Value>, Outcome> {
        let path = resource.object(object.namespace.as_deref(), &object.name);
        let reply = self.client.send_for(Method::GET, &path, None, form(&resource.kind))?;
        match reply::read(&format!("GET {path}"), &reply) {
            Err(Outcome::Refused(reason)) if reason.code == code::NOT_FOUND => Ok(None),
            other => other.map(Some),
        }
    }

    /// Whose failure it is: that of one object (its reason), or that of the whole way to the API server (the error).
    ///
    /// The API server also says 500 when only this object is at fault: a field that its CRD does not know, an admission
    /// webhook that is down. So a 500 counts as the object's as long as the server says that it is ready itself.
    fn fault(&self, outcome: Outcome) -> Result<Reason, Outcome> {
        match outcome {
            Outcome::Refused(reason) | Outcome::TooLarge(reason) | Outcome::BadRecord(reason)
                if reply::is_kubernetes_own(&reason) =>
            {
                Ok(reason)
            }
            Outcome::Unreachable(reason) if reason.code == code::INTERNAL_ERROR => {
                self.client.is_ready().map(|()| reason)
            }
            other => Err(other),
        }
    }

    /// What came of a call about one object: the inner error is the object's, the outer one is not.
    fn of_object<T>(&self, result: Result<T, Outcome>) -> Result<Result<T, Reason>, Outcome> {
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(outcome) => self.fault(outcome).map(Err),
        }
    }

    /// Whether an object is what was noted: with both marks, and with the noted UID if there is one. Without one, a crash
    /// came between the note and the making, and the marks alone say that it was made.
    fn look(&self, live: Option<Value>, noted: Option<&ObjectRef>) -> Found {
        let Some(live) = live else { return Found::Absent };
        let is_noted = noted.is_some_and(|noted| match &noted.uid {
            Some(noted) => uid(&live) == Some(noted),
            None => true,
        });
        let marked = is_arclets(&live) && document_of(&live) == Some(self.document);
        if is_noted && marked { Found::Ours(live) } else { Found::Theirs(live) }
    }
}

/// The form in which an object of this kind is asked for: what is in a Secret is never needed.
fn form(kind: &str) -> &'static str {
    if kind == "Secret" { METADATA } else { WHOLE }
}

/// The two of the same kind and name are one object, in whatever version.
fn same(a: &ObjectRef, b: &ObjectRef) -> bool {
    same_kind(a, b) && a.namespace == b.namespace && a.name == b.name
}

fn same_kind(a: &ObjectRef, b: &ObjectRef) -> bool {
    a.kind == b.kind && split(&a.api_version).0 == split(&b.api_version).0
}

fn text<'v>(object: &'v Value, pointer: &str) -> Option<&'v str> {
    object.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn uid(object: &Value) -> Option<&str> {
    text(object, "/metadata/uid")
}

fn annotation<'v>(object: &'v Value, name: &str) -> Option<&'v str> {
    object.pointer("/metadata/annotations")?.get(name)?.as_str()
}

fn document_of(object: &Value) -> Option<&str> {
    annotation(object, DOCUMENT)
}

fn is_kept(object: &Value) -> bool {
    annotation(object, KEEP) == Some("true")
}

fn is_arclets(object: &Value) -> bool {
    let (label, owner) = OWNER_LABEL;
    object.pointer("/metadata/labels").and_then(|l| l.get(label)).and_then(Value::as_str) == Some(owner)
}

/// Puts both marks on an object that is to be ours.
fn mark(object: &mut Value, document: &str) {
    for (place, name, value) in
        [("labels", OWNER_LABEL.0, OWNER_LABEL.1), ("annotations", DOCUMENT, document)]
    {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        let marks = metadata.entry(place).or_insert_with(|| Value::Object(Map::new()));
        if let Some(marks) = marks.as_object_mut() {
            marks.insert(name.to_owned(), Value::String(value.to_owned()));
        }
    }
}

/// Takes the marks off: what is somebody else's is not to look like ours.
fn unmark(object: &mut Value) {
    for (place, names) in [("labels", [OWNER_LABEL.0, ""]), ("annotations", [DOCUMENT, KEEP])] {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        if let Some(marks) = metadata.get_mut(place).and_then(Value::as_object_mut) {
            names.iter().for_each(|name| drop(marks.remove(*name)));
            if marks.is_empty() {
                metadata.remove(place);
            }
        }
    }
}

/// `GitRepository apps/config`, for people.
fn title(object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.kind, object.name),
        None => format!("{} {}", object.kind, object.name),
    }
}

/// Why an object that is being deleted is still there, in its own words.
fn leaving(object: &ObjectRef, live: &Value) -> Reason {
    let since = text(live, "/metadata/deletionTimestamp").unwrap_or("just now");
    let finalizers = live.pointer("/metadata/finalizers").and_then(Value::as_array);
    let finalizers: Vec<&str> = finalizers.into_iter().flatten().filter_map(Value::as_str).collect();
    let mut message = format!("{} is being deleted since {since}", title(object));
    if !finalizers.is_empty() {
        message.push_str(&format!(" and waits for its finalizers ({})", finalizers.join(", ")));
    }
    let conditions = live.pointer("/status/conditions").and_then(Value::as_array);
    let said = conditions.into_iter().flatten().filter(|condition| match object.kind.as_str() {
        "Namespace" => condition["status"] == "True",
        _ => condition["type"] == "Ready",
    });
    let said: Vec<&str> = said.filter_map(|condition| condition["message"].as_str()).collect();
    if !said.is_empty() {
        let said = said.join("; ");
        let cut = said.char_indices().nth(MOST_WORDS).map_or(said.len(), |(at, _)| at);
        message.push_str(&format!("; it says: {}", &said[..cut]));
    }
    let namespace = object.namespace.as_ref().map(|n| format!("-n {n} ")).unwrap_or_default();
    Reason::new(LEAVING, message).cure(format!(
        "the controller that set the finalizer has to run; kubectl {namespace}get {} {} -o yaml shows all",
        object.kind.to_lowercase(),
        object.name
    ))
}
