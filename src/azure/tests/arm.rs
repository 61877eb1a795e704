//! Resource Manager: recorded conversations, and answers that must not be believed.

use super::{PORTAL, client, kind, reason};
use crate::azure::ResourceId;
use crate::azure::arm::{Arm, ClusterChange, NewCluster, TagOperation};
use crate::azure::lro::{Operation, Progress, Verb};
use crate::core::Outcome;
use crate::http::testing::{Server, answer, json};
use std::collections::BTreeMap;
use std::time::Duration;

const ID: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1";
const TOKEN: &str = "FAKE.ARM.TOKEN";

fn id() -> ResourceId {
    ResourceId::parse(ID).unwrap()
}

fn arm(server: &Server) -> Arm {
    Arm::new(&server.url, client())
}

fn cluster(state: &str) -> String {
    format!(
        r#"{{"id": "{}", "name": "k3s-1", "type": "microsoft.kubernetes/connectedclusters", "location": "eastus",
            "tags": null, "identity": {{"type": "SystemAssigned"}},
            "properties": {{"provisioningState": "{state}", "distribution": "k3s", "connectivityStatus": "Connecting"}},
            "systemData": {{"createdAt": "2026-11-22T15:00:00.1234567Z"}}}}"#,
        ID.to_lowercase()
    )
}

fn error(code: &str) -> String {
    format!(r#"{{"error": {{"code": "{code}", "message": "words that change"}}}}"#)
}

fn new_cluster() -> NewCluster {
    NewCluster {
        location: "eastus".into(),
        tags: BTreeMap::from([("site".into(), "store-17".into())]),
        public_key: "MIICCgKCAgEA".into(),
        distribution: "k3s".into(),
        distribution_version: "v1.31.2+k3s1".into(),
        infrastructure: "generic".into(),
    }
}

/// A server that gives these answers; `{base}` in them becomes its own URL.
fn script(answers: Vec<Vec<u8>>) -> Server {
    Server::start(move |n, seen| {
        let base = format!("http://{}", seen.header("host").unwrap());
        let text = String::from_utf8(answers.get(n)?.clone()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (head, grown) = (head.replace("{base}", &base), body.replace("{base}", &base));
        let head = head.replace(
            &format!("Content-Length: {}\r\n", body.len()),
            &format!("Content-Length: {}\r\n", grown.len()),
        );
        Some(format!("{head}\r\n\r\n{grown}").into_bytes())
    })
}

fn finish(arm: &Arm, operation: &mut Operation) -> (Result<(), Outcome>, Vec<u64>) {
    let mut waits = Vec::new();
    let end = arm.wait(operation, TOKEN, |wait| waits.push(wait.as_secs()));
    (end, waits)
}

#[test]
fn a_cluster_is_read_in_whatever_case_its_id_comes() {
    let server = Server::always(json(200, &cluster("Succeeded")));
    let cluster = arm(&server).get_cluster(&id(), TOKEN).unwrap().unwrap();
    assert_eq!(cluster.properties.connectivity_status.as_deref(), Some("Connecting"));
    assert_eq!(cluster.system_data.created_at.as_deref(), Some("2026-11-22T15:00:00.1234567Z"));
    assert!(cluster.tags.is_empty());
    let seen = &server.seen()[0];
    assert_eq!(seen.line(), format!("GET {ID}?api-version=2026-05-01 HTTP/1.1"));
    assert_eq!(seen.header("authorization"), Some("Bearer FAKE.ARM.TOKEN"));
}

#[test]
fn absent_is_only_what_arm_itself_says_of_this_resource() {
    let server = Server::always(json(404, &error("ResourceNotFound")));
    assert!(arm(&server).get_cluster(&id(), TOKEN).unwrap().is_none());
    for (status, body, expected, code) in [
        (404, error("ResourceGroupNotFound"), "refused", "ResourceGroupNotFound"),
        (404, error("SubscriptionNotFound"), "refused", "SubscriptionNotFound"),
        (404, PORTAL.into(), "refused", "CaptivePortal"),
        (404, String::new(), "refused", "NotTheApi"),
        (404, r#"{"code": "ResourceNotFound"}"#.into(), "refused", "NotTheApi"),
        (410, error("ResourceNotFound"), "refused", "ResourceNotFound"),
        (200, PORTAL.into(), "refused", "CaptivePortal"),
        (200, "{}".into(), "refused", "NotTheApi"),
        (200, r#"{"value": []}"#.into(), "refused", "NotTheApi"),
        (200, cluster("Succeeded").replace("k3s-1", "k3s-2"), "refused", "NotTheApi"),
        (200, cluster("Succeeded").split_off(20), "refused", "NotTheApi"),
        (204, String::new(), "refused", "NotTheApi"),
        (302, String::new(), "refused", "Redirected"),
        (401, error("ExpiredAuthenticationToken"), "unauthorized", "ExpiredAuthenticationToken"),
        (403, error("AuthorizationFailed"), "refused", "AuthorizationFailed"),
        (429, error("SubscriptionRequestsThrottled"), "throttled", "SubscriptionRequestsThrottled"),
        (500, String::new(), "unreachable", "Unavailable"),
        (503, PORTAL.into(), "unreachable", "Unavailable"),
    ] {
        let server = Server::always(json(status, &body));
        let outcome = arm(&server).get_cluster(&id(), TOKEN).unwrap_err();
        assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), (expected, code), "{status} {body}");
        assert!(!format!("{outcome:?}").contains("FAKE"));
    }
}

#[test]
fn a_put_sends_what_arm_demands_and_polls_its_status_at_once_then_as_told() {
    let running = r#"{"status": "InProgress"}"#;
    let server = script(vec![
        answer(
            201,
            &[
                ("Azure-AsyncOperation", "{base}/status?x=1"),
                ("Location", "{base}/wrong"),
                ("Retry-After", "77"),
            ],
            cluster("Accepted"),
        ),
        answer(200, &[("Retry-After", "3")], running),
        answer(202, &[], ""),
        answer(200, &[("Retry-After", "100000")], running),
        json(200, r#"{"status": "Succeeded"}"#),
    ]);
    let arm = arm(&server);
    let mut operation = arm.put_cluster(&id(), &new_cluster(), TOKEN).unwrap();
    let (end, waits) = finish(&arm, &mut operation);
    assert_eq!((end, waits), (Ok(()), vec![3, 30, 600]));
    let seen = server.seen();
    assert_eq!(seen[0].line(), format!("PUT {ID}?api-version=2026-05-01 HTTP/1.1"));
    assert!(seen[1..].iter().all(|s| s.line() == "GET /status?x=1 HTTP/1.1"));
    let body: serde_json::Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(body["identity"]["type"], "SystemAssigned");
    assert_eq!(body["properties"]["agentPublicKeyCertificate"], "MIICCgKCAgEA");
    assert_eq!(body["properties"]["arcAgentProfile"]["agentAutoUpgrade"], "Disabled");
    assert_eq!(
        (body["location"].as_str(), body["tags"]["site"].as_str()),
        (Some("eastus"), Some("store-17"))
    );
}

#[test]
fn a_put_without_a_status_url_watches_the_resource_and_a_finished_one_nothing() {
    let server = script(vec![
        json(201, &cluster("Accepted")),
        json(200, &cluster("Provisioning")),
        json(200, &cluster("Succeeded")),
        json(200, &cluster("Succeeded")),
    ]);
    let arm = arm(&server);
    let mut operation = arm.put_cluster(&id(), &new_cluster(), TOKEN).unwrap();
    assert_eq!(finish(&arm, &mut operation), (Ok(()), vec![30]));
    assert_eq!(server.seen()[2].line(), format!("GET {ID}?api-version=2026-05-01 HTTP/1.1"));
    let mut done = arm.put_cluster(&id(), &new_cluster(), TOKEN).unwrap();
    assert_eq!(finish(&arm, &mut done), (Ok(()), vec![]));
    assert_eq!(server.seen().len(), 4);
}

#[test]
fn an_operation_that_failed_says_why_and_one_that_cannot_be_read_goes_on() {
    let failed = r#"{"status": "Failed", "error": {"code": "ClusterAlreadyOnboarded", "message": "boom"}}"#;
    let server = script(vec![
        answer(201, &[("Azure-AsyncOperation", "{base}/status")], cluster("Accepted")),
        answer(503, &[("Retry-After", "5")], ""),
        answer(500, &[], ""),
        json(200, failed),
    ]);
    let arm = arm(&server);
    let mut operation = arm.put_cluster(&id(), &new_cluster(), TOKEN).unwrap();
    let (end, waits) = finish(&arm, &mut operation);
    let outcome = end.unwrap_err();
    assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), ("refused", "ClusterAlreadyOnboarded"));
    assert!(reason(&outcome).message.contains("boom"));
    assert_eq!(waits, [5, 10]);
}

#[test]
fn an_operation_survives_being_stored_and_is_not_taken_to_another_host() {
    let server = script(vec![
        answer(202, &[("Location", "{base}/result")], ""),
        answer(202, &[("Retry-After", "2")], ""),
        answer(204, &[], ""),
    ]);
    let arm_ = arm(&server);
    let stored = serde_json::to_string(&arm_.delete_cluster(&id(), TOKEN).unwrap()).unwrap();
    assert_eq!(server.seen()[0].header("content-length"), Some("0"));
    let mut operation: Operation = serde_json::from_str(&stored).unwrap();
    assert_eq!(operation.verb, Verb::Delete);
    assert_eq!(arm_.poll(&mut operation, TOKEN), Ok(Progress::Running(Duration::from_secs(2))));
    let other = Server::always(json(200, "{}"));
    assert_eq!(reason(&arm(&other).poll(&mut operation, TOKEN).unwrap_err()).code, "ForeignUrl");
    assert_eq!(other.connections(), 0);
    assert_eq!(arm_.poll(&mut operation, TOKEN), Ok(Progress::Succeeded));
}

#[test]
fn an_answer_that_leads_elsewhere_gets_no_token() {
    let thief = Server::always(json(200, r#"{"status": "Succeeded"}"#));
    for header in ["Azure-AsyncOperation", "Location"] {
        let server = Server::always(answer(202, &[(header, &format!("{}/x", thief.url))], ""));
        let outcome = arm(&server).delete_cluster(&id(), TOKEN).unwrap_err();
        assert_eq!(reason(&outcome).code, "ForeignUrl", "{header}");
    }
    let page = format!(r#"{{"value": [], "nextLink": "{}/next"}}"#, thief.url);
    let outcome = arm(&Server::always(json(200, &page))).permissions(ID, TOKEN).unwrap_err();
    assert_eq!(reason(&outcome).code, "ForeignUrl");
    assert_eq!(thief.connections(), 0);
}

#[test]
fn changes_believe_no_answer_that_is_not_arms() {
    for (status, body) in [(200, PORTAL), (200, "{}"), (201, ""), (204, ""), (302, ""), (202, "")] {
        let server = Server::always(json(status, body));
        let put = arm(&server).put_cluster(&id(), &new_cluster(), TOKEN);
        match status {
            // Accepted without a URL: the resource itself is watched.
            202 => assert!(put.is_ok()),
            _ => assert_eq!(kind(&put.unwrap_err()), "refused", "PUT {status} {body}"),
        }
    }
    for (status, body) in [(200, PORTAL), (202, ""), (302, "")] {
        let server = Server::always(json(status, body));
        assert_eq!(
            kind(&arm(&server).delete_cluster(&id(), TOKEN).unwrap_err()),
            "refused",
            "DELETE {status} {body}"
        );
    }
    for status in [200, 204] {
        let server = Server::always(answer(status, &[], ""));
        let mut operation = arm(&server).delete_cluster(&id(), TOKEN).unwrap();
        assert_eq!(arm(&server).poll(&mut operation, TOKEN), Ok(Progress::Succeeded));
    }
    let server = Server::always(json(404, &error("ResourceNotFound")));
    assert_eq!(
        finish(&arm(&server), &mut arm(&server).delete_cluster(&id(), TOKEN).unwrap()),
        (Ok(()), vec![])
    );
    let server = Server::always(json(404, &error("ResourceGroupNotFound")));
    assert_eq!(reason(&arm(&server).delete_cluster(&id(), TOKEN).unwrap_err()).code, "ResourceGroupNotFound");
}

#[test]
fn a_patch_changes_only_what_was_asked_for() {
    let server = Server::always(json(200, &cluster("Succeeded")));
    let change =
        ClusterChange { distribution_version: Some("v1.31.3+k3s1".into()), ..ClusterChange::default() };
    arm(&server).patch_cluster(&id(), &change, TOKEN).unwrap();
    assert_eq!(server.seen()[0].text(), r#"{"properties":{"distributionVersion":"v1.31.3+k3s1"}}"#);
}

#[test]
fn tags_are_merged_and_removed_without_touching_others() {
    let tags = BTreeMap::from([("arclet-nodes".to_owned(), "3".to_owned())]);
    let server = Server::always(json(200, r#"{"name": "default", "properties": {"tags": {}}}"#));
    assert_eq!(arm(&server).patch_tags(&id(), TagOperation::Merge, &tags, TOKEN), Outcome::Success);
    assert_eq!(arm(&server).patch_tags(&id(), TagOperation::Delete, &tags, TOKEN), Outcome::Success);
    let seen = server.seen();
    assert_eq!(
        seen[0].line(),
        format!("PATCH {ID}/providers/Microsoft.Resources/tags/default?api-version=2025-04-01 HTTP/1.1")
    );
    assert_eq!(seen[0].text(), r#"{"operation":"Merge","properties":{"tags":{"arclet-nodes":"3"}}}"#);
    assert!(seen[1].text().starts_with(r#"{"operation":"Delete""#));
    for (status, body, expected) in
        [(200, PORTAL, "refused"), (204, "", "refused"), (429, "", "throttled"), (403, "nope", "refused")]
    {
        let server = Server::always(json(status, body));
        let outcome = arm(&server).patch_tags(&id(), TagOperation::Merge, &tags, TOKEN);
        assert_eq!(kind(&outcome), expected, "{status}");
    }
    let server = Server::always(json(403, &error("AuthorizationFailed")));
    let outcome = arm(&server).patch_tags(&id(), TagOperation::Merge, &tags, TOKEN);
    assert!(reason(&outcome).next_step.contains("Tag Contributor"), "{outcome:?}");
}

#[test]
fn all_pages_of_permissions_are_read_and_a_list_without_end_is_given_up() {
    let page =
        |next: &str| json(200, &format!(r#"{{"value": [{{"actions": ["*/read"]}}], "nextLink": {next}}}"#));
    let server = script(vec![page(r#""{base}/p?$skipToken=abc""#), page("null")]);
    let permissions = arm(&server).permissions(ID, TOKEN).unwrap();
    assert!(permissions.allow("Microsoft.Kubernetes/connectedClusters/read"));
    assert!(!permissions.allow("Microsoft.Kubernetes/connectedClusters/write"));
    assert_eq!(permissions.value.len(), 2);
    assert_eq!(server.seen()[1].line(), "GET /p?$skipToken=abc HTTP/1.1");

    let endless = Server::start(move |_, seen| {
        let base = format!("http://{}", seen.header("host").unwrap());
        Some(json(200, &format!(r#"{{"value": [], "nextLink": "{base}/again"}}"#)))
    });
    assert_eq!(reason(&arm(&endless).permissions(ID, TOKEN).unwrap_err()).code, "EndlessList");
}

#[test]
fn groups_providers_and_rules_are_read() {
    let server = Server::always(json(200, r#"{"name": "edge-rg", "location": "eastus"}"#));
    assert_eq!(arm(&server).get_resource_group("s", "edge-rg", TOKEN).unwrap().unwrap().location, "eastus");
    let server = Server::always(json(404, &error("ResourceGroupNotFound")));
    assert!(arm(&server).get_resource_group("s", "edge-rg", TOKEN).unwrap().is_none());
    let server = Server::always(json(
        200,
        r#"{"namespace": "Microsoft.Kubernetes", "registrationState": "Registered"}"#,
    ));
    assert_eq!(arm(&server).provider_state("s", "Microsoft.Kubernetes", TOKEN).unwrap(), "Registered");
    let rule = r#"{"id": "x", "kind": "Direct", "properties": {"immutableId": "dcr-000a00a000a00000a000000aa000a0aa",
        "endpoints": {"logsIngestion": "https://x.eastus-1.ingest.monitor.azure.com"},
        "streamDeclarations": {"Custom-ArcletHeartbeat": {"columns": []}}}}"#;
    let dcr = ResourceId::parse(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/d",
    );
    let dcr = arm(&Server::always(json(200, rule))).get_dcr(&dcr.unwrap(), TOKEN).unwrap();
    assert_eq!(dcr.immutable_id, "dcr-000a00a000a00000a000000aa000a0aa");
    assert_eq!(dcr.logs_ingestion.as_deref(), Some("https://x.eastus-1.ingest.monitor.azure.com"));
    assert_eq!(dcr.streams, ["Custom-ArcletHeartbeat"]);
}

#[test]
fn what_an_operator_can_change_is_said() {
    for (status, code, word) in [
        (403, "AuthorizationFailed", "Azure Arc Onboarding"),
        (409, "MissingSubscriptionRegistration", "az provider register"),
        (404, "ResourceGroupNotFound", "make the resource group"),
        (409, "ScopeLocked", "lock"),
        (401, "InvalidAuthenticationTokenTenant", "identity.tenant"),
    ] {
        let server = Server::always(json(status, &error(code)));
        let outcome = arm(&server).put_cluster(&id(), &new_cluster(), TOKEN).unwrap_err();
        assert!(reason(&outcome).next_step.contains(word), "{outcome:?}");
    }
}
