//! OCI registries, for charts and releases: tags, manifests and blobs, of repositories that anybody may read; and files
//! that are just behind an https address, as many charts are.
//!
//! Nothing is believed for its name: the bytes' own SHA-256 decides. Two sorts of failure, as with the vault: what is wrong
//! with one thing ([`Reason`]; others may be fine) and what is wrong with the link or the whole registry ([`Outcome`]).
//! Redirects are followed here, as registries keep their blobs elsewhere; a token goes to the registry itself only, and
//! nobody from outside sends us to this machine.

mod manifest;
mod reference;
mod token;

pub use manifest::{Descriptor, Manifest};
pub use reference::{Reference, Repository, Which};

use super::error;
use crate::clock::Clock;
use crate::core::document::Digest;
use crate::core::{Outcome, Reason};
use crate::http::http::Uri;
use crate::http::{Client, Failure, Request, Response, is_loopback};
use std::time::Duration;

/// The layer of a chart in a manifest (Helm's own media type).
pub const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const DEADLINE: Duration = Duration::from_secs(30);
/// A megabyte at 4 kB/s.
const BLOB_DEADLINE: Duration = Duration::from_secs(270);
/// Bytes of a manifest: the specification wants 4 MiB to be taken; those of charts and releases have less than one kB.
const MOST_MANIFEST: usize = 256 << 10;
/// Bytes of an answer that says why not, however small the thing is that was asked for.
const MOST_REFUSAL: usize = 64 << 10;
/// Bytes of a page of tags.
const MOST_PAGE: usize = 1 << 20;
const MOST_PAGES: usize = 32;
const MOST_REDIRECTS: usize = 5;
/// What somebody does whose repository wants a login.
const MISSING_RIGHTS: &str = "let anybody read it, or name a mirror that anybody may read";

/// What a thing's own failures are recognised by.
pub mod code {
    /// There is no such thing.
    pub const MISSING: &str = "NotInRegistry";
    /// It has more bytes than are taken.
    pub const TOO_LARGE: &str = "TooLarge";
    /// Its bytes are not those that were asked for.
    pub const WRONG_DIGEST: &str = "WrongDigest";
    /// It is none that arclet can use.
    pub const UNUSABLE: &str = "NotUsable";
}

/// The outer error is the link's or the registry's, the inner one the thing's own.
pub type Judged<T> = Result<Result<T, Reason>, Outcome>;

/// Whose trouble it is.
enum Fault {
    Own(Reason),
    Link(Outcome),
}

fn judged<T>(result: Result<T, Fault>) -> Judged<T> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Fault::Own(reason)) => Ok(Err(reason)),
        Err(Fault::Link(outcome)) => Err(outcome),
    }
}

/// A client of all registries. Tokens are held by it.
pub struct Registry {
    client: Client,
    clock: Clock,
    tokens: token::Tokens,
}

impl Registry {
    /// Nothing is asked yet. The clock says when tokens expire.
    pub fn new(client: Client, clock: Clock) -> Registry {
        Registry { client, clock, tokens: token::Tokens::default() }
    }

    /// All tags of a repository, in the order in which they came. A registry that begins again has said all it has; one
    /// that does not end within 32 pages is refused.
    pub fn tags(&self, repository: &Repository) -> Judged<Vec<String>> {
        judged(self.all_tags(repository))
    }

    /// What a reference points to now, with the digest of its bytes.
    pub fn manifest(&self, reference: &Reference) -> Judged<(Digest, Manifest)> {
        judged(self.read_manifest(reference))
    }

    /// A blob of at most `limit` bytes.
    pub fn blob(&self, repository: &Repository, wanted: &Digest, limit: usize) -> Judged<Vec<u8>> {
        judged(self.read_blob(repository, wanted, limit))
    }

    /// A chart's archive of at most `limit` bytes: `oci://…` or `https://…/x.tgz`. `wanted` is the archive's own SHA-256,
    /// whatever it comes from.
    pub fn chart(&self, location: &str, wanted: &Digest, limit: usize) -> Judged<Vec<u8>> {
        judged(self.read_chart(location, wanted, limit))
    }

    fn all_tags(&self, repository: &Repository) -> Result<Vec<String>, Fault> {
        let first = format!("{}/v2/{}/tags/list", repository.base, repository.name);
        let (mut asked, mut tags) = (vec![first], Vec::new());
        while let Some(url) = asked.last() {
            let response = self.get(
                Some(repository),
                &repository.to_string(),
                url,
                "application/json",
                MOST_PAGE,
                DEADLINE,
            )?;
            let page: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
            let page = page.filter(|page| page.get("tags").is_some_and(|t| t.is_array() || t.is_null()));
            let Some(mut page) = page else { return Err(nonsense(repository.host(), &response)) };
            if let Some(serde_json::Value::Array(found)) = page.get_mut("tags").map(serde_json::Value::take) {
                tags.extend(found.into_iter().filter_map(|tag| match tag {
                    serde_json::Value::String(tag) => Some(tag),
                    _ => None,
                }));
            }
            let Some(next) = response.header_all("link").find_map(next).and_then(|next| absolute(url, next))
            else {
                break;
            };
            if asked.contains(&next) {
                break;
            }
            if asked.len() >= MOST_PAGES || origin(&next) != origin(url) {
                let text =
                    format!("the tags of {repository} do not end within {MOST_PAGES} pages of its own");
                return Err(Fault::Own(
                    Reason::new(code::UNUSABLE, text).cure("remove tags that nobody needs"),
                ));
            }
            asked.push(next);
        }
        Ok(tags)
    }

    fn read_manifest(&self, reference: &Reference) -> Result<(Digest, Manifest), Fault> {
        let repository = &reference.repository;
        let url = format!("{}/v2/{}/manifests/{}", repository.base, repository.name, reference.which);
        let what = reference.to_string();
        let response = self.get(Some(repository), &what, &url, manifest::ACCEPT, MOST_MANIFEST, DEADLINE)?;
        if is_html(&response) {
            return Err(nonsense(repository.host(), &response));
        }
        let found = Digest::of(&response.body);
        let said = response.header("docker-content-digest").filter(|said| said.starts_with("sha256:"));
        for wanted in [said.and_then(Digest::parse), reference.which.digest()].into_iter().flatten() {
            same(&what, &wanted, &found)?;
        }
        let unusable = |why: &str| {
            Fault::Own(Reason::new(code::UNUSABLE, format!("the manifest of {what} is not usable: {why}"))
                .cure("check that the reference is one of a chart or release, not of an image for several platforms"))
        };
        let manifest = Manifest::read(&response.body, response.header("content-type")).map_err(unusable)?;
        Ok((found, manifest))
    }

    fn read_blob(&self, repository: &Repository, wanted: &Digest, limit: usize) -> Result<Vec<u8>, Fault> {
        let url = format!("{}/v2/{}/blobs/sha256:{wanted}", repository.base, repository.name);
        let what = format!("the blob sha256:{wanted} of {repository}");
        let response = self.get(Some(repository), &what, &url, "*/*", limit, BLOB_DEADLINE)?;
        checked(&what, repository.host(), wanted, response)
    }

    fn read_chart(&self, location: &str, wanted: &Digest, limit: usize) -> Result<Vec<u8>, Fault> {
        if !location.starts_with("oci") {
            let url: Option<Uri> = location.parse().ok();
            let host = url.as_ref().filter(|url| url.scheme_str().is_some()).and_then(Uri::host);
            let Some(host) =
                host.filter(|_| follows("http://localhost", location) && !location.contains('@'))
            else {
                let text = format!("{} is no place of a chart", shown(location));
                return Err(Fault::Own(
                    Reason::new(code::UNUSABLE, text)
                        .cure("write oci://host/repository:tag or https://host/chart.tgz"),
                ));
            };
            let what = shown(location);
            let response = self.get(None, &what, location, "*/*", limit, BLOB_DEADLINE)?;
            return checked(&what, host, wanted, response);
        }
        let reference = Reference::parse(location).map_err(Fault::Own)?;
        let (_, manifest) = self.read_manifest(&reference)?;
        let own = |code: &str, text: String, cure: &str| Fault::Own(Reason::new(code, text).cure(cure));
        let mut charts = manifest.layers.iter().filter(|layer| layer.media_type == CHART);
        let (Some(layer), None) = (charts.next(), charts.next()) else {
            let text = format!("{reference} is no chart: not one layer of type {CHART}");
            return Err(own(code::UNUSABLE, text, "check that the reference is one that helm push made"));
        };
        same(&reference.to_string(), wanted, &layer.digest)?;
        if layer.size > limit as u64 {
            return Err(too_large(
                &reference.to_string(),
                &format!("{} bytes, at most {limit} are taken", layer.size),
            ));
        }
        self.read_blob(&reference.repository, wanted, limit)
    }

    /// A GET with the token that the registry wants, if it wants one. `None`: not a registry's. `what` is what is asked for, in messages.
    fn get(
        &self,
        repository: Option<&Repository>,
        what: &str,
        url: &str,
        accept: &str,
        limit: usize,
        deadline: Duration,
    ) -> Result<Response, Fault> {
        let ask = |token: Option<&str>| self.follow(what, url, accept, token, limit, deadline);
        let response = match repository {
            None => ask(None)?,
            Some(repository) => {
                let held = self.tokens.get(repository, self.clock.now().mono);
                let first = ask(held.as_ref().map(|token| token.as_str()))?;
                if first.status == 401 {
                    self.tokens.forget(repository);
                    let token = self.tokens.ask(&self.client, &self.clock, repository, &first)?;
                    ask(Some(&token))?
                } else {
                    first
                }
            }
        };
        let host = origin(url).unwrap_or_default();
        match response.status {
            200 => Ok(response),
            404 | 410 => Err(Fault::Own(
                Reason::new(code::MISSING, format!("there is no {what}{}", detail(&response)))
                    .cure("check the address and that it was pushed"),
            )),
            401 | 403 => {
                if let Some(repository) = repository {
                    self.tokens.forget(repository);
                }
                let text =
                    format!("{what} is not for everybody: status {}{}", response.status, detail(&response));
                Err(Fault::Own(Reason::new("Forbidden", text).cure(MISSING_RIGHTS)))
            }
            _ => Err(Fault::Link(error::outcome(&host, &format!("getting {what}"), &response, |_, _| None))),
        }
    }

    /// Goes where redirects point, as far as they may; the token stays with the origin that it was for.
    fn follow(
        &self,
        what: &str,
        url: &str,
        accept: &str,
        token: Option<&str>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Response, Fault> {
        let mut at = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            // The bytes as they are: what unpacks them on the way changes their digest.
            let mut request = Request::get(at.as_str())
                .header("Accept", accept)
                .header("Accept-Encoding", "identity")
                .deadline(deadline)
                .max_body(limit.max(MOST_REFUSAL));
            if let Some(token) = token.filter(|_| origin(&at) == origin(url)) {
                request = request.bearer(token);
            }
            let response = self.client.call(&request).map_err(|failure| match failure {
                Failure::TooLarge { .. } => too_large(what, &failure.to_string()),
                failure => Fault::Link(failure.into()),
            })?;
            if response.status == 200 && response.body.len() > limit {
                return Err(too_large(
                    what,
                    &format!("{} bytes, at most {limit} are taken", response.body.len()),
                ));
            }
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let next = response.header("location").and_then(|location| absolute(&at, location));
            match next.filter(|next| follows(&at, next)) {
                Some(next) => at = next,
                None => return Err(nonsense(&origin(&at).unwrap_or_default(), &response)),
            }
        }
        let text = format!("{what} is redirected more than {MOST_REDIRECTS} times");
        Err(Fault::Own(Reason::new(code::UNUSABLE, text).cure("name the address where it really is")))
    }
}

/// The body, if it is what was wanted; a page in its place is a proxy's or portal's.
fn checked(what: &str, host: &str, wanted: &Digest, response: Response) -> Result<Vec<u8>, Fault> {
    let found = Digest::of(&response.body);
    if found != *wanted && is_html(&response) {
        return Err(nonsense(host, &response));
    }
    same(what, wanted, &found)?;
    Ok(response.body)
}

fn same(what: &str, wanted: &Digest, found: &Digest) -> Result<(), Fault> {
    if wanted == found {
        return Ok(());
    }
    let text = format!("{what} is not what it should be: sha256:{found} instead of sha256:{wanted}");
    Err(Fault::Own(Reason::new(code::WRONG_DIGEST, text).cure(
        "find out who changed it; if the new one is wanted, write down its digest where the old one is",
    )))
}

fn too_large(what: &str, how: &str) -> Fault {
    let reason = Reason::new(code::TOO_LARGE, format!("{what} is too large: {how}"));
    Fault::Own(reason.cure("check that the address is the right one, or make it smaller"))
}

fn nonsense(host: &str, response: &Response) -> Fault {
    // Where a redirect points may be signed: only its host is repeated.
    if let Some(location) = response.header("location").filter(|_| response.status / 100 == 3) {
        let text = format!("{host} sends to {}, which may not be asked", shown(location));
        return Fault::Link(Outcome::Refused(Reason::new("Redirected", text).cure(
            "check the address and that no proxy answers in its place: redirects are followed to https only, and from outside never to this machine",
        )));
    }
    Fault::Link(Outcome::Refused(error::nonsense(host, response)))
}

fn is_html(response: &Response) -> bool {
    let start = response.body.get(..64).unwrap_or(&response.body).to_ascii_lowercase();
    let start = start.trim_ascii_start();
    start.starts_with(b"<!doctype") || start.starts_with(b"<html")
}

/// An address for people: short, and without what may be a secret in it.
fn shown(text: &str) -> String {
    let plain = error::plain(text);
    let plain = plain.split(['?', '#']).next().unwrap_or_default();
    match (plain.split_once("://"), plain.rsplit_once('@')) {
        (Some((scheme, rest)), Some((_, after))) if !after.starts_with("sha256:") && rest.contains('@') => {
            format!("{scheme}://{after}")
        }
        _ => plain.to_owned(),
    }
}

/// The registry's own words, to append.
fn detail(response: &Response) -> String {
    let body: Option<serde_json::Value> = serde_json::from_slice(&response.body).ok();
    let first = body.as_ref().and_then(|body| body.pointer("/errors/0"));
    let word =
        |name: &str| first.and_then(|e| e.get(name)).and_then(serde_json::Value::as_str).map(error::plain);
    match (word("code"), word("message")) {
        (Some(code), Some(message)) => format!(" ({code}: {message})"),
        (Some(code), None) => format!(" ({code})"),
        _ => String::new(),
    }
}

/// Scheme, host and port of an address, without credentials.
fn origin(url: &str) -> Option<String> {
    let url: Uri = url.parse().ok()?;
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    Some(format!("{}://{}{port}", url.scheme_str()?, url.host()?))
}

/// Whether an address may be asked because another one said so: https, or what both are on this machine.
fn follows(from: &str, to: &str) -> bool {
    let (Ok(from), Ok(to)) = (from.parse::<Uri>(), to.parse::<Uri>()) else { return false };
    let here = |url: &Uri| url.host().is_some_and(is_loopback);
    match to.scheme_str() {
        Some("https") => to.host().is_some() && (!here(&to) || here(&from)),
        Some("http") => from.scheme_str() == Some("http") && here(&to) && here(&from),
        _ => false,
    }
}

/// Where a reference in an answer from `base` points.
fn absolute(base: &str, reference: &str) -> Option<String> {
    let reference = reference.trim();
    if reference.contains("://") && !reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let (scheme, _) = base.split_once("://")?;
    if let Some(rest) = reference.strip_prefix("//") {
        return Some(format!("{scheme}://{rest}"));
    }
    let path = base.split(['?', '#']).next()?;
    Some(match reference.chars().next()? {
        '/' => format!("{}{reference}", origin(base)?),
        '?' => format!("{path}{reference}"),
        _ => format!("{}/{reference}", path.rsplit_once('/')?.0),
    })
}

/// The next page that a Link header names.
fn next(link: &str) -> Option<&str> {
    link.split(',').find_map(|link| {
        let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let rel = rest
            .split(';')
            .filter_map(|p| p.trim().split_once('='))
            .find(|(name, _)| name.eq_ignore_ascii_case("rel"))?;
        rel.1.trim_matches('"').eq_ignore_ascii_case("next").then_some(target)
    })
}
