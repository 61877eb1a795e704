//! One document on the medium: its manifest, its chunks, their keys.
//!
//! The manifest is written last and commits the document; a short content lies in the manifest itself.

use super::bytes::{Put, Take};
use super::chain::Env;
use super::error::{Inner, Trouble};
use super::frame::{FRAME, Frame, Kind, MAX_FRAME, frame};
use std::path::Path;

/// What is known of a document without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doc {
    pub(super) generation: u64,
    /// Bytes of its content.
    pub len: u32,
    crc: u32,
    pub(super) chunks: u32,
    /// Its owner's: the state lane keeps the record's number here, the cache whether it is sealed.
    pub tag: u64,
    /// Its owner's too: the record's wall time.
    pub wall_ms: i64,
}

/// A document that is to be kept.
pub(super) struct Draft<'a> {
    pub name: &'a str,
    pub content: &'a [u8],
    pub tag: u64,
    pub wall_ms: i64,
}

/// Name and description in a manifest; `None` if the frame is none, or marks a removal.
pub(super) fn document(frame: &Frame<'_>) -> Option<(String, Doc)> {
    if frame.kind != Kind::Manifest {
        return None;
    }
    let name = String::from_utf8(frame.key.strip_prefix(MANIFEST)?.to_vec()).ok()?;
    let mut take = Take(frame.value);
    let (len, crc, chunks) = (take.u32()?, take.u32()?, take.u32()?);
    let (tag, wall_ms) = (take.u64()?, take.i64()?);
    Some((name, Doc { generation: frame.generation, len, crc, chunks, tag, wall_ms }))
}

impl Doc {
    /// Puts the content together; `frame_of` finds the frame that belongs to a key. `None` if anything is missing.
    pub(super) fn assemble(
        &self,
        name: &str,
        mut frame_of: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut content = Vec::with_capacity(self.len as usize);
        if self.chunks == 0 {
            let bytes = frame_of(&manifest_key(name))?;
            let frame = Frame::parse(&bytes)?;
            content.extend_from_slice(frame.value.get(MANIFEST_FIELDS..)?);
        }
        for chunk in 0..self.chunks {
            let bytes = frame_of(&chunk_key(self.generation, chunk))?;
            content.extend_from_slice(Frame::parse(&bytes)?.value);
        }
        (content.len() == self.len as usize && crc32fast::hash(&content) == self.crc).then_some(content)
    }
}

pub(super) fn read(env: &mut Env, path: &Path, name: &str, doc: &Doc) -> Inner<Vec<u8>> {
    let db = env.pool.get(path)?;
    let mut trouble = None;
    let content = doc.assemble(name, |key| {
        db.get(key).unwrap_or_else(|e| {
            trouble = Some(e);
            None
        })
    });
    match (content, trouble) {
        (Some(content), _) => Ok(content),
        (None, Some(e)) => Err(e),
        (None, None) => Err(Trouble::Damaged(format!("{}: {name} is not whole", path.display()))),
    }
}

pub(super) fn write(env: &mut Env, path: &Path, generation: u64, draft: &Draft<'_>) -> Inner<Doc> {
    let db = env.pool.get(path)?;
    let key = manifest_key(draft.name);
    let inline = key.len() * 2 + FRAME + MANIFEST_FIELDS + draft.content.len() <= MAX_FRAME;
    let mut chunks = 0;
    if !inline {
        for part in draft.content.chunks(CHUNK) {
            let key = chunk_key(generation, chunks);
            db.insert(&key, &frame(Kind::Chunk, generation, &key, part))?;
            chunks += 1;
        }
    }
    let doc = Doc {
        generation,
        len: draft.content.len() as u32,
        crc: crc32fast::hash(draft.content),
        chunks,
        tag: draft.tag,
        wall_ms: draft.wall_ms,
    };
    let mut value = Vec::with_capacity(MANIFEST_FIELDS + if inline { draft.content.len() } else { 0 });
    value.u32(doc.len);
    value.u32(doc.crc);
    value.u32(doc.chunks);
    value.u64(doc.tag);
    value.i64(doc.wall_ms);
    if inline {
        value.put(draft.content);
    }
    db.insert(&key, &frame(Kind::Manifest, generation, &key, &value))?;
    Ok(doc)
}

pub(super) fn manifest_key(name: &str) -> Vec<u8> {
    [MANIFEST, name.as_bytes()].concat()
}

pub(super) fn chunk_key(generation: u64, chunk: u32) -> Vec<u8> {
    let mut key = vec![b'c'];
    key.extend_from_slice(&generation.to_be_bytes());
    key.extend_from_slice(&chunk.to_be_bytes());
    key
}

pub(super) const MANIFEST: &[u8] = b"m";
const MANIFEST_FIELDS: usize = 4 + 4 + 4 + 8 + 8;
/// So much content fits a chunk's frame: its key is in there twice, once as sled's.
const CHUNK: usize = MAX_FRAME - FRAME - 2 * 13;
