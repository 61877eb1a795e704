//! The store on a real full disk: a small file system of its own, filled to the last block.
//!
//! Mounting needs root; without it the tests say so and pass, and CI, which is root, is where they count.
//!
//! A program of its own, for it begins others: each shares the open files of this one for a moment, and so the lock of
//! every store that a test beside it has just left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "store/rig.rs"]
#[allow(dead_code)] // the rest is for the tests without a disk
mod rig;

use arclet::core::{Lane, Stream};
use arclet::store::{Options, Store, StoreError};
use rig::*;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system that goes when it is dropped.
struct Disk {
    point: PathBuf,
    _home: tempfile::TempDir,
}

impl Disk {
    /// ext4 in a file where that can be made, else tmpfs; `None`, with a word, if nothing can be mounted.
    fn new(megabytes: u32) -> Option<Disk> {
        let home = tempfile::tempdir().unwrap();
        let point = home.path().join("disk");
        std::fs::create_dir(&point).unwrap();
        let image = home.path().join("image");
        std::fs::File::create(&image).unwrap().set_len(u64::from(megabytes) << 20).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let (image, at) = (image.to_str().unwrap(), point.to_str().unwrap());
        let size = format!("size={megabytes}m");
        let mounted = run("mkfs.ext4", &["-q", "-m", "0", image]) && run("mount", &["-o", "loop", image, at])
            || run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at]);
        if !mounted {
            eprintln!("SKIPPED: no file system can be mounted here (root is needed)");
            return None;
        }
        Some(Disk { point, _home: home })
    }

    /// Takes what is left, to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.point.join("filler")).unwrap();
        for chunk in [1 << 16, 4096, 1] {
            while file.write_all(&vec![1; chunk]).and_then(|()| file.sync_data()).is_ok() {}
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.point).status();
    }
}

fn options_on(dir: &Path) -> Options {
    let mut options = options(dir);
    options.epoch_bytes = 32 << 10;
    options
}

/// Reports until the store takes no more; how many it took.
fn until_full(store: &mut Store) -> u64 {
    for n in 0..1_000_000 {
        let batch: Vec<_> =
            (0..40).map(|k| (Lane::Report, record(Stream::Heartbeat, n * 40 + k, 300))).collect();
        match store.enqueue(&batch) {
            Ok(_) => {}
            Err(StoreError::Full { lane: Lane::Report, .. }) => return n * 40,
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk is never full");
}

fn numbers(left: &[(u64, Vec<u8>)]) -> Vec<String> {
    let number =
        |body: &[u8]| String::from_utf8_lossy(body).split(['{', ',']).nth(1).unwrap_or_default().to_owned();
    left.iter().map(|(_, body)| number(body)).collect()
}

#[test]
fn a_full_disk_refuses_reports_delivers_what_it_has_and_takes_more_again_in_the_same_process() {
    let Some(disk) = Disk::new(16) else { return };
    let dir = disk.point.join("store");
    let (mut store, _) = unlocked(options_on(&dir));
    let taken = until_full(&mut store);
    assert!(taken > 1_000, "only {taken} reports fit 16 MB");
    disk.fill();
    assert!(matches!(store.enqueue(&[(Lane::Report, beat(0))]), Err(StoreError::Full { .. })));
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    let expected: Vec<_> = (0..taken).map(|n| format!("\"n\":{n}")).collect();
    assert_eq!(numbers(&left), expected, "what was refused is not there, what was taken is");
    std::fs::remove_file(disk.point.join("filler")).unwrap();
    fill(&mut store, Lane::Report, 0..100);
    assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len(), 100);
    let lost: u64 = store.stats().iter().map(|(_, s)| s.lost_quota + s.lost_damage).sum();
    assert_eq!(lost, 0);
}

#[test]
fn a_store_opens_and_delivers_on_a_disk_without_a_free_byte() {
    let Some(disk) = Disk::new(16) else { return };
    let dir = disk.point.join("store");
    let (mut store, _) = unlocked(options_on(&dir));
    store.enqueue(&[(Lane::State, beat(1))]).unwrap();
    store.doc_put("desired", b"known good", false).unwrap();
    let taken = until_full(&mut store);
    drop(store);
    disk.fill();
    let (mut store, _) = unlocked(options_on(&dir));
    assert_eq!(store.doc_get("desired").unwrap().as_deref(), Some(&b"known good"[..]));
    assert_eq!(drain(&mut store, Lane::State, Stream::Heartbeat).len(), 1);
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    // The cache and the state lane may take from reports to open at all: then that is counted.
    let lost = stats(&store, Lane::Report).lost_quota;
    assert_eq!(left.len() as u64 + lost, taken);
    assert_eq!(stats(&store, Lane::Report).lost_damage, 0);
    fill(&mut store, Lane::Report, 0..10);
}

#[test]
fn telemetry_yields_to_reports_and_reports_yield_to_the_cache_and_each_loss_is_counted() {
    let Some(disk) = Disk::new(16) else { return };
    let dir = disk.point.join("store");
    let (mut store, _) = unlocked(options_on(&dir));
    let mut logs = 0;
    while stats(&store, Lane::Logs).lost_quota == 0 {
        let batch: Vec<_> = (0..40).map(|k| (Lane::Logs, record(Stream::Heartbeat, logs + k, 300))).collect();
        store.enqueue(&batch).expect("logs are always taken: the oldest go");
        logs += 40;
    }
    fill(&mut store, Lane::Report, 0..200);
    let taken = 200 + until_full(&mut store);
    let dropped = stats(&store, Lane::Logs).lost_quota;
    assert_eq!(stats(&store, Lane::Logs).records + dropped, logs);
    assert_eq!(stats(&store, Lane::Logs).records, 0, "all telemetry has yielded before a report was refused");
    disk.fill();
    store.doc_put("desired", &[3; 60_000], false).expect("the cache comes first");
    assert_eq!(store.doc_get("desired").unwrap(), Some(vec![3; 60_000]));
    let lost = stats(&store, Lane::Report).lost_quota;
    assert!(lost > 0, "reports have yielded");
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    assert_eq!(left.len() as u64 + lost, taken);
    let unreported: u64 = store.unreported_losses().iter().map(|l| l.count).sum();
    assert_eq!(unreported, lost + dropped);
}
