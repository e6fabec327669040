//! Between the coordinator and the log: a change as an operation, and the log's answer as the fate of a change.

use alluvium_log::{CommitError, Operation, Rejection};

use super::effect::{GroupChange, PersistError};

impl GroupChange {
    /// The operation that writes this change of `group`.
    pub fn into_operation(self, group: &str) -> Operation {
        match self {
            GroupChange::Put(record) => Operation::PutGroup { group: record },
            GroupChange::PutConsumer(change) => Operation::PutConsumerGroup { change },
            GroupChange::Delete => Operation::DeleteGroup { group: group.to_owned() },
        }
    }
}

impl From<&CommitError> for PersistError {
    fn from(error: &CommitError) -> PersistError {
        match error {
            CommitError::Unknown => PersistError::Unknown,
            CommitError::Unavailable(_) | CommitError::Closed => PersistError::Unavailable,
            // Somebody else has written a later generation.
            CommitError::Rejected(Rejection::StaleGeneration { .. }) => PersistError::NotCoordinator,
            CommitError::Rejected(Rejection::UnknownGroup) => PersistError::GroupNotFound,
            CommitError::Rejected(Rejection::GroupNotEmpty) => PersistError::GroupNotEmpty,
            CommitError::Rejected(_) => PersistError::Unavailable,
        }
    }
}
