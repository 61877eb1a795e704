//! The managed identity of the machine, from the agent of Arc-enabled servers (HIMDS) where that runs beside us.
//!
//! HIMDS proves that the asker may read a file, and names the file in its answer. Whoever else sits on that port could name
//! any file and would be sent its content, so the named path must be exactly a `.key` file of the one known directory, and
//! only its base name is used. Nothing but loopback is ever asked.

use super::{Token, bad_file, no_answer, read_token};
use crate::azure::{error, named};
use crate::core::{Outcome, Reason};
use crate::http::{Client, Request, Response, http::Uri, is_loopback};
use rustix::fs::{FileType, Mode, OFlags, fstat, open, openat};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Who is asked, in messages.
const HIMDS: &str = "the Azure Connected Machine agent (HIMDS)";
/// Where it listens unless IDENTITY_ENDPOINT says otherwise.
pub const ENDPOINT: &str = "http://localhost:40342/metadata/identity/oauth2/token";
/// The directory of the challenge files.
const TOKEN_DIRECTORY: &str = "/var/opt/azcmagent/tokens";
const API_VERSION: &str = "2020-06-01";
/// Bytes of a challenge file; Microsoft's own clients take no more either.
const MOST_KEY: u64 = 4096;
/// The challenge file is single-use and short-lived: after another 401 there is one more round.
const ROUNDS: usize = 2;

/// The machine's own identity.
pub struct ArcServer {
    endpoint: String,
    directory: PathBuf,
}

impl ArcServer {
    /// `endpoint` as in IDENTITY_ENDPOINT, usually [`ENDPOINT`]. Refused unless it is http on loopback.
    pub fn new(endpoint: &str) -> Result<ArcServer, Reason> {
        ArcServer::with_directory(endpoint, TOKEN_DIRECTORY)
    }

    /// With another directory of challenge files: for tests, since only root can write the real one.
    pub fn with_directory(endpoint: &str, directory: impl Into<PathBuf>) -> Result<ArcServer, Reason> {
        let url: Option<Uri> = endpoint.parse().ok();
        let local = url.is_some_and(|u| {
            u.scheme_str() == Some("http") && u.host().is_some_and(is_loopback) && u.query().is_none()
        });
        if !local {
            return Err(Reason::new(
                "BadIdentityEndpoint",
                format!("{endpoint:?} is not an address of this machine"),
            )
            .cure(format!("leave IDENTITY_ENDPOINT unset or set it to {ENDPOINT}")));
        }
        Ok(ArcServer { endpoint: endpoint.to_owned(), directory: directory.into() })
    }

    pub(super) fn token(&self, client: &Client, resource: &str) -> Result<Token, Outcome> {
        let ask = |key: Option<&str>| {
            let request =
                Request::get(format!("{}?api-version={API_VERSION}&resource={resource}", self.endpoint))
                    .header("Metadata", "true")
                    .deadline(super::DEADLINE.min(Duration::from_secs(20)))
                    .max_body(super::MOST_BODY);
            let request = match key {
                Some(key) => request.header("Authorization", format!("Basic {key}")),
                None => request,
            };
            client.call(&named(request)).map_err(|failure| match Outcome::from(failure) {
                Outcome::Unreachable(reason) => Outcome::Unreachable(
                    reason.cure("check that the Azure Connected Machine agent runs: systemctl status himdsd"),
                ),
                other => other,
            })
        };
        let mut last = None;
        for _ in 0..ROUNDS {
            let mut response = ask(None)?;
            if response.status == 401 {
                let key = self.challenge(&response).map_err(Outcome::Refused)?;
                response = ask(Some(&key))?;
            }
            if let Some(token) = read_token(&mut response) {
                return Ok(token);
            }
            let again = response.status == 401;
            last = Some(response);
            if !again {
                break;
            }
        }
        Err(match last {
            Some(response) => refused(&response),
            None => Outcome::Refused(Reason::new("NotTheApi", format!("{HIMDS} gave no answer"))),
        })
    }

    /// The content of the file that a 401 names, if it may be read.
    fn challenge(&self, response: &Response) -> Result<Zeroizing<String>, Reason> {
        let unsafe_path = |what: String| {
            Reason::new("UnsafeChallenge", what).cure(
                "find out what listens at IDENTITY_ENDPOINT: it may not be the Azure Connected Machine agent",
            )
        };
        let realm = response
            .header_all("www-authenticate")
            .filter(|text| text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic ")))
            .find_map(|text| error::parameter(text, "realm"))
            .ok_or_else(|| unsafe_path(format!("{HIMDS} answered 401 without a challenge")))?;
        let name = safe_name(realm, &self.directory).ok_or_else(|| {
            unsafe_path(format!("{HIMDS} asked for a file that is not one of its keys: {realm:?}"))
        })?;
        self.read_key(name)
    }

    fn read_key(&self, name: &str) -> Result<Zeroizing<String>, Reason> {
        let path = self.directory.join(name);
        let cure = "add the user arclet to the group himds, then restart arclet";
        let bad = |what: &dyn std::fmt::Display| bad_file(&path, what, cure);
        // NONBLOCK: a fifo must not hold us up; it is refused below.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let directory =
            open(&self.directory, OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
                .map_err(|e| bad(&e))?;
        let file = openat(&directory, name, flags, Mode::empty()).map_err(|e| bad(&e))?;
        let stat = fstat(&file).map_err(|e| bad(&e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as u64 > MOST_KEY {
            return Err(bad(&"not a plain file of at most 4096 bytes"));
        }
        let mut content = Zeroizing::new(Vec::with_capacity(MOST_KEY as usize + 1));
        std::fs::File::from(file).take(MOST_KEY + 1).read_to_end(&mut content).map_err(|e| bad(&e))?;
        let text =
            std::str::from_utf8(&content).map(|text| text.trim_end_matches(['\r', '\n'])).unwrap_or_default();
        let sendable = !text.is_empty()
            && content.len() as u64 <= MOST_KEY
            && text.bytes().all(|b| (32..127).contains(&b));
        if sendable { Ok(Zeroizing::new(text.to_owned())) } else { Err(bad(&"it does not hold a key")) }
    }
}

/// The base name of a challenge path, if the path is exactly a key file of that directory.
fn safe_name<'a>(realm: &'a str, directory: &Path) -> Option<&'a str> {
    let name = realm.strip_prefix(directory.to_str()?)?.strip_prefix('/')?;
    let stem = name.strip_suffix(".key")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!stem.is_empty() && stem.chars().all(legal)).then_some(name)
}

fn refused(response: &Response) -> Outcome {
    if response.status == 401 || response.status == 403 {
        let reason = Reason::new(
            "HimdsRefused",
            format!("{HIMDS} refused the key of its own challenge (status {})", response.status),
        );
        return Outcome::Refused(
            reason.cure("restart the agent: systemctl restart himdsd; check azcmagent show"),
        );
    }
    no_answer(HIMDS, response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_file_of_the_known_directory_is_named() {
        let directory = Path::new("/var/opt/azcmagent/tokens");
        assert_eq!(safe_name("/var/opt/azcmagent/tokens/1234-ab.key", directory), Some("1234-ab.key"));
        for realm in [
            "/etc/passwd",
            "/etc/1234.key",
            "/var/opt/azcmagent/tokens/../../../../etc/shadow.key",
            "/var/opt/azcmagent/tokens/sub/1.key",
            "/var/opt/azcmagent/tokens//1.key",
            "/var/opt/azcmagent/tokens2/1.key",
            "/var/opt/azcmagent/tokens/1.pem",
            "/var/opt/azcmagent/tokens/.key",
            "/var/opt/azcmagent/tokens/a\0b.key",
            "1.key",
            "",
        ] {
            assert_eq!(safe_name(realm, directory), None, "{realm:?}");
        }
    }

    #[test]
    fn only_plain_files_that_are_not_links_and_not_large_are_read() {
        let temporary = tempfile::tempdir().unwrap();
        let server = ArcServer::with_directory(ENDPOINT, temporary.path()).unwrap();
        let path = |name: &str| temporary.path().join(name);
        std::fs::write(path("good.key"), "c2VjcmV0LWtleQ==\n").unwrap();
        std::fs::write(path("large.key"), "x".repeat(4097)).unwrap();
        std::fs::write(path("empty.key"), "").unwrap();
        std::fs::write(path("lines.key"), "a\r\nX: y").unwrap();
        std::os::unix::fs::symlink(path("good.key"), path("link.key")).unwrap();
        std::fs::create_dir(path("directory.key")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, path("fifo.key"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(server.read_key("good.key").unwrap().as_str(), "c2VjcmV0LWtleQ==");
        for name in
            ["large.key", "empty.key", "lines.key", "link.key", "directory.key", "fifo.key", "none.key"]
        {
            assert_eq!(server.read_key(name).unwrap_err().code, "CredentialFile", "{name}");
        }
    }

    #[test]
    fn only_this_machine_is_asked() {
        for endpoint in [
            "http://10.0.0.1:40342/x",
            "https://localhost:40342/x",
            "http://localhost.evil.example/x",
            "http://localhost@evil.example/x",
            "ftp://localhost/x",
            "",
        ] {
            assert_eq!(ArcServer::new(endpoint).err().unwrap().code, "BadIdentityEndpoint", "{endpoint}");
        }
        assert!(ArcServer::new("http://127.0.0.1:40342/metadata/identity/oauth2/token").is_ok());
    }
}
