//! HIMDS: a challenge by key file, good once.

use crate::rig::{Reply, Rig, VERSION};
use azure_standin::Options;
use serde_json::Value;
use std::path::PathBuf;

const QUERY: &str = "?api-version=2020-06-01&resource=https%3A%2F%2Fmanagement.azure.com";

fn rig(keys: &tempfile::TempDir) -> Rig {
    Rig::with(Options { himds: Some(keys.path().to_owned()), ..Options::default() })
}

fn ask(rig: &Rig, query: &str, headers: &[(&str, &str)]) -> Reply {
    rig.plain(&format!("{}{query}", rig.azure.himds_url().unwrap()), headers)
}

fn key_file(reply: &Reply) -> PathBuf {
    assert_eq!(reply.status, 401);
    reply.header("www-authenticate").unwrap().strip_prefix("Basic realm=").unwrap().into()
}

#[test]
fn the_content_of_the_key_file_gets_one_token() {
    let keys = tempfile::tempdir().unwrap();
    let rig = rig(&keys);
    let file = key_file(&ask(&rig, QUERY, &[("metadata", "true")]));
    assert_eq!(file.parent(), Some(keys.path()));
    let proof = format!("Basic {}", std::fs::read_to_string(&file).unwrap());
    let reply = ask(&rig, QUERY, &[("metadata", "true"), ("authorization", &proof)]);
    assert_eq!(reply.status, 200);
    // The real one writes numbers as strings.
    assert!(reply.json()["expires_in"].is_string() && reply.json()["expires_on"].is_string());
    let token = format!("Bearer {}", reply.json()["access_token"].as_str().unwrap());
    let url = format!("{}/subscriptions{VERSION}", rig.azure.arm_url());
    assert_eq!(rig.plain(&url, &[("authorization", &token)]).status, 200);
    assert!(!file.exists());
    // Used up.
    key_file(&ask(&rig, QUERY, &[("metadata", "true"), ("authorization", &proof)]));
}

#[test]
fn a_wrong_proof_uses_the_key_up() {
    let keys = tempfile::tempdir().unwrap();
    let rig = rig(&keys);
    let file = key_file(&ask(&rig, QUERY, &[("metadata", "true")]));
    let proof = format!("Basic {}", std::fs::read_to_string(&file).unwrap());
    key_file(&ask(&rig, QUERY, &[("metadata", "true"), ("authorization", "Basic guessed")]));
    key_file(&ask(&rig, QUERY, &[("metadata", "true"), ("authorization", &proof)]));
}

#[test]
fn a_request_without_its_header_version_or_resource_is_bad() {
    let keys = tempfile::tempdir().unwrap();
    let rig = rig(&keys);
    let metadata = [("metadata", "true")];
    for (query, headers) in [
        (QUERY, &[][..]),
        ("?resource=https%3A%2F%2Fmanagement.azure.com", &metadata[..]),
        ("?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com", &metadata[..]),
        ("?api-version=2020-06-01", &metadata[..]),
    ] {
        let reply = ask(&rig, query, headers);
        assert_eq!(
            (reply.status, reply.json()["error"].clone()),
            (400, Value::from("invalid_request")),
            "{query}"
        );
    }
    assert_eq!(std::fs::read_dir(keys.path()).unwrap().count(), 0);
}

#[test]
fn the_realm_may_be_a_lie() {
    let keys = tempfile::tempdir().unwrap();
    let rig = rig(&keys);
    rig.azure.himds_realm(Some("/etc/passwd"));
    assert_eq!(key_file(&ask(&rig, QUERY, &[("metadata", "true")])), PathBuf::from("/etc/passwd"));
    assert_eq!(rig.azure.himds_requests(), 1);
}
