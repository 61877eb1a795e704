//! A fixed-size place on the medium that is overwritten in turn: two slots, each with a generation and a checksum.
//!
//! Overwriting allocates nothing, so it works on a full disk, and the slot that is not being written is whole whatever
//! happens to the other. Nothing in here knows what the payload means.

use super::error::{Inner, Trouble};
use super::files;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How durable a write has to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sync {
    /// On the medium when the call returns.
    Now,
    /// Whenever the kernel writes it back: survives the process, maybe not the power.
    Later,
}

/// Two slots in a file.
#[derive(Debug)]
pub(super) struct Slots {
    file: Arc<File>,
    path: PathBuf,
    offset: u64,
    size: usize,
    generation: u64,
}

/// Opens or makes the file with all its bytes allocated; true if it was there with its full length.
pub(super) fn open_file(path: &Path, len: usize) -> Inner<(Arc<File>, bool)> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file = file.map_err(|e| Trouble::at(path, "open", &e))?;
    let was = file.metadata().map_err(|e| Trouble::at(path, "stat", &e))?.len();
    if was < len as u64 {
        // Zeros and not a hole: a hole would want space at the first write, on a disk that may be full by then.
        file.write_all_at(&vec![0; len - was as usize], was)
            .and_then(|()| files::sync_all(&file))
            .map_err(|e| Trouble::at(path, "allocate", &e))?;
        if let Some(parent) = path.parent() {
            files::sync_dir(parent)?;
        }
    }
    Ok((Arc::new(file), was >= len as u64))
}

impl Slots {
    /// The slots of `size` bytes each at `offset`, and the newest payload that is whole.
    pub(super) fn at(file: Arc<File>, path: &Path, offset: u64, size: usize) -> (Slots, Option<Vec<u8>>) {
        let mut best: Option<(u64, Vec<u8>)> = None;
        for n in 0..2 {
            let mut slot = vec![0; size];
            if file.read_exact_at(&mut slot, offset + n * size as u64).is_err() {
                continue;
            }
            if let Some((generation, payload)) = parse(&slot)
                && best.as_ref().is_none_or(|(newest, _)| generation > *newest)
            {
                best = Some((generation, payload));
            }
        }
        let generation = best.as_ref().map_or(0, |(generation, _)| *generation);
        (Slots { file, path: path.to_owned(), offset, size, generation }, best.map(|(_, payload)| payload))
    }

    /// Overwrites the older slot.
    pub(super) fn write(&mut self, payload: &[u8], sync: Sync) -> Inner<()> {
        let next = self.generation + 1;
        let slot = render(next, payload, self.size).ok_or_else(|| {
            Trouble::Io(format!("{} bytes do not fit {}", payload.len(), self.path.display()))
        })?;
        let at = self.offset + (next % 2) * self.size as u64;
        self.file
            .write_all_at(&slot, at)
            .and_then(|()| if sync == Sync::Now { files::sync_data(&self.file) } else { Ok(()) })
            .map_err(|e| Trouble::at(&self.path, "write", &e))?;
        self.generation = next;
        Ok(())
    }
}

fn render(generation: u64, payload: &[u8], size: usize) -> Option<Vec<u8>> {
    if HEAD + payload.len() + 4 > size {
        return None;
    }
    let mut slot = Vec::with_capacity(size);
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&generation.to_le_bytes());
    slot.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    slot.extend_from_slice(payload);
    let crc = crc32fast::hash(&slot);
    slot.extend_from_slice(&crc.to_le_bytes());
    slot.resize(size, 0);
    Some(slot)
}

fn parse(slot: &[u8]) -> Option<(u64, Vec<u8>)> {
    let rest = slot.strip_prefix(MAGIC.as_slice())?;
    let generation = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
    let len = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize;
    let end = HEAD.checked_add(len)?;
    let crc = u32::from_le_bytes(slot.get(end..end + 4)?.try_into().ok()?);
    (crc32fast::hash(&slot[..end]) == crc).then(|| (generation, slot[HEAD..end].to_vec()))
}

const MAGIC: &[u8; 8] = b"arcslot\x01";
/// Magic, generation, length.
const HEAD: usize = 8 + 8 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn reopen(path: &Path) -> (Slots, Option<Vec<u8>>) {
        let (file, _) = open_file(path, 1024).expect("open");
        Slots::at(file, path, 0, 512)
    }

    #[test]
    fn the_newest_whole_slot_wins_and_a_torn_one_falls_back_to_the_older() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("slots");
        let (mut slots, none) = reopen(&path);
        assert_eq!(none, None);
        slots.write(b"one", Sync::Now).expect("write");
        slots.write(b"two", Sync::Later).expect("write");
        assert_eq!(reopen(&path).1.as_deref(), Some(&b"two"[..]));
        // Generation 2 went into slot 0.
        slots.file.write_all_at(b"torn", 21).expect("tear");
        let (mut slots, found) = reopen(&path);
        assert_eq!(found.as_deref(), Some(&b"one"[..]));
        slots.write(b"three", Sync::Now).expect("write");
        assert_eq!(reopen(&path).1.as_deref(), Some(&b"three"[..]));
    }

    #[test]
    fn a_payload_that_does_not_fit_is_refused_and_the_old_one_stays() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("slots");
        let (mut slots, _) = reopen(&path);
        slots.write(b"kept", Sync::Now).expect("write");
        assert!(slots.write(&[7; 512], Sync::Now).is_err());
        assert_eq!(reopen(&path).1.as_deref(), Some(&b"kept"[..]));
    }
}
