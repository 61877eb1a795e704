//! A federated token: another issuer's token file, read anew for each request, because its owner replaces it.

use super::{Form, bad_file};
use crate::core::Reason;
use std::io::Read;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Bytes of a token file that make sense.
const MOST_TOKEN: u64 = 64 * 1024;

/// A token of an issuer that the app registration trusts.
pub struct FederatedToken {
    client_id: String,
    file: PathBuf,
}

impl FederatedToken {
    /// The file need not exist yet.
    pub fn new(client_id: impl Into<String>, file: impl Into<PathBuf>) -> FederatedToken {
        FederatedToken { client_id: client_id.into(), file: file.into() }
    }

    pub(super) fn form(&self, scope: &str) -> Result<Form, Reason> {
        let cure = "check identity.token-file, and that its owner keeps it fresh and readable for arclet";
        let bad = |what: &dyn std::fmt::Display| bad_file(&self.file, what, cure);
        let file = std::fs::File::open(&self.file).map_err(|e| bad(&e))?;
        let mut text = Zeroizing::new(String::with_capacity(8 * 1024));
        file.take(MOST_TOKEN + 1).read_to_string(&mut text).map_err(|e| bad(&e))?;
        let token = text.trim();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-_.=".contains(c);
        if token.is_empty() || text.len() as u64 > MOST_TOKEN || !token.chars().all(is_token) {
            return Err(bad(&"it does not hold a token"));
        }
        Ok(Form::new(&self.client_id, scope).assertion(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_file_is_read_anew_for_each_request() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = FederatedToken::new("app", &path);
        assert!(token.form("s").err().unwrap().message.contains("token: "));
        for content in ["first.a.b", "second.a.b\n"] {
            std::fs::write(&path, content).unwrap();
            let form = String::from_utf8(token.form("s").unwrap().into_bytes()).unwrap();
            assert!(form.ends_with(&format!("client_assertion={}", content.trim())), "{form}");
        }
        for content in ["", "\n", "not a token", "<html>"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(token.form("s").err().unwrap().code, "CredentialFile", "{content:?}");
        }
    }
}
