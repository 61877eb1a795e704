//! Microsoft Entra's refusals, in words that an operator can act on.
//!
//! Decided by `error` and the numbers in `error_codes`, never by the text. Wrong credentials stay wrong until somebody
//! changes something, so they are [`Outcome::Refused`]; only overload is to be waited for.

use super::{ENTRA, no_answer};
use crate::azure::error::plain;
use crate::core::{Outcome, Reason};
use crate::http::Response;
use serde::Deserialize;

#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
    #[serde(default)]
    trace_id: String,
    #[serde(default)]
    correlation_id: String,
}

/// What an answer without a token means.
pub(super) fn outcome(response: &Response) -> Outcome {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(&response.body) else {
        return no_answer(ENTRA, response);
    };
    if response.status < 400
        || refusal.error.is_empty()
        || !refusal.error.chars().all(|c| c.is_ascii_graphic())
    {
        return no_answer(ENTRA, response);
    }
    let reason = reason(&refusal);
    log::info!(
        "{reason} (trace {}, correlation {})",
        plain(&refusal.trace_id),
        plain(&refusal.correlation_id)
    );
    let retry_after = response.retry_after();
    match response.status {
        429 => Outcome::Throttled { reason, retry_after },
        _ if refusal.error == "temporarily_unavailable" => Outcome::Throttled { reason, retry_after },
        500..=599 if retry_after.is_some() => Outcome::Throttled { reason, retry_after },
        500..=599 => Outcome::Unreachable(reason),
        _ => Outcome::Refused(reason),
    }
}

fn reason(refusal: &Refusal) -> Reason {
    let known = refusal.error_codes.iter().find_map(|code| KNOWN.iter().find(|row| row.0 == *code));
    let code = known.map(|row| row.0).or_else(|| refusal.error_codes.first().copied());
    let name = code.map_or_else(|| refusal.error.clone(), |code| format!("AADSTS{code}"));
    let (what, cure) = match known {
        Some((_, what, cure)) => (*what, (*cure).to_owned()),
        None => {
            let (what, cure) = by_error(&refusal.error);
            let more =
                code.map(|code| format!("; more at https://login.microsoftonline.com/error?code={code}"));
            (what, format!("{cure}{}", more.unwrap_or_default()))
        }
    };
    let trace = match plain(&refusal.trace_id) {
        trace if trace.is_empty() => String::new(),
        trace => format!(", trace {trace}"),
    };
    Reason::new(name, format!("{ENTRA} gave no token: {what} ({}{trace})", plain(&refusal.error))).cure(cure)
}

/// For codes that the table does not know.
fn by_error(error: &str) -> (&'static str, &'static str) {
    match error {
        "invalid_client" => {
            ("the credential is not accepted", "check identity.client-id and the credential's file")
        }
        "unauthorized_client" => {
            ("the app may not sign in like this", "check identity.client-id and identity.tenant")
        }
        "invalid_scope" | "invalid_resource" => {
            ("it does not know the scope", "check cloud.name and its scopes")
        }
        "invalid_grant" | "interaction_required" => (
            "a policy of the directory forbids it",
            "ask the directory's administrator about conditional access",
        ),
        "temporarily_unavailable" => ("it is overloaded", "nothing to do: it is tried again"),
        _ => ("the request was refused", "check the settings under identity"),
    }
}

/// Code, what it means, what to do. Meanings after Microsoft's list of AADSTS codes.
const KNOWN: [(u64, &str, &str); 15] = [
    (
        7000215,
        "the client secret is wrong",
        "put the secret's value (not its id) into identity.secret-file, and check that it belongs to identity.client-id",
    ),
    (
        7000222,
        "the client secret has expired",
        "make a new secret for the app registration and put it into identity.secret-file",
    ),
    (700016, "the app is not known in this tenant", "check identity.client-id and identity.tenant"),
    (
        700027,
        "the certificate is not registered for this app, or its signature does not hold",
        "check the device's clock, then add the certificate to the app registration",
    ),
    (700024, "the assertion's times do not fit", "set the device's clock (timedatectl)"),
    (
        70021,
        "no federated credential of the app matches the token",
        "compare issuer, subject and audience of the token with the app's federated credentials",
    ),
    (
        700213,
        "no federated credential of the app matches the token's subject or issuer",
        "compare issuer and subject of the token with the app's federated credentials",
    ),
    (
        700212,
        "no federated credential of the app matches the token's audience",
        "the audience is usually api://AzureADTokenExchange",
    ),
    (90002, "the tenant does not exist in this cloud", "check identity.tenant and cloud.name"),
    (900023, "the tenant is neither an id nor a domain", "check identity.tenant"),
    (70011, "it does not know the scope", "check cloud.name and its scopes"),
    (500011, "the service is not known in this tenant", "check cloud.name, its scopes and identity.tenant"),
    (7000112, "the app is disabled", "enable the enterprise application in the directory"),
    (53003, "conditional access forbids it", "ask the directory's administrator to let this workload in"),
    (90033, "it is temporarily unavailable", "nothing to do: it is tried again"),
];
