//! The sections of the file, one function each: keys, their bounds, what is taken where they are left out.

use super::credential::CredentialFile;
use super::error::{Error, Kind};
use super::section::{Reader, Section, line_of};
use super::upgrade::upgrade;
use super::{
    CATALOGUE, CONTROL_SOCKET, Cloud, Cluster, Config, Control, DEFAULT_PATH, Desired, HIMDS, Identity,
    Ingest, Kubernetes, Log, Proxy, Report, STATE_DIRECTORY, STATUS_FILE, Store, Tls,
};
use crate::azure::ResourceId;
use crate::core::link;
use crate::core::settings::{DesiredSettings, Profile, Settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// Sections and their keys, in the order in which they are asked for.
pub(super) type Known = Vec<(&'static str, Vec<&'static str>)>;

/// The passes after reading. `None` only where the text is not TOML.
pub(super) fn interpret(
    file: &Path,
    text: &str,
    handed: Option<&Path>,
) -> (Option<Config>, Vec<Error>, Known) {
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
        upgrade: upgrade(reader.section("upgrade"), report.profile),
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
