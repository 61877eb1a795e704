//! What an operator can set of the core, already checked.
//!
//! The reasons of the defaults stand here; how they are written in arclet.toml is `config`'s business.

use super::Endpoint;
use super::document::Kinds;
use super::link::Config;
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

/// How desired state is pulled and enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DesiredSettings {
    /// Between looks at Azure.
    pub pull_interval: Duration,
    /// Between looks at what is enforced.
    pub enforce_interval: Duration,
    /// What is pulled and enforced; documents of another kind stay as they are.
    pub kinds: Kinds,
    /// There is a Key Vault to ask for secrets.
    pub vault: bool,
}

impl DesiredSettings {
    /// The defaults of a profile. A listing costs a connection to ARM, about 7 KB with its token; what is enforced is
    /// looked at on the device itself.
    pub fn of(profile: Profile) -> DesiredSettings {
        let metered = profile == Profile::Metered;
        DesiredSettings {
            pull_interval: if metered { 6 * HOUR } else { 5 * MINUTE },
            enforce_interval: 5 * MINUTE,
            kinds: Kinds::all(),
            vault: false,
        }
    }
}

/// How newer releases are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeSettings {
    /// Between looks at the feed.
    pub interval: Duration,
    /// Which train of it.
    pub train: String,
    /// Which feed and train: what is known of another one is forgotten.
    pub source: String,
}

impl UpgradeSettings {
    /// The interval of a profile. Microsoft's agents ask every hour too; a look costs up to three connections, about 15 KB.
    pub fn interval(profile: Profile) -> Duration {
        if profile == Profile::Metered { 24 * HOUR } else { HOUR }
    }
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
    pub links: [Config; Endpoint::ALL.len()],
    /// Bytes of a day, TLS and tokens included; `None`: as many as there are.
    pub allowance: Option<u32>,
    /// After an outage of at least this, the backlog is not drained at once.
    pub spread_after: Duration,
    /// But after a delay drawn from zero to this.
    pub spread_most: Duration,
    /// Desired state; `None`: nothing is pulled and nothing enforced.
    pub desired: Option<DesiredSettings>,
    /// Newer releases; `None`: nobody looks for any.
    pub upgrade: Option<UpgradeSettings>,
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
    /// The same with every interval and size long enough that the core cannot spin, whoever set them.
    pub(super) fn bounded(mut self) -> Settings {
        for interval in [
            &mut self.heartbeat_interval,
            &mut self.metadata_interval,
            &mut self.whole_interval,
            &mut self.tags_interval,
        ] {
            *interval = (*interval).clamp(INTERVAL_LEAST, INTERVAL_MOST);
        }
        if let Some(desired) = &mut self.desired {
            desired.pull_interval = desired.pull_interval.clamp(INTERVAL_LEAST, INTERVAL_MOST);
            desired.enforce_interval = desired.enforce_interval.clamp(INTERVAL_LEAST, INTERVAL_MOST);
        }
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.interval = upgrade.interval.clamp(INTERVAL_LEAST, INTERVAL_MOST);
        }
        self.batch_records = self.batch_records.clamp(1, BATCH_RECORDS);
        self.batch_bytes = self.batch_bytes.clamp(1, BATCH_BYTES);
        self
    }

    /// The defaults of a profile. `agent_version` is arclet's own.
    ///
    /// Metered: a contact costs 14 to 18 KB when nothing of it is kept from the last one (two TLS handshakes, a token and
    /// its way in the header), a heartbeat itself 400 bytes. So there are two contacts a day, all that waits goes along,
    /// a whole metadata report comes once a week, tags would need a third connection and stay off, and the allowance
    /// bounds whatever the link does. Changes of the cluster are observed and kept as often as ever.
    pub fn of(profile: Profile, agent_version: impl Into<String>) -> Settings {
        let metered = profile == Profile::Metered;
        let near = if metered { Config::PATIENT } else { Config::NEAR };
        Settings {
            agent_version: agent_version.into(),
            heartbeat_interval: if metered { 12 * HOUR } else { 5 * MINUTE },
            metadata_interval: 5 * MINUTE,
            whole_interval: if metered { 7 * 24 * HOUR } else { 24 * HOUR },
            tags: !metered,
            tags_interval: HOUR,
            deliver_with_heartbeat: metered,
            links: [
                Config::NEAR,
                near,
                Config::PATIENT,
                near,
                Config::PATIENT,
                Config::PATIENT,
                Config::PATIENT,
            ],
            allowance: metered.then_some(METERED_BYTES),
            spread_after: 15 * MINUTE,
            spread_most: 5 * MINUTE,
            desired: None,
            upgrade: None,
            batch_records: BATCH_RECORDS,
            batch_bytes: BATCH_BYTES,
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// A megabyte a month.
const METERED_BYTES: u32 = 33_000;
/// Shorter intervals would be a load and no information; tests use some of this length.
const INTERVAL_LEAST: Duration = Duration::from_millis(10);
/// A year: longer is never, and must not overflow a deadline.
const INTERVAL_MOST: Duration = Duration::from_secs(366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_setting_makes_the_core_spin_or_overflow() {
        let mut settings = Settings::of(Profile::Default, "0");
        settings.heartbeat_interval = Duration::ZERO;
        settings.tags_interval = Duration::MAX;
        settings.batch_records = 0;
        settings.batch_bytes = usize::MAX;
        let bounded = settings.bounded();
        assert_eq!(bounded.heartbeat_interval, INTERVAL_LEAST);
        assert_eq!(bounded.tags_interval, INTERVAL_MOST);
        assert_eq!((bounded.batch_records, bounded.batch_bytes), (1, BATCH_BYTES));
    }

    #[test]
    fn the_defaults_of_both_profiles_are_within_their_bounds() {
        for profile in [Profile::Default, Profile::Metered] {
            let settings = Settings::of(profile, "0");
            assert_eq!(settings.clone().bounded(), settings);
        }
    }
}
