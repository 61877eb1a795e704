//! Azure in memory: Entra, Resource Manager and Logs Ingestion, each on a port and with a link of its own, as strict as
//! what is publicly known of them. Microsoft's own clients check it (`tests/clients`).
//!
//! What it does not have, and must not: anything of the data plane of Microsoft's own agents, which has no public
//! contract. A cluster that is made here stays `Connecting` for ever, as a real one would.
//!
//! The stand-in runs on a thread of its own. A test may cut a link, make an endpoint answer nonsense, count bytes and
//! handshakes, and ask what arrived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)] // a test rig: it fails by panicking

mod arm;
mod certificates;
mod entra;
mod fault;
mod himds;
mod ingest;
mod principals;
mod server;
mod state;
mod template;
mod wire;

pub use arm::clusters::Shape;
pub use fault::{Endpoint, Fault};
pub use ingest::Arrived;
pub use principals::{Principal, Role};
pub use state::{Seen, Stats};
pub use template::Template;

use serde_json::Value;
use server::{Control, Port, Service};
use state::{Counters, State};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The tenant of a stand-in.
pub const TENANT: &str = "aaaabbbb-0000-cccc-1111-dddd2222eeee";
/// Its subscription.
pub const SUBSCRIPTION: &str = "1bfbb5d0-917e-4346-9026-1d3b344417f5";
/// Its resource group.
pub const GROUP: &str = "edge-rg";
/// The device's client id, and its secret.
pub const DEVICE: (&str, &str) = ("00001111-aaaa-2222-bbbb-3333cccc4444", "dev~s3cr.t&x=1");
/// The operator's client id, and its secret.
pub const OPERATOR: (&str, &str) = ("22223333-cccc-4444-dddd-5555eeee6666", "op~s3cr.t+y/2");
/// The immutable id of its data collection rule.
pub const RULE: &str = "dcr-000a00a000a00000a000000aa000a0aa";
/// How many requests are remembered one by one.
const SEEN_MAX: usize = 100_000;

/// How a stand-in starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// The template that a user deploys; `None`: the project's own, `config/azure/arclet.json`.
    pub template: Option<String>,
    /// Id of the one cluster that the device has its roles on.
    pub cluster: String,
    /// How long tokens live.
    pub token_lifetime: Duration,
    /// Accept any non-empty agentPublicKeyCertificate: for official clients' samples.
    pub any_key: bool,
    /// Make a directory for HIMDS key files and serve HIMDS for the device.
    pub himds: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            template: None,
            cluster: cluster_id("k3s-1"),
            token_lifetime: entra::LIFETIME,
            any_key: false,
            himds: None,
        }
    }
}

/// The ARM id of a cluster in the stand-in's resource group.
pub fn cluster_id(name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Kubernetes/connectedClusters/{name}"
    )
}

/// The ARM id of the data collection rule.
pub fn rule_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Insights/dataCollectionRules/arclet"
    )
}

pub(crate) struct Shared {
    state: Mutex<State>,
    counters: [Arc<Counters>; 4],
    changed: tokio::sync::watch::Sender<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self, service: Service) -> Arc<Counters> {
        let index = match service {
            Service::Azure(endpoint) => endpoint as usize,
            Service::Himds => 3,
        };
        Arc::clone(&self.counters[index])
    }
}

/// A running stand-in; dropping it ends it.
pub struct Azure {
    shared: Arc<Shared>,
    addresses: [SocketAddr; 3],
    himds: Option<SocketAddr>,
    ca_pem: String,
    control: Vec<UnboundedSender<Control>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Azure {
    /// Starts a stand-in; it accepts connections when this returns.
    pub fn start(options: Options) -> std::io::Result<Azure> {
        let (ca_pem, tls) = certificates::make();
        let mut ports = vec![Port::open()?, Port::open()?, Port::open()?];
        let addresses = [ports[0].address, ports[1].address, ports[2].address];
        let mut himds = None;
        if options.himds.is_some() {
            let port = Port::open()?;
            himds = Some(port.address);
            ports.push(port);
        }
        let text = options
            .template
            .clone()
            .unwrap_or_else(|| include_str!("../../../config/azure/arclet.json").to_owned());
        let template = Template::parse(&text).map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(state(&options, template, addresses)),
            counters: Default::default(),
            changed: tokio::sync::watch::Sender::new(()),
        });
        let mut control = Vec::new();
        let mut services = Vec::new();
        for (index, port) in ports.into_iter().enumerate() {
            let service = Endpoint::ALL.get(index).map_or(Service::Himds, |e| Service::Azure(*e));
            let acceptor =
                (service != Service::Himds).then(|| tokio_rustls::TlsAcceptor::from(Arc::clone(&tls)));
            let (sender, commands) = tokio::sync::mpsc::unbounded_channel();
            control.push(sender);
            services.push(server::serve(port, service, acceptor, Arc::clone(&shared), commands));
        }
        let thread = std::thread::Builder::new().name("azure-standin".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut all = tokio::task::JoinSet::new();
                for service in services {
                    all.spawn(service);
                }
                while all.join_next().await.is_some() {}
            });
        })?;
        Ok(Azure { shared, addresses, himds, ca_pem, control, thread: Some(thread) })
    }

    fn url(&self, endpoint: Endpoint) -> String {
        format!("https://{}", self.addresses[endpoint as usize])
    }

    /// Authority of Entra.
    pub fn login_url(&self) -> String {
        self.url(Endpoint::Login)
    }

    /// Base URL of Resource Manager.
    pub fn arm_url(&self) -> String {
        self.url(Endpoint::Arm)
    }

    /// Logs-ingestion endpoint of the rule.
    pub fn ingest_url(&self) -> String {
        self.url(Endpoint::Ingest)
    }

    /// Token endpoint of HIMDS, where it was asked for.
    pub fn himds_url(&self) -> Option<String> {
        self.himds.map(|a| format!("http://{a}/metadata/identity/oauth2/token"))
    }

    /// The CA that signed the endpoints' certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The stand-in's memory, to be set or read. Not to be held while something else is asked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// An access token of the operator for Resource Manager, as `az account get-access-token` gives one.
    pub fn operator_token(&self) -> String {
        let mut state = self.state();
        let principal = state.principal(OPERATOR.0).cloned().expect("the operator exists");
        let (tenant, lifetime) = (state.tenant.clone(), state.token_lifetime);
        state.tokens.grant(&tenant, &principal, arm::AUDIENCE, lifetime, None)
    }

    /// Cuts the link to an endpoint: connections end, new ones are refused. In effect when this returns.
    pub fn cut(&self, endpoint: Endpoint) {
        self.command(endpoint, Control::Cut);
    }

    /// Undoes [`Azure::cut`], on the same port.
    pub fn restore(&self, endpoint: Endpoint) {
        self.command(endpoint, Control::Restore);
    }

    /// Cuts all links.
    pub fn cut_all(&self) {
        Endpoint::ALL.into_iter().for_each(|e| self.cut(e));
    }

    /// Restores all links.
    pub fn restore_all(&self) {
        Endpoint::ALL.into_iter().for_each(|e| self.restore(e));
    }

    fn command(&self, endpoint: Endpoint, control: fn(std::sync::mpsc::Sender<()>) -> Control) {
        let (done, wait) = std::sync::mpsc::channel();
        let _ = self.control[endpoint as usize].send(control(done));
        wait.recv().expect("the stand-in runs");
    }

    /// The endpoint has this fault for the next `times` requests, or until it is cleared.
    pub fn set_fault(&self, endpoint: Endpoint, fault: Fault, times: Option<u32>) {
        self.state().faults.set(endpoint, fault, times);
        self.shared.changed.send_replace(());
    }

    /// The endpoint answers as it should again.
    pub fn clear_fault(&self, endpoint: Endpoint) {
        self.state().faults.clear(endpoint);
        self.shared.changed.send_replace(());
    }

    /// What went over an endpoint's wire.
    pub fn stats(&self, endpoint: Endpoint) -> Stats {
        self.shared.counters[endpoint as usize].read()
    }

    /// Requests that were answered, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Rows that arrived, in order.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.arrived_since(0)
    }

    /// The same without the first `known`.
    pub fn arrived_since(&self, known: usize) -> Vec<Arrived> {
        self.state().ingestion.arrived.get(known..).unwrap_or_default().to_vec()
    }

    /// How many rows arrived.
    pub fn arrived_count(&self) -> usize {
        self.state().ingestion.arrived.len()
    }

    /// Forgets what arrived; for long runs.
    pub fn forget_arrived(&self) {
        self.state().ingestion.arrived.clear();
    }

    /// What Azure would have dropped or cut of what arrived. Empty is right.
    pub fn violations(&self) -> Vec<String> {
        self.state().ingestion.violations.clone()
    }

    /// A call with a row whose text has this in it is a 400 of the API from now on.
    pub fn poison(&self, text: &str) {
        self.state().ingestion.poison.push(text.to_owned());
    }

    /// From now on a TimeGenerated older than this is rewritten to the time of arrival, as Azure may do.
    pub fn rewrite_old_time(&self, older_than: Duration) {
        self.state().ingestion.rewrite_older_than_ms = Some(older_than.as_millis() as i64);
    }

    /// The rule loses a stream, or has it again.
    pub fn declare(&self, stream: &str, declared: bool) {
        let missing = &mut self.state().ingestion.missing_streams;
        missing.retain(|s| s != stream);
        if !declared {
            missing.push(stream.to_owned());
        }
    }

    /// Calls with tokens that were not asked with these claims are challenged from now on (`None`: no more).
    pub fn challenge(&self, claims: Option<&str>) {
        self.state().challenge = claims.map(str::to_owned);
    }

    /// No token that was given out is accepted any more.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke_all();
    }

    /// Changes a principal's roles.
    pub fn set_roles(&self, client_id: &str, roles: Vec<Role>) {
        if let Some(principal) = self.state().principals.iter_mut().find(|p| p.client_id == client_id) {
            principal.roles = roles;
        }
    }

    /// Registers a principal, or replaces one with the same client id.
    pub fn set_principal(&self, principal: Principal) {
        let principals = &mut self.state().principals;
        principals.retain(|p| p.client_id != principal.client_id);
        principals.push(principal);
    }

    /// Registration state of a resource provider: `Registered`, `NotRegistered`.
    pub fn set_provider(&self, namespace: &str, state: &str) {
        self.state().providers.insert(namespace.to_lowercase(), (namespace.to_owned(), state.to_owned()));
    }

    /// Removes the resource group.
    pub fn remove_group(&self) {
        self.state().groups.clear();
    }

    /// How long-running operations are answered from now on: their shape, how many polls they take, and `Retry-After`.
    pub fn operations(&self, shape: Shape, polls: u32, retry_after: u32) {
        let clusters = &mut self.state().clusters;
        (clusters.shape, clusters.polls, clusters.retry_after) = (shape, polls, retry_after);
    }

    /// A cluster as it is in Resource Manager.
    pub fn cluster(&self, id: &str) -> Option<Value> {
        self.state().clusters.resources.get(&id.to_lowercase()).cloned()
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<Value> {
        self.state().clusters.resources.values().cloned().collect()
    }

    /// Puts a cluster there, as somebody else would have.
    pub fn seed_cluster(&self, id: &str, resource: Value) {
        self.state().clusters.resources.insert(id.to_lowercase(), resource);
    }

    /// Puts a cluster there that Microsoft's own agents serve.
    pub fn seed_arc_cluster(&self, id: &str) {
        let tenant = self.state().tenant.clone();
        self.seed_cluster(id, arm::clusters::owned_by_arc(id, &tenant));
    }

    /// Throttles Resource Manager by its documented token buckets.
    pub fn throttle(&self, on: bool) {
        self.state().buckets = on.then(BTreeMap::new);
    }

    /// How many entries a page of a listing has.
    pub fn page_size(&self, entries: usize) {
        self.state().page_size = entries.max(1);
    }

    /// How many requests HIMDS got.
    pub fn himds_requests(&self) -> u64 {
        self.shared.counters(Service::Himds).read().requests
    }

    /// What HIMDS says as realm instead of its key file (`None`: the key file).
    pub fn himds_realm(&self, realm: Option<&str>) {
        if let Some(himds) = &mut self.state().himds {
            himds.realm = realm.map(str::to_owned);
        }
    }
}

impl Drop for Azure {
    fn drop(&mut self) {
        for control in &self.control {
            let _ = control.send(Control::Stop);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn state(options: &Options, template: Template, addresses: [SocketAddr; 3]) -> State {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}");
    let device = Principal::with_secret(
        DEVICE.0,
        DEVICE.1,
        vec![Role::device(&options.cluster), Role::publisher(&rule_id())],
    );
    let operator = Principal::with_secret(OPERATOR.0, OPERATOR.1, vec![Role::contributor(&group)]);
    let provider = |name: &str| (name.to_lowercase(), (name.to_owned(), "Registered".to_owned()));
    State {
        tenant: TENANT.into(),
        subscription: SUBSCRIPTION.into(),
        audiences: [arm::AUDIENCE, "https://management.core.windows.net", ingest::AUDIENCE]
            .map(str::to_owned)
            .to_vec(),
        principals: vec![device, operator],
        tokens: principals::Tokens::default(),
        token_lifetime: options.token_lifetime,
        assertions: HashSet::new(),
        groups: BTreeMap::from([(GROUP.to_owned(), (GROUP.to_owned(), "eastus".to_owned()))]),
        providers: [
            "Microsoft.Kubernetes",
            "Microsoft.KubernetesConfiguration",
            "Microsoft.ExtendedLocation",
            "Microsoft.Insights",
        ]
        .into_iter()
        .map(provider)
        .collect(),
        clusters: arm::clusters::Clusters { polls: 1, ..Default::default() },
        ingestion: ingest::Ingestion { rule: rule_id(), immutable_id: RULE.into(), ..Default::default() },
        login: addresses[Endpoint::Login as usize],
        ingest: addresses[Endpoint::Ingest as usize],
        template,
        faults: fault::Faults::default(),
        challenge: None,
        page_size: 100,
        buckets: None,
        any_key: options.any_key,
        seen: Vec::new(),
        himds: options.himds.clone().map(|directory| himds::Himds::new(directory, DEVICE.0)),
    }
}
