//! From a configuration to the clients that the device talks to Azure with, one by one: the service makes them when it
//! first needs them, `connect` and `doctor` so that each can fail on a line of its own. Nothing is connected here.

use crate::azure::identity::{ArcServer, Certificate, ClientSecret, FederatedToken};
use crate::azure::{Cloud, Credential, Identity};
use crate::clock::Clock;
use crate::config;
use crate::core::Reason;
use crate::http::{Client, Options, Proxy, Roots};
use crate::scenario::extensions::{self, Catalogue};
use std::path::Path;

/// The cloud with what the configuration changes of it.
pub(crate) fn cloud(config: &config::Cloud) -> Result<Cloud, Reason> {
    let mut cloud = Cloud::by_name(&config.name)?;
    for (known, changed) in [
        (&mut cloud.login, &config.login),
        (&mut cloud.arm, &config.arm),
        (&mut cloud.arm_scope, &config.arm_scope),
        (&mut cloud.monitor_scope, &config.monitor_scope),
        (&mut cloud.vault_scope, &config.vault_scope),
    ] {
        if let Some(changed) = changed {
            known.clone_from(changed);
        }
    }
    Ok(cloud)
}

/// The charts that extensions may be. Read anew each time: people write into it.
pub(crate) fn catalogue(file: &Path) -> Result<Catalogue, Reason> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        let message = format!("the catalogue of charts {} cannot be read: {error}", file.display());
        Reason::new(extensions::code::BAD_CATALOGUE, message)
            .cure("write it, or name another in [desired] catalogue; docs/extensions.md has its form")
    })?;
    Catalogue::parse(&text)
}

/// The proxy, if there is one.
pub(crate) fn proxy(config: &config::Proxy) -> Result<Option<Proxy>, Reason> {
    let url = match (&config.url, &config.url_file) {
        (Some(url), _) => url.clone().into(),
        (None, Some(file)) => file.read_text()?,
        (None, None) => return Ok(None),
    };
    Proxy::parse(&url, &config.no_proxy).map(Some)
}

/// The client for all of Azure.
pub(crate) fn client(extra_ca: Option<&Path>, proxy: Option<Proxy>, clock: &Clock) -> Result<Client, Reason> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| {
            Reason::new("ExtraCa", format!("{} cannot be read: {error}", path.display()))
                .cure("put the authority's PEM there, readable for the service, or leave it out")
        })
    };
    let extra_pem = extra_ca.map(read).transpose()?;
    Client::new(Options::new(Roots::WebPki { extra_pem }, clock.clone()).proxy(proxy))
}

/// The device's identity.
pub(crate) fn identity(
    config: &config::Identity,
    cloud: &Cloud,
    client: &Client,
    clock: &Clock,
) -> Result<Identity, Reason> {
    use config::Identity as Kind;
    let (tenant, credential) = match config {
        Kind::ClientSecret { tenant, client, secret } => (
            tenant.as_str(),
            Credential::ClientSecret(ClientSecret::new(client.as_str(), &secret.read_text()?)),
        ),
        Kind::Certificate { tenant, client, certificate } => {
            let certificate = Certificate::from_pem(client.as_str(), &certificate.read()?)?;
            (tenant.as_str(), Credential::Certificate(Box::new(certificate)))
        }
        Kind::FederatedToken { tenant, client, token } => {
            (tenant.as_str(), Credential::FederatedToken(FederatedToken::new(client.as_str(), token)))
        }
        Kind::ArcServer { endpoint } => ("", Credential::ArcServer(ArcServer::new(endpoint)?)),
    };
    Ok(Identity::new(credential, tenant, cloud.clone(), client.clone(), clock.clone()))
}
