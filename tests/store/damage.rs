//! Damage of every class on every file: the store opens, nothing panics through, what can be read is delivered, and the
//! losses that it counts are the real ones.

use super::rig::*;
use arclet::core::{Lane, Stream};
use arclet::store::Store;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Undelivered records of the sample.
const WAITING: u64 = 90;
/// Delivered ones, some of them in an epoch that is still there.
const DELIVERED: u64 = 30;

/// A store with several epochs in one lane, a few records in another, state, and documents; closed, or cut off.
fn sample(dir: &Path, clean: bool) {
    let home = home();
    let work = home.path().join("store");
    let mut store = open(&work);
    fill(&mut store, Lane::Report, 0..DELIVERED + WAITING);
    fill(&mut store, Lane::Audit, 0..5);
    for n in 0..3 {
        store.enqueue(&[(Lane::State, beat(n))]).unwrap();
    }
    store.doc_put("large", &[7; 9_000], false).unwrap();
    store.doc_put("small", b"small", true).unwrap();
    store.ack(Lane::Report, Stream::Heartbeat, DELIVERED).unwrap();
    if clean {
        store.close();
        copy_tree(&work, dir);
    } else {
        copy_tree(&work, dir);
    }
}

/// Opens the damaged store, delivers what is left, and holds the counts against it. Gives the number of lost reports.
fn survives(dir: &Path, what: &str) -> u64 {
    let (mut store, _) = Store::open(options(dir)).unwrap_or_else(|e| panic!("{what}: {e}"));
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    assert!(left.is_sorted_by(|a, b| a.0 < b.0), "{what}: out of order");
    for (seq, body) in &left {
        assert_eq!(*body, beat(seq - 1).body, "{what}: record {seq} is another one");
    }
    let lost = stats(&store, Lane::Report).lost_damage;
    assert_eq!(left.len() as u64 + lost, WAITING, "{what}: counted {lost} as lost");
    assert_eq!(stats(&store, Lane::Report).records, 0, "{what}");
    others_are_whole(&mut store, what);
    goes_on(store, dir, what);
    lost
}

/// What happens to one lane is nothing to the others, nor to the cache.
fn others_are_whole(store: &mut Store, what: &str) {
    assert_eq!(drain(store, Lane::Audit, Stream::Heartbeat).len(), 5, "{what}");
    assert_eq!(drain(store, Lane::State, Stream::Heartbeat).len(), 3, "{what}");
    assert_eq!(store.doc_get("large").unwrap(), Some(vec![7; 9_000]), "{what}");
    assert_eq!(store.doc_get("small").unwrap().as_deref(), Some(&b"small"[..]), "{what}");
}

/// It takes new records under new numbers, and the next start finds nothing more to complain about.
fn goes_on(mut store: Store, dir: &Path, what: &str) {
    let lost = stats(&store, Lane::Report).lost_damage;
    fill(&mut store, Lane::Report, 1000..1003);
    store.close();
    let (mut store, report) = reopen(dir);
    assert!(report.notes.is_empty(), "{what}: {:?}", report.notes);
    let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
    assert_eq!(left.len(), 3, "{what}");
    assert!(left[0].0 > DELIVERED + WAITING, "{what}: number {} is used again", left[0].0);
    assert_eq!(stats(&store, Lane::Report).lost_damage, lost, "{what}: counted twice");
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

fn flip(path: &Path, bit: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << (bit % 8)], bit / 8).unwrap();
}

fn overwrite(path: &Path, at: u64, bytes: &[u8]) {
    let len = std::fs::metadata(path).unwrap().len();
    let file = OpenOptions::new().write(true).open(path).unwrap();
    let bytes = &bytes[..bytes.len().min((len - at) as usize)];
    file.write_all_at(bytes, at).unwrap();
}

fn cut(path: &Path, keep: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(keep).unwrap();
}

fn len(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn databases(dir: &Path) -> Vec<PathBuf> {
    epochs(dir, Lane::Report).into_iter().map(|e| e.join("db")).collect()
}

/// Runs `hurt` on a fresh copy of the sample for each round, with the report lane's databases.
fn rounds(count: u64, seed: u64, what: &str, mut hurt: impl FnMut(&mut Dice, &[PathBuf]) -> String) -> u64 {
    let home = home();
    for clean in [true, false] {
        sample(&home.path().join(format!("sample-{clean}")), clean);
    }
    let mut dice = Dice(seed);
    let mut lost = 0;
    for round in 0..count {
        let dir = home.path().join(format!("round{round}"));
        copy_tree(&home.path().join(format!("sample-{}", round % 2 == 0)), &dir);
        let said = hurt(&mut dice, &databases(&dir));
        lost += survives(&dir, &format!("{what}, round {round}: {said}"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
    lost
}

fn pick<'a>(dice: &mut Dice, files: &'a [PathBuf]) -> &'a Path {
    &files[dice.below(files.len() as u64) as usize]
}

#[test]
fn a_flipped_bit_anywhere_in_a_log_is_survived_with_an_exact_count() {
    rounds(24, 1, "flip", |dice, dbs| {
        let db = pick(dice, dbs);
        let bit = dice.below(len(db) * 8);
        flip(db, bit);
        format!("bit {bit} of {}", db.display())
    });
}

#[test]
fn a_page_of_zeros_or_noise_is_survived_with_an_exact_count() {
    let lost = rounds(24, 2, "page", |dice, dbs| {
        let db = pick(dice, dbs);
        let at = dice.below(len(db).div_ceil(4096)) * 4096;
        let noise: Vec<u8> =
            (0..4096).map(|_| if dice.0 % 2 == 0 { 0 } else { dice.below(256) as u8 }).collect();
        overwrite(db, at, &noise);
        format!("page at {at} of {}", db.display())
    });
    assert!(lost > 0, "something must have been hit, or this test shows nothing");
}

#[test]
fn a_log_cut_short_emptied_or_deleted_is_survived_with_an_exact_count() {
    let lost = rounds(16, 3, "cut", |dice, dbs| {
        let db = pick(dice, dbs);
        let keep = match dice.below(3) {
            0 => 0,
            _ => dice.below(len(db)),
        };
        match dice.below(4) {
            0 => std::fs::remove_file(db).unwrap(),
            _ => cut(db, keep),
        }
        format!("{keep} bytes left of {}", db.display())
    });
    assert!(lost > 0, "something must have been hit, or this test shows nothing");
}

#[test]
fn a_tail_that_is_missing_from_the_last_epoch_is_noticed() {
    let lost = rounds(8, 4, "tail", |dice, dbs| {
        let db = dbs.last().unwrap();
        let keep = len(db).saturating_sub(1 + dice.below(3_000));
        cut(db, keep);
        format!("{keep} bytes left of {}", db.display())
    });
    assert!(lost > 0, "the last records must have been hit, or this test shows nothing");
}

#[test]
fn a_whole_epoch_that_is_gone_is_counted_once() {
    let lost = rounds(10, 5, "epoch gone", |dice, dbs| {
        let gone = dice.below(dbs.len() as u64) as usize;
        std::fs::remove_dir_all(dbs[gone].parent().unwrap()).unwrap();
        format!("{gone} of {}", dbs.len())
    });
    assert!(lost > 0);
}

#[test]
fn all_epochs_that_are_gone_are_counted_and_numbers_go_on() {
    let lost = rounds(2, 6, "all gone", |_, dbs| {
        dbs.iter().for_each(|db| std::fs::remove_dir_all(db.parent().unwrap()).unwrap());
        String::new()
    });
    assert_eq!(lost, 2 * WAITING);
}

#[test]
fn small_files_damaged_or_deleted_cost_no_record() {
    let lost = rounds(30, 7, "small file", |dice, dbs| {
        let epoch = pick(dice, dbs).parent().unwrap();
        let mut small: Vec<PathBuf> = std::fs::read_dir(epoch)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.is_file() && !p.ends_with("db"))
            .collect();
        small.sort();
        let file = pick(dice, &small);
        let how = dice.below(4);
        match how {
            0 => std::fs::remove_file(file).unwrap(),
            1 => std::fs::write(file, b"").unwrap(),
            2 => std::fs::write(epoch.join("snap.0000000000000000.generating"), b"half").unwrap(),
            _ => flip(file, dice.below(len(file) * 8)),
        }
        format!("way {how}, {}", file.display())
    });
    assert_eq!(lost, 0);
}

#[test]
fn a_ledger_that_is_gone_sends_again_under_the_same_names_and_gives_no_number_twice() {
    for how in 0..3 {
        let dir = home();
        sample(dir.path(), how != 1);
        let ledger = dir.path().join("ledger");
        let id = open(dir.path()).id();
        match how {
            0 => std::fs::remove_file(&ledger).unwrap(),
            1 => overwrite(&ledger, 0, &[0; 16_384]),
            _ => std::fs::remove_file(dir.path().join("format")).unwrap(),
        }
        let mut store = open(dir.path());
        assert_eq!(store.id(), id);
        let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
        let again: Vec<u64> = left.iter().map(|(seq, _)| *seq).filter(|seq| *seq > DELIVERED).collect();
        assert_eq!(again, (DELIVERED + 1..=DELIVERED + WAITING).collect::<Vec<_>>());
        fill(&mut store, Lane::Report, 500..501);
        let next = store.read(Lane::Report, Stream::Heartbeat, 1, 1).unwrap()[0].seq;
        assert!(next > DELIVERED + WAITING, "{next} is used again");
    }
}

#[test]
fn one_torn_copy_of_the_ledger_changes_nothing() {
    for slot in 0..2 {
        let dir = home();
        sample(dir.path(), true);
        overwrite(&dir.path().join("ledger"), slot * 4096 + 100, &[0xFF; 64]);
        let mut store = open(dir.path());
        let left = drain(&mut store, Lane::Report, Stream::Heartbeat);
        let first = left[0].0;
        // The older copy may be one ack behind: sent again, never lost.
        assert!(first <= DELIVERED + 1, "{first}");
        assert_eq!(left.last().unwrap().0, DELIVERED + WAITING);
    }
}

#[test]
fn a_damaged_cache_or_state_costs_at_most_its_own_and_a_lost_document_is_none() {
    let mut dice = Dice(9);
    for round in 0..24 {
        let dir = home();
        sample(dir.path(), round % 2 == 0);
        let name = if round % 3 == 0 { "state" } else { "cache" };
        let db = dir.path().join(name).join("k00000001/db");
        match round % 4 {
            0 => flip(&db, dice.below(len(&db) * 8)),
            1 => {
                let at = dice.below(len(&db).div_ceil(4096)) * 4096;
                overwrite(&db, at, &[0; 4096]);
            }
            2 => cut(&db, len(&db) / 2),
            _ => flip(&db.with_file_name("conf"), dice.below(8 * 20)),
        }
        let mut store = open(dir.path());
        assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len() as u64, WAITING);
        let state = drain(&mut store, Lane::State, Stream::Heartbeat).len() as u64;
        assert_eq!(state + stats(&store, Lane::State).lost_damage, 3, "round {round}");
        let large = store.doc_get("large").unwrap();
        assert!(large.is_none() || large == Some(vec![7; 9_000]), "round {round}: wrong content");
        let small = store.doc_get("small").unwrap();
        assert!(small.is_none() || small.as_deref() == Some(b"small"), "round {round}: wrong content");
        store.doc_put("large", b"new", false).unwrap();
        store.close();
        assert_eq!(open(dir.path()).doc_get("large").unwrap().as_deref(), Some(&b"new"[..]));
    }
}

#[test]
fn a_database_on_which_two_starts_ended_is_set_aside_before_a_third_and_its_records_are_saved() {
    let dir = home();
    sample(dir.path(), true);
    let epoch = epochs(dir.path(), Lane::Report).remove(0);
    let name = epoch.strip_prefix(dir.path()).unwrap().to_string_lossy().into_owned();
    // As a process leaves it that was killed twice while sled had this database open.
    let mut payload = b"arcslot\x01".to_vec();
    payload.extend_from_slice(&99u64.to_le_bytes());
    payload.extend_from_slice(&(2 + name.len() as u32).to_le_bytes());
    payload.extend_from_slice(&[2, name.len() as u8]);
    payload.extend_from_slice(name.as_bytes());
    let crc = crc32fast::hash(&payload);
    payload.extend_from_slice(&crc.to_le_bytes());
    overwrite(&dir.path().join("attempts"), 4096, &payload);
    let mut store = open(dir.path());
    assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len() as u64, WAITING);
    let notes = store.take_notes().join("\n");
    assert!(notes.contains("2 starts ended"), "{notes}");
    assert_eq!(stats(&store, Lane::Report).lost_damage, 0);
}

#[test]
fn a_cache_that_breaks_while_it_is_in_use_takes_new_documents_at_once() {
    let dir = home();
    let mut store = open(dir.path());
    store.doc_put("before", &[1; 9_000], false).unwrap();
    store.idle();
    cut(&dir.path().join("cache/k00000001/db"), 5_000);
    std::fs::write(dir.path().join("cache/k00000001/conf"), "segment_size: 17").unwrap();
    store.doc_put("after", &[2; 9_000], false).unwrap();
    assert_eq!(store.doc_get("after").unwrap(), Some(vec![2; 9_000]));
    let before = store.doc_get("before").unwrap();
    assert!(before.is_none() || before == Some(vec![1; 9_000]));
    store.close();
    assert_eq!(open(dir.path()).doc_get("after").unwrap(), Some(vec![2; 9_000]));
}
