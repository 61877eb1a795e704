//! The Lease by which the agents of a cluster agree on one leader, as Kubernetes keeps it.
//!
//! Written as client-go's leader election writes its own, so that people and their tools can read it; of its times arclet
//! reads none. Every write is conditional on the `resourceVersion` that was seen. What an answer means for the right to
//! lead is [`crate::core::lease`]'s.

use super::client::Client;
use super::install::{NAMESPACE, OWNER_LABEL};
use super::reply::{self, code};
use super::resource::Resource;
use crate::core::lease::{Answer, Call, Seen, TERM};
use crate::core::{Outcome, Reason};
use serde_json::{Map, Value, json};
use std::time::Duration;
use ureq::http::Method;

/// The Lease's name in [`NAMESPACE`].
pub const LEASE: &str = "arclet";
/// For one call: a renewal that stalls is to leave time for another before the right ends.
const DEADLINE: Duration = Duration::from_secs(10);

impl Client {
    /// Looks at the Lease, or writes it if it is still as it was. One request.
    pub fn lease(&self, call: &Call) -> Answer {
        let Some(resource) = Resource::known("coordination.k8s.io/v1", "Lease") else {
            return Answer::Failed;
        };
        let (collection, path) =
            (resource.collection(Some(NAMESPACE)), resource.object(Some(NAMESPACE), LEASE));
        let (method, path, body) = match call {
            Call::Look => (Method::GET, path, None),
            Call::Write { base, holder } => {
                let (method, path) = match base {
                    Some(_) => (Method::PUT, path),
                    None => (Method::POST, collection),
                };
                let timeout = format!("?fieldManager=arclet&timeout={}s", DEADLINE.as_secs());
                (method, path + &timeout, Some(self.written(base.as_ref(), holder)))
            }
        };
        let named = format!("{method} {}", path.split('?').next().unwrap_or_default());
        let body = body.as_ref().map(|body| ("application/json", body));
        let reply = self.send_within(method.clone(), &path, body, DEADLINE);
        match reply.and_then(|reply| reply::read::<Value>(&named, &reply)) {
            Ok(object) => Answer::There(seen(&object)),
            Err(Outcome::Refused(reason)) => refused(&method, reason),
            // A credential that is not valid any more is shown where the cluster is looked at.
            Err(_) => Answer::Failed,
        }
    }

    /// The object that a write sends.
    fn written(&self, base: Option<&Seen>, holder: &str) -> Value {
        let micros = self.clock().best_wall_ms().saturating_mul(1_000);
        let mut now = micro_time(micros);
        // What changes nothing leaves no trace, not even in the resourceVersion; and a clock may stand still, or go back.
        if base.is_some_and(|base| base.renewed == now) {
            now = micro_time(micros + 1);
        }
        let stays = base.filter(|base| base.holder == holder && !base.acquired.is_empty());
        let acquired = stays.map_or(&now, |base| &base.acquired);
        let transitions = base.map_or(0, |base| base.transitions + u64::from(stays.is_none()));
        let (label, owner) = OWNER_LABEL;
        let mut metadata = json!({"name": LEASE, "namespace": NAMESPACE, "labels": {label: owner}});
        if let Some(base) = base {
            metadata["resourceVersion"] = json!(base.version);
        }
        let mut spec = Map::new();
        // The API server takes no empty name: a Lease that was released names nobody.
        if !holder.is_empty() {
            spec.insert("holderIdentity".into(), json!(holder));
        }
        spec.insert("leaseDurationSeconds".into(), json!(TERM.as_secs()));
        spec.insert("acquireTime".into(), json!(acquired));
        spec.insert("renewTime".into(), json!(now));
        spec.insert("leaseTransitions".into(), json!(transitions));
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    }
}

fn seen(object: &Value) -> Seen {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Seen {
        holder: text("/spec/holderIdentity"),
        renewed: text("/spec/renewTime"),
        acquired: text("/spec/acquireTime"),
        transitions: object.pointer("/spec/leaseTransitions").and_then(Value::as_u64).unwrap_or(0),
        version: text("/metadata/resourceVersion"),
    }
}

fn refused(method: &Method, reason: Reason) -> Answer {
    match reason.code.as_str() {
        code::NOT_FOUND if *method == Method::GET => Answer::Absent,
        // Of a POST it is the namespace that is not there. (A PUT makes a Lease that was deleted since it was seen.)
        code::NOT_FOUND if *method == Method::POST => {
            Answer::Refused(reason.cure("arclet connect makes the namespace and the role for the Lease"))
        }
        code::NOT_FOUND | code::CONFLICT | "AlreadyExists" => Answer::Conflict,
        _ if reply::is_kubernetes_own(&reason) => Answer::Refused(reason),
        _ => Answer::Failed,
    }
}

/// RFC 3339 with six digits, as Kubernetes' MicroTime has them.
fn micro_time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.6}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_time_has_six_digits_whatever_the_clock_says() {
        assert_eq!(micro_time(1_800_000_000_000_001), "2027-01-15T08:00:00.000001Z");
        assert_eq!(micro_time(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(micro_time(i64::MAX), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_namespace_that_is_missing_is_no_conflict_and_no_absence() {
        let missing = || Reason::new(code::NOT_FOUND, "namespaces \"arclet\" not found");
        assert_eq!(refused(&Method::GET, missing()), Answer::Absent);
        assert!(
            matches!(refused(&Method::POST, missing()), Answer::Refused(reason) if !reason.next_step.is_empty())
        );
        assert_eq!(refused(&Method::PUT, missing()), Answer::Conflict);
        assert_eq!(refused(&Method::GET, Reason::new(code::NOT_KUBERNETES, "a portal")), Answer::Failed);
    }
}
