//! Two states of one object side by side: as it is, and as an apply would leave it.
//!
//! Pure. What the API server itself counts and stamps is no difference, and `status` is not what anybody wants. Of a Secret
//! only metadata comes in here, and what it holds is judged by whose its fields are and when they were last set.

use super::FIELD_MANAGER;
use crate::core::difference::FieldDiff;
use serde_json::{Map, Value};

/// One step into an object.
#[derive(Clone)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// The fields that differ, in the order of their paths.
pub(super) fn fields(has: &Value, wanted: &Value) -> Vec<FieldDiff> {
    let mut found = Vec::new();
    let (has_fields, wanted_fields) = (members(has), members(wanted));
    for key in keys(has_fields, wanted_fields) {
        let pair = (has.get(key), wanted.get(key));
        match key {
            "apiVersion" | "kind" | "status" => {}
            "metadata" => {
                for part in ["annotations", "finalizers", "labels", "ownerReferences"] {
                    let of = |side: Option<&'_ Value>| side.and_then(|m| m.get(part)).cloned();
                    let (has_part, wanted_part) = (of(pair.0), of(pair.1));
                    let mut path = vec![Step::Key("metadata"), Step::Key(part)];
                    walk(has, has_part.as_ref(), wanted_part.as_ref(), &mut path, &mut found);
                }
            }
            _ => walk(has, pair.0, pair.1, &mut vec![Step::Key(key)], &mut found),
        }
    }
    found
}

/// What is to be said of a Secret's content, from the metadata of both states: an apply would take fields from others, or
/// give some up, or set one anew. `metadata_differs`: then a newer time says nothing about the content.
pub(super) fn content(has: &Value, wanted: &Value, metadata_differs: bool) -> Vec<FieldDiff> {
    let (before, after) = (ours(has), ours(wanted));
    let mut found = Vec::new();
    for part in ["data", "stringData"] {
        let of = |entry: Option<&'_ Value>| {
            let set = entry.and_then(|e| e.get("fieldsV1")).and_then(|f| f.get(format!("f:{part}")));
            set.and_then(Value::as_object).cloned().unwrap_or_default()
        };
        let (had, has_now) = (of(before), of(after));
        let changed =
            had.keys().chain(has_now.keys()).filter(|k| had.contains_key(*k) != has_now.contains_key(*k));
        for key in changed.filter_map(|key| key.strip_prefix("f:")) {
            let path = [Step::Key(part), Step::Key(key)];
            found.push(secret(text(&path), owner(has, &path)));
        }
    }
    let time = |entry: Option<&'_ Value>| entry.and_then(|e| e.get("time")).cloned();
    if found.is_empty() && !metadata_differs && time(before) != time(after) {
        found.push(secret("data".to_owned(), None));
    }
    found
}

fn secret(path: String, owner: Option<String>) -> FieldDiff {
    FieldDiff { path, wanted: None, has: None, owner, secret: true }
}

fn walk<'a>(
    object: &Value,
    has: Option<&'a Value>,
    wanted: Option<&'a Value>,
    path: &mut Vec<Step<'a>>,
    found: &mut Vec<FieldDiff>,
) {
    match (has, wanted) {
        (has, wanted) if has == wanted => {}
        (Some(Value::Object(has)), Some(Value::Object(wanted))) => {
            for key in keys(Some(has), Some(wanted)) {
                path.push(Step::Key(key));
                walk(object, has.get(key), wanted.get(key), path, found);
                path.pop();
            }
        }
        (Some(Value::Array(has)), Some(Value::Array(wanted))) => {
            for n in 0..has.len().max(wanted.len()) {
                path.push(Step::Item(n));
                walk(object, has.get(n), wanted.get(n), path, found);
                path.pop();
            }
        }
        (has, wanted) => found.push(FieldDiff {
            path: text(path),
            wanted: wanted.map(cut),
            has: has.map(cut),
            owner: owner(object, path),
            secret: false,
        }),
    }
}

fn members(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

/// The keys of both, each once, in order.
fn keys<'a>(a: Option<&'a Map<String, Value>>, b: Option<&'a Map<String, Value>>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = [a, b].into_iter().flatten().flat_map(Map::keys).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// A path as people write it.
fn text(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Item(n) => text.push_str(&format!("[{n}]")),
            Step::Key(key) if !key.is_empty() && key.bytes().all(plain) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Step::Key(key) => text.push_str(&format!("[{key:?}]")),
        }
    }
    text
}

fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

/// arclet's entry among those who apply.
fn ours(object: &Value) -> Option<&Value> {
    managers(object).find(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
}

fn managers(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten()
}

/// Who else than arclet set what is at this path, or the list or map that it is in.
fn owner(object: &Value, path: &[Step<'_>]) -> Option<String> {
    let owns = |entry: &&Value| {
        let mut set = &entry["fieldsV1"];
        for step in path {
            let next = match step {
                Step::Key(key) => set.get(format!("f:{key}")),
                // A list's items are named by their keys or values: only one that is owned as a whole is recognised.
                Step::Item(_) => None,
            };
            match next {
                Some(next) => set = next,
                None => return is_leaf(set),
            }
        }
        !set.is_null()
    };
    let others = managers(object).filter(|entry| entry["manager"] != FIELD_MANAGER);
    let named = others.filter(|entry| entry["subresource"].is_null()).find(owns)?;
    named["manager"].as_str().map(|name| name.chars().take(MOST_NAME).collect())
}

fn is_leaf(set: &Value) -> bool {
    set.as_object().is_some_and(Map::is_empty)
}

/// A value of a size that people read.
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.char_indices().nth(MOST_VALUE) {
            Some((at, _)) => Value::String(format!("{}…", &text[..at])),
            None => value.clone(),
        },
        Value::Array(_) | Value::Object(_) => {
            let text = value.to_string();
            match text.char_indices().nth(MOST_VALUE) {
                Some((at, _)) => Value::String(format!("{}…", &text[..at])),
                None => value.clone(),
            }
        }
        _ => value.clone(),
    }
}

/// Characters of a value that are shown.
const MOST_VALUE: usize = 400;
/// Characters of a manager's name that are shown; Kubernetes allows 128.
const MOST_NAME: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(has: Value, wanted: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        fields(&has, &wanted).into_iter().map(|f| (f.path, f.wanted, f.has)).collect()
    }

    #[test]
    fn each_field_that_differs_is_named_with_both_values_and_others_are_not() {
        let has =
            json!({"spec": {"interval": "5m", "prune": true, "path": "./a", "ref": {"branch": "mine"}}});
        let wanted =
            json!({"spec": {"interval": "10m", "prune": true, "ref": {"branch": "mine"}, "wait": false}});
        let found = shown(has, wanted);
        assert_eq!(
            found,
            [
                ("spec.interval".to_owned(), Some(json!("10m")), Some(json!("5m"))),
                ("spec.path".to_owned(), None, Some(json!("./a"))),
                ("spec.wait".to_owned(), Some(json!(false)), None),
            ]
        );
    }

    #[test]
    fn lists_are_compared_item_by_item_and_odd_names_are_quoted() {
        let has = json!({"metadata": {"labels": {"a/b": "1"}}, "spec": {"dependsOn": [{"name": "a"}, {"name": "x"}]}});
        let wanted = json!({"metadata": {"labels": {"a/b": "2"}},
            "spec": {"dependsOn": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}});
        let paths: Vec<String> = shown(has, wanted).into_iter().map(|(path, ..)| path).collect();
        assert_eq!(paths, [r#"metadata.labels["a/b"]"#, "spec.dependsOn[1].name", "spec.dependsOn[2]"]);
    }

    #[test]
    fn what_the_server_counts_and_the_status_are_no_difference() {
        let has = json!({"metadata": {"resourceVersion": "1", "generation": 1, "managedFields": [], "uid": "a"},
            "status": {"a": 1}});
        let wanted =
            json!({"metadata": {"resourceVersion": "1", "generation": 2, "managedFields": [1], "uid": "b"}});
        assert_eq!(shown(has, wanted), []);
    }

    #[test]
    fn who_set_a_field_is_named_unless_it_was_arclet() {
        let set = |manager: &str, fields: Value| json!({"manager": manager, "fieldsV1": fields});
        let has = json!({"metadata": {"managedFields": [
                set("arclet", json!({"f:spec": {"f:interval": {}, "f:path": {}}})),
                set("kubectl-edit", json!({"f:spec": {"f:ref": {"f:branch": {}}, "f:list": {}}}))]},
            "spec": {"interval": "1", "ref": {"branch": "mine"}, "list": ["a"]}});
        let wanted = json!({"spec": {"interval": "2", "ref": {"branch": "main"}, "list": ["b"]}});
        let owners: Vec<_> = fields(&has, &wanted).into_iter().map(|f| (f.path, f.owner)).collect();
        let kubectl = || Some("kubectl-edit".to_owned());
        assert_eq!(
            owners,
            [
                ("spec.interval".to_owned(), None),
                ("spec.list[0]".to_owned(), kubectl()),
                ("spec.ref.branch".to_owned(), kubectl()),
            ]
        );
    }

    #[test]
    fn a_secrets_content_differs_when_a_key_is_not_ours_or_is_set_anew_and_no_value_is_ever_asked_for() {
        let state = |time: &str, keys: &[&str]| {
            let data: Map<String, Value> = keys.iter().map(|k| (format!("f:{k}"), json!({}))).collect();
            json!({"metadata": {"managedFields": [{"manager": "arclet", "operation": "Apply", "time": time,
                "fieldsV1": {"f:data": data}}]}})
        };
        let paths = |has: &Value, wanted: &Value, metadata| {
            let found = content(has, wanted, metadata);
            assert!(found.iter().all(|f| f.secret && f.wanted.is_none() && f.has.is_none()), "{found:?}");
            found.into_iter().map(|f| f.path).collect::<Vec<_>>()
        };
        let both = state("1", &["password", "username"]);
        assert_eq!(paths(&both, &both, false), [] as [&str; 0]);
        assert_eq!(
            paths(&state("1", &["username"]), &state("2", &["password", "username"]), false),
            ["data.password"]
        );
        assert_eq!(paths(&both, &state("2", &["password", "username"]), false), ["data"]);
        assert_eq!(
            paths(&both, &state("2", &["password", "username"]), true),
            [] as [&str; 0],
            "a label was it"
        );
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let found =
            fields(&json!({"data": {"a": "é".repeat(1_000)}}), &json!({"data": {"a": vec!["é"; 900]}}));
        let long = |value: &Option<Value>| value.as_ref().unwrap().as_str().unwrap().chars().count();
        assert_eq!((long(&found[0].has), long(&found[0].wanted)), (MOST_VALUE + 1, MOST_VALUE + 1));
    }
}
