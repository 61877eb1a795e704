//! Azure Resource Manager: the few calls that arclet makes, each one request (and its pages) with its answer judged.
//!
//! Nothing is believed that is not ARM's own form: a resource is the one asked for only if the answer's id says so, and
//! "not found" only with ARM's error body. URLs from answers are followed on the same host only.

use super::error::{self, ApiError};
use super::lro::{self, Operation, Progress, Verb};
pub use super::permissions::Permissions;
use super::resource_id::ResourceId;
use super::resources::null_as_default;
pub use super::resources::{
    Cluster, ClusterChange, ClusterProperties, Dcr, NewCluster, ResourceGroup, SystemData, TagOperation,
};
use crate::core::{Outcome, Reason};
use crate::http::{Client, Request, Response, Take, http::Method};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who is asked, in messages.
pub(super) const API: &str = "Azure Resource Manager";
const CLUSTER_VERSION: &str = "2026-05-01";
const RESOURCES_VERSION: &str = "2025-04-01";
const PERMISSIONS_VERSION: &str = "2022-04-01";
const DCR_VERSION: &str = "2023-03-11";
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of one answer or page.
const MOST_BODY: usize = 4 << 20;
/// Pages of one list.
const MOST_PAGES: usize = 100;
/// Polls of one operation in [`Arm::wait`]: an hour at the usual 30 s.
const MOST_POLLS: usize = 120;

/// Talks to ARM.
#[derive(Clone, Debug)]
pub struct Arm {
    base: String,
    client: Client,
}

impl Arm {
    /// `base` is [`super::Cloud::arm`].
    pub fn new(base: &str, client: Client) -> Arm {
        Arm { base: base.trim_end_matches('/').to_owned(), client }
    }

    /// The cluster's resource; `None` only if ARM itself says that this resource is not there. A group or subscription that
    /// is gone is an error: nothing may be concluded from it.
    pub fn get_cluster(&self, id: &ResourceId, token: &str) -> Result<Option<Cluster>, Outcome> {
        let response = self.send(self.request(Method::GET, &self.cluster_url(id), token))?;
        if is_absent(&response, "ResourceNotFound") {
            return Ok(None);
        }
        self.read_cluster(id, &response).map(Some)
    }

    /// Makes or replaces the cluster's resource.
    pub fn put_cluster(&self, id: &ResourceId, new: &NewCluster, token: &str) -> Result<Operation, Outcome> {
        let body = json!({
            "location": new.location,
            "tags": new.tags,
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "agentPublicKeyCertificate": new.public_key,
                "distribution": new.distribution,
                "distributionVersion": new.distribution_version,
                "infrastructure": new.infrastructure,
                "arcAgentProfile": {"agentAutoUpgrade": "Disabled"},
            },
        });
        self.start(Verb::Put, Method::PUT, id, Some(body), token)
    }

    /// Changes what a PATCH may change.
    pub fn patch_cluster(
        &self,
        id: &ResourceId,
        change: &ClusterChange,
        token: &str,
    ) -> Result<Operation, Outcome> {
        self.start(Verb::Patch, Method::PATCH, id, Some(json!({ "properties": change })), token)
    }

    /// Deletes the cluster's resource. One that is not there is deleted already.
    pub fn delete_cluster(&self, id: &ResourceId, token: &str) -> Result<Operation, Outcome> {
        self.start(Verb::Delete, Method::DELETE, id, None, token)
    }

    /// Asks once how an operation is doing. Errors: [`Outcome::Refused`] with the operation's own code if it failed; any
    /// other outcome means that its state could not be read, and it may be asked again.
    pub fn poll(&self, operation: &mut Operation, token: &str) -> Result<Progress, Outcome> {
        let Some(url) = operation.poll_url() else { return Ok(Progress::Succeeded) };
        // A stored operation may come from another configuration.
        if !self.owns(url) {
            return Err(Outcome::Refused(lro::foreign(url)));
        }
        let response = self.call(&self.request(Method::GET, url, token))?;
        match response.status {
            400.. => Err(lro::unread(&response)),
            _ => operation.polled(&response),
        }
    }

    /// Polls until the end, with `pause` between; a state that cannot be read is asked again, as long as the polls last.
    pub fn wait(
        &self,
        operation: &mut Operation,
        token: &str,
        mut pause: impl FnMut(Duration),
    ) -> Result<(), Outcome> {
        for _ in 0..MOST_POLLS {
            match self.poll(operation, token) {
                Ok(Progress::Succeeded) => return Ok(()),
                Ok(Progress::Running(wait)) => pause(wait),
                Err(Outcome::Throttled { retry_after, .. }) => {
                    pause(retry_after.unwrap_or(Duration::from_secs(30)))
                }
                Err(Outcome::Unreachable(_)) => pause(Duration::from_secs(10)),
                Err(end) => return Err(end),
            }
        }
        Err(Outcome::Unreachable(
            Reason::new("OperationTimeout", format!("{API} accepted the change but has not finished it yet"))
                .cure("run the command again later: it takes up where this one left off"),
        ))
    }

    /// Sets or removes tags of a resource; others stay as they are.
    pub fn patch_tags(
        &self,
        scope: &ResourceId,
        operation: TagOperation,
        tags: &BTreeMap<String, String>,
        token: &str,
    ) -> Outcome {
        let url = format!(
            "{}{scope}/providers/Microsoft.Resources/tags/default?api-version={RESOURCES_VERSION}",
            self.base
        );
        let name = match operation {
            TagOperation::Merge => "Merge",
            TagOperation::Delete => "Delete",
        };
        let body = json!({"operation": name, "properties": {"tags": tags}});
        let request =
            self.request(Method::PATCH, &url, token).body("application/json", body.to_string().into_bytes());
        let answer = self.send(request).and_then(|response| match response.status {
            // Newer services answer 202: accepted, and set within seconds.
            202 => Ok(()),
            200 => parse::<Value>(&response).map(|_| ()),
            _ => Err(refused("updating tags", &response)),
        });
        answer.err().unwrap_or(Outcome::Success)
    }

    /// The group; `None` only if ARM itself says that it is not there.
    pub fn get_resource_group(
        &self,
        subscription: &str,
        name: &str,
        token: &str,
    ) -> Result<Option<ResourceGroup>, Outcome> {
        let path = format!("/subscriptions/{subscription}/resourcegroups/{name}");
        let response = self.send(self.request(Method::GET, &self.url(&path, RESOURCES_VERSION), token))?;
        if is_absent(&response, "ResourceGroupNotFound") {
            return Ok(None);
        }
        expect_200("reading the resource group", &response).map(Some)
    }

    /// A resource provider's registration: `Registered`, `NotRegistered`, `Registering`, `Unregistered`.
    pub fn provider_state(
        &self,
        subscription: &str,
        namespace: &str,
        token: &str,
    ) -> Result<String, Outcome> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Provider {
            registration_state: String,
        }
        let path = format!("/subscriptions/{subscription}/providers/{namespace}");
        let response = self.send(self.request(Method::GET, &self.url(&path, RESOURCES_VERSION), token))?;
        expect_200::<Provider>("reading the resource provider", &response).map(|p| p.registration_state)
    }

    /// What the token's owner may do at a scope: the path of a subscription, group or resource.
    pub fn permissions(&self, scope: &str, token: &str) -> Result<Permissions, Outcome> {
        let path = format!("{}/providers/Microsoft.Authorization/permissions", scope.trim_end_matches('/'));
        let value = self.list(self.url(&path, PERMISSIONS_VERSION), "reading permissions", token)?;
        Ok(Permissions { value })
    }

    /// A data collection rule by its ARM id, to look up what `ingest` needs.
    pub fn get_dcr(&self, id: &ResourceId, token: &str) -> Result<Dcr, Outcome> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Properties {
            immutable_id: String,
            #[serde(default, deserialize_with = "null_as_default")]
            endpoints: BTreeMap<String, Value>,
            #[serde(default, deserialize_with = "null_as_default")]
            stream_declarations: BTreeMap<String, Value>,
        }
        #[derive(Deserialize)]
        struct Rule {
            properties: Properties,
        }
        let response =
            self.send(self.request(Method::GET, &self.url(&id.to_string(), DCR_VERSION), token))?;
        let Rule { properties } = expect_200("reading the data collection rule", &response)?;
        Ok(Dcr {
            immutable_id: properties.immutable_id,
            logs_ingestion: properties
                .endpoints
                .get("logsIngestion")
                .and_then(Value::as_str)
                .map(str::to_owned),
            streams: properties.stream_declarations.into_keys().collect(),
        })
    }

    /// All pages of a list.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        url: String,
        doing: &str,
        token: &str,
    ) -> Result<Vec<T>, Outcome> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", bound = "T: DeserializeOwned")]
        struct Page<T> {
            value: Vec<T>,
            next_link: Option<String>,
            error: Option<IgnoredAny>,
        }
        let (mut all, mut next) = (Vec::new(), url);
        for _ in 0..MOST_PAGES {
            let page: Page<T> = expect_200(doing, &self.send(self.request(Method::GET, &next, token))?)?;
            if page.error.is_some() {
                let text = format!("{API}, {doing}: the page says that there was an error");
                return Err(Outcome::Refused(Reason::new("NotAListing", text)));
            }
            all.extend(page.value);
            match page.next_link.filter(|link| !link.is_empty()) {
                None => return Ok(all),
                Some(link) if self.owns(&link) => next = link,
                Some(link) => return Err(Outcome::Refused(lro::foreign(&link))),
            }
        }
        Err(Outcome::Refused(Reason::new(
            "EndlessList",
            format!("{API}, {doing}: more than {MOST_PAGES} pages"),
        )))
    }

    fn start(
        &self,
        verb: Verb,
        method: Method,
        id: &ResourceId,
        body: Option<Value>,
        token: &str,
    ) -> Result<Operation, Outcome> {
        let url = self.cluster_url(id);
        let mut request = self.request(method, &url, token);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string().into_bytes());
        }
        let response = self.send(request)?;
        if verb == Verb::Delete && is_absent(&response, "ResourceNotFound") {
            return Ok(Operation::done(verb, &url));
        }
        if response.status >= 400 {
            return Err(refused("changing the cluster", &response));
        }
        Operation::begin(verb, &url, &self.base, &response)
    }

    pub(super) fn read_cluster(&self, id: &ResourceId, response: &Response) -> Result<Cluster, Outcome> {
        let cluster: Cluster = expect_200("reading the cluster", response)?;
        match ResourceId::parse(&cluster.id) {
            Ok(theirs) if theirs == *id => Ok(cluster),
            _ => Err(Outcome::Refused(error::nonsense(API, response))),
        }
    }

    pub(super) fn cluster_url(&self, id: &ResourceId) -> String {
        self.url(&id.to_string(), CLUSTER_VERSION)
    }

    pub(super) fn url(&self, path: &str, version: &str) -> String {
        format!("{}{path}?api-version={version}", self.base)
    }

    pub(super) fn request(&self, method: Method, url: &str, token: &str) -> Request {
        super::named(Request::new(method, url))
            .header("Accept", "application/json")
            .bearer(token)
            .deadline(DEADLINE)
            .max_body(MOST_BODY)
    }

    /// Whether a URL from an answer stays with ARM: only there may the token go.
    pub(super) fn owns(&self, url: &str) -> bool {
        lro::same_host(&self.base, url)
    }

    fn call(&self, request: &Request) -> Result<Response, Outcome> {
        self.client.call(request).map_err(Outcome::from)
    }

    /// A call whose owned request is dropped, with its token, before the answer is looked at.
    pub(super) fn send(&self, request: Request) -> Result<Response, Outcome> {
        self.call(&request)
    }

    /// The same, with the body of a 200 handed over as it comes.
    pub(super) fn stream(&self, request: Request, take: &mut Take<'_>) -> Result<Response, Outcome> {
        self.client.stream(&request, take).map_err(Outcome::from)
    }
}

/// Whether ARM itself says that exactly this kind of thing is not there.
pub(super) fn is_absent(response: &Response, code: &str) -> bool {
    response.status == 404 && ApiError::of(response).is_some_and(|e| e.code.eq_ignore_ascii_case(code))
}

fn expect_200<T: DeserializeOwned>(doing: &str, response: &Response) -> Result<T, Outcome> {
    match response.status {
        200 => parse(response),
        _ => Err(refused(doing, response)),
    }
}

fn parse<T: DeserializeOwned>(response: &Response) -> Result<T, Outcome> {
    serde_json::from_slice(&response.body).map_err(|_| Outcome::Refused(error::nonsense(API, response)))
}

pub(super) fn refused(doing: &str, response: &Response) -> Outcome {
    error::outcome(API, doing, response, |_, code| super::cure::arm(doing, code))
}
