//! Azure in memory: Entra, Resource Manager, Logs Ingestion and Key Vault, and beside it a registry of charts and releases, each on a
//! port and with a link of its own, as strict as what is publicly known of them. Microsoft's own clients check it (`tests/clients`).
//!
//! What it does not have, and must not: anything of the data plane of Microsoft's own agents, which has no public
//! contract. A cluster that is made here stays `Connecting` for ever, as a real one would.
//!
//! The stand-in runs on a thread of its own. A test may cut a link, make an endpoint answer nonsense, count bytes and
//! handshakes, and ask what arrived.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, missing_docs)] // a test rig: it fails by panicking

mod arm;
mod body;
mod certificates;
mod clock;
mod counted;
mod desired;
mod entra;
mod fault;
mod himds;
mod ingest;
mod knobs;
mod operator;
mod principals;
mod pushed;
mod registry;
mod reply;
mod server;
mod setup;
mod state;
mod template;
mod vault;
mod wire;

pub use arm::children::listing::Upset;
pub use arm::operations::Shape;
pub use fault::{Endpoint, Fault};
pub use ingest::Arrived;
pub use principals::{Principal, Role};
pub use registry::digest;
pub use state::{Seen, Stats};
pub use template::Template;

use server::{Control, Port, Service};
use state::{Counters, State};
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

/// The ARM id of the key vault, which roles on it are given on.
pub fn vault_id() -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.KeyVault/vaults/edge-kv"
    )
}

/// How many endpoints Azure has here; HIMDS, a thing of the machine, is not among them.
const ENDPOINTS: usize = Endpoint::ALL.len();

pub(crate) struct Shared {
    state: Mutex<State>,
    /// In the order of [`Endpoint::ALL`], then HIMDS.
    counters: [Arc<Counters>; ENDPOINTS + 1],
    changed: tokio::sync::watch::Sender<()>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters(&self, service: Service) -> Arc<Counters> {
        let index = match service {
            Service::Azure(endpoint) => endpoint as usize,
            Service::Himds => ENDPOINTS,
        };
        Arc::clone(&self.counters[index])
    }
}

/// A running stand-in; dropping it ends it.
pub struct Azure {
    shared: Arc<Shared>,
    addresses: [SocketAddr; ENDPOINTS],
    himds: Option<SocketAddr>,
    ca_pem: String,
    control: Vec<UnboundedSender<Control>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Azure {
    /// Starts a stand-in; it accepts connections when this returns.
    pub fn start(options: Options) -> std::io::Result<Azure> {
        let (ca_pem, tls) = certificates::make();
        let mut ports = (0..ENDPOINTS).map(|_| Port::open()).collect::<std::io::Result<Vec<Port>>>()?;
        let addresses = std::array::from_fn(|index| ports[index].address);
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
            state: Mutex::new(setup::state(&options, template, addresses)),
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

    /// URL of the key vault.
    pub fn vault_url(&self) -> String {
        self.url(Endpoint::Vault)
    }

    /// URL of the registry; its files are behind `/files/NAME`.
    pub fn registry_url(&self) -> String {
        self.url(Endpoint::Registry)
    }

    /// A repository of the registry, as references have it: `oci://127.0.0.1:PORT/NAME`.
    pub fn repository(&self, name: &str) -> String {
        format!("oci://{}/{name}", self.addresses[Endpoint::Registry as usize])
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
