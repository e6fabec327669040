//! How batches and offset commits belong to transactions, and why they do not.

use std::sync::Arc;

use super::Rejection;
use crate::state::{State, TransactionStatus};

/// How long a verified batch may wait for its entry: less than producers are remembered for at least.
pub const VERIFIED_AGE_MS_MAX: i64 = 10 * 60 * 1000;

/// Most partitions and groups of one transaction.
pub const TRANSACTION_PARTICIPANTS_MAX: usize = 100_000;

/// How a batch, or an offset commit, belongs to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionTag {
    /// The shard of the transactional id said that the partition, or the group, is part of the open transaction.
    Verified {
        /// Number of the transaction.
        number: u64,
        /// When it said so: the later one of the clock and the time of the partition's shard, milliseconds since 1970.
        verified_ms: i64,
    },
    /// The transactional id is in the same shard, so the log looks itself.
    Here {
        /// The id.
        transactional_id: Arc<str>,
        /// Whether what is missing is added, and a transaction begun (KIP-890).
        implicit: bool,
    },
}

impl TransactionTag {
    /// What the shard of the id said at `now_ms` about a partition or group whose own shard is in `state`.
    #[must_use]
    pub fn verified(number: u64, now_ms: i64, state: &State) -> Self {
        Self::Verified { number, verified_ms: now_ms.max(state.timestamp_ms()) }
    }
}

/// Why a batch, or an offset commit, is not part of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactionRejection {
    /// No such transactional id, or it has another producer id.
    #[error("unknown transactional id, or not its producer id")]
    UnknownTransactionalId,
    /// The producer's epoch is not that of its transactional id.
    #[error("the producer's epoch is {current}")]
    Fenced {
        /// The epoch now.
        current: i16,
    },
    /// The last transaction is decided and has not ended everywhere.
    #[error("the last transaction is still ending")]
    Concurrent,
    /// The partition is not part of an open transaction, or the batch of none while one is open.
    #[error("not part of an open transaction")]
    InvalidState {
        /// Where the transaction stands, if its shard is this one.
        status: Option<TransactionStatus>,
    },
    /// It was verified too long ago to be believed.
    #[error("verified too long ago")]
    VerifiedTooLongAgo,
    /// The transaction has too many partitions.
    #[error("a transaction has at most {TRANSACTION_PARTICIPANTS_MAX} partitions and groups")]
    TooLarge,
}

impl From<TransactionRejection> for Rejection {
    fn from(rejection: TransactionRejection) -> Self {
        match rejection {
            TransactionRejection::UnknownTransactionalId => Self::UnknownTransactionalId,
            TransactionRejection::Fenced { current } => Self::ProducerFenced { current },
            TransactionRejection::Concurrent => Self::ConcurrentTransactions,
            TransactionRejection::InvalidState { status } => {
                Self::InvalidTransactionState { status: status.unwrap_or(TransactionStatus::Empty) }
            }
            TransactionRejection::VerifiedTooLongAgo => Self::VerifiedTooLongAgo,
            TransactionRejection::TooLarge => Self::TransactionTooLarge,
        }
    }
}
