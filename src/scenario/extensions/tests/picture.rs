//! What is told of an extension. The objects have the form in which helm-controller 0.17.9 and a kubelet left them.

use super::*;
use crate::core::document::{Compliance, Picture};
use crate::core::job::JobView;

fn helm_chart() -> Value {
    json!({"apiVersion": "helm.cattle.io/v1", "kind": "HelmChart",
        "metadata": {"name": "mon", "namespace": "arclet-extensions", "annotations": {
            "arclet.dev/version": "1.2.0", "arclet.dev/chart": "oci://charts.example/mon:1.2.0",
            "helmcharts.cattle.io/managed-by": "helm-controller"}},
        "spec": {"targetNamespace": "monitoring", "valuesSecrets": [{"name": "mon-0123456789", "keys": ["values.yaml"]}]},
        "status": {"jobName": "helm-install-mon", "conditions": [
            {"type": "JobCreated", "status": "True"}, {"type": "Failed", "status": "False"}]}})
}

fn job(condition: Option<(&str, &str)>) -> Value {
    let conditions =
        condition.map(|(kind, message)| json!([{"type": kind, "status": "True", "message": message}]));
    json!({"metadata": {"name": "helm-install-mon"}, "status": {"conditions": conditions},
        "spec": {"template": {"spec": {"volumes": [{"name": "values", "projected": {"sources": [
            {"secret": {"name": "chart-values-mon"}}, {"secret": {"name": "mon-0123456789"}}]}}]}}}})
}

fn pod(container: Value) -> Value {
    json!({"metadata": {"name": "helm-install-mon-x"}, "status": {"phase": "Running", "containerStatuses": [container]}})
}

fn picture_of(chart: Value, job: JobView) -> (Compliance, Reason) {
    let secret = json!({"kind": "Secret", "metadata": {"name": "mon-0123456789"}});
    let Picture { compliance, source_revision, statuses } = super::super::picture(&[secret, chart], &job);
    assert_eq!(source_revision.as_deref(), Some("1.2.0 oci://charts.example/mon:1.2.0"));
    assert_eq!(
        (statuses.len(), statuses[0].kind.as_str(), statuses[0].compliance),
        (1, "HelmChart", compliance)
    );
    (compliance, statuses[0].ready.clone().unwrap())
}

fn view(job: Value, pods: Vec<Value>) -> JobView {
    JobView { job: Some(job), pods, ..JobView::default() }
}

#[test]
fn a_complete_job_that_reads_the_wanted_secret_is_success_and_only_that() {
    let complete = || job(Some(("Complete", "")));
    let (compliance, reason) = picture_of(helm_chart(), view(complete(), vec![]));
    assert_eq!((compliance, reason.code.as_str()), (Compliance::Compliant, "Installed"));
    assert!(reason.message.contains("monitoring"));
    // The Job of an older wish.
    let mut newer = helm_chart();
    newer["spec"]["valuesSecrets"][0]["name"] = json!("mon-9999999999");
    let (compliance, reason) = picture_of(newer, view(complete(), vec![]));
    assert_eq!(compliance, Compliance::Pending);
    assert!(reason.message.contains("anew"), "{reason}");
    let mut leaving = helm_chart();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-23T13:00:00Z");
    assert_eq!(picture_of(leaving, view(complete(), vec![])).0, Compliance::Pending);
}

#[test]
fn what_is_waited_for_is_named_while_nothing_is_wrong() {
    let creating = pod(json!({"state": {"waiting": {"reason": "ContainerCreating"}}}));
    let (compliance, reason) = picture_of(helm_chart(), view(job(None), vec![creating]));
    assert_eq!((compliance, reason.code.as_str()), (Compliance::Pending, "Installing"));
    assert!(reason.message.contains("helm-install-mon"), "{reason}");
    // Before there is a Job: nobody there, taken up, promised.
    let mut chart = helm_chart();
    assert_eq!(picture_of(chart.clone(), JobView::default()).0, Compliance::Pending);
    chart["status"] = json!({});
    let (compliance, reason) = picture_of(chart.clone(), JobView::default());
    assert_eq!((compliance, reason.code.as_str()), (Compliance::Pending, "NoJobYet"));
    chart["metadata"]["annotations"].as_object_mut().unwrap().remove("helmcharts.cattle.io/managed-by");
    let (compliance, reason) = picture_of(chart.clone(), JobView::default());
    assert_eq!((compliance, reason.code.as_str()), (Compliance::Unknown, "NotTakenUp"));
    let refused = JobView { refused: Some(Reason::new("Forbidden", "no right")), ..JobView::default() };
    assert_eq!(picture_of(chart, refused).1.code, "Forbidden");
}

#[test]
fn a_failure_is_told_in_the_words_of_whoever_has_them() {
    let ended = |state: &str, message: &str| {
        pod(json!({state: {"terminated": {"exitCode": 1, "reason": "Error", "message": message}}}))
    };
    let told = |job: JobView| {
        let (compliance, reason) = picture_of(helm_chart(), job);
        assert_eq!(compliance, Compliance::NonCompliant, "{reason}");
        (reason.code.to_string(), reason.message)
    };
    let words = "denied request: missing owner";
    assert_eq!(told(view(job(None), vec![ended("state", words)])), ("HelmFailed".into(), words.into()));
    assert_eq!(told(view(job(None), vec![ended("lastState", words)])).1, words);
    let silent = JobView {
        log: Some("Error: INSTALLATION FAILED\n".into()),
        ..view(job(None), vec![ended("state", " ")])
    };
    assert_eq!(told(silent).1, "Error: INSTALLATION FAILED");
    assert_eq!(told(view(job(None), vec![ended("state", "")])).1, "Helm ended: Error");
    let image =
        pod(json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling"}}}));
    assert_eq!(told(view(job(None), vec![image])), ("ImagePullBackOff".into(), "Back-off pulling".into()));
    let nowhere = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}});
    assert_eq!(told(view(job(None), vec![nowhere])), ("Unschedulable".into(), "0/1 nodes".into()));
    let refused = JobView { warnings: vec!["old".into(), "quota".into()], ..view(job(None), vec![]) };
    assert_eq!(told(refused), ("PodRefused".into(), "quota".into()));
    let failed = view(job(Some(("Failed", "Job has reached the specified backoff limit"))), vec![]);
    assert_eq!(told(failed), ("JobFailed".into(), "Job has reached the specified backoff limit".into()));
}

#[test]
fn the_end_of_long_words_is_kept_and_what_may_be_a_password_is_not() {
    let long = format!("{}https://u:s3cret@x.example/a tail", "x".repeat(5_000));
    let ended = pod(json!({"state": {"terminated": {"exitCode": 1, "message": long}}}));
    let (_, reason) = picture_of(helm_chart(), view(job(None), vec![ended]));
    assert!(reason.message.ends_with(" tail") && reason.message.chars().count() <= 1_001, "{reason}");
    assert!(!reason.message.contains("s3cret"), "{reason}");
}

#[test]
fn an_uninstall_that_does_not_end_says_why_and_what_lets_go() {
    let reason = uninstalling(
        "mon",
        &view(
            job(None),
            vec![pod(json!({"state": {"terminated": {"exitCode": 1, "message": "hook failed"}}}))],
        ),
    );
    assert!(reason.message.contains("hook failed"), "{reason}");
    let quiet = uninstalling("mon", &JobView::default());
    assert!(
        quiet.message.contains("waits for Helm") && quiet.to_string().contains("patch helmchart mon"),
        "{quiet}"
    );
}
