//! Logs Ingestion: what it takes, what it refuses, and what it would have dropped without a word.

use crate::rig::{ARM, MONITOR, Rig};
use azure_standin::{Azure, DEVICE, OPERATOR, RULE, Role};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const STREAM: &str = "Custom-ArcletHeartbeat";
const TIME: &str = "2026-11-22T15:10:02.123Z";
const LIMIT: usize = 1_048_576;

fn row(number: usize) -> Value {
    json!({ "TimeGenerated": TIME, "EventTime": TIME, "Seq": number, "MessageId": format!("id-{number}") })
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(plain).unwrap();
    out.finish().unwrap()
}

/// An array of exactly this many bytes.
fn sized(bytes: usize) -> Vec<u8> {
    let empty = json!([{ "TimeGenerated": TIME, "Detail": "" }]).to_string();
    let text = "x".repeat(bytes - empty.len());
    let body = json!([{ "TimeGenerated": TIME, "Detail": text }]).to_string().into_bytes();
    assert_eq!(body.len(), bytes);
    body
}

struct Sender {
    rig: Rig,
    token: String,
}

impl Sender {
    fn new() -> Sender {
        let rig = Rig::new();
        let token = format!("Bearer {}", rig.token(DEVICE, MONITOR));
        Sender { rig, token }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        vec![("authorization", self.token.as_str()), ("content-type", "application/json")]
    }

    fn gz(&self) -> Vec<(&str, &str)> {
        [self.headers(), vec![("content-encoding", "gzip")]].concat()
    }

    fn send(&self, headers: &[(&str, &str)], body: &[u8]) -> (u16, String) {
        self.rig.ingest(&self.rig.ingest_path(STREAM), headers, body).refusal()
    }
}

fn taken(azure: &Azure) -> Vec<Value> {
    azure.arrived().into_iter().map(|a| a.row["Seq"].clone()).collect()
}

#[test]
fn rows_arrive_in_order_plain_or_compressed_and_the_answer_is_204_without_a_body() {
    let sender = Sender::new();
    let reply = sender.rig.upload(STREAM, &json!([row(1), row(2)]));
    assert_eq!((reply.status, reply.body.len()), (204, 0));
    assert_eq!(sender.send(&sender.gz(), &gzip(json!([row(3)]).to_string().as_bytes())).0, 204);
    assert_eq!(taken(&sender.rig.azure), [1, 2, 3]);
    assert_eq!(sender.rig.azure.violations(), Vec::<String>::new());
    let calls: Vec<u64> = sender.rig.azure.arrived().iter().map(|a| a.call).collect();
    assert_eq!(calls, [1, 1, 2]);
}

#[test]
fn the_limit_holds_for_the_body_before_and_after_compression() {
    let sender = Sender::new();
    let refused = (413, "ContentLengthLimitExceeded".to_owned());
    assert_eq!(sender.send(&sender.headers(), &sized(LIMIT)).0, 204);
    assert_eq!(sender.send(&sender.headers(), &sized(LIMIT + 1)), refused);
    assert_eq!(sender.send(&sender.gz(), &gzip(&sized(LIMIT))).0, 204);
    assert_eq!(sender.send(&sender.gz(), &gzip(&sized(LIMIT + 1))), refused);
    assert_eq!(sender.rig.azure.arrived_count(), 2);
    // A megabyte that is too large only once it is compressed does not exist in practice; one that is noise is refused.
    assert_eq!(sender.send(&sender.gz(), &vec![0xa5; LIMIT + 1]), refused);
}

#[test]
fn what_is_not_a_request_of_this_api_is_refused() {
    let sender = Sender::new();
    let body = json!([row(1)]).to_string();
    let rig = &sender.rig;
    let at = |path: &str, headers: &[(&str, &str)], body: &str| {
        rig.ingest(path, headers, body.as_bytes()).refusal()
    };
    let path = rig.ingest_path(STREAM);
    let base = path.split('?').next().unwrap().to_owned();
    let headers = sender.headers();
    for (path, expected) in [
        (base.clone(), (400, "InvalidApiVersionParameter")),
        (format!("{base}?api-version=2019-01-01"), (400, "InvalidApiVersionParameter")),
        (
            base.replace(RULE, "dcr-00000000000000000000000000000000") + "?api-version=2023-01-01",
            (404, "NotFound"),
        ),
        ("/elsewhere?api-version=2023-01-01".to_owned(), (404, "NotFound")),
        (rig.ingest_path("Custom-Unknown"), (400, "InvalidStream")),
        (rig.ingest_path("ArcletHeartbeat"), (400, "InvalidStream")),
    ] {
        let (status, code) = at(&path, &headers, &body);
        assert_eq!((status, code.as_str()), expected, "{path}");
    }
    let authorization = headers[0];
    for (extra, body, expected) in [
        (vec![authorization, ("content-type", "text/plain")], body.as_str(), (415, "UnsupportedMediaType")),
        (vec![authorization], body.as_str(), (415, "UnsupportedMediaType")),
        ([headers.clone(), vec![("content-encoding", "br")]].concat(), &body, (415, "UnsupportedMediaType")),
        (sender.gz(), &body, (400, "InvalidPayload")),
        (headers.clone(), "{\"TimeGenerated\": \"now\"}", (400, "InvalidPayload")),
        (headers.clone(), "[1, 2]", (400, "InvalidPayload")),
        (headers.clone(), "[{", (400, "InvalidPayload")),
    ] {
        let (status, code) = at(&path, &extra, body);
        assert_eq!((status, code.as_str()), expected, "{extra:?} {body}");
    }
    assert_eq!(rig.plain(&format!("{}{path}", rig.azure.ingest_url()), &headers).refusal().0, 405);
    assert_eq!(rig.azure.arrived_count(), 0);
}

#[test]
fn the_key_of_the_query_may_be_encoded_as_npm_does() {
    let sender = Sender::new();
    let path = sender.rig.ingest_path(STREAM).replace("api-version", "api%2Dversion");
    assert_eq!(
        sender.rig.ingest(&path, &sender.headers(), json!([row(1)]).to_string().as_bytes()).status,
        204
    );
}

#[test]
fn a_token_has_to_be_there_for_this_audience_and_not_taken_back() {
    let sender = Sender::new();
    let body = json!([row(1)]).to_string().into_bytes();
    let json = ("content-type", "application/json");
    let other = format!("Bearer {}", sender.rig.token(DEVICE, ARM));
    for (headers, code) in [
        (vec![json], "AuthenticationFailed"),
        (vec![json, ("authorization", "Bearer made.up.token")], "InvalidAuthenticationToken"),
        (vec![json, ("authorization", other.as_str())], "InvalidAuthenticationTokenAudience"),
    ] {
        assert_eq!(sender.send(&headers, &body), (401, code.to_owned()));
    }
    assert_eq!(sender.send(&sender.headers(), &body).0, 204);
    sender.rig.azure.revoke_tokens();
    assert_eq!(sender.send(&sender.headers(), &body).0, 401);
}

#[test]
fn only_the_data_action_on_the_rule_lets_rows_in() {
    let rig = Rig::new();
    let body = json!([row(1)]).to_string();
    let send = |who| {
        let token = format!("Bearer {}", rig.token(who, MONITOR));
        let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
        rig.ingest(&rig.ingest_path(STREAM), &headers, body.as_bytes()).refusal()
    };
    // Contributor of the group, and still no data action.
    assert_eq!(send(OPERATOR), (403, "OperationFailed".to_owned()));
    assert_eq!(send(DEVICE).0, 204);
    rig.azure.set_roles(DEVICE.0, vec![Role::publisher(&azure_standin::cluster_id("k3s-1"))]);
    assert_eq!(send(DEVICE).0, 403);
    rig.azure.set_roles(DEVICE.0, vec![Role::publisher(&azure_standin::rule_id().to_uppercase())]);
    assert_eq!(send(DEVICE).0, 204);
}

#[test]
fn what_azure_would_drop_or_cut_is_taken_and_remarked() {
    let rig = Rig::new();
    let rows = json!([
        { "TimeGenerated": TIME, "Undeclared": 1 },
        { "EventTime": TIME },
        { "TimeGenerated": "yesterday" },
        { "TimeGenerated": TIME, "Seq": "1" },
        { "TimeGenerated": TIME, "Detail": "x".repeat(64 * 1024 + 1) },
        { "TimeGenerated": TIME, "Detail": null, "Kind": "gap", "From": TIME },
    ]);
    assert_eq!(rig.upload(STREAM, &rows).status, 204);
    assert_eq!(rig.azure.arrived_count(), 6);
    assert_eq!(rig.azure.violations().len(), 5, "{:?}", rig.azure.violations());
}

#[test]
fn a_poisoned_row_fails_its_whole_call_and_no_other() {
    let rig = Rig::new();
    rig.azure.poison("id-7");
    let refused = rig.upload(STREAM, &json!([row(6), row(7), row(8)]));
    assert_eq!(refused.refusal(), (400, "InvalidRecord".to_owned()));
    assert_eq!(refused.header("x-ms-error-code"), Some("InvalidRecord"));
    assert_eq!(rig.upload(STREAM, &json!([row(6), row(8)])).status, 204);
    assert_eq!(taken(&rig.azure), [6, 8]);
}

#[test]
fn a_stream_can_be_taken_out_of_the_rule_and_put_back() {
    let rig = Rig::new();
    rig.azure.declare(STREAM, false);
    assert_eq!(rig.upload(STREAM, &json!([row(1)])).refusal(), (400, "InvalidStream".to_owned()));
    rig.azure.declare(STREAM, true);
    assert_eq!(rig.upload(STREAM, &json!([row(1)])).status, 204);
}

#[test]
fn an_old_time_is_rewritten_and_the_event_time_left_alone() {
    let rig = Rig::new();
    rig.azure.rewrite_old_time(Duration::from_secs(3600));
    let old = "2020-01-01T00:00:00Z";
    rig.upload(STREAM, &json!([{ "TimeGenerated": old, "EventTime": old }]));
    let arrived = &rig.azure.arrived()[0];
    assert_ne!(arrived.row["TimeGenerated"], old);
    assert_eq!(arrived.row["EventTime"], old);
    assert!(arrived.late_ms().unwrap() > 86_400_000);
}
