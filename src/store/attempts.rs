//! Which databases are being opened, and how often that ended with the end of the process.
//!
//! A panic can be caught; an abort, a stack overflow or the OOM killer cannot. So the attempt is written down before sled
//! touches the database and crossed out after, and a database on which two attempts ended is set aside before a third.
//! Written without a sync: it has to survive the process, and a power cut is nothing that the database did.

use super::bytes::Take;
use super::error::Inner;
use super::slots::{Slots, Sync, open_file};
use std::path::Path;

/// After so many unfinished attempts a database is not opened any more.
pub(super) const LIMIT: u8 = 2;

/// The list, in a file of fixed size.
#[derive(Debug)]
pub(super) struct Attempts {
    slots: Slots,
    open: Vec<(String, u8)>,
}

impl Attempts {
    /// Reads the list; a damaged one is an empty one.
    pub(super) fn open(path: &Path) -> Inner<Attempts> {
        let (file, _) = open_file(path, 2 * SLOT)?;
        let (slots, payload) = Slots::at(file, path, 0, SLOT);
        Ok(Attempts { slots, open: payload.as_deref().map(read).unwrap_or_default() })
    }

    /// How many attempts to open this database never came to an end.
    pub(super) fn unfinished(&self, name: &str) -> u8 {
        self.open.iter().find(|(n, _)| n == name).map_or(0, |(_, count)| *count)
    }

    /// Sled is about to be let at this database.
    pub(super) fn begin(&mut self, name: &str) {
        match self.open.iter_mut().find(|(n, _)| n == name) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => {
                // The oldest is the least likely to come back.
                if self.open.len() == ENTRIES {
                    self.open.remove(0);
                }
                self.open.push((name.to_owned(), 1));
            }
        }
        self.write();
    }

    /// The attempt came to an end, good or bad.
    pub(super) fn end(&mut self, name: &str) {
        let before = self.open.len();
        self.open.retain(|(n, _)| n != name);
        if self.open.len() != before {
            self.write();
        }
    }

    fn write(&mut self) {
        let mut payload = Vec::new();
        for (name, count) in &self.open {
            let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
            payload.push(*count);
            payload.push(name.len() as u8);
            payload.extend_from_slice(name);
        }
        if let Err(e) = self.slots.write(&payload, Sync::Later) {
            log::warn!("cannot count the attempts to open a database: {e}");
        }
    }
}

fn read(payload: &[u8]) -> Vec<(String, u8)> {
    let mut take = Take(payload);
    let mut open = Vec::new();
    while let Some(count) = take.u8() {
        let Some(len) = take.u8() else { break };
        let Some(name) = take.bytes(usize::from(len)) else { break };
        open.push((String::from_utf8_lossy(name).into_owned(), count));
    }
    open
}

const SLOT: usize = 4096;
const ENTRIES: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_never_ended_is_still_known_to_the_next_process() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("attempts");
        let mut attempts = Attempts::open(&path).expect("open");
        attempts.begin("a");
        attempts.begin("b");
        attempts.end("b");
        drop(attempts);
        let mut attempts = Attempts::open(&path).expect("open");
        assert_eq!((attempts.unfinished("a"), attempts.unfinished("b")), (1, 0));
        attempts.begin("a");
        drop(attempts);
        assert_eq!(Attempts::open(&path).expect("open").unfinished("a"), LIMIT);
    }
}
