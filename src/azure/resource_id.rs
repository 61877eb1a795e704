//! The name of a resource in ARM, checked once: what passes here can be put into a URL and compared.

use crate::core::Reason;
use serde::{Deserialize, Serialize};

/// `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}`. ARM compares ids without regard to case.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceId {
    /// The subscription's GUID.
    pub subscription: String,
    /// The resource group.
    pub group: String,
    /// `Microsoft.Kubernetes/connectedClusters`
    pub kind: String,
    /// The resource's own name.
    pub name: String,
}

/// The type of an Arc-enabled cluster.
pub const CONNECTED_CLUSTER: &str = "Microsoft.Kubernetes/connectedClusters";

impl ResourceId {
    /// The id of a connected cluster.
    pub fn cluster(subscription: &str, group: &str, name: &str) -> Result<ResourceId, Reason> {
        ResourceId::parse(&format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/{CONNECTED_CLUSTER}/{name}"
        ))
    }

    /// Reads an id. Names may hold letters, digits and `-._()`; nothing that would have to be escaped in a URL.
    pub fn parse(text: &str) -> Result<ResourceId, Reason> {
        let bad = || {
            Reason::new("BadResourceId", format!("{text:?} is not the id of a resource")).cure(
                "write /subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.Kubernetes/connectedClusters/<name>",
            )
        };
        let parts: Vec<&str> = text.trim().trim_end_matches('/').split('/').collect();
        match parts.as_slice() {
            ["", s, subscription, g, group, p, namespace, kind, name]
                if s.eq_ignore_ascii_case("subscriptions")
                    && g.eq_ignore_ascii_case("resourceGroups")
                    && p.eq_ignore_ascii_case("providers")
                    && [subscription, group, namespace, kind, name].into_iter().all(|part| is_name(part)) =>
            {
                Ok(ResourceId {
                    subscription: subscription.to_string(),
                    group: group.to_string(),
                    kind: format!("{namespace}/{kind}"),
                    name: name.to_string(),
                })
            }
            _ => Err(bad()),
        }
    }

    /// Whether this is a connected cluster's id.
    pub fn is_cluster(&self) -> bool {
        self.kind.eq_ignore_ascii_case(CONNECTED_CLUSTER)
    }
}

/// Whether this is one part of an id that can stand in a URL as it is.
pub(super) fn is_name(part: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._()".contains(c);
    !part.is_empty() && part.chars().all(legal) && !part.chars().all(|c| c == '.')
}

impl std::fmt::Display for ResourceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ResourceId { subscription, group, kind, name } = self;
        write!(f, "/subscriptions/{subscription}/resourceGroups/{group}/providers/{kind}/{name}")
    }
}

impl PartialEq for ResourceId {
    fn eq(&self, other: &ResourceId) -> bool {
        self.to_string().eq_ignore_ascii_case(&other.to_string())
    }
}

impl Eq for ResourceId {}

impl TryFrom<String> for ResourceId {
    type Error = Reason;
    fn try_from(text: String) -> Result<ResourceId, Reason> {
        ResourceId::parse(&text)
    }
}

impl From<ResourceId> for String {
    fn from(id: ResourceId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1";

    #[test]
    fn an_id_survives_reading_and_writing_and_compares_in_any_case() {
        let id = ResourceId::parse(ID).unwrap();
        assert_eq!(id.to_string(), ID);
        assert!(id.is_cluster());
        assert_eq!(id, ResourceId::parse(&ID.to_lowercase()).unwrap());
        assert_eq!(id, ResourceId::cluster(&id.subscription, "EDGE-RG", "k3s-1").unwrap());
        assert_ne!(id, ResourceId::parse(&ID.replace("k3s-1", "k3s-2")).unwrap());
    }

    #[test]
    fn what_could_lead_a_url_elsewhere_is_no_id() {
        for name in ["", "..", "a/b", "a?b", "a#b", "a%2fb", "a b", "a\nb", "ä"] {
            assert!(ResourceId::cluster("s", "g", name).is_err(), "{name:?}");
        }
        assert!(ResourceId::parse("k3s-1").is_err());
    }
}
