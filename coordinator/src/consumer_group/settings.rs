//! The limits and delays of groups of the consumer protocol.
//!
//! Names follow Kafka's broker settings where Kafka has one. All times are in milliseconds.

use thiserror::Error;

use super::assign::Assignor;

/// Which groups may change their protocol while they have members (`group.consumer.migration.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MigrationPolicy {
    /// None.
    Disabled,
    /// A classic group becomes a consumer group when the first member of the consumer protocol joins.
    Upgrade,
    /// A consumer group becomes a classic one when only members of the classic protocol are left.
    Downgrade,
    /// Both.
    #[default]
    Bidirectional,
}

impl MigrationPolicy {
    /// Whether classic groups may become consumer groups.
    pub fn upgrades(self) -> bool {
        matches!(self, MigrationPolicy::Upgrade | MigrationPolicy::Bidirectional)
    }

    /// Whether consumer groups may become classic ones.
    pub fn downgrades(self) -> bool {
        matches!(self, MigrationPolicy::Downgrade | MigrationPolicy::Bidirectional)
    }
}

/// Limits and delays of all groups of one coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupSettings {
    /// Silence after which a member is taken for dead (`group.consumer.session.timeout.ms`).
    pub session_timeout_ms: i32,
    /// How often members are told to send heartbeats (`group.consumer.heartbeat.interval.ms`).
    pub heartbeat_interval_ms: i32,
    /// Most members in one group (`group.consumer.max.size`).
    pub members_max: usize,
    /// The assignors that members may ask for; the first is the default (`group.consumer.assignors`).
    pub assignors: Vec<Assignor>,
    /// Which groups may change their protocol while they have members.
    pub migration: MigrationPolicy,
    /// Pause before a change that could not be written, and that no client waits for, is tried again.
    pub persist_retry_ms: i32,
    /// Most groups this coordinator holds in memory, of either protocol.
    pub groups_max: usize,
    /// Most topic names one member may subscribe to.
    pub subscribed_topics_max: usize,
    /// Most bytes that a compiled regular expression may take.
    pub regex_bytes_max: usize,
    /// Longest group, member, client, instance and rack id, and longest regular expression, in bytes.
    pub id_bytes_max: usize,
}

impl Default for ConsumerGroupSettings {
    fn default() -> Self {
        ConsumerGroupSettings {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            members_max: 2_000,
            assignors: vec![Assignor::Uniform, Assignor::Range],
            migration: MigrationPolicy::Bidirectional,
            persist_retry_ms: 1_000,
            groups_max: 100_000,
            subscribed_topics_max: 10_000,
            regex_bytes_max: 1 << 20,
            id_bytes_max: 4_096,
        }
    }
}

/// Why a set of settings is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ConsumerGroupSettingsError {
    /// A delay or limit that must be positive is not.
    #[error("{name} must be positive")]
    NotPositive {
        /// The setting.
        name: &'static str,
    },
    /// Members would be taken for dead between two heartbeats.
    #[error(
        "the heartbeat interval of {heartbeat_interval_ms} ms must be less than the session timeout of {session_timeout_ms} ms"
    )]
    HeartbeatsTooRare {
        /// The interval.
        heartbeat_interval_ms: i32,
        /// The timeout.
        session_timeout_ms: i32,
    },
    /// There is no assignor.
    #[error("there must be at least one assignor")]
    NoAssignor,
}

impl ConsumerGroupSettings {
    /// Checks the relations between the settings.
    pub fn validate(&self) -> Result<(), ConsumerGroupSettingsError> {
        for (name, positive) in [
            ("session_timeout_ms", self.session_timeout_ms > 0),
            ("heartbeat_interval_ms", self.heartbeat_interval_ms > 0),
            ("members_max", self.members_max > 0),
            ("persist_retry_ms", self.persist_retry_ms > 0),
            ("groups_max", self.groups_max > 0),
            ("subscribed_topics_max", self.subscribed_topics_max > 0),
            ("regex_bytes_max", self.regex_bytes_max > 0),
            ("id_bytes_max", self.id_bytes_max > 0),
        ] {
            if !positive {
                return Err(ConsumerGroupSettingsError::NotPositive { name });
            }
        }
        if self.heartbeat_interval_ms >= self.session_timeout_ms {
            return Err(ConsumerGroupSettingsError::HeartbeatsTooRare {
                heartbeat_interval_ms: self.heartbeat_interval_ms,
                session_timeout_ms: self.session_timeout_ms,
            });
        }
        if self.assignors.is_empty() {
            return Err(ConsumerGroupSettingsError::NoAssignor);
        }
        Ok(())
    }

    /// The assignor of groups whose members ask for none.
    pub(super) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}
