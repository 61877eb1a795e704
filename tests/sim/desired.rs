//! Desired state: a model of ARM with documents, of the cache and of the cluster, and the rule of what may be withdrawn.

use crate::far::{Mode, reason};
use crate::supplies::{Shelf, needs};
use crate::world::{HOUR, MINUTE, SECOND, World};
use crate::{number, trouble};
use arclet::core::desired::Going;
use arclet::core::document::{
    Compliance, Confirmation, Digest, Enforced, Head, Key, Kind, Listing, NOT_CACHED, Needs, Parent, Picture,
    Supply, Withdrawn,
};
use arclet::core::port::DOCUMENT_RETURNED;
use arclet::core::settings::DesiredSettings;
use arclet::core::{Action, Endpoint, Input, Outcome, Profile};
use std::collections::{BTreeMap, BTreeSet};

/// What Azure wants, what the device has of it, and what is in the cluster.
#[derive(Default)]
pub struct Site {
    /// Contents by number; true: Azure is deleting it.
    pub azure: BTreeMap<Key, (u8, bool)>,
    /// The cluster's resource, by the number of its making; `None`: it is gone.
    pub parent: Option<u64>,
    makings: u64,
    cache: BTreeMap<Key, Digest>,
    pub cluster: BTreeMap<Key, Digest>,
    /// What documents need from elsewhere.
    pub shelf: Shelf,
    /// The next listing ends before its last page.
    partial: bool,
    /// The next listing lacks this one though it is there: ARM's own caches lag.
    blind: Option<Key>,
    /// The rule, told a second time: since it was last listed, under which making, and listings heard that lacked it.
    listed: BTreeMap<Key, (Option<u64>, u32)>,
    /// What may be withdrawn.
    allowed: BTreeSet<Key>,
    /// Looks at nodes, or tags, are refused here, and nothing else is.
    pub refuses: Option<Endpoint>,
    pub withdrawn: u64,
    pub reapplied: u64,
}

fn key(n: u64) -> Key {
    Key::new(Kind::Flux, &format!("config-{n}"))
}

fn digest(n: u8) -> Digest {
    Digest([n; 32])
}

/// Contents that the cluster refuses.
fn refused(digest: Digest) -> bool {
    digest.0[0] % 10 == 9
}

impl Site {
    pub fn cached(&self) -> Vec<(Key, Digest, Needs)> {
        self.cache.iter().map(|(key, digest)| (key.clone(), *digest, needs(*digest))).collect()
    }

    /// A process starts. What it finds in the cache though none had heard of it was never in the cluster: it counts from here.
    pub fn restarted(&mut self) {
        for key in self.cache.keys() {
            self.listed.entry(key.clone()).or_insert((self.parent, 0));
        }
    }

    fn there(&self) -> Parent {
        match self.parent {
            Some(making) => Parent::There { created_at: format!("making {making}") },
            None => Parent::Gone,
        }
    }

    pub fn confirm(&self, key: &Key) -> Confirmation {
        Confirmation { gone: !self.azure.contains_key(key), parent: self.there() }
    }

    pub fn enforce(&mut self, key: &Key, roll: u64) -> Enforced {
        let Some(digest) = self.cache.get(key).copied() else {
            return Enforced::Failed(reason(NOT_CACHED));
        };
        if refused(digest) {
            return Enforced::Failed(reason("Invalid"));
        }
        if let Some(waits) = self.shelf.apply(key, digest) {
            return waits;
        }
        if self.cluster.insert(key.clone(), digest) != Some(digest) {
            self.reapplied += 1;
        }
        let compliance = match roll {
            0..=59 => Compliance::Compliant,
            60..=79 => Compliance::Pending,
            _ => Compliance::NonCompliant,
        };
        Enforced::Applied {
            digest,
            picture: Picture { compliance, source_revision: None, statuses: Vec::new() },
        }
    }

    pub fn withdraw(&mut self, key: &Key, roll: u64) -> Withdrawn {
        match roll {
            0..=29 => Withdrawn::Waiting(reason("Finalizer")),
            30..=34 => Withdrawn::Failed(reason("Forbidden")),
            _ => {
                self.withdrawn += u64::from(self.cluster.remove(key).is_some());
                self.cache.remove(key);
                self.shelf.drop_all(key);
                Withdrawn::Gone
            }
        }
    }

    /// The rule: what is asked of the cluster must follow from what the core has heard.
    pub fn allows(&self, action: &Action) {
        if let Action::Withdraw { key } = action {
            assert!(
                self.allowed.contains(key),
                "{key} is to be withdrawn, which nothing that was heard allows"
            );
        }
    }

    /// The core hears an answer.
    pub fn heard(&mut self, input: &Input) {
        match input {
            Input::Pulled(Ok(listing)) => {
                for head in &listing.heads {
                    self.listed.insert(head.key.clone(), (self.parent, 0));
                    match head.leaving {
                        true => self.allowed.insert(head.key.clone()),
                        false => self.allowed.remove(&head.key),
                    };
                }
                let lacks = |key: &Key| !listing.heads.iter().any(|head| head.key == *key);
                self.listed.iter_mut().filter(|(key, _)| lacks(key)).for_each(|(_, (_, times))| *times += 1);
            }
            Input::Confirmed {
                key,
                result: Ok(Confirmation { gone: true, parent: Parent::There { .. } }),
            } => {
                let (under, times) = self.listed.get(key).copied().unwrap_or_default();
                if under.is_some() && under == self.parent && times >= 2 {
                    self.allowed.insert(key.clone());
                }
            }
            _ => {}
        }
    }

    /// Everything that Azure wants is in the cluster, and nothing else but what another cluster resource left behind.
    fn converged(&self, world: &World) {
        let wanted = self.azure.iter().filter(|(_, (_, leaving))| !leaving);
        let wanted: BTreeMap<_, _> = wanted.map(|(key, (n, _))| (key.clone(), digest(*n))).collect();
        let view = world.view().desired.expect("the scenario is on");
        let state = |key: &Key| view.documents.iter().find(|document| document.key == *key).map(|d| d.state);
        for (key, digest) in &wanted {
            match refused(*digest) {
                true => assert_eq!(state(key), Some("failed"), "{key}"),
                false => assert_eq!(self.cluster.get(key), Some(digest), "{key} is {:?}", state(key)),
            }
            if needs(*digest).has(Supply::Secrets) && !refused(*digest) {
                let version = self.shelf.applied.get(key);
                assert_eq!(version, Some(&self.shelf.version), "{key} has the vault's newest secret");
            }
        }
        for key in self.cluster.keys().filter(|key| !wanted.contains_key(*key)) {
            assert_eq!(state(key), Some("orphan"), "{key} is in the cluster and nobody wants it");
            assert!(self.makings > 1, "{key} is an orphan though the cluster's resource was never made anew");
        }
    }
}

impl World {
    /// One whose scenario is on, with a cluster's resource.
    fn gitops(seed: u64) -> World {
        let mut world = World::new(seed, Profile::Default);
        world.settings.desired =
            Some(DesiredSettings { vault: true, ..DesiredSettings::of(Profile::Default) });
        world.site.parent = Some(1);
        world.site.makings = 1;
        world.crash(false);
        world.crashes = 0;
        world
    }

    /// Lists ARM's documents and puts what is new into the cache.
    pub fn pull(&mut self, parent: bool, going: &Going, met: Option<Outcome>) -> Result<Listing, Outcome> {
        if let Some(outcome) = met {
            return Err(outcome);
        }
        let broken = self.store.broken && self.rng.chance(60);
        let partial = std::mem::take(&mut self.site.partial);
        let blind = self.site.blind.take();
        let mut heads = Vec::new();
        for (n, (key, (content, leaving))) in self.site.azure.iter().enumerate() {
            if partial && n + 1 == self.site.azure.len() {
                return Err(Outcome::Unreachable(reason("PageLost")));
            }
            if blind.as_ref() == Some(key) {
                continue;
            }
            let digest = digest(*content);
            let stored = match self.site.cache.get(key) == Some(&digest) {
                false if broken => Err(reason("Io")),
                _ => {
                    self.site.cache.insert(key.clone(), digest);
                    Ok(needs(digest))
                }
            };
            heads.push(Head { key: key.clone(), digest, leaving: *leaving, stored });
        }
        if partial {
            return Err(Outcome::Refused(reason("NotArm")));
        }
        if let Some(returned) = going.returned(&heads) {
            if broken {
                return Err(Outcome::Refused(reason("Io")));
            }
            self.store.documents.insert(DOCUMENT_RETURNED.into(), returned);
        }
        Ok(Listing { heads, parent: parent.then(|| self.site.there()) })
    }

    /// Somebody works in Azure, or in the cluster.
    fn change(&mut self) {
        let key = key(self.rng.below(8));
        match self.rng.below(22) {
            20 | 21 => self.another_agent(),
            16 | 17 => self.site.shelf.version = self.site.shelf.version.wrapping_add(1),
            18 => self.site.shelf.lacks = !self.site.shelf.lacks,
            19 => {
                let supply = Supply::ALL[self.rng.below(3) as usize];
                self.site.shelf.kept.remove(&(key, supply));
            }
            0..=5 => {
                let content = self.rng.below(200) as u8;
                if self.site.parent.is_some() {
                    self.site.azure.insert(key, (content, false));
                }
            }
            6 | 7 => {
                self.site.azure.remove(&key);
            }
            8 => {
                if let Some(document) = self.site.azure.get_mut(&key) {
                    document.1 = true;
                }
            }
            // Drift.
            9 | 10 => {
                self.site.cluster.remove(&key);
            }
            11 => self.site.partial = true,
            12 => self.site.blind = Some(key),
            13 => {
                self.site.cache.remove(&key);
            }
            14 if self.rng.chance(30) => {
                self.site.parent = None;
                self.site.azure.clear();
            }
            _ => {
                if self.site.parent.is_none() {
                    self.site.makings += 1;
                    self.site.parent = Some(self.site.makings);
                }
            }
        }
    }
}

#[test]
fn whatever_the_weather_only_what_is_gone_is_withdrawn_and_the_cluster_converges() {
    let seeds = match number("ARCLET_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("ARCLET_SIM_SEEDS").unwrap_or(120),
    };
    let (mut withdrawn, mut reapplied, mut remade, mut fetched) = (0, 0, 0, 0);
    let all = seeds.end - seeds.start;
    for seed in seeds {
        let run = std::panic::catch_unwind(|| chaos(seed));
        let site = run.unwrap_or_else(|panic| {
            eprintln!("replay with ARCLET_SIM_SEED={seed}");
            std::panic::resume_unwind(panic)
        });
        withdrawn += site.withdrawn;
        reapplied += site.reapplied;
        remade += site.makings - 1;
        fetched += site.shelf.fetched;
    }
    println!(
        "{withdrawn} withdrawn, {reapplied} applied, {fetched} fetched, {remade} cluster resources made anew"
    );
    assert!(all < 50 || [withdrawn, reapplied, remade, fetched].iter().all(|n| *n > all / 10));
}

/// Six hours of chaos, then a healed world in which nobody changes anything.
fn chaos(seed: u64) -> Site {
    let mut world = World::gitops(seed);
    while world.time < 6 * HOUR {
        let next = world.time + SECOND + world.rng.below(10 * MINUTE);
        world.run_until(next);
        match world.rng.chance(60) {
            true => world.change(),
            false => trouble(&mut world),
        }
    }
    world.heal();
    world.another_ends();
    world.site.partial = false;
    world.site.shelf.lacks = false;
    world.site.blind = None;
    if world.site.parent.is_none() {
        world.site.makings += 1;
        world.site.parent = Some(world.site.makings);
    }
    for endpoint in Endpoint::ALL {
        world.tell(Input::LinkHint(endpoint));
    }
    world.check.hinted();
    world.run_until(world.time + 3 * HOUR);
    let site = std::mem::take(&mut world.site);
    site.converged(&world);
    site
}

#[test]
fn without_a_link_a_device_that_boots_enforces_what_it_last_knew() {
    for seed in 0..20 {
        let mut world = World::gitops(seed);
        for n in 0..5 {
            world.site.azure.insert(key(n), (n as u8, false));
        }
        world.run_until(world.time + 10 * MINUTE);
        assert_eq!(world.site.cluster.len(), 5);
        for endpoint in [Endpoint::Login, Endpoint::Arm, Endpoint::Ingest] {
            world.set_mode(endpoint, Mode::Down);
        }
        world.crash(true);
        world.site.cluster.clear();
        world.site.azure.clear();
        world.run_until(world.time + MINUTE);
        assert_eq!(world.site.cluster.len(), 5, "seed {seed}");
        world.run_until(world.time + 48 * HOUR);
        assert_eq!(world.site.cluster.len(), 5, "unreachable is not absent");
    }
}

#[test]
fn a_look_at_the_nodes_or_a_tag_that_is_refused_keeps_nobody_from_pulling_and_enforcing() {
    for refused in [Endpoint::Kubernetes, Endpoint::Arm] {
        let mut world = World::gitops(7);
        world.site.refuses = Some(refused);
        world.run_until(world.time + 10 * MINUTE);
        for n in 0..8u8 {
            world.site.azure.insert(key(3), (n, false));
            world.run_until(world.time + 7 * MINUTE);
            assert_eq!(world.site.cluster.get(&key(3)), Some(&digest(n)), "{refused:?}");
        }
        assert!(!world.view().conditions.is_empty(), "it is shown");
    }
}

#[test]
fn a_cluster_that_has_no_nodes_yet_is_served_all_the_same() {
    let mut world = World::gitops(13);
    world.facts.node_count = 0;
    world.site.azure.insert(key(1), (1, false));
    world.run_until(world.time + 10 * MINUTE);
    assert_eq!(world.site.cluster.len(), 1);
    // Also when several had to take turns before.
    world.another_leads();
    world.run_until(world.time + 10 * MINUTE);
    world.another_ends();
    world.facts.node_count = 0;
    world.site.azure.insert(key(2), (2, false));
    world.run_until(world.time + 20 * MINUTE);
    assert_eq!(world.site.cluster.len(), 2);
}

#[test]
fn looks_that_are_always_due_keep_nobody_from_enforcing() {
    let mut world = World::gitops(9);
    world.settings.metadata_interval = std::time::Duration::from_millis(10);
    world.crash(false);
    for n in 1..8u8 {
        world.site.azure.insert(key(3), (n, false));
        world.tell(Input::Refresh);
        world.run_until(world.time + MINUTE);
        assert_eq!(world.site.cluster.get(&key(3)), Some(&digest(n)));
    }
}

#[test]
fn without_a_link_to_the_vault_what_it_gave_is_used_and_a_rotation_arrives_when_it_is_back() {
    for seed in 0..20 {
        let mut world = World::gitops(seed);
        world.site.azure.insert(key(1), (1, false));
        world.run_until(world.time + 10 * MINUTE);
        assert_eq!(world.site.shelf.applied.get(&key(1)), Some(&0), "seed {seed}");
        world.set_mode(Endpoint::Vault, Mode::Down);
        world.site.shelf.version = 1;
        world.crash(true);
        world.site.cluster.clear();
        world.site.azure.insert(key(1), (5, false));
        world.run_until(world.time + 12 * MINUTE);
        assert_eq!(world.site.cluster.get(&key(1)), Some(&digest(5)), "nothing waits for the vault");
        assert_eq!(world.site.shelf.applied.get(&key(1)), Some(&0));
        world.set_mode(Endpoint::Vault, Mode::Up);
        world.tell(Input::LinkHint(Endpoint::Vault));
        world.run_until(world.time + MINUTE);
        assert_eq!(world.site.shelf.applied.get(&key(1)), Some(&1), "seed {seed}");
    }
}

#[test]
fn drift_is_undone_within_the_interval_and_a_refresh_does_it_at_once() {
    let mut world = World::gitops(3);
    world.site.azure.insert(key(1), (1, false));
    world.run_until(world.time + 20 * MINUTE);
    world.site.cluster.clear();
    world.run_until(world.time + 6 * MINUTE);
    assert_eq!(world.site.cluster.len(), 1);
    world.site.cluster.clear();
    world.site.azure.insert(key(2), (2, false));
    world.tell(Input::Refresh);
    world.run_until(world.time + 10 * SECOND);
    assert_eq!(world.site.cluster.len(), 2);
}

#[test]
fn where_the_scenario_is_off_nothing_is_pulled_and_nothing_enforced() {
    let mut world = World::new(5, Profile::Default);
    world.site.parent = Some(1);
    world.site.azure.insert(key(1), (1, false));
    world.tell(Input::Refresh);
    world.run_until(world.time + 24 * HOUR);
    assert!(world.site.cluster.is_empty() && world.site.listed.is_empty());
    assert!(world.view().desired.is_none());
}

#[test]
fn what_azure_wants_again_while_its_withdrawal_waits_stays_in_the_cluster_wherever_the_process_dies() {
    let mut heard = 0;
    for steps in 0..60 {
        let mut world = World::gitops(11);
        for n in 0..3 {
            world.site.azure.insert(key(n), (n as u8, false));
        }
        world.run_until(world.time + 10 * MINUTE);
        assert_eq!(world.site.cluster.len(), 3);
        world.another_leads();
        // Both go, and neither may be taken out while another agent leads.
        world.site.azure.remove(&key(1));
        world.site.azure.remove(&key(2));
        world.run_until(world.time + 30 * MINUTE);
        assert_eq!(world.site.cluster.len(), 3);
        // One comes back; the process may die before or after it hears of it, and after that there is no link.
        world.site.azure.insert(key(1), (1, false));
        world.tell(Input::Refresh);
        world.crash_in(steps);
        let end = world.time + MINUTE;
        while world.crashes == 0 && world.time < end {
            world.run_until(world.time + 10);
        }
        let again = world.site.listed.get(&key(1)).is_some_and(|(_, lacked)| *lacked == 0);
        heard += u64::from(again && world.crashes > 0);
        world.set_mode(Endpoint::Arm, Mode::Down);
        world.another_ends();
        world.run_until(world.time + HOUR);
        assert!(!again || world.site.cluster.contains_key(&key(1)), "after {steps} steps");
        assert!(!world.site.cluster.contains_key(&key(2)), "what goes goes without a link too, {steps}");
    }
    assert!(heard > 0, "the process died after it had heard of it, at least once");
}
