//! An image manifest (OCI image specification 1.1, Docker schema 2) as far as it says where the bytes are.

use crate::core::document::Digest;
use serde_json::Value;

/// What a manifest may be. An index of several is not asked for: a chart or release has one manifest.
pub(super) const ACCEPT: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
/// Layers that are read; a chart has one or two.
const MOST_LAYERS: usize = 64;

/// What a manifest says of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its SHA-256.
    pub digest: Digest,
    /// Its bytes, as the manifest has it.
    pub size: u64,
}

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What sort of manifest it is.
    pub media_type: String,
    /// Its configuration: says what sort of artefact it is.
    pub config: Descriptor,
    /// Its contents.
    pub layers: Vec<Descriptor>,
    /// Names and values; what is no text is left out.
    pub annotations: Vec<(String, String)>,
}

impl Manifest {
    /// Reads a manifest; an error says what is wrong with it.
    pub(super) fn read(body: &[u8], content_type: Option<&str>) -> Result<Manifest, &'static str> {
        let manifest: Value = serde_json::from_slice(body).map_err(|_| "it is no JSON")?;
        let said = content_type.and_then(|text| text.split(';').next()).map(str::trim);
        let media_type = manifest.get("mediaType").and_then(Value::as_str).or(said).unwrap_or_default();
        if manifest.get("manifests").is_some() || !ACCEPT.split(", ").any(|known| known == media_type) {
            return Err("it is no image manifest");
        }
        let config = manifest.get("config").and_then(descriptor).ok_or("it has no config")?;
        let layers = manifest.get("layers").and_then(Value::as_array).ok_or("it has no layers")?;
        if layers.len() > MOST_LAYERS {
            return Err("it has more than 64 layers");
        }
        let layers: Option<Vec<Descriptor>> = layers.iter().map(descriptor).collect();
        let annotations = manifest.get("annotations").and_then(Value::as_object).into_iter().flatten();
        Ok(Manifest {
            media_type: media_type.to_owned(),
            config,
            layers: layers.ok_or("one of its layers has no type, sha256 digest and size")?,
            annotations: annotations
                .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect(),
        })
    }

    /// An annotation's value.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

fn descriptor(value: &Value) -> Option<Descriptor> {
    Some(Descriptor {
        media_type: value.get("mediaType")?.as_str()?.to_owned(),
        digest: Digest::parse(value.get("digest")?.as_str()?)?,
        size: value.get("size")?.as_u64()?,
    })
}
