//! What documents need from elsewhere, one property each.

use super::*;
use crate::core::document::{CHART_NOT_FETCHED, SECRET_NOT_FETCHED, Supplied};

impl Rig {
    /// One with a vault that has listed `a`, which needs these.
    fn needy(needs: Needs) -> Rig {
        let mut rig = Rig::new(&[], [None; 2]);
        rig.desired.settings.vault = true;
        rig.list(vec![Head { stored: Ok(needs), ..head("a", 1) }], Some(there("p")));
        rig
    }

    fn supply(&self, supply: Supply) -> Option<Want> {
        self.desired.want_supply(self.now.mono, supply)
    }

    fn begin(&mut self, supply: Supply) {
        self.desired.begun(self.now, &Want::Supply(key("a"), supply));
    }

    fn came(&mut self, supply: Supply, changed: bool, trouble: Option<&str>) {
        self.begin(supply);
        let supplied = Supplied { asked: true, changed, trouble: trouble.map(why) };
        self.desired.supplied(self.now, &mut self.rng, &key("a"), supply, supplied);
    }

    fn reason(&self) -> Option<String> {
        self.desired.view().documents.first()?.reason.as_ref().map(|reason| reason.code.clone())
    }
}

const SECRETS: Needs = Needs::NONE.and(Supply::Secrets);
const CHART: Needs = Needs::NONE.and(Supply::Chart);

#[test]
fn what_a_new_document_needs_is_fetched_at_once_and_nothing_else_is() {
    let rig = Rig::needy(SECRETS);
    assert_eq!(rig.supply(Supply::Secrets), Some(Want::Supply(key("a"), Supply::Secrets)));
    assert_eq!((rig.supply(Supply::Chart), rig.supply(Supply::Versions)), (None, None));
    let mut without_a_vault = Rig::needy(SECRETS);
    without_a_vault.desired.settings.vault = false;
    assert_eq!(without_a_vault.supply(Supply::Secrets), None);
}

#[test]
fn a_document_that_waits_for_its_supply_has_not_failed_and_goes_on_when_it_comes() {
    let mut rig = Rig::needy(SECRETS);
    rig.begin(Supply::Secrets);
    rig.fail("a", SECRET_NOT_FETCHED);
    assert_eq!((rig.state("a"), rig.reason().as_deref()), (Some("stored"), Some(SECRET_NOT_FETCHED)));
    assert_eq!((rig.cluster(), rig.supply(Supply::Secrets)), (None, None), "it is under way");
    rig.came(Supply::Secrets, true, None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!((rig.state("a"), rig.reason()), (Some("verified"), None));
}

#[test]
fn a_supply_that_comes_while_its_document_is_enforced_is_enforced_after_it() {
    let mut rig = Rig::needy(SECRETS);
    rig.desired.begun(rig.now, &Want::Enforce(key("a")));
    rig.came(Supply::Secrets, true, None);
    assert_eq!(rig.cluster(), None);
    let failed = Enforced::Failed(why(SECRET_NOT_FETCHED));
    rig.desired.enforced(rig.now, &mut rig.rng, &key("a"), failed);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn secrets_are_looked_at_again_with_the_interval_and_only_a_change_is_enforced() {
    let mut rig = Rig::needy(SECRETS);
    rig.came(Supply::Secrets, true, None);
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.supply(Supply::Secrets), None);
    rig.pass(331);
    assert!(rig.supply(Supply::Secrets).is_some());
    let due = rig.desired.supply_due(at(100).mono).expect("a time");
    assert!(due > at(100).mono && due <= rig.now.mono);
    rig.came(Supply::Secrets, false, None);
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.cluster(), None);
    rig.pass(331);
    rig.came(Supply::Secrets, true, None);
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))));
}

#[test]
fn which_chart_it_is_to_be_is_asked_for_each_content_with_the_interval_and_when_versions_change() {
    let mut rig = Rig::needy(CHART.and(Supply::Versions));
    rig.came(Supply::Chart, true, None);
    rig.apply("a", 1, Compliance::Compliant);
    assert_eq!(rig.supply(Supply::Chart), None);
    rig.came(Supply::Versions, true, None);
    assert!(rig.supply(Supply::Chart).is_some());
    rig.came(Supply::Chart, false, None);
    rig.came(Supply::Versions, false, None);
    assert_eq!(rig.supply(Supply::Chart), None);
    rig.list(vec![Head { stored: Ok(CHART), ..head("a", 2) }], None);
    assert!(rig.supply(Supply::Chart).is_some());
    rig.came(Supply::Chart, false, None);
    rig.pass(331);
    assert!(rig.supply(Supply::Chart).is_some(), "the catalogue is a file that people write into");
}

#[test]
fn versions_that_come_while_the_chart_is_under_way_have_it_asked_for_once_more() {
    let mut rig = Rig::needy(CHART.and(Supply::Versions));
    rig.begin(Supply::Chart);
    rig.came(Supply::Versions, true, None);
    assert_eq!(rig.supply(Supply::Chart), None, "one at a time");
    let supplied = Supplied { asked: true, changed: true, trouble: None };
    rig.desired.supplied(rig.now, &mut rig.rng, &key("a"), Supply::Chart, supplied);
    assert!(rig.supply(Supply::Chart).is_some());
}

#[test]
fn whoever_mends_what_a_supply_lacks_and_says_so_has_it_fetched_at_once() {
    let mut rig = Rig::needy(SECRETS);
    rig.came(Supply::Secrets, false, Some("SecretNotFound"));
    rig.came(Supply::Secrets, false, Some("SecretNotFound"));
    assert_eq!(rig.supply(Supply::Secrets), None);
    rig.desired.refresh(rig.now);
    assert!(rig.supply(Supply::Secrets).is_some());
}

#[test]
fn content_that_changes_while_its_supply_is_under_way_has_it_fetched_once_more() {
    let mut rig = Rig::needy(CHART);
    rig.begin(Supply::Chart);
    rig.list(vec![Head { stored: Ok(CHART), ..head("a", 2) }], None);
    assert_eq!(rig.supply(Supply::Chart), None, "one at a time");
    let supplied = Supplied { asked: true, changed: true, trouble: None };
    rig.desired.supplied(rig.now, &mut rig.rng, &key("a"), Supply::Chart, supplied);
    assert!(rig.supply(Supply::Chart).is_some());
}

#[test]
fn a_supply_that_cannot_be_had_shows_and_is_tried_less_and_less_often_while_the_document_stays() {
    let mut rig = Rig::needy(SECRETS);
    rig.came(Supply::Secrets, true, None);
    rig.apply("a", 1, Compliance::Compliant);
    let mut waits = Vec::new();
    for _ in 0..12 {
        rig.came(Supply::Secrets, false, Some("SecretExpired"));
        let due = rig.desired.supply_due(rig.now.mono).expect("it is tried again");
        waits.push(due.since(rig.now.mono));
        assert_eq!((rig.state("a"), rig.reason().as_deref()), (Some("verified"), Some("SecretExpired")));
        rig.now.mono = due;
    }
    assert!(waits[0] <= RETRY && waits.iter().max() > Some(&Duration::from_secs(100)));
    assert!(waits.iter().all(|wait| *wait <= rig.desired.settings.pull_interval));
    let said = |rig: &mut Rig| rig.desired.news().iter().any(|news| text(news).contains("SecretExpired"));
    assert!(said(&mut rig));
    rig.came(Supply::Secrets, false, None);
    assert_eq!(rig.reason(), None);
}

fn text(news: &News) -> String {
    String::from_utf8(news.body()).unwrap()
}

#[test]
fn whoever_cannot_be_reached_is_asked_again_when_the_link_allows() {
    let mut rig = Rig::needy(CHART);
    rig.begin(Supply::Chart);
    rig.desired.not_supplied(rig.now, &key("a"), Supply::Chart);
    assert!(rig.supply(Supply::Chart).is_some());
}

#[test]
fn what_leaves_needs_nothing_any_more() {
    let mut rig = Rig::needy(CHART);
    rig.list(vec![Head { leaving: true, stored: Ok(CHART), ..head("a", 1) }], None);
    assert_eq!((rig.supply(Supply::Chart), rig.desired.supply_due(rig.now.mono)), (None, None));
    rig.desired.not_supplied(rig.now, &key("b"), Supply::Chart);
}

#[test]
fn a_supply_that_the_cache_has_lost_is_fetched_again_and_one_that_is_there_does_not_spin() {
    let mut rig = Rig::needy(CHART);
    rig.came(Supply::Chart, true, None);
    rig.fail("a", CHART_NOT_FETCHED);
    assert!(rig.supply(Supply::Chart).is_some(), "the cache may have lost it");
    rig.came(Supply::Chart, false, None);
    assert_eq!((rig.cluster(), rig.supply(Supply::Chart)), (None, None), "and now both wait");
}

#[test]
fn what_a_cached_document_needs_is_looked_at_soon_after_a_start() {
    let mut rig = Rig::new(&[(key("a"), digest(1), CHART)], [None; 2]);
    rig.desired.settings.vault = true;
    assert_eq!(rig.cluster(), Some(Want::Enforce(key("a"))), "the cluster waits for nobody");
    rig.pass(30);
    assert!(rig.supply(Supply::Chart).is_some());
}
