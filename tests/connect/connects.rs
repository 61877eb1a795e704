//! What connecting leaves behind, and what it leaves alone.

use crate::azure::{self, RULE};
use crate::rig::Rig;
use arclet::config::Config;
use arclet::k3s::install::{Scenario, apply_all};
use serde_json::{Value, json};
use std::time::Duration;

const OBJECTS: [&str; 5] = [
    "Namespace arclet",
    "ServiceAccount arclet",
    "Secret arclet-token",
    "ClusterRole arclet-metadata",
    "ClusterRoleBinding arclet-metadata",
];

#[test]
fn a_new_device_gets_account_cluster_and_configuration_and_a_second_run_changes_nothing() {
    let rig = Rig::new();
    let ran = rig.connect(&["--tag=site=store-17"]).ok();
    assert!(ran.out.contains("Connected: /subscriptions/"), "{}", ran.out);

    assert_eq!(rig.objects(), OBJECTS);
    assert!(rig.agent_works());
    let config = Config::load(&rig.path("etc/arclet.toml")).unwrap();
    assert_eq!(config.cluster.id.to_string(), azure::CLUSTER);
    assert_eq!(config.cluster.location.as_deref(), Some("eastus"), "the resource group's");
    assert_eq!(rig.mode("etc/arclet.toml"), 0o644);
    assert_eq!(rig.mode("etc/credentials"), 0o700);
    for secret in ["kubeconfig", "client-secret"] {
        assert_eq!(rig.mode(&format!("etc/credentials/{secret}")), 0o600);
    }
    assert!(!rig.file("etc/arclet.toml").unwrap().contains("s3cr"));
    assert_eq!(rig.file("etc/credentials/client-secret").unwrap(), azure::DEVICE_SECRET);

    let cluster = rig.azure.world().cluster.clone().unwrap();
    assert_eq!(cluster["tags"], json!({"site": "store-17", "arclet-connected": "made"}));
    for (name, value) in [
        ("distribution", "k3s"),
        ("distributionVersion", "v1.36.3+k3s1"),
        ("infrastructure", "generic"),
        ("provisioningState", "Succeeded"),
    ] {
        assert_eq!(cluster["properties"][name], value);
    }
    assert_eq!(rig.azure.writes(), [format!("PUT {}", azure::CLUSTER)]);

    let before = (rig.file("etc/arclet.toml"), rig.file("etc/credentials/kubeconfig"));
    rig.connect(&["--tag=site=store-17"]).ok();
    assert_eq!(rig.azure.writes().len(), 1, "nothing was to be changed in Azure");
    assert_eq!((rig.file("etc/arclet.toml"), rig.file("etc/credentials/kubeconfig")), before);
    assert_eq!(rig.objects(), OBJECTS);
    assert!(rig.file("etc/arclet.toml.old").is_none());
}

#[test]
fn a_dry_run_changes_nothing_and_says_what_it_would_do() {
    let rig = Rig::new();
    let ran = rig.connect(&["--dry-run"]).ok();
    assert!(ran.out.contains("make ServiceAccount arclet/arclet in the cluster"), "{}", ran.out);
    assert!(ran.out.contains("make the connected cluster k3s-1 in eastus"), "{}", ran.out);
    assert!(ran.out.contains("etc/arclet.toml"), "{}", ran.out);
    assert!(rig.azure.writes().is_empty());
    assert!(rig.objects().is_empty());
    assert!(!rig.path("etc").exists() && !rig.path("state").exists());
}

/// All devices of a cluster act as one account: what this run does not ask for, another device may need.
#[test]
fn roles_that_an_earlier_run_granted_are_named_with_the_command_that_takes_them_back_and_stay() {
    let rig = Rig::new();
    let with = rig.connect(&["--gitops", "--extensions"]).ok();
    assert!(!with.out.contains("granted before"), "{}", with.out);
    let granted = rig.objects();

    let gitops = "kubectl delete clusterrole/arclet-gitops clusterrolebinding/arclet-gitops";
    let extensions =
        "kubectl -n arclet-extensions delete role/arclet-extensions rolebinding/arclet-extensions";
    let dry = rig.connect(&["--gitops", "--dry-run"]).ok().all();
    assert!(dry.contains("granted before") && dry.contains(extensions), "{dry}");
    assert!(!dry.contains(gitops), "still asked for: {dry}");
    let without = rig.connect(&[]).ok().all();
    assert!(without.contains(gitops) && without.contains(extensions), "{without}");
    assert_eq!(rig.objects(), granted);

    // What a Key Vault needed is a role of its own: without the vault it is told, with the rest still asked for.
    let administrator = rig.client(&rig.path("admin.yaml"));
    apply_all(&administrator, &[Scenario::GitopsSecrets], Duration::ZERO, &mut |_| {}).unwrap();
    let no_vault = rig.connect(&["--gitops", "--extensions"]).ok().all();
    let secrets = "kubectl delete clusterrole/arclet-gitops-secrets clusterrolebinding/arclet-gitops-secrets";
    assert!(no_vault.contains(secrets) && !no_vault.contains(extensions), "{no_vault}");
}

#[test]
fn the_machine_form_is_one_document() {
    let rig = Rig::with_cluster();
    let report: Value = serde_json::from_str(&rig.connect(&["-o", "json"]).ok().out).unwrap();
    assert_eq!(report["connected"], true);
    let verdicts: Vec<_> =
        report["checks"].as_array().unwrap().iter().map(|c| c["verdict"].clone()).collect();
    assert!(verdicts.iter().all(|v| v == "ok" || v == "skipped"), "{report:#}");
    rig.azure.world().provider = "NotRegistered";
    let ran = rig.connect(&["-o", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, &report["connected"]), (Some(1), &json!(false)));
    assert_eq!(report["error"]["code"], "ChecksFailed");
}

#[test]
fn a_cluster_of_real_arc_agents_is_refused_and_left_alone() {
    for sign in [json!({"agentVersion": "1.36.1"}), json!({"connectivityStatus": "Connected"})] {
        let rig = Rig::new();
        let theirs = azure::cluster(json!({"arclet-connected": "made"}), sign);
        rig.azure.world().cluster = Some(theirs.clone());
        let ran = rig.connect(&["--adopt"]);
        assert_eq!(ran.code, Some(1));
        assert!(
            ran.out.contains("OwnedByArcAgents") && ran.out.contains("choose another --name"),
            "{}",
            ran.out
        );
        assert!(rig.azure.writes().is_empty() && rig.objects().is_empty());
        assert_eq!(rig.azure.world().cluster.clone().unwrap(), theirs);
    }
}

#[test]
fn a_cluster_that_somebody_else_made_is_taken_over_only_on_demand_and_keeps_its_tags() {
    let rig = Rig::new();
    rig.azure.world().cluster =
        Some(azure::cluster(json!({"owner": "them"}), json!({"distribution": "generic"})));
    let ran = rig.connect(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("--adopt"), "{}", ran.out);
    assert!(rig.azure.writes().is_empty());

    rig.connect(&["--adopt", "--tag=site=x"]).ok();
    let cluster = rig.azure.world().cluster.clone().unwrap();
    assert_eq!(cluster["tags"], json!({"owner": "them", "site": "x", "arclet-connected": "adopted"}));
    assert_eq!(cluster["properties"]["distribution"], "k3s");
    assert!(rig.azure.writes().iter().all(|write| write.starts_with("PATCH ")), "no needless PUT");
}

#[test]
fn a_newer_kubernetes_is_a_patch_and_not_a_put() {
    let rig = Rig::with_cluster();
    rig.kube.set_version("v1.37.1+k3s1");
    rig.connect(&[]).ok();
    assert_eq!(rig.azure.writes(), [format!("PATCH {}", azure::CLUSTER)]);
    let cluster = rig.azure.world().cluster.clone().unwrap();
    assert_eq!(cluster["properties"]["distributionVersion"], "v1.37.1+k3s1");
}

#[test]
fn the_rule_is_looked_up_by_its_id() {
    let rig = Rig::with_cluster();
    let mut args = rig.connect_args();
    args.retain(|arg| !arg.starts_with("--dcr"));
    rig.run("connect", &args, &["--dcr-resource-id", RULE]).ok();
    let config = Config::load(&rig.path("etc/arclet.toml")).unwrap();
    assert!(config.ingest.endpoint.starts_with("https://localhost:"));
    assert_eq!(config.ingest.dcr, "dcr-00000000000000000000000000000001");
}

#[test]
fn a_worker_node_uses_the_agents_own_kubeconfig_as_it_is() {
    let (server, worker) = (Rig::with_cluster(), "worker");
    server.connect(&[]).ok();
    let copy = server.secret("copied-kubeconfig", &server.file("etc/credentials/kubeconfig").unwrap());
    let args: Vec<String> = server
        .connect_args()
        .into_iter()
        .filter(|arg| !arg.starts_with("--kubeconfig"))
        .map(|arg| arg.replace("/etc", &format!("/{worker}")))
        .collect();
    let ran = server.run("connect", &args, &["--kubeconfig", copy.to_str().unwrap()]).ok();
    assert!(ran.out.contains("the agent's own account"), "{}", ran.out);
    assert_eq!(server.file("worker/credentials/kubeconfig"), server.file("etc/credentials/kubeconfig"));

    // Its end is its own: nothing that the server's node lives on goes with it.
    let path = server.path(worker).display().to_string();
    server.disconnect(&["--config-dir", &path]).ok();
    assert!(server.file("worker/arclet.toml").is_none());
    assert!(server.azure.world().cluster.is_some() && server.agent_works());
}

#[test]
fn another_cluster_needs_a_disconnect_first() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    let other: Vec<String> = rig
        .connect_args()
        .into_iter()
        .map(|arg| arg.replace("connectedClusters/k3s-1", "connectedClusters/k3s-2"))
        .collect();
    let ran = rig.run("connect", &other, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.out.contains("AlreadyConnected") && ran.out.contains("arclet disconnect first"),
        "{}",
        ran.out
    );
}

#[test]
fn an_operators_own_settings_are_kept_beside() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    let own = rig.file("etc/arclet.toml").unwrap() + "\n[report]\ntags = false\n";
    std::fs::write(rig.path("etc/arclet.toml"), &own).unwrap();
    let ran = rig.connect(&[]).ok();
    assert_eq!(rig.file("etc/arclet.toml.old").unwrap(), own);
    assert!(ran.out.contains("carry your own settings over"), "{}", ran.out);
}
