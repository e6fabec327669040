//! Protobuf messages of transactions. The rules of [`super::messages`] hold here too.

use bytes::Bytes;

use super::messages::CommittedOffsetMessage;

/// A transactional id gets a producer id and an epoch.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct InitTransactionMessage {
    /// The id.
    #[prost(string, tag = "1")]
    pub transactional_id: String,
    /// Producer id.
    #[prost(int64, tag = "2")]
    pub producer_id: i64,
    /// Epoch.
    #[prost(int32, tag = "3")]
    pub epoch: i32,
    /// How long a transaction may take, in milliseconds.
    #[prost(int32, tag = "4")]
    pub timeout_ms: i32,
    /// Whether producer id and epoch before were those of the same producer, which may ask again.
    #[prost(bool, tag = "5")]
    pub repeatable: bool,
}

/// Partitions and groups become part of a transaction; one begins if none is open.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AddToTransactionMessage {
    /// The id.
    #[prost(string, tag = "1")]
    pub transactional_id: String,
    /// Number of the transaction.
    #[prost(uint64, tag = "2")]
    pub number: u64,
    /// Partitions.
    #[prost(message, repeated, tag = "3")]
    pub partitions: Vec<PlacedPartitionMessage>,
    /// Groups.
    #[prost(message, repeated, tag = "4")]
    pub groups: Vec<PlacedGroupMessage>,
}

/// A partition and its shard.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PlacedPartitionMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// Its shard.
    #[prost(uint32, tag = "3")]
    pub shard: u32,
}

/// A group and its shard.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PlacedGroupMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Its shard.
    #[prost(uint32, tag = "2")]
    pub shard: u32,
}

/// The decision about a transaction.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct EndTransactionMessage {
    /// The id.
    #[prost(string, tag = "1")]
    pub transactional_id: String,
    /// Number of the transaction.
    #[prost(uint64, tag = "2")]
    pub number: u64,
    /// Whether it is committed.
    #[prost(bool, tag = "3")]
    pub commit: bool,
    /// Producer id of the next transaction.
    #[prost(int64, tag = "4")]
    pub next_producer_id: i64,
    /// Epoch of the next transaction.
    #[prost(int32, tag = "5")]
    pub next_epoch: i32,
    /// Epoch in the markers.
    #[prost(int32, tag = "6")]
    pub marker_epoch: i32,
}

/// A transaction ends on partitions and groups of this shard.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WriteMarkersMessage {
    /// Producer id.
    #[prost(int64, tag = "1")]
    pub producer_id: i64,
    /// Epoch of the markers.
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// Number of the transaction.
    #[prost(uint64, tag = "3")]
    pub number: u64,
    /// Whether it is committed.
    #[prost(bool, tag = "4")]
    pub commit: bool,
    /// First byte of the control batch in this entry; all partitions share it.
    #[prost(uint64, tag = "5")]
    pub position: u64,
    /// Length of the control batch in bytes; 0 when there is no partition.
    #[prost(uint32, tag = "6")]
    pub length: u32,
    /// Timestamp of the control batch.
    #[prost(int64, tag = "7")]
    pub timestamp_ms: i64,
    /// Partitions.
    #[prost(message, repeated, tag = "8")]
    pub partitions: Vec<MarkedPartitionMessage>,
    /// Groups.
    #[prost(string, repeated, tag = "9")]
    pub groups: Vec<String>,
}

/// A partition that gets a marker.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MarkedPartitionMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// Offset of the marker.
    #[prost(int64, tag = "3")]
    pub offset: i64,
}

/// A transaction has ended everywhere.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CompleteTransactionMessage {
    /// The id.
    #[prost(string, tag = "1")]
    pub transactional_id: String,
    /// Number of the transaction.
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

/// Offsets that a group commits when a transaction does.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CommitTransactionOffsetsMessage {
    /// Group id.
    #[prost(string, tag = "1")]
    pub group: String,
    /// Producer id.
    #[prost(int64, tag = "2")]
    pub producer_id: i64,
    /// Epoch.
    #[prost(int32, tag = "3")]
    pub epoch: i32,
    /// Number of the transaction.
    #[prost(uint64, tag = "4")]
    pub number: u64,
    /// The offsets.
    #[prost(message, repeated, tag = "5")]
    pub offsets: Vec<CommittedOffsetMessage>,
}

/// Transactional ids that were not used for long go.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ExpireTransactionsMessage {
    /// The ids.
    #[prost(string, repeated, tag = "1")]
    pub transactional_ids: Vec<String>,
}

/// A transactional id in a checkpoint.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TransactionMessage {
    /// The id.
    #[prost(string, tag = "1")]
    pub transactional_id: String,
    /// Producer id.
    #[prost(int64, tag = "2")]
    pub producer_id: i64,
    /// Epoch.
    #[prost(int32, tag = "3")]
    pub epoch: i32,
    /// Producer id before the last change, or -1.
    #[prost(int64, tag = "4")]
    pub previous_producer_id: i64,
    /// Epoch before the last change, or -1.
    #[prost(int32, tag = "5")]
    pub previous_epoch: i32,
    /// How long a transaction may take, in milliseconds.
    #[prost(int32, tag = "6")]
    pub timeout_ms: i32,
    /// Number of the current or last transaction.
    #[prost(uint64, tag = "7")]
    pub number: u64,
    /// 0 Empty, 1 Ongoing, 2 PrepareCommit, 3 PrepareAbort, 4 CompleteCommit, 5 CompleteAbort.
    #[prost(uint32, tag = "8")]
    pub status: u32,
    /// Producer id in markers of the last decision, or -1.
    #[prost(int64, tag = "9")]
    pub marker_producer_id: i64,
    /// Epoch in markers of the last decision, or -1.
    #[prost(int32, tag = "10")]
    pub marker_epoch: i32,
    /// When the current or last transaction began, milliseconds since 1970.
    #[prost(int64, tag = "11")]
    pub started_ms: i64,
    /// When anything changed last, milliseconds since 1970.
    #[prost(int64, tag = "12")]
    pub updated_ms: i64,
    /// Partitions of the transaction.
    #[prost(message, repeated, tag = "13")]
    pub partitions: Vec<PlacedPartitionMessage>,
    /// Groups of the transaction.
    #[prost(message, repeated, tag = "14")]
    pub groups: Vec<PlacedGroupMessage>,
}

/// What a transactional producer did to a group, in a checkpoint.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GroupTransactionMessage {
    /// Producer id.
    #[prost(int64, tag = "1")]
    pub producer_id: i64,
    /// Epoch.
    #[prost(int32, tag = "2")]
    pub epoch: i32,
    /// Number of its open transaction, or 0.
    #[prost(uint64, tag = "3")]
    pub number: u64,
    /// Number of the last transaction that ended, or 0.
    #[prost(uint64, tag = "4")]
    pub ended: u64,
    /// When it changed last, milliseconds since 1970.
    #[prost(int64, tag = "5")]
    pub updated_ms: i64,
    /// Offsets of the open transaction.
    #[prost(message, repeated, tag = "6")]
    pub offsets: Vec<CommittedOffsetMessage>,
}

/// An aborted transaction of a partition, in a checkpoint.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct AbortedTransactionMessage {
    /// Producer id.
    #[prost(int64, tag = "1")]
    pub producer_id: i64,
    /// Offset of its first record.
    #[prost(int64, tag = "2")]
    pub first_offset: i64,
    /// Offset of its marker.
    #[prost(int64, tag = "3")]
    pub last_offset: i64,
}
