//! Which Kubernetes this is, in the words that Azure's portal knows for `distribution` and `infrastructure`.
//!
//! The order and the marks are those of `az connectedk8s connect` as far as it knows a distribution; version suffixes
//! (`+k3s1`) are added, for a k3s without its cloud controller sets no providerID. A cluster that tells nothing is
//! `generic`, which is right for kubeadm and harmless for all others: nothing in arclet depends on it.

use super::nodes::NodeTotals;

/// A distribution and what it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detected {
    /// `k3s`, `rke2`, `aks`, …, `generic`.
    pub distribution: &'static str,
    /// `azure`, `aws`, `gcp`, `generic`.
    pub infrastructure: &'static str,
}

/// Labels and annotations of nodes that only one distribution sets.
pub const MARKS: [&str; 9] = [
    "node.openshift.io/os_id",
    "kubernetes.azure.com/node-image-version",
    "cloud.google.com/gke-nodepool",
    "cloud.google.com/gke-os-distribution",
    "eks.amazonaws.com/nodegroup",
    "minikube.k8s.io/version",
    "node.k0sproject.io/role",
    "microk8s.io/cluster",
    "rke.cattle.io/internal-ip",
];

/// The distribution by which of [`MARKS`] is there. k3s's are elsewhere: its provider id and its version.
const BY_MARK: [(&str, &str); 9] = [
    (MARKS[0], "openshift"),
    (MARKS[1], "aks"),
    (MARKS[2], "gke"),
    (MARKS[3], "gke"),
    (MARKS[4], "eks"),
    (MARKS[5], "minikube"),
    (MARKS[6], "k0s"),
    (MARKS[7], "microk8s"),
    (MARKS[8], "rancher_rke"),
];

/// By what comes after the Kubernetes version: `v1.36.3+k3s1`, `v1.36.3-eks-1234567`.
const BY_VERSION: [(&str, &str); 6] = [
    ("+k3s", "k3s"),
    ("+rke2r", "rke2"),
    ("+k0s", "k0s"),
    ("-eks-", "eks"),
    ("-gke.", "gke"),
    ("+vmware", "tkg"),
];

/// By the scheme of the nodes' provider ids.
const BY_PROVIDER: [(&str, &str); 3] = [("k3s", "k3s"), ("kind", "kind"), ("rke2", "rke2")];

/// Judges by the nodes, and by the API server's version.
pub fn detect(nodes: &NodeTotals, version: &str) -> Detected {
    let scheme = |name: &str| nodes.provider_ids.iter().any(|id| id.split("://").next() == Some(name));
    let by_mark = BY_MARK.iter().find(|(mark, _)| nodes.marks.contains_key(mark));
    let by_provider = || BY_PROVIDER.iter().find(|(name, _)| scheme(name));
    let by_version = || BY_VERSION.iter().find(|(suffix, _)| version.contains(suffix));
    let found = by_mark.or_else(by_provider).or_else(by_version);
    let infrastructure = if scheme("azure") {
        "azure"
    } else if scheme("aws") {
        "aws"
    } else if scheme("gce") {
        "gcp"
    } else {
        "generic"
    };
    Detected { distribution: found.map_or("generic", |(_, name)| name), infrastructure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(provider: &str, mark: Option<&'static str>) -> NodeTotals {
        NodeTotals {
            nodes: 1,
            provider_ids: vec![provider.to_owned()],
            marks: mark.into_iter().map(|mark| (mark, "x".to_owned())).collect(),
            ..NodeTotals::default()
        }
    }

    #[test]
    fn a_distribution_is_known_by_its_nodes_or_its_version() {
        for (provider, mark, version, distribution, infrastructure) in [
            ("k3s://edge-1", None, "v1.36.3+k3s1", "k3s", "generic"),
            ("k3s://edge-1", None, "v1.36.3", "k3s", "generic"),
            ("", None, "v1.36.3+k3s1", "k3s", "generic"),
            ("aws:///eu/i-1", None, "v1.36.3+k3s1", "k3s", "aws"),
            ("", None, "v1.36.3+rke2r1", "rke2", "generic"),
            ("rke2://a", None, "v1.36.3", "rke2", "generic"),
            ("", Some("microk8s.io/cluster"), "v1.36.3", "microk8s", "generic"),
            ("", None, "v1.36.3+k0s", "k0s", "generic"),
            ("kind://docker/kind/a", None, "v1.36.3", "kind", "generic"),
            ("", Some("minikube.k8s.io/version"), "v1.36.3", "minikube", "generic"),
            ("aws:///eu/i-1", Some("eks.amazonaws.com/nodegroup"), "v1.36.3-eks-99a8f0f", "eks", "aws"),
            ("azure:///x", Some("kubernetes.azure.com/node-image-version"), "v1.36.3", "aks", "azure"),
            ("gce://p/z/n", Some("cloud.google.com/gke-nodepool"), "v1.36.3-gke.1", "gke", "gcp"),
            ("", Some("node.openshift.io/os_id"), "v1.36.3", "openshift", "generic"),
            ("", None, "v1.36.3", "generic", "generic"),
            ("k3sx://a", None, "v1.36.3", "generic", "generic"),
        ] {
            let expected = Detected { distribution, infrastructure };
            assert_eq!(detect(&nodes(provider, mark), version), expected, "{provider} {mark:?} {version}");
        }
    }
}
