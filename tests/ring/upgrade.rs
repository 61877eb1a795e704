//! Newer releases: what the feed's owner signed is told, what nobody vouches for is not, and no link forgets nothing.

use crate::rig::{Agent, Rig, Setup, eventually, report};
use arclet::scenario::upgrade::{ARTEFACT, DOCUMENT, SIGNATURE};
use arclet::status::Status;
use azure_standin::Endpoint;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

/// The feed's owner, or somebody else.
fn owner(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed")
}

fn rig() -> Rig {
    let key = BASE64_STANDARD.encode(owner(1).public_key());
    Rig::new(Setup {
        report: report("1h", "1h", "24h"),
        upgrade: format!("feed = \"{{feed}}\"\npublic-key = \"{key}\"\ninterval = \"50ms\""),
        ..Setup::default()
    })
}

/// Pushes a release for this tag that says it is of this version.
fn push(rig: &Rig, tag: &str, version: &str, signer: &Ed25519KeyPair) {
    let document =
        json!({"kind": "arclet-release", "v": 1, "version": version, "train": "stable"}).to_string();
    let signature = signer.sign(document.as_bytes());
    let layers = [(DOCUMENT, document.as_bytes()), (SIGNATURE, signature.as_ref())];
    rig.azure.push("arclet", tag, ARTEFACT, &layers, Value::Null);
}

fn available(status: &Status) -> Option<&str> {
    status.upgrade.as_ref()?.available.as_deref()
}

fn looked(status: &Status) -> bool {
    status.upgrade.as_ref().is_some_and(|upgrade| upgrade.last_look.is_some())
}

/// Waits for a condition about this, of this code (or until there is none).
fn condition(agent: &mut Agent, about: &str, code: Option<&str>) -> Status {
    agent.wait(&format!("{about}: {code:?}"), |status| {
        let found = status.conditions.iter().find(|condition| condition.about == about);
        looked(status) && found.map(|condition| condition.reason.code.as_str()) == code
    })
}

/// The rows on this that arrived: state and version.
fn told(rig: &Rig) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    rig.arrived("upgrade").iter().map(|a| (text(&a.row["State"]), text(&a.row["Version"]))).collect()
}

fn is_told(rig: &Rig, state: &str, version: &str) {
    let wanted = (state.to_owned(), version.to_owned());
    eventually(&format!("a row that says {wanted:?}"), || (told(rig).last() == Some(&wanted)).then_some(()));
}

#[test]
fn a_signed_newer_release_is_told_once_and_stays_known_without_a_link_and_after_a_crash() {
    let rig = rig();
    let own = env!("CARGO_PKG_VERSION");
    push(&rig, &format!("stable-{own}"), own, &owner(1));
    push(&rig, "stable-0.0.9", "0.0.9", &owner(1));
    push(&rig, "preview-9.0.0", "9.0.0", &owner(1));
    let mut agent = rig.start();
    let status = agent.wait("a look at the feed", looked);
    assert_eq!(available(&status), None);
    is_told(&rig, "current", "");

    push(&rig, "stable-7.9.0", "7.9.0", &owner(1));
    push(&rig, "stable-7.10.0", "7.10.0", &owner(1));
    let status = agent.wait("7.10.0", |status| available(status) == Some("7.10.0"));
    let since = status.upgrade.and_then(|upgrade| upgrade.since);
    is_told(&rig, "upgradable", "7.10.0");

    agent.kill();
    rig.azure.cut(Endpoint::Registry);
    let mut agent = rig.start();
    let status = agent.wait("a look in vain", |status| {
        let link = status.links.iter().find(|link| link.endpoint == arclet::core::Endpoint::Releases);
        link.is_some_and(|link| link.state == "down")
    });
    let known = status.upgrade.as_ref().map(|upgrade| (upgrade.since.clone(), upgrade.last_look.clone()));
    assert_eq!((available(&status), known), (Some("7.10.0"), Some((since, None))));
    let others = |status: &Status| {
        status.links.iter().any(|link| link.endpoint == arclet::core::Endpoint::Ingest && link.state == "up")
    };
    agent.wait("the other links to be up", others);

    rig.azure.restore(Endpoint::Registry);
    let status = agent.wait("the feed again", looked);
    assert_eq!((available(&status), status.conditions.len()), (Some("7.10.0"), 0));
    push(&rig, "stable-8.0.0", "8.0.0", &owner(1));
    is_told(&rig, "upgradable", "8.0.0");
    let each = told(&rig);
    // What was killed may tell the same once more; what runs on does not.
    assert_eq!(each.iter().filter(|(_, version)| version == "8.0.0").count(), 1, "{each:?}");
    assert!(rig.azure.violations().is_empty(), "{:?}", rig.azure.violations());
}

#[test]
fn what_nobody_vouches_for_is_a_condition_and_never_an_upgrade() {
    let rig = rig();
    push(&rig, "stable-8.0.0", "8.0.0", &owner(2));
    let mut agent = rig.start();
    let status = condition(&mut agent, "upgrade", Some("BadSignature"));
    assert_eq!(available(&status), None);
    is_told(&rig, "unverified", "");

    // Signed for another version: the old release under a new name.
    push(&rig, "stable-8.0.0", "0.0.9", &owner(1));
    assert_eq!(available(&condition(&mut agent, "upgrade", Some("WrongRelease"))), None);

    // A good one beside it is available, and goes away for nobody.
    push(&rig, "stable-7.0.0", "7.0.0", &owner(1));
    agent.wait("7.0.0", |status| available(status) == Some("7.0.0"));
    rig.azure.untag("arclet", "stable-8.0.0");
    condition(&mut agent, "upgrade", None);
    rig.azure.untag("arclet", "stable-7.0.0");
    let status = condition(&mut agent, "upgrade", Some("ReleaseGone"));
    assert_eq!(available(&status), Some("7.0.0"));
}

#[test]
fn a_feed_that_is_not_for_everybody_says_so_and_heals() {
    let rig = rig();
    push(&rig, "stable-7.0.0", "7.0.0", &owner(1));
    rig.azure.make_private("arclet", true);
    let mut agent = rig.start();
    let status = agent.wait("the reason", |status| {
        status.conditions.iter().any(|c| c.about == "releases" && c.reason.code == "Forbidden")
    });
    assert_eq!(available(&status), None);
    rig.azure.make_private("arclet", false);
    agent.wait("7.0.0", |status| available(status) == Some("7.0.0") && status.conditions.is_empty());
}
