//! How a Job of k3s's helm-controller fares: the Job, its pods, what they said last.
//!
//! All of it is in one namespace, and each part takes a right of its own: what may not be read is left out, with the
//! refusal. Only an API server that does not answer is an error.

use super::client::Client;
use super::reply::{self, code};
use super::resource::{Resource, escaped};
use crate::core::job::JobView;
use crate::core::{Outcome, Reason};
use serde_json::Value;
use ureq::http::Method;

/// Of a log, and of a list of events.
const LINES: u32 = 20;
const MOST_LOG: u32 = 4096;

impl Client {
    /// The Job of this name and what tells why it is not complete, if it is not.
    pub fn job(&self, namespace: &str, name: &str) -> Result<JobView, Outcome> {
        let mut view = JobView::default();
        let (Some(jobs), Some(pods)) = (Resource::known("batch/v1", "Job"), Resource::known("v1", "Pod"))
        else {
            return Ok(view);
        };
        view.job = readable(self.get(&jobs, Some(namespace), name), &mut view.refused)?.flatten();
        let Some(job) = &view.job else { return Ok(view) };
        let conditions = job.pointer("/status/conditions").and_then(Value::as_array);
        let mut conditions = conditions.into_iter().flatten();
        if conditions.any(|condition| condition["type"] == "Complete" && condition["status"] == "True") {
            return Ok(view);
        }
        let of_job = self.list(&pods, Some(namespace), &format!("job-name={name}"));
        view.pods = readable(of_job, &mut view.refused)?.unwrap_or_default();
        view.pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned));
        match view.pods.last() {
            Some(pod) => {
                if let Some((pod, previous)) = silent(pod) {
                    let log = self.log(namespace, pod, previous);
                    view.log = readable(log, &mut view.refused)?;
                }
            }
            None => {
                let warnings = self.warnings(namespace, name);
                view.warnings = readable(warnings, &mut view.refused)?.unwrap_or_default();
            }
        }
        Ok(view)
    }

    fn log(&self, namespace: &str, pod: &str, previous: bool) -> Result<String, Outcome> {
        let path =
            Resource::known("v1", "Pod").map(|pods| pods.object(Some(namespace), pod)).unwrap_or_default();
        let path = format!("{path}/log?tailLines={LINES}&limitBytes={MOST_LOG}&previous={previous}");
        let reply = self.send_for(Method::GET, &path, None, "*/*")?;
        match reply.status {
            200 => Ok(String::from_utf8_lossy(&reply.body).into_owned()),
            // Its refusal is a Status.
            _ => Err(reply::read::<Value>(&format!("GET {path}"), &reply).err().unwrap_or_else(|| {
                Outcome::Refused(Reason::new(code::INVALID, format!("GET {path}: not a log")))
            })),
        }
    }

    /// What the API server noted as warnings about a Job.
    fn warnings(&self, namespace: &str, job: &str) -> Result<Vec<String>, Outcome> {
        let about = escaped(&format!("involvedObject.kind=Job,involvedObject.name={job},type=Warning"));
        let path =
            format!("/api/v1/namespaces/{}/events?limit={LINES}&fieldSelector={about}", escaped(namespace));
        let reply = self.send(Method::GET, &path, None)?;
        let list: Value = reply::read(&format!("GET {path}"), &reply)?;
        let mut events: Vec<&Value> = list["items"].as_array().into_iter().flatten().collect();
        events.sort_by_key(|event| event["lastTimestamp"].as_str());
        Ok(events.into_iter().filter_map(|event| event["message"].as_str()).map(str::to_owned).collect())
    }
}

/// A pod whose container ended badly without a word: its name, and whether that container has been replaced.
fn silent(pod: &Value) -> Option<(&str, bool)> {
    let container = pod.pointer("/status/containerStatuses/0")?;
    let end = |at: &str| container.pointer(at).filter(|end| end["exitCode"].as_i64() != Some(0));
    let (end, previous) = match end("/state/terminated") {
        Some(end) => (end, false),
        None => (end("/lastState/terminated")?, true),
    };
    let is_silent = end["message"].as_str().is_none_or(|said| said.trim().is_empty());
    Some((pod.pointer("/metadata/name")?.as_str()?, previous)).filter(|_| is_silent)
}

/// What could be read; `None` after the API server's own refusal, which is kept.
fn readable<T>(result: Result<T, Outcome>, refused: &mut Option<Reason>) -> Result<Option<T>, Outcome> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Outcome::Refused(reason) | Outcome::BadRecord(reason) | Outcome::TooLarge(reason))
            if reply::is_kubernetes_own(&reason) =>
        {
            let _ = refused.get_or_insert(reason);
            Ok(None)
        }
        Err(outcome) => Err(outcome),
    }
}
