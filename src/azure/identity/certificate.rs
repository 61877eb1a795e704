//! A certificate of an app registration: the key signs a short-lived assertion and never leaves the device.
//!
//! PS256 with `x5t#S256`, as Microsoft's documentation and its npm client have it; the key must be RSA, as Entra demands.

use super::Form;
use crate::azure::guid;
use crate::core::Reason;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use ring::signature::{RSA_PSS_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Seconds that an assertion begins in the past, for devices whose clock runs ahead.
const BEFORE: i64 = 120;
/// Seconds between its begin and its end: Entra takes 5 to 10 minutes.
const LIFETIME: i64 = 600;

/// A certificate and its key.
pub struct Certificate {
    client_id: String,
    thumbprint: String,
    key: RsaKeyPair,
}

impl Certificate {
    /// From PEM text with one certificate (the first counts) and its unencrypted RSA key, PKCS#8 or PKCS#1.
    pub fn from_pem(client_id: impl Into<String>, pem: &[u8]) -> Result<Certificate, Reason> {
        let bad = |what: &str, cure: &str| Reason::new("BadCertificateFile", what).cure(cure);
        let whole = "give one PEM file with the CERTIFICATE and its PRIVATE KEY";
        let certificate = CertificateDer::from_pem_slice(pem)
            .map_err(|_| bad("the certificate file holds no readable certificate", whole))?;
        let rsa = "make an RSA key of 2048 to 4096 bits: Microsoft Entra accepts no other in assertions";
        let key = match PrivateKeyDer::from_pem_slice(pem) {
            Ok(key) => key,
            Err(_) if String::from_utf8_lossy(pem).contains("ENCRYPTED") => {
                return Err(bad(
                    "the private key is encrypted with a passphrase, which a service cannot type",
                    "decrypt it (openssl pkey -in key.pem) and protect it by file mode or systemd-creds",
                ));
            }
            Err(_) => return Err(bad("the certificate file holds no readable private key", whole)),
        };
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(bad("the private key is not RSA but on an elliptic curve", rsa)),
        };
        let pair = pair.map_err(|e| bad(&format!("the private key is not a usable RSA key: {e}"), rsa))?;
        let thumbprint = BASE64URL.encode(ring::digest::digest(&ring::digest::SHA256, &certificate));
        let provider = rustls::crypto::ring::default_provider();
        rustls::sign::CertifiedKey::from_der(vec![certificate], key, &provider).map_err(|e| {
            bad(
                &format!("the private key does not belong to the certificate: {e}"),
                "give the certificate's own key",
            )
        })?;
        Ok(Certificate { client_id: client_id.into(), thumbprint, key: pair })
    }

    /// base64url(SHA-256(certificate)), as the portal does not show it but `openssl x509 -fingerprint -sha256` does in hex.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(super) fn form(&self, scope: &str, audience: &str, now_ms: i64) -> Result<Form, Reason> {
        Ok(Form::new(&self.client_id, scope).assertion(&self.assertion(audience, now_ms)?))
    }

    fn assertion(&self, audience: &str, now_ms: i64) -> Result<Zeroizing<String>, Reason> {
        let failed = || {
            Reason::new("SigningFailed", "the assertion could not be signed: the system gives no randomness")
        };
        let begin = now_ms / 1000 - BEFORE;
        let header = serde_json::json!({"alg": "PS256", "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = serde_json::json!({
            "aud": audience,
            "iss": self.client_id,
            "sub": self.client_id,
            "jti": guid().ok_or_else(failed)?,
            "nbf": begin,
            "iat": begin,
            "exp": begin + LIFETIME,
        });
        let mut jwt =
            format!("{}.{}", BASE64URL.encode(header.to_string()), BASE64URL.encode(claims.to_string()));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PSS_SHA256, &ring::rand::SystemRandom::new(), jwt.as_bytes(), &mut signature)
            .map_err(|_| failed())?;
        jwt.push('.');
        BASE64URL.encode_string(&signature, &mut jwt);
        Ok(Zeroizing::new(jwt))
    }
}
