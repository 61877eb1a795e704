//! One blocking HTTP/1.1 client for Azure and for the local API server: bounded in time, in bytes and in what it believes.
//!
//! A call ends by its deadline, with a whole reply or with a [`Failure`] that names the host and the phase. Certificates
//! are always verified, plain http goes to this machine only, redirects are handed back and never followed (a token must
//! not travel to where somebody's reply points). Nothing in here retries: that is the core's business. Nothing logs either:
//! requests hold tokens.

mod failure;
mod message;
mod proxy;
mod resolve;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod tls;

pub use failure::Failure;
pub use message::{Request, Response, escaped};
pub use proxy::{Proxy, is_loopback};
pub use stream::Take;
pub use tls::{ClientCertificate, Roots, TlsFault};

use crate::clock::Clock;
use crate::core::Reason;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use stream::Bounded;
pub use ureq::http;
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, TcpConnector};

/// What every request says of its sender.
pub const USER_AGENT: &str = concat!("arclet/", env!("CARGO_PKG_VERSION"));
/// Bytes of a reply's headers, status line included. Azure's status URLs may have 4 kB each.
pub const MOST_HEADERS: usize = 16 * 1024 - 1;
/// Of each connection; headers must fit in whole.
const INPUT_BUFFER: usize = 16 * 1024;
const OUTPUT_BUFFER: usize = 8 * 1024;
/// How much of a reply is read in one piece.
const PIECE: usize = 8 * 1024;

/// How a client reaches its hosts.
#[derive(Debug)]
pub struct Options {
    /// Whom to trust.
    pub roots: Roots,
    /// Proof of who asks, for a Kubernetes API server.
    pub client_certificate: Option<ClientCertificate>,
    /// The way out, if it is not direct. Loopback never goes through it.
    pub proxy: Option<Proxy>,
    /// Judges certificates.
    pub clock: Clock,
    /// For how long an unused connection is kept for the next call.
    pub idle: Duration,
    /// The longest time for a look-up of a name.
    pub resolve: Duration,
    /// The longest time for TCP, proxy and TLS together.
    pub connect: Duration,
}

impl Options {
    /// Usual times: 10 s to resolve, 20 s to connect, connections kept for 90 s.
    pub fn new(roots: Roots, clock: Clock) -> Options {
        Options {
            roots,
            client_certificate: None,
            proxy: None,
            clock,
            idle: Duration::from_secs(90),
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(20),
        }
    }

    /// The same through a proxy.
    pub fn proxy(mut self, proxy: Option<Proxy>) -> Options {
        self.proxy = proxy;
        self
    }
}

/// A client with its own trust, proxy and connections; clones share them.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    direct: ureq::Agent,
    proxied: Option<(ureq::Agent, Proxy)>,
    resolve: Duration,
    connect: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("proxy", &self.0.proxied.as_ref().map(|(_, proxy)| proxy)).finish()
    }
}

impl Client {
    /// Makes a client; nothing is connected yet. Fails on CA files, client certificates and proxies that cannot be used.
    pub fn new(options: Options) -> Result<Client, Reason> {
        let tls = tls::config(&options.roots, options.client_certificate, options.clock)?;
        let agent = |proxy: Option<ureq::Proxy>| {
            let config = ureq::Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(USER_AGENT)
                .proxy(proxy)
                .input_buffer_size(INPUT_BUFFER)
                .output_buffer_size(OUTPUT_BUFFER)
                .max_response_header_size(MOST_HEADERS)
                .max_idle_connections(4)
                .max_idle_connections_per_host(1)
                .max_idle_age(options.idle)
                .build();
            let connector =
                ().chain(ConnectProxyConnector::default())
                    .chain(TcpConnector::default())
                    .chain(tls::TlsConnector(Arc::clone(&tls)));
            ureq::Agent::with_parts(config, connector, resolve::BoundedResolver::default())
        };
        let proxied = match options.proxy {
            Some(proxy) => Some((agent(Some(proxy.for_ureq()?)), proxy)),
            None => None,
        };
        Ok(Client(Arc::new(Inner {
            direct: agent(None),
            proxied,
            resolve: options.resolve,
            connect: options.connect,
        })))
    }

    /// Makes the call and reads the whole reply.
    pub fn call(&self, request: &Request) -> Result<Response, Failure> {
        self.reach(request, None)
    }

    /// Makes the call and hands the body of a 200 over as it comes; every other reply is read whole. The reply that is
    /// returned shows the first bytes of such a body only.
    ///
    /// What `take` made of the body counts for nothing if this fails: then there was more of it, or it was another.
    pub fn stream(&self, request: &Request, take: &mut Take<'_>) -> Result<Response, Failure> {
        self.reach(request, Some(take))
    }

    fn reach(&self, request: &Request, take: Option<&mut Take<'_>>) -> Result<Response, Failure> {
        let unusable = |detail: &str| Failure::Protocol { host: String::new(), detail: detail.to_owned() };
        let url: http::Uri = request.url.parse().map_err(|_| unusable("the URL cannot be read"))?;
        let host = url.host().ok_or_else(|| unusable("the URL has no host"))?.to_owned();
        let plain = match url.scheme_str() {
            Some("https") => false,
            Some("http") if is_loopback(&host) => true,
            _ => {
                return Err(Failure::Protocol { host, detail: "only https leaves this machine".into() });
            }
        };
        let port = url.port_u16().unwrap_or(if plain { 80 } else { 443 });
        let (agent, proxy) = match &self.0.proxied {
            Some((agent, proxy)) if !proxy.excepts(&host, port) => (agent, Some(proxy)),
            _ => (&self.0.direct, None),
        };
        let name = if port == 443 && !plain { host } else { format!("{host}:{port}") };
        self.run(agent, request, url, take).map_err(|e| match e {
            Trouble::Ureq(e) => Failure::from_ureq(e, &name, proxy),
            Trouble::TooLarge => Failure::TooLarge {
                host: name,
                detail: format!("a reply of more than {} bytes", request.max_body),
            },
        })
    }

    fn run(
        &self,
        agent: &ureq::Agent,
        request: &Request,
        url: http::Uri,
        take: Option<&mut Take<'_>>,
    ) -> Result<Response, Trouble> {
        let mut head = http::Request::builder().method(request.method.clone()).uri(url);
        for (name, value) in &request.headers {
            head = head.header(name.as_ref(), value);
        }
        let bodyless = matches!(request.method, http::Method::GET | http::Method::HEAD);
        let mut response = if bodyless {
            agent.run(self.limited(agent, head.body(()).map_err(ureq::Error::Http)?, request.deadline))
        } else {
            let body = head.body(request.body.as_slice()).map_err(ureq::Error::Http)?;
            agent.run(self.limited(agent, body, request.deadline))
        }?;
        let expected = response.body().content_length().unwrap_or(0).min(request.max_body as u64) as usize;
        let body = match take.filter(|_| response.status() == http::StatusCode::OK) {
            Some(take) => {
                let mut body = Bounded::new(response.body_mut().as_reader(), request.max_body);
                take(&mut body);
                body.finish()?
            }
            None => read_bounded(response.body_mut().as_reader(), expected, request.max_body)?,
        };
        let (parts, _) = response.into_parts();
        let date_ms = parts.headers.get("date").and_then(|v| v.to_str().ok()).and_then(message::date_ms);
        Ok(Response { status: parts.status.as_u16(), headers: parts.headers, body, date_ms })
    }

    fn limited<B: ureq::AsSendBody>(
        &self,
        agent: &ureq::Agent,
        request: http::Request<B>,
        deadline: Duration,
    ) -> http::Request<B> {
        agent
            .configure_request(request)
            .timeout_global(Some(deadline))
            .timeout_resolve(Some(self.0.resolve))
            .timeout_connect(Some(self.0.connect))
            .build()
    }
}

enum Trouble {
    Ureq(ureq::Error),
    TooLarge,
}

impl From<ureq::Error> for Trouble {
    fn from(error: ureq::Error) -> Self {
        Trouble::Ureq(error)
    }
}

/// Reads all there is, if it is not more than `most`: what a gzip bomb unpacks to is counted, not what it weighs.
fn read_bounded(mut reader: impl Read, expected: usize, most: usize) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::with_capacity(expected);
    let mut piece = [0; PIECE];
    loop {
        let n = reader.read(&mut piece).map_err(|e| Trouble::Ureq(ureq::Error::from(e)))?;
        if n == 0 {
            return Ok(body);
        }
        if body.len() + n > most {
            return Err(Trouble::TooLarge);
        }
        body.extend_from_slice(piece.get(..n).unwrap_or_default());
    }
}
