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
pub mod units;
mod upgrade;

pub use credential::CredentialFile;
pub use error::{Error, Errors, Kind};
pub use upgrade::Upgrade;

use crate::azure::ResourceId;
use crate::core::document::{self, Kinds};
use crate::core::settings::{DesiredSettings, Profile, Settings};
use crate::core::{Endpoint, Lane, link};
use section::{Reader, Section, line_of};
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
        let (config, errors, _) = interpret(file, text, handed);
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

/// Sections and their keys, in the order in which they are asked for.
type Known = Vec<(&'static str, Vec<&'static str>)>;

/// The passes after reading. `None` only where the text is not TOML.
fn interpret(file: &Path, text: &str, handed: Option<&Path>) -> (Option<Config>, Vec<Error>, Known) {
    let (root, broken) = toml::de::DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        let errors = broken.iter().map(|error| Error {
            file: file.to_owned(),
            line: error.span().map(|span| line_of(text, span.start)),
            key: String::new(),
            kind: Kind::Syntax(error.message().trim().to_owned()),
            next_step: "correct the line; texts are in quotes, lists in [ ]".to_owned(),
        });
        return (None, errors.collect(), Vec::new());
    }
    let mut reader = Reader::new(file, text, root.get_ref());
    let report = report(reader.section("report"));
    let config = Config {
        cluster: cluster(reader.section("cluster")),
        cloud: cloud(reader.section("cloud")),
        identity: identity(reader.section("identity"), handed),
        ingest: ingest(reader.section("ingest")),
        kubernetes: kubernetes(reader.section("kubernetes"), handed),
        desired: desired(reader.section("desired"), report.profile),
        upgrade: upgrade::upgrade(reader.section("upgrade"), report.profile),
        report,
        retry: retry(reader.section("retry")),
        store: store(reader.section("store"), handed),
        proxy: proxy(reader.section("proxy"), handed),
        tls: Tls { extra_ca_file: reader.section("tls").path("extra-ca-file") },
        control: control(reader.section("control")),
        log: log_of(reader.section("log")),
    };
    let (errors, known) = reader.finish();
    (Some(config), errors, known)
}

fn cluster(mut section: Section<'_, '_>) -> Cluster {
    let text = section.required("id", "arclet connect writes it; the ARM id of the connected cluster");
    let id = match ResourceId::parse(&text) {
        Ok(id) if id.is_cluster() => id,
        refused => {
            if !text.is_empty() {
                let why = refused
                    .map_or_else(|reason| reason.message, |id| format!("{id} is no connected cluster"));
                section.wrong("id", Kind::BadValue(why), "copy it from the portal: Properties, Resource ID");
            }
            // Stands for the id until the errors are reported; no configuration gets out with it.
            let none = String::new;
            ResourceId { subscription: none(), group: none(), kind: none(), name: none() }
        }
    };
    Cluster { id, location: section.text("location") }
}

fn cloud(mut section: Section<'_, '_>) -> Cloud {
    let names = ["AzureCloud", "AzureUSGovernment", "AzureChinaCloud"];
    Cloud {
        name: section.choice("name", &names.map(|name| (name, name)), names[0]).to_owned(),
        login: section.parsed("login", https),
        arm: section.parsed("arm", https),
        arm_scope: section.parsed("arm-scope", scope),
        monitor_scope: section.parsed("monitor-scope", scope),
        vault_scope: section.parsed("vault-scope", scope),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum IdentityKind {
    ClientSecret,
    Certificate,
    FederatedToken,
    ArcServer,
}

fn identity(mut section: Section<'_, '_>, handed: Option<&Path>) -> Identity {
    let words = [
        ("client-secret", IdentityKind::ClientSecret),
        ("certificate", IdentityKind::Certificate),
        ("federated-token", IdentityKind::FederatedToken),
        ("arc-server", IdentityKind::ArcServer),
    ];
    let kind = section.choice("kind", &words, IdentityKind::ClientSecret);
    let file = |path: Option<PathBuf>, name: &str| {
        let path = path.unwrap_or_else(|| Path::new(DEFAULT_PATH).with_file_name("credentials").join(name));
        CredentialFile::find(path, handed)
    };
    // Every key is asked for whatever the kind: one that is not used now is not a mistake.
    let secret = file(section.path("secret-file"), "client-secret");
    let certificate = file(section.path("certificate-file"), "certificate");
    let token = section.path("token-file");
    let endpoint = section.parsed("endpoint", loopback).unwrap_or_else(|| HIMDS.to_owned());
    if kind == IdentityKind::ArcServer {
        let _ = (section.text("tenant"), section.text("client-id"));
        return Identity::ArcServer { endpoint };
    }
    let tenant = section.required("tenant", "az account show --query tenantId");
    let client = section.required("client-id", "the application id of the device's service principal");
    for (key, value) in [("tenant", &tenant), ("client-id", &client)] {
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            let why = format!("{value:?} is neither an id nor a domain name");
            section.wrong(key, Kind::BadValue(why), "");
        }
    }
    match kind {
        IdentityKind::ClientSecret => Identity::ClientSecret { tenant, client, secret },
        IdentityKind::Certificate => Identity::Certificate { tenant, client, certificate },
        IdentityKind::FederatedToken | IdentityKind::ArcServer => {
            if token.is_none() {
                section.wrong(
                    "token-file",
                    Kind::Missing,
                    "the file in which the issuer keeps a fresh token",
                );
            }
            Identity::FederatedToken { tenant, client, token: token.unwrap_or_default() }
        }
    }
}

fn ingest(mut section: Section<'_, '_>) -> Ingest {
    let step = "deploy config/azure and take it from the deployment's outputs";
    let endpoint = section.required("endpoint", step);
    let checked = if endpoint.is_empty() { Ok(endpoint) } else { https(&endpoint) };
    let endpoint = checked.unwrap_or_else(|why| {
        section.wrong("endpoint", Kind::BadValue(why), step);
        String::new()
    });
    let dcr = section.required("dcr", step);
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !dcr.is_empty() && (!dcr.starts_with("dcr-") || !dcr.chars().all(plain)) {
        let why = format!("{dcr:?} is not the immutable id of a data collection rule (dcr-…)");
        section.wrong("dcr", Kind::BadValue(why), step);
    }
    Ingest { endpoint, dcr }
}

fn kubernetes(mut section: Section<'_, '_>, handed: Option<&Path>) -> Kubernetes {
    let path = section.path("kubeconfig").unwrap_or_else(|| "/etc/arclet/credentials/kubeconfig".into());
    Kubernetes { kubeconfig: CredentialFile::find(path, handed) }
}

fn report(mut section: Section<'_, '_>) -> Report {
    let profile = section.choice(
        "profile",
        &[("default", Profile::Default), ("metered", Profile::Metered)],
        Profile::Default,
    );
    let default = Settings::of(profile, "");
    // Below a minute is for laboratories; below the least the schedule itself would be the load.
    let bounds = || Duration::from_millis(10)..=Duration::from_secs(7 * 86_400);
    Report {
        profile,
        heartbeat_interval: section
            .duration("heartbeat-interval", bounds())
            .unwrap_or(default.heartbeat_interval),
        metadata_interval: section
            .duration("metadata-interval", bounds())
            .unwrap_or(default.metadata_interval),
        whole_interval: section.duration("whole-interval", bounds()).unwrap_or(default.whole_interval),
        tags: section.switch("tags").unwrap_or(default.tags),
        tags_interval: section.duration("tags-interval", bounds()).unwrap_or(default.tags_interval),
        allowance: section
            .size("allowance", 10_000..=u64::from(u32::MAX))
            .and_then(|bytes| u32::try_from(bytes).ok())
            .or(default.allowance),
    }
}

fn desired(mut section: Section<'_, '_>, profile: Profile) -> Desired {
    let default = DesiredSettings::of(profile);
    // As for reports: below a minute is for laboratories.
    let bounds = || Duration::from_millis(10)..=Duration::from_secs(7 * 86_400);
    Desired {
        gitops: section.switch("gitops").unwrap_or(false),
        extensions: section.switch("extensions").unwrap_or(false),
        catalogue: section.path("catalogue").unwrap_or_else(|| CATALOGUE.into()),
        pull_interval: section.duration("pull-interval", bounds()).unwrap_or(default.pull_interval),
        enforce_interval: section.duration("enforce-interval", bounds()).unwrap_or(default.enforce_interval),
        key_vault: section.parsed("key-vault", https),
        key_vault_prefix: section.parsed("key-vault-prefix", prefix).unwrap_or_default(),
    }
}

fn retry(mut section: Section<'_, '_>) -> Option<link::Config> {
    let bounds = || link::BASE_LEAST..=link::WAIT_MOST;
    let (first, longest, refused) = (
        section.duration("first", bounds()),
        section.duration("longest", bounds()),
        section.duration("refused", bounds()),
    );
    // Without any of them each endpoint keeps its own way.
    first.or(longest).or(refused)?;
    let near = Duration::from_secs(300);
    let first = first.unwrap_or(Duration::from_secs(1));
    match link::Config::try_new(first, longest.unwrap_or(near.max(first)), refused.unwrap_or(near.max(first)))
    {
        Ok(config) => Some(config),
        Err(why) => {
            let key = if longest.is_some_and(|longest| longest < first) { "longest" } else { "refused" };
            section.wrong(key, Kind::BadValue(why.to_string()), "");
            None
        }
    }
}

fn store(mut section: Section<'_, '_>, handed: Option<&Path>) -> Store {
    // Two epochs must fit, or nothing could ever be given back (docs/decisions/0001-store.md).
    let quota = || (4 * MIB)..=(1 << 40);
    Store {
        directory: section.path("directory").unwrap_or_else(|| STATE_DIRECTORY.into()),
        key: section.path("key-file").map(|path| CredentialFile::find(path, handed)),
        quotas: [
            section.size("state-quota", quota()).unwrap_or(4 * MIB),
            section.size("report-quota", quota()).unwrap_or(128 * MIB),
            section.size("audit-quota", quota()).unwrap_or(64 * MIB),
            section.size("logs-quota", quota()).unwrap_or(128 * MIB),
            section.size("metrics-quota", quota()).unwrap_or(64 * MIB),
        ],
        cache_quota: section.size("cache-quota", quota()).unwrap_or(64 * MIB),
        epoch_size: section.size("epoch-size", (64 * KIB)..=(2 * MIB)).unwrap_or(512 * KIB),
    }
}

fn proxy(mut section: Section<'_, '_>, handed: Option<&Path>) -> Proxy {
    let url = section.parsed("url", |text| {
        if text.contains('@') {
            // The text is not repeated: this error goes to a log.
            return Err("a name and a password do not belong in a file that anybody may read: use url-file"
                .to_owned());
        }
        match text.split_once("://") {
            Some(("http" | "https", rest)) if !rest.is_empty() => Ok(text.trim_end_matches('/').to_owned()),
            _ => Err(format!("{text:?} is not a proxy, as in \"http://proxy.example:3128\"")),
        }
    });
    let url_file = section.path("url-file").map(|path| CredentialFile::find(path, handed));
    if url.is_some() && url_file.is_some() {
        section.wrong("url-file", Kind::BadValue("url is there too".to_owned()), "keep one of them");
    }
    Proxy { url, url_file, no_proxy: section.list("no-proxy") }
}

fn control(mut section: Section<'_, '_>) -> Control {
    Control {
        socket: section.path("socket").unwrap_or_else(|| CONTROL_SOCKET.into()),
        status_file: section.path("status-file").unwrap_or_else(|| STATUS_FILE.into()),
    }
}

fn log_of(mut section: Section<'_, '_>) -> Log {
    use log::LevelFilter::{Debug, Error, Info, Off, Trace, Warn};
    let words =
        [("info", Info), ("error", Error), ("warn", Warn), ("debug", Debug), ("trace", Trace), ("off", Off)];
    Log { level: section.choice("level", &words, Info) }
}

/// An https URL without a path, a query or a name: a token goes there and nowhere else.
fn https(text: &str) -> Result<String, String> {
    let host =
        text.strip_prefix("https://").ok_or_else(|| format!("{text:?} does not begin with https://"))?;
    let host = host.trim_end_matches('/');
    match host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        true => Err(format!("{text:?} is not https:// and a host")),
        false => Ok(format!("https://{host}")),
    }
}

/// What a vault takes in names.
fn prefix(text: &str) -> Result<String, String> {
    match text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not at most 40 letters, digits and '-'")),
    }
}

/// HIMDS is on this machine or is not HIMDS: whoever answers there is trusted with a file's content.
fn loopback(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    match host {
        Some("localhost" | "127.0.0.1") => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is not on this machine (http://localhost or http://127.0.0.1)")),
    }
}

fn scope(text: &str) -> Result<String, String> {
    match text.ends_with("/.default") && text.starts_with("https://") {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not a scope (https://…/.default)")),
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// The commented default has 8 KB.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests;
