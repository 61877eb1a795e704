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
    let own = Supplies {
        chart: Some(Chart::new(entry, b"1.2.0", &extension(json!({}))).to_bytes().to_vec()),
        ..Supplies::default()
    };
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
    let own = Supplies {
        chart: Some(Chart::new(entry, b"1.2.0", &extension(json!({}))).to_bytes().to_vec()),
        ..Supplies::default()
    };
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
    assert!(!Chart { bytes: b"other", ..back.clone() }.is(entries[0]));
    for damaged in [&b""[..], b"\x02", &bytes[..bytes.len() - 1], b"\x01\xff\xff\xff\xff\xff"] {
        assert!(Chart::from_bytes(damaged).is_none());
    }
}

#[test]
fn what_is_said_for_another_version_is_not_said_for_the_one_that_runs() {
    let one = json!({"version": "1.2.0", "configurationSettings": {"a": "x"},
        "scope": {"cluster": {"releaseNamespace": "here"}}});
    let two = json!({"version": "1.3.0", "configurationSettings": {"a": "y"},
        "scope": {"cluster": {"releaseNamespace": "there"}}});
    let with = |version: &str, properties: &Value| Supplies {
        chart: Some(chart_for(version, properties.clone())),
        ..Supplies::default()
    };
    let first = rendered(one.clone(), &with("1.2.0", &one));
    assert_eq!(rendered(two.clone(), &with("1.2.0", &one)), first, "the last good one goes on as it was");
    let second = rendered(two.clone(), &with("1.3.0", &two));
    assert_eq!((&second[1]["spec"]["targetNamespace"]), "there");
    assert_ne!(first[1]["spec"]["valuesContent"], second[1]["spec"]["valuesContent"]);
    // Of the version that runs, however it is written, and without a version, it is said for what runs.
    for version in [json!("v1.2.0"), json!("1.2.0"), Value::Null] {
        let mut said = two.clone();
        said["version"] = version;
        let now = rendered(said, &with("1.2.0", &one));
        assert_eq!(now[1]["spec"]["valuesContent"], second[1]["spec"]["valuesContent"]);
        assert_eq!(now[1]["spec"]["chartContent"], first[1]["spec"]["chartContent"]);
    }
    // Another train is another chart, too.
    let mut other = two.clone();
    (other["version"], other["releaseTrain"]) = (Value::Null, json!("preview"));
    assert_eq!(rendered(other, &with("1.2.0", &one)), first);
}

#[test]
fn a_chart_that_an_older_arclet_kept_is_read_and_runs_with_what_is_said_now() {
    let kept = chart("1.2.0");
    let older = Chart { run: None, ..Chart::from_bytes(&kept).unwrap() }.to_bytes();
    assert_eq!((older[0], kept[0]), (1, 2));
    let back = Chart::from_bytes(&older).unwrap();
    assert_eq!((back.version, &back.run), ("1.2.0", &None));
    let said = json!({"version": "1.3.0", "configurationSettings": {"a": "y"}});
    let supplies = Supplies { chart: Some(older.to_vec()), ..Supplies::default() };
    let values = rendered(said.clone(), &supplies)[1]["spec"]["valuesContent"].to_string();
    assert!(values.contains(r#"\"a\":\"y\""#), "{values}");
    assert_eq!(back.renewed(&extension(said.clone())).unwrap().renewed(&extension(said)), None);
}
