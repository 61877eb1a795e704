//! The few things about files that std does not know: durable names, allocated bytes, removal that a crash may halve.

use super::error::{Inner, Trouble};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is on its way out is called so; whoever finds it removes it.
pub(super) const TRASH: &str = "trash";

/// Makes a file durable, with its length and its place. Every sync of the store goes through here or [`sync_data`].
pub(super) fn sync_all(file: &File) -> std::io::Result<()> {
    if skipped() { Ok(()) } else { file.sync_all() }
}

/// Makes a file's bytes durable, and what is needed to find them again.
pub(super) fn sync_data(file: &File) -> std::io::Result<()> {
    if skipped() { Ok(()) } else { file.sync_data() }
}

#[cfg(not(feature = "unsynced"))]
const fn skipped() -> bool {
    false
}

#[cfg(feature = "unsynced")]
fn skipped() -> bool {
    SKIP.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(feature = "unsynced")]
static SKIP: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// From now on the store lies: it acknowledges what a power cut takes away. For the control of the power-cut rig, which
/// has to lose records then or proves nothing; no other program is built with the feature.
#[cfg(feature = "unsynced")]
pub fn skip_syncs() {
    SKIP.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// Makes the names in a directory durable: a file is lost in a power cut until its directory is synced.
pub(super) fn sync_dir(path: &Path) -> Inner<()> {
    File::open(path).and_then(|dir| sync_all(&dir)).map_err(|e| Trouble::at(path, "sync directory", &e))
}

/// Makes a directory for the agent alone, durably, unless it is there.
pub(super) fn make_dir(path: &Path) -> Inner<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| Trouble::at(path, "make directory", &e))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Writes a small file so that after a crash it is there as a whole or not at all.
pub(super) fn write_whole(path: &Path, content: &[u8], mode: u32) -> Inner<()> {
    let draft = path.with_extension("draft");
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
        file.write_all(content)?;
        sync_all(&file)?;
        fs::rename(&draft, path)
    };
    write().map_err(|e| Trouble::at(path, "write", &e))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// The bytes that a file or a directory with all that is in it takes on the medium. What cannot be read counts nothing.
pub(super) fn allocated(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let own = meta.blocks() * 512;
    match (meta.is_dir(), fs::read_dir(path)) {
        (true, Ok(entries)) => own + entries.flatten().map(|e| allocated(&e.path())).sum::<u64>(),
        _ => own,
    }
}

/// The names in a directory; none if it is not there.
pub(super) fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect()
}

/// Removes a directory so that a crash leaves it whole or as trash: rename, make that durable, then unlink.
pub(super) fn discard(path: &Path) -> Inner<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let trash = parent.join(format!("{TRASH}-{}", name.to_string_lossy()));
    // An older one of this name would stand in the rename's way.
    let _ = fs::remove_dir_all(&trash);
    match fs::rename(path, &trash) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|e| Trouble::at(path, "rename", &e))?,
    }
    sync_dir(parent)?;
    fs::remove_dir_all(&trash).map_err(|e| Trouble::at(&trash, "remove", &e))
}

/// Removes what an earlier process left half removed.
pub(super) fn empty_trash(dir: &Path) {
    for name in names(dir).iter().filter(|n| n.starts_with(TRASH)) {
        let _ = fs::remove_dir_all(dir.join(name));
    }
}

/// Sets a damaged database aside as evidence, and keeps only the newest `keep` of them in its directory.
pub(super) fn set_aside(path: &Path, keep: usize) -> Inner<PathBuf> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path.to_owned()) };
    let bad = parent.join(format!("{BAD}-{}", name.to_string_lossy()));
    let _ = fs::remove_dir_all(&bad);
    fs::rename(path, &bad).map_err(|e| Trouble::at(path, "set aside", &e))?;
    let mut all: Vec<_> = names(parent)
        .into_iter()
        .filter(|n| n.starts_with(BAD))
        .map(|n| {
            let made = fs::metadata(parent.join(&n)).map(|m| (m.ctime(), m.ctime_nsec())).unwrap_or_default();
            (made, n)
        })
        .collect();
    all.sort();
    for (_, old) in all.iter().rev().skip(keep) {
        let _ = fs::remove_dir_all(parent.join(old));
    }
    sync_dir(parent)?;
    Ok(bad)
}

/// What is kept as evidence of damage is called so.
pub(super) const BAD: &str = "bad";
