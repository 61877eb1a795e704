//! What came of a call to the other side, in the only words that the core understands.
//!
//! Clients in `azure/` and `k3s/` turn a reply into an [`Outcome`]; the core decides by it and by nothing else.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The code of a change to the cluster that was not sent, because the right to change it ends: the way there is not at
/// fault, and the object is not.
pub const NOT_LEADING: &str = "NotLeading";

/// Something outside with a link state of its own: one may be down while another is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Endpoint {
    /// The local Kubernetes API server.
    Kubernetes = 0,
    /// Microsoft Entra, or the HIMDS of an Arc-enabled server: where tokens come from.
    Login = 1,
    /// Azure Resource Manager.
    Arm = 2,
    /// Azure Monitor's Logs Ingestion API.
    Ingest = 3,
    /// The Key Vault that has the documents' secrets.
    Vault = 4,
    /// The registries that charts come from.
    Registry = 5,
    /// The registry that arclet's own releases come from.
    Releases = 6,
}

impl Endpoint {
    /// All endpoints, in the order of their numbers.
    pub const ALL: [Endpoint; 7] = [
        Endpoint::Kubernetes,
        Endpoint::Login,
        Endpoint::Arm,
        Endpoint::Ingest,
        Endpoint::Vault,
        Endpoint::Registry,
        Endpoint::Releases,
    ];

    /// The endpoint's name in status output.
    pub const fn name(self) -> &'static str {
        match self {
            Endpoint::Kubernetes => "kubernetes",
            Endpoint::Login => "login",
            Endpoint::Arm => "arm",
            Endpoint::Ingest => "ingest",
            Endpoint::Vault => "vault",
            Endpoint::Registry => "registry",
            Endpoint::Releases => "releases",
        }
    }
}

/// What a token is for; the text of the scope depends on the cloud (`azure::identity`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Scope {
    /// Azure Resource Manager.
    Arm = 0,
    /// Azure Monitor ingestion.
    Monitor = 1,
    /// Key Vault.
    Vault = 2,
}

impl Scope {
    /// All scopes, in the order of their numbers.
    pub const ALL: [Scope; 3] = [Scope::Arm, Scope::Monitor, Scope::Vault];
}

/// A failure as people read it: what happened to which thing, and what to do next. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A short, stable word for programs: `ConnectionRefused`, `AADSTS7000215`, `InvalidStream`, `CaptivePortal`, …
    pub code: String,
    /// One sentence that names the thing.
    pub message: String,
    /// The next step, empty where there is none but to wait.
    pub next_step: String,
}

impl Reason {
    /// A reason without a next step.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Reason { code: code.into(), message: message.into(), next_step: String::new() }
    }

    /// The same reason with its cure.
    pub fn cure(mut self, next_step: impl Into<String>) -> Self {
        self.next_step = next_step.into();
        self
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code)?;
        if !self.next_step.is_empty() {
            write!(f, "; {}", self.next_step)?;
        }
        Ok(())
    }
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The documented success and nothing else (204 for ingestion).
    Success,
    /// 413, or the API's own word for it: send less at once.
    TooLarge(Reason),
    /// 400 with the API's own error body: one of the records is at fault.
    BadRecord(Reason),
    /// The other side is set up wrongly or refuses (InvalidStream, 403, 404, a body that is not the API's): keep
    /// everything, retry slowly, show a condition.
    Refused(Reason),
    /// 401: the token is not accepted. `claims` is the decoded challenge of continuous access evaluation.
    Unauthorized {
        /// What was said.
        reason: Reason,
        /// The claims to ask a new token with.
        claims: Option<String>,
    },
    /// 429 or another answer with `Retry-After`.
    Throttled {
        /// What was said.
        reason: Reason,
        /// How long the server asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer, or not a whole one: DNS, connect, TLS, proxy, reset, timeout; or 5xx.
    Unreachable(Reason),
}

impl Outcome {
    /// The reason of everything that is not a success.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Outcome::Success => None,
            Outcome::TooLarge(r) | Outcome::BadRecord(r) | Outcome::Refused(r) | Outcome::Unreachable(r) => {
                Some(r)
            }
            Outcome::Unauthorized { reason, .. } | Outcome::Throttled { reason, .. } => Some(reason),
        }
    }
}
