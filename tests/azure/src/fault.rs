//! What an endpoint does instead of answering as it should.

use std::time::Duration;

/// An endpoint with a port, a link and faults of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Microsoft Entra.
    Login,
    /// Azure Resource Manager.
    Arm,
    /// Logs Ingestion.
    Ingest,
    /// Key Vault.
    Vault,
    /// A registry of charts and releases, which is not Azure's.
    Registry,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 5] =
        [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest, Endpoint::Vault, Endpoint::Registry];
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An error of the API with this status and code.
    Error(u16, String),
    /// 429 with `Retry-After` in seconds, and the API's body.
    Throttled(u64),
    /// An HTML page with this status: a captive portal, a proxy, a gateway.
    Html(u16),
    /// A redirect to somewhere else.
    Redirect,
    /// The request is carried out and the answer's body is cut off in the middle; a body is made up where there is none.
    Truncated,
    /// The connection is reset after the request was read; the request was not carried out.
    Reset,
    /// The request is carried out and the connection is reset instead of the answer.
    ResetAfter,
    /// No answer until the test sets or clears this endpoint's fault; then the connection ends.
    Stall,
    /// The right answer after this time.
    Slow(Duration),
    /// The right answer, its body so many bytes at a time, each after this time.
    Trickle(usize, Duration),
    /// A body of this many bytes, with status 200.
    Huge(usize),
    /// A header of this many bytes.
    HugeHeader(usize),
    /// JSON nested this deep, with status 200.
    Deep(usize),
}

/// A fault that is on.
struct On {
    endpoint: Endpoint,
    /// In lower case; only requests whose path and query have it in them get the fault. Empty: all.
    text: String,
    fault: Fault,
    left: Option<u32>,
}

/// The faults that are on, and how often a test has changed each endpoint's.
#[derive(Default)]
pub struct Faults {
    on: Vec<On>,
    changes: [u64; Endpoint::ALL.len()],
}

impl Faults {
    /// For the next `times` requests of the endpoint, or (`None`) until it is cleared. Replaces the endpoint's faults.
    pub fn set(&mut self, endpoint: Endpoint, fault: Fault, times: Option<u32>) {
        self.clear(endpoint);
        self.on.push(On { endpoint, text: String::new(), fault, left: times });
    }

    /// The same for requests whose decoded path and query have `text` in them, whatever its case. Comes before faults
    /// that were set before it and replaces only the one with the same text.
    pub fn set_on(&mut self, endpoint: Endpoint, text: &str, fault: Fault, times: Option<u32>) {
        let text = text.to_lowercase();
        self.changes[endpoint as usize] += 1;
        self.on.retain(|on| on.endpoint != endpoint || on.text != text);
        self.on.insert(0, On { endpoint, text, fault, left: times });
    }

    /// The endpoint answers as it should again.
    pub fn clear(&mut self, endpoint: Endpoint) {
        self.changes[endpoint as usize] += 1;
        self.on.retain(|on| on.endpoint != endpoint);
    }

    /// Grows with each change by a test, and not when a fault for some requests is used up: a stalled request waits
    /// for the one and not for the other.
    pub(crate) fn changes(&self, endpoint: Endpoint) -> u64 {
        self.changes[endpoint as usize]
    }

    /// The fault of a request whose decoded path and query is `target`.
    pub(crate) fn take(&mut self, endpoint: Endpoint, target: &str) -> Option<Fault> {
        let target = target.to_lowercase();
        let at = self.on.iter().position(|on| on.endpoint == endpoint && target.contains(&on.text))?;
        let fault = self.on[at].fault.clone();
        if let Some(left) = &mut self.on[at].left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.on.remove(at);
            }
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_for_some_requests_is_used_up_and_only_a_test_changes_it() {
        let mut faults = Faults::default();
        faults.set(Endpoint::Arm, Fault::Stall, Some(2));
        let changes = faults.changes(Endpoint::Arm);
        assert_eq!(faults.take(Endpoint::Login, "/"), None);
        assert_eq!(faults.take(Endpoint::Arm, "/"), Some(Fault::Stall));
        assert_eq!(faults.take(Endpoint::Arm, "/"), Some(Fault::Stall));
        assert_eq!(faults.take(Endpoint::Arm, "/"), None);
        faults.set(Endpoint::Ingest, Fault::Reset, None);
        // What was stalled stays so.
        assert_eq!(faults.changes(Endpoint::Arm), changes);
        faults.clear(Endpoint::Arm);
        assert_ne!(faults.changes(Endpoint::Arm), changes);
    }

    #[test]
    fn a_fault_with_a_text_is_of_the_requests_that_have_it_and_leaves_the_others_theirs() {
        let mut faults = Faults::default();
        faults.set(Endpoint::Arm, Fault::Reset, None);
        faults.set_on(Endpoint::Arm, "$skipToken", Fault::Html(200), Some(1));
        assert_eq!(faults.take(Endpoint::Arm, "/a?api-version=1"), Some(Fault::Reset));
        assert_eq!(faults.take(Endpoint::Arm, "/a?$SKIPTOKEN=2"), Some(Fault::Html(200)));
        assert_eq!(faults.take(Endpoint::Arm, "/a?$skiptoken=2"), Some(Fault::Reset));
        faults.set_on(Endpoint::Arm, "$skiptoken", Fault::Html(200), None);
        faults.clear(Endpoint::Arm);
        assert_eq!(faults.take(Endpoint::Arm, "/a?$skiptoken=2"), None);
    }
}
