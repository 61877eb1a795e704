//! The client: one call, one reply, one deadline.

use super::connection::{Connection, Identity};
use super::reply;
use super::resource::{Resource, escaped};
use crate::clock::Clock;
use crate::core::outcome::NOT_LEADING;
use crate::core::{Mono, Outcome, Reason};
use crate::http::{self, Options, Request, Response};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::http::Method;
use zeroize::{Zeroize, Zeroizing};

/// For one call. An API server on a small board that has just started takes seconds.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a reply. The largest object that Kubernetes stores has 1.5 MiB.
pub(super) const MOST_BODY: usize = 4 << 20;
/// Objects in one page of a list.
const PAGE: usize = 50;
/// Objects that a list holds in memory at most. What may be longer is folded page by page, as nodes are.
const MOST_OBJECTS: usize = 1000;
/// How often a list begins anew when its continue token has expired.
pub(super) const RESTARTS: u32 = 2;
/// The form of a reply: the whole object.
pub(super) const WHOLE: &str = "application/json";
/// The form of a reply: an object's metadata only, so that a Secret's values stay where they are.
pub(super) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// A request that has less time than this is not sent: the API server counts in seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// Until when the cluster may be changed; clones are one fence. Who has the right moves it on while it lasts; once it has
/// passed or was closed it stays so, and a new right brings a new fence: what was begun under the old one ends.
#[derive(Clone, Debug)]
pub struct Fence(Arc<AtomicU64>);

impl Fence {
    /// One that allows nothing from `until` on.
    pub fn new(until: Mono) -> Fence {
        Fence(Arc::new(AtomicU64::new(until.0)))
    }

    /// Moves it. False: it has passed.
    pub fn extend(&self, now: Mono, until: Mono) -> bool {
        let open = self.left(now) > Duration::ZERO;
        if open {
            self.0.store(until.0, Ordering::Release);
        }
        open
    }

    /// Ends it at once.
    pub fn close(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn left(&self, now: Mono) -> Duration {
        Mono(self.0.load(Ordering::Acquire)).since(now)
    }
}

fn not_leading(method: &Method, path: &str) -> Reason {
    let path = path.split('?').next().unwrap_or_default();
    let message = format!("{method} {path}: not sent, for the right to change the cluster ends");
    Reason::new(NOT_LEADING, message).cure("the agent that leads goes on with it; arclet status names it")
}

/// A client for one API server; clones share its connections.
#[derive(Clone)]
pub struct Client {
    http: http::Client,
    server: String,
    identity: Arc<Identity>,
    clock: Clock,
    fence: Option<Fence>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("server", &self.server).finish()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// What a page of any list has beside its items.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ListMeta {
    #[serde(rename = "continue")]
    pub(super) token: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Value>,
}

impl Client {
    /// Makes a client; nothing is connected yet. `clock` judges the server's certificate. Fails on certificates and keys
    /// that cannot be used.
    pub fn new(connection: Connection, clock: Clock) -> Result<Client, Reason> {
        let mut options = Options::new(connection.roots(), clock.clone());
        options.client_certificate = connection.client_certificate()?;
        options.connect = Duration::from_secs(10);
        Ok(Client {
            http: http::Client::new(options)?,
            server: connection.server,
            identity: Arc::new(connection.identity),
            clock,
            fence: None,
        })
    }

    /// The same client, but what changes the cluster goes only as long as the fence allows, and ends by then. What may not
    /// go any more is a refusal with code [`NOT_LEADING`].
    pub fn fenced(&self, fence: &Fence) -> Client {
        Client { fence: Some(fence.clone()), ..self.clone() }
    }

    /// The server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The API server's version, for example `v1.36.3+k3s1`.
    pub fn version(&self) -> Result<String, Outcome> {
        let reply = self.send(Method::GET, "/version", None)?;
        Ok(reply::read::<Version>("GET /version", &reply)?.git_version)
    }

    /// One object, or None if Kubernetes itself says that it is not there.
    pub fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, Outcome> {
        let path = resource.object(namespace, name);
        let reply = self.send(Method::GET, &path, None)?;
        match reply::read(&format!("GET {path}"), &reply) {
            Err(Outcome::Refused(reason)) if reason.code == reply::code::NOT_FOUND => Ok(None),
            other => other.map(Some),
        }
    }

    /// All objects of a kind, complete or an error; in all namespaces for None. At most 1,000: more is
    /// [`Outcome::TooLarge`]. `selector` is a label selector, empty for all.
    pub fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: &str,
    ) -> Result<Vec<Value>, Outcome> {
        let collection = resource.collection(namespace);
        let (mut objects, mut token, mut restarts) = (Vec::new(), String::new(), 0);
        loop {
            let path = format!(
                "{collection}?limit={PAGE}&labelSelector={}&continue={}",
                escaped(selector),
                escaped(&token)
            );
            let call = format!("GET {collection}");
            let reply = self.send(Method::GET, &path, None)?;
            let page: Page = match reply::read(&call, &reply) {
                Err(Outcome::Refused(reason))
                    if reason.code == reply::code::EXPIRED && restarts < RESTARTS =>
                {
                    restarts += 1;
                    objects.clear();
                    token.clear();
                    continue;
                }
                other => other?,
            };
            objects.extend(page.items);
            if objects.len() > MOST_OBJECTS {
                let message = format!("{call}: more than {MOST_OBJECTS} objects");
                return Err(Outcome::TooLarge(Reason::new("TooManyObjects", message)));
            }
            if page.metadata.token.is_empty() {
                return Ok(objects);
            }
            token = page.metadata.token;
        }
    }

    /// Sends a request and returns the reply of whatever status. `body` is JSON with its content type.
    pub(super) fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Value)>,
    ) -> Result<Response, Outcome> {
        self.send_for(method, path, body, WHOLE)
    }

    /// The same, with the form of the reply: [`WHOLE`], [`METADATA`] or `*/*` for what is no object.
    pub(super) fn send_for(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Value)>,
        form: &'static str,
    ) -> Result<Response, Outcome> {
        let Some(fence) = self.fence.as_ref().filter(|_| method != Method::GET) else {
            return self.send_until(method, path, body, form, DEADLINE);
        };
        let left = fence.left(self.clock.now().mono).min(DEADLINE);
        if left < SHORTEST {
            return Err(Outcome::Refused(not_leading(&method, path)));
        }
        // The API server gives up when we do: what it has not begun by then it does not begin.
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{separator}timeout={}s", left.as_secs());
        self.send_until(method, &path, body, form, left)
    }

    /// The same with a deadline of its own, which no fence moves.
    pub(super) fn send_within(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Value)>,
        deadline: Duration,
    ) -> Result<Response, Outcome> {
        self.send_until(method, path, body, WHOLE, deadline)
    }

    fn send_until(
        &self,
        method: Method,
        path: &str,
        body: Option<(&'static str, &Value)>,
        form: &'static str,
        deadline: Duration,
    ) -> Result<Response, Outcome> {
        let mut request = Request::new(method, format!("{}{path}", self.server))
            .header("Accept", form)
            .deadline(deadline)
            .max_body(MOST_BODY);
        match &*self.identity {
            Identity::Certificate { .. } => {}
            Identity::Token(token) => request = request.bearer(token),
            Identity::TokenFile(file) => {
                let token = std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| {
                    let message = format!("the token file {} cannot be read: {e}", file.display());
                    Outcome::Refused(
                        Reason::new("TokenFileUnreadable", message).cure("check the file and its rights"),
                    )
                })?;
                request = request.bearer(token.trim());
            }
        }
        if let Some((content_type, body)) = body {
            request = request.body(content_type, body.to_string().into_bytes());
        }
        let reply = self.http.call(&request);
        // It may have been a Secret.
        request.body.zeroize();
        Ok(reply?)
    }

    /// Creates what is a question in Kubernetes: a review, or a token request.
    pub(super) fn ask<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        question: &Value,
    ) -> Result<T, Outcome> {
        let reply = self.send(Method::POST, path, Some(("application/json", question)))?;
        reply::read(&format!("POST {path}"), &reply)
    }
}
