//! The cluster's side: the embedded API server, or a real one, and something to report about it.

use crate::device::Device;
use crate::options::Options;
use crate::wish::furnish;
use azure_standin::{Azure, DEVICE, RULE, TENANT, cluster_id};
use k3s_standin::ApiServer;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A cluster to connect.
pub enum Cluster {
    /// Ours, in this process.
    Embedded(Box<ApiServer>),
    /// A real one.
    Real(PathBuf),
}

/// Arguments of `arclet connect` and its environment.
pub type Command = (Vec<String>, Vec<(String, String)>);

impl Cluster {
    /// Starts, or names, the cluster.
    pub fn start(options: &Options, home: &Path) -> Result<Cluster, String> {
        match &options.kubeconfig {
            Some(path) => Ok(Cluster::Real(path.clone())),
            None => {
                let server = ApiServer::start(k3s_standin::Options {
                    // Of several, one agent would have to wait a minute until it leads.
                    nodes: 1,
                    flux: k3s_standin::Flux::Stable,
                    helm: true,
                    ..k3s_standin::Options::default()
                });
                let server = server.map_err(|e| format!("the API server stand-in does not start: {e}"))?;
                server
                    .kubeconfig(&home.join("admin.kubeconfig"))
                    .map_err(|e| format!("{}: {e}", home.display()))?;
                Ok(Cluster::Embedded(Box::new(server)))
            }
        }
    }

    /// For the page.
    pub fn describe(&self) -> String {
        match self {
            Cluster::Embedded(_) => "embedded API server".to_owned(),
            Cluster::Real(path) => format!("real cluster of {}", path.display()),
        }
    }

    /// Requests that the embedded API server answered.
    pub fn requests(&self) -> u64 {
        match self {
            Cluster::Embedded(server) => server.stats().requests,
            Cluster::Real(_) => 0,
        }
    }

    /// The node's processors come and go, so that there is something to report at each look.
    pub fn change(&self, look: u64) {
        if let Cluster::Embedded(server) = self {
            server.set_nodes(1, 2 + (look % 21) as u32 * 2);
        }
    }

    /// Writes what a device gets from its owner, and gives the command that its owner would type.
    pub fn connect_command(&self, azure: &Azure, device: &Device, home: &Path) -> Result<Command, String> {
        let secret = |name: &str, content: &str, mode: u32| {
            let path = home.join(name);
            let written = std::fs::write(&path, content)
                .and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)));
            written.map(|()| path.display().to_string()).map_err(|e| format!("{}: {e}", path.display()))
        };
        let ca = secret("azure-ca.pem", azure.ca_pem(), 0o644)?;
        let client_secret = secret("client-secret", DEVICE.1, 0o600)?;
        let kubeconfig = match self {
            Cluster::Embedded(_) => home.join("admin.kubeconfig"),
            Cluster::Real(path) => path.clone(),
        };
        let config_directory = device.config().parent().map(Path::to_path_buf).unwrap_or_default();
        if let Cluster::Embedded(_) = self {
            std::fs::create_dir_all(&config_directory)
                .map_err(|e| format!("{}: {e}", config_directory.display()))?;
            furnish(azure, &config_directory.join("extensions.toml"))?;
        }
        let shown = |path: PathBuf| path.display().to_string();
        let arguments = [
            ("connect", String::new()),
            ("--cluster-id", cluster_id("k3s-1")),
            ("--tenant", TENANT.to_owned()),
            ("--client-id", DEVICE.0.to_owned()),
            ("--client-secret-file", client_secret),
            ("--dcr-endpoint", azure.ingest_url()),
            ("--dcr-id", RULE.to_owned()),
            ("--kubeconfig", shown(kubeconfig)),
            ("--login-endpoint", azure.login_url()),
            ("--arm-endpoint", azure.arm_url()),
            ("--ca-file", ca),
            ("--config-dir", shown(config_directory)),
            ("--state-dir", shown(home.join("state"))),
            ("--unit-dir", shown(home.join("units"))),
            ("--yes", String::new()),
        ];
        // A real cluster may have no Flux, and what is in it is its owner's: there desired state stays off.
        let embedded = matches!(self, Cluster::Embedded(_));
        let desired = ["--gitops", "--extensions"].into_iter().filter(|_| embedded);
        let arguments = arguments.into_iter().chain(desired.map(|flag| (flag, String::new()))).flat_map(
            |(name, value)| {
                let value = (!value.is_empty()).then_some(value);
                std::iter::once(name.to_owned()).chain(value)
            },
        );
        Ok((arguments.collect(), vec![("ARCLET_OPERATOR_TOKEN".to_owned(), azure.operator_token())]))
    }

    /// Makes the device live faster than a real one: what takes minutes takes milliseconds. Everything else stays as
    /// `connect` wrote it.
    pub fn tune(&self, config: &Path, socket: &Path, home: &Path) -> Result<(), String> {
        let written = std::fs::read_to_string(config).map_err(|e| format!("{}: {e}", config.display()))?;
        let written = written.replace(
            "gitops = true",
            "gitops = true\npull-interval = \"500ms\"\nenforce-interval = \"500ms\"",
        );
        let tuned = format!(
            "{written}\n[report]\nheartbeat-interval = \"1s\"\nmetadata-interval = \"10ms\"\n\n\
             [retry]\nfirst = \"100ms\"\nlongest = \"1s\"\nrefused = \"1s\"\n\n\
             [control]\nsocket = \"{}\"\nstatus-file = \"{}\"\n",
            socket.display(),
            home.join("status.json").display()
        );
        std::fs::write(config, tuned).map_err(|e| format!("{}: {e}", config.display()))
    }
}
