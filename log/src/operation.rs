//! What callers ask the log to do, and why the log refuses.
//!
//! Invariant: a rejection is definite. It is given only after the log was read to its end, and what was rejected never
//! appears later.

mod transaction;

use std::collections::BTreeMap;

use alluvium_record::batch::{BatchHeader, RecordBatch};
use alluvium_record::{ShardId, TopicId, TopicPartition};
use uuid::Uuid;

pub use transaction::{TRANSACTION_PARTICIPANTS_MAX, TransactionRejection, TransactionTag, VERIFIED_AGE_MS_MAX};

use crate::replacement::Replacement;
use crate::state::{CommittedOffset, ConsumerGroupChange, GroupRecord, ObjectRef, TransactionStatus};

/// A change that carries no records.
#[derive(Debug, Clone)]
pub enum Operation {
    /// A topic comes into being.
    CreateTopic {
        /// Its id, fresh and random.
        id: TopicId,
        /// Its name.
        name: String,
        /// Number of partitions, at least 1.
        partition_count: i32,
        /// Replication factor as asked.
        replication_factor: i16,
        /// Settings that were given.
        configs: BTreeMap<String, String>,
        /// Shards that its partitions are spread over, at least 1.
        shard_count: u32,
    },
    /// A topic goes, with its records and the offsets that groups committed for it.
    DeleteTopic {
        /// The topic.
        id: TopicId,
    },
    /// A topic gets more partitions.
    CreatePartitions {
        /// The topic.
        id: TopicId,
        /// Number of partitions from now on.
        new_count: i32,
    },
    /// Settings of a topic change.
    AlterTopicConfigs {
        /// The topic.
        id: TopicId,
        /// Settings to set.
        set: Vec<(String, String)>,
        /// Settings to go back to their defaults.
        remove: Vec<String>,
    },
    /// The log start offset of a partition moves up to `before_offset`.
    DeleteRecords {
        /// The partition.
        topic_partition: TopicPartition,
        /// The first offset that stays, at most the high watermark.
        before_offset: i64,
    },
    /// A group commits offsets. Without a coordinator's epoch, only while the group has no members.
    CommitOffsets {
        /// Group id.
        group: String,
        /// The offsets.
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    },
    /// A group's newest generation.
    PutGroup {
        /// The generation.
        group: GroupRecord,
    },
    /// A group without members goes, with its offsets.
    DeleteGroup {
        /// Group id.
        group: String,
    },
    /// Some offsets of a group go.
    DeleteOffsets {
        /// Group id.
        group: String,
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// Topics created from now on are spread over so many shards; only for the meta shard.
    SetShardCount {
        /// The number, not less than before.
        count: u32,
    },
    /// A node becomes the coordinator of what the shard holds; the entry's number is its epoch.
    TakeOver {
        /// Node id.
        node: i32,
        /// Incarnation of the node.
        incarnation: Uuid,
    },
    /// Members of a consumer group of the new protocol come, change and go.
    PutConsumerGroup {
        /// The change.
        change: ConsumerGroupChange,
    },
    /// A transactional id gets a producer id and an epoch.
    InitTransaction {
        /// The id.
        transactional_id: String,
        /// How long a transaction may take, in milliseconds.
        timeout_ms: i32,
        /// Producer id and epoch that the id has, as the caller saw it; `None` when there was no such id.
        seen: Option<(i64, i16)>,
        /// Producer id from now on.
        producer_id: i64,
        /// Epoch from now on.
        epoch: i16,
        /// Whether the producer that had the pair before is the one that gets this one, so that it may ask again for it. A
        /// producer that was fenced must not.
        repeatable: bool,
    },
    /// Partitions and groups become part of a transaction; one begins if none is open.
    AddToTransaction {
        /// The id.
        transactional_id: String,
        /// Its producer id.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// Partitions with their shards.
        partitions: Vec<(TopicPartition, ShardId)>,
        /// Groups with their shards.
        groups: Vec<(String, ShardId)>,
    },
    /// A transaction is decided. The part of it that is in this shard ends with the decision.
    EndTransaction {
        /// The id.
        transactional_id: String,
        /// Its producer id.
        producer_id: i64,
        /// Its epoch.
        epoch: i16,
        /// Number of the transaction.
        number: u64,
        /// Whether it is committed. An abort is also taken when nothing is under way.
        commit: bool,
        /// Producer id of the next transaction.
        next_producer_id: i64,
        /// Epoch of the next transaction: the same, or one more; 0 for another producer id.
        next_epoch: i16,
        /// Only when it takes longer than it may.
        overdue_only: bool,
    },
    /// A transaction ends on partitions and groups of this shard. Where it has ended before, nothing happens.
    WriteMarkers {
        /// Its producer id.
        producer_id: i64,
        /// Epoch of the markers.
        epoch: i16,
        /// Number of the transaction.
        number: u64,
        /// Whether it is committed.
        commit: bool,
        /// Partitions.
        partitions: Vec<TopicPartition>,
        /// Groups.
        groups: Vec<String>,
    },
    /// A decided transaction has ended everywhere.
    CompleteTransaction {
        /// The id.
        transactional_id: String,
        /// Number of the transaction.
        number: u64,
    },
    /// Offsets that a group commits when the transaction does.
    CommitTransactionOffsets {
        /// Group id.
        group: String,
        /// Producer id.
        producer_id: i64,
        /// Epoch.
        epoch: i16,
        /// Which transaction.
        transaction: TransactionTag,
        /// The offsets.
        offsets: Vec<(TopicPartition, CommittedOffset)>,
    },
    /// Runs of a partition become one Parquet file, or nothing.
    ReplaceRuns {
        /// What a job made of what.
        replacement: Box<Replacement>,
    },
    /// Garbage was deleted.
    ForgetObjects {
        /// Segments and Parquet files.
        objects: Vec<ObjectRef>,
    },
    /// Transactional ids that were not used for long go.
    ExpireTransactions {
        /// The ids, and when each changed last as the caller saw it.
        ids: Vec<(String, i64)>,
    },
}

impl Operation {
    /// Whether it is one about transactions.
    pub(crate) fn is_of_transaction(&self) -> bool {
        matches!(
            self,
            Self::InitTransaction { .. }
                | Self::AddToTransaction { .. }
                | Self::EndTransaction { .. }
                | Self::WriteMarkers { .. }
                | Self::CompleteTransaction { .. }
                | Self::CommitTransactionOffsets { .. }
                | Self::ExpireTransactions { .. }
        )
    }
}

/// Why an operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such topic.
    #[error("unknown topic")]
    UnknownTopic,
    /// No such partition.
    #[error("unknown partition")]
    UnknownPartition,
    /// A topic of that name lives.
    #[error("topic {0} already exists")]
    TopicExists(String),
    /// The id was taken.
    #[error("topic id is taken")]
    TopicIdTaken,
    /// Partitions can only be added.
    #[error("topic has {current} partitions, {requested} is not more")]
    PartitionCountNotLarger {
        /// Partitions now.
        current: i32,
        /// Partitions asked for.
        requested: i32,
    },
    /// A count is out of bounds.
    #[error("{what} must be {bounds}")]
    OutOfBounds {
        /// Which number.
        what: &'static str,
        /// What it must be.
        bounds: String,
    },
    /// The offset is not in the log.
    #[error("offset is not between {log_start_offset} and {high_watermark}")]
    OffsetOutOfRange {
        /// First offset.
        log_start_offset: i64,
        /// High watermark.
        high_watermark: i64,
    },
    /// No such group.
    #[error("unknown group")]
    UnknownGroup,
    /// The group has members, or a transaction is about to commit offsets of it.
    #[error("group has members, or offsets of an open transaction")]
    GroupNotEmpty,
    /// Another node coordinates what the shard holds.
    #[error("node {node} is the coordinator, in epoch {epoch}")]
    NotCoordinator {
        /// Its epoch; 0 when nobody is.
        epoch: u64,
        /// The node.
        node: i32,
    },
    /// The generation is older than the group's.
    #[error("group is at generation {current}")]
    StaleGeneration {
        /// The group's generation.
        current: i32,
    },
    /// No such transactional id, or it has another producer id.
    #[error("unknown transactional id, or not its producer id")]
    UnknownTransactionalId,
    /// The producer's epoch is over.
    #[error("the producer is fenced by epoch {current}")]
    ProducerFenced {
        /// The epoch now.
        current: i16,
    },
    /// The last transaction is decided and has not ended everywhere.
    #[error("the last transaction is still ending")]
    ConcurrentTransactions,
    /// The transaction does not stand where this would be possible.
    #[error("not possible: the transaction is {status:?}")]
    InvalidTransactionState {
        /// Where it stands.
        status: TransactionStatus,
    },
    /// It was verified too long ago to be believed.
    #[error("verified too long ago")]
    VerifiedTooLongAgo,
    /// The transaction has too many partitions.
    #[error("a transaction has at most {TRANSACTION_PARTICIPANTS_MAX} partitions and groups")]
    TransactionTooLarge,
    /// The runs that a job read are not those that are there now.
    #[error("the runs were changed meanwhile")]
    RunsChanged,
    /// The records that a job read are not those that it wrote and left out.
    #[error("the sums do not add up: {0}")]
    SumsDiffer(String),
    /// The transactional id is not as the caller saw it.
    #[error("the transactional id has changed meanwhile")]
    TransactionChanged,
}

/// Record batches to append, in order.
#[derive(Debug, Clone)]
pub struct Append {
    /// The batches; those of one partition side by side.
    pub batches: Vec<BatchToAppend>,
    /// Where their bytes are.
    pub source: AppendSource,
}

impl Append {
    /// Whether each batch has a sequence number, so that it is let in once however often it is tried.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.batches.iter().all(|batch| batch.header().producer_id >= 0)
    }
}

/// One batch to append. Checked by ingest: what is asked here is only whether the log takes it.
#[derive(Debug, Clone)]
pub struct BatchToAppend {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The batch. Of a segment that another node put, only the header is here.
    pub batch: RecordBatch,
    /// Length of the whole batch in bytes.
    pub length: u32,
    /// Its transaction, when it is in one.
    pub transaction: Option<TransactionTag>,
}

impl BatchToAppend {
    /// A batch that is here with all its bytes.
    #[must_use]
    pub fn new(topic_partition: TopicPartition, batch: RecordBatch) -> Self {
        // Frames are limited to far less than 4 GiB.
        let length = batch.bytes.len() as u32;
        Self { topic_partition, batch, length, transaction: None }
    }

    pub(crate) fn header(&self) -> &BatchHeader {
        &self.batch.header
    }
}

/// Where the bytes of an append are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendSource {
    /// Nowhere yet: they ride in the entry.
    Inline,
    /// In a segment that was put, behind its header, in the order of the batches.
    Segment {
        /// Its id.
        id: Uuid,
        /// When its upload began, milliseconds since 1970.
        created_ms: i64,
    },
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendOutcome {
    /// It is durable at this offset.
    Appended {
        /// Offset of its first record.
        base_offset: i64,
        /// First offset of the partition.
        log_start_offset: i64,
    },
    /// It was written before, at this offset.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
        /// First offset of the partition.
        log_start_offset: i64,
    },
    /// It was not written.
    Rejected(AppendRejection),
}

/// Why a batch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendRejection {
    /// No such partition.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// Its sequence number does not follow.
    #[error("sequence number out of order: expected {expected}, got {found}")]
    OutOfOrderSequence {
        /// What would have followed.
        expected: i32,
        /// What came.
        found: i32,
    },
    /// Its producer epoch is over.
    #[error("producer epoch {found} is fenced by {current}")]
    InvalidProducerEpoch {
        /// The epoch now.
        current: i16,
        /// The epoch that came.
        found: i16,
    },
    /// Its segment was put too long ago to be named safely.
    #[error("segment is too old to be committed")]
    SegmentTooOld,
    /// The partition has no offsets left.
    #[error("partition has no offsets left")]
    OffsetsExhausted,
    /// It does not belong into a transaction that is open.
    #[error(transparent)]
    Transaction(#[from] TransactionRejection),
}

/// Why a commit did not succeed, and what became of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// Not written: the log says no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The deadline passed; it may be written or appear later.
    #[error("outcome unknown: the store did not answer in time")]
    Unknown,
    /// Not written: it was never attempted.
    #[error("not written: {0}")]
    Unavailable(String),
    /// Not written: the log is closed.
    #[error("not written: shutting down")]
    Closed,
}
