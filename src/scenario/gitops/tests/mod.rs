//! One file a subject; what they share is here.

mod dependencies;
mod golden;
mod picture;
mod properties;
mod refusals;
mod secrets;
mod versions;

use super::*;
use serde_json::json;

fn flux() -> Served {
    let group = |name: &str| (format!("{name}.toolkit.fluxcd.io"), vec!["v1".to_owned()]);
    [group("source"), group("kustomize")].into()
}

/// A configuration in namespace `team` with a public git repository; `changes` are laid over its properties.
fn document(changes: Value) -> Value {
    let mut properties = json!({
        "namespace": "team",
        "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": "main"}},
    });
    for (field, value) in changes.as_object().unwrap() {
        properties[field] = value.clone();
    }
    json!({"name": "fleet", "properties": properties})
}

fn rendered(document: &Value) -> Result<Vec<Value>, Reason> {
    render(document.to_string().as_bytes(), &flux(), &Supplies::default())
}

/// The reason for which a configuration with these changes is refused.
fn refusal(changes: Value) -> Reason {
    rendered(&document(changes)).unwrap_err()
}

fn git(fields: Value) -> Value {
    json!({"gitRepository": fields})
}

fn kustomizations(of: Value) -> Value {
    json!({"kustomizations": of})
}

#[track_caller]
fn names_the_field(reason: Reason, code: &str, field: &str) {
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.message.contains(field), "{reason}");
    assert!(!reason.next_step.is_empty(), "{reason}");
}
