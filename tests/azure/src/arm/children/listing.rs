//! A listing of documents, page by page, and what may be wrong with it: a reader that takes a listing for complete must
//! be shown every one that only looks so. Errors, HTML, cut-off bodies of one page are faults with a text
//! ([`crate::Azure::set_fault_on`], `"$skipToken"` for the pages after the first).

use super::kind::Kind;
use super::{CLUSTER_SEGMENTS, Call};
use crate::state::State;
use crate::wire::Answer;
use serde_json::{Value, json};

/// Something that listings of documents suffer from until a test ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upset {
    /// Every page but the first begins with the last entry of the page before it.
    Duplicates,
    /// The entries of each page come in the opposite order.
    Reversed,
    /// Every page but the first is one of the opposite order: some entries come twice and as many never.
    Reordered,
    /// After the first page was given this document is removed. What comes next moves up by one, and the listing lacks
    /// the entry that was first on the next page, though it is there.
    Vanishes(String),
    /// The first page has no `nextLink`, though there is more.
    CutShort,
    /// `nextLink` is the page itself.
    Loop,
    /// `nextLink` leads here instead: nobody may send a token there.
    Elsewhere(String),
    /// The body has no `value`.
    WithoutValue,
    /// `value` is null.
    NullValue,
}

/// What is wrong now.
pub type Upsets = Vec<Upset>;

/// `GET …/{kind}`.
pub fn list(state: &mut State, call: &Call<'_>, kind: Kind) -> Result<Answer, Answer> {
    let prefix = format!("/{}/", call.lower[..CLUSTER_SEGMENTS + 3].join("/"));
    let upsets = state.children.upsets.clone();
    let on = |upset: &Upset| upsets.contains(upset);
    let skip = match call.question.parameter("$skiptoken") {
        None => 0,
        Some(token) => token
            .parse::<usize>()
            .map_err(|_| Answer::error(400, "InvalidSkipToken", "The skip token is none of ours."))?,
    };
    let size = state.page_size;
    let mut all: Vec<&Value> = state
        .children
        .all
        .iter()
        .filter(|(id, _)| id.starts_with(&prefix))
        .map(|(_, c)| &c.resource)
        .collect();
    if skip > 0 && on(&Upset::Reordered) {
        all.reverse();
    }
    let more = skip + size < all.len();
    let first = if on(&Upset::Duplicates) { skip.saturating_sub(1) } else { skip };
    let mut page: Vec<Value> =
        all.iter().take(skip + size).skip(first).map(|resource| without_conditions(resource, kind)).collect();
    if on(&Upset::Reversed) {
        page.reverse();
    }
    let version = call.question.parameter("api-version").unwrap_or_default();
    let link = |to: usize| {
        let Call { question, .. } = call;
        Value::from(format!("{}{}?api-version={version}&$skipToken={to}", question.base, question.path))
    };
    let mut next = if more { link(skip + size) } else { Value::Null };
    let mut value = Value::Array(page);
    for upset in &upsets {
        match upset {
            Upset::CutShort => next = Value::Null,
            Upset::Loop => next = link(skip),
            Upset::Elsewhere(url) => next = url.as_str().into(),
            Upset::NullValue => value = Value::Null,
            Upset::Vanishes(name) if skip == 0 => {
                state.children.all.remove(&format!("{prefix}{}", name.to_lowercase()));
            }
            _ => {}
        }
    }
    let mut body = json!({ "value": value, "nextLink": next });
    if on(&Upset::WithoutValue)
        && let Some(body) = body.as_object_mut()
    {
        body.remove("value");
    }
    Ok(Answer::json(200, body))
}

/// A listing of fluxConfigurations leaves out their conditions, as real ones do.
fn without_conditions(resource: &Value, kind: Kind) -> Value {
    let mut resource = resource.clone();
    if kind == Kind::Flux {
        for status in resource["properties"]["statuses"].as_array_mut().into_iter().flatten() {
            if status.is_object() {
                status["statusConditions"] = Value::Null;
            }
        }
    }
    resource
}
