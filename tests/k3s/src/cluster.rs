//! What the cluster holds: objects, nodes and tokens.

use crate::kinds::{self, Kind};
use crate::nodes::Nodes;
use crate::{Flux, Options, Write, apply};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// The administrator's token.
pub const ADMIN_TOKEN: &str = "standin-administrator";

/// Where an object is: group/plural, namespace, name.
pub type Key = (String, String, String);

/// An object and who owns which of its fields.
#[derive(Clone)]
pub struct Stored {
    pub object: Value,
    pub owners: apply::Owners,
}

impl Stored {
    /// The object as a client gets it: with who set which field, and when.
    pub fn with_managers(&self) -> Value {
        let version = self.object["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok());
        self.with_managers_of(version.unwrap_or(0))
    }

    /// The same, last set at this version. The real server keeps a time for each manager, which a change by that manager
    /// moves; here each change moves all of them.
    pub fn with_managers_of(&self, version: u64) -> Value {
        let mut object = self.object.clone();
        let time = format!("2026-11-23T{:02}:{:02}:{:02}Z", version / 3600, version / 60 % 60, version % 60);
        let entries = self.owners.iter().filter(|(_, paths)| !paths.is_empty()).map(|(manager, paths)| {
            // Whoever applies under that name and never updates.
            let operation = if manager.starts_with("arclet") { "Apply" } else { "Update" };
            json!({"manager": manager, "operation": operation, "time": time, "fieldsType": "FieldsV1",
                "fieldsV1": apply::fields(&self.object, paths)})
        });
        let entries: Vec<Value> = entries.collect();
        object["metadata"]["managedFields"] = json!(entries);
        object
    }
}

pub struct Cluster {
    pub objects: BTreeMap<Key, Stored>,
    pub nodes: Nodes,
    pub version: String,
    /// An admission webhook refuses every Secret and quotes it.
    pub nosy: bool,
    pub flux: Flux,
    /// There are HelmCharts.
    pub helm: bool,
    /// What containers wrote, by namespace and pod.
    pub logs: HashMap<(String, String), String>,
    /// How many continue tokens more are to be found expired.
    pub expire_pages: u32,
    /// Tokens of TokenRequest, with namespace and name of their ServiceAccount.
    pub granted: HashMap<String, (String, String)>,
    pub ca_pem: String,
    /// What was to be changed, in the order of its coming.
    pub writes: Vec<Write>,
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
            nosy: false,
            flux: options.flux,
            helm: options.helm,
            logs: HashMap::new(),
            expire_pages: 0,
            granted: HashMap::new(),
            ca_pem: ca_pem.to_owned(),
            writes: Vec::new(),
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

    /// The versions that are served of a group, the preferred one first.
    pub fn versions(&self, group: &str) -> &'static [&'static str] {
        match group {
            kinds::HELM if !self.helm => &[],
            _ if kinds::is_flux(group) => self.flux.versions(),
            kinds::RELEASES if self.flux == Flux::Absent => &[],
            kinds::RELEASES => &["v2"],
            _ => &["v1"],
        }
    }

    /// Serves other versions of Flux's kinds from now on. Without the kinds their objects go, finalizers or not.
    pub fn set_flux(&mut self, flux: Flux) {
        self.flux = flux;
        if flux == Flux::Absent {
            self.objects.retain(|(plural, ..), _| !kinds::is_flux(plural.split('/').next().unwrap_or("")));
        }
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
        let place = key(kind, namespace, name);
        if kind.is_flux() {
            // It counts the changes of the spec.
            let old = self.objects.get(&place).map(|old| &old.object);
            let changed = old.is_none_or(|old| old["spec"] != stored.object["spec"]);
            let generation = old.and_then(|old| old["metadata"]["generation"].as_u64()).unwrap_or(0);
            stored.object["metadata"]["generation"] = json!(generation + u64::from(changed));
        }
        let object = stored.object.clone();
        self.objects.insert(place, stored);
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

    /// The resourceVersion that the next change gets.
    pub fn next_version(&self) -> u64 {
        self.resource_version + 1
    }

    /// Whether a namespace takes nothing new any more.
    pub fn is_leaving(&self, namespace: &str) -> bool {
        self.leaving.contains_key(namespace)
    }

    /// Somebody looks at an object: a namespace on its way out is gone after a few looks, if nothing is left in it.
    pub fn looked_at(&mut self, kind: &Kind, name: &str) {
        if kind.kind != "Namespace" || self.objects.keys().any(|(_, namespace, _)| namespace == name) {
            return;
        }
        let Some(left) = self.leaving.get_mut(name) else { return };
        *left -= 1;
        if *left == 0 {
            self.leaving.remove(name);
            self.objects.remove(&key(kind, "", name));
        }
    }

    /// Somebody deletes an object: one with finalizers stays until they are away, a namespace until what is in it is.
    pub fn remove(&mut self, kind: &Kind, namespace: &str, name: &str) {
        let place = key(kind, namespace, name);
        let Some(stored) = self.objects.get_mut(&place) else { return };
        let metadata = stored.object["metadata"].as_object_mut().unwrap();
        metadata.entry("deletionTimestamp").or_insert_with(|| json!("2026-11-23T00:00:00Z"));
        if kind.kind == "Namespace" {
            self.leaving.entry(name.to_owned()).or_insert(LOOKS);
            let inside: Vec<Key> = self.objects.keys().filter(|(_, ns, _)| ns == name).cloned().collect();
            for (plural, namespace, name) in inside {
                let (group, plural) = plural.split_once('/').unwrap();
                self.remove(Kind::find(group, plural).unwrap(), &namespace, &name);
            }
        } else {
            self.end_if_over(&place);
        }
    }

    /// An object that is being deleted ends with its last finalizer, and with it what belongs to it: a ServiceAccount's
    /// token Secrets.
    pub fn end_if_over(&mut self, place: &Key) {
        let Some(stored) = self.objects.get(place) else { return };
        let metadata = &stored.object["metadata"];
        let held = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
        if metadata["deletionTimestamp"].is_null() || held || place.0 == "/namespaces" {
            return;
        }
        self.objects.remove(place);
        let (plural, namespace, name) = place;
        if plural == "/serviceaccounts" {
            self.objects.retain(|(plural, in_namespace, _), stored| {
                !(plural == "/secrets"
                    && in_namespace == namespace
                    && stored.object["metadata"]["annotations"]["kubernetes.io/service-account.name"]
                        == name.as_str())
            });
            self.granted.retain(|_, account| account.0 != *namespace || account.1 != *name);
        }
    }
}
