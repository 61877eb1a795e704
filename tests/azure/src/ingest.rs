//! Logs Ingestion: the rules of azure-monitor.md section 1, and what arrived.

use crate::state::State;
use crate::wire::{Answer, Question, decode};
use serde_json::Value;
use std::io::Read;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of one call, compressed and uncompressed.
pub const LIMIT: usize = 1_048_576;
/// The audience of its tokens.
pub const AUDIENCE: &str = "https://monitor.azure.com";

/// A row that arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// `Custom-…`.
    pub stream: String,
    /// The row; TimeGenerated rewritten where that is on.
    pub row: Value,
    /// Number of the call that brought it, from 1.
    pub call: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Arrived {
    /// Arrival minus EventTime (or TimeGenerated), in milliseconds.
    pub fn late_ms(&self) -> Option<i64> {
        let time = self.row["EventTime"].as_str().or(self.row["TimeGenerated"].as_str())?;
        Some(self.at_ms - time.parse::<jiff::Timestamp>().ok()?.as_millisecond())
    }
}

/// What the ingestion endpoint remembers, and how it was set.
#[derive(Default)]
pub struct Ingestion {
    /// Id of the rule as a resource.
    pub rule: String,
    /// Its immutable id.
    pub immutable_id: String,
    /// What arrived, in order.
    pub arrived: Vec<Arrived>,
    /// Rows that Azure would have cut or dropped.
    pub violations: Vec<String>,
    /// A call that has a row whose text contains one of these gets the API's 400.
    pub poison: Vec<String>,
    /// Rewrite a TimeGenerated that is older than this to the time of arrival, as Azure may.
    pub rewrite_older_than_ms: Option<i64>,
    /// Calls that were answered with 204.
    pub calls: u64,
    /// Streams that the rule does not have, though the template has them.
    pub missing_streams: Vec<String>,
}

/// Answers a request to the ingestion endpoint.
pub fn answer(state: &mut State, question: &Question) -> Answer {
    let path = decode(&question.path, false);
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    let (rule, stream) = match segments.as_slice() {
        [a, rule, b, stream]
            if a.eq_ignore_ascii_case("dataCollectionRules") && b.eq_ignore_ascii_case("streams") =>
        {
            (*rule, (*stream).to_owned())
        }
        _ => return refuse(404, "NotFound", "The requested resource does not exist."),
    };
    if question.method != "POST" {
        return refuse(405, "MethodNotAllowed", "Only POST is supported.");
    }
    if !matches!(question.parameter("api-version"), Some("2023-01-01" | "2021-11-01-preview")) {
        return refuse(400, "InvalidApiVersionParameter", "The api-version is missing or invalid.");
    }
    if !question.header("content-type").is_some_and(|t| t.starts_with("application/json")) {
        return refuse(415, "UnsupportedMediaType", "The content type must be application/json.");
    }
    if question.body.len() > LIMIT {
        return refuse(
            413,
            "ContentLengthLimitExceeded",
            "Maximum allowed content length: 1048576 bytes (1 MB).",
        );
    }
    let principal = match state.authenticate(question, AUDIENCE) {
        Ok(principal) => principal,
        Err(answer) => return answer,
    };
    if !rule.eq_ignore_ascii_case(&state.ingestion.immutable_id) {
        return refuse(404, "NotFound", "Data collection rule with immutable Id was not found.");
    }
    if !principal.may_data("Microsoft.Insights/Telemetry/Write", &state.ingestion.rule) {
        return refuse(
            403,
            "OperationFailed",
            "The authentication token provided does not have access to ingest data for the data collection rule.",
        );
    }
    if state.template.columns(&stream).is_none() || state.ingestion.missing_streams.contains(&stream) {
        return refuse(400, "InvalidStream", "Data collection rule does not contain the stream.");
    }
    let body = match question.header("content-encoding") {
        None | Some("identity") => question.body.clone(),
        Some("gzip") => {
            let mut plain = Vec::new();
            // One byte more than allowed tells that it is too large, and no bomb is unpacked.
            match flate2::read::GzDecoder::new(question.body.as_slice())
                .take(LIMIT as u64 + 1)
                .read_to_end(&mut plain)
            {
                Ok(_) => plain,
                Err(_) => return refuse(400, "InvalidPayload", "The payload cannot be decompressed."),
            }
        }
        Some(_) => return refuse(415, "UnsupportedMediaType", "The content encoding is not supported."),
    };
    if body.len() > LIMIT {
        return refuse(
            413,
            "ContentLengthLimitExceeded",
            "Maximum allowed content length: 1048576 bytes (1 MB).",
        );
    }
    let Ok(Value::Array(rows)) = serde_json::from_slice::<Value>(&body) else {
        return refuse(400, "InvalidPayload", "The payload must be a JSON array of objects.");
    };
    if rows.iter().any(|row| !row.is_object()) {
        return refuse(400, "InvalidPayload", "The payload must be a JSON array of objects.");
    }
    if rows.iter().any(|row| state.ingestion.poison.iter().any(|p| row.to_string().contains(p))) {
        return refuse(400, "InvalidRecord", "A record of the payload cannot be ingested.");
    }
    store(state, &stream, rows);
    Answer::empty(204)
}

fn store(state: &mut State, stream: &str, rows: Vec<Value>) {
    let at_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    state.ingestion.calls += 1;
    let call = state.ingestion.calls;
    for mut row in rows {
        let objections = state.template.objections(stream, &row);
        state.ingestion.violations.extend(objections);
        if let Some(oldest) = state.ingestion.rewrite_older_than_ms {
            let time = row["TimeGenerated"].as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok());
            if time.is_some_and(|t| t.as_millisecond() < at_ms - oldest)
                && let Ok(now) = jiff::Timestamp::from_millisecond(at_ms)
            {
                row["TimeGenerated"] = now.to_string().into();
            }
        }
        state.ingestion.arrived.push(Arrived { stream: stream.to_owned(), row, call, at_ms });
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Answer {
    Answer::error(status, code, message).with("x-ms-error-code", code)
}
