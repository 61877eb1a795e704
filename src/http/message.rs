//! Requests and replies as plain values.

use std::borrow::Cow;
use std::fmt::Write;
use std::time::Duration;
use ureq::http;

/// A question. Its headers may hold secrets: no Debug.
#[derive(Clone)]
pub struct Request {
    /// GET, PUT, …
    pub method: http::Method,
    /// Absolute.
    pub url: String,
    /// In this order. Host, User-Agent, Accept-Encoding and Content-Length come by themselves.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// Empty for none. All methods but GET and HEAD send its length.
    pub body: Vec<u8>,
    /// For the whole call.
    pub deadline: Duration,
    /// Bytes of the reply's body after decompression.
    pub max_body: usize,
}

impl Request {
    /// A request without headers and body, 60 s, replies of up to 4 MiB.
    pub fn new(method: http::Method, url: impl Into<String>) -> Request {
        Request {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            deadline: Duration::from_secs(60),
            max_body: 4 << 20,
        }
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new(http::Method::GET, url)
    }

    /// With one more header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((Cow::Borrowed(name), value.into()));
        self
    }

    /// With a body and its type.
    pub fn body(self, content_type: &'static str, body: Vec<u8>) -> Request {
        let mut request = self.header("Content-Type", content_type);
        request.body = body;
        request
    }

    /// With an `Authorization: Bearer` header.
    pub fn bearer(self, token: &str) -> Request {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// With another deadline.
    pub fn deadline(mut self, deadline: Duration) -> Request {
        self.deadline = deadline;
        self
    }

    /// With another limit for the reply's body, in bytes.
    pub fn max_body(mut self, bytes: usize) -> Request {
        self.max_body = bytes;
        self
    }
}

/// A whole reply, of whatever status; of one that was streamed ([`super::Client::stream`]) the start.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    pub(super) headers: http::HeaderMap,
    /// Decompressed.
    pub body: Vec<u8>,
    /// The `Date` header in milliseconds since 1970. Only worth something from a TLS peer.
    pub date_ms: Option<i64>,
}

impl Response {
    /// A header's value; the name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All values of a header that may come more than once.
    pub fn header_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    }

    /// Whether the reply says that its body is JSON.
    pub fn says_json(&self) -> bool {
        self.header("content-type").is_some_and(|t| {
            let t = t.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            t == "application/json" || t == "text/json" || t.ends_with("+json")
        })
    }

    /// How long the server asks to wait: `retry-after-ms`, `x-ms-retry-after-ms`, or `Retry-After` in seconds or as a
    /// date, which is compared with the server's own `Date`.
    pub fn retry_after(&self) -> Option<Duration> {
        for name in ["retry-after-ms", "x-ms-retry-after-ms"] {
            if let Some(ms) = self.header(name).and_then(|text| text.trim().parse().ok()) {
                return Some(Duration::from_millis(ms));
            }
        }
        let text = self.header("retry-after")?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let wanted = date_ms(text)?;
        Some(Duration::from_millis(wanted.saturating_sub(self.date_ms?).max(0) as u64))
    }
}

/// An HTTP date in milliseconds since 1970.
pub(super) fn date_ms(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text).ok()?;
    i64::try_from(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_millis()).ok()
}

/// Text as a part of a path or query: all but the unreserved characters of RFC 3986 are escaped.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}
