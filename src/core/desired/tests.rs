//! The life of documents, one property each.

mod back;
mod many;
mod news;
mod supplies;

use super::*;
use crate::core::document::{
    Compliance, Confirmation, Enforced, Head, Kind, Listing, NOT_CACHED, Parent, Withdrawn,
};
use crate::core::settings::Profile;
use crate::core::testing::{Seeded, at};

/// A machine, its clock and its chance.
struct Rig {
    desired: Desired,
    now: Now,
    rng: Seeded,
}

fn key(name: &str) -> Key {
    Key::new(Kind::Flux, name)
}

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

fn head(name: &str, n: u8) -> Head {
    Head { key: key(name), digest: digest(n), leaving: false, stored: Ok(Needs::default()) }
}

fn cached(name: &str) -> (Key, Digest, Needs) {
    (key(name), digest(1), Needs::default())
}

fn there(created_at: &str) -> Parent {
    Parent::There { created_at: created_at.to_owned() }
}

fn picture(compliance: Compliance) -> Picture {
    Picture { compliance, source_revision: None, statuses: Vec::new() }
}

fn why(code: &str) -> Reason {
    Reason::new(code, "for a test")
}

impl Rig {
    fn new(cached: &[(Key, Digest, Needs)], remembered: Remembered<'_>) -> Rig {
        let mut rng = Seeded(7);
        let now = at(100);
        let settings = DesiredSettings::of(Profile::Default);
        Rig { desired: Desired::restore(settings, cached, remembered, now, &mut rng), now, rng }
    }

    /// One that has listed these under parent `p`, and verified them.
    fn settled(names: &[&str]) -> Rig {
        let mut rig = Rig::new(&[], [None; 2]);
        rig.list(names.iter().map(|name| head(name, 1)).collect(), Some(there("p")));
        for name in names {
            rig.apply(name, 1, Compliance::Compliant);
        }
        rig
    }

    fn pass(&mut self, seconds: u64) {
        self.now.mono = self.now.mono + Duration::from_secs(seconds);
    }

    fn list(&mut self, heads: Vec<Head>, parent: Option<Parent>) {
        self.desired.listed(self.now, &mut self.rng, Listing { heads, parent });
    }

    fn apply(&mut self, name: &str, n: u8, compliance: Compliance) {
        self.show(name, n, picture(compliance));
    }

    fn show(&mut self, name: &str, n: u8, picture: Picture) {
        let applied = Enforced::Applied { digest: digest(n), picture };
        self.desired.begun(self.now, &Want::Enforce(key(name)));
        self.desired.enforced(self.now, &mut self.rng, &key(name), applied);
    }

    fn fail(&mut self, name: &str, code: &str) {
        self.desired.begun(self.now, &Want::Enforce(key(name)));
        self.desired.enforced(self.now, &mut self.rng, &key(name), Enforced::Failed(why(code)));
    }

    fn withdrawal(&mut self, name: &str, withdrawn: Withdrawn) {
        self.desired.begun(self.now, &Want::Withdraw(key(name)));
        self.desired.withdrawn(self.now, &mut self.rng, &key(name), withdrawn);
    }

    fn confirm(&mut self, name: &str, gone: bool, parent: Parent) {
        self.desired.confirmed(self.now, &key(name), &Confirmation { gone, parent });
    }

    fn cluster(&self) -> Option<Want> {
        self.desired.want(self.now.mono, false, true)
    }

    fn azure(&self) -> Option<Want> {
        self.desired.want(self.now.mono, true, false)
    }

    fn state(&self, name: &str) -> Option<&'static str> {
        let view = self.desired.view();
        view.documents.iter().find(|document| document.key == key(name)).map(|document| document.state)
    }

    fn next_try(&self, name: &str) -> Option<Duration> {
        let view = self.desired.view();
        let document = view.documents.iter().find(|document| document.key == key(name))?;
        document.next_try.map(|at| at.since(self.now.mono))
    }

    /// As after a crash: what is remembered, and what the cache holds.
    fn restart(&mut self, cached: &[(Key, Digest, Needs)]) {
        self.desired.changed = true;
        let remembered = self.desired.document();
        *self = Rig { now: self.now, ..Rig::new(cached, [remembered.as_deref(), None]) };
    }
}

#[test]
fn what_the_cache_holds_is_enforced_at_once_whatever_azure_says() {
    let rig = Rig::new(&[cached("a")], [None; 2]);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    assert_eq!(rig.desired.want(rig.now.mono, false, false), None);
}

#[test]
fn a_document_is_stored_then_applied_then_verified_and_looked_at_again_after_the_interval() {
    let mut rig = Rig::new(&[], [None; 2]);
    rig.list(vec![head("a", 1)], Some(there("p")));
    assert_eq!(rig.state("a"), Some("stored"));
    rig.apply("a", 1, Compliance::Pending);
    assert_eq!(rig.state("a"), Some("applied"));
    assert!(rig.next_try("a").unwrap() <= Duration::from_secs(15));
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.state("a"), Some("verified"));
    assert_eq!(rig.cluster(), None);
    assert!(rig.next_try("a").unwrap() >= Duration::from_secs(270));
    rig.pass(330);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))), "drift is looked for");
}

#[test]
fn what_flux_still_works_on_is_looked_at_less_and_less_often_up_to_the_interval() {
    let mut rig = Rig::settled(&["a"]);
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        rig.apply("a", 1, Compliance::NonCompliant);
        let delay = rig.next_try("a").unwrap();
        assert!(delay <= Duration::from_secs(300));
        longest = longest.max(delay);
    }
    assert!(longest >= Duration::from_secs(150), "{longest:?}");
}

#[test]
fn new_content_is_enforced_at_once_and_the_same_content_is_not() {
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![head("a", 1)], None);
    assert_eq!(rig.cluster(), None);
    rig.list(vec![head("a", 2)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn an_answer_about_older_content_does_not_hide_newer_and_a_cache_that_lags_is_not_asked_without_pause() {
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![head("a", 2)], None);
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.cluster(), None);
    assert_eq!(rig.state("a"), Some("stored"));
}

#[test]
fn content_that_a_listing_left_in_the_cache_before_it_broke_off_does_no_harm() {
    // What a page handed on is stored before it is known whether there is a whole listing; here there was none.
    let mut rig = Rig::settled(&["a", "b"]);
    rig.desired.not_listed(rig.now, &mut rig.rng, true);
    rig.pass(400);
    rig.apply("a", 2, Compliance::Compliant);
    rig.apply("b", 1, Compliance::Compliant);
    // It is in the cluster, newer than what was listed, and nothing else followed from it.
    assert_eq!((rig.state("a"), rig.state("b")), (Some("stored"), Some("verified")));
    assert_eq!(rig.azure(), Some(Want::Pull { parent: false }));
    // The listing that comes through settles it, whether it says the same or what was before.
    for n in [2, 1] {
        let mut rig = Rig { desired: rig.desired.clone(), ..Rig::new(&[], [None; 2]) };
        rig.list(vec![head("a", n), head("b", 1)], None);
        rig.apply("a", n, Compliance::Compliant);
        assert_eq!((rig.state("a"), rig.state("b")), (Some("verified"), Some("verified")));
    }
    // A document that only such a listing knew is wanted after a restart, and goes by the rule for all others.
    let kept = [("a", 2), ("b", 1), ("c", 1)].map(|(name, n)| (key(name), digest(n), Needs::default()));
    rig.restart(&kept);
    assert_eq!(rig.state("c"), Some("stored"));
    for _ in 0..2 {
        assert!(!matches!(rig.azure(), Some(Want::Confirm(_))));
        rig.list(vec![head("a", 2), head("b", 1)], Some(there("p")));
    }
    assert_eq!(rig.azure(), Some(Want::Confirm(key("c"))));
}

#[test]
fn a_document_that_fails_waits_longer_each_time_and_delays_no_other() {
    let mut rig = Rig::settled(&["a", "b"]);
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        rig.fail("a", "Refused");
        let delay = rig.next_try("a").unwrap();
        assert!(delay >= Duration::from_secs(1) && delay <= Duration::from_secs(300), "{delay:?}");
        longest = longest.max(delay);
    }
    assert!(longest >= Duration::from_secs(100), "{longest:?}");
    rig.list(vec![head("a", 1), head("b", 2)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("b"))));
    rig.list(vec![head("a", 2), head("b", 2)], None);
    rig.apply("b", 2, Compliance::Compliant);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))), "new content is tried at once");
}

#[test]
fn of_documents_that_are_due_the_one_that_waited_longest_comes_first() {
    let mut rig = Rig::settled(&["a", "b"]);
    rig.list(vec![head("a", 2), head("b", 1)], None);
    rig.pass(1);
    rig.list(vec![head("a", 2), head("b", 2)], None);
    rig.desired.begun(rig.now, &Want::Enforce(key("a")));
    rig.pass(1);
    rig.desired.cluster_failed(rig.now, &key("a"));
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("b"))));
}

#[test]
fn content_that_could_not_be_stored_leaves_the_older_enforced_and_says_why() {
    let mut rig = Rig::settled(&["a"]);
    let full = Head { stored: Err(why("Full")), ..head("a", 2) };
    rig.list(vec![full], None);
    assert_eq!(rig.state("a"), Some("verified"));
    let view = rig.desired.view();
    assert_eq!(view.documents[0].digest, digest(1));
    assert_eq!(view.documents[0].reason.as_ref().unwrap().code, "Full");
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.cluster(), None);
    rig.list(vec![head("a", 2)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    assert!(rig.desired.view().documents[0].reason.is_none());
}

#[test]
fn content_that_was_never_stored_is_a_failure_without_a_try() {
    let mut rig = Rig::settled(&[]);
    rig.list(vec![Head { stored: Err(why("TooLarge")), ..head("a", 1) }], None);
    assert_eq!((rig.state("a"), rig.next_try("a"), rig.cluster()), (Some("failed"), None, None));
    rig.list(vec![head("a", 1)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn a_document_that_the_cache_lost_is_fetched_again_and_never_withdrawn() {
    let mut rig = Rig::settled(&["a"]);
    rig.fail("a", NOT_CACHED);
    rig.pass(5);
    assert_eq!(rig.azure(), Some(Want::Pull { parent: false }));
    rig.list(vec![head("a", 1)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    // The whole cache is lost; the memory is not.
    rig.restart(&[]);
    assert_eq!((rig.state("a"), rig.cluster()), (Some("failed"), None));
    rig.pass(30);
    assert!(matches!(rig.azure(), Some(Want::Pull { .. })));
    rig.list(vec![], None);
    rig.list(vec![], Some(there("p")));
    assert_eq!(rig.cluster(), None);
    assert_eq!(rig.azure(), Some(Want::Confirm(key("a"))), "its objects go by the rule, like any others");
    rig.list(vec![head("a", 1)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn a_document_is_withdrawn_when_two_listings_lack_it_and_its_own_get_and_the_parent_say_so() {
    let mut rig = Rig::settled(&["a", "b"]);
    rig.list(vec![head("b", 1)], None);
    assert_eq!(rig.azure(), None, "one listing says nothing");
    rig.pass(330);
    assert_eq!(rig.azure(), Some(Want::Pull { parent: true }));
    rig.apply("a", 1, Compliance::Compliant);
    rig.apply("b", 1, Compliance::Compliant);
    rig.list(vec![head("b", 1)], Some(there("p")));
    assert_eq!((rig.azure(), rig.cluster()), (Some(Want::Confirm(key("a"))), None));
    rig.confirm("a", true, there("p"));
    assert_eq!(rig.cluster(), Some(Want::Withdraw(key("a"))));
    rig.withdrawal("a", Withdrawn::Waiting(why("Finalizer")));
    assert_eq!((rig.state("a"), rig.cluster()), (Some("withdrawing"), None));
    rig.withdrawal("a", Withdrawn::Gone);
    assert_eq!((rig.state("a"), rig.state("b")), (None, Some("verified")));
}

#[test]
fn no_question_about_a_missing_document_withdraws_it_but_the_one_whole_answer() {
    for (gone, parent) in [(false, there("p")), (false, there("q")), (true, there("q")), (true, Parent::Gone)]
    {
        let mut rig = Rig::settled(&["a"]);
        rig.list(vec![], None);
        rig.list(vec![], Some(there("p")));
        rig.confirm("a", gone, parent.clone());
        assert_eq!(rig.cluster(), None, "{gone} {parent:?}");
        assert_ne!(rig.state("a"), Some("withdrawing"));
    }
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![], None);
    rig.list(vec![], Some(there("p")));
    rig.desired.not_confirmed(&key("a"));
    assert_eq!((rig.cluster(), rig.azure()), (None, None), "a listing has to lack it again");
    rig.list(vec![], Some(there("p")));
    assert_eq!(rig.azure(), Some(Want::Confirm(key("a"))));
}

#[test]
fn a_listing_that_has_it_again_starts_the_count_anew() {
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![], None);
    rig.list(vec![head("a", 1)], Some(there("p")));
    rig.list(vec![], None);
    assert_eq!(rig.azure(), None);
}

#[test]
fn every_answer_that_is_no_complete_listing_withdraws_nothing() {
    let stored = [None, Some(Ok(Needs::default())), Some(Err(why("Full")))];
    let parents = [None, Some(there("p")), Some(there("q")), Some(Parent::Gone)];
    // Each pair of answers, in each order; no listing twice lacks it under the same parent and is confirmed.
    for first in &stored {
        for second in &stored {
            for parent in &parents {
                for next in &parents {
                    for failed in [false, true] {
                        let mut rig = Rig::settled(&["a"]);
                        for (stored, parent) in [(first, parent), (second, next)] {
                            let heads =
                                stored.iter().map(|stored| Head { stored: stored.clone(), ..head("a", 2) });
                            rig.list(heads.collect(), parent.clone());
                            rig.desired.not_listed(rig.now, &mut rig.rng, failed);
                        }
                        let said = format!("{first:?} {second:?} {parent:?} {next:?} {failed}");
                        assert!(rig.state("a").is_some(), "{said}");
                        assert_ne!(rig.state("a"), Some("withdrawing"), "{said}");
                        assert!(!matches!(rig.cluster(), Some(Want::Withdraw(_))), "{said}");
                        if first.is_some() || second.is_some() {
                            assert!(!matches!(rig.azure(), Some(Want::Confirm(_))), "{said}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_parent_that_is_gone_withdraws_nothing_is_shown_and_counts_begin_anew_when_it_is_back() {
    let mut rig = Rig::settled(&["a"]);
    for _ in 0..5 {
        rig.list(vec![], Some(Parent::Gone));
    }
    assert_eq!(rig.desired.parent_trouble().unwrap().code, "ClusterGone");
    assert_eq!((rig.state("a"), rig.azure()), (Some("verified"), None));
    rig.list(vec![], Some(there("p")));
    assert!(rig.desired.parent_trouble().is_none());
    assert_eq!((rig.state("a"), rig.azure()), (Some("verified"), None));
}

#[test]
fn what_a_parent_made_anew_does_not_list_stays_in_the_cluster_and_is_an_orphan() {
    let mut rig = Rig::settled(&["a", "b"]);
    for _ in 0..3 {
        rig.list(vec![head("b", 1)], Some(there("q")));
    }
    assert_eq!((rig.state("a"), rig.state("b")), (Some("orphan"), Some("verified")));
    rig.pass(1_000);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("b"))));
    // Not after a restart either.
    rig.restart(&[cached("a"), cached("b")]);
    assert_eq!((rig.state("a"), rig.cluster()), (Some("orphan"), Some(Want::Enforce(key("b")))));
    rig.list(vec![head("a", 1), head("b", 1)], None);
    assert_eq!(rig.state("a"), Some("stored"), "and it is wanted when the new one lists it");
}

#[test]
fn what_was_enforced_under_nobody_known_is_not_withdrawn_by_the_first_parents_silence() {
    let mut rig = Rig::new(&[cached("a")], [None; 2]);
    for _ in 0..4 {
        rig.list(vec![], Some(there("q")));
    }
    assert_eq!(rig.state("a"), Some("orphan"));
    assert_eq!((rig.cluster(), matches!(rig.azure(), Some(Want::Confirm(_)))), (None, false));
}

#[test]
fn a_document_that_azure_is_deleting_is_withdrawn_once_though_azure_never_finishes() {
    let mut rig = Rig::settled(&["a"]);
    let leaving = Head { leaving: true, ..head("a", 1) };
    rig.list(vec![leaving.clone()], None);
    assert_eq!(rig.cluster(), Some(Want::Withdraw(key("a"))));
    rig.withdrawal("a", Withdrawn::Gone);
    for _ in 0..3 {
        rig.list(vec![leaving.clone()], None);
        assert_eq!((rig.state("a"), rig.cluster()), (Some("withdrawn"), None));
    }
    // The listings put its content into the cache again: a restart must not enforce that.
    rig.restart(&[cached("a")]);
    assert_eq!(rig.cluster(), Some(Want::Withdraw(key("a"))));
    rig.withdrawal("a", Withdrawn::Gone);
    rig.list(vec![leaving], None);
    rig.withdrawal("a", Withdrawn::Gone);
    rig.list(vec![], None);
    assert_eq!(rig.cluster(), Some(Want::Withdraw(key("a"))), "the cache is cleared of it too");
    rig.withdrawal("a", Withdrawn::Gone);
    assert_eq!(rig.state("a"), None);
}

#[test]
fn a_document_that_comes_back_while_it_is_taken_out_is_fetched_and_enforced_again() {
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![Head { leaving: true, ..head("a", 1) }], None);
    rig.desired.begun(rig.now, &Want::Withdraw(key("a")));
    rig.list(vec![head("a", 1)], None);
    rig.desired.withdrawn(rig.now, &mut rig.rng, &key("a"), Withdrawn::Gone);
    assert!(matches!(rig.azure(), Some(Want::Pull { .. })));
    rig.list(vec![head("a", 1)], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn a_document_that_comes_back_but_cannot_be_stored_is_not_taken_out_further() {
    let mut rig = Rig::settled(&["a"]);
    rig.list(vec![Head { leaving: true, ..head("a", 1) }], None);
    rig.list(vec![Head { stored: Err(why("Full")), ..head("a", 2) }], None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn a_withdrawal_goes_on_after_a_restart_and_a_count_does_not_end_with_one() {
    let mut rig = Rig::settled(&["a", "b"]);
    rig.list(vec![Head { leaving: true, ..head("a", 1) }], None);
    rig.restart(&[cached("b")]);
    assert_eq!(rig.state("a"), Some("withdrawing"), "though the cache has it no more");
    rig.withdrawal("a", Withdrawn::Gone);
    rig.list(vec![], Some(there("p")));
    assert_eq!(rig.azure(), Some(Want::Confirm(key("b"))));
}

#[test]
fn a_memory_that_is_not_understood_is_no_reason_to_withdraw() {
    for memory in [&b""[..], b"{", b"[]", b"{\"version\":9,\"documents\":3}"] {
        let rig = Rig::new(&[cached("a")], [Some(memory), None]);
        assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    }
}

#[test]
fn someone_who_asks_is_served_at_once_also_while_an_older_listing_is_under_way() {
    let mut rig = Rig::settled(&["a"]);
    assert_eq!((rig.azure(), rig.cluster()), (None, None));
    rig.desired.refresh(rig.now);
    assert!(matches!(rig.azure(), Some(Want::Pull { .. })));
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    rig.desired.begun(rig.now, &Want::Pull { parent: false });
    rig.desired.refresh(rig.now);
    rig.list(vec![head("a", 1)], None);
    assert!(matches!(rig.azure(), Some(Want::Pull { .. })));
}

#[test]
fn two_devices_do_not_pull_in_step() {
    let due = |seed| {
        let (mut rng, now) = (Seeded(seed), at(0));
        let settings = DesiredSettings::of(Profile::Default);
        let mut desired = Desired::restore(settings, &[], [None; 2], now, &mut rng);
        let first = desired.azure_due();
        desired.listed(now, &mut rng, Listing { heads: Vec::new(), parent: None });
        (first, desired.azure_due())
    };
    let (one, other) = (due(1), due(2));
    assert!(one.0 != other.0 && one.1 != other.1);
    assert!(
        one.1.since(Mono(0)) >= Duration::from_secs(270) && one.1.since(Mono(0)) <= Duration::from_secs(330)
    );
}

/// The states that are told now; they are durable then.
fn tell(rig: &mut Rig) -> Vec<(String, String)> {
    let news = rig.desired.news();
    let row = |news: &News| serde_json::from_slice::<serde_json::Value>(&news.body()).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let said = news.iter().map(row).map(|row| (text(&row["Name"]), text(&row["State"]))).collect();
    rig.desired.told(news);
    said
}
