//! Protobuf messages of compaction. The rules of [`super::messages`] hold here too.

use bytes::Bytes;

/// Runs of a partition become one Parquet file, or no object at all.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ReplaceRunsMessage {
    /// Topic id, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub topic: Bytes,
    /// Partition index.
    #[prost(int32, tag = "2")]
    pub partition: i32,
    /// First offset of the first run.
    #[prost(int64, tag = "3")]
    pub base_offset: i64,
    /// Last offset of the last run.
    #[prost(int64, tag = "4")]
    pub last_offset: i64,
    /// SHA-256 over what the runs were.
    #[prost(bytes = "bytes", tag = "5")]
    pub inputs_digest: Bytes,
    /// How many records were read from runs that are no files.
    #[prost(uint64, tag = "6")]
    pub raw_record_count: u64,
    /// Their sum (16 bytes, big endian).
    #[prost(bytes = "bytes", tag = "7")]
    pub raw_sum: Bytes,
    /// How many records were left out.
    #[prost(uint64, tag = "8")]
    pub removed_record_count: u64,
    /// Their sum.
    #[prost(bytes = "bytes", tag = "9")]
    pub removed_sum: Bytes,
    /// The file; absent when no record is left.
    #[prost(message, optional, tag = "10")]
    pub file: Option<TableFileMessage>,
    /// Up to where keys are compacted now, when the job did that; 0 otherwise.
    #[prost(int64, tag = "11")]
    pub cleaned_to: i64,
}

/// A Parquet file.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TableFileMessage {
    /// UUID, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// Length in bytes.
    #[prost(uint32, tag = "2")]
    pub length: u32,
    /// Length of the footer in bytes, with the eight bytes behind it.
    #[prost(uint32, tag = "3")]
    pub footer_bytes: u32,
    /// How many records are in it.
    #[prost(uint64, tag = "4")]
    pub record_count: u64,
    /// Their sum (16 bytes, big endian).
    #[prost(bytes = "bytes", tag = "5")]
    pub sum: Bytes,
    /// Smallest timestamp.
    #[prost(int64, tag = "6")]
    pub min_timestamp: i64,
    /// Largest timestamp.
    #[prost(int64, tag = "7")]
    pub max_timestamp: i64,
    /// When tombstones in it may go, milliseconds since 1970; 0 when it was not compacted by key.
    #[prost(int64, tag = "8")]
    pub tombstone_horizon_ms: i64,
}

/// Garbage that was deleted.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ForgetObjectsMessage {
    /// UUIDs of segments, 16 bytes each.
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub segments: Vec<Bytes>,
    /// UUIDs of Parquet files, 16 bytes each.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub files: Vec<Bytes>,
}

/// A run in a checkpoint that is a Parquet file.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct TableRunMessage {
    /// First offset of the run.
    #[prost(int64, tag = "1")]
    pub base_offset: i64,
    /// The file.
    #[prost(message, optional, tag = "2")]
    pub file: Option<TableFileMessage>,
}

/// An object on the garbage list, in a checkpoint.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct GarbageMessage {
    /// UUID, 16 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub id: Bytes,
    /// The entry that took the last reference.
    #[prost(uint64, tag = "2")]
    pub entry_number: u64,
    /// Its timestamp.
    #[prost(int64, tag = "3")]
    pub since_ms: i64,
    /// Of a Parquet file, the topic id, 16 bytes; empty for a segment.
    #[prost(bytes = "bytes", tag = "4")]
    pub topic: Bytes,
    /// Of a Parquet file, the partition index.
    #[prost(int32, tag = "5")]
    pub partition: i32,
    /// Of a Parquet file, the first offset in its path.
    #[prost(int64, tag = "6")]
    pub base_offset: i64,
    /// Of a Parquet file, the last offset in its path.
    #[prost(int64, tag = "7")]
    pub last_offset: i64,
}
