//! Where desired state comes from: the boundary that every source of documents stands behind, and what a listing has to be.
//!
//! ARM is the first source ([`Resources`]); a signed bundle of the same documents is another file behind the same trait.
//! What a source hands on is in canonical form (`canonical`), so that the same wish has the same digest wherever and however
//! often it was read. Nothing in here stores, retries or knows the cluster: `keep` is the shell's.

mod canonical;
mod page;
mod resources;

pub use resources::Resources;

use crate::core::document::{Digest, Head, Key, Listing, Needs, Parent};
use crate::core::{Outcome, Reason};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// The longest document that is taken, in bytes of its canonical form. ARM takes requests of 4 MB at most.
pub const MOST_DOCUMENT: usize = 4 << 20;

/// A document as a source gives it. Its content may hold what no log may: no Debug.
pub struct Fetched {
    /// Which.
    pub key: Key,
    /// Of the canonical form.
    pub digest: Digest,
    /// The source is deleting it.
    pub leaving: bool,
    /// The canonical form; or why this document cannot be taken, while others can.
    pub content: Result<Vec<u8>, Reason>,
}

/// A source of documents.
pub trait Source {
    /// Hands on every document that there is, one at a time.
    ///
    /// # Errors
    /// Everything that is not the whole truth: a source that cannot be read to its end, in its own form, fails; it never
    /// gives less than there is and says that this is all.
    fn documents(&self, take: &mut dyn FnMut(Fetched)) -> Result<(), Outcome>;

    /// The resource that the documents belong to.
    fn parent(&self) -> Result<Parent, Outcome>;
}

/// Makes a document durable: its key, digest and content. Returns with what it needs.
pub type Keep<'a> = dyn FnMut(&Key, Digest, &[u8]) -> Result<Needs, Reason> + 'a;

/// Reads a source to its end. Each document goes through `keep` with its digest and content, which makes it durable before
/// it returns; if it cannot, that document's head says why.
///
/// # Errors
/// What the source says. A document that came twice and differs makes the listing incomplete: it changed while it was read.
pub fn listing(source: &dyn Source, parent: bool, keep: &mut Keep<'_>) -> Result<Listing, Outcome> {
    let mut heads = BTreeMap::new();
    let mut torn = None;
    source.documents(&mut |Fetched { key, digest, leaving, content }| match heads.entry(key) {
        Entry::Vacant(place) => {
            let stored = content.and_then(|content| keep(place.key(), digest, &content));
            let key = place.key().clone();
            place.insert(Head { key, digest, leaving, stored });
        }
        Entry::Occupied(first) => {
            let Head { digest: other, leaving: before, .. } = *first.get();
            if (other, before) != (digest, leaving) {
                torn = Some(first.key().clone());
            }
        }
    })?;
    if let Some(key) = torn {
        let text =
            format!("the list of documents holds {key} twice, and not the same: it changed on the way");
        return Err(Outcome::Unreachable(Reason::new("TornListing", text)));
    }
    let parent = if parent { Some(source.parent()?) } else { None };
    Ok(Listing { heads: heads.into_values().collect(), parent })
}
