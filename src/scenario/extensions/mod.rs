//! Extensions: an extension of Azure becomes a HelmChart of k3s, and what comes of it becomes Azure's picture.
//!
//! Azure says which type, which release train and perhaps which version; a catalogue on the device says which chart that
//! is and what its bytes have to be. The chart is fetched and checked by the agent, kept in its cache, and goes into the
//! cluster inside the HelmChart: k3s's helm-controller installs it without a link.
//!
//! ```text
//!     document      what an extension says                 catalogue   type, train, version → chart and digest
//!     choose        which version it is to be              chart       a chart as the cache keeps it
//!     settings      `a.b[0]=x` → a tree of values          values      what Arc's charts expect to be told
//!     hidden        protected settings taken out of what the cluster says
//!     picture       HelmChart, its Job and its pods → pending, installing, succeeded, failed
//! ```
//!
//! Pure functions from bytes to objects and back: no I/O, no clock. Own design, Arc-like semantics.

mod catalogue;
mod chart;
mod choose;
mod document;
mod hidden;
mod picture;
mod settings;
#[cfg(test)]
mod tests;
mod values;

pub use catalogue::{Catalogue, Entry};
pub use chart::{Chart, MOST_CHART};
pub use choose::{Choice, Offer, Offers, Platform, choose};
pub use document::Extension;
pub use hidden::hide;
pub use picture::{picture, uninstalling};
pub use values::Site;

use crate::core::Reason;
use crate::core::document::{CHART_NOT_FETCHED, Digest, Key, Served};
use crate::core::wipe::wipe;
use crate::scenario::live::items;
use crate::scenario::mask;
use crate::scenario::supplies::{Naming, SecretWanted, Supplies};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The namespace of all HelmCharts that arclet makes, and of their Jobs.
pub const NAMESPACE: &str = "arclet-extensions";
/// Helm's controller, part of k3s.
pub const HELM: &str = "helm.cattle.io";
/// ARM's name of the settings that it never gives back, and of the vault's secret that stands in for them.
pub const PROTECTED: &str = "configurationProtectedSettings";
/// The key of the values' Secret.
const KEY: &str = "values.yaml";

/// The words that reasons are recognised by, beside those of every document.
pub mod code {
    pub use crate::scenario::fields::code::*;

    /// The catalogue has no chart for what the document wants.
    pub const NOT_IN_CATALOGUE: &str = "NotInCatalogue";
    /// The catalogue cannot be read.
    pub const BAD_CATALOGUE: &str = "BadCatalogue";
    /// Azure says that this version does not run on this Kubernetes.
    pub const UNSUPPORTED_KUBERNETES: &str = "UnsupportedKubernetes";
    /// The API server knows no HelmChart.
    pub const HELM_MISSING: &str = "HelmControllerMissing";
    /// A setting cannot be made into a value.
    pub const BAD_SETTING: &str = "BadSetting";
}

/// The objects of an extension in the order in which they are made: the Secret with its protected settings, the HelmChart.
///
/// `content` is the stored document: `{"id", "name", "properties": {…}}`; `supplies` has what was fetched for it. No reason
/// has a setting's value in its text.
pub fn render(
    content: &[u8],
    served: &Served,
    supplies: &Supplies,
    site: &Site,
) -> Result<Vec<Value>, Reason> {
    let mut extension = Extension::read(content)?;
    is_served(served)?;
    let chart =
        supplies.chart.as_deref().and_then(Chart::from_bytes).filter(|chart| chart.is_for(&extension));
    let Some(chart) = chart else {
        let message = format!("the chart of {} has not been fetched yet", extension.extension_type);
        return Err(Reason::new(CHART_NOT_FETCHED, message)
            .cure("it is fetched when its registry can be reached: arclet status says whether it can"));
    };
    if let Some(run) = chart.run.as_ref().filter(|_| !chart.may_be_what_is_wanted(&extension)) {
        // The last good one goes on as it was, until the other one is there.
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        extension.settings = run.settings.iter().map(owned).collect();
        extension.target = run.target.map(str::to_owned);
    }
    let protected = protected(&extension, supplies)?;
    let values = values::values(&extension, site)?.to_string();

    let namespace = match &extension.target {
        Some(namespace) => namespace.clone(),
        None => chart.release_namespace.unwrap_or(&extension.name).to_owned(),
    };
    let secret = secret_name(&extension, &chart, &values, supplies);
    let objects = vec![
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": secret, "namespace": NAMESPACE},
            "type": "Opaque",
            "data": {KEY: BASE64_STANDARD.encode(protected.as_bytes())},
        }),
        json!({
            "apiVersion": format!("{HELM}/v1"),
            "kind": "HelmChart",
            "metadata": {
                "name": extension.name,
                "namespace": NAMESPACE,
                // An address may have a signature in it.
                "annotations": {VERSION: chart.version, CHART: mask::text(chart.location)},
            },
            "spec": {
                "chartContent": BASE64_STANDARD.encode(chart.bytes),
                "targetNamespace": namespace,
                "createNamespace": true,
                "valuesContent": values,
                "valuesSecrets": [{"name": secret, "keys": [KEY]}],
                // The default, reinstall, takes what runs away before it tries again.
                "failurePolicy": "retry",
            },
        }),
    ];
    Ok(objects)
}

/// Whether the cluster knows HelmCharts.
pub fn is_served(served: &Served) -> Result<(), Reason> {
    if served.get(HELM).is_some_and(|versions| versions.iter().any(|version| version == "v1")) {
        return Ok(());
    }
    let message = format!("the API server serves no {HELM}/v1: nothing in this cluster installs charts");
    Err(Reason::new(code::HELM_MISSING, message)
        .cure("k3s brings helm-controller; it must not be started with --disable-helm-controller"))
}

/// Whether a node says that it has the image in which k3s runs Helm: without it nothing is installed without a link. A node
/// names at most 50 images (the kubelet's `nodeStatusMaxImages`), so a no is a doubt.
pub fn has_job_image(nodes: &[Value]) -> bool {
    let images = nodes.iter().flat_map(|node| items(node, "/status/images"));
    let mut names = images.flat_map(|image| items(image, "/names")).filter_map(Value::as_str);
    names.any(|name| name.contains("/klipper-helm"))
}

/// On the HelmChart: the version of the extension.
pub const VERSION: &str = "arclet.dev/version";
/// On the HelmChart: where its chart came from.
pub const CHART: &str = "arclet.dev/chart";

/// Helm-controller never says which state of a HelmChart a Job of it is about, but the Job names the Secrets that it
/// reads. So the Secret's name says all that the Job is to do: another chart, other values or another version of the
/// vault's secret is another name. (Not what is in the secret: a name is no place for a trace of it.)
fn secret_name(extension: &Extension, chart: &Chart<'_>, values: &str, supplies: &Supplies) -> String {
    let vault = supplies.naming.as_ref().map(|naming| protected_name(extension, naming));
    let version = vault.and_then(|name| supplies.versions.get(&name)).map(String::as_str).unwrap_or_default();
    let all = format!("{}\0{}\0{values}\0{version}", Digest::of(chart.bytes), chart.version);
    let mark: String = Digest::of(all.as_bytes()).to_string().chars().take(10).collect();
    format!("{}-{mark}", extension.name)
}

fn protected_name(extension: &Extension, naming: &Naming) -> String {
    protected_name_of(&extension.key(), naming)
}

fn protected_name_of(key: &Key, naming: &Naming) -> String {
    naming.secret(key, PROTECTED)
}

/// The protected settings as the text of a tree of values; `{}` without any.
fn protected(extension: &Extension, supplies: &Supplies) -> Result<Zeroizing<String>, Reason> {
    let named = supplies.naming.as_ref().map(|naming| protected_name(extension, naming));
    let held = named.and_then(|name| supplies.secrets.get_key_value(&name));
    let Some((name, text)) = held else { return Ok(Zeroizing::new("{}".to_owned())) };
    let bad = || {
        Reason::new(code::BAD_SETTING, format!("the vault's secret {name} is not a JSON object of texts"))
            .cure(format!("set {name} to {{\"key\": \"value\", …}}"))
    };
    let mut written: Value = serde_json::from_str(text).unwrap_or_default();
    let pairs = written.as_object().and_then(|map| {
        map.iter().map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect::<Option<Vec<_>>>()
    });
    let tree = pairs
        .ok_or_else(bad)
        .and_then(|pairs| settings::tree(json!({}), &pairs, &format!("the vault's secret {name}")));
    let text = tree.map(|mut tree| {
        let text = Zeroizing::new(tree.to_string());
        wipe(&mut tree);
        text
    });
    wipe(&mut written);
    text
}

/// The secrets that an extension needs from the vault. Nothing in ARM says whether there are any.
pub fn needs(content: &[u8], naming: &Naming) -> Vec<SecretWanted> {
    let wanted = |extension: Extension| SecretWanted {
        field: PROTECTED,
        vault_name: protected_name(&extension, naming),
        optional: true,
    };
    Extension::read(content).map(wanted).into_iter().collect()
}
