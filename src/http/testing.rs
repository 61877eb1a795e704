//! A tiny server on loopback that says whatever a test wants, nonsense included; and certificates for it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Gives the bytes to answer a request with, by its number; `None` hangs up.
type Handler = dyn Fn(usize, &Seen) -> Option<Vec<u8>> + Send + Sync;

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
    resumed: Arc<AtomicUsize>,
}

impl Server {
    /// Plain http.
    pub(crate) fn start(handler: impl Fn(usize, &Seen) -> Option<Vec<u8>> + Send + Sync + 'static) -> Server {
        Server::run(None, Arc::new(handler))
    }

    /// One answer for everything.
    pub(crate) fn always(answer: Vec<u8>) -> Server {
        Server::start(move |_, _| Some(answer.clone()))
    }

    /// These answers in this order, then none.
    pub(crate) fn script(answers: Vec<Vec<u8>>) -> Server {
        Server::start(move |n, _| answers.get(n).cloned())
    }

    pub(crate) fn tls(
        config: rustls::ServerConfig,
        handler: impl Fn(usize, &Seen) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Server {
        Server::run(Some(Arc::new(config)), Arc::new(handler))
    }

    fn run(tls: Option<Arc<rustls::ServerConfig>>, handler: Arc<Handler>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let server = Server {
            url: format!("{scheme}://127.0.0.1:{port}"),
            port,
            seen: Arc::default(),
            connections: Arc::default(),
            resumed: Arc::default(),
        };
        let (seen, connections, resumed) =
            (Arc::clone(&server.seen), Arc::clone(&server.connections), Arc::clone(&server.resumed));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                connections.fetch_add(1, Ordering::SeqCst);
                let (tls, seen, resumed, handler) =
                    (tls.clone(), Arc::clone(&seen), Arc::clone(&resumed), Arc::clone(&handler));
                std::thread::spawn(move || match tls {
                    None => serve(&mut stream, &seen, &*handler),
                    Some(config) => {
                        let mut connection = rustls::ServerConnection::new(config).unwrap();
                        while connection.is_handshaking() {
                            if connection.complete_io(&mut stream).is_err() {
                                return;
                            }
                        }
                        if connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed) {
                            resumed.fetch_add(1, Ordering::SeqCst);
                        }
                        serve(&mut rustls::StreamOwned::new(connection, stream), &seen, &*handler);
                    }
                });
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn resumed(&self) -> usize {
        self.resumed.load(Ordering::SeqCst)
    }
}

fn serve(stream: &mut (impl Read + Write), seen: &Mutex<Vec<Seen>>, handler: &Handler) {
    while let Some(request) = read_request(stream) {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let Some(answer) = handler(number, &request) else { return };
        let _ = stream.write_all(&answer).and_then(|()| stream.flush());
        let head = String::from_utf8_lossy(answer.get(..2048).unwrap_or(&answer)).to_ascii_lowercase();
        if !head.contains("content-length") || head.contains("connection: close") {
            return;
        }
    }
}

/// One request's head and body; `None` when the peer is gone.
pub(crate) fn read_request(stream: &mut impl Read) -> Option<Seen> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    let mut seen = Seen { head: String::from_utf8(head).ok()?, body: Vec::new() };
    let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    seen.body = vec![0; length];
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// An answer with its length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut out = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// A JSON answer as Azure's look.
pub(crate) fn json(status: u16, body: &str) -> Vec<u8> {
    answer(status, &[("Content-Type", "application/json; charset=utf-8")], body)
}

/// A server certificate with its own CA.
pub(crate) struct Identity {
    pub(crate) ca_pem: Vec<u8>,
    pub(crate) config: rustls::ServerConfig,
}

/// A certificate for `name`, valid from `from` to `to` (years).
pub(crate) fn identity(name: &str, from: i32, to: i32) -> Identity {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.not_before = rcgen::date_time_ymd(1971, 1, 1);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem().into_bytes();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.not_before = rcgen::date_time_ymd(from, 1, 1);
    leaf.not_after = rcgen::date_time_ymd(to, 1, 1);
    let chain = vec![leaf.signed_by(&key, &issuer).unwrap().der().clone()];
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Identity { ca_pem, config }
}

/// Passes bytes both ways until one side ends.
pub(crate) fn tunnel(left: TcpStream, right: TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Write);
        })
    };
    let there = copy(left.try_clone().unwrap(), right.try_clone().unwrap());
    let back = copy(right, left);
    let _ = (there.join(), back.join());
}
