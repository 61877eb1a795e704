//! Registries: what is a thing's own trouble and what is the link's, whom a token is shown to, and that bytes count.

use super::{PORTAL, client, kind, reason};
use crate::azure::registry::{CHART, Judged, Reference, Registry, Repository, Which, code};
use crate::clock::Clock;
use crate::core::document::Digest;
use crate::core::{Outcome, Reason};
use crate::http::testing::{Seen, Server, answer, json};
use serde_json::json as value;
use std::sync::{Arc, Mutex};

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const ARCHIVE: &[u8] = b"\x1f\x8b an archive";

fn registry() -> Registry {
    Registry::new(client(), Clock::new())
}

fn place(server: &Server, name: &str) -> String {
    format!("oci+http://127.0.0.1:{}/{name}", server.port)
}

fn repository(server: &Server) -> Repository {
    Repository::parse(&place(server, "charts/app")).unwrap()
}

fn chart_manifest(archive: &Digest, size: usize) -> String {
    value!({
        "schemaVersion": 2, "mediaType": OCI,
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": format!("sha256:{}", Digest::of(b"{}")), "size": 2},
        "layers": [{"mediaType": CHART, "digest": format!("sha256:{archive}"), "size": size}],
        "annotations": {"org.opencontainers.image.version": "1.2.3", "odd": 1},
    })
    .to_string()
}

/// A registry that gives the chart, each of its answers after `spoil`.
fn serves(spoil: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static) -> Server {
    Server::start(move |_, seen| {
        let path = seen.line().split(' ').nth(1)?.to_owned();
        let right = if path.contains("/manifests/") {
            let manifest = chart_manifest(&Digest::of(ARCHIVE), ARCHIVE.len());
            let digest = format!("sha256:{}", Digest::of(manifest.as_bytes()));
            answer(200, &[("Content-Type", OCI), ("Docker-Content-Digest", &digest)], manifest)
        } else {
            answer(200, &[("Content-Type", "application/octet-stream")], ARCHIVE)
        };
        Some(spoil(&path, right))
    })
}

fn fetch(server: &Server, limit: usize) -> Judged<Vec<u8>> {
    registry().chart(&place(server, "charts/app:1.2.3"), &Digest::of(ARCHIVE), limit)
}

fn own<T: std::fmt::Debug>(judged: Judged<T>) -> Reason {
    judged.unwrap().unwrap_err()
}

#[test]
fn a_chart_comes_by_its_manifest_and_its_bytes_are_those_that_were_named() {
    let server = serves(|_, right| right);
    assert_eq!(fetch(&server, 1000).unwrap().unwrap(), ARCHIVE);
    let lines: Vec<String> = server.seen().iter().map(|s| s.line().to_owned()).collect();
    assert_eq!(
        lines,
        [
            "GET /v2/charts/app/manifests/1.2.3 HTTP/1.1".to_owned(),
            format!("GET /v2/charts/app/blobs/sha256:{} HTTP/1.1", Digest::of(ARCHIVE)),
        ]
    );
    let first = &server.seen()[0];
    assert!(first.header("accept").unwrap().contains(OCI) && first.header("authorization").is_none());
    let reference = Reference::parse(&place(&server, "charts/app:1.2.3")).unwrap();
    let (own, manifest) = registry().manifest(&reference).unwrap().unwrap();
    assert_eq!(own, Digest::of(chart_manifest(&Digest::of(ARCHIVE), ARCHIVE.len()).as_bytes()));
    assert_eq!(manifest.annotation("org.opencontainers.image.version"), Some("1.2.3"));
    assert_eq!((manifest.annotation("odd"), manifest.media_type.as_str()), (None, OCI));
    let exact = Reference { which: Which::Digest(own), ..reference };
    assert!(registry().manifest(&exact).unwrap().is_ok());
}

#[test]
fn what_is_wrong_with_one_chart_is_its_own_and_names_it_and_the_next_step() {
    let on = |part: &'static str, instead: Vec<u8>| {
        move |path: &str, right| if path.contains(part) { instead.clone() } else { right }
    };
    let unknown = |code| json(404, &value!({"errors": [{"code": code, "message": "unknown"}]}).to_string());
    let manifest = |body: &str| answer(200, &[("Content-Type", OCI)], body);
    let lying = answer(200, &[("Docker-Content-Digest", &format!("sha256:{}", Digest::of(b"x")))], "{}");
    let index = value!({"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}).to_string();
    let image = chart_manifest(&Digest::of(ARCHIVE), 3).replace(CHART, "application/x.image");
    let large = chart_manifest(&Digest::of(ARCHIVE), 5000);
    let other = chart_manifest(&Digest::of(b"another"), 7);
    for (server, expected) in [
        (serves(on("/manifests/", unknown("MANIFEST_UNKNOWN"))), code::MISSING),
        (serves(on("/blobs/", unknown("BLOB_UNKNOWN"))), code::MISSING),
        (serves(on("/manifests/", lying)), code::WRONG_DIGEST),
        (serves(on("/manifests/", manifest(&index))), code::UNUSABLE),
        (serves(on("/manifests/", manifest("[1"))), code::UNUSABLE),
        (serves(on("/manifests/", manifest(&image))), code::UNUSABLE),
        (serves(on("/manifests/", manifest(&other))), code::WRONG_DIGEST),
        (serves(on("/manifests/", manifest(&large))), code::TOO_LARGE),
        (serves(on("/manifests/", manifest(&"x".repeat(300 << 10)))), code::TOO_LARGE),
        (serves(on("/blobs/", answer(200, &[], "other bytes"))), code::WRONG_DIGEST),
        (serves(on("/blobs/", answer(200, &[], "x".repeat(2000)))), code::TOO_LARGE),
        (serves(on("/blobs/", answer(403, &[], "no"))), "Forbidden"),
    ] {
        let reason = own(fetch(&server, 1000));
        assert_eq!(reason.code, expected, "{reason}");
        assert!(reason.message.contains("charts/app") && !reason.next_step.is_empty(), "{reason}");
    }
    // Of a chunked reply nobody knows the length before.
    let endless =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n800\r\n".to_vec();
    let endless = [endless, vec![b'x'; 0x800], b"\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(own(fetch(&serves(on("/blobs/", endless)), 1000)).code, code::TOO_LARGE);
}

#[test]
fn a_refusal_may_be_longer_than_the_thing_that_was_asked_for() {
    let blob = |answer| {
        let server = Server::always(answer);
        own(registry().blob(&repository(&server), &Digest::of(ARCHIVE), 4)).code
    };
    assert_eq!(blob(json(404, &" ".repeat(2000))), code::MISSING);
    assert_eq!(blob(answer(200, &[], "12345")), code::TOO_LARGE);
    let server = guarded(|here| format!("{here}/token"), json(200, TOKEN));
    // A challenge of 60 bytes for a blob of 4: the token is asked for all the same.
    assert_eq!(own(registry().blob(&repository(&server), &Digest::of(b"abcd"), 4)).code, code::TOO_LARGE);
    assert_eq!(server.seen().len(), 3);
}

#[test]
fn a_page_a_broken_answer_and_a_tired_registry_are_the_links_trouble() {
    let cut = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 900\r\n\r\nhalf".to_vec();
    for part in ["/manifests/", "/blobs/"] {
        for (instead, expected, code) in [
            (answer(200, &[], PORTAL), "refused", "CaptivePortal"),
            (cut.clone(), "unreachable", "ConnectionReset"),
            (answer(429, &[("Retry-After", "9")], ""), "throttled", "TooManyRequests"),
            (answer(503, &[("Retry-After", "9")], ""), "throttled", "Unavailable"),
            (answer(500, &[], ""), "unreachable", "Unavailable"),
            (answer(302, &[("Location", "http://portal.example/?s=1")], ""), "refused", "Redirected"),
            (answer(302, &[], ""), "refused", "Redirected"),
        ] {
            let server = serves(move |path, right| if path.contains(part) { instead.clone() } else { right });
            let outcome = fetch(&server, 1000).unwrap_err();
            assert_eq!((kind(&outcome), reason(&outcome).code.as_str()), (expected, code), "{outcome:?}");
            if let Outcome::Throttled { retry_after, .. } = outcome {
                assert_eq!(retry_after.map(|after| after.as_secs()), Some(9));
            }
        }
    }
    let gone = Server::start(|_, _| None);
    assert_eq!(kind(&fetch(&gone, 1000).unwrap_err()), "unreachable");
}

/// A registry that wants a token, and its token service; what both saw.
fn guarded(realm: impl Fn(&str) -> String + Send + Sync + 'static, token: Vec<u8>) -> Server {
    let port = Arc::new(Mutex::new(0));
    let known = Arc::clone(&port);
    let server = Server::start(move |_, seen| {
        if seen.line().starts_with("GET /token") {
            return Some(token.clone());
        }
        if seen.header("authorization") == Some("Bearer FAKE.REG.TOKEN") {
            return Some(json(200, r#"{"name": "charts/app", "tags": ["1.0.0"]}"#));
        }
        let here = format!("http://127.0.0.1:{}", known.lock().unwrap());
        let challenge =
            format!("Bearer realm=\"{}\",service=\"a b\",scope=\"repository:charts/app:pull\"", realm(&here));
        let refused = r#"{"errors": [{"code": "UNAUTHORIZED", "message": "log in"}]}"#;
        Some(answer(
            401,
            &[("WWW-Authenticate", "Basic realm=\"x\""), ("WWW-Authenticate", &challenge)],
            refused,
        ))
    });
    *port.lock().unwrap() = server.port;
    server
}

const TOKEN: &str = r#"{"token": "FAKE.REG.TOKEN", "expires_in": 300}"#;

fn lines(server: &Server) -> Vec<String> {
    server.seen().iter().map(|seen| seen.line().to_owned()).collect()
}

#[test]
fn a_token_is_asked_for_once_and_kept_for_its_repository() {
    let server = guarded(|here| format!("{here}/token"), json(200, TOKEN));
    let registry = registry();
    for _ in 0..2 {
        assert_eq!(registry.tags(&repository(&server)).unwrap().unwrap(), ["1.0.0"]);
    }
    let list = "GET /v2/charts/app/tags/list HTTP/1.1".to_owned();
    let token = "GET /token?service=a%20b&scope=repository%3Acharts%2Fapp%3Apull HTTP/1.1".to_owned();
    assert_eq!(lines(&server), [list.clone(), token, list.clone(), list]);
    assert_eq!(server.seen()[1].header("authorization"), None);
    let another = Repository::parse(&place(&server, "charts/other")).unwrap();
    assert!(registry.tags(&another).is_ok());
    assert_eq!(server.seen()[4].header("authorization"), None);
}

#[test]
fn a_registry_that_refuses_its_own_token_is_asked_no_third_time() {
    let server = guarded(|here| format!("{here}/token"), json(200, r#"{"access_token": "FAKE.OTHER"}"#));
    let registry = registry();
    for asked in [3, 6] {
        let reason = own(registry.tags(&repository(&server)));
        assert_eq!(reason.code, "Forbidden");
        assert!(!reason.to_string().contains("FAKE"), "{reason}");
        assert_eq!(server.seen().len(), asked);
    }
}

#[test]
fn a_token_that_nobody_gives_is_the_repositorys_trouble_and_a_tired_service_the_links() {
    for (token, code) in [(json(401, "{}"), "Forbidden"), (json(403, "{}"), "Forbidden")] {
        let server = guarded(|here| format!("{here}/token"), token);
        let reason = own(registry().tags(&repository(&server)));
        assert!(reason.code == code && reason.next_step.contains("mirror"), "{reason}");
    }
    for (token, expected) in [
        (answer(429, &[("Retry-After", "9")], ""), "throttled"),
        (answer(500, &[], ""), "unreachable"),
        (answer(200, &[], PORTAL), "refused"),
        (json(200, "{}"), "refused"),
        (json(200, r#"{"token": "with a\nline"}"#), "refused"),
    ] {
        let server = guarded(|here| format!("{here}/token"), token);
        assert_eq!(kind(&registry().tags(&repository(&server)).unwrap_err()), expected);
    }
}

#[test]
fn a_realm_that_is_not_https_is_not_asked() {
    for realm in ["http://elsewhere.example/token", "", "ftp://x/", "/token"] {
        let server = guarded(move |_| realm.to_owned(), json(200, TOKEN));
        assert_eq!(own(registry().tags(&repository(&server))).code, "BadRealm", "{realm}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[test]
fn a_redirect_to_another_host_is_followed_without_the_token() {
    let store = Server::always(answer(200, &[], ARCHIVE));
    let target = format!("{}/where?sig=FAKE.SIGNATURE", store.url);
    let server = Server::start(move |_, seen: &Seen| {
        let line = seen.line();
        if line.starts_with("GET /token") {
            return Some(json(200, TOKEN));
        }
        if seen.header("authorization").is_none() {
            let realm = format!("Bearer realm=\"http://{}/token\"", seen.header("host")?);
            return Some(answer(401, &[("WWW-Authenticate", &realm)], ""));
        }
        Some(if line.contains("/moved/") {
            answer(307, &[("Location", &target)], "")
        } else {
            answer(302, &[("Location", "/moved/here")], "")
        })
    });
    let wanted = Digest::of(ARCHIVE);
    assert_eq!(registry().blob(&repository(&server), &wanted, 1000).unwrap().unwrap(), ARCHIVE);
    // Within the registry it is shown, outside it is not.
    assert_eq!(server.seen().last().unwrap().header("authorization"), Some("Bearer FAKE.REG.TOKEN"));
    assert_eq!(server.seen().last().unwrap().line(), "GET /moved/here HTTP/1.1");
    assert_eq!(store.seen().len(), 1);
    assert_eq!(store.seen()[0].header("authorization"), None);
    assert_eq!(store.seen()[0].line(), "GET /where?sig=FAKE.SIGNATURE HTTP/1.1");
    // What is signed is not repeated to people.
    let reason = own(registry().blob(&repository(&server), &Digest::of(b"other"), 1000));
    assert!(reason.code == code::WRONG_DIGEST && !reason.to_string().contains("FAKE"), "{reason}");
}

#[test]
fn redirects_that_do_not_end_end() {
    let server = Server::always(answer(302, &[("Location", "/again")], ""));
    assert_eq!(own(fetch(&server, 1000)).code, code::UNUSABLE);
    assert_eq!(server.seen().len(), 6);
}

#[test]
fn tags_come_over_all_pages_and_pages_that_go_in_a_circle_or_elsewhere_end() {
    let paged = |links: &'static [&'static str]| {
        Server::start(move |n, _| {
            let body = value!({"name": "charts/app", "tags": [format!("1.{n}.0"), 7]}).to_string();
            Some(match links.get(n) {
                Some(link) => answer(200, &[("Link", link)], body),
                None => answer(200, &[], body),
            })
        })
    };
    const RELATIVE: &str = "</v2/charts/app/tags/list?last=a&n=1>; rel=\"next\"";
    let two = paged(&[
        "<?last=1>; rel=next",
        "<x>; rel=prev, </v2/charts/app/tags/list?last=2>; title=x; REL=\"next\"",
    ]);
    assert_eq!(registry().tags(&repository(&two)).unwrap().unwrap(), ["1.0.0", "1.1.0", "1.2.0"]);
    assert_eq!(lines(&two)[1], "GET /v2/charts/app/tags/list?last=1 HTTP/1.1");
    let circle = paged(&[RELATIVE, RELATIVE]);
    assert_eq!(registry().tags(&repository(&circle)).unwrap().unwrap(), ["1.0.0", "1.1.0"]);
    let elsewhere = paged(&["<https://elsewhere.example/v2/>; rel=\"next\""]);
    assert_eq!(own(registry().tags(&repository(&elsewhere))).code, code::UNUSABLE);
    let endless = Server::start(|n, _| {
        Some(answer(200, &[("Link", &format!("<?last={n}>; rel=\"next\""))], r#"{"tags": []}"#))
    });
    assert_eq!(own(registry().tags(&repository(&endless))).code, code::UNUSABLE);
    assert_eq!(endless.seen().len(), 32);
}

#[test]
fn a_listing_that_is_none_is_nonsense_and_an_empty_one_is_empty() {
    for body in ["{}", "[]", PORTAL, r#"{"tags": "1.0.0"}"#] {
        let outcome = registry().tags(&repository(&Server::always(answer(200, &[], body)))).unwrap_err();
        assert_eq!(kind(&outcome), "refused", "{body}");
    }
    let none = Server::always(json(200, r#"{"name": "charts/app", "tags": null}"#));
    assert!(registry().tags(&repository(&none)).unwrap().unwrap().is_empty());
    let unknown = Server::always(json(404, r#"{"errors": [{"code": "NAME_UNKNOWN", "message": "who?"}]}"#));
    let reason = own(registry().tags(&repository(&unknown)));
    assert!(reason.code == code::MISSING && reason.message.contains("NAME_UNKNOWN"), "{reason}");
}

#[test]
fn a_chart_may_also_be_a_plain_file() {
    let file = |answer: Vec<u8>, limit| {
        let server = Server::always(answer);
        let location = format!("{}/app-1.2.3.tgz?sig=FAKE", server.url);
        let judged = registry().chart(&location, &Digest::of(ARCHIVE), limit);
        assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
        judged
    };
    assert_eq!(file(answer(200, &[], ARCHIVE), 1000).unwrap().unwrap(), ARCHIVE);
    for (judged, expected) in [
        (file(answer(200, &[], "other"), 1000), code::WRONG_DIGEST),
        (file(answer(404, &[("Content-Type", "text/html")], PORTAL), 1000), code::MISSING),
        (file(answer(200, &[], ARCHIVE), 5), code::TOO_LARGE),
    ] {
        let reason = own(judged);
        assert_eq!(reason.code, expected);
        assert!(reason.message.contains("app-1.2.3.tgz") && !reason.message.contains("FAKE"), "{reason}");
    }
    assert_eq!(reason(&file(answer(200, &[], PORTAL), 1000).unwrap_err()).code, "CaptivePortal");
    for location in
        ["", "app", "http://charts.example/a.tgz", "ftp://h/a", "https://u:p@h/a.tgz", "oci://h/a"]
    {
        let reason = own(registry().chart(location, &Digest::of(ARCHIVE), 1000));
        assert!(!reason.next_step.is_empty() && !reason.message.contains("u:p"), "{location}: {reason}");
    }
}

#[test]
fn digests_are_read_in_lower_case_only() {
    let text = format!("sha256:{}", Digest::of(b"{}"));
    assert_eq!(Digest::parse(&text), Some(Digest::of(b"{}")));
    for wrong in
        [text.to_uppercase(), text[..70].to_owned(), format!("{text}0"), text.replace("sha256", "sha512")]
    {
        assert_eq!(Digest::parse(&wrong), None, "{wrong}");
    }
}
