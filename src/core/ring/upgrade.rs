//! Newer releases in the ring: when the feed is looked at, and what an answer means.
//!
//! What fails disturbs nothing else: it has an endpoint, a link and a condition of its own, and what is known stays known.

use super::*;
use crate::core::port::UpgradeView;
use crate::core::{Outcome, Stamp};
use crate::scenario::upgrade::Look;

/// As it was left, if it is still wanted.
pub(super) fn restored(settings: &Settings, remembered: Option<&[u8]>) -> Option<(Upgrade, Option<Now>)> {
    let upgrade = settings.upgrade.as_ref()?;
    Some((Upgrade::restore(remembered, &upgrade.source, &settings.agent_version), None))
}

impl Core {
    /// The look at the feed, if it is due and may go.
    pub(super) fn look_for_release(&mut self, now: Now) -> Option<Action> {
        let (upgrade, _) = self.upgrade.as_ref()?;
        if !self.look_due || !self.link(Endpoint::Releases).ready(now.mono) {
            return None;
        }
        let known = upgrade.available().map(|known| known.release.clone());
        self.look_due = false;
        self.start(Endpoint::Releases);
        Some(Action::Look { known })
    }

    /// The feed was looked at, or could not be.
    pub(super) fn looked(&mut self, now: Now, rng: &mut dyn Random, result: Result<Look, Outcome>) {
        let look = match result {
            Ok(look) => look,
            Err(outcome) => {
                self.look_due = self.upgrade.is_some();
                if let Some(reason) = self.fail(now, rng, Endpoint::Releases, outcome) {
                    self.conditions.raise(now, Endpoint::Releases.name(), reason);
                }
                return;
            }
        };
        self.links[Endpoint::Releases as usize].reached(now);
        self.conditions.clear(Endpoint::Releases.name());
        let Some(settings) = &self.settings.upgrade else { return };
        // A fleet that was switched on at one time does not ask at one time for ever.
        let next = rng.between(settings.interval * 7 / 8, settings.interval * 9 / 8);
        self.schedule.set(Timer::Upgrade, now.mono + next);
        let clock = self.anchors.judge(&self.boot, now);
        let stamp = Stamp { boot: self.boot, mono_ms: now.mono.0, wall_ms: now.wall_ms, clock };
        let (now_ms, _) = self.anchors.correct(&stamp);
        let Some((upgrade, looked)) = &mut self.upgrade else { return };
        *looked = Some(now);
        if upgrade.looked(look, now_ms) {
            self.memory.insert(port::DOCUMENT_UPGRADE, upgrade.document());
        }
        match upgrade.trouble() {
            Some(reason) => self.conditions.raise(now, ABOUT_UPGRADE, reason.clone()),
            None => self.conditions.clear(ABOUT_UPGRADE),
        }
    }

    /// What Azure is to be told: nothing before the feed was read, for until then nothing is known anew; and nothing that a
    /// crash would make forgotten, or an older release could be told after a newer one.
    pub(super) fn upgrade_news(&self) -> Option<Vec<u8>> {
        let (upgrade, looked) = self.upgrade.as_ref()?;
        let writing = self.remembering.as_ref().is_some_and(|(name, _)| *name == port::DOCUMENT_UPGRADE);
        let kept = !writing && !self.memory.contains_key(port::DOCUMENT_UPGRADE);
        looked.filter(|_| kept).and_then(|_| upgrade.news())
    }

    /// This row is durable.
    pub(super) fn upgrade_told(&mut self, row: &[u8]) {
        if let Some((upgrade, _)) = &mut self.upgrade {
            upgrade.told(row);
            self.memory.insert(port::DOCUMENT_UPGRADE, upgrade.document());
        }
    }

    /// Another interval, or another feed.
    pub(super) fn reconfigure_upgrade(&mut self, now: Now, rng: &mut dyn Random, settings: &Settings) {
        if settings.upgrade == self.settings.upgrade {
            return;
        }
        let same = match (&self.settings.upgrade, &settings.upgrade) {
            (Some(before), Some(after)) => before.source == after.source,
            _ => false,
        };
        if !same {
            self.upgrade = restored(settings, None);
            self.conditions.clear(ABOUT_UPGRADE);
            self.conditions.clear(Endpoint::Releases.name());
            self.links[Endpoint::Releases as usize].hint();
        }
        self.look_due = false;
        let soon =
            settings.upgrade.as_ref().map(|upgrade| now.mono + rng.up_to(upgrade.interval.min(SOON * 10)));
        self.schedule.put(Timer::Upgrade, soon);
    }

    pub(super) fn upgrade_view(&self) -> Option<UpgradeView> {
        let ((upgrade, looked), settings) = (self.upgrade.as_ref()?, self.settings.upgrade.as_ref()?);
        Some(UpgradeView {
            train: settings.train.clone(),
            available: upgrade.available().cloned(),
            looked: *looked,
        })
    }
}

/// What is wrong with a release.
const ABOUT_UPGRADE: &str = "upgrade";
