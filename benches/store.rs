//! What durability costs: acknowledged enqueues against a raw append with fdatasync of the same bytes, opening with a
//! million records queued, draining them, and what is left on the disk.
//!
//!   cargo bench --bench store [-- --records N] [--dir DIR]
//!
//! Both sides take turns in one run, so that a noisy machine is noisy for both; read the ratios, not the rates. The last
//! lines are a table of the goals and what was seen. Nothing fails when one is missed: another machine has another disk.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time itself")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on has nothing to say")]

use arclet::core::{ClockState, Lane, Record, Stamp, Stream};
use arclet::store::{Options, Store};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a record: a heartbeat's columns and key.
const RECORD: usize = 300;
const EPOCH: u64 = 512 << 10;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|at| arguments.get(at + 1));
    let home = value("--dir").map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    if let Some(count) = value("--only-enqueue") {
        // The child whose system calls are counted.
        let mut store = open(&home.path().join("store"));
        let batch: usize = value("--batch").map_or(1, |n| n.parse().unwrap());
        println!("ready");
        for n in 0..count.parse().unwrap() {
            store.enqueue(&batch_of(n, batch)).unwrap();
        }
        return;
    }
    machine(home.path());
    println!("\nacknowledged enqueue, {RECORD} B records, against append + fdatasync of the same bytes");
    let singly = compare(&home.path().join("singly"), 1, 3_000);
    let batches = compare(&home.path().join("batches"), 100, 1_500);
    syncs(1);
    syncs(100);
    let records: usize = value("--records").map_or(1_000_000, |n| n.parse().unwrap());
    let backlog = backlog(&home.path().join("backlog"), records);
    let rows = [
        ("acknowledged enqueue, one by one, against raw", ">= 0.6", format!("{singly:.2}")),
        ("the same, 100 a commit", ">= 0.4 (0.8 wanted)", format!("{batches:.2}")),
        ("open, so many queued", "< 1 s", format!("{records}: {:.0} ms", backlog.open_ms)),
        ("memory that opening takes", "flat", format!("{:.2} MB more", backlog.grown_mb)),
        ("drain", "-", format!("{:.0} records/s", backlog.drained_per_s)),
        ("on the disk after the drain", "a few MB", format!("{:.2} MB", backlog.left_mb)),
    ];
    println!("\n| {:<45} | {:<19} | {:<20} |\n|{:-<47}|{:-<21}|{:-<22}|", "what", "goal", "seen", "", "", "");
    for (what, goal, seen) in rows {
        println!("| {what:<45} | {goal:<19} | {seen:<20} |");
    }
}

/// What a full queue came to.
struct Backlog {
    open_ms: f64,
    grown_mb: f64,
    drained_per_s: f64,
    left_mb: f64,
}

/// Rounds of both sides in turn; the ratio of the medians of their rounds.
fn compare(dir: &Path, batch: usize, commits: usize) -> f64 {
    const ROUNDS: usize = 30;
    std::fs::create_dir_all(dir).unwrap();
    let mut raw = OpenOptions::new().create(true).append(true).open(dir.join("raw")).unwrap();
    let mut store = open(&dir.join("store"));
    let (mut raw_times, mut store_times) = (Vec::new(), Vec::new());
    let (mut raw_bytes, mut store_bytes) = (0, 0);
    let mut next = 0;
    for _ in 0..ROUNDS {
        let each = commits / ROUNDS;
        let before = written();
        let start = Instant::now();
        for n in 0..each {
            append(&mut raw, next + n, batch);
        }
        raw_times.push(start.elapsed());
        let between = written();
        let start = Instant::now();
        for n in 0..each {
            store.enqueue(&batch_of(next + n, batch)).unwrap();
        }
        store_times.push(start.elapsed());
        raw_bytes += between - before;
        store_bytes += written() - between;
        next += each;
    }
    let payload = (next * batch * RECORD) as f64;
    let rate = |times: &[Duration]| (commits / ROUNDS * batch) as f64 / median(times).as_secs_f64();
    let ratio = rate(&store_times) / rate(&raw_times);
    println!(
        "  {batch:>3} a commit: store {:>7.0}/s  raw {:>7.0}/s  ratio {ratio:.2}  (p50 of a commit {:>6.0} us, raw {:>6.0} us)",
        rate(&store_times),
        rate(&raw_times),
        median(&store_times).as_secs_f64() * 1e6 / (commits / ROUNDS) as f64,
        median(&raw_times).as_secs_f64() * 1e6 / (commits / ROUNDS) as f64,
    );
    println!(
        "                written to the medium per payload byte: store {:.1}, raw {:.1}; per acknowledgement {:.0} B, raw {:.0} B",
        store_bytes as f64 / payload,
        raw_bytes as f64 / payload,
        store_bytes as f64 / next as f64,
        raw_bytes as f64 / next as f64
    );
    store.close();
    ratio
}

fn append(raw: &mut File, n: usize, batch: usize) {
    let bytes: Vec<u8> = batch_of(n, batch).into_iter().flat_map(|(_, r)| r.body).collect();
    raw.write_all(&bytes).unwrap();
    raw.sync_data().unwrap();
}

/// Counts the calls that make data durable, in a child under strace.
fn syncs(batch: usize) {
    const COMMITS: usize = 300;
    let child = std::process::Command::new("strace")
        .args(["-f", "-c", "-e", "trace=fsync,fdatasync,sync_file_range"])
        .arg(std::env::current_exe().unwrap())
        .args(["--only-enqueue", &COMMITS.to_string(), "--batch", &batch.to_string()])
        .output();
    let Ok(output) = child else {
        return println!("  {batch:>3} a commit: syncs not counted, there is no strace");
    };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let calls = |name: &str| {
        let line = text.lines().find(|l| l.trim_end().ends_with(&format!(" {name}")));
        line.and_then(|l| l.split_whitespace().nth(3)?.parse::<f64>().ok()).unwrap_or(0.0)
    };
    println!(
        "  {batch:>3} a commit: per acknowledgement {:.2} fdatasync, {:.2} fsync, {:.2} sync_file_range (with opening and rotation)",
        calls("fdatasync") / COMMITS as f64,
        calls("fsync") / COMMITS as f64,
        calls("sync_file_range") / COMMITS as f64
    );
}

fn backlog(dir: &Path, records: usize) -> Backlog {
    println!("\n{records} records queued, {RECORD} B each");
    let mut store = open(dir);
    let start = Instant::now();
    for n in 0..records / 1000 {
        store.enqueue(&batch_of(n, 1000)).unwrap();
    }
    let fill = start.elapsed();
    let allocated: u64 = store.stats().iter().map(|(_, s)| s.allocated).sum();
    println!(
        "  filled at {:.0}/s; {:.0} MB allocated, {:.2} of the payload; RSS {:.1} MB, peak {:.1} MB",
        records as f64 / fill.as_secs_f64(),
        allocated as f64 / 1e6,
        allocated as f64 / (records * RECORD) as f64,
        memory("VmRSS"),
        memory("VmHWM")
    );
    store.idle();
    let base = memory("VmRSS");
    drop(store);
    let start = Instant::now();
    let mut store = open(dir);
    let opened = start.elapsed();
    let first = Instant::now();
    let kept = store.read(Lane::Report, Stream::Heartbeat, 1, 1 << 20).unwrap();
    let grown_mb = memory("VmRSS") - base;
    println!(
        "  opened after a crash in {:.0} ms, first read after {:.0} ms more; RSS grew by {:.2} MB; waiting {}, first number {}",
        opened.as_secs_f64() * 1e3,
        first.elapsed().as_secs_f64() * 1e3,
        grown_mb,
        store.stats().iter().map(|(_, s)| s.records).sum::<u64>(),
        kept[0].seq
    );
    let start = Instant::now();
    let mut drained = 0;
    loop {
        let kept = store.read(Lane::Report, Stream::Heartbeat, 1000, 1 << 20).unwrap();
        let Some(last) = kept.last() else { break };
        drained += kept.len();
        store.ack(Lane::Report, Stream::Heartbeat, last.seq).unwrap();
    }
    let drained_per_s = drained as f64 / start.elapsed().as_secs_f64();
    println!(
        "  drained {drained} at {drained_per_s:.0}/s; RSS {:.1} MB, peak {:.1} MB",
        memory("VmRSS"),
        memory("VmHWM")
    );
    store.idle();
    let left_mb = allocated_in(dir) as f64 / 1e6;
    println!(
        "  after the drain, idle: {left_mb:.2} MB on disk (3.2 MB of it the reserve), RSS {:.1} MB",
        memory("VmRSS")
    );
    Backlog { open_ms: opened.as_secs_f64() * 1e3, grown_mb, drained_per_s, left_mb }
}

fn open(dir: &Path) -> Store {
    let quotas = [8 << 30; Lane::ALL.len()];
    let options =
        Options { dir: dir.to_owned(), quotas, cache_quota: 64 << 20, key: None, epoch_bytes: EPOCH };
    Store::open(options).unwrap().0
}

fn batch_of(n: usize, batch: usize) -> Vec<(Lane, Record)> {
    let record = |at: usize| {
        let n = n * batch + at;
        let mut body = format!("{{\"n\":{n},\"x\":\"").into_bytes();
        // Not compressible by anything on the way.
        let mut state = n as u64 ^ 0x9e37_79b9_7f4a_7c15;
        body.extend(
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                b'a' + (state >> 59) as u8 % 26
            })
            .take(RECORD - 2 - body.len()),
        );
        body.extend_from_slice(b"\"}");
        let stamp = Stamp { boot: [1; 16], mono_ms: n as u64, wall_ms: n as i64, clock: ClockState::Synced };
        (Lane::Report, Record { stream: Stream::Heartbeat, key: "device".to_owned(), stamp, body })
    };
    (0..batch).map(record).collect()
}

fn median(times: &[Duration]) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    sorted[sorted.len() / 2]
}

fn machine(dir: &Path) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split(": ").nth(1));
    let mounts = read("/proc/mounts");
    let at = dir.canonicalize().unwrap_or_else(|_| PathBuf::from(dir));
    let mount = mounts
        .lines()
        .filter_map(|l| {
            let mut words = l.split_whitespace().skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(point, _)| at.starts_with(point))
        .max_by_key(|(point, _)| point.len());
    println!(
        "machine: {} x {}, Linux {}, {} on {}, epochs of {} KiB",
        std::thread::available_parallelism().map_or(0, usize::from),
        model.unwrap_or("an unnamed CPU"),
        read("/proc/sys/kernel/osrelease").trim(),
        dir.display(),
        mount.map_or("?", |(_, kind)| kind),
        EPOCH >> 10
    );
}

/// Bytes that this process has sent to the medium.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap_or_default();
    io.lines().find_map(|l| l.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn memory(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn allocated_in(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(meta) = std::fs::symlink_metadata(path) else { return 0 };
    let inside = std::fs::read_dir(path).map_or(0, |d| d.flatten().map(|e| allocated_in(&e.path())).sum());
    meta.blocks() * 512 + inside
}
