//! A reply's body that is read as it comes: bounded, and never mistaken for a whole one that it is not.
//!
//! Who reads a body before its end is known may act on a part. What this gives in return: the body is read to its end
//! whatever the reader makes of it, and if it does not get there, the call fails, not the reader.

use super::{PIECE, Trouble};
use std::io::{self, Read};

/// Bytes of a streamed body that its [`super::Response`] still shows: enough to tell an HTML page.
const START: usize = 512;

/// What reads a body as it comes. Its own errors are its own business: the call does not hear of them.
pub type Take<'a> = dyn FnMut(&mut dyn Read) + 'a;

/// A body on its way, with what may still come of it.
pub(super) struct Bounded<R> {
    inner: R,
    left: usize,
    start: Vec<u8>,
    trouble: Option<Trouble>,
}

impl<R: Read> Bounded<R> {
    /// Of at most so many bytes, counted as they are unpacked: what a gzip bomb weighs says nothing.
    pub(super) fn new(inner: R, most: usize) -> Bounded<R> {
        Bounded { inner, left: most, start: Vec::new(), trouble: None }
    }

    /// Reads what was left over, and returns the body's start; or why the body has no end.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, Trouble> {
        let mut piece = [0; PIECE];
        while self.trouble.is_none() && self.read(&mut piece).is_ok_and(|read| read > 0) {}
        match self.trouble {
            None => Ok(self.start),
            Some(trouble) => Err(trouble),
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let trouble = match self.inner.read(buffer) {
            Ok(read) if read <= self.left => {
                self.left -= read;
                let missing = START.saturating_sub(self.start.len()).min(read);
                self.start.extend_from_slice(buffer.get(..missing).unwrap_or_default());
                return Ok(read);
            }
            Ok(_) => Trouble::TooLarge,
            Err(error) => Trouble::Ureq(error.into()),
        };
        self.trouble = Some(trouble);
        Err(io::Error::other("the body broke off"))
    }
}
