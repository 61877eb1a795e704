//! A small API server in memory, so that tests need no cluster.
//!
//! It speaks TLS under its own CA and answers what arclet asks, held to a real API server by one shared suite
//! (`tests/api_suite`); what has no case there is not here. It has no admission, no schemas and no watch; roles
//! are those of bound Roles and ClusterRoles by verb, group and resource, and server-side apply knows conflicts by field
//! path only.
//!
//! The server runs on a thread of its own. A test may cut its link, make it answer nonsense, and count its bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // a test rig: it fails by panicking

mod access;
mod apply;
mod certificates;
mod cluster;
mod discovery;
mod edit;
mod kinds;
mod nodes;
mod routes;
mod server;
mod write;

use cluster::Cluster;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// How a server starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// On 127.0.0.1; 0 takes any that is free.
    pub port: u16,
    /// How many nodes there are.
    pub nodes: usize,
    /// vCPUs of each node.
    pub cpus: u32,
    /// What `/version` says, and each node's kubelet.
    pub version: String,
    /// Which of Flux's kinds there are.
    pub flux: Flux,
    /// k3s's helm-controller is there: its kind is, for nobody does its work here.
    pub helm: bool,
}

/// Which versions of Flux's kinds the server knows. All have the same fields here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flux {
    /// None: Flux is not installed.
    #[default]
    Absent,
    /// v1, as since Flux 2.3 (Bucket and OCIRepository: 2.5 and 2.6).
    Stable,
    /// v1 and v1beta2.
    WithBetas,
    /// v1beta2 only, as before Flux 2.0.
    BetasOnly,
}

impl Flux {
    /// The preferred one first.
    fn versions(self) -> &'static [&'static str] {
        match self {
            Flux::Absent => &[],
            Flux::Stable => &["v1"],
            Flux::WithBetas => &["v1", "v1beta2"],
            Flux::BetasOnly => &["v1beta2"],
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Options {
            port: 0,
            nodes: 1,
            cpus: 4,
            version: "v1.36.3+k3s1".into(),
            flux: Flux::Absent,
            helm: false,
        }
    }
}

/// What the server does instead of answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A Kubernetes `Status` of this code.
    Status(u16),
    /// 429 with `Retry-After` in seconds.
    Throttled(u32),
    /// An HTML page with this status, as a captive portal or a proxy sends it.
    Html(u16),
    /// A redirect to somewhere else.
    Redirect,
    /// Half of the right answer, then the connection ends.
    Truncated,
    /// No answer, as long as the fault lasts.
    Stalled,
}

/// What went over the wire since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests that were read.
    pub requests: u64,
    /// TLS connections that came to be.
    pub connections: u64,
    /// Bytes from clients, TLS included.
    pub bytes_in: u64,
    /// Bytes to clients, TLS included.
    pub bytes_out: u64,
}

/// A request that changes something, if it is allowed and fits: who sent it, and who held arclet's Lease then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// `certificate` for the administrator's client certificate, else the user's name.
    pub by: String,
    /// `create`, `update`, `patch` or `delete`.
    pub verb: &'static str,
    /// Of the object.
    pub kind: &'static str,
    /// Of the object; empty for a create.
    pub name: String,
    /// The `timeout` of the request.
    pub limited: Option<String>,
    /// `spec.holderIdentity` of the Lease `arclet/arclet` when it came.
    pub holder: Option<String>,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    connections: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// The requests that are held, and what became of them.
#[derive(Clone, Debug)]
struct Hold {
    /// All of them are in the request's method, path and body.
    texts: Vec<String>,
    /// Whether it is carried out before it is held.
    carried_out: bool,
    /// One of them has come that far.
    met: bool,
}

/// What tests, connections and requests share.
struct Shared {
    cluster: Mutex<Cluster>,
    fault: tokio::sync::watch::Sender<Option<Fault>>,
    hold: tokio::sync::watch::Sender<Option<Hold>>,
    counters: Counters,
}

impl Shared {
    fn cluster(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server; dropping it ends it.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    authority: certificates::Authority,
    control: UnboundedSender<server::Control>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl ApiServer {
    /// Starts a server; it accepts connections when this returns.
    pub fn start(options: Options) -> std::io::Result<ApiServer> {
        let authority = certificates::Authority::new();
        let listener = std::net::TcpListener::bind(("127.0.0.1", options.port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            cluster: Mutex::new(Cluster::new(&options, &authority.ca_pem)),
            fault: tokio::sync::watch::Sender::new(None),
            hold: tokio::sync::watch::Sender::new(None),
            counters: Counters::default(),
        });
        let (control, commands) = tokio::sync::mpsc::unbounded_channel();
        let (tls, serving) = (authority.server_config(), Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("k3s-standin".into())
            .spawn(move || server::run(listener, tls, serving, commands))?;
        Ok(ApiServer { shared, address, authority, control, thread: Some(thread) })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The CA that signed the server's certificate, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.authority.ca_pem
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> &'static str {
        cluster::ADMIN_TOKEN
    }

    /// Writes an administrator's kubeconfig with a token, readable by its owner only.
    pub fn kubeconfig(&self, path: &Path) -> std::io::Result<()> {
        self.write_kubeconfig(path, &format!("token: {}", self.admin_token()))
    }

    /// Writes an administrator's kubeconfig with a client certificate, as k3s's own is.
    pub fn kubeconfig_with_certificate(&self, path: &Path) -> std::io::Result<()> {
        let (certificate, key) = &self.authority.admin;
        let user = format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            kinds::base64(certificate.as_bytes()),
            kinds::base64(key.as_bytes())
        );
        self.write_kubeconfig(path, &user)
    }

    fn write_kubeconfig(&self, path: &Path, user: &str) -> std::io::Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: default\n  cluster:\n    server: {}\n    \
             certificate-authority-data: {}\nusers:\n- name: default\n  user:\n    {user}\ncontexts:\n- name: default\n  \
             context: {{cluster: default, user: default}}\ncurrent-context: default\n",
            self.url(),
            kinds::base64(self.ca_pem().as_bytes()),
        );
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    }

    /// From now on there are this many nodes with this many vCPUs each.
    pub fn set_nodes(&self, nodes: usize, cpus: u32) {
        self.shared.cluster().nodes.set(nodes, cpus);
    }

    /// From now on the server, and each node's kubelet, has this version.
    pub fn set_version(&self, version: &str) {
        self.shared.cluster().set_version(version);
    }

    /// From now on an admission webhook refuses every Secret, and quotes what was in it (or no longer does).
    pub fn set_nosy(&self, nosy: bool) {
        self.shared.cluster().nosy = nosy;
    }

    /// The next so many pages that are asked for with a continue token are 410 Expired.
    pub fn expire_pages(&self, pages: u32) {
        self.shared.cluster().expire_pages = pages;
    }

    /// Whether there are HelmCharts from now on.
    pub fn set_helm(&self, helm: bool) {
        self.shared.cluster().helm = helm;
    }

    /// From now on the server has these of Flux's kinds. Without them their objects are gone too.
    pub fn set_flux(&self, flux: Flux) {
        self.shared.cluster().set_flux(flux);
    }

    /// Every request gets this instead of its answer, until it is set to None.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.shared.fault.send_replace(fault);
    }

    /// From now on requests that have all of these in `METHOD PATH` and their body get no answer, until
    /// [`ApiServer::release`]; then their connections end. `carried_out`: what they ask for is done all the same.
    pub fn hold(&self, texts: &[&str], carried_out: bool) {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        self.shared.hold.send_replace(Some(Hold { texts, carried_out, met: false }));
    }

    /// Whether a request is held, or was since [`ApiServer::hold`].
    pub fn held(&self) -> bool {
        self.shared.hold.borrow().as_ref().is_some_and(|hold| hold.met)
    }

    /// Holds no request any more.
    pub fn release(&self) {
        self.shared.hold.send_replace(None);
    }

    /// Cuts the link: connections end, new ones are refused. In effect when this returns.
    pub fn cut(&self) {
        self.command(server::Control::Cut);
    }

    /// Undoes [`ApiServer::cut`], on the same port. In effect when this returns.
    pub fn restore(&self) {
        self.command(server::Control::Restore);
    }

    /// What was to be changed so far.
    pub fn writes(&self) -> Vec<Write> {
        self.shared.cluster().writes.clone()
    }

    fn command(&self, control: fn(std::sync::mpsc::Sender<()>) -> server::Control) {
        let (done, wait) = std::sync::mpsc::channel();
        self.control.send(control(done)).expect("the server runs");
        wait.recv().expect("the server runs");
    }

    /// What went over the wire.
    pub fn stats(&self) -> Stats {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            requests: read(&counters.requests),
            connections: read(&counters.connections),
            bytes_in: read(&counters.bytes_in),
            bytes_out: read(&counters.bytes_out),
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        let _ = self.control.send(server::Control::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
