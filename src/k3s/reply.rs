//! What a reply of the API server means, in the core's words.
//!
//! Kubernetes says why it refuses in a `Status` object. Whatever else comes with an error (a proxy's HTML page, another
//! program on the port) is no word of the cluster's: it is never taken for "not there".

use super::refusal;
use crate::core::outcome::NOT_LEADING;
use crate::core::{Outcome, Reason};
use crate::http::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Stable words in [`Reason::code`] that callers decide by.
pub mod code {
    /// The object is not there (404 with its name in the Status).
    pub const NOT_FOUND: &str = "NotFound";
    /// The server does not know this kind (404 without a name).
    pub const NO_SUCH_KIND: &str = "NoSuchKind";
    /// The role is missing (403).
    pub const FORBIDDEN: &str = "Forbidden";
    /// A field belongs to another manager (409 of a server-side apply).
    pub const FIELD_CONFLICT: &str = "FieldConflict";
    /// The object was changed or replaced meanwhile (409).
    pub const CONFLICT: &str = "Conflict";
    /// A page's continue token is too old (410).
    pub const EXPIRED: &str = "Expired";
    /// An unknown or doubled field, or one of a wrong type (400).
    pub const BAD_REQUEST: &str = "BadRequest";
    /// A value that the kind does not allow (422).
    pub const INVALID: &str = "Invalid";
    /// The server is at a loss, with this object or with all (500).
    pub const INTERNAL_ERROR: &str = "InternalError";
    /// The reply is not Kubernetes'.
    pub const NOT_KUBERNETES: &str = "NotKubernetes";
}

/// Characters of a server's message that are kept: an admission webhook may quote a whole object.
const MOST_MESSAGE: usize = 400;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    kind: String,
    message: String,
    reason: String,
    details: Details,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Details {
    name: String,
    causes: Vec<Cause>,
    retry_after_seconds: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
    field: String,
}

/// The reply's object, or what its error means. `call` names it for people: `GET /version`.
pub(super) fn read<T: DeserializeOwned>(call: &str, reply: &Response) -> Result<T, Outcome> {
    succeeded(call, reply)?;
    parsed(call, reply)
}

/// The body of a success, as JSON.
pub(super) fn parsed<'a, T: Deserialize<'a>>(call: &str, reply: &'a Response) -> Result<T, Outcome> {
    serde_json::from_slice(&reply.body).map_err(|e| {
        // The error's text could quote the body; its place cannot.
        let why = format!("the JSON cannot be read at line {} column {}", e.line(), e.column());
        Outcome::Refused(not_kubernetes(call, reply.status, &why))
    })
}

/// Whether the reply is Kubernetes' own success.
pub(super) fn succeeded(call: &str, reply: &Response) -> Result<(), Outcome> {
    match reply.status {
        200..=299 if reply.says_json() => Ok(()),
        200..=299 => Err(Outcome::Refused(not_kubernetes(call, reply.status, "the body is not JSON"))),
        300..=399 => Err(Outcome::Refused(not_kubernetes(
            call,
            reply.status,
            "it redirects, which Kubernetes does not",
        ))),
        _ => Err(failed(call, reply)),
    }
}

fn failed(call: &str, reply: &Response) -> Outcome {
    let status: Option<Status> =
        serde_json::from_slice(&reply.body).ok().filter(|status: &Status| status.kind == "Status");
    let Some(status) = status else {
        let reason = not_kubernetes(call, reply.status, "the body is not Kubernetes' Status");
        // 5xx: the way there is broken, whoever says so; 429 asks to wait, whoever says so.
        return match reply.status {
            500..=599 => Outcome::Unreachable(reason),
            429 => Outcome::Throttled { reason, retry_after: reply.retry_after() },
            _ => Outcome::Refused(reason),
        };
    };
    let message = format!("{call}: {} ({})", shortened(&status.message), reply.status);
    let word = |code: &str| Reason::new(code, message.clone());
    match reply.status {
        401 => Outcome::Unauthorized {
            reason: word("Unauthorized")
                .cure("the token or certificate is not valid (any more): run arclet connect again"),
            claims: None,
        },
        403 => Outcome::Refused(word(code::FORBIDDEN).cure(refusal::cure(call, &status.message))),
        404 if status.details.name.is_empty() => Outcome::Refused(
            word(code::NO_SUCH_KIND).cure("install what brings this kind (its CRD or API service)"),
        ),
        404 => Outcome::Refused(word(code::NOT_FOUND)),
        409 if status.details.causes.iter().any(|c| c.reason == "FieldManagerConflict") => {
            Outcome::Refused(field_conflict(call, &status.details.causes))
        }
        409 if status.reason == "AlreadyExists" => Outcome::Refused(word("AlreadyExists")),
        409 => Outcome::Refused(word(code::CONFLICT)),
        410 => Outcome::Refused(word(code::EXPIRED)),
        400 => Outcome::Refused(word(code::BAD_REQUEST)),
        422 => Outcome::Refused(word(code::INVALID)),
        413 => Outcome::TooLarge(word("RequestTooLarge")),
        429 => Outcome::Throttled { reason: word("TooManyRequests"), retry_after: wait(reply, &status) },
        500..=599 => Outcome::Unreachable(word(if status.reason.is_empty() {
            code::INTERNAL_ERROR
        } else {
            &status.reason
        })),
        _ => Outcome::Refused(word(if status.reason.is_empty() { "Refused" } else { &status.reason })),
    }
}

/// Whether a refusal is Kubernetes' own word about what was asked, and not a fault of the way there.
pub fn is_kubernetes_own(reason: &Reason) -> bool {
    ![code::NOT_KUBERNETES, NOT_LEADING, "TokenFileUnreadable", "ReplyTooLarge", "ProtocolError"]
        .contains(&reason.code.as_str())
}

fn wait(reply: &Response, status: &Status) -> Option<Duration> {
    let said = status.details.retry_after_seconds;
    reply.retry_after().or((said > 0).then(|| Duration::from_secs(said)))
}

/// Kubernetes says `conflict with "kubectl" using apps/v1` for each field.
fn field_conflict(call: &str, causes: &[Cause]) -> Reason {
    let mut message = format!("{call}: fields belong to others:");
    for (n, cause) in causes.iter().filter(|c| c.reason == "FieldManagerConflict").enumerate() {
        let manager = cause.message.split('"').nth(1).unwrap_or(&cause.message);
        message.push_str(&format!("{} {} ({manager})", if n == 0 { "" } else { "," }, cause.field));
        if message.len() > MOST_MESSAGE {
            message.push_str(", …");
            break;
        }
    }
    Reason::new(code::FIELD_CONFLICT, message)
        .cure("arclet takes nothing from others: remove the field there or from the desired state")
}

fn not_kubernetes(call: &str, status: u16, why: &str) -> Reason {
    Reason::new(code::NOT_KUBERNETES, format!("{call}: {why} (status {status})")).cure(
        "check that the kubeconfig's server is the API server, and that nothing else answers in its place",
    )
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MOST_MESSAGE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
