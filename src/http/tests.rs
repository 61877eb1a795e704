//! The client against servers that stall, lie, flood and hang up.

use super::testing::{Server, answer, identity, json, read_request, tunnel};
use super::*;
use crate::core::Outcome;
use std::io::Write;
use std::net::{TcpListener, TcpStream};

fn client(roots: Roots) -> Client {
    Client::new(Options::new(roots, Clock::new())).unwrap()
}

fn plain() -> Client {
    client(Roots::WebPki { extra_pem: None })
}

fn get(url: &str) -> Request {
    Request::get(url).deadline(Duration::from_secs(10))
}

fn reason(result: Result<Response, Failure>) -> Reason {
    result.unwrap_err().into()
}

#[test]
fn a_reply_is_whole_with_status_headers_body_and_date() {
    let date = "Mon, 23 Nov 2026 01:46:40 GMT";
    let server = Server::always(answer(418, &[("Date", date), ("X-Thing", "a"), ("x-thing", "b")], "body"));
    let response = plain().call(&get(&server.url).header("Accept", "text/x")).unwrap();
    assert_eq!((response.status, response.body.as_slice()), (418, &b"body"[..]));
    assert_eq!(response.header("X-THING"), Some("a"));
    assert_eq!(response.header_all("x-thing").collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(response.date_ms, Some(1_795_398_400_000));
    let seen = &server.seen()[0];
    assert_eq!(seen.header("user-agent"), Some(USER_AGENT));
    assert_eq!((seen.header("accept"), seen.header("accept-encoding")), (Some("text/x"), Some("gzip")));
}

#[test]
fn bodies_are_sent_with_their_length_and_an_empty_one_as_zero() {
    let server = Server::always(answer(200, &[], ""));
    for (method, body) in [(http::Method::POST, "{}"), (http::Method::PATCH, "x"), (http::Method::DELETE, "")]
    {
        let mut request = Request::new(method, &server.url);
        request.body = body.into();
        plain().call(&request).unwrap();
    }
    let seen = server.seen();
    assert_eq!(seen.iter().map(|s| s.text()).collect::<Vec<_>>(), ["{}", "x", ""]);
    assert_eq!(seen[2].header("content-length"), Some("0"));
}

#[test]
fn connections_are_kept_and_tls_sessions_resumed() {
    let kept = Server::always(answer(200, &[], "x"));
    let client_ = plain();
    for _ in 0..3 {
        client_.call(&get(&kept.url)).unwrap();
    }
    assert_eq!(kept.connections(), 1);

    let id = identity("127.0.0.1", 2020, 2099);
    let closing = Server::tls(id.config, |_, _| Some(answer(200, &[("Connection", "close")], "x")));
    let client_ = client(Roots::Only(id.ca_pem));
    for _ in 0..3 {
        assert_eq!(client_.call(&get(&closing.url)).unwrap().body, b"x");
    }
    assert_eq!((closing.connections(), closing.resumed()), (3, 2));
}

#[test]
fn redirects_are_handed_back_and_not_followed() {
    let elsewhere = Server::always(answer(200, &[], ""));
    for status in [301, 302, 303, 307, 308] {
        let server = Server::always(answer(status, &[("Location", &elsewhere.url)], ""));
        let mut request = Request::new(http::Method::POST, &server.url).bearer("SECRET");
        request.body = b"{}".to_vec();
        assert_eq!(plain().call(&request).unwrap().status, status);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn what_a_gzip_bomb_unpacks_to_counts_not_what_it_weighs() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b' '; 8 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 10_000);
    let server = Server::always(answer(200, &[("Content-Encoding", "gzip")], &bomb));
    let failure = plain().call(&get(&server.url).max_body(1 << 20)).unwrap_err();
    assert!(matches!(failure, Failure::TooLarge { .. }), "{failure}");
    assert_eq!(plain().call(&get(&server.url).max_body(8 << 20)).unwrap().body.len(), 8 << 20);
}

#[test]
fn a_body_that_is_read_as_it_comes_counts_only_if_all_of_it_comes() {
    let stream = |bytes: &[u8], most: usize| {
        let server = Server::always(bytes.to_vec());
        let mut taken = Vec::new();
        let mut take = |body: &mut dyn Read| drop(body.read_to_end(&mut taken));
        let result = plain().stream(&get(&server.url).max_body(most), &mut take);
        (result.map(|response| (response.status, response.body)), taken)
    };
    let long = "0123456789".repeat(1000);
    let whole = answer(200, &[], &long);
    let start = long.as_bytes()[..512].to_vec();
    assert_eq!(stream(&whole, 10_000), (Ok((200, start)), long.clone().into_bytes()));
    // What came before the end was taken; the call says that there was more.
    let (result, taken) = stream(&whole, 9_999);
    assert!(matches!(result, Err(Failure::TooLarge { .. })), "{result:?}");
    assert!(long.as_bytes().starts_with(&taken));
    let cut = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nshort";
    let (result, taken) = stream(cut, 100);
    assert!(matches!(result, Err(Failure::Reset { .. })), "{result:?}");
    assert_eq!(taken, b"short");
    // What is no 200 is not what was asked for: it is whole, and nobody took it.
    assert_eq!(stream(&answer(404, &[], &long), 10_000), (Ok((404, long.into_bytes())), Vec::new()));
}

#[test]
fn a_body_that_its_reader_gives_up_is_read_to_its_end_and_the_connection_kept() {
    let server = Server::always(answer(200, &[], "x".repeat(100_000)));
    let client = plain();
    for _ in 0..3 {
        let mut take = |body: &mut dyn Read| assert_eq!(body.read(&mut [0]).unwrap(), 1);
        client.stream(&get(&server.url), &mut take).unwrap();
    }
    assert_eq!(server.connections(), 1);
    let cut = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nshort";
    let failure = plain().stream(&get(&Server::always(cut.to_vec()).url), &mut |_| ()).unwrap_err();
    assert!(matches!(failure, Failure::Reset { .. }), "{failure}");
}

#[test]
fn headers_without_end_are_cut_off() {
    let server = Server::always(answer(200, &[("X-Long", &"x".repeat(100_000))], ""));
    let failure = plain().call(&get(&server.url)).unwrap_err();
    assert!(matches!(failure, Failure::TooLarge { .. }), "{failure}");
    let server = Server::always(answer(200, &[("X-Long", &"x".repeat(12_000))], ""));
    assert_eq!(plain().call(&get(&server.url)).unwrap().header("x-long").map(str::len), Some(12_000));
}

#[test]
fn a_server_that_stalls_ends_by_the_deadline_in_whatever_phase() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let server = Server::start(move |_, _| {
        // Until the test is over.
        let _ = held.lock().map(|held| held.recv());
        None
    });
    let failure = plain().call(&Request::get(&server.url).deadline(Duration::from_millis(200))).unwrap_err();
    assert_eq!(failure, Failure::Timeout { host: format!("127.0.0.1:{}", server.port), phase: "reply" });
    drop(hold);

    // A listener that never accepts: TCP stands, TLS does not come.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut options = Options::new(Roots::WebPki { extra_pem: None }, Clock::new());
    options.connect = Duration::from_millis(200);
    let url = format!("https://127.0.0.1:{}", silent.local_addr().unwrap().port());
    let failure = Client::new(options).unwrap().call(&get(&url)).unwrap_err();
    assert_eq!(failure, Failure::Timeout { host: "127.0.0.1".into(), phase: "handshake" });
}

#[test]
fn a_reply_that_trickles_does_not_outlive_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let trickle = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        read_request(&mut stream).unwrap();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        // Ends when the client hangs up.
        while stream.write_all(b" ").is_ok() {}
    });
    let failure =
        plain().call(&Request::get(url).deadline(Duration::from_millis(200)).max_body(1 << 30)).unwrap_err();
    assert!(matches!(failure, Failure::Timeout { phase: "reply", .. }), "{failure}");
    trickle.join().unwrap();
}

#[test]
fn each_way_to_break_has_its_own_word_and_names_the_host() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = reason(plain().call(&get(&format!("http://{closed}"))));
    assert_eq!(refused.code, "ConnectFailed");
    assert!(refused.message.contains(&closed.to_string()) && !refused.next_step.is_empty(), "{refused}");
    for (bytes, code) in [
        (&b""[..], "ConnectionReset"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 10\r\n\r\nshort", "ConnectionReset"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", "ProtocolError"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n\r\n", "ProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\nnope", "ProtocolError"),
    ] {
        let server = Server::always(bytes.to_vec());
        assert_eq!(
            reason(plain().call(&get(&server.url))).code,
            code,
            "{:?}",
            String::from_utf8_lossy(bytes)
        );
    }
}

#[test]
fn a_token_never_leaves_this_machine_in_the_clear() {
    for url in ["http://azure.invalid/", "http://10.1.2.3/", "ftp://127.0.0.1/", "/path", "not a url"] {
        let failure = plain().call(&get(url).bearer("SECRET")).unwrap_err();
        assert!(matches!(failure, Failure::Protocol { .. }), "{url}");
        assert!(!format!("{failure} {failure:?}").contains("SECRET"));
        assert!(matches!(Outcome::from(failure), Outcome::Refused(_)));
    }
}

#[test]
fn a_certificate_that_does_not_prove_the_host_says_what_to_do() {
    for (name, from, to, trusted, code, cure) in [
        ("127.0.0.1", 2020, 2099, false, "UnknownIssuer", "extra-ca-file"),
        ("other.invalid", 2020, 2099, true, "CertificateOfAnotherHost", "captive portal"),
        ("127.0.0.1", 2090, 2099, true, "CertificateNotYetValid", "timedatectl"),
        ("127.0.0.1", 2000, 2001, true, "CertificateExpired", "timedatectl"),
    ] {
        let id = identity(name, from, to);
        let server = Server::tls(id.config, |_, _| Some(answer(200, &[], "")));
        let roots = if trusted { Roots::Only(id.ca_pem) } else { Roots::WebPki { extra_pem: None } };
        let failure = client(roots).call(&get(&server.url)).unwrap_err();
        let reason = Reason::from(failure.clone());
        assert_eq!(reason.code, code);
        assert!(reason.next_step.contains(cure) && reason.message.contains("127.0.0.1"), "{reason}");
        assert!(matches!(Outcome::from(failure), Outcome::Unreachable(_)));
        assert!(server.seen().is_empty(), "nothing was sent to a host that is not proven");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let portal = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        // Until the client hangs up.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let failure = reason(plain().call(&get(&url)));
    assert_eq!(failure.code, "NotTls", "{failure}");
    portal.join().unwrap();
}

#[test]
fn certificates_are_judged_by_our_clock_and_not_by_the_systems() {
    let id = identity("127.0.0.1", 2090, 2099);
    let server = Server::tls(id.config, |_, _| Some(json(200, "{}")));
    let clock = Clock::new();
    let client = Client::new(Options::new(Roots::Only(id.ca_pem), clock.clone())).unwrap();
    assert_eq!(reason(client.call(&get(&server.url))).code, "CertificateNotYetValid");
    // The last trusted time lies in 2091, whatever the system's clock says.
    clock.set_floor(3_818_448_000_000);
    assert_eq!(client.call(&get(&server.url)).unwrap().status, 200);
}

#[test]
fn an_extra_authority_is_trusted_beside_the_public_ones_and_a_bad_file_is_refused() {
    let id = identity("127.0.0.1", 2020, 2099);
    let server = Server::tls(id.config, |_, _| Some(json(200, "{}")));
    let client_ = client(Roots::WebPki { extra_pem: Some(id.ca_pem.clone()) });
    assert_eq!(client_.call(&get(&server.url)).unwrap().status, 200);
    for pem in [&b""[..], b"no pem", &id.ca_pem[..id.ca_pem.len() / 2]] {
        let error = Client::new(Options::new(Roots::Only(pem.to_vec()), Clock::new())).unwrap_err();
        assert_eq!(error.code, "BadCaFile");
    }
}

/// A proxy that answers CONNECT and leads every tunnel to `target`; returns its address and what it was asked.
fn proxy(target: u16, reply: &'static str) -> (u16, std::sync::mpsc::Receiver<testing::Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, asks) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = read_request(&mut stream) else { continue };
            let _ = asked.send(request);
            let _ = stream.write_all(reply.as_bytes());
            if reply.contains("200") {
                tunnel(stream, TcpStream::connect(("127.0.0.1", target)).unwrap());
            }
        }
    });
    (port, asks)
}

#[test]
fn the_proxy_gets_a_connect_with_its_credentials_and_the_host_gets_the_token() {
    let id = identity("azure.invalid", 2020, 2099);
    let server = Server::tls(id.config, |_, _| Some(json(200, "{}")));
    let (port, asks) = proxy(server.port, "HTTP/1.1 200 Connection established\r\n\r\n");
    let url = format!("http://dom%5Cuser:p%40ss%3Aw%C3%B6rd@127.0.0.1:{port}");
    let proxy = Proxy::parse(&url, &["direct.invalid".into()]).unwrap();
    let client = Client::new(Options::new(Roots::Only(id.ca_pem), Clock::new()).proxy(Some(proxy))).unwrap();
    assert_eq!(client.call(&get("https://azure.invalid/x").bearer("TOKEN")).unwrap().status, 200);
    let asked = asks.recv().unwrap();
    assert_eq!(asked.line(), "CONNECT azure.invalid:443 HTTP/1.1");
    // base64 of dom\user:p@ss:wörd
    assert_eq!(asked.header("proxy-authorization"), Some("Basic ZG9tXHVzZXI6cEBzczp3w7ZyZA=="));
    assert!(!asked.head.contains("TOKEN"));
    assert_eq!(server.seen()[0].header("authorization"), Some("Bearer TOKEN"));
    assert_eq!(server.seen()[0].header("proxy-authorization"), None);
}

#[test]
fn a_proxy_that_refuses_is_named_with_its_cure_and_without_its_password() {
    for (reply, code, cure) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
            "ProxyAuthenticationRequired",
            "password",
        ),
        ("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "ProxyRefused", "CONNECT"),
        ("", "ProxyRefused", "proxy.url"),
    ] {
        let (port, _asks) = proxy(1, reply);
        let proxy = Proxy::parse(&format!("http://me:s3cret@127.0.0.1:{port}"), &[]).unwrap();
        let options = Options::new(Roots::WebPki { extra_pem: None }, Clock::new()).proxy(Some(proxy));
        let reason = reason(Client::new(options).unwrap().call(&get("https://azure.invalid/")));
        assert_eq!(reason.code, code, "{reason}");
        assert!(reason.next_step.contains(cure) && reason.message.contains(&port.to_string()), "{reason}");
        assert!(!reason.to_string().contains("s3cret"));
    }
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::parse(&closed.to_string(), &[]).unwrap();
    let options = Options::new(Roots::WebPki { extra_pem: None }, Clock::new()).proxy(Some(proxy));
    let failure = Client::new(options).unwrap().call(&get("https://azure.invalid/")).unwrap_err();
    assert!(matches!(&failure, Failure::Connect { host, .. } if *host == closed.to_string()), "{failure:?}");
}

#[test]
fn this_machine_is_never_asked_through_a_proxy() {
    let server = Server::always(json(200, "{}"));
    let (port, asks) = proxy(1, "HTTP/1.1 403 Forbidden\r\n\r\n");
    let proxy = Proxy::parse(&format!("127.0.0.1:{port}"), &[]).unwrap();
    let options = Options::new(Roots::WebPki { extra_pem: None }, Clock::new()).proxy(Some(proxy));
    assert_eq!(Client::new(options).unwrap().call(&get(&server.url)).unwrap().status, 200);
    assert!(asks.try_recv().is_err());
}

#[test]
fn retry_after_is_read_in_all_its_forms() {
    let date = ("Date", "Mon, 23 Nov 2026 01:46:40 GMT");
    for (headers, seconds) in [
        (&[("Retry-After", "17")][..], Some(17.0)),
        (&[("retry-after-ms", "1500"), ("Retry-After", "17")], Some(1.5)),
        (&[("x-ms-retry-after-ms", "250")], Some(0.25)),
        (&[date, ("Retry-After", "Mon, 23 Nov 2026 01:47:10 GMT")], Some(30.0)),
        (&[date, ("Retry-After", "Mon, 23 Nov 2026 01:00:00 GMT")], Some(0.0)),
        (&[("Retry-After", "soon")], None),
        (&[("Retry-After", "-5")], None),
        (&[], None),
    ] {
        let server = Server::always(answer(429, headers, ""));
        let response = plain().call(&get(&server.url)).unwrap();
        assert_eq!(response.retry_after().map(|d| d.as_secs_f64()), seconds, "{headers:?}");
    }
}
