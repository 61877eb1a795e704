//! Each role of `config/rbac.yaml`, missing: what needs it says so with the role's name and the cure, and the rest goes on.

use crate::rig::{Agent, HANG, Rig, Setup, eventually};
use arclet::clock::Clock;
use arclet::core::Reason;
use arclet::k3s::install::{self, Scenario};
use arclet::k3s::{Client, kubeconfig};
use arclet::status::{Desired, Status};
use azure_standin::cluster_id;
use k3s_standin::Flux;
use serde_json::{Value, json};

const RBAC: &str = "rbac.authorization.k8s.io/v1";
/// A configuration that needs no Secret, and one that brings a CA for its server, which Flux reads from one.
const PLAIN: &str = "flux/plain";
const WITH_CA: &str = "flux/with-ca";
const EXTENSION: &str = "extension/mon";

/// The cluster with an agent that is what `arclet connect` makes of it, and its administrator.
fn rig() -> (Rig, Client) {
    rig_of(1)
}

fn rig_of(nodes: usize) -> (Rig, Client) {
    let rig = Rig::new(Setup {
        nodes,
        report: crate::rig::report("100ms", "50ms", "24h"),
        desired: "gitops = true\nextensions = true\ncatalogue = \"{catalogue}\"\npull-interval = \"50ms\"\nenforce-interval = \"50ms\"",
        flux: Flux::Stable,
        helm: true,
        ..Setup::default()
    });
    let path = rig.path("kubeconfig");
    let administrator = kubeconfig::load(&path).expect("a kubeconfig");
    let client = Client::new(administrator.clone(), Clock::new()).expect("a client");
    grant(&client);
    let token = install::wait_token(&client, HANG, &mut std::thread::sleep).expect("a token");
    kubeconfig::write(&path, &install::limited(&administrator, token)).expect("a kubeconfig");
    for (name, ca) in [(PLAIN, Value::Null), (WITH_CA, json!("eA=="))] {
        let properties = json!({
            "scope": "cluster", "namespace": "fleet", "sourceKind": "GitRepository", "suspend": false,
            "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": "main"},
                "httpsCACert": ca},
            "kustomizations": {"apps": {"path": "./apps", "prune": true}},
        });
        rig.azure.put_flux(&cluster_id("k3s-1"), name.trim_start_matches("flux/"), properties);
    }
    let digest = rig.azure.push_chart("charts/mon", "1.0.0", b"chart");
    let chart = format!(
        "[[chart]]\ntype = \"a.b\"\nversion = \"1.0.0\"\nchart = \"{}:1.0.0\"\ndigest = \"{digest}\"\n",
        rig.azure.repository("charts/mon")
    );
    std::fs::write(rig.path("extensions.toml"), chart).expect("a catalogue");
    rig.azure.put_extension(&cluster_id("k3s-1"), "mon", json!({"extensionType": "a.b"}));
    (rig, client)
}

fn grant(administrator: &Client) {
    install::apply_all(administrator, &Scenario::ALL, HANG, &mut std::thread::sleep).expect("the roles");
}

/// The bindings of all roles.
fn bindings() -> Vec<String> {
    let objects = install::objects(&Scenario::ALL).expect("the file");
    let of_scenario = |object: &Value| !object["metadata"]["labels"][install::SCENARIO_LABEL].is_null();
    let bindings = objects.iter().filter(|object| match object["kind"].as_str() {
        Some("ClusterRoleBinding") => true,
        // That of the Lease is of several nodes: see below.
        Some("RoleBinding") => of_scenario(object),
        _ => false,
    });
    bindings.map(|binding| binding["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

fn desired(agent: &Agent) -> Option<Desired> {
    serde_json::from_value(agent.ask(r#"{"get":"desired"}"#)?).ok()
}

/// A document's trouble: `None` if it is not listed yet, and an inner `None` once it is in the cluster without any.
fn trouble(agent: &Agent, name: &str) -> Option<Option<Reason>> {
    let document = desired(agent)?.documents.into_iter().find(|document| document.document == name)?;
    match document.state.as_str() {
        "applied" | "verified" => Some(document.reason),
        _ => document.reason.map(Some),
    }
}

fn enforced(agent: &Agent, name: &str) {
    eventually(&format!("{name} in the cluster"), || trouble(agent, name)?.is_none().then_some(()));
}

/// The reason names the role and how it is granted.
fn names(reason: &Reason, role: &str) -> bool {
    let how = match role {
        "arclet-metadata" | "arclet-lease" => "arclet connect grants it",
        "arclet-gitops" => "arclet connect --gitops grants it",
        "arclet-gitops-secrets" => "arclet connect --gitops --key-vault",
        "arclet-extensions" => "arclet connect --extensions grants it",
        other => panic!("{other} has no test of what happens without it"),
    };
    reason.code == "Forbidden"
        && reason.next_step.contains(&format!("the role {role} "))
        && reason.next_step.contains(how)
}

fn failed(agent: &Agent, name: &str, role: &str) {
    eventually(&format!("{name} that names {role}"), || {
        trouble(agent, name)?.filter(|reason| names(reason, role)).map(|_| ())
    });
}

/// Flux was looked at, and whether for want of a role it was not seen.
fn flux(status: &Status, role: Option<&str>) -> bool {
    status.flux.as_ref().is_some_and(|flux| match (&flux.trouble, role) {
        (Some(reason), Some(role)) => flux.state == "unknown" && names(reason, role),
        // Its controllers are not there; that is another matter.
        (_, None) => flux.state == "incomplete",
        (None, Some(_)) => false,
    })
}

#[test]
fn without_a_role_what_needs_it_names_it_and_its_cure_and_the_others_go_on() {
    for role in bindings() {
        let (rig, administrator) = rig();
        let there = match role.as_str() {
            "arclet-extensions" => rig.k3s.delete((RBAC, "RoleBinding", &role, &role)),
            _ => rig.k3s.delete((RBAC, "ClusterRoleBinding", "", &role)),
        };
        assert!(there, "{role}");
        let mut agent = rig.start();
        let seen = |status: &Status| status.cluster_facts.is_some();
        match role.as_str() {
            "arclet-metadata" => {
                let told = |status: &Status| status.conditions.iter().any(|c| names(&c.reason, &role));
                let status = agent.wait("the condition", |status| told(status) && flux(status, None));
                assert!(!seen(&status));
                enforced(&agent, PLAIN);
                enforced(&agent, WITH_CA);
            }
            "arclet-gitops" => {
                agent.wait("Flux that may not be seen", |status| flux(status, Some(&role)) && seen(status));
                failed(&agent, PLAIN, &role);
                failed(&agent, WITH_CA, &role);
                agent.wait("both in the status", |s| s.desired.as_ref().is_some_and(|d| d.failed >= 2));
            }
            "arclet-gitops-secrets" => {
                enforced(&agent, PLAIN);
                failed(&agent, WITH_CA, &role);
                agent.wait("the rest", |status| flux(status, None) && seen(status));
            }
            "arclet-extensions" => {
                enforced(&agent, PLAIN);
                enforced(&agent, WITH_CA);
                failed(&agent, EXTENSION, &role);
            }
            other => panic!("{other} has no test of what happens without it"),
        }
        // Azure hears of it all the same: heartbeats, and why a document is not enforced.
        eventually("a heartbeat", || (!rig.arrived("heartbeat").is_empty()).then_some(()));
        let name = match role.as_str() {
            "arclet-metadata" => None,
            "arclet-extensions" => Some(("extension", "mon")),
            _ => Some(("flux", "with-ca")),
        };
        if let Some((kind, name)) = name {
            eventually("the row", || {
                let rows = rig.arrived(kind);
                rows.iter().any(|a| a.row["Reason"] == "Forbidden" && a.row["Name"] == name).then_some(())
            });
        }
        // And the cure cures, without a restart.
        grant(&administrator);
        enforced(&agent, PLAIN);
        enforced(&agent, WITH_CA);
        eventually("the extension's HelmChart", || {
            rig.k3s.object(("helm.cattle.io/v1", "HelmChart", "arclet-extensions", "mon")).map(|_| ())
        });
        agent.wait("no trouble left", |status| {
            seen(status) && flux(status, None) && !status.conditions.iter().any(|c| names(&c.reason, &role))
        });
    }
}

#[test]
fn without_the_lease_s_role_nobody_leads_and_says_so_and_reports_go_on_and_the_cure_cures() {
    let (rig, administrator) = rig_of(2);
    assert!(rig.k3s.delete((RBAC, "RoleBinding", "arclet", "arclet-lease")));
    let mut agent = rig.start();
    let told = |status: &Status| status.conditions.iter().any(|c| names(&c.reason, "arclet-lease"));
    agent.wait("the condition", |status| told(status) && status.lease.state == "candidate");
    eventually("the report of the cluster", || rig.arrived("whole").pop());
    eventually("the document", || {
        desired(&agent)?.documents.iter().any(|d| d.document == PLAIN).then_some(())
    });
    assert!(rig.k3s.objects("source.toolkit.fluxcd.io/v1", "GitRepository").is_empty(), "nobody leads");
    grant(&administrator);
    agent.wait("that it leads", |status| !told(status) && status.lease.state == "leader");
    enforced(&agent, PLAIN);
    // What is made is noted in the cluster, and that too takes the role.
    for name in ["made-flux-plain", "made-extension-mon"] {
        eventually(name, || rig.k3s.object(("v1", "ConfigMap", "arclet", name)));
    }
}

#[test]
fn a_role_that_may_not_give_another_away_says_so_and_not_that_a_right_is_missing() {
    let (rig, administrator) = rig();
    // The role as it was granted by hand, without `bind`.
    let is_role =
        |object: &&Value| object["kind"] == "ClusterRole" && object["metadata"]["name"] == "arclet-gitops";
    let objects = install::objects(&[Scenario::Gitops]).expect("the file");
    let mut role = objects.iter().find(is_role).expect("the role").clone();
    role["rules"].as_array_mut().expect("rules").retain(|rule| rule["verbs"] != json!(["bind"]));
    administrator.apply(&role, install::FIELD_MANAGER, true).expect("the role");
    let properties = json!({
        "scope": "namespace", "namespace": "team", "sourceKind": "GitRepository",
        "gitRepository": {"url": "https://git.example/team", "repositoryRef": {"branch": "main"}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true}},
    });
    rig.azure.put_flux(&cluster_id("k3s-1"), "team", properties);
    let agent = rig.start();
    let reason = eventually("the refusal", || trouble(&agent, "flux/team")?);
    assert!(reason.message.contains("attempting to grant RBAC permissions not currently held"), "{reason}");
    assert!(reason.next_step.contains("may `bind` that role: the role arclet-gitops "), "{reason}");
    enforced(&agent, PLAIN);
    grant(&administrator);
    enforced(&agent, "flux/team");
}
