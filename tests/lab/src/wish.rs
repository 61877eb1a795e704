//! Desired state, as an operator would try it: change it in Azure, break it in the cluster, and see it come right.
//!
//! The other half of the ring. Flux itself is played: its objects are content as soon as they are there. What is judged is
//! arclet's part: each thing that was done has to show in the cluster by itself.

use crate::script::Step;
use azure_standin::{Azure, cluster_id};
use k3s_standin::ApiServer;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The fluxConfiguration that the lab plays with, and the branches that it goes between.
pub const NAME: &str = "fleet";
/// What Azure wants first, and what it wants then.
pub const BRANCHES: [&str; 2] = ["main", "release"];
/// A hang guard: what has not come by then will be said to be missing.
const PATIENCE: Duration = Duration::from_secs(20);
const NAMESPACE: &str = "cluster-config";
const SOURCE: (&str, &str) = ("source.toolkit.fluxcd.io/v1", "GitRepository");
const APPS: (&str, &str) = ("kustomize.toolkit.fluxcd.io/v1", "Kustomization");

/// What somebody does to desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// In Azure: this branch is wanted.
    Want(&'static str),
    /// In Azure: it is deleted.
    Delete,
    /// In the cluster, by hand: the source points to another branch.
    Edit,
    /// In the cluster, by hand: the Kustomization is deleted.
    Break,
}

/// How often what came by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Changes in Azure that arrived in the cluster.
    pub arrived: u64,
    /// Things broken by hand that were set right.
    pub restored: u64,
    /// Of these, with the link cut: from the cache.
    pub restored_offline: u64,
    /// Deletions in Azure that took the objects out of the cluster.
    pub withdrawn: u64,
    /// What was waited for and has not come.
    pub missing: u64,
}

/// A part of the page.
#[derive(Clone, Default, Serialize)]
pub struct View {
    /// The branch that Azure wants; `None`: nothing is wanted.
    pub wants: Option<String>,
    /// The documents as the agent shows them: name, state, why.
    pub documents: Vec<[String; 3]>,
    /// The objects in the cluster: kind and name, what matters of it.
    pub objects: Vec<[String; 2]>,
}

struct Awaited {
    deed: Deed,
    since: Duration,
    offline: bool,
}

/// What is wanted, and what is waited for.
#[derive(Default)]
pub struct Show {
    wants: Option<&'static str>,
    awaited: Vec<Awaited>,
    seen: Seen,
}

impl Show {
    /// Carries a deed out; `None`: there is nothing that it could be done to.
    pub fn act(
        &mut self,
        deed: Deed,
        azure: &Azure,
        cluster: &ApiServer,
        at: Duration,
        up: bool,
    ) -> Option<String> {
        let id = cluster_id("k3s-1");
        let said = match deed {
            Deed::Want(branch) => {
                azure.put_flux(&id, NAME, configuration(branch));
                self.wants = Some(branch);
                // What was wanted before need not come any more.
                self.awaited.clear();
                format!("Azure wants the branch {branch}")
            }
            Deed::Delete => {
                azure.delete_flux(&id, NAME).then_some(())?;
                self.wants = None;
                self.awaited.clear();
                "deleted in Azure".to_owned()
            }
            Deed::Edit => {
                let change = |object: &mut Value| object["spec"]["ref"] = json!({"branch": "by-hand"});
                cluster.edit(source(), "kubectl-edit", change).then_some(())?;
                "edited by hand in the cluster: another branch".to_owned()
            }
            Deed::Break => {
                cluster.delete(apps()).then_some(())?;
                "deleted by hand in the cluster: the Kustomization".to_owned()
            }
        };
        self.awaited.push(Awaited { deed, since: at, offline: !up });
        Some(said)
    }

    /// Looks at the cluster; returns what has come right since the last look.
    pub fn look(&mut self, cluster: &ApiServer, at: Duration, up: bool) -> Vec<String> {
        play_flux(cluster);
        let branch = branch(cluster);
        let apps_there = cluster.object(apps()).is_some();
        let mut said = Vec::new();
        let (wants, seen) = (self.wants, &mut self.seen);
        self.awaited.retain(|awaited| {
            let whole = wants.is_some() && branch.as_deref() == wants && apps_there;
            let done = match awaited.deed {
                Deed::Want(_) | Deed::Edit | Deed::Break => whole,
                Deed::Delete => branch.is_none() && !apps_there,
            };
            if !done {
                return true;
            }
            let took = (at.saturating_sub(awaited.since)).as_secs_f64();
            let what = match awaited.deed {
                Deed::Want(branch) => {
                    seen.arrived += 1;
                    format!("the cluster has the branch {branch}")
                }
                Deed::Delete => {
                    seen.withdrawn += 1;
                    "its objects are gone from the cluster".to_owned()
                }
                Deed::Edit | Deed::Break if awaited.offline && !up => {
                    seen.restored += 1;
                    seen.restored_offline += 1;
                    "set right from the cache, with the link cut".to_owned()
                }
                Deed::Edit | Deed::Break => {
                    seen.restored += 1;
                    "set right".to_owned()
                }
            };
            said.push(format!("{what} (after {took:.1} s)"));
            false
        });
        said
    }

    /// Whether a step of the script has to wait until what came before it has shown, which it does at most so long.
    pub fn holds_up(&self, step: Step, at: Duration) -> bool {
        let fresh = self.awaited.iter().filter(|awaited| at.saturating_sub(awaited.since) < PATIENCE);
        fresh.into_iter().any(|awaited| match (step, awaited.deed) {
            // What waits for the link must not keep it away.
            (Step::Restore | Step::Kill, Deed::Want(_) | Deed::Delete) => false,
            _ => true,
        })
    }

    /// Nothing is waited for any more.
    pub fn settled(&self) -> bool {
        self.awaited.is_empty()
    }

    /// The last word.
    pub fn summary(&self) -> Seen {
        Seen { missing: self.awaited.len() as u64, ..self.seen.clone() }
    }

    /// For the page. `desired` is what `arclet desired -o json` gets.
    pub fn view(&self, cluster: &ApiServer, desired: &Value) -> View {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let documents = desired["documents"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        let objects = [(SOURCE, source()), (APPS, apps())].into_iter().filter_map(|((_, kind), name)| {
            let object = cluster.object(name)?;
            let what = match kind {
                "GitRepository" => format!("branch {}", word(&object["spec"]["ref"]["branch"])),
                _ => format!("path {}", word(&object["spec"]["path"])),
            };
            let ready = object["status"]["conditions"][0]["status"] == "True";
            Some([format!("{kind} {}", name.3), format!("{what}{}", if ready { ", ready" } else { "" })])
        });
        View {
            wants: self.wants.map(str::to_owned),
            documents: documents
                .map(|d| [word(&d["document"]), word(&d["state"]), word(&d["reason"]["message"])])
                .collect(),
            objects: objects.collect(),
        }
    }
}

impl Seen {
    /// Why this run does not show what the lab promises of desired state, if it does not.
    pub fn objection(&self) -> Option<String> {
        if self.missing > 0 {
            return Some(format!("{} changes of desired state did not come right", self.missing));
        }
        (self.arrived < 2 || self.restored_offline < 2 || self.withdrawn < 1).then(|| {
            format!(
                "too little of desired state was seen: {} arrivals (2), {} repairs without a link (2), {} withdrawals (1); \
                 give it more time with --for",
                self.arrived, self.restored_offline, self.withdrawn
            )
        })
    }
}

fn source() -> (&'static str, &'static str, &'static str, &'static str) {
    (SOURCE.0, SOURCE.1, NAMESPACE, NAME)
}

fn apps() -> (&'static str, &'static str, &'static str, &'static str) {
    (APPS.0, APPS.1, NAMESPACE, "fleet-apps")
}

fn branch(cluster: &ApiServer) -> Option<String> {
    Some(cluster.object(source())?["spec"]["ref"]["branch"].as_str()?.to_owned())
}

fn configuration(branch: &str) -> Value {
    json!({
        "scope": "cluster", "namespace": NAMESPACE, "sourceKind": "GitRepository", "suspend": false,
        "gitRepository": {"url": "https://git.example/fleet", "repositoryRef": {"branch": branch}},
        "kustomizations": {"apps": {"path": "./apps", "prune": true}},
    })
}

/// What Flux would say of objects that it has just reconciled.
fn play_flux(cluster: &ApiServer) {
    for name in [source(), apps()] {
        let generation = |object: &Value| object["metadata"]["generation"].clone();
        let Some(object) = cluster.object(name) else { continue };
        if !object["status"]["observedGeneration"].is_null()
            && object["status"]["observedGeneration"] == generation(&object)
        {
            continue;
        }
        let revision = format!("{}@sha1:0011", branch(cluster).unwrap_or_default());
        let status = json!({
            "observedGeneration": generation(&object),
            "artifact": {"revision": revision}, "lastAppliedRevision": revision,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Succeeded", "message": "played by the lab",
                "observedGeneration": generation(&object), "lastTransitionTime": "2026-11-23T00:00:00Z"}],
        });
        cluster.set_status(name, status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn waiting_for(deed: Deed) -> Show {
        Show { awaited: vec![Awaited { deed, since: at(1), offline: true }], ..Show::default() }
    }

    #[test]
    fn the_script_waits_for_what_must_come_before_it_but_keeps_no_link_away_and_not_for_ever() {
        let wanted = waiting_for(Deed::Want("main"));
        assert!(wanted.holds_up(Step::Cut, at(2)) && !wanted.holds_up(Step::Restore, at(2)));
        let broken = waiting_for(Deed::Break);
        assert!(broken.holds_up(Step::Restore, at(2)), "it is to be set right without the link");
        assert!(!broken.holds_up(Step::Restore, at(1) + PATIENCE));
        assert!(!Show::default().holds_up(Step::Do(Deed::Delete), at(2)));
    }

    #[test]
    fn what_did_not_come_right_is_objected_to_and_so_is_a_run_that_shows_too_little() {
        let all = Seen { arrived: 2, restored: 2, restored_offline: 2, withdrawn: 1, missing: 0 };
        assert_eq!(all.objection(), None);
        for less in [
            Seen { missing: 1, ..all.clone() },
            Seen { arrived: 1, ..all.clone() },
            Seen { restored_offline: 1, ..all.clone() },
            Seen { withdrawn: 0, ..all },
        ] {
            assert!(less.objection().is_some(), "{less:?}");
        }
        assert_eq!(waiting_for(Deed::Delete).summary().missing, 1);
    }

    #[test]
    fn what_somebody_broke_counts_only_when_it_is_whole_again() {
        let azure = Azure::start(azure_standin::Options::default()).expect("the stand-in");
        let flux = k3s_standin::Flux::Stable;
        let cluster = ApiServer::start(k3s_standin::Options { flux, ..k3s_standin::Options::default() });
        let cluster = cluster.expect("the API server");
        let mut show = Show::default();
        assert_eq!(show.act(Deed::Break, &azure, &cluster, at(1), true), None, "there is nothing yet");
        assert!(show.act(Deed::Want("main"), &azure, &cluster, at(1), true).is_some());
        assert!(show.look(&cluster, at(2), true).is_empty() && !show.settled());
        assert_eq!(show.summary().missing, 1);
    }
}
