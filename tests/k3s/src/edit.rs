//! What others do to objects, straight in the cluster's memory: people, Flux's controllers.

use crate::ApiServer;
use crate::apply::{self, Leaves};
use crate::cluster::{self, Key};
use crate::kinds::Kind;
use serde_json::{Value, json};

/// Names an object: apiVersion (its version does not count), kind, namespace (empty for none), name.
pub type Name<'a> = (&'a str, &'a str, &'a str, &'a str);

fn place((api_version, kind, namespace, name): Name<'_>) -> Key {
    let kind = Kind::of(api_version, kind).expect("a kind that is known here");
    cluster::key(kind, namespace, name)
}

impl ApiServer {
    /// The object as it is.
    pub fn object(&self, object: Name<'_>) -> Option<Value> {
        self.shared.cluster().objects.get(&place(object)).map(|stored| stored.object.clone())
    }

    /// All objects of a kind, by namespace and name.
    pub fn objects(&self, api_version: &str, kind: &str) -> Vec<Value> {
        let (plural, ..) = place((api_version, kind, "", ""));
        let cluster = self.shared.cluster();
        let of_kind = cluster.objects.iter().filter(|((p, ..), _)| *p == plural);
        of_kind.map(|(_, stored)| stored.object.clone()).collect()
    }

    /// Puts an object into the cluster as it is, replacing the one of that name: what controllers make.
    pub fn put(&self, object: Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let kind = Kind::of(text("/apiVersion"), text("/kind")).expect("a kind that is known here");
        let (namespace, name) = (text("/metadata/namespace").to_owned(), text("/metadata/name").to_owned());
        let stored = cluster::Stored { object, owners: apply::Owners::new() };
        self.shared.cluster().put(kind, &namespace, &name, stored);
    }

    /// What a pod's container wrote.
    pub fn put_log(&self, namespace: &str, pod: &str, text: &str) {
        self.shared.cluster().logs.insert((namespace.to_owned(), pod.to_owned()), text.to_owned());
    }

    /// Changes an object as `kubectl edit` does: the fields that differ then belong to `manager`. False: it is not there.
    pub fn edit(&self, object: Name<'_>, manager: &str, change: impl FnOnce(&mut Value)) -> bool {
        let mut cluster = self.shared.cluster();
        let key = place(object);
        let Some(mut stored) = cluster.objects.get(&key).cloned() else { return false };
        let before = Leaves::of(&stored.object);
        change(&mut stored.object);
        apply::updated(&mut stored.owners, &before, &Leaves::of(&stored.object), manager);
        let kind = Kind::of(object.0, object.1).expect("a kind that is known here");
        cluster.put(kind, object.2, object.3, stored);
        cluster.end_if_over(&key);
        true
    }

    /// Writes an object's status, as its controller does. False: it is not there.
    pub fn set_status(&self, object: Name<'_>, status: Value) -> bool {
        self.edit(object, "controller", |object| object["status"] = status)
    }

    /// Deletes an object, as `kubectl delete --wait=false` does: one with finalizers stays. False: it is not there.
    pub fn delete(&self, object: Name<'_>) -> bool {
        let mut cluster = self.shared.cluster();
        let key = place(object);
        let there = cluster.objects.contains_key(&key);
        let kind = Kind::of(object.0, object.1).expect("a kind that is known here");
        cluster.remove(kind, object.2, object.3);
        there
    }

    /// Takes an object's finalizers away, as its controller does when it is done: one that is being deleted ends. False: it
    /// is not there.
    pub fn finish(&self, object: Name<'_>) -> bool {
        self.edit(object, "controller", |object| object["metadata"]["finalizers"] = json!([]))
    }
}
