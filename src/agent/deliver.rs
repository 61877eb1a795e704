//! One delivery: what was read becomes one call, and the call's outcome becomes the core's input.

use super::calls::Calls;
use super::delivery::{Batch, Unfit, pack};
use super::tokens::Bearer;
use super::workers::{NoResult, Workers};
use crate::core::{Endpoint, Input, Lane, Outcome, Reason, Stream};
use crate::scenario::clock::Anchors;
use crate::store::Kept;
use std::sync::Arc;

/// What the core asked for, and what the call needs besides the records.
pub struct Order {
    /// From this lane.
    pub lane: Lane,
    /// To this stream.
    pub stream: Stream,
    /// Bound of the array before compression.
    pub max_bytes: usize,
    /// ARM id of the cluster, for the rows.
    pub cluster: String,
    /// What is known of the clocks, for the rows.
    pub anchors: Anchors,
    /// `None`: there is none at hand, which is an answer too.
    pub token: Option<Bearer>,
}

/// Packs and posts on the worker of [`Endpoint::Ingest`].
pub async fn deliver(
    order: Order,
    read: Result<Vec<Kept>, Reason>,
    workers: &Workers,
    calls: Arc<dyn Calls>,
) -> Input {
    let (lane, stream) = (order.lane, order.stream);
    let kept = match read {
        Ok(kept) => kept,
        Err(reason) => return Input::DeliveryFailed { lane, stream, reason },
    };
    if kept.is_empty() {
        return Input::DeliveredNothing { lane, stream };
    }
    let world = Arc::clone(&calls);
    let posted = workers.start(Endpoint::Ingest, move || post(order, kept, world.as_ref())).await;
    match posted.unwrap_or_else(|_| Err(NoResult::Panicked("its thread is gone".into()))) {
        Ok(input) => input,
        Err(why) => {
            calls.forget(Endpoint::Ingest);
            Input::DeliveryFailed { lane, stream, reason: why.into() }
        }
    }
}

fn post(order: Order, kept: Vec<Kept>, world: &dyn Calls) -> Input {
    let Order { lane, stream, max_bytes, cluster, anchors, token } = order;
    let delivered = |first, through, records, bytes, outcome| Input::Delivered {
        lane,
        stream,
        first,
        through,
        records,
        bytes,
        outcome,
    };
    match pack(kept, &cluster, &anchors, max_bytes) {
        None => Input::DeliveredNothing { lane, stream },
        // It will never be a row: the same as if the server had refused it alone, without the call.
        Some(Err(Unfit { seq, reason })) => delivered(seq, seq, 1, 0, Outcome::BadRecord(reason)),
        Some(Ok(Batch { first, through, records, body })) => match token {
            Some(token) => {
                let outcome = world.post(stream, &body, &token);
                delivered(first, through, records, body.len() + HEADERS, outcome)
            }
            None => delivered(first, through, records, 0, no_token()),
        },
    }
}

/// What a call without a token would have been answered with.
pub fn no_token() -> Outcome {
    let reason = Reason::new("NoToken", "there is no token for this call yet");
    Outcome::Unauthorized { reason, claims: None }
}

/// Bytes of a request beside its body, measured by `benches/wire`: a token of 1.3 to 2 KB is most of it.
const HEADERS: usize = 2_000;
