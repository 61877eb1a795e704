//! The order of kustomizations, and dependencies that make none.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn a_dependency_that_is_not_there_is_named() {
    let reason = refusal(kustomizations(json!({"apps": {"dependsOn": ["infra"]}})));
    assert!(reason.message.contains("infra"), "{reason}");
    names_the_field(reason, code::UNKNOWN_DEPENDENCY, "properties.kustomizations.apps.dependsOn");
}

#[test]
fn a_circle_of_dependencies_is_named_and_what_only_waits_for_it_is_not() {
    let circle = json!({
        "a": {"dependsOn": ["b"]}, "b": {"dependsOn": ["c"]}, "c": {"dependsOn": ["d"]}, "d": {"dependsOn": ["b"]},
        "free": {},
    });
    names_the_field(refusal(kustomizations(circle)), code::DEPENDENCY_CYCLE, ": b → c → d → b");
    let own = refusal(kustomizations(json!({"a": {"dependsOn": ["a"]}})));
    names_the_field(own, code::DEPENDENCY_CYCLE, ": a → a");
}

#[test]
fn ten_thousand_kustomizations_in_one_chain_are_put_in_order() {
    let chain: serde_json::Map<String, Value> = (0..10_000)
        .map(|n| {
            (
                format!("k{n}"),
                if n == 9_999 { json!({}) } else { json!({"dependsOn": [format!("k{}", n + 1)]}) },
            )
        })
        .collect();
    let objects = rendered(&document(kustomizations(Value::Object(chain)))).unwrap();
    assert_eq!(objects[2]["metadata"]["name"], "fleet-k9999");
    assert_eq!(objects.last().unwrap()["metadata"]["name"], "fleet-k0");
}

proptest! {
    #[test]
    fn kustomizations_come_after_what_they_need_or_are_a_circle(
        needs in prop::collection::btree_map(0u8..8, prop::collection::btree_set(0u8..8, 0..3), 0..8),
    ) {
        let present: BTreeSet<u8> = needs.keys().copied().collect();
        let wanted: serde_json::Map<String, Value> = needs
            .iter()
            .map(|(name, needs)| {
                let needs: Vec<String> = needs.intersection(&present).map(|n| format!("k{n}")).collect();
                (format!("k{name}"), json!({"dependsOn": needs}))
            })
            .collect();
        match rendered(&document(kustomizations(Value::Object(wanted.clone())))) {
            Ok(objects) => {
                let mut made = BTreeSet::new();
                for object in objects.iter().filter(|o| o["kind"] == "Kustomization") {
                    let needs = object["spec"]["dependsOn"].as_array().cloned().unwrap_or_default();
                    prop_assert!(needs.iter().all(|n| made.contains(n["name"].as_str().unwrap())));
                    made.insert(object["metadata"]["name"].as_str().unwrap().to_owned());
                }
                prop_assert_eq!(made.len(), wanted.len());
            }
            Err(reason) => {
                prop_assert_eq!(reason.code.as_str(), code::DEPENDENCY_CYCLE);
                // Every step of the circle that is shown is one that the document has.
                let shown = reason.message.rsplit(": ").next().unwrap_or_default();
                let steps: Vec<&str> = shown.split(" → ").collect();
                prop_assert!(steps.len() >= 2 && steps.first() == steps.last(), "{}", reason);
                for pair in steps.windows(2) {
                    let needs = &wanted[pair[0]]["dependsOn"];
                    prop_assert!(needs.as_array().unwrap().contains(&json!(pair[1])), "{}", reason);
                }
            }
        }
    }
}
