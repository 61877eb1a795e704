//! Secrets in the key vault: who may read them, which version is given, and in which form it says no.

use crate::rig::{ARM, Reply, Rig, VAULT};
use azure_standin::{DEVICE, Endpoint, Fault, OPERATOR, Role, TENANT};
use serde_json::{Value, json};

const VERSION: &str = "?api-version=7.4";

fn call(rig: &Rig, who: (&str, &str), method: &str, path: &str, body: Value) -> Reply {
    let token = format!("Bearer {}", rig.token(who, VAULT));
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    rig.send(method, &format!("{}{path}", rig.azure.vault_url()), &headers, &body, crate::rig::PATIENCE)
        .unwrap()
}

fn get(rig: &Rig, path: &str) -> Reply {
    call(rig, DEVICE, "GET", &format!("{path}{VERSION}"), Value::Null)
}

fn inner(reply: &Reply) -> (u16, String, Value) {
    let (status, code) = reply.refusal();
    (status, code, reply.json()["error"]["innererror"]["code"].clone())
}

#[test]
fn who_has_no_token_of_the_vaults_own_audience_is_told_where_to_get_one() {
    let rig = Rig::new();
    rig.azure.put_secret("git", "v");
    let url = format!("{}/secrets/git{VERSION}", rig.azure.vault_url());
    let expected = format!(
        "Bearer authorization=\"{}/{TENANT}\", resource=\"https://vault.azure.net\"",
        rig.azure.login_url()
    );
    let foreign = format!("Bearer {}", rig.token(OPERATOR, ARM));
    for headers in [vec![], vec![("authorization", "Bearer x")], vec![("authorization", foreign.as_str())]] {
        let reply = rig.plain(&url, &headers);
        assert_eq!(reply.refusal(), (401, "Unauthorized".into()));
        assert_eq!(reply.header("www-authenticate"), Some(expected.as_str()));
    }
    // Nor is the vault's token good anywhere else.
    let token = format!("Bearer {}", rig.token(OPERATOR, VAULT));
    let subscriptions = format!("{}/subscriptions?api-version=2022-12-01", rig.azure.arm_url());
    assert_eq!(rig.plain(&subscriptions, &[("authorization", &token)]).status, 401);
}

#[test]
fn the_newest_version_is_given_unless_another_one_is_named() {
    let rig = Rig::new();
    let first = rig.azure.put_secret("git", "one");
    let second = rig.azure.put_secret("git", "two");
    // The Python client's form of "newest" has a slash at its end.
    for path in ["/secrets/git", "/secrets/git/", "/secrets/GIT"] {
        assert_eq!(get(&rig, path).json()["value"], "two");
    }
    let shown = get(&rig, "/secrets/git").json();
    assert_eq!(shown["id"], format!("{}/secrets/git/{second}", rig.azure.vault_url()));
    assert_eq!(shown["attributes"]["enabled"], true);
    assert!(shown["attributes"]["created"].is_i64());
    assert_eq!(get(&rig, &format!("/secrets/git/{first}")).json()["value"], "one");
    assert_eq!(get(&rig, "/secrets/git/0123").refusal(), (404, "SecretNotFound".into()));
    let listed = get(&rig, "/secrets/git/versions").json();
    assert_eq!(listed["value"].as_array().unwrap().len(), 2);
    assert!(listed["value"][0].get("value").is_none());
    assert!(rig.azure.delete_secret("git"));
    assert_eq!(get(&rig, "/secrets/git").refusal(), (404, "SecretNotFound".into()));
}

#[test]
fn a_disabled_secret_is_refused_and_one_outside_its_dates_is_not() {
    let rig = Rig::new();
    rig.azure.put_secret("git", "v");
    assert!(rig.azure.change_secret("git", &json!({"attributes": {"exp": 1_000, "nbf": 500}})));
    let shown = get(&rig, "/secrets/git").json();
    assert_eq!(
        (&shown["value"], &shown["attributes"]["exp"], &shown["attributes"]["nbf"]),
        (&json!("v"), &json!(1_000), &json!(500))
    );
    rig.azure.change_secret("git", &json!({"attributes": {"enabled": false}}));
    assert_eq!(inner(&get(&rig, "/secrets/git")), (403, "Forbidden".into(), json!("SecretDisabled")));
    assert!(!rig.azure.change_secret("absent", &json!({})));
}

#[test]
fn the_device_reads_and_does_not_write_and_without_its_role_does_neither() {
    let rig = Rig::new();
    let set = |who| {
        call(
            &rig,
            who,
            "PUT",
            &format!("/secrets/git{VERSION}"),
            json!({"value": "v", "contentType": "text/plain", "tags": {"site": "1"}}),
        )
    };
    let forbidden = (403, "Forbidden".to_owned(), json!("ForbiddenByRbac"));
    assert_eq!(inner(&set(DEVICE)), forbidden);
    let made = set(OPERATOR);
    assert_eq!(
        (made.status, &made.json()["contentType"], &made.json()["tags"]["site"]),
        (200, &json!("text/plain"), &json!("1"))
    );
    assert_eq!(get(&rig, "/secrets/git").json(), made.json());
    rig.azure.set_roles(DEVICE.0, vec![Role::contributor("/subscriptions")]);
    assert_eq!(inner(&get(&rig, "/secrets/git")), forbidden);
}

#[test]
fn a_patch_changes_attributes_and_gives_no_value() {
    let rig = Rig::new();
    let version = rig.azure.put_secret("git", "v");
    for path in [format!("/secrets/git{VERSION}"), format!("/secrets/git/{version}{VERSION}")] {
        let reply = call(
            &rig,
            OPERATOR,
            "PATCH",
            &path,
            json!({"attributes": {"enabled": true, "exp": 9}, "value": "w"}),
        );
        assert_eq!((reply.status, reply.json().get("value")), (200, None));
    }
    let shown = get(&rig, "/secrets/git").json();
    assert_eq!((&shown["value"], &shown["attributes"]["exp"]), (&json!("v"), &json!(9)));
    assert_eq!(call(&rig, OPERATOR, "PATCH", &format!("/secrets/no{VERSION}"), json!({})).status, 404);
}

#[test]
fn what_is_no_request_to_a_vault_is_refused_in_its_form() {
    let rig = Rig::new();
    for (method, path, body, status) in [
        ("GET", "/secrets/git", Value::Null, 400),
        ("GET", "/secrets/git?api-version=6.0", Value::Null, 400),
        ("GET", "/secrets/g_t?api-version=7.4", Value::Null, 400),
        ("PUT", "/secrets/git?api-version=7.4", json!({}), 400),
        ("PUT", "/secrets/git?api-version=7.4", json!({"value": "x".repeat(25 * 1024 + 1)}), 400),
        ("GET", "/keys/git?api-version=7.4", Value::Null, 405),
    ] {
        let reply = call(&rig, OPERATOR, method, path, body);
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.json()["error"]["code"].is_string());
    }
}

#[test]
fn the_vaults_link_and_faults_are_its_own() {
    let rig = Rig::new();
    rig.azure.put_secret("git", "v");
    rig.azure.set_fault_on(Endpoint::Vault, "/secrets/git", Fault::Throttled(3), Some(1));
    rig.azure.put_secret("other", "o");
    assert_eq!(get(&rig, "/secrets/other").status, 200);
    let throttled = get(&rig, "/secrets/git");
    assert_eq!((throttled.status, throttled.header("retry-after")), (429, Some("3")));
    rig.azure.cut(Endpoint::Vault);
    let url = format!("{}/secrets/git{VERSION}", rig.azure.vault_url());
    assert!(rig.send("GET", &url, &[], b"", crate::rig::PATIENCE).is_err());
    rig.azure.restore(Endpoint::Vault);
    assert_eq!(get(&rig, "/secrets/git").status, 200);
    assert_eq!(rig.azure.stats(Endpoint::Vault).requests, 3);
}
