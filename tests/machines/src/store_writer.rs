//! Writes into a store for ever, and later says whether what was acknowledged is there. For the power-cut rigs.
//!
//!   store-writer write DIR [--no-sync]       opens or makes the store in DIR and adds records for ever; for each that the
//!                                            store acknowledged it prints the line "ACK <n>", n grows by one and goes on
//!                                            after a restart
//!   store-writer check DIR ACK [--no-sync]   0: everything up to ACK is there (-1: the store opens); 1: something is
//!                                            missing or damaged; 2: it does not open. Prints one line
//!
//! Epochs are small, so that every cut meets rotations; what lies KEEP records back is delivered, so that it meets
//! deletions and the ledger too; every STATE-th record is also the value of a key, and every DOCUMENT-th the content of a
//! document that is larger than one chunk; with every LIFE-th a document of the desired state takes the next step of its life,
//! as the agent has it: each cut has to leave what one of those steps leaves.
//!
//! With `--no-sync` the store syncs nothing, and such a run has to lose records. sled itself syncs a file whenever it opens a
//! database, and the journal carries the rest along; so the control keeps to one database: no rotation, state or document.

use arclet::core::{ClockState, Lane, Record, Stamp, Stream};
use arclet::store::{Options, Store, StoreError};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// So many of the newest records are undelivered.
const KEEP: u64 = 1500;
/// Batches are no larger.
const BATCH: u64 = 12;
static NO_SYNC: std::sync::OnceLock<()> = std::sync::OnceLock::new();
const STATE: u64 = 10;
const DOCUMENT: u64 = 50;
const LIFE: u64 = 5;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.last().is_some_and(|a| a == "--no-sync") {
        arguments.pop();
        let _ = NO_SYNC.set(()); // it was not set before
        arclet::store::skip_syncs();
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (line, code) = match words[..] {
        ["write", dir] => match write(Path::new(dir)) {
            Ok(never) => match never {},
            Err(e) => (format!("{e}"), 2),
        },
        ["check", dir, ack] => match ack.parse() {
            Ok(ack) => check(Path::new(dir), ack),
            Err(_) => (format!("{ack:?} is no number"), 3),
        },
        _ => ("usage: store-writer write DIR [--no-sync] | check DIR ACK [--no-sync]".to_owned(), 3),
    };
    println!("{line}");
    ExitCode::from(code)
}

fn open(dir: &Path) -> Result<(Store, Vec<String>), StoreError> {
    let (store, report) = Store::open(Options {
        dir: dir.to_owned(),
        quotas: [64 << 20; Lane::ALL.len()],
        cache_quota: 8 << 20,
        // Without a sync the key's file would be the first to go, and the control is to show lost records.
        key: NO_SYNC.get().map(|()| Box::new([5; 32])),
        epoch_bytes: if control() { 1 << 30 } else { 24 << 10 },
    })?;
    Ok((store, report.notes))
}

/// Whether this is the control, that has to lose.
fn control() -> bool {
    NO_SYNC.get().is_some()
}

enum Never {}

fn write(dir: &Path) -> Result<Never, StoreError> {
    let (mut store, _) = open(dir)?;
    let mut next = match newest(&mut store)? {
        Some(number) => {
            if !control() {
                // The cut may have come between this record and what goes with it, which nobody would write any more.
                let (state, kept) = (number / STATE * STATE, number / DOCUMENT * DOCUMENT);
                store.enqueue(&[(Lane::State, record(state, 40))])?;
                put_document(&mut store, kept)?;
                life::catch_up(&mut store, number / LIFE)?;
            }
            number + 1
        }
        None => 0,
    };
    let mut out = std::io::stdout().lock();
    loop {
        // Any mixture of sizes will do, as long as a second run makes the same one.
        let count = if next % 3 == 0 { next * 7 % BATCH + 1 } else { 1 };
        let mut batch = Vec::new();
        for number in next..next + count {
            batch.push((Lane::Report, record(number, (number * 131 % 700) as usize)));
            if !control() && number.is_multiple_of(STATE) {
                batch.push((Lane::State, record(number, 40)));
            }
        }
        store.enqueue(&batch)?;
        for number in (next..next + count).filter(|n| !control() && n.is_multiple_of(DOCUMENT)) {
            put_document(&mut store, number)?;
        }
        for number in (next..next + count).filter(|n| !control() && n.is_multiple_of(LIFE)) {
            life::step(&mut store, number / LIFE)?;
        }
        for number in next..next + count {
            // Nobody to tell when nobody listens: the cut is what ends this program.
            let _ = writeln!(out, "ACK {number}");
        }
        let _ = out.flush();
        next += count;
        if !control() && next % 100 < count && next > KEEP {
            deliver(&mut store, next - KEEP)?;
        }
    }
}

fn put_document(store: &mut Store, number: u64) -> Result<(), StoreError> {
    store.doc_put("document", &document(number), number.is_multiple_of(2 * DOCUMENT))
}

/// Delivers all records below `number`.
fn deliver(store: &mut Store, number: u64) -> Result<(), StoreError> {
    loop {
        let kept = store.read(Lane::Report, Stream::Heartbeat, 64, 1 << 20)?;
        let passed: Vec<_> = kept.iter().filter(|k| k.record.stamp.mono_ms < number).collect();
        let Some(last) = passed.last() else { return Ok(()) };
        store.ack(Lane::Report, Stream::Heartbeat, last.seq)?;
        if passed.len() < kept.len() {
            return Ok(());
        }
    }
}

/// The number of the newest record: all records are passed over, for nothing else knows it.
fn newest(store: &mut Store) -> Result<Option<u64>, StoreError> {
    let count = store.stats().iter().find(|(lane, _)| *lane == Lane::Report).map_or(0, |(_, s)| s.records);
    let all = store.read(Lane::Report, Stream::Heartbeat, count as usize + 1, usize::MAX)?;
    Ok(all.last().map(|kept| kept.record.stamp.mono_ms))
}

fn check(dir: &Path, ack: i64) -> (String, u8) {
    let (mut store, notes) = match open(dir) {
        Ok(opened) => opened,
        Err(e) => return (format!("does not open: {e}"), 2),
    };
    let count = store.stats().iter().find(|(lane, _)| *lane == Lane::Report).map_or(0, |(_, s)| s.records);
    let all = match store.read(Lane::Report, Stream::Heartbeat, count as usize + 1, usize::MAX) {
        Ok(all) => all,
        Err(e) => return (format!("does not read: {e}"), 2),
    };
    let numbers: Vec<u64> = all.iter().map(|kept| kept.record.stamp.mono_ms).collect();
    let (first, last) = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) => (*first as i64, *last as i64),
        _ => (0, -1),
    };
    let mut faults = Vec::new();
    // The writer may have been a batch ahead of what it could still print.
    if last < ack || first > (ack + BATCH as i64 - KEEP as i64).max(0) {
        faults.push(format!("records {first}..={last} of ..={ack}"));
    }
    if !numbers.is_sorted_by(|a, b| a + 1 == *b) {
        faults.push("a gap or a disorder".to_owned());
    }
    if all
        .iter()
        .any(|k| k.record != record(k.record.stamp.mono_ms, (k.record.stamp.mono_ms * 131 % 700) as usize))
    {
        faults.push("a record with other content".to_owned());
    }
    let lost: u64 = store.stats().iter().map(|(_, s)| s.lost_damage + s.lost_quota).sum();
    if lost > 0 {
        faults.push(format!("{lost} counted as lost"));
    }
    if ack >= 0 && !control() {
        faults.extend(check_state(&mut store, ack as u64));
        faults.extend(check_document(&mut store, ack as u64));
        faults.extend(life::check(&mut store, ack as u64 / LIFE, (ack as u64 + BATCH) / LIFE));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" notes: {}", notes.join("; ")) };
    if faults.is_empty() {
        (format!("records {first}..={last}{notes}"), 0)
    } else {
        (format!("{}{notes}", faults.join(", ")), 1)
    }
}

fn check_state(store: &mut Store, ack: u64) -> Option<String> {
    let wanted = ack / STATE * STATE;
    let found = match store.read(Lane::State, Stream::Heartbeat, 2, usize::MAX) {
        Ok(found) => found,
        Err(e) => return Some(format!("state: {e}")),
    };
    let newest = found.iter().map(|kept| kept.record.stamp.mono_ms).max();
    (newest.is_none_or(|number| number < wanted)).then(|| format!("state {newest:?} of {wanted}"))
}

fn check_document(store: &mut Store, ack: u64) -> Option<String> {
    let wanted = ack / DOCUMENT * DOCUMENT;
    let found = match store.doc_get("document") {
        Ok(found) => found,
        Err(e) => return Some(format!("document: {e}")),
    };
    let number = found.as_deref().and_then(|bytes| bytes.get(..8)?.try_into().ok()).map(u64::from_le_bytes);
    let whole = number.is_some_and(|number| number >= wanted && found == Some(document(number)));
    (!whole).then(|| format!("document {number:?} of {wanted}"))
}

fn record(number: u64, len: usize) -> Record {
    Record {
        stream: Stream::Heartbeat,
        key: String::from("device"),
        stamp: Stamp { boot: [7; 16], mono_ms: number, wall_ms: number as i64, clock: ClockState::Synced },
        body: (0..len).map(|at| (number as usize + at) as u8).collect(),
    }
}

fn document(number: u64) -> Vec<u8> {
    number.to_le_bytes().into_iter().cycle().take(9_000).collect()
}

/// The lives of documents, one after the other, in the order in which the agent writes (`agent::desired`).
mod life {
    use super::{Store, StoreError};

    const WANTED: &str = "desired/flux/fleet";
    const MADE: &str = "made/flux/fleet";
    const MARKS: &str = "core/desired";
    /// Stored, noted before the making, noted after it, marked as going, out of the cache, forgotten.
    const STEPS: u64 = 6;

    /// Step `n` of all lives.
    pub fn step(store: &mut Store, n: u64) -> Result<(), StoreError> {
        let generation = n / STEPS;
        match n % STEPS {
            0 => store.doc_put(WANTED, &content(generation, 0), true),
            1 => store.doc_put(MADE, &content(generation, 1), false),
            2 => store.doc_put(MADE, &content(generation, 2), false),
            3 => store.doc_put(MARKS, &content(generation, 3), false),
            4 => store.doc_remove(WANTED),
            _ => store.doc_remove(MADE),
        }
    }

    fn content(generation: u64, step: u64) -> Vec<u8> {
        let size = 300 + (generation * 37 % 900) as usize;
        [generation, step].into_iter().flat_map(u64::to_le_bytes).cycle().take(size).collect()
    }

    /// What is in the store after step `n`: what is wanted, what was made, the marks.
    fn after(n: u64) -> [Option<Vec<u8>>; 3] {
        let (generation, step) = (n / STEPS, n % STEPS);
        let wanted = (step < 4).then(|| content(generation, 0));
        let made = match step {
            0 | 5 => None,
            1 => Some(content(generation, 1)),
            _ => Some(content(generation, 2)),
        };
        let marks = if step < 3 { generation.checked_sub(1) } else { Some(generation) };
        [wanted, made, marks.map(|generation| content(generation, 3))]
    }

    fn found(store: &mut Store) -> Result<[Option<Vec<u8>>; 3], StoreError> {
        Ok([store.doc_get(WANTED)?, store.doc_get(MADE)?, store.doc_get(MARKS)?])
    }

    /// Takes the steps up to `n` that a cut kept from being taken.
    pub fn catch_up(store: &mut Store, n: u64) -> Result<(), StoreError> {
        let found = found(store)?;
        // A batch has three at most. Where none is recognised, the check said so already.
        let last = (n.saturating_sub(5)..=n).rev().find(|n| after(*n) == found);
        for n in last.map_or(0, |last| last + 1)..=n {
            step(store, n)?;
        }
        Ok(())
    }

    /// Whether the store has what a step from `first` to `last` leaves.
    pub fn check(store: &mut Store, first: u64, last: u64) -> Option<String> {
        match found(store) {
            Ok(found) => {
                let is = (first..=last).any(|n| after(n) == found);
                let shape = found.map(|content| content.and_then(|bytes| Some(*bytes.first()?)));
                (!is)
                    .then(|| format!("a document's life at {shape:?}, in none of the steps {first}..={last}"))
            }
            Err(e) => Some(format!("a document's life: {e}")),
        }
    }
}
