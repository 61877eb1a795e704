//! The plain course of things.

use super::rig::*;
use arclet::core::{Lane, MessageId, Stream};
use arclet::store::{MAX_DOCUMENT, MAX_RECORD, Store, StoreError};
use std::path::Path;

#[test]
fn what_is_enqueued_is_read_in_order_once_and_under_stable_names_across_restarts() {
    let dir = home();
    let mut store = open(dir.path());
    let ids = fill(&mut store, Lane::Report, 0..200);
    assert!(epochs(dir.path(), Lane::Report).len() > 3, "rotation happened");
    let id = store.id();
    assert_eq!(ids[41], MessageId::new(&id, Lane::Report, 42));
    let first = store.read(Lane::Report, Stream::Heartbeat, 50, 1 << 20).unwrap();
    assert_eq!(first.iter().map(|k| k.id.clone()).collect::<Vec<_>>(), ids[..50]);
    store.ack(Lane::Report, Stream::Heartbeat, first[29].seq).unwrap();
    assert_eq!(stats(&store, Lane::Report).records, 170);
    store.close();
    let (mut store, report) = reopen(dir.path());
    assert_eq!((report.notes, store.id()), (vec![], id));
    assert_eq!(stats(&store, Lane::Report).records, 170);
    assert_eq!(stats(&store, Lane::Report).per_stream, [(0, 170)]);
    let rest = drain(&mut store, Lane::Report, Stream::Heartbeat);
    let expected: Vec<_> = (30..200).map(|n| (n + 1, beat(n).body)).collect();
    assert_eq!(rest, expected);
    assert_eq!(stats(&store, Lane::Report).records, 0);
    assert!(epochs(dir.path(), Lane::Report).len() <= 1, "space came back");
}

#[test]
fn numbers_go_on_over_an_empty_outbox_and_a_restart() {
    let dir = home();
    let mut store = open(dir.path());
    fill(&mut store, Lane::Audit, 0..3);
    drain(&mut store, Lane::Audit, Stream::Heartbeat);
    store.close();
    let mut store = open(dir.path());
    let ids = fill(&mut store, Lane::Audit, 3..4);
    assert_eq!(ids, [MessageId::new(&store.id(), Lane::Audit, 4)]);
}

#[test]
fn a_record_of_a_megabyte_comes_back_whole_and_a_larger_one_is_refused() {
    let dir = home();
    let mut store = open(dir.path());
    let big = record(Stream::Inventory, 1, MAX_RECORD);
    store.enqueue(&[(Lane::Report, beat(0)), (Lane::Report, big.clone()), (Lane::Report, beat(2))]).unwrap();
    let blobs = epochs(dir.path(), Lane::Report)[0].join("blobs");
    assert_eq!(std::fs::read_dir(blobs).unwrap().count(), 0, "sled syncs no blobs: there must be none");
    store.close();
    let mut store = open(dir.path());
    let kept = store.read(Lane::Report, Stream::Inventory, 10, 10).unwrap();
    assert_eq!(kept.iter().map(|k| (k.seq, &k.record)).collect::<Vec<_>>(), [(2, &big)]);
    assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len(), 2);
    let larger = record(Stream::Inventory, 1, MAX_RECORD + 1);
    let refused = store.enqueue(&[(Lane::Report, beat(3)), (Lane::Report, larger)]);
    assert!(matches!(refused, Err(StoreError::TooLarge(_))), "{refused:?}");
    assert!(drain(&mut store, Lane::Report, Stream::Heartbeat).is_empty(), "nothing of the batch was taken");
}

#[test]
fn streams_of_a_lane_have_cursors_of_their_own() {
    let dir = home();
    let mut store = open(dir.path());
    for n in 0..120 {
        let stream = if n % 2 == 0 { Stream::Heartbeat } else { Stream::Inventory };
        store.enqueue(&[(Lane::Report, record(stream, n, 90))]).unwrap();
    }
    let before = epochs(dir.path(), Lane::Report).len();
    assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len(), 60);
    assert_eq!(stats(&store, Lane::Report).per_stream, [(1, 60)]);
    store.close();
    let mut store = open(dir.path());
    assert_eq!(stats(&store, Lane::Report).per_stream, [(1, 60)]);
    let inventory = drain(&mut store, Lane::Report, Stream::Inventory);
    assert_eq!(
        inventory.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(),
        (1..=60).map(|n| 2 * n).collect::<Vec<_>>()
    );
    assert_eq!(epochs(dir.path(), Lane::Report).len(), 1, "the writer's alone is left of {before}");
}

#[test]
fn the_state_lane_keeps_the_latest_value_and_an_ack_spares_what_came_after_the_read() {
    let dir = home();
    let mut store = open(dir.path());
    for n in 0..9 {
        store.enqueue(&[(Lane::State, beat(n))]).unwrap();
    }
    let kept = store.read(Lane::State, Stream::Heartbeat, 10, 1 << 20).unwrap();
    assert_eq!(kept.iter().map(|k| k.seq).collect::<Vec<_>>(), [7, 8, 9]);
    store.enqueue(&[(Lane::State, beat(9))]).unwrap();
    store.ack(Lane::State, Stream::Heartbeat, 9).unwrap();
    store.close();
    let mut store = open(dir.path());
    assert_eq!(stats(&store, Lane::State).records, 1);
    assert_eq!(drain(&mut store, Lane::State, Stream::Heartbeat), [(10, beat(9).body)]);
    assert_eq!(stats(&store, Lane::State).records, 0);
}

#[test]
fn a_refused_record_is_set_aside_counted_and_does_not_hold_up_the_rest() {
    let dir = home();
    let mut store = open(dir.path());
    fill(&mut store, Lane::Report, 0..3);
    let wrong = store.quarantine(Lane::Report, Stream::Heartbeat, 2, "no", 5);
    assert!(wrong.is_err(), "only the head can be refused");
    store.quarantine(Lane::Report, Stream::Heartbeat, 1, "400: no such column", 5).unwrap();
    store.close();
    let mut store = open(dir.path());
    let refused = store.quarantined();
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].reason.as_str(), refused[0].at_ms), ("400: no such column", 5));
    assert_eq!(refused[0].body.as_bytes(), beat(0).body);
    assert_eq!(stats(&store, Lane::Report).quarantined, 1);
    assert_eq!(drain(&mut store, Lane::Report, Stream::Heartbeat).len(), 2);
}

#[test]
fn documents_survive_restarts_whole_and_secrets_are_not_on_the_medium() {
    let dir = home();
    let mut store = open(dir.path());
    let large: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    store.doc_put("desired/large", &large, false).unwrap();
    store.doc_put("desired/small", b"one", false).unwrap();
    store.doc_put("desired/small", b"two", false).unwrap();
    store.doc_put("token", b"MARK-OF-THE-SECRET", true).unwrap();
    store.doc_put("gone", b"x", false).unwrap();
    store.doc_remove("gone").unwrap();
    store.close();
    let mut store = open(dir.path());
    assert_eq!(store.doc_get("desired/large").unwrap(), Some(large));
    assert_eq!(store.doc_get("desired/small").unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(store.doc_get("token").unwrap().as_deref(), Some(&b"MARK-OF-THE-SECRET"[..]));
    assert_eq!(store.doc_get("gone").unwrap(), None);
    assert_eq!(store.doc_list("desired/").unwrap(), ["desired/large", "desired/small"]);
    store.close();
    let mut found = Vec::new();
    files(dir.path(), &mut |path, bytes| {
        if bytes.windows(18).any(|w| w == b"MARK-OF-THE-SECRET") {
            found.push(path.to_owned());
        }
    });
    assert!(found.is_empty(), "{found:?}");
    let mut other = options(dir.path());
    other.key = Some(Box::new([8; 32]));
    assert_eq!(
        Store::open(other).unwrap().0.doc_get("token").unwrap(),
        None,
        "sealed with another key: lost"
    );
}

/// Calls `visit` with every file and its bytes.
fn files(dir: &Path, visit: &mut dyn FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, visit);
        } else {
            visit(&path, &std::fs::read(&path).unwrap());
        }
    }
}

#[test]
fn a_document_above_the_ceiling_is_refused_with_a_word_and_the_old_one_stays() {
    let dir = home();
    let mut store = open(dir.path());
    store.doc_put("d", b"old", false).unwrap();
    let refused = store.doc_put("d", &vec![0; MAX_DOCUMENT + 1], false).unwrap_err();
    assert!(matches!(&refused, StoreError::TooLarge(text) if text.contains("16777216")), "{refused}");
    assert_eq!(store.doc_get("d").unwrap().as_deref(), Some(&b"old"[..]));
}

#[test]
fn what_documents_leave_behind_is_compacted() {
    let dir = home();
    let mut store = open(dir.path());
    for n in 0..40u8 {
        store.doc_put("d", &vec![n; 200_000], false).unwrap();
    }
    store.close();
    let mut store = open(dir.path());
    assert_eq!(store.doc_get("d").unwrap(), Some(vec![39; 200_000]));
    let mut size = 0;
    files(&dir.path().join("cache"), &mut |_, bytes| size += bytes.len());
    assert!(size < 4 << 20, "8 MB were written, {size} bytes are there");
}

#[test]
fn a_second_process_is_refused_and_may_come_in_when_the_first_has_left() {
    let dir = home();
    let store = open(dir.path());
    assert!(matches!(Store::open(options(dir.path())), Err(StoreError::Locked(_))));
    store.close();
    assert!(Store::open(options(dir.path())).is_ok());
}

#[test]
fn a_newer_format_is_refused_and_left_untouched() {
    let dir = home();
    let mut store = open(dir.path());
    fill(&mut store, Lane::Report, 0..10);
    store.close();
    std::fs::write(dir.path().join("format"), "arclet-store 2 00000000000000000000000000000000 more\n")
        .unwrap();
    let look = || {
        let mut all = Vec::new();
        files(dir.path(), &mut |path, bytes| all.push((path.to_owned(), bytes.to_vec())));
        all.sort();
        all
    };
    let before = look();
    let refused = Store::open(options(dir.path()));
    assert!(matches!(&refused, Err(StoreError::Newer(text)) if text.contains("format 2")), "{refused:?}");
    assert_eq!(look(), before);
}

#[test]
fn a_loss_that_was_reported_is_not_reported_again_after_a_restart() {
    let dir = home();
    let mut options = options(dir.path());
    options.quotas[Lane::Logs as usize] = 600 << 10;
    let (mut store, _) = Store::open(options).unwrap();
    let ids = fill(&mut store, Lane::Logs, 0..900);
    let lost = stats(&store, Lane::Logs).lost_quota;
    assert!(lost > 100, "{lost}");
    let left = store.read(Lane::Logs, Stream::Heartbeat, 1000, usize::MAX).unwrap();
    assert_eq!(
        left.iter().map(|k| k.id.clone()).collect::<Vec<_>>(),
        ids[lost as usize..],
        "the oldest went"
    );
    let losses = store.unreported_losses();
    let counts: Vec<_> = losses.iter().map(|l| (l.lane, l.count, l.total)).collect();
    assert_eq!(counts, [(Lane::Logs, lost, lost)]);
    store.losses_reported(&losses).unwrap();
    store.close();
    assert!(open(dir.path()).unreported_losses().is_empty());
}

#[test]
fn a_batch_over_several_lanes_is_taken_as_a_whole_or_not_at_all() {
    let dir = home();
    let mut options = options(dir.path());
    options.quotas[Lane::Report as usize] = 1;
    let (mut store, _) = Store::open(options).unwrap();
    let refused = store.enqueue(&[(Lane::Audit, beat(1)), (Lane::State, beat(1)), (Lane::Report, beat(1))]);
    assert!(matches!(refused, Err(StoreError::Full { lane: Lane::Report, .. })), "{refused:?}");
    assert!(store.stats().iter().all(|(_, stats)| stats.records == 0));
    store.enqueue(&[(Lane::Audit, beat(2)), (Lane::State, beat(2))]).unwrap();
    assert_eq!(drain(&mut store, Lane::Audit, Stream::Heartbeat), [(1, beat(2).body)]);
    assert_eq!(drain(&mut store, Lane::State, Stream::Heartbeat), [(1, beat(2).body)]);
}
