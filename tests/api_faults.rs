//! What the Kubernetes client makes of a server that is away, wrong or slow, and of a device that thinks it is 1970.
//!
//! Against the in-memory server only: a real one cannot be told to misbehave.

#![allow(clippy::unwrap_used, clippy::panic)] // the rig of a test: it fails by panicking

use arclet::clock::Clock;
use arclet::core::{Outcome, Reason};
use arclet::k3s::{Client, Connection, Identity, Resource, code, kubeconfig};
use k3s_standin::{ApiServer, Fault, Options};
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
