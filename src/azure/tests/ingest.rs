//! Ingestion: only 204 is a success, and only Azure itself may call a record bad.

use super::{PORTAL, client, kind, reason};
use crate::azure::ingest::{Ingest, encode};
use crate::core::{Outcome, Stream};
use crate::http::testing::{Server, answer};

const DCR: &str = "dcr-000a00a000a00000a000000aa000a0aa";

fn post(answer: Vec<u8>) -> (Outcome, Option<i64>) {
    let server = Server::always(answer);
    Ingest::new(&server.url, DCR, client()).post(
        Stream::Heartbeat,
        &encode([&b"{}"[..]]).unwrap().0,
        "FAKE.MON.TOKEN",
    )
}

#[test]
fn the_request_is_the_documented_one() {
    let server = Server::always(answer(204, &[("Date", "Mon, 23 Nov 2026 01:46:40 GMT")], ""));
    let (body, _) = encode([&br#"{"a":1}"#[..]]).unwrap();
    let ingest = Ingest::new(&format!("{}/", server.url), DCR, client());
    let (outcome, date) = ingest.post(Stream::Inventory, &body, "FAKE.MON.TOKEN");
    assert_eq!((outcome, date), (Outcome::Success, Some(1_795_398_400_000)));
    let seen = &server.seen()[0];
    assert_eq!(
        seen.line(),
        format!(
            "POST /dataCollectionRules/{DCR}/streams/Custom-ArcletInventory?api-version=2023-01-01 HTTP/1.1"
        )
    );
    assert_eq!(seen.header("authorization"), Some("Bearer FAKE.MON.TOKEN"));
    assert_eq!(
        (seen.header("content-type"), seen.header("content-encoding")),
        (Some("application/json"), Some("gzip"))
    );
    assert_eq!(seen.header("content-length").map(str::to_owned), Some(body.len().to_string()));
    assert_eq!(seen.header("x-ms-client-request-id").map(str::len), Some(36));
    assert_eq!(seen.body, body);
}

fn error(code: &str) -> String {
    format!(r#"{{"error": {{"code": "{code}", "message": "words that change"}}}}"#)
}

#[test]
fn every_answer_means_what_the_table_says() {
    let (throttled, retry) = (&[("Retry-After", "9")][..], ("Retry-After", "9"));
    let none = &[][..];
    for (status, headers, body, expected, code) in [
        (204, none, String::new(), "success", ""),
        // 2xx that are not the documented one, redirects and pages keep everything.
        (200, none, String::new(), "refused", "NotTheApi"),
        (200, none, "{}".into(), "refused", "NotTheApi"),
        (200, none, PORTAL.into(), "refused", "CaptivePortal"),
        (202, none, String::new(), "refused", "NotTheApi"),
        (302, &[("Location", "https://portal/")], String::new(), "refused", "Redirected"),
        (307, none, PORTAL.into(), "refused", "Redirected"),
        (304, none, String::new(), "refused", "Redirected"),
        // Too large.
        (413, none, error("ContentLengthLimitExceeded"), "too-large", "ContentLengthLimitExceeded"),
        (413, none, PORTAL.into(), "refused", "CaptivePortal"),
        (400, none, error("ContentLengthLimitExceeded"), "too-large", "ContentLengthLimitExceeded"),
        // A record at fault, only in the API's own words.
        (400, none, error("InvalidPayload"), "bad-record", "InvalidPayload"),
        (400, none, error("InvalidStream"), "refused", "InvalidStream"),
        (400, none, PORTAL.into(), "refused", "CaptivePortal"),
        (400, none, String::new(), "refused", "NotTheApi"),
        (400, none, r#"{"error": "invalid"}"#.into(), "refused", "NotTheApi"),
        (400, none, r#"{"error": {"code": "Inva"#.into(), "refused", "NotTheApi"),
        (400, throttled, error("InvalidPayload"), "throttled", "InvalidPayload"),
        // The setup.
        (401, none, error("InvalidToken"), "unauthorized", "InvalidToken"),
        (
            401,
            &[("WWW-Authenticate", "Bearer error=\"invalid_token\"")],
            String::new(),
            "unauthorized",
            "Unauthorized",
        ),
        (401, none, PORTAL.into(), "refused", "CaptivePortal"),
        (403, none, error("OperationFailed"), "refused", "OperationFailed"),
        (403, none, PORTAL.into(), "refused", "CaptivePortal"),
        (404, none, error("NotFound"), "refused", "NotFound"),
        (404, none, "404 page not found".into(), "refused", "NotTheApi"),
        (407, none, String::new(), "refused", "CaptivePortal"),
        // Not now.
        (408, none, String::new(), "unreachable", "Unavailable"),
        (429, &[retry], error("TooManyRequests"), "throttled", "TooManyRequests"),
        (429, none, PORTAL.into(), "throttled", "TooManyRequests"),
        (500, none, error("InternalError"), "unreachable", "InternalError"),
        (502, none, PORTAL.into(), "unreachable", "Unavailable"),
        (503, throttled, String::new(), "throttled", "Unavailable"),
        (504, none, String::new(), "unreachable", "Unavailable"),
        (511, none, PORTAL.into(), "refused", "CaptivePortal"),
    ] {
        let (outcome, _) = post(answer(status, headers, &body));
        assert_eq!(kind(&outcome), expected, "{status} {body}");
        assert_eq!(outcome.reason().map_or("", |r| r.code.as_str()), code, "{status} {body}");
        assert!(!format!("{outcome:?}").contains("FAKE"), "{outcome:?}");
        if headers.contains(&retry) {
            assert!(
                matches!(outcome, Outcome::Throttled { retry_after: Some(wait), .. } if wait.as_secs() == 9)
            );
        }
    }
}

#[test]
fn a_large_request_that_a_front_end_cuts_off_is_too_large() {
    let server = Server::always(answer(413, &[], PORTAL));
    let ingest = Ingest::new(&server.url, DCR, client());
    let (outcome, _) = ingest.post(Stream::Heartbeat, &[0; 64 * 1024], "FAKE.MON.TOKEN");
    assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), ("too-large", "PayloadTooLarge"));
}

#[test]
fn refusals_of_the_setup_name_their_cure() {
    for (status, code, word) in [
        (400, "InvalidStream", "config/azure"),
        (401, "InvalidToken", "identity.tenant"),
        (403, "OperationFailed", "Monitoring Metrics Publisher"),
        (404, "NotFound", "ingest.dcr"),
    ] {
        let (outcome, _) = post(answer(status, &[], error(code)));
        assert!(reason(&outcome).next_step.contains(word), "{outcome:?}");
        assert!(reason(&outcome).message.contains("ArcletHeartbeat_CL"), "{outcome:?}");
    }
}

#[test]
fn a_challenge_hands_on_the_claims_that_it_asks_for() {
    let claims = r#"{"access_token":{"nbf":{"essential":true,"value":"1"}}}"#;
    let challenge = "Bearer authorization_uri=\"https://login.microsoftonline.com/t\", error=\"insufficient_claims\", \
        claims=\"eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ==\"";
    let (outcome, _) = post(answer(401, &[("WWW-Authenticate", challenge)], error("AuthenticationFailed")));
    assert!(
        matches!(&outcome, Outcome::Unauthorized { claims: Some(text), .. } if text == claims),
        "{outcome:?}"
    );
    for broken in [
        challenge.replace("insufficient_claims", "invalid_token"),
        challenge.replace("eyJ", "!!!"),
        challenge
            .replace("eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxIn19fQ==", "W10="),
    ] {
        let (outcome, _) = post(answer(401, &[("WWW-Authenticate", &broken)], error("AuthenticationFailed")));
        assert!(matches!(outcome, Outcome::Unauthorized { claims: None, .. }), "{broken}: {outcome:?}");
    }
}

#[test]
fn a_reply_that_breaks_off_is_no_success() {
    for bytes in [&b""[..], b"HTTP/1.1 20", b"HTTP/1.1 204 No Content\r\nDate: x"] {
        let (outcome, _) = post(bytes.to_vec());
        assert_eq!(kind(&outcome), "unreachable", "{:?}", String::from_utf8_lossy(bytes));
    }
}
