//! Files that hold a secret: where they are and who may read them.
//!
//! A service manager hands credentials over in `$CREDENTIALS_DIRECTORY`, on memory that is never swapped; what is there beats
//! the path of the configuration. Contents are zeroed after use and are in no Debug, Display or error.

use super::error::{Error, Kind};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFile {
    /// As configured.
    pub path: PathBuf,
    /// The copy that the service manager made, where it did.
    pub handed: Option<PathBuf>,
}

/// What systemd puts before the file's name when a whole directory is loaded: `LoadCredential=arclet:/etc/arclet/credentials`.
const PREFIX: &str = "arclet_";

/// No key, certificate chain or kubeconfig is larger.
const LARGEST: u64 = 1 << 20;

impl CredentialFile {
    /// The credential at `path`, or its copy in `directory` (`$CREDENTIALS_DIRECTORY`).
    pub fn find(path: PathBuf, directory: Option<&Path>) -> CredentialFile {
        let handed =
            path.file_name().and_then(|name| name.to_str()).zip(directory).and_then(|(name, directory)| {
                [format!("{PREFIX}{name}"), name.to_owned()]
                    .into_iter()
                    .map(|n| directory.join(n))
                    .find(|p| p.exists())
            });
        CredentialFile { path, handed }
    }

    /// The file that is read.
    pub fn location(&self) -> &Path {
        self.handed.as_deref().unwrap_or(&self.path)
    }

    /// The secret. The file itself must be out of reach of others; the manager's copy is its own affair (systemd shows
    /// it to the service by an ACL, which makes the group bits of the mode look set).
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let path = self.location();
        let wrong = |kind, next_step: String| Error {
            file: path.to_owned(),
            line: None,
            key: String::new(),
            kind,
            next_step,
        };
        let unreadable = |error: std::io::Error| {
            let step = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "arclet connect writes it; then systemctl restart arclet".to_owned()
                }
                std::io::ErrorKind::PermissionDenied => {
                    "run as root, or let the service manager hand it over (LoadCredential=)".to_owned()
                }
                _ => String::new(),
            };
            wrong(Kind::Unreadable(error.to_string()), step)
        };
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let about = file.metadata().map_err(unreadable)?;
        let mode = about.permissions().mode() & 0o7777;
        if self.handed.is_none() && mode & 0o077 != 0 {
            return Err(wrong(Kind::Exposed(mode), format!("chmod 0600 {}", path.display())));
        }
        if !about.is_file() {
            return Err(wrong(Kind::Unreadable("not a regular file".to_owned()), String::new()));
        }
        if about.len() > LARGEST {
            return Err(wrong(Kind::TooLong(about.len()), String::new()));
        }
        // Room for all of it from the start: a buffer that grows leaves copies behind that nobody zeroes.
        let mut content = Zeroizing::new(Vec::with_capacity(about.len() as usize + 1));
        file.take(LARGEST).read_to_end(&mut content).map_err(unreadable)?;
        Ok(content)
    }

    /// The secret as one text, without the line end that editors add.
    pub fn read_text(&self) -> Result<Zeroizing<String>, Error> {
        let bytes = self.read()?;
        match std::str::from_utf8(&bytes).map(str::trim) {
            Ok(text) if !text.is_empty() => Ok(Zeroizing::new(text.to_owned())),
            found => Err(Error {
                file: self.location().to_owned(),
                line: None,
                key: String::new(),
                kind: Kind::Unreadable(
                    if found.is_ok() { "it is empty" } else { "it is not UTF-8" }.to_owned(),
                ),
                next_step: "write the secret into it again".to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, content: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().unwrap();
        for mode in [0o644, 0o640, 0o602, 0o610] {
            let path = file(dir.path(), "secret", "s3cr3t", mode);
            let error = CredentialFile::find(path.clone(), None).read().unwrap_err();
            assert_eq!(error.kind, Kind::Exposed(mode));
            assert_eq!(error.next_step, format!("chmod 0600 {}", path.display()));
            assert!(!error.to_string().contains("s3cr3t"));
        }
        let path = file(dir.path(), "secret", "s3cr3t\n", 0o600);
        assert_eq!(CredentialFile::find(path, None).read_text().unwrap().as_str(), "s3cr3t");
    }

    #[test]
    fn what_the_service_manager_hands_over_beats_the_path() {
        let (dir, handed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = file(dir.path(), "client-secret", "from the path", 0o600);
        let find = || CredentialFile::find(path.clone(), Some(handed.path()));
        assert_eq!(find().read_text().unwrap().as_str(), "from the path");
        file(handed.path(), "client-secret", "named alone", 0o440);
        assert_eq!(find().read_text().unwrap().as_str(), "named alone");
        file(handed.path(), "arclet_client-secret", "of the directory", 0o440);
        assert_eq!(find().read_text().unwrap().as_str(), "of the directory");
    }

    #[test]
    fn an_absent_or_empty_secret_is_told_with_the_next_step() {
        let dir = tempfile::tempdir().unwrap();
        let absent = CredentialFile::find(dir.path().join("none"), None).read().unwrap_err();
        assert!(absent.next_step.contains("arclet connect"), "{absent}");
        let empty = CredentialFile::find(file(dir.path(), "empty", " \n", 0o600), None);
        assert!(empty.read_text().unwrap_err().to_string().contains("empty"));
    }
}
