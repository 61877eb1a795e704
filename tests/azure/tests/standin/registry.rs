//! The registry as anonymous readers see it: token first, blobs by a redirect, tags page by page.

use crate::rig::{Reply, Rig};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A GET as the distribution specification has it, with a token that the challenge asks for.
fn get(rig: &Rig, path: &str, scope: &str) -> Reply {
    let base = rig.azure.registry_url();
    let token =
        rig.plain(&format!("{base}/token?service=registry.example&scope=repository%3A{scope}%3Apull"), &[]);
    let token = format!("Bearer {}", token.json()["token"].as_str().unwrap_or("none"));
    rig.plain(&format!("{base}{path}"), &[("authorization", &token), ("accept", MANIFEST)])
}

#[test]
fn nothing_is_read_without_the_token_of_its_own_repository() {
    let rig = Rig::new();
    rig.azure.push_chart("charts/app", "1.0.0", b"archive");
    let url = format!("{}/v2/charts/app/manifests/1.0.0", rig.azure.registry_url());
    let refused = rig.plain(&url, &[]);
    assert_eq!((refused.status, refused.json()["errors"][0]["code"].as_str()), (401, Some("UNAUTHORIZED")));
    let expected = format!(
        "Bearer realm=\"{}/token\",service=\"registry.example\",scope=\"repository:charts/app:pull\"",
        rig.azure.registry_url()
    );
    assert_eq!(refused.header("www-authenticate"), Some(expected.as_str()));
    assert_eq!(get(&rig, "/v2/charts/app/manifests/1.0.0", "charts/other").status, 401);
    assert_eq!(get(&rig, "/v2/charts/app/manifests/1.0.0", "charts/app").status, 200);
    rig.azure.make_private("charts/app", true);
    assert_eq!(get(&rig, "/v2/charts/app/tags/list", "charts/app").status, 401);
    rig.azure.open_registry(true);
    assert_eq!(rig.plain(&url, &[]).status, 200);
}

#[test]
fn a_chart_is_a_manifest_with_its_digest_and_a_blob_behind_a_redirect() {
    let rig = Rig::new();
    let digest = rig.azure.push_chart("charts/app", "1.0.0", b"archive");
    let manifest = get(&rig, "/v2/charts/app/manifests/1.0.0", "charts/app");
    assert_eq!(manifest.header("content-type"), Some(MANIFEST));
    let own = azure_standin::digest(&manifest.body);
    assert_eq!(manifest.header("docker-content-digest"), Some(own.as_str()));
    assert_eq!(manifest.json()["layers"][0]["digest"], digest);
    assert_eq!(get(&rig, &format!("/v2/charts/app/manifests/{own}"), "charts/app").body, manifest.body);
    let away = get(&rig, &format!("/v2/charts/app/blobs/{digest}"), "charts/app");
    assert_eq!(away.status, 307);
    let place = format!("{}{}", rig.azure.registry_url(), away.header("location").unwrap());
    assert_eq!(rig.plain(&place, &[]).body, b"archive");
    assert!(rig.azure.corrupt_blob("charts/app", &digest, b"other"));
    assert_eq!(rig.plain(&place, &[]).body, b"other");
}

#[test]
fn what_is_not_there_is_said_in_the_words_of_the_specification() {
    let rig = Rig::new();
    rig.azure.push_manifest(
        "app",
        "1.0.0",
        &json!({ "schemaVersion": 2, "mediaType": "application/x.other" }),
    );
    for (path, code) in [
        ("/v2/other/tags/list", "NAME_UNKNOWN"),
        ("/v2/app/manifests/9.9.9", "MANIFEST_UNKNOWN"),
        // There, and not of a type that is accepted.
        ("/v2/app/manifests/1.0.0", "MANIFEST_UNKNOWN"),
        ("/v2/app/blobs/sha256:00", "BLOB_UNKNOWN"),
    ] {
        let scope = path.split('/').nth(2).unwrap();
        let reply = get(&rig, path, scope);
        assert_eq!((reply.status, reply.json()["errors"][0]["code"].as_str()), (404, Some(code)));
    }
}

#[test]
fn tags_come_in_pages_that_link_to_the_next_and_a_removed_one_is_gone() {
    let rig = Rig::new();
    for tag in ["1.0.0", "1.1.0", "1.2.0"] {
        rig.azure.push("app", tag, "application/x.config", &[("application/x.layer", b"x")], Value::Null);
    }
    rig.azure.page_size(2);
    let first = get(&rig, "/v2/app/tags/list", "app");
    assert_eq!(first.json(), json!({ "name": "app", "tags": ["1.0.0", "1.1.0"] }));
    let link = first.header("link").unwrap();
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let second = get(&rig, next, "app");
    assert_eq!((second.json()["tags"].clone(), second.header("link")), (json!(["1.2.0"]), None));
    assert!(rig.azure.untag("app", "1.0.0") && !rig.azure.untag("app", "1.0.0"));
    assert_eq!(get(&rig, "/v2/app/tags/list", "app").json()["tags"], json!(["1.1.0", "1.2.0"]));
}
