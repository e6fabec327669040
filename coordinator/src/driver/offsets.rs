//! Committed offsets: who may write them, and what is read back.
//!
//! Invariants:
//! 1. A sender is checked under the epoch that its commit names, and nothing happens to the group between the check and
//!    the place of the commit in the queue of the shard: offsets of an old generation never follow those of a newer one.
//! 2. What is read back includes everything that was acknowledged before the question: the log is read to its end. Any
//!    node can do that, so one that does not coordinate the group answers too, and knows its members from the log.
//! 3. Offsets of an open transaction are part of nothing that is read back, and are not lost by a deletion.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, CommittedOffset, Operation, Rejection, State, TransactionTag};
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

/// What commits offsets of one group.
#[derive(Debug)]
pub struct OffsetCommitter {
    term: Arc<Term>,
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
        self.committer(&input.group).await?.commit(input, offsets, deadline)?.await
    }

    /// OffsetCommit in two steps: this one waits until this node coordinates the group, [`OffsetCommitter::commit`] does
    /// not wait before the commit has its place.
    pub async fn committer(&self, group: &str) -> Result<OffsetCommitter, GroupError> {
        Ok(OffsetCommitter { term: self.term(group).await? })
    }

    /// TxnOffsetCommit: as [`commit_offsets`](Coordinators::commit_offsets), for offsets that wait for the end of a transaction.
    pub async fn commit_transaction_offsets(
        &self,
        input: &CommitInput,
        producer: (i64, i16),
        transaction: TransactionTag,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        deadline: Option<Instant>,
    ) -> Result<u64, OffsetsError> {
        let term = self.term(&input.group).await?;
        let input = CommitInput { transactional: true, ..input.clone() };
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(topic_partition, _)| *topic_partition).collect();
        let check = |groups: &mut GroupTable, now| match groups.check_commit(now, &input, &partitions) {
            // Clients do not know the other error here.
            Err(GroupError::StaleMemberEpoch) => Err(GroupError::IllegalGeneration),
            checked => checked,
        };
        if offsets.is_empty() {
            term.act(|groups, now| (check(groups, now), Vec::new()))??;
            return Ok(term.epoch());
        }
        let (group, (producer_id, epoch)) = (input.group.clone(), producer);
        let operation = Operation::CommitTransactionOffsets { group, producer_id, epoch, transaction, offsets };
        let committed = term.place_if(check, operation, deadline)?.await?;
        Ok(committed.entry_number)
    }

    /// OffsetFetch: the state of the group's shard, at least as new as the call. Nobody is sent to the coordinator: librdkafka
    /// (up to 2.16) does not ask a second time when it is, and its consumer stands still for ever.
    pub async fn fetch_offsets(&self, input: &FetchInput) -> Result<Arc<State>, GroupError> {
        match self.fetch_as_coordinator(input).await {
            Err(GroupError::NotCoordinator) => self.fetch_from_log(input).await,
            answered => answered,
        }
    }

    async fn fetch_from_log(&self, input: &FetchInput) -> Result<Arc<State>, GroupError> {
        let seat = self.seat(&input.group)?;
        let caught_up = self.shared.runtime.timeout(CATCH_UP_MAX, seat.shard().catch_up()).await;
        let Ok(Ok(state)) = caught_up else { return Err(GroupError::CoordinatorNotAvailable) };
        seat.group_in_log(&state, &input.group).check_fetch(input)?;
        Ok(state)
    }

    async fn fetch_as_coordinator(&self, input: &FetchInput) -> Result<Arc<State>, GroupError> {
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

impl OffsetCommitter {
    /// Checks the sender and gives the commit its place: what is committed by later calls follows it. The future tells the
    /// entry with the offsets. Without offsets the sender is checked alone.
    pub fn commit(
        self,
        input: &CommitInput,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        deadline: Option<Instant>,
    ) -> Result<impl Future<Output = Result<u64, OffsetsError>> + Send + use<>, GroupError> {
        let partitions: Vec<TopicPartition> = offsets.iter().map(|(topic_partition, _)| *topic_partition).collect();
        let check = |groups: &mut GroupTable, now| groups.check_commit(now, input, &partitions);
        let placed = if offsets.is_empty() {
            self.term.act(|groups, now| (check(groups, now), Vec::new()))??;
            None
        } else {
            let operation = Operation::CommitOffsets { group: input.group.clone(), offsets };
            Some(self.term.place_if(check, operation, deadline)?)
        };
        Ok(async move {
            match placed {
                Some(placed) => Ok(placed.await?.entry_number),
                None => Ok(self.term.epoch()),
            }
        })
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
