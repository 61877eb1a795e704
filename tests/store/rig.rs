//! What every test of the store needs: records, a directory, ways to hurt it.

use arclet::core::{ClockState, Lane, MessageId, Record, Seq, Stamp, Stream};
use arclet::store::{LaneStats, OpenReport, Options, Store, StoreError};
use std::path::{Path, PathBuf};

/// Epochs so small that rotation happens all the time.
pub const TINY: u64 = 2_000;
/// Room enough.
pub const QUOTA: u64 = 512 << 20;

/// A directory in memory if there is such a place: what is tested here is logic, and a sync costs nothing there.
pub fn home() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}

/// Options for a store in `dir`.
pub fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        quotas: [QUOTA; 5],
        cache_quota: QUOTA,
        key: Some(Box::new([9; 32])),
        epoch_bytes: TINY,
    }
}

/// Opens it.
pub fn open(dir: &Path) -> Store {
    reopen(dir).0
}

/// Opens it, with the report.
pub fn reopen(dir: &Path) -> (Store, OpenReport) {
    unlocked(options(dir))
}

/// Opens it as soon as nobody has it: a process that this one has just begun has its open files, and the lock, until it
/// is another program.
#[allow(clippy::disallowed_methods)] // a hang guard
pub fn unlocked(options: Options) -> (Store, OpenReport) {
    let begin = std::time::Instant::now();
    loop {
        match Store::open(options.clone()) {
            Err(StoreError::Locked(_)) if begin.elapsed().as_secs() < 60 => std::thread::yield_now(),
            opened => return opened.expect("the store opens"),
        }
    }
}

/// A record whose body says which it is; `len` bytes at least.
pub fn record(stream: Stream, n: u64, len: usize) -> Record {
    let mut body = format!("{{\"n\":{n},\"pad\":\"").into_bytes();
    body.resize(body.len().max(len.saturating_sub(2)), b'x');
    body.extend_from_slice(b"\"}");
    Record {
        stream,
        key: format!("k{}", n % 3),
        stamp: Stamp { boot: [1; 16], mono_ms: n, wall_ms: 1_000 + n as i64, clock: ClockState::Synced },
        body,
    }
}

/// A heartbeat.
pub fn beat(n: u64) -> Record {
    record(Stream::Heartbeat, n, 60)
}

/// Enqueues heartbeats one by one and gives their names.
pub fn fill(store: &mut Store, lane: Lane, range: std::ops::Range<u64>) -> Vec<MessageId> {
    let mut ids = Vec::new();
    for n in range {
        ids.extend(store.enqueue(&[(lane, beat(n))]).expect("enqueued"));
    }
    ids
}

/// Reads and acks until nothing is left; gives numbers and bodies.
pub fn drain(store: &mut Store, lane: Lane, stream: Stream) -> Vec<(Seq, Vec<u8>)> {
    let mut all = Vec::new();
    loop {
        let kept = store.read(lane, stream, 7, 1 << 20).expect("read");
        let Some(last) = kept.last().map(|k| k.seq) else { return all };
        all.extend(kept.into_iter().map(|k| (k.seq, k.record.body)));
        store.ack(lane, stream, last).expect("ack");
    }
}

/// One lane's counts.
pub fn stats(store: &Store, lane: Lane) -> LaneStats {
    store.stats().into_iter().find(|(l, _)| *l == lane).expect("lane").1
}

/// The epochs of a lane on disk, in order.
pub fn epochs(dir: &Path, lane: Lane) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir.join("outbox").join(lane.name()))
        .expect("lane")
        .map(|e| e.expect("entry").path())
        .filter(|p| p.file_name().unwrap().to_string_lossy().starts_with('e'))
        .collect();
    all.sort();
    all
}

/// A crash: what the files hold now, without any closing. The store behind it goes on, somewhere else.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("mkdir");
    for entry in std::fs::read_dir(from).expect("read_dir") {
        let entry = entry.expect("entry");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy_tree(&path, &to),
            false => std::fs::copy(&path, &to).map(|_| ()).expect("copy"),
        }
    }
}
