//! WriteTxnMarkers as tools send it, to end a transaction on partitions where nobody else does.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_log::{Operation, State};
use alluvium_record::{ShardId, TopicPartition};
use futures_util::future::join_all;

use super::Transactions;
use super::error::TransactionError;
use super::identity::Identity;
use super::post::LOOK_MAX;

/// How long a commit is waited for; less than clients wait by default.
const COMMIT_MAX: Duration = Duration::from_secs(15);

/// Partitions with their place in the request.
type Numbered = Vec<(usize, TopicPartition)>;

impl Transactions {
    /// Ends whatever the producer has open on these partitions: one answer a partition. Where nothing is open, nothing happens.
    /// On any node.
    pub async fn write_markers(
        &self,
        producer_id: i64,
        epoch: i16,
        commit: bool,
        partitions: &[TopicPartition],
    ) -> Vec<Result<(), TransactionError>> {
        let mut answers = vec![Ok(()); partitions.len()];
        let mut by_shard: BTreeMap<ShardId, Numbered> = BTreeMap::new();
        for (index, (partition, placed)) in partitions.iter().zip(self.shared.place(partitions).await).enumerate() {
            match placed {
                Ok(shard) => by_shard.entry(shard).or_default().push((index, *partition)),
                Err(error) => answers[index] = Err(error),
            }
        }
        let producer = Identity::new(producer_id, epoch);
        let ending = by_shard.into_iter().map(|(shard, numbered)| self.end_in(shard, producer, commit, numbered));
        for (index, answer) in join_all(ending).await.into_iter().flatten() {
            answers[index] = answer;
        }
        answers
    }

    async fn end_in(
        &self,
        shard: ShardId,
        producer: Identity,
        commit: bool,
        numbered: Numbered,
    ) -> Vec<(usize, Result<(), TransactionError>)> {
        let all = |error| numbered.iter().map(|(index, _)| (*index, Err(error))).collect();
        let Some(shard) = self.shared.log.shard(shard) else { return all(TransactionError::CoordinatorNotAvailable) };
        let state = match self.shared.runtime.timeout(LOOK_MAX, shard.catch_up()).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) | Err(_) => return all(TransactionError::CoordinatorNotAvailable),
        };
        let mut answers = Vec::with_capacity(numbered.len());
        let mut by_number: BTreeMap<u64, Numbered> = BTreeMap::new();
        for (index, partition) in numbered {
            match open_transaction(&state, partition, producer) {
                Ok(Some(number)) => by_number.entry(number).or_default().push((index, partition)),
                Ok(None) => answers.push((index, Ok(()))),
                Err(error) => answers.push((index, Err(error))),
            }
        }
        for (number, numbered) in by_number {
            let operation = Operation::WriteMarkers {
                producer_id: producer.producer_id,
                epoch: producer.epoch,
                number,
                commit,
                partitions: numbered.iter().map(|(_, partition)| *partition).collect(),
                groups: Vec::new(),
            };
            let committed = self.shared.runtime.timeout(COMMIT_MAX, shard.commit(operation, None)).await;
            let answer = match committed {
                Ok(Ok(_)) => Ok(()),
                Ok(Err(error)) => Err(TransactionError::of_commit(&error)),
                Err(_elapsed) => Err(TransactionError::Unknown),
            };
            answers.extend(numbered.into_iter().map(|(index, _)| (index, answer)));
        }
        answers
    }
}

/// The number of the transaction that a producer of this epoch may end on a partition.
fn open_transaction(
    state: &State,
    partition: TopicPartition,
    producer: Identity,
) -> Result<Option<u64>, TransactionError> {
    let partition = state.partition(partition).ok_or(TransactionError::UnknownTopicOrPartition)?;
    match partition.producer(producer.producer_id) {
        Some(known) if known.epoch > producer.epoch => Err(TransactionError::ProducerFenced),
        Some(known) => Ok(known.transaction.map(|open| open.number)),
        None => Ok(None),
    }
}
