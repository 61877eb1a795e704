//! TLS for ureq with our own clock: ureq's own connector takes no rustls time provider, and a device without an RTC must
//! reach its local API server in 1970.
//!
//! Certificates are always verified; there is no switch. One client configuration is shared by all connections of a
//! client, so that sessions are resumed.

use crate::clock::Clock;
use crate::core::Reason;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::sync::Arc;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
    time,
};

/// Sessions kept for resumption: rustls counts eight tickets for each host, and one client calls up to four hosts
/// (login, ARM, ingestion, and one that ARM points to). With fewer, each host's tickets would push out the others'.
const SESSIONS: usize = 4 * 8;

/// Whom to trust.
#[derive(Clone, Debug)]
pub enum Roots {
    /// The public authorities (Mozilla's list), and those of a PEM file, for example of a proxy that opens TLS.
    WebPki {
        /// PEM text with any number of certificates.
        extra_pem: Option<Vec<u8>>,
    },
    /// These only: a cluster's own CA, PEM.
    Only(Vec<u8>),
}

/// A client certificate chain, its own first, and its key.
pub type ClientCertificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What is wrong with a TLS connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFault {
    /// The certificate begins in the future: nearly always our clock is behind.
    NotYetValid,
    /// The certificate is over, or our clock is ahead.
    Expired,
    /// Signed by nobody that we know.
    UnknownIssuer,
    /// Of another host.
    WrongName,
    /// Wrong in another way.
    BadCertificate,
    /// The server does not take our client certificate, or wants one.
    ClientRefused,
    /// What answered does not speak TLS.
    NotTls,
    /// The connection ended within the handshake.
    Closed,
    /// No end of the handshake within the time given.
    TimedOut,
    /// Anything else.
    Other,
}

impl TlsFault {
    pub(super) fn of(error: &rustls::Error) -> TlsFault {
        use rustls::{AlertDescription as Alert, Error as E};
        match error {
            E::InvalidCertificate(e) => match e {
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    TlsFault::NotYetValid
                }
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => TlsFault::Expired,
                CertificateError::UnknownIssuer => TlsFault::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    TlsFault::WrongName
                }
                _ => TlsFault::BadCertificate,
            },
            E::AlertReceived(
                Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnknownCA
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::AccessDenied,
            ) => TlsFault::ClientRefused,
            E::InvalidMessage(_) => TlsFault::NotTls,
            _ => TlsFault::Other,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            TlsFault::NotYetValid => "CertificateNotYetValid",
            TlsFault::Expired => "CertificateExpired",
            TlsFault::UnknownIssuer => "UnknownIssuer",
            TlsFault::WrongName => "CertificateOfAnotherHost",
            TlsFault::BadCertificate => "BadCertificate",
            TlsFault::ClientRefused => "ClientCertificateRefused",
            TlsFault::NotTls => "NotTls",
            TlsFault::TimedOut => "Timeout",
            TlsFault::Closed | TlsFault::Other => "TlsFailed",
        }
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            TlsFault::NotYetValid => "its certificate is not yet valid by this device's clock",
            TlsFault::Expired => "its certificate has expired by this device's clock",
            TlsFault::UnknownIssuer => "its certificate is signed by an authority that is not trusted here",
            TlsFault::WrongName => "its certificate belongs to another host",
            TlsFault::BadCertificate => "its certificate is not acceptable",
            TlsFault::ClientRefused => "it does not accept this client's certificate",
            TlsFault::NotTls => "what answered does not speak TLS",
            TlsFault::Closed => "it closed the connection within the handshake",
            TlsFault::TimedOut => "the handshake took too long",
            TlsFault::Other => "the handshake failed",
        }
    }

    pub(super) fn next_step(self) -> &'static str {
        match self {
            TlsFault::NotYetValid => "set the device's clock (timedatectl): it seems to be behind",
            TlsFault::Expired => {
                "check the device's clock (timedatectl); if it is right, the server's certificate must be renewed"
            }
            TlsFault::UnknownIssuer => {
                "if a proxy opens TLS here, put its CA into tls.extra-ca-file; for k3s, check certificate-authority-data"
            }
            TlsFault::WrongName => "check the address; a captive portal or a proxy may answer in its place",
            TlsFault::ClientRefused => "use a client certificate that the server accepts",
            TlsFault::NotTls => {
                "check the port and the proxy settings; a captive portal may answer in its place"
            }
            TlsFault::BadCertificate | TlsFault::Closed | TlsFault::TimedOut | TlsFault::Other => {
                "look for a firewall or proxy between this device and the host"
            }
        }
    }
}

/// A handshake that did not come to a trusted connection.
#[derive(Debug)]
pub(super) struct HandshakeError {
    pub(super) host: String,
    pub(super) fault: TlsFault,
    pub(super) detail: String,
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLS with {}: {}", self.host, self.detail)
    }
}

impl std::error::Error for HandshakeError {}

/// The TLS configuration that all connections of a client share.
pub(super) fn config(
    roots: &Roots,
    client: Option<ClientCertificate>,
    clock: Clock,
) -> Result<Arc<ClientConfig>, Reason> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::WebPki { extra_pem } => {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            if let Some(pem) = extra_pem {
                add(&mut store, pem)?;
            }
        }
        Roots::Only(pem) => add(&mut store, pem)?,
    }
    let bad = |e: rustls::Error| Reason::new("TlsConfig", format!("TLS cannot be set up: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(bad)?
        .with_root_certificates(store);
    let mut config = match client {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|e| {
            Reason::new(
                "BadClientCertificate",
                format!("the client certificate and its key cannot be used: {e}"),
            )
            .cure("check that the key belongs to the certificate")
        })?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

fn add(store: &mut RootCertStore, pem: &[u8]) -> Result<(), Reason> {
    let bad = |detail: String| {
        Reason::new("BadCaFile", format!("the CA certificates cannot be read: {detail}"))
            .cure("give PEM text with at least one whole CERTIFICATE block")
    };
    let mut any = false;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        store.add(certificate).map_err(|e| bad(e.to_string()))?;
        any = true;
    }
    if any { Ok(()) } else { Err(bad("there is none".into())) }
}

/// Wraps a connection in TLS where the URL says https.
pub(super) struct TlsConnector(pub(super) Arc<ClientConfig>);

impl std::fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let fail = |fault: TlsFault, detail: String| {
            ureq::Error::Other(Box::new(HandshakeError { host: host.clone(), fault, detail }))
        };
        let name = ServerName::try_from(host.clone()).map_err(|e| fail(TlsFault::Other, e.to_string()))?;
        let mut conn = ClientConnection::new(Arc::clone(&self.0), name)
            .map_err(|e| fail(TlsFault::of(&e), e.to_string()))?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(remaining(details));
        if let Err(e) = conn.complete_io(&mut sock) {
            let tls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).map(TlsFault::of);
            return Err(match (tls, ureq::Error::from(e)) {
                (Some(fault), e) => fail(fault, bare(&e)),
                (None, e @ ureq::Error::Timeout(_)) => fail(TlsFault::TimedOut, bare(&e)),
                (None, e) => fail(TlsFault::Closed, bare(&e)),
            });
        }
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream: StreamOwned { conn, sock } })))
    }
}

/// What is left of the time to connect after resolving and TCP.
fn remaining(details: &ConnectionDetails) -> NextTimeout {
    let mut timeout = details.timeout;
    if let (time::Duration::Exact(limit), time::Instant::Exact(start), time::Instant::Exact(now)) =
        (timeout.after, details.now, (details.current_time)())
    {
        timeout.after = time::Duration::Exact(limit.saturating_sub(now.saturating_duration_since(start)));
    }
    timeout
}

fn bare(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(e) => e.to_string(),
        other => other.to_string(),
    }
}

/// A TLS connection as ureq wants it.
pub(super) struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl std::fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
