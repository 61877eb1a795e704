//! What an operator can set of the core, already checked.
//!
//! The reasons of the defaults stand here; how they are written in arclet.toml is `config`'s business.

use super::link;
use std::time::Duration;

/// How much the link costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Profile {
    /// A heartbeat every five minutes, everything at once: at most 1.5 MB on a day without incidents.
    #[default]
    Default,
    /// A link that is paid by the kilobyte: two contacts a day, at most 33 KB a day with TLS and tokens.
    Metered,
}

/// Settings of the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// arclet's version, in reports and tags.
    pub agent_version: String,
    /// Between heartbeats.
    pub heartbeat_interval: Duration,
    /// Between looks at the cluster.
    pub metadata_interval: Duration,
    /// Between whole metadata reports; between them only changed columns go out.
    pub whole_interval: Duration,
    /// Whether to keep tags on the ARM resource.
    pub tags: bool,
    /// At least so long between two tag updates.
    pub tags_interval: Duration,
    /// Send only when a heartbeat is due, then everything that waits: connections cost more than records.
    pub deliver_with_heartbeat: bool,
    /// The links, indexed by `Endpoint as usize`.
    pub links: [link::Config; 4],
    /// Most records of one call.
    pub batch_records: usize,
    /// Most bytes of one call before compression.
    pub batch_bytes: usize,
}

/// The limit of one ingestion call is 1,048,576 bytes, of the uncompressed body too (facts of the Logs Ingestion API);
/// the rest is room for what a proxy may add and for records that grow when they are encoded.
pub const BATCH_BYTES: usize = 1_000_000;
/// So that the memory of a batch is bounded by its records too.
pub const BATCH_RECORDS: usize = 2_000;

impl Settings {
    /// The defaults of a profile. `agent_version` is arclet's own.
    pub fn of(profile: Profile, agent_version: impl Into<String>) -> Settings {
        let metered = profile == Profile::Metered;
        let link = |base, cap, refused| link::Config { base, cap, refused, allowance: None };
        let near = link(Duration::from_secs(1), 5 * MINUTE, 5 * MINUTE);
        Settings {
            agent_version: agent_version.into(),
            heartbeat_interval: if metered { 12 * HOUR } else { 5 * MINUTE },
            metadata_interval: 5 * MINUTE,
            whole_interval: 24 * HOUR,
            tags: !metered,
            tags_interval: HOUR,
            deliver_with_heartbeat: metered,
            links: [near, near, link(Duration::from_secs(30), HOUR, HOUR), near],
            batch_records: BATCH_RECORDS,
            batch_bytes: BATCH_BYTES,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
