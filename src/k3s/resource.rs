//! A kind of object as the API server's paths name it.
//!
//! The few kinds that arclet itself makes are constants: they need no discovery, which an unprivileged token may not be
//! able to do and which costs a call.

pub(super) use crate::http::escaped;

/// A kind of object: where its collection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The group, empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Namespace`.
    pub kind: String,
    /// `namespaces`.
    pub plural: String,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

/// Kinds that need no discovery: group, version, kind, plural, namespaced.
const KNOWN: [(&str, &str, &str, &str, bool); 13] = [
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "Node", "nodes", false),
    ("", "v1", "Pod", "pods", true),
    ("", "v1", "ConfigMap", "configmaps", true),
    ("", "v1", "Secret", "secrets", true),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("apps", "v1", "Deployment", "deployments", true),
    ("batch", "v1", "Job", "jobs", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings", true),
    ("coordination.k8s.io", "v1", "Lease", "leases", true),
];

impl Resource {
    /// One of the kinds that need no discovery.
    pub fn known(api_version: &str, kind: &str) -> Option<Resource> {
        let (group, version) = split(api_version);
        KNOWN.iter().find(|k| k.0 == group && k.1 == version && k.2 == kind).map(
            |&(group, version, kind, plural, namespaced)| Resource {
                group: group.into(),
                version: version.into(),
                kind: kind.into(),
                plural: plural.into(),
                namespaced,
            },
        )
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the collection, in one namespace or in all of them.
    pub fn collection(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api/" } else { "/apis/" };
        match namespace {
            Some(namespace) if self.namespaced => {
                format!("{root}{}/namespaces/{}/{}", self.api_version(), escaped(namespace), self.plural)
            }
            _ => format!("{root}{}/{}", self.api_version(), self.plural),
        }
    }

    /// The path of one object.
    pub fn object(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{}", self.collection(namespace), escaped(name))
    }
}

/// Group and version of an `apiVersion`.
pub(super) fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_the_form_of_their_group_and_scope() {
        let path = |api_version, kind, namespace, name| {
            Resource::known(api_version, kind).unwrap().object(namespace, name)
        };
        assert_eq!(path("v1", "Secret", Some("a"), "b"), "/api/v1/namespaces/a/secrets/b");
        assert_eq!(path("v1", "Namespace", Some("a"), "b"), "/api/v1/namespaces/b");
        let role = path("rbac.authorization.k8s.io/v1", "ClusterRole", None, "system:x");
        assert_eq!(role, "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Ax");
        assert_eq!(Resource::known("v2", "Secret"), None);
    }

    #[test]
    fn a_name_cannot_leave_its_place_in_the_path() {
        let secret = Resource::known("v1", "Secret").unwrap();
        assert_eq!(secret.object(Some("../x"), "a/b?c"), "/api/v1/namespaces/..%2Fx/secrets/a%2Fb%3Fc");
    }
}
