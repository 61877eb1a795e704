use super::*;
use crate::scenario::columns::CONFIG;
use ring::signature::{Ed25519KeyPair, KeyPair};

fn pair(seed: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let key = PublicKey(pair.public_key().as_ref().try_into().unwrap());
    (pair, key)
}

fn text(version: &str, train: &str) -> String {
    serde_json::json!({"kind": "arclet-release", "v": 1, "version": version, "train": train, "released": "2026-11-20T10:00:00Z", "later": [1]})
        .to_string()
}

fn judged(document: &str, signature: &[u8], key: &PublicKey) -> Result<Release, Reason> {
    let version = Version::parse("0.2.0").unwrap();
    judge(
        "oci://h/arclet:stable-0.2.0",
        (document.as_bytes(), signature),
        key,
        ("stable", &version),
        Digest([1; 32]),
    )
}

fn release(version: &str) -> Release {
    Release { version: version.into(), train: "stable".into(), manifest: Digest([2; 32]), released: None }
}

fn look(version: &str) -> Look {
    Look { newest: Some(release(version)), trouble: None }
}

fn fresh() -> Upgrade {
    Upgrade::restore(None, "oci://h/arclet stable", "0.1.0")
}

fn shown(upgrade: &Upgrade) -> serde_json::Value {
    serde_json::from_slice(&upgrade.row()).unwrap()
}

#[test]
fn tags_of_the_train_after_our_own_version_are_looked_at_newest_first_as_semver_orders_them() {
    let tags = [
        "stable-0.1.9",
        "stable-0.1.10",
        "stable-0.1.10-rc.1",
        "stable-0.1.2",
        "stable-0.1.0",
        "stable-0.0.9",
        "preview-9.0.0",
        "stable",
        "stable-",
        "stable-latest",
        "latest",
        "0.9.0",
        "stable-0.1.10",
        "unstable-1.0.0",
    ]
    .map(str::to_owned);
    let of = |train, own| -> Vec<String> {
        candidates(&tags, train, own).into_iter().map(|(tag, _)| tag).collect()
    };
    assert_eq!(of("stable", "0.1.0"), ["stable-0.1.10", "stable-0.1.10-rc.1", "stable-0.1.9"]);
    assert_eq!(of("preview", "0.1.0"), ["preview-9.0.0"]);
    assert_eq!(of("stable", "0.1.10"), [""; 0]);
    assert_eq!(of("stable", "0.1.10-rc.1"), ["stable-0.1.10"], "a release comes after its candidates");
    assert_eq!(of("nightly", "0.1.0"), [""; 0]);
}

#[test]
fn a_key_is_read_as_openssl_writes_it_and_as_its_bytes() {
    let (_, key) = pair(7);
    let raw = base64::prelude::BASE64_STANDARD.encode(key.0);
    let der = base64::prelude::BASE64_STANDARD.encode([SPKI.as_slice(), &key.0].concat());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    for text in [&raw, &der, &pem] {
        assert_eq!(PublicKey::parse(text), Some(key), "{text}");
    }
    for text in ["", "x", "-----BEGIN PUBLIC KEY-----", &raw[..40], &format!("{raw}{raw}")] {
        assert_eq!(PublicKey::parse(text), None, "{text}");
    }
}

#[test]
fn a_release_is_what_the_feeds_owner_signed_for_this_train_and_version() {
    let (pair, key) = pair(7);
    let document = text("0.2.0", "stable");
    let signature = pair.sign(document.as_bytes());
    let release = judged(&document, signature.as_ref(), &key).unwrap();
    assert_eq!(
        (release.version.as_str(), release.released.as_deref()),
        ("0.2.0", Some("2026-11-20T10:00:00Z"))
    );
    assert_eq!(release.manifest, Digest([1; 32]));
}

#[test]
fn nothing_else_is_a_release_whoever_signed_it() {
    let (pair, key) = pair(7);
    let (other, _) = self::pair(8);
    let document = text("0.2.0", "stable");
    let signature = pair.sign(document.as_bytes());
    let mut broken = signature.as_ref().to_vec();
    broken[63] ^= 1;
    for (document, signature) in [
        (document.clone(), other.sign(document.as_bytes()).as_ref().to_vec()),
        (document.clone(), broken),
        (document.clone(), Vec::new()),
        (document.clone(), signature.as_ref()[..63].to_vec()),
        (document.replace("0.2.0", "0.3.0"), signature.as_ref().to_vec()),
        (format!("{document} "), signature.as_ref().to_vec()),
    ] {
        let reason = judged(&document, &signature, &key).unwrap_err();
        assert!(reason.code == "BadSignature" && reason.message.contains("stable-0.2.0"), "{reason}");
    }
    for signed in [
        text("0.3.0", "stable"),
        text("0.2.0", "preview"),
        text("v0.2.0", "stable"),
        "{}".into(),
        "[1".into(),
        document.replace("\"v\":1", "\"v\":2"),
        document.replace("arclet-release", "something-else"),
    ] {
        let reason = judged(&signed, pair.sign(signed.as_bytes()).as_ref(), &key).unwrap_err();
        assert_eq!(reason.code, "WrongRelease", "{signed}");
    }
}

#[test]
fn what_is_newer_is_available_since_it_was_first_seen_also_after_a_restart() {
    let mut upgrade = fresh();
    assert_eq!((upgrade.available(), shown(&upgrade)["State"].as_str()), (None, Some("current")));
    assert!(!upgrade.looked(Look::default(), 5));
    assert!(upgrade.looked(look("0.2.0"), 10));
    assert!(!upgrade.looked(look("0.2.0"), 20), "nothing new");
    assert_eq!(upgrade.available().unwrap().since_ms, 10);
    let back = Upgrade::restore(Some(&upgrade.document()), "oci://h/arclet stable", "0.1.0");
    assert_eq!(back.available(), upgrade.available());
    let row = shown(&back);
    assert_eq!(
        (row["State"].as_str(), row["Version"].as_str(), row["AgentVersion"].as_str()),
        (Some("upgradable"), Some("0.2.0"), Some("0.1.0"))
    );
    // Installed meanwhile; another feed; bytes of another version.
    for (content, source, own) in [
        (upgrade.document(), "oci://h/arclet stable", "0.2.0"),
        (upgrade.document(), "oci://h/arclet preview", "0.1.0"),
        (
            br#"{"v":2,"source":"oci://h/arclet stable","known":null,"told":null}"#.to_vec(),
            "oci://h/arclet stable",
            "0.1.0",
        ),
    ] {
        assert_eq!(Upgrade::restore(Some(&content), source, own).available(), None);
    }
}

#[test]
fn a_downgrade_is_no_upgrade_and_an_old_feed_hides_nothing_that_was_seen() {
    let mut upgrade = fresh();
    upgrade.looked(look("0.0.9"), 1);
    upgrade.looked(look("0.1.0"), 1);
    assert_eq!(upgrade.available(), None);
    upgrade.looked(look("0.3.0"), 2);
    for old in [look("0.2.0"), Look::default()] {
        assert!(!upgrade.looked(old, 3));
        assert_eq!(upgrade.available().unwrap().release.version, "0.3.0");
        assert_eq!(upgrade.trouble().unwrap().code, "ReleaseGone");
    }
    assert!(upgrade.looked(look("0.4.0"), 4));
    assert_eq!((upgrade.available().unwrap().since_ms, upgrade.trouble()), (4, None));
}

#[test]
fn a_release_that_nobody_vouches_for_is_trouble_and_never_available() {
    let mut upgrade = fresh();
    let bad = Reason::new("BadSignature", "not signed");
    assert!(!upgrade.looked(Look { newest: None, trouble: Some(bad.clone()) }, 1));
    assert_eq!((upgrade.available(), upgrade.trouble()), (None, Some(&bad)));
    assert_eq!(shown(&upgrade)["State"], "unverified");
    // Beside one that is good, the good one is available.
    upgrade.looked(Look { trouble: Some(bad.clone()), ..look("0.2.0") }, 2);
    assert_eq!(
        (upgrade.available().unwrap().release.version.as_str(), upgrade.trouble()),
        ("0.2.0", Some(&bad))
    );
    // And the same one pushed again with other bytes is the same one, at its new place.
    let again = Release { manifest: Digest([9; 32]), ..release("0.2.0") };
    assert!(upgrade.looked(Look { newest: Some(again.clone()), trouble: None }, 3));
    assert_eq!(upgrade.available(), Some(&Known { release: again, since_ms: 2 }));
}

#[test]
fn each_change_is_told_once_and_again_when_the_report_was_lost_but_not_after_a_restart() {
    let mut upgrade = fresh();
    let row = upgrade.news().unwrap();
    upgrade.told(&row);
    assert_eq!(upgrade.news(), None);
    upgrade.looked(look("0.2.0"), 1);
    let row = upgrade.news().unwrap();
    upgrade.told(&row);
    upgrade.looked(look("0.2.0"), 2);
    assert_eq!(upgrade.news(), None);
    let mut back = Upgrade::restore(Some(&upgrade.document()), "oci://h/arclet stable", "0.1.0");
    assert_eq!(back.news(), None);
    back.tell_again();
    assert_eq!(back.news(), Some(row));
}

#[test]
fn a_row_has_columns_that_the_table_has() {
    let mut upgrade = fresh();
    upgrade
        .looked(Look { trouble: Some(Reason::new("BadSignature", "x".repeat(9_000))), ..look("0.2.0") }, 1);
    let row = shown(&upgrade);
    for (name, value) in row.as_object().unwrap() {
        assert!(CONFIG.iter().any(|(column, _)| column == name), "{name}");
        assert!(value.as_str().unwrap().len() < 9_000, "{name}");
    }
    assert_eq!(row.as_object().unwrap().len(), 8);
}

/// Made by the commands of docs/upgrade.md (OpenSSL 3.0.19).
#[test]
fn a_release_that_was_made_as_the_documentation_says_is_one() {
    let document = r#"{"kind":"arclet-release","v":1,"version":"0.2.0","train":"stable","released":"2026-11-23T10:00:00Z"}"#;
    let signature =
        "8vYN+bX8IOpJXpLN0iMg1UdN+v4i6hR3HB+d572+ZeTLUuWR7mHHbBXsRB/EYEm83Qja7IQ8blK+TeZSRMkeAQ==";
    let signature = base64::prelude::BASE64_STANDARD.decode(signature).unwrap();
    let key = PublicKey::parse("MCowBQYDK2VwAyEAUAiMDeDyAvkn7rNLZ4O6qeaQ0l/wlCtj97YJf5ctkTs=").unwrap();
    assert_eq!(judged(document, &signature, &key).unwrap().released.as_deref(), Some("2026-11-23T10:00:00Z"));
}
