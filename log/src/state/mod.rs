//! The state of a shard after an entry: an immutable snapshot that is cheap to clone and to hold.
//!
//! Built from persistent maps: a commit copies the path to what it changes and shares the rest, so readers, the
//! checkpoint writer and the next commit work on snapshots and never wait for each other.
//!
//! Invariants: iteration is ordered, never by hash; nothing here knows a clock. The numbered ones are in
//! [`crate::invariants`].

pub mod group;
pub mod partition;
pub mod producer;
pub mod topic;

use std::sync::Arc;

use alluvium_record::{ShardId, TopicId, TopicPartition};
use rpds::RedBlackTreeMapSync;

pub use group::{CommittedOffset, GroupRecord, GroupState, MemberRecord};
pub use partition::{ObjectRef, Partition, Run};
pub use producer::{ProducerBatch, ProducerState, SequenceCheck};
pub use topic::Topic;

use crate::format::entry::EntryHash;

/// The state of a shard.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) shard: ShardId,
    pub(crate) entry_number: u64,
    pub(crate) entry_hash: EntryHash,
    pub(crate) timestamp_ms: i64,
    pub(crate) topics: RedBlackTreeMapSync<TopicId, Arc<Topic>>,
    pub(crate) topic_names: RedBlackTreeMapSync<String, TopicId>,
    pub(crate) partitions: RedBlackTreeMapSync<TopicPartition, Partition>,
    pub(crate) groups: RedBlackTreeMapSync<String, GroupState>,
}

impl State {
    /// The state before the first entry.
    #[must_use]
    pub fn empty(shard: ShardId) -> Self {
        Self {
            shard,
            entry_number: 0,
            entry_hash: EntryHash::default(),
            timestamp_ms: 0,
            topics: RedBlackTreeMapSync::new_sync(),
            topic_names: RedBlackTreeMapSync::new_sync(),
            partitions: RedBlackTreeMapSync::new_sync(),
            groups: RedBlackTreeMapSync::new_sync(),
        }
    }

    /// The shard.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The last entry that is included; 0 before the first.
    #[must_use]
    pub fn entry_number(&self) -> u64 {
        self.entry_number
    }

    /// Hash of the last entry.
    #[must_use]
    pub fn entry_hash(&self) -> EntryHash {
        self.entry_hash
    }

    /// Timestamp of the last entry, milliseconds since 1970.
    #[must_use]
    pub fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// A topic by name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Topic> {
        let id = self.topic_names.get(name)?;
        self.topics.get(id).map(AsRef::as_ref)
    }

    /// A topic by id.
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(&id).map(AsRef::as_ref)
    }

    /// All topics, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topic_names.values().filter_map(|id| self.topic(*id))
    }

    /// Number of topics.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.size()
    }

    /// Number of partitions of all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.size()
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, topic_partition: TopicPartition) -> Option<&Partition> {
        self.partitions.get(&topic_partition)
    }

    /// All partitions, by topic id and index.
    pub fn partitions(&self) -> impl Iterator<Item = (&TopicPartition, &Partition)> {
        self.partitions.iter()
    }

    /// A consumer group.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<&GroupState> {
        self.groups.get(group)
    }

    /// All consumer groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupState)> {
        self.groups.iter().map(|(group, state)| (group.as_str(), state))
    }
}
