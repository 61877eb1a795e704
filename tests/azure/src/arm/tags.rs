//! Microsoft.Resources/tags (azure-arm.md 10): changed at a scope without touching the resource's other members.

use super::Call;
use super::clusters::{bad, not_found};
use crate::state::State;
use crate::wire::Answer;
use serde_json::{Value, json};

const TAGS_MAX: usize = 50;
/// `…/providers/Microsoft.Resources/tags/default` on the resource in the first `depth` segments.
pub fn tags(state: &mut State, call: &Call<'_>, depth: usize) -> Result<Answer, Answer> {
    let id = format!("/{}", call.lower[..depth].join("/"));
    let action = if call.question.method == "GET" {
        "Microsoft.Resources/tags/read"
    } else {
        "Microsoft.Resources/tags/write"
    };
    call.require(action, &id)?;
    let resource = state.clusters.resources.get_mut(&id).ok_or_else(|| not_found(call))?;
    let shown = |tags: &Value| {
        Answer::json(
            200,
            json!({ "id": format!("{id}/providers/Microsoft.Resources/tags/default"), "name": "default", "type": "Microsoft.Resources/tags", "properties": { "tags": tags } }),
        )
    };
    if call.question.method == "GET" {
        return Ok(shown(&resource["tags"]));
    }
    let body = call.question.json().ok_or_else(|| bad("The request content was invalid."))?;
    let given = body["properties"]["tags"].as_object().ok_or_else(|| bad("properties.tags is required."))?;
    let mut tags = resource["tags"].as_object().cloned().unwrap_or_default();
    match (call.question.method.as_str(), body["operation"].as_str()) {
        ("PATCH", Some("Merge")) => tags.extend(given.clone()),
        ("PATCH", Some("Replace")) | ("PUT", _) => tags = given.clone(),
        ("PATCH", Some("Delete")) => tags.retain(|name, _| !given.contains_key(name)),
        _ => return Err(bad("operation must be Merge, Replace or Delete.")),
    }
    tags_fit(&Value::Object(tags.clone()))?;
    resource["tags"] = Value::Object(tags);
    Ok(shown(&resource["tags"]))
}

/// Whether tags are within Azure's limits.
pub fn tags_fit(tags: &Value) -> Result<(), Answer> {
    let Some(tags) = tags.as_object() else { return Ok(()) };
    let fits = tags.len() <= TAGS_MAX
        && tags.iter().all(|(name, value)| {
            !name.is_empty() && name.len() <= 512 && value.as_str().is_some_and(|v| v.len() <= 256)
        });
    if fits {
        Ok(())
    } else {
        Err(Answer::error(
            400,
            "InvalidTagValueLength",
            "A resource has at most 50 tags, names of 512 and values of 256 characters.",
        ))
    }
}
