//! Server-side apply, in the small: fields are owned by their path, lists as a whole.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// For each manager the paths that it set, in the form `.data.key`.
pub type Owners = BTreeMap<String, BTreeSet<String>>;

/// The values of an object by their path.
#[derive(Default)]
pub struct Leaves(BTreeMap<String, (Vec<String>, Value)>);

impl Leaves {
    pub fn of(object: &Value) -> Leaves {
        let mut all = Leaves::default();
        leaves(object, &mut Vec::new(), &mut all.0);
        all
    }
}

/// Somebody updated an object: what differs is theirs, what is away is nobody's.
pub fn updated(owners: &mut Owners, before: &Leaves, after: &Leaves, manager: &str) {
    let paths: BTreeSet<&String> = before.0.keys().chain(after.0.keys()).collect();
    for path in paths {
        let new = after.0.get(path).map(|(_, value)| value);
        if before.0.get(path).map(|(_, value)| value) == new {
            continue;
        }
        for theirs in owners.values_mut() {
            theirs.remove(path);
        }
        if new.is_some() {
            owners.entry(manager.to_owned()).or_default().insert(path.clone());
        }
    }
}

/// Fields that name an object and that nobody owns.
const NAMES: [&str; 4] = [".apiVersion", ".kind", ".metadata.name", ".metadata.namespace"];

fn leaves(value: &Value, path: &mut Vec<String>, out: &mut BTreeMap<String, (Vec<String>, Value)>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(name.clone());
                leaves(value, path, out);
                path.pop();
            }
        }
        _ => {
            let text: String = path.iter().map(|part| format!(".{part}")).collect();
            if !NAMES.contains(&text.as_str()) {
                out.insert(text, (path.clone(), value.clone()));
            }
        }
    }
}

fn at<'a>(object: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, part| value.get(part))
}

fn set(object: &mut Value, path: &[String], value: Value) {
    let Some((last, parents)) = path.split_last() else { return };
    let mut place = object;
    for part in parents {
        place = &mut place[part];
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
    }
    place[last] = value;
}

fn unset(object: &mut Value, path: &[String]) {
    let Some((last, parents)) = path.split_last() else { return };
    let parent = parents.iter().try_fold(object, |value, part| value.get_mut(part));
    if let Some(fields) = parent.and_then(Value::as_object_mut) {
        fields.remove(last);
    }
}

/// The set of paths in the form of `fieldsV1`.
pub fn fields(object: &Value, paths: &BTreeSet<String>) -> Value {
    let mut set = json!({});
    for (path, _) in
        Leaves::of(object).0.into_iter().filter(|(text, _)| paths.contains(text)).map(|(_, leaf)| leaf)
    {
        let mut place = &mut set;
        for part in path {
            place = &mut place[format!("f:{part}")];
            if place.is_null() {
                *place = json!({});
            }
        }
    }
    set
}

/// Applies `wanted` to the object. Conflicts come back as the causes of a Status.
pub fn apply(
    object: &mut Value,
    owners: &mut Owners,
    wanted: &Value,
    manager: &str,
    force: bool,
) -> Result<(), Vec<Value>> {
    let new = Leaves::of(wanted).0;
    let mut conflicts = Vec::new();
    for (other, paths) in owners.iter().filter(|(other, _)| *other != manager) {
        for (text, (path, value)) in &new {
            if paths.contains(text) && at(object, path) != Some(value) {
                conflicts.push((other.clone(), text.clone()));
            }
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts
            .iter()
            .map(|(other, field)| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{other}\""), "field": field})
            })
            .collect());
    }
    for (other, field) in conflicts {
        owners.get_mut(&other).unwrap().remove(&field);
    }
    // What this manager set before and no longer wants goes, unless somebody else wants it too.
    let before = owners.insert(manager.to_owned(), new.keys().cloned().collect()).unwrap_or_default();
    for text in before.iter().filter(|text| !new.contains_key(*text)) {
        if !owners.values().any(|paths| paths.contains(text))
            && let Some((path, _)) = Leaves::of(object).0.get(text)
        {
            unset(object, path);
        }
    }
    for (path, value) in new.into_values() {
        set(object, &path, value);
    }
    Ok(())
}
