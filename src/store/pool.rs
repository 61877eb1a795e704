//! The open databases: at most two, whoever uses them. That, and their size, is what bounds the store's memory.

use super::attempts::{Attempts, LIMIT};
use super::database::Database;
use super::error::{Inner, Trouble};
use std::path::{Path, PathBuf};

/// One to write and one to read. Each costs 1 to 2 MB.
const OPEN: usize = 2;
/// So many bytes of values go through a database before [`Pool::relax`] closes it. Opening it again takes milliseconds.
const HANDLED: usize = 1 << 20;

/// The open databases, the least recently used first.
#[derive(Debug)]
pub(super) struct Pool {
    root: PathBuf,
    open: Vec<(PathBuf, Database)>,
    attempts: Attempts,
}

impl Pool {
    /// An empty pool for the databases below `root`.
    pub(super) fn new(root: &Path) -> Inner<Pool> {
        Ok(Pool {
            root: root.to_owned(),
            open: Vec::with_capacity(OPEN),
            attempts: Attempts::open(&root.join("attempts"))?,
        })
    }

    /// The database in this directory, opened if need be; another is closed for it. Whoever wrote to a database has synced
    /// it before he asks for the next, so closing loses nothing.
    pub(super) fn get(&mut self, path: &Path) -> Inner<&mut Database> {
        let at = match self.open.iter().position(|(p, _)| p == path) {
            Some(at) => {
                let entry = self.open.remove(at);
                self.open.push(entry);
                self.open.len() - 1
            }
            None => {
                while self.open.len() >= OPEN {
                    self.open.remove(0);
                }
                let database = self.open_counted(path)?;
                self.open.push((path.to_owned(), database));
                self.open.len() - 1
            }
        };
        Ok(&mut self.open[at].1)
    }

    /// Closes one; nothing if it is not open.
    pub(super) fn close(&mut self, path: &Path) {
        self.open.retain(|(p, _)| p != path);
    }

    /// Closes one that holds much in memory, for whoever walks through documents one by one; it opens again when it is
    /// needed. One that cannot be synced stays open: closing would lose what was written, and nobody would hear of it.
    pub(super) fn relax(&mut self, path: &Path) {
        self.open.retain(|(p, db)| p != path || db.handled() < HANDLED || db.sync().is_err());
    }

    /// Closes all: for memory when idle, and because handles are dead after a full disk.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
    }

    /// Forgets failed attempts: what is in this directory now is another database.
    pub(super) fn forget(&mut self, path: &Path) {
        self.close(path);
        let name = self.name(path);
        self.attempts.end(&name);
    }

    fn open_counted(&mut self, path: &Path) -> Inner<Database> {
        let name = self.name(path);
        if self.attempts.unfinished(&name) >= LIMIT {
            return Err(Trouble::Damaged(format!(
                "{}: {LIMIT} starts ended while it was opened",
                path.display()
            )));
        }
        self.attempts.begin(&name);
        let opened = Database::open(path);
        self.attempts.end(&name);
        opened
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::files;
    use super::*;

    #[test]
    fn a_database_through_which_much_went_is_closed_and_has_everything_when_it_opens_again() {
        let root = tempfile::tempdir().expect("tempdir");
        let mut pool = Pool::new(root.path()).expect("pool");
        let (path, other) = (root.path().join("one"), root.path().join("other"));
        for path in [&path, &other] {
            files::make_dir(path).expect("directory");
        }
        let value = |n: u8| vec![n; 16 << 10];
        for n in 0..100 {
            pool.get(&path).expect("open").insert(&[n], &value(n)).expect("insert");
            pool.get(&other).expect("open").insert(&[n], &[n]).expect("insert");
            pool.relax(&path);
            pool.relax(&other);
        }
        let handled = |pool: &Pool, path: &Path| {
            pool.open.iter().find(|(open, _)| open == path).map(|(_, database)| database.handled())
        };
        // 64 of them made a mebibyte; what followed went into a new one.
        assert_eq!(handled(&pool, &path), Some(36 * (16 << 10)));
        assert_eq!(handled(&pool, &other), Some(100));
        for n in 0..100 {
            assert_eq!(pool.get(&path).expect("open").get(&[n]).expect("get"), Some(value(n)));
            pool.relax(&path);
            assert!(handled(&pool, &path).is_none_or(|bytes| bytes < HANDLED));
        }
        assert_eq!(handled(&pool, &path), Some((36 + 100 - 64 - 64) * (16 << 10)));
    }
}
