//! What becomes of an extension in the cluster.
//!
//! A HelmChart's status says little: which Job works for it, and at the end that it failed. The truth is in the Job and
//! its pods. (The release's own Secret would say more, but a right to read it is a right to read all Secrets of its
//! namespace.) That the Job is complete does not mean that what it installed runs.

use super::{CHART, NAMESPACE, VERSION};
use crate::core::Reason;
use crate::core::document::{Compliance, ObjectStatus, Picture};
use crate::core::job::JobView;
use crate::scenario::live::{
    LONGEST_MESSAGE, LONGEST_REASON, condition, cut, is_leaving, is_true, items, text,
};
use crate::scenario::mask;
use serde_json::Value;

/// Why the pod of a Job does not begin, in the kubelet's words. The others (`ContainerCreating`) pass.
const STUCK: [&str; 7] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
];

/// The picture of an extension from its objects as the API server returned them, and from the Job of its HelmChart.
/// `Pending` is installing, `Compliant` succeeded, `Non-Compliant` failed so far: helm-controller tries again.
pub fn picture(live: &[Value], job: &JobView) -> Picture {
    let Some(chart) = live.iter().find(|object| text(object, "/kind") == Some("HelmChart")) else {
        return Picture { compliance: Compliance::Unknown, source_revision: None, statuses: Vec::new() };
    };
    let (compliance, reason) = state(chart, job);
    let name = text(chart, "/metadata/name").unwrap_or_default();
    let annotation = |key: &str| chart.pointer("/metadata/annotations")?.get(key)?.as_str();
    let revision = annotation(VERSION).map(|version| match annotation(CHART) {
        Some(location) => cut(&format!("{version} {location}"), LONGEST_REVISION),
        None => version.to_owned(),
    });
    let status = ObjectStatus {
        kind: "HelmChart".into(),
        namespace: text(chart, "/metadata/namespace").unwrap_or_default().to_owned(),
        name: name.to_owned(),
        compliance,
        ready: Some(reason),
        applied_by: None,
        helm_release_properties: None,
    };
    Picture { compliance, source_revision: revision, statuses: vec![status] }
}

/// What an extension that is being taken out of the cluster waits for: the Job that uninstalls it.
pub fn uninstalling(name: &str, job: &JobView) -> Reason {
    let message = match trouble(job).filter(|_| job.job.is_some()) {
        Some(said) => format!("Helm does not uninstall {name}: {}: {}", said.code, said.message),
        None => format!("waits for Helm to uninstall {name}"),
    };
    Reason::new("Uninstalling", message).cure(format!(
        "it is tried again; to leave the release in the cluster: kubectl -n {NAMESPACE} patch helmchart {name} \
         --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'"
    ))
}

fn state(chart: &Value, job: &JobView) -> (Compliance, Reason) {
    let pending = |code: &str, message: String| (Compliance::Pending, Reason::new(code, message));
    if is_leaving(chart) {
        return pending("Leaving", "the HelmChart is being deleted".into());
    }
    let Some(found) = &job.job else {
        if let Some(refused) = &job.refused {
            return (Compliance::Unknown, refused.clone());
        }
        let taken = chart.pointer("/metadata/annotations").and_then(|all| all.get(MANAGED_BY)).is_some();
        return match (taken, text(chart, "/status/jobName")) {
            (false, None) => {
                let message = "helm-controller has not taken up the HelmChart";
                (Compliance::Unknown, Reason::new("NotTakenUp", message)
                    .cure("it is a part of k3s: see whether its server runs, and without --disable-helm-controller"))
            }
            // helm-controller writes this refusal nowhere but into k3s's log.
            (true, None) => (
                Compliance::Pending,
                Reason::new("NoJobYet", "helm-controller has taken up the HelmChart and made no Job yet")
                    .cure("if it stays so, something refuses the Job: journalctl -u k3s tells what"),
            ),
            (_, Some(name)) => pending("Installing", format!("waits for Job {name}")),
        };
    };
    let name = text(found, "/metadata/name").unwrap_or_default();
    let wanted = text(chart, "/spec/valuesSecrets/0/name");
    if !reads(found, wanted) {
        return pending("Installing", format!("waits for helm-controller to make Job {name} anew"));
    }
    if is_true(found, "Complete") {
        let release = text(chart, "/spec/targetNamespace").unwrap_or_default();
        let message = format!("Job {name} is complete; the release is in namespace {release}");
        return (Compliance::Compliant, Reason::new("Installed", message));
    }
    if let Some(reason) = trouble(job) {
        return (Compliance::NonCompliant, reason);
    }
    if is_true(found, "Failed") || is_true(chart, "Failed") {
        let said = condition(found, "Failed").and_then(|failed| text(failed, "/message")).unwrap_or_default();
        return (Compliance::NonCompliant, said_by("JobFailed", said, &format!("Job {name} has failed")));
    }
    let phase = job.pods.iter().filter_map(|pod| text(pod, "/status/phase")).next_back();
    let phase = phase.map(|phase| format!(", its pod is {phase}")).unwrap_or_default();
    pending("Installing", format!("waits for Job {name}{phase}"))
}

/// Whether the Job reads this Secret: only then is it about what the HelmChart wants now.
fn reads(job: &Value, secret: Option<&str>) -> bool {
    let volumes = items(job, "/spec/template/spec/volumes");
    let mut sources = volumes.flat_map(|volume| items(volume, "/projected/sources"));
    secret.is_some() && sources.any(|source| text(source, "/secret/name") == secret)
}

/// What keeps a Job that is not complete from its end, in the words of Helm, the kubelet, the scheduler or the API server.
fn trouble(job: &JobView) -> Option<Reason> {
    for pod in job.pods.iter().rev() {
        for container in items(pod, "/status/containerStatuses") {
            let ended = ["/state/terminated", "/lastState/terminated"].into_iter().find_map(|at| {
                container.pointer(at).filter(|end| end.get("exitCode").and_then(Value::as_i64) != Some(0))
            });
            if let Some(end) = ended {
                let said =
                    text(end, "/message").filter(|said| !said.trim().is_empty()).or(job.log.as_deref());
                let why = text(end, "/reason").unwrap_or("Error");
                return Some(said_by("HelmFailed", said.unwrap_or_default(), &format!("Helm ended: {why}")));
            }
            let waiting = text(container, "/state/waiting/reason").filter(|reason| STUCK.contains(reason));
            if let Some(reason) = waiting {
                let said = text(container, "/state/waiting/message").unwrap_or_default();
                return Some(
                    said_by(reason, said, "the container of Helm's pod does not start")
                        .cure("the image of k3s's Helm Job has to be on the node, or its registry in reach"),
                );
            }
        }
        let scheduled = condition(pod, "PodScheduled").filter(|c| text(c, "/status") == Some("False"));
        if let Some(said) = scheduled {
            return Some(said_by(
                "Unschedulable",
                text(said, "/message").unwrap_or_default(),
                "no node takes Helm's pod",
            ));
        }
    }
    let warning = job.warnings.last().filter(|_| job.pods.is_empty())?;
    Some(said_by("PodRefused", warning, "Helm's pod is refused"))
}

/// Words of the cluster: cut at their end, for Helm says what is wrong last, and without what may be a password.
fn said_by(code: &str, said: &str, otherwise: &str) -> Reason {
    let said = mask::text(said.trim());
    let skip = said.chars().count().saturating_sub(LONGEST_MESSAGE);
    let mut message: String = said.chars().skip(skip).collect();
    if skip > 0 {
        message.insert(0, '…');
    }
    if message.is_empty() {
        message = otherwise.to_owned();
    }
    Reason::new(cut(code, LONGEST_REASON), message)
}

/// Who looks after a HelmChart says so by this annotation (helm-controller, pkg/controllers/chart).
const MANAGED_BY: &str = "helmcharts.cattle.io/managed-by";
const LONGEST_REVISION: usize = 200;
