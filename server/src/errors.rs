//! The one map from Alluvium's errors to Kafka's codes.
//!
//! Invariants:
//! 1. Every match is exhaustive: a new error does not compile until somebody has decided what clients are told.
//! 2. "Definitely not written" becomes a retriable code. "Unknown" becomes REQUEST_TIMED_OUT, never a code that reads
//!    as not written.

use alluvium_coordinator::{GroupError, OffsetsError};
use alluvium_ingest::AppendError;
use alluvium_log::{CommitError, Rejection};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::StrBytes;
use alluvium_reader::ReadError;

mod transaction;

use transaction::batch_transaction_error;
pub(crate) use transaction::{
    COMMIT_ADDS_VERSION_MIN, FENCED_VERSION_MIN, INIT_FENCED_VERSION_MIN, PRODUCE_ADDS_VERSION_MIN, admission_error,
    append_error_since, fenced_since, marker_error, offset_admission_error, transaction_error,
    transactional_offsets_error,
};

/// An error code with the sentence that goes with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refusal {
    error: ErrorCode,
    message: Option<String>,
}

impl Refusal {
    pub(crate) fn new(error: ErrorCode, message: impl Into<String>) -> Refusal {
        Refusal { error, message: Some(message.into()) }
    }

    /// A code that says it all.
    pub(crate) fn bare(error: ErrorCode) -> Refusal {
        Refusal { error, message: None }
    }

    pub(crate) fn error(&self) -> ErrorCode {
        self.error
    }

    pub(crate) fn code(&self) -> i16 {
        self.error.code()
    }

    pub(crate) fn wire_message(&self) -> Option<StrBytes> {
        self.message.as_deref().map(StrBytes::from)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.message {
            Some(message) => write!(formatter, "{}: {message}", self.error),
            None => write!(formatter, "{}", self.error),
        }
    }
}

/// What a producer is told about a batch that was not acknowledged.
pub(crate) fn append_error(error: &AppendError) -> Refusal {
    let code = match error {
        AppendError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        AppendError::CorruptBatch(_) => ErrorCode::CorruptMessage,
        // Kafka 4 answers the old message formats with INVALID_RECORD.
        AppendError::InvalidRecord(_) | AppendError::UnsupportedMagic(_) => ErrorCode::InvalidRecord,
        AppendError::InvalidTimestamp(_) => ErrorCode::InvalidTimestamp,
        AppendError::UnsupportedCompression(_) => ErrorCode::UnsupportedCompressionType,
        AppendError::BatchTooLarge { .. } => ErrorCode::MessageTooLarge,
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::Transaction(rejection) => batch_transaction_error(*rejection),
        AppendError::TimedOutUnknown => ErrorCode::RequestTimedOut,
        AppendError::Unavailable(_) => ErrorCode::KafkaStorageError,
        AppendError::ShuttingDown => ErrorCode::NotLeaderOrFollower,
    };
    Refusal::new(code, error.to_string())
}

/// What a consumer is told about a partition that cannot be read.
pub(crate) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
        ReadError::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
        ReadError::Storage(_) => ErrorCode::KafkaStorageError,
        ReadError::Corrupt(_) => ErrorCode::CorruptMessage,
    }
}

/// The code of a definite refusal by the log.
fn rejection_code(rejection: &Rejection) -> ErrorCode {
    match rejection {
        Rejection::UnknownTopic | Rejection::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
        Rejection::TopicExists(_) => ErrorCode::TopicAlreadyExists,
        // The next attempt has another random id.
        Rejection::TopicIdTaken => ErrorCode::RequestTimedOut,
        Rejection::PartitionCountNotLarger { .. } => ErrorCode::InvalidPartitions,
        Rejection::OutOfBounds { .. } => ErrorCode::InvalidRequest,
        Rejection::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        Rejection::UnknownGroup => ErrorCode::GroupIdNotFound,
        Rejection::GroupNotEmpty => ErrorCode::NonEmptyGroup,
        Rejection::UnknownTransactionalId => ErrorCode::InvalidProducerIdMapping,
        Rejection::ProducerFenced { .. } => ErrorCode::ProducerFenced,
        Rejection::ConcurrentTransactions | Rejection::TransactionChanged => ErrorCode::ConcurrentTransactions,
        Rejection::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        // The next attempt is verified anew.
        Rejection::VerifiedTooLongAgo => ErrorCode::CoordinatorNotAvailable,
        Rejection::TransactionTooLarge => ErrorCode::PolicyViolation,
        Rejection::StaleGeneration { .. } | Rejection::NotCoordinator { .. } => ErrorCode::NotCoordinator,
        // No client asks for what could be refused so.
        Rejection::RunsChanged | Rejection::SumsDiffer(_) => ErrorCode::UnknownServerError,
    }
}

/// What an administrator is told about a change that was not acknowledged.
pub(crate) fn admin_error(error: &CommitError) -> Refusal {
    let code = match error {
        CommitError::Rejected(rejection) => rejection_code(rejection),
        CommitError::Unknown => ErrorCode::RequestTimedOut,
        CommitError::Unavailable(_) => ErrorCode::KafkaStorageError,
        CommitError::Closed => ErrorCode::NotController,
    };
    Refusal::new(code, error.to_string())
}

/// What a group member is told about a change that was not acknowledged.
pub(crate) fn group_commit_error(error: &CommitError) -> ErrorCode {
    match error {
        CommitError::Rejected(rejection) => rejection_code(rejection),
        CommitError::Unknown => ErrorCode::RequestTimedOut,
        CommitError::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        CommitError::Closed => ErrorCode::NotCoordinator,
    }
}

/// What a group member is told about offsets that were not committed or deleted.
pub(crate) fn offsets_error(error: &OffsetsError) -> ErrorCode {
    match error {
        OffsetsError::Refused(error) => group_error(*error),
        OffsetsError::Commit(error) => group_commit_error(error),
    }
}

/// What a group member is told by its coordinator.
pub(crate) fn group_error(error: GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
        GroupError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::MetadataTooLarge | GroupError::RecordTooLarge => ErrorCode::InvalidRequest,
        GroupError::TooManyGroups => ErrorCode::PolicyViolation,
        GroupError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
        GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
        GroupError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
        GroupError::InvalidRequest => ErrorCode::InvalidRequest,
    }
}

/// The code of a group answer that carries nothing else.
pub(crate) fn group_code(result: Result<(), GroupError>) -> i16 {
    result.map_or_else(|error| group_error(error).code(), |()| ErrorCode::None.code())
}
