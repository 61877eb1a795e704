//! What arclet relies on at an API server: the same properties against the in-memory server, always, and against a real one
//! when ARCLET_TEST_KUBECONFIG names an administrator's kubeconfig (tests/cluster/api gives one).
//!
//! It holds the in-memory server to the real one: what has no case here is not in it. With the variable set, a real server
//! that cannot be reached fails the suite; nothing is skipped.

#![allow(clippy::unwrap_used, clippy::panic)] // the rig of a test: it fails by panicking

mod lease;
mod own;
mod roles;

use arclet::clock::Clock;
use arclet::core::{Outcome, Reason};
use arclet::k3s::install::Scenario;
use arclet::k3s::{Client, Connection, Deleted, Identity, Resource, code, install, kubeconfig};
use k3s_standin::ApiServer;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// One server, an administrator's client and a namespace of this test's own.
struct Rig {
    connection: Connection,
    client: Client,
    namespace: String,
}

impl Rig {
    fn new(path: &Path, test: &str) -> Rig {
        let connection = kubeconfig::load(path).unwrap();
        let client = Client::new(connection.clone(), Clock::new()).unwrap();
        // A run's own, for a real server keeps a deleted namespace for a while.
        let namespace = format!("suite-{test}-{:x}", Clock::new().now().wall_ms);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        client.apply(&object, "suite", false).unwrap();
        Rig { connection, client, namespace }
    }

    fn with_token(&self, token: &str) -> Client {
        let identity = Identity::Token(Zeroizing::new(token.to_owned()));
        Client::new(Connection { identity, ..self.connection.clone() }, Clock::new()).unwrap()
    }

    fn config_map(&self, name: &str, data: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": self.namespace, "labels": {"suite": "yes"}}, "data": data})
    }

    fn apply(&self, object: &Value, manager: &str) -> Result<Value, Outcome> {
        self.client.apply(object, manager, false)
    }

    fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.client.get(&known(kind), Some(&self.namespace), name).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let deleted = self.client.delete(&known("Namespace"), None, &self.namespace, None);
        if !std::thread::panicking() {
            assert_eq!(deleted, Ok(Deleted::Yes));
        }
    }
}

/// Deletes a namespace that a test made.
fn cleared(rig: &Rig, namespace: &str) {
    assert_eq!(rig.client.delete(&known("Namespace"), None, namespace, None), Ok(Deleted::Yes));
}

fn known(kind: &str) -> Resource {
    let group = if kind.starts_with("ClusterRole") { "rbac.authorization.k8s.io/v1" } else { "v1" };
    Resource::known(group, kind).unwrap()
}

/// Runs a test against the in-memory server, and against the real one if there is one.
fn on_each_server(test: &str, run: impl Fn(&Rig)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let standin = ApiServer::start(k3s_standin::Options {
        nodes: 0,
        flux: k3s_standin::Flux::Stable,
        ..Default::default()
    })
    .unwrap();
    standin.kubeconfig_with_certificate(&path).unwrap();
    run(&Rig::new(&path, test));
    if let Some(real) = std::env::var_os("ARCLET_TEST_KUBECONFIG") {
        run(&Rig::new(Path::new(&real), test));
    }
}

#[track_caller]
fn refused<T>(result: Result<T, Outcome>) -> Reason {
    match result {
        Err(Outcome::Refused(reason)) => reason,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was done"),
    }
}

/// Tries until it is so, for a real server's controllers and caches take their time.
#[track_caller]
fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let clock = Clock::new();
    let start = clock.now().mono;
    while !so() {
        assert!(clock.now().mono.since(start) < PATIENCE, "{what}: not within a minute");
        rest(Duration::from_millis(100));
    }
}

/// Turns a hang into a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pause between two tries; what is waited for is asked for, never timed.
fn rest(time: Duration) {
    let (_open, silence) = std::sync::mpsc::channel::<()>();
    let _ = silence.recv_timeout(time);
}

#[test]
fn the_version_is_that_of_the_server() {
    on_each_server("version", |rig| {
        let version = rig.client.version().unwrap();
        assert!(version.starts_with("v1."), "{version}");
    });
}

#[test]
fn nodes_are_counted_over_all_pages() {
    on_each_server("nodes", |rig| {
        let before = rig.client.nodes().unwrap();
        let names: Vec<String> = (0..120).map(|n| format!("{}-{n}", rig.namespace)).collect();
        for name in &names {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                "spec": {"providerID": format!("k3s://{name}")}, "status": {"capacity": {"cpu": "1500m"}}});
            rig.apply(&node, "suite").unwrap();
        }
        let after = rig.client.nodes().unwrap();
        for name in &names {
            assert_eq!(rig.client.delete(&known("Node"), None, name, None), Ok(Deleted::Yes));
        }
        assert_eq!(after.nodes - before.nodes, 120);
        assert_eq!(after.vcpu_millis - before.vcpu_millis, 120 * 1500);
        assert!(after.provider_ids.iter().any(|id| id.starts_with("k3s://suite-nodes-")), "{after:?}");
        assert_eq!(rig.client.nodes().unwrap().nodes, before.nodes);
    });
}

#[test]
fn a_repeated_apply_changes_nothing_and_an_absent_field_goes() {
    on_each_server("apply", |rig| {
        let first = rig.apply(&rig.config_map("a", json!({"one": "1", "two": "2"})), "arclet").unwrap();
        let again = rig.apply(&rig.config_map("a", json!({"one": "1", "two": "2"})), "arclet").unwrap();
        assert_eq!(first["metadata"]["uid"], again["metadata"]["uid"]);
        assert_eq!(again["data"], json!({"one": "1", "two": "2"}));
        rig.apply(&rig.config_map("a", json!({"one": "1"})), "arclet").unwrap();
        assert_eq!(rig.get("ConfigMap", "a").unwrap()["data"], json!({"one": "1"}));
    });
}

#[test]
fn a_field_of_another_manager_is_a_conflict_that_names_both_and_force_takes_it() {
    on_each_server("conflict", |rig| {
        rig.apply(&rig.config_map("a", json!({"size": "1"})), "somebody-else").unwrap();
        let ours = rig.config_map("a", json!({"size": "2"}));
        let reason = refused(rig.apply(&ours, "arclet"));
        assert_eq!(reason.code, code::FIELD_CONFLICT, "{reason}");
        assert!(reason.message.contains(".data.size (somebody-else)"), "{reason}");
        assert_eq!(rig.get("ConfigMap", "a").unwrap()["data"], json!({"size": "1"}));
        // The same value is no conflict: both own it then.
        rig.apply(&rig.config_map("a", json!({"size": "1"})), "third").unwrap();
        rig.client.apply(&ours, "arclet", true).unwrap();
        assert_eq!(rig.get("ConfigMap", "a").unwrap()["data"], json!({"size": "2"}));
        let theirs = refused(rig.apply(&rig.config_map("a", json!({"size": "1"})), "somebody-else"));
        assert!(theirs.message.contains("(arclet)"), "{theirs}");
    });
}

#[test]
fn an_unknown_field_is_an_error_and_not_a_silent_loss() {
    on_each_server("strict", |rig| {
        let mut object = rig.config_map("a", json!({"one": "1"}));
        object["dta"] = json!({"two": "2"});
        let outcome = rig.apply(&object, "arclet").unwrap_err();
        assert!(outcome.reason().unwrap().message.contains("dta"), "{outcome:?}");
        assert_eq!(rig.get("ConfigMap", "a"), None);
    });
}

#[test]
fn a_delete_takes_only_the_object_that_was_meant() {
    on_each_server("delete", |rig| {
        let kind = known("ConfigMap");
        let delete = |uid: Option<&str>| rig.client.delete(&kind, Some(&rig.namespace), "a", uid);
        assert_eq!(delete(None), Ok(Deleted::NotThere));
        let made = rig.apply(&rig.config_map("a", json!({})), "arclet").unwrap();
        assert_eq!(delete(Some("00000000-0000-0000-0000-000000000000")), Ok(Deleted::AnotherOne));
        assert!(rig.get("ConfigMap", "a").is_some());
        assert_eq!(delete(made["metadata"]["uid"].as_str()), Ok(Deleted::Yes));
        assert_eq!(rig.get("ConfigMap", "a"), None);
    });
}

#[test]
fn a_list_is_whole_and_keeps_to_its_selector() {
    on_each_server("list", |rig| {
        for n in 0..60 {
            rig.apply(&rig.config_map(&format!("a{n}"), json!({})), "arclet").unwrap();
        }
        let list = |selector| rig.client.list(&known("ConfigMap"), Some(&rig.namespace), selector).unwrap();
        assert_eq!(list("suite=yes").len(), 60);
        assert_eq!(list("suite=no").len(), 0);
        assert!(list("").len() >= 60);
    });
}

#[test]
fn what_is_not_there_is_told_apart_from_what_cannot_be_asked() {
    on_each_server("absent", |rig| {
        assert_eq!(rig.get("Secret", "gone"), None);
        let reason = refused(rig.client.resource("helm.example.com/v1", "HelmChart"));
        assert_eq!(reason.code, code::NO_SUCH_KIND);
        let charts = Resource { plural: "charts".into(), ..known("Secret") };
        let reason = refused(rig.client.get(&charts, Some(&rig.namespace), "a"));
        assert_eq!(reason.code, code::NO_SUCH_KIND, "a missing kind is no missing object: {reason}");
        // Of an unknown group the server says only "404 page not found", as any Go program does.
        let charts = Resource { group: "helm.example.com".into(), ..charts };
        assert_eq!(refused(rig.client.get(&charts, Some(&rig.namespace), "a")).code, code::NOT_KUBERNETES);
        let mut object = rig.config_map("a", json!({}));
        object["metadata"]["namespace"] = json!("no-such-namespace");
        assert_eq!(refused(rig.apply(&object, "arclet")).code, code::NOT_FOUND);
    });
}

#[test]
fn groups_and_their_kinds_are_discovered() {
    on_each_server("discovery", |rig| {
        let groups = rig.client.discover().unwrap();
        let rbac = groups.iter().find(|g| g.name == "rbac.authorization.k8s.io").unwrap();
        assert_eq!(rbac.versions.first().map(String::as_str), Some("v1"));
        let found = rig.client.resources("rbac.authorization.k8s.io", "v1").unwrap();
        assert!(found.contains(&known("ClusterRole")), "{found:?}");
        assert!(rig.client.resources("", "v1").unwrap().contains(&known("Secret")));
        assert_eq!(rig.client.resources("helm.example.com", "v1"), Ok(Vec::new()));
    });
}

#[test]
fn a_token_that_nobody_gave_is_unauthorized() {
    on_each_server("stranger", |rig| {
        let stranger = rig.with_token("invented");
        for outcome in [stranger.version().map(drop), stranger.nodes().map(drop)] {
            assert!(matches!(outcome, Err(Outcome::Unauthorized { .. })), "{outcome:?}");
        }
    });
}

#[test]
fn a_requested_token_acts_as_its_service_account_and_without_a_role_may_do_nothing() {
    on_each_server("token", |rig| {
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "worker", "namespace": rig.namespace}});
        rig.apply(&account, "suite").unwrap();
        let too_short = rig.client.token_request(&rig.namespace, "worker", &[], 60);
        assert_eq!(refused(too_short.map(drop)).code, code::INVALID);
        let gone = rig.client.token_request(&rig.namespace, "gone", &[], 600);
        assert_eq!(refused(gone.map(drop)).code, code::NOT_FOUND);
        let grant = rig.client.token_request(&rig.namespace, "worker", &[], 600).unwrap();
        assert!(grant.expires.starts_with("20") || grant.expires.starts_with("21"), "{}", grant.expires);

        let worker = rig.with_token(&grant.secret);
        let me = worker.who_am_i().unwrap();
        assert_eq!(me.username, format!("system:serviceaccount:{}:worker", rig.namespace));
        assert!(me.groups.contains(&"system:serviceaccounts".to_owned()), "{me:?}");
        worker.version().unwrap();
        assert_eq!(worker.can_i("list", "", "nodes", None, None), Ok(false));
        let reason = refused(worker.nodes());
        assert_eq!(reason.code, code::FORBIDDEN);
        assert!(reason.message.contains("nodes") && reason.next_step.contains("role"), "{reason}");
        assert_eq!(refused(worker.get(&known("Secret"), Some(&rig.namespace), "a")).code, code::FORBIDDEN);
    });
}

/// `install` has one name for its objects, so tests that use it go one after the other on a real server.
static INSTALL: Mutex<()> = Mutex::new(());

#[test]
fn the_agents_own_access_is_made_works_is_small_and_ends_with_its_secret() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("install", |rig| {
        let missing = |rig: &Rig| {
            install::plan(&rig.client, &Scenario::ALL)
                .unwrap()
                .iter()
                // The namespace of extensions stays; another test may have made it.
                .filter(|step| step.object["metadata"]["annotations"]["arclet.dev/keep"] != "true")
                .all(|step| step.state == install::State::Missing)
        };
        let made = install::apply_all(&rig.client, &[], PATIENCE, &mut rest).unwrap();
        let again = install::apply_all(&rig.client, &[], PATIENCE, &mut rest).unwrap();
        assert_eq!(made.len(), again.len());
        assert!(again.iter().all(|step| step.state == install::State::Ours), "{again:?}");

        let token = install::wait_token(&rig.client, PATIENCE, &mut rest).unwrap();
        let limited = install::limited(&rig.connection, token);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        kubeconfig::write(&path, &limited).unwrap();
        let agent = Client::new(kubeconfig::load(&path).unwrap(), Clock::new()).unwrap();

        assert_eq!(agent.who_am_i().unwrap().username, "system:serviceaccount:arclet:arclet");
        agent.version().unwrap();
        agent.nodes().unwrap();
        for (verb, group, resource, may) in [
            ("list", "", "nodes", true),
            ("get", "", "nodes", true),
            ("watch", "", "nodes", false),
            ("delete", "", "nodes", false),
            ("list", "", "secrets", false),
            ("create", "", "serviceaccounts/token", false),
            ("list", "", "pods", false),
            ("create", "", "pods/exec", false),
            ("patch", "rbac.authorization.k8s.io", "clusterroles", false),
        ] {
            assert_eq!(agent.can_i(verb, group, resource, None, None), Ok(may), "{verb} {resource}");
        }
        assert_eq!(
            refused(agent.apply(&rig.config_map("a", json!({})), "arclet", false)).code,
            code::FORBIDDEN
        );

        let space = Some(install::NAMESPACE);
        rig.client.delete(&known("Secret"), space, install::TOKEN_SECRET, None).unwrap();
        // A real server remembers a good token for 10 s.
        eventually("the token is refused once its Secret is gone", || {
            matches!(agent.version(), Err(Outcome::Unauthorized { .. }))
        });

        let removed = install::remove_all(&rig.client).unwrap();
        assert!(removed.contains(&("Secret arclet/arclet-token".into(), Deleted::NotThere)), "{removed:?}");
        assert!(removed.contains(&("ClusterRole arclet-metadata".into(), Deleted::Yes)), "{removed:?}");
        // At once, while the namespace may still be on its way out: what is made outlives it.
        install::apply_all(&rig.client, &[], PATIENCE, &mut rest).unwrap();
        install::wait_token(&rig.client, PATIENCE, &mut rest).unwrap();
        install::remove_all(&rig.client).unwrap();
        eventually("everything is gone", || missing(rig));
    });
}

#[test]
fn what_is_somebody_elses_is_neither_taken_over_nor_removed() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("foreign", |rig| {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {"name": "arclet-metadata"}, "rules": []});
        rig.apply(&role, "somebody-else").unwrap();
        let reason = refused(install::apply_all(&rig.client, &[], PATIENCE, &mut rest).map(drop));
        assert_eq!(reason.code, "NotOurs");
        assert!(reason.message.contains("ClusterRole arclet-metadata"), "{reason}");
        let removed = install::remove_all(&rig.client).unwrap();
        assert!(
            removed.contains(&("ClusterRole arclet-metadata".into(), Deleted::AnotherOne)),
            "{removed:?}"
        );
        let kind = known("ClusterRole");
        assert_eq!(rig.client.delete(&kind, None, "arclet-metadata", None), Ok(Deleted::Yes));
    });
}
