//! Reads one section of the file key by key.
//!
//! A key exists because something asks for it, so the list of known keys cannot differ from the keys that have an
//! effect. Whatever is wrong is noted, a default takes its place and reading goes on: all mistakes come out in one go.

use super::error::{Error, Kind};
use super::units;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file while it is read: its text, what was found wrong, and every key that was asked for.
pub(super) struct Reader<'a> {
    file: &'a Path,
    text: &'a str,
    root: &'a DeTable<'a>,
    /// What was found wrong so far.
    pub(super) errors: Vec<Error>,
    /// Sections and their keys, as they were asked for.
    pub(super) known: Vec<(&'static str, Vec<&'static str>)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a Path, text: &'a str, root: &'a DeTable<'a>) -> Self {
        Reader { file, text, root, errors: Vec::new(), known: Vec::new() }
    }

    /// Begins a section; what it does not have counts as left out.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 'a> {
        let found = entry(self.root, name).map(|(_, value)| value);
        let table = found.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (found, table) {
            let kind = Kind::WrongType { expected: "a section", found: value.get_ref().type_str() };
            self.note(name.to_owned(), Some(value.span().start), kind, format!("write it as [{name}]"));
        }
        self.known.push((name, Vec::new()));
        Section { reader: self, name, table }
    }

    /// Refuses what nothing asked for.
    pub(super) fn finish(mut self) -> (Vec<Error>, Vec<(&'static str, Vec<&'static str>)>) {
        let sections: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        for (name, value) in self.root.iter() {
            let at = Some(name.span().start);
            let name = name.get_ref().as_ref();
            let Some((_, keys)) = self.known.iter().find(|(known, _)| *known == name) else {
                let (kind, step) = match value.get_ref().is_table() {
                    true => (Kind::UnknownSection, suggest(name, &sections)),
                    false => (Kind::UnknownKey, self.home_of(name)),
                };
                self.note(name.to_owned(), at, kind, step);
                continue;
            };
            let Some(table) = value.get_ref().as_table() else { continue };
            let strangers: Vec<_> =
                table.keys().filter(|key| !keys.contains(&key.get_ref().as_ref())).collect();
            let keys = keys.clone();
            for key in strangers {
                let step = suggest(key.get_ref(), &keys);
                self.note(
                    format!("{name}.{}", key.get_ref()),
                    Some(key.span().start),
                    Kind::UnknownKey,
                    step,
                );
            }
        }
        self.errors.sort_by_key(|error| error.line.unwrap_or(u32::MAX));
        (self.errors, self.known)
    }

    /// A key outside of any section: the section that has it.
    fn home_of(&self, key: &str) -> String {
        match self.known.iter().find(|(_, keys)| keys.contains(&key)) {
            Some((section, _)) => format!("it belongs under [{section}]"),
            None => "remove it; arclet.toml of the package lists every key".to_owned(),
        }
    }

    fn note(&mut self, key: String, offset: Option<usize>, kind: Kind, next_step: String) {
        let line = offset.map(|offset| line_of(self.text, offset));
        self.errors.push(Error { file: self.file.to_owned(), line, key, kind, next_step });
    }
}

/// The line, from 1, of a byte of the text.
pub(super) fn line_of(text: &str, offset: usize) -> u32 {
    let ends = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    u32::try_from(ends + 1).unwrap_or(u32::MAX)
}

fn suggest(name: &str, known: &[&str]) -> String {
    match units::nearest(name, known) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn entry<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t Spanned<DeValue<'i>>)> {
    table.iter().find(|(key, _)| key.get_ref().as_ref() == name).map(|(key, value)| (key.span().start, value))
}

/// One section of the file.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
    table: Option<&'a DeTable<'a>>,
}

impl<'a> Section<'_, 'a> {
    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if let Some((_, keys)) = self.reader.known.last_mut() {
            keys.push(key);
        }
        self.table.and_then(|table| entry(table, key)).map(|(_, value)| value)
    }

    /// Notes what is wrong with a key of this section.
    pub(super) fn wrong(&mut self, key: &'static str, kind: Kind, next_step: impl Into<String>) {
        let found = self.table.and_then(|table| entry(table, key)).map(|(start, _)| start);
        self.reader.note(format!("{}.{key}", self.name), found, kind, next_step.into());
    }

    fn bad(&mut self, key: &'static str, why: impl Into<String>) {
        self.wrong(key, Kind::BadValue(why.into()), "");
    }

    /// A text; empty means left out.
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        let value = self.take(key)?.get_ref();
        match value.as_str() {
            Some(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            None => {
                self.wrong(
                    key,
                    Kind::WrongType { expected: "a text in quotes", found: value.type_str() },
                    "",
                );
                None
            }
        }
    }

    /// A text that must be there.
    pub(super) fn required(&mut self, key: &'static str, next_step: &str) -> String {
        let before = self.reader.errors.len();
        let text = self.text(key);
        if text.is_none() && self.reader.errors.len() == before {
            self.wrong(key, Kind::Missing, next_step);
        }
        text.unwrap_or_default()
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(key)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.bad(key, why);
                None
            }
        }
    }

    /// One of a few words; the first is the default.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)], default: T) -> T {
        let parse = |text: &str| {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| format!("{text:?} is not one of {}", all.join(", ")))
        };
        self.parsed(key, parse).unwrap_or(default)
    }

    /// true or false.
    pub(super) fn switch(&mut self, key: &'static str) -> Option<bool> {
        let value = self.take(key)?.get_ref();
        if value.as_bool().is_none() {
            self.wrong(key, Kind::WrongType { expected: "true or false", found: value.type_str() }, "");
        }
        value.as_bool()
    }

    /// A list of texts.
    pub(super) fn list(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.take(key) else { return Vec::new() };
        let expected = "a list of texts, as in [\"10.0.0.0/8\"]";
        let Some(items) = value.get_ref().as_array() else {
            self.wrong(key, Kind::WrongType { expected, found: value.get_ref().type_str() }, "");
            return Vec::new();
        };
        let texts: Vec<String> =
            items.iter().filter_map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
        if texts.len() < items.len() {
            self.wrong(key, Kind::WrongType { expected, found: "a list of other things" }, "");
        }
        texts
    }

    /// An absolute path.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathBuf> {
        self.parsed(key, |text| match Path::new(text).is_absolute() {
            true => Ok(PathBuf::from(text)),
            false => Err(format!("{text:?} is not an absolute path: a service has no current directory")),
        })
    }

    /// A duration within bounds.
    pub(super) fn duration(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let value = self.parsed(key, units::duration)?;
        self.within(key, value, bounds, units::show_duration)
    }

    /// A size in bytes, within bounds.
    pub(super) fn size(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = self.parsed(key, units::size)?;
        self.within(key, value, bounds, units::show_size)
    }

    fn within<T: PartialOrd + Copy>(
        &mut self,
        key: &'static str,
        value: T,
        bounds: RangeInclusive<T>,
        show: impl Fn(T) -> String,
    ) -> Option<T> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (show(*bounds.start()), show(*bounds.end()));
        self.bad(key, format!("{} is out of bounds: {least} to {most}", show(value)));
        None
    }
}
