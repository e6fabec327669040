//! What callers ask the log to do, and why the log refuses.
//!
//! Invariant: a rejection is definite. It is given only after the log was read to its end, and what was rejected never
//! appears later.

use std::collections::BTreeMap;

use alluvium_record::batch::{BatchHeader, RecordBatch};
use alluvium_record::{TopicId, TopicPartition};
use uuid::Uuid;

use crate::state::{CommittedOffset, ConsumerGroupChange, GroupRecord};

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
    /// A group commits offsets.
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
    /// The group has members.
    #[error("group has members")]
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
}

impl BatchToAppend {
    /// A batch that is here with all its bytes.
    #[must_use]
    pub fn new(topic_partition: TopicPartition, batch: RecordBatch) -> Self {
        // Frames are limited to far less than 4 GiB.
        let length = batch.bytes.len() as u32;
        Self { topic_partition, batch, length }
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
