//! Who may do what: service principals, their credentials, the roles that they were given, and the tokens they hold.

use crate::wire::guid;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A role assignment.
#[derive(Clone, Debug)]
pub struct Role {
    /// Control-plane actions, `*` as in role definitions.
    pub actions: Vec<String>,
    /// Data-plane actions.
    pub data_actions: Vec<String>,
    /// The id of the subscription, group or resource that it is given on.
    pub scope: String,
}

impl Role {
    fn new(scope: &str, actions: &[&str], data_actions: &[&str]) -> Role {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
        Role { actions: owned(actions), data_actions: owned(data_actions), scope: scope.to_owned() }
    }

    /// "Contributor".
    pub fn contributor(scope: &str) -> Role {
        Role::new(scope, &["*"], &[])
    }

    /// "Kubernetes Cluster - Azure Arc Onboarding".
    pub fn onboarding(scope: &str) -> Role {
        Role::new(
            scope,
            &[
                "Microsoft.Authorization/*/read",
                "Microsoft.Resources/subscriptions/operationresults/read",
                "Microsoft.Resources/subscriptions/read",
                "Microsoft.Resources/subscriptions/resourceGroups/read",
                "Microsoft.Kubernetes/connectedClusters/Write",
                "Microsoft.Kubernetes/connectedClusters/read",
            ],
            &[],
        )
    }

    /// What `config/azure` gives the device on its cluster: read it, and write its tags.
    pub fn device(cluster: &str) -> Role {
        Role::new(
            cluster,
            &[
                "Microsoft.Authorization/permissions/read",
                "Microsoft.Kubernetes/connectedClusters/read",
                "Microsoft.KubernetesConfiguration/*/read",
                "Microsoft.Resources/tags/read",
                "Microsoft.Resources/tags/write",
            ],
            &[],
        )
    }

    /// "Monitoring Metrics Publisher" on the data collection rule.
    pub fn publisher(rule: &str) -> Role {
        Role::new(rule, &[], &["Microsoft.Insights/Metrics/Write", "Microsoft.Insights/Telemetry/Write"])
    }

    /// "Key Vault Secrets User".
    pub fn secrets_user(vault: &str) -> Role {
        Role::new(
            vault,
            &[],
            &[
                "Microsoft.KeyVault/vaults/secrets/getSecret/action",
                "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            ],
        )
    }

    /// "Key Vault Secrets Officer".
    pub fn secrets_officer(vault: &str) -> Role {
        Role::new(vault, &[], &["Microsoft.KeyVault/vaults/secrets/*"])
    }

    fn covers(&self, scope: &str) -> bool {
        let (outer, inner) = (self.scope.to_lowercase(), scope.to_lowercase());
        inner == outer || inner.starts_with(&format!("{}/", outer.trim_end_matches('/')))
    }
}

/// Whether `action` is within `pattern`, `*` standing for anything, without regard to case.
pub fn action_matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_lowercase(), action.to_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// A service principal.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Application (client) id.
    pub client_id: String,
    /// Object id.
    pub object_id: String,
    /// Its client secret.
    pub secret: Option<String>,
    /// Its certificate, DER.
    pub certificate: Option<Vec<u8>>,
    /// The federated assertion that is accepted for it, whole.
    pub federated: Option<String>,
    /// What it may do.
    pub roles: Vec<Role>,
}

impl Principal {
    /// With a client secret.
    pub fn with_secret(client_id: &str, secret: &str, roles: Vec<Role>) -> Principal {
        Principal {
            client_id: client_id.into(),
            object_id: guid(),
            secret: Some(secret.into()),
            certificate: None,
            federated: None,
            roles,
        }
    }

    /// Whether a control-plane action is allowed on this scope.
    pub fn may(&self, action: &str, scope: &str) -> bool {
        self.roles.iter().any(|r| r.covers(scope) && r.actions.iter().any(|a| action_matches(a, action)))
    }

    /// Whether a data-plane action is allowed on this scope.
    pub fn may_data(&self, action: &str, scope: &str) -> bool {
        self.roles.iter().any(|r| r.covers(scope) && r.data_actions.iter().any(|a| action_matches(a, action)))
    }
}

/// A token that was given out.
#[derive(Clone, Debug)]
pub struct Granted {
    /// Whose.
    pub client_id: String,
    /// The resource it is for, without `/.default`.
    pub audience: String,
    /// When it ends.
    pub expires: SystemTime,
    /// The claims it was asked with.
    pub claims: Option<String>,
}

/// Every token that was given out.
#[derive(Default)]
pub struct Tokens(HashMap<String, Granted>);

impl Tokens {
    /// Gives out a token in the shape of a JWT, which azure-cli wants to decode.
    pub fn grant(
        &mut self,
        tenant: &str,
        principal: &Principal,
        audience: &str,
        lifetime: Duration,
        claims: Option<String>,
    ) -> String {
        let now = SystemTime::now();
        let expires = now + lifetime;
        let seconds = |t: SystemTime| t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!(
            "{}.{}.{}",
            part(json!({ "alg": "RS256", "typ": "JWT" })),
            part(json!({
                "aud": audience, "iss": format!("https://sts.windows.net/{tenant}/"), "tid": tenant, "oid": principal.object_id,
                "appid": principal.client_id, "iat": seconds(now), "nbf": seconds(now), "exp": seconds(expires), "jti": guid(),
            })),
            URL_SAFE_NO_PAD.encode("stand-in")
        );
        self.0.insert(
            token.clone(),
            Granted {
                client_id: principal.client_id.clone(),
                audience: audience.to_owned(),
                expires,
                claims,
            },
        );
        token
    }

    /// What is known of a token.
    pub fn get(&self, token: &str) -> Option<&Granted> {
        self.0.get(token)
    }

    /// From now on no token that was given out is accepted.
    pub fn revoke_all(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_match_as_in_role_definitions() {
        for (pattern, action, expected) in [
            ("*", "Microsoft.Kubernetes/connectedClusters/read", true),
            ("*/read", "Microsoft.Kubernetes/connectedClusters/read", true),
            ("*/read", "Microsoft.Kubernetes/connectedClusters/write", false),
            ("Microsoft.Authorization/*/read", "microsoft.authorization/permissions/read", true),
            (
                "Microsoft.Kubernetes/connectedClusters/Write",
                "Microsoft.Kubernetes/connectedClusters/write",
                true,
            ),
            (
                "Microsoft.Kubernetes/connectedClusters/read",
                "Microsoft.Kubernetes/connectedClusters/readx",
                false,
            ),
        ] {
            assert_eq!(action_matches(pattern, action), expected, "{pattern} {action}");
        }
    }

    #[test]
    fn a_role_holds_on_its_scope_and_below_and_nowhere_else() {
        let p =
            Principal::with_secret("c", "s", vec![Role::contributor("/subscriptions/S/resourceGroups/edge")]);
        assert!(p.may(
            "Microsoft.Kubernetes/connectedClusters/write",
            "/subscriptions/s/resourcegroups/EDGE/providers/x"
        ));
        assert!(
            !p.may("Microsoft.Kubernetes/connectedClusters/write", "/subscriptions/s/resourcegroups/edge2")
        );
        assert!(!p.may_data("Microsoft.Insights/Telemetry/Write", "/subscriptions/s/resourcegroups/edge"));
    }
}
