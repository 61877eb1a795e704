//! All that the stand-in remembers. One lock; requests are answered one after the other.

use crate::arm::children::Children;
use crate::arm::clusters::Clusters;
use crate::arm::types::Types;
use crate::clock::Clock;
use crate::fault::{Endpoint, Fault, Faults};
use crate::ingest::Ingestion;
use crate::principals::{Principal, Tokens};
use crate::registry::Registry;
use crate::template::Template;
use crate::vault::Vault;
use crate::wire::{Answer, Question};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What went over an endpoint's wire since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were read.
    pub requests: u64,
    /// TCP connections.
    pub connections: u64,
    /// TLS handshakes with certificates.
    pub full_handshakes: u64,
    /// TLS handshakes by resumption.
    pub resumed_handshakes: u64,
    /// Bytes from clients, TLS included.
    pub bytes_in: u64,
    /// Bytes to clients, TLS included.
    pub bytes_out: u64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub requests: AtomicU64,
    pub connections: AtomicU64,
    pub full: AtomicU64,
    pub resumed: AtomicU64,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
}

impl Counters {
    pub fn read(&self) -> Stats {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        Stats {
            requests: get(&self.requests),
            connections: get(&self.connections),
            full_handshakes: get(&self.full),
            resumed_handshakes: get(&self.resumed),
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
        }
    }
}

/// A request that was answered, for tests that ask what was (not) sent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Where.
    pub endpoint: Endpoint,
    /// Method.
    pub method: String,
    /// Path as sent.
    pub path: String,
    /// Status of the answer; 0 where there was none.
    pub status: u16,
}

/// Tokens left, and when they were counted, by client and verb class.
pub type Buckets = BTreeMap<(String, &'static str), (f64, SystemTime)>;

/// Why a token is not accepted; each service says it in its own form.
pub struct Refused {
    pub code: &'static str,
    pub text: &'static str,
    /// The claims that a token must be asked with, in base64.
    pub claims: Option<String>,
}

/// The stand-in's memory.
pub struct State {
    pub tenant: String,
    pub subscription: String,
    pub audiences: Vec<String>,
    pub principals: Vec<Principal>,
    pub tokens: Tokens,
    pub token_lifetime: Duration,
    pub assertions: HashSet<String>,
    /// Resource groups by lower-case name, with their location.
    pub groups: BTreeMap<String, (String, String)>,
    /// Registration state by lower-case namespace.
    pub providers: BTreeMap<String, (String, String)>,
    pub clusters: Clusters,
    pub children: Children,
    pub clock: Clock,
    pub types: Types,
    pub vault: Vault,
    pub registry: Registry,
    pub ingestion: Ingestion,
    pub login: std::net::SocketAddr,
    pub ingest: std::net::SocketAddr,
    /// Accept any agentPublicKeyCertificate that is not empty.
    pub any_key: bool,
    pub template: Template,
    pub faults: Faults,
    /// A CAE challenge: tokens that were not asked with these claims are refused.
    pub challenge: Option<String>,
    /// Requests per page of listings.
    pub page_size: usize,
    /// ARM's token buckets, while throttling is on.
    pub buckets: Option<Buckets>,
    pub seen: Vec<Seen>,
    pub himds: Option<crate::himds::Himds>,
}

impl State {
    /// A principal by client id.
    pub fn principal(&self, client_id: &str) -> Option<&Principal> {
        self.principals.iter().find(|p| p.client_id.eq_ignore_ascii_case(client_id))
    }

    /// Whose token this is, if it is good for `audience`; else the 401 that Resource Manager and Monitor give.
    pub fn authenticate(&self, question: &Question, audience: &str) -> Result<Principal, Answer> {
        self.whose(question, audience).map_err(|refused| {
            let challenge = match &refused.claims {
                None => format!("Bearer authorization_uri=\"https://login.microsoftonline.com/{}\", error=\"invalid_token\"", self.tenant),
                Some(claims) => format!("Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", error=\"insufficient_claims\", claims=\"{claims}\""),
            };
            Answer::error(401, refused.code, refused.text).with("www-authenticate", challenge)
        })
    }

    /// Whose token this is, if it is good for `audience`.
    pub fn whose(&self, question: &Question, audience: &str) -> Result<Principal, Refused> {
        let refuse = |code, text| Refused { code, text, claims: None };
        let Some(token) = question.bearer() else {
            return Err(refuse(
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
            ));
        };
        let Some(granted) = self.tokens.get(token) else {
            return Err(refuse("InvalidAuthenticationToken", "The access token is invalid."));
        };
        if !granted.audience.trim_end_matches('/').eq_ignore_ascii_case(audience.trim_end_matches('/')) {
            return Err(refuse(
                "InvalidAuthenticationTokenAudience",
                "The access token has been obtained for wrong audience.",
            ));
        }
        if granted.expires <= SystemTime::now() {
            return Err(refuse(
                "ExpiredAuthenticationToken",
                "The access token expiry UTC time is earlier than current UTC time.",
            ));
        }
        if let Some(claims) = &self.challenge {
            let presented = granted.claims.as_deref().is_some_and(|c| same_json(c, claims));
            if !presented {
                use base64::Engine as _;
                let encoded = base64::engine::general_purpose::STANDARD.encode(claims);
                let (code, text) =
                    ("TokenIssuedBeforeRevocationTimestamp", "The access token has been revoked.");
                return Err(Refused { code, text, claims: Some(encoded) });
            }
        }
        self.principal(&granted.client_id)
            .cloned()
            .ok_or_else(|| refuse("InvalidAuthenticationToken", "The principal is gone."))
    }

    /// What has waited for an agent for too long by now has failed.
    pub fn age_documents(&mut self) {
        self.children.age(self.clock.now());
    }

    /// Removes a cluster, and with it all that was wanted of it; whether it was there.
    pub fn remove_cluster(&mut self, id: &str) -> bool {
        self.children.forget_cluster(id);
        self.clusters.resources.remove(&id.to_lowercase()).is_some()
    }

    /// The rule's logs-ingestion URL.
    pub fn ingestion_url(&self) -> String {
        format!("https://{}", self.ingest)
    }

    /// Remembers a request, up to a bound.
    pub fn note(&mut self, seen: Seen) {
        if self.seen.len() < crate::SEEN_MAX {
            self.seen.push(seen);
        }
    }

    /// The fault that this request gets instead of its answer.
    pub fn fault(&mut self, endpoint: Endpoint, question: &Question) -> Option<Fault> {
        self.faults.take(endpoint, &question.target())
    }
}

/// A client may add its own claims (`xms_cc`) to those of the challenge.
fn same_json(presented: &str, wanted: &str) -> bool {
    fn covers(presented: &serde_json::Value, wanted: &serde_json::Value) -> bool {
        match (presented, wanted) {
            (serde_json::Value::Object(p), serde_json::Value::Object(w)) => {
                w.iter().all(|(k, v)| p.get(k).is_some_and(|p| covers(p, v)))
            }
            (p, w) => p == w,
        }
    }
    match (serde_json::from_str(presented), serde_json::from_str(wanted)) {
        (Ok(p), Ok(w)) => covers(&p, &w),
        _ => presented == wanted,
    }
}
