//! Which versions of an extension's type there are (`Microsoft.KubernetesConfiguration/extensionTypes`, 2026-05-01).

use super::ResourceId;
use super::arm::Arm;
use crate::core::{Outcome, Reason};
use crate::http::escaped;
use crate::scenario::extensions::{Offer, Offers};
use serde::Deserialize;
use std::collections::BTreeMap;

const VERSION: &str = "2026-05-01";
const LISTING: &str = "listing the versions of an extension type";

#[derive(Deserialize)]
struct Item {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    version: String,
    #[serde(default)]
    unsupported_kubernetes_versions: Option<BTreeMap<String, Option<Vec<Unsupported>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Unsupported {
    #[serde(default)]
    distributions: Option<Vec<String>>,
    #[serde(default)]
    unsupported_versions: Option<Vec<String>>,
}

impl Arm {
    /// The versions of a type in a release train, as far as they are for connected clusters. The inner error is about this
    /// type: ARM does not know it, or does not let this identity look.
    pub fn extension_versions(
        &self,
        cluster: &ResourceId,
        extension_type: &str,
        train: &str,
        token: &str,
    ) -> Result<Result<Offers, Reason>, Outcome> {
        let path = format!(
            "{cluster}/providers/Microsoft.KubernetesConfiguration/extensionTypes/{}/versions",
            escaped(extension_type)
        );
        let url = format!("{}&releaseTrain={}", self.url(&path, VERSION), escaped(train));
        match self.list::<Item>(url, LISTING, token) {
            Ok(items) => Ok(Ok(Offers(items.into_iter().map(offer).collect()))),
            Err(Outcome::Refused(reason)) => Ok(Err(reason)),
            Err(outcome) => Err(outcome),
        }
    }
}

fn offer(item: Item) -> Offer {
    let Properties { version, unsupported_kubernetes_versions } = item.properties;
    let all = unsupported_kubernetes_versions.unwrap_or_default();
    // Both spellings occur.
    let ours = all
        .into_iter()
        .filter(|(kind, _)| kind.trim_end_matches('s').eq_ignore_ascii_case("connectedCluster"));
    let mut unsupported = Vec::new();
    for Unsupported { distributions, unsupported_versions } in ours.filter_map(|(_, list)| list).flatten() {
        let distributions =
            distributions.filter(|list| !list.is_empty()).unwrap_or_else(|| vec![String::new()]);
        for distribution in distributions {
            let distribution = distribution.to_lowercase();
            unsupported
                .extend(unsupported_versions.iter().flatten().map(|v| (distribution.clone(), v.clone())));
        }
    }
    Offer { version, unsupported }
}
