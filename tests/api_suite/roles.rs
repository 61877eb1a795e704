//! What the agent's own account may do with each scenario's role, and what it is told without.

use super::{INSTALL, PATIENCE, Rig, eventually, on_each_server, rest};
use arclet::clock::Clock;
use arclet::core::Outcome;
use arclet::k3s::install::{self, Scenario};
use arclet::k3s::{Client, Owned, Resource, code};
use serde_json::{Value, json};
use std::sync::PoisonError;

const RBAC: &str = "rbac.authorization.k8s.io";

/// The agent's client, with the roles of these scenarios.
fn agent(rig: &Rig, scenarios: &[Scenario]) -> Client {
    install::apply_all(&rig.client, scenarios, PATIENCE, &mut rest).unwrap();
    let token = install::wait_token(&rig.client, PATIENCE, &mut rest).unwrap();
    let agent = Client::new(install::limited(&rig.connection, token), Clock::new()).unwrap();
    // A real server's authorizer learns of a role by and by.
    for (scenario, group, resource) in [
        (Scenario::Gitops, "kustomize.toolkit.fluxcd.io", "kustomizations"),
        (Scenario::GitopsSecrets, "", "secrets"),
    ] {
        let wanted = scenarios.contains(&scenario);
        eventually(resource, || agent.can_i("patch", group, resource, None, None) == Ok(wanted));
    }
    agent
}

/// All sorts of objects that a configuration may bring.
fn objects(namespace: &str) -> Vec<Value> {
    let metadata = json!({"name": "suite", "namespace": namespace});
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "annotations": {"arclet.dev/keep": "true"}}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "suite", "namespace": namespace}]}),
        json!({"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": metadata,
            "spec": {"url": "https://git.example.com/fleet", "interval": "10m"}}),
        json!({"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": metadata,
            "spec": {"interval": "10m", "prune": true, "sourceRef": {"kind": "GitRepository", "name": "suite"}}}),
    ]
}

#[test]
fn the_role_of_extensions_ends_at_its_namespace_which_outlives_disconnect() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("extensions", |rig| {
        install::remove_all(&rig.client).unwrap();
        let agent = agent(rig, &[Scenario::Extensions]);
        let own = Some("arclet-extensions");
        for (verb, group, resource) in [
            ("patch", "helm.cattle.io", "helmcharts"),
            ("delete", "helm.cattle.io", "helmcharts"),
            ("create", "", "secrets"),
            ("get", "batch", "jobs"),
            ("list", "", "pods"),
            ("get", "", "pods/log"),
            ("list", "", "events"),
        ] {
            eventually(resource, || agent.can_i(verb, group, resource, own, None) == Ok(true));
            let elsewhere = agent.can_i(verb, group, resource, Some(&rig.namespace), None);
            assert_eq!(elsewhere, Ok(false), "{verb} {resource} elsewhere");
        }
        assert_eq!(agent.can_i("list", "", "secrets", own, None), Ok(false));
        // What a Job says is read with these rights, and so is that there is none.
        let view = agent.job("arclet-extensions", "helm-install-none").unwrap();
        assert!(view.job.is_none() && view.refused.is_none());
        let refused = agent.job(&rig.namespace, "helm-install-none").unwrap().refused.expect("a refusal");
        assert_eq!(refused.code, code::FORBIDDEN);

        install::remove_all(&rig.client).unwrap();
        let namespaces = Resource::known("v1", "Namespace").unwrap();
        let left =
            rig.client.get(&namespaces, None, "arclet-extensions").unwrap().expect("the namespace stays");
        assert!(left["metadata"]["deletionTimestamp"].is_null());
        eventually("the end of the role", || {
            agent.can_i("patch", "helm.cattle.io", "helmcharts", own, None) != Ok(true)
        });
    });
}

fn enforce(agent: &Client, objects: &[Value]) -> Owned {
    agent.enforce("flux/roles", objects, &[], &mut |_| Ok(())).unwrap()
}

#[test]
fn the_role_of_gitops_suffices_for_its_objects_and_each_of_them_says_so_when_it_is_missing() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("roles", |rig| {
        install::remove_all(&rig.client).unwrap();
        let agent = agent(rig, &[]);
        let namespace = format!("{}-made", rig.namespace);
        let objects = objects(&namespace);
        let owned = enforce(&agent, &objects);
        assert_eq!((owned.refused.len(), owned.refs.len()), (objects.len(), 0));
        for (reference, reason) in &owned.refused {
            assert_eq!(reason.code, code::FORBIDDEN, "{reference:?}: {reason}");
            assert!(reason.next_step.contains("config/rbac.yaml"), "{reason}");
        }

        let agent = self::agent(rig, &[Scenario::Gitops]);
        let owned = enforce(&agent, &objects);
        assert_eq!(
            (owned.refused, owned.refs.len()),
            (Vec::new(), objects.len() - 1),
            "the namespace is kept"
        );
        for role in ["cluster-admin", "edit"] {
            let mut binding = objects[2].clone();
            binding["metadata"]["name"] = json!("more");
            binding["roleRef"]["name"] = json!(role);
            let refused = enforce(&agent, &[binding]).refused;
            assert_eq!(refused.first().map(|(_, r)| r.code.as_str()), Some(code::FORBIDDEN), "{role}");
        }
        for (verb, group, resource) in [
            ("list", "", "secrets"),
            ("get", "", "secrets"),
            ("delete", "", "namespaces"),
            ("list", "kustomize.toolkit.fluxcd.io", "kustomizations"),
            ("create", RBAC, "clusterrolebindings"),
            ("escalate", RBAC, "clusterroles"),
            ("create", "", "serviceaccounts/token"),
            ("impersonate", "", "serviceaccounts"),
            ("create", "", "pods"),
            ("get", "apps", "deployments"),
            ("patch", "apps", "deployments"),
        ] {
            assert_eq!(agent.can_i(verb, group, resource, None, None), Ok(false), "{verb} {resource}");
        }
        // Flux's controllers may be seen wherever they are.
        let deployments = Resource::known("apps/v1", "Deployment").unwrap();
        agent.list(&deployments, None, "app.kubernetes.io/part-of=flux").unwrap();
        assert_eq!(agent.withdraw("flux/roles", &owned.refs), Ok(Vec::new()));
        super::cleared(rig, &namespace);
        install::remove_all(&rig.client).unwrap();
    });
}

#[test]
fn secrets_of_sources_have_a_role_of_their_own_and_cannot_be_listed() {
    let _alone = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
    on_each_server("roles-secrets", |rig| {
        install::remove_all(&rig.client).unwrap();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "data": {"ca.crt": "eA=="},
            "metadata": {"name": "suite", "namespace": rig.namespace}});
        let without = enforce(&agent(rig, &[Scenario::Gitops]), std::slice::from_ref(&secret));
        assert_eq!(without.refused.first().map(|(_, r)| r.code.as_str()), Some(code::FORBIDDEN));
        let agent = agent(rig, &Scenario::ALL);
        let owned = enforce(&agent, std::slice::from_ref(&secret));
        assert_eq!((owned.refused, owned.refs.len()), (Vec::new(), 1));
        let list = agent.list(&super::known("Secret"), Some(&rig.namespace), "");
        assert!(matches!(list, Err(Outcome::Refused(_))), "{list:?}");
        assert_eq!(agent.withdraw("flux/roles", &owned.refs), Ok(Vec::new()));
        install::remove_all(&rig.client).unwrap();
    });
}
