//! Small looks at objects as the API server returns them.

use serde_json::Value;

/// The text at a JSON pointer.
pub fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// The items of a list at a JSON pointer; none if there is no list.
pub fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A condition of the object's status.
pub fn condition<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    items(object, "/status/conditions").find(|condition| text(condition, "/type") == Some(name))
}

/// Whether a condition of the object's status is `True`.
pub fn is_true(object: &Value, name: &str) -> bool {
    condition(object, name).is_some_and(|condition| text(condition, "/status") == Some("True"))
}

/// Whether its deletion has begun.
pub fn is_leaving(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
}

/// At most so many characters.
pub fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}

/// Characters of what an object says that are kept. Kubernetes allows a message of 32 kB, and a picture is pushed at every
/// change.
pub const LONGEST_MESSAGE: usize = 1000;
/// The same of a reason's word.
pub const LONGEST_REASON: usize = 128;
