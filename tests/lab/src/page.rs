//! The local web page: one document, its state as JSON, one switch. Loopback only.

use crate::state::{Picture, Shared};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

/// Binds the page's port (0: any) on loopback.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves the page until the lab ends. What the switch says goes to `switch`.
pub async fn serve(listener: TcpListener, shared: Shared, switch: UnboundedSender<bool>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (shared, switch) = (shared.clone(), switch.clone());
        let service = service_fn(move |request| {
            let answer = answer(&request, &shared, &switch);
            async move { Ok::<_, Infallible>(answer) }
        });
        // A browser that goes away is not the lab's business.
        tokio::task::spawn_local(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

fn answer<B>(request: &Request<B>, shared: &Shared, switch: &UnboundedSender<bool>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            respond("text/html; charset=utf-8", include_str!("page.html").as_bytes().to_vec())
        }
        (&Method::GET, "/state") => {
            let picture: Picture = shared.lock().picture();
            respond("application/json", serde_json::to_vec(&picture).unwrap_or_default())
        }
        // A POST that a foreign page makes cannot read the answer, but it could press the switch: same origin only.
        (&Method::POST, "/link")
            if request.headers().get("sec-fetch-site").is_none_or(|v| v == "same-origin") =>
        {
            let _ = switch.send(request.uri().query() == Some("up=true"));
            respond("application/json", b"{}".to_vec())
        }
        _ => {
            let mut response = respond("text/plain", b"not here\n".to_vec());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn respond(kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    response
        .headers_mut()
        .insert(hyper::header::CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store"));
    response
}
