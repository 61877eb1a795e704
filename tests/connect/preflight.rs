//! Each thing that can be wrong before anything is made: named, with the cure, and nothing was changed.

use crate::rig::{Ran, Rig};
use std::os::unix::fs::PermissionsExt;

/// The run failed on this line with this cure, and changed nothing.
#[track_caller]
fn refused(rig: &Rig, ran: &Ran, line: &str, cure: &str) {
    assert_eq!(ran.code, Some(1), "{}", ran.all());
    let name = ran.out.lines().any(|l| l.starts_with(&format!("  FAILED {line}")));
    assert!(name, "no FAILED {line} in\n{}", ran.out);
    assert!(ran.out.contains(cure), "no cure {cure:?} in\n{}", ran.out);
    assert!(ran.err.contains("nothing was changed"), "{}", ran.err);
    assert!(rig.azure.writes().is_empty(), "{:?}", rig.azure.writes());
    assert!(!rig.path("etc").exists());
}

fn without(rig: &Rig, flag: &str, more: &[&str]) -> Ran {
    let mut args = rig.connect_args();
    args.retain(|arg| !arg.starts_with(&format!("--{flag}=")));
    rig.run("connect", &args, more)
}

#[test]
fn an_api_server_out_of_reach() {
    let rig = Rig::with_cluster();
    rig.kube.cut();
    refused(&rig, &rig.connect(&[]), "API server", "next step: ");
}

#[test]
fn an_account_of_the_cluster_without_rights() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    // The agent's own token under another name is an account that may make nothing.
    let other = Rig::with_cluster();
    let text = std::fs::read_to_string(rig.path("etc/credentials/kubeconfig")).unwrap();
    let nobody = other.secret("nobody.yaml", &text.replace(&rig.kube.url(), &other.kube.url()));
    let ran = without(&other, "kubeconfig", &["--kubeconfig", nobody.to_str().unwrap()]);
    refused(&other, &ran, "", "next step: ");
}

#[test]
fn a_secret_that_others_may_read() {
    let rig = Rig::with_cluster();
    let path = rig.path("device-secret");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused(&rig, &rig.connect(&[]), "credential files", &format!("chmod 0600 {}", path.display()));
}

#[test]
fn a_wrong_secret_of_the_device() {
    let rig = Rig::with_cluster();
    rig.secret("device-secret", "wrong");
    let ran = rig.connect(&[]);
    refused(&rig, &ran, "device's token", "next step: ");
    assert!(ran.out.contains("7000215"), "{}", ran.out);
}

#[test]
fn no_operator() {
    let rig = Rig::with_cluster();
    refused(
        &rig,
        &without(&rig, "operator-token-file", &[]),
        "operator's token",
        "az account get-access-token",
    );
}

#[test]
fn an_operators_token_that_azure_does_not_take() {
    let rig = Rig::with_cluster();
    rig.secret("operator-token", "expired");
    refused(&rig, &rig.connect(&[]), "resource provider", "next step: ");
}

#[test]
fn a_provider_that_is_not_registered() {
    let rig = Rig::with_cluster();
    rig.azure.world().provider = "NotRegistered";
    refused(
        &rig,
        &rig.connect(&[]),
        "resource provider",
        "az provider register --namespace Microsoft.Kubernetes",
    );
}

#[test]
fn a_resource_group_that_is_not_there() {
    let rig = Rig::with_cluster();
    rig.azure.world().group = false;
    refused(&rig, &rig.connect(&[]), "resource group", "az group create --name edge-rg");
}

#[test]
fn each_right_that_the_operator_lacks() {
    for (has, lacks) in [("read", "write"), ("write", "read")] {
        let rig = Rig::with_cluster();
        let has = if has == "read" { "*/read" } else { "Microsoft.Kubernetes/connectedClusters/write" };
        rig.azure.world().operator_actions = vec![has];
        let ran = rig.connect(&[]);
        refused(&rig, &ran, "operator's right", "Kubernetes Cluster - Azure Arc Onboarding");
        assert!(
            ran.out.contains(&format!("may not Microsoft.Kubernetes/connectedClusters/{lacks}")),
            "{}",
            ran.out
        );
    }
}

#[test]
fn a_host_that_refuses_connections() {
    let rig = Rig::with_cluster();
    // Nothing listens on port 1 of this machine.
    let ran = without(&rig, "dcr-endpoint", &["--dcr-endpoint=https://127.0.0.1:1"]);
    refused(&rig, &ran, "127.0.0.1:1", "next step: ");
}

#[test]
fn an_authority_that_is_not_trusted() {
    let rig = Rig::with_cluster();
    refused(&rig, &without(&rig, "ca-file", &[]), "127.0.0.1:", "extra-ca-file");
}

#[test]
fn an_endpoint_without_tls() {
    let rig = Rig::with_cluster();
    let ran = without(&rig, "dcr-endpoint", &["--dcr-endpoint=http://127.0.0.1:1"]);
    refused(&rig, &ran, "command line", "does not begin with https://");
}

#[test]
fn somebody_elses_object_in_the_cluster() {
    use arclet::k3s::{Client, kubeconfig};
    let rig = Rig::with_cluster();
    let admin = kubeconfig::load(&rig.path("admin.yaml")).unwrap();
    let client = Client::new(admin, arclet::clock::Clock::new()).unwrap();
    let theirs = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "arclet"}});
    client.apply(&theirs, "them", false).unwrap();
    refused(&rig, &rig.connect(&[]), "objects", "app.kubernetes.io/managed-by=arclet");
}

#[test]
fn a_device_without_its_rights_is_connected_and_told() {
    let rig = Rig::with_cluster();
    rig.azure.world().device_actions.clear();
    let ran = rig.connect(&[]).ok();
    assert!(ran.out.contains("note   device's right"), "{}", ran.out);
    assert!(ran.out.contains("deploy config/azure again with clusterName=k3s-1"), "{}", ran.out);
}

#[test]
fn a_wrong_clock_is_told_and_stops_nothing() {
    let rig = Rig::with_cluster();
    rig.azure.world().ahead = 3 * 86_400;
    let ran = rig.connect(&[]).ok();
    assert!(ran.out.contains("note   clock"), "{}", ran.out);
    assert!(ran.out.contains("3 days behind") && ran.out.contains("timedatectl set-ntp true"), "{}", ran.out);
}

#[test]
fn every_mistake_of_the_command_line_has_its_exit_code() {
    let rig = Rig::with_cluster();
    let ran = rig.connect(&["--nonsense"]);
    assert_eq!(ran.code, Some(64));
    assert!(ran.err.contains("no such option here: --nonsense"), "{}", ran.err);
}
