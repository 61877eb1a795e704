//! Whether there is a newer arclet: which of a feed's tags to look at, what a release's document must say, and what is
//! known of the feed from one look to the next. Installing is nobody's business in here.
//!
//! Nothing is available because a registry says so: a release is a document of the feed's owner, signed with Ed25519 over
//! its very bytes, for this train and this version (docs/upgrade.md). What is known never goes down: a feed that is shown
//! as it was last month hides nothing that was seen since.

use super::heartbeat::cut;
use super::semver::Version;
use crate::core::Reason;
use crate::core::document::Digest;
use base64::Engine;
use serde::{Deserialize, Serialize};

/// What a release's manifest says it is.
pub const ARTEFACT: &str = "application/vnd.arclet.release.config.v1+json";
/// The layer with the document: JSON.
pub const DOCUMENT: &str = "application/vnd.arclet.release.v1+json";
/// The layer with the signature: 64 bytes.
pub const SIGNATURE: &str = "application/vnd.arclet.release.v1.ed25519";
/// Bytes of a document that are read.
pub const MOST_DOCUMENT: usize = 64 << 10;
/// How many of a feed's newest versions are looked at until one can be trusted.
const MOST_CANDIDATES: usize = 3;
/// The key under which rows of this are kept, and their `Kind`.
pub const KIND: &str = "upgrade";
const VERSION: u32 = 1;

/// Whose signature counts: a raw Ed25519 public key. Not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// Reads PEM (`openssl pkey -pubout`), its base64 alone, or the base64 of the 32 bytes alone.
    pub fn parse(text: &str) -> Option<PublicKey> {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
        let bytes = base64::prelude::BASE64_STANDARD.decode(lines.collect::<String>()).ok()?;
        let raw = bytes.strip_prefix(SPKI.as_slice()).unwrap_or(&bytes);
        raw.try_into().ok().map(PublicKey)
    }
}

/// What DER has before the bytes of an Ed25519 public key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A release whose signature is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its version.
    pub version: String,
    /// Which train it is for.
    pub train: String,
    /// SHA-256 of its manifest: what is to be fetched by, whatever its tag says then.
    pub manifest: Digest,
    /// When it was released, in its own words.
    pub released: Option<String>,
}

/// What one look at the feed brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// The newest release that is newer than this program and can be trusted.
    pub newest: Option<Release>,
    /// What is wrong with a newer one.
    pub trouble: Option<Reason>,
}

/// The tags of a train that are versions after `own`, newest first, with what they are tags of: `stable-1.2.3`. No more than
/// are worth a look.
pub fn candidates(tags: &[String], train: &str, own: &str) -> Vec<(String, Version)> {
    let Some(own) = Version::parse(own) else { return Vec::new() };
    let version = |tag: &String| {
        let version = Version::parse(tag.strip_prefix(train)?.strip_prefix('-')?)?;
        (version > own).then(|| (tag.clone(), version))
    };
    let mut found: Vec<(String, Version)> = tags.iter().filter_map(version).collect();
    found.sort_by(|(_, one), (_, other)| other.cmp(one));
    found.dedup_by(|(one, _), (other, _)| one == other);
    found.truncate(MOST_CANDIDATES);
    found
}

/// What a document says, as far as it matters.
#[derive(Deserialize)]
struct Document {
    kind: String,
    v: u32,
    version: String,
    train: String,
    #[serde(default)]
    released: Option<String>,
}

/// Judges a release's document. The signature comes first: of a document that nobody vouches for nothing is read. `what`
/// names it for people.
pub fn judge(
    what: &str,
    (document, signature): (&[u8], &[u8]),
    key: &PublicKey,
    (train, version): (&str, &Version),
    manifest: Digest,
) -> Result<Release, Reason> {
    let signed = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key.0);
    if signed.verify(document, signature).is_err() {
        let text = format!("{what} is not signed with the key of [upgrade]");
        return Err(Reason::new("BadSignature", text).cure(
            "it is not offered: find out who pushed it; if the feed has a new key, set public-key to it",
        ));
    }
    let wrong = |why: String| {
        Reason::new("WrongRelease", format!("{what} is signed, but {why}"))
            .cure("it is not offered: whoever pushes releases has to push it again under its own tag")
    };
    let Ok(said) = serde_json::from_slice::<Document>(document) else {
        return Err(wrong("it is no release's document".into()));
    };
    if said.kind != "arclet-release" || said.v != VERSION {
        return Err(wrong("it is of a form that this version of arclet does not know".into()));
    }
    if said.version != version.as_str() || said.train != train {
        return Err(wrong(format!("for {} of the train {}", cut(&said.version), cut(&said.train))));
    }
    let released = said.released.as_deref().map(|text| cut(text).to_owned());
    Ok(Release { version: said.version, train: said.train, manifest, released })
}

/// What is known of the feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upgrade {
    /// Whose releases these are: the feed and the train.
    source: String,
    /// This program's version.
    own: String,
    known: Option<Known>,
    trouble: Option<Reason>,
    /// The row that Azure was told last.
    told: Option<Digest>,
}

/// The newest release that was ever seen, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Which.
    pub release: Release,
    /// When it was first seen, in milliseconds since 1970.
    pub since_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    v: u32,
    source: String,
    known: Option<Known>,
    told: Option<Digest>,
}

impl Upgrade {
    /// As it was remembered, if it is of the same feed; what this program is as new as by now is no news any more.
    pub fn restore(content: Option<&[u8]>, source: &str, own: &str) -> Upgrade {
        let document = content.and_then(|content| serde_json::from_slice::<Remembered>(content).ok());
        let (known, told) = match document.filter(|d| d.v == VERSION && d.source == source) {
            Some(document) => (document.known, document.told),
            None => (None, None),
        };
        let known = known.filter(|known| newer(&known.release.version, own));
        Upgrade { source: source.to_owned(), own: own.to_owned(), known, trouble: None, told }
    }

    /// The document to remember.
    pub fn document(&self) -> Vec<u8> {
        let document = Remembered {
            v: VERSION,
            source: self.source.clone(),
            known: self.known.clone(),
            told: self.told,
        };
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The feed was looked at. Whether there is something to remember.
    pub fn looked(&mut self, look: Look, now_ms: i64) -> bool {
        let before = self.known.clone();
        self.trouble = look.trouble;
        let newest = look.newest.filter(|release| newer(&release.version, &self.own));
        match (&mut self.known, newest) {
            (Some(known), Some(release)) if known.release.version == release.version => {
                known.release = release
            }
            (Some(known), newest)
                if newest.as_ref().is_none_or(|n| !newer(&n.version, &known.release.version)) =>
            {
                let text =
                    format!("the feed has no {} any more, which was there before", known.release.version);
                let gone = Reason::new("ReleaseGone", text).cure(
                    "if it was withdrawn, there is nothing to do but to wait for a newer one; if not, somebody shows this \
                     device an old feed",
                );
                self.trouble.get_or_insert(gone);
            }
            (known, Some(release)) => *known = Some(Known { release, since_ms: now_ms }),
            (_, None) => {}
        }
        self.known != before
    }

    /// The newest release that is newer than this program.
    pub fn available(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// What is wrong with the feed.
    pub fn trouble(&self) -> Option<&Reason> {
        self.trouble.as_ref()
    }

    /// What Azure is to be told, if it was not told the same before: a row of `columns::CONFIG`.
    pub fn news(&self) -> Option<Vec<u8>> {
        let body = self.row();
        (self.told != Some(Digest::of(&body))).then_some(body)
    }

    /// This row is durable.
    pub fn told(&mut self, row: &[u8]) {
        self.told = Some(Digest::of(row));
    }

    /// A report was lost.
    pub fn tell_again(&mut self) {
        self.told = None;
    }

    fn row(&self) -> Vec<u8> {
        let release = self.known.as_ref().map(|known| &known.release);
        let row = Row {
            kind: KIND,
            name: "arclet",
            state: match (release, &self.trouble) {
                (Some(_), _) => "upgradable",
                (None, Some(_)) => "unverified",
                (None, None) => "current",
            },
            digest: release.map(|release| release.manifest.to_string()),
            reason: self.trouble.as_ref().map(|reason| cut(&reason.code)),
            detail: self.trouble.as_ref().map(|reason| cut(&reason.message)),
            version: release.map(|release| cut(&release.version)),
            agent_version: &self.own,
        };
        // Text only: there is nothing in here that could fail to serialise.
        serde_json::to_vec(&row).unwrap_or_default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    kind: &'static str,
    name: &'static str,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    agent_version: &'a str,
}

/// Whether a version comes after another one; what is none does not.
fn newer(version: &str, than: &str) -> bool {
    match (Version::parse(version), Version::parse(than)) {
        (Some(version), Some(than)) => version > than,
        _ => false,
    }
}

#[cfg(test)]
#[path = "upgrade_tests.rs"]
mod tests;
