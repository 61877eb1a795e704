//! The installation of Flux as a whole: which controllers there are, whether they work, and which of its APIs are served.
//!
//! A configuration whose controller is not there stays "Unknown" for ever, and its own status cannot say why: nobody writes
//! one. Pure: Deployments and the server's groups in, a picture out. Who looks, and when, is the core's business.

use super::mask;
use crate::core::Reason;
use crate::core::document::Served;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How Flux itself marks its Deployments.
pub const SELECTOR: &str = "app.kubernetes.io/part-of=flux";
/// How older ones and other distributions of it do; others mark theirs so, too ([`controllers`] sorts them out).
pub const OLD_SELECTOR: &str = "control-plane=controller";
/// The key of reports on the installation, and their column `Kind`.
pub const KIND: &str = "flux-installation";

/// Without these no configuration is applied.
const NEEDED: [&str; 2] = ["source-controller", "kustomize-controller"];
/// What a Deployment under [`OLD_SELECTOR`] is called if it is Flux's, or of Azure's extension of it.
const OTHERS: [&str; 7] = [
    "helm-controller",
    "notification-controller",
    "image-reflector-controller",
    "image-automation-controller",
    "source-watcher",
    "fluxconfig-agent",
    "fluxconfig-controller",
];
const GROUPS: &str = ".toolkit.fluxcd.io";
const VERSION: &str = "app.kubernetes.io/version";
/// Flux has eight controllers. What is beyond this would not fit its column.
const MOST_CONTROLLERS: usize = 16;
/// Characters of a text of the cluster's: all of them fit the column, escaped.
const LONGEST: usize = 120;

/// Flux in the cluster, at one look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// `source.toolkit.fluxcd.io/v1` and the others, sorted.
    pub served: Vec<String>,
    /// Sorted by namespace and name.
    pub controllers: Vec<Controller>,
    /// Why it is not known which controllers there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// One controller: a Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Controller {
    /// `flux-system`, if nobody chose another.
    pub namespace: String,
    /// `source-controller`.
    pub name: String,
    /// Of Flux by the Deployment's label, else of the controller by its image's tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it has the pods that it needs.
    pub available: bool,
    /// Kubernetes' own word: why it has not, or why an update of it is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

impl Installation {
    /// What was found. `deployments` are those of a selector; an error says why they could not be listed.
    pub fn new(served: &Served, deployments: Result<Vec<Controller>, Reason>) -> Installation {
        let (mut controllers, reason) = match deployments {
            Ok(controllers) => (controllers, None),
            Err(reason) => (Vec::new(), Some(reason)),
        };
        controllers.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        controllers.truncate(MOST_CONTROLLERS);
        let groups = served.iter().filter(|(group, _)| group.ends_with(GROUPS));
        let mut served: Vec<String> = groups
            .flat_map(|(group, versions)| versions.iter().map(move |v| format!("{group}/{v}")))
            .collect();
        served.sort();
        Installation { served, controllers, reason }
    }

    /// `unknown`, `absent`, `incomplete`, `unavailable`, `available`.
    pub fn state(&self) -> &'static str {
        if self.reason.is_some() {
            return "unknown";
        }
        match (self.served.is_empty(), self.controllers.is_empty(), self.missing().is_empty()) {
            (true, true, _) => "absent",
            (true, ..) | (.., false) => "incomplete",
            _ if self.controllers.iter().any(|controller| !controller.available) => "unavailable",
            _ => "available",
        }
    }

    fn missing(&self) -> Vec<&'static str> {
        let there = |name: &str| self.controllers.iter().any(|controller| controller.name == name);
        NEEDED.into_iter().filter(|name| !there(name)).collect()
    }

    /// Why it is not as it should be, with the next step.
    pub fn trouble(&self) -> Option<Reason> {
        if let Some(reason) = &self.reason {
            return Some(reason.clone());
        }
        if self.served.is_empty() {
            let text = "the API server serves none of Flux's kinds";
            return Some(Reason::new("FluxNotInstalled", text).cure("install Flux (docs/gitops.md)"));
        }
        let missing = self.missing();
        if !missing.is_empty() {
            let text = format!("there is no Deployment of {}", missing.join(" and "));
            return Some(
                Reason::new("ControllerMissing", text)
                    .cure("install it, or label it app.kubernetes.io/part-of=flux if it is there"),
            );
        }
        self.controllers.iter().find_map(|controller| {
            let reason = controller.reason.as_ref()?;
            Some(Reason { message: format!("{}: {}", controller.name, reason.message), ..reason.clone() })
        })
    }
}

/// The controllers among Deployments: all of them where Flux marked them, those of its names elsewhere (`old`).
pub fn controllers(deployments: &[Value], old: bool) -> Vec<Controller> {
    let known = |name: &str| NEEDED.contains(&name) || OTHERS.contains(&name);
    deployments.iter().map(controller).filter(|controller| !old || known(&controller.name)).collect()
}

fn controller(deployment: &Value) -> Controller {
    let text = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_str);
    let label = deployment.pointer("/metadata/labels").and_then(|labels| labels.get(VERSION)?.as_str());
    let image = || text("/spec/template/spec/containers/0/image").and_then(tag);
    let (available, reason) = standing(deployment);
    Controller {
        namespace: text("/metadata/namespace").map(short).unwrap_or_default(),
        name: text("/metadata/name").map(short).unwrap_or_default(),
        version: label.or_else(image).map(short),
        available,
        reason,
    }
}

/// Whether it is available, and what is wrong with it. The two are not the same: the old pods of a stuck update work.
fn standing(deployment: &Value) -> (bool, Option<Reason>) {
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64);
    if number("/status/observedGeneration") < number("/metadata/generation") {
        return (false, Some(Reason::new("NotObserved", "Kubernetes has not looked at its last change yet")));
    }
    // With no pod wanted, Kubernetes calls it available.
    if number("/spec/replicas") == Some(0) {
        let reason = Reason::new("ScaledToZero", "nobody wants a pod of it");
        return (false, Some(reason.cure("kubectl scale it to 1")));
    }
    let condition = |name: &str| {
        let conditions = deployment.pointer("/status/conditions")?.as_array()?;
        conditions.iter().find(|condition| condition.get("type").and_then(Value::as_str) == Some(name))
    };
    let says = |condition: &Value, what: &str| condition.get("status").and_then(Value::as_str) == Some(what);
    let word = |condition: &Value| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
        Reason::new(short(text("reason")), mask::text(&short(text("message"))))
    };
    let available = condition("Available").is_some_and(|condition| says(condition, "True"));
    let stuck = condition("Progressing").filter(|condition| says(condition, "False"));
    let reason = match (stuck, condition("Available")) {
        (Some(stuck), _) => Some(word(stuck)),
        (None, Some(found)) if !available => Some(word(found)),
        (None, None) => Some(Reason::new("NotObserved", "Kubernetes says nothing of its availability")),
        (None, Some(_)) => None,
    };
    (available, reason)
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// The tag of `registry:5000/fluxcd/source-controller:v1.7.0@sha256:…`.
fn tag(image: &str) -> Option<&str> {
    let image = image.split('@').next()?;
    let last = image.rsplit('/').next()?;
    last.split_once(':').map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment(name: &str, available: &str) -> Value {
        json!({
            "metadata": {"namespace": "flux-system", "name": name, "generation": 2,
                "labels": {"app.kubernetes.io/version": "v2.7.3"}},
            "spec": {"replicas": 1, "template": {"spec": {"containers": [
                {"image": format!("ghcr.io:443/fluxcd/{name}:v1.7.3@sha256:00")}]}}},
            "status": {"observedGeneration": 2, "conditions": [
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "fine"},
                {"type": "Available", "status": available, "reason": "MinimumReplicasUnavailable",
                    "message": "Deployment does not have minimum availability."}]},
        })
    }

    fn served() -> Served {
        [("apps", "v1"), ("source.toolkit.fluxcd.io", "v1"), ("kustomize.toolkit.fluxcd.io", "v1")]
            .map(|(group, version)| (group.to_owned(), vec![version.to_owned()]))
            .into()
    }

    fn all(deployments: &[Value]) -> Installation {
        Installation::new(&served(), Ok(controllers(deployments, false)))
    }

    #[test]
    fn what_works_is_available_with_its_versions_and_nothing_to_say() {
        let found = all(&NEEDED.map(|name| deployment(name, "True")));
        assert_eq!((found.state(), found.trouble()), ("available", None));
        assert_eq!(found.served, ["kustomize.toolkit.fluxcd.io/v1", "source.toolkit.fluxcd.io/v1"]);
        let names: Vec<_> =
            found.controllers.iter().map(|c| (c.name.as_str(), c.version.as_deref())).collect();
        assert_eq!(names, [("kustomize-controller", Some("v2.7.3")), ("source-controller", Some("v2.7.3"))]);
    }

    #[test]
    fn a_controller_that_is_not_available_is_named_with_kubernetes_own_reason() {
        let found =
            all(&[deployment("source-controller", "False"), deployment("kustomize-controller", "True")]);
        assert_eq!(found.state(), "unavailable");
        let trouble = found.trouble().unwrap();
        assert_eq!(trouble.code, "MinimumReplicasUnavailable");
        assert!(trouble.message.starts_with("source-controller: Deployment does not have"), "{trouble}");
    }

    #[test]
    fn each_way_not_to_work_has_its_word() {
        let one = |change: &dyn Fn(&mut Value)| {
            let mut changed = deployment("source-controller", "True");
            change(&mut changed);
            let found = controller(&changed);
            (found.available, found.reason.map(|reason| reason.code))
        };
        let says = |available, code: &str| (available, Some(code.to_owned()));
        assert_eq!(one(&|_| ()), (true, None));
        assert_eq!(one(&|d| d["spec"]["replicas"] = json!(0)), says(false, "ScaledToZero"));
        assert_eq!(one(&|d| d["metadata"]["generation"] = json!(3)), says(false, "NotObserved"));
        assert_eq!(one(&|d| d["status"] = json!({})), says(false, "NotObserved"));
        assert_eq!(one(&|d| d["status"]["conditions"] = json!([])), says(false, "NotObserved"));
        // The old pods still work.
        let stuck = |d: &mut Value| {
            d["status"]["conditions"][0]["status"] = json!("False");
            d["status"]["conditions"][0]["reason"] = json!("ProgressDeadlineExceeded");
        };
        assert_eq!(one(&stuck), says(true, "ProgressDeadlineExceeded"));
    }

    #[test]
    fn what_is_missing_is_told_apart_and_what_cannot_be_seen_is_not_missing() {
        let nothing = Installation::new(&Served::new(), Ok(Vec::new()));
        assert_eq!(
            (nothing.state(), nothing.trouble().unwrap().code.as_str()),
            ("absent", "FluxNotInstalled")
        );
        let half = all(&[deployment("source-controller", "True")]);
        assert_eq!(
            (half.state(), half.trouble().unwrap().code.as_str()),
            ("incomplete", "ControllerMissing")
        );
        assert!(half.trouble().unwrap().message.ends_with("of kustomize-controller"));
        let refused = Installation::new(&served(), Err(Reason::new("Forbidden", "no role")));
        assert_eq!((refused.state(), refused.trouble().unwrap().code.as_str()), ("unknown", "Forbidden"));
    }

    #[test]
    fn an_older_mark_counts_for_flux_s_names_only_and_then_the_image_says_the_version() {
        let mut older = deployment("helm-controller", "True");
        older["metadata"]["labels"] = json!({"control-plane": "controller"});
        let deployments = [older, deployment("gatekeeper-controller-manager", "True")];
        let found = controllers(&deployments, true);
        assert_eq!(found.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["helm-controller"]);
        assert_eq!(found[0].version.as_deref(), Some("v1.7.3"));
        assert_eq!(controllers(&deployments, false).len(), 2);
        assert_eq!(["a", "b:5000/a", "a@sha256:1", "b:5000/a:v1"].map(tag), [None, None, None, Some("v1")]);
    }
}
