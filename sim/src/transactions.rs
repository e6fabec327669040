//! Transactions of one node: the coordinator and the doors for batches, asked in the simulation's words.
//!
//! Invariant: as in the server, a batch or an offset of a transaction is let in first and sent on with what it was let in by.

use std::sync::Arc;

use alluvium_coordinator::Leadership;
use alluvium_coordinator::transaction::{
    AdmitBatches, EndTransactionalProducer, InitTransactionalProducer, TransactionError, TransactionParts,
    TransactionSettings, Transactions as Coordinator,
};
use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommittedOffset, Log, TransactionTag};
use alluvium_record::TopicPartition;

use crate::groups::Groups;
use crate::history::{Operation, Outcome, Part};

/// Transactions of one node.
#[derive(Clone, Debug)]
pub struct Transactions {
    coordinator: Coordinator,
}

impl Transactions {
    /// Coordinates the transactional ids of the shards that `leadership` says this node leads.
    #[must_use]
    pub fn start(log: Log, leadership: Arc<dyn Leadership>, runtime: Runtime) -> Self {
        let settings = TransactionSettings::default();
        Self { coordinator: Coordinator::start(TransactionParts { log, leadership, settings, runtime }) }
    }

    /// Serves a request to the coordinator; `None` when it is none.
    pub async fn serve(&self, operation: &Operation) -> Option<Outcome> {
        let coordinator = &self.coordinator;
        let outcome = match operation {
            Operation::InitTransactional { id, timeout_ms, producer } => {
                let (transactional_id, timeout_ms, producer) = (id.clone(), *timeout_ms, *producer);
                let input = InitTransactionalProducer { transactional_id, timeout_ms, producer };
                identity(coordinator.init(input).await)
            }
            Operation::AddPartitions { id, producer: (producer_id, epoch), partitions } => {
                done(coordinator.add_partitions(id, *producer_id, *epoch, partitions).await)
            }
            Operation::AddGroup { id, producer: (producer_id, epoch), group } => {
                done(coordinator.add_group(id, *producer_id, *epoch, group).await)
            }
            Operation::EndTransaction { part, producer: (producer_id, epoch), commit } => {
                let input = EndTransactionalProducer {
                    transactional_id: part.id.clone(),
                    producer_id: *producer_id,
                    epoch: *epoch,
                    commit: *commit,
                    raises_epoch: part.modern,
                };
                identity(coordinator.end(input).await)
            }
            _ => return None,
        };
        Some(outcome)
    }

    /// Lets a batch in.
    ///
    /// # Errors
    /// What the client is told.
    pub async fn admit(
        &self,
        part: &Part,
        (producer_id, epoch): (i64, i16),
        topic_partition: TopicPartition,
    ) -> Result<TransactionTag, Outcome> {
        let partitions = [topic_partition];
        let batches = AdmitBatches {
            transactional_id: &part.id,
            producer_id,
            epoch,
            partitions: &partitions,
            implicit: part.modern,
        };
        let admitted = self.coordinator.admit(batches).await.pop();
        // Nothing was written, whatever became of the partition's place in the transaction.
        admitted
            .unwrap_or(Err(TransactionError::CoordinatorNotAvailable))
            .map_err(|error| Outcome::Refused(error.to_string()))
    }

    /// Lets an offset in, and commits it to the group.
    pub async fn commit_offset(
        &self,
        groups: &Groups,
        part: &Part,
        producer: (i64, i16),
        group: &str,
        offset: (TopicPartition, CommittedOffset),
        deadline: Instant,
    ) -> Outcome {
        let (producer_id, epoch) = producer;
        let admitted = self.coordinator.admit_group(&part.id, producer_id, epoch, group, part.modern).await;
        match admitted {
            Ok(tag) => groups.commit_in_transaction(group, producer, tag, offset, deadline).await,
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }
}

fn identity(result: Result<(i64, i16), TransactionError>) -> Outcome {
    result.map_or_else(refusal, |(producer_id, epoch)| Outcome::Identity(producer_id, epoch))
}

fn done(result: Result<(), TransactionError>) -> Outcome {
    result.map_or_else(refusal, |()| Outcome::Done { entry: 0 })
}

fn refusal(error: TransactionError) -> Outcome {
    match error {
        TransactionError::Unknown => Outcome::Unknown,
        error => Outcome::Refused(error.to_string()),
    }
}
