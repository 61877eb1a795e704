//! What documents are refused, and with which words; properties of any input. What they become is in `golden`; the
//! pictures are in `picture_tests`.

use super::*;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;

fn flux() -> Served {
    let group = |name: &str| (format!("{name}.toolkit.fluxcd.io"), vec!["v1".to_owned()]);
    [group("source"), group("kustomize")].into()
}

/// A configuration in namespace `team` with a public git repository; `changes` are laid over its properties.
fn document(changes: Value) -> Value {
    let mut properties = json!({
        "namespace": "team",
        "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": "main"}},
    });
    for (field, value) in changes.as_object().unwrap() {
        properties[field] = value.clone();
    }
    json!({"name": "fleet", "properties": properties})
}

fn rendered(document: &Value) -> Result<Vec<Value>, Reason> {
    render(document.to_string().as_bytes(), &flux())
}

/// The reason for which a configuration with these changes is refused.
fn refusal(changes: Value) -> Reason {
    rendered(&document(changes)).unwrap_err()
}

fn git(fields: Value) -> Value {
    json!({"gitRepository": fields})
}

fn kustomizations(of: Value) -> Value {
    json!({"kustomizations": of})
}

#[track_caller]
fn names_the_field(reason: Reason, code: &str, field: &str) {
    assert_eq!(reason.code, code, "{reason}");
    assert!(reason.message.contains(field), "{reason}");
    assert!(!reason.next_step.is_empty(), "{reason}");
}

#[test]
fn what_is_no_document_is_a_reason_that_does_not_quote_it() {
    for content in
        ["", "hunter2", "[]", "\"hunter2\"", "{}", r#"{"name":"fleet"}"#, r#"{"name":1,"properties":{}}"#]
    {
        let reason = render(content.as_bytes(), &flux()).unwrap_err();
        assert_eq!(reason.code, code::NOT_A_DOCUMENT, "{content}");
        assert!(!reason.to_string().contains("hunter2"), "{reason}");
    }
}

#[test]
fn a_value_of_tomorrow_is_refused_by_the_name_of_its_field() {
    let future = [
        (json!({"sourceKind": "HelmRepository"}), "properties.sourceKind"),
        (json!({"scope": "fleet"}), "properties.scope"),
        (git(json!({"url": "https://a/b", "provider": "Forge"})), "properties.gitRepository.provider"),
        (
            kustomizations(json!({"a": {"postBuild": {"substituteFrom": [{"kind": "Vault", "name": "a"}]}}})),
            "properties.kustomizations.a.postBuild.substituteFrom[0].kind",
        ),
    ];
    for (changes, field) in future {
        names_the_field(refusal(changes), code::UNKNOWN_VALUE, field);
    }
}

#[test]
fn a_field_of_tomorrow_is_passed_over() {
    let plain = document(kustomizations(json!({"a": {}})));
    let mut newer = plain.clone();
    newer["properties"]["future"] = json!({"deep": [1]});
    newer["properties"]["gitRepository"]["future"] = json!(true);
    newer["properties"]["kustomizations"]["a"]["future"] = json!("x");
    assert_eq!(rendered(&newer), rendered(&plain));
}

#[test]
fn a_kustomization_for_another_cluster_is_refused_and_not_applied_to_this_one() {
    let reason = refusal(kustomizations(json!({"a": {"kubeConfig": {"secretRef": {"name": "other"}}}})));
    names_the_field(reason, code::UNKNOWN_VALUE, "properties.kustomizations.a.kubeConfig");
}

#[test]
fn null_is_the_same_as_absent() {
    let absent = document(kustomizations(json!({"a": {}})));
    let mut null = absent.clone();
    for field in ["scope", "suspend", "configurationProtectedSettings", "statuses"] {
        null["properties"][field] = Value::Null;
    }
    null["properties"]["kustomizations"]["gone"] = Value::Null;
    for field in ["path", "dependsOn", "timeoutInSeconds", "prune", "wait", "postBuild"] {
        null["properties"]["kustomizations"]["a"][field] = Value::Null;
    }
    assert_eq!(rendered(&null), rendered(&absent));
}

#[test]
fn a_value_of_the_wrong_type_is_refused_without_quoting_it() {
    let wrong = [
        (git(json!({"url": ["hunter2"]})), "properties.gitRepository.url"),
        (git(json!({"url": "https://a/b", "timeoutInSeconds": "hunter2"})), "timeoutInSeconds"),
        (git(json!({"url": "https://a/b", "syncIntervalInSeconds": 0})), "syncIntervalInSeconds"),
        (git(json!({"url": "https://a/b", "syncIntervalInSeconds": 1.5})), "syncIntervalInSeconds"),
        (git(json!({"url": "https://a/b", "syncIntervalInSeconds": 2147483648u32})), "syncIntervalInSeconds"),
        (git(json!({"url": "https://a/b", "httpsCACert": "-----BEGIN hunter2"})), "httpsCACert"),
        (git(json!({"url": "https://u:hunter2@a/b c"})), "properties.gitRepository.url"),
        (git(json!({"url": "file:///hunter2"})), "properties.gitRepository.url"),
        (git(json!([])), "properties.gitRepository"),
        (json!({"suspend": "hunter2"}), "properties.suspend"),
        (kustomizations(json!({"a": "hunter2"})), "properties.kustomizations.a"),
        (kustomizations(json!({"a": {"dependsOn": [1]}})), "properties.kustomizations.a.dependsOn"),
        (kustomizations(json!({"a": {"postBuild": {"substitute": {"k": 1}}}})), "postBuild.substitute.k"),
    ];
    for (changes, field) in wrong {
        let reason = refusal(changes);
        assert!(!reason.to_string().contains("hunter2"), "{reason}");
        names_the_field(reason, code::BAD_VALUE, field);
    }
}

#[test]
fn a_field_without_which_there_is_nothing_to_do_is_asked_for() {
    let missing = [
        (json!({"sourceKind": null}), "properties.sourceKind"),
        (json!({"sourceKind": "Bucket"}), "properties.bucket"),
        (
            json!({"sourceKind": "AzureBlob", "azureBlob": {"url": "https://a"}}),
            "properties.azureBlob.containerName",
        ),
        (git(json!({"url": ""})), "properties.gitRepository.url"),
    ];
    for (changes, field) in missing {
        names_the_field(refusal(changes), code::MISSING_FIELD, field);
    }
}

#[test]
fn a_name_that_kubernetes_refuses_is_refused_here() {
    let long = "a".repeat(64);
    let bad = [
        (json!({"namespace": "Team"}), "properties.namespace"),
        (json!({"namespace": "team.a"}), "properties.namespace"),
        (json!({"namespace": long}), "properties.namespace"),
        (kustomizations(json!({"Apps": {}})), "properties.kustomizations.Apps"),
        (kustomizations(json!({"-apps": {}})), "properties.kustomizations.-apps"),
        (kustomizations(json!({"": {}})), "properties.kustomizations"),
        (kustomizations(json!({"a".repeat(60): {}})), "fleet-aaa"),
        (
            git(json!({"url": "https://a/b", "localAuthRef": "../etc"})),
            "properties.gitRepository.localAuthRef",
        ),
    ];
    for (changes, field) in bad {
        names_the_field(refusal(changes), code::BAD_NAME, field);
    }
    let mut nameless = document(json!({}));
    nameless["name"] = json!("fleet/../x");
    names_the_field(rendered(&nameless).unwrap_err(), code::BAD_NAME, "name");
}

#[test]
fn the_name_of_a_configuration_knows_no_case() {
    let mut upper = document(json!({}));
    upper["name"] = json!("Fleet");
    assert_eq!(rendered(&upper), rendered(&document(json!({}))));
}

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

#[test]
fn a_secret_that_arm_does_not_give_back_is_asked_for_and_never_guessed() {
    let blob = |field: &str, value: Value| {
        let mut blob = json!({"url": "https://a.blob.core.windows.net", "containerName": "c"});
        blob[field] = value;
        json!({"sourceKind": "AzureBlob", "azureBlob": blob})
    };
    let bucket = json!({"url": "https://s3.example", "bucketName": "b", "accessKey": "hunter2"});
    let oci = |tls: Value| json!({"sourceKind": "OCIRepository", "ociRepository": {"url": "oci://a/b", "tlsConfig": tls}});
    let withheld = [
        (git(json!({"url": "ssh://git@a/b"})), "properties.gitRepository.url"),
        (git(json!({"url": "git@a:b/c"})), "properties.gitRepository.url"),
        (git(json!({"url": "ssh://git@a/b", "sshKnownHosts": "aG9zdA=="})), "properties.gitRepository.url"),
        (git(json!({"url": "https://a/b", "httpsUser": "hunter2"})), "properties.gitRepository.httpsUser"),
        (git(json!({"url": "https://a/b", "provider": "GitHub"})), "properties.gitRepository.provider"),
        (
            json!({"configurationProtectedSettings": {"httpsKey": "hunter2"}}),
            "configurationProtectedSettings",
        ),
        (json!({"configurationProtectedSettings": {"httpsKey": ""}}), "configurationProtectedSettings"),
        (json!({"sourceKind": "Bucket", "bucket": bucket}), "properties.bucket.accessKey"),
        (blob("accountKey", json!("hunter2")), "properties.azureBlob.accountKey"),
        (blob("sasToken", json!("hunter2")), "properties.azureBlob.sasToken"),
        (blob("servicePrincipal", json!({"clientId": "x"})), "properties.azureBlob.servicePrincipal"),
        (oci(json!({"privateKey": "hunter2"})), "properties.ociRepository.tlsConfig.privateKey"),
        (
            oci(json!({"clientCertificate": "hunter2"})),
            "properties.ociRepository.tlsConfig.clientCertificate",
        ),
    ];
    for (changes, field) in withheld {
        let reason = refusal(changes);
        assert!(!reason.to_string().contains("hunter2"), "{reason}");
        assert!(reason.next_step.contains("localAuthRef"), "{reason}");
        names_the_field(reason, code::SECRET_NEEDS_KEY_VAULT, field);
    }
}

#[test]
fn with_an_operators_secret_nothing_is_missing() {
    let protected = json!({"httpsKey": ""});
    let own = json!({"url": "https://a/b", "localAuthRef": "login"});
    let objects =
        rendered(&document(json!({"gitRepository": own, "configurationProtectedSettings": protected})))
            .unwrap();
    assert_eq!(objects[1]["spec"]["secretRef"], json!({"name": "login"}));
    assert!(objects.iter().all(|o| o["kind"] != "Secret"), "{objects:?}");
}

#[test]
fn a_second_secret_beside_the_operators_is_a_conflict() {
    for field in ["httpsUser", "httpsCACert", "sshKnownHosts"] {
        let mut source = json!({"url": "https://a/b", "localAuthRef": "login"});
        source[field] = json!("aGk=");
        names_the_field(
            refusal(git(source)),
            code::CONFLICTING_AUTH,
            &format!("properties.gitRepository.{field}"),
        );
    }
}

#[test]
fn a_public_key_that_was_withheld_is_not_taken_for_no_check() {
    let oci = json!({"url": "oci://a/b", "verify": {"provider": "cosign", "verificationConfig": {"cosign.pub": ""}}});
    let reason = refusal(json!({"sourceKind": "OCIRepository", "ociRepository": oci}));
    names_the_field(reason, code::BAD_VALUE, "properties.ociRepository.verify.verificationConfig.cosign.pub");
}

#[test]
fn tls_of_a_bucket_is_what_the_document_says_and_else_what_its_url_says() {
    let insecure = |fields: Value| {
        let mut bucket = json!({"bucketName": "b"});
        fields.as_object().unwrap().iter().for_each(|(field, value)| bucket[field] = value.clone());
        let objects = rendered(&document(json!({"sourceKind": "Bucket", "bucket": bucket}))).unwrap();
        objects[1]["spec"]["insecure"].clone()
    };
    assert_eq!(insecure(json!({"url": "https://s3.example"})), false);
    assert_eq!(insecure(json!({"url": "http://s3.example"})), true);
    assert_eq!(insecure(json!({"url": "s3.example"})), true);
    assert_eq!(insecure(json!({"url": "https://s3.example", "insecure": true})), true);
    assert_eq!(insecure(json!({"url": "http://s3.example", "insecure": false})), false);
}

#[test]
fn without_flux_the_reason_says_what_to_install() {
    let document = document(json!({})).to_string();
    let mut served = flux();
    served.remove("kustomize.toolkit.fluxcd.io");
    for served in [served, Served::new()] {
        let reason = render(document.as_bytes(), &served).unwrap_err();
        assert!(reason.next_step.contains("microsoft.flux"), "{reason}");
        names_the_field(reason, code::FLUX_MISSING, "toolkit.fluxcd.io");
    }
}

#[test]
fn what_an_old_flux_does_not_have_is_not_asked_of_it() {
    let served = |source: &str| {
        let mut served = flux();
        served.insert("source.toolkit.fluxcd.io".into(), vec![source.into()]);
        served
    };
    let oci =
        document(json!({"sourceKind": "OCIRepository", "ociRepository": {"url": "oci://a/b"}})).to_string();
    let azure = document(git(json!({"url": "https://a/b", "provider": "Azure"}))).to_string();
    for (content, source) in [(&oci, "v1beta1"), (&azure, "v1beta2"), (&azure, "v2")] {
        let reason = render(content.as_bytes(), &served(source)).unwrap_err();
        names_the_field(reason, code::FLUX_TOO_OLD, "source.toolkit.fluxcd.io");
    }
    assert!(render(oci.as_bytes(), &served("v1beta2")).is_ok());
}

#[test]
fn a_time_is_written_as_go_writes_it_and_a_sources_timeout_without_hours() {
    use super::versions::{duration, timeout};
    let times = [(1, "1s", "1s"), (60, "1m0s", "1m0s"), (600, "10m0s", "10m0s"), (3661, "1h1m1s", "61m1s")];
    for (seconds, long, short) in times {
        assert_eq!((duration(seconds).as_str(), timeout(seconds).as_str()), (long, short));
    }
}

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
        let _ = render(&content, &flux());
        let _ = picture(&content, &[]);
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
        let _ = picture(document.to_string().as_bytes(), &live);
        match rendered(&document) {
            Ok(objects) => assert_names(&objects),
            Err(reason) => prop_assert!(!reason.code.is_empty() && reason.to_string().len() < 2000, "{}", reason),
        }
    }

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
