//! A registry of OCI artefacts, read only, on an endpoint of its own: manifests, blobs and tags behind the token flow that
//! public registries have for anonymous readers, and blobs given by a redirect as they do it; beside it, plain files.
//!
//! What is pushed comes from a test alone. Nothing is checked when it is put there: a test may want it wrong.

use crate::wire::{Answer, Question, guid};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};

/// The media type of a manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What a repository holds.
#[derive(Default)]
struct Repository {
    /// Digest by tag.
    tags: BTreeMap<String, String>,
    /// Media type and bytes by digest.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    blobs: BTreeMap<String, Vec<u8>>,
    /// Gives nobody a token.
    private: bool,
}

/// All repositories, files and tokens.
#[derive(Default)]
pub struct Registry {
    repositories: BTreeMap<String, Repository>,
    files: BTreeMap<String, Vec<u8>>,
    /// Each with the scope that it is good for.
    tokens: HashSet<(String, String)>,
    /// Whether a token is wanted at all.
    pub open: bool,
}

impl Registry {
    /// Puts a blob there; returns its digest.
    pub fn blob(&mut self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.of(repository).blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Puts a manifest there, as it is, and lets a tag point to it; returns its digest.
    pub fn manifest(&mut self, repository: &str, tag: &str, manifest: &Value) -> String {
        let bytes = manifest.to_string().into_bytes();
        let digest = digest(&bytes);
        let kind = manifest["mediaType"].as_str().unwrap_or(MANIFEST).to_owned();
        let repository = self.of(repository);
        repository.manifests.insert(digest.clone(), (kind, bytes));
        repository.tags.insert(tag.to_owned(), digest.clone());
        digest
    }

    /// Puts an artefact of these layers (media type and bytes) there; returns its manifest's digest.
    pub fn artefact(
        &mut self,
        repository: &str,
        tag: &str,
        config: &str,
        layers: &[(&str, &[u8])],
        annotations: Value,
    ) -> String {
        let empty = self.blob(repository, b"{}");
        let layers: Vec<Value> = layers
            .iter()
            .map(|(kind, bytes)| json!({ "mediaType": kind, "digest": self.blob(repository, bytes), "size": bytes.len() }))
            .collect();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": { "mediaType": config, "digest": empty, "size": 2 },
            "layers": layers,
        });
        if !annotations.is_null() {
            manifest["annotations"] = annotations;
        }
        self.manifest(repository, tag, &manifest)
    }

    /// Lets other bytes be given for a digest: what a broken store does. Whether there is such a blob.
    pub fn corrupt(&mut self, repository: &str, digest: &str, bytes: &[u8]) -> bool {
        let blob = self.of(repository).blobs.get_mut(digest);
        blob.map(|blob| *blob = bytes.to_vec()).is_some()
    }

    /// Removes a tag; whether it was there.
    pub fn untag(&mut self, repository: &str, tag: &str) -> bool {
        self.of(repository).tags.remove(tag).is_some()
    }

    /// Whether anybody may read a repository.
    pub fn private(&mut self, repository: &str, private: bool) {
        self.of(repository).private = private;
    }

    /// Puts a file behind `/files/NAME`.
    pub fn file(&mut self, name: &str, bytes: &[u8]) {
        self.files.insert(name.to_owned(), bytes.to_vec());
    }

    fn of(&mut self, repository: &str) -> &mut Repository {
        self.repositories.entry(repository.to_owned()).or_default()
    }
}

/// `sha256:…` of bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, bytes);
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// Answers a request to the registry. `page` is how many tags a page has.
pub fn answer(registry: &mut Registry, page: usize, question: &Question) -> Answer {
    let answer = route(registry, page, question).unwrap_or_else(|refusal| refusal);
    answer.with("docker-distribution-api-version", "registry/2.0")
}

fn route(registry: &mut Registry, page: usize, question: &Question) -> Result<Answer, Answer> {
    if !matches!(question.method.as_str(), "GET" | "HEAD") {
        return Err(refuse(405, "UNSUPPORTED", "only to be read"));
    }
    let parts: Vec<&str> = question.path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["token"] => token(registry, question),
        ["files", name] => {
            let file = registry.files.get(*name).ok_or_else(|| refuse(404, "NOT_FOUND", "no such file"))?;
            Ok(Answer::bytes("application/gzip", file.clone()))
        }
        // Where blobs are kept; whoever knows the way needs no token, and one is a mistake of the client.
        ["storage", rest @ .., digest] => {
            let repository = registry.repositories.get(&rest.join("/"));
            let blob = repository.and_then(|r| r.blobs.get(*digest));
            if question.parameter("sig") != Some("fake") {
                return Err(refuse(403, "AuthenticationFailed", "the signature is missing"));
            }
            let blob = blob.ok_or_else(|| refuse(404, "BlobNotFound", "no such blob"))?;
            Ok(Answer::bytes("application/octet-stream", blob.clone()))
        }
        ["v2", ""] | ["v2"] => {
            allowed(registry, question, None)?;
            Ok(Answer::json(200, json!({})))
        }
        ["v2", name @ .., "tags", "list"] => tags(registry, page, question, &name.join("/")),
        ["v2", name @ .., "manifests", which] => {
            let name = name.join("/");
            let repository = found(registry, question, &name)?;
            let digest = repository.tags.get(*which).map_or(*which, String::as_str);
            let (kind, bytes) = repository
                .manifests
                .get(digest)
                .ok_or_else(|| refuse(404, "MANIFEST_UNKNOWN", "manifest unknown"))?;
            let accepted = question.header("accept").unwrap_or("*/*");
            if !accepted.split(',').any(|a| [kind.as_str(), "*/*"].contains(&a.trim())) {
                return Err(refuse(404, "MANIFEST_UNKNOWN", "a manifest of another type than is accepted"));
            }
            Ok(Answer::bytes(kind, bytes.clone()).with("docker-content-digest", digest))
        }
        ["v2", name @ .., "blobs", digest] => {
            let name = name.join("/");
            let repository = found(registry, question, &name)?;
            if !repository.blobs.contains_key(*digest) {
                return Err(refuse(404, "BLOB_UNKNOWN", "blob unknown to registry"));
            }
            Ok(Answer::empty(307).with("location", format!("/storage/{name}/{digest}?sig=fake")))
        }
        _ => Err(refuse(404, "NOT_FOUND", "no such route")),
    }
}

fn token(registry: &mut Registry, question: &Question) -> Result<Answer, Answer> {
    let scope = question.parameter("scope").unwrap_or_default().to_owned();
    let name = scope.strip_prefix("repository:").and_then(|rest| rest.strip_suffix(":pull"));
    let private = name.and_then(|name| registry.repositories.get(name)).is_some_and(|r| r.private);
    if question.parameter("service").is_none() || private {
        return Err(refuse(401, "UNAUTHORIZED", "authentication required"));
    }
    let token = guid();
    registry.tokens.insert((token.clone(), scope));
    Ok(Answer::json(200, json!({ "token": token, "expires_in": 300, "issued_at": crate::wire::now() })))
}

/// The repository, if there is one and this request may read it.
fn found<'a>(registry: &'a Registry, question: &Question, name: &str) -> Result<&'a Repository, Answer> {
    allowed(registry, question, Some(name))?;
    let repository = registry.repositories.get(name);
    repository.ok_or_else(|| refuse(404, "NAME_UNKNOWN", "repository name not known to registry"))
}

fn allowed(registry: &Registry, question: &Question, name: Option<&str>) -> Result<(), Answer> {
    let scope = name.map(|name| format!("repository:{name}:pull"));
    let token = question.bearer().map(str::to_owned);
    let good = token.is_some_and(|token| match &scope {
        Some(scope) => registry.tokens.contains(&(token, scope.clone())),
        None => registry.tokens.iter().any(|(t, _)| *t == token),
    });
    if registry.open || good {
        return Ok(());
    }
    let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
    let challenge = format!("Bearer realm=\"{}/token\",service=\"registry.example\"{scope}", question.base);
    Err(refuse(401, "UNAUTHORIZED", "authentication required").with("www-authenticate", challenge))
}

fn tags(registry: &Registry, page: usize, question: &Question, name: &str) -> Result<Answer, Answer> {
    let repository = found(registry, question, name)?;
    let last = question.parameter("last").unwrap_or_default();
    let rest: Vec<&String> = repository.tags.keys().filter(|tag| tag.as_str() > last).collect();
    let shown = rest.get(..page).unwrap_or(&rest);
    let answer = Answer::json(200, json!({ "name": name, "tags": shown }));
    Ok(match (shown.last(), rest.len() > shown.len()) {
        (Some(last), true) => {
            answer.with("link", format!("</v2/{name}/tags/list?last={last}&n={page}>; rel=\"next\""))
        }
        _ => answer,
    })
}

/// An error in the form of the distribution specification.
pub fn refuse(status: u16, code: &str, text: &str) -> Answer {
    Answer::json(status, json!({ "errors": [{ "code": code, "message": text }] }))
}
