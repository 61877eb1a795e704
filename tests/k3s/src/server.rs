//! Connections: accepted, counted, cut off; each request goes to [`routes`](crate::routes) or to a fault.

use crate::routes::{self, Answer, Question};
use crate::{Fault, Shared};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What a test tells the server; the sender hears when it is in effect.
pub enum Control {
    Cut(Sender<()>),
    Restore(Sender<()>),
    Stop,
}

/// Serves until it is told to stop.
pub fn run(
    listener: std::net::TcpListener,
    tls: Arc<ServerConfig>,
    shared: Arc<Shared>,
    mut commands: UnboundedReceiver<Control>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut listener = Some(TcpListener::from_std(listener).unwrap());
        let mut connections = JoinSet::new();
        let acceptor = TlsAcceptor::from(tls);
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
                        listener = None;
                        connections.shutdown().await;
                        let _ = done.send(());
                    }
                    Some(Control::Restore(done)) => {
                        listener = Some(TcpListener::bind(address).await.expect("the port is free again"));
                        let _ = done.send(());
                    }
                    Some(Control::Stop) | None => return,
                },
                Ok((stream, _)) = accepted => {
                    connections.spawn(connection(stream, acceptor.clone(), Arc::clone(&shared)));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    });
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let counted = Counted { stream, shared: Arc::clone(&shared) };
    // A client that breaks off, or does not trust us, is no error of ours.
    let Ok(stream) = acceptor.accept(counted).await else { return };
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    let certified = stream.get_ref().1.peer_certificates().is_some();
    let service = service_fn(move |request| answer(request, certified, Arc::clone(&shared)));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    certified: bool,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    shared.counters.requests.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let broken = |_| std::io::Error::other("the request broke off");
    let body = body.collect().await.map_err(broken)?.to_bytes();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let question = Question {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        metadata_only: header("accept").is_some_and(|form| form.contains("as=PartialObjectMetadata")),
        content_type: header("content-type").unwrap_or_default().to_owned(),
        bearer: header("authorization").and_then(|v| v.strip_prefix("Bearer ")).map(str::to_owned),
        certified,
        body,
    };
    if held(&shared, &question).await {
        return Err(std::io::Error::other("held"));
    }
    let fault = shared.fault.borrow().clone();
    let plain = |status: u16, content_type: &str, body: String| {
        Response::builder()
            .status(status)
            .header("content-type", content_type)
            .body(Full::from(body))
            .unwrap()
    };
    let json = |answer: Answer| plain(answer.status, answer.content_type, answer.body);
    Ok(match fault {
        None => json(routes::answer(&shared, &question)),
        Some(Fault::Status(code)) => json(Answer::status(code, "InternalError", "a fault of the test")),
        Some(Fault::Throttled(seconds)) => {
            let mut reply = json(Answer::status(429, "TooManyRequests", "please try again later"));
            reply.headers_mut().insert("retry-after", seconds.into());
            reply
        }
        Some(Fault::Html(status)) => {
            plain(status, "text/html", "<html><h1>Welcome to the hotel</h1></html>".into())
        }
        Some(Fault::Redirect) => {
            let mut reply = plain(302, "text/html", String::new());
            reply
                .headers_mut()
                .insert("location", hyper::header::HeaderValue::from_static("https://192.0.2.1/"));
            reply
        }
        Some(Fault::Truncated) => {
            // A length that is never reached: hyper ends the connection when the body is short of it.
            let whole = routes::answer(&shared, &question).body;
            let length = whole.len();
            let mut reply = plain(200, "application/json", whole[..length / 2].to_owned());
            reply.headers_mut().insert("content-length", length.into());
            reply
        }
        Some(Fault::Stalled) => {
            let mut watch = shared.fault.subscribe();
            let _ = watch.wait_for(|fault| *fault != Some(Fault::Stalled)).await;
            return Err(std::io::Error::other("stalled"));
        }
    })
}

/// Whether a request was held; returns when it no longer is.
async fn held(shared: &Shared, question: &Question) -> bool {
    let hold = shared.hold.borrow().clone();
    let text = format!("{} {}\n{}", question.method, question.path, String::from_utf8_lossy(&question.body));
    let Some(hold) = hold.filter(|hold| hold.texts.iter().all(|part| text.contains(part))) else {
        return false;
    };
    if hold.carried_out {
        drop(routes::answer(shared, question));
    }
    shared.hold.send_modify(|hold| hold.iter_mut().for_each(|hold| hold.met = true));
    let mut watch = shared.hold.subscribe();
    let _ = watch.wait_for(Option::is_none).await;
    true
}

/// A connection whose bytes are counted, below TLS.
struct Counted {
    stream: TcpStream,
    shared: Arc<Shared>,
}

fn add(counter: &AtomicU64, bytes: usize) {
    counter.fetch_add(bytes as u64, Ordering::Relaxed);
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        add(&self.shared.counters.bytes_in, buf.filled().len() - before);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            add(&self.shared.counters.bytes_out, written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
