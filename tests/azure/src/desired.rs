//! What a test may do to what the user wants of a cluster: its configurations, its extensions, their listings, and the
//! secrets in the vault.
//! Clusters are named by their ARM ids, as everywhere.

use crate::Azure;
use crate::arm::children::kind::Kind;
use crate::arm::children::listing::Upset;
use crate::arm::types::TypeVersion;
use serde_json::{Value, json};
use std::time::Duration;

impl Azure {
    /// Puts a fluxConfiguration on a cluster, or replaces it. `properties` as a GET shows them, unchecked; what they
    /// lack is filled in, `provisioningState` with `Creating`.
    pub fn put_flux(&self, cluster: &str, name: &str, properties: Value) {
        self.put(cluster, Kind::Flux, name, properties);
    }

    /// Removes a fluxConfiguration as if it had never been; whether it was there.
    pub fn delete_flux(&self, cluster: &str, name: &str) -> bool {
        self.state().children.remove(cluster, Kind::Flux, name)
    }

    /// A fluxConfiguration as a GET shows it.
    pub fn flux(&self, cluster: &str, name: &str) -> Option<Value> {
        self.get(cluster, Kind::Flux, name)
    }

    /// The same as [`Azure::put_flux`] for an extension.
    pub fn put_extension(&self, cluster: &str, name: &str, properties: Value) {
        self.put(cluster, Kind::Extension, name, properties);
    }

    /// Removes an extension as if it had never been; whether it was there.
    pub fn delete_extension(&self, cluster: &str, name: &str) -> bool {
        self.state().children.remove(cluster, Kind::Extension, name)
    }

    /// An extension as a GET shows it.
    pub fn extension(&self, cluster: &str, name: &str) -> Option<Value> {
        self.get(cluster, Kind::Extension, name)
    }

    /// A new version of a secret, enabled and without dates; returns the version.
    pub fn put_secret(&self, name: &str, value: &str) -> String {
        let mut state = self.state();
        let now = state.clock.now();
        state.vault.set(now, name, &json!({ "value": value }))
    }

    /// Changes the newest version of a secret as a PATCH does: `{"attributes": {"enabled": false, "exp": 1}, "tags": …}`;
    /// whether there is one.
    pub fn change_secret(&self, name: &str, change: &Value) -> bool {
        let mut state = self.state();
        let now = state.clock.now();
        state.vault.change(now, name, None, change)
    }

    /// How many versions a secret has; 0 where there is none.
    pub fn secret_versions(&self, name: &str) -> usize {
        self.state().vault.versions(name)
    }

    /// Removes a secret with all its versions; whether it was there.
    pub fn delete_secret(&self, name: &str) -> bool {
        self.state().vault.remove(name)
    }

    /// One more version of an extension type, after those that are there. `properties`: `supportedClusterTypes`,
    /// `unsupportedKubernetesVersions`, and whatever else is to be shown.
    pub fn put_extension_version(&self, extension_type: &str, train: &str, version: &str, properties: Value) {
        let [name, train, version] = [extension_type, train, version].map(str::to_owned);
        self.state().types.push(TypeVersion { name, train, version, properties });
    }

    /// No extension type has any version.
    pub fn forget_extension_versions(&self) {
        self.state().types.clear();
    }

    /// What listings of configurations and extensions suffer from, instead of what they suffered from before.
    pub fn upset(&self, upsets: &[Upset]) {
        self.state().children.upsets = upsets.to_vec();
    }

    /// Moves on the clock by which documents are made and grow old and secrets are dated.
    pub fn advance(&self, by: Duration) {
        self.state().clock.advance(by);
    }

    /// Removes a cluster and with it all that was wanted of it; whether it was there.
    pub fn remove_cluster(&self, id: &str) -> bool {
        self.state().remove_cluster(id)
    }

    fn put(&self, cluster: &str, kind: Kind, name: &str, properties: Value) {
        let mut state = self.state();
        let now = state.clock.now();
        state.children.put(cluster, kind, name, properties, now);
    }

    fn get(&self, cluster: &str, kind: Kind, name: &str) -> Option<Value> {
        let mut state = self.state();
        state.age_documents();
        state.children.get(cluster, kind, name)
    }
}
