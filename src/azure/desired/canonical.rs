//! The canonical form of a document: what is wanted and nothing else, always in the same bytes.
//!
//! These resources have no ETag, so a change is seen by the digest of this form. What only Azure writes is taken out (a
//! status would be a change every few minutes), and so is how a reply happens to be written: the order of members, blanks,
//! the case of the id. No calls in here, and no opinion about what a document says.

use super::{Fetched, MOST_DOCUMENT};
use crate::core::Reason;
use crate::core::document::{Digest, Key};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Members of `properties` that Azure alone writes, or that never come back (`configurationProtectedSettings`).
const READ_ONLY: [&str; 10] = [
    "complianceState",
    "configurationProtectedSettings",
    "errorMessage",
    "provisioningState",
    "repositoryPublicKey",
    "sourceSyncedCommitId",
    "sourceUpdatedAt",
    "statusUpdatedAt",
    "statuses",
    "systemData",
];

/// A document from its `properties` as they came. `collection` is the id of what holds it.
///
/// What serde_json does not read (nesting without end, half a surrogate) is this document's failure and no other's.
pub(super) fn fetched(key: Key, collection: &str, properties: &RawValue) -> Fetched {
    let mut wanted: Map<String, Value> = match serde_json::from_str(properties.get()) {
        Ok(wanted) => wanted,
        Err(error) => {
            // Its own text could quote the content; the place cannot.
            let place = format!("line {} column {}", error.line(), error.column());
            let text = format!("{key} is not understood: {place} of its properties");
            let digest = Digest::of(properties.get().as_bytes());
            let content = Err(Reason::new("UnreadableDocument", text).cure("write it anew in Azure"));
            return Fetched { key, digest, leaving: false, content };
        }
    };
    let leaving = wanted
        .get("provisioningState")
        .and_then(Value::as_str)
        .is_some_and(|state| state.eq_ignore_ascii_case("Deleting"));
    wanted.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    // A kustomization's name is its place in the map; within it, Azure repeats it.
    for kustomization in wanted.get_mut("kustomizations").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if let Some(kustomization) = kustomization.1.as_object_mut() {
            kustomization.remove("name");
        }
    }
    // Members are sorted: serde_json's map is a tree as long as nobody asks for insertion order, which a test would see.
    let id = format!("{collection}/{}", key.name).to_lowercase();
    let content = json!({"id": id, "name": key.name, "properties": wanted}).to_string().into_bytes();
    let digest = Digest::of(&content);
    let content = match content.len() {
        0..=MOST_DOCUMENT => Ok(content),
        size => {
            let text = format!("{key} has {size} bytes, a document has at most {MOST_DOCUMENT}");
            Err(Reason::new("DocumentTooLarge", text).cure("split it into several configurations"))
        }
    };
    Fetched { key, digest, leaving, content }
}
