//! `connect.json`: how far `connect` came. It is written before each step that leaves something behind, so that a run
//! after a kill, and `disconnect`, know what may be there. It holds no secrets.

use super::super::files;
use crate::core::Reason;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Beside the configuration.
pub(in crate::cli) const NAME: &str = "connect.json";
const VERSION: u32 = 1;

/// What was begun, and what is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::cli) struct Journal {
    version: u32,
    /// The ARM id of the cluster.
    pub(in crate::cli) cluster: String,
    /// This node has borrowed the agent's account: nothing was made in the cluster or in Azure from here.
    pub(in crate::cli) worker: bool,
    /// Files that were written.
    pub(in crate::cli) files: Vec<PathBuf>,
    /// Everything is done.
    pub(in crate::cli) finished: bool,
}

impl Journal {
    pub(super) fn new(cluster: String, worker: bool) -> Journal {
        Journal { version: VERSION, cluster, worker, files: Vec::new(), finished: false }
    }

    /// Reads the journal of a configuration's directory, if there is one.
    pub(in crate::cli) fn read(config_dir: &Path) -> Result<Option<Journal>, Reason> {
        let path = config_dir.join(NAME);
        let Some(text) = files::read(&path)? else { return Ok(None) };
        let bad = |why: String| {
            Reason::new("Journal", format!("{} is not a journal of this arclet: {why}", path.display())).cure(
                "if another version wrote it, use that one; else move it away and run arclet connect again",
            )
        };
        let journal: Journal = serde_json::from_slice(&text).map_err(|error| bad(error.to_string()))?;
        match journal.version {
            VERSION => Ok(Some(journal)),
            other => Err(bad(format!("version {other}"))),
        }
    }

    /// Makes it durable.
    pub(in crate::cli) fn write(&self, config_dir: &Path) -> Result<(), Reason> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|error| Reason::new("Journal", format!("the journal cannot be written: {error}")))?;
        text.push(b'\n');
        files::put(&config_dir.join(NAME), &text, files::SECRET).map(|_| ())
    }

    /// Notes that a file is about to be written.
    pub(super) fn will_write(&mut self, path: &Path, config_dir: &Path) -> Result<(), Reason> {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_owned());
            self.write(config_dir)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_is_read_back_and_a_strange_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Journal::read(dir.path()), Ok(None));
        let mut journal = Journal::new("id".into(), false);
        journal.will_write(Path::new("/x"), dir.path()).unwrap();
        assert_eq!(Journal::read(dir.path()), Ok(Some(journal.clone())));
        let text = std::fs::read_to_string(dir.path().join(NAME)).unwrap();
        for strange in
            [text.replace("\"version\": 1", "\"version\": 2"), text.replace("cluster", "clutter"), "{".into()]
        {
            std::fs::write(dir.path().join(NAME), strange).unwrap();
            assert_eq!(Journal::read(dir.path()).unwrap_err().code, "Journal");
        }
    }
}
