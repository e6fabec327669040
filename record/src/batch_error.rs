//! Why bytes are not an acceptable record batch.

use crate::Compression;

/// Why bytes are not a record batch, or not one that may be written or can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("record batch is cut off: {needed_bytes} bytes needed, {available_bytes} available")]
    Truncated {
        /// What the batch, or its header, takes.
        needed_bytes: usize,
        /// What there is.
        available_bytes: usize,
    },
    /// The length field is below what a header takes.
    #[error("record batch length {0} is smaller than a batch header")]
    InvalidLength(i32),
    /// A message set of the old formats 0 or 1, or a format that nobody has defined.
    #[error("record batch format version {0} is not supported, only version 2 is")]
    UnsupportedMagic(i8),
    /// The checksum does not fit the bytes.
    #[error("record batch checksum mismatch: stored {stored:#010x}, computed {computed:#010x}")]
    ChecksumMismatch {
        /// The CRC in the header.
        stored: u32,
        /// The CRC of the bytes.
        computed: u32,
    },
    /// The attributes name a codec that nobody has defined.
    #[error("record batch compression codec {0} is not known")]
    UnsupportedCompression(i16),
    /// A producer sent a batch without records.
    #[error("record batch holds {0} records, at least one is needed")]
    InvalidRecordCount(i32),
    /// A producer sent a batch whose offsets have gaps.
    #[error("record batch holds {record_count} records but its last offset delta is {last_offset_delta}")]
    OffsetDeltaMismatch {
        /// The last offset delta in the header.
        last_offset_delta: i32,
        /// The record count in the header.
        record_count: i32,
    },
    /// A producer sent a control batch; only the broker writes those.
    #[error("control batches are written by the broker only")]
    ControlBatch,
    /// A producer set the timestamp type to LogAppendTime; only the broker does.
    #[error("the timestamp type LogAppendTime is set by the broker only")]
    ProducerSetLogAppendTime,
    /// A producer set the delete horizon flag; only the log cleaner does.
    #[error("the delete horizon flag is set by the log cleaner only")]
    ProducerSetDeleteHorizon,
    /// Producer id or epoch is out of range.
    #[error("producer id {producer_id} with epoch {producer_epoch} is not valid")]
    InvalidProducer {
        /// The producer id in the header.
        producer_id: i64,
        /// The producer epoch in the header.
        producer_epoch: i16,
    },
    /// An idempotent producer sent a batch without a sequence number.
    #[error("base sequence {base_sequence} of producer id {producer_id} is not valid")]
    InvalidSequence {
        /// The producer id in the header.
        producer_id: i64,
        /// The base sequence in the header.
        base_sequence: i32,
    },
    /// A transactional batch without a producer id.
    #[error("a transactional batch needs a producer id")]
    TransactionalWithoutProducer,
    /// A timestamp below -1 ("none").
    #[error("timestamp {0} is not valid")]
    InvalidTimestamp(i64),
    /// A record within the batch is malformed.
    #[error("record {index} of the batch is malformed: {reason}")]
    InvalidRecord {
        /// Which record, from 0.
        index: i32,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The records cannot be decompressed.
    #[error("{codec} data cannot be decompressed: {reason}")]
    Decompression {
        /// The codec that the attributes name.
        codec: Compression,
        /// What the decoder said.
        reason: String,
    },
    /// The records decompress to more than the caller allows.
    #[error("records decompress to more than {limit_bytes} bytes")]
    DecompressedTooLarge {
        /// The limit that the caller gave.
        limit_bytes: usize,
    },
}
