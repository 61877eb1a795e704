//! The store's face towards the cache: documents that must survive restarts, sealed if they are secret.
//!
//! A lost document is `None` and means "fetch it again", never "nothing is desired".

use super::document::Draft;
use super::error::{StoreError, Trouble};
use super::keyed::MAX_NAME;
use super::outbox::Store;
use super::slots::Sync;
use super::space::{Purpose, with_room};

/// The longest document.
pub const MAX_DOCUMENT: usize = 16 << 20;

impl Store {
    /// Keeps a document; it replaces the one of the same name, whole or not at all. Durable when it returns.
    ///
    /// # Errors
    /// `TooLarge`, `CacheFull`; the older version stays then.
    pub fn doc_put(&mut self, name: &str, content: &[u8], secret: bool) -> Result<(), StoreError> {
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(StoreError::TooLarge(format!(
                "a document's name has 1 to {MAX_NAME} bytes: {name:?}"
            )));
        }
        if content.len() > MAX_DOCUMENT {
            return Err(StoreError::TooLarge(format!(
                "{name} has {} bytes, a document has at most {MAX_DOCUMENT}",
                content.len()
            )));
        }
        let quota = self.options.cache_quota;
        // The old version goes only after the new one is whole, and a rewrite needs both.
        let need = (self.cache.live() + content.len() as u64) * AMPLIFICATION;
        if need > quota {
            return Err(StoreError::CacheFull(format!(
                "{name}: the cache would need {need} bytes of the {quota} that it may take"
            )));
        }
        let sealed = if secret { Some(self.sealer.seal(name, content)?) } else { None };
        let content = sealed.as_deref().unwrap_or(content);
        let draft = Draft { name, content, tag: u64::from(secret), wall_ms: 0 };
        let Store { env, chains, cache, reserve, .. } = self;
        let put = |env: &mut _, _: &mut [_]| cache.put(env, std::slice::from_ref(&draft));
        with_room(env, chains, reserve, Purpose::Keep, put).map_err(|trouble| match trouble {
            Trouble::NoSpace(why) => StoreError::CacheFull(why),
            other => other.into(),
        })
    }

    /// A document's content; `None` if it is not there, was lost, or was sealed with another key.
    ///
    /// # Errors
    /// `Io` if the medium cannot be read.
    pub fn doc_get(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let Store { env, chains, cache, reserve, .. } = self;
        let found = with_room(env, chains, reserve, Purpose::Keep, |env, _| cache.get(env, name))?;
        let secret = self.cache.index.get(name).is_some_and(|doc| doc.tag & SEALED != 0);
        match found {
            Some(content) if secret => {
                let open = self.sealer.unseal(name, content);
                if open.is_none() {
                    self.env.note(format!("{name} was sealed with another key: it counts as lost"));
                }
                Ok(open)
            }
            other => Ok(other),
        }
    }

    /// Removes a document, durably; nothing happens if it is not there.
    ///
    /// # Errors
    /// `Io` if the medium cannot be written.
    pub fn doc_remove(&mut self, name: &str) -> Result<(), StoreError> {
        let Store { env, chains, cache, reserve, .. } = self;
        let names = [name.to_owned()];
        let remove = |env: &mut _, _: &mut [_]| cache.remove(env, &names, Sync::Now);
        Ok(with_room(env, chains, reserve, Purpose::Keep, remove)?)
    }

    /// The names of the documents that begin with `prefix`, sorted.
    ///
    /// # Errors
    /// None today; the index is in memory.
    pub fn doc_list(&mut self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let from = self.cache.index.range(prefix.to_owned()..);
        Ok(from.take_while(|(name, _)| name.starts_with(prefix)).map(|(name, _)| name.clone()).collect())
    }
}

const SEALED: u64 = 1;
/// What a document takes while it is replaced, in its own bytes.
const AMPLIFICATION: u64 = 3;
