//! Files that are either the old one or the new one, whenever the power goes.

use crate::core::Reason;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// For what anybody may read.
pub(super) const PUBLIC: u32 = 0o644;
/// For secrets.
pub(super) const SECRET: u32 = 0o600;

/// Writes a file beside its place, syncs it, and puts it there in one step; the same content is left alone. Returns
/// whether anything changed. A kill leaves at most a `.new` file, which the next try replaces.
pub(super) fn put(path: &Path, content: &[u8], mode: u32) -> Result<bool, Reason> {
    let failed = |error: std::io::Error| cannot("write", path, &error);
    if let Ok(about) = std::fs::symlink_metadata(path)
        && about.is_file()
        && about.permissions().mode() & 0o7777 == mode
        && std::fs::read(path).map(zeroize::Zeroizing::new).is_ok_and(|old| old.as_slice() == content)
    {
        return Ok(false);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = directory.join(name);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // create_new: never through a link that somebody left there. The mode is right from the first byte on.
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside).map_err(failed)?;
    // Whatever the umask took away.
    file.set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    sync(directory).map_err(failed)?;
    Ok(true)
}

/// Makes a directory with this mode, and those above it with the usual one.
pub(super) fn directory(path: &Path, mode: u32) -> Result<(), Reason> {
    let failed = |error: std::io::Error| cannot("make the directory", path, &error);
    if let Some(above) = path.parent()
        && !above.exists()
    {
        directory(above, 0o755)?;
    }
    match std::fs::DirBuilder::new().mode(mode).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && path.is_dir() => {
            let is = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o7777;
            // Tightened where it has to be, never widened.
            if is & !mode != 0 && mode & 0o077 == 0 {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(is & mode)).map_err(failed)?;
            }
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Removes a file; one that is not there is removed already. Returns whether it was there.
pub(super) fn remove(path: &Path) -> Result<bool, Reason> {
    match std::fs::remove_file(path) {
        Ok(()) => {
            if let Some(directory) = path.parent() {
                sync(directory).map_err(|error| cannot("remove", path, &error))?;
            }
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot("remove", path, &error)),
    }
}

/// Reads a small file; `None` when it is not there.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Reason> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(cannot("read", path, &error)),
    }
}

/// Whether a file could be put here, without putting one.
pub(super) fn writable(directory: &Path) -> Result<PathBuf, Reason> {
    let mut place = directory;
    while !place.exists() {
        place = place.parent().unwrap_or(Path::new("/"));
    }
    match rustix::fs::access(place, rustix::fs::Access::WRITE_OK) {
        Ok(()) => Ok(place.to_owned()),
        Err(error) => Err(cannot("write into", place, &error.into())),
    }
}

fn sync(directory: &Path) -> std::io::Result<()> {
    std::fs::File::open(directory)?.sync_all()
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Reason {
    let reason = Reason::new("File", format!("cannot {what} {}: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            reason.cure("run it as root, or name other places (--config-dir)")
        }
        std::io::ErrorKind::StorageFull => reason.cure("free some space"),
        _ => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_secret_is_never_readable_by_others_and_the_same_content_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (deep, file) = (dir.path().join("a/credentials"), dir.path().join("a/credentials/x"));
        directory(&deep, 0o700).unwrap();
        assert_eq!((mode(&deep), mode(&dir.path().join("a"))), (0o700, 0o755));
        assert_eq!(put(&file, b"one", SECRET), Ok(true));
        assert_eq!(put(&file, b"one", SECRET), Ok(false));
        assert_eq!(put(&file, b"two", SECRET), Ok(true));
        assert_eq!((std::fs::read(&file).unwrap(), mode(&file)), (b"two".to_vec(), 0o600));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(put(&file, b"two", SECRET), Ok(true), "its mode was wrong");
        assert_eq!(mode(&file), 0o600);
        std::fs::set_permissions(&deep, std::fs::Permissions::from_mode(0o755)).unwrap();
        directory(&deep, 0o700).unwrap();
        assert_eq!(mode(&deep), 0o700);
    }

    #[test]
    fn what_a_kill_left_beside_the_place_is_replaced_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, victim) = (dir.path().join("x"), dir.path().join("victim"));
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, dir.path().join("x.new")).unwrap();
        std::os::unix::fs::symlink(&victim, &file).unwrap();
        put(&file, b"content", PUBLIC).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"mine");
        assert!(std::fs::symlink_metadata(&file).unwrap().is_file());
        assert!(!dir.path().join("x.new").exists());
    }

    #[test]
    fn removing_twice_is_no_mistake() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        put(&file, b"", PUBLIC).unwrap();
        assert_eq!((remove(&file), remove(&file)), (Ok(true), Ok(false)));
    }
}
