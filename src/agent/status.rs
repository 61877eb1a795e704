//! The status document: what the core thinks, what the store holds and what the shell knows, put together.
//!
//! Pure: everything comes in as an argument, nothing is asked and nothing is written here.

use crate::core::port::{DocumentView, LinkView, View};
use crate::core::{Endpoint, Lane, Now, Reason, Stream};
use crate::status::{
    ClockStatus, ClusterStatus, Condition, Desired, DesiredSummary, DocumentStatus, FluxStatus, LaneStatus,
    LeaseStatus, LinkStatus, Outbox, QuarantinedRecord, STATUS_VERSION, Status, UpgradeStatus,
};
use crate::store::{LaneStats, Quarantined};

/// What stays the same while the process runs, or changes with the configuration only.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// When the process started.
    pub started: Now,
    /// ARM id of the cluster.
    pub cluster: String,
    /// Host names by `Endpoint as usize`.
    pub hosts: [String; Endpoint::ALL.len()],
    /// Quotas by `Lane as usize`, in allocated bytes.
    pub quotas: [u64; Lane::ALL.len()],
    /// What the store repaired when it was opened.
    pub store_notes: Vec<String>,
}

/// The time of the document: a point of the monotonic clock and the best wall time that is known for it.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Both clocks, as they are.
    pub now: Now,
    /// The wall clock corrected where it is known to be wrong, in ms.
    pub best_wall_ms: i64,
}

impl Moment {
    /// The best wall time of an earlier moment of this boot, by the monotonic clock: right even when the wall clock has
    /// jumped since.
    pub fn text_of(&self, then: Now) -> String {
        text(self.best_wall_ms - self.now.mono.since(then.mono).as_millis() as i64)
    }
}

/// A condition of the shell's own.
#[derive(Clone, Debug)]
pub struct OwnCondition {
    /// Since when.
    pub since: Now,
    /// What it is about.
    pub about: &'static str,
    /// Why, and the cure.
    pub reason: Reason,
}

/// Puts the document together.
pub fn document(
    fixed: &Fixed,
    at: Moment,
    clock: ClockStatus,
    view: View,
    stats: &[(Lane, LaneStats)],
    own: &[OwnCondition],
) -> Status {
    let desired = summary(at, &view);
    let flux = view.flux.map(|(installation, then)| FluxStatus {
        state: installation.state().to_owned(),
        trouble: installation.trouble(),
        controllers: installation.controllers,
        served: installation.served,
        observed: at.text_of(then),
    });
    let upgrade = view.upgrade.map(|upgrade| UpgradeStatus {
        train: upgrade.train,
        since: upgrade.available.as_ref().map(|known| text(known.since_ms)),
        released: upgrade.available.as_ref().and_then(|known| known.release.released.clone()),
        available: upgrade.available.map(|known| known.release.version),
        last_look: upgrade.looked.map(|then| at.text_of(then)),
    });
    let conditions = own
        .iter()
        .map(|c| (c.since, c.about.to_owned(), c.reason.clone()))
        .chain(view.conditions.into_iter().map(|c| (c.since, c.about, c.reason)))
        .map(|(since, about, reason)| Condition { since: at.text_of(since), about, reason })
        .collect();
    let used = |link: &LinkView| !fixed.hosts[link.endpoint as usize].is_empty();
    let links = view.links.into_iter().filter(used).map(|link| LinkStatus {
        endpoint: link.endpoint,
        host: fixed.hosts[link.endpoint as usize].clone(),
        state: link.state.to_owned(),
        since: link.since.map(|since| at.text_of(since)),
        reason: link.reason,
        next_try_seconds: link.next_try.map(|due| due.since(at.now.mono).as_secs()),
        attempts: link.attempts,
    });
    Status {
        version: STATUS_VERSION,
        desired,
        flux,
        upgrade,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        time: text(at.best_wall_ms),
        started: at.text_of(fixed.started),
        pid: std::process::id(),
        cluster: fixed.cluster.clone(),
        clock,
        links: links.collect(),
        lanes: lanes(fixed, at, stats),
        last_delivery: view.last_delivery.map(|then| at.text_of(then)),
        delivered: view.delivered,
        conditions,
        cluster_facts: view.facts.map(|(facts, then)| ClusterStatus {
            kubernetes_version: facts.kubernetes_version,
            node_count: facts.node_count,
            vcpu_count: facts.vcpu_count,
            observed: at.text_of(then),
        }),
        lease: LeaseStatus {
            state: view.lease.state.to_owned(),
            me: view.lease.me,
            holder: view.lease.holder,
        },
        store_notes: fixed.store_notes.clone(),
    }
}

/// Desired state in numbers; `None` where the scenario is off.
fn summary(at: Moment, view: &View) -> Option<DesiredSummary> {
    let desired = view.desired.as_ref()?;
    let count = |of: fn(&DocumentView) -> bool| desired.documents.iter().filter(|d| of(d)).count() as u64;
    Some(DesiredSummary {
        last_pull: desired.last_pull.map(|then| at.text_of(then)),
        documents: desired.documents.len() as u64,
        enforced: count(|document| document.picture.is_some() && document.reason.is_none()),
        failed: count(|document| document.reason.is_some()),
    })
}

/// The document of `arclet desired`.
pub fn desired(at: Moment, view: View) -> Desired {
    let on = view.desired.is_some();
    let (last_pull, documents) =
        view.desired.map(|desired| (desired.last_pull, desired.documents)).unwrap_or_default();
    let documents = documents.into_iter().map(|document| DocumentStatus {
        document: document.key.to_string(),
        state: document.state.to_owned(),
        since: at.text_of(document.since),
        digest: document.digest.shown(),
        reason: document.reason,
        next_try_seconds: document.next_try.map(|due| due.since(at.now.mono).as_secs()),
        picture: document.picture,
    });
    Desired {
        version: STATUS_VERSION,
        time: text(at.best_wall_ms),
        on,
        last_pull: last_pull.map(|then| at.text_of(then)),
        documents: documents.collect(),
    }
}

/// The document of `arclet outbox`.
pub fn outbox(status: Status, quarantined: Vec<Quarantined>) -> Outbox {
    let quarantined = quarantined.into_iter().map(|q| QuarantinedRecord {
        id: q.id,
        table: Stream::from_number(q.stream).map_or("unknown", Stream::table).to_owned(),
        at: text(q.at_ms),
        reason: q.reason,
        body: q.body,
    });
    Outbox {
        version: STATUS_VERSION,
        time: status.time,
        lanes: status.lanes,
        quarantined: quarantined.collect(),
    }
}

/// One line for `systemctl status`: the links that are not up, and what waits.
pub fn line(status: &Status) -> String {
    let troubled: Vec<_> = status
        .links
        .iter()
        .filter(|link| matches!(link.state.as_str(), "down" | "refused"))
        .map(|link| format!("{} {}", link.endpoint.name(), link.state))
        .collect();
    let waiting: u64 = status.lanes.iter().map(|lane| lane.records).sum();
    let links = if troubled.is_empty() { "links up".to_owned() } else { troubled.join(", ") };
    let conditions = match status.conditions.len() {
        0 => String::new(),
        1 => format!("; {}", status.conditions[0].reason.code),
        n => format!("; {n} conditions, see arclet status"),
    };
    // No line breaks: systemd would read the next line as a message of its own.
    format!("{links}; {waiting} waiting; {} delivered{conditions}", status.delivered)
        .replace(|c: char| c.is_control(), " ")
}

fn lanes(fixed: &Fixed, at: Moment, stats: &[(Lane, LaneStats)]) -> Vec<LaneStatus> {
    let lane = |(lane, stats): &(Lane, LaneStats)| LaneStatus {
        lane: lane.name().to_owned(),
        records: stats.records,
        bytes: stats.bytes,
        allocated_bytes: stats.allocated,
        quota_bytes: fixed.quotas[*lane as usize],
        // Against the clock that stamped it, so that an age is right even when the clock is not.
        oldest_age_seconds: stats
            .oldest_wall_ms
            .map(|then| at.now.wall_ms.saturating_sub(then).max(0) as u64 / 1000),
        lost_by_quota: stats.lost_quota,
        lost_by_damage: stats.lost_damage,
        quarantined: stats.quarantined,
    };
    stats.iter().map(lane).collect()
}

/// RFC 3339 in UTC with milliseconds; a time that no calendar has becomes the nearest one that it has.
pub fn text(wall_ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(wall_ms).unwrap_or(if wall_ms < 0 {
        jiff::Timestamp::MIN
    } else {
        jiff::Timestamp::MAX
    });
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Mono;
    use crate::core::port::{ConditionView, LeaseView, LinkView};

    fn fixed() -> Fixed {
        Fixed {
            started: Now { mono: Mono(0), wall_ms: 0 },
            cluster: "/subscriptions/s".into(),
            hosts: ["k", "l", "a", "i", "", "", ""].map(String::from),
            quotas: [1, 2, 3, 4, 5],
            store_notes: Vec::new(),
        }
    }

    fn view() -> View {
        View {
            links: Vec::new(),
            conditions: Vec::new(),
            last_delivery: None,
            delivered: 7,
            facts: None,
            desired: None,
            flux: None,
            upgrade: None,
            lease: LeaseView::default(),
        }
    }

    fn down() -> View {
        let reason = Reason::new("ConnectionRefused", "i:443 refuses\nconnections");
        let link = LinkView {
            endpoint: Endpoint::Ingest,
            state: "down",
            since: Some(Now { mono: Mono(4_000), wall_ms: 4_000 }),
            reason: Some(reason.clone()),
            next_try: Some(Mono(12_900)),
            attempts: 3,
        };
        let condition = ConditionView {
            since: Now { mono: Mono(4_000), wall_ms: 4_000 },
            about: "ingest".into(),
            reason,
        };
        View { links: vec![link], conditions: vec![condition], ..view() }
    }

    /// Started in 1970, and the clock was set right a moment ago.
    const AT: Moment =
        Moment { now: Now { mono: Mono(10_000), wall_ms: 10_000 }, best_wall_ms: 1_800_000_000_000 };

    fn unknown() -> ClockStatus {
        ClockStatus { state: "unknown".into(), offset_seconds: None }
    }

    #[test]
    fn times_from_before_the_clock_was_set_are_right() {
        let status = document(&fixed(), AT, unknown(), down(), &[], &[]);
        assert_eq!(status.time, "2027-01-15T08:00:00.000Z");
        assert_eq!(status.started, "2027-01-15T07:59:50.000Z");
        assert_eq!(status.links[0].since.as_deref(), Some("2027-01-15T07:59:54.000Z"));
        assert_eq!(status.links[0].next_try_seconds, Some(2));
        assert_eq!(status.links[0].host, "i");
    }

    #[test]
    fn conditions_of_shell_and_core_stand_side_by_side() {
        let own = OwnCondition { since: AT.now, about: "config", reason: Reason::new("Config", "bad") };
        let status = document(&fixed(), AT, unknown(), down(), &[], &[own]);
        let about: Vec<_> = status.conditions.iter().map(|c| c.about.as_str()).collect();
        assert_eq!(about, ["config", "ingest"]);
    }

    #[test]
    fn the_status_line_names_trouble_in_one_line() {
        let stats = LaneStats { records: 41, ..LaneStats::default() };
        let status = document(&fixed(), AT, unknown(), down(), &[(Lane::Report, stats)], &[]);
        assert_eq!(line(&status), "ingest down; 41 waiting; 7 delivered; ConnectionRefused");
        let calm = document(&fixed(), AT, unknown(), view(), &[], &[]);
        assert_eq!(line(&calm), "links up; 0 waiting; 7 delivered");
    }

    #[test]
    fn no_time_is_too_far_to_be_told() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert!(text(i64::MAX).starts_with("9999-"));
        assert!(text(i64::MIN).starts_with("-00"));
    }
}
