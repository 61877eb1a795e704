//! What comes back while it goes, and a process that dies before it remembers so.

use super::*;

#[test]
fn what_azure_wants_again_is_not_withdrawn_by_a_process_that_died_before_it_remembered_so() {
    let mut rig = Rig::settled(&["a", "b"]);
    let goes = |rig: &mut Rig| {
        rig.list(vec![], Some(there("p")));
        rig.list(vec![], Some(there("p")));
        for name in ["a", "b"] {
            rig.confirm(name, true, there("p"));
            assert_eq!(rig.state(name), Some("withdrawing"));
        }
        rig.desired.document().unwrap()
    };
    let marks = goes(&mut rig);
    let going = rig.desired.going();
    assert_eq!(going.returned(&[head("c", 1), Head { leaving: true, ..head("a", 1) }]), None);
    let returned = going.returned(&[head("a", 1), head("c", 1)]).unwrap();
    let all = [cached("a"), cached("b")];
    rig = Rig { now: rig.now, ..Rig::new(&all, [Some(&marks), Some(&returned)]) };
    assert_eq!((rig.state("a"), rig.state("b")), (Some("stored"), Some("withdrawing")));
    assert_eq!(rig.desired.going().returned(&[head("a", 1)]), None, "it goes no more");
    // What goes later goes, whatever came back once: also when the newer marks are all that was ever read.
    let marks = goes(&mut rig);
    for cached in [&all[..], &[]] {
        let rig = Rig { now: rig.now, ..Rig::new(cached, [Some(&marks), Some(&returned)]) };
        assert_eq!((rig.state("a"), rig.state("b")), (Some("withdrawing"), Some("withdrawing")));
    }
    // Marks that were lost do not begin at numbers that the older return is stronger than.
    let mut rig = Rig { now: rig.now, ..Rig::new(&all, [None, Some(&returned)]) };
    rig.list(vec![head("a", 1), head("b", 1)], Some(there("p")));
    let marks = goes(&mut rig);
    let rig = Rig { now: rig.now, ..Rig::new(&all, [Some(&marks), Some(&returned)]) };
    assert_eq!(rig.state("a"), Some("withdrawing"));
}

#[test]
fn what_comes_back_after_it_was_taken_out_is_not_taken_out_again_by_marks_that_are_out_of_date() {
    let mut rig = Rig::settled(&["a", "b"]);
    rig.list(vec![], Some(there("p")));
    rig.list(vec![], Some(there("p")));
    rig.confirm("a", true, there("p"));
    assert_eq!(rig.desired.document().map(drop), Some(()), "of the listing");
    rig.confirm("b", true, there("p"));
    let marks = rig.desired.document().expect("the last of those that were asked about");
    rig.desired.is_remembered();
    rig.withdrawal("a", Withdrawn::Gone);
    assert_eq!(rig.desired.document(), None, "one more is to go");
    // It is wanted again, then another listing has the other one, and the process dies before any of it is remembered.
    let returned = rig.desired.going().returned(&[head("a", 1)]).expect("the marks say that it goes");
    let dies = |returned: &[u8], name: &str| {
        let rig = Rig::new(&[cached("a"), cached("b")], [Some(&marks), Some(returned)]);
        assert_eq!(rig.state(name), Some("stored"));
    };
    dies(&returned, "a");
    rig.list(vec![head("a", 1)], None);
    let returned = rig.desired.going().returned(&[head("a", 1), head("b", 1)]).expect("the other one goes");
    dies(&returned, "a");
    dies(&returned, "b");
    // Once that is remembered, nothing is to be said of it any more.
    rig.list(vec![head("a", 1), head("b", 1)], None);
    assert!(rig.desired.document().is_some());
    rig.desired.is_remembered();
    assert_eq!(rig.desired.going().returned(&[head("a", 1), head("b", 1)]), None);
    assert!(rig.desired.back.is_empty() && rig.desired.away.is_empty());
}
