//! Damages a store until sled panics, on the machine that it was built for, and shows that the panic was caught.
//!
//! Why: sled 0.34.7 panics over a database whose file was cut short. arclet lives only because that panic is unwound and
//! caught, and whether unwinding works is a matter of target, libc and linker: a static program linked with the wrong
//! unwinder aborts instead. So this program runs for each target of `cross.toml`, and an abort fails the build.
//!
//! Prints a line per way of panicking. Exits with 1 when one was not met or not caught, or when the store did not open.

use arclet::core::{ClockState, Lane, Record, Stamp, Stream};
use arclet::store::{Options, Store};
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    // The panics are wanted; their text goes to stderr for whoever looks.
    let folder = std::env::temp_dir().join(format!("break-store-{}", std::process::id()));
    let outcome = run(&folder);
    let _ = fs::remove_dir_all(&folder); // what is left of it hurts nobody
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path) -> Outcome {
    fs::create_dir_all(folder)?;
    a_thread_panics()?;
    sled_panics(&folder.join("bare"))?;
    the_store_survives(&folder.join("store"))
}

/// The runtime's own case: a worker thread panics and its owner is told.
#[expect(clippy::panic, reason = "the subject of this program")]
fn a_thread_panics() -> Outcome {
    match thread::spawn(|| panic!("a worker that panics")).join() {
        Ok(()) => Err("the worker did not panic".into()),
        Err(_) => {
            println!("a panic in a worker thread: caught");
            Ok(())
        }
    }
}

/// sled alone, without the store's care: this is the panic that the store has to survive. Which length makes it panic
/// depends on where its segments lie, so several are tried, each on a whole database.
fn sled_panics(folder: &Path) -> Outcome {
    let mut calm = Vec::new();
    for eighths in 1..8 {
        let folder = folder.join(eighths.to_string());
        let database = sled::open(&folder)?;
        for number in 0..5_500_u64 {
            database.insert(number.to_be_bytes(), vec![7; 300])?;
        }
        database.flush()?;
        drop(database);
        // Opened once more it writes a snapshot, which remembers what is cut off then.
        drop(sled::open(&folder)?);
        shorten(&folder.join("db"), eighths)?;
        match panic::catch_unwind(|| sled::open(&folder).map(|database| database.iter().count())) {
            Err(_) => {
                println!("a panic inside sled, opening {eighths}/8 of a database: caught");
                return Ok(());
            }
            Ok(other) => calm.push(other),
        }
    }
    Err(format!("sled did not panic over a shortened database, which shows nothing; it said {calm:?}").into())
}

/// The store over a database that is older than its snapshot, as a file system may leave it that forgot how long a file was.
/// All acknowledged blocks are whole, so only sled can find out: the store opens, says what sled did, and gives every record.
/// (What is shortened or changed it finds by itself, before sled could panic over it.)
fn the_store_survives(folder: &Path) -> Outcome {
    let (younger, older) = (folder.join("younger"), folder.join("older"));
    let (mut store, _) = Store::open(options(&younger))?;
    fill(&mut store, 0..FEW)?;
    copy(&younger, &older)?;
    fill(&mut store, FEW..MANY)?;
    store.close();
    // Opened for reading, sled writes its snapshot.
    let (mut store, _) = Store::open(options(&younger))?;
    read(&mut store)?;
    store.close();

    let mut moved = 0;
    for database in databases(&younger)? {
        let target = older.join(database.strip_prefix(&younger)?);
        for name in snapshots(&database)? {
            fs::create_dir_all(&target)?;
            fs::copy(database.join(&name), target.join(&name))?;
            moved += 1;
        }
    }
    let (mut store, report) = Store::open(options(&older))?;
    let found = read(&mut store)? as u64;
    let notes: Vec<_> = report.notes.into_iter().chain(store.take_notes()).collect();
    store.close();
    match notes.iter().find(|note| note.contains("not whole")) {
        Some(note) if found == FEW => {
            println!("a store whose sled refuses a database: all {found} records are there; it says: {note}");
            Ok(())
        }
        _ => Err(format!("{found} of {FEW} records, {moved} snapshots, and the store says {notes:?}").into()),
    }
}

/// Enough for a database of one segment, and of many.
const FEW: u64 = 30;
const MANY: u64 = 3_000;

fn options(folder: &Path) -> Options {
    Options {
        dir: folder.to_owned(),
        quotas: [64 << 20; 5],
        cache_quota: 8 << 20,
        key: None,
        epoch_bytes: 8 << 20,
    }
}

fn fill(store: &mut Store, numbers: std::ops::Range<u64>) -> Outcome {
    for number in numbers {
        let record = Record {
            stream: Stream::Heartbeat,
            key: String::from("device"),
            stamp: Stamp { boot: [1; 16], mono_ms: number, wall_ms: 0, clock: ClockState::Synced },
            body: vec![b'x'; 300],
        };
        store.enqueue(&[(Lane::Report, record)])?;
    }
    Ok(())
}

fn read(store: &mut Store) -> Result<usize, Box<dyn Error>> {
    Ok(store.read(Lane::Report, Stream::Heartbeat, MANY as usize + 1, usize::MAX)?.len())
}

/// The folders of all databases below a folder.
fn databases(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(databases(&path)?);
        } else if path.ends_with("db") {
            found.push(folder.to_owned());
        }
    }
    Ok(found)
}

fn snapshots(folder: &Path) -> Result<Vec<OsString>, Box<dyn Error>> {
    let names =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.file_name())).collect::<Result<Vec<_>, _>>()?;
    Ok(names.into_iter().filter(|name| name.to_string_lossy().starts_with("snap.")).collect())
}

fn copy(from: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn shorten(file: &Path, eighths: u64) -> Outcome {
    let length = fs::metadata(file)?.len();
    OpenOptions::new().write(true).open(file)?.set_len(length * eighths / 8)?;
    Ok(())
}
