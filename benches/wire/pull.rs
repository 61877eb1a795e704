//! What a look at the desired state costs when nothing has changed: the list of twenty configurations, as ARM shows them.
//!
//! The agent's own client asks, through a relay of its own. A list has no ETag, so nothing new costs as much as news. The
//! client takes gzip and the stand-in does not give it: what gzip would save is computed, from the same list.

use crate::relay::{Passed, Relay};
use arclet::azure::arm::Arm;
use arclet::azure::desired::{Resources, listing};
use arclet::azure::identity::ClientSecret;
use arclet::azure::{Cloud, Credential, Identity, ResourceId};
use arclet::clock::Clock;
use arclet::core::Scope;
use arclet::core::document::{Kind, Kinds, Needs};
use arclet::http::{Client, Options, Roots};
use azure_standin::{Azure, DEVICE, TENANT, cluster_id};
use serde_json::{Value, json};
use std::io::Write;

/// How many configurations the cluster has.
pub const CONFIGURATIONS: usize = 20;

/// One look each.
pub struct Pulls {
    /// On the first connection, with the look at the cluster's own resource.
    pub full: Passed,
    /// On a connection that is there.
    pub kept: Passed,
    /// On a new connection to a server that is known.
    pub resumed: Passed,
    /// Bytes of the list that gzip would save each time.
    pub saved: u64,
}

/// Measures one look after the other.
pub fn measure() -> Pulls {
    let azure = Azure::start(azure_standin::Options::default()).expect("the Azure stand-in starts");
    azure.seed_arc_cluster(&cluster_id("k3s-1"));
    for number in 0..CONFIGURATIONS {
        azure.put_flux(&cluster_id("k3s-1"), &name(number), configuration(number));
    }
    let relay = Relay::to(azure.arm_url().trim_start_matches("https://").to_owned()).expect("a relay");
    let clock = Clock::new();
    let extra_pem = Some(azure.ca_pem().as_bytes().to_vec());
    let client = Client::new(Options::new(Roots::WebPki { extra_pem }, clock.clone())).expect("a client");
    let scopes = ("https://management.azure.com/.default", "https://monitor.azure.com/.default");
    let cloud = Cloud::custom(&azure.login_url(), &azure.arm_url(), scopes.0, scopes.1);
    let credential = Credential::ClientSecret(ClientSecret::new(DEVICE.0, DEVICE.1));
    let identity = Identity::new(credential, TENANT, cloud, client.clone(), clock);
    let token = identity.token(Scope::Arm, None).expect("a token").secret.to_string();

    let arm = Arm::new(&format!("https://localhost:{}", relay.port()), client);
    let cluster = ResourceId::parse(&cluster_id("k3s-1")).expect("an id");
    let source =
        Resources { arm: &arm, cluster: &cluster, kinds: Kinds::default().and(Kind::Flux), token: &token };
    let pull = |parent| {
        let before = relay.passed();
        let heads = listing(&source, parent, &mut |_, _, _| Ok(Needs::default())).expect("a listing").heads;
        assert_eq!(heads.len(), CONFIGURATIONS);
        relay.passed().since(before)
    };
    let full = pull(true);
    let kept = pull(false);
    relay.hang_up();
    let resumed = pull(false);
    assert_eq!((full.connections, kept.connections, resumed.connections), (1, 0, 1));
    let list: Vec<_> = (0..CONFIGURATIONS).map(|n| azure.flux(&cluster_id("k3s-1"), &name(n))).collect();
    let list = serde_json::to_vec(&list).expect("JSON");
    Pulls { full, kept, resumed, saved: (list.len() - gzip(&list).len()) as u64 }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).and_then(|()| writer.finish()).expect("memory")
}

fn name(number: usize) -> String {
    format!("store-config-{number:02}")
}

/// A configuration as a list shows it after a sync: one source, two kustomizations, a status each without conditions.
fn configuration(number: usize) -> Value {
    let status = |kind: &str, name: &str| {
        json!({
            "name": format!("store-config-{number:02}{name}"), "namespace": "cluster-config", "kind": kind,
            "complianceState": "Compliant", "statusConditions": null, "helmReleaseProperties": null,
            "appliedBy": null,
        })
    };
    json!({
        "scope": "cluster", "namespace": "cluster-config", "sourceKind": "GitRepository", "suspend": false,
        "gitRepository": {
            "url": format!("https://git.example.com/stores/config-{number:02}"), "timeoutInSeconds": 600,
            "syncIntervalInSeconds": 600, "repositoryRef": {"branch": "main", "tag": null, "semver": null, "commit": null},
            "sshKnownHosts": null, "httpsUser": null, "httpsCACert": null, "localAuthRef": null, "provider": "Generic",
        },
        "kustomizations": {
            "infra": {
                "path": "./infra", "dependsOn": [], "timeoutInSeconds": 600, "syncIntervalInSeconds": 600,
                "retryIntervalInSeconds": null, "prune": true, "force": false, "wait": true, "postBuild": null,
            },
            "apps": {
                "path": "./apps", "dependsOn": ["infra"], "timeoutInSeconds": 600, "syncIntervalInSeconds": 600,
                "retryIntervalInSeconds": 60, "prune": true, "force": false, "wait": true,
                "postBuild": {"substitute": {"store": format!("{number:02}")}, "substituteFrom": []},
            },
        },
        "statuses": [status("GitRepository", ""), status("Kustomization", "-infra"), status("Kustomization", "-apps")],
        "sourceSyncedCommitId": "main@sha1:5b1ffc5ab4b1bd1be8ba9ac2b2bb8d6e1e5c7a90",
        "sourceUpdatedAt": "2026-11-22T15:00:00.123Z", "statusUpdatedAt": "2026-11-22T15:03:00.456Z",
        "complianceState": "Compliant", "provisioningState": "Succeeded",
    })
}
