//! The pump with a real store and a world that obeys the test: it stalls, panics, and tells the wrong time.

use super::calls::{Calls, Keep, Note, Right};
use super::control::{Get, Question, Request};
use super::desired::Documents;
use super::notify::Notifier;
use super::publish::Publisher;
use super::pump::{Parts, Pump, Reloaded};
use super::signals::Asked;
use super::status::Fixed;
use super::supply::{Fetched, Held};
use super::tokens::Tokens;
use crate::azure::Token;
use crate::clock::Clock;
use crate::core::difference::ObjectDiff;
use crate::core::document::{
    Confirmation, Enforced, Key, Kinds, Listing, Needs, ObjectRef, Parent, Supply, Withdrawn,
};
use crate::core::lease;
use crate::core::{
    Core, Endpoint, Outcome, Profile, Random, Reason, Restored, Scope, Settings, Stream, link,
};
use crate::scenario::flux::Installation;
use crate::scenario::metadata::Facts;
use crate::scenario::upgrade::{Look, Release};
use crate::status::Status;
use crate::store::{self, Handle};
use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a call of the world does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Fine,
    Panics,
    /// Until the mood changes.
    Stalls,
}

#[derive(Default)]
struct World {
    moods: Mutex<HashMap<Endpoint, Mood>>,
    changed: Condvar,
    rows: Mutex<Vec<serde_json::Value>>,
    tokens: Mutex<u32>,
    forgotten: Mutex<Vec<Endpoint>>,
    /// What the `Date` of ingestion says, relative to the wall clock.
    ahead_ms: Mutex<Option<(Clock, i64)>>,
}

impl World {
    fn set(&self, endpoint: Endpoint, mood: Mood) {
        self.moods.lock().unwrap().insert(endpoint, mood);
        self.changed.notify_all();
    }

    fn enter(&self, endpoint: Endpoint) {
        let mut moods = self.moods.lock().unwrap();
        while moods.get(&endpoint) == Some(&Mood::Stalls) {
            moods = self.changed.wait(moods).unwrap();
        }
        if moods.get(&endpoint) == Some(&Mood::Panics) {
            drop(moods);
            panic!("as the test wants it");
        }
    }

    fn kinds(&self) -> Vec<String> {
        self.rows.lock().unwrap().iter().map(|row| row["Kind"].as_str().unwrap().to_owned()).collect()
    }
}

impl Calls for World {
    fn observe(&self) -> Result<Facts, Outcome> {
        self.enter(Endpoint::Kubernetes);
        Ok(Facts {
            kubernetes_version: "v1.36.3+k3s1".into(),
            node_count: 1,
            vcpu_count: 12,
            agent_version: "1".into(),
        })
    }

    fn survey(&self) -> Result<Installation, Outcome> {
        self.enter(Endpoint::Kubernetes);
        Ok(Installation::default())
    }

    fn look(&self, _: Option<&Release>) -> Result<Look, Outcome> {
        self.enter(Endpoint::Releases);
        Ok(Look::default())
    }

    fn lease(&self, _: &lease::Call) -> lease::Answer {
        lease::Answer::Absent
    }

    fn token(&self, _: Scope, _: Option<&str>) -> Result<Token, Outcome> {
        self.enter(Endpoint::Login);
        *self.tokens.lock().unwrap() += 1;
        Ok(Token {
            secret: zeroize::Zeroizing::new("token".into()),
            valid_for: Duration::from_secs(3600),
            refresh_in: None,
        })
    }

    fn post(&self, _: Stream, body: &[u8], token: &str) -> Outcome {
        self.enter(Endpoint::Ingest);
        assert_eq!(token, "token");
        let mut text = String::new();
        flate2::read::GzDecoder::new(body).read_to_string(&mut text).unwrap();
        self.rows.lock().unwrap().extend(serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap());
        if let Some((clock, ahead_ms)) = &*self.ahead_ms.lock().unwrap() {
            clock.learn(clock.now().wall_ms + ahead_ms);
        }
        Outcome::Success
    }

    fn tag(&self, _: &BTreeMap<String, String>, _: &str) -> Outcome {
        self.enter(Endpoint::Arm);
        Outcome::Success
    }

    fn pull(&self, _: bool, _: &str, _: &mut Keep<'_>) -> Result<Listing, Outcome> {
        self.enter(Endpoint::Arm);
        Ok(Listing { heads: Vec::new(), parent: None })
    }

    fn confirm(&self, _: &Key, _: &str) -> Result<Confirmation, Outcome> {
        self.enter(Endpoint::Arm);
        Ok(Confirmation { gone: false, parent: Parent::Gone })
    }

    fn needs(&self, _: &Key, _: &[u8]) -> Needs {
        Needs::default()
    }

    fn supply(
        &self,
        _: &Key,
        _: &[u8],
        supply: Supply,
        _: &Held,
        _: Option<&str>,
    ) -> Result<Fetched, Outcome> {
        self.enter(supply.endpoint());
        Ok(Fetched::Kept { asked: true, trouble: None })
    }

    fn enforce(
        &self,
        _: &Key,
        _: &[u8],
        _: &Held,
        _: &[ObjectRef],
        _: &Right,
        _: &mut Note<'_>,
    ) -> Result<(Enforced, Vec<ObjectRef>), Outcome> {
        self.enter(Endpoint::Kubernetes);
        Ok((Enforced::Failed(Reason::new("Test", "nothing is enforced here")), Vec::new()))
    }

    fn withdraw(
        &self,
        _: &Key,
        _: Option<&[u8]>,
        _: &Held,
        _: &[ObjectRef],
        _: &Right,
    ) -> Result<Withdrawn, Outcome> {
        self.enter(Endpoint::Kubernetes);
        Ok(Withdrawn::Gone)
    }

    fn diff(
        &self,
        _: &Key,
        _: Option<&[u8]>,
        _: &Held,
        _: &[ObjectRef],
    ) -> Result<Result<Vec<ObjectDiff>, Reason>, Outcome> {
        Ok(Ok(Vec::new()))
    }

    fn forget(&self, endpoint: Endpoint) {
        self.forgotten.lock().unwrap().push(endpoint);
    }
}

struct Seeded(u64);

impl Random for Seeded {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0
    }
}

/// The pump on a thread of its own, and how to talk to it.
struct Running {
    signals: mpsc::Sender<Asked>,
    questions: mpsc::Sender<Question>,
    thread: std::thread::JoinHandle<()>,
}

impl Running {
    fn start(dir: &std::path::Path, world: Arc<World>, clock: Clock) -> Running {
        let mut settings = Settings::of(Profile::Default, "1");
        settings.heartbeat_interval = Duration::from_millis(20);
        settings.metadata_interval = Duration::from_millis(20);
        let soon = Duration::from_millis(20);
        settings.links = [link::Config::try_new(soon, soon, soon).unwrap(); Endpoint::ALL.len()];
        let options = store::Options {
            dir: dir.join("store"),
            quotas: [8 << 20; 5],
            cache_quota: 8 << 20,
            key: Some(Box::new([7; 32])),
            epoch_bytes: 256 << 10,
        };
        let status_file = dir.join("status.json");
        let (signals, asked) = mpsc::channel(1);
        let (questions, asking) = mpsc::channel(1);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (store, _) = Handle::spawn(options).unwrap();
                let content = store.doc_get(super::pump::DOCUMENT_TOKENS.to_owned()).await.unwrap().unwrap();
                let tokens = Tokens::restore(content, "me".into(), clock.clone());
                let restored =
                    Restored { boot: clock.boot(), tokens: tokens.validities(), ..Restored::default() };
                let mut rng: Box<dyn Random> = Box::new(Seeded(7));
                let now = clock.now();
                let core = Core::new(settings, restored, now, rng.as_mut());
                let fixed = Fixed {
                    started: now,
                    cluster: "/subscriptions/s".into(),
                    hosts: ["k", "l", "a", "i", "v", "r", "u"].map(String::from),
                    quotas: [1; 5],
                    store_notes: Vec::new(),
                };
                let documents =
                    Arc::new(Documents::restore(store.clone(), Kinds::all(), world.as_ref()).await);
                let parts = Parts {
                    core,
                    rng,
                    store,
                    documents,
                    calls: world,
                    tokens,
                    fixed,
                    publisher: Publisher::new(status_file),
                    notifier: Notifier::new(now.mono),
                    ack_log: None,
                    clock,
                };
                Pump::new(parts)
                    .run(asked, asking, || -> Result<Reloaded, Reason> {
                        Err(Reason::new("Bad", "bad file"))
                    })
                    .await;
            });
        });
        Running { signals, questions, thread }
    }

    fn status(&self) -> Status {
        let (answer, receive) = oneshot::channel();
        let question = Question { request: Request::Get(Get::Status), answer };
        assert!(self.questions.blocking_send(question).is_ok());
        serde_json::from_str(&receive.blocking_recv().unwrap()).unwrap()
    }

    /// Asks until it is as wanted; the test's own time limit is the guard against a hang.
    fn until(&self, mut wanted: impl FnMut(&Status) -> bool) -> Status {
        std::iter::repeat_with(|| self.status()).find(|status| wanted(status)).unwrap()
    }

    fn stop(self) {
        self.signals.blocking_send(Asked::Stop).unwrap();
        self.thread.join().unwrap();
    }
}

#[test]
fn a_call_that_panics_is_counted_and_shown_and_the_agent_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    world.set(Endpoint::Login, Mood::Panics);
    let agent = Running::start(dir.path(), Arc::clone(&world), Clock::new());
    let status = agent.until(|status| status.conditions.iter().any(|c| c.about == "agent"));
    assert!(status.conditions.iter().any(|c| c.reason.code == "Panicked"), "{status:?}");
    // Its client is made anew, by the worker: perhaps after the status has said so.
    agent.until(|_| world.forgotten.lock().unwrap().contains(&Endpoint::Login));
    world.set(Endpoint::Login, Mood::Fine);
    agent.until(|status| status.delivered > 3);
    agent.stop();
}

#[test]
fn a_stalled_endpoint_delays_no_other_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    world.set(Endpoint::Ingest, Mood::Stalls);
    let agent = Running::start(dir.path(), Arc::clone(&world), Clock::new());
    let status = agent.until(|status| status.cluster_facts.is_some() && *world.tokens.lock().unwrap() > 0);
    assert_eq!(status.delivered, 0);
    // Ends though the call never does: this test would hang.
    agent.stop();
    world.set(Endpoint::Ingest, Mood::Fine);
}

#[test]
fn a_wrong_clock_is_corrected_in_what_is_sent_after_a_peer_told_the_time() {
    const AHEAD_MS: i64 = 40 * 24 * 3600 * 1000;
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let clock = Clock::new();
    *world.ahead_ms.lock().unwrap() = Some((clock.clone(), AHEAD_MS));
    let agent = Running::start(dir.path(), Arc::clone(&world), clock.clone());
    let status = agent.until(|status| status.delivered > 5);
    assert_eq!(status.clock.state, "wrong");
    agent.stop();
    let rows = world.rows.lock().unwrap();
    let corrected = rows.iter().rfind(|row| row["ClockState"] == "corrected").expect("a corrected time");
    let time: jiff::Timestamp = corrected["EventTime"].as_str().unwrap().parse().unwrap();
    let off = time.as_millisecond() - (clock.now().wall_ms + AHEAD_MS);
    assert!(off.abs() < 60_000, "{off} ms off: {corrected}");
}

#[test]
fn a_token_survives_a_restart_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    for _ in 0..2 {
        let agent = Running::start(dir.path(), Arc::clone(&world), Clock::new());
        agent.until(|status| status.delivered > 0);
        agent.stop();
    }
    assert_eq!(*world.tokens.lock().unwrap(), 1, "the second process used the first one's token");
    assert!(world.kinds().contains(&"heartbeat".to_owned()));
}

#[test]
fn a_bad_configuration_is_shown_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = Arc::new(World::default());
    let agent = Running::start(dir.path(), Arc::clone(&world), Clock::new());
    agent.signals.blocking_send(Asked::Reload).unwrap();
    let status = agent.until(|status| status.conditions.iter().any(|c| c.about == "config"));
    let delivered = status.delivered;
    agent.until(|status| status.delivered > delivered);
    agent.stop();
}
