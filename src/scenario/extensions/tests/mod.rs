//! What an extension becomes, and what is told of it.

mod choice;
mod objects;
mod picture;
mod refusals;

use super::*;
use crate::core::document::Kind;
use serde_json::json;

/// A stored document with these properties beside the type.
fn document(properties: Value) -> Vec<u8> {
    let mut all = json!({"extensionType": "Contoso.Monitor"});
    all.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
    json!({"id": "/subscriptions/s/…/extensions/mon", "name": "mon", "properties": all})
        .to_string()
        .into_bytes()
}

fn extension(properties: Value) -> Extension {
    Extension::read(&document(properties)).unwrap()
}

/// A catalogue of charts of that type: train and version.
fn catalogue(charts: &[(&str, &str)]) -> Catalogue {
    let text: String = charts
        .iter()
        .map(|(train, version)| {
            let digest = Digest::of(version.as_bytes());
            format!(
                "[[chart]]\ntype = \"contoso.monitor\"\ntrain = \"{train}\"\nversion = \"{version}\"\n\
                 chart = \"oci://charts.example/mon:{version}\"\ndigest = \"sha256:{digest}\"\n"
            )
        })
        .collect();
    Catalogue::parse(&text).unwrap()
}

fn served() -> Served {
    Served::from([(HELM.to_owned(), vec!["v1".to_owned()])])
}

/// What the cache has: a chart of one version, whose bytes are that version's text.
fn chart(version: &str) -> Vec<u8> {
    chart_for(version, json!({}))
}

/// The same, taken for an extension with these properties.
fn chart_for(version: &str, properties: Value) -> Vec<u8> {
    let all = catalogue(&[("stable", version)]);
    let entry = all.of("contoso.monitor", "stable").next().unwrap();
    Chart::new(entry, version.as_bytes(), &extension(properties)).to_bytes().to_vec()
}

fn supplies(version: &str) -> Supplies {
    Supplies { chart: Some(chart(version)), ..Supplies::default() }
}

pub(super) fn with_protected(version: &str, vault_version: &str, value: &str) -> Supplies {
    let naming = Naming { prefix: String::new() };
    let name = naming.secret(&Key::new(Kind::Extension, "mon"), PROTECTED);
    Supplies {
        secrets: [(name.clone(), zeroize::Zeroizing::new(value.to_owned()))].into(),
        versions: [(name, vault_version.to_owned())].into(),
        naming: Some(naming),
        ..supplies(version)
    }
}

fn site() -> Site {
    Site {
        cloud: "AzureCloud".into(),
        cluster: "/subscriptions/s/…/connectedClusters/k3s-1".into(),
        region: Some("eastus".into()),
        distribution: "k3s".into(),
        infrastructure: "generic".into(),
        ..Site::default()
    }
}
