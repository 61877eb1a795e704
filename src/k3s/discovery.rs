//! Which kinds the API server knows: its groups, and one group's resources.
//!
//! Asked for when a kind is not known by heart, and to see whether an optional part (Flux, Gatekeeper, k3s's HelmChart) is
//! installed. Nothing is cached: what is installed changes.

use super::client::Client;
use super::reply::{self, code};
use super::resource::Resource;
use crate::core::Outcome;
use serde::Deserialize;
use ureq::http::Method;

/// An API group with its versions, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// For example `helm.cattle.io`.
    pub name: String,
    /// For example `v1`.
    pub versions: Vec<String>,
}

#[derive(Deserialize)]
struct GroupList {
    groups: Vec<ApiGroup>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiGroup {
    name: String,
    versions: Vec<ApiVersion>,
    preferred_version: Option<ApiVersion>,
}

#[derive(Deserialize, PartialEq)]
struct ApiVersion {
    version: String,
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<ApiResource>,
}

#[derive(Deserialize)]
struct ApiResource {
    name: String,
    kind: String,
    namespaced: bool,
}

impl Client {
    /// All groups but the core group.
    pub fn discover(&self) -> Result<Vec<Group>, Outcome> {
        let reply = self.send(Method::GET, "/apis", None)?;
        let list: GroupList = reply::read("GET /apis", &reply)?;
        Ok(list
            .groups
            .into_iter()
            .map(|group| {
                let preferred = group.preferred_version;
                let mut versions: Vec<String> = group.versions.into_iter().map(|v| v.version).collect();
                // Stable: the others keep the server's order.
                versions.sort_by_key(|v| preferred.as_ref().is_none_or(|p| p.version != *v));
                Group { name: group.name, versions }
            })
            .collect())
    }

    /// The kinds of one group and version, without subresources; none if the server does not know the group.
    pub fn resources(&self, group: &str, version: &str) -> Result<Vec<Resource>, Outcome> {
        let path =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        let reply = self.send(Method::GET, &path, None)?;
        let list: ResourceList = match reply::read(&format!("GET {path}"), &reply) {
            // The server says so in plain text, as any other program could: its list of groups decides.
            Err(Outcome::Refused(r)) if reply.status == 404 && r.code == code::NOT_KUBERNETES => {
                let groups = self.discover()?;
                let known = groups.iter().any(|g| g.name == group && g.versions.iter().any(|v| v == version));
                return if known { Err(Outcome::Refused(r)) } else { Ok(Vec::new()) };
            }
            other => other?,
        };
        let kinds = list.resources.into_iter().filter(|r| !r.name.contains('/'));
        Ok(kinds
            .map(|r| Resource {
                group: group.to_owned(),
                version: version.to_owned(),
                kind: r.kind,
                plural: r.name,
                namespaced: r.namespaced,
            })
            .collect())
    }
}
