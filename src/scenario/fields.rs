//! Reads a document of ARM field by field: `null` is the same as absent, what is not asked for is passed over, and every
//! complaint names the field by its whole path.
//!
//! By hand and not derived: the values of a document may be secrets or a megabyte long, so a complaint says the field and
//! what belongs there, never what was found.

use crate::core::Reason;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Map, Value};

/// The words that complaints about any document are recognised by.
pub mod code {
    /// The content is not JSON, or not a document of its kind.
    pub const NOT_A_DOCUMENT: &str = "NotADocument";
    /// A field without which there is nothing to do is missing or empty.
    pub const MISSING_FIELD: &str = "MissingField";
    /// A field has a value of another JSON type than ARM documents, or one out of its range.
    pub const BAD_VALUE: &str = "BadValue";
    /// A field has a value that this version does not know: one of tomorrow, or a slip.
    pub const UNKNOWN_VALUE: &str = "UnknownValue";
    /// Kubernetes would refuse this name.
    pub const BAD_NAME: &str = "BadName";
}

/// One object of the document together with where it is.
#[derive(Clone)]
pub struct Fields<'a> {
    map: &'a Map<String, Value>,
    path: String,
}

impl<'a> Fields<'a> {
    /// The object at `path`; an error if it is something else.
    pub fn of(value: &'a Value, path: String) -> Result<Fields<'a>, Reason> {
        match value {
            Value::Object(map) => Ok(Fields { map, path }),
            _ => Err(bad(&path, "an object")),
        }
    }

    /// Its own path.
    pub fn place(&self) -> &str {
        &self.path
    }

    /// The path of one of its fields, for a complaint.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Whether the field is there with anything in it. Tells that a secret was set without reading it.
    pub fn holds_something(&self, name: &str) -> bool {
        self.value(name).is_some_and(|value| match value {
            Value::String(text) => !text.is_empty(),
            Value::Object(map) => map.values().any(|v| !v.is_null()),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        })
    }

    /// A text; an empty one is as good as none.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Reason> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|t| !t.is_empty())),
            Some(_) => Err(bad(&self.path(name), "a text")),
        }
    }

    /// A text that has to be there.
    pub fn required(&self, name: &str) -> Result<&'a str, Reason> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// A yes or no.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, Reason> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(bad(&self.path(name), "true or false")),
        }
    }

    /// A time in whole seconds, at least one; ARM's type is a signed 32-bit integer.
    pub fn seconds(&self, name: &str) -> Result<Option<u32>, Reason> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let seconds = value.as_u64().and_then(|s| u32::try_from(s).ok());
        match seconds.filter(|s| (1..=i32::MAX as u32).contains(s)) {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(bad(&self.path(name), "a whole number of seconds from 1 to 2147483647")),
        }
    }

    /// One of the words that are known, in any case, as (ARM's word, ours).
    pub fn word<T: Copy>(&self, name: &str, known: &[(&str, T)]) -> Result<Option<T>, Reason> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if let Some((_, ours)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
            return Ok(Some(*ours));
        }
        let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
        let message = format!("{} has a value that this version does not know", self.path(name));
        let cure = format!("use one of {}, or a newer arclet", words.join(", "));
        Err(Reason::new(code::UNKNOWN_VALUE, message).cure(cure))
    }

    /// An object.
    pub fn object(&self, name: &str) -> Result<Option<Fields<'a>>, Reason> {
        self.value(name).map(|value| Fields::of(value, self.path(name))).transpose()
    }

    /// An object of objects, in the order of their names; those that are `null` are not there.
    pub fn objects(&self, name: &str) -> Result<Vec<(&'a str, Fields<'a>)>, Reason> {
        let Some(outer) = self.object(name)? else { return Ok(Vec::new()) };
        let present = outer.map.iter().filter(|(_, value)| !value.is_null());
        present.map(|(key, value)| Ok((key.as_str(), Fields::of(value, outer.path(&shown(key)))?))).collect()
    }

    /// An object of texts; those that are `null` are not there.
    pub fn texts(&self, name: &str) -> Result<Vec<(&'a str, &'a str)>, Reason> {
        let Some(outer) = self.object(name)? else { return Ok(Vec::new()) };
        let present = outer.map.iter().filter(|(_, value)| !value.is_null());
        present
            .map(|(key, value)| match value {
                Value::String(text) => Ok((key.as_str(), text.as_str())),
                _ => Err(bad(&outer.path(&shown(key)), "a text")),
            })
            .collect()
    }

    /// A list of texts.
    pub fn list(&self, name: &str) -> Result<Vec<&'a str>, Reason> {
        let texts = self.items(name)?.iter().map(Value::as_str).collect::<Option<Vec<&str>>>();
        texts.ok_or_else(|| bad(&self.path(name), "a list of texts"))
    }

    /// A list of objects.
    pub fn list_of_objects(&self, name: &str) -> Result<Vec<Fields<'a>>, Reason> {
        let items = self.items(name)?.iter().enumerate();
        items.map(|(at, item)| Fields::of(item, format!("{}[{at}]", self.path(name)))).collect()
    }

    /// Base64 in the form that a Secret's `data` wants it. ARM has PEM files and known hosts like this.
    pub fn base64(&self, name: &str) -> Result<Option<&'a str>, Reason> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match BASE64_STANDARD.decode(text) {
            Ok(_) => Ok(Some(text)),
            Err(_) => Err(bad(&self.path(name), "base64 without line breaks")),
        }
    }

    /// The complaint that a field is missing.
    pub fn missing(&self, name: &str) -> Reason {
        let path = self.path(name);
        Reason::new(code::MISSING_FIELD, format!("{path} is missing"))
            .cure(format!("set {path} in the configuration"))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    fn items(&self, name: &str) -> Result<&'a [Value], Reason> {
        match self.value(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(bad(&self.path(name), "a list")),
        }
    }
}

/// A key or a name of the document's own choice, fit for one line of text: it may be of any length and hold anything.
pub fn shown(text: &str) -> String {
    let begin: String = text.chars().take(80).collect();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if begin.len() == text.len() && begin.chars().all(plain) { begin } else { format!("{begin:?}") }
}

/// The complaint about a value that cannot be used.
pub fn bad(path: &str, belongs: &str) -> Reason {
    Reason::new(code::BAD_VALUE, format!("{path} is not {belongs}"))
        .cure(format!("set {path} to {belongs} in the configuration"))
}
