//! Where the API server is, whom to trust there and who asks: all that a client needs, and nothing of where it came from.
//!
//! Holds secrets: no Debug but the one written here, which shows none.

use crate::core::Reason;
use crate::http::{ClientCertificate, Roots};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Who asks.
#[derive(Clone)]
pub enum Identity {
    /// A bearer token.
    Token(Zeroizing<String>),
    /// A file with a bearer token, which somebody else renews: it is read anew for each call.
    TokenFile(PathBuf),
    /// A client certificate.
    Certificate {
        /// Its chain, PEM, its own first.
        chain: Vec<u8>,
        /// Its key, PEM.
        key: Zeroizing<Vec<u8>>,
    },
}

/// How to reach one API server.
#[derive(Clone)]
pub struct Connection {
    /// `https://host:port`, without a slash at the end.
    pub server: String,
    /// The cluster's CA, PEM. Without one, the public authorities count.
    pub ca: Option<Vec<u8>>,
    /// Who asks.
    pub identity: Identity,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let identity = match &self.identity {
            Identity::Token(_) => "token",
            Identity::TokenFile(_) => "token file",
            Identity::Certificate { .. } => "client certificate",
        };
        f.debug_struct("Connection").field("server", &self.server).field("identity", &identity).finish()
    }
}

impl Connection {
    pub(super) fn roots(&self) -> Roots {
        match &self.ca {
            Some(pem) => Roots::Only(pem.clone()),
            None => Roots::WebPki { extra_pem: None },
        }
    }

    /// The certificate and key in the form of the TLS library. The errors of the key's parser quote nothing of it.
    pub(super) fn client_certificate(&self) -> Result<Option<ClientCertificate>, Reason> {
        let Identity::Certificate { chain, key } = &self.identity else { return Ok(None) };
        let bad = |what: &str, e: String| {
            Reason::new("BadClientCertificate", format!("the kubeconfig's {what} cannot be read: {e}"))
                .cure("take a new kubeconfig from the cluster")
        };
        let certificates = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| bad("client certificate", e.to_string()))?;
        if certificates.is_empty() {
            return Err(bad("client certificate", "it holds none".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|e| bad("client key", e.to_string()))?;
        Ok(Some((certificates, key)))
    }
}
