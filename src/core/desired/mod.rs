//! The life of each document of the desired state: what to do about it next, and what an answer means for it.
//!
//! ```text
//!              content stored            every object applied        Flux is content
//!   (listing) ───────────────▶ Stored ─────────────────────▶ Applied ───────────────▶ Verified
//!                                │  ▲                           │  ▲                     │
//!                    not understood │ new content, or time      └──┴── looked at again ──┘
//!                    or refused  ▼  │ for the next try
//!                               Failed
//!
//!   from each of them, when Azure is deleting it, or when it is gone by the rule below:
//!                                            Withdrawing ──nothing is left in the cluster──▶ (forgotten)
//! ```
//!
//! Unreachable is not absent. A document is withdrawn only when two complete listings lack it, its own GET says that it is
//! gone, and the cluster's own resource is there and is the one under which the document was seen. If that resource is
//! gone, nothing is withdrawn; if it was made anew, what the new one does not list is an orphan: it stays in the cluster,
//! enforced no more, and is reported. A lost cache is nothing that is missing: only what is known here can be withdrawn.
//!
//! The machine knows no links, tokens or stores: who calls it says whether an endpoint may be called.

mod answers;
mod memory;
mod news;
mod phase;
mod shelf;
mod supplies;
#[cfg(test)]
mod tests;

pub use memory::Going;
pub use news::News;

use super::backoff::{Draw, ceiling};
use super::document::{Digest, Key, Needs, Picture, Supply};
use super::port::{DesiredView, DocumentView};
use super::settings::DesiredSettings;
use super::{Mono, Now, Random, Reason};
use news::Told;
use shelf::{Line, Shelf};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// List all documents; with the cluster's own resource, if `parent`.
    Pull {
        /// Whether that is needed.
        parent: bool,
    },
    /// Look whether a document is really gone.
    Confirm(Key),
    /// Put a document's objects into the cluster.
    Enforce(Key),
    /// Take a document's objects out of the cluster.
    Withdraw(Key),
    /// Fetch what a document needs from elsewhere.
    Supply(Key, Supply),
}

/// Where a document is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Life {
    /// In the cache, and to be enforced.
    Stored,
    /// Its objects are in the cluster; what the cluster makes of them is not done.
    Applied(Picture),
    /// And the cluster has done it, or is told to leave it.
    Verified(Picture),
    /// It cannot be enforced. What was enforced of an older content is still in the cluster.
    Failed(Reason),
    /// It is being taken out of the cluster; with what that waits for.
    Withdrawing(Option<Reason>),
    /// Nothing of it is left in the cluster, but Azure still lists it as leaving; deletions there can take for ever.
    Withdrawn,
    /// Missing under a cluster resource that is not the one it belonged to: left alone.
    Orphan,
}

impl Life {
    const fn name(&self) -> &'static str {
        match self {
            Life::Stored => "stored",
            Life::Applied(_) => "applied",
            Life::Verified(_) => "verified",
            Life::Failed(_) => "failed",
            Life::Withdrawing(_) => "withdrawing",
            Life::Withdrawn => "withdrawn",
            Life::Orphan => "orphan",
        }
    }
}

#[derive(Clone, Debug)]
struct Document {
    digest: Digest,
    life: Life,
    since: Now,
    /// When the cluster is to be looked at; `None`: nothing to do there.
    due: Option<Mono>,
    /// Failures in a row, or looks in a row that found the cluster still busy.
    tries: u32,
    /// Complete listings in a row that lacked it.
    missing: u8,
    /// It was seen under the cluster resource that is known: only then may its absence mean anything.
    ours: bool,
    /// Azure is deleting it.
    leaving: bool,
    /// Newer content that could not be stored.
    unstored: Option<Reason>,
    /// What it needs from elsewhere, if anything.
    supplies: Option<Box<supplies::Fetches>>,
    /// It is not in the cluster as it is wanted because it waits for that.
    waits: Option<Reason>,
    /// Its supply came while it was being enforced without.
    hastened: bool,
    /// What Azure was last told of it.
    told: Option<Told>,
}

impl Document {
    fn new(now: Now, digest: Digest, life: Life, due: Option<Mono>) -> Document {
        Document {
            digest,
            life,
            since: now,
            due,
            tries: 0,
            missing: 0,
            ours: false,
            leaving: false,
            unstored: None,
            supplies: None,
            waits: None,
            hastened: false,
            told: None,
        }
    }

    /// It stays in the cluster, but is looked after no more.
    fn abandon(&mut self, now: Now) {
        self.missing = 0;
        self.enter(now, Life::Orphan);
        self.due = None;
    }

    /// To be enforced now; once more, if that is under way.
    fn hasten(&mut self, now: Now) {
        self.hastened = self.due.is_none();
        self.due = self.due.map(|_| now.mono);
    }

    /// Draws the time of the next try after a failure: exponential, over nearly the whole range.
    fn back_off(&mut self, now: Now, most: Duration, rng: &mut dyn Random) {
        self.tries = self.tries.saturating_add(1);
        let most = ceiling(RETRY, most, self.tries);
        self.due = Some(now.mono + rng.between((RETRY / 4).min(most), most));
    }

    /// Enters a part of its life; since when stays while it is the same one.
    fn enter(&mut self, now: Now, life: Life) {
        if self.life.name() != life.name() {
            self.since = now;
            self.tries = 0;
        }
        self.life = life;
    }

    fn reason(&self) -> Option<Reason> {
        match &self.life {
            Life::Failed(reason) => Some(reason.clone()),
            Life::Withdrawing(reason) => reason.clone().or_else(|| self.unstored.clone()),
            Life::Orphan => Some(
                Reason::new("Orphan", "it belonged to a cluster resource that was deleted and made again")
                    .cure("create it again in Azure, or delete its objects by hand"),
            ),
            Life::Stored => {
                let first = self.supply_trouble().or(self.waits.as_ref()).or(self.unstored.as_ref());
                first.cloned()
            }
            _ => self.unstored.as_ref().or(self.supply_trouble()).cloned(),
        }
    }

    fn picture(&self) -> Option<&Picture> {
        match &self.life {
            Life::Applied(picture) | Life::Verified(picture) => Some(picture),
            _ => None,
        }
    }
}

/// What is remembered: the marks, and what came back.
pub type Remembered<'a> = [Option<&'a [u8]>; 2];

/// The documents of this cluster.
#[derive(Clone, Debug)]
pub struct Desired {
    settings: DesiredSettings,
    documents: Shelf,
    /// `createdAt` of the cluster's resource, as it was last seen.
    parent: Option<String>,
    /// The cluster's resource is gone.
    parent_gone: bool,
    pull_due: Mono,
    /// Someone asked for a listing while one was under way, which may be older than the question.
    asked: bool,
    last_pull: Option<Now>,
    /// What is gone, for Azure to be told.
    farewells: BTreeMap<Key, Digest>,
    /// Something may have changed of which Azure was not told.
    news: bool,
    /// The small state that must survive a restart has changed.
    changed: bool,
    /// The number of what was last given to be remembered.
    remembered: u64,
    /// What came back, as long as that is not remembered, by the number of the marks that do not say so yet.
    back: BTreeMap<Key, u64>,
    /// The same of what is out of the cluster.
    away: BTreeMap<Key, u64>,
}

impl Desired {
    /// With what the cache holds, what [`Desired::document`] gave to remember, and what [`Going::returned`] did. What is in the cache is due at once:
    /// nothing is waited for but the API server.
    pub fn restore(
        settings: DesiredSettings,
        cached: &[(Key, Digest, Needs)],
        remembered: Remembered<'_>,
        now: Now,
        rng: &mut dyn Random,
    ) -> Desired {
        let mut desired = Desired {
            settings,
            documents: Shelf::default(),
            parent: None,
            parent_gone: false,
            pull_due: now.mono + rng.up_to(settings.pull_interval.min(SOON)),
            asked: false,
            last_pull: None,
            farewells: BTreeMap::new(),
            news: false,
            changed: false,
            remembered: 0,
            back: BTreeMap::new(),
            away: BTreeMap::new(),
        };
        for (key, digest, needs) in cached {
            let mut document = Document::new(now, *digest, Life::Stored, Some(now.mono));
            document.need(*needs, desired.pull_due);
            desired.documents.insert(key.clone(), document);
        }
        desired.recall(now, remembered);
        desired
    }

    /// What to do next, of what the endpoints allow.
    pub fn want(&self, now: Mono, arm: bool, kubernetes: bool) -> Option<Want> {
        if kubernetes && let Some(want) = self.want_of_cluster(now) {
            return Some(want);
        }
        if arm { self.want_of_azure(now) } else { None }
    }

    /// The document whose time came first: none waits for another that fails again and again.
    fn want_of_cluster(&self, now: Mono) -> Option<Want> {
        let (key, document) = self.documents.first(Line::Cluster, now)?;
        Some(match document.life {
            Life::Withdrawing(_) => Want::Withdraw(key.clone()),
            _ => Want::Enforce(key.clone()),
        })
    }

    fn want_of_azure(&self, now: Mono) -> Option<Want> {
        match self.documents.first(Line::Gone, now) {
            Some((key, _)) => Some(Want::Confirm(key.clone())),
            None if self.pull_due <= now => Some(Want::Pull {
                parent: self.parent.is_none()
                    || self.parent_gone
                    || self.documents.first(Line::Missing, now).is_some(),
            }),
            None => None,
        }
    }

    /// When [`Desired::want`] may want something of Azure that it does not want yet.
    pub fn azure_due(&self) -> Mono {
        self.pull_due
    }

    /// When [`Desired::want`] will want something of the cluster that it does not want yet.
    pub fn cluster_due(&self, now: Mono) -> Option<Mono> {
        self.documents.next(Line::Cluster, now)
    }

    /// What has begun is not wanted again until its answer comes.
    pub fn begun(&mut self, now: Now, want: &Want) {
        match want {
            Want::Pull { .. } => {
                self.asked = false;
                self.pull_due = now.mono + self.settings.pull_interval;
            }
            // One call at a time goes to an endpoint, and the answer sets both anew.
            Want::Confirm(_) => {}
            Want::Enforce(key) | Want::Withdraw(key) => {
                if let Some(mut document) = self.documents.get_mut(key) {
                    (document.due, document.hastened) = (None, false);
                }
            }
            Want::Supply(key, supply) => self.supply_begun(key, *supply),
        }
    }

    /// Someone asks to look at both sides now.
    pub fn refresh(&mut self, now: Now) {
        self.asked = true;
        self.pull_due = now.mono;
        self.documents.each(&mut |_, document| {
            document.due = document.due.map(|_| now.mono);
            document.fetch_anyhow(now.mono);
        });
    }

    /// Other intervals. What is due later than they allow comes sooner.
    pub fn reconfigure(&mut self, settings: DesiredSettings, now: Now, rng: &mut dyn Random) {
        let pull = now.mono + rng.up_to(settings.pull_interval);
        self.pull_due = self.pull_due.min(pull);
        let enforce = now.mono + settings.enforce_interval;
        self.documents.each(&mut |_, document| document.due = document.due.map(|due| due.min(enforce)));
        self.settings = settings;
    }

    /// For status output.
    pub fn view(&self) -> DesiredView {
        let documents = self.documents.iter().map(|(key, document)| DocumentView {
            key: key.clone(),
            state: document.phase(key.kind),
            digest: document.digest,
            since: document.since,
            reason: document.trouble(key.kind),
            next_try: document.due,
            picture: document.picture().cloned(),
        });
        DesiredView { last_pull: self.last_pull, documents: documents.collect() }
    }

    /// Why nothing is withdrawn at present, if the cluster's own resource is the reason.
    pub fn parent_trouble(&self) -> Option<Reason> {
        self.parent_gone.then(|| {
            Reason::new(
                "ClusterGone",
                "the cluster's resource in Azure is gone: what it wanted last stays enforced",
            )
            .cure("arclet connect makes it again; arclet disconnect gives the cluster up")
        })
    }

    /// About an interval from now, never the same for two devices.
    fn later(now: Now, interval: Duration, rng: &mut dyn Random) -> Mono {
        now.mono + rng.between(interval * 9 / 10, interval * 11 / 10)
    }
}

/// The first listing after a start comes within this.
const SOON: Duration = Duration::from_secs(30);
/// A document that failed is tried again after about this, then less and less often.
const RETRY: Duration = Duration::from_secs(4);
/// So many complete listings have to lack a document before anything is asked about it.
const LISTINGS: u8 = 2;
