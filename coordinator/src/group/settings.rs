//! The limits and delays of classic groups.
//!
//! Names follow Kafka's broker settings where Kafka has one. All times are in milliseconds.

use thiserror::Error;

/// Limits and delays of all groups of one coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// Shortest session timeout a member may ask for (`group.min.session.timeout.ms`).
    pub session_timeout_ms_min: i32,
    /// Longest session timeout a member may ask for (`group.max.session.timeout.ms`).
    pub session_timeout_ms_max: i32,
    /// How long the first rebalance of an empty group waits for more members (`group.initial.rebalance.delay.ms`).
    /// It is granted again for as long as members keep coming, up to the rebalance timeout. 0 turns it off.
    pub initial_rebalance_delay_ms: i32,
    /// How long a new member may wait for its first rebalance before it is taken for dead. Such a member cannot send
    /// heartbeats yet, because its own JoinGroup occupies the connection.
    pub new_member_join_timeout_ms: i32,
    /// Pause before a change that could not be written, and that no client waits for, is tried again.
    pub persist_retry_ms: i32,
    /// Most members in one group (`group.max.size`).
    pub members_max: usize,
    /// Most groups this coordinator holds in memory.
    pub groups_max: usize,
    /// Most protocols (assignors) one member may offer.
    pub protocols_max: usize,
    /// Most bytes of protocol names and metadata one member may bring.
    pub metadata_bytes_max: usize,
    /// Most bytes of one group's record: ids, subscriptions and assignments of all members.
    pub record_bytes_max: usize,
    /// Longest group id, client id and instance id, in bytes.
    pub id_bytes_max: usize,
}

impl Default for GroupSettings {
    fn default() -> Self {
        GroupSettings {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay_ms: 100,
            new_member_join_timeout_ms: 300_000,
            persist_retry_ms: 1_000,
            members_max: 2_000,
            groups_max: 100_000,
            protocols_max: 64,
            metadata_bytes_max: 1 << 20,
            record_bytes_max: 8 << 20,
            id_bytes_max: 4_096,
        }
    }
}

/// Why a set of settings is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GroupSettingsError {
    /// The session timeout bounds cross or are not positive.
    #[error("session timeout bounds must satisfy 0 < min <= max, got {min_ms} ms and {max_ms} ms")]
    SessionTimeoutBounds {
        /// The lower bound.
        min_ms: i32,
        /// The upper bound.
        max_ms: i32,
    },
    /// A delay that must not be negative is.
    #[error("{name} must not be negative")]
    NegativeDelay {
        /// The setting.
        name: &'static str,
    },
    /// A delay or limit that must be positive is not.
    #[error("{name} must be positive")]
    NotPositive {
        /// The setting.
        name: &'static str,
    },
}

impl GroupSettings {
    /// Checks the relations between the settings.
    pub fn validate(&self) -> Result<(), GroupSettingsError> {
        if self.session_timeout_ms_min <= 0 || self.session_timeout_ms_min > self.session_timeout_ms_max {
            return Err(GroupSettingsError::SessionTimeoutBounds {
                min_ms: self.session_timeout_ms_min,
                max_ms: self.session_timeout_ms_max,
            });
        }
        if self.initial_rebalance_delay_ms < 0 {
            return Err(GroupSettingsError::NegativeDelay { name: "initial_rebalance_delay_ms" });
        }
        for (name, positive) in [
            ("new_member_join_timeout_ms", self.new_member_join_timeout_ms > 0),
            ("persist_retry_ms", self.persist_retry_ms > 0),
            ("members_max", self.members_max > 0),
            ("groups_max", self.groups_max > 0),
            ("protocols_max", self.protocols_max > 0),
            ("metadata_bytes_max", self.metadata_bytes_max > 0),
            ("record_bytes_max", self.record_bytes_max > 0),
            ("id_bytes_max", self.id_bytes_max > 0),
        ] {
            if !positive {
                return Err(GroupSettingsError::NotPositive { name });
            }
        }
        Ok(())
    }
}
