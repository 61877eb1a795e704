//! `[upgrade]`: where newer releases of arclet are looked for, and whose signature counts. Off without a feed.

use super::error::Kind;
use super::section::Section;
use crate::azure::registry::Repository;
use crate::azure::releases::Releases;
use crate::core::settings::{Profile, UpgradeSettings};
use crate::scenario::upgrade::PublicKey;
use std::time::Duration;

/// Where newer releases are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The repository.
    pub feed: Repository,
    /// Which of its trains.
    pub train: String,
    /// Whose signature counts.
    pub key: PublicKey,
    /// Between looks.
    pub interval: Duration,
}

impl Upgrade {
    /// What the core is told of it.
    pub(super) fn settings(&self) -> UpgradeSettings {
        UpgradeSettings {
            interval: self.interval,
            train: self.train.clone(),
            source: Releases::source(&self.feed, &self.train),
        }
    }
}

pub(super) fn upgrade(mut section: Section<'_, '_>, profile: Profile) -> Option<Upgrade> {
    let feed = section.parsed("feed", |text| Repository::parse(text).map_err(|reason| reason.to_string()));
    let train = section.parsed("train", train).unwrap_or_else(|| "stable".to_owned());
    let step = "the public key of whoever signs the feed's releases (docs/upgrade.md)";
    let key = match section.text("public-key") {
        Some(text) => {
            let key = PublicKey::parse(&text);
            if key.is_none() {
                let why = "it is no Ed25519 public key in PEM or base64".to_owned();
                section.wrong("public-key", Kind::BadValue(why), step);
            }
            key
        }
        None => {
            if feed.is_some() {
                section.wrong("public-key", Kind::Missing, step);
            }
            None
        }
    };
    // As for reports: below a minute is for laboratories.
    let bounds = Duration::from_millis(10)..=Duration::from_secs(30 * 86_400);
    let interval = section.duration("interval", bounds);
    let interval = interval.unwrap_or_else(|| UpgradeSettings::interval(profile));
    Some(Upgrade { feed: feed?, train, key: key?, interval })
}

/// The first word of a tag.
fn train(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    match text.len() <= 32 && text.bytes().all(plain) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not at most 32 lower-case letters and digits")),
    }
}
