//! `arclet.toml` → [`Config`].
//!
//! In passes, like a compiler: text, TOML, keys, values, rules between keys. Every mistake is an [`Error`] with file, line,
//! key, kind and next step, and all of them are reported at once. Nothing is opened here but the file itself: whether
//! a credential can be read or a host answers is `doctor`'s question, and `run` goes on without an answer. The file holds no
//! secrets and may be read by anybody; secrets are files of their own ([`CredentialFile`]).
//!
//! Every key with its default and its meaning: `config/arclet.toml`, which a test holds to this folder.

mod credential;
mod error;
mod section;
mod sections;
pub mod units;
mod upgrade;

pub use credential::CredentialFile;
pub use error::{Error, Errors, Kind};
pub use upgrade::Upgrade;

use crate::azure::ResourceId;
use crate::core::document::{self, Kinds};
use crate::core::settings::{DesiredSettings, Profile, Settings};
use crate::core::{Endpoint, Lane, link};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the configuration is, unless `--config` says otherwise.
pub const DEFAULT_PATH: &str = "/etc/arclet/arclet.toml";
/// The charts that extensions may be.
pub const CATALOGUE: &str = "/etc/arclet/extensions.toml";
/// Where the store is, unless the configuration says otherwise.
pub const STATE_DIRECTORY: &str = "/var/lib/arclet";
/// Where the agent is asked.
pub const CONTROL_SOCKET: &str = "/run/arclet/arclet.sock";
/// The last status that the agent wrote.
pub const STATUS_FILE: &str = "/run/arclet/status.json";
/// The managed identity endpoint of an Arc-enabled server.
pub const HIMDS: &str = "http://localhost:40342/metadata/identity/oauth2/token";

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Which connected cluster this is.
    pub cluster: Cluster,
    /// Which Azure.
    pub cloud: Cloud,
    /// Who the device is.
    pub identity: Identity,
    /// Where records go.
    pub ingest: Ingest,
    /// The cluster's API server.
    pub kubernetes: Kubernetes,
    /// What is reported, and how often.
    pub report: Report,
    /// What is pulled and enforced, and how often.
    pub desired: Desired,
    /// Where newer releases are looked for; `None`: nowhere.
    pub upgrade: Option<Upgrade>,
    /// How to try again, at every endpoint; `None`: each has its own way.
    pub retry: Option<link::Config>,
    /// The durable store.
    pub store: Store,
    /// The way out.
    pub proxy: Proxy,
    /// Whom to trust.
    pub tls: Tls,
    /// How the running agent is asked.
    pub control: Control,
    /// The log.
    pub log: Log,
}

/// Which connected cluster this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its ARM id.
    pub id: ResourceId,
    /// Its region; for people, nothing depends on it.
    pub location: Option<String>,
}

/// Which Azure: a known cloud, and what differs from it (private clouds, stand-ins).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// `AzureCloud`, `AzureUSGovernment` or `AzureChinaCloud`.
    pub name: String,
    /// Another authority than the cloud's, as an https URL.
    pub login: Option<String>,
    /// Another base of ARM, as an https URL.
    pub arm: Option<String>,
    /// Another scope for ARM tokens.
    pub arm_scope: Option<String>,
    /// Another scope for ingestion tokens.
    pub monitor_scope: Option<String>,
    /// Another scope for Key Vault tokens.
    pub vault_scope: Option<String>,
}

/// Who the device is. The operator who connects it is somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A service principal with a secret.
    ClientSecret {
        /// The tenant's id or domain.
        tenant: String,
        /// The application's id.
        client: String,
        /// Where the secret is.
        secret: CredentialFile,
    },
    /// A service principal with a certificate.
    Certificate {
        /// The tenant's id or domain.
        tenant: String,
        /// The application's id.
        client: String,
        /// PEM: certificate and private key.
        certificate: CredentialFile,
    },
    /// A service principal that trusts another issuer's tokens.
    FederatedToken {
        /// The tenant's id or domain.
        tenant: String,
        /// The application's id.
        client: String,
        /// Read anew for each request, for whoever writes it rotates it: never a copy by the service manager.
        token: PathBuf,
    },
    /// The managed identity of an Arc-enabled server.
    ArcServer {
        /// Its endpoint, on this machine.
        endpoint: String,
    },
}

impl Identity {
    /// The word of the configuration.
    pub const fn kind(&self) -> &'static str {
        match self {
            Identity::ClientSecret { .. } => "client-secret",
            Identity::Certificate { .. } => "certificate",
            Identity::FederatedToken { .. } => "federated-token",
            Identity::ArcServer { .. } => "arc-server",
        }
    }
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingest {
    /// The logs ingestion endpoint of the data collection rule, an https URL without a path.
    pub endpoint: String,
    /// The rule's immutable id, `dcr-…`.
    pub dcr: String,
}

/// The cluster's API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubernetes {
    /// Address, authority and token of the agent's own ServiceAccount.
    pub kubeconfig: CredentialFile,
}

/// What is reported, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What the link costs; the defaults of the others follow from it.
    pub profile: Profile,
    /// Between heartbeats.
    pub heartbeat_interval: Duration,
    /// Between looks at the cluster.
    pub metadata_interval: Duration,
    /// Between whole metadata reports.
    pub whole_interval: Duration,
    /// Whether tags are kept on the ARM resource.
    pub tags: bool,
    /// At least between two tag updates.
    pub tags_interval: Duration,
    /// Bytes of a day, TLS and tokens included; `None`: as many as there are.
    pub allowance: Option<u32>,
}

/// What is pulled and enforced, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// fluxConfigurations.
    pub gitops: bool,
    /// Extensions.
    pub extensions: bool,
    /// The charts that extensions may be.
    pub catalogue: PathBuf,
    /// Between looks at Azure.
    pub pull_interval: Duration,
    /// Between looks at what is enforced.
    pub enforce_interval: Duration,
    /// The Key Vault that has the documents' secrets, as an https URL; `None`: they are Secrets of the operator's own.
    pub key_vault: Option<String>,
    /// What the names of this cluster's secrets in it begin with.
    pub key_vault_prefix: String,
}

impl Desired {
    /// Which documents are wanted.
    pub fn kinds(&self) -> Kinds {
        let on = [(self.gitops, document::Kind::Flux), (self.extensions, document::Kind::Extension)];
        on.into_iter().filter(|(on, _)| *on).fold(Kinds::default(), |kinds, (_, kind)| kinds.and(kind))
    }
}

/// The durable store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Where it is.
    pub directory: PathBuf,
    /// 32 bytes that seal secrets; `None` = the store makes its own.
    pub key: Option<CredentialFile>,
    /// Quota per lane in allocated bytes, indexed by `Lane as usize`.
    pub quotas: [u64; Lane::ALL.len()],
    /// The ceiling of the cache in allocated bytes.
    pub cache_quota: u64,
    /// How much goes into one database before the next begins, in payload bytes.
    pub epoch_size: u64,
}

/// The way out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Proxy {
    /// `http://host:port`, without a password.
    pub url: Option<String>,
    /// A file with the whole URL, where it has a password.
    pub url_file: Option<CredentialFile>,
    /// Hosts, domains and networks that are reached without it.
    pub no_proxy: Vec<String>,
}

/// Whom to trust besides the public authorities.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tls {
    /// PEM.
    pub extra_ca_file: Option<PathBuf>,
}

/// How the running agent is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its socket.
    pub socket: PathBuf,
    /// Its last status; on memory, for the medium's sake.
    pub status_file: PathBuf,
}

/// The log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// From which level on.
    pub level: log::LevelFilter,
}

impl Config {
    /// Reads and checks a file. `$CREDENTIALS_DIRECTORY` is looked at here and nowhere else.
    pub fn load(file: &Path) -> Result<Config, Errors> {
        let text = read(file).map_err(|error| Errors(vec![error]))?;
        let handed = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Config::parse(file, &text, handed.as_deref())
    }

    /// Checks the text of a file. `handed` is the directory of the service manager's credentials.
    pub fn parse(file: &Path, text: &str, handed: Option<&Path>) -> Result<Config, Errors> {
        let (config, errors, _) = sections::interpret(file, text, handed);
        match config {
            Some(config) if errors.is_empty() => Ok(config),
            _ => Err(Errors(errors)),
        }
    }

    /// What the core is told of it.
    pub fn settings(&self, agent_version: impl Into<String>) -> Settings {
        let mut settings = Settings::of(self.report.profile, agent_version);
        settings.heartbeat_interval = self.report.heartbeat_interval;
        settings.metadata_interval = self.report.metadata_interval;
        settings.whole_interval = self.report.whole_interval;
        settings.tags = self.report.tags;
        settings.tags_interval = self.report.tags_interval;
        settings.allowance = self.report.allowance;
        settings.desired = (self.desired.kinds() != Kinds::default()).then(|| DesiredSettings {
            pull_interval: self.desired.pull_interval,
            enforce_interval: self.desired.enforce_interval,
            kinds: self.desired.kinds(),
            vault: self.desired.key_vault.is_some(),
        });
        settings.upgrade = self.upgrade.as_ref().map(Upgrade::settings);
        if let Some(retry) = self.retry {
            settings.links = [retry; Endpoint::ALL.len()];
        }
        settings
    }
}

fn read(file: &Path) -> Result<String, Error> {
    let wrong = |kind, step: &str| Error {
        file: file.to_owned(),
        line: None,
        key: String::new(),
        kind,
        next_step: step.to_owned(),
    };
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            wrong(Kind::Unreadable("there is no such file".to_owned()), "arclet connect writes it")
        }
        _ => wrong(Kind::Unreadable(error.to_string()), "check its owner and mode (root, 0644)"),
    };
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > LONGEST {
        return Err(wrong(Kind::TooLong(length), "is it the right file?"));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}

/// The commented default has 8 KB.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests;
