//! The versions of extension types: the documented request, and what of the answer counts.

use super::desired::{HEADERS, STATUSES, broken};
use super::{PORTAL, client};
use crate::azure::ResourceId;
use crate::azure::arm::Arm;
use crate::core::{Outcome, Reason};
use crate::http::testing::{Server, answer};
use crate::scenario::extensions::{Offer, Offers};
use serde_json::json;
use std::sync::{Arc, Mutex};

fn get(server: &Server) -> Result<Result<Offers, Reason>, Outcome> {
    let id = ResourceId::cluster("1bfbb5d0-917e-4346-9026-1d3b344417f5", "g", "k3s-1").unwrap();
    Arm::new(&server.url, client()).extension_versions(&id, "contoso.Monitor/x", "stable", "T")
}

fn reply(status: u16, body: serde_json::Value) -> Vec<u8> {
    answer(status, &[("Content-Type", "application/json")], body.to_string())
}

#[test]
fn versions_are_those_for_connected_clusters_with_the_kubernetes_that_they_do_not_run_on() {
    let item = |version: &str, unsupported: serde_json::Value| {
        json!({"id": "x", "name": version, "properties": {"version": version,
            "supportedClusterTypes": ["connectedCluster"], "unsupportedKubernetesVersions": unsupported}})
    };
    let body = json!({"nextLink": null, "value": [
        item("1.10.0", json!({"connectedCluster": [{"distributions": ["K3s", "rke2"], "unsupportedVersions": ["1.20", ">1.30"]}],
            "managedCluster": [{"distributions": ["aks"], "unsupportedVersions": ["1.99"]}]})),
        item("1.11.0", json!({"connectedClusters": [{"unsupportedVersions": ["1.18..1.21"]}], "appliances": null})),
        item("1.12.0", json!(null)),
    ]});
    let server = Server::always(reply(200, body));
    let pairs = |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
    let offer = |version: &str, list| Offer { version: version.into(), unsupported: pairs(list) };
    let wanted = Offers(vec![
        offer("1.10.0", &[("k3s", "1.20"), ("k3s", ">1.30"), ("rke2", "1.20"), ("rke2", ">1.30")]),
        offer("1.11.0", &[("", "1.18..1.21")]),
        offer("1.12.0", &[]),
    ]);
    assert_eq!(get(&server).unwrap().unwrap(), wanted);
    let line = server.seen()[0].line().to_owned();
    let wanted = "/providers/Microsoft.KubernetesConfiguration/extensionTypes/contoso.Monitor%2Fx/versions\
                  ?api-version=2026-05-01&releaseTrain=stable HTTP/1.1";
    assert!(line.ends_with(wanted), "{line}");
}

#[test]
fn a_refusal_is_the_types_own_and_a_failure_is_the_links() {
    let error = |code: &str| json!({"error": {"code": code, "message": "m"}});
    for (status, code) in [(404, "ResourceNotFound"), (403, "AuthorizationFailed")] {
        let reason = get(&Server::always(reply(status, error(code)))).unwrap().unwrap_err();
        assert_eq!(reason.code, code);
    }
    assert!(matches!(get(&Server::always(reply(503, error("Busy")))), Err(Outcome::Unreachable(_))));
    assert!(matches!(
        get(&Server::always(reply(401, error("InvalidToken")))),
        Err(Outcome::Unauthorized { .. })
    ));
    assert!(get(&Server::always(reply(200, json!({"value": "x"})))).unwrap().is_err());
}

#[test]
fn no_answer_that_is_no_list_of_versions_is_taken_for_one() {
    let whole = r#"{"value": [{"properties": {"version": "1.0.0"}}], "nextLink": null}"#;
    let mut with_200 = broken(whole);
    for item in
        [r#"{"properties": {}}"#, r#"{"properties": {"version": null}}"#, r#"{"properties": {"version": 1}}"#]
    {
        with_200.push(format!(r#"{{"value": [{item}], "nextLink": null}}"#));
    }
    with_200.push(whole.to_owned());
    let with_others = [whole, r#"{"value": [], "nextLink": null}"#, "", PORTAL].map(str::to_owned);
    let now = Arc::new(Mutex::new(Vec::new()));
    let server = {
        let now = Arc::clone(&now);
        Server::start(move |_, _| Some(now.lock().unwrap().clone()))
    };
    let mut lists = 0;
    for status in STATUSES {
        let bodies = if status == 200 { with_200.as_slice() } else { &with_others };
        for (headers, body) in HEADERS.into_iter().flat_map(|h| bodies.iter().map(move |b| (h, b))) {
            let headers = [headers, &[("Connection", "close")]].concat();
            *now.lock().unwrap() = answer(status, &headers, body);
            match get(&server) {
                Ok(Ok(offers)) => {
                    assert!(status == 200 && body == whole, "{status}, {headers:?}, {body:?}: {offers:?}");
                    assert_eq!(offers.0.len(), 1);
                    lists += 1;
                }
                // Versions that are known stay known: only this word says that there are none.
                Ok(Err(reason)) if reason.code == "ResourceNotFound" => {
                    assert!(body.contains("ResourceNotFound"))
                }
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }
    assert_eq!(lists, HEADERS.len());
}
