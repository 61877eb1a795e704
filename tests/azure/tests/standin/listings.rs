//! Listings of what is wanted: complete ones, and every one that is not and could be taken for one.

use crate::rig::{Reply, Rig};
use azure_standin::{Endpoint, Fault, Upset, cluster_id};
use serde_json::{Value, json};

fn first() -> String {
    format!(
        "{}/providers/Microsoft.KubernetesConfiguration/fluxConfigurations?api-version=2025-04-01",
        cluster_id("k3s-1")
    )
}

/// Five configurations, two a page.
fn rig() -> Rig {
    let rig = Rig::new();
    let cluster = cluster_id("k3s-1");
    rig.azure.seed_arc_cluster(&cluster);
    rig.azure.seed_arc_cluster(&cluster_id("k3s-10"));
    for name in ["a", "b", "c", "d", "e"] {
        rig.azure.put_flux(
            &cluster,
            name,
            json!({"statuses": [{"name": name, "statusConditions": [{"type": "Ready"}]}]}),
        );
    }
    rig.azure.put_flux(&cluster_id("k3s-10"), "of-another", json!({}));
    rig.azure.put_extension(&cluster, "of-another-kind", json!({}));
    rig.azure.page_size(2);
    rig
}

fn names(page: &Reply) -> Vec<String> {
    let value = page.json()["value"].as_array().cloned().unwrap_or_default();
    value.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

/// The names on each page, following `nextLink` as given.
fn walk(rig: &Rig) -> Vec<Vec<String>> {
    let mut page = rig.get(&first());
    let mut all = vec![names(&page)];
    while let Some(next) = page.json()["nextLink"].as_str() {
        assert!(all.len() < 10, "the listing has no end: {all:?}");
        page = rig.poll(next);
        assert_eq!(page.status, 200);
        all.push(names(&page));
    }
    all
}

#[test]
fn a_listing_has_each_document_of_the_cluster_once_and_without_conditions() {
    let rig = rig();
    assert_eq!(walk(&rig), [vec!["a", "b"], vec!["c", "d"], vec!["e"]]);
    let page = rig.get(&first()).json();
    assert!(page["nextLink"].as_str().unwrap().contains("$skipToken="), "{page}");
    assert_eq!(page["value"][0]["properties"]["statuses"], json!([{"name": "a", "statusConditions": null}]));
    rig.azure.page_size(5);
    let whole = rig.get(&first()).json();
    assert_eq!((whole["value"].as_array().unwrap().len(), &whole["nextLink"]), (5, &Value::Null));
}

#[test]
fn a_fault_of_later_pages_leaves_the_first_page_as_it_is() {
    let rig = rig();
    let next = rig.get(&first()).json()["nextLink"].as_str().unwrap().to_owned();
    for (fault, status) in [
        (Fault::Error(500, "InternalServerError".into()), 500),
        (Fault::Error(404, "ResourceNotFound".into()), 404),
        (Fault::Throttled(7), 429),
        (Fault::Html(200), 200),
    ] {
        rig.azure.set_fault_on(Endpoint::Arm, "$skipToken", fault, Some(1));
        assert_eq!(names(&rig.get(&first())), ["a", "b"]);
        let later = rig.poll(&next);
        assert_eq!((later.status, later.json()["value"].is_array()), (status, false));
        assert_eq!(names(&rig.poll(&next)), ["c", "d"]);
    }
}

#[test]
fn each_upset_of_a_listing_is_the_one_it_says_it_is() {
    let rig = rig();
    rig.azure.upset(&[Upset::Duplicates]);
    assert_eq!(walk(&rig), [vec!["a", "b"], vec!["b", "c", "d"], vec!["d", "e"]]);
    rig.azure.upset(&[Upset::Reversed]);
    assert_eq!(walk(&rig), [vec!["b", "a"], vec!["d", "c"], vec!["e"]]);
    rig.azure.upset(&[Upset::Reordered]);
    assert_eq!(walk(&rig), [vec!["a", "b"], vec!["c", "b"], vec!["a"]]);
    rig.azure.upset(&[Upset::CutShort]);
    assert_eq!(walk(&rig), [vec!["a", "b"]]);
    rig.azure.upset(&[Upset::Loop]);
    let page = rig.get(&first()).json();
    assert_eq!(rig.poll(page["nextLink"].as_str().unwrap()).json(), page);
    rig.azure.upset(&[Upset::Elsewhere("https://192.0.2.1/next".into())]);
    assert_eq!(rig.get(&first()).json()["nextLink"], "https://192.0.2.1/next");
    rig.azure.upset(&[Upset::NullValue]);
    assert_eq!(rig.get(&first()).json()["value"], Value::Null);
    rig.azure.upset(&[Upset::WithoutValue]);
    assert_eq!(rig.get(&first()).json().get("value"), None);
    rig.azure.upset(&[]);
    assert_eq!(walk(&rig).concat().len(), 5);
}

#[test]
fn a_document_that_goes_between_pages_hides_another_one_that_is_there() {
    let rig = rig();
    rig.azure.upset(&[Upset::Vanishes("A".into())]);
    // "a" is listed and gone, "c" is there and not listed.
    assert_eq!(walk(&rig), [vec!["a", "b"], vec!["d", "e"]]);
    rig.azure.upset(&[]);
    assert_eq!(walk(&rig).concat(), ["b", "c", "d", "e"]);
}

#[test]
fn ten_thousand_documents_are_listed() {
    let rig = Rig::new();
    let cluster = cluster_id("k3s-1");
    rig.azure.seed_arc_cluster(&cluster);
    for n in 0..10_000 {
        rig.azure.put_flux(&cluster, &format!("c-{n}"), json!({}));
    }
    rig.azure.page_size(5_000);
    assert_eq!(walk(&rig).concat().len(), 10_000);
}
