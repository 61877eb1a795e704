//! What happens when space is short: who yields, in which order, and the reserve that keeps the store able to move.
//!
//! Finished epochs and evidence of old damage go first, then telemetry (metrics before logs), then the reserve file; the
//! state lane and the cache may then take from reports. Each step frees something and the caller tries again, with new
//! handles, because sled's are dead after a full disk. Nothing in here writes records.

use super::chain::{Chain, Env};
use super::error::{Inner, Trouble};
use super::files;
use crate::core::Lane;
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

/// For whom space is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// For this lane, to write into it or to repair it.
    Lane(Lane),
    /// For the state lane or the cache: these may use what reports have.
    Keep,
}

/// A file that is there to be removed when the disk is full.
#[derive(Debug)]
pub(super) struct Reserve {
    root: PathBuf,
    path: PathBuf,
    len: u64,
}

impl Reserve {
    /// Of two epochs, as they are on the medium.
    pub(super) fn new(root: &Path, epoch_bytes: u64) -> Reserve {
        Reserve {
            root: root.to_owned(),
            path: root.join("reserve"),
            len: 2 * (epoch_bytes * 4 + (128 << 10)),
        }
    }

    /// Makes the file if it is not there, and there is room: it must not take what the lanes need.
    pub(super) fn fill(&self) {
        if std::fs::metadata(&self.path).is_ok_and(|m| m.len() == self.len) {
            return;
        }
        let fill = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).open(&self.path)?;
            fallocate(&file, FallocateFlags::empty(), 0, self.len)?;
            files::sync_all(&file)
        };
        if let Err(e) = fill() {
            log::debug!("store: no reserve: {e}");
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Removes damaged databases of documents that were kept to be looked at; false if there were none.
    fn remove_evidence(&self) -> bool {
        let mut removed = false;
        for dir in super::open::KEYED.map(|name| self.root.join(name)) {
            for name in files::names(&dir).iter().filter(|n| n.starts_with(files::BAD)) {
                removed |= std::fs::remove_dir_all(dir.join(name)).is_ok();
            }
        }
        removed
    }

    /// Gives the space away; false if it was given already.
    pub(super) fn release(&self) -> bool {
        std::fs::remove_file(&self.path).is_ok()
    }
}

/// Frees something for `purpose`; false if there is nothing left that may yield to it.
pub(super) fn make_room(
    env: &mut Env,
    chains: &mut [Chain],
    reserve: &Reserve,
    purpose: Purpose,
) -> Inner<bool> {
    // Dead after a full disk, and they hold space of removed files.
    for chain in chains.iter_mut() {
        chain.close_writer(env, super::slots::Sync::Now);
    }
    env.pool.close_all();
    let before: u64 = chains.iter().map(Chain::allocated).sum();
    for chain in chains.iter_mut() {
        chain.sweep(env)?;
        chain.remove_evidence();
    }
    if reserve.remove_evidence() || chains.iter().map(Chain::allocated).sum::<u64>() < before {
        return Ok(true);
    }
    let telemetry = [Lane::Metrics, Lane::Logs];
    let may_take: &[Lane] = match purpose {
        Purpose::Lane(lane @ (Lane::Logs | Lane::Metrics)) => return drop_from(env, chains, &[lane]),
        Purpose::Lane(_) | Purpose::Keep => &telemetry,
    };
    if drop_from(env, chains, may_take)? || reserve.release() {
        return Ok(true);
    }
    if purpose == Purpose::Keep {
        return drop_from(env, chains, &[Lane::Audit, Lane::Report]);
    }
    Ok(false)
}

fn drop_from(env: &mut Env, chains: &mut [Chain], lanes: &[Lane]) -> Inner<bool> {
    for lane in lanes {
        if let Some(chain) = chains.iter_mut().find(|c| c.lane == *lane)
            && chain.drop_oldest(env)? > 0
        {
            env.note(format!("the disk is full: the oldest records of lane {} are dropped", lane.name()));
            return Ok(true);
        }
    }
    Ok(false)
}

impl Chain {
    /// Removes damaged databases that were kept to be looked at.
    pub(super) fn remove_evidence(&mut self) {
        if self.aside == 0 {
            return;
        }
        for name in files::names(&self.dir).iter().filter(|n| n.starts_with(files::BAD)) {
            let _ = std::fs::remove_dir_all(self.dir.join(name));
        }
        self.aside = 0;
    }
}

/// Does `work` again as long as it fails for want of space and something yields.
pub(super) fn with_room<T>(
    env: &mut Env,
    chains: &mut [Chain],
    reserve: &Reserve,
    purpose: Purpose,
    mut work: impl FnMut(&mut Env, &mut [Chain]) -> Inner<T>,
) -> Inner<T> {
    loop {
        match work(env, chains) {
            Err(Trouble::NoSpace(why)) => {
                if !make_room(env, chains, reserve, purpose)? {
                    return Err(Trouble::NoSpace(why));
                }
            }
            done => return done,
        }
    }
}
