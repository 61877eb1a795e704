//! Of any input: no panic, good names, every object marked.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn every_object_is_marked_and_only_the_namespace_is_kept() {
    for (path, golden) in golden::all() {
        let key = format!("flux/{}", golden["document"]["name"].as_str().unwrap());
        for object in golden::objects(&golden) {
            let metadata = &object["metadata"];
            assert_eq!(metadata["labels"][MANAGED_BY], MANAGER, "{}", path.display());
            assert_eq!(metadata["annotations"][DOCUMENT], key, "{}", path.display());
            let kept = metadata["annotations"].get(KEEP) == Some(&json!("true"));
            assert_eq!(kept, object["kind"] == "Namespace", "{}", path.display());
        }
    }
}

/// Objects built from the words of fluxConfigurations, so that a good part of them is nearly a document.
fn nearly() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "GitRepository",
        "Bucket",
        "AzureBlob",
        "OCIRepository",
        "namespace",
        "cluster",
        "team",
        "a",
        "b",
        "",
        "Größe",
        "a.b",
        "-a",
        "https://a.example/b",
        "oci://a.example/b",
        "git@a:b",
        "aGk=",
        "latest",
    ]);
    let leaf = prop_oneof![
        4 => word.prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => (-2i64..4_000_000_000).prop_map(Value::from),
        1 => ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            3 => prop::collection::btree_map(field(), inner.clone(), 0..6).prop_map(|map| json!(map)),
            1 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
        ]
    })
}

/// A word that is a field of something.
fn field() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "url",
        "bucketName",
        "containerName",
        "repositoryRef",
        "tag",
        "localAuthRef",
        "provider",
        "path",
        "dependsOn",
        "timeoutInSeconds",
        "prune",
        "postBuild",
        "substitute",
        "substituteFrom",
        "kind",
        "name",
        "verify",
        "tlsConfig",
        "verificationConfig",
        "managedIdentity",
        "clientId",
        "caCertificate",
        "httpsCACert",
        "a",
        "b",
        "C",
    ])
}

/// An object with few of them, so that not every one is refused.
fn fields() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(field(), nearly(), 0..3).prop_map(|map| json!(map))
}

fn assert_names(objects: &[Value]) {
    let mut seen = BTreeSet::new();
    for object in objects {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let (kind, name) = (text("/kind").unwrap(), text("/metadata/name").unwrap());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fits = |name: &str| {
            (1..=63).contains(&name.len())
                && name.bytes().all(plain)
                && !name.starts_with('-')
                && !name.ends_with('-')
        };
        // Names that are the configuration's and one of our words are no labels anywhere: they may be longer.
        let longest = if matches!(kind, "Secret" | "ServiceAccount" | "RoleBinding") { 253 } else { 63 };
        assert!(
            name.len() <= longest && name.split('.').all(|part| fits(part) || longest == 253),
            "{kind} {name}"
        );
        assert!(kind == "Namespace" || text("/metadata/namespace").is_some_and(fits), "{object}");
        assert!(seen.insert((kind.to_owned(), name.to_owned())), "{kind} {name} twice");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = render(&content, &flux(), &Supplies::default());
        let _ = picture(&content, &[], &[]);
    }

    #[test]
    fn nearly_a_document_is_a_reason_or_objects_with_good_names(
        name in prop_oneof![4 => "[a-z][a-z0-9]{0,20}", 1 => "[a-zA-Z0-9.-]{0,70}"],
        kind in prop::sample::select(vec!["GitRepository", "Bucket", "AzureBlob", "OCIRepository"]),
        scope in prop::sample::select(vec!["cluster", "namespace"]),
        namespace in prop_oneof![4 => "[a-z][a-z0-9]{0,20}", 1 => "[a-z0-9-]{1,70}"],
        url in prop::sample::select(vec!["https://a.example", "http://a.example", "oci://a.example/b", "git@a:b"]),
        mut source in fields(),
        kustomizations in prop::collection::btree_map("[a-z][a-z0-9-]{0,5}", fields(), 0..4),
        live in prop::collection::vec(nearly(), 0..3),
    ) {
        for (field, value) in [("url", url), ("bucketName", "b"), ("containerName", "c")] {
            source[field] = json!(value);
        }
        let document = json!({"name": name, "properties": {
            "sourceKind": kind, "scope": scope, "namespace": namespace, "kustomizations": kustomizations,
            "gitRepository": source, "bucket": source, "azureBlob": source, "ociRepository": source,
        }});
        let seen: Vec<_> = releases(&live).into_iter().map(|release| (release, Ok(live.first().cloned()))).collect();
        let _ = picture(document.to_string().as_bytes(), &live, &seen);
        match rendered(&document) {
            Ok(objects) => assert_names(&objects),
            Err(reason) => prop_assert!(!reason.code.is_empty() && reason.to_string().len() < 2000, "{}", reason),
        }
    }
}
