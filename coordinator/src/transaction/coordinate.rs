//! Requests to the coordinator of a transactional id.

use alluvium_log::{Operation, TransactionRecord};
use alluvium_record::TopicPartition;

use super::desk::{Desk, Proposed};
use super::error::TransactionError;
use super::identity::{Identity, Next};
use super::participants::Participants;
use super::rules::{self, AddStep, AdmitStep, EndRequest, EndStep, InitStep, Standing};
use super::{EndTransactionalProducer, InitTransactionalProducer, Transactions};

impl Transactions {
    /// InitProducerId: gives the producer its identity, fences the one before, and aborts what that one had open.
    pub async fn init(&self, input: InitTransactionalProducer) -> Result<(i64, i16), TransactionError> {
        let timeout_ms_max = i32::try_from(self.shared.settings.timeout_max.as_millis()).unwrap_or(i32::MAX);
        if input.timeout_ms <= 0 || input.timeout_ms > timeout_ms_max {
            return Err(TransactionError::InvalidTransactionTimeout);
        }
        let expected = input.producer.and_then(|(producer_id, epoch)| Identity::some(producer_id, epoch));
        let mut desk = Desk::of_coordinator(&self.shared, &input.transactional_id).await?;
        loop {
            let record = desk.record();
            let standing = record.as_deref().map(Standing::of);
            match rules::init(standing, expected) {
                InitStep::Answer(identity) => {
                    if desk.may_answer().await? {
                        return Ok(identity.pair());
                    }
                }
                InitStep::Refuse(error) => {
                    if desk.may_answer().await? {
                        return Err(error);
                    }
                }
                InitStep::Wait => desk.wait_for_end().await?,
                InitStep::Abort(next) => {
                    let Some(record) = record else { continue };
                    let next = desk.identity(next).await?;
                    // Whatever became of it, the newest state tells what is next.
                    let _proposed = desk.propose(end_operation(&record, false, next, false)).await?;
                }
                InitStep::Begin { next, repeatable } => {
                    let identity = desk.identity(next).await?;
                    let operation = Operation::InitTransaction {
                        transactional_id: input.transactional_id.clone(),
                        timeout_ms: input.timeout_ms,
                        seen: standing.map(|standing| standing.current.pair()),
                        producer_id: identity.producer_id,
                        epoch: identity.epoch,
                        repeatable,
                    };
                    let proposed = desk.propose(operation).await?;
                    // A producer id that nobody else has shows whose proposal was taken. An epoch does not.
                    let is_own = next == Next::NewProducerId
                        && desk.standing().is_some_and(|standing| standing.current == identity);
                    if proposed == Proposed::Written || (proposed == Proposed::See && is_own) {
                        return Ok(identity.pair());
                    }
                }
            }
        }
    }

    /// AddPartitionsToTxn: the partitions become part of the transaction, which begins if none is open.
    pub async fn add_partitions(
        &self,
        transactional_id: &str,
        producer_id: i64,
        epoch: i16,
        partitions: &[TopicPartition],
    ) -> Result<(), TransactionError> {
        let placed: Result<Vec<_>, TransactionError> = self.shared.place(partitions).await.into_iter().collect();
        let partitions = partitions.iter().copied().zip(placed?).collect();
        let participants = Participants { partitions, groups: Vec::new() };
        self.add(transactional_id, Identity::new(producer_id, epoch), &participants).await
    }

    /// AddOffsetsToTxn: offsets of the group become part of the transaction.
    pub async fn add_group(
        &self,
        transactional_id: &str,
        producer_id: i64,
        epoch: i16,
        group: &str,
    ) -> Result<(), TransactionError> {
        let groups = vec![(group.to_owned(), self.shared.log.group_shard(group))];
        let participants = Participants { partitions: Vec::new(), groups };
        self.add(transactional_id, Identity::new(producer_id, epoch), &participants).await
    }

    async fn add(
        &self,
        transactional_id: &str,
        producer: Identity,
        participants: &Participants,
    ) -> Result<(), TransactionError> {
        let mut desk = Desk::of_coordinator(&self.shared, transactional_id).await?;
        loop {
            let record = desk.record();
            let missing = participants.missing_from(record.as_deref());
            match rules::add(record.as_deref().map(Standing::of), producer, missing.is_empty()) {
                AddStep::Answer => {
                    if desk.may_answer().await? {
                        return Ok(());
                    }
                }
                AddStep::Refuse(error) => {
                    if desk.may_answer().await? {
                        return Err(error);
                    }
                }
                AddStep::Wait => desk.wait_for_end().await?,
                // Nothing is no reason to begin a transaction.
                AddStep::Add if missing.is_empty() => return Ok(()),
                AddStep::Add => {
                    if desk.propose(add_operation(transactional_id, producer, missing)).await? == Proposed::Written {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// AddPartitionsToTxn that only asks: which of the partitions are part of the open transaction.
    pub async fn verify_partitions(
        &self,
        transactional_id: &str,
        producer_id: i64,
        epoch: i16,
        partitions: &[TopicPartition],
    ) -> Result<Vec<bool>, TransactionError> {
        let producer = Identity::new(producer_id, epoch);
        let mut desk = Desk::of_coordinator(&self.shared, transactional_id).await?;
        desk.look().await?;
        loop {
            let record = desk.record();
            match rules::admit(record.as_deref().map(Standing::of), producer) {
                AdmitStep::Refuse(error) => return Err(error),
                AdmitStep::Wait => desk.wait_for_end().await?,
                AdmitStep::Closed => return Ok(vec![false; partitions.len()]),
                AdmitStep::Open => {
                    let contained = |partition| record.as_ref().is_some_and(|record| record.contains(partition));
                    return Ok(partitions.iter().map(|partition| contained(*partition)).collect());
                }
            }
        }
    }

    /// EndTxn: decides, and answers when the end is known everywhere or that takes longer than a second; the decision stands.
    /// Gives the identity that the producer has from then on.
    pub async fn end(&self, input: EndTransactionalProducer) -> Result<(i64, i16), TransactionError> {
        let request = EndRequest {
            producer: Identity::new(input.producer_id, input.epoch),
            commit: input.commit,
            raises_epoch: input.raises_epoch,
        };
        let mut desk = Desk::of_coordinator(&self.shared, &input.transactional_id).await?;
        loop {
            let record = desk.record();
            match rules::end(record.as_deref().map(Standing::of), request) {
                EndStep::Answer(identity) => {
                    if desk.may_answer().await? {
                        return Ok(identity.pair());
                    }
                }
                EndStep::Refuse(error) => {
                    if desk.may_answer().await? {
                        return Err(error);
                    }
                }
                EndStep::Decided(identity) => {
                    if desk.may_answer().await? {
                        let _ended = desk.wait_while_decided().await;
                        return Ok(identity.pair());
                    }
                }
                EndStep::Wait => desk.wait_for_end().await?,
                EndStep::Decide(next) => {
                    let Some(record) = record else { continue };
                    let next = desk.identity(next).await?;
                    let operation = end_operation(&record, input.commit, next, false);
                    if desk.propose(operation).await? == Proposed::Written {
                        let _ended = desk.wait_while_decided().await;
                        return Ok(next.pair());
                    }
                }
            }
        }
    }
}

/// The decision about what the record shows.
pub(super) fn end_operation(record: &TransactionRecord, commit: bool, next: Identity, overdue_only: bool) -> Operation {
    Operation::EndTransaction {
        transactional_id: record.transactional_id.clone(),
        producer_id: record.producer_id,
        epoch: record.epoch,
        number: record.number,
        commit,
        next_producer_id: next.producer_id,
        next_epoch: next.epoch,
        overdue_only,
    }
}

pub(super) fn add_operation(transactional_id: &str, producer: Identity, participants: Participants) -> Operation {
    Operation::AddToTransaction {
        transactional_id: transactional_id.to_owned(),
        producer_id: producer.producer_id,
        epoch: producer.epoch,
        partitions: participants.partitions,
        groups: participants.groups,
    }
}
