//! Where the status goes unasked: a file for `arclet status` when no agent answers, and the log for what changed.

use crate::core::{Endpoint, Mono, Reason};
use crate::status::Status;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// Writes the status file and logs changes.
#[derive(Debug)]
pub struct Publisher {
    /// On a tmpfs: it is written often, and a flash medium would wear.
    path: PathBuf,
    last: Option<Mono>,
    links: BTreeMap<Endpoint, String>,
    conditions: BTreeMap<String, String>,
}

impl Publisher {
    /// Writes to this file.
    pub fn new(path: PathBuf) -> Self {
        Publisher { path, last: None, links: BTreeMap::new(), conditions: BTreeMap::new() }
    }

    /// The earliest moment for the next publication: changes that come thick are told together.
    pub fn due(&self) -> Mono {
        self.last.map_or(Mono(0), |at| at + AT_MOST_EVERY)
    }

    /// Publishes. The error is the file's; what changed was logged in any case.
    pub fn publish(&mut self, now: Mono, status: &Status) -> Result<(), Reason> {
        self.last = Some(now);
        self.log_changes(status);
        self.write(status).map_err(|error| {
            Reason::new("StatusFile", format!("cannot write {}: {error}", self.path.display()))
                .cure("check the directory's owner and space, or [control] status-file in the configuration")
        })
    }

    /// Replaced in one step, so that a reader never sees half a document. Not synced: it is worth nothing after a power cut.
    fn write(&self, status: &Status) -> std::io::Result<()> {
        let mut next = self.path.clone().into_os_string();
        next.push(".new");
        std::fs::write(&next, serde_json::to_vec(status)?)?;
        // The group may read it, as it may ask at the socket; the unit's UMask=0077 would keep it out.
        std::fs::set_permissions(&next, std::fs::Permissions::from_mode(0o640))?;
        std::fs::rename(&next, &self.path)
    }

    fn log_changes(&mut self, status: &Status) {
        for link in &status.links {
            let before = self.links.insert(link.endpoint, link.state.clone());
            if before.as_ref() == Some(&link.state) || link.state == "unknown" {
                continue;
            }
            match &link.reason {
                Some(reason) => {
                    log::warn!("{} ({}) is {}: {reason}", link.endpoint.name(), link.host, link.state)
                }
                None => log::info!("{} ({}) is {}", link.endpoint.name(), link.host, link.state),
            }
        }
        let mut now = BTreeMap::new();
        for condition in &status.conditions {
            let key = format!("{} {}", condition.about, condition.reason.code);
            if !self.conditions.contains_key(&key) {
                log::warn!("{}: {}", condition.about, condition.reason);
            }
            now.insert(key, condition.about.clone());
        }
        for (key, about) in &self.conditions {
            if !now.contains_key(key) {
                log::info!("{about}: no longer {}", key.strip_prefix(about.as_str()).unwrap_or(key).trim());
            }
        }
        self.conditions = now;
    }
}

/// Between two publications.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{ClockStatus, STATUS_VERSION};

    fn status() -> Status {
        Status {
            flux: None,
            upgrade: None,
            version: STATUS_VERSION,
            agent_version: "1".into(),
            time: "t".into(),
            started: "t".into(),
            pid: 1,
            cluster: "c".into(),
            clock: ClockStatus { state: "unknown".into(), offset_seconds: None },
            links: Vec::new(),
            lanes: Vec::new(),
            last_delivery: None,
            delivered: 0,
            conditions: Vec::new(),
            cluster_facts: None,
            desired: None,
            lease: Default::default(),
            store_notes: Vec::new(),
        }
    }

    #[test]
    fn the_file_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("status.json");
        let mut publisher = Publisher::new(path.clone());
        publisher.publish(Mono(5), &status()).unwrap();
        let second = Status { delivered: 9, ..status() };
        publisher.publish(Mono(6), &second).unwrap();
        let read: Status = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(read.delivered, 9);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_with_the_cure() {
        let mut publisher = Publisher::new("/nonexistent/arclet/status.json".into());
        let reason = publisher.publish(Mono(0), &status()).unwrap_err();
        assert!(reason.message.contains("/nonexistent/arclet/status.json"));
        assert!(reason.next_step.contains("status-file"));
    }

    #[test]
    fn changes_that_come_thick_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut publisher = Publisher::new(dir.path().join("status.json"));
        assert_eq!(publisher.due(), Mono(0));
        publisher.publish(Mono(5_000), &status()).unwrap();
        assert_eq!(publisher.due(), Mono(6_000));
    }
}
