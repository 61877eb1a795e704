//! The thread that owns the store, and the handle that everybody else has.
//!
//! Commands are answered in order. What waits is taken together, so that concurrent enqueues share one sync. The thread
//! survives a panic: the store is opened again, which is what finds out whether the medium was the cause.

use super::error::StoreError;
use super::{Kept, LaneStats, OpenReport, Options, Quarantined, Store};
use crate::core::{Lane, Loss, MessageId, Record, Seq, Stream};
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// What comes of a command: usable with `await` and with `blocking_recv`. It is closed without an answer if the thread has
/// ended or panicked over this very command.
pub type Answer<T> = oneshot::Receiver<Result<T, StoreError>>;

/// The way to the store's thread. Clones lead to the same thread.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

type Work = Box<dyn FnOnce(Result<&mut Store, &StoreError>) + Send>;

enum Command {
    Enqueue(Vec<(Lane, Record)>, oneshot::Sender<Result<Vec<MessageId>, StoreError>>),
    Work(Work),
    Close(oneshot::Sender<()>),
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command")
    }
}

impl Handle {
    /// Opens the store on a thread of its own, `arclet-store`; returns when it is open.
    ///
    /// # Errors
    /// As [`Store::open`]; `Io` if there is no thread to be had.
    pub fn spawn(options: Options) -> Result<(Handle, OpenReport), StoreError> {
        let (commands, inbox) = mpsc::channel();
        let (opened, report) = mpsc::sync_channel(1);
        let run = move || {
            // sled's threads inherit the slack of the one that makes them, which is this one at whatever database comes
            // first: without it each of them wakes the device up every second for nothing.
            set_slack(NonZeroU64::new(SLACK_NS));
            match Store::open(options.clone()) {
                Ok((store, report)) => {
                    let _ = opened.send(Ok(report));
                    Thread { options, store: Ok(store), inbox, waiting: VecDeque::new() }.run();
                }
                Err(e) => {
                    let _ = opened.send(Err(e));
                }
            }
        };
        std::thread::Builder::new()
            .name("arclet-store".to_owned())
            .spawn(run)
            .map_err(|e| StoreError::Io(format!("no thread for the store: {e}")))?;
        let report = report.recv().unwrap_or_else(|_| {
            Err(StoreError::Io("the store's thread ended while it opened the store; see the log".to_owned()))
        })?;
        Ok((Handle { commands }, report))
    }

    /// As [`Store::enqueue`].
    pub fn enqueue(&self, records: Vec<(Lane, Record)>) -> Answer<Vec<MessageId>> {
        let (reply, answer) = oneshot::channel();
        // If the thread is gone the command is dropped, and with it `reply`: the answer is closed.
        let _ = self.commands.send(Command::Enqueue(records, reply));
        answer
    }

    /// As [`Store::read`].
    pub fn read(
        &self,
        lane: Lane,
        stream: Stream,
        max_records: usize,
        max_bytes: usize,
    ) -> Answer<Vec<Kept>> {
        self.work(move |store| store.read(lane, stream, max_records, max_bytes))
    }

    /// As [`Store::ack`].
    pub fn ack(&self, lane: Lane, stream: Stream, through: Seq) -> Answer<()> {
        self.work(move |store| store.ack(lane, stream, through))
    }

    /// As [`Store::quarantine`].
    pub fn quarantine(&self, lane: Lane, stream: Stream, seq: Seq, reason: String, at_ms: i64) -> Answer<()> {
        self.work(move |store| store.quarantine(lane, stream, seq, &reason, at_ms))
    }

    /// As [`Store::stats`].
    pub fn stats(&self) -> Answer<Vec<(Lane, LaneStats)>> {
        self.work(|store| Ok(store.stats()))
    }

    /// As [`Store::quarantined`].
    pub fn quarantined(&self) -> Answer<Vec<Quarantined>> {
        self.work(|store| Ok(store.quarantined()))
    }

    /// As [`Store::unreported_losses`].
    pub fn unreported_losses(&self) -> Answer<Vec<Loss>> {
        self.work(|store| Ok(store.unreported_losses()))
    }

    /// As [`Store::losses_reported`].
    pub fn losses_reported(&self, losses: Vec<Loss>) -> Answer<()> {
        self.work(move |store| store.losses_reported(&losses))
    }

    /// As [`Store::take_notes`].
    pub fn take_notes(&self) -> Answer<Vec<String>> {
        self.work(|store| Ok(store.take_notes()))
    }

    /// As [`Store::doc_put`].
    pub fn doc_put(&self, name: String, content: Vec<u8>, secret: bool) -> Answer<()> {
        self.work(move |store| {
            let kept = store.doc_put(&name, &content, secret);
            drop(if secret { zeroize::Zeroizing::new(content) } else { zeroize::Zeroizing::default() });
            kept
        })
    }

    /// As [`Store::doc_get`].
    pub fn doc_get(&self, name: String) -> Answer<Option<Vec<u8>>> {
        self.work(move |store| store.doc_get(&name))
    }

    /// As [`Store::doc_remove`].
    pub fn doc_remove(&self, name: String) -> Answer<()> {
        self.work(move |store| store.doc_remove(&name))
    }

    /// As [`Store::doc_list`].
    pub fn doc_list(&self, prefix: String) -> Answer<Vec<String>> {
        self.work(move |store| store.doc_list(&prefix))
    }

    /// Closes the store in good order, after all that was asked before; later commands are not answered. Resolves when the
    /// directory is free for another process.
    pub fn close(self) -> oneshot::Receiver<()> {
        let (done, closed) = oneshot::channel();
        let _ = self.commands.send(Command::Close(done));
        closed
    }

    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |store| {
            let result = match store {
                Ok(store) => work(store),
                Err(e) => Err(e.clone()),
            };
            // Who does not wait any more does not want to know.
            let _ = reply.send(result);
        });
        let _ = self.commands.send(Command::Work(work));
        answer
    }
}

struct Thread {
    options: Options,
    /// Why there is none: it could not be opened again after a panic.
    store: Result<Store, StoreError>,
    inbox: mpsc::Receiver<Command>,
    waiting: VecDeque<Command>,
}

impl Thread {
    fn run(mut self) {
        let mut idle = true;
        loop {
            if self.waiting.is_empty() {
                let next = if idle {
                    self.inbox.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
                } else {
                    // This wait is the thread's own, and to end in time.
                    set_slack(None);
                    let next = self.inbox.recv_timeout(IDLE_AFTER);
                    set_slack(NonZeroU64::new(SLACK_NS));
                    next
                };
                match next {
                    Ok(command) => self.waiting.push_back(command),
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        self.guarded(|store| {
                            if let Ok(store) = store {
                                store.idle();
                            }
                        });
                        idle = true;
                        continue;
                    }
                    // The last handle is gone without a word: everything acknowledged is durable, the rest is tidiness.
                    Err(mpsc::RecvTimeoutError::Disconnected) => return self.close(),
                }
            }
            self.waiting.extend(self.inbox.try_iter().take(TAKEN_TOGETHER));
            idle = false;
            match self.waiting.pop_front() {
                Some(Command::Work(work)) => self.guarded(work),
                Some(Command::Enqueue(records, reply)) => self.enqueue(records, reply),
                Some(Command::Close(done)) => {
                    self.close();
                    let _ = done.send(());
                    return;
                }
                None => {}
            }
        }
    }

    /// Takes with the first the enqueues that wait right behind it: one sync for all.
    fn enqueue(
        &mut self,
        records: Vec<(Lane, Record)>,
        reply: oneshot::Sender<Result<Vec<MessageId>, StoreError>>,
    ) {
        let size = |records: &[(Lane, Record)]| records.iter().map(|(_, r)| r.body.len()).sum::<usize>();
        let mut bytes = size(&records);
        let (mut batches, mut replies) = (vec![records], vec![reply]);
        while let Some(Command::Enqueue(next, _)) = self.waiting.front()
            && bytes + size(next) <= GROUP_BYTES
        {
            bytes += size(next);
            if let Some(Command::Enqueue(records, reply)) = self.waiting.pop_front() {
                batches.push(records);
                replies.push(reply);
            }
        }
        self.guarded(|store| {
            let results = match store {
                Ok(store) => {
                    let batches: Vec<&[(Lane, Record)]> = batches.iter().map(Vec::as_slice).collect();
                    store.enqueue_group(&batches)
                }
                Err(e) => batches.iter().map(|_| Err(e.clone())).collect(),
            };
            for (reply, result) in replies.into_iter().zip(results) {
                let _ = reply.send(result);
            }
        });
    }

    /// Runs work on the store. A panic does not spread; the store is opened again, for who knows what it was doing.
    fn guarded(&mut self, work: impl FnOnce(Result<&mut Store, &StoreError>)) {
        let store = &mut self.store;
        // Unwind safety: after a panic the store is thrown away.
        if catch_unwind(AssertUnwindSafe(|| work(store.as_mut().map_err(|e| &*e)))).is_ok() {
            return;
        }
        log::error!("store: a panic was caught; the store is opened again");
        // First let go of the directory, then open it.
        self.store = Err(StoreError::Io("the store is being opened again after a panic".to_owned()));
        self.store = catch_unwind(AssertUnwindSafe(|| Store::open(self.options.clone())))
            .unwrap_or_else(|_| Err(StoreError::Io("the store panics when it is opened".to_owned())))
            .map(|(store, _)| store);
        if let Err(e) = &self.store {
            log::error!("store: {e}");
        }
    }

    fn close(&mut self) {
        let store = std::mem::replace(&mut self.store, Err(StoreError::Io("the store is closed".to_owned())));
        if let Ok(store) = store {
            let _ = catch_unwind(AssertUnwindSafe(|| store.close()));
        }
    }
}

fn set_slack(slack: Option<NonZeroU64>) {
    if let Err(e) = rustix::thread::set_current_timer_slack(slack) {
        log::debug!("store: no timer slack: {e}");
    }
}

/// sled's waiting threads wake up this much later than they ask for: a minute instead of a second.
const SLACK_NS: u64 = 60_000_000_000;
/// Databases are closed, and their memory given back, when nothing was asked for so long.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// Bound of one look into the inbox.
const TAKEN_TOGETHER: usize = 256;
/// Bound of one commit, so that an epoch does not grow far beyond its size.
const GROUP_BYTES: usize = 128 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ClockState, Stamp};

    fn options(dir: &std::path::Path) -> Options {
        let key = Some(Box::new([1; 32]));
        let dir = dir.to_owned();
        Options { dir, quotas: [1 << 30; Lane::ALL.len()], cache_quota: 1 << 30, key, epoch_bytes: 64 << 10 }
    }

    fn beat(n: u64) -> Vec<(Lane, Record)> {
        let stamp = Stamp { boot: [1; 16], mono_ms: n, wall_ms: 0, clock: ClockState::Synced };
        vec![(
            Lane::Report,
            Record { stream: Stream::Heartbeat, key: "k".into(), stamp, body: b"{}".to_vec() },
        )]
    }

    #[test]
    fn concurrent_enqueues_are_each_answered_with_their_own_name_and_closing_frees_the_directory() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (handle, report) = Handle::spawn(options(dir.path())).expect("spawned");
        let answers: Vec<_> = (0..500).map(|n| handle.enqueue(beat(n))).collect();
        for (seq, answer) in (1..).zip(answers) {
            let ids = answer.blocking_recv().expect("answered").expect("taken");
            assert_eq!(ids, [MessageId::new(&report.id, Lane::Report, seq)]);
        }
        handle.close().blocking_recv().expect("closed");
        let (handle, _) = Handle::spawn(options(dir.path())).expect("the lock is free");
        let kept =
            handle.read(Lane::Report, Stream::Heartbeat, 1000, 1 << 20).blocking_recv().expect("answered");
        let numbers: Vec<u64> = kept.expect("read").iter().map(|k| k.record.stamp.mono_ms).collect();
        assert_eq!(numbers, (0..500).collect::<Vec<_>>());
    }

    #[test]
    fn a_panic_closes_the_answer_it_came_over_and_the_store_goes_on_with_all_it_had() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (handle, _) = Handle::spawn(options(dir.path())).expect("spawned");
        handle.enqueue(beat(0)).blocking_recv().expect("answered").expect("taken");
        let answer: Answer<()> = handle.work(|_| panic!("on purpose"));
        assert!(answer.blocking_recv().is_err(), "no answer, and no hanging");
        handle.enqueue(beat(1)).blocking_recv().expect("answered").expect("taken");
        let kept =
            handle.read(Lane::Report, Stream::Heartbeat, 10, 1 << 20).blocking_recv().expect("answered");
        assert_eq!(kept.expect("read").iter().map(|k| k.seq).collect::<Vec<_>>(), [1, 2]);
    }
}
