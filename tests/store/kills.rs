//! A kill at every single system call of opening a store, once and twice in a row.
//!
//! Random kills never hit the one call that matters: sled 0.34.7 refuses for ever to open a database after three of
//! nineteen such points. Takes minutes and needs strace:
//!
//!   cargo test --test store -- --ignored --test-threads 1 --nocapture kills

use super::rig::*;
use arclet::core::{Lane, Stream};
use arclet::store::Store;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// The calls by which a store changes what is on the medium, and those that lead to them.
const CALLS: [&str; 12] = [
    "mkdir",
    "openat",
    "flock",
    "pwrite64",
    "write",
    "rename",
    "unlink",
    "unlinkat",
    "fsync",
    "fdatasync",
    "sync_file_range",
    "fallocate",
];
const DIR: &str = "ARCLET_TEST_KILLED_STORE";
const RECORDS: u64 = 60;

/// What the killed process does; on its own this test does nothing.
#[test]
#[ignore = "the process that the others kill"]
fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let mut store = open(Path::new(&dir));
    store.read(Lane::Report, Stream::Heartbeat, 5, 1 << 20).unwrap();
    store.enqueue(&[(Lane::Report, beat(RECORDS))]).unwrap();
    store.doc_get("desired").unwrap();
    store.close();
}

/// Runs the child on `dir` and kills it at the `nth` call; false if it came to its end before.
fn killed(dir: &Path, call: &str, nth: u32) -> bool {
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:signal=SIGKILL:when={nth}")])
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kills::child", "--test-threads", "1"])
        .env(DIR, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("strace is there: apt-get install strace");
    // strace dies by the signal that its child died by.
    match (status.signal(), status.code()) {
        (Some(9), _) => true,
        (_, Some(0)) => false,
        other => panic!("{call} {nth}: the child ended with {other:?}"),
    }
}

/// Kills at each call of each kind, `times` in a row on the same store, and looks after each whether all is there.
fn at_every_call(times: u32, prepare: impl Fn(&Path), check: impl Fn(&Path, &str)) {
    let mut points = 0;
    for call in CALLS {
        for nth in 1.. {
            let home = home();
            let dir = home.path().join("store");
            prepare(&dir);
            if !(0..times).all(|_| killed(&dir, call, nth)) {
                break;
            }
            check(&dir, &format!("{call} {nth}"));
            points += 1;
        }
    }
    println!("{points} points, {times} kill(s) at each");
    assert!(points > 50, "only {points} points: the kills do not hit the store");
}

fn nothing_is_lost(dir: &Path, point: &str) {
    let (mut store, _) = Store::open(options(dir)).unwrap_or_else(|e| panic!("{point}: {e}"));
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    // The child's own record may be there or not: it was not acknowledged.
    let expected: Vec<_> = (0..RECORDS).map(|n| (n + 1, beat(n).body)).collect();
    assert_eq!(left[..RECORDS as usize], expected, "{point}");
    assert!(left[RECORDS as usize..].iter().all(|(_, body)| *body == beat(RECORDS).body), "{point}");
    assert_eq!(stats(&store, Lane::Report).lost_damage, 0, "{point}");
    assert_eq!(drain(&mut store, Lane::State, Stream::Heartbeat).len(), 1, "{point}");
    assert_eq!(store.doc_get("desired").unwrap(), Some(vec![5; 9_000]), "{point}");
    fill(&mut store, Lane::Report, 100..101);
}

fn sample(dir: &Path) {
    let home = home();
    let work = home.path().join("store");
    let mut store = open(&work);
    fill(&mut store, Lane::Report, 0..RECORDS);
    store.enqueue(&[(Lane::State, beat(1))]).unwrap();
    store.doc_put("desired", &[5; 9_000], false).unwrap();
    copy_tree(&work, dir);
}

#[test]
#[ignore = "minutes, and needs strace"]
fn a_kill_at_any_call_of_opening_a_store_costs_no_record() {
    let home = home();
    sample(&home.path().join("sample"));
    at_every_call(1, |dir| copy_tree(&home.path().join("sample"), dir), nothing_is_lost);
}

#[test]
#[ignore = "minutes, and needs strace"]
fn two_kills_at_the_same_call_cost_no_record_though_the_database_is_set_aside() {
    let home = home();
    sample(&home.path().join("sample"));
    at_every_call(2, |dir| copy_tree(&home.path().join("sample"), dir), nothing_is_lost);
}

#[test]
#[ignore = "minutes, and needs strace"]
fn a_kill_at_any_call_of_making_a_store_leaves_one_that_opens() {
    at_every_call(
        1,
        |dir| std::fs::create_dir(dir).unwrap(),
        |dir, point| {
            let (mut store, _) = Store::open(options(dir)).unwrap_or_else(|e| panic!("{point}: {e}"));
            fill(&mut store, Lane::Report, 100..110);
            store.close();
            let mut store = open(dir);
            let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
            assert!(left.len() == 10 || left.len() == 11, "{point}: {}", left.len());
            assert_eq!(stats(&store, Lane::Report).lost_damage, 0, "{point}");
        },
    );
}
