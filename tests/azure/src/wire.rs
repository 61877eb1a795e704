//! A request as it was read, and the answer to it.

use serde_json::{Value, json};

/// A request.
pub struct Question {
    /// `GET`, …
    pub method: String,
    /// As sent, before the `?`.
    pub path: String,
    /// Decoded query parameters, keys in lower case.
    pub query: Vec<(String, String)>,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as sent.
    pub body: Vec<u8>,
    /// `https://127.0.0.1:PORT`, for absolute URLs in answers.
    pub base: String,
}

impl Question {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A query parameter's value; the key in lower case.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Path and query, decoded, keys in lower case: what a fault can be tied to.
    pub fn target(&self) -> String {
        let query: Vec<String> = self.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{}?{}", decode(&self.path, false), query.join("&"))
    }

    /// The bearer token.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|v| v.strip_prefix("Bearer "))
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers beyond `content-type`.
    pub headers: Vec<(String, String)>,
    /// JSON, or nothing.
    pub body: Option<Value>,
    /// Bytes with their type, instead of JSON.
    pub bytes: Option<(String, Vec<u8>)>,
}

impl Answer {
    /// With a JSON body.
    pub fn json(status: u16, body: Value) -> Answer {
        Answer { body: Some(body), ..Answer::empty(status) }
    }

    /// Without a body.
    pub fn empty(status: u16) -> Answer {
        Answer { status, headers: Vec::new(), body: None, bytes: None }
    }

    /// 200 with bytes of this type.
    pub fn bytes(kind: &str, bytes: Vec<u8>) -> Answer {
        Answer { bytes: Some((kind.to_owned(), bytes)), ..Answer::empty(200) }
    }

    /// An error in the form that Resource Manager and Azure Monitor share.
    pub fn error(status: u16, code: &str, message: &str) -> Answer {
        Answer::json(status, json!({ "error": { "code": code, "message": message } }))
    }

    /// With one more header.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Decodes `%XX` and, in queries and forms, `+`.
pub fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok()))
            .flatten();
        match (bytes[at], hex) {
            (_, Some(byte)) => {
                decoded.push(byte);
                at += 2;
            }
            (b'+', None) if plus => decoded.push(b' '),
            (byte, None) => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The pairs of a query or of a form.
pub fn pairs(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// A GUID that no other call gets.
pub fn guid() -> String {
    let mut bytes = [0_u8; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).unwrap();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The time of day, RFC 3339.
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}
