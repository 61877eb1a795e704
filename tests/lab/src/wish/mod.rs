//! Desired state, as an operator would try it: change it in Azure, break it in the cluster, and see it come right.
//!
//! The other half of the ring. What is judged is arclet's part: each thing that was done has to show in the cluster by
//! itself. The controllers that would work on with it are [`played`].

mod ask;
mod hands;
mod played;
pub mod scene;
mod view;

pub use hands::Hand;
pub use scene::furnish;
pub use view::{View, template};

use crate::script::Step;
use ask::Ask;
use azure_standin::Azure;
use hands::Hands;
use k3s_standin::ApiServer;
use played::Played;
use scene::{APPS, CHART, FLEET, Has, MONITOR, SHOP, SOURCE, THEIRS, Wants};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;

/// A hang guard: what has not come by then will be said to be missing.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What somebody does to desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// In Azure: this branch is wanted.
    Want(&'static str),
    /// In Azure: the extension is wanted in this version.
    Install(&'static str),
    /// In Azure: all of it is deleted.
    Delete,
    /// In the cluster, by hand: the source points to another branch.
    Edit,
    /// In the cluster, by hand: the Kustomization is deleted.
    Break,
    /// In the cluster, by hand: the extension's HelmChart is deleted.
    Uninstall,
    /// Somebody has an object in the cluster, and Azure wants one of the same name.
    Squat,
    /// They take it away.
    Yield,
}

/// How often what came by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Changes in Azure that arrived in the cluster.
    pub arrived: u64,
    /// Of these, extensions that were installed or upgraded.
    pub installed: u64,
    /// Things broken by hand that were set right.
    pub restored: u64,
    /// Of these, with the link cut: from the cache.
    pub restored_offline: u64,
    /// Objects of somebody else in the way: left as they are, and said so.
    pub respected: u64,
    /// Deletions in Azure that took the objects out of the cluster.
    pub withdrawn: u64,
    /// What was waited for and has not come.
    pub missing: u64,
}

struct Awaited {
    deed: Deed,
    since: Duration,
    offline: bool,
}

/// What is wanted, and what is waited for.
#[derive(Default)]
pub struct Show {
    awaited: Vec<Awaited>,
    played: Played,
    hands: Hands,
    seen: Seen,
}

impl Deed {
    /// It is done in Azure, and comes with the link only.
    const fn is_azures(self) -> bool {
        matches!(self, Deed::Want(_) | Deed::Install(_) | Deed::Delete | Deed::Squat)
    }

    /// Whether what this one waits for is no matter any more when the other has been done.
    fn is_overtaken_by(self, other: Deed) -> bool {
        match other {
            Deed::Delete => true,
            Deed::Want(_) => matches!(self, Deed::Want(_) | Deed::Edit | Deed::Break),
            Deed::Install(_) => matches!(self, Deed::Install(_) | Deed::Uninstall),
            Deed::Squat | Deed::Yield => matches!(self, Deed::Squat | Deed::Yield),
            _ => false,
        }
    }
}

impl Show {
    /// Carries a deed out. An error says why it cannot be.
    pub fn act(
        &mut self,
        deed: Deed,
        azure: &Azure,
        cluster: &ApiServer,
        at: Duration,
        up: bool,
    ) -> Result<String, String> {
        const NOTHING: &str = "there is nothing to do that to";
        let said = match deed {
            Deed::Want(branch) => {
                scene::want(azure, &Ask::flux(FLEET), scene::configuration(branch))?;
                format!("Azure wants the branch {branch}")
            }
            Deed::Install(version) => {
                scene::want(azure, &Ask::extension(MONITOR), scene::extension(version))?;
                format!("Azure wants the extension in version {version}")
            }
            Deed::Delete => {
                let all = [Ask::flux(FLEET), Ask::flux(SHOP), Ask::extension(MONITOR)];
                // The first time they are Deleting, which is enough; by force they are gone, and can be made anew.
                let deleted = all.map(|ask| ask.delete(azure).and_then(|_| ask.delete(azure)));
                deleted.iter().any(Result::is_ok).then_some(()).ok_or(NOTHING)?;
                "everything is deleted in Azure".to_owned()
            }
            Deed::Edit => {
                let change = |object: &mut Value| object["spec"]["ref"] = json!({"branch": "by-hand"});
                cluster.edit(SOURCE, "kubectl-edit", change).then_some(()).ok_or(NOTHING)?;
                "edited by hand in the cluster: another branch".to_owned()
            }
            Deed::Break => {
                cluster.delete(APPS).then_some(()).ok_or(NOTHING)?;
                "deleted by hand in the cluster: the Kustomization".to_owned()
            }
            Deed::Uninstall => {
                cluster.delete(CHART).then_some(()).ok_or(NOTHING)?;
                "deleted by hand in the cluster: the extension's HelmChart".to_owned()
            }
            Deed::Squat => {
                if cluster.object(scene::namespace()).is_none() {
                    let name = scene::namespace().3;
                    let space = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
                    cluster.hand_in(&space, "team-a")?;
                }
                cluster.hand_in(&scene::theirs(), "team-a")?;
                scene::want(azure, &Ask::flux(SHOP), scene::configuration("main"))?;
                "Azure wants an object that team A already has in the cluster".to_owned()
            }
            Deed::Yield => {
                let ours = cluster.object(THEIRS).is_none_or(|object| scene::is_ours(&object));
                (!ours && cluster.delete(THEIRS)).then_some(()).ok_or(NOTHING)?;
                "team A takes its object away".to_owned()
            }
        };
        self.awaited.retain(|awaited| !awaited.deed.is_overtaken_by(deed));
        self.awaited.push(Awaited { deed, since: at, offline: !up });
        Ok(said)
    }

    /// Carries out what a person wrote.
    pub fn hand(
        &mut self,
        hand: &Hand,
        azure: &Azure,
        cluster: &ApiServer,
        at: Duration,
        up: bool,
    ) -> Result<String, String> {
        let said = self.hands.act(hand, azure, cluster, at, up)?;
        // What was waited for before may not be wanted any more.
        self.awaited.clear();
        Ok(said)
    }

    /// Looks at the cluster; returns what has come right since the last look. `desired` is what `arclet desired -o json`
    /// gets.
    pub fn look(
        &mut self,
        azure: &Azure,
        cluster: &ApiServer,
        desired: &Value,
        at: Duration,
        up: bool,
    ) -> Vec<String> {
        self.played.turn(cluster, at);
        let (wants, has) = (Wants::of(azure), Has::of(cluster, desired));
        let mut said = self.hands.look(cluster, at, up);
        let seen = &mut self.seen;
        self.awaited.retain(|awaited| {
            if !is_right(awaited.deed, &wants, &has) {
                return true;
            }
            let took = (at.saturating_sub(awaited.since)).as_secs_f64();
            let what = seen.count(awaited, up);
            said.push(format!("{what} (after {took:.1} s)"));
            false
        });
        said
    }

    /// Whether a step of the script has to wait until what came before it has shown, which it does at most so long.
    pub fn holds_up(&self, step: Step, at: Duration) -> bool {
        let fresh = self.awaited.iter().filter(|awaited| at.saturating_sub(awaited.since) < PATIENCE);
        fresh.into_iter().any(|awaited| match step {
            // What waits for the link must not keep it away.
            Step::Restore | Step::Kill => !awaited.deed.is_azures(),
            Step::Do(deed) if deed != Deed::Delete => !(awaited.deed.is_azures() && awaited.offline),
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
}

/// Whether what a deed is to lead to is there.
fn is_right(deed: Deed, wants: &Wants, has: &Has) -> bool {
    let configured = wants.branch.is_some() && has.branch == wants.branch && has.apps == wants.apps;
    match deed {
        Deed::Want(_) | Deed::Edit | Deed::Break => configured,
        Deed::Install(_) | Deed::Uninstall => {
            wants.version.is_some() && has.version == wants.version && has.installed
        }
        Deed::Delete => has.is_empty(),
        Deed::Squat => has.conflict && has.shop == Some((scene::theirs()["spec"].clone(), false)),
        Deed::Yield => wants.shop && !has.conflict && has.shop.as_ref().is_some_and(|(_, ours)| *ours),
    }
}

impl Seen {
    /// Counts what came right, and says what it was.
    fn count(&mut self, awaited: &Awaited, up: bool) -> String {
        match awaited.deed {
            Deed::Want(branch) => {
                self.arrived += 1;
                format!("the cluster has the branch {branch}")
            }
            Deed::Install(version) => {
                self.arrived += 1;
                self.installed += 1;
                format!("the extension is installed in version {version}")
            }
            Deed::Yield => {
                self.arrived += 1;
                "arclet's own is there now".to_owned()
            }
            Deed::Squat => {
                self.respected += 1;
                "team A's object stays as it is, and arclet says that it is in the way".to_owned()
            }
            Deed::Delete => {
                self.withdrawn += 1;
                "its objects are gone from the cluster".to_owned()
            }
            Deed::Edit | Deed::Break | Deed::Uninstall if awaited.offline && !up => {
                self.restored += 1;
                self.restored_offline += 1;
                "set right from the cache, with the link cut".to_owned()
            }
            Deed::Edit | Deed::Break | Deed::Uninstall => {
                self.restored += 1;
                "set right".to_owned()
            }
        }
    }

    /// Why this run does not show what the lab promises of desired state, if it does not.
    pub fn objection(&self) -> Option<String> {
        if self.missing > 0 {
            return Some(format!("{} changes of desired state did not come right", self.missing));
        }
        let least = [
            ("arrivals", self.arrived, 5),
            ("extensions installed", self.installed, 2),
            ("repairs without a link", self.restored_offline, 3),
            ("objects of somebody else left alone", self.respected, 1),
            ("withdrawals", self.withdrawn, 1),
        ];
        let too_few: Vec<String> = least
            .into_iter()
            .filter(|(_, seen, least)| seen < least)
            .map(|(what, seen, least)| format!("{seen} {what} ({least})"))
            .collect();
        (!too_few.is_empty()).then(|| {
            format!(
                "too little of desired state was seen: {}; give it more time with --for",
                too_few.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn waiting_for(deed: Deed, offline: bool) -> Show {
        Show { awaited: vec![Awaited { deed, since: at(1), offline }], ..Show::default() }
    }

    #[test]
    fn the_script_waits_for_what_must_come_before_it_but_keeps_no_link_away_and_not_for_ever() {
        let wanted = waiting_for(Deed::Want("main"), false);
        assert!(wanted.holds_up(Step::Cut, at(2)) && !wanted.holds_up(Step::Restore, at(2)));
        assert!(wanted.holds_up(Step::Do(Deed::Install("1.0.0")), at(2)));
        // With the link cut it comes later, and others need not wait for it.
        let later = waiting_for(Deed::Want("main"), true);
        assert!(!later.holds_up(Step::Do(Deed::Install("1.0.0")), at(2)));
        assert!(later.holds_up(Step::Cut, at(2)) && later.holds_up(Step::Do(Deed::Delete), at(2)));
        let broken = waiting_for(Deed::Break, true);
        assert!(broken.holds_up(Step::Restore, at(2)), "it is to be set right without the link");
        assert!(!broken.holds_up(Step::Restore, at(1) + PATIENCE));
        assert!(!Show::default().holds_up(Step::Do(Deed::Delete), at(2)));
    }

    #[test]
    fn what_did_not_come_right_is_objected_to_and_so_is_a_run_that_shows_too_little() {
        let all = Seen {
            arrived: 5,
            installed: 2,
            restored: 3,
            restored_offline: 3,
            respected: 1,
            withdrawn: 1,
            missing: 0,
        };
        assert_eq!(all.objection(), None);
        for less in [
            Seen { missing: 1, ..all.clone() },
            Seen { arrived: 4, ..all.clone() },
            Seen { installed: 1, ..all.clone() },
            Seen { restored_offline: 2, ..all.clone() },
            Seen { respected: 0, ..all.clone() },
            Seen { withdrawn: 0, ..all },
        ] {
            assert!(less.objection().is_some(), "{less:?}");
        }
        assert_eq!(waiting_for(Deed::Delete, false).summary().missing, 1);
    }

    #[test]
    fn each_deed_is_right_only_when_the_cluster_is_as_it_is_to_be() {
        let wants =
            Wants { branch: Some("main".into()), apps: true, version: Some("1.0.0".into()), shop: true };
        let theirs = Some((scene::theirs()["spec"].clone(), false));
        let has = Has {
            branch: wants.branch.clone(),
            apps: true,
            version: wants.version.clone(),
            helm: true,
            installed: true,
            shop: theirs.clone(),
            conflict: true,
        };
        for deed in [
            Deed::Want("main"),
            Deed::Edit,
            Deed::Break,
            Deed::Install("1.0.0"),
            Deed::Uninstall,
            Deed::Squat,
        ] {
            assert!(is_right(deed, &wants, &has), "{deed:?}");
        }
        assert!(!is_right(Deed::Yield, &wants, &has) && !is_right(Deed::Delete, &wants, &has));
        assert!(!is_right(Deed::Break, &wants, &Has { apps: false, ..has.clone() }));
        assert!(!is_right(Deed::Edit, &wants, &Has { branch: Some("by-hand".into()), ..has.clone() }));
        assert!(!is_right(Deed::Install("1.0.0"), &wants, &Has { installed: false, ..has.clone() }));
        assert!(!is_right(Deed::Squat, &wants, &Has { conflict: false, ..has.clone() }));
        let taken = Some((scene::configuration("main"), false));
        assert!(!is_right(Deed::Squat, &wants, &Has { shop: taken, ..has.clone() }), "theirs was changed");
        let ours = Has { shop: Some((json!({}), true)), conflict: false, ..has };
        assert!(is_right(Deed::Yield, &wants, &ours));
        assert!(
            is_right(Deed::Delete, &Wants::default(), &Has { shop: theirs, ..Has::default() }),
            "not arclet's"
        );
    }

    #[test]
    fn nothing_can_be_done_to_what_is_not_there() {
        let azure = Azure::start(azure_standin::Options::default()).expect("the stand-in");
        let flux = k3s_standin::Flux::Stable;
        let options = k3s_standin::Options { flux, helm: true, ..k3s_standin::Options::default() };
        let cluster = ApiServer::start(options).expect("the API server");
        let mut show = Show::default();
        for deed in [Deed::Edit, Deed::Break, Deed::Uninstall, Deed::Yield, Deed::Delete] {
            assert!(show.act(deed, &azure, &cluster, at(1), true).is_err(), "{deed:?}");
        }
        assert!(show.settled());
        assert!(show.look(&azure, &cluster, &Value::Null, at(2), true).is_empty());
    }
}
