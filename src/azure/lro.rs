//! ARM's long-running operations, as a value: what to poll, how often, when it is over.
//!
//! An [`Operation`] can be stored and taken up again after a restart. It does no I/O and never waits; [`super::arm::Arm`]
//! asks, this file reads the answers. Rules: `Azure-AsyncOperation` beats `Location`, which beats the resource's own
//! `provisioningState`; the first poll comes at once, later ones when the last answer's `Retry-After` says.

use super::error::{self, ApiError};
use crate::core::{Outcome, Reason};
use crate::http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// Between polls when the server does not say (as Microsoft's own clients).
const USUAL_WAIT: Duration = Duration::from_secs(30);
/// The longest wait that a server may ask for (ARM's own rules name 10 minutes).
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Bytes of a status URL: ARM's rules ask for 4 kB at least.
const MOST_URL: usize = 8 * 1024;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verb {
    /// Create or replace.
    Put,
    /// Change.
    Patch,
    /// Delete.
    Delete,
}

/// A change that ARM has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What was asked for.
    pub verb: Verb,
    /// The resource's own URL.
    pub resource_url: String,
    poll: Poll,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Poll {
    /// A status document.
    Status(String),
    /// 202 while it runs.
    Location(String),
    /// The resource's own state.
    Resource,
    /// Over; for PUT and PATCH the resource is still to be read.
    Done,
}

/// How far an operation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Ask again after this time.
    Running(Duration),
    /// It succeeded.
    Succeeded,
}

impl Operation {
    /// Reads the answer to the request itself. `base` is ARM's own URL: the token goes nowhere else.
    pub(super) fn begin(
        verb: Verb,
        resource_url: &str,
        base: &str,
        response: &Response,
    ) -> Result<Operation, Outcome> {
        let url = |name: &str| match response.header(name) {
            Some(text) if same_host(base, text) => Ok(Some(text.to_owned())),
            Some(text) => Err(Outcome::Refused(foreign(text))),
            None => Ok(None),
        };
        let body: Option<Value> = serde_json::from_slice(&response.body).ok();
        let status = url("azure-asyncoperation")?;
        let poll = match (verb, response.status) {
            (Verb::Delete, 204) => Poll::Done,
            (Verb::Put | Verb::Patch, 200 | 201) => {
                // An answer without an id is not a resource, whoever gave it.
                let resource = body.filter(|b| b.get("id").is_some_and(Value::is_string));
                let resource =
                    resource.ok_or_else(|| Outcome::Refused(error::nonsense(super::arm::API, response)))?;
                match (read_state(&resource)?, status) {
                    (Progress::Succeeded, _) => Poll::Done,
                    (_, Some(status)) => Poll::Status(status),
                    (_, None) => Poll::Resource,
                }
            }
            (Verb::Delete, 200) if response.body.is_empty() || body.is_some() => match status {
                Some(status) => Poll::Status(status),
                None => Poll::Done,
            },
            (Verb::Put | Verb::Patch | Verb::Delete, 202) => match (status, url("location")?) {
                (Some(status), _) => Poll::Status(status),
                (None, Some(location)) => Poll::Location(location),
                (None, None) if verb == Verb::Delete => {
                    return Err(Outcome::Refused(error::nonsense(super::arm::API, response)));
                }
                (None, None) => Poll::Resource,
            },
            _ => return Err(Outcome::Refused(error::nonsense(super::arm::API, response))),
        };
        Ok(Operation { verb, resource_url: resource_url.to_owned(), poll })
    }

    /// One that has nothing left to do.
    pub(super) fn done(verb: Verb, resource_url: &str) -> Operation {
        Operation { verb, resource_url: resource_url.to_owned(), poll: Poll::Done }
    }

    /// What to GET next; `None`: it is over.
    pub(super) fn poll_url(&self) -> Option<&str> {
        match &self.poll {
            Poll::Status(url) | Poll::Location(url) => Some(url),
            Poll::Resource => Some(&self.resource_url),
            Poll::Done => None,
        }
    }

    /// Reads the answer to a poll with a status below 400. An error from here is final unless it is a refusal to read.
    pub(super) fn polled(&mut self, response: &Response) -> Result<Progress, Outcome> {
        let nonsense = || Outcome::Refused(error::nonsense(super::arm::API, response));
        let body: Option<Value> = serde_json::from_slice(&response.body).ok();
        let progress = match (&self.poll, response.status) {
            (Poll::Done, _) => Progress::Succeeded,
            (Poll::Status(_) | Poll::Location(_), 202) => Progress::Running(USUAL_WAIT),
            (Poll::Status(_), 200 | 201) => {
                let body = body.ok_or_else(nonsense)?;
                let status = body.get("status").and_then(Value::as_str).ok_or_else(nonsense)?;
                terminal(status, body.get("error"))?
            }
            (Poll::Location(_), 204) => Progress::Succeeded,
            (Poll::Location(_), 200) if response.body.is_empty() || body.is_some() => Progress::Succeeded,
            (Poll::Resource, 200) => {
                let body = body.filter(|b| b.get("id").is_some_and(Value::is_string)).ok_or_else(nonsense)?;
                read_state(&body)?
            }
            _ => return Err(nonsense()),
        };
        Ok(match progress {
            Progress::Succeeded => {
                self.poll = Poll::Done;
                Progress::Succeeded
            }
            Progress::Running(_) => {
                Progress::Running(response.retry_after().unwrap_or(USUAL_WAIT).min(LONGEST_WAIT))
            }
        })
    }
}

/// A resource's `provisioningState`; one without counts as made.
fn read_state(resource: &Value) -> Result<Progress, Outcome> {
    match resource.pointer("/properties/provisioningState").and_then(Value::as_str) {
        Some(state) => terminal(state, None),
        None => Ok(Progress::Succeeded),
    }
}

fn terminal(state: &str, error: Option<&Value>) -> Result<Progress, Outcome> {
    if state.eq_ignore_ascii_case("Succeeded") {
        return Ok(Progress::Succeeded);
    }
    if !(state.eq_ignore_ascii_case("Failed") || state.eq_ignore_ascii_case("Canceled")) {
        return Ok(Progress::Running(USUAL_WAIT));
    }
    let text = |name: &str| error.and_then(|e| e.get(name)).and_then(Value::as_str).map(error::plain);
    let code = text("code").filter(|c| !c.is_empty()).unwrap_or_else(|| state.to_owned());
    let message = text("message").map(|m| format!(": {m}")).unwrap_or_default();
    Err(Outcome::Refused(Reason::new(code, format!("the operation ended as {state}{message}"))))
}

/// Whether a URL from an answer leads to the host that was asked: a token is sent to no other.
pub(super) fn same_host(base: &str, url: &str) -> bool {
    let parse = |text: &str| text.parse::<crate::http::http::Uri>().ok();
    let (Some(base), Some(url_)) = (parse(base), parse(url)) else { return false };
    let same =
        |a: Option<&str>, b: Option<&str>| matches!((a, b), (Some(a), Some(b)) if a.eq_ignore_ascii_case(b));
    url.len() <= MOST_URL
        && same(base.scheme_str(), url_.scheme_str())
        && same(base.authority().map(|a| a.as_str()), url_.authority().map(|a| a.as_str()))
}

pub(super) fn foreign(url: &str) -> Reason {
    Reason::new(
        "ForeignUrl",
        format!("an answer of {} leads to another host: {}", super::arm::API, error::plain(url)),
    )
    .cure("check cloud.arm, and that no proxy answers in Azure's place")
}

/// The failure of a poll that could not be read: the operation itself goes on.
pub(super) fn unread(response: &Response) -> Outcome {
    let code = ApiError::of(response).map(|e| e.code).unwrap_or_default();
    error::outcome(
        super::arm::API,
        &format!("reading the state of an operation ({code})"),
        response,
        |_, _| None,
    )
}
