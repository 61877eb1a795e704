//! What a leader made for a document, kept in the cluster: who leads next takes it over, also what it never heard of.
//!
//! A ConfigMap of arclet's own namespace for each document, only where a Lease decides. Names and their order, no contents:
//! an object is known by its marks, and one that is named here without them is somebody else's.

use super::client::Client;
use super::install::{NAMESPACE, OWNER_LABEL};
use super::own::{DOCUMENT, FIELD_MANAGER};
use super::resource::Resource;
use crate::core::Outcome;
use crate::core::document::{Key, ObjectRef};
use serde_json::{Value, json};

/// The key of the ConfigMap's data.
const OBJECTS: &str = "objects";

impl Client {
    /// The objects of a document as the last leader noted them, in the order of their making, without UIDs. None where
    /// nobody did; what is not understood is nothing.
    pub fn made(&self, key: &Key) -> Result<Vec<ObjectRef>, Outcome> {
        let Some(kept) = self.get(&config_maps()?, Some(NAMESPACE), &name(key))? else {
            return Ok(Vec::new());
        };
        let text = kept.pointer("/data").and_then(|data| data.get(OBJECTS)).and_then(Value::as_str);
        Ok(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    /// Notes them.
    pub fn keep_made(&self, key: &Key, objects: &[ObjectRef]) -> Result<(), Outcome> {
        let names = names(objects);
        let (label, owner) = OWNER_LABEL;
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name(key),
                "namespace": NAMESPACE,
                "labels": {label: owner},
                "annotations": {DOCUMENT: key.to_string()},
            },
            "data": {OBJECTS: json!(names).to_string()},
        });
        self.apply(&object, FIELD_MANAGER, true).map(drop)
    }

    /// Nothing is left of them.
    pub fn drop_made(&self, key: &Key) -> Result<(), Outcome> {
        self.delete(&config_maps()?, Some(NAMESPACE), &name(key), None).map(drop)
    }
}

/// Of objects, without what distinguishes one making from another.
pub fn names(objects: &[ObjectRef]) -> Vec<ObjectRef> {
    objects.iter().map(|object| ObjectRef { uid: None, ..object.clone() }).collect()
}

fn name(key: &Key) -> String {
    format!("made-{}", key.to_string().replace('/', "-"))
}

fn config_maps() -> Result<Resource, Outcome> {
    Resource::known("v1", "ConfigMap").ok_or_else(|| {
        Outcome::Refused(crate::core::Reason::new(super::code::NO_SUCH_KIND, "ConfigMap is no known kind"))
    })
}
