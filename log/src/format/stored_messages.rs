//! Protobuf messages of checkpoints and segments. The rules of [`super::messages`] hold here too.

use bytes::Bytes;

use super::messages::{
    CommittedOffsetMessage, ConsumerGroupChangeMessage, CoordinatorMessage, GroupMessage, TopicMessage,
};
use super::table_messages::{GarbageMessage, TableRunMessage};
use super::transaction_messages::{AbortedTransactionMessage, GroupTransactionMessage, TransactionMessage};

/// The state of a shard.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CheckpointMessage {
    /// Shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// The last entry that the state includes.
    #[prost(uint64, tag = "2")]
    pub entry_number: u64,
    /// Its hash.
    #[prost(bytes = "bytes", tag = "3")]
    pub entry_hash: Bytes,
    /// Its timestamp.
    #[prost(int64, tag = "4")]
    pub timestamp_ms: i64,
    /// Topics by id.
    #[prost(message, repeated, tag = "5")]
    pub topics: Vec<TopicMessage>,
    /// Partitions by topic id and index.
    #[prost(message, repeated, tag = "6")]
    pub partitions: Vec<PartitionMessage>,
    /// Groups by id.
    #[prost(message, repeated, tag = "7")]
    pub groups: Vec<GroupStateMessage>,
    /// Ids of the segments that runs refer to, 16 bytes each, ascending.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub segments: Vec<Bytes>,
    /// Where the data of each of them ends.
    #[prost(uint64, repeated, tag = "9")]
    pub segment_ends: Vec<u64>,
    /// Shards that new topics are spread over, when that was changed; 0 otherwise.
    #[prost(uint32, tag = "10")]
    pub shard_count: u32,
    /// The coordinator of what the shard holds.
    #[prost(message, optional, tag = "11")]
    pub coordinator: Option<CoordinatorMessage>,
    /// Transactional ids by id.
    #[prost(message, repeated, tag = "12")]
    pub transactions: Vec<TransactionMessage>,
    /// Segments and Parquet files that no run refers to any more, in order.
    #[prost(message, repeated, tag = "13")]
    pub garbage: Vec<GarbageMessage>,
}

/// The state of a partition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartitionMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// First offset that readers see.
    #[prost(int64, tag = "3")]
    pub log_start_offset: i64,
    /// Offset that the next record gets.
    #[prost(int64, tag = "4")]
    pub high_watermark: i64,
    /// Where the bytes are, by base offset.
    #[prost(message, repeated, tag = "5")]
    pub runs: Vec<RunMessage>,
    /// Idempotent producers by id.
    #[prost(message, repeated, tag = "6")]
    pub producers: Vec<ProducerMessage>,
    /// Aborted transactions by the offset of their markers.
    #[prost(message, repeated, tag = "7")]
    pub aborted: Vec<AbortedTransactionMessage>,
    /// Those of the runs that are Parquet files, by base offset.
    #[prost(message, repeated, tag = "8")]
    pub tables: Vec<TableRunMessage>,
    /// Up to where keys are compacted.
    #[prost(int64, tag = "9")]
    pub cleaned_to: i64,
}

/// A run in a checkpoint.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RunMessage {
    /// Offset of the first record.
    #[prost(int64, tag = "1")]
    pub base_offset: i64,
    /// How many offsets the run covers.
    #[prost(int64, tag = "2")]
    pub offset_count: i64,
    /// The entry whose data holds it, or 0.
    #[prost(uint64, tag = "3")]
    pub entry: u64,
    /// When `entry` is 0: index into the checkpoint's segments.
    #[prost(uint32, tag = "4")]
    pub segment: u32,
    /// First byte in the object.
    #[prost(uint64, tag = "5")]
    pub position: u64,
    /// Length in bytes.
    #[prost(uint32, tag = "6")]
    pub length: u32,
    /// Largest timestamp in the run.
    #[prost(int64, tag = "7")]
    pub max_timestamp: i64,
    /// Sum of the batches, 0 when unknown.
    #[prost(fixed64, tag = "8")]
    pub sum: u64,
    /// What it is when it is in no entry: 0 a segment, 1 a Parquet file (its id is in `tables`), 2 nothing.
    #[prost(uint32, tag = "9")]
    pub place: u32,
}

/// What is known of one idempotent producer on one partition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProducerMessage {
    /// Producer id.
    #[prost(int64, tag = "1")]
    pub producer_id: i64,
    /// Producer epoch.
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// The last batches, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub batches: Vec<ProducerStateBatchMessage>,
    /// Timestamp of the entry that brought the last batch.
    #[prost(int64, tag = "4")]
    pub updated_ms: i64,
    /// Number of its open transaction, or 0.
    #[prost(uint64, tag = "5")]
    pub transaction: u64,
    /// Offset of the first record of that transaction.
    #[prost(int64, tag = "6")]
    pub first_offset: i64,
    /// Number of the last transaction that ended, or 0.
    #[prost(uint64, tag = "7")]
    pub ended: u64,
}

/// One remembered batch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProducerStateBatchMessage {
    /// First sequence number.
    #[prost(int32, tag = "1")]
    pub base_sequence: i32,
    /// Number of records.
    #[prost(int32, tag = "2")]
    pub record_count: i32,
    /// Offset of the first record.
    #[prost(int64, tag = "3")]
    pub base_offset: i64,
}

/// A group with its offsets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupStateMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Newest generation, absent for groups that only commit offsets.
    #[prost(message, optional, tag = "2")]
    pub record: Option<GroupMessage>,
    /// Committed offsets by partition.
    #[prost(message, repeated, tag = "3")]
    pub offsets: Vec<CommittedOffsetMessage>,
    /// The group of the new protocol, with all its members.
    #[prost(message, optional, tag = "4")]
    pub consumer: Option<ConsumerGroupChangeMessage>,
    /// Transactional producers by id.
    #[prost(message, repeated, tag = "5")]
    pub transactions: Vec<GroupTransactionMessage>,
}

/// Index at the end of a segment, for recovery and for people; readers use the manifest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentMessage {
    /// Shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// UUID, 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub id: Bytes,
    /// When the upload began, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub created_ms: i64,
    /// What is inside, in the order of the bytes.
    #[prost(message, repeated, tag = "4")]
    pub parts: Vec<SegmentPartMessage>,
}

/// The batches of one partition inside a segment.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentPartMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// First byte in the object.
    #[prost(uint64, tag = "3")]
    pub position: u64,
    /// Length in bytes.
    #[prost(uint64, tag = "4")]
    pub length: u64,
    /// Number of batches.
    #[prost(uint32, tag = "5")]
    pub batch_count: u32,
    /// Number of records.
    #[prost(int64, tag = "6")]
    pub record_count: i64,
}
