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
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 3] = [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest];
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
    /// The right answer is cut off in the middle of its body, or of its head where it has no body.
    Truncated,
    /// The connection is reset after the request was read; the request was not carried out.
    Reset,
    /// The request is carried out and the connection is reset instead of the answer.
    ResetAfter,
    /// No answer while the fault lasts.
    Stall,
    /// The right answer after this time.
    Slow(Duration),
    /// A body of this many bytes, with status 200.
    Huge(usize),
    /// A header of this many bytes.
    HugeHeader(usize),
    /// JSON nested this deep, with status 200.
    Deep(usize),
}

/// The faults that are on.
#[derive(Default)]
pub struct Faults(Vec<(Endpoint, Fault, Option<u32>)>);

impl Faults {
    /// For the next `times` requests of the endpoint, or (`None`) until it is cleared. Replaces the endpoint's fault.
    pub fn set(&mut self, endpoint: Endpoint, fault: Fault, times: Option<u32>) {
        self.clear(endpoint);
        self.0.push((endpoint, fault, times));
    }

    /// The endpoint answers as it should again.
    pub fn clear(&mut self, endpoint: Endpoint) {
        self.0.retain(|(e, _, _)| *e != endpoint);
    }

    pub(crate) fn is_stalled(&self, endpoint: Endpoint) -> bool {
        self.0.iter().any(|(e, fault, _)| *e == endpoint && *fault == Fault::Stall)
    }

    pub(crate) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let (_, fault, times) = self.0.iter_mut().find(|(e, _, _)| *e == endpoint)?;
        let fault = fault.clone();
        if let Some(left) = times {
            *left -= 1;
            if *left == 0 {
                self.clear(endpoint);
            }
        }
        Some(fault)
    }
}
