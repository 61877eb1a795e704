//! What is not understood is refused by the name of its field, and nothing is made of it.

use super::*;

fn refused(content: &[u8], supplies: &Supplies) -> Reason {
    render(content, &served(), supplies, &site()).unwrap_err()
}

#[test]
fn each_slip_of_a_document_is_named() {
    for (properties, code, part) in [
        (json!({"extensionType": ""}), code::MISSING_FIELD, "properties.extensionType"),
        (json!({"extensionType": 5}), code::BAD_VALUE, "properties.extensionType"),
        (json!({"autoUpgradeMode": "sometimes"}), code::UNKNOWN_VALUE, "properties.autoUpgradeMode"),
        (json!({"autoUpgradeMinorVersion": "yes"}), code::BAD_VALUE, "properties.autoUpgradeMinorVersion"),
        (json!({"configurationSettings": {"a": 5}}), code::BAD_VALUE, "configurationSettings.a"),
        (json!({"configurationSettings": {"a..b": "s3cret"}}), code::BAD_SETTING, "a..b"),
        (json!({"scope": {"namespace": {}}}), code::MISSING_FIELD, "targetNamespace"),
        (json!({"scope": {"namespace": {"targetNamespace": "a_b"}}}), code::BAD_NAME, "targetNamespace"),
        (json!({"scope": {"cluster": {"releaseNamespace": "-"}}}), code::BAD_NAME, "releaseNamespace"),
        (
            json!({"scope": {"cluster": {}, "namespace": {"targetNamespace": "a"}}}),
            code::BAD_VALUE,
            "properties.scope",
        ),
    ] {
        let reason = refused(&document(properties.clone()), &supplies("1.2.0"));
        assert_eq!(reason.code, code, "{properties}: {reason}");
        assert!(reason.message.contains(part), "{properties}: {reason}");
        assert!(!reason.to_string().contains("s3cret"));
    }
}

#[test]
fn what_is_no_document_of_its_kind_is_none() {
    for content in [&b"{"[..], b"[]", b"{}", br#"{"name": "a"}"#, br#"{"name": "a", "properties": 5}"#] {
        let reason = refused(content, &supplies("1.2.0"));
        assert!([code::NOT_A_DOCUMENT, code::BAD_VALUE].contains(&reason.code.as_str()), "{reason}");
    }
    for name in ["a".repeat(51), "a_b".to_owned(), "a.b".to_owned()] {
        let content = json!({"name": name, "properties": {"extensionType": "contoso.monitor"}}).to_string();
        assert_eq!(refused(content.as_bytes(), &supplies("1.2.0")).code, code::BAD_NAME, "{name}");
    }
}

#[test]
fn without_helm_or_without_its_chart_nothing_is_made() {
    let document = document(json!({}));
    for served in [Served::new(), Served::from([(HELM.to_owned(), vec!["v2".to_owned()])])] {
        let reason = render(&document, &served, &supplies("1.2.0"), &site()).unwrap_err();
        assert_eq!(reason.code, code::HELM_MISSING);
    }
    assert_eq!(refused(&document, &Supplies::default()).code, CHART_NOT_FETCHED);
    // A chart of another type is not its chart.
    let other = String::from_utf8(document).unwrap().replace("Contoso.Monitor", "contoso.other");
    assert_eq!(refused(other.as_bytes(), &supplies("1.2.0")).code, CHART_NOT_FETCHED);
}

#[test]
fn the_image_of_k3ss_helm_is_known_by_its_name_on_any_node() {
    let node =
        |names: &[&str]| json!({"status": {"images": [{"names": ["docker.io/a/b:1"]}, {"names": names}]}});
    let has = "docker.io/rancher/klipper-helm:v0.9.8-build20250709";
    assert!(has_job_image(&[node(&[]), node(&["x@sha256:00", has])]));
    assert!(!has_job_image(&[node(&["docker.io/rancher/klipper-lb:v0.4.13"]), json!({})]));
}

#[test]
fn protected_settings_that_are_no_object_of_texts_are_refused_without_a_word_of_them() {
    for value in
        ["s3cret", r#"["s3cret"]"#, r#"{"a": {"b": "s3cret"}}"#, r#"{"a": "s3cret""#, r#"{"a..b": "s3cret"}"#]
    {
        let reason = refused(&document(json!({})), &with_protected("1.2.0", "v1", value));
        assert_eq!(reason.code, code::BAD_SETTING, "{value}");
        assert!(reason.message.contains("extension-mon-configurationProtectedSettings"), "{reason}");
        assert!(!reason.to_string().contains("s3cret"), "{reason}");
    }
}

#[test]
fn a_catalogue_that_is_not_understood_says_where() {
    let digest = format!("sha256:{}", Digest::of(b""));
    let entry = |change: (&str, &str)| {
        let chart = format!(
            "[[chart]]\ntype = \"a.b\"\nversion = \"1.0.0\"\nchart = \"oci://x.example/a:1\"\ndigest = \"{digest}\"\n"
        );
        chart.replace(change.0, change.1)
    };
    assert!(Catalogue::parse(&entry(("", ""))).is_ok() && Catalogue::parse("").is_ok());
    let twice = entry(("", "")) + &entry(("a.b", "A.B"));
    for (text, part) in [
        (entry(("type = ", "typ = ")), "line 2"),
        (entry(("1.0.0", "latest")), "latest"),
        (entry(("oci://", "http://")), "oci:// nor https://"),
        (entry(("oci://x.example/a:1", "oci://")), "oci:// nor https://"),
        (entry((&digest, "sha256:12")), "64 hexadecimal"),
        (entry((&digest, &digest.to_uppercase())), "64 hexadecimal"),
        (entry(("digest", "release-namespace = \"A\"\ndigest")), "release-namespace"),
        (twice, "chart 2"),
        ("[[chart]".to_owned(), "line 1"),
    ] {
        let reason = Catalogue::parse(&text).unwrap_err();
        assert_eq!(reason.code, code::BAD_CATALOGUE);
        assert!(reason.message.contains(part), "{part}: {reason}");
    }
}
