//! The ARM id of a connected cluster.

use std::fmt;
use std::str::FromStr;

/// `/subscriptions/…/resourceGroups/…/providers/Microsoft.Kubernetes/connectedClusters/…`. ARM compares ids without regard to case, so two
/// ids that differ in nothing else are equal.
#[derive(Clone, Debug, Default)]
pub struct ClusterId {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group.
    pub resource_group: String,
    /// The cluster's name.
    pub name: String,
}

impl ClusterId {
    /// An id of checked parts.
    pub fn new(subscription: &str, resource_group: &str, name: &str) -> Result<ClusterId, String> {
        let hex = |part: &str, length| part.len() == length && part.chars().all(|c| c.is_ascii_hexdigit());
        let parts: Vec<&str> = subscription.split('-').collect();
        if parts.len() != 5 || !parts.iter().zip([8, 4, 4, 4, 12]).all(|(part, length)| hex(part, length)) {
            return Err(format!("{subscription:?} is not the id of a subscription (8-4-4-4-12 hex digits)"));
        }
        let allowed = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
        if resource_group.is_empty()
            || resource_group.len() > 90
            || resource_group.ends_with('.')
            || !resource_group.chars().all(allowed)
        {
            return Err(format!(
                "{resource_group:?} is not the name of a resource group (letters, digits, - _ . ( ), at most 90)"
            ));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty()
            || name.len() > 63
            || !name.chars().all(allowed)
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        {
            return Err(format!(
                "{name:?} is not the name of a cluster (letters, digits, - _ ., at most 63)"
            ));
        }
        Ok(ClusterId {
            subscription: subscription.to_owned(),
            resource_group: resource_group.to_owned(),
            name: name.to_owned(),
        })
    }

    fn folded(&self) -> [String; 3] {
        [&self.subscription, &self.resource_group, &self.name].map(|part| part.to_lowercase())
    }
}

impl PartialEq for ClusterId {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for ClusterId {}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ClusterId { subscription, resource_group, name } = self;
        write!(
            f,
            "/subscriptions/{subscription}/resourceGroups/{resource_group}\
             /providers/Microsoft.Kubernetes/connectedClusters/{name}"
        )
    }
}

impl FromStr for ClusterId {
    type Err = String;

    fn from_str(text: &str) -> Result<ClusterId, String> {
        let parts: Vec<&str> =
            text.strip_prefix('/').unwrap_or_default().trim_end_matches('/').split('/').collect();
        let words =
            ["subscriptions", "resourcegroups", "providers", "microsoft.kubernetes", "connectedclusters"];
        match parts[..] {
            [a, subscription, b, group, c, d, e, name]
                if [a, b, c, d, e].iter().zip(words).all(|(part, word)| part.eq_ignore_ascii_case(word)) =>
            {
                ClusterId::new(subscription, group, name)
            }
            _ => Err(format!(
                "{text:?} is not /subscriptions/…/resourceGroups/…/providers/Microsoft.Kubernetes/connectedClusters/…"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1";

    #[test]
    fn an_id_is_read_back_and_compares_without_regard_to_case() {
        let id: ClusterId = ID.parse().unwrap();
        assert_eq!(id.to_string(), ID);
        assert_eq!(ID.to_lowercase().parse::<ClusterId>().unwrap(), id);
        assert_ne!(ID.replace("k3s-1", "k3s-2").parse::<ClusterId>().unwrap(), id);
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (from, to) in [
            ("k3s-1", "k3s-1/extra"),
            ("k3s-1", ".."),
            ("k3s-1", "a?b"),
            ("edge-rg", ""),
            ("edge-rg", "a%2fb"),
            ("1bfbb5d0", "1bfbb5"),
            ("Microsoft.Kubernetes", "Microsoft.Compute"),
            ("/subscriptions", "https://x/subscriptions"),
        ] {
            assert!(ID.replace(from, to).parse::<ClusterId>().is_err(), "{from} -> {to}");
        }
    }
}
