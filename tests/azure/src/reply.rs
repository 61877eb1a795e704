//! What goes back over the wire: the right answer, or what a fault makes of it.

use crate::body::Body;
use crate::fault::{Endpoint, Fault};
use crate::wire::Answer;
use crate::{entra, registry, vault};
use hyper::Response;

/// A reply; an error ends the connection instead.
pub type Reply = Result<Response<Body>, std::io::Error>;

/// The reply of an endpoint that has a fault; `right` carries the request out and gives the right answer.
pub fn faulty(endpoint: Endpoint, fault: Fault, right: impl FnOnce() -> Answer) -> Reply {
    let error = |status: u16, code: &str| match endpoint {
        Endpoint::Login => entra::refuse(status, code, 90033, "a fault of the test"),
        Endpoint::Vault => vault::refuse(status, code, "a fault of the test", None),
        Endpoint::Registry => registry::refuse(status, code, "a fault of the test"),
        Endpoint::Arm | Endpoint::Ingest => {
            Answer::error(status, code, "a fault of the test").with("x-ms-error-code", code)
        }
    };
    let plain = |status: u16, kind: &str, body: Vec<u8>| {
        Response::builder().status(status).header("content-type", kind).body(Body::from(body)).unwrap()
    };
    Ok(match fault {
        Fault::Error(status, code) => response(error(status, &code)),
        Fault::Throttled(seconds) => {
            response(error(429, "TooManyRequests").with("retry-after", seconds.to_string()))
        }
        Fault::Html(status) => {
            plain(status, "text/html", b"<html><h1>Welcome to the hotel</h1></html>".to_vec())
        }
        Fault::Redirect => {
            let mut reply = plain(302, "text/html", Vec::new());
            reply
                .headers_mut()
                .insert("location", hyper::header::HeaderValue::from_static("https://192.0.2.1/login"));
            reply
        }
        Fault::Truncated => {
            // A length that is never reached: hyper ends the connection when the body is short of it.
            let answer = right();
            let whole = match (answer.bytes, answer.body) {
                (Some((_, bytes)), _) => bytes,
                (None, Some(body)) => body.to_string().into_bytes(),
                (None, None) => b"{\"half\": true}".to_vec(),
            };
            let mut reply = plain(200, "application/json", whole[..whole.len() / 2].to_vec());
            reply.headers_mut().insert("content-length", whole.len().into());
            reply
        }
        Fault::Reset => return Err(std::io::Error::other("reset")),
        Fault::ResetAfter => {
            right();
            return Err(std::io::Error::other("reset"));
        }
        Fault::Huge(bytes) => plain(200, "application/json", vec![b' '; bytes]),
        Fault::HugeHeader(bytes) => {
            let mut reply = plain(200, "application/json", b"{}".to_vec());
            reply.headers_mut().insert("x-huge", "h".repeat(bytes).parse().unwrap());
            reply
        }
        Fault::Deep(depth) => plain(200, "application/json", [vec![b'['; depth], vec![b']'; depth]].concat()),
        Fault::Trickle(bytes, pause) => response(right()).map(|body| body.trickling(bytes, pause)),
        Fault::Stall | Fault::Slow(_) => response(right()),
    })
}

/// An answer as HTTP.
pub fn response(answer: Answer) -> Response<Body> {
    let mut builder = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        builder = builder.header(name, value);
    }
    if let Some((kind, bytes)) = answer.bytes {
        return builder.header("content-type", kind).body(Body::from(bytes)).unwrap();
    }
    match answer.body {
        None => builder.body(Body::default()).unwrap(),
        Some(body) => builder
            .header("content-type", "application/json; charset=utf-8")
            .body(Body::from(body.to_string().into_bytes()))
            .unwrap(),
    }
}
