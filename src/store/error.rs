//! What can go wrong in the store: one type for callers, one for the rooms inside.

use crate::core::{Lane, Reason};
use std::io;
use std::path::Path;

/// A store operation that failed. The store goes on after each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The lane's reserve is full and its policy is to drop nothing, or the disk is full: nothing was taken.
    Full {
        /// The lane.
        lane: Lane,
        /// What to do.
        message: String,
    },
    /// The cache is at its ceiling, or the disk is full: the document was not taken, its older version stays.
    CacheFull(String),
    /// One record, batch or document is larger than the store takes; nothing was taken.
    TooLarge(String),
    /// The format is newer than this program; the store was left untouched.
    Newer(String),
    /// Another process has the store open.
    Locked(String),
    /// The key that seals secrets is missing, malformed or open to others; or it does not fit what was sealed.
    Key(String),
    /// Anything else, with path and reason.
    Io(String),
}

impl StoreError {
    /// A short, stable word for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            StoreError::Full { .. } => "StoreFull",
            StoreError::CacheFull(_) => "CacheFull",
            StoreError::TooLarge(_) => "StoreTooLarge",
            StoreError::Newer(_) => "StoreNewer",
            StoreError::Locked(_) => "StoreLocked",
            StoreError::Key(_) => "StoreKey",
            StoreError::Io(_) => "Store",
        }
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StoreError::Full { lane, message } => write!(f, "lane {} is full: {message}", lane.name()),
            StoreError::CacheFull(text)
            | StoreError::TooLarge(text)
            | StoreError::Newer(text)
            | StoreError::Locked(text)
            | StoreError::Key(text)
            | StoreError::Io(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Reason {
    fn from(error: StoreError) -> Reason {
        let cure = match &error {
            StoreError::Full { .. } => "restore the link, or raise the lane's quota in [store]",
            StoreError::CacheFull(_) => "free disk space, or raise cache-quota in [store]",
            StoreError::Newer(_) => "run the newer arclet, or move the directory away to start anew",
            StoreError::Locked(_) => "stop the other arclet; ask the running one with arclet status",
            StoreError::TooLarge(_) | StoreError::Key(_) | StoreError::Io(_) => "",
        };
        Reason::new(error.code(), error.to_string()).cure(cure)
    }
}

/// What went wrong inside, sorted by what has to follow.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The medium is full: make room, then try again with new handles.
    NoSpace(String),
    /// What is on the medium is not what was written: set it aside and salvage.
    Damaged(String),
    /// Anything else.
    Io(String),
}

/// What follows in the rooms inside.
pub(super) type Inner<T> = Result<T, Trouble>;

impl Trouble {
    /// An error of the file system at `path`, while doing `what`.
    pub(super) fn at(path: &Path, what: &str, error: &io::Error) -> Trouble {
        let text = format!("{what} {}: {error}", path.display());
        if is_full(error) { Trouble::NoSpace(text) } else { Trouble::Io(text) }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Trouble::NoSpace(text) | Trouble::Damaged(text) | Trouble::Io(text)) = self;
        f.write_str(text)
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> StoreError {
        StoreError::Io(trouble.to_string())
    }
}

/// Whether the medium, or the user's share of it, is full. sled clones its errors and loses the number on the way, so
/// the text is looked at too.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.to_string().contains("No space left on device")
}
