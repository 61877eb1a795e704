//! The objects of an extension, in full.

use super::*;

fn rendered(properties: Value, supplies: &Supplies) -> Vec<Value> {
    render(&document(properties), &served(), supplies, &site()).unwrap()
}

fn values(objects: &[Value]) -> Value {
    serde_json::from_str(objects[1]["spec"]["valuesContent"].as_str().unwrap()).unwrap()
}

fn protected(objects: &[Value]) -> Value {
    let data = objects[0]["data"]["values.yaml"].as_str().unwrap();
    serde_json::from_slice(&BASE64_STANDARD.decode(data).unwrap()).unwrap()
}

#[test]
fn an_extension_becomes_its_secret_and_a_helm_chart_with_the_chart_in_it() {
    let settings = json!({"scope": {"cluster": {"releaseNamespace": "monitoring"}},
        "configurationSettings": {"agent.replicas": "2", "agent.on": "true"}});
    let supplies = with_protected("1.2.0", "v1", r#"{"agent.key": "s3cret", "agent.port": "80"}"#);
    let objects = rendered(settings, &supplies);
    let name = objects[0]["metadata"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("mon-") && name.len() == "mon-".len() + 10, "{name}");
    assert_eq!(
        objects[0],
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": name, "namespace": "arclet-extensions"},
            "data": {"values.yaml": BASE64_STANDARD.encode(r#"{"agent":{"key":"s3cret","port":80}}"#)},
        })
    );
    let values = values(&objects).to_string();
    assert_eq!(
        objects[1],
        json!({
            "apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
            "metadata": {"name": "mon", "namespace": "arclet-extensions", "annotations": {
                "arclet.dev/version": "1.2.0", "arclet.dev/chart": "oci://charts.example/mon:1.2.0"}},
            "spec": {
                "chartContent": BASE64_STANDARD.encode("1.2.0"),
                "targetNamespace": "monitoring", "createNamespace": true,
                "valuesContent": values,
                "valuesSecrets": [{"name": name, "keys": ["values.yaml"]}],
                "failurePolicy": "retry",
            },
        })
    );
    assert_eq!(
        serde_json::from_str::<Value>(&values).unwrap(),
        json!({
            "Azure": {
                "Cluster": {"Cloud": "AzureCloud", "Distribution": "k3s", "Infrastructure": "generic",
                    "Region": "eastus", "ResourceId": "/subscriptions/s/…/connectedClusters/k3s-1"},
                "Extension": {"Name": "mon", "ResourceId": "/subscriptions/s/…/extensions/mon"},
                "Identity": {"isEnabled": false},
                "proxySettings": {"isCustomCert": false, "isProxyEnabled": false},
            },
            "agent": {"replicas": 2, "on": true},
        })
    );
    assert!(!objects[1].to_string().contains("s3cret"));
}

#[test]
fn what_lets_one_in_at_the_charts_address_is_shown_nowhere() {
    let text = format!(
        "[[chart]]\ntype = \"contoso.monitor\"\nversion = \"1.2.0\"\n\
         chart = \"https://x.example/m.tgz?sv=1&sig=s3cret\"\ndigest = \"sha256:{}\"\n",
        Digest::of(b"1.2.0")
    );
    let catalogue = Catalogue::parse(&text).unwrap();
    let entry = catalogue.of("contoso.monitor", "stable").next().unwrap();
    let own =
        Supplies { chart: Some(Chart::new(entry, b"1.2.0").to_bytes().to_vec()), ..Supplies::default() };
    let objects = rendered(json!({}), &own);
    let address = objects[1]["metadata"]["annotations"][CHART].as_str().unwrap();
    assert!(address.starts_with("https://x.example/m.tgz") && !address.contains("s3cret"), "{address}");
}

#[test]
fn a_release_goes_where_its_scope_says_else_where_the_catalogue_says_else_under_its_own_name() {
    let namespace = |properties, supplies: &Supplies| {
        rendered(properties, supplies)[1]["spec"]["targetNamespace"].as_str().unwrap().to_owned()
    };
    let scoped = |scope: Value| json!({"scope": scope});
    let plain = supplies("1.2.0");
    assert_eq!(namespace(scoped(json!({"namespace": {"targetNamespace": "team-a"}})), &plain), "team-a");
    for open in [json!({}), json!({"cluster": {}}), json!({"cluster": null, "namespace": null}), Value::Null]
    {
        assert_eq!(namespace(scoped(open), &plain), "mon");
    }
    let text = format!(
        "[[chart]]\ntype = \"contoso.monitor\"\nversion = \"1.2.0\"\nchart = \"https://x.example/m.tgz\"\n\
         digest = \"sha256:{}\"\nrelease-namespace = \"kube-system\"\n",
        Digest::of(b"1.2.0")
    );
    let catalogue = Catalogue::parse(&text).unwrap();
    let entry = catalogue.of("contoso.monitor", "stable").next().unwrap();
    let own =
        Supplies { chart: Some(Chart::new(entry, b"1.2.0").to_bytes().to_vec()), ..Supplies::default() };
    assert_eq!(namespace(json!({}), &own), "kube-system");
    assert_eq!(namespace(scoped(json!({"cluster": {"releaseNamespace": "a"}})), &own), "a");
}

#[test]
fn whatever_the_job_is_to_do_otherwise_gives_the_secret_another_name_and_nothing_else_does() {
    let name = |properties: Value, supplies: &Supplies| {
        rendered(properties, supplies)[0]["metadata"]["name"].as_str().unwrap().to_owned()
    };
    let setting = |value: &str| json!({"configurationSettings": {"a": value}});
    let first = name(setting("x"), &with_protected("1.2.0", "v1", r#"{"k": "1"}"#));
    assert_eq!(first, name(setting("x"), &with_protected("1.2.0", "v1", r#"{"k": "1"}"#)));
    // Nothing of a secret is in a name.
    assert_eq!(first, name(setting("x"), &with_protected("1.2.0", "v1", r#"{"k": "2"}"#)));
    for other in [
        name(setting("y"), &with_protected("1.2.0", "v1", r#"{"k": "1"}"#)),
        name(setting("x"), &with_protected("1.3.0", "v1", r#"{"k": "1"}"#)),
        name(setting("x"), &with_protected("1.2.0", "v2", r#"{"k": "1"}"#)),
    ] {
        assert_ne!(first, other);
    }
}

#[test]
fn without_a_vault_or_without_its_secret_the_protected_values_are_empty() {
    assert_eq!(protected(&rendered(json!({}), &supplies("1.2.0"))), json!({}));
    let none = Supplies { naming: Some(Naming { prefix: "x-".into() }), ..supplies("1.2.0") };
    assert_eq!(protected(&rendered(json!({}), &none)), json!({}));
    assert_eq!(
        needs(&document(json!({})), &Naming { prefix: "x-".into() })[0].vault_name,
        "x-extension-mon-configurationProtectedSettings"
    );
}

#[test]
fn a_chart_comes_back_from_the_cache_as_it_was_put_there() {
    let catalogue = catalogue(&[("stable", "1.2.0"), ("stable", "1.3.0")]);
    let entries: Vec<&Entry> = catalogue.of("contoso.monitor", "stable").collect();
    let bytes = chart("1.2.0");
    let back = Chart::from_bytes(&bytes).unwrap();
    assert_eq!((back.version, back.bytes), ("1.2.0", &b"1.2.0"[..]));
    assert!(back.is(entries[0]) && !back.is(entries[1]));
    // Bytes that are not those that the catalogue promises now.
    assert!(!Chart::new(entries[0], b"other").is(entries[0]));
    for damaged in [&b""[..], b"\x02", &bytes[..bytes.len() - 1], b"\x01\xff\xff\xff\xff\xff"] {
        assert!(Chart::from_bytes(damaged).is_none());
    }
}
