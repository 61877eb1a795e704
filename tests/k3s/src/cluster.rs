//! What the cluster holds: objects, nodes and tokens.

use crate::kinds::{self, Kind};
use crate::nodes::Nodes;
use crate::{Options, apply};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The administrator's token.
pub const ADMIN_TOKEN: &str = "standin-administrator";

/// Where an object is: group/plural, namespace, name.
pub type Key = (String, String, String);

/// An object and who owns which of its fields.
pub struct Stored {
    pub object: Value,
    pub owners: apply::Owners,
}

pub struct Cluster {
    pub objects: BTreeMap<Key, Stored>,
    pub nodes: Nodes,
    pub version: String,
    /// How many continue tokens more are to be found expired.
    pub expire_pages: u32,
    /// Tokens of TokenRequest, with namespace and name of their ServiceAccount.
    pub granted: HashMap<String, (String, String)>,
    pub ca_pem: String,
    /// Namespaces on their way out, and how many looks at each are left until it is gone.
    leaving: HashMap<String, u32>,
    resource_version: u64,
}

/// So long stays a deleted namespace: on a real server its controller first removes what is in it.
const LOOKS: u32 = 2;

pub fn key(kind: &Kind, namespace: &str, name: &str) -> Key {
    let namespace = if kind.namespaced { namespace } else { "" };
    (format!("{}/{}", kind.group, kind.plural), namespace.into(), name.into())
}

impl Cluster {
    pub fn new(options: &Options, ca_pem: &str) -> Cluster {
        let mut cluster = Cluster {
            objects: BTreeMap::new(),
            nodes: Nodes::new(options.nodes, options.cpus, &options.version),
            version: options.version.clone(),
            expire_pages: 0,
            granted: HashMap::new(),
            ca_pem: ca_pem.to_owned(),
            leaving: HashMap::new(),
            resource_version: 100,
        };
        for name in ["default", "kube-system"] {
            let kind = Kind::find("", "namespaces").unwrap();
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            cluster.put(kind, "", name, Stored { object, owners: apply::Owners::new() });
        }
        cluster
    }

    pub fn set_version(&mut self, version: &str) {
        self.version = version.into();
        self.nodes.set_version(version);
    }

    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Option<&Stored> {
        self.objects.get(&key(kind, namespace, name))
    }

    /// Stores an object with a new resourceVersion, does what controllers would do, and returns it as it is then.
    pub fn put(&mut self, kind: &Kind, namespace: &str, name: &str, mut stored: Stored) -> Value {
        self.resource_version += 1;
        let metadata = stored.object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), json!(self.resource_version.to_string()));
        metadata.entry("uid").or_insert_with(|| json!(kinds::random()));
        metadata.entry("creationTimestamp").or_insert_with(|| json!("2026-11-23T00:00:00Z"));
        if kind.kind == "Secret" && stored.object["type"] == "kubernetes.io/service-account-token" {
            self.fill_token(namespace, &mut stored.object);
        }
        let object = stored.object.clone();
        self.objects.insert(key(kind, namespace, name), stored);
        object
    }

    /// The token controller: a Secret of that type gets its token once.
    fn fill_token(&self, namespace: &str, secret: &mut Value) {
        if secret["data"]["token"].is_null() {
            let data = json!({"token": kinds::base64(kinds::random().as_bytes()),
                "ca.crt": kinds::base64(self.ca_pem.as_bytes()), "namespace": kinds::base64(namespace.as_bytes())});
            secret["data"] = data;
        }
    }

    /// Whether a namespace takes nothing new any more.
    pub fn is_leaving(&self, namespace: &str) -> bool {
        self.leaving.contains_key(namespace)
    }

    /// Somebody looks at an object: a namespace on its way out is gone after a few looks.
    pub fn looked_at(&mut self, kind: &Kind, name: &str) {
        let Some(left) = self.leaving.get_mut(name).filter(|_| kind.kind == "Namespace") else { return };
        *left -= 1;
        if *left == 0 {
            self.leaving.remove(name);
            self.objects.remove(&key(kind, "", name));
        }
    }

    /// Removes an object with what belongs to it: a namespace's objects, a ServiceAccount's token Secrets.
    pub fn remove(&mut self, kind: &Kind, namespace: &str, name: &str) {
        if kind.kind == "Namespace" {
            self.objects.retain(|(_, in_namespace, _), _| in_namespace != name);
            if let Some(stored) = self.objects.get_mut(&key(kind, "", name)) {
                stored.object["metadata"]["deletionTimestamp"] = json!("2026-11-23T00:00:00Z");
                self.leaving.entry(name.to_owned()).or_insert(LOOKS);
            }
            return;
        }
        self.objects.remove(&key(kind, namespace, name));
        if kind.kind == "ServiceAccount" {
            self.objects.retain(|(plural, in_namespace, _), stored| {
                !(plural == "/secrets"
                    && in_namespace == namespace
                    && stored.object["metadata"]["annotations"]["kubernetes.io/service-account.name"] == name)
            });
            self.granted.retain(|_, account| account.0 != namespace || account.1 != name);
        }
    }
}
