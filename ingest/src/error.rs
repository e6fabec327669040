//! Why a batch was not appended, and what became of it.

use alluvium_log::{AppendRejection, CommitError, TransactionRejection};
use alluvium_record::BatchError;

/// Why a batch was not appended. Every one but [`AppendError::TimedOutUnknown`] means: not in the log, and never will be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// No such topic or partition.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// The bytes are not what the checksum or the lengths say.
    #[error("corrupt batch: {0}")]
    CorruptBatch(String),
    /// The batch breaks a rule for producers.
    #[error("invalid record batch: {0}")]
    InvalidRecord(String),
    /// A timestamp is too far from the clock.
    #[error("invalid timestamp: {0}")]
    InvalidTimestamp(String),
    /// Message format 0 or 1.
    #[error("message format {0} is not supported: use format 2 (Kafka 0.11 and later)")]
    UnsupportedMagic(i8),
    /// A codec that nobody knows.
    #[error("unknown compression codec {0}")]
    UnsupportedCompression(i16),
    /// Larger than the topic's `max.message.bytes`.
    #[error("batch of {bytes} bytes is larger than max.message.bytes = {bytes_max}")]
    BatchTooLarge {
        /// Its length.
        bytes: usize,
        /// The topic's limit.
        bytes_max: usize,
    },
    /// Does not follow on the producer's last batch.
    #[error("sequence number out of order: expected {expected}, got {found}")]
    OutOfOrderSequence {
        /// What would have followed.
        expected: i32,
        /// What came.
        found: i32,
    },
    /// The producer's epoch is over.
    #[error("producer epoch {found} is fenced by {current}")]
    InvalidProducerEpoch {
        /// The epoch now.
        current: i16,
        /// The epoch that came.
        found: i16,
    },
    /// Not written: it does not belong into a transaction that is open.
    #[error(transparent)]
    Transaction(#[from] TransactionRejection),
    /// The deadline passed: the batch may be in the log or appear later.
    #[error("outcome unknown: the store did not answer in time")]
    TimedOutUnknown,
    /// Not written; trying again may help.
    #[error("not written: {0}")]
    Unavailable(String),
    /// Not written: this node stops.
    #[error("not written: shutting down")]
    ShuttingDown,
}

impl From<BatchError> for AppendError {
    fn from(error: BatchError) -> Self {
        let text = error.to_string();
        match error {
            BatchError::UnsupportedMagic(magic) => Self::UnsupportedMagic(magic),
            BatchError::UnsupportedCompression(codec) => Self::UnsupportedCompression(codec),
            BatchError::Truncated { .. } | BatchError::InvalidLength(_) | BatchError::ChecksumMismatch { .. } => {
                Self::CorruptBatch(text)
            }
            BatchError::InvalidTimestamp(_) => Self::InvalidTimestamp(text),
            BatchError::TransactionalWithoutProducer => Self::InvalidRecord(text),
            _ => Self::InvalidRecord(text),
        }
    }
}

impl From<AppendRejection> for AppendError {
    fn from(rejection: AppendRejection) -> Self {
        match rejection {
            AppendRejection::UnknownTopicOrPartition => Self::UnknownTopicOrPartition,
            AppendRejection::OutOfOrderSequence { expected, found } => Self::OutOfOrderSequence { expected, found },
            AppendRejection::InvalidProducerEpoch { current, found } => Self::InvalidProducerEpoch { current, found },
            AppendRejection::SegmentTooOld | AppendRejection::OffsetsExhausted => {
                Self::Unavailable(rejection.to_string())
            }
            AppendRejection::Transaction(rejection) => Self::Transaction(rejection),
        }
    }
}

impl From<CommitError> for AppendError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Unknown => Self::TimedOutUnknown,
            CommitError::Closed => Self::ShuttingDown,
            CommitError::Unavailable(reason) => Self::Unavailable(reason),
            CommitError::Rejected(rejection) => Self::Unavailable(rejection.to_string()),
        }
    }
}
