//! Consumer groups as the log knows them: the newest generation and the committed offsets.

use std::sync::Arc;

use alluvium_record::TopicPartition;
use bytes::Bytes;
use rpds::RedBlackTreeMapSync;

use super::consumer_group::ConsumerGroupRecord;

/// A generation of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRecord {
    /// Group id.
    pub group: String,
    /// Generation.
    pub generation: i32,
    /// Protocol type, `consumer` for consumers.
    pub protocol_type: String,
    /// Chosen protocol.
    pub protocol: Option<String>,
    /// Member id of the leader.
    pub leader: Option<String>,
    /// Members by id.
    pub members: Vec<MemberRecord>,
    /// When the generation was made, milliseconds since 1970.
    pub updated_ms: i64,
}

/// A member of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberRecord {
    /// Member id.
    pub member_id: String,
    /// Static membership id (KIP-345).
    pub instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address of the client.
    pub client_host: String,
    /// Session timeout in milliseconds.
    pub session_timeout_ms: i32,
    /// Rebalance timeout in milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Metadata for the chosen protocol.
    pub subscription: Bytes,
    /// Assignment from the leader.
    pub assignment: Bytes,
}

/// An offset that a group committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next record to read.
    pub offset: i64,
    /// Leader epoch of the last record read, or -1.
    pub leader_epoch: i32,
    /// What the client keeps beside it.
    pub metadata: String,
    /// When it was committed, milliseconds since 1970.
    pub commit_ms: i64,
}

/// A group: its newest generation, if it has members that the log knows of, and its offsets.
#[derive(Debug, Clone, Default)]
pub struct GroupState {
    pub(crate) record: Option<Arc<GroupRecord>>,
    pub(crate) consumer: Option<Arc<ConsumerGroupRecord>>,
    pub(crate) offsets: RedBlackTreeMapSync<TopicPartition, CommittedOffset>,
}

impl GroupState {
    /// The newest generation of the classic protocol; `None` for groups that only commit offsets or are of the new one.
    #[must_use]
    pub fn record(&self) -> Option<&Arc<GroupRecord>> {
        self.record.as_ref()
    }

    /// The group, when it is one of the new protocol (KIP-848).
    #[must_use]
    pub fn consumer(&self) -> Option<&Arc<ConsumerGroupRecord>> {
        self.consumer.as_ref()
    }

    /// Whether the log knows of members, of either protocol.
    #[must_use]
    pub fn has_members(&self) -> bool {
        self.record.as_ref().is_some_and(|record| !record.members.is_empty())
            || self.consumer.as_ref().is_some_and(|group| !group.members.is_empty())
    }

    /// The offset committed for a partition.
    #[must_use]
    pub fn offset(&self, topic_partition: TopicPartition) -> Option<&CommittedOffset> {
        self.offsets.get(&topic_partition)
    }

    /// All committed offsets, by partition.
    pub fn offsets(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.offsets.iter()
    }
}
