//! The local web page: one document, its state as JSON, one switch and a few buttons. Loopback only.

use crate::state::{Picture, Shared};
use crate::wish::{BRANCHES, Deed};
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;

/// What a person pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    /// The link: up or not.
    Link(bool),
    /// Desired state.
    Do(Deed),
    /// kill -9, and a start with the link as it is.
    Reboot,
}

impl Press {
    fn of(path: &str, query: Option<&str>) -> Option<Press> {
        Some(match (path, query?) {
            ("/link", query) => Press::Link(query == "up=true"),
            ("/do", "edit") => Press::Do(Deed::Edit),
            ("/do", "break") => Press::Do(Deed::Break),
            ("/do", "delete") => Press::Do(Deed::Delete),
            ("/do", "reboot") => Press::Reboot,
            ("/do", want) => {
                let want = want.strip_prefix("want=")?;
                Press::Do(Deed::Want(BRANCHES.into_iter().find(|branch| *branch == want)?))
            }
            _ => return None,
        })
    }
}

/// Binds the page's port (0: any) on loopback.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves the page until the lab ends. What is pressed goes to `switch`.
pub async fn serve(listener: TcpListener, shared: Shared, switch: UnboundedSender<Press>) {
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

fn answer<B>(
    request: &Request<B>,
    shared: &Shared,
    switch: &UnboundedSender<Press>,
) -> Response<Full<Bytes>> {
    let press = Press::of(request.uri().path(), request.uri().query());
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/") => {
            respond("text/html; charset=utf-8", include_str!("page.html").as_bytes().to_vec())
        }
        (&Method::GET, "/state") => {
            let picture: Picture = shared.lock().picture();
            respond("application/json", serde_json::to_vec(&picture).unwrap_or_default())
        }
        // A POST that a foreign page makes cannot read the answer, but it could press the switch: same origin only.
        (&Method::POST, _) if request.headers().get("sec-fetch-site").is_none_or(|v| v == "same-origin") => {
            if let Some(press) = press {
                let _ = switch.send(press);
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_button_is_one_deed_and_anything_else_is_none() {
        assert_eq!(Press::of("/link", Some("up=true")), Some(Press::Link(true)));
        assert_eq!(Press::of("/link", Some("up=false")), Some(Press::Link(false)));
        for (query, press) in [
            ("want=release", Press::Do(Deed::Want("release"))),
            ("delete", Press::Do(Deed::Delete)),
            ("edit", Press::Do(Deed::Edit)),
            ("break", Press::Do(Deed::Break)),
            ("reboot", Press::Reboot),
        ] {
            assert_eq!(Press::of("/do", Some(query)), Some(press));
            assert!(include_str!("page.html").contains(&format!("data-do=\"{query}\"")), "{query}");
        }
        for (path, query) in [("/do", Some("want=evil")), ("/do", None), ("/", Some("edit"))] {
            assert_eq!(Press::of(path, query), None);
        }
    }
}
