//! How a document lives without Microsoft's agents: what was begun stays begun, grows old after 48 hours, and a deletion
//! stays `Deleting` until somebody forces it (arc-behaviour.md section 4).

use super::{Call, Children};
use crate::state::State;
use crate::wire::Answer;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

/// How long a change waits for an agent (documented, and `x-ms-async-operation-timeout` in the specification's examples;
/// the real service was not asked).
const PATIENCE: SignedDuration = SignedDuration::from_hours(48);

/// A change that was begun, and its resource's id in lower case.
pub struct Operation {
    pub resource: String,
}

impl Children {
    /// What has waited for too long at `now` has failed.
    pub fn age(&mut self, now: Timestamp) {
        for child in self.all.values_mut() {
            let properties = &mut child.resource["properties"];
            let waits = matches!(properties["provisioningState"].as_str(), Some("Creating" | "Updating"));
            if !waits || now.duration_since(child.since) < PATIENCE {
                continue;
            }
            let text = "The request timed out: the cluster's agents have not picked it up within 48 hours.";
            properties["provisioningState"] = "Failed".into();
            if properties.get("errorMessage").is_some() {
                properties["errorMessage"] = text.into();
            } else {
                properties["errorInfo"] = json!({ "code": "ExtensionCreationFailed", "message": text });
            }
        }
    }
}

/// `GET …/{name}/operations/{id}`: what the resource itself says.
pub fn operation(state: &State, call: &Call<'_>, id: &str) -> Result<Answer, Answer> {
    let gone = || Answer::error(404, "ResourceNotFound", "The operation was not found.");
    let operation = state.children.operations.get(id).ok_or_else(gone)?;
    let resource = state.children.all.get(&operation.resource);
    // A change whose resource is gone has nothing left to do.
    let status = resource.and_then(|c| c.resource["properties"]["provisioningState"].as_str());
    let status = status.unwrap_or("Succeeded");
    let mut body = json!({ "id": call.question.path, "name": id, "status": status, "properties": {} });
    if status == "Failed" {
        body["error"] =
            json!({ "code": "Timeout", "message": "The cluster's agents have not picked it up." });
    }
    let retry = state.clusters.retry_after.to_string();
    Ok(Answer::json(200, body).with("retry-after", retry))
}
