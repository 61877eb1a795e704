//! The local web page: one document, its state as JSON, one switch, a few buttons and an editor. Loopback only.

use crate::state::{Picture, Shared};
use crate::wish::scene::{BRANCHES, VERSIONS};
use crate::wish::{Deed, Hand};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// More than anybody writes into the editor.
const MOST_TEXT: usize = 2 << 20;

/// What a person pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Press {
    /// The link: up or not.
    Link(bool),
    /// Desired state, by a button.
    Do(Deed),
    /// Desired state, by the editor.
    Hand(Hand),
    /// kill -9, and a start with the link as it is.
    Reboot,
}

/// The same with where the answer goes: an error is what could not be done, and why.
pub struct Pressed {
    pub press: Press,
    pub answer: oneshot::Sender<Result<(), String>>,
}

impl Press {
    fn of(path: &str, query: &str, body: &str) -> Option<Press> {
        let one_of = |all: [&'static str; 2], name: &str| all.into_iter().find(|known| *known == name);
        let deed = |deed| Some(Press::Do(deed));
        match (path, query.split_once('=').unwrap_or((query, ""))) {
            ("/link", ("up", up)) => Some(Press::Link(up == "true")),
            ("/do", ("reboot", "")) => Some(Press::Reboot),
            ("/do", ("edit", "")) => deed(Deed::Edit),
            ("/do", ("break", "")) => deed(Deed::Break),
            ("/do", ("uninstall", "")) => deed(Deed::Uninstall),
            ("/do", ("delete", "")) => deed(Deed::Delete),
            ("/do", ("squat", "")) => deed(Deed::Squat),
            ("/do", ("yield", "")) => deed(Deed::Yield),
            ("/do", ("want", branch)) => deed(Deed::Want(one_of(BRANCHES, branch)?)),
            ("/do", ("install", version)) => deed(Deed::Install(one_of(VERSIONS, version)?)),
            ("/write", ("azure", sort)) => Some(Press::Hand(Hand::Want(sort.to_owned(), body.to_owned()))),
            ("/write", ("cluster", "")) => Some(Press::Hand(Hand::Write(body.to_owned()))),
            ("/erase", ("azure", document)) => Some(Press::Hand(Hand::Unwant(document.to_owned()))),
            ("/erase", ("cluster", "")) => Some(Press::Hand(Hand::Erase(body.to_owned()))),
            _ => None,
        }
    }
}

/// Binds the page's port (0: any) on loopback.
pub async fn bind(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Serves the page until the lab ends. What is pressed goes to `switch`.
pub async fn serve(listener: TcpListener, shared: Shared, switch: UnboundedSender<Pressed>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (shared, switch) = (shared.clone(), switch.clone());
        let service = service_fn(move |request| {
            let (shared, switch) = (shared.clone(), switch.clone());
            async move { Ok::<_, Infallible>(answer(request, &shared, &switch).await) }
        });
        // A browser that goes away is not the lab's business.
        tokio::task::spawn_local(async move {
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}

async fn answer<B: Body>(
    request: Request<B>,
    shared: &Shared,
    switch: &UnboundedSender<Pressed>,
) -> Response<Full<Bytes>>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default();
    match (head.method, head.uri.path()) {
        (Method::GET, "/") => {
            respond("text/html; charset=utf-8", include_str!("page.html").as_bytes().to_vec())
        }
        (Method::GET, "/state") => {
            let picture: Picture = shared.lock().picture();
            respond("application/json", serde_json::to_vec(&picture).unwrap_or_default())
        }
        (Method::GET, "/text") => match shared.lock().text(query) {
            Some(text) => respond("text/plain; charset=utf-8", text.into_bytes()),
            None => refuse(StatusCode::NOT_FOUND, "it is not there any more"),
        },
        (Method::POST, path) if is_from_the_page(&head.headers) => {
            let Ok(body) = Limited::new(body, MOST_TEXT).collect().await else {
                return refuse(StatusCode::PAYLOAD_TOO_LARGE, "this is more than 2 MiB");
            };
            let body = body.to_bytes();
            let text = String::from_utf8_lossy(&body);
            match Press::of(path, query, &text) {
                Some(press) => pass_on(press, switch).await,
                None => refuse(StatusCode::NOT_FOUND, "not here"),
            }
        }
        _ => refuse(StatusCode::NOT_FOUND, "not here"),
    }
}

/// A POST that a foreign page makes cannot read the answer, but it could press the switch: same origin only, under a name
/// that no foreign page has.
fn is_from_the_page(headers: &hyper::HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let here = host.rsplit_once(':').is_some_and(|(name, _)| name == "127.0.0.1" || name == "localhost");
    here && headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin")
}

async fn pass_on(press: Press, switch: &UnboundedSender<Pressed>) -> Response<Full<Bytes>> {
    let (answer, done) = oneshot::channel();
    let _ = switch.send(Pressed { press, answer });
    match done.await {
        Ok(Ok(())) => respond("application/json", b"{}".to_vec()),
        Ok(Err(refused)) => refuse(StatusCode::BAD_REQUEST, &refused),
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the lab has ended"),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response<Full<Bytes>> {
    let mut response = respond("application/json", json!({ "error": why }).to_string().into_bytes());
    *response.status_mut() = status;
    response
}

fn respond(kind: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = include_str!("page.html");

    #[test]
    fn each_button_is_one_deed_and_anything_else_is_none() {
        assert_eq!(Press::of("/link", "up=true", ""), Some(Press::Link(true)));
        assert_eq!(Press::of("/link", "up=false", ""), Some(Press::Link(false)));
        for (query, press) in [
            ("want=release", Press::Do(Deed::Want("release"))),
            ("install=1.1.0", Press::Do(Deed::Install("1.1.0"))),
            ("delete", Press::Do(Deed::Delete)),
            ("edit", Press::Do(Deed::Edit)),
            ("break", Press::Do(Deed::Break)),
            ("uninstall", Press::Do(Deed::Uninstall)),
            ("squat", Press::Do(Deed::Squat)),
            ("yield", Press::Do(Deed::Yield)),
            ("reboot", Press::Reboot),
        ] {
            assert_eq!(Press::of("/do", query, ""), Some(press));
            assert!(PAGE.contains(&format!("data-do=\"{query}\"")), "{query}");
        }
        for (path, query) in
            [("/do", "want=evil"), ("/do", "install=evil"), ("/do", ""), ("/", "edit"), ("/write", "x")]
        {
            assert_eq!(Press::of(path, query, ""), None);
        }
    }

    #[test]
    fn what_is_written_in_the_editor_goes_where_it_belongs() {
        let hand = |path, query| match Press::of(path, query, "text") {
            Some(Press::Hand(hand)) => hand,
            other => panic!("{other:?}"),
        };
        assert_eq!(hand("/write", "azure=flux"), Hand::Want("flux".into(), "text".into()));
        assert_eq!(hand("/write", "cluster"), Hand::Write("text".into()));
        assert_eq!(hand("/erase", "azure=flux/fleet"), Hand::Unwant("flux/fleet".into()));
        assert_eq!(hand("/erase", "cluster"), Hand::Erase("text".into()));
    }

    #[tokio::test]
    async fn only_the_page_itself_may_press_and_a_refusal_comes_back_with_its_words() {
        let (switch, mut pressed) = tokio::sync::mpsc::unbounded_channel::<Pressed>();
        let lab = async {
            let mut seen = Vec::new();
            while let Some(pressed) = pressed.recv().await {
                seen.push(pressed.press);
                let _ = pressed.answer.send(Err("it cannot be".to_owned()));
            }
            seen
        };
        let person = async move {
            for (host, site, status) in [
                ("127.0.0.1:8123", Some("same-origin"), 400),
                ("localhost:8123", None, 400),
                ("127.0.0.1:8123", Some("cross-site"), 404),
                // A name of its own that leads here (DNS rebinding).
                ("evil.example:8123", None, 404),
            ] {
                let mut request = Request::post("/do?edit").header(HOST, host);
                if let Some(site) = site {
                    request = request.header("sec-fetch-site", site);
                }
                let request = request.body(Full::new(Bytes::new())).unwrap();
                let response = answer(request, &Shared::default(), &switch).await;
                assert_eq!(response.status(), status, "{host} {site:?}");
            }
            let large = Full::new(Bytes::from(vec![b' '; MOST_TEXT + 1]));
            let request = Request::post("/write?cluster").header(HOST, "localhost:1").body(large).unwrap();
            assert_eq!(answer(request, &Shared::default(), &switch).await.status(), 413);
        };
        let (seen, ()) = tokio::join!(lab, person);
        assert_eq!(seen, [Press::Do(Deed::Edit), Press::Do(Deed::Edit)]);
    }
}
