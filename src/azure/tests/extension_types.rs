//! The versions of extension types: the documented request, and what of the answer counts.

use super::client;
use crate::azure::ResourceId;
use crate::azure::arm::Arm;
use crate::core::{Outcome, Reason};
use crate::http::testing::{Server, answer};
use crate::scenario::extensions::{Offer, Offers};
use serde_json::json;

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
