//! Committed offsets: who may write them, and what is read back.
//!
//! Invariants:
//! 1. A sender is checked under the epoch that its commit names, and nothing happens to the group between the check and
//!    the place of the commit in the queue of the shard: offsets of an old generation never follow those of a newer one.
//! 2. What is read back includes everything that was acknowledged before the question: the log is read to its end, and
//!    shows that this node still coordinates the group.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, CommittedOffset, Operation, Rejection, State};
use alluvium_record::TopicPartition;
use thiserror::Error;

use super::Coordinators;
use super::term::Term;
use crate::consumer_group::FetchInput;
use crate::group::{CommitInput, GroupError};
use crate::table::GroupTable;

/// How long an answer waits for the store; less than clients wait by default.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// Why offsets were not committed or deleted.
#[derive(Clone, Debug, Error)]
pub enum OffsetsError {
    /// The coordinator refuses.
    #[error(transparent)]
    Refused(#[from] GroupError),
    /// The log did not acknowledge; the error says what became of the change.
    #[error(transparent)]
    Commit(CommitError),
}

impl From<CommitError> for OffsetsError {
    fn from(error: CommitError) -> OffsetsError {
        match error {
            CommitError::Rejected(Rejection::NotCoordinator { .. }) | CommitError::Closed => {
                OffsetsError::Refused(GroupError::NotCoordinator)
            }
            error => OffsetsError::Commit(error),
        }
    }
}

/// A deletion of offsets that the group allows.
#[derive(Debug)]
pub struct OffsetDeletion {
    term: Arc<Term>,
    group: String,
}

impl Coordinators {
    /// OffsetCommit: checks the sender, then commits the offsets. Without offsets the sender is checked alone. Gives the
    /// entry with the offsets.
    pub async fn commit_offsets(
        &self,
        input: &CommitInput,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        deadline: Option<Instant>,
    ) -> Result<u64, OffsetsError> {
        let term = self.term(&input.group).await?;
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(topic_partition, _)| *topic_partition).collect();
        if offsets.is_empty() {
            term.act(|groups, now| (groups.check_commit(now, input, &partitions), Vec::new()))??;
            return Ok(term.epoch());
        }
        let operation = Operation::CommitOffsets { group: input.group.clone(), offsets };
        let check = |groups: &mut GroupTable, now| groups.check_commit(now, input, &partitions);
        let committed = term.commit_if(check, operation, deadline).await??;
        Ok(committed.entry_number)
    }

    /// OffsetFetch: the state of the group's shard, at least as new as the call.
    pub async fn fetch_offsets(&self, input: &FetchInput) -> Result<Arc<State>, GroupError> {
        let term = self.term(&input.group).await?;
        if planted::is(Bug::OffsetsFromMemory) {
            return Ok(term.shard().state());
        }
        let caught_up = self.shared.runtime.timeout(CATCH_UP_MAX, term.catch_up()).await;
        let state = caught_up.unwrap_or(Err(GroupError::CoordinatorNotAvailable))?;
        term.read(|groups| groups.check_fetch(input))??;
        Ok(state)
    }

    /// OffsetDelete: whether offsets of the group may be deleted.
    pub async fn delete_offsets(&self, group: &str) -> Result<OffsetDeletion, GroupError> {
        let term = self.term(group).await?;
        term.read(|groups| groups.check_offset_delete(group))??;
        Ok(OffsetDeletion { term, group: group.to_owned() })
    }
}

impl OffsetDeletion {
    /// Whether members of the group use the topic, so that its offsets must stay.
    pub fn is_subscribed(&self, topic: &str) -> Result<bool, GroupError> {
        self.term.read(|groups| groups.is_subscribed(&self.group, topic))
    }

    /// Deletes the offsets of these partitions.
    pub async fn delete(self, partitions: Vec<TopicPartition>, deadline: Option<Instant>) -> Result<(), OffsetsError> {
        let operation = Operation::DeleteOffsets { group: self.group, partitions };
        self.term.commit(operation, deadline).await?;
        Ok(())
    }
}
