//! Why a call brought no reply, in words that an operator can act on: which host, what went wrong, what to do next.
//!
//! A reply with an error status is not a failure; what it means is for the client that asked (`azure/`, `k3s/`).

use super::proxy::Proxy;
use super::resolve::LookupError;
use super::tls::{HandshakeError, TlsFault};
use crate::core::{Outcome, Reason};
use std::io::ErrorKind;

/// Why a call brought no whole reply. `host` is the one that did not do its part: the server's, or the proxy's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The name has no address, or nobody could be asked for it.
    Dns {
        /// The name.
        host: String,
        /// What the resolver said.
        detail: String,
    },
    /// No connection: refused, no route, network down.
    Connect {
        /// Host and port.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// The connection is not, or not provably, one to that host.
    Tls {
        /// The name that the certificate was to prove.
        host: String,
        /// What is wrong.
        fault: TlsFault,
        /// What the TLS library said.
        detail: String,
    },
    /// The proxy did not open a tunnel.
    Proxy {
        /// The proxy's host and port; never its credentials.
        host: String,
        /// The status that it answered with, if it did answer.
        status: Option<u16>,
        /// What it said.
        detail: String,
    },
    /// Not done within the time given.
    Timeout {
        /// The host.
        host: String,
        /// What was under way then: `resolve`, `connect`, `handshake`, `send` or `reply`.
        phase: &'static str,
    },
    /// The connection broke before the reply was whole.
    Reset {
        /// The host.
        host: String,
        /// What the system said.
        detail: String,
    },
    /// The reply is larger than the caller takes; the rest was not read.
    TooLarge {
        /// The host.
        host: String,
        /// What there was too much of, and the limit in bytes.
        detail: String,
    },
    /// Not HTTP, or a request that cannot be sent as it is.
    Protocol {
        /// The host, as far as there is one.
        host: String,
        /// What is wrong.
        detail: String,
    },
}

impl Failure {
    /// From what ureq says. `proxy` is the one that this call went through.
    pub(super) fn from_ureq(error: ureq::Error, host: &str, proxy: Option<&Proxy>) -> Failure {
        use ureq::Error as E;
        // Whoever is connected to first: the proxy, or without one the server itself.
        let first = || proxy.map_or_else(|| host.to_owned(), Proxy::address);
        let host = host.to_owned();
        match error {
            E::Other(inner) => match inner.downcast::<HandshakeError>() {
                Ok(handshake) if handshake.fault == TlsFault::TimedOut => {
                    Failure::Timeout { host: handshake.host, phase: "handshake" }
                }
                Ok(handshake) => {
                    Failure::Tls { host: handshake.host, fault: handshake.fault, detail: handshake.detail }
                }
                Err(inner) => match inner.downcast::<LookupError>() {
                    Ok(lookup) => Failure::Dns { host: lookup.host, detail: lookup.detail },
                    Err(other) => Failure::Protocol { host, detail: other.to_string() },
                },
            },
            E::Io(e) => Failure::from_io(e, host, first),
            E::Timeout(t) => match t {
                ureq::Timeout::Resolve => Failure::Timeout { host: first(), phase: "resolve" },
                ureq::Timeout::Connect => Failure::Timeout { host: first(), phase: "connect" },
                ureq::Timeout::SendRequest | ureq::Timeout::SendBody => {
                    Failure::Timeout { host, phase: "send" }
                }
                _ => Failure::Timeout { host, phase: "reply" },
            },
            E::HostNotFound => Failure::Dns { host: first(), detail: "the name has no address".into() },
            E::ConnectProxyFailed(said) => {
                let status = said.split(|c: char| !c.is_ascii_digit()).find_map(|word| word.parse().ok());
                Failure::Proxy { host: first(), status, detail: said }
            }
            E::LargeResponseHeader(_, limit) => {
                Failure::TooLarge { host, detail: format!("headers of more than {limit} bytes") }
            }
            E::ConnectionFailed => Failure::Connect { host: first(), detail: "no connection".into() },
            other => Failure::Protocol { host, detail: other.to_string() },
        }
    }

    fn from_io(error: std::io::Error, host: String, first: impl Fn() -> String) -> Failure {
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            let fault = TlsFault::of(tls);
            return Failure::Tls { host, fault, detail: tls.to_string() };
        }
        let detail = error.to_string();
        match error.kind() {
            ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
            | ErrorKind::PermissionDenied => Failure::Connect { host: first(), detail },
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Failure::Timeout { host, phase: "reply" },
            _ => Failure::Reset { host, detail },
        }
    }

    /// The stable word for programs ([`Reason::code`]).
    pub fn code(&self) -> &'static str {
        match self {
            Failure::Dns { .. } => "DnsFailed",
            Failure::Connect { .. } => "ConnectFailed",
            Failure::Tls { fault, .. } => fault.code(),
            Failure::Proxy { status: Some(407), .. } => "ProxyAuthenticationRequired",
            Failure::Proxy { .. } => "ProxyRefused",
            Failure::Timeout { .. } => "Timeout",
            Failure::Reset { .. } => "ConnectionReset",
            Failure::TooLarge { .. } => "ReplyTooLarge",
            Failure::Protocol { .. } => "ProtocolError",
        }
    }

    fn next_step(&self) -> &'static str {
        match self {
            Failure::Dns { .. } => {
                "check the device's DNS servers (resolvectl status) and that the name is spelled right"
            }
            Failure::Connect { .. } => "check the network, the firewall and the proxy settings",
            Failure::Tls { fault, .. } => fault.next_step(),
            Failure::Proxy { status: Some(407), .. } => {
                "set the proxy's user and password in proxy.url, percent-encoded"
            }
            Failure::Proxy { .. } => {
                "check proxy.url, and that the proxy lets this device CONNECT to the host on port 443"
            }
            Failure::Timeout { phase: "resolve", .. } => "check the device's DNS servers (resolvectl status)",
            Failure::Timeout { .. } => "nothing to do if the link is slow or down: it is tried again",
            Failure::Reset { .. } => {
                "nothing to do if it heals; else look for a firewall or proxy that ends connections"
            }
            Failure::TooLarge { .. } => {
                "check that the address is the right one and that no proxy answers in its place"
            }
            Failure::Protocol { .. } => {
                "check the address and its port, and that no proxy answers in its place"
            }
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Dns { host, detail } => write!(f, "no address for {host}: {detail}"),
            Failure::Connect { host, detail } => write!(f, "no connection to {host}: {detail}"),
            Failure::Tls { host, fault, detail } => {
                write!(f, "no trusted connection to {host}: {} ({detail})", fault.words())
            }
            Failure::Proxy { host, status: Some(407), .. } => {
                write!(f, "the proxy {host} wants to know who asks, or does not accept who does (407)")
            }
            Failure::Proxy { host, status: Some(status), .. } => {
                write!(f, "the proxy {host} refused to connect: status {status}")
            }
            Failure::Proxy { host, status: None, detail } => {
                write!(f, "the proxy {host} gave no answer: {detail}")
            }
            Failure::Timeout { host, phase } => write!(f, "{host} took too long ({phase})"),
            Failure::Reset { host, detail } => write!(f, "the connection to {host} broke: {detail}"),
            Failure::TooLarge { host, detail } => write!(f, "{host} sent {detail}"),
            Failure::Protocol { host, detail } => write!(f, "no HTTP with {host}: {detail}"),
        }
    }
}

impl From<Failure> for Reason {
    fn from(failure: Failure) -> Reason {
        Reason::new(failure.code(), failure.to_string()).cure(failure.next_step())
    }
}

/// All failures are those of a link, but for what came and was nonsense: that keeps being nonsense until someone acts.
impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        match failure {
            Failure::TooLarge { .. } | Failure::Protocol { .. } => Outcome::Refused(failure.into()),
            _ => Outcome::Unreachable(failure.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_did_not_answer_is_named_be_it_the_proxy() {
        let proxy = Proxy::parse("http://me:s3cret@gate:3128", &[]).ok();
        let timeout = |phase| Failure::from_ureq(ureq::Error::Timeout(phase), "azure", proxy.as_ref());
        assert_eq!(
            timeout(ureq::Timeout::Connect),
            Failure::Timeout { host: "gate:3128".into(), phase: "connect" }
        );
        assert_eq!(timeout(ureq::Timeout::Global), Failure::Timeout { host: "azure".into(), phase: "reply" });
        let lookup = LookupError { host: "gate".into(), detail: "Name or service not known".into() };
        let failure = Failure::from_ureq(ureq::Error::Other(Box::new(lookup)), "azure", proxy.as_ref());
        let reason = Reason::from(failure);
        assert_eq!(reason.code, "DnsFailed");
        assert!(reason.message.contains("gate") && reason.next_step.contains("DNS"), "{reason}");
    }
}
