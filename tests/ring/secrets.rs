//! Secrets: they come from the vault into the cluster, follow the vault, and are found nowhere else.

use crate::rig::{Agent, Rig, Setup, eventually};
use arclet::status::Desired;
use azure_standin::{Endpoint, cluster_id};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use k3s_standin::Flux;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const NAME: &str = "flux-fleet-httpsKey";

fn rig() -> Rig {
    Rig::new(Setup {
        report: crate::rig::report("1h", "1h", "24h"),
        desired: "gitops = true\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"\nkey-vault = \"{vault}\"",
        level: "trace",
        flux: Flux::Stable,
        ..Setup::default()
    })
}

fn put(rig: &Rig, url: &str, protected: Value) {
    let properties = json!({
        "scope": "cluster", "namespace": "cluster-config", "sourceKind": "GitRepository",
        "gitRepository": {"url": url, "httpsUser": "me"},
        "configurationProtectedSettings": protected,
        "kustomizations": {"apps": {"path": "./apps"}},
    });
    rig.azure.put_flux(&cluster_id("k3s-1"), "fleet", properties);
}

/// What the cluster has as the password.
fn password(rig: &Rig) -> Option<String> {
    let secret = rig.k3s.object(("v1", "Secret", "cluster-config", "fleet-auth"))?;
    let value = BASE64_STANDARD.decode(secret["data"]["password"].as_str()?).ok()?;
    String::from_utf8(value).ok()
}

fn arrives(rig: &Rig, value: &str) {
    eventually(&format!("a password of {} bytes", value.len()), || (password(rig)? == value).then_some(()));
}

fn desired(agent: &Agent) -> Option<Desired> {
    serde_json::from_value(agent.ask(r#"{"get":"desired"}"#)?).ok()
}

/// Waits until the document's reason has this code (or until there is none).
fn reason(agent: &Agent, code: Option<&str>) -> Option<arclet::core::Reason> {
    eventually(&format!("the reason {code:?}"), || {
        let document = desired(agent)?.documents.into_iter().next()?;
        (document.reason.as_ref().map(|reason| reason.code.as_str()) == code).then_some(document.reason)
    })
}

#[test]
fn a_secret_of_the_vault_reaches_the_cluster_rotates_and_outlives_its_end_and_the_link() {
    let rig = rig();
    let agent = rig.start();
    put(&rig, "https://git.example/fleet", Value::Null);
    let missing = reason(&agent, Some("SecretMissing")).expect("a reason");
    assert!(
        missing.next_step.contains("az keyvault secret set") && missing.message.contains(NAME),
        "{missing}"
    );
    assert_eq!(password(&rig), None);

    rig.azure.put_secret(NAME, "first\n");
    arrives(&rig, "first");
    reason(&agent, None);
    rig.azure.put_secret(NAME, "second");
    arrives(&rig, "second");

    // Whatever becomes of it in the vault, the last good one stays, and the document says what is wrong.
    assert!(rig.azure.change_secret(NAME, &json!({"attributes": {"exp": 1}})));
    reason(&agent, Some("SecretExpired"));
    assert!(rig.azure.change_secret(NAME, &json!({"attributes": {"enabled": false}})));
    reason(&agent, Some("SecretDisabled"));
    assert!(rig.azure.delete_secret(NAME));
    reason(&agent, Some("SecretMissing"));
    assert_eq!(password(&rig).as_deref(), Some("second"));

    // And from the cache, with no link and after a crash.
    agent.kill();
    rig.azure.cut_all();
    assert!(rig.k3s.delete(("v1", "Secret", "cluster-config", "fleet-auth")));
    let _agent = rig.start();
    arrives(&rig, "second");
}

#[test]
fn an_abort_leaves_no_core() {
    use std::os::unix::process::ExitStatusExt;
    let rig = rig();
    let mut agent = rig.start();
    agent.status();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).expect("its limits");
    let core: Vec<&str> = limits
        .lines()
        .find(|l| l.starts_with("Max core file size"))
        .expect("a limit")
        .split_whitespace()
        .collect();
    assert_eq!(core[4..6], ["0", "0"], "{core:?}");
    agent.signal(rustix::process::Signal::ABORT);
    let status = agent.end();
    assert!(status.signal().is_some() && !status.core_dumped(), "{status}");
}

/// Marks that are found nowhere by chance, and what to look for: the mark, its base64 at each of the three offsets, and
/// in the alphabet of URLs.
fn forms(mark: &str) -> Vec<String> {
    let mut all = vec![mark.to_owned()];
    for offset in 0..3 {
        let padded = format!("{}{mark}", &"xxx"[..offset]);
        for encoded in [BASE64_STANDARD.encode(&padded), BASE64_URL_SAFE_NO_PAD.encode(&padded)] {
            // The first and the last group hold bits of their neighbours.
            let inner = &encoded[if offset == 0 { 0 } else { 4 }..encoded.len() - 4];
            all.push(inner.to_owned());
        }
    }
    all
}

/// Where one of the marks is in these bytes.
fn found(bytes: &[u8], marks: &[String]) -> Option<String> {
    let finder = |form: &String| bytes.windows(form.len()).any(|window| window == form.as_bytes());
    marks.iter().flat_map(|mark| forms(mark)).find(finder)
}

fn files(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => files(&entry.path(), all),
            false => all.push(entry.path()),
        }
    }
}

#[test]
fn marked_secrets_are_found_nowhere_but_in_the_cluster() {
    let marks: Vec<String> = ["vault-one", "vault-two", "vault-refused", "protected", "userinfo"]
        .iter()
        .map(|what| format!("MARK.{what}.{:x}", std::process::id().wrapping_mul(2_654_435_761)))
        .collect();
    let [one, two, refused, protected, userinfo] = marks.as_slice() else { unreachable!() };
    assert!(
        found(BASE64_STANDARD.encode(format!("ab{one}cd")).as_bytes(), &marks).is_some(),
        "the search itself works"
    );

    let rig = rig();
    let mut agent = rig.start();
    rig.azure.put_secret(NAME, one);
    let url = format!("https://u:{userinfo}@git.example/fleet");
    put(&rig, &url, json!({"httpsKey": BASE64_STANDARD.encode(protected)}));
    arrives(&rig, one);
    rig.azure.put_secret(NAME, two);
    arrives(&rig, two);
    // Flux quotes the URL, and a webhook quotes the Secret.
    let source = ("source.toolkit.fluxcd.io/v1", "GitRepository", "cluster-config", "fleet");
    let says = json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "False",
        "reason": "Failed", "message": format!("unable to clone '{url}'"), "lastTransitionTime": "2026-11-23T00:00:00Z"}]});
    eventually("the source", || rig.k3s.set_status(source, says.clone()).then_some(()));
    eventually("Flux's words", || {
        let picture = desired(&agent)?.documents.into_iter().next()?.picture?;
        picture
            .statuses
            .iter()
            .any(|s| s.ready.as_ref().is_some_and(|r| r.message.contains("unable to clone")))
            .then_some(())
    });
    rig.k3s.set_nosy(true);
    rig.azure.put_secret(NAME, refused);
    let why = reason(&agent, Some("Invalid")).expect("a reason");
    assert!(why.message.contains("Secret cluster-config/fleet-auth"), "{why}");
    eventually("a report of it", || {
        rig.azure.arrived().iter().any(|a| a.row.to_string().contains("Invalid")).then_some(())
    });

    // All that the command line shows.
    let mut shown = Vec::new();
    for words in [
        &["desired"][..],
        &["desired", "-o", "json"],
        &["desired", "show", "fleet"],
        &["desired", "show", "fleet", "-o", "json"],
        &["status"],
        &["status", "-o", "json"],
        &["outbox", "-o", "json"],
    ] {
        let mut command = Command::new(&rig.setup.binary);
        let output =
            command.args(words).arg("--config").arg(rig.path("arclet.toml")).output().expect("arclet runs");
        assert!(!output.stdout.is_empty(), "{words:?}");
        shown.extend([output.stdout, output.stderr].concat());
    }
    assert!(shown.windows(9).any(|w| w == b"***@git.e"), "the masked document was among what was shown");
    assert_eq!(found(&shown, &marks), None, "the command line");
    agent.status();

    // What was delivered, and what waits.
    let rows: String = rig.azure.arrived().iter().map(|a| a.row.to_string()).collect();
    assert_eq!(found(rows.as_bytes(), &marks), None, "the records");
    rig.azure.cut(Endpoint::Ingest);
    agent.kill();
    // Once more from what a crash leaves, then an end as it should be.
    let mut agent = rig.start();
    agent.status();
    rig.k3s.set_nosy(false);
    arrives(&rig, refused);
    let (status, _) = agent.terminate();
    assert!(status.success(), "{status}");

    let mut all = Vec::new();
    files(rig.path("store").parent().expect("a directory"), &mut all);
    assert!(
        all.iter().any(|file| file.starts_with(rig.path("store"))) && all.contains(&rig.path("log")),
        "{all:?}"
    );
    assert!(all.contains(&rig.path("status.json")), "{all:?}");
    for file in all {
        assert_eq!(found(&std::fs::read(&file).expect("a file"), &marks), None, "{}", file.display());
    }
}
