//! Who we are to the API server, what we may do there, and tokens for others.
//!
//! Reviews of oneself need no role: every authenticated user may ask (`system:basic-user`). So `doctor` can tell a missing
//! role from a broken one before anything fails.

use super::client::Client;
use super::resource::escaped;
use crate::core::Outcome;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

/// Who the API server takes us for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhoAmI {
    /// For example `system:serviceaccount:arclet:arclet`.
    pub username: String,
    /// Its groups.
    pub groups: Vec<String>,
}

/// A short-lived token. No Debug: it is a secret.
pub struct TokenGrant {
    /// The token itself.
    pub secret: Zeroizing<String>,
    /// When it ends, as the server says it (RFC 3339).
    pub expires: String,
}

#[derive(Deserialize)]
struct Reviewed<S> {
    status: S,
}

#[derive(Deserialize)]
struct Access {
    allowed: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subject {
    user_info: UserInfo,
}

#[derive(Deserialize)]
struct UserInfo {
    username: String,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Granted {
    token: String,
    expiration_timestamp: String,
}

impl Client {
    /// Whether we may do this. `group` is empty for the core group, a subresource is written `pods/log`; without a
    /// namespace the answer is for all of them, without a name for all objects.
    pub fn can_i(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<bool, Outcome> {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let question = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": group, "resource": resource, "subresource": subresource,
                "namespace": namespace.unwrap_or_default(), "name": name.unwrap_or_default(),
            }},
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        self.ask::<Reviewed<Access>>(path, &question).map(|review| review.status.allowed)
    }

    /// Who the server takes us for (Kubernetes 1.28 and later).
    pub fn who_am_i(&self) -> Result<WhoAmI, Outcome> {
        let question = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let user = self.ask::<Reviewed<Subject>>(path, &question)?.status.user_info;
        Ok(WhoAmI { username: user.username, groups: user.groups })
    }

    /// A token of a ServiceAccount that ends by itself, for at least 600 s. Without audiences it is for the API server.
    pub fn token_request(
        &self,
        namespace: &str,
        service_account: &str,
        audiences: &[&str],
        seconds: u64,
    ) -> Result<TokenGrant, Outcome> {
        let question = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": audiences, "expirationSeconds": seconds},
        });
        let path = format!(
            "/api/v1/namespaces/{}/serviceaccounts/{}/token",
            escaped(namespace),
            escaped(service_account)
        );
        let granted = self.ask::<Reviewed<Granted>>(&path, &question)?.status;
        Ok(TokenGrant { secret: Zeroizing::new(granted.token), expires: granted.expiration_timestamp })
    }
}
