//! The real binary between the two stand-ins: started, asked, cut off, killed, and asked again.
//!
//! Nothing here waits for a time: a test waits for what it wants to see, and [`HANG`] only turns a hang into a failure.

use arclet::status::Status;
use azure_standin::{Arrived, Azure, DEVICE};
use k3s_standin::ApiServer;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Far beyond what anything takes, also on a busy machine.
pub const HANG: Duration = Duration::from_secs(180);

/// What differs from test to test; the rest is the same configuration.
#[derive(Clone)]
pub struct Setup {
    /// The program.
    pub binary: PathBuf,
    /// The lines of `[report]`.
    pub report: String,
    /// The lines of `[retry]`.
    pub retry: &'static str,
    /// Nodes of the cluster, of four processors each.
    pub nodes: usize,
    /// The lines of `[desired]`; `{vault}` is the vault's URL.
    pub desired: &'static str,
    /// The lines of `[upgrade]`; `{feed}` is the repository `arclet` of the stand-in's registry.
    pub upgrade: String,
    /// The log's.
    pub level: &'static str,
    /// Which of Flux's kinds the cluster has.
    pub flux: k3s_standin::Flux,
    pub helm: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            binary: env!("CARGO_BIN_EXE_arclet").into(),
            report: report("100ms", "100ms", "24h"),
            retry: "first = \"20ms\"\nlongest = \"100ms\"\nrefused = \"100ms\"",
            nodes: 1,
            desired: "",
            upgrade: String::new(),
            level: "debug",
            flux: k3s_standin::Flux::Absent,
            helm: false,
        }
    }
}

/// `[report]` without tags.
pub fn report(heartbeat: &str, metadata: &str, whole: &str) -> String {
    format!(
        "heartbeat-interval = \"{heartbeat}\"\nmetadata-interval = \"{metadata}\"\nwhole-interval = \"{whole}\"\ntags = false"
    )
}

/// Both sides of the ring, and the place where the agent lives.
pub struct Rig {
    pub azure: Arc<Azure>,
    pub k3s: Arc<ApiServer>,
    pub setup: Setup,
    /// Where the agent is told that login, ARM and ingestion are: a relay may stand in between.
    pub urls: [String; 3],
    dir: tempfile::TempDir,
}

impl Rig {
    /// Both stand-ins run and the configuration is written; the agent is not started yet.
    pub fn new(setup: Setup) -> Rig {
        let azure =
            Arc::new(Azure::start(azure_standin::Options::default()).expect("the Azure stand-in starts"));
        let id = azure_standin::cluster_id("k3s-1");
        azure.seed_cluster(&id, connected(&id));
        let nodes = k3s_standin::Options {
            nodes: setup.nodes,
            cpus: 4,
            flux: setup.flux,
            helm: setup.helm,
            ..k3s_standin::Options::default()
        };
        let k3s = Arc::new(ApiServer::start(nodes).expect("the API server starts"));
        let urls = [azure.login_url(), azure.arm_url(), azure.ingest_url()];
        let rig = Rig { azure, k3s, setup, urls, dir: tempfile::tempdir().expect("a directory") };
        rig.k3s.kubeconfig(&rig.path("kubeconfig")).expect("a kubeconfig");
        rig.furnish();
        if rig.setup.nodes > 1 {
            rig.lease_is_free();
        }
        rig
    }

    /// Another device of the same cluster; the API server knows it by a client certificate.
    pub fn beside(&self) -> Rig {
        let (azure, k3s) = (Arc::clone(&self.azure), Arc::clone(&self.k3s));
        let dir = tempfile::tempdir().expect("a directory");
        let rig = Rig { azure, k3s, setup: self.setup.clone(), urls: self.urls.clone(), dir };
        rig.k3s.kubeconfig_with_certificate(&rig.path("kubeconfig")).expect("a kubeconfig");
        rig.furnish();
        rig
    }

    fn furnish(&self) {
        self.secret_file("client-secret", DEVICE.1);
        std::fs::write(self.path("ca.pem"), self.azure.ca_pem()).expect("a file");
        self.configure(&self.setup.report.clone());
    }

    /// Makes the Lease as an agent leaves it that has ended: of a new cluster it would be a minute until one leads.
    fn lease_is_free(&self) {
        let connection = arclet::k3s::kubeconfig::load(&self.path("kubeconfig")).expect("a kubeconfig");
        let client = arclet::k3s::Client::new(connection, arclet::clock::Clock::new()).expect("a client");
        let namespace = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "arclet", "labels": {"app.kubernetes.io/managed-by": "arclet"}}});
        client.apply(&namespace, "test", false).expect("a namespace");
        let write = arclet::core::lease::Call::Write { base: None, holder: String::new() };
        assert!(matches!(client.lease(&write), arclet::core::lease::Answer::There(_)), "a Lease");
    }

    /// A file of the agent's.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration with these lines in `[report]`.
    pub fn configure(&self, report: &str) {
        let path = |name| self.path(name).display().to_string();
        let text = format!(
            r#"
[cluster]
id = "{cluster}"
[cloud]
login = "{login}"
arm = "{arm}"
[identity]
tenant = "{tenant}"
client-id = "{client}"
secret-file = "{secret}"
[ingest]
endpoint = "{ingest}"
dcr = "{dcr}"
[kubernetes]
kubeconfig = "{kubeconfig}"
[report]
{report}
[retry]
{retry}
[desired]
{desired}
[upgrade]
{upgrade}
[store]
directory = "{store}"
[tls]
extra-ca-file = "{ca}"
[control]
socket = "{socket}"
status-file = "{status}"
[log]
level = "{level}"
"#,
            cluster = azure_standin::cluster_id("k3s-1"),
            login = self.urls[0],
            arm = self.urls[1],
            tenant = azure_standin::TENANT,
            client = DEVICE.0,
            secret = path("client-secret"),
            ingest = self.urls[2],
            dcr = azure_standin::RULE,
            kubeconfig = path("kubeconfig"),
            retry = self.setup.retry,
            level = self.setup.level,
            desired = self
                .setup
                .desired
                .replace("{vault}", &self.azure.vault_url())
                .replace("{catalogue}", &path("extensions.toml")),
            upgrade = self.setup.upgrade.replace("{feed}", &self.azure.repository("arclet")),
            store = path("store"),
            ca = path("ca.pem"),
            socket = path("sock"),
            status = path("status.json"),
        );
        std::fs::write(self.path("arclet.toml"), text).expect("a file");
    }

    fn secret_file(&self, name: &str, content: &str) {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path(name));
        file.as_mut().expect("a file").write_all(content.as_bytes()).expect("a file");
    }

    /// Starts the agent; its standard output is its ack log. Does not wait until it is ready: see [`Agent::status`].
    pub fn start(&self) -> Agent {
        self.start_with(&[])
    }

    /// The same with more in its environment.
    pub fn start_with(&self, environment: &[(&str, &str)]) -> Agent {
        let append =
            |name| OpenOptions::new().create(true).append(true).open(self.path(name)).expect("a file");
        let child = Command::new(&self.setup.binary)
            .args(["run", "--ack-log", "1", "--config"])
            .arg(self.path("arclet.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(append("acks"))
            .stderr(append("log"))
            .spawn()
            .expect("the agent starts");
        Agent { child, socket: self.path("sock"), log: self.path("log") }
    }

    /// SIGTERM and a new process.
    pub fn restart(&self, agent: Agent) -> Agent {
        let (status, _) = agent.terminate();
        assert!(status.success(), "{status}");
        self.start()
    }

    /// The ids that were acknowledged so far, in their order.
    pub fn acknowledged(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("acks")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// What arrived so far of one kind (column `Kind`).
    pub fn arrived(&self, kind: &str) -> Vec<Arrived> {
        self.azure.arrived().into_iter().filter(|a| a.row["Kind"] == kind).collect()
    }

    /// The agent's log, for a test that failed.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// The cluster's resource as `arclet connect` leaves it.
fn connected(id: &str) -> serde_json::Value {
    serde_json::json!({
        "id": id, "name": "k3s-1", "type": "microsoft.kubernetes/connectedclusters", "location": "eastus",
        "tags": {"arclet-connected": "made"},
        "identity": {"type": "SystemAssigned"},
        "properties": {"provisioningState": "Succeeded", "connectivityStatus": "Connecting", "distribution": "k3s",
            "infrastructure": "generic", "agentPublicKeyCertificate": ""},
        "systemData": {"createdAt": "2026-11-22T15:00:00.1234567Z"},
    })
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the agent's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

/// The agent while it runs; killed when it goes out of scope.
pub struct Agent {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Agent {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks over the control socket; `None` while the agent does not listen.
    pub fn ask(&self, request: &str) -> Option<serde_json::Value> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.write_all(format!("{request}\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// The status; waits until the agent answers.
    pub fn status(&mut self) -> Status {
        self.wait("an answer of the agent", |_| true)
    }

    /// Asks until the status is as wanted.
    pub fn wait(&mut self, what: &str, mut wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut last = None;
        eventually(what, || {
            if let Ok(Some(ended)) = self.child.try_wait() {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("the agent ended ({ended}) before {what}:\n{log}");
            }
            let status: Status = serde_json::from_value(self.ask(r#"{"get":"status"}"#)?).ok()?;
            let is = wanted(&status);
            last = Some(status);
            is.then(|| last.take()).flatten()
        })
    }

    /// The link to an endpoint.
    pub fn link(&mut self, endpoint: arclet::core::Endpoint) -> arclet::status::LinkStatus {
        self.status()
            .links
            .into_iter()
            .find(|link| link.endpoint == endpoint)
            .expect("a link for each endpoint")
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the agent can be signalled");
    }

    /// kill -9, and the end seen.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("the agent ends");
    }

    /// SIGTERM, and how it ended and after how long.
    pub fn terminate(self) -> (ExitStatus, Duration) {
        let asked = Instant::now();
        self.signal(Signal::TERM);
        (self.end(), asked.elapsed())
    }

    /// How it ends by itself.
    pub fn end(mut self) -> ExitStatus {
        eventually("the agent's end", || self.child.try_wait().expect("the agent is ours"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something; panics when there is nothing for [`HANG`].
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < HANG, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
