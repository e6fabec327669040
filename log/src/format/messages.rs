//! Protobuf messages of the metadata part of each object.
//!
//! Invariants: a tag is never reused or given another meaning; a field that changes what an entry *does* comes with a
//! new operation tag, because an older release ignores unknown fields but refuses unknown operations. Repeated fields
//! are written in a fixed order, so the same value always gives the same bytes.

use bytes::Bytes;

pub use super::consumer_group_messages::{
    ClassicMemberMessage, ClassicProtocolMessage, ConsumerGroupChangeMessage, ConsumerMemberMessage,
};
use super::table_messages::{ForgetObjectsMessage, ReplaceRunsMessage};
use super::transaction_messages::{
    AddToTransactionMessage, CommitTransactionOffsetsMessage, CompleteTransactionMessage, EndTransactionMessage,
    ExpireTransactionsMessage, InitTransactionMessage, WriteMarkersMessage,
};

/// Metadata of one entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EntryMessage {
    /// Shard that the entry belongs to.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Place in the shard's log; the first entry is 1.
    #[prost(uint64, tag = "2")]
    pub number: u64,
    /// SHA-256 over header and metadata of the entry before; empty for the first.
    #[prost(bytes = "bytes", tag = "3")]
    pub previous_hash: Bytes,
    /// Random id, 16 bytes: tells the writer whether the slot holds its own entry.
    #[prost(bytes = "bytes", tag = "4")]
    pub id: Bytes,
    /// Wall clock of the writer in milliseconds since 1970, never less than that of the entry before.
    #[prost(int64, tag = "5")]
    pub timestamp_ms: i64,
    /// Name of the node that wrote the entry, for people.
    #[prost(string, tag = "6")]
    pub node: String,
    /// Segments that the operations refer to.
    #[prost(message, repeated, tag = "7")]
    pub segments: Vec<SegmentReferenceMessage>,
    /// What happens, in order.
    #[prost(message, repeated, tag = "8")]
    pub operations: Vec<OperationMessage>,
}

/// A segment named by an entry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SegmentReferenceMessage {
    /// UUID of the segment, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Where its data ends, in bytes from the start of the object.
    #[prost(uint64, tag = "2")]
    pub data_end: u64,
    /// When its upload began, milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub created_ms: i64,
}

/// One operation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OperationMessage {
    /// Which operation; absent when a newer release wrote one that this one does not know.
    #[prost(
        oneof = "OperationKind",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23"
    )]
    pub kind: Option<OperationKind>,
}

/// The operations.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum OperationKind {
    /// Record batches become part of a partition.
    #[prost(message, tag = "1")]
    Append(AppendMessage),
    /// A topic comes into being.
    #[prost(message, tag = "2")]
    CreateTopic(TopicMessage),
    /// A topic and all that belongs to it goes.
    #[prost(message, tag = "3")]
    DeleteTopic(TopicIdMessage),
    /// A topic gets more partitions.
    #[prost(message, tag = "4")]
    CreatePartitions(CreatePartitionsMessage),
    /// Settings of a topic change.
    #[prost(message, tag = "5")]
    AlterTopicConfigs(AlterTopicConfigsMessage),
    /// The log start offset of a partition moves.
    #[prost(message, tag = "6")]
    DeleteRecords(DeleteRecordsMessage),
    /// A consumer group commits offsets.
    #[prost(message, tag = "7")]
    CommitOffsets(CommitOffsetsMessage),
    /// A consumer group's generation, members and assignments.
    #[prost(message, tag = "8")]
    PutGroup(GroupMessage),
    /// A consumer group and its offsets go.
    #[prost(message, tag = "9")]
    DeleteGroup(GroupIdMessage),
    /// Some offsets of a consumer group go.
    #[prost(message, tag = "10")]
    DeleteOffsets(DeleteOffsetsMessage),
    /// New topics are spread over more shards.
    #[prost(message, tag = "11")]
    SetShardCount(SetShardCountMessage),
    /// A node becomes the coordinator of what the shard holds.
    #[prost(message, tag = "12")]
    TakeOver(TakeOverMessage),
    /// Members of a consumer group of the new protocol change (KIP-848).
    #[prost(message, tag = "13")]
    PutConsumerGroup(ConsumerGroupChangeMessage),
    /// Record batches become part of a partition, some of them in a transaction.
    #[prost(message, tag = "14")]
    TransactionalAppend(AppendMessage),
    /// A transactional id gets a producer id and an epoch.
    #[prost(message, tag = "15")]
    InitTransaction(InitTransactionMessage),
    /// Partitions and groups become part of a transaction.
    #[prost(message, tag = "16")]
    AddToTransaction(AddToTransactionMessage),
    /// A transaction is decided.
    #[prost(message, tag = "17")]
    EndTransaction(EndTransactionMessage),
    /// A transaction ends on partitions and groups of this shard.
    #[prost(message, tag = "18")]
    WriteMarkers(WriteMarkersMessage),
    /// A transaction has ended everywhere.
    #[prost(message, tag = "19")]
    CompleteTransaction(CompleteTransactionMessage),
    /// Offsets that wait for the end of a transaction.
    #[prost(message, tag = "20")]
    CommitTransactionOffsets(CommitTransactionOffsetsMessage),
    /// Transactional ids go.
    #[prost(message, tag = "21")]
    ExpireTransactions(ExpireTransactionsMessage),
    /// Runs of a partition become one Parquet file, or none.
    #[prost(message, tag = "22")]
    ReplaceRuns(ReplaceRunsMessage),
    /// Garbage was deleted.
    #[prost(message, tag = "23")]
    ForgetObjects(ForgetObjectsMessage),
}

/// One run: contiguous offsets of one partition, contiguous bytes of one object.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AppendMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// Offset of the first record.
    #[prost(int64, tag = "3")]
    pub base_offset: i64,
    /// 0: the data of this entry; k: segment k of the entry, counted from 1.
    #[prost(uint32, tag = "4")]
    pub segment: u32,
    /// First byte in the object.
    #[prost(uint64, tag = "5")]
    pub position: u64,
    /// Length in bytes.
    #[prost(uint32, tag = "6")]
    pub length: u32,
    /// How many offsets the run covers.
    #[prost(int64, tag = "7")]
    pub offset_count: i64,
    /// Largest timestamp in the run.
    #[prost(int64, tag = "8")]
    pub max_timestamp: i64,
    /// The batches of idempotent producers, in order.
    #[prost(message, repeated, tag = "9")]
    pub producer_batches: Vec<ProducerBatchMessage>,
    /// Sum of the batches (`batch_sum`, added modulo 2^64); 0 in entries of releases that did not know it.
    #[prost(fixed64, tag = "10")]
    pub sum: u64,
}

/// One batch of an idempotent producer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ProducerBatchMessage {
    /// Producer id.
    #[prost(int64, tag = "1")]
    pub producer_id: i64,
    /// Producer epoch.
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// Sequence number of the first record.
    #[prost(int32, tag = "3")]
    pub base_sequence: i32,
    /// Number of records.
    #[prost(int32, tag = "4")]
    pub record_count: i32,
    /// Offset of the first record, counted from the run's base offset.
    #[prost(int64, tag = "5")]
    pub offset_delta: i64,
    /// Number of its transaction; 0 outside of one.
    #[prost(uint64, tag = "6")]
    pub transaction: u64,
}

/// A name and a value.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ConfigMessage {
    /// Name of the setting.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A topic.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Name.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Number of partitions.
    #[prost(int32, tag = "3")]
    pub partition_count: i32,
    /// Replication factor as it was asked for; the store replicates.
    #[prost(int32, tag = "4")]
    pub replication_factor: i32,
    /// Settings that were set, by name.
    #[prost(message, repeated, tag = "5")]
    pub configs: Vec<ConfigMessage>,
    /// When it was created, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub created_ms: i64,
    /// How many shards its partitions are spread over; 0 means 1.
    #[prost(uint32, tag = "7")]
    pub shard_count: u32,
}

/// Names a topic.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicIdMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
}

/// More partitions for a topic.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CreatePartitionsMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Number of partitions from now on.
    #[prost(int32, tag = "2")]
    pub partition_count: i32,
}

/// Other settings for a topic.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AlterTopicConfigsMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Settings to set.
    #[prost(message, repeated, tag = "2")]
    pub set: Vec<ConfigMessage>,
    /// Settings to go back to their defaults.
    #[prost(string, repeated, tag = "3")]
    pub remove: Vec<String>,
}

/// A new log start offset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeleteRecordsMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// The first offset that stays.
    #[prost(int64, tag = "3")]
    pub before_offset: i64,
}

/// Offsets that a group commits.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommitOffsetsMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// The offsets.
    #[prost(message, repeated, tag = "2")]
    pub offsets: Vec<CommittedOffsetMessage>,
}

/// One committed offset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommittedOffsetMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// The offset of the next record to read.
    #[prost(int64, tag = "3")]
    pub offset: i64,
    /// Leader epoch of the last record read, or -1.
    #[prost(int32, tag = "4")]
    pub leader_epoch: i32,
    /// What the client keeps beside it.
    #[prost(string, tag = "5")]
    pub metadata: String,
    /// When it was committed, milliseconds since 1970.
    #[prost(int64, tag = "6")]
    pub commit_ms: i64,
}

/// A generation of a consumer group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Generation.
    #[prost(int32, tag = "2")]
    pub generation: i32,
    /// Protocol type, `consumer` for consumers.
    #[prost(string, tag = "3")]
    pub protocol_type: String,
    /// Chosen protocol.
    #[prost(string, optional, tag = "4")]
    pub protocol: Option<String>,
    /// Member id of the leader.
    #[prost(string, optional, tag = "5")]
    pub leader: Option<String>,
    /// Members by id.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<GroupMemberMessage>,
    /// When the generation was made, milliseconds since 1970.
    #[prost(int64, tag = "7")]
    pub updated_ms: i64,
}

/// A member of a consumer group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupMemberMessage {
    /// Member id.
    #[prost(string, tag = "1")]
    pub member_id: String,
    /// Static membership id.
    #[prost(string, optional, tag = "2")]
    pub instance_id: Option<String>,
    /// Client id.
    #[prost(string, tag = "3")]
    pub client_id: String,
    /// Address of the client.
    #[prost(string, tag = "4")]
    pub client_host: String,
    /// Session timeout in milliseconds.
    #[prost(int32, tag = "5")]
    pub session_timeout_ms: i32,
    /// Rebalance timeout in milliseconds.
    #[prost(int32, tag = "6")]
    pub rebalance_timeout_ms: i32,
    /// Metadata for the chosen protocol.
    #[prost(bytes = "bytes", tag = "7")]
    pub subscription: Bytes,
    /// Assignment from the leader.
    #[prost(bytes = "bytes", tag = "8")]
    pub assignment: Bytes,
}

/// Names a group.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupIdMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
}

/// Offsets of a group to forget.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeleteOffsetsMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// The partitions.
    #[prost(message, repeated, tag = "2")]
    pub partitions: Vec<TopicPartitionMessage>,
}

/// Names a partition.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TopicPartitionMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
}

/// A new number of shards.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SetShardCountMessage {
    /// Shards that topics created from now on are spread over.
    #[prost(uint32, tag = "1")]
    pub shard_count: u32,
}

/// A node that takes over.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TakeOverMessage {
    /// Node id.
    #[prost(int32, tag = "1")]
    pub node: i32,
    /// Incarnation of the node, 16 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub incarnation: Bytes,
}

/// The coordinator of a shard.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CoordinatorMessage {
    /// The entry that made it coordinator.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Node id.
    #[prost(int32, tag = "2")]
    pub node: i32,
    /// Incarnation of the node, 16 bytes.
    #[prost(bytes = "bytes", tag = "3")]
    pub incarnation: Bytes,
}
