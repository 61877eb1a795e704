//! The canonical form of a document: what is wanted and nothing else, always in the same bytes.
//!
//! These resources have no ETag, so a change is seen by the digest of this form. What only Azure writes is taken out (a
//! status would be a change every few minutes), and so is how a reply happens to be written: the order of members, blanks,
//! the case of the id. No calls in here, and no opinion about what a document says.

use super::{Fetched, MOST_DOCUMENT};
use crate::core::Reason;
use crate::core::document::{Digest, Key};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// Members of `properties` that Azure alone writes, or that never come back (`configurationProtectedSettings`).
const READ_ONLY: [&str; 17] = [
    "complianceState",
    "configurationProtectedSettings",
    "currentVersion",
    "customLocationSettings",
    "errorInfo",
    "errorMessage",
    "extensionState",
    "installState",
    "isSystemExtension",
    "packageUri",
    "provisioningState",
    "repositoryPublicKey",
    "sourceSyncedCommitId",
    "sourceUpdatedAt",
    "statusUpdatedAt",
    "statuses",
    "systemData",
];

/// A document from its `properties` as they came. `collection` is the id of what holds it.
///
/// What serde_json does not read (nesting without end, half a surrogate) is this document's failure and no other's.
pub(super) fn fetched(key: Key, collection: &str, properties: Box<RawValue>) -> Fetched {
    let mut wanted: Map<String, Value> = match serde_json::from_str(properties.get()) {
        Ok(wanted) => wanted,
        Err(error) => {
            // Its own text could quote the content; the place cannot.
            let place = format!("line {} column {}", error.line(), error.column());
            let text = format!("{key} is not understood: {place} of its properties");
            let digest = Digest::of(properties.get().as_bytes());
            let content = Err(Reason::new("UnreadableDocument", text).cure("write it anew in Azure"));
            return Fetched { key, digest, leaving: false, content };
        }
    };
    // As it came it is not needed any more, and it may be long.
    drop(properties);
    let leaving = wanted
        .get("provisioningState")
        .and_then(Value::as_str)
        .is_some_and(|state| state.eq_ignore_ascii_case("Deleting"));
    wanted.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    // A kustomization's name is its place in the map; within it, Azure repeats it.
    for kustomization in wanted.get_mut("kustomizations").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if let Some(kustomization) = kustomization.1.as_object_mut() {
            kustomization.remove("name");
        }
    }
    wanted.values_mut().for_each(without_nulls);
    wanted.retain(|_, value| !value.is_null());
    // Members are sorted: serde_json's map is a tree as long as nobody asks for insertion order, which a test would see.
    let id = format!("{collection}/{}", key.name).to_lowercase();
    let content = json!({"id": id, "name": key.name, "properties": wanted}).to_string().into_bytes();
    let digest = Digest::of(&content);
    let content = match content.len() {
        0..=MOST_DOCUMENT => Ok(content),
        size => {
            let text = format!("{key} has {size} bytes, a document has at most {MOST_DOCUMENT}");
            Err(Reason::new("DocumentTooLarge", text).cure("split it into several configurations"))
        }
    };
    Fetched { key, digest, leaving, content }
}

/// Takes out members that are null: some replies write what is not set so, others leave it out.
fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::document::Kind;
    use proptest::prelude::*;

    const COLLECTION: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Kubernetes/connectedClusters/c/providers/Microsoft.KubernetesConfiguration/fluxConfigurations";

    #[test]
    fn what_is_null_and_what_is_not_there_are_the_same_wish() {
        let of = |text: &str| {
            let properties: Box<RawValue> = serde_json::from_str(text).unwrap();
            fetched(Key::new(Kind::Flux, "a"), COLLECTION, properties).digest
        };
        let short =
            of(r#"{"sourceKind":"GitRepository","gitRepository":{"repositoryRef":{"branch":"main"}}}"#);
        let long = r#"{"sourceKind":"GitRepository","bucket":null,
            "gitRepository":{"localAuthRef":null,"repositoryRef":{"branch":"main","tag":null}}}"#;
        assert_eq!(of(long), short);
        assert_ne!(of(&long.replace("\"tag\":null", "\"tag\":\"v1\"")), short);
    }

    /// Writes a value as another service might: members in another order, blanks, escapes.
    fn write(value: &Value, order: u64, blank: &str) -> String {
        let text = |text: &str| -> String {
            let written = |c: char| match order.is_multiple_of(2) && c.is_ascii_alphabetic() {
                true => format!("\\u{:04X}", c as u32),
                false => {
                    let quoted = serde_json::to_string(&c).unwrap();
                    quoted[1..quoted.len() - 1].to_owned()
                }
            };
            format!("\"{}\"", text.chars().map(written).collect::<String>())
        };
        match value {
            Value::Object(map) => {
                let mut members: Vec<String> = map
                    .iter()
                    .map(|(k, v)| format!("{}{blank}:{blank}{}", text(k), write(v, order / 3, blank)))
                    .collect();
                let places = members.len().max(1);
                members.rotate_left(order as usize % places);
                if order % 5 < 2 {
                    members.reverse();
                }
                format!("{{{blank}{}{blank}}}", members.join(&format!("{blank},{blank}")))
            }
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|item| write(item, order, blank)).collect();
                format!("[{blank}{}{blank}]", items.join(","))
            }
            Value::String(string) => text(string),
            other => other.to_string(),
        }
    }

    fn digest(properties: &str) -> Digest {
        let raw = RawValue::from_string(properties.to_owned()).unwrap();
        fetched(Key::new(Kind::Flux, "a"), COLLECTION, raw).digest
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z\"\\\\ä]{0,6}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Some of what may be written, by the facts about these resources.
    fn wanted() -> impl Strategy<Value = Map<String, Value>> {
        let names = prop::sample::select(vec![
            "scope",
            "namespace",
            "sourceKind",
            "suspend",
            "gitRepository",
            "bucket",
            "azureBlob",
            "ociRepository",
            "kustomizations",
            "waitForReconciliation",
            "reconciliationWaitDuration",
            "ofTomorrow",
        ]);
        prop::collection::btree_map(names.prop_map(str::to_owned), json_value(), 1..8)
            .prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn how_a_document_is_written_and_what_only_azure_writes_changes_nothing(
            wanted in wanted(),
            order in any::<u64>(),
            blank in "[ \t\r\n]{0,3}",
            read_only in prop::collection::vec((prop::sample::select(READ_ONLY.to_vec()), json_value()), 0..6),
        ) {
            let plain = digest(&Value::Object(wanted.clone()).to_string());
            let mut other = wanted;
            other.extend(read_only.into_iter().map(|(name, value)| (name.to_owned(), value)));
            if let Some(kustomizations) = other.get_mut("kustomizations").and_then(Value::as_object_mut) {
                for (name, one) in kustomizations {
                    if let Some(one) = one.as_object_mut() {
                        one.insert("name".into(), name.clone().into());
                    }
                }
            }
            prop_assert_eq!(plain, digest(&write(&Value::Object(other), order, &blank)));
        }

        #[test]
        fn whatever_else_changes_changes_the_digest(
            wanted in wanted(),
            place in any::<prop::sample::Index>(),
            value in json_value(),
        ) {
            // A member that became another, and one that went away.
            let name = wanted.keys().nth(place.index(wanted.len())).unwrap().clone();
            let plain = digest(&Value::Object(wanted.clone()).to_string());
            let mut other = wanted.clone();
            let strip = |value: &Value| {
                let mut value = value.clone();
                for one in value.as_object_mut().into_iter().flat_map(Map::values_mut) {
                    one.as_object_mut().and_then(|one| one.remove("name"));
                }
                value
            };
            prop_assume!(value != wanted[&name] && strip(&value) != strip(&wanted[&name]));
            other.insert(name.clone(), value);
            prop_assert_ne!(plain, digest(&Value::Object(other.clone()).to_string()));
            other.remove(&name);
            prop_assert_ne!(plain, digest(&Value::Object(other).to_string()));
        }
    }

    #[test]
    fn names_that_azure_alone_writes_at_the_top_may_be_anyones_further_down() {
        let with = |statuses: &str| {
            digest(&format!(
                r#"{{"gitRepository": {{"statuses": {statuses}, "name": "x"}}, "statuses": []}}"#
            ))
        };
        assert_ne!(with("1"), with("2"));
        assert_ne!(digest(r#"{"bucket": {"name": "a"}}"#), digest(r#"{"bucket": {"name": "b"}}"#));
    }

    #[test]
    fn each_document_has_a_digest_of_its_own_and_the_case_of_an_id_is_no_change() {
        let raw = RawValue::from_string("{}".into()).unwrap();
        let of = |name, collection: &str| fetched(Key::new(Kind::Flux, name), collection, raw.clone()).digest;
        assert_ne!(of("a", COLLECTION), of("b", COLLECTION));
        assert_eq!(of("a", COLLECTION), of("A", &COLLECTION.to_uppercase()));
    }
}
