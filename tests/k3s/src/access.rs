//! Who asks, and whether they may.

use crate::cluster::{ADMIN_TOKEN, Cluster};
use crate::kinds;
use serde_json::Value;

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum User {
    Administrator,
    ServiceAccount { namespace: String, name: String },
}

impl User {
    pub fn name(&self) -> String {
        match self {
            User::Administrator => "system:admin".into(),
            User::ServiceAccount { namespace, name } => format!("system:serviceaccount:{namespace}:{name}"),
        }
    }

    pub fn groups(&self) -> Vec<String> {
        let own = match self {
            User::Administrator => vec!["system:masters".into()],
            User::ServiceAccount { namespace, .. } => {
                vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")]
            }
        };
        own.into_iter().chain(["system:authenticated".to_owned()]).collect()
    }
}

/// What somebody wants to do.
pub struct Deed<'a> {
    pub verb: &'a str,
    pub group: &'a str,
    /// With its subresource: `serviceaccounts/token`.
    pub resource: &'a str,
    /// Empty for the cluster, or for all namespaces.
    pub namespace: &'a str,
    /// Empty for all objects.
    pub name: &'a str,
}

/// Whose token this is: the administrator's, one of a token Secret that is still there, or one of a TokenRequest.
pub fn user_of(cluster: &Cluster, token: &str) -> Option<User> {
    if token == ADMIN_TOKEN {
        return Some(User::Administrator);
    }
    if let Some((namespace, name)) = cluster.granted.get(token) {
        return Some(User::ServiceAccount { namespace: namespace.clone(), name: name.clone() });
    }
    let secrets = cluster.objects.iter().filter(|((plural, ..), _)| plural == "/secrets");
    secrets.filter(|(_, s)| s.object["type"] == "kubernetes.io/service-account-token").find_map(
        |((_, namespace, _), s)| {
            let held = kinds::unbase64(s.object["data"]["token"].as_str()?)?;
            let name = s.object["metadata"]["annotations"]["kubernetes.io/service-account.name"].as_str()?;
            (held == token.as_bytes())
                .then(|| User::ServiceAccount { namespace: namespace.clone(), name: name.to_owned() })
        },
    )
}

/// Whether a role bound to the user allows it.
pub fn may(cluster: &Cluster, user: &User, deed: &Deed<'_>) -> bool {
    let User::ServiceAccount { namespace, name } = user else { return true };
    let bound_to_us = |binding: &Value| {
        binding["subjects"].as_array().into_iter().flatten().any(|s| {
            s["kind"] == "ServiceAccount"
                && s["name"] == name.as_str()
                && s["namespace"] == namespace.as_str()
        })
    };
    cluster.objects.iter().any(|((plural, binding_namespace, _), stored)| {
        let binding = &stored.object;
        let counts_here = match plural.as_str() {
            "rbac.authorization.k8s.io/clusterrolebindings" => true,
            "rbac.authorization.k8s.io/rolebindings" => binding_namespace == deed.namespace,
            _ => return false,
        };
        counts_here && bound_to_us(binding) && role_allows(cluster, binding, binding_namespace, deed)
    })
}

/// Whether the user may give away the role of a binding: only one that it may `bind`. (A real server also lets a user give
/// away what it holds itself.)
pub fn may_bind(cluster: &Cluster, user: &User, binding: &Value, namespace: &str) -> bool {
    let of_cluster = binding["roleRef"]["kind"] == "ClusterRole";
    let deed = Deed {
        verb: "bind",
        group: "rbac.authorization.k8s.io",
        resource: if of_cluster { "clusterroles" } else { "roles" },
        namespace,
        name: binding["roleRef"]["name"].as_str().unwrap_or_default(),
    };
    may(cluster, user, &deed)
}

fn role_allows(cluster: &Cluster, binding: &Value, namespace: &str, deed: &Deed<'_>) -> bool {
    let of_cluster = binding["roleRef"]["kind"] == "ClusterRole";
    let plural = if of_cluster { "clusterroles" } else { "roles" };
    let key = (
        format!("rbac.authorization.k8s.io/{plural}"),
        if of_cluster { String::new() } else { namespace.to_owned() },
        binding["roleRef"]["name"].as_str().unwrap_or_default().to_owned(),
    );
    let Some(role) = cluster.objects.get(&key) else { return false };
    let has = |rule: &Value, field: &str, wanted: &str| {
        rule[field].as_array().into_iter().flatten().any(|entry| entry == wanted || entry == "*")
    };
    role.object["rules"].as_array().into_iter().flatten().any(|rule| {
        has(rule, "verbs", deed.verb)
            && has(rule, "apiGroups", deed.group)
            && has(rule, "resources", deed.resource)
            && (rule["resourceNames"].is_null() || has(rule, "resourceNames", deed.name))
    })
}
