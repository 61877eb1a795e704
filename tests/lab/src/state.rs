//! What the page and the terminal show. One owner (the lab's loop) writes, the page reads copies.

use crate::ledger::Ledger;
use crate::wish::{View, template};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How many points the chart keeps; older ones are thinned out.
const CHART_POINTS: usize = 600;
/// How many rows and events are shown.
const SHOWN: usize = 12;

/// The lab's state, shared with the page.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    /// Never held over an await.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All that is known while the lab runs.
#[derive(Default)]
pub struct State {
    /// What kind of cluster and binary this is, for the page's head.
    pub mode: String,
    /// Since the start.
    pub elapsed: Duration,
    /// Whether the link to Azure is up.
    pub up: bool,
    /// Requests that the API server answered, where it is ours.
    pub observed: u64,
    /// The judge.
    pub ledger: Ledger,
    /// Set at the very end.
    pub lost: Option<u64>,
    /// (seconds, seconds) of each outage; the last may be open.
    pub outages: Vec<(f64, Option<f64>)>,
    /// Seconds of each kill -9.
    pub kills: Vec<f64>,
    /// The agent's own view.
    pub links: Vec<Link>,
    /// Desired state; `None` on a real cluster.
    pub desired: Option<View>,
    history: Vec<(f64, u64)>,
    rows: VecDeque<Row>,
    events: VecDeque<String>,
}

/// A link as `arclet status` shows it.
#[derive(Clone, Serialize)]
pub struct Link {
    /// Its name.
    pub endpoint: String,
    /// `up`, `down`, …
    pub state: String,
    /// Reason and next try.
    pub why: String,
}

/// A row that arrived.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// Seconds since the start.
    pub at: String,
    /// Its table.
    pub table: String,
    /// Its number in its lane.
    pub seq: String,
    /// Its own columns, in short.
    pub what: String,
    /// Arrival minus event time.
    pub late: String,
    /// Late enough to be of an outage.
    pub is_late: bool,
}

/// A copy for the page.
#[derive(Serialize)]
pub struct Picture {
    mode: String,
    elapsed: f64,
    up: bool,
    observed: u64,
    sent: u64,
    arrived: u64,
    backlog: u64,
    duplicated: u64,
    lost: Option<u64>,
    outages: Vec<(f64, Option<f64>)>,
    kills: Vec<f64>,
    links: Vec<Link>,
    desired: Option<View>,
    history: Vec<(f64, u64)>,
    rows: Vec<Row>,
    events: Vec<String>,
}

impl State {
    /// A line for the event log of page and terminal.
    pub fn event(&mut self, text: &str) {
        let line = format!("{:6.1} s  {text}", self.elapsed.as_secs_f64());
        eprintln!("{line}");
        self.events.push_back(line);
        while self.events.len() > 4 * SHOWN {
            self.events.pop_front();
        }
    }

    /// A row for the table of arrivals.
    pub fn row(&mut self, row: Row) {
        self.rows.push_front(row);
        self.rows.truncate(SHOWN);
    }

    /// A point for the chart.
    pub fn sample(&mut self) {
        self.history.push((self.elapsed.as_secs_f64(), self.ledger.missing()));
        if self.history.len() > CHART_POINTS {
            let mut keep = false;
            self.history.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// The terminal's line.
    pub fn line(&self) -> String {
        format!(
            "{:6.1} s  link {}  acknowledged {:6}  outbox {:6}  arrived {:6}  twice {:3}  kills {}",
            self.elapsed.as_secs_f64(),
            if self.up { "up " } else { "CUT" },
            self.ledger.sent(),
            self.ledger.missing(),
            self.ledger.sent() - self.ledger.missing(),
            self.ledger.duplicated(),
            self.kills.len()
        )
    }

    /// What the page's editor gets for an id: a document, an object, or what something new begins with.
    pub fn text(&self, id: &str) -> Option<String> {
        self.desired.as_ref().and_then(|view| view.texts.get(id).cloned()).or_else(|| template(id))
    }

    /// A copy for the page.
    pub fn picture(&self) -> Picture {
        let backlog = self.ledger.missing();
        Picture {
            mode: self.mode.clone(),
            elapsed: self.elapsed.as_secs_f64(),
            up: self.up,
            observed: self.observed,
            sent: self.ledger.sent(),
            arrived: self.ledger.sent() - backlog,
            backlog,
            duplicated: self.ledger.duplicated(),
            lost: self.lost,
            outages: self.outages.clone(),
            kills: self.kills.clone(),
            links: self.links.clone(),
            desired: self.desired.clone(),
            history: self.history.clone(),
            rows: self.rows.iter().cloned().collect(),
            events: self.events.iter().cloned().collect(),
        }
    }
}
