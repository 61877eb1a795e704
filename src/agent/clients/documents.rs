//! A document between the cache and the cluster: what it is rendered with, how its objects are put there, what becomes of
//! them.

use super::Clients;
use crate::agent::calls::{Note, Right};
use crate::agent::supply::Held;
use crate::config::Config;
use crate::core::document::{Key, Kind, ObjectRef, Picture, Supply};
use crate::core::job::JobView;
use crate::core::{Outcome, Reason};
use crate::k3s::made::names;
use crate::k3s::{self, NodeTotals, Owned, distribution, own};
use crate::scenario::extensions::{self, Site};
use crate::scenario::gitops;
use crate::scenario::supplies::{Naming, SecretWanted, Secrets, Supplies};
use serde_json::Value;

impl Clients {
    /// How the vault's secrets are called, if there is a vault.
    pub(super) fn naming(&self) -> Option<Naming> {
        let desired = &self.config.desired;
        desired.key_vault.as_ref().map(|_| Naming { prefix: desired.key_vault_prefix.clone() })
    }

    /// The secrets that a document needs from the vault.
    pub(super) fn secrets_of(&self, key: &Key, content: &[u8]) -> Vec<SecretWanted> {
        let Some(naming) = self.naming() else { return Vec::new() };
        match key.kind {
            Kind::Flux => gitops::needs(content, &naming),
            Kind::Extension => extensions::needs(content, &naming),
        }
    }

    /// What the cache has for a document, as rendering takes it.
    pub(super) fn supplies(&self, held: &Held) -> Supplies {
        let secrets = held.get(Supply::Secrets).map(Secrets::from_bytes).unwrap_or_default();
        Supplies {
            naming: self.naming(),
            versions: secrets.versions(),
            secrets: secrets.into_values(),
            chart: held.get(Supply::Chart).map(<[u8]>::to_vec),
        }
    }

    /// What a document is to be in the cluster. The inner error is the document's own.
    pub(super) fn objects(
        &self,
        client: &k3s::Client,
        key: &Key,
        content: &[u8],
        held: &Held,
    ) -> Result<Result<Vec<Value>, Reason>, Outcome> {
        let (served, supplies) = (client.served()?, self.supplies(held));
        Ok(match key.kind {
            Kind::Flux => gitops::render(content, &served, &supplies),
            Kind::Extension => extensions::render(content, &served, &supplies, &self.site(client)?),
        })
    }

    /// Puts a document's objects into the cluster. Where several agents take turns, what is made is noted there, too.
    pub(super) fn put(
        &self,
        client: &k3s::Client,
        key: &Key,
        objects: &[Value],
        noted: &[ObjectRef],
        right: &Right,
        note: &mut Note<'_>,
    ) -> Result<Owned, Outcome> {
        if !right.shared {
            return client.enforce(&key.to_string(), objects, noted, note);
        }
        let mut there = if right.anew { client.made(key)? } else { names(noted) };
        let known = match right.anew {
            true => own::by_marks(&[&there, noted], objects),
            false => noted.to_vec(),
        };
        let mut keep = |objects: &[ObjectRef]| -> Result<(), Outcome> {
            if names(objects) != there {
                client.keep_made(key, objects)?;
                there = names(objects);
            }
            Ok(())
        };
        let mut owned = client.enforce(&key.to_string(), objects, &known, &mut |objects| {
            note(objects)?;
            keep(objects).map_err(|outcome| {
                outcome
                    .reason()
                    .cloned()
                    .unwrap_or_else(|| Reason::new("Unnoted", "it cannot be noted what is made"))
            })
        })?;
        match keep(&owned.refs) {
            // It is made all the same, and the list of it must not get lost.
            Err(Outcome::Refused(reason)) if k3s::is_kubernetes_own(&reason) => {
                owned.refused.extend(owned.refs.first().map(|first| (first.clone(), reason)));
            }
            kept => kept?,
        }
        Ok(owned)
    }

    /// What the cluster makes of a document.
    pub(super) fn picture(
        &self,
        client: &k3s::Client,
        key: &Key,
        content: &[u8],
        held: &Held,
        live: &[Value],
    ) -> Result<Picture, Outcome> {
        match key.kind {
            Kind::Flux => Ok(gitops::picture(content, live, &self.releases(client, live)?)),
            Kind::Extension => {
                let job = self.job(client, key, "install", held)?;
                Ok(extensions::picture(live, &job))
            }
        }
    }

    /// The HelmReleases that a configuration's Kustomizations made. One that may not be seen says so itself.
    fn releases(
        &self,
        client: &k3s::Client,
        live: &[Value],
    ) -> Result<Vec<(gitops::Release, gitops::Seen)>, Outcome> {
        let look = |release: gitops::Release| {
            let resource = k3s::Resource {
                group: gitops::HELM_GROUP.into(),
                version: release.version.clone(),
                kind: "HelmRelease".into(),
                plural: "helmreleases".into(),
                namespaced: true,
            };
            match client.get(&resource, Some(&release.namespace), &release.name) {
                Ok(seen) => Ok((release, Ok(seen))),
                Err(Outcome::Refused(reason)) if k3s::is_kubernetes_own(&reason) => {
                    Ok((release, Err(reason)))
                }
                Err(other) => Err(other),
            }
        };
        gitops::releases(live).into_iter().map(look).collect()
    }

    /// What becomes of an extension's `install` or `delete`; Helm's words may quote its protected settings.
    pub(super) fn job(
        &self,
        client: &k3s::Client,
        key: &Key,
        deed: &str,
        held: &Held,
    ) -> Result<JobView, Outcome> {
        let mut job = client.job(extensions::NAMESPACE, &format!("helm-{deed}-{}", key.name))?;
        extensions::hide(&mut job, key, &self.supplies(held));
        Ok(job)
    }

    /// Where the cluster is, as charts are told. From the API server's own word, and not from what its nodes say today:
    /// another value is another release.
    fn site(&self, client: &k3s::Client) -> Result<Site, Outcome> {
        let Config { cluster, cloud, proxy, tls, .. } = &self.config;
        let found = distribution::detect(&NodeTotals::default(), &client.version()?);
        Ok(Site {
            cloud: cloud.name.clone(),
            cluster: cluster.id.to_string(),
            region: cluster.location.clone(),
            distribution: found.distribution.to_owned(),
            infrastructure: found.infrastructure.to_owned(),
            proxied: proxy.url.is_some() || proxy.url_file.is_some(),
            custom_ca: tls.extra_ca_file.is_some(),
        })
    }
}

/// The first refusal of an object, with the number of the others.
pub(super) fn refusal(refused: &[(ObjectRef, Reason)]) -> Option<Reason> {
    let ((_, first), others) = refused.split_first()?;
    let message = match others.len() {
        0 => first.message.clone(),
        1 => format!("{}; and one object more was refused", first.message),
        n => format!("{}; and {n} objects more were refused", first.message),
    };
    Some(Reason { message, ..first.clone() })
}
