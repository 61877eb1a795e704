//! Documents that are refused, and what is passed over.

use super::*;

#[test]
fn what_is_no_document_is_a_reason_that_does_not_quote_it() {
    for content in
        ["", "hunter2", "[]", "\"hunter2\"", "{}", r#"{"name":"fleet"}"#, r#"{"name":1,"properties":{}}"#]
    {
        let reason = render(content.as_bytes(), &flux(), &Supplies::default()).unwrap_err();
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
