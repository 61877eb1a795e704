//! Listings: what is one, and the many answers that must never pass for one.

use super::{PORTAL, client, kind, reason};
use crate::azure::ResourceId;
use crate::azure::arm::Arm;
use crate::azure::desired::{MOST_DOCUMENT, Resources, listing};
use crate::core::document::{Digest, Key, Kind, Kinds, Listing, Needs, Parent};
use crate::core::{Outcome, Reason};
use crate::http::testing::{Seen, Server, answer, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const CLUSTER: &str = "/subscriptions/1bfbb5d0-917e-4346-9026-1d3b344417f5/resourceGroups/edge-rg/providers/Microsoft.Kubernetes/connectedClusters/k3s-1";
const FLUX: &str = "providers/Microsoft.KubernetesConfiguration/fluxConfigurations";
const TOKEN: &str = "FAKE.ARM.TOKEN";

/// What `keep` was handed.
type Kept = BTreeMap<String, (Digest, String)>;

fn cluster() -> ResourceId {
    ResourceId::parse(CLUSTER).unwrap()
}

fn item(name: &str, properties: &str) -> String {
    format!(r#"{{"id": "{CLUSTER}/{FLUX}/{name}", "name": "{name}", "properties": {properties}}}"#)
}

fn plain(name: &str) -> String {
    item(name, r#"{"sourceKind": "GitRepository", "provisioningState": "Succeeded", "statuses": []}"#)
}

/// What a plain document wants, as it is kept.
fn canonical(name: &str) -> String {
    let id = format!("{CLUSTER}/{FLUX}/{name}").to_lowercase();
    format!(r#"{{"id":"{id}","name":"{name}","properties":{{"sourceKind":"GitRepository"}}}}"#)
}

fn page(items: &[String], next: Option<&str>) -> String {
    let next = next.map_or("null".into(), |next| format!("{next:?}"));
    format!(r#"{{"value": [{}], "nextLink": {next}}}"#, items.join(", "))
}

fn error(code: &str) -> String {
    format!(r#"{{"error": {{"code": "{code}", "message": "words that change"}}}}"#)
}

fn pull_from(url: &str, parent: bool) -> (Result<Listing, Outcome>, Kept) {
    let (arm, id, mut kept) = (Arm::new(url, client()), cluster(), Kept::new());
    let source = Resources { arm: &arm, cluster: &id, kinds: Kinds::default().and(Kind::Flux), token: TOKEN };
    let result = listing(&source, parent, &mut |key, digest, content| {
        let text = String::from_utf8(content.to_vec()).unwrap();
        assert!(kept.insert(key.to_string(), (digest, text)).is_none(), "{key} was kept twice");
        Ok(Needs::default())
    });
    (result, kept)
}

fn pull(server: &Server) -> Result<Listing, Outcome> {
    pull_from(&server.url, false).0
}

fn names(listing: &Listing) -> Vec<&str> {
    listing.heads.iter().map(|head| head.key.name.as_str()).collect()
}

/// The same about extensions: each word in the place of the other, so that what was foreign is so again.
fn about(kind: Kind, text: &str) -> String {
    match kind {
        Kind::Flux => text.to_owned(),
        Kind::Extension => text
            .replace("fluxConfigurations", "\0")
            .replace("extensions", "fluxConfigurations")
            .replace('\0', "extensions"),
    }
}

/// Which page is asked for, from 1; the links are `…&$skipToken=2`.
fn number(seen: &Seen) -> usize {
    seen.line().split_once("skipToken=").map_or(1, |(_, rest)| rest[..1].parse().unwrap())
}

fn link(seen: &Seen, page: usize) -> String {
    let host = seen.header("host").unwrap();
    format!("http://{host}{CLUSTER}/{FLUX}?api-version=2025-04-01&$skipToken={page}")
}

/// These pages, each leading to the next.
fn pages(pages: Vec<Vec<String>>) -> Server {
    Server::start(move |_, seen| {
        let number = number(seen);
        let next = (number < pages.len()).then(|| link(seen, number + 1));
        Some(json(200, &page(&pages[number - 1], next.as_deref())))
    })
}

#[test]
fn every_page_is_read_and_each_document_is_kept_once_without_what_only_azure_writes() {
    let server = pages(vec![vec![plain("b"), plain("a")], vec![], vec![plain("C")]]);
    let (result, kept) = pull_from(&server.url, false);
    let listing = result.unwrap();
    assert_eq!(names(&listing), ["a", "b", "c"]);
    assert_eq!(listing.parent, None);
    for head in &listing.heads {
        let (digest, content) = &kept[&head.key.to_string()];
        assert_eq!((head.digest, &head.stored, head.leaving), (*digest, &Ok(Needs::default()), false));
        assert_eq!(head.digest, Digest::of(content.as_bytes()));
    }
    assert_eq!(kept["flux/c"].1, canonical("c"));
    let seen = server.seen();
    assert_eq!(seen[0].line(), format!("GET {CLUSTER}/{FLUX}?api-version=2025-04-01 HTTP/1.1"));
    assert!(seen[2].line().ends_with("&$skipToken=3 HTTP/1.1"), "{}", seen[2].line());
    assert!(seen.iter().all(|seen| seen.header("authorization") == Some("Bearer FAKE.ARM.TOKEN")));
}

#[test]
fn no_documents_at_all_is_a_complete_listing_when_arm_says_so() {
    assert_eq!(names(&pull(&pages(vec![vec![]])).unwrap()), Vec::<&str>::new());
    for body in [r#"{"value": []}"#, r#"{"value": [], "nextLink": ""}"#, r#"{"value":[],"count":0}"#] {
        assert!(pull(&Server::always(json(200, body))).unwrap().heads.is_empty(), "{body}");
    }
}

/// What may come in a page's place and is none, whatever is listed. `whole` is the true one.
pub(super) fn broken(whole: &str) -> Vec<String> {
    let mut bodies: Vec<String> = [
        "",
        " ",
        "{",
        "{}",
        "[]",
        "null",
        "true",
        "\"\"",
        r#"{"value": null}"#,
        r#"{"value": {}}"#,
        r#"{"value": ""}"#,
        r#"{"value": 0}"#,
        r#"{"Value": []}"#,
        r#"{"values": []}"#,
        r#"{"nextLink": null}"#,
        r#"{"value": [], "nextLink": 7}"#,
        r#"{"value": [], "value": []}"#,
        r#"{"value": [], "nextLink": null, "nextLink": null}"#,
        r#"{"value": [], "nextLink": null, "nextLink": ""}"#,
        r#"{"value": [null]}"#,
        r#"{"value": [[]]}"#,
        r#"{"value": [{}]}"#,
        r#"{"value": []} <html>"#,
        r#"{"value": [],}"#,
        "\u{feff}{\"value\": []}",
        r#"{"status": "ok"}"#,
        PORTAL,
        r#"{"value": [], "error": {"code": "InternalServerError", "message": ""}}"#,
    ]
    .map(str::to_owned)
    .into();
    let codes =
        ["ResourceNotFound", "ResourceGroupNotFound", "AuthorizationFailed", "ExpiredAuthenticationToken"];
    bodies.extend(codes.map(error));
    // Cut off anywhere.
    bodies.extend((1..whole.len()).step_by(37).map(|end| whole[..end].to_owned()));
    bodies.push(whole[..whole.len() - 1].to_owned());
    // Broken only after every document was read.
    let end = whole.len() - 1;
    let tails = [
        r#", "value": []}"#,
        r#", "nextLink": null}"#,
        r#", "error": {"code": "InternalServerError", "message": ""}}"#,
        r#", "error": "no"}"#,
        ",}",
        "]",
        "} }",
        "}<html>",
        "}{\"value\": []}",
        "}\0",
    ];
    bodies.extend(tails.map(|tail| format!("{}{tail}", &whole[..end])));
    bodies
}

/// The same, and documents that are not this cluster's or are no documents, in the place of `b`.
fn bodies(whole: &str) -> Vec<String> {
    let named = |broken: &str| whole.replacen(&plain("b"), broken, 1);
    let mut bodies = broken(whole);
    // Every document is a child of this cluster, with its name and what it wants.
    bodies.extend(
        [
            plain("b").replace(r#""name": "b""#, r#""title": "b""#),
            plain("b").replace(r#""name": "b""#, r#""name": null"#),
            plain("b").replace(r#""name": "b""#, r#""name": "d""#),
            plain("b").replace(
                r#"fluxConfigurations/b", "name": "b""#,
                r#"fluxConfigurations/x/b", "name": "x/b""#,
            ),
            plain("b").replace(r#""id""#, r#""uid""#),
            plain("b").replace("k3s-1", "k3s-2"),
            plain("b").replace("edge-rg", "other-rg"),
            plain("b").replace("fluxConfigurations", "extensions"),
            plain("b").replace(&format!("{CLUSTER}/"), "/"),
            item("b", "null"),
            item("b", "[]"),
            item("b", r#""GitRepository""#),
            item("b", "{").replace("}", ""),
        ]
        .map(|broken| named(&broken)),
    );
    bodies
}

pub(super) const STATUSES: [u16; 24] = [
    200, 201, 202, 203, 204, 206, 301, 302, 304, 307, 400, 401, 403, 404, 407, 408, 409, 410, 412, 429, 500,
    502, 503, 511,
];
const CAE: &str = r#"Bearer realm="", error="insufficient_claims", claims="eyJhIjp7fX0=""#;
pub(super) const HEADERS: [&[(&str, &str)]; 4] = [
    &[("Content-Type", "application/json")],
    &[("Content-Type", "application/json"), ("WWW-Authenticate", CAE)],
    &[("Content-Type", "text/html"), ("Location", "http://portal.test/login")],
    &[("Content-Type", "application/json"), ("Retry-After", "7")],
];

#[test]
fn nothing_but_every_whole_page_is_a_listing_and_none_is_shorter_than_arms() {
    nothing_but_whole_pages(Kind::Flux);
}

#[test]
fn that_holds_for_extensions_too() {
    nothing_but_whole_pages(Kind::Extension);
}

fn nothing_but_whole_pages(of: Kind) {
    // Page 2 of 3 is the one with `b`; the faulty answer comes in place of one page, the others are true.
    let truth = move |seen: &Seen, number: usize| {
        let next = (number < 3).then(|| link(seen, number + 1));
        about(of, &page(&[plain(["a", "b", "c"][number - 1])], next.as_deref()))
    };
    let fault = Arc::new(Mutex::new((0, Vec::new())));
    let server = {
        let fault = Arc::clone(&fault);
        Server::start(move |_, seen| {
            let (faulty, answer): (usize, Vec<u8>) = fault.lock().unwrap().clone();
            let number = number(seen);
            Some(if number == faulty { answer } else { json(200, &truth(seen, number)) })
        })
    };
    let (arm, id) = (Arm::new(&server.url, client()), cluster());
    let source = Resources { arm: &arm, cluster: &id, kinds: Kinds::default().and(of), token: TOKEN };
    let host = format!("GET / HTTP/1.1\r\nHost: {}", server.url.trim_start_matches("http://"));
    let host = Seen { head: host, body: Vec::new() };

    let (mut whole, mut failed) = (0, BTreeMap::<&str, usize>::new());
    for number in 1..=3 {
        let true_page = truth(&host, number);
        // The page's own document stands where `b` is broken.
        let own = ["a", "b", "c"][number - 1];
        let with_b = about(of, &true_page).replace(&plain(own), &plain("b"));
        let mut with_200: Vec<String> = bodies(&with_b).iter().map(|body| about(of, body)).collect();
        with_200.push(true_page.clone());
        // Under another status not even the truth is believed.
        let empty = page(&[], None);
        let codes = ["ResourceNotFound", "ExpiredAuthenticationToken"].map(error);
        let with_others = [codes.as_slice(), &[true_page.clone(), empty, "".into(), PORTAL.into()]].concat();
        for (status, headers, body) in STATUSES.into_iter().flat_map(|status| {
            let bodies = if status == 200 { &with_200 } else { &with_others };
            HEADERS
                .into_iter()
                .flat_map(move |headers| bodies.iter().map(move |body| (status, headers, body)))
        }) {
            let headers = [headers, &[("Connection", "close")]].concat();
            *fault.lock().unwrap() = (number, answer(status, &headers, body));
            // What a page handed on before it broke was whole.
            let result = listing(&source, false, &mut |key, _, content| {
                let wanted = canonical(&key.name);
                let wanted = match of {
                    Kind::Flux => wanted,
                    Kind::Extension => wanted.replace("fluxconfigurations", "extensions"),
                };
                assert_eq!(String::from_utf8_lossy(content), wanted);
                Ok(Needs::default())
            });
            let is_true = status == 200 && *body == true_page;
            match result {
                Ok(listing) if is_true => {
                    assert_eq!(names(&listing), ["a", "b", "c"]);
                    whole += 1;
                }
                Err(outcome) if !is_true => {
                    assert!(!format!("{outcome:?}").contains("FAKE"));
                    assert_ne!(outcome, Outcome::Success);
                    *failed.entry(kind(&outcome)).or_default() += 1;
                }
                other => panic!("{of:?}, page {number}, status {status}, {headers:?}, {body:?}: {other:?}"),
            }
        }
    }
    assert_eq!(whole, 3 * HEADERS.len());
    let kinds: Vec<_> = failed.keys().copied().collect();
    assert_eq!(kinds, ["refused", "throttled", "unauthorized", "unreachable"], "{failed:?}");
}

#[test]
fn an_answer_that_breaks_off_on_the_wire_is_no_listing() {
    let whole = page(&[plain("a")], None);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", whole.len() + 1);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{:x}\r\n{whole}\r\n",
        whole.len()
    );
    for broken in [format!("{head}{whole}"), chunked] {
        let outcome = pull(&Server::always(broken.into_bytes())).unwrap_err();
        assert_eq!(kind(&outcome), "unreachable", "{outcome:?}");
    }
    assert_eq!(kind(&pull(&Server::start(|_, _| None)).unwrap_err()), "unreachable");
}

#[test]
fn a_challenge_hands_its_claims_on() {
    let challenge = [("WWW-Authenticate", r#"Bearer error="insufficient_claims", claims="eyJhIjp7fX0=""#)];
    let server = Server::always(answer(401, &challenge, ""));
    match pull(&server).unwrap_err() {
        Outcome::Unauthorized { claims, .. } => assert_eq!(claims.as_deref(), Some(r#"{"a":{}}"#)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_token_stays_with_arm_wherever_a_next_link_leads() {
    let other = Server::always(json(200, &page(&[], None)));
    let tail = format!("{CLUSTER}/{FLUX}?api-version=2025-04-01&$skipToken=2");
    let port = other.port;
    for link in [
        format!("{}{tail}", other.url),
        format!("https://{{host}}{tail}"),
        format!("http://{{host}}@127.0.0.1:{port}{tail}"),
        format!("http://localhost:{{port}}{tail}"),
        format!("//127.0.0.1:{port}{tail}"),
        tail.clone(),
        "ftp://{host}/".into(),
        "nowhere at all".into(),
    ] {
        let wanted = link.clone();
        let server = Server::start(move |_, seen| {
            let host = seen.header("host").unwrap();
            let port = host.rsplit(':').next().unwrap();
            let link = wanted.replace("{host}", host).replace("{port}", port);
            Some(json(200, &page(&[plain("a")], Some(&link))))
        });
        let outcome = pull(&server).unwrap_err();
        assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), ("refused", "ForeignUrl"), "{link}");
        assert_eq!(server.seen().len(), 1, "{link}");
    }
    assert_eq!(other.connections(), 0);
}

#[test]
fn a_list_without_end_is_no_listing() {
    // A page that leads to itself, two that lead to each other, and one more each time.
    for turns in [1, 2, usize::MAX] {
        let server = Server::start(move |n, seen| {
            let host = seen.header("host").unwrap();
            let link = format!("http://{host}/more?page={}", n % turns);
            Some(json(200, &page(&[plain(&format!("a{n}"))], Some(&link))))
        });
        let outcome = pull(&server).unwrap_err();
        assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), ("refused", "NotAListing"));
        let read = server.seen().len();
        assert_eq!(read, if turns == usize::MAX { 1000 } else { turns + 1 });
    }
}

#[test]
fn a_document_that_comes_twice_is_one_and_one_that_changed_on_the_way_is_no_listing() {
    let same = pages(vec![vec![plain("a"), plain("b")], vec![plain("B"), plain("c")]]);
    assert_eq!(names(&pull(&same).unwrap()), ["a", "b", "c"]);
    let wanted = r#"{"sourceKind": "Bucket"}"#;
    let leaving = r#"{"sourceKind": "GitRepository", "provisioningState": "Deleting"}"#;
    for other in [item("b", wanted), item("B", leaving)] {
        let outcome = pull(&pages(vec![vec![plain("b")], vec![other]])).unwrap_err();
        assert_eq!(reason(&outcome).code, "TornListing");
    }
}

#[test]
fn deleting_is_leaving_and_no_other_state_is() {
    let states = ["Succeeded", "Failed", "Canceled", "Creating", "Updating", "Deleted", "deleting"];
    let state = |state: &&str| item(state, &format!(r#"{{"provisioningState": "{state}"}}"#));
    let listing = pull(&pages(vec![states.iter().map(state).collect()])).unwrap();
    let leaving = listing.heads.iter().filter(|head| head.leaving).map(|head| head.key.name.as_str());
    assert_eq!(leaving.collect::<Vec<_>>(), ["deleting"]);
}

#[test]
fn what_is_wrong_with_one_document_fails_that_one_and_the_others_go_on() {
    let long = item("long", &format!(r#"{{"note": "{}"}}"#, "x".repeat(MOST_DOCUMENT)));
    let deep = item("deep", &format!(r#"{{"note": {}{}}}"#, "[".repeat(200), "]".repeat(200)));
    let half = item("half", r#"{"note": "\ud800"}"#);
    let server = pages(vec![vec![long, plain("a"), deep, half], vec![plain("full"), plain("z")]]);
    let (arm, id) = (Arm::new(&server.url, client()), cluster());
    let source = Resources { arm: &arm, cluster: &id, kinds: Kinds::default().and(Kind::Flux), token: TOKEN };
    let result = listing(&source, false, &mut |key, _, _| match key.name.as_str() {
        "full" => Err(Reason::new("CacheFull", "no room")),
        _ => Ok(Needs::default()),
    });
    let heads = result.unwrap().heads;
    let codes: Vec<_> = heads
        .iter()
        .map(|head| (head.key.name.as_str(), head.stored.as_ref().err().map(|reason| reason.code.as_str())))
        .collect();
    assert_eq!(
        codes,
        [
            ("a", None),
            ("deep", Some("UnreadableDocument")),
            ("full", Some("CacheFull")),
            ("half", Some("UnreadableDocument")),
            ("long", Some("DocumentTooLarge")),
            ("z", None),
        ]
    );
}

#[test]
fn a_page_past_all_bounds_is_refused_and_not_read_into_memory() {
    let server = Server::start(|_, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n";
        let mut answer = format!("{head}{{\"value\": [\"").into_bytes();
        answer.resize(17 << 20, b'x');
        Some(answer)
    });
    let outcome = pull(&server).unwrap_err();
    assert_eq!(kind(&outcome), "refused", "{outcome:?}");
}

fn parent(created: &str) -> String {
    format!(
        r#"{{"id": "{}", "name": "k3s-1", "location": "eastus", "properties": {{}}, "systemData": {created}}}"#,
        CLUSTER.to_uppercase()
    )
}

/// A server with one answer for the child (or the list) and one for the cluster.
fn family(child: (u16, String), parent: (u16, String)) -> Server {
    Server::start(move |_, seen| {
        let (status, body) = if seen.line().contains("fluxConfigurations") { &child } else { &parent };
        Some(json(*status, body))
    })
}

const CREATED: &str = r#"{"createdAt": "2026-11-22T15:00:00.1234567Z"}"#;

fn there() -> Parent {
    Parent::There { created_at: "2026-11-22T15:00:00.1234567Z".into() }
}

#[test]
fn the_clusters_own_resource_is_there_with_its_time_or_gone_by_arms_word_or_unknown() {
    let asked = |status, body: String| {
        let server = family((200, page(&[], None)), (status, body));
        pull_from(&server.url, true).0.map(|listing| listing.parent.unwrap())
    };
    assert_eq!(asked(200, parent(CREATED)), Ok(there()));
    assert_eq!(asked(404, error("ResourceNotFound")), Ok(Parent::Gone));
    assert_eq!(asked(404, error("ResourceGroupNotFound")), Ok(Parent::Gone));
    for (status, body, code) in [
        (404, error("SubscriptionNotFound"), "SubscriptionNotFound"),
        (403, error("AuthorizationFailed"), "AuthorizationFailed"),
        (404, PORTAL.to_owned(), "CaptivePortal"),
        (404, String::new(), "NotTheApi"),
        (410, error("ResourceNotFound"), "ResourceNotFound"),
        (200, PORTAL.to_owned(), "CaptivePortal"),
        (200, parent(CREATED).replace("K3S-1", "k3s-2"), "NotTheApi"),
        (200, parent("{}"), "NoCreationTime"),
        (200, parent("null"), "NoCreationTime"),
        (200, parent(r#"{"createdAt": ""}"#), "NoCreationTime"),
        (503, error("ServiceUnavailable"), "ServiceUnavailable"),
    ] {
        let outcome = asked(status, body.clone()).unwrap_err();
        assert_eq!(reason(&outcome).code, code, "{status} {body}");
    }
}

#[test]
fn a_document_is_gone_only_by_arms_own_404_of_it_while_its_cluster_is_there() {
    let key = Key::new(Kind::Flux, "B");
    let confirm = |child, parent| {
        let server = family(child, parent);
        let result = Arm::new(&server.url, client()).confirm(&cluster(), &key, TOKEN);
        let line = format!("GET {CLUSTER}/{FLUX}/b?api-version=2025-04-01 HTTP/1.1");
        assert_eq!(server.seen()[0].line(), line);
        result.map(|confirmation| (confirmation.gone, confirmation.parent))
    };
    let cluster_there = || (200, parent(CREATED));
    let absent = |code: &str| (404, error(code));
    assert_eq!(confirm(absent("ResourceNotFound"), cluster_there()), Ok((true, there())));
    assert_eq!(confirm((200, plain("B")), cluster_there()), Ok((false, there())));
    // Something above it is gone, or was when it was asked for.
    for code in ["ResourceNotFound", "ParentResourceNotFound", "ResourceGroupNotFound"] {
        assert_eq!(confirm(absent(code), absent("ResourceNotFound")), Ok((false, Parent::Gone)));
        assert_eq!(confirm(absent(code), absent("ResourceGroupNotFound")), Ok((false, Parent::Gone)));
    }
    assert_eq!(confirm(absent("ParentResourceNotFound"), cluster_there()), Ok((false, there())));
    // Whether it is there cannot be told.
    for (status, body) in [
        (404, PORTAL.to_owned()),
        (404, String::new()),
        (404, "{}".to_owned()),
        (404, error("SubscriptionNotFound")),
        (410, error("ResourceNotFound")),
        (400, error("ResourceNotFound")),
        (200, error("ResourceNotFound")),
        (200, PORTAL.to_owned()),
        (200, plain("c")),
        (200, "{}".to_owned()),
        (204, String::new()),
        (302, String::new()),
        (401, error("ExpiredAuthenticationToken")),
        (403, error("AuthorizationFailed")),
        (429, error("SubscriptionRequestsThrottled")),
        (500, error("ResourceNotFound")),
    ] {
        let result = confirm((status, body.clone()), cluster_there());
        assert!(result.is_err(), "{status} {body}: {result:?}");
    }
    // Nor whether its cluster is.
    let unknown = confirm(absent("ResourceNotFound"), (403, error("AuthorizationFailed")));
    assert_eq!(reason(&unknown.unwrap_err()).code, "AuthorizationFailed");
    assert!(confirm(absent("ResourceNotFound"), (200, parent("{}"))).is_err());
}

#[test]
fn a_listing_of_a_cluster_that_is_gone_is_a_refusal_with_the_next_step() {
    let outcome = pull(&Server::always(json(404, &error("ResourceNotFound")))).unwrap_err();
    assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), ("refused", "ResourceNotFound"));
    assert!(reason(&outcome).next_step.contains("arclet connect"));
    let outcome = pull(&Server::always(json(409, &error("MissingSubscriptionRegistration")))).unwrap_err();
    assert!(reason(&outcome).next_step.ends_with("Microsoft.KubernetesConfiguration"), "{outcome:?}");
}
