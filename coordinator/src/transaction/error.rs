//! Why a request about a transaction is refused.

use alluvium_log::{CommitError, Rejection};
use thiserror::Error;

/// Why a request about a transaction is refused. Kafka's codes are the server's business.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionError {
    /// Another node coordinates this transactional id, or this one shuts down.
    #[error("this node does not coordinate the transactional id")]
    NotCoordinator,
    /// The store does not answer. Nothing was changed.
    #[error("the coordinator cannot reach the store")]
    CoordinatorNotAvailable,
    /// The coordinator has only begun. Nothing was changed.
    #[error("the coordinator is still loading")]
    CoordinatorLoadInProgress,
    /// The last transaction of the id is still ending.
    #[error("another transaction of this id is still ending")]
    ConcurrentTransactions,
    /// The id has another producer id, or there is no such transactional id.
    #[error("the producer id is not the one of the transactional id")]
    InvalidProducerIdMapping,
    /// Another producer with the same transactional id has taken over.
    #[error("a newer producer has the same transactional id")]
    ProducerFenced,
    /// The transaction is not where this request makes sense.
    #[error("the transaction is in a state in which this cannot be done")]
    InvalidTransactionState,
    /// The timeout is not positive or larger than the largest one allowed.
    #[error("the transaction timeout is outside the allowed range")]
    InvalidTransactionTimeout,
    /// There is no such transactional id.
    #[error("there is no such transactional id")]
    TransactionalIdNotFound,
    /// There is no such topic or partition.
    #[error("there is no such topic or partition")]
    UnknownTopicOrPartition,
    /// The transaction has as many partitions and groups as it may.
    #[error("the transaction has too many partitions and groups")]
    TransactionTooLarge,
    /// Nobody knows yet what became of it: it may have happened, and may be asked for again.
    #[error("the store did not say in time what became of it")]
    Unknown,
}

impl TransactionError {
    /// What a rejection of the log means to a client, when it stands.
    pub(super) fn of_rejection(rejection: &Rejection) -> TransactionError {
        match rejection {
            Rejection::UnknownTransactionalId => TransactionError::InvalidProducerIdMapping,
            Rejection::ProducerFenced { .. } => TransactionError::ProducerFenced,
            Rejection::InvalidTransactionState { .. } => TransactionError::InvalidTransactionState,
            Rejection::TransactionTooLarge => TransactionError::TransactionTooLarge,
            Rejection::UnknownTopic | Rejection::UnknownPartition => TransactionError::UnknownTopicOrPartition,
            Rejection::NotCoordinator { .. } => TransactionError::NotCoordinator,
            // Somebody else was faster; asking again looks at what became of it.
            Rejection::ConcurrentTransactions | Rejection::TransactionChanged | Rejection::VerifiedTooLongAgo => {
                TransactionError::ConcurrentTransactions
            }
            Rejection::TopicExists(_)
            | Rejection::TopicIdTaken
            | Rejection::PartitionCountNotLarger { .. }
            | Rejection::OutOfBounds { .. }
            | Rejection::OffsetOutOfRange { .. }
            | Rejection::UnknownGroup
            | Rejection::GroupNotEmpty
            | Rejection::StaleGeneration { .. }
            | Rejection::RunsChanged
            | Rejection::SumsDiffer(_) => TransactionError::InvalidTransactionState,
        }
    }

    /// What a commit that did not succeed means to a client.
    pub(super) fn of_commit(error: &CommitError) -> TransactionError {
        match error {
            CommitError::Rejected(rejection) => TransactionError::of_rejection(rejection),
            CommitError::Unknown => TransactionError::Unknown,
            CommitError::Unavailable(_) => TransactionError::CoordinatorNotAvailable,
            CommitError::Closed => TransactionError::NotCoordinator,
        }
    }
}
