//! Why a partition could not be read.

/// Why a partition could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such topic or partition.
    #[error("unknown topic or partition")]
    UnknownTopicOrPartition,
    /// The offset is not in the log.
    #[error("offset {offset} is not between {log_start_offset} and {high_watermark}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset of the partition.
        log_start_offset: i64,
        /// Its high watermark.
        high_watermark: i64,
    },
    /// The client knows an older leader epoch.
    #[error("leader epoch is fenced")]
    FencedLeaderEpoch,
    /// The client knows a newer leader epoch.
    #[error("leader epoch is unknown")]
    UnknownLeaderEpoch,
    /// The store did not answer; nothing is lost, trying again may help.
    #[error("store: {0}")]
    Storage(String),
    /// What the store holds is not what was written.
    #[error("corrupt: {0}")]
    Corrupt(String),
}
