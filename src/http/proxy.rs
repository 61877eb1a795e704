//! The way out of a site: an HTTP proxy that opens tunnels (CONNECT), and the hosts that do not need it.
//!
//! Credentials live in here and in ureq's copy, and never in a Debug text, an error or a log line.

use crate::core::Reason;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// A proxy and what goes past it.
#[derive(Clone)]
pub struct Proxy {
    tls: bool,
    host: String,
    port: u16,
    credentials: Option<(Zeroizing<String>, Zeroizing<String>)>,
    except: Vec<Exception>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({}, credentials: {})", self.address(), self.credentials.is_some())
    }
}

impl Proxy {
    /// Reads `[http[s]://][user[:password]@]host[:port]`. User and password are percent-decoded; a character that should
    /// have been encoded is taken as it is, a password that holds `@`, `#` or `%` without digits included. `no_proxy` has
    /// hosts, domains (with their subdomains), addresses and networks (`10.0.0.0/8`) as in the NO_PROXY convention.
    pub fn parse(url: &str, no_proxy: &[String]) -> Result<Proxy, Reason> {
        // The URL itself is not repeated: it may hold a password.
        let bad = |what: &str| {
            Reason::new("BadProxyUrl", format!("the proxy URL is not usable: {what}"))
                .cure("write proxy.url as http://user:password@host:port, user and password percent-encoded")
        };
        let (scheme, rest) = url.trim().split_once("://").unwrap_or(("http", url.trim()));
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(bad("only http and https proxies are supported")),
        };
        let (userinfo, authority) = match rest.rsplit_once('@') {
            Some((userinfo, authority)) => (Some(userinfo), authority),
            None => (None, rest),
        };
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = split_port(authority).ok_or_else(|| bad("the port is not a number"))?;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(bad("it has no host"));
        }
        let credentials = userinfo.map(|text| {
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            (Zeroizing::new(percent_decode(user)), Zeroizing::new(percent_decode(password)))
        });
        Ok(Proxy {
            tls,
            host: host.to_owned(),
            port: port.unwrap_or(if tls { 443 } else { 80 }),
            credentials,
            except: no_proxy.iter().filter_map(|text| Exception::parse(text)).collect(),
        })
    }

    /// Host and port, for people.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Whether calls to this host go past the proxy. Loopback always does.
    pub fn excepts(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let address: Option<IpAddr> = host.parse().ok();
        is_loopback(&host) || self.except.iter().any(|e| e.matches(&host, address, port))
    }

    pub(super) fn for_ureq(&self) -> Result<ureq::Proxy, Reason> {
        let protocol = if self.tls { ureq::ProxyProtocol::Https } else { ureq::ProxyProtocol::Http };
        let mut builder = ureq::Proxy::builder(protocol).host(&self.host).port(self.port);
        if let Some((user, password)) = &self.credentials {
            builder = builder.username(user).password(password);
        }
        builder.build().map_err(|_| {
            Reason::new("BadProxyUrl", format!("the proxy {} is not usable", self.address()))
                .cure("check proxy.url")
        })
    }
}

/// Whether a host is this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// One entry of NO_PROXY.
#[derive(Clone, Debug)]
enum Exception {
    All,
    Domain(String, Option<u16>),
    Network(IpAddr, u8),
}

impl Exception {
    fn parse(text: &str) -> Option<Exception> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Exception::All);
        }
        if let Some((address, bits)) = text.split_once('/') {
            let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
            let most = if address.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Exception::Network(address, bits));
        }
        if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Exception::Network(address, if address.is_ipv4() { 32 } else { 128 }));
        }
        let (host, port) = split_port(&text)?;
        let host = host.trim_start_matches("*.").trim_matches('.');
        (!host.is_empty()).then(|| Exception::Domain(host.to_owned(), port))
    }

    fn matches(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        match self {
            Exception::All => true,
            Exception::Domain(domain, wanted) => {
                wanted.is_none_or(|w| w == port)
                    && host
                        .strip_suffix(domain.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Exception::Network(network, bits) => match (network, address) {
                (IpAddr::V4(n), Some(IpAddr::V4(a))) => {
                    same_prefix(n.to_bits().into(), a.to_bits().into(), 32 - u32::from(*bits))
                }
                (IpAddr::V6(n), Some(IpAddr::V6(a))) => {
                    same_prefix(n.to_bits(), a.to_bits(), 128 - u32::from(*bits))
                }
                _ => false,
            },
        }
    }
}

fn same_prefix(a: u128, b: u128, ignored: u32) -> bool {
    (a ^ b).checked_shr(ignored).unwrap_or(0) == 0
}

/// `host:port`, `[v6]:port`, `host`; `None` if the port is not one.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') && (!host.contains(':') || host.ends_with(']')) => {
            Some((host, Some(port.parse().ok()?)))
        }
        _ => Some((text, None)),
    }
}

fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.filter(|_| byte == b'%').and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy(url: &str, except: &[&str]) -> Proxy {
        Proxy::parse(url, &except.iter().map(|e| e.to_string()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn special_characters_in_credentials_arrive_as_they_were_meant() {
        for (url, user, password) in [
            ("http://u:p%40ss%3Aw%2Frd%25@proxy:3128", "u", "p@ss:w/rd%"),
            ("http://u:p@ss#w%zz@proxy:3128", "u", "p@ss#w%zz"),
            ("http://dom%5Cu:a+b:c@proxy:3128/", "dom\\u", "a+b:c"),
            ("u:%C3%A4@proxy:3128", "u", "ä"),
        ] {
            let proxy = proxy(url, &[]);
            let (u, p) = proxy.credentials.as_ref().unwrap();
            assert_eq!((u.as_str(), p.as_str()), (user, password), "{url}");
            assert_eq!(proxy.address(), "proxy:3128");
            let theirs = proxy.for_ureq().unwrap();
            assert_eq!((theirs.username(), theirs.password()), (Some(user), Some(password)));
        }
    }

    #[test]
    fn credentials_appear_in_no_text() {
        let text = format!("{:?}", proxy("http://name:s3cret@proxy:3128", &[]));
        assert!(!text.contains("s3cret") && !text.contains("name"), "{text}");
        let refused = Proxy::parse("socks5://name:s3cret@proxy", &[]).unwrap_err().to_string();
        assert!(!refused.contains("s3cret"), "{refused}");
    }

    #[test]
    fn hosts_domains_addresses_and_networks_go_past_the_proxy() {
        let proxy = proxy(
            "http://proxy:3128",
            &[".corp.example", "*.lab", "host:8443", "10.0.0.0/8", "192.168.1.7", "fd00::/8", "bad/99"],
        );
        for (host, port) in [
            ("a.corp.example", 443),
            ("corp.example", 443),
            ("A.Corp.Example.", 443),
            ("x.lab", 443),
            ("host", 8443),
            ("10.255.1.2", 443),
            ("192.168.1.7", 443),
            ("[fd12::1]", 443),
            ("localhost", 40342),
            ("127.0.0.9", 6443),
            ("::1", 6443),
        ] {
            assert!(proxy.excepts(host, port), "{host}");
        }
        for (host, port) in [
            ("notcorp.example", 443),
            ("host", 443),
            ("11.0.0.1", 443),
            ("192.168.1.8", 443),
            ("fe80::1", 443),
            ("login.microsoftonline.com", 443),
        ] {
            assert!(!proxy.excepts(host, port), "{host}");
        }
        assert!(Proxy::parse("http://proxy", &["*".into()]).unwrap().excepts("anything", 1));
    }

    #[test]
    fn a_url_that_is_none_is_refused_with_its_cure() {
        for url in ["", "http://", "ftp://proxy", "http://proxy:port", "http://user@:80"] {
            let reason = Proxy::parse(url, &[]).unwrap_err();
            assert_eq!(reason.code, "BadProxyUrl", "{url}");
            assert!(reason.next_step.contains("proxy.url"));
        }
        assert_eq!(proxy("https://[::1]", &[]).port, 443);
        assert_eq!(proxy("proxy", &[]).address(), "proxy:80");
    }
}
