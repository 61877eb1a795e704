//! Long-running operations (azure-arm.md 2): how a change goes on after its first answer.

use super::Call;
use crate::state::State;
use crate::wire::{Answer, guid, now};
use serde_json::json;

/// How a long-running operation is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// PUT 201 and DELETE 202 with `Azure-AsyncOperation`, as the real service does.
    #[default]
    Async,
    /// PUT 201 whose resource itself must be polled; DELETE 202 with `Location`.
    Body,
    /// Done at once: 200.
    Sync,
    /// `Azure-AsyncOperation` that ends as `Failed`.
    Failed,
}

/// A change that is not over yet.
pub(crate) struct Operation {
    pub left: u32,
    pub failed: bool,
    /// The resource that goes when it ends; with a `+` before it, the one that stays and has succeeded.
    pub deletes: Option<String>,
}

/// A look at a resource that must itself be polled.
pub fn advance_body(state: &mut State, id: &str) {
    let Some(operation) = state.clusters.operations.get_mut(id) else { return };
    operation.left = operation.left.saturating_sub(1);
    if operation.left == 0 {
        state.clusters.operations.remove(id);
        if let Some(resource) = state.clusters.resources.get_mut(id) {
            resource["properties"]["provisioningState"] = "Succeeded".into();
        }
    }
}

/// Begins an operation on the resource `id`, which it deletes if that is in `deletes`, and returns its status URL.
pub fn begin(state: &mut State, call: &Call<'_>, id: String, deletes: Option<String>) -> String {
    let operation = guid();
    let failed = state.clusters.shape == Shape::Failed;
    if failed
        && deletes.is_none()
        && let Some(resource) = state.clusters.resources.get_mut(&id)
    {
        resource["properties"]["provisioningState"] = "Failed".into();
    }
    state.clusters.operations.insert(
        operation.clone(),
        Operation { left: state.clusters.polls, failed, deletes: deletes.or(Some(format!("+{id}"))) },
    );
    format!(
        "{}/subscriptions/{}/providers/Microsoft.Kubernetes/locations/EASTUS/operationStatuses/{operation}?api-version=2026-05-01",
        call.question.base, state.subscription
    )
}

/// `GET …/operationStatuses/{id}`.
pub fn operation(state: &mut State, call: &Call<'_>, id: &str) -> Result<Answer, Answer> {
    let retry = state.clusters.retry_after.to_string();
    let Some(operation) = state.clusters.operations.get_mut(id) else {
        return Err(Answer::error(404, "ResourceNotFound", "The operation was not found."));
    };
    let url = call.question.path.clone();
    let location_form = call.question.parameter("form") == Some("location");
    if operation.left > 0 {
        operation.left -= 1;
        return Ok(if location_form {
            Answer::empty(202)
                .with("location", format!("{}{url}?api-version=2026-05-01&form=location", call.question.base))
        } else {
            Answer::json(202, json!({ "id": url, "name": id, "status": "InProgress", "startTime": now() }))
        }
        .with("retry-after", retry));
    }
    let failed = operation.failed;
    let target = operation.deletes.clone().unwrap_or_default();
    if !failed {
        match target.strip_prefix('+') {
            Some(made) => {
                if let Some(resource) = state.clusters.resources.get_mut(made) {
                    resource["properties"]["provisioningState"] = "Succeeded".into();
                }
            }
            None => {
                state.remove_cluster(&target);
            }
        }
    }
    if location_form {
        return Ok(Answer::empty(204));
    }
    let mut body = json!({ "id": url, "name": id, "status": if failed { "Failed" } else { "Succeeded" }, "startTime": now(), "endTime": now() });
    if failed {
        body["error"] = json!({ "code": "ClusterAlreadyOnboarded", "message": "The operation failed because a test wanted it to." });
    }
    Ok(Answer::json(200, body))
}
