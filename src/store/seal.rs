//! Sealing of secrets at rest: ChaCha20-Poly1305, a random nonce each, the document's name bound to its content.
//!
//! sled's log keeps old versions for a while, so a secret is sealed before it comes near it. The key never appears in an
//! error, a log line or a Debug output, and is zeroed when it goes.

use super::error::StoreError;
use super::files;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::{Zeroize, Zeroizing};

/// Seals and unseals with one key.
pub(super) struct Sealer(LessSafeKey);

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// With this key.
    pub(super) fn new(key: &[u8; 32]) -> Result<Sealer, StoreError> {
        UnboundKey::new(&CHACHA20_POLY1305, key)
            .map(|key| Sealer(LessSafeKey::new(key)))
            .map_err(|_| StoreError::Key("the key cannot be used".to_owned()))
    }

    /// With the key in this file, which is made if it is not there.
    pub(super) fn from_file(path: &Path) -> Result<Sealer, StoreError> {
        let meta = match std::fs::metadata(path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let mut key = Zeroizing::new([0; 32]);
                random(key.as_mut())?;
                files::write_whole(path, key.as_ref(), 0o600)?;
                return Sealer::new(&key);
            }
            Err(e) => return Err(StoreError::Key(format!("{}: {e}", path.display()))),
        };
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            return Err(StoreError::Key(format!(
                "{path} has mode {mode:04o}, so others can read it: chmod 600 {path}"
            )));
        }
        let bytes = std::fs::read(path).map(Zeroizing::new);
        let bytes = bytes.map_err(|e| StoreError::Key(format!("{}: {e}", path.display())))?;
        let mut key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
            let path = path.display();
            StoreError::Key(format!(
                "{path} has {} bytes, a key has 32: put the right one back, or remove it to begin with a new one \
                 (what was sealed with the old one is fetched again)",
                bytes.len()
            ))
        })?;
        let sealer = Sealer::new(&key);
        key.zeroize();
        sealer
    }

    /// Nonce, sealed content, tag.
    pub(super) fn seal(&self, name: &str, content: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce)?;
        let mut out = Vec::with_capacity(NONCE_LEN + content.len() + CHACHA20_POLY1305.tag_len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(content);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::from(name), &mut out[NONCE_LEN..])
            .map_err(|_| StoreError::Key(format!("{name} cannot be sealed")))?;
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// What was sealed under this name; `None` if it was not, or with another key.
    pub(super) fn unseal(&self, name: &str, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = Nonce::try_assume_unique_for_key(sealed.get(..NONCE_LEN)?).ok()?;
        let len = self.0.open_in_place(nonce, Aad::from(name), &mut sealed[NONCE_LEN..]).ok()?.len();
        sealed.copy_within(NONCE_LEN..NONCE_LEN + len, 0);
        sealed.truncate(len);
        Some(sealed)
    }
}

fn random(out: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(out).map_err(|e| StoreError::Io(format!("no random numbers from the kernel: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_under_its_own_name_and_key() {
        let sealer = Sealer::new(&[1; 32]).expect("key");
        let sealed = sealer.seal("token", b"secret").expect("seal");
        assert!(!sealed.windows(6).any(|w| w == b"secret"));
        assert_eq!(sealer.unseal("token", sealed.clone()).as_deref(), Some(&b"secret"[..]));
        assert_eq!(sealer.unseal("other", sealed.clone()), None);
        assert_eq!(Sealer::new(&[2; 32]).expect("key").unseal("token", sealed), None);
        assert_eq!(sealer.unseal("token", b"short".to_vec()), None);
    }

    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_cure() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("store.key");
        Sealer::from_file(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("stat").permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("chmod");
        let error = Sealer::from_file(&path).expect_err("refused").to_string();
        assert!(error.contains("chmod 600"), "{error}");
    }
}
