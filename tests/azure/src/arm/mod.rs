//! Azure Resource Manager: conventions (azure-arm.md sections 1 and 2), then each provider in a file of its own.

pub mod children;
pub mod clusters;
mod misc;
pub mod operations;
pub mod owned;
mod tags;
pub mod types;

use crate::principals::Principal;
use crate::state::State;
use crate::wire::{Answer, Question, decode, guid};
use children::kind::Kind;
use std::time::SystemTime;

/// The audiences of its tokens.
pub const AUDIENCE: &str = "https://management.azure.com";

/// A request of a known principal.
pub struct Call<'a> {
    /// As it was read.
    pub question: &'a Question,
    /// Path segments as sent.
    pub segments: Vec<String>,
    /// The same in lower case.
    pub lower: Vec<String>,
    /// Whose it is.
    pub principal: Principal,
}

impl Call<'_> {
    /// 400, if the api-version is neither one of these nor a preview.
    pub fn version_of(&self, known: &[&str]) -> Result<(), Answer> {
        let version = self.question.parameter("api-version").unwrap_or_default();
        if known.contains(&version) || version.ends_with("-preview") {
            return Ok(());
        }
        let text = format!("The api-version '{version}' is invalid.");
        Err(Answer::error(400, "InvalidApiVersionParameter", &text))
    }

    /// 403, if the principal may not do this.
    pub fn require(&self, action: &str, scope: &str) -> Result<(), Answer> {
        if self.principal.may(action, scope) {
            return Ok(());
        }
        let text = format!(
            "The client '{}' with object id '{}' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid.",
            self.principal.client_id, self.principal.object_id
        );
        Err(Answer::error(403, "AuthorizationFailed", &text))
    }
}

/// Answers a request to Resource Manager.
pub fn answer(state: &mut State, question: &Question) -> Answer {
    let mut answer = route(state, question).unwrap_or_else(|refusal| refusal);
    answer = answer
        .with("x-ms-request-id", guid())
        .with("x-ms-routing-request-id", format!("EASTUS:20261122T150000Z:{}", guid()));
    let correlation = question.header("x-ms-correlation-request-id").map_or_else(guid, str::to_owned);
    answer = answer.with("x-ms-correlation-request-id", correlation);
    if question.header("x-ms-return-client-request-id").is_some_and(|v| v.eq_ignore_ascii_case("true"))
        && let Some(id) = question.header("x-ms-client-request-id")
    {
        answer = answer.with("x-ms-client-request-id", id);
    }
    answer
}

fn route(state: &mut State, question: &Question) -> Result<Answer, Answer> {
    let path = decode(&question.path, false);
    let segments: Vec<String> = path.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
    let lower: Vec<String> = segments.iter().map(|s| s.to_lowercase()).collect();
    let parts: Vec<&str> = lower.iter().map(String::as_str).collect();
    if parts == ["metadata", "endpoints"] {
        return Ok(misc::endpoints(state, question));
    }
    if question.parameter("api-version").is_none() {
        return Err(Answer::error(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        ));
    }
    let principal = state.authenticate(question, AUDIENCE)?;
    throttle(state, &principal, question)?;
    let call = Call { question, segments, lower: lower.clone(), principal };
    match parts.as_slice() {
        ["subscriptions"] => Ok(misc::subscriptions(state)),
        ["subscriptions", s, ..] if !s.eq_ignore_ascii_case(&state.subscription) => {
            Err(Answer::error(404, "SubscriptionNotFound", "The subscription could not be found."))
        }
        ["subscriptions", _] => misc::subscription(state, &call),
        ["subscriptions", _, "providers", namespace] => misc::provider(state, &call, namespace),
        ["subscriptions", _, "resourcegroups", group] => misc::group(state, &call, group),
        [.., "providers", "microsoft.authorization", "permissions"] => misc::permissions(state, &call),
        [scope @ .., "providers", "microsoft.resources", "tags", "default"] => {
            tags::tags(state, &call, scope.len())
        }
        [.., "providers", "microsoft.insights", "datacollectionrules", _] => misc::rule(state, &call),
        [
            "subscriptions",
            _,
            "providers",
            "microsoft.kubernetes",
            "locations",
            _,
            "operationstatuses",
            id,
        ] => operations::operation(state, &call, id),
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.kubernetes",
            "connectedclusters",
            _,
            "providers",
            "microsoft.kubernetesconfiguration",
            kind,
            rest @ ..,
        ] => match Kind::of(kind) {
            Some(kind) => children::answer(state, &call, kind, rest),
            None if *kind == "extensiontypes" => types::answer(state, &call, true, rest),
            None => Err(unknown_type()),
        },
        [
            "subscriptions",
            _,
            "providers",
            "microsoft.kubernetesconfiguration",
            "locations",
            _,
            "extensiontypes",
            rest @ ..,
        ] => types::answer(state, &call, false, rest),
        ["subscriptions", _, "providers", "microsoft.kubernetes", "connectedclusters"]
        | [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.kubernetes",
            "connectedclusters",
        ]
        | [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.kubernetes",
            "connectedclusters",
            _,
        ] => clusters::answer(state, &call),
        _ => Err(unknown_type()),
    }
}

fn unknown_type() -> Answer {
    Answer::error(404, "InvalidResourceType", "The resource type could not be found.")
}

/// Token buckets per principal (azure-arm.md 1.3): reads 250 tokens refilled 25 a second, writes and deletes 200 and 10.
fn throttle(state: &mut State, principal: &Principal, question: &Question) -> Result<(), Answer> {
    let Some(buckets) = &mut state.buckets else { return Ok(()) };
    let (class, size, refill) = match question.method.as_str() {
        "GET" => ("reads", 250.0, 25.0),
        "DELETE" => ("deletes", 200.0, 10.0),
        _ => ("writes", 200.0, 10.0),
    };
    let now = SystemTime::now();
    let (tokens, at) = buckets.entry((principal.client_id.clone(), class)).or_insert((size, now));
    let passed = now.duration_since(*at).map_or(0.0, |d| d.as_secs_f64());
    *tokens = (*tokens + passed * refill).min(size);
    *at = now;
    if *tokens < 1.0 {
        return Err(Answer::error(
            429,
            "SubscriptionRequestsThrottled",
            "Number of requests for the subscription exceeded the limit.",
        )
        .with("retry-after", "1"));
    }
    *tokens -= 1.0;
    Ok(())
}
