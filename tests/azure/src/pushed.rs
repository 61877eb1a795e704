//! What a test may do to the registry: push, spoil, withdraw. Repositories are named without their host.

use crate::Azure;
use serde_json::Value;

/// The media types of a chart: its configuration and its archive, as `helm push` has them.
const CHART: [&str; 2] =
    ["application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"];

impl Azure {
    /// Pushes an artefact of these layers (media type and bytes) with a tag, and annotations or null; returns its
    /// manifest's digest.
    pub fn push(
        &self,
        repository: &str,
        tag: &str,
        config: &str,
        layers: &[(&str, &[u8])],
        annotations: Value,
    ) -> String {
        self.state().registry.artefact(repository, tag, config, layers, annotations)
    }

    /// Pushes a chart's archive as Helm does; returns the archive's digest.
    pub fn push_chart(&self, repository: &str, tag: &str, archive: &[u8]) -> String {
        self.push(repository, tag, CHART[0], &[(CHART[1], archive)], Value::Null);
        crate::digest(archive)
    }

    /// Pushes a manifest as it is; returns its digest.
    pub fn push_manifest(&self, repository: &str, tag: &str, manifest: &Value) -> String {
        self.state().registry.manifest(repository, tag, manifest)
    }

    /// Gives these bytes for a blob's digest from now on; whether there is such a blob.
    pub fn corrupt_blob(&self, repository: &str, digest: &str, bytes: &[u8]) -> bool {
        self.state().registry.corrupt(repository, digest, bytes)
    }

    /// Removes a tag; whether it was there.
    pub fn untag(&self, repository: &str, tag: &str) -> bool {
        self.state().registry.untag(repository, tag)
    }

    /// Gives nobody a token for a repository, or anybody again.
    pub fn make_private(&self, repository: &str, private: bool) {
        self.state().registry.private(repository, private);
    }

    /// Lets everything be read without a token, or not.
    pub fn open_registry(&self, open: bool) {
        self.state().registry.open = open;
    }

    /// Puts a file on the registry's host: `{registry_url}/files/{name}`.
    pub fn put_file(&self, name: &str, bytes: &[u8]) {
        self.state().registry.file(name, bytes);
    }
}
