//! Consumer groups as the log knows them: the newest generation and the committed offsets.

use std::sync::Arc;

use alluvium_record::{TopicId, TopicPartition};
use bytes::Bytes;
use rpds::RedBlackTreeMapSync;

use super::consumer_group::ConsumerGroupRecord;
use super::producer::{SILENT_MS, SWEEP_EACH};

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
    pub(crate) transactions: RedBlackTreeMapSync<i64, GroupTransaction>,
}

/// What a transactional producer did to a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupTransaction {
    /// Epoch of the producer.
    pub epoch: i16,
    /// Number of its open transaction; 0 when none is open.
    pub number: u64,
    /// Number of the last transaction that ended here; 0 before the first.
    pub ended: u64,
    /// When it changed last, milliseconds since 1970.
    pub updated_ms: i64,
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

    /// Whether an open transaction is about to commit an offset for a partition.
    #[must_use]
    pub fn has_pending_offset(&self, topic_partition: TopicPartition) -> bool {
        self.transactions.values().any(|transaction| transaction.offsets.contains_key(&topic_partition))
    }

    /// Whether there is a group. Of one that was deleted only the transactions that ended in it may be left, for a while.
    pub(crate) fn exists(&self) -> bool {
        self.record.is_some() || self.consumer.is_some() || !self.offsets.is_empty() || self.has_pending_offsets()
    }

    /// What stays when the group is deleted: a batch of offsets that comes late must not open an ended transaction again.
    pub(crate) fn deleted(&self) -> Option<GroupState> {
        let transactions = self.transactions.clone();
        (!transactions.is_empty()).then(|| GroupState { transactions, ..GroupState::default() })
    }

    /// Forgets the offsets of a topic that is deleted, those that wait for the end of a transaction included.
    pub(crate) fn forget_topic(&mut self, topic: TopicId) {
        let of_topic = |offsets: &RedBlackTreeMapSync<TopicPartition, CommittedOffset>| {
            offsets.range(TopicPartition::all_of(topic)).map(|(partition, _)| *partition).collect::<Vec<_>>()
        };
        for partition in of_topic(&self.offsets) {
            self.offsets.remove_mut(&partition);
        }
        let pending: Vec<i64> = self.transactions.keys().copied().collect();
        for producer_id in pending {
            let Some(transaction) = self.transactions.get_mut(&producer_id) else { continue };
            for partition in of_topic(&transaction.offsets) {
                transaction.offsets.remove_mut(&partition);
            }
        }
    }

    /// Whether offsets of a topic were committed, or wait for the end of a transaction.
    pub(crate) fn has_offsets_of(&self, topic: TopicId) -> bool {
        let is_there = |offsets: &RedBlackTreeMapSync<TopicPartition, CommittedOffset>| {
            offsets.range(TopicPartition::all_of(topic)).next().is_some()
        };
        is_there(&self.offsets) || self.transactions.values().any(|transaction| is_there(&transaction.offsets))
    }

    /// Whether an open transaction is about to commit offsets.
    #[must_use]
    pub fn has_pending_offsets(&self) -> bool {
        self.transactions.values().any(|transaction| transaction.number > 0)
    }

    /// Offsets of open transactions: producer, partition, offset.
    pub fn pending_offsets(&self) -> impl Iterator<Item = (i64, &TopicPartition, &CommittedOffset)> {
        self.transactions.iter().flat_map(|(producer_id, transaction)| {
            transaction.offsets.iter().map(move |(partition, offset)| (*producer_id, partition, offset))
        })
    }

    /// Transactional producers that committed offsets of this group, by id.
    pub fn transactions(&self) -> impl Iterator<Item = (i64, &GroupTransaction)> {
        self.transactions.iter().map(|(producer_id, transaction)| (*producer_id, transaction))
    }

    /// All committed offsets, by partition.
    pub fn offsets(&self) -> impl Iterator<Item = (&TopicPartition, &CommittedOffset)> {
        self.offsets.iter()
    }
}

/// Forgets groups that were deleted a day ago, each [`SWEEP_EACH`]th time that there is one group more or less.
pub(crate) fn forget_groups(groups: &mut RedBlackTreeMapSync<String, GroupState>, now_ms: i64) {
    if !groups.size().is_multiple_of(SWEEP_EACH) {
        return;
    }
    let is_silent = |known: &GroupTransaction| now_ms.saturating_sub(known.updated_ms) > SILENT_MS;
    let gone: Vec<String> = groups
        .iter()
        .filter(|(_, group)| !group.exists() && group.transactions.values().all(is_silent))
        .map(|(name, _)| name.clone())
        .collect();
    for name in gone {
        groups.remove_mut(&name);
    }
}

/// Makes room as [`super::producer::forget`] does: producers that were silent for a day go, unless a transaction is open.
pub(crate) fn forget_producers(producers: &mut RedBlackTreeMapSync<i64, GroupTransaction>, now_ms: i64) {
    if !producers.size().is_multiple_of(SWEEP_EACH) {
        return;
    }
    let silent: Vec<i64> = producers
        .iter()
        .filter(|(_, known)| known.number == 0 && now_ms.saturating_sub(known.updated_ms) > SILENT_MS)
        .map(|(id, _)| *id)
        .collect();
    for id in silent {
        producers.remove_mut(&id);
    }
}
