//! The feed of arclet's own releases: a repository in a registry, one tag a train and version (`stable-1.2.3`).
//!
//! What is asked and in which order; what is to be believed of it is said in `scenario::upgrade`. One release's trouble
//! keeps nobody from the next one; only a feed that cannot be read at all is the link's.

use super::registry::{Judged, Registry, Repository};
use crate::core::{Outcome, Reason};
use crate::scenario::semver::Version;
use crate::scenario::upgrade::{self, Look, MOST_DOCUMENT, PublicKey, Release};

/// Bytes of a signature.
const SIGNATURE: usize = 64;

/// The feed of one train.
pub struct Releases {
    registry: Registry,
    feed: Repository,
    train: String,
    key: PublicKey,
}

impl Releases {
    /// Nothing is asked yet.
    pub fn new(registry: Registry, feed: Repository, train: &str, key: PublicKey) -> Releases {
        Releases { registry, feed, train: train.to_owned(), key }
    }

    /// The newest release after `own`. What is `known` is not fetched again while its tag points to the same manifest.
    pub fn look(&self, own: &str, known: Option<&Release>) -> Result<Look, Outcome> {
        // There is one feed: if it has no tags to show, nothing of it works.
        let tags = self.registry.tags(&self.feed)?.map_err(Outcome::Refused)?;
        let mut look = Look::default();
        for (tag, version) in upgrade::candidates(&tags, &self.train, own) {
            match self.release(&tag, &version, known)? {
                Ok(release) => {
                    look.newest = Some(release);
                    break;
                }
                // The newest one's trouble is shown.
                Err(reason) => drop(look.trouble.get_or_insert(reason)),
            }
        }
        Ok(look)
    }

    fn release(&self, tag: &str, version: &Version, known: Option<&Release>) -> Judged<Release> {
        let reference = match self.feed.tagged(tag) {
            Ok(reference) => reference,
            Err(reason) => return Ok(Err(reason)),
        };
        let (digest, manifest) = match self.registry.manifest(&reference)? {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        if let Some(known) =
            known.filter(|known| known.manifest == digest && known.version == version.as_str())
        {
            return Ok(Ok(known.clone()));
        }
        let what = reference.to_string();
        let layer = |kind: &str| manifest.layers.iter().find(|layer| layer.media_type == kind);
        let (Some(document), Some(signature)) = (layer(upgrade::DOCUMENT), layer(upgrade::SIGNATURE)) else {
            let text = format!("{what} has no document with a signature: it is no release of arclet");
            return Ok(Err(Reason::new("BadSignature", text).cure(
                "it is not offered: find out who pushed it (docs/upgrade.md says how a release is made)",
            )));
        };
        let document = self.registry.blob(&self.feed, &document.digest, MOST_DOCUMENT)?;
        let signature = self.registry.blob(&self.feed, &signature.digest, SIGNATURE)?;
        Ok(match (document, signature) {
            (Ok(document), Ok(signature)) => {
                upgrade::judge(&what, (&document, &signature), &self.key, (&self.train, version), digest)
            }
            (Err(reason), _) | (_, Err(reason)) => Err(reason),
        })
    }

    /// Which feed and train this is, to tell it from another configuration's.
    pub fn source(feed: &Repository, train: &str) -> String {
        format!("{feed} {train}")
    }
}
