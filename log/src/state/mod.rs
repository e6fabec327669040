//! The state of a shard after an entry: an immutable snapshot that is cheap to clone and to hold.
//!
//! Built from persistent maps: a commit copies the path to what it changes and shares the rest, so readers, the
//! checkpoint writer and the next commit work on snapshots and never wait for each other.
//!
//! Invariants: iteration is ordered, never by hash; nothing here knows a clock. The numbered ones are in
//! [`crate::invariants`].

pub mod consumer_group;
pub mod group;
pub mod object;
pub mod partition;
pub mod producer;
pub mod topic;
pub mod transaction;

use std::sync::Arc;

use alluvium_record::{ShardId, TopicId, TopicPartition};
use rpds::RedBlackTreeMapSync;
use uuid::Uuid;

pub use consumer_group::{ClassicMemberRecord, ConsumerGroupChange, ConsumerGroupRecord, ConsumerMemberRecord};
pub use group::{CommittedOffset, GroupRecord, GroupState, GroupTransaction, MemberRecord};
pub use object::{Garbage, ObjectRef, TablePlace};
pub use partition::{AbortedTransaction, Partition, Run, TableRun, runs_digest};
pub use producer::{OpenTransaction, ProducerBatch, ProducerState, SequenceCheck};
pub use topic::Topic;
pub use transaction::{TransactionRecord, TransactionStatus};

use object::Objects;
use transaction::TransactionTable;

use crate::format::entry::EntryHash;
use crate::placement::META_SHARD;

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
    /// Shards that new topics are spread over, when that was changed since the cluster was created; 0 otherwise.
    pub(crate) shard_count: u32,
    pub(crate) coordinator: Option<Coordinator>,
    pub(crate) transactions: TransactionTable,
    pub(crate) objects: Objects,
}

/// The node whose commands about groups and transactions this shard takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinator {
    /// Number of the entry that made it coordinator.
    pub epoch: u64,
    /// Node id.
    pub node: i32,
    /// Incarnation of the node.
    pub incarnation: Uuid,
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
            shard_count: 0,
            coordinator: None,
            transactions: TransactionTable::default(),
            objects: Objects::default(),
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

    /// Whether this is the shard that holds the topics with their names and settings.
    #[must_use]
    pub fn is_meta(&self) -> bool {
        self.shard == META_SHARD
    }

    /// Shards that new topics are spread over, in a cluster that was created with `created_with`.
    #[must_use]
    pub fn shard_count(&self, created_with: u32) -> u32 {
        self.shard_count.max(created_with).max(1)
    }

    /// The coordinator of the groups of this shard.
    #[must_use]
    pub fn coordinator(&self) -> Option<&Coordinator> {
        self.coordinator.as_ref()
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

    /// Records of all topics that have partitions here, by id; in the meta shard, of all topics.
    pub(crate) fn topic_copies(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values().map(AsRef::as_ref)
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

    /// Whether a group committed offsets for a topic.
    pub(crate) fn has_offsets_of(&self, topic: TopicId) -> bool {
        self.groups.values().any(|group| group.has_offsets_of(topic))
    }

    /// A consumer group.
    #[must_use]
    pub fn group(&self, group: &str) -> Option<&GroupState> {
        self.groups.get(group).filter(|group| group.exists())
    }

    /// What a transactional producer did to a group, also to one that was deleted.
    pub(crate) fn group_transaction(&self, group: &str, producer_id: i64) -> Option<&GroupTransaction> {
        self.groups.get(group)?.transactions.get(&producer_id)
    }

    /// All consumer groups, by id.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &GroupState)> {
        self.groups.iter().filter(|(_, state)| state.exists()).map(|(group, state)| (group.as_str(), state))
    }

    /// Objects that no run refers to any more, and that were not deleted yet.
    pub fn garbage(&self) -> impl Iterator<Item = (ObjectRef, &Garbage)> {
        self.objects.garbage.iter().map(|(object, garbage)| (*object, garbage))
    }

    /// Objects that runs refer to, in order: entries by number, then segments and files by id.
    pub fn referenced_objects(&self) -> impl Iterator<Item = ObjectRef> {
        self.objects.referenced()
    }

    /// How many runs refer to an object.
    #[must_use]
    pub fn references(&self, object: ObjectRef) -> u32 {
        self.objects.references(object)
    }

    /// A transactional id.
    #[must_use]
    pub fn transaction(&self, transactional_id: &str) -> Option<&Arc<TransactionRecord>> {
        self.transactions.get(transactional_id)
    }

    /// All transactional ids, by id.
    pub fn transactions(&self) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.transactions.iter()
    }

    /// Number of transactional ids.
    #[must_use]
    pub fn transaction_count(&self) -> usize {
        self.transactions.len()
    }

    /// Transactions that are decided and not complete, by id.
    pub fn unfinished_transactions(&self) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.transactions.unfinished()
    }

    /// Open transactions that take longer than they may, the oldest first.
    pub fn overdue_transactions(&self, now_ms: i64) -> impl Iterator<Item = &Arc<TransactionRecord>> {
        self.transactions.open().take_while(move |record| record.deadline_ms() <= now_ms)
    }

    /// When the next open transaction is overdue, milliseconds since 1970.
    #[must_use]
    pub fn next_transaction_deadline_ms(&self) -> Option<i64> {
        self.transactions.open().next().map(|record| record.deadline_ms())
    }
}
