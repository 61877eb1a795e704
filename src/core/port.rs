//! What crosses the border between the core and the shell: actions out, inputs in.
//!
//! Plain data only. The shell carries each action out once and answers it with exactly one input, named beside the
//! action; there is nothing else that it may know of the core, and nothing else that the core may know of the world.

use super::desired::Going;
use super::document::{
    Confirmation, Digest, Enforced, Key, Listing, Needs, Picture, Supplied, Supply, Withdrawn,
};
use super::{Endpoint, Lane, Mono, Now, Outcome, Reason, Record, Scope, Seq, Stream};
use crate::scenario::clock::Anchor;
use crate::scenario::flux::Installation;
use crate::scenario::metadata::Facts;
use crate::scenario::upgrade::{Known, Look, Release};
use std::collections::BTreeMap;
use std::time::Duration;

/// What the shell is to do next.
///
/// At most one action per [`Endpoint`] is under way at any time, so a shell with one worker per endpoint never queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the Kubernetes API server for its version and its nodes. Answer: [`Input::Observed`]. Endpoint: Kubernetes.
    Observe,
    /// Ask it which controllers of Flux there are. Answer: [`Input::Surveyed`]. Endpoint: Kubernetes.
    Survey,
    /// Make these records durable with one sync. Answer: [`Input::Enqueued`] with the same ticket.
    Enqueue {
        /// Names the answer.
        ticket: u64,
        /// In this order.
        records: Vec<(Lane, Record)>,
    },
    /// Get a token from the authority, past any cache: the core has judged that the one at hand will not do (the shell
    /// keeps the newest per scope, and seals it for the next start). Answer: [`Input::Token`]. Endpoint: Login.
    FetchToken {
        /// What for.
        scope: Scope,
        /// The claims of a continuous access evaluation challenge.
        claims: Option<String>,
    },
    /// Read, encode, compress and post the oldest records of one stream of a lane. Answer: [`Input::Delivered`], or
    /// [`Input::DeliveredNothing`] when the store has none. Endpoint: Ingest.
    Deliver {
        /// From this lane.
        lane: Lane,
        /// To this stream.
        stream: Stream,
        /// At most so many, at least one.
        max_records: usize,
        /// At most so many bytes of the encoded JSON array before compression, unless a single record is longer.
        max_bytes: usize,
    },
    /// The server has them: delete them durably. Answer: [`Input::Acked`].
    Ack {
        /// The lane.
        lane: Lane,
        /// The stream.
        stream: Stream,
        /// Up to and with this number.
        through: Seq,
    },
    /// The server refused this one for ever: set it aside durably. Answer: [`Input::Quarantined`].
    Quarantine {
        /// The lane.
        lane: Lane,
        /// The stream.
        stream: Stream,
        /// The record at the head.
        seq: Seq,
        /// In the server's words.
        reason: Reason,
    },
    /// Merge these tags into the cluster's ARM resource. Answer: [`Input::Tagged`]. Endpoint: Arm.
    PatchTags {
        /// All of arclet's tags; others stay.
        tags: BTreeMap<String, String>,
    },
    /// List the documents of the desired state; each that is new or changed is durably in the cache before the answer. A
    /// listing is complete or it is a failure. Answer: [`Input::Pulled`]. Endpoint: Arm.
    Pull {
        /// With the cluster's own resource.
        parent: bool,
        /// What came back of these is durable before the answer, too.
        going: Going,
    },
    /// Ask for one document that listings lack, and for the cluster's own resource. Answer: [`Input::Confirmed`].
    /// Endpoint: Arm.
    Confirm {
        /// Which.
        key: Key,
    },
    /// Put a document's objects into the cluster as the cache has them. Answer: [`Input::Enforced`]. Endpoint: Kubernetes.
    Enforce {
        /// Which.
        key: Key,
    },
    /// Take a document's objects out of the cluster, as far as that goes now, and when none is left the document out of the
    /// cache. Answer: [`Input::Withdrawn`]. Endpoint: Kubernetes.
    Withdraw {
        /// Which.
        key: Key,
    },
    /// Ask the API server about the Lease; beside, and never instead of, the call of the endpoint Kubernetes. Answer:
    /// [`Input::Leased`].
    Lease(super::lease::Call),
    /// Fetch what a document needs from elsewhere; what is new is durably in the cache before the answer. Answer:
    /// [`Input::Supplied`]. Endpoint: [`Supply::endpoint`].
    Supply {
        /// For which document.
        key: Key,
        /// What.
        supply: Supply,
    },
    /// Look at the feed of releases for one that is newer than this program. Answer: [`Input::Looked`]. Endpoint: Releases.
    Look {
        /// What need not be fetched again.
        known: Option<Release>,
    },
    /// A durable report carries these losses: move the store's mark by exactly them. Answer: [`Input::LossesReported`].
    ReportedLosses {
        /// As they were in the report.
        losses: Vec<Loss>,
    },
    /// Keep a small document across restarts; it replaces the one of the same name and comes back in
    /// [`Restored::documents`]. Answer: [`Input::Remembered`].
    Remember {
        /// One of [`DOCUMENTS`].
        name: &'static str,
        /// JSON with a version inside.
        content: Vec<u8>,
    },
}

impl Action {
    /// The endpoint that the action calls; `None` for those that only touch the store.
    pub fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Action::Observe | Action::Survey | Action::Enforce { .. } | Action::Withdraw { .. } => {
                Some(Endpoint::Kubernetes)
            }
            Action::FetchToken { .. } => Some(Endpoint::Login),
            Action::Deliver { .. } => Some(Endpoint::Ingest),
            Action::Supply { supply, .. } => Some(supply.endpoint()),
            Action::Look { .. } => Some(Endpoint::Releases),
            Action::PatchTags { .. } | Action::Pull { .. } | Action::Confirm { .. } => Some(Endpoint::Arm),
            _ => None,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Time has passed; nothing else.
    Tick,
    /// Answer to [`Action::Observe`].
    Observed(Result<Facts, Outcome>),
    /// Answer to [`Action::Survey`]. What the API server refuses is in the picture.
    Surveyed(Result<Installation, Outcome>),
    /// Answer to [`Action::Enqueue`]. An error means that none of the records was taken.
    Enqueued {
        /// The action's.
        ticket: u64,
        /// `Ok` only after the sync.
        result: Result<(), Reason>,
    },
    /// Answer to [`Action::FetchToken`]. The secret itself stays in the shell.
    Token {
        /// The action's.
        scope: Scope,
        /// How long it may be used.
        result: Result<Validity, Outcome>,
    },
    /// Answer to [`Action::Deliver`] when something was posted.
    Delivered {
        /// The action's.
        lane: Lane,
        /// The action's.
        stream: Stream,
        /// The first record of the batch.
        first: Seq,
        /// The last record of the batch.
        through: Seq,
        /// How many there were.
        records: usize,
        /// Bytes of the request as sent (headers and compressed body).
        bytes: usize,
        /// What came of it.
        outcome: Outcome,
    },
    /// Answer to [`Action::Deliver`] when the store had nothing there.
    DeliveredNothing {
        /// The action's.
        lane: Lane,
        /// The action's.
        stream: Stream,
    },
    /// Answer to [`Action::Deliver`] when the store could not be read; nothing was posted.
    DeliveryFailed {
        /// The action's.
        lane: Lane,
        /// The action's.
        stream: Stream,
        /// Why.
        reason: Reason,
    },
    /// Answer to [`Action::Ack`].
    Acked {
        /// The action's.
        lane: Lane,
        /// The action's.
        stream: Stream,
        /// The action's.
        through: Seq,
        /// Durable, or why not.
        result: Result<(), Reason>,
    },
    /// Answer to [`Action::Quarantine`].
    Quarantined {
        /// The action's.
        lane: Lane,
        /// The action's.
        stream: Stream,
        /// The action's.
        seq: Seq,
        /// Durable, or why not.
        result: Result<(), Reason>,
    },
    /// Answer to [`Action::PatchTags`].
    Tagged(Outcome),
    /// Answer to [`Action::Pull`].
    Pulled(Result<Listing, Outcome>),
    /// Answer to [`Action::Confirm`].
    Confirmed {
        /// The action's.
        key: Key,
        /// What Azure says.
        result: Result<Confirmation, Outcome>,
    },
    /// Answer to [`Action::Enforce`]. An error is the API server's, not the document's.
    Enforced {
        /// The action's.
        key: Key,
        /// What came of it.
        result: Result<Enforced, Outcome>,
    },
    /// Answer to [`Action::Withdraw`]. An error is the API server's, not the document's.
    Withdrawn {
        /// The action's.
        key: Key,
        /// What came of it.
        result: Result<Withdrawn, Outcome>,
    },
    /// Answer to [`Action::Supply`]. An error is the endpoint's, not the document's.
    Supplied {
        /// The action's.
        key: Key,
        /// The action's.
        supply: Supply,
        /// What came of it.
        result: Result<Supplied, Outcome>,
    },
    /// Answer to [`Action::Look`]. An error is the feed's or its link's, not a release's.
    Looked(Result<Look, Outcome>),
    /// Answer to [`Action::Lease`].
    Leased(super::lease::Answer),
    /// The agent is about to end: nothing more is begun, and the Lease is given back.
    Stopping,
    /// Someone asks to pull and to enforce now (`arclet desired refresh`).
    Refresh,
    /// Answer to [`Action::ReportedLosses`].
    LossesReported {
        /// Durable, or why not.
        result: Result<(), Reason>,
    },
    /// Answer to [`Action::Remember`].
    Remembered {
        /// The action's.
        name: &'static str,
        /// Durable, or why not.
        result: Result<(), Reason>,
    },
    /// What the store holds: once a minute, and whenever someone else than the core has enqueued.
    Backlog(Backlog),
    /// The trusted time became known or moved: pass it before the answer that taught it.
    Clock(Anchor),
    /// The configuration was read again. State is kept.
    Reconfigured(Box<super::Settings>),
    /// Someone has reason to believe that this endpoint answers again (`arclet doctor`, `{"do":"retry"}`): try now.
    LinkHint(Endpoint),
}

/// How long a fresh token may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From now until it expires.
    pub valid_for: Duration,
    /// The authority's advice on when to renew it, from now.
    pub refresh_in: Option<Duration>,
}

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Undelivered records by lane and stream; what is absent is empty.
    pub waiting: Vec<(Lane, Stream, u64)>,
    /// Losses that no durable report carries yet.
    pub losses: Vec<Loss>,
}

/// Records of one lane that were lost for one cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which lane.
    pub lane: Lane,
    /// Why.
    pub cause: LossCause,
    /// How many, of those that are not reported yet.
    pub count: u64,
    /// How many since the store was made, with `count`: a reader who sees a report twice takes the highest total.
    pub total: u64,
}

/// Why records were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The lane's quota, or the disk, was full.
    Quota,
    /// The medium was damaged.
    Damage,
}

impl LossCause {
    /// The cause's name in reports and status.
    pub const fn name(self) -> &'static str {
        match self {
            LossCause::Quota => "quota",
            LossCause::Damage => "damage",
        }
    }
}

/// What survives a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// What this device is called in the Lease: the same after a restart, and no other's.
    pub me: String,
    /// This boot's id: monotonic times of other boots do not compare.
    pub boot: [u8; 16],
    /// What [`Action::Remember`] kept; unknown names and unreadable contents are passed over.
    pub documents: Vec<(String, Vec<u8>)>,
    /// Tokens that were unsealed and are still good.
    pub tokens: Vec<(Scope, Validity)>,
    /// What the store holds.
    pub backlog: Backlog,
    /// The documents of the desired state that the cache holds, and what they need.
    pub desired: Vec<(Key, Digest, Needs)>,
    /// The trusted time, if the shell knows it already.
    pub anchor: Option<Anchor>,
}

/// Names of the documents that the core remembers.
pub const DOCUMENTS: [&str; 7] = [
    DOCUMENT_CONTACT,
    DOCUMENT_TAGS,
    DOCUMENT_CLOCK,
    DOCUMENT_ALLOWANCE,
    DOCUMENT_DESIRED,
    DOCUMENT_RETURNED,
    DOCUMENT_UPGRADE,
];
/// When Azure last heard of this cluster.
pub const DOCUMENT_CONTACT: &str = "core/contact";
/// The tags that were last sent.
pub const DOCUMENT_TAGS: &str = "core/tags";
/// Trusted times of the last boots.
pub const DOCUMENT_CLOCK: &str = "core/clock";
/// What is left of the byte allowance.
pub const DOCUMENT_ALLOWANCE: &str = "core/allowance";

/// Whose the documents of the desired state are, and which of them go.
pub const DOCUMENT_DESIRED: &str = "core/desired";
/// Which of them Azure wants again. The shell writes it, with [`Going::returned`].
pub const DOCUMENT_RETURNED: &str = "core/returned";
/// The newest release that was ever seen, and what Azure was told of it.
pub const DOCUMENT_UPGRADE: &str = "core/upgrade";

/// What `arclet status` shows of the core. The shell turns times into text.
#[derive(Clone, Debug)]
pub struct View {
    /// One per endpoint, in the order of [`Endpoint::ALL`].
    pub links: Vec<LinkView>,
    /// What an operator should look at.
    pub conditions: Vec<ConditionView>,
    /// When records were last delivered by this process.
    pub last_delivery: Option<Now>,
    /// Records delivered by this process.
    pub delivered: u64,
    /// What was last observed of the cluster, and when.
    pub facts: Option<(Facts, Now)>,
    /// Desired state; `None` where the scenario is off.
    pub desired: Option<DesiredView>,
    /// What was last seen of Flux, and when.
    pub flux: Option<(Installation, Now)>,
    /// Newer releases; `None` where nobody looks for any.
    pub upgrade: Option<UpgradeView>,
    /// Which agent of the cluster leads.
    pub lease: LeaseView,
}

/// Which agent of the cluster leads.
#[derive(Clone, Debug, Default)]
pub struct LeaseView {
    /// `unknown`, `alone`, `candidate`, `leader`.
    pub state: &'static str,
    /// What this one is called.
    pub me: String,
    /// Whom the Lease names, as it was last seen.
    pub holder: Option<String>,
}

/// What is known of the feed of releases.
#[derive(Clone, Debug)]
pub struct UpgradeView {
    /// Which train is followed.
    pub train: String,
    /// The newest release that is newer than this program.
    pub available: Option<Known>,
    /// When the feed was last read; `None`: not since the start.
    pub looked: Option<Now>,
}

/// The documents of the desired state.
#[derive(Clone, Debug, Default)]
pub struct DesiredView {
    /// When Azure last gave a complete listing; `None`: not since the start.
    pub last_pull: Option<Now>,
    /// Sorted by key.
    pub documents: Vec<DocumentView>,
}

/// One document of the desired state.
#[derive(Clone, Debug)]
pub struct DocumentView {
    /// Which.
    pub key: Key,
    /// `stored`, `applied`, `verified`, `failed`, `withdrawing`, `withdrawn`, `orphan`; of an extension `pending`, `installing`,
    /// `succeeded`, `failed` instead of the first four.
    pub state: &'static str,
    /// Of what is wanted.
    pub digest: Digest,
    /// Since when it is in this state.
    pub since: Now,
    /// Why it is not enforced, or not as it is wanted now.
    pub reason: Option<Reason>,
    /// When the cluster is looked at again; `None`: it is being looked at, or there is nothing to do.
    pub next_try: Option<Mono>,
    /// How it fares in the cluster.
    pub picture: Option<Picture>,
}

/// The link to one endpoint.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// Which.
    pub endpoint: Endpoint,
    /// `unknown`, `up`, `down`, `refused`.
    pub state: &'static str,
    /// When it came into this state; `None` while unknown.
    pub since: Option<Now>,
    /// Why it is not up.
    pub reason: Option<Reason>,
    /// When it may be tried again; `None`: at any time.
    pub next_try: Option<Mono>,
    /// Failed tries since it was last up.
    pub attempts: u32,
}

/// Something that stays wrong until someone acts, or until it heals.
#[derive(Clone, Debug)]
pub struct ConditionView {
    /// Since when.
    pub since: Now,
    /// An endpoint's name, `stream <table>`, `store`, `metadata`, `losses`.
    pub about: String,
    /// Reason, with the cure as its next step.
    pub reason: Reason,
}
