//! What an answer does to a slot, and a slot to the others.

use super::*;
use crate::core::testing::Seeded;

const A: (Lane, Stream) = (Lane::Report, Stream::Heartbeat);
const B: (Lane, Stream) = (Lane::Logs, Stream::Inventory);

fn outbox(waiting: &[(Lane, Stream)]) -> Outbox {
    let mut outbox = Outbox::new(100, 1_000);
    for (lane, stream) in waiting {
        outbox.waiting(*lane, *stream);
    }
    outbox
}

fn next(outbox: &mut Outbox, now: u64) -> Option<(Lane, Stream, usize)> {
    match outbox.next(Mono(now), true, true)? {
        Action::Deliver { lane, stream, max_records, .. } => Some((lane, stream, max_records)),
        other => panic!("{other:?}"),
    }
}

fn answer(outbox: &mut Outbox, slot: (Lane, Stream), records: usize, outcome: Outcome) -> Verdict {
    let span = (1, records as Seq);
    outbox.answered(Mono(0), &mut Seeded(1), &Config::NEAR, true, slot, span, records, &outcome)
}

fn why() -> Reason {
    Reason::new("Why", "because")
}

#[test]
fn the_more_important_lane_goes_first_and_a_slot_is_sent_once_at_a_time() {
    let mut outbox = outbox(&[B, A]);
    assert_eq!(next(&mut outbox, 0), Some((A.0, A.1, 100)));
    assert_eq!(next(&mut outbox, 0), Some((B.0, B.1, 100)));
    assert_eq!(next(&mut outbox, 0), None);
}

#[test]
fn nothing_is_deleted_before_a_success_and_nothing_is_sent_before_the_deletion() {
    for outcome in [
        Outcome::TooLarge(why()),
        Outcome::BadRecord(why()),
        Outcome::Refused(why()),
        Outcome::Unauthorized { reason: why(), claims: None },
        Outcome::Throttled { reason: why(), retry_after: None },
        Outcome::Unreachable(why()),
    ] {
        let mut outbox = outbox(&[A]);
        next(&mut outbox, 0);
        answer(&mut outbox, A, 50, outcome.clone());
        assert_eq!(outbox.tell(), None, "{outcome:?}");
    }
    let mut outbox = outbox(&[A]);
    next(&mut outbox, 0);
    assert_eq!(answer(&mut outbox, A, 50, Outcome::Success), Verdict::Delivered);
    assert_eq!(outbox.tell(), Some(Action::Ack { lane: A.0, stream: A.1, through: 50 }));
    assert_eq!(outbox.tell(), None, "the store is told once");
    assert_eq!(next(&mut outbox, 0), None);
    assert!(!outbox.acked(A.0, A.1, 49), "that is not what it was told");
    assert!(outbox.acked(A.0, A.1, 50));
    assert!(next(&mut outbox, 0).is_some());
}

#[test]
fn what_the_store_could_not_do_it_is_told_again_and_only_that() {
    let mut outbox = outbox(&[A, B]);
    for slot in [A, B] {
        next(&mut outbox, 0);
        answer(&mut outbox, slot, 5, Outcome::Success);
        assert!(outbox.tell().is_some());
    }
    outbox.not_acked(A.0, A.1);
    assert_eq!(outbox.tell(), None, "not at once");
    outbox.tell_again();
    assert_eq!(outbox.tell(), Some(Action::Ack { lane: A.0, stream: A.1, through: 5 }));
    assert_eq!(outbox.tell(), None, "the other one has not answered yet");
}

#[test]
fn a_single_record_that_is_too_large_or_bad_is_set_aside_with_the_servers_reason() {
    for outcome in [Outcome::TooLarge(why()), Outcome::BadRecord(why())] {
        let mut outbox = outbox(&[A]);
        next(&mut outbox, 0);
        answer(&mut outbox, A, 1, outcome);
        assert_eq!(outbox.tell(), Some(Action::Quarantine { lane: A.0, stream: A.1, seq: 1, reason: why() }));
        assert_eq!(outbox.set_aside(Mono(0), &mut Seeded(1), &Config::NEAR, A.0, A.1, 1), Some(why()));
    }
}

#[test]
fn a_slot_in_which_nothing_is_ever_accepted_slows_down() {
    let mut outbox = outbox(&[A]);
    for seq in 1..=u64::from(ASIDE_MOST) {
        assert!(next(&mut outbox, 0).is_some());
        let bad = Outcome::BadRecord(why());
        outbox.answered(Mono(0), &mut Seeded(1), &Config::NEAR, true, A, (seq, seq), 1, &bad);
        outbox.tell();
        outbox.set_aside(Mono(0), &mut Seeded(1), &Config::NEAR, A.0, A.1, seq);
    }
    assert!(outbox.hopeless(A.0, A.1));
    assert_eq!(next(&mut outbox, 0), None);
    assert!(outbox.not_before() >= Some(Mono(200_000)));
    assert!(next(&mut outbox, 400_000).is_some());
}

#[test]
fn with_the_link_down_each_slot_has_its_turn() {
    let mut outbox = outbox(&[A, B]);
    let mut tried = Vec::new();
    for _ in 0..4 {
        let Some(Action::Deliver { lane, stream, .. }) = outbox.next(Mono(0), false, true) else { panic!() };
        tried.push(lane);
        let down = Outcome::Unreachable(why());
        outbox.answered(Mono(0), &mut Seeded(1), &Config::NEAR, false, (lane, stream), (1, 1), 1, &down);
    }
    assert_eq!(tried, [A.0, B.0, A.0, B.0]);
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut outbox = outbox(&[A]);
    assert_eq!(answer(&mut outbox, A, 5, Outcome::Success), Verdict::Stray);
    assert_eq!(outbox.tell(), None);
}

#[test]
fn a_record_that_cannot_be_set_aside_does_not_hold_up_its_stream_for_ever() {
    let mut outbox = outbox(&[A]);
    next(&mut outbox, 0);
    answer(&mut outbox, A, 1, Outcome::BadRecord(why()));
    assert!(outbox.tell().is_some());
    outbox.not_set_aside(Mono(0), &mut Seeded(1), A.0, A.1);
    assert_eq!(next(&mut outbox, 0), None, "not at once");
    assert!(next(&mut outbox, 30_000).is_some(), "what is at the head now is judged anew");
}
