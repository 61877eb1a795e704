//! Where blocking calls run: at most one thread per endpoint, for as long as its call lasts.
//!
//! A thread of its own for each call costs some 50 µs beside a call of milliseconds at best; in return nothing waits
//! between calls (no wake-ups, no stacks) and a stalled endpoint holds its own thread and nobody else's. The bound is the
//! number of endpoints, [`Endpoint::ALL`], with one for the Lease and one for an operator's question. A call ends by its own deadline (`http::Request`); nobody waits for it at the end
//! of the process. A job's panic ends in its result, [`Panicked`], never in the process.

use crate::core::{Endpoint, Reason};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::oneshot;

/// The worker threads.
#[derive(Default)]
pub struct Workers {
    busy: [Arc<AtomicBool>; Endpoint::ALL.len()],
    /// A question of an operator's is being answered.
    asked: Arc<AtomicBool>,
    /// The Lease is being asked for.
    lease: Arc<AtomicBool>,
    panics: Arc<AtomicU64>,
}

/// Why a job has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoResult {
    /// A call to this endpoint is already in flight: the core keeps to one, so this is a bug that costs one try. Or another
    /// operator's question is.
    Busy,
    /// The system gives no thread; with its words.
    NoThread(String),
    /// The job panicked; with the panic's message. What it held may be broken: make its client anew.
    Panicked(String),
}

impl std::fmt::Display for NoResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoResult::Busy => f.write_str("another call of the same sort is still in flight"),
            NoResult::NoThread(why) => write!(f, "no thread for the call: {why}"),
            NoResult::Panicked(why) => write!(f, "a bug in arclet ended the call: {why}"),
        }
    }
}

impl From<NoResult> for Reason {
    fn from(why: NoResult) -> Reason {
        let (code, cure) = match why {
            NoResult::Busy => ("Busy", "try again in a moment"),
            NoResult::NoThread(_) => ("NoThread", "raise TasksMax in the unit, or free memory"),
            NoResult::Panicked(_) => ("Panicked", "report it with the log lines of this moment"),
        };
        Reason::new(code, why.to_string()).cure(cure)
    }
}

impl Workers {
    /// Starts `job` on a thread of its own. The result comes once, also when the job panics; the endpoint is free again
    /// before it comes.
    pub fn start<T, J>(&self, endpoint: Endpoint, job: J) -> oneshot::Receiver<Result<T, NoResult>>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        self.start_at(Arc::clone(&self.busy[endpoint as usize]), endpoint.name(), job)
    }

    /// The same for a question of an operator's, of which one is answered at a time: it waits for no endpoint's call, and
    /// none waits for it.
    pub fn ask<T, J>(&self, job: J) -> oneshot::Receiver<Result<T, NoResult>>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        self.start_at(Arc::clone(&self.asked), "question", job)
    }

    /// The same for the Lease: a document that takes long holds up no renewal.
    pub fn lease<T, J>(&self, job: J) -> oneshot::Receiver<Result<T, NoResult>>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        self.start_at(Arc::clone(&self.lease), "lease", job)
    }

    fn start_at<T, J>(
        &self,
        busy: Arc<AtomicBool>,
        name: &str,
        job: J,
    ) -> oneshot::Receiver<Result<T, NoResult>>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (send, receive) = oneshot::channel();
        if busy.swap(true, Ordering::AcqRel) {
            // The receiver is in our hands: this cannot fail.
            let _ = send.send(Err(NoResult::Busy));
            return receive;
        }
        let reserved = Reserved(busy);
        let panics = Arc::clone(&self.panics);
        // The thread takes `send` with it, so a second channel would be needed to answer when it cannot start: the slot
        // keeps it where both sides reach it.
        let slot = Arc::new(std::sync::Mutex::new(Some(send)));
        let theirs = Arc::clone(&slot);
        let work = move || {
            // What the job captured is dropped by the unwinding; nothing of it is used afterwards.
            let result = catch_unwind(AssertUnwindSafe(job)).map_err(|payload| {
                panics.fetch_add(1, Ordering::Relaxed);
                NoResult::Panicked(message(payload.as_ref()))
            });
            drop(reserved);
            answer(&theirs, result);
        };
        let spawned = std::thread::Builder::new().name(name.into()).stack_size(STACK).spawn(work);
        if let Err(error) = spawned {
            answer(&slot, Err(NoResult::NoThread(error.to_string())));
        }
        receive
    }

    /// Panics caught since the start.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }
}

type Slot<T> = std::sync::Mutex<Option<oneshot::Sender<Result<T, NoResult>>>>;

fn answer<T>(slot: &Slot<T>, result: Result<T, NoResult>) {
    let send = slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    if let Some(send) = send {
        // Nobody listens any more when the agent is on its way out.
        let _ = send.send(result);
    }
}

/// Holds an endpoint's place; frees it when dropped, also when the thread could not be started.
struct Reserved(Arc<AtomicBool>);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The text of a panic.
pub fn message(payload: &(dyn std::any::Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// Address space of a worker's stack; only touched pages cost memory. A TLS handshake with certificate verification and
/// the deepest JSON that is accepted (128 levels) take less than half of it in an unoptimised build.
const STACK: usize = 512 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_stalled_endpoint_delays_no_other() {
        let workers = Workers::default();
        let (release, stalled) = mpsc::channel::<()>();
        let ingest = workers.start(Endpoint::Ingest, move || stalled.recv().is_ok());
        for endpoint in [Endpoint::Kubernetes, Endpoint::Login, Endpoint::Arm] {
            assert_eq!(workers.start(endpoint, || 7).blocking_recv().unwrap(), Ok(7));
        }
        assert_eq!(workers.start(Endpoint::Ingest, || true).blocking_recv().unwrap(), Err(NoResult::Busy));
        release.send(()).unwrap();
        assert_eq!(ingest.blocking_recv().unwrap(), Ok(true));
    }

    #[test]
    fn one_call_is_in_flight_per_endpoint() {
        let workers = Workers::default();
        let (release, stalled) = mpsc::channel::<()>();
        let first = workers.start(Endpoint::Arm, move || stalled.recv().is_ok());
        assert_eq!(workers.start(Endpoint::Arm, || 1).blocking_recv().unwrap(), Err(NoResult::Busy));
        release.send(()).unwrap();
        assert_eq!(first.blocking_recv().unwrap(), Ok(true));
        assert_eq!(workers.start(Endpoint::Arm, || 2).blocking_recv().unwrap(), Ok(2), "free again");
    }

    #[test]
    fn a_panic_is_caught_counted_and_told() {
        let workers = Workers::default();
        let result = workers.start(Endpoint::Login, || -> u8 { panic!("number {}", 7) }).blocking_recv();
        assert_eq!(result.unwrap(), Err(NoResult::Panicked("number 7".into())));
        assert_eq!(workers.panics(), 1);
        assert_eq!(workers.start(Endpoint::Login, || 3).blocking_recv().unwrap(), Ok(3));
    }
}
