//! Writing the durable state of groups to the log, under the epoch of a term.

use std::sync::Arc;

use alluvium_log::{CommitError, Operation, Rejection};
use bytes::Bytes;

use super::term::{Ended, Term};
use crate::group::{GroupChange, GroupRecord, PersistError, PersistToken};

/// Writes one change and reports what became of it.
pub(super) async fn write(term: Arc<Term>, group: String, token: PersistToken, change: GroupChange) {
    let operation = operation(change, &group);
    let result = term.commit(operation, None).await.map(|_| ()).map_err(|error| {
        tracing::warn!(group, epoch = term.epoch(), %error, "a change of a consumer group was not written");
        persist_error(&error)
    });
    if result == Err(PersistError::NotCoordinator) {
        // What is in memory is not what is in the log: whoever coordinates next starts from there.
        term.end(Ended::Fenced);
    }
    // The groups of a term that has ended are gone, with whoever waited for this change.
    let _reported = term.act(|groups, now| ((), groups.persisted(now, &group, token, result)));
}

fn operation(change: GroupChange, group: &str) -> Operation {
    match change {
        GroupChange::Put(record) => Operation::PutGroup { group: detached(record) },
        GroupChange::PutConsumer(change) => Operation::PutConsumerGroup { change },
        GroupChange::Delete => Operation::DeleteGroup { group: group.to_owned() },
    }
}

/// The record without slices of requests, which would keep whole requests in memory for as long as the group lives.
fn detached(mut record: GroupRecord) -> GroupRecord {
    for member in &mut record.members {
        member.subscription = Bytes::copy_from_slice(&member.subscription);
        member.assignment = Bytes::copy_from_slice(&member.assignment);
    }
    record
}

/// What the state machine is told about a change that was not acknowledged.
fn persist_error(error: &CommitError) -> PersistError {
    match error {
        CommitError::Unknown => PersistError::Unknown,
        CommitError::Unavailable(_) | CommitError::Closed => PersistError::Unavailable,
        CommitError::Rejected(rejection) => match rejection {
            // A later generation was written by somebody else.
            Rejection::NotCoordinator { .. } | Rejection::StaleGeneration { .. } => PersistError::NotCoordinator,
            Rejection::UnknownGroup => PersistError::GroupNotFound,
            Rejection::GroupNotEmpty => PersistError::GroupNotEmpty,
            Rejection::OutOfBounds { .. } => PersistError::TooLarge,
            Rejection::UnknownTopic
            | Rejection::UnknownPartition
            | Rejection::TopicExists(_)
            | Rejection::TopicIdTaken
            | Rejection::PartitionCountNotLarger { .. }
            | Rejection::OffsetOutOfRange { .. }
            | Rejection::UnknownTransactionalId
            | Rejection::ProducerFenced { .. }
            | Rejection::ConcurrentTransactions
            | Rejection::InvalidTransactionState { .. }
            | Rejection::VerifiedTooLongAgo
            | Rejection::TransactionTooLarge
            | Rejection::TransactionChanged
            | Rejection::RunsChanged
            | Rejection::SumsDiffer(_) => PersistError::Unavailable,
        },
    }
}
