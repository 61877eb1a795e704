//! Requests to Resource Manager, as a user makes them in the portal: checked by the stand-in, and possible while the
//! device's link is cut.

use azure_standin::{Azure, cluster_id};
use serde_json::{Value, json};

/// A document of Azure: `fluxConfigurations` or `extensions`, and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub plural: &'static str,
    pub name: String,
}

/// What a cluster has of either sort, in the words of ARM's ids and of `arclet desired`.
pub const SORTS: [(&str, &str); 2] = [("fluxConfigurations", "flux"), ("extensions", "extension")];

/// Properties that Azure sets and a user does not.
const ITS_OWN: [&str; 12] = [
    "provisioningState",
    "complianceState",
    "statuses",
    "statusUpdatedAt",
    "sourceSyncedCommitId",
    "sourceUpdatedAt",
    "errorInfo",
    "errorMessage",
    "repositoryPublicKey",
    "currentVersion",
    "isSystemExtension",
    "packageUri",
];

impl Ask {
    pub fn flux(name: &str) -> Ask {
        Ask { plural: SORTS[0].0, name: name.to_owned() }
    }

    pub fn extension(name: &str) -> Ask {
        Ask { plural: SORTS[1].0, name: name.to_owned() }
    }

    /// The document that `arclet desired` calls so.
    pub fn of(document: &str) -> Option<Ask> {
        let (sort, name) = document.split_once('/')?;
        let (plural, _) = SORTS.into_iter().find(|(_, short)| *short == sort)?;
        plain(name).then(|| Ask { plural, name: name.to_owned() })
    }

    fn target(&self) -> String {
        format!(
            "{}/providers/Microsoft.KubernetesConfiguration/{}/{}",
            cluster_id("k3s-1"),
            self.plural,
            self.name
        )
    }

    /// Makes or replaces it. The body is as in ARM's documentation; an error is Resource Manager's.
    pub fn put(&self, azure: &Azure, body: &str) -> Result<(), String> {
        said(azure.operate("PUT", &format!("{}?{VERSION}", self.target()), body)).map(drop)
    }

    /// Deletes it. Without Microsoft's agents it then stays `Deleting` for ever, until it is deleted by force.
    pub fn delete(&self, azure: &Azure) -> Result<String, String> {
        let document = said(azure.operate("GET", &format!("{}?{VERSION}", self.target()), ""))?;
        let force = document["properties"]["provisioningState"] == "Deleting";
        let query = if force { "&forceDelete=true" } else { "" };
        said(azure.operate("DELETE", &format!("{}?{VERSION}{query}", self.target()), ""))?;
        Ok(match force {
            true => format!("{} is deleted in Azure by force", self.name),
            false => format!("{} is Deleting in Azure", self.name),
        })
    }
}

const VERSION: &str = "api-version=2024-11-01";

/// All documents of the cluster: as `arclet desired` calls them, a word on each, and the JSON of what a user may set.
pub fn documents(azure: &Azure) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for (plural, short) in SORTS {
        let parent = Ask { plural, name: String::new() }.target();
        let listed = said(azure.operate("GET", &format!("{}?{VERSION}", parent.trim_end_matches('/')), ""));
        for item in listed.unwrap_or_default()["value"].as_array().into_iter().flatten() {
            let name = item["name"].as_str().unwrap_or_default();
            all.push((format!("{short}/{name}"), word(item), text(name, item)));
        }
    }
    all
}

fn word(document: &Value) -> String {
    let properties = &document["properties"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let branch = &properties["gitRepository"]["repositoryRef"]["branch"];
    let what = match (branch.as_str(), properties["version"].as_str()) {
        (Some(branch), _) => format!("branch {branch}, "),
        (None, Some(version)) => format!("version {version}, "),
        (None, None) => String::new(),
    };
    format!("{what}{}", text(&properties["provisioningState"]))
}

fn text(name: &str, document: &Value) -> String {
    let mut properties = document["properties"].clone();
    if let Some(map) = properties.as_object_mut() {
        map.retain(|key, _| !ITS_OWN.contains(&key.as_str()));
    }
    said_only(&mut properties);
    pretty(&json!({"name": name, "properties": properties}))
}

/// Leaves out what is not set.
fn said_only(value: &mut Value) {
    let Some(map) = value.as_object_mut() else { return };
    map.values_mut().for_each(said_only);
    map.retain(|_, value| !value.is_null() && value.as_object().is_none_or(|inner| !inner.is_empty()));
}

pub fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// Whether a name can stand in a path as it is.
pub fn plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

fn said((status, answer): (u16, Value)) -> Result<Value, String> {
    let error = &answer["error"];
    match status {
        200..300 => Ok(answer),
        _ => Err(format!(
            "{status} {}: {}",
            error["code"].as_str().unwrap_or("from Resource Manager"),
            error["message"].as_str().unwrap_or_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_edits_what_a_user_may_set_and_nothing_that_is_not_set() {
        let document = json!({"properties": {"provisioningState": "Creating", "scope": "cluster", "bucket": null,
            "configurationProtectedSettings": {}, "gitRepository": {"url": "u", "repositoryRef": {"tag": null}}}});
        let shown: Value = serde_json::from_str(&text("a", &document)).unwrap();
        let wanted = json!({"name": "a", "properties": {"scope": "cluster", "gitRepository": {"url": "u"}}});
        assert_eq!(shown, wanted);
    }

    #[test]
    fn a_name_that_is_no_name_is_no_part_of_a_path() {
        assert_eq!(Ask::of("flux/fleet"), Some(Ask::flux("fleet")));
        for document in ["flux/../x", "flux/", "policy/a", "flux"] {
            assert_eq!(Ask::of(document), None, "{document}");
        }
    }
}
