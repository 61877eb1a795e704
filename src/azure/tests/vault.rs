//! Key Vault: what is a secret, what is the secret's own trouble, and what is the vault's or its link's.

use super::{PORTAL, client, kind, reason};
use crate::azure::vault::{MOST_VALUE, Secret, Vault, code};
use crate::clock::Clock;
use crate::core::{Outcome, Reason};
use crate::http::testing::{Server, answer};
use serde_json::json as value;

const NAME: &str = "flux-fleet-httpsKey";
/// A date as the servers here say it, and the same in Unix seconds.
const DATE: (&str, &str) = ("Date", "Mon, 23 Nov 2026 01:46:40 GMT");
const NOW: i64 = 1_795_398_400;

fn json(status: u16, body: impl AsRef<str>) -> Vec<u8> {
    answer(status, &[("Content-Type", "application/json")], body.as_ref())
}

fn get(answer: Vec<u8>) -> Result<Result<Secret, Reason>, Outcome> {
    let server = Server::always(answer);
    Vault::new(&server.url, client(), Clock::new()).get(NAME, "FAKE.KV.TOKEN")
}

fn bundle(text: &str, attributes: serde_json::Value) -> String {
    let id = format!("https://edge-kv.vault.azure.net/secrets/{NAME}/4387e9f3d6e14c459867679a90fd0f79");
    value!({"value": text, "id": id, "attributes": attributes, "tags": {"site": "store-17"}}).to_string()
}

fn error(code: &str, inner: Option<&str>) -> String {
    let inner = inner.map(|code| value!({ "code": code }));
    value!({"error": {"code": code, "message": "words that change", "innererror": inner}}).to_string()
}

fn own(answer: Vec<u8>) -> Reason {
    match get(answer) {
        Ok(Err(reason)) => reason,
        Ok(Ok(_)) => panic!("a secret came of it"),
        Err(outcome) => panic!("not the secret's own: {outcome:?}"),
    }
}

fn links(answer: Vec<u8>) -> Outcome {
    match get(answer) {
        Err(outcome) => outcome,
        Ok(_) => panic!("the secret's own"),
    }
}

#[test]
fn the_request_is_the_documented_one_and_the_answer_is_the_newest_version() {
    let server =
        Server::always(json(200, bundle("hunter2", value!({"enabled": true, "nbf": 5, "exp": null}))));
    let vault = Vault::new(&format!("{}/", server.url), client(), Clock::new());
    let secret = vault.get(NAME, "FAKE.KV.TOKEN").unwrap().unwrap_or_else(|r| panic!("{r}"));
    assert_eq!(
        (secret.value.as_str(), secret.version.as_str()),
        ("hunter2", "4387e9f3d6e14c459867679a90fd0f79")
    );
    assert_eq!((secret.not_before, secret.expires), (Some(5), None));
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), format!("GET /secrets/{NAME}?api-version=7.4 HTTP/1.1"));
    assert_eq!(seen.header("authorization"), Some("Bearer FAKE.KV.TOKEN"));
    assert_eq!(seen.header("x-ms-client-request-id").map(str::len), Some(36));
}

#[test]
fn a_value_arrives_as_it_was_set_whatever_is_in_it() {
    let all: String = (0..0x300u32).filter_map(char::from_u32).collect();
    for text in
        [all.as_str(), "-----BEGIN X-----\nab/+=\n-----END X-----\n", "\"\\\u{1f511} \u{10ffff}\u{e000}"]
    {
        let plain = bundle(text, value!({}));
        // The same with everything escaped that may be.
        let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
        let escaped = plain.replace(&serde_json::to_string(text).unwrap(), &format!("\"{escaped}\""));
        assert_ne!(plain, escaped);
        for body in [plain, escaped] {
            let secret = get(json(200, body)).unwrap().unwrap_or_else(|r| panic!("{r}"));
            assert_eq!(secret.value.as_str(), text);
        }
    }
}

#[test]
fn a_secret_that_may_not_be_used_now_says_why_and_never_its_value() {
    let on = |attributes| answer(200, &[DATE], bundle("hunter2", attributes));
    let long = "x".repeat(MOST_VALUE + 1);
    for (answer, code, word) in [
        (answer(404, &[], error("SecretNotFound", None)), code::MISSING, "az keyvault secret set"),
        (answer(403, &[], error("Forbidden", Some("SecretDisabled"))), code::DISABLED, "--enabled true"),
        (on(value!({"enabled": false})), code::DISABLED, "--enabled true"),
        (on(value!({"nbf": NOW + 60})), code::NOT_YET_VALID, "--not-before"),
        (on(value!({"exp": NOW - 60})), code::EXPIRED, "az keyvault secret set"),
        (json(200, bundle("", value!({}))), code::EMPTY, "az keyvault secret set"),
        (json(200, bundle(&long, value!({}))), code::TOO_LARGE, "az keyvault secret set"),
        (
            json(200, bundle("hunter2", value!({})).replace("\"hunter2\"", "[\"hunter2\"]")),
            code::EMPTY,
            "set",
        ),
        (json(200, bundle("hunter2", value!({})).replace("hunter2", "\\ud800")), code::EMPTY, "set"),
        (
            answer(403, &[], error("Forbidden", Some("ForbiddenByRbac"))),
            code::FORBIDDEN,
            "Key Vault Secrets User",
        ),
        (answer(403, &[], error("Forbidden", Some("ForbiddenByFirewall"))), code::FORBIDDEN, "firewall"),
        (answer(403, &[], error("Forbidden", None)), code::FORBIDDEN, "Key Vault Secrets User"),
    ] {
        let reason = own(answer);
        assert_eq!(reason.code, code, "{reason}");
        assert!(reason.message.contains(NAME) && reason.next_step.contains(word), "{reason}");
        assert!(!reason.to_string().contains("hunter2"), "{reason}");
    }
    assert!(get(on(value!({"nbf": NOW - 60, "exp": NOW + 60}))).unwrap().is_ok());
}

#[test]
fn only_a_time_that_somebody_vouches_for_keeps_a_secret_from_being_used() {
    let expired = answer(200, &[], bundle("hunter2", value!({"exp": 10})));
    assert!(get(expired.clone()).unwrap().is_ok(), "no clock is trusted, and the reply has no date");
    let clock = Clock::new();
    assert!(clock.learn(clock.best_wall_ms()));
    let server = Server::always(expired);
    let judged = Vault::new(&server.url, client(), clock).get(NAME, "FAKE.KV.TOKEN").unwrap();
    assert_eq!(judged.map(|_| ()).unwrap_err().code, code::EXPIRED);
}

#[test]
fn what_is_not_this_secrets_own_is_the_links_or_the_identitys() {
    let another = bundle("hunter2", value!({})).replace(NAME, "flux-other-httpsKey");
    let challenge = "Bearer authorization=\"https://login.example/t\", resource=\"https://vault.azure.net\"";
    for (answer, expected, code) in [
        (answer(200, &[], PORTAL), "refused", "CaptivePortal"),
        (answer(200, &[], "{}"), "refused", "NotTheApi"),
        (json(200, another), "refused", "NotTheApi"),
        (answer(302, &[("Location", "https://portal/")], ""), "refused", "Redirected"),
        (answer(404, &[], PORTAL), "refused", "CaptivePortal"),
        (answer(404, &[], ""), "refused", "NotTheApi"),
        (answer(403, &[], PORTAL), "refused", "CaptivePortal"),
        (answer(401, &[("WWW-Authenticate", challenge)], ""), "unauthorized", "Unauthorized"),
        (answer(429, &[("Retry-After", "9")], error("Throttled", None)), "throttled", "Throttled"),
        (answer(503, &[("Retry-After", "9")], ""), "throttled", "Unavailable"),
        (answer(500, &[], ""), "unreachable", "Unavailable"),
        (json(200, "x".repeat(300 << 10)), "refused", "ReplyTooLarge"),
        (
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 900\r\n\r\n{\"value\":\"hunter2\""
                .to_vec(),
            "unreachable",
            "ConnectionReset",
        ),
    ] {
        let outcome = links(answer);
        assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), (expected, code), "{outcome:?}");
        let text = format!("{outcome:?}");
        assert!(!text.contains("hunter2") && !text.contains("FAKE"), "{text}");
    }
}

#[test]
fn an_authority_that_the_vault_names_is_shown_and_never_asked() {
    let authority = Server::always(json(200, "{}"));
    let challenge =
        format!("Bearer authorization=\"{}/t\", resource=\"https://vault.azure.net\"", authority.url);
    let outcome = links(answer(401, &[("WWW-Authenticate", &challenge)], error("Unauthorized", None)));
    assert!(reason(&outcome).next_step.contains(&authority.url), "{outcome:?}");
    assert_eq!(authority.connections(), 0);
}

#[test]
fn a_name_that_no_secret_can_have_is_not_asked_for() {
    let server = Server::always(json(200, "{}"));
    let vault = Vault::new(&server.url, client(), Clock::new());
    for name in ["", "a/b", "a b", "..", &"a".repeat(128)] {
        let judged = vault.get(name, "FAKE.KV.TOKEN").unwrap();
        assert_eq!(judged.map(|_| ()).unwrap_err().code, code::BAD_NAME, "{name}");
    }
    assert_eq!(server.connections(), 0);
}
