//! What an HTTP client is told: `{"error_code", "message"}` in the shape of the Confluent REST Proxy, and the one map from
//! Alluvium's errors to its codes.
//!
//! Invariants:
//! 1. Every match is exhaustive: a new error does not compile until somebody has decided what clients are told.
//! 2. The status is the first three digits of the code.
//! 3. "Definitely not written" is 503 with 50303, to be repeated at will. "Unknown" is 504 with 50402, never a code that reads
//!    as not written: whoever repeats it uses the same request id.

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::group::GroupError;
use alluvium_ingest::AppendError;
use alluvium_log::{CommitError, Rejection};
use alluvium_protocol::errors::ErrorCode;
use alluvium_reader::ReadError;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::errors::Refusal;

/// The codes of the REST Proxy, and where they end ours; the status comes first.
pub(super) mod code {
    pub(crate) const BAD_REQUEST: u32 = 400;
    pub(crate) const NOT_FOUND: u32 = 404;
    pub(crate) const METHOD_NOT_ALLOWED: u32 = 405;
    pub(crate) const UNSUPPORTED_MEDIA_TYPE: u32 = 415;
    pub(crate) const INVALID_TOPIC_OR_CONFIG: u32 = 40002;
    pub(crate) const TOPIC_NOT_FOUND: u32 = 40401;
    pub(crate) const PARTITION_NOT_FOUND: u32 = 40402;
    pub(crate) const CONSUMER_NOT_FOUND: u32 = 40403;
    pub(crate) const GROUP_NOT_FOUND: u32 = 40404;
    pub(crate) const WRONG_FORMAT: u32 = 40601;
    pub(crate) const REQUEST_TIMEOUT: u32 = 408;
    pub(crate) const TOPIC_EXISTS: u32 = 40901;
    pub(crate) const CONSUMER_EXISTS: u32 = 40902;
    pub(crate) const REQUEST_ID_REUSED: u32 = 40903;
    pub(crate) const ILLEGAL_STATE: u32 = 40904;
    pub(crate) const TOO_LARGE: u32 = 413;
    pub(crate) const OFFSET_OUT_OF_RANGE: u32 = 41601;
    pub(crate) const NOT_COORDINATOR: u32 = 42101;
    pub(crate) const MISSING_VALUE: u32 = 42201;
    pub(crate) const INVALID_VALUE: u32 = 42202;
    pub(crate) const REFUSED_RECORD: u32 = 42203;
    pub(crate) const INVALID_CONSUMER: u32 = 42204;
    pub(crate) const INVALID_JSON_STORED: u32 = 42206;
    pub(crate) const KAFKA_ERROR: u32 = 50002;
    pub(crate) const KAFKA_RETRIABLE: u32 = 50003;
    pub(crate) const UNAVAILABLE: u32 = 50301;
    pub(crate) const NOT_WRITTEN: u32 = 50303;
    pub(crate) const OUTCOME_UNKNOWN: u32 = 50402;
}

/// An answer that is an error.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(crate) struct RestError {
    #[serde(rename = "error_code")]
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl RestError {
    pub(crate) fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn topic_not_found(topic: &str) -> Self {
        Self::new(code::TOPIC_NOT_FOUND, format!("Topic {topic} not found."))
    }

    pub(super) fn partition_not_found(partition: impl std::fmt::Display) -> Self {
        Self::new(code::PARTITION_NOT_FOUND, format!("Partition {partition} not found."))
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID_VALUE, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(code::TOO_LARGE, message)
    }

    /// The store could not be asked, so that nothing can be denied.
    pub(super) fn not_known() -> Self {
        Self::new(code::UNAVAILABLE, "the store does not answer: try again")
    }

    pub(super) fn status(&self) -> StatusCode {
        let status = if self.code < 1000 { self.code } else { self.code / 100 };
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl std::fmt::Display for RestError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error_code": self.code, "message": self.message }).to_string();
        let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let status = self.status();
        let mut response = (status, headers, body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// What a producer is told about records that were not acknowledged.
impl From<&AppendError> for RestError {
    fn from(error: &AppendError) -> Self {
        let code = match error {
            AppendError::UnknownTopicOrPartition => code::PARTITION_NOT_FOUND,
            AppendError::InvalidRecord(_) | AppendError::InvalidTimestamp(_) => code::REFUSED_RECORD,
            AppendError::BatchTooLarge { .. } => code::TOO_LARGE,
            AppendError::OutOfOrderSequence { .. } | AppendError::InvalidProducerEpoch { .. } => {
                let told = "not written: this Idempotency-Key was used for other records";
                return Self::new(code::REQUEST_ID_REUSED, told);
            }
            AppendError::TimedOutUnknown => code::OUTCOME_UNKNOWN,
            AppendError::Unavailable(_) | AppendError::ShuttingDown => code::NOT_WRITTEN,
            // Batches are made here: none of these comes from what a client sent.
            AppendError::CorruptBatch(_)
            | AppendError::UnsupportedMagic(_)
            | AppendError::UnsupportedCompression(_)
            | AppendError::Transaction(_) => code::KAFKA_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// What a consumer is told about a partition that cannot be read.
impl From<&ReadError> for RestError {
    fn from(error: &ReadError) -> Self {
        let code = match error {
            ReadError::UnknownTopicOrPartition => code::PARTITION_NOT_FOUND,
            ReadError::OffsetOutOfRange { .. } => code::OFFSET_OUT_OF_RANGE,
            ReadError::Storage(_) => code::UNAVAILABLE,
            ReadError::FencedLeaderEpoch | ReadError::UnknownLeaderEpoch | ReadError::Corrupt(_) => code::KAFKA_ERROR,
        };
        Self::new(code, error.to_string())
    }
}

/// What somebody is told about a change that was not acknowledged.
impl From<&CommitError> for RestError {
    fn from(error: &CommitError) -> Self {
        let code = match error {
            CommitError::Rejected(rejection) => rejection_code(rejection),
            CommitError::Unknown => code::OUTCOME_UNKNOWN,
            CommitError::Unavailable(_) | CommitError::Closed => code::NOT_WRITTEN,
        };
        Self::new(code, error.to_string())
    }
}

fn rejection_code(rejection: &Rejection) -> u32 {
    match rejection {
        Rejection::UnknownTopic => code::TOPIC_NOT_FOUND,
        Rejection::UnknownPartition => code::PARTITION_NOT_FOUND,
        Rejection::TopicExists(_) => code::TOPIC_EXISTS,
        // The next attempt has another random id.
        Rejection::TopicIdTaken => code::NOT_WRITTEN,
        Rejection::PartitionCountNotLarger { .. } | Rejection::OutOfBounds { .. } => code::INVALID_TOPIC_OR_CONFIG,
        Rejection::OffsetOutOfRange { .. } => code::OFFSET_OUT_OF_RANGE,
        Rejection::UnknownGroup => code::GROUP_NOT_FOUND,
        Rejection::GroupNotEmpty => code::ILLEGAL_STATE,
        Rejection::NotCoordinator { .. } | Rejection::StaleGeneration { .. } => code::NOT_COORDINATOR,
        // Nobody asks for what could be refused so over HTTP.
        Rejection::UnknownTransactionalId
        | Rejection::ProducerFenced { .. }
        | Rejection::ConcurrentTransactions
        | Rejection::TransactionChanged
        | Rejection::InvalidTransactionState { .. }
        | Rejection::VerifiedTooLongAgo
        | Rejection::TransactionTooLarge
        | Rejection::RunsChanged
        | Rejection::SumsDiffer(_) => code::KAFKA_ERROR,
    }
}

/// What a group's coordinator refuses.
impl From<GroupError> for RestError {
    fn from(error: GroupError) -> Self {
        let code = match error {
            GroupError::InvalidGroupId
            | GroupError::InvalidSessionTimeout
            | GroupError::InvalidRegularExpression
            | GroupError::InvalidRequest
            | GroupError::UnsupportedAssignor
            | GroupError::MetadataTooLarge
            | GroupError::RecordTooLarge => code::INVALID_VALUE,
            GroupError::GroupIdNotFound => code::GROUP_NOT_FOUND,
            GroupError::NonEmptyGroup
            | GroupError::GroupSubscribedToTopic
            | GroupError::UnknownMemberId
            | GroupError::InconsistentGroupProtocol
            | GroupError::GroupMaxSizeReached
            | GroupError::TooManyGroups
            | GroupError::UnreleasedInstanceId
            | GroupError::FencedInstanceId => code::ILLEGAL_STATE,
            GroupError::NotCoordinator => code::NOT_COORDINATOR,
            GroupError::CoordinatorNotAvailable | GroupError::CoordinatorLoadInProgress => code::UNAVAILABLE,
            GroupError::MemberIdRequired
            | GroupError::IllegalGeneration
            | GroupError::RebalanceInProgress
            | GroupError::FencedMemberEpoch
            | GroupError::StaleMemberEpoch => code::KAFKA_RETRIABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<OffsetsError> for RestError {
    fn from(error: OffsetsError) -> Self {
        match error {
            OffsetsError::Refused(error) => error.into(),
            OffsetsError::Commit(error) => Self::from(&error),
        }
    }
}

/// What the rules about topics refuse, which they say in Kafka's codes.
impl From<Refusal> for RestError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.error() {
            ErrorCode::TopicAlreadyExists => code::TOPIC_EXISTS,
            ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => code::TOPIC_NOT_FOUND,
            ErrorCode::RequestTimedOut => code::OUTCOME_UNKNOWN,
            ErrorCode::KafkaStorageError | ErrorCode::NotController => code::NOT_WRITTEN,
            ErrorCode::LeaderNotAvailable => code::UNAVAILABLE,
            _ => code::INVALID_TOPIC_OR_CONFIG,
        };
        Self::new(code, refusal.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_beginning_of_the_code() {
        for (code, status) in [(404, 404), (code::TOPIC_NOT_FOUND, 404), (code::OUTCOME_UNKNOWN, 504), (7, 500)] {
            assert_eq!(RestError::new(code, "").status().as_u16(), status, "{code}");
        }
    }

    #[test]
    fn what_is_in_doubt_is_never_told_as_not_written() {
        let unknown = RestError::from(&AppendError::TimedOutUnknown);
        assert_eq!(unknown.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(RestError::from(&CommitError::Unknown).code, unknown.code);
        let not_written = RestError::from(&AppendError::Unavailable("the store is away".to_owned()));
        assert_eq!((not_written.status().as_u16(), not_written.message.contains("not written")), (503, true));
    }
}
