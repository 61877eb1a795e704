//! What others do to objects, past the wire: people, Flux's controllers.

use crate::apply::{self, Leaves};
use crate::cluster::{self, Key};
use crate::kinds::Kind;
use crate::routes::{self, Answer, Question};
use crate::{ApiServer, discovery};
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

    /// Whether there is such a kind here. The others' objects must not be asked for.
    pub fn knows(&self, api_version: &str, kind: &str) -> bool {
        Kind::of(api_version, kind).is_some()
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

    /// What somebody comes to who hands in an object with kubectl: it is made, or replaces the one of its name, and what
    /// differs then belongs to `manager`. An error is what kubectl would show; not all that a real API server refuses is
    /// refused.
    pub fn hand_in(&self, object: &Value, manager: &str) -> Result<(), String> {
        let (path, name) = self.path(object)?;
        let there = self.administrate("GET", &format!("{path}/{name}"), Value::Null).status == 200;
        let answer = match there {
            true => {
                self.administrate("PUT", &format!("{path}/{name}?fieldManager={manager}"), object.clone())
            }
            false => self.administrate("POST", &format!("{path}?fieldManager={manager}"), object.clone()),
        };
        refusal(&answer).map_or(Ok(()), Err)
    }

    /// The same for `kubectl delete --wait=false` of the object that this one names.
    pub fn take_out(&self, object: &Value) -> Result<(), String> {
        let (path, name) = self.path(object)?;
        refusal(&self.administrate("DELETE", &format!("{path}/{name}"), Value::Null)).map_or(Ok(()), Err)
    }

    /// Where objects of this one's kind and namespace are, and its name.
    fn path(&self, object: &Value) -> Result<(String, String), String> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let known = Kind::of(api_version, kind).filter(|_| {
            let cluster = self.shared.cluster();
            if group.is_empty() { version == "v1" } else { discovery::serves(&cluster, group, version) }
        });
        let known =
            known.ok_or_else(|| format!("no matches for kind \"{kind}\" in version \"{api_version}\""))?;
        let place = match (known.namespaced, text("/metadata/namespace")) {
            (false, _) => String::new(),
            (true, "") => "namespaces/default/".to_owned(),
            (true, namespace) => format!("namespaces/{namespace}/"),
        };
        let root = if group.is_empty() { "/api" } else { "/apis" };
        match text("/metadata/name") {
            "" => Err("resource name may not be empty".to_owned()),
            name if !plain(name) || !plain(text("/metadata/namespace")) => Err(format!(
                "Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"
            )),
            name => Ok((format!("{root}/{api_version}/{place}{}", known.plural), name.to_owned())),
        }
    }

    fn administrate(&self, method: &str, target: &str, body: Value) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let question = Question {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            content_type: "application/json".to_owned(),
            metadata_only: false,
            bearer: None,
            certified: true,
            body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }.into(),
        };
        routes::answer(&self.shared, &question)
    }
}

fn plain(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
}

/// The API server's words, if it refused.
fn refusal(answer: &Answer) -> Option<String> {
    let status = || serde_json::from_str::<Value>(&answer.body).unwrap_or_default();
    (answer.status >= 400).then(|| match status()["message"].as_str() {
        Some(message) => message.to_owned(),
        None => answer.body.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use crate::{ApiServer, Flux, Options};
    use serde_json::json;

    const NAME: super::Name<'_> = ("source.toolkit.fluxcd.io/v1", "GitRepository", "default", "a");

    #[test]
    fn what_is_handed_in_is_made_or_replaced_and_belongs_to_who_did_it() {
        let server = ApiServer::start(Options { flux: Flux::Stable, ..Options::default() }).unwrap();
        let object = |branch: &str| json!({"apiVersion": NAME.0, "kind": NAME.1, "metadata": {"name": "a"}, "spec": {"ref": {"branch": branch}}});
        server.hand_in(&object("one"), "somebody").unwrap();
        server.set_status(NAME, json!({"observedGeneration": 1}));
        let uid = server.object(NAME).unwrap()["metadata"]["uid"].clone();
        server.hand_in(&object("two"), "another").unwrap();
        let now = server.object(NAME).unwrap();
        assert_eq!(now["spec"]["ref"]["branch"], "two");
        assert_eq!((&now["metadata"]["uid"], &now["metadata"]["generation"]), (&uid, &json!(2)));
        assert_eq!(now["status"]["observedGeneration"], 1, "the status is not who hands it in's to write");
        server.take_out(&object("two")).unwrap();
        assert_eq!(server.object(NAME), None);
        let gone = server.take_out(&object("two")).unwrap_err();
        assert!(gone.contains("not found"), "{gone}");
    }

    #[test]
    fn what_the_server_does_not_know_is_refused_in_its_words() {
        let server = ApiServer::start(Options::default()).unwrap();
        for (object, words) in [
            (json!({"apiVersion": NAME.0, "kind": NAME.1, "metadata": {"name": "a"}}), "no matches for kind"),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}), "name"),
            (json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a?b/c"}}), "RFC 1123"),
            (json!([]), "no matches"),
            (
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "b"}}),
                "not found",
            ),
        ] {
            let refused = server.hand_in(&object, "somebody").unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
