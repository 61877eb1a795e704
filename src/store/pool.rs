//! The open databases: at most two, whoever uses them. That, and their size, is what bounds the store's memory.

use super::attempts::{Attempts, LIMIT};
use super::database::Database;
use super::error::{Inner, Trouble};
use std::path::{Path, PathBuf};

/// One to write and one to read. Each costs 1 to 2 MB.
const OPEN: usize = 2;

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
