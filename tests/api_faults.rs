//! What the Kubernetes client makes of a server that is away, wrong or slow, and of a device that thinks it is 1970.
//!
//! Against the in-memory server only: a real one cannot be told to misbehave.

#![allow(clippy::unwrap_used, clippy::panic)] // the rig of a test: it fails by panicking

use arclet::clock::Clock;
use arclet::core::{Outcome, Reason};
use arclet::k3s::{Client, Connection, Identity, Resource, code, kubeconfig};
use k3s_standin::{ApiServer, Fault, Flux, Options};
use serde_json::json;
use std::time::Duration;

fn server(nodes: usize) -> (ApiServer, Client) {
    let server = ApiServer::start(Options { nodes, ..Options::default() }).unwrap();
    let client = client(&server, Clock::new());
    (server, client)
}

fn client(server: &ApiServer, clock: Clock) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    server.kubeconfig(&path).unwrap();
    Client::new(kubeconfig::load(&path).unwrap(), clock).unwrap()
}

fn secret(client: &Client) -> Result<Option<serde_json::Value>, Outcome> {
    client.get(&Resource::known("v1", "Secret").unwrap(), Some("default"), "gone")
}

#[track_caller]
fn refused<T>(result: Result<T, Outcome>) -> Reason {
    match result {
        Err(Outcome::Refused(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was taken for an answer"),
    }
}

#[test]
fn only_kubernetes_own_words_say_that_something_is_not_there() {
    let (server, client) = server(1);
    assert_eq!(secret(&client), Ok(None));
    for fault in [Fault::Html(200), Fault::Html(403), Fault::Html(404), Fault::Redirect] {
        server.set_fault(Some(fault.clone()));
        let reason = refused(secret(&client));
        assert_eq!(reason.code, code::NOT_KUBERNETES, "{fault:?}");
        assert!(!reason.next_step.is_empty());
        assert_eq!(refused(client.nodes()).code, code::NOT_KUBERNETES, "{fault:?}");
        assert_eq!(refused(client.version()).code, code::NOT_KUBERNETES, "{fault:?}");
    }
}

#[test]
fn a_server_in_trouble_is_unreachable_and_one_that_asks_to_wait_says_how_long() {
    let (server, client) = server(1);
    for fault in [Fault::Status(500), Fault::Status(503), Fault::Html(502), Fault::Truncated] {
        server.set_fault(Some(fault.clone()));
        let outcome = client.nodes();
        assert!(matches!(outcome, Err(Outcome::Unreachable(_))), "{fault:?}: {outcome:?}");
    }
    server.set_fault(Some(Fault::Throttled(7)));
    let Err(Outcome::Throttled { retry_after, .. }) = client.nodes() else { panic!() };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    server.set_fault(Some(Fault::Status(401)));
    assert!(matches!(client.nodes(), Err(Outcome::Unauthorized { .. })));
    server.set_fault(None);
    assert_eq!(client.nodes().unwrap().nodes, 1);
}

#[test]
fn a_link_that_was_cut_works_again_when_it_is_back() {
    let (server, client) = server(3);
    assert_eq!(client.nodes().unwrap().nodes, 3);
    server.cut();
    let outcome = client.nodes();
    assert!(matches!(outcome, Err(Outcome::Unreachable(_))), "{outcome:?}");
    server.restore();
    assert_eq!(client.nodes().unwrap().nodes, 3);
}

#[test]
fn an_expired_page_starts_the_list_anew_and_not_for_ever() {
    let (server, client) = server(120);
    server.expire_pages(2);
    let totals = client.nodes().unwrap();
    assert_eq!((totals.nodes, totals.vcpus()), (120, 480), "no node is counted twice");
    server.expire_pages(u32::MAX);
    assert_eq!(refused(client.nodes()).code, code::EXPIRED);
}

#[test]
fn a_device_whose_clock_says_1970_reaches_its_api_server() {
    let (server, _) = server(2);
    let clock = Clock::shifted(60_000 - Clock::new().now().wall_ms);
    assert!(clock.now().wall_ms < 3_600_000, "this clock says 1970");
    assert_eq!(client(&server, clock).nodes().unwrap().nodes, 2);
}

#[test]
fn a_server_of_another_ca_is_not_believed() {
    let (server, _) = server(1);
    let (other, _) = self::server(1);
    let connection = Connection {
        server: server.url(),
        ca: Some(other.ca_pem().into()),
        identity: Identity::Token(server.admin_token().to_owned().into()),
    };
    let outcome = Client::new(connection, Clock::new()).unwrap().nodes();
    let Err(Outcome::Unreachable(reason)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.code, "UnknownIssuer", "{reason}");
    assert_eq!(server.stats().requests, 0, "the token was not sent");
}

#[test]
fn a_token_file_that_was_renewed_counts_with_the_next_call() {
    let (server, _) = server(1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let connection = Connection {
        server: server.url(),
        ca: Some(server.ca_pem().into()),
        identity: Identity::TokenFile(file.clone()),
    };
    let client = Client::new(connection, Clock::new()).unwrap();
    assert!(matches!(client.version(), Err(Outcome::Unauthorized { .. })));
    std::fs::write(&file, format!("{}\n", server.admin_token())).unwrap();
    assert_eq!(client.version().unwrap(), "v1.36.3+k3s1");
}

#[test]
fn no_answer_that_is_not_kubernetes_own_removes_or_forgets_an_object() {
    let (server, client) = server(0);
    server.set_flux(Flux::Stable);
    let name = ("source.toolkit.fluxcd.io/v1", "GitRepository", "default", "source");
    let objects = [json!({"apiVersion": name.0, "kind": name.1,
        "metadata": {"name": name.3, "namespace": name.2}, "spec": {"interval": "10m"}})];
    let refs = client.enforce("flux/a", &objects, &[], &mut |_| Ok(())).unwrap().refs;
    assert_eq!(refs.len(), 1);
    for fault in [
        Fault::Html(200),
        Fault::Html(403),
        Fault::Html(404),
        Fault::Html(502),
        Fault::Redirect,
        Fault::Truncated,
        Fault::Throttled(1),
        Fault::Status(401),
        Fault::Status(429),
        Fault::Status(500),
        Fault::Status(503),
    ] {
        server.set_fault(Some(fault.clone()));
        let withdrawn = client.withdraw("flux/a", &refs);
        assert!(withdrawn.is_err(), "{fault:?}: {withdrawn:?}");
        let enforced = client.enforce("flux/a", &objects, &refs, &mut |_| Ok(()));
        assert!(enforced.is_err(), "{fault:?}: {enforced:?}");
        let enforced = client.enforce("flux/a", &[], &refs, &mut |_| Ok(()));
        assert!(enforced.is_err(), "{fault:?}: {enforced:?}");
        assert!(server.object(name).is_some(), "{fault:?}");
    }
    // Kubernetes' own, but no word that this object is not there.
    for code in [403, 404, 409, 422] {
        server.set_fault(Some(Fault::Status(code)));
        assert_eq!(client.withdraw("flux/a", &refs).unwrap().len(), 1, "{code}");
        let owned = client.enforce("flux/a", &objects, &refs, &mut |_| Ok(())).unwrap();
        assert_eq!((owned.refs, owned.refused.len()), (refs.clone(), 1), "{code}");
        assert!(server.object(name).is_some(), "{code}");
    }
    server.set_fault(None);
    server.cut();
    assert!(matches!(client.withdraw("flux/a", &refs), Err(Outcome::Unreachable(_))));
    server.restore();
    assert_eq!(client.withdraw("flux/a", &refs), Ok(Vec::new()));
    assert_eq!(server.object(name), None);
}

#[test]
fn without_its_kind_an_object_is_gone_and_cannot_be_made() {
    let (server, client) = server(0);
    server.set_flux(Flux::BetasOnly);
    let object = |version: &str| {
        json!({"apiVersion": format!("kustomize.toolkit.fluxcd.io/{version}"), "kind": "Kustomization",
            "metadata": {"name": "apps", "namespace": "default"}, "spec": {"interval": "10m"}})
    };
    let none = client.enforce("flux/a", &[object("v1")], &[], &mut |_| Ok(())).unwrap();
    assert_eq!((none.refs.len(), none.refused[0].1.code.as_str()), (0, code::NO_SUCH_KIND));
    let old = client.enforce("flux/a", &[object("v1beta2")], &[], &mut |_| Ok(())).unwrap();
    assert_eq!(old.live[0]["apiVersion"], "kustomize.toolkit.fluxcd.io/v1beta2");
    // Flux is upgraded: the same object in another version, not another one.
    server.set_flux(Flux::Stable);
    let new = client.enforce("flux/a", &[object("v1")], &old.refs, &mut |_| Ok(())).unwrap();
    assert_eq!((new.refs.len(), &new.refs[0].uid), (1, &old.refs[0].uid));
    assert_eq!(new.refs[0].api_version, "kustomize.toolkit.fluxcd.io/v1");
    server.set_flux(Flux::Absent);
    assert_eq!(client.served().unwrap().get("kustomize.toolkit.fluxcd.io"), None);
    assert_eq!(client.withdraw("flux/a", &new.refs), Ok(Vec::new()));
}

#[test]
fn what_people_and_controllers_do_in_the_stand_in_is_what_the_client_sees() {
    let (server, client) = server(0);
    server.set_flux(Flux::WithBetas);
    let name = ("source.toolkit.fluxcd.io/v1", "GitRepository", "default", "source");
    let object = json!({"apiVersion": name.0, "kind": name.1,
        "metadata": {"name": name.3, "namespace": name.2}, "spec": {"interval": "10m"}});
    let objects = std::slice::from_ref(&object);
    let mut refs = client.enforce("flux/a", objects, &[], &mut |_| Ok(())).unwrap().refs;
    assert!(server.edit(name, "kubectl-edit", |object| object["spec"]["interval"] = json!("1h")));
    let reason = refused(client.apply(&object, "third", false));
    assert!(reason.message.contains(".spec.interval (kubectl-edit)"), "{reason}");
    assert!(server.set_status(name, json!({"observedGeneration": 1})));
    let owned = client.enforce("flux/a", objects, &refs, &mut |_| Ok(())).unwrap();
    assert_eq!(owned.live[0]["spec"]["interval"], "10m");
    assert_eq!(
        (&owned.live[0]["status"], &owned.live[0]["metadata"]["generation"]),
        (&json!({"observedGeneration": 1}), &json!(3))
    );
    refs = owned.refs;
    assert!(server.edit(name, "controller", |object| object["metadata"]["finalizers"] = json!(["a/b"])));
    assert!(server.delete(name) && server.object(name).is_some());
    assert_eq!(client.withdraw("flux/a", &refs).unwrap()[0].1.code, "Leaving");
    assert!(server.finish(name));
    assert_eq!(client.withdraw("flux/a", &refs), Ok(Vec::new()));
    assert_eq!(server.objects(name.0, name.1), Vec::<serde_json::Value>::new());
}
