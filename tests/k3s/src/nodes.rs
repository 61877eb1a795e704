//! Any number of nodes of the size that real ones have, made as they are asked for: 5,000 take no memory here.

use serde_json::{Value, json};

pub struct Nodes {
    count: usize,
    cpus: u32,
    version: String,
    template: String,
}

const NAME: &str = "@NAME@";

impl Nodes {
    pub fn new(count: usize, cpus: u32, version: &str) -> Nodes {
        let mut nodes = Nodes { count, cpus, version: version.into(), template: String::new() };
        nodes.render();
        nodes
    }

    pub fn set(&mut self, count: usize, cpus: u32) {
        (self.count, self.cpus) = (count, cpus);
        self.render();
    }

    pub fn set_version(&mut self, version: &str) {
        self.version = version.into();
        self.render();
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The text of the node with this number.
    pub fn text(&self, number: usize) -> String {
        self.template.replace(NAME, &format!("edge-{number:05}"))
    }

    /// About 10 kB, as a real node's: most of it are images and managed fields.
    fn render(&mut self) {
        let images: Vec<Value> = (0..25)
            .map(|n| {
                let digest = format!("{n:02x}").repeat(32);
                json!({"names": [format!("docker.io/rancher/mirrored-image-{n}@sha256:{digest}"),
                    format!("docker.io/rancher/mirrored-image-{n}:v1.{n}.0")], "sizeBytes": 10_000_000 + n})
            })
            .collect();
        let condition = |kind: &str, status: &str| {
            json!({"type": kind, "status": status, "lastHeartbeatTime": "2026-11-23T00:00:00Z",
                "lastTransitionTime": "2026-11-22T00:00:00Z", "reason": format!("Kubelet{kind}"),
                "message": format!("kubelet says {kind} is {status}")})
        };
        let owned: serde_json::Map<String, Value> =
            (0..60).map(|n| (format!("f:field-{n}-of-this-node"), json!({".": {}, "f:value": {}}))).collect();
        let amounts = json!({"cpu": self.cpus.to_string(), "memory": "8039996Ki", "pods": "110"});
        let node = json!({
            "metadata": {"name": NAME, "uid": format!("uid-of-{NAME}"), "resourceVersion": "1",
                "labels": {"kubernetes.io/hostname": NAME, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
                    "node.kubernetes.io/instance-type": "k3s"},
                "annotations": {"k3s.io/hostname": NAME, "k3s.io/internal-ip": "192.0.2.10"},
                "managedFields": [{"manager": "k3s", "operation": "Update", "apiVersion": "v1",
                    "time": "2026-11-22T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": owned}]},
            "spec": {"podCIDR": "10.42.0.0/24", "providerID": format!("k3s://{NAME}")},
            "status": {"capacity": amounts, "allocatable": amounts,
                "conditions": [condition("MemoryPressure", "False"), condition("DiskPressure", "False"),
                    condition("PIDPressure", "False"), condition("Ready", "True")],
                "nodeInfo": {"kubeletVersion": self.version, "architecture": "amd64", "osImage": "K3s", "bootID": NAME},
                "images": images},
        });
        self.template = node.to_string();
    }
}
