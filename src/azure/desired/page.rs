//! One page of an ARM list, read item by item: memory holds one item, however many the page has.
//!
//! Items are handed on before the page's end is known. Who takes them must be able to hear afterwards that this was no page:
//! only what [`read`] returns says so. Nothing in here knows what an item is for.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io::{BufReader, Read};

/// What every resource has. What it is about stays as it was written.
#[derive(Deserialize)]
pub(super) struct Item {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) properties: Box<RawValue>,
}

/// What a page says of itself, apart from its items.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Where the list goes on.
    pub(super) next_link: Option<String>,
}

/// Reads one page to its end. `None`: it is none, and what was handed on before counts for nothing.
pub(super) fn read(body: &mut dyn Read, each: &mut dyn FnMut(Item)) -> Option<Page> {
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(body));
    let page = Members(each).deserialize(&mut json).ok()?;
    json.end().ok().map(|()| page)
}

/// An object with `value`, perhaps `nextLink`, and no `error`; each once.
struct Members<'a>(&'a mut dyn FnMut(Item));

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = Page;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Page, D::Error> {
        json.deserialize_map(self)
    }
}

#[derive(Deserialize, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "camelCase", field_identifier)]
enum Name {
    Value,
    NextLink,
    Error,
    #[serde(other)]
    Other,
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = Page;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a page of a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Page, A::Error> {
        let (mut items, mut next_link) = (false, None);
        while let Some(name) = members.next_key()? {
            match name {
                Name::Value if !items => {
                    members.next_value_seed(Items(&mut *self.0))?;
                    items = true;
                }
                Name::NextLink if next_link.is_none() => next_link = Some(members.next_value()?),
                Name::Other => drop(members.next_value::<IgnoredAny>()?),
                Name::Error if members.next_value::<Option<IgnoredAny>>()?.is_none() => {}
                _ => return Err(A::Error::custom("an error, or a member that came twice")),
            }
        }
        match items {
            true => Ok(Page { next_link: next_link.flatten() }),
            false => Err(A::Error::missing_field("value")),
        }
    }
}

/// An array, element by element.
struct Items<'a>(&'a mut dyn FnMut(Item));

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}
