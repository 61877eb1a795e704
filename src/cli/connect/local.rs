//! What can be checked on this machine alone: the command line, files and their rights, an earlier connection.

use super::super::checks::Checks;
use super::super::files;
use super::journal::Journal;
use super::options::{DeviceKind, Options};
use super::render::{Looked, credentials, render};
use crate::azure::Cloud;
use crate::clock::Clock;
use crate::config::{Config, CredentialFile, Identity};
use crate::core::Reason;
use crate::device;
use crate::http::{Client, Proxy};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where a secret will be kept, and the secret.
pub(super) type Secret = (PathBuf, Zeroizing<Vec<u8>>);

/// What the other checks and the steps go on with.
pub(super) struct Local {
    /// Secrets and where they will be kept.
    pub(super) secrets: Vec<Secret>,
    /// The device's identity with the files that were given, for the kept ones are not there yet.
    pub(super) identity: Identity,
    /// An earlier run's.
    pub(super) journal: Option<Journal>,
    /// The cloud.
    pub(super) cloud: Cloud,
    /// For all of Azure.
    pub(super) client: Client,
}

/// Asks everything; `None` when an answer is missing that the rest needs.
pub(super) fn check(options: &Options, clock: &Clock, checks: &mut Checks) -> Option<Local> {
    let looked = Looked {
        endpoint: options.dcr_endpoint.clone().unwrap_or_else(|| "https://looked.up".to_owned()),
        dcr: options.dcr_id.clone().unwrap_or_else(|| "dcr-looked-up".to_owned()),
        location: options.location.clone(),
    };
    let parsed = Config::parse(Path::new("command line"), &render(options, &looked), None);
    let config = match parsed {
        Ok(config) => Some(config),
        Err(errors) => {
            for mut error in errors.0 {
                // The lines are those of a file that nobody has seen.
                error.line = None;
                checks.failed("command line", error.into());
            }
            None
        }
    };
    let journal = checks.take("places", places(options), |_| options.config_dir.display().to_string())?;
    let secrets = checks.take("credential files", secrets(options), |list| match list.len() {
        0 => "none is kept".to_owned(),
        _ => "readable by their owner alone".to_owned(),
    });
    let config = config?;
    let cloud = checks
        .take("cloud", device::cloud(&config.cloud), |cloud| format!("{}: {}", config.cloud.name, cloud.arm));
    let client =
        checks.take("way out", way(options, clock), |(_, way)| way.clone()).map(|(client, _)| client);
    let identity = given(&config.identity, options);
    Some(Local { secrets: secrets?, identity, journal, cloud: cloud?, client: client? })
}

/// The journal, if there is one; refused where another cluster is connected already.
fn places(options: &Options) -> Result<Option<Journal>, Reason> {
    for directory in [&options.config_dir, &options.state_dir] {
        files::writable(directory)?;
    }
    let wanted = options.cluster.as_ref().map(ToString::to_string).unwrap_or_default();
    let other = |cluster: &str| {
        Reason::new("AlreadyConnected", format!("this device is connected as {cluster}"))
            .cure("arclet disconnect first; or give that cluster's id")
    };
    let journal = Journal::read(&options.config_dir)?;
    if let Some(journal) = &journal
        && !journal.cluster.eq_ignore_ascii_case(&wanted)
    {
        return Err(other(&journal.cluster));
    }
    // A file that cannot be read is no connection: it is replaced, and kept beside.
    if let Ok(config) = Config::load(&options.config_dir.join("arclet.toml"))
        && !config.cluster.id.to_string().eq_ignore_ascii_case(&wanted)
    {
        return Err(other(&config.cluster.id.to_string()));
    }
    Ok(journal)
}

fn secrets(options: &Options) -> Result<Vec<Secret>, Reason> {
    let kept = credentials(&options.config_dir);
    let mut secrets = Vec::new();
    let read = |path: &PathBuf| CredentialFile::find(path.clone(), None);
    match &options.device.kind {
        Some(DeviceKind::ClientSecret(path)) => {
            let text = read(path).read_text()?;
            secrets.push((kept.join("client-secret"), Zeroizing::new(text.as_bytes().to_vec())));
        }
        Some(DeviceKind::Certificate(path)) => secrets.push((kept.join("certificate"), read(path).read()?)),
        Some(DeviceKind::FederatedToken(_) | DeviceKind::ArcServer) | None => {}
    }
    if let Some(url) = options.way.proxy.as_ref().filter(|url| url.contains('@')) {
        secrets.push((kept.join("proxy-url"), Zeroizing::new(url.as_bytes().to_vec())));
    }
    Ok(secrets)
}

fn way(options: &Options, clock: &Clock) -> Result<(Client, String), Reason> {
    let way = &options.way;
    let proxy = way.proxy.as_deref().map(|url| Proxy::parse(url, &way.no_proxy)).transpose()?;
    let text = proxy.as_ref().map_or("direct".to_owned(), |proxy| format!("proxy {}", proxy.address()));
    Ok((device::client(way.ca_file.as_deref(), proxy, clock)?, text))
}

/// The identity with the files of the command line.
fn given(identity: &Identity, options: &Options) -> Identity {
    let mut identity = identity.clone();
    match (&mut identity, &options.device.kind) {
        (Identity::ClientSecret { secret: file, .. }, Some(DeviceKind::ClientSecret(path)))
        | (Identity::Certificate { certificate: file, .. }, Some(DeviceKind::Certificate(path))) => {
            *file = CredentialFile::find(path.clone(), None);
        }
        _ => {}
    }
    identity
}
