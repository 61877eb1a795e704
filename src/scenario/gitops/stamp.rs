//! What all objects have in common: where they are, and whose they are.

use super::document::Document;
use super::{DOCUMENT, MANAGED_BY, MANAGER};
use serde_json::{Map, Value, json};

/// One of Flux's objects, in the configuration's namespace.
pub(super) fn object(
    api_version: &str,
    kind: &str,
    document: &Document,
    name: &str,
    spec: Map<String, Value>,
) -> Value {
    json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name, "namespace": document.namespace},
        "spec": spec,
    })
}

/// Marks an object as arclet's, and as this document's.
pub(super) fn stamp(object: &mut Value, document: &Document) {
    object["metadata"]["labels"][MANAGED_BY] = MANAGER.into();
    object["metadata"]["annotations"][DOCUMENT] = document.key().to_string().into();
}
