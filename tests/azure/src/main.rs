//! The stand-in as a program: for official clients and for a look by hand. Prints its addresses as one JSON line, obeys
//! commands (one JSON line each, answered by one: `control.rs`), and serves until its standard input ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test rig: it fails by panicking

mod control;

use azure_standin::{
    Azure, DEVICE, GROUP, OPERATOR, Options, RULE, SUBSCRIPTION, TENANT, cluster_id, rule_id, vault_id,
};
use std::io::BufRead;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let directory: std::path::PathBuf =
        arguments.next().expect("usage: azure-standin DIRECTORY [HIMDS-KEY-DIRECTORY]").into();
    let options = Options { any_key: true, himds: arguments.next().map(Into::into), ..Options::default() };
    let azure = Azure::start(options).unwrap();
    let ca = directory.join("azure-ca.pem");
    std::fs::write(&ca, azure.ca_pem()).unwrap();
    println!(
        "{}",
        serde_json::json!({
            "login": azure.login_url(), "arm": azure.arm_url(), "ingest": azure.ingest_url(), "vault": azure.vault_url(), "registry": azure.registry_url(), "himds": azure.himds_url(), "ca": ca,
            "tenant": TENANT, "subscription": SUBSCRIPTION, "group": GROUP, "rule": RULE, "ruleId": rule_id(), "cluster": cluster_id("k3s-1"), "vaultId": vault_id(),
            "device": { "client": DEVICE.0, "secret": DEVICE.1 }, "operator": { "client": OPERATOR.0, "secret": OPERATOR.1 },
        })
    );
    for line in std::io::stdin().lock().lines() {
        println!("{}", control::obey(&azure, &line.unwrap()));
    }
    println!("{}", control::report(&azure));
}
