//! Which version an extension is to be: an explicit one, else what its way of upgrading allows. Only what the catalogue
//! has, and nothing that Azure says does not run on this Kubernetes.

use super::catalogue::{Catalogue, Entry};
use super::chart::Chart;
use super::code;
use super::document::{Extension, Upgrade};
use crate::core::Reason;
use crate::scenario::semver::Version;
use serde::{Deserialize, Serialize};

/// What an extension is to be.
#[derive(Debug)]
pub enum Choice<'a> {
    /// What the cache holds.
    Keep,
    /// This one.
    Take(&'a Entry),
}

/// The versions of a type that Azure lists (`extensionTypes/…/versions`), as the cache keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offers(pub Vec<Offer>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// `1.10.0`.
    pub version: String,
    /// On which it does not run: a distribution in lower case, empty for all, and versions of Kubernetes (`1.20`, `>1.22`,
    /// `1.18..1.21`).
    pub unsupported: Vec<(String, String)>,
}

/// The Kubernetes that it is to run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Platform<'a> {
    /// `v1.36.3+k3s1`; empty: not known yet.
    pub version: &'a str,
    /// `k3s`.
    pub distribution: &'a str,
}

impl Offers {
    /// What was stored; nothing, if it is not understood.
    pub fn from_bytes(bytes: &[u8]) -> Offers {
        serde_json::from_slice(bytes).unwrap_or_default()
    }

    /// Whether a version runs on this Kubernetes, as far as Azure says.
    fn runs(&self, version: &Version, platform: &Platform<'_>) -> bool {
        let of = self
            .0
            .iter()
            .find(|offer| Version::parse(&offer.version).is_some_and(|offered| offered == *version));
        let Some(of) = of else { return true };
        let here = |distribution: &str| distribution.is_empty() || distribution == platform.distribution;
        !of.unsupported
            .iter()
            .any(|(distribution, versions)| here(distribution) && covers(versions, platform.version))
    }

    /// The newest that the way of upgrading allows after `from`, if Azure lists one.
    fn newest_after(&self, from: &Version, upgrade: Upgrade, platform: &Platform<'_>) -> Option<Version> {
        let offered = self.0.iter().filter_map(|offer| Version::parse(&offer.version));
        let fits = |version: &Version| {
            version.is_release()
                && version > from
                && allowed(upgrade, from, version)
                && self.runs(version, platform)
        };
        offered.filter(fits).max()
    }
}

/// Chooses, and says what keeps a better choice from being made: a reason beside [`Choice::Keep`] is not a failure of what
/// is installed. An error: there is no chart at all for the document.
///
/// `held` is what the cache has for this document; `platform` what the API server says of itself.
pub fn choose<'a>(
    extension: &Extension,
    catalogue: &'a Catalogue,
    held: Option<&Chart<'_>>,
    offers: &Offers,
    platform: &Platform<'_>,
) -> Result<(Choice<'a>, Option<Reason>), Reason> {
    let entries: Vec<&Entry> = catalogue.of(&extension.extension_type, &extension.train).collect();
    let held = held.filter(|held| held.is_for(extension) && held.train == extension.train);
    if let Some(wanted) = &extension.version {
        let named = |entry: &&&Entry| match Version::parse(wanted) {
            Some(wanted) => entry.version == wanted,
            None => entry.version.as_str() == wanted,
        };
        let Some(entry) = entries.iter().find(named) else {
            return Err(not_in_catalogue(extension, catalogue, Some(wanted)));
        };
        if !offers.runs(&entry.version, platform) {
            return Err(unsupported(extension, &entry.version, platform));
        }
        return Ok((Choice::Take(entry), None));
    }
    let from = held.and_then(|held| Version::parse(held.version));
    let Some(from) = from else {
        // Nothing of it is installed: the newest release, or what there is if there is none.
        let newest = |releases: bool| {
            let fit = entries.iter().filter(|entry| entry.version.is_release() || !releases);
            fit.filter(|entry| offers.runs(&entry.version, platform)).max_by_key(|entry| &entry.version)
        };
        return match (newest(true).or_else(|| newest(false)), entries.first()) {
            (Some(entry), _) => Ok((Choice::Take(entry), lag(extension, &entry.version, offers, platform))),
            (None, Some(entry)) => Err(unsupported(extension, &entry.version, platform)),
            (None, None) => Err(not_in_catalogue(extension, catalogue, None)),
        };
    };
    let fits = |entry: &&&Entry| {
        let version = &entry.version;
        // Its own version again: the catalogue may have another place or digest for it now.
        let again = *version == from;
        let newer = *version > from && version.is_release() && allowed(extension.upgrade, &from, version);
        again || newer && offers.runs(version, platform)
    };
    let best = entries.iter().filter(fits).max_by_key(|entry| &entry.version);
    let lag = lag(extension, best.map_or(&from, |entry| &entry.version), offers, platform);
    Ok((best.map_or(Choice::Keep, |entry| Choice::Take(entry)), lag))
}

fn allowed(upgrade: Upgrade, from: &Version, to: &Version) -> bool {
    match upgrade {
        Upgrade::None => false,
        Upgrade::Patch => (from.major, from.minor) == (to.major, to.minor),
        Upgrade::Compatible => from.major == to.major,
    }
}

/// Azure has a newer one that the catalogue lacks.
fn lag(extension: &Extension, at: &Version, offers: &Offers, platform: &Platform<'_>) -> Option<Reason> {
    let newer = offers.newest_after(at, extension.upgrade, platform)?;
    let message = format!(
        "Azure has {} {newer} ({}), which the catalogue does not have: {at} stays",
        extension.extension_type, extension.train
    );
    Some(
        Reason::new(code::NOT_IN_CATALOGUE, message)
            .cure("add its chart and digest to the catalogue, once it is to be trusted"),
    )
}

fn not_in_catalogue(extension: &Extension, catalogue: &Catalogue, version: Option<&str>) -> Reason {
    let trains = catalogue.trains(&extension.extension_type);
    let what = version.map(|version| format!(" {version}")).unwrap_or_default();
    let known = match trains.is_empty() {
        true => "nothing of that type".to_owned(),
        false => format!("of that type: {}", known(extension, catalogue, &trains)),
    };
    let message = format!(
        "the catalogue has no chart for {}{what} ({}); it has {known}",
        extension.extension_type, extension.train
    );
    Reason::new(code::NOT_IN_CATALOGUE, message)
        .cure("add its chart and digest to the file that [desired] catalogue names")
}

fn known(extension: &Extension, catalogue: &Catalogue, trains: &[&str]) -> String {
    let of = |train: &str| -> Vec<String> {
        catalogue.of(&extension.extension_type, train).map(|e| e.version.to_string()).take(8).collect()
    };
    trains
        .iter()
        .take(4)
        .map(|train| format!("{train} {}", of(train).join(" ")))
        .collect::<Vec<_>>()
        .join(", ")
}

fn unsupported(extension: &Extension, version: &Version, platform: &Platform<'_>) -> Reason {
    let message = format!(
        "Azure says that {} {version} does not run on Kubernetes {}",
        extension.extension_type, platform.version
    );
    Reason::new(code::UNSUPPORTED_KUBERNETES, message)
        .cure("choose another version of it, or another of Kubernetes")
}

/// Whether an expression covers a version of Kubernetes: `1.20`, `1.18..1.21`, `>1.22`, `>=`, `<`, `<=`. One that is not
/// understood covers none: what Azure only advises is no reason to stop.
fn covers(expression: &str, kubernetes: &str) -> bool {
    let Some(at) = numbers(kubernetes) else { return false };
    let (expression, at) = (expression.trim(), at.as_slice());
    // As far as the expression says: 1.22.5 is 1.22.
    let cut = |to: &[u64]| at.iter().copied().take(to.len()).collect::<Vec<u64>>();
    if let Some((low, high)) = expression.split_once("..") {
        let (Some(low), Some(high)) = (numbers(low), numbers(high)) else { return false };
        return cut(&low) >= low && cut(&high) <= high;
    }
    type Order = fn(&[u64], &[u64]) -> bool;
    let orders: [(&str, Order); 4] =
        [(">=", |a, b| a >= b), ("<=", |a, b| a <= b), (">", |a, b| a > b), ("<", |a, b| a < b)];
    let order = orders.into_iter().find_map(|(sign, order)| Some((expression.strip_prefix(sign)?, order)));
    let (number, order) = order.unwrap_or((expression, |a, b| a == b));
    numbers(number).is_some_and(|number| order(&cut(&number), &number))
}

/// `1.22.5+k3s1` → 1, 22, 5.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let plain = text.trim().trim_start_matches('v').split(['+', '-']).next()?;
    plain.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_kubernetes_are_read_as_azure_writes_them() {
        for (expression, kubernetes, covered) in [
            ("1.20", "v1.20.4+k3s1", true),
            ("1.20", "v1.21.0", false),
            (">1.22", "v1.22.9", false),
            (">1.22", "v1.23.0", true),
            (">=1.22", "v1.22.9", true),
            ("<1.22", "v1.21.9", true),
            ("<=1.21.3", "v1.21.4", false),
            ("1.18..1.21", "v1.18.0", true),
            ("1.18..1.21", "v1.21.14+k3s2", true),
            ("1.18..1.21", "v1.22.0", false),
            ("", "v1.22.0", false),
            ("1.x", "v1.22.0", false),
            ("1.20", "", false),
        ] {
            assert_eq!(covers(expression, kubernetes), covered, "{expression} {kubernetes}");
        }
    }
}
