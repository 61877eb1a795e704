//! Settings as Azure has them, `a.b[0].c` = text, made into the tree of values that a chart takes: the keys and types of
//! Helm's `--set` (helm.sh/docs/intro/using_helm: dots go down, `\.` is a dot, `[0]` an item of a list; `true`, `false`,
//! `null` and whole numbers are not texts). A value is one value: a comma or a brace in it means nothing.

use super::code;
use crate::core::Reason;
use crate::scenario::fields::shown;
use serde_json::{Map, Value};

/// Items of a list. Helm takes 65,536; a slip of the finger is not to take the memory.
const MOST_ITEMS: usize = 1024;
/// Steps down.
const MOST_STEPS: usize = 32;

enum Step {
    Key(String),
    Item(usize),
}

/// Puts the settings into a tree; `base` holds what they may replace. `whose` names them in a complaint, which never has a
/// value in it.
pub(super) fn tree(base: Value, settings: &[(&str, &str)], whose: &str) -> Result<Value, Reason> {
    let mut tree = base;
    for (key, text) in settings {
        let complain = |what: &str| {
            Reason::new(code::BAD_SETTING, format!("{whose}: {} {what}", shown(key)))
                .cure("write it as helm's --set takes it: a.b, a.b[0], a dot within a name as \\.")
        };
        let steps = steps(key).ok_or_else(|| complain("is no path of a value"))?;
        set(&mut tree, &steps, typed(text)).map_err(complain)?;
    }
    Ok(tree)
}

/// The steps of a key; `None`: it is not one.
fn steps(key: &str) -> Option<Vec<Step>> {
    let (mut steps, mut name, mut open) = (Vec::new(), String::new(), true);
    let mut rest = key.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' => name.push(rest.next()?),
            '.' => {
                // `a[0].b`: the item was the step.
                if open {
                    steps.push(Step::Key(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty())?));
                }
                open = true;
                rest.peek()?;
            }
            '[' => {
                if open {
                    steps.push(Step::Key(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty())?));
                }
                let digits: String = rest.by_ref().take_while(|c| *c != ']').collect();
                steps.push(Step::Item(digits.parse().ok().filter(|at| *at < MOST_ITEMS)?));
                open = false;
                if rest.peek().is_some_and(|c| !['.', '['].contains(c)) {
                    return None;
                }
            }
            _ => name.push(c),
        }
    }
    if open {
        steps.push(Step::Key(Some(name).filter(|name| !name.is_empty())?));
    }
    (steps.len() <= MOST_STEPS).then_some(steps)
}

fn set(tree: &mut Value, steps: &[Step], value: Value) -> Result<(), &'static str> {
    let Some((step, rest)) = steps.split_first() else {
        *tree = value;
        return Ok(());
    };
    let inner = match step {
        Step::Key(key) => {
            if tree.is_null() {
                *tree = Value::Object(Map::new());
            }
            let map =
                tree.as_object_mut().ok_or("goes into what another setting makes a plain value or a list")?;
            map.entry(key.as_str()).or_insert(Value::Null)
        }
        Step::Item(at) => {
            if tree.is_null() {
                *tree = Value::Array(Vec::new());
            }
            let list = tree.as_array_mut().ok_or("counts items of what another setting makes no list")?;
            if list.len() <= *at {
                list.resize(at + 1, Value::Null);
            }
            &mut list[*at]
        }
    };
    if rest.is_empty() && (inner.is_object() || inner.is_array()) {
        return Err("is a plain value where other settings go further down");
    }
    set(inner, rest, value)
}

/// Helm's types: whole numbers do not begin with a zero.
fn typed(text: &str) -> Value {
    let word = |word: &str| text.eq_ignore_ascii_case(word);
    if word("true") || word("false") {
        return Value::Bool(word("true"));
    }
    if word("null") {
        return Value::Null;
    }
    match text.parse::<i64>() {
        Ok(number) if text == "0" || !text.starts_with(['0', '+']) => number.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tree_of(settings: &[(&str, &str)]) -> Result<Value, Reason> {
        tree(json!({}), settings, "properties.configurationSettings")
    }

    #[test]
    fn settings_become_the_values_that_helms_set_makes_of_them() {
        let settings = [
            ("a.b", "x"),
            ("a.c[0].d", "1"),
            ("a.c[1].d", "007"),
            ("labels.example\\.com/name", "y"),
            ("on", "TRUE"),
            ("off", "false"),
            ("none", "null"),
            ("zero", "0"),
            ("minus", "-5"),
            ("big", "99999999999999999999"),
            ("half", "0.5"),
            ("text", "{a,b}=c"),
            ("empty", ""),
            ("matrix[1][0]", "z"),
        ];
        let wanted = json!({
            "a": {"b": "x", "c": [{"d": 1}, {"d": "007"}]},
            "labels": {"example.com/name": "y"},
            "on": true, "off": false, "none": null, "zero": 0, "minus": -5,
            "big": "99999999999999999999", "half": "0.5", "text": "{a,b}=c", "empty": "",
            "matrix": [null, ["z"]],
        });
        assert_eq!(tree_of(&settings).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_path_or_contradicts_another_is_named_without_its_value() {
        for settings in [
            &[("", "s3cret")][..],
            &[("a..b", "s3cret")],
            &[("a.", "s3cret")],
            &[(".a", "s3cret")],
            &[("a[x]", "s3cret")],
            &[("a[1", "s3cret"), ("a.b", "s3cret")],
            &[("a[9999999]", "s3cret")],
            &[("a[0]b", "s3cret")],
            &[("a\\", "s3cret")],
            &[("a", "s3cret"), ("a.b", "s3cret")],
            &[("a.b", "s3cret"), ("a", "s3cret")],
            &[("a.b", "s3cret"), ("a[0]", "s3cret")],
        ] {
            let reason = tree_of(settings).unwrap_err();
            assert_eq!(reason.code, code::BAD_SETTING, "{settings:?}");
            assert!(!reason.to_string().contains("s3cret"), "{reason}");
        }
        assert!(tree_of(&[("a.".repeat(40).trim_end_matches('.'), "x")]).is_err());
    }

    #[test]
    fn a_setting_may_replace_what_it_was_given_but_not_what_is_beside_it() {
        let base = json!({"Azure": {"Cluster": {"Region": "eastus", "Cloud": "AzureCloud"}}});
        let tree = tree(base, &[("Azure.Cluster.Region", "westus")], "x").unwrap();
        assert_eq!(tree, json!({"Azure": {"Cluster": {"Region": "westus", "Cloud": "AzureCloud"}}}));
    }
}
