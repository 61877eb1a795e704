//! Damages a store until sled panics, on the machine that it was built for, and shows that the panic was caught.
//!
//! Why: sled 0.34.7 panics while it opens a database whose file was cut in half. arclet lives only because that panic is
//! unwound and caught, and whether unwinding works is a matter of target, libc and linker: a static program linked with
//! the wrong unwinder aborts instead. So this program runs for each target of `cross.toml`, and an abort fails the build.
//!
//! Prints a line per way of panicking. Exits with 1 when one was not met or not caught.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

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

fn run(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    a_thread_panics()?;
    sled_panics(&folder.join("bare"))
}

/// The runtime's own case: a worker thread panics and its owner is told.
#[expect(clippy::panic, reason = "the subject of this program")]
fn a_thread_panics() -> Result<(), Box<dyn Error>> {
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
fn sled_panics(folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut calm = Vec::new();
    for eighths in 1..8 {
        let folder = folder.join(eighths.to_string());
        let database = sled::open(&folder)?;
        for number in 0..5_500_u64 {
            database.insert(number.to_be_bytes(), vec![7; 300])?;
        }
        database.flush()?;
        drop(database);
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

fn shorten(file: &Path, eighths: u64) -> Result<(), Box<dyn Error>> {
    let length = fs::metadata(file)?.len();
    OpenOptions::new().write(true).open(file)?.set_len(length * eighths / 8)?;
    Ok(())
}
