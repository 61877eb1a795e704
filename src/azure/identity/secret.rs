//! A client secret: the simplest credential, and the one that leaks most easily. A certificate is better.

use super::Form;
use zeroize::Zeroizing;

/// A password of an app registration.
pub struct ClientSecret {
    client_id: String,
    secret: Zeroizing<String>,
}

impl ClientSecret {
    /// The secret's value, not its id. White space around it is cut off: files end in a newline.
    pub fn new(client_id: impl Into<String>, secret: &str) -> ClientSecret {
        ClientSecret { client_id: client_id.into(), secret: Zeroizing::new(secret.trim().to_owned()) }
    }

    pub(super) fn form(&self, scope: &str) -> Form {
        let mut form = Form::new(&self.client_id, scope);
        form.add("client_secret", &self.secret);
        form
    }
}
