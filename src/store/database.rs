//! One small sled database, made safe to use. The only file, with `pool`, that knows sled's API.
//!
//! What sled 0.34.7 lacks and this adds (docs/decisions/0001-store.md has the evidence): a real fdatasync after flush, and
//! of the directories after creation; removal of what a kill inside `open` leaves and would refuse to open for ever; a
//! guard around every call, for it panics on damage; a wait for the file lock that its own threads hold a moment longer
//! than its handle lives.
//!
//! And shelves: a leaf of sled's tree is written anew whenever it fills, and a queue's newest leaf does so all the time,
//! which makes 5.4 bytes out of one. So blocks that come in order go to many small trees in turn, each of so few that its
//! only leaf is never rewritten: 1.5 bytes.

use super::error::{Inner, Trouble};
use super::files;
use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// sled's segment: its unit of buffering. A page above a quarter of it would go to a blob file, which sled never syncs.
/// Part of the format: a database opens with no other size.
pub(super) const SEGMENT: usize = 128 * 1024;
/// sled's page cache. It obeys loosely; what bounds memory is that databases are small, that at most two are open, and that
/// one through which much went is closed.
const CACHE: u64 = 64 * 1024;

/// An open database.
#[derive(Debug)]
pub(super) struct Database {
    /// `None` only while dropping.
    db: Option<sled::Db>,
    file: File,
    path: PathBuf,
    /// The tree that appended values go to.
    shelf: Option<Shelf>,
    /// The names of all shelves, in order: each is called after the first key in it.
    shelves: Vec<Vec<u8>>,
    /// Bytes of values that went through it: sled keeps them in memory until it is closed.
    handled: Cell<usize>,
}

#[derive(Debug)]
struct Shelf {
    tree: sled::Tree,
    values: usize,
    bytes: usize,
}

/// A leaf is written anew with its tenth fragment, or its seventeenth value.
const SHELF_VALUES: usize = 8;
/// The root of all trees is written anew with each shelf: small values, of which a leaf costs little, share one.
const SHELF_BYTES: usize = 8 << 10;

impl Database {
    /// Opens or makes the database in `path`, a directory that exists. A new one is durable as far as its own directory
    /// goes; the caller syncs the parent.
    pub(super) fn open(path: &Path) -> Inner<Database> {
        let fresh = !path.join(DB).exists();
        preclean(path)?;
        if !fresh {
            wait_for_lock(path)?;
        }
        let config = sled::Config::new()
            .path(path)
            .segment_size(SEGMENT)
            .cache_capacity(CACHE)
            .mode(sled::Mode::LowSpace)
            // Its timer would sync too late for an acknowledgement, and wakes the device up.
            .flush_every_ms(None);
        let db = guarded(path, || config.open())?.map_err(|e| sort(path, "open", &e))?;
        let file = path.join(DB);
        let file = File::open(&file).map_err(|e| Trouble::at(&file, "open", &e))?;
        let mut shelves: Vec<Vec<u8>> = guarded(path, || db.tree_names())?
            .into_iter()
            .filter(|name| name.as_ref() != DEFAULT_TREE)
            .map(|name| name.to_vec())
            .collect();
        shelves.sort_unstable();
        let (shelf, path_, handled) = (None, path.to_owned(), Cell::new(0));
        let this = Database { db: Some(db), file, path: path_, shelf, shelves, handled };
        if fresh {
            this.sync()?;
            let conf = path.join(CONF);
            File::open(&conf)
                .and_then(|conf| files::sync_all(&conf))
                .map_err(|e| Trouble::at(&conf, "sync", &e))?;
            files::sync_all(&this.file).map_err(|e| Trouble::at(path, "sync", &e))?;
            files::sync_dir(path)?;
        }
        Ok(this)
    }

    /// Puts a value; durable only after [`Database::sync`].
    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Inner<()> {
        self.handled.update(|bytes| bytes + value.len());
        self.call("write", |db| db.insert(key, value).map(|_| ()))
    }

    /// Removes a value; durable only after [`Database::sync`].
    pub(super) fn remove(&self, key: &[u8]) -> Inner<()> {
        self.call("remove from", |db| db.remove(key).map(|_| ()))
    }

    /// A copy of the value.
    pub(super) fn get(&self, key: &[u8]) -> Inner<Option<Vec<u8>>> {
        let value = self.call("read", |db| db.get(key).map(|value| value.map(|v| v.to_vec())))?;
        self.handled.update(|bytes| bytes + value.as_ref().map_or(0, Vec::len));
        Ok(value)
    }

    /// Puts a value behind all that were appended before: keys must grow. Durable only after [`Database::sync`].
    pub(super) fn append(&mut self, key: &[u8], value: &[u8]) -> Inner<()> {
        let full = |shelf: &Shelf| shelf.values >= SHELF_VALUES && shelf.bytes >= SHELF_BYTES;
        if self.shelf.as_ref().is_none_or(full) {
            let tree = self.call("write", |db| db.open_tree(key))?;
            self.shelf = Some(Shelf { tree, values: 0, bytes: 0 });
            self.shelves.push(key.to_vec());
        }
        if let Some(shelf) = &mut self.shelf {
            let inserted = guarded(&self.path, || shelf.tree.insert(key, value))?;
            inserted.map_err(|e| sort(&self.path, "write", &e))?;
            shelf.values += 1;
            shelf.bytes += value.len();
        }
        Ok(())
    }

    /// The last appended key below `key`. Walks forwards over the few keys of one shelf: sled's way back (`get_lt`) brings a
    /// constant of 1 MiB into the program.
    pub(super) fn appended_below(&self, key: &[u8]) -> Inner<Option<Vec<u8>>> {
        let Some(shelf) = self.shelves.iter().rfind(|name| name.as_slice() < key) else { return Ok(None) };
        self.call("read", |db| {
            let mut last = None;
            for pair in db.open_tree(shelf)?.range(..key) {
                last = Some(pair?.0);
            }
            Ok(last.map(|key| key.to_vec()))
        })
    }

    /// Calls `visit` with all appended pairs from `from` on, in order, until it breaks.
    pub(super) fn visit_appended(
        &self,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Inner<()> {
        let first = self.shelves.iter().rposition(|name| name.as_slice() <= from).unwrap_or(0);
        self.call("read", |db| {
            for shelf in &self.shelves[first..] {
                for pair in db.open_tree(shelf)?.range(from..) {
                    let (key, value) = pair?;
                    if visit(&key, &value).is_break() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        })
    }

    /// Calls `visit` with all pairs from `from` on, in order, until it breaks.
    pub(super) fn visit(
        &self,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Inner<()> {
        self.call("read", |db| {
            for pair in db.range(from..) {
                let (key, value) = pair?;
                if visit(&key, &value).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Makes everything written durable: sled's own flush does not (it is `sync_file_range`).
    pub(super) fn sync(&self) -> Inner<()> {
        self.call("flush", |db| db.flush().map(|_| ()))?;
        files::sync_data(&self.file).map_err(|e| Trouble::at(&self.path, "sync", &e))
    }

    /// Bytes of the single values that were put and read since it was opened, about as many as sled holds in memory: its
    /// cache has 256 parts and looks at none of them before its 64th use.
    pub(super) fn handled(&self) -> usize {
        self.handled.get()
    }

    /// The bytes that the log takes on the medium.
    pub(super) fn log_allocated(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        self.file.metadata().map_or(0, |meta| meta.blocks() * 512)
    }

    fn call<T>(&self, what: &str, f: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Inner<T> {
        let Some(db) = &self.db else { return Err(Trouble::Io("database is closed".to_owned())) };
        guarded(&self.path, || f(db))?.map_err(|e| sort(&self.path, what, &e))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let db = (self.shelf.take(), self.db.take());
        // A damaged one may panic here too; what was acknowledged is synced, so there is nothing to save.
        let _ = guarded(&self.path, || drop(db));
    }
}

/// The file with all data in a database's directory.
pub(super) const DB: &str = "db";
const CONF: &str = "conf";
/// sled's name for the tree that is the database's own.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// Runs sled's code so that its panic becomes damage.
fn guarded<T>(path: &Path, f: impl FnOnce() -> T) -> Inner<T> {
    // Unwind safety: after a panic the handle is dropped and the database set aside, nothing of it is used again.
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let text = payload
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        Trouble::Damaged(format!("{}: sled panicked: {text}", path.display()))
    })
}

fn sort(path: &Path, what: &str, error: &sled::Error) -> Trouble {
    match error {
        sled::Error::Io(e) => match (Trouble::at(path, what, e), e.kind()) {
            (full @ Trouble::NoSpace(_), _) => full,
            (Trouble::Io(text), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => {
                Trouble::Io(text)
            }
            (Trouble::Io(text), _) if text.contains("acquire lock") => Trouble::Io(text),
            (Trouble::Io(text), _) if e.raw_os_error() == Some(TOO_MANY_FILES) => Trouble::Io(text),
            (other, _) => Trouble::Damaged(other.to_string()),
        },
        other => Trouble::Damaged(format!("{what} {}: {other}", path.display())),
    }
}

/// EMFILE on every Linux.
const TOO_MANY_FILES: i32 = 24;

/// Removes what a kill inside `open` may leave and sled would call corrupt for ever: an unfinished snapshot, a snapshot or
/// a `conf` with a wrong checksum. All of them are derived: sled makes them again from the log.
fn preclean(path: &Path) -> Inner<()> {
    for name in files::names(path) {
        let file = path.join(&name);
        let derived = match name.as_str() {
            CONF => !whole_conf(&file),
            snap if snap.starts_with("snap.") => snap.ends_with(".generating") || !whole_snapshot(&file),
            _ => false,
        };
        if derived {
            fs::remove_file(&file).map_err(|e| Trouble::at(&file, "remove", &e))?;
        }
    }
    Ok(())
}

/// Text, then its CRC-32.
fn whole_conf(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    bytes.split_last_chunk::<4>().is_some_and(|(text, crc)| crc32fast::hash(text) == u32::from_le_bytes(*crc))
}

/// Content, its length in 8 bytes, its CRC-32.
fn whole_snapshot(path: &Path) -> bool {
    let Ok(bytes) = fs::read(path) else { return false };
    let Some((rest, crc)) = bytes.split_last_chunk::<4>() else { return false };
    let Some((content, _len)) = rest.split_last_chunk::<8>() else { return false };
    !content.is_empty() && crc32fast::hash(content) == u32::from_le_bytes(*crc)
}

/// sled's background threads may hold the file, and with it the lock, for a moment after its handle is gone; sled itself
/// does not wait for the lock but fails.
fn wait_for_lock(path: &Path) -> Inner<()> {
    let file = path.join(DB);
    let wait = || {
        let db = File::open(&file)?;
        db.lock()?;
        db.unlock()
    };
    wait().map_err(|e: io::Error| Trouble::at(&file, "lock", &e))
}
