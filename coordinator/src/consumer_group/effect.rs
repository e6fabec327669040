//! Answers to members of the consumer protocol.

use alluvium_record::TopicPartition;

use crate::group::GroupError;

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerHeartbeat {
    /// The member's id.
    pub member_id: String,
    /// The member's epoch from now on.
    pub member_epoch: i32,
    /// When to come again.
    pub heartbeat_interval_ms: i32,
    /// All that the member may own now; none if that has not changed.
    pub assignment: Option<Vec<TopicPartition>>,
}

/// A heartbeat that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatRefused {
    /// Why.
    pub error: GroupError,
    /// What is wrong in particular; empty if the error says it all.
    pub message: String,
}

impl HeartbeatRefused {
    /// A refusal with a sentence of its own.
    pub(super) fn because(error: GroupError, message: impl Into<String>) -> HeartbeatRefused {
        HeartbeatRefused { error, message: message.into() }
    }
}

impl From<GroupError> for HeartbeatRefused {
    fn from(error: GroupError) -> HeartbeatRefused {
        HeartbeatRefused { error, message: String::new() }
    }
}
