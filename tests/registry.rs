//! What arclet relies on at a registry: the same properties against the stand-in, always, and against a real one when
//! ARCLET_TEST_REGISTRY names it (`tests/cluster/registry/run` gives one). It holds the stand-in to the real one; with the
//! variable set, a registry that cannot be reached fails the suite.
#![allow(clippy::unwrap_used, clippy::panic)] // a test: it fails by panicking

use arclet::azure::registry::{Reference, Registry, Repository, Which, code};
use arclet::azure::releases::Releases;
use arclet::clock::Clock;
use arclet::core::document::Digest;
use arclet::http::http::Method;
use arclet::http::{Client, Options, Request, Response, Roots};
use arclet::scenario::upgrade::{ARTEFACT, DOCUMENT, PublicKey, SIGNATURE};
use azure_standin::Azure;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

const CHART: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry, and a name in it that no other test has.
struct Rig {
    /// `None`: a real one.
    standin: Option<Azure>,
    client: Client,
    host: String,
    name: String,
}

impl Rig {
    fn new(name: &str) -> Rig {
        let real = std::env::var("ARCLET_TEST_REGISTRY").ok();
        let standin = real.is_none().then(|| Azure::start(azure_standin::Options::default()).unwrap());
        let host = match (&real, &standin) {
            (Some(real), _) => real.clone(),
            (None, Some(standin)) => standin.registry_url().replace("https://", "oci://"),
            (None, None) => panic!("there is one of them"),
        };
        let ca = standin.as_ref().map(|standin| standin.ca_pem().as_bytes().to_vec());
        let client = Client::new(Options::new(Roots::WebPki { extra_pem: ca }, Clock::new())).unwrap();
        // A run's own, for a real registry keeps what it was given.
        let name = format!("suite/{name}-{:x}", Clock::new().now().wall_ms);
        Rig { standin, client, host, name }
    }

    fn registry(&self) -> Registry {
        Registry::new(self.client.clone(), Clock::new())
    }

    fn repository(&self) -> Repository {
        Repository::parse(&format!("{}/{}", self.host, self.name)).unwrap()
    }

    fn at(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.host, self.name)
    }

    /// Pushes an artefact; the digest of its manifest.
    fn push(&self, tag: &str, config: &str, layers: &[(&str, &[u8])]) -> Digest {
        if let Some(standin) = &self.standin {
            let digest = standin.push(&self.name, tag, config, layers, Value::Null);
            let exact = Reference::parse(&format!("{}@{digest}", self.repository())).unwrap();
            let Which::Digest(digest) = exact.which else { panic!("{digest} is a digest") };
            return digest;
        }
        let described: Vec<Value> = layers.iter().map(|(kind, bytes)| self.upload(kind, bytes)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": self.upload(config, b"{}"), "layers": described,
        });
        let manifest = manifest.to_string().into_bytes();
        let digest = Digest::of(&manifest);
        let put = Request::new(Method::PUT, format!("{}/manifests/{tag}", self.base()));
        assert_eq!(self.call(&put.body(MANIFEST, manifest)).status, 201);
        digest
    }

    /// Puts a blob into a real registry, as the distribution specification has it; its descriptor.
    fn upload(&self, kind: &str, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", Digest::of(bytes));
        let begun = self.call(&Request::new(Method::POST, format!("{}/blobs/uploads/", self.base())));
        assert_eq!(begun.status, 202, "{begun:?}");
        let place = begun.header("location").unwrap();
        let mark = if place.contains('?') { '&' } else { '?' };
        let url = match place.starts_with('/') {
            true => format!("{}{place}", self.host.replace("oci+http://", "http://")),
            false => place.to_owned(),
        };
        let put = Request::new(Method::PUT, format!("{url}{mark}digest={digest}"));
        assert_eq!(self.call(&put.body("application/octet-stream", bytes.to_vec())).status, 201);
        json!({"mediaType": kind, "digest": digest, "size": bytes.len()})
    }

    fn base(&self) -> String {
        format!("{}/v2/{}", self.host.replace("oci+http://", "http://"), self.name)
    }

    fn call(&self, request: &Request) -> Response {
        self.client.call(request).unwrap()
    }
}

#[test]
fn a_chart_that_was_pushed_comes_back_by_its_tag_and_by_its_digest() {
    let rig = Rig::new("chart");
    let archive: Vec<u8> = (0..200_000u32).map(|n| ((n * 7919) >> 3) as u8).collect();
    let manifest = rig.push("1.2.3", "application/vnd.cncf.helm.config.v1+json", &[(CHART, &archive)]);
    let registry = rig.registry();
    let exact = format!("{}@sha256:{manifest}", rig.repository());
    for location in [rig.at("1.2.3"), exact.clone()] {
        let chart = registry.chart(&location, &Digest::of(&archive), 1 << 20).unwrap().unwrap();
        assert!(chart == archive, "{location}");
    }
    let reference = Reference::parse(&exact).unwrap();
    assert_eq!(reference.which, Which::Digest(manifest));
    let (digest, read) = registry.manifest(&reference).unwrap().unwrap();
    assert_eq!((digest, read.media_type.as_str(), read.layers.len()), (manifest, MANIFEST, 1));
    let own = |location: &str, digest: &Digest, limit| {
        registry.chart(location, digest, limit).unwrap().unwrap_err().code
    };
    assert_eq!(own(&rig.at("1.2.3"), &Digest::of(b"other"), 1 << 20), code::WRONG_DIGEST);
    assert_eq!(own(&rig.at("1.2.3"), &Digest::of(&archive), 1000), code::TOO_LARGE);
}

#[test]
fn what_is_not_there_is_the_things_own_trouble_and_names_it() {
    let rig = Rig::new("missing");
    let registry = rig.registry();
    let unknown = registry.tags(&rig.repository()).unwrap().unwrap_err();
    assert!(unknown.code == code::MISSING && unknown.message.contains("NAME_UNKNOWN"), "{unknown}");
    rig.push("1.0.0", "application/x.config", &[("application/x.layer", b"x")]);
    let tag = Reference::parse(&rig.at("9.9.9")).unwrap();
    let missing = registry.manifest(&tag).unwrap().unwrap_err();
    assert!(missing.code == code::MISSING && missing.message.contains("9.9.9"), "{missing}");
    let blob = registry.blob(&rig.repository(), &Digest::of(b"nowhere"), 100).unwrap().unwrap_err();
    assert_eq!(blob.code, code::MISSING);
    assert_eq!(registry.blob(&rig.repository(), &Digest::of(b"x"), 100).unwrap().unwrap(), b"x");
    // Not a chart.
    let other = registry.chart(&rig.at("1.0.0"), &Digest::of(b"x"), 100).unwrap().unwrap_err();
    assert_eq!(other.code, code::UNUSABLE);
}

#[test]
fn all_tags_are_seen_however_many_pages_they_take() {
    let rig = Rig::new("tags");
    if let Some(standin) = &rig.standin {
        standin.page_size(7);
    }
    // More than a page of distribution's, which has 100.
    let mut wanted: Vec<String> = (0..130).map(|n| format!("1.{n}.0")).collect();
    for tag in &wanted {
        rig.push(tag, "application/x.config", &[("application/x.layer", b"x")]);
    }
    let mut tags = rig.registry().tags(&rig.repository()).unwrap().unwrap();
    tags.sort();
    wanted.sort();
    assert_eq!(tags, wanted);
}

#[test]
fn a_release_is_found_in_a_feed_and_one_that_nobody_signed_is_passed_over() {
    let rig = Rig::new("feed");
    let owner = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let release = |version: &str, signer: &Ed25519KeyPair| {
        let document =
            json!({"kind": "arclet-release", "v": 1, "version": version, "train": "stable"}).to_string();
        let signature = signer.sign(document.as_bytes());
        let layers = [(DOCUMENT, document.as_bytes()), (SIGNATURE, signature.as_ref())];
        rig.push(&format!("stable-{version}"), ARTEFACT, &layers)
    };
    release("0.1.0", &owner);
    release("0.9.0", &owner);
    let newest = release("0.10.0", &owner);
    release("0.11.0", &Ed25519KeyPair::from_seed_unchecked(&[2; 32]).unwrap());
    let key = PublicKey(owner.public_key().as_ref().try_into().unwrap());
    let releases = Releases::new(rig.registry(), rig.repository(), "stable", key);
    let look = releases.look("0.1.0", None).unwrap();
    let found = look.newest.unwrap();
    assert_eq!((found.version.as_str(), found.manifest), ("0.10.0", newest));
    assert_eq!(look.trouble.unwrap().code, "BadSignature");
    assert_eq!(releases.look("0.1.0", Some(&found)).unwrap().newest, Some(found));
    assert_eq!(releases.look("0.11.0", None).unwrap(), Default::default());
}
