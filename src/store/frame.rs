//! The self-describing value of the keyed databases (state lane, cache).
//!
//! Like a block of the outbox it can be found by scanning raw bytes; a generation says which of two is the newer, and a
//! removal is a frame too, so that salvage brings nothing back that was removed.
//!
//! Format 1, little-endian: magic 8, kind 1, generation 8, key length 2, value length 4, key, value, CRC-32.

use super::bytes::{Put, Take};

/// The longest key and value together: with its copy of the key as sled's key, 17 frames stay below the blob limit.
pub(super) const MAX_FRAME: usize = (super::database::SEGMENT / 4 - 20 - 32 - 256) / 17 - 16;
/// What a frame needs besides its key and value.
pub(super) const FRAME: usize = 8 + 1 + 8 + 2 + 4 + 4;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Commits a document: its length, checksum and chunks, or the content itself.
    Manifest = 1,
    /// A part of a document's content.
    Chunk = 2,
    /// The document of this name was removed.
    Gone = 3,
}

/// A frame whose checksum is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub kind: Kind,
    pub generation: u64,
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub len: usize,
}

/// Makes a frame.
pub(super) fn frame(kind: Kind, generation: u64, key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME + key.len() + value.len());
    out.put(MAGIC);
    out.push(kind as u8);
    out.u64(generation);
    out.u16(key.len() as u16);
    out.u32(value.len() as u32);
    out.put(key);
    out.put(value);
    let crc = crc32fast::hash(&out);
    out.u32(crc);
    out
}

impl<'a> Frame<'a> {
    /// The frame at the start of `bytes`, if it is whole.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let mut take = Take(bytes.strip_prefix(MAGIC.as_slice())?);
        let kind = match take.u8()? {
            1 => Kind::Manifest,
            2 => Kind::Chunk,
            3 => Kind::Gone,
            _ => return None,
        };
        let generation = take.u64()?;
        let (key_len, value_len) = (usize::from(take.u16()?), take.u32()? as usize);
        let len = FRAME.checked_add(key_len)?.checked_add(value_len)?;
        if len > MAX_FRAME {
            return None;
        }
        let (key, value) = (take.bytes(key_len)?, take.bytes(value_len)?);
        let crc = take.u32()?;
        (crc32fast::hash(&bytes[..len - 4]) == crc).then_some(Frame { kind, generation, key, value, len })
    }
}

/// Finds frames in raw bytes, a window at a time, and gives each with its place in the window; returns how many bytes of
/// the window are done.
pub(super) fn scan(window: &[u8], last: bool, mut found: impl FnMut(usize, Frame<'_>)) -> usize {
    let mut at = 0;
    while let Some(step) = window[at..].iter().position(|b| *b == MAGIC[0]) {
        at += step;
        if !last && window.len() - at < MAX_FRAME {
            return at;
        }
        match Frame::parse(&window[at..]) {
            Some(frame) => {
                let len = frame.len;
                found(at, frame);
                at += len;
            }
            None => at += 1,
        }
    }
    window.len()
}

const MAGIC: &[u8; 8] = b"\xA7arckey\x01";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_in_noise_and_one_flipped_bit_hides_it() {
        let mut file = vec![0xA7; 50];
        let one = frame(Kind::Manifest, 5, b"name", b"value");
        file.extend_from_slice(&one);
        let mut found = Vec::new();
        scan(&file, true, |at, f| found.push((at, f.kind, f.generation, f.key.to_vec(), f.value.to_vec())));
        assert_eq!(found, [(50, Kind::Manifest, 5, b"name".to_vec(), b"value".to_vec())]);
        for bit in 0..one.len() * 8 {
            let mut bad = one.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::parse(&bad).is_none(), "bit {bit}");
        }
    }
}
