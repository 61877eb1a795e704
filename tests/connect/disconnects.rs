//! What disconnecting takes away, and what it leaves.

use crate::azure;
use crate::rig::Rig;
use serde_json::json;

#[test]
fn everything_that_connect_made_goes_and_a_second_time_there_is_nothing_to_do() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    std::fs::write(rig.path("etc/own-file"), "mine").unwrap();
    let ran = rig.disconnect(&[]).ok();
    assert!(rig.azure.world().cluster.is_none());
    assert!(rig.objects().is_empty(), "{:?}", rig.objects());
    let left: Vec<_> = std::fs::read_dir(rig.path("etc")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["own-file"]);
    assert!(ran.out.contains("kept: delete it when nothing in it is wanted"), "{}", ran.out);
    let again = rig.disconnect(&[]).ok();
    assert!(again.out.contains("nothing is connected from here"), "{}", again.out);
}

#[test]
fn connecting_again_at_once_waits_for_the_namespace_that_still_goes() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    rig.disconnect(&[]).ok();
    rig.connect(&[]).ok();
    assert!(
        rig.agent_works() && rig.objects().contains(&"Namespace arclet".to_owned()),
        "{:?}",
        rig.objects()
    );
}

#[test]
fn a_dry_run_changes_nothing() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    let writes = rig.azure.writes();
    let ran = rig.disconnect(&["--dry-run"]).ok();
    assert!(ran.out.contains("etc/arclet.toml"), "{}", ran.out);
    assert_eq!(rig.azure.writes(), writes);
    assert!(rig.agent_works() && rig.file("etc/arclet.toml").is_some());
}

#[test]
fn a_cluster_that_was_only_taken_over_stays_with_the_tags_of_others() {
    let rig = Rig::new();
    rig.azure.world().cluster = Some(azure::cluster(json!({"owner": "them"}), json!({})));
    rig.connect(&["--adopt"]).ok();
    rig.disconnect(&[]).ok();
    assert_eq!(rig.azure.world().cluster.clone().unwrap()["tags"], json!({"owner": "them"}));
}

#[test]
fn a_cluster_that_real_agents_took_meanwhile_stays() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    rig.azure.world().cluster.as_mut().unwrap()["properties"]["agentVersion"] = json!("1.36.1");
    let ran = rig.disconnect(&[]).ok();
    assert!(ran.out.contains("belongs to Microsoft's agents now"), "{}", ran.out);
    assert!(rig.azure.world().cluster.is_some());
}

#[test]
fn a_link_that_is_down_stops_it_unless_it_is_forced() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    rig.kube.cut();
    let ran = rig.disconnect(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("--force"), "{}", ran.err);
    assert!(rig.file("etc/arclet.toml").is_some(), "the way to try again is kept");
    let ran = rig.disconnect(&["--force"]).ok();
    assert!(ran.out.contains("left behind"), "{}", ran.out);
    assert!(rig.file("etc/arclet.toml").is_none());
}

#[test]
fn azure_and_cluster_can_be_kept() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    let writes = rig.azure.writes();
    rig.disconnect(&["--keep-azure", "--keep-cluster"]).ok();
    assert_eq!(rig.azure.writes(), writes);
    assert_eq!(rig.objects().len(), 5);
    assert!(rig.file("etc/arclet.toml").is_none());
}

#[test]
fn without_a_terminal_yes_must_be_said() {
    let rig = Rig::with_cluster();
    rig.connect(&[]).ok();
    let args = [format!("--config-dir={}", rig.path("etc").display())];
    let ran = rig.run("disconnect", &args, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("--yes") && rig.file("etc/arclet.toml").is_some(), "{}", ran.err);
}
