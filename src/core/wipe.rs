//! Wiping JSON that may hold secrets: its texts are overwritten where they lie, names and numbers stay.

use serde_json::Value;
use zeroize::Zeroize;

/// Wipes every text in it.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_text_is_left_however_deep_it_was() {
        let mut value = json!({"a": "x", "b": [{"c": "y"}, "z"], "d": 5});
        wipe(&mut value);
        assert_eq!(value, json!({"a": "", "b": [{"c": ""}, ""], "d": 5}));
    }
}
