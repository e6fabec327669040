//! What transactional producers are told, and how that depends on the version that they speak.
//!
//! Invariants:
//! 1. The matches are exhaustive, and each error has one code; versions only replace codes that came later by the ones before.
//! 2. What may have happened is COORDINATOR_NOT_AVAILABLE: to ask a transaction's coordinator again changes nothing that was done.

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::transaction::TransactionError;
use alluvium_ingest::AppendError;
use alluvium_log::TransactionRejection;
use alluvium_protocol::errors::ErrorCode;

use super::{Refusal, append_error, offsets_error};

/// First version of InitProducerId that knows PRODUCER_FENCED.
pub(crate) const INIT_FENCED_VERSION_MIN: i16 = 4;
/// First version of AddPartitionsToTxn, AddOffsetsToTxn and EndTxn that knows PRODUCER_FENCED.
pub(crate) const FENCED_VERSION_MIN: i16 = 2;
/// First version of Produce that knows TRANSACTION_ABORTABLE.
const PRODUCE_ABORTABLE_VERSION_MIN: i16 = 11;
/// First version of Produce that adds partitions to transactions, and knows CONCURRENT_TRANSACTIONS.
pub(crate) const PRODUCE_ADDS_VERSION_MIN: i16 = 12;
/// First version of TxnOffsetCommit that knows COORDINATOR_LOAD_IN_PROGRESS.
const LOADING_VERSION_MIN: i16 = 2;
/// First version of TxnOffsetCommit that knows TRANSACTION_ABORTABLE.
const COMMIT_ABORTABLE_VERSION_MIN: i16 = 4;
/// First version of TxnOffsetCommit that adds the group to the transaction, and knows CONCURRENT_TRANSACTIONS.
pub(crate) const COMMIT_ADDS_VERSION_MIN: i16 = 5;

/// What a producer is told by the coordinator of its transactional id.
pub(crate) fn transaction_error(error: TransactionError) -> ErrorCode {
    match error {
        TransactionError::NotCoordinator => ErrorCode::NotCoordinator,
        TransactionError::CoordinatorNotAvailable | TransactionError::Unknown => ErrorCode::CoordinatorNotAvailable,
        TransactionError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        TransactionError::ConcurrentTransactions => ErrorCode::ConcurrentTransactions,
        TransactionError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
        TransactionError::ProducerFenced => ErrorCode::ProducerFenced,
        TransactionError::InvalidTransactionState => ErrorCode::InvalidTxnState,
        TransactionError::InvalidTransactionTimeout => ErrorCode::InvalidTransactionTimeout,
        TransactionError::TransactionalIdNotFound => ErrorCode::TransactionalIdNotFound,
        TransactionError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        TransactionError::TransactionTooLarge => ErrorCode::PolicyViolation,
    }
}

/// The same for versions before `version_min`, which know PRODUCER_FENCED as INVALID_PRODUCER_EPOCH.
pub(crate) fn fenced_since(version_min: i16, version: i16, error: TransactionError) -> ErrorCode {
    match transaction_error(error) {
        ErrorCode::ProducerFenced if version < version_min => ErrorCode::InvalidProducerEpoch,
        code => code,
    }
}

/// What a producer is told about a batch whose transaction could not be looked at, or does not take it. Nothing is written.
pub(crate) fn admission_error(version: i16, error: TransactionError) -> Refusal {
    let code = match transaction_error(error) {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::InvalidTxnState => not_in_transaction(version, PRODUCE_ABORTABLE_VERSION_MIN),
        // Clients of these versions take it for a reason to send again, and most others not.
        ErrorCode::ConcurrentTransactions if version < PRODUCE_ADDS_VERSION_MIN => ErrorCode::NotEnoughReplicas,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress => {
            ErrorCode::NotEnoughReplicas
        }
        code => code,
    };
    Refusal::new(code, format!("the transaction does not take the batch: {error}"))
}

/// What a producer is told about a batch that the log keeps out of the transaction. Nothing is written.
pub(super) fn batch_transaction_error(rejection: TransactionRejection) -> ErrorCode {
    match rejection {
        TransactionRejection::UnknownTransactionalId => ErrorCode::InvalidProducerIdMapping,
        TransactionRejection::Fenced { .. } => ErrorCode::InvalidProducerEpoch,
        TransactionRejection::Concurrent => ErrorCode::ConcurrentTransactions,
        TransactionRejection::InvalidState { .. } => ErrorCode::InvalidTxnState,
        // The next attempt is verified anew.
        TransactionRejection::VerifiedTooLongAgo => ErrorCode::NotEnoughReplicas,
        TransactionRejection::TooLarge => ErrorCode::PolicyViolation,
    }
}

/// What a producer is told about a batch that was not acknowledged, by a version of Produce.
pub(crate) fn append_error_since(version: i16, error: &AppendError) -> Refusal {
    let refusal = append_error(error);
    match refusal.error() {
        ErrorCode::InvalidTxnState if version >= PRODUCE_ABORTABLE_VERSION_MIN => {
            Refusal::new(ErrorCode::TransactionAbortable, error.to_string())
        }
        ErrorCode::ConcurrentTransactions if version < PRODUCE_ADDS_VERSION_MIN => {
            Refusal::new(ErrorCode::NotEnoughReplicas, error.to_string())
        }
        _ => refusal,
    }
}

/// What a producer is told about offsets that its transaction does not take.
pub(crate) fn offset_admission_error(version: i16, error: TransactionError) -> ErrorCode {
    match transaction_error(error) {
        // The group has another coordinator, and clients would look for that one.
        ErrorCode::NotCoordinator => ErrorCode::CoordinatorNotAvailable,
        code => offset_code_since(version, code),
    }
}

/// What a producer is told about offsets that were not written.
pub(crate) fn transactional_offsets_error(version: i16, error: &OffsetsError) -> ErrorCode {
    offset_code_since(version, offsets_error(error))
}

fn offset_code_since(version: i16, code: ErrorCode) -> ErrorCode {
    match code {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::InvalidTxnState => not_in_transaction(version, COMMIT_ABORTABLE_VERSION_MIN),
        ErrorCode::ConcurrentTransactions if version < COMMIT_ADDS_VERSION_MIN => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::CoordinatorLoadInProgress if version < LOADING_VERSION_MIN => ErrorCode::CoordinatorNotAvailable,
        code => code,
    }
}

/// What a tool is told about a partition on which a transaction was not ended.
pub(crate) fn marker_error(error: TransactionError) -> ErrorCode {
    match transaction_error(error) {
        _ if error == TransactionError::Unknown => ErrorCode::RequestTimedOut,
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        // Partitions have leaders, not coordinators.
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress => {
            ErrorCode::NotLeaderOrFollower
        }
        code => code,
    }
}

/// Before TRANSACTION_ABORTABLE came, the same was INVALID_TXN_STATE, which ends the producer.
fn not_in_transaction(version: i16, version_min: i16) -> ErrorCode {
    if version < version_min { ErrorCode::InvalidTxnState } else { ErrorCode::TransactionAbortable }
}
