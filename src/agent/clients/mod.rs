//! The world as it is: the clients of Azure and of the cluster, made when they are first needed.
//!
//! Making one reads files (credentials, kubeconfig, authorities), which may not be there yet or may be replaced while the
//! agent runs. So a client is made within a call, on a worker; what cannot be made is that call's outcome; and what was
//! refused is made anew from its files the next time.

mod documents;

use super::calls::{Calls, Keep, Note, Right};
use super::charts;
use super::secrets;
use super::supply::{Fetched, Held};
use crate::azure::arm::{Arm, TagOperation};
use crate::azure::ingest::Ingest;
use crate::azure::registry::Registry;
use crate::azure::releases::Releases;
use crate::azure::vault::Vault;
use crate::azure::{Cloud, Identity, ResourceId, Token, desired, token_cache};
use crate::clock::Clock;
use crate::config::{self, Config, Upgrade};
use crate::core::difference::ObjectDiff;
use crate::core::document::{
    Confirmation, Digest, Enforced, Key, Kind, Listing, Needs, ObjectRef, Supply, Withdrawn,
};
use crate::core::lease;
use crate::core::{Endpoint, Outcome, Reason, Scope, Stream};
use crate::device;
use crate::http;
use crate::k3s::{self, NodeTotals, distribution, own};
use crate::scenario::extensions::{self, Extension, MOST_CHART, Platform};
use crate::scenario::flux::{self, Installation};
use crate::scenario::metadata::Facts;
use crate::scenario::supplies;
use crate::scenario::upgrade::{Look, Release};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The clients of one configuration.
pub struct Clients {
    config: Config,
    clock: Clock,
    azure: Made<http::Client>,
    login: Made<Identity>,
    arm: Made<Arm>,
    ingest: Made<Ingest>,
    vault: Made<Vault>,
    releases: Made<Releases>,
    registry: Made<Registry>,
    kubernetes: Made<k3s::Client>,
    /// The API server's version, as it was last seen; empty: not yet.
    version: Mutex<String>,
}

impl Clients {
    /// Nothing is read or connected yet.
    pub fn new(config: &Config, clock: Clock) -> Self {
        Clients {
            config: config.clone(),
            clock,
            azure: Made::default(),
            login: Made::default(),
            arm: Made::default(),
            ingest: Made::default(),
            vault: Made::default(),
            releases: Made::default(),
            registry: Made::default(),
            kubernetes: Made::default(),
            version: Mutex::default(),
        }
    }

    /// One connection pool and one set of authorities for all of Azure.
    fn azure(&self) -> Result<http::Client, Reason> {
        let make = || {
            let proxy = device::proxy(&self.config.proxy)?;
            device::client(self.config.tls.extra_ca_file.as_deref(), proxy, &self.clock)
        };
        self.azure.get_or(make).map(|client| (*client).clone())
    }

    /// The API server.
    fn cluster(&self) -> Result<Arc<k3s::Client>, Outcome> {
        let client = self.kubernetes.get_or(|| {
            let connection = k3s::kubeconfig::load(self.config.kubernetes.kubeconfig.location())?;
            k3s::Client::new(connection, self.clock.clone())
        });
        client.map_err(Outcome::Refused)
    }

    /// Azure Resource Manager, and the cluster's place in it.
    fn resource_manager(&self) -> Result<(Arc<Arm>, ResourceId), Outcome> {
        let arm = self.arm.get_or(|| Ok(Arm::new(&device::cloud(&self.config.cloud)?.arm, self.azure()?)));
        Ok((arm.map_err(Outcome::Refused)?, self.config.cluster.id.clone()))
    }

    fn version(&self) -> MutexGuard<'_, String> {
        self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn identity(&self) -> Result<Arc<Identity>, Reason> {
        self.login.get_or(|| {
            let cloud = device::cloud(&self.config.cloud)?;
            device::identity(&self.config.identity, &cloud, &self.azure()?, &self.clock)
        })
    }
}

impl Calls for Clients {
    fn observe(&self) -> Result<Facts, Outcome> {
        let client = self.cluster()?;
        let kubernetes_version = client.version()?;
        self.version().clone_from(&kubernetes_version);
        let totals = client.nodes()?;
        Ok(Facts {
            kubernetes_version,
            node_count: totals.nodes,
            vcpu_count: totals.vcpus(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    fn survey(&self) -> Result<Installation, Outcome> {
        let client = self.cluster()?;
        let served = client.served()?;
        let list = |selector| match k3s::Resource::known("apps/v1", "Deployment") {
            Some(deployments) => client.list(&deployments, None, selector),
            // It is one of those that are known by heart.
            None => Ok(Vec::new()),
        };
        let found = match list(flux::SELECTOR) {
            Ok(none) if none.is_empty() => {
                list(flux::OLD_SELECTOR).map(|found| flux::controllers(&found, true))
            }
            found => found.map(|found| flux::controllers(&found, false)),
        };
        match found {
            Ok(controllers) => Ok(Installation::new(&served, Ok(controllers))),
            Err(Outcome::Refused(reason) | Outcome::TooLarge(reason)) => {
                Ok(Installation::new(&served, Err(reason)))
            }
            Err(outcome) => Err(outcome),
        }
    }

    fn lease(&self, call: &lease::Call) -> lease::Answer {
        self.cluster().map_or(lease::Answer::Failed, |client| client.lease(call))
    }

    fn token(&self, scope: Scope, claims: Option<&str>) -> Result<Token, Outcome> {
        self.identity().map_err(Outcome::Refused)?.token(scope, claims)
    }

    fn post(&self, stream: Stream, body: &[u8], token: &str) -> Outcome {
        let ingest = self
            .ingest
            .get_or(|| Ok(Ingest::new(&self.config.ingest.endpoint, &self.config.ingest.dcr, self.azure()?)));
        match ingest {
            Ok(ingest) => {
                let (outcome, date_ms) = ingest.post(stream, body, token);
                // TLS proved who says so; a cluster's own API server may be as wrong as we are and teaches nothing.
                if let Some(date_ms) = date_ms {
                    self.clock.learn(date_ms);
                }
                outcome
            }
            Err(reason) => Outcome::Refused(reason),
        }
    }

    fn tag(&self, tags: &BTreeMap<String, String>, token: &str) -> Outcome {
        match self.resource_manager() {
            Ok((arm, id)) => arm.patch_tags(&id, TagOperation::Merge, tags, token),
            Err(outcome) => outcome,
        }
    }

    fn pull(&self, parent: bool, token: &str, keep: &mut Keep<'_>) -> Result<Listing, Outcome> {
        let (arm, id) = self.resource_manager()?;
        let source =
            desired::Resources { arm: &arm, cluster: &id, kinds: self.config.desired.kinds(), token };
        desired::listing(&source, parent, keep)
    }

    fn confirm(&self, key: &Key, token: &str) -> Result<Confirmation, Outcome> {
        let (arm, id) = self.resource_manager()?;
        arm.confirm(&id, key, token)
    }

    fn needs(&self, key: &Key, content: &[u8]) -> Needs {
        let secrets = match self.secrets_of(key, content).is_empty() {
            true => Needs::default(),
            false => Needs::default().and(Supply::Secrets),
        };
        match key.kind {
            Kind::Flux => secrets,
            Kind::Extension => secrets.and(Supply::Versions).and(Supply::Chart),
        }
    }

    fn supply(
        &self,
        key: &Key,
        content: &[u8],
        supply: Supply,
        held: &Held,
        token: Option<&str>,
    ) -> Result<Fetched, Outcome> {
        let nothing = Ok(Fetched::Kept { asked: false, trouble: None });
        match (supply, &self.config.desired.key_vault, token) {
            (Supply::Secrets, Some(url), Some(token)) => {
                let make = || Ok(Vault::new(url, self.azure()?, self.clock.clone()));
                let vault = self.vault.get_or(make).map_err(Outcome::Refused)?;
                let has = held.get(Supply::Secrets);
                secrets::fetch(&self.secrets_of(key, content), has, |name| vault.get(name, token))
            }
            (Supply::Versions, _, Some(token)) => {
                let Ok(extension) = Extension::read(content) else { return nothing };
                let (arm, id) = self.resource_manager()?;
                let Extension { extension_type, train, .. } = &extension;
                let listed = arm.extension_versions(&id, extension_type, train, token)?;
                Ok(charts::versions(held.get(Supply::Versions), listed))
            }
            (Supply::Chart, ..) => {
                let version = self.version().clone();
                let found = distribution::detect(&NodeTotals::default(), &version);
                let platform = Platform { version: &version, distribution: found.distribution };
                charts::fetch(
                    content,
                    held,
                    device::catalogue(&self.config.desired.catalogue),
                    &platform,
                    |location, digest| {
                        let registry =
                            self.registry.get_or(|| Ok(Registry::new(self.azure()?, self.clock.clone())));
                        registry.map_err(Outcome::Refused)?.chart(location, digest, MOST_CHART)
                    },
                )
            }
            _ => nothing,
        }
    }

    fn enforce(
        &self,
        key: &Key,
        content: &[u8],
        held: &Held,
        noted: &[ObjectRef],
        right: &Right,
        note: &mut Note<'_>,
    ) -> Result<(Enforced, Vec<ObjectRef>), Outcome> {
        let client = self.cluster()?.fenced(&right.fence);
        let mut objects = match self.objects(&client, key, content, held)? {
            Ok(objects) => objects,
            Err(reason) => return Ok((Enforced::Failed(reason), noted.to_vec())),
        };
        let owned = self.put(&client, key, &objects, noted, right, note);
        objects.iter_mut().for_each(supplies::wipe);
        let owned = match owned {
            // What was made before cannot be known, or noted.
            Err(Outcome::Refused(reason)) if k3s::is_kubernetes_own(&reason) => {
                return Ok((Enforced::Failed(reason), noted.to_vec()));
            }
            owned => owned?,
        };
        let enforced = match documents::refusal(&owned.refused) {
            None => Enforced::Applied {
                digest: Digest::of(content),
                picture: self.picture(&client, key, content, held, &owned.live)?,
            },
            Some(reason) => Enforced::Failed(reason),
        };
        Ok((enforced, owned.refs))
    }

    fn withdraw(
        &self,
        key: &Key,
        wanted: Option<&[u8]>,
        held: &Held,
        noted: &[ObjectRef],
        right: &Right,
    ) -> Result<Withdrawn, Outcome> {
        let client = self.cluster()?.fenced(&right.fence);
        let mut noted = noted.to_vec();
        if right.anew {
            // What cannot be rendered was not made either.
            let mut objects = match wanted {
                Some(content) => self.objects(&client, key, content, held)?.unwrap_or_default(),
                None => Vec::new(),
            };
            noted = own::by_marks(&[&client.made(key)?, &noted], &objects);
            objects.iter_mut().for_each(supplies::wipe);
        }
        let left = client.withdraw(&key.to_string(), &noted)?;
        if left.is_empty() && right.shared {
            client.drop_made(key)?;
        }
        let waits = |code: &str| [own::LEAVING, own::WAITS].contains(&code);
        Ok(match (left.iter().find(|(_, reason)| !waits(&reason.code)), left.first()) {
            (_, None) => Withdrawn::Gone,
            (Some((_, refused)), _) => Withdrawn::Failed(refused.clone()),
            (None, Some(_)) if key.kind == Kind::Extension => {
                let job = self.job(&client, key, "delete", held)?;
                Withdrawn::Waiting(extensions::uninstalling(&key.name, &job))
            }
            (None, Some((_, waiting))) => Withdrawn::Waiting(waiting.clone()),
        })
    }

    fn diff(
        &self,
        key: &Key,
        content: Option<&[u8]>,
        held: &Held,
        noted: &[ObjectRef],
    ) -> Result<Result<Vec<ObjectDiff>, Reason>, Outcome> {
        let client = self.cluster()?;
        let objects = match content {
            None => Ok(Vec::new()),
            Some(content) => self.objects(&client, key, content, held)?,
        };
        match objects {
            Ok(mut objects) => {
                let differences = client.diff(&key.to_string(), &objects, noted, DIFF_TIME);
                objects.iter_mut().for_each(supplies::wipe);
                differences.map(Ok)
            }
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn look(&self, known: Option<&Release>) -> Result<Look, Outcome> {
        // Nobody asks without a feed.
        let Some(Upgrade { feed, train, key, .. }) = &self.config.upgrade else { return Ok(Look::default()) };
        let releases = self.releases.get_or(|| {
            let registry = Registry::new(self.azure()?, self.clock.clone());
            Ok(Releases::new(registry, feed.clone(), train, *key))
        });
        releases.map_err(Outcome::Refused)?.look(env!("CARGO_PKG_VERSION"), known)
    }

    fn forget(&self, endpoint: Endpoint) {
        match endpoint {
            Endpoint::Kubernetes => self.kubernetes.forget(),
            Endpoint::Login => self.login.forget(),
            Endpoint::Arm => self.arm.forget(),
            Endpoint::Ingest => self.ingest.forget(),
            Endpoint::Vault => self.vault.forget(),
            Endpoint::Registry => self.registry.forget(),
            Endpoint::Releases => self.releases.forget(),
        }
        if endpoint != Endpoint::Kubernetes {
            self.azure.forget();
        }
    }
}

/// How long one document is compared; who asks is a person, and the call that is under way then has its own deadline.
const DIFF_TIME: Duration = Duration::from_secs(20);

/// Names whose tokens these are, for the sealed cache.
pub fn account(config: &Config) -> String {
    let (tenant, who) = match &config.identity {
        config::Identity::ClientSecret { tenant, client, .. }
        | config::Identity::Certificate { tenant, client, .. }
        | config::Identity::FederatedToken { tenant, client, .. } => (tenant.as_str(), client.as_str()),
        config::Identity::ArcServer { endpoint } => ("", endpoint.as_str()),
    };
    device::cloud(&config.cloud).map(|cloud| token_cache::account(&cloud, tenant, who)).unwrap_or_default()
}

/// Host names by endpoint, for the status.
pub fn hosts(config: &Config) -> [String; Endpoint::ALL.len()] {
    let host = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_owned()
    };
    let cloud = device::cloud(&config.cloud);
    let of = |pick: fn(&Cloud) -> &str| cloud.as_ref().map(|c| host(pick(c))).unwrap_or_default();
    // Where the cluster is stands in the kubeconfig; while there is none, its path says what is missing.
    let kubeconfig = &config.kubernetes.kubeconfig;
    let kubernetes = match k3s::kubeconfig::load(kubeconfig.location()) {
        Ok(connection) => host(&connection.server),
        Err(_) => kubeconfig.path.display().to_string(),
    };
    let login = match &config.identity {
        config::Identity::ArcServer { endpoint } => host(endpoint),
        _ => of(|c| &c.login),
    };
    // An endpoint without a host is not shown.
    let none = String::new;
    let vault = config.desired.key_vault.as_deref().map_or_else(none, host);
    // There may be several: the documents name theirs.
    let charts = if config.desired.extensions { "registries of the catalogue".to_owned() } else { none() };
    let releases = config.upgrade.as_ref().map_or_else(none, |upgrade| upgrade.feed.host().to_owned());
    [kubernetes, login, of(|c| &c.arm), host(&config.ingest.endpoint), vault, charts, releases]
}

/// Something that is made when it is first needed, and anew after it was forgotten.
struct Made<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Made<T> {
    fn default() -> Self {
        Made(Mutex::new(None))
    }
}

impl<T> Made<T> {
    fn get_or(&self, make: impl FnOnce() -> Result<T, Reason>) -> Result<Arc<T>, Reason> {
        let mut place = self.place();
        if let Some(made) = &*place {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(make()?);
        *place = Some(Arc::clone(&made));
        Ok(made)
    }

    fn forget(&self) {
        *self.place() = None;
    }

    /// A panic while making leaves the place empty: there is nothing half done in it.
    fn place(&self) -> MutexGuard<'_, Option<Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
