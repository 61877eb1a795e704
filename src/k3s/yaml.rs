//! YAML into JSON values, as far as files of Kubernetes need it.
//!
//! Own code over the events of a parser: a reader for any Rust type by serde was a tenth of the program
//! (docs/decisions/0002-footprint.md). What such files do not use is an error and not a guess: aliases (with which a small
//! file becomes a large value), tags, merge keys, keys that are no scalars. Numbers, booleans and null are those of YAML
//! 1.2's core schema, in decimal. An error tells the place and quotes nothing: kubeconfigs are full of secrets.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use std::fmt;

/// Lists and mappings within each other. A kubeconfig has 5.
const DEPTH: usize = 32;
/// Values and keys of one text. A kubeconfig of ten clusters has 400.
const NODES: usize = 10_000;

const BAD: &str = "it is not YAML";

/// Why a text was not read, and where; lines and columns count from 1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Error {
    why: &'static str,
    line: usize,
    column: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at line {} column {}", self.why, self.line, self.column)
    }
}

/// The documents of a text, in order.
pub(super) fn documents(text: &str) -> Result<Vec<Value>, Error> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: DEPTH,
        block_nesting_limit: DEPTH,
    };
    let mut tree = Tree::default();
    for event in Parser::new_from_str_with_options(text, options) {
        // The parser counts lines from 1 and columns from 0.
        let at =
            |why, place: &granit_parser::Marker| Error { why, line: place.line(), column: place.col() + 1 };
        let (event, span) = event.map_err(|e| at(BAD, e.marker()))?;
        tree.take(event).map_err(|why| at(why, &span.start))?;
    }
    Ok(tree.documents)
}

/// What was read, and what is open of the document at hand.
#[derive(Default)]
struct Tree {
    documents: Vec<Value>,
    open: Vec<Open>,
    nodes: usize,
}

enum Open {
    List(Vec<Value>),
    /// With the key whose value comes next.
    Mapping(Map<String, Value>, Option<String>),
}

impl Tree {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::Scalar(.., Some(_))
            | Event::SequenceStart(.., Some(_))
            | Event::MappingStart(.., Some(_)) => Err("a tag is not supported"),
            Event::Alias(_) => Err("an alias is not supported: write its value in its place"),
            Event::Scalar(text, style, ..) => {
                self.count()?;
                let is_plain = style == ScalarStyle::Plain;
                if let Some(Open::Mapping(map, key @ None)) = self.open.last_mut() {
                    if is_plain && text == "<<" {
                        return Err("a merge key is not supported: write the values in its place");
                    }
                    if map.contains_key(text.as_ref()) {
                        return Err("its mapping has this key already");
                    }
                    *key = Some(text.into_owned());
                    return Ok(());
                }
                self.put(if is_plain { plain(&text)? } else { Value::String(text.into_owned()) })
            }
            Event::SequenceStart(..) => self.start(Open::List(Vec::new())),
            Event::MappingStart(..) => self.start(Open::Mapping(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop().ok_or(BAD)? {
                Open::List(list) => self.put(Value::Array(list)),
                Open::Mapping(map, _) => self.put(Value::Object(map)),
            },
            _ => Ok(()),
        }
    }

    fn count(&mut self) -> Result<(), &'static str> {
        self.nodes += 1;
        if self.nodes > NODES { Err("it has too many values") } else { Ok(()) }
    }

    fn start(&mut self, new: Open) -> Result<(), &'static str> {
        self.count()?;
        if let Some(Open::Mapping(_, None)) = self.open.last() {
            return Err("a key that is a list or a mapping is not supported");
        }
        // The parser's limits are for lists and mappings of either style alone.
        if self.open.len() == DEPTH {
            return Err("it is nested too deeply");
        }
        self.open.push(new);
        Ok(())
    }

    /// Puts a whole value to where it belongs.
    fn put(&mut self, value: Value) -> Result<(), &'static str> {
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Mapping(map, key)) => {
                map.insert(key.take().ok_or(BAD)?, value);
            }
        }
        Ok(())
    }
}

/// A scalar without quotes.
fn plain(text: &str) -> Result<Value, &'static str> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ if !starts_a_number(text) => text.into(),
        _ => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => whole.into(),
            (_, Ok(float)) => Number::from_f64(float).ok_or("a number is too large")?.into(),
            _ => text.into(),
        },
    })
}

/// So that what Rust's floats understand besides numbers (`inf`, `NaN`) stays text.
fn starts_a_number(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(text: &str) -> Value {
        let mut all = documents(text).unwrap();
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn scalars_are_those_of_the_core_schema_and_quoted_ones_are_text() {
        for (text, value) in [
            ("1", json!(1)),
            ("-7", json!(-7)),
            ("+3", json!(3)),
            ("1.5", json!(1.5)),
            ("1e3", json!(1000.0)),
            ("~", json!(null)),
            ("null", json!(null)),
            ("''", json!("")),
            ("True", json!(true)),
            ("false", json!(false)),
            ("'true'", json!("true")),
            ("\"1\"", json!("1")),
        ] {
            assert_eq!(one(text), value, "{text}");
        }
        for text in ["yes", "0x1F", "1.2.3", ".inf", "inf", "NaN", "10:30", "v1", "a b"] {
            assert_eq!(one(&format!("k: {text}")), json!({"k": text}), "{text}");
        }
    }

    #[test]
    fn blocks_flows_and_folded_text_come_out_as_json_says_them() {
        let text = "# a comment\na:\n- b: {c: [], d: }\n  1: |\n    two\n    lines\n- >-\n  folded\n  text\nempty:\n";
        let expected =
            json!({"a": [{"b": {"c": [], "d": null}, "1": "two\nlines\n"}, "folded text"], "empty": null});
        assert_eq!(one(text), expected);
    }

    #[test]
    fn documents_keep_their_order() {
        assert_eq!(
            documents("a: 1\n---\nb: 2\n...\n---\n- 3\n").unwrap(),
            [json!({"a": 1}), json!({"b": 2}), json!([3])]
        );
        assert_eq!(documents("# nothing\n").unwrap(), Vec::<Value>::new());
    }

    #[test]
    fn what_is_not_supported_is_refused_with_its_place() {
        for (text, why) in [
            (
                "a: &x 1\nb: *x\n",
                "an alias is not supported: write its value in its place, at line 2 column 4",
            ),
            ("a: !!str 1\n", "a tag is not supported, at line 1"),
            (
                "a:\n  <<: {b: 1}\n",
                "a merge key is not supported: write the values in its place, at line 2 column 3",
            ),
            ("? [a]\n: 1\n", "a key that is a list or a mapping is not supported, at line 1"),
            ("a: 1\na: 2\n", "its mapping has this key already, at line 2 column 1"),
            ("a: 1e999\n", "a number is too large, at line 1 column 4"),
            ("a: [1\n", "it is not YAML, at line "),
            ("%YAML 1.1\n---\na: 1\n", "it is not YAML, at line 1"),
        ] {
            let error = documents(text).unwrap_err().to_string();
            assert!(error.starts_with(why), "{text:?}: {error}");
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(documents(&nested(DEPTH)).is_ok());
        assert!(documents(&nested(DEPTH + 1)).is_err());
        let mixed = format!("{}{}", "- ".repeat(DEPTH), nested(1));
        assert_eq!(documents(&mixed).unwrap_err().why, "it is nested too deeply");
        assert!(documents(&"- 1\n".repeat(NODES - 1)).is_ok());
        assert_eq!(documents(&"- 1\n".repeat(NODES)).unwrap_err().why, "it has too many values");
    }
}
