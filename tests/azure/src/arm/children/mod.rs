//! Microsoft.KubernetesConfiguration under a connected cluster (azure-arm.md 4 and 5): what a user wants of it. One file
//! each for the kinds, what is stored of a document, its life, the changes to it, and listings.
//!
//! No agent of Microsoft's is here, so nobody reports: a document never becomes `Succeeded` by itself, and nothing but a
//! test writes a status. What a test puts there ([`Children::put`]) is not checked, so that tomorrow's values can be shown.

mod change;
pub mod document;
pub mod kind;
mod life;
pub mod listing;

use super::Call;
use super::clusters::not_found;
use crate::state::State;
use crate::wire::Answer;
use jiff::Timestamp;
use kind::Kind;
use life::Operation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many path segments a connected cluster's id has.
const CLUSTER_SEGMENTS: usize = 8;

/// A document as it is in Resource Manager.
pub(super) struct Child {
    /// As a GET shows it. Never has a protected setting.
    pub resource: Value,
    /// When the change that is under way began.
    pub since: Timestamp,
}

/// The documents by their ids in lower case, and the changes to them that were begun.
#[derive(Default)]
pub struct Children {
    pub(super) all: BTreeMap<String, Child>,
    pub(super) operations: BTreeMap<String, Operation>,
    /// What listings suffer from.
    pub upsets: listing::Upsets,
}

impl Children {
    /// Puts a document there without any check, as if Azure had it since `now`. `properties` are as a GET shows
    /// them; what they lack is what Azure would fill in.
    pub fn put(&mut self, cluster: &str, kind: Kind, name: &str, properties: Value, now: Timestamp) {
        let id = format!("{cluster}/providers/Microsoft.KubernetesConfiguration/{}/{name}", kind.plural());
        let key = id.to_lowercase();
        let created = self.all.get(&key).map(|c| c.resource["systemData"]["createdAt"].clone());
        let mut shown = document::fresh(kind, name);
        document::overlay(&mut shown, properties);
        let resource = json!({
            "id": id, "name": name, "type": kind.type_name(), "properties": shown,
            "systemData": document::system_data("a test", created, now),
        });
        self.all.insert(key, Child { resource, since: now });
    }

    /// A document as a GET shows it.
    pub fn get(&self, cluster: &str, kind: Kind, name: &str) -> Option<Value> {
        self.all.get(&key(cluster, kind, name)).map(|c| c.resource.clone())
    }

    /// Removes a document as if it had never been.
    pub fn remove(&mut self, cluster: &str, kind: Kind, name: &str) -> bool {
        self.all.remove(&key(cluster, kind, name)).is_some()
    }

    /// A cluster is gone, and with it all that was wanted of it.
    pub fn forget_cluster(&mut self, cluster: &str) {
        let prefix = format!("{}/", cluster.to_lowercase());
        self.all.retain(|id, _| !id.starts_with(&prefix));
    }
}

fn key(cluster: &str, kind: Kind, name: &str) -> String {
    format!("{cluster}/providers/microsoft.kubernetesconfiguration/{}/{name}", kind.plural()).to_lowercase()
}

/// Answers a request to documents of `kind`: `rest` is the path after the kind's name, in lower case.
pub fn answer(state: &mut State, call: &Call<'_>, kind: Kind, rest: &[&str]) -> Result<Answer, Answer> {
    call.version_of(kind.versions())?;
    let action = match (call.question.method.as_str(), rest) {
        ("GET", [_, "operations", _]) => "operations/read",
        ("GET", [] | [_]) => "read",
        ("PUT" | "PATCH", [_]) => "write",
        ("DELETE", [_]) => "delete",
        _ => {
            return Err(Answer::error(
                405,
                "HttpMethodNotAllowed",
                "The method is not supported by this resource.",
            ));
        }
    };
    call.require(&format!("{}/{action}", kind.type_name()), &call.question.path)?;
    parent(state, call)?;
    state.age_documents();
    match (call.question.method.as_str(), rest) {
        ("GET", []) => listing::list(state, call, kind),
        ("GET", [_, "operations", id]) => life::operation(state, call, id),
        ("GET", _) => state
            .children
            .all
            .get(&id_of(call))
            .map(|c| Answer::json(200, c.resource.clone()))
            .ok_or_else(|| absent(call, kind)),
        ("PUT", _) => change::put(state, call, kind),
        ("PATCH", _) => change::patch(state, call, kind),
        _ => change::delete(state, call),
    }
}

/// The resource group and the cluster must be there. A cluster that is not answers as a document that is not does: by
/// its code alone nobody can tell what is gone.
pub fn parent(state: &State, call: &Call<'_>) -> Result<(), Answer> {
    if !state.groups.contains_key(&call.lower[3]) {
        let text = format!("Resource group '{}' could not be found.", call.segments[3]);
        return Err(Answer::error(404, "ResourceGroupNotFound", &text));
    }
    let id = format!("/{}", call.lower[..CLUSTER_SEGMENTS].join("/"));
    if state.clusters.resources.contains_key(&id) { Ok(()) } else { Err(not_found(call)) }
}

/// The id of the document that the path names, in lower case.
fn id_of(call: &Call<'_>) -> String {
    format!("/{}", call.lower[..CLUSTER_SEGMENTS + 4].join("/"))
}

fn absent(call: &Call<'_>, kind: Kind) -> Answer {
    let name = call.segments.get(CLUSTER_SEGMENTS + 3).cloned().unwrap_or_default();
    Answer::error(
        404,
        "ResourceNotFound",
        &format!("The Resource '{}/{name}' was not found.", kind.type_name()),
    )
}
