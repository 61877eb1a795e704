//! The kinds that the server knows, and small helpers for texts.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kind: its place in paths, and the fields that a strict request may have at its top beside the common ones.
pub struct Kind {
    pub group: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    pub namespaced: bool,
    pub fields: &'static [&'static str],
}

const RBAC: &str = "rbac.authorization.k8s.io";

/// Flux's: what reads sources, and what applies them.
pub const SOURCES: &str = "source.toolkit.fluxcd.io";
pub const KUSTOMIZE: &str = "kustomize.toolkit.fluxcd.io";
/// Flux's own of Helm, which is another than k3s's.
pub const RELEASES: &str = "helm.toolkit.fluxcd.io";
/// k3s's own.
pub const HELM: &str = "helm.cattle.io";
const SPEC: &[&str] = &["spec", "status"];

/// All are of version v1, but that of Flux may be another (`Flux::versions`).
pub const KINDS: [Kind; 22] = [
    kind("", "Namespace", "namespaces", false, &["spec", "status"]),
    kind("", "Node", "nodes", false, &["spec", "status"]),
    kind("", "Pod", "pods", true, SPEC),
    kind("", "Event", "events", true, &["involvedObject", "reason", "message", "type", "lastTimestamp"]),
    kind("", "ConfigMap", "configmaps", true, &["data", "binaryData", "immutable"]),
    kind("", "Secret", "secrets", true, &["data", "stringData", "type", "immutable"]),
    kind(
        "",
        "ServiceAccount",
        "serviceaccounts",
        true,
        &["automountServiceAccountToken", "secrets", "imagePullSecrets"],
    ),
    kind(RBAC, "ClusterRole", "clusterroles", false, &["rules", "aggregationRule"]),
    kind(RBAC, "ClusterRoleBinding", "clusterrolebindings", false, &["roleRef", "subjects"]),
    kind(RBAC, "Role", "roles", true, &["rules"]),
    kind(RBAC, "RoleBinding", "rolebindings", true, &["roleRef", "subjects"]),
    kind("apps", "Deployment", "deployments", true, SPEC),
    kind("batch", "Job", "jobs", true, SPEC),
    kind("coordination.k8s.io", "Lease", "leases", true, &["spec"]),
    kind(SOURCES, "GitRepository", "gitrepositories", true, SPEC),
    kind(SOURCES, "Bucket", "buckets", true, SPEC),
    kind(SOURCES, "OCIRepository", "ocirepositories", true, SPEC),
    kind(SOURCES, "HelmRepository", "helmrepositories", true, SPEC),
    kind(SOURCES, "HelmChart", "helmcharts", true, SPEC),
    kind(KUSTOMIZE, "Kustomization", "kustomizations", true, SPEC),
    kind(RELEASES, "HelmRelease", "helmreleases", true, SPEC),
    kind(HELM, "HelmChart", "helmcharts", true, SPEC),
];

const fn kind(
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
    fields: &'static [&'static str],
) -> Kind {
    Kind { group, kind, plural, namespaced, fields }
}

impl Kind {
    pub fn find(group: &str, plural: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|k| k.group == group && k.plural == plural)
    }

    pub fn of(api_version: &str, kind: &str) -> Option<&'static Kind> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        KINDS.iter().find(|k| k.group == group && k.kind == kind)
    }

    pub fn is_flux(&self) -> bool {
        is_flux(self.group)
    }

    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.into() } else { format!("{}/{version}", self.group) }
    }
}

pub fn is_flux(group: &str) -> bool {
    group == SOURCES || group == KUSTOMIZE
}

pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A random token or UID.
pub fn random() -> String {
    let mut bytes = [0; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Undoes the escapes of a path or query.
pub fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%')
            .then(|| {
                tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok())
            })
            .flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
