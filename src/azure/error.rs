//! What an error answer of Azure means: by status and code, never by its text, and only if it is Azure's at all.
//!
//! In front of a device there may be captive portals, filtering proxies and load balancers with answers of their own.
//! They must never pass for the API's: a 404 of a portal is not "the cluster is gone".

use crate::core::{Outcome, Reason};
use crate::http::Response;
use base64::Engine;
use serde::Deserialize;

/// Characters of a server's own text that are repeated to people.
const MOST_TEXT: usize = 240;

/// The error body that ARM and Azure Monitor share: `{"error":{"code","message"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// For programs.
    pub code: String,
    /// For people, shortened.
    pub message: String,
}

#[derive(Deserialize)]
struct Envelope {
    error: Body,
}

#[derive(Deserialize)]
struct Body {
    code: String,
    #[serde(default)]
    message: Option<String>,
}

impl ApiError {
    /// The API's own error in this answer, if it is one.
    pub fn of(response: &Response) -> Option<ApiError> {
        let Envelope { error } = serde_json::from_slice(&response.body).ok()?;
        let usable = !error.code.is_empty()
            && error.code.len() <= 128
            && error.code.chars().all(|c| c.is_ascii_graphic());
        usable.then(|| ApiError { code: error.code, message: plain(&error.message.unwrap_or_default()) })
    }
}

/// One line of at most [`MOST_TEXT`] characters that cannot drive a terminal.
pub(super) fn plain(text: &str) -> String {
    let line = text.split(['\r', '\n']).next().unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(MOST_TEXT).collect()
}

/// The id by which Microsoft's support finds the request, as text to append.
fn request_id(response: &Response) -> String {
    match response.header("x-ms-request-id") {
        Some(id) if id.len() <= 64 => format!(" (request {})", plain(id)),
        _ => String::new(),
    }
}

/// An answer that the API itself never gives: whose it seems to be, and what to do.
pub fn nonsense(api: &str, response: &Response) -> Reason {
    let status = response.status;
    let start =
        String::from_utf8_lossy(response.body.get(..512).unwrap_or(&response.body)).to_ascii_lowercase();
    let html = response.header("content-type").is_some_and(|t| t.to_ascii_lowercase().contains("html"))
        || start.contains("<html")
        || start.contains("<!doctype html");
    let portal =
        "sign in to the network's portal, or let this device past the proxy that answers in Azure's place";
    if (300..400).contains(&status) {
        let whereto = response.header("location").map(plain).unwrap_or_else(|| "nowhere".into());
        return Reason::new("Redirected", format!("{api} answered with a redirect ({status}) to {whereto}"))
            .cure(portal);
    }
    if html {
        return Reason::new(
            "CaptivePortal",
            format!("an HTML page (status {status}) came in place of {api}'s answer"),
        )
        .cure(portal);
    }
    if status == 407 || status == 511 {
        return Reason::new("CaptivePortal", format!("status {status} came in place of {api}'s answer"))
            .cure(portal);
    }
    Reason::new("NotTheApi", format!("the answer (status {status}) is not {api}'s{}", request_id(response)))
        .cure("check the address in the configuration, and that no proxy answers in Azure's place")
}

/// What an answer without success means. `api` names who was asked and `doing` what for; `cure` knows the cures that the
/// caller's own codes have.
pub fn outcome(
    api: &str,
    doing: &str,
    response: &Response,
    cure: impl Fn(u16, &str) -> Option<String>,
) -> Outcome {
    let status = response.status;
    let retry_after = response.retry_after();
    let error = ApiError::of(response);
    let reason = |fallback: &str| {
        let (code, message) = match &error {
            Some(e) => (e.code.as_str(), e.message.as_str()),
            None => (fallback, ""),
        };
        let colon = if message.is_empty() { "" } else { ": " };
        let text = format!("{api}, {doing}: status {status}{colon}{message}{}", request_id(response));
        let reason = Reason::new(code, text);
        match cure(status, code) {
            Some(next_step) => reason.cure(next_step),
            None => reason,
        }
    };
    match status {
        429 => Outcome::Throttled { reason: reason("TooManyRequests"), retry_after },
        500..=599 if retry_after.is_some() => {
            Outcome::Throttled { reason: reason("Unavailable"), retry_after }
        }
        // A status of the network itself (RFC 6585), though it looks like a server's.
        511 => Outcome::Refused(nonsense(api, response)),
        408 | 500..=599 => Outcome::Unreachable(reason("Unavailable")),
        401 if error.is_some() || response.header("www-authenticate").is_some() => {
            Outcome::Unauthorized { reason: reason("Unauthorized"), claims: claims(response) }
        }
        400..=499 if error.is_some() => match retry_after {
            Some(_) => Outcome::Throttled { reason: reason(""), retry_after },
            None => Outcome::Refused(reason("")),
        },
        _ => Outcome::Refused(nonsense(api, response)),
    }
}

/// The decoded claims of a continuous access evaluation challenge: JSON to ask a new token with.
pub fn claims(response: &Response) -> Option<String> {
    response.header_all("www-authenticate").find_map(|challenge| {
        if parameter(challenge, "error")? != "insufficient_claims" {
            return None;
        }
        let text = parameter(challenge, "claims")?.trim_end_matches('=');
        let engines = [base64::prelude::BASE64_STANDARD_NO_PAD, base64::prelude::BASE64_URL_SAFE_NO_PAD];
        let decoded = engines.iter().find_map(|engine| engine.decode(text).ok())?;
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&decoded).ok()?;
        String::from_utf8(decoded).ok()
    })
}

/// One parameter of a `WWW-Authenticate` challenge, quoted or not.
pub(super) fn parameter<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = challenge.split_once(' ').map_or("", |(_, rest)| rest);
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if key.trim_matches([' ', ',', '\t']).eq_ignore_ascii_case(name) {
            return Some(value.trim());
        }
        rest = next;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenge_parameters_are_found_quoted_or_not() {
        let challenge = r#"Bearer realm="", authorization_uri="https://l/a=b, c", error=insufficient_claims, claims="e30=""#;
        assert_eq!(parameter(challenge, "authorization_uri"), Some("https://l/a=b, c"));
        assert_eq!(parameter(challenge, "error"), Some("insufficient_claims"));
        assert_eq!(parameter(challenge, "CLAIMS"), Some("e30="));
        assert_eq!(parameter("Basic realm=/a/b.key", "realm"), Some("/a/b.key"));
        assert_eq!(parameter("Basic", "realm"), None);
        assert_eq!(parameter("Bearer claims=\"open", "claims"), None);
    }

    #[test]
    fn a_servers_text_is_one_short_line_without_control_characters() {
        assert_eq!(plain("a\u{1b}[31mb\nsecond"), "a[31mb");
        assert_eq!(plain(&"x".repeat(1000)).len(), MOST_TEXT);
    }
}
