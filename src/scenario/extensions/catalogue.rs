//! Which chart an extension is: a file on the device, so that nothing gets into the cluster that its owner did not name.
//!
//! Azure's own agents learn this from a service that has no public contract. Here a person writes down, for each type,
//! train and version, where the chart is and the SHA-256 of its bytes.

use super::code;
use crate::core::Reason;
use crate::core::document::Digest;
use crate::scenario::names;
use crate::scenario::semver::Version;
use serde::Deserialize;

/// The charts that may be installed.
#[derive(Clone, Debug, Default)]
pub struct Catalogue(Vec<Entry>);

/// One chart.
#[derive(Clone, Debug)]
pub struct Entry {
    /// `microsoft.flux`, in lower case.
    pub extension_type: String,
    /// `stable`, in lower case.
    pub train: String,
    /// Of the extension, as Azure says it; not always the chart's own.
    pub version: Version,
    /// `oci://host/repository:tag` or `https://host/path/chart.tgz`; `oci+http://` for a registry on this machine.
    pub location: String,
    /// SHA-256 of the packed chart.
    pub digest: Digest,
    /// Where it goes if the document does not say.
    pub release_namespace: Option<String>,
}

impl Catalogue {
    /// Reads the file's text.
    pub fn parse(text: &str) -> Result<Catalogue, Reason> {
        let file: File = toml::from_str(text).map_err(|error| {
            let line =
                error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            bad(&format!("line {line}"), error.message())
        })?;
        let mut entries: Vec<Entry> = Vec::with_capacity(file.chart.len());
        for (at, chart) in file.chart.into_iter().enumerate() {
            let entry = chart.read().map_err(|what| bad(&format!("chart {}", at + 1), &what))?;
            let same = |other: &&Entry| {
                other.is(&entry.extension_type, &entry.train) && other.version == entry.version
            };
            if entries.iter().find(same).is_some() {
                let what =
                    format!("{} {} of {} is there twice", entry.extension_type, entry.version, entry.train);
                return Err(bad(&format!("chart {}", at + 1), &what));
            }
            entries.push(entry);
        }
        Ok(Catalogue(entries))
    }

    /// How many charts it has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The charts of a type and train, both in lower case.
    pub fn of<'a>(&'a self, extension_type: &str, train: &str) -> impl Iterator<Item = &'a Entry> {
        self.0.iter().filter(move |entry| entry.is(extension_type, train))
    }

    /// The trains that it has of a type.
    pub fn trains(&self, extension_type: &str) -> Vec<&str> {
        let of_type = self.0.iter().filter(|entry| entry.extension_type == extension_type);
        let mut trains: Vec<&str> = of_type.map(|entry| entry.train.as_str()).collect();
        trains.sort_unstable();
        trains.dedup();
        trains
    }
}

impl Entry {
    fn is(&self, extension_type: &str, train: &str) -> bool {
        self.extension_type == extension_type && self.train == train
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    chart: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Written {
    r#type: String,
    #[serde(default = "stable")]
    train: String,
    version: String,
    chart: String,
    digest: String,
    release_namespace: Option<String>,
}

fn stable() -> String {
    "stable".into()
}

impl Written {
    fn read(self) -> Result<Entry, String> {
        let version = Version::parse(&self.version)
            .ok_or_else(|| format!("version {:?} is not of the form 1.2.3", self.version))?;
        let place = ["oci://", "https://", "oci+http://"]
            .into_iter()
            .find_map(|scheme| self.chart.strip_prefix(scheme));
        if place.is_none_or(|place| place.is_empty() || place.contains(char::is_whitespace)) {
            return Err(format!("chart {:?} begins with neither oci:// nor https://", self.chart));
        }
        let digest = Digest::parse(&self.digest)
            .ok_or("digest is not sha256: and 64 hexadecimal digits in lower case")?;
        if let Some(namespace) = &self.release_namespace {
            names::label("release-namespace", namespace).map_err(|reason| reason.message)?;
        }
        Ok(Entry {
            extension_type: self.r#type.to_lowercase(),
            train: self.train.to_lowercase(),
            version,
            location: self.chart,
            digest,
            release_namespace: self.release_namespace,
        })
    }
}

fn bad(place: &str, what: &str) -> Reason {
    Reason::new(code::BAD_CATALOGUE, format!("the catalogue of charts is not understood, {place}: {what}"))
        .cure("mend the file that [desired] catalogue names; docs/extensions.md has its form")
}
