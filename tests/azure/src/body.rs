//! A reply's body: given whole, or a few bytes at a time for as long as that takes, as over a bad link.

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Sleep;

/// A body.
#[derive(Default)]
pub struct Body {
    rest: Bytes,
    pace: Option<Pace>,
}

/// How a body trickles.
struct Pace {
    bytes: usize,
    pause: Duration,
    /// What the next bytes wait for.
    wait: Pin<Box<Sleep>>,
}

impl From<Vec<u8>> for Body {
    fn from(whole: Vec<u8>) -> Body {
        Body { rest: whole.into(), pace: None }
    }
}

impl Body {
    /// The same body, at most `bytes` at a time, each after this pause.
    pub fn trickling(self, bytes: usize, pause: Duration) -> Body {
        let wait = Box::pin(tokio::time::sleep(pause));
        Body { pace: Some(Pace { bytes: bytes.max(1), pause, wait }), ..self }
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let body = self.get_mut();
        if body.rest.is_empty() {
            return Poll::Ready(None);
        }
        let Some(pace) = &mut body.pace else {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut body.rest)))));
        };
        ready!(pace.wait.as_mut().poll(cx));
        pace.wait = Box::pin(tokio::time::sleep(pace.pause));
        let next = body.rest.split_to(pace.bytes.min(body.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
