//! Why Kubernetes forbids something, and what helps: a missing role, a role that is not ours to give, or a policy.
//!
//! All three are a 403, and nothing but the words of the message tells them apart. Only the advice hangs on them: what
//! arclet does next does not.

use super::install::{self, SCENARIO_LABEL, Scenario};
use serde_json::Value;

/// What the rule against escalation says, in every version of Kubernetes.
const ESCALATION: &str = "attempting to grant RBAC permissions not currently held";
/// What an admission webhook's refusal says.
const ADMISSION: &str = "denied the request";

/// The next step after a 403. `call` is the method and path that were refused.
pub(super) fn cure(call: &str, message: &str) -> String {
    if message.contains(ESCALATION) {
        let who = holder(&["bind"], "rbac.authorization.k8s.io", "clusterroles", None);
        return format!(
            "Kubernetes lets nobody give away rights that they do not have themselves, unless they may `bind` that role: {who}. arclet gives \
             away the ClusterRole admin and no other; arclet connect itself needs an administrator of the cluster"
        );
    }
    if message.contains(ADMISSION) {
        return "a policy of the cluster refuses it: change what is wanted, or the policy".to_owned();
    }
    match asked(call) {
        Some((verbs, group, resource, namespace)) => holder(verbs, group, resource, namespace),
        None => NOBODYS.to_owned(),
    }
}

/// Which of arclet's roles has the right, and how it is granted.
fn holder(verbs: &[&str], group: &str, resource: &str, namespace: Option<&str>) -> String {
    // The file is part of the program, and a test reads it.
    let objects = install::objects(&Scenario::ALL).unwrap_or_default();
    // A role of a namespace counts there, and there it is the one that was meant.
    let home = |object: &&Value| object.pointer("/metadata/namespace").and_then(Value::as_str) == namespace;
    let granting = || objects.iter().filter(|object| grants(object, verbs, group, resource));
    let meant: Vec<&Value> = match namespace.and(granting().find(home)) {
        Some(role) => vec![role],
        None => granting().filter(|role| role.pointer("/metadata/namespace").is_none()).collect(),
    };
    let roles = meant.into_iter();
    let mut texts = roles.filter_map(|role| {
        let name = role.pointer("/metadata/name")?.as_str()?;
        let scenario = role.pointer("/metadata/labels").and_then(|labels| labels.get(SCENARIO_LABEL));
        let scenario = scenario.and_then(Value::as_str);
        let scenario = Scenario::ALL.into_iter().find(|known| scenario == Some(known.name()));
        let how = scenario.map_or("arclet connect", Scenario::granted_by);
        Some(format!("the role {name} (config/rbac.yaml) has this right, and {how} grants it"))
    });
    match texts.next() {
        Some(first) => texts.fold(first, |all, next| format!("{all}; or {next}")),
        None => NOBODYS.to_owned(),
    }
}

fn grants(role: &Value, verbs: &[&str], group: &str, resource: &str) -> bool {
    let has = |rule: &Value, field: &str, wanted: &[&str]| {
        let items = rule.get(field).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).any(|item| wanted.contains(&item))
    };
    let rules = role.get("rules").and_then(Value::as_array).into_iter().flatten();
    let mut rules =
        rules.filter(|rule| has(rule, "apiGroups", &[group]) && has(rule, "resources", &[resource]));
    rules.any(|rule| has(rule, "verbs", verbs))
}

/// What was asked for: verbs, group, resource and namespace.
type Asked<'a> = (&'static [&'static str], &'a str, &'a str, Option<&'a str>);

/// Reads `PATCH /apis/GROUP/VERSION/namespaces/NAMESPACE/RESOURCE/NAME`.
fn asked(call: &str) -> Option<Asked<'_>> {
    let (method, path) = call.split_once(' ')?;
    let verbs: &[&str] = match method {
        "GET" => &["get", "list"],
        // Server-side apply makes what is not there.
        "PATCH" => &["patch", "create"],
        "DELETE" => &["delete"],
        "POST" => &["create"],
        _ => return None,
    };
    let mut parts = path.split('?').next()?.split('/').skip(1);
    let group = match parts.next()? {
        "api" => "",
        "apis" => parts.next()?,
        _ => return None,
    };
    let rest: Vec<&str> = parts.skip(1).collect();
    match rest.as_slice() {
        ["namespaces", namespace, resource, ..] => Some((verbs, group, resource, Some(namespace))),
        [resource, ..] => Some((verbs, group, resource, None)),
        [] => None,
    }
}

const NOBODYS: &str =
    "no role of arclet's (config/rbac.yaml) has this right: it takes an administrator of the cluster";

#[cfg(test)]
mod tests {
    use super::*;

    const RBAC: &str = "user \"system:serviceaccount:arclet:arclet\" cannot patch";

    #[test]
    fn a_missing_right_names_the_role_that_has_it_and_how_it_is_granted() {
        for (call, role, how) in [
            ("GET /api/v1/nodes", "arclet-metadata", "arclet connect grants"),
            ("GET /apis/apps/v1/deployments", "arclet-gitops ", "arclet connect --gitops "),
            ("PATCH /api/v1/namespaces/fleet?force=true", "arclet-gitops ", "arclet connect --gitops "),
            ("GET /api/v1/namespaces/fleet/secrets/a", "arclet-gitops-secrets ", "--key-vault"),
            (
                "PATCH /apis/helm.cattle.io/v1/namespaces/arclet-extensions/helmcharts/mon",
                "arclet-extensions ",
                "arclet connect --extensions ",
            ),
            (
                "GET /api/v1/namespaces/arclet-extensions/secrets/mon-0011223344",
                "arclet-extensions ",
                "arclet connect --extensions ",
            ),
            (
                "PATCH /apis/kustomize.toolkit.fluxcd.io/v1/namespaces/fleet/kustomizations/a",
                "arclet-gitops ",
                "arclet connect --gitops ",
            ),
        ] {
            let cure = cure(call, RBAC);
            assert!(cure.contains(&format!("the role {role}")) && cure.contains(how), "{call}: {cure}");
        }
        for call in ["PATCH /apis/rbac.authorization.k8s.io/v1/clusterroles/a", "GET /version", "GET", ""] {
            assert_eq!(cure(call, RBAC), NOBODYS, "{call}");
        }
    }

    #[test]
    fn a_refusal_to_give_rights_away_and_one_of_a_policy_are_no_missing_role() {
        let call = "PATCH /apis/rbac.authorization.k8s.io/v1/namespaces/fleet/rolebindings/a";
        let refused = "rolebindings.rbac.authorization.k8s.io \"a\" is forbidden: user \"x\" (groups=[\"y\"]) is attempting to \
                       grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}";
        let text = cure(call, refused);
        assert!(text.contains("may `bind`") && text.contains("the role arclet-gitops "), "{text}");
        let policy = "admission webhook \"validation.gatekeeper.sh\" denied the request: [no-fleet] not on this cluster";
        assert!(cure(call, policy).starts_with("a policy of the cluster"));
    }
}
