//! Listeners and connections: accepted, counted, cut off; each request goes to its endpoint or to a fault.

use crate::counted::Counted;
use crate::fault::{Endpoint, Fault};
use crate::reply::{Reply, faulty, response};
use crate::state::Seen;
use crate::wire::{Question, pairs};
use crate::{Shared, arm, entra, himds, ingest, registry, vault};
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Socket, Type};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// No request that is read is larger; ingestion's own limit is a sixteenth.
const BODY_MAX: usize = 16 << 20;

/// What a test tells an endpoint; the sender hears when it is in effect.
pub enum Control {
    Cut(Sender<()>),
    Restore(Sender<()>),
    Stop,
}

/// Which service answers on a port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Azure(Endpoint),
    Himds,
}

/// A port on loopback that stays this service's, also while its link is cut.
pub struct Port {
    /// Where it is.
    pub address: SocketAddr,
    listener: std::net::TcpListener,
    /// Bound to the same port and never listening: with it alone connections are refused, and nobody else gets the port.
    kept: Socket,
}

impl Port {
    /// A port that listens.
    pub fn open() -> std::io::Result<Port> {
        let kept = bound((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = kept.local_addr()?.as_socket().expect("an IPv4 socket");
        Ok(Port { address, listener: listen(address)?, kept })
    }
}

fn bound(address: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // Beside the socket that keeps the port, and beside connections that were cut and are in TIME-WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = bound(address)?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Serves one port until it is told to stop.
pub async fn serve(
    port: Port,
    service: Service,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    mut commands: UnboundedReceiver<Control>,
) {
    let Port { address, listener, kept: _kept } = port;
    let mut listener = Some(TcpListener::from_std(listener).unwrap());
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            command = commands.recv() => match command {
                Some(Control::Cut(done)) => {
                    if let Some(listener) = listener.take() {
                        // To close it is not enough: a program that a test starts just now still has a copy of it.
                        socket2::SockRef::from(&listener).shutdown(std::net::Shutdown::Both).unwrap();
                    }
                    connections.shutdown().await;
                    let _ = done.send(());
                }
                Some(Control::Restore(done)) => {
                    if listener.is_none() {
                        let again = listen(address).expect("a port that is kept can be listened on");
                        listener = Some(TcpListener::from_std(again).unwrap());
                    }
                    let _ = done.send(());
                }
                Some(Control::Stop) | None => return,
            },
            Ok((stream, _)) = accepted => {
                let base = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
                connections.spawn(connection(stream, service, tls.clone(), base, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(
    stream: TcpStream,
    service: Service,
    tls: Option<TlsAcceptor>,
    base: String,
    shared: Arc<Shared>,
) {
    let _ = stream.set_nodelay(true);
    let counters = shared.counters(service);
    counters.connections.fetch_add(1, Ordering::Relaxed);
    let stream = Counted { stream, counters: Arc::clone(&counters) };
    let handler = service_fn(move |request| answer(request, service, base.clone(), Arc::clone(&shared)));
    // A client that breaks off, or does not trust us, is no error of ours.
    let http = hyper::server::conn::http1::Builder::new();
    match tls {
        None => {
            let _ = http.serve_connection(TokioIo::new(stream), handler).await;
        }
        Some(tls) => {
            let Ok(stream) = tls.accept(stream).await else { return };
            let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
            let counter = if resumed { &counters.resumed } else { &counters.full };
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = http.serve_connection(TokioIo::new(stream), handler).await;
        }
    }
}

async fn answer(request: Request<Incoming>, service: Service, base: String, shared: Arc<Shared>) -> Reply {
    shared.counters(service).requests.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX)
        .collect()
        .await
        .map_err(|_| std::io::Error::other("the request broke off"))?;
    let headers = head
        .headers
        .iter()
        .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()));
    let question = Question {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: pairs(head.uri.query().unwrap_or_default())
            .into_iter()
            .map(|(n, v)| (n.to_lowercase(), v))
            .collect(),
        headers: headers.collect(),
        body: body.to_bytes().to_vec(),
        base,
    };
    let Service::Azure(endpoint) = service else {
        return Ok(response(himds::answer(&mut shared.state(), &question)));
    };
    let mut watch = shared.changed.subscribe();
    let (fault, changes) = {
        let mut state = shared.state();
        (state.fault(endpoint, &question), state.faults.changes(endpoint))
    };
    if fault == Some(Fault::Stall) {
        note(&shared, endpoint, &question, 0);
        while shared.state().faults.changes(endpoint) == changes && watch.changed().await.is_ok() {}
        return Err(std::io::Error::other("stalled"));
    }
    if let Some(Fault::Slow(time)) = fault {
        tokio::time::sleep(time).await;
    }
    let right = || {
        let mut state = shared.state();
        match endpoint {
            Endpoint::Login => entra::answer(&mut state, &question),
            Endpoint::Arm => arm::answer(&mut state, &question),
            Endpoint::Ingest => ingest::answer(&mut state, &question),
            Endpoint::Vault => vault::answer(&mut state, &question),
            Endpoint::Registry => {
                let page = state.page_size;
                registry::answer(&mut state.registry, page, &question)
            }
        }
    };
    let reply = match fault {
        None | Some(Fault::Slow(_) | Fault::Stall) => Ok(response(right())),
        Some(fault) => faulty(endpoint, fault, right),
    };
    note(&shared, endpoint, &question, reply.as_ref().map_or(0, |r| r.status().as_u16()));
    reply
}

fn note(shared: &Shared, endpoint: Endpoint, question: &Question, status: u16) {
    let seen = Seen { endpoint, method: question.method.clone(), path: question.path.clone(), status };
    shared.state().note(seen);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Azure, Options};

    #[test]
    fn nobody_else_gets_the_port_of_a_link_that_is_cut() {
        let azure = Azure::start(Options::default()).unwrap();
        let address: SocketAddr = azure.arm_url().strip_prefix("https://").unwrap().parse().unwrap();
        // Nothing was ever connected here, so that no connection in TIME-WAIT has the port either.
        azure.cut(Endpoint::Arm);
        azure.cut(Endpoint::Arm);
        let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        assert_eq!(other.bind(&address.into()).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        assert!(std::net::TcpStream::connect(address).is_err());
        azure.restore(Endpoint::Arm);
        azure.restore(Endpoint::Arm);
        std::net::TcpStream::connect(address).unwrap();
    }

    #[test]
    fn a_cut_is_in_effect_at_once_though_programs_are_started_meanwhile() {
        let port = Port::open().unwrap();
        // What a program between fork and exec has.
        let copy = port.listener.try_clone().unwrap();
        socket2::SockRef::from(&port.listener).shutdown(std::net::Shutdown::Both).unwrap();
        assert!(std::net::TcpStream::connect(port.address).is_err());
        let again = listen(port.address).unwrap();
        std::net::TcpStream::connect(port.address).unwrap();
        drop((copy, again));
    }
}
