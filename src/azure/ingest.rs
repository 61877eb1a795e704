//! Logs Ingestion: one POST of one compressed JSON array, and the judgement of what came back.
//!
//! Only 204 means that Azure has the records. Everything else keeps them: at most a record that Azure itself calls bad is
//! set aside, and never because of an answer that somebody else gave in Azure's place.

use super::error::{self, ApiError};
use crate::core::{Outcome, Reason, Stream};
use crate::http::{Client, Request, Response, http::Method};
use std::io::Write;
use std::time::Duration;

/// Who is asked, in messages.
const API: &str = "Azure Monitor ingestion";
const API_VERSION: &str = "2023-01-01";
/// A slow uplink needs its time for 1 MB: 120 s are 70 kbit/s.
const DEADLINE: Duration = Duration::from_secs(120);
/// An error body; success has none.
const MOST_BODY: usize = 64 * 1024;
/// Bytes of one call, compressed or not (azure-monitor, limits).
pub const MOST_BYTES: usize = 1 << 20;
/// Bytes that nobody on the way to Azure finds too large.
const SMALL: usize = 64 * 1024;
/// 400s with these codes are about the setup, not about a record: keep everything and tell.
const SETUP: [&str; 9] = [
    "InvalidStream",
    "InvalidStreamName",
    "StreamNotFound",
    "InvalidDcrImmutableId",
    "InvalidDataCollectionRule",
    "InvalidApiVersion",
    "InvalidApiVersionParameter",
    "UnsupportedApiVersion",
    "InvalidTransformOutput",
];

/// Where the records of this device go.
#[derive(Clone, Debug)]
pub struct Ingest {
    base: String,
    client: Client,
}

impl Ingest {
    /// `endpoint` is the logs-ingestion URL of the rule or of its endpoint, `dcr` the rule's immutable id (`dcr-…`).
    pub fn new(endpoint: &str, dcr: &str, client: Client) -> Ingest {
        Ingest {
            base: format!("{}/dataCollectionRules/{dcr}/streams", endpoint.trim_end_matches('/')),
            client,
        }
    }

    /// Posts a gzip-compressed JSON array of rows ([`encode`]). The date is the server's, for [`crate::clock::Clock`].
    pub fn post(&self, stream: Stream, gz_body: &[u8], token: &str) -> (Outcome, Option<i64>) {
        let url = format!("{}/{}?api-version={API_VERSION}", self.base, stream.dcr_stream());
        let request = super::named(Request::new(Method::POST, url))
            .header("Accept", "application/json")
            .header("Content-Encoding", "gzip")
            .body("application/json", gz_body.to_vec())
            .bearer(token)
            .deadline(DEADLINE)
            .max_body(MOST_BODY);
        match self.client.call(&request) {
            Ok(response) => (judge(stream, gz_body.len(), &response), response.date_ms),
            Err(failure) => (failure.into(), None),
        }
    }
}

/// What an answer means for the records that were sent.
fn judge(stream: Stream, sent: usize, response: &Response) -> Outcome {
    let doing = format!("table {}", stream.table());
    let api_error = ApiError::of(response);
    let code = api_error.as_ref().map(|e| e.code.as_str());
    let named = |e: &ApiError| Reason::new(&e.code, format!("{API}, {doing}: {}", e.message));
    match (response.status, &api_error) {
        (204, _) => Outcome::Success,
        (413, Some(e)) => Outcome::TooLarge(named(e)),
        // A front end or a proxy may cut a large request off with an answer of its own; one that finds a small request too
        // large is not Azure's, and must not make the core set single records aside.
        (413, None) if sent >= SMALL => {
            Outcome::TooLarge(Reason::new("PayloadTooLarge", format!("{API}, {doing}: too large (413)")))
        }
        (400, Some(e)) if TOO_LARGE.contains(&e.code.as_str()) => Outcome::TooLarge(named(e)),
        (400, Some(e)) if !SETUP.contains(&e.code.as_str()) && response.retry_after().is_none() => {
            Outcome::BadRecord(named(e))
        }
        (status, _) if status < 400 => Outcome::Refused(error::nonsense(API, response)),
        _ => error::outcome(API, &doing, response, |status, _| cure(status, code, stream)),
    }
}

/// Words for "too large" that may come with another status than 413.
const TOO_LARGE: [&str; 3] =
    ["ContentLengthLimitExceeded", "ReadyBody_ClientConnectionAbort", "PayloadTooLarge"];

fn cure(status: u16, code: Option<&str>, stream: Stream) -> Option<String> {
    Some(match status {
        400 => format!(
            "deploy config/azure again: the data collection rule has to declare {} ({})",
            stream.dcr_stream(),
            code.unwrap_or("400")
        ),
        401 => "check identity.tenant and that cloud.name is the cloud of the ingestion endpoint".into(),
        403 => "give this identity the role \"Monitoring Metrics Publisher\" on the data collection rule; it may take half an hour".into(),
        404 => "check ingest.endpoint and ingest.dcr (the rule's immutable id, dcr-…)".into(),
        _ => return None,
    })
}

/// Rows of JSON text, made into the body that [`Ingest::post`] takes. Returns it with the size of the array before
/// compression, which has to stay under [`MOST_BYTES`] too.
pub fn encode<'a>(rows: impl IntoIterator<Item = &'a [u8]>) -> std::io::Result<(Vec<u8>, usize)> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let (mut size, mut separator) = (0, b"[");
    for row in rows {
        out.write_all(separator)?;
        out.write_all(row)?;
        size += 1 + row.len();
        separator = b",";
    }
    if size == 0 {
        out.write_all(b"[")?;
        size = 1;
    }
    out.write_all(b"]")?;
    Ok((out.finish()?, size + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn rows_become_one_array_whose_size_is_counted_before_compression() {
        for (rows, text) in [
            (&[][..], "[]"),
            (&[&br#"{"a":1}"#[..]][..], r#"[{"a":1}]"#),
            (&[&br#"{"a":1}"#[..], br#"{"b":2}"#][..], r#"[{"a":1},{"b":2}]"#),
        ] {
            let (body, size) = encode(rows.iter().copied()).unwrap();
            let mut back = String::new();
            flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut back).unwrap();
            assert_eq!((back.as_str(), size), (text, text.len()));
        }
    }
}
