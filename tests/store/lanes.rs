//! Each lane has a quota and a policy of its own, and pays for nobody else.

use crate::rig::*;
use arclet::core::{Lane, LossCause, Stream};
use arclet::store::{Store, StoreError};

const LANES: [Lane; 4] = [Lane::Report, Lane::Audit, Lane::Logs, Lane::Metrics];

/// A store whose queues hold a few dozen large records.
fn small(dir: &std::path::Path) -> Store {
    let mut options = options(dir);
    options.quotas = [512 << 10; 5];
    options.epoch_bytes = 16 << 10;
    Store::open(options).expect("the store opens").0
}

#[test]
fn what_one_lane_drops_never_takes_anothers_record() {
    for flooded in [Lane::Logs, Lane::Metrics] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = small(dir.path());
        for lane in LANES {
            fill(&mut store, lane, 0..20);
        }
        for n in 0..60 {
            store.enqueue(&[(flooded, record(Stream::Heartbeat, 20 + n, 8_000))]).unwrap();
        }
        for lane in LANES.into_iter().filter(|lane| *lane != flooded) {
            assert_eq!(stats(&store, lane).lost_quota, 0, "{lane:?} pays for {flooded:?}");
            assert_eq!(drain(&mut store, lane, Stream::Heartbeat).len(), 20, "{lane:?}");
        }
        let stats = stats(&store, flooded);
        assert!(stats.lost_quota > 0, "the flood is larger than the quota");
        assert_eq!(stats.lost_quota + stats.records, 80, "and every record of it is there or counted");
        let losses = store.unreported_losses();
        assert_eq!(losses.len(), 1);
        assert_eq!(
            (losses[0].lane, losses[0].cause, losses[0].count),
            (flooded, LossCause::Quota, stats.lost_quota)
        );
    }
}

#[test]
fn a_lane_that_drops_nothing_says_that_it_is_full_and_keeps_what_it_has() {
    for lane in [Lane::Report, Lane::Audit] {
        let dir = tempfile::tempdir().unwrap();
        let mut store = small(dir.path());
        let mut kept = 0;
        let refused = loop {
            match store.enqueue(&[(lane, record(Stream::Heartbeat, kept, 8_000))]) {
                Ok(_) => kept += 1,
                Err(e) => break e,
            }
            assert!(kept < 1_000, "the quota of {lane:?} is no quota");
        };
        assert!(matches!(refused, StoreError::Full { lane: full, .. } if full == lane), "{refused}");
        fill(&mut store, Lane::Logs, 0..5);
        assert_eq!(drain(&mut store, lane, Stream::Heartbeat).len() as u64, kept);
        assert_eq!(stats(&store, lane).lost_quota, 0);
        assert!(store.enqueue(&[(lane, beat(kept))]).is_ok(), "there is room again after the drain");
    }
}
