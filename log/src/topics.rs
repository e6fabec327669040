//! Topics over all shards: in which order their records come and go.
//!
//! Invariants: metadata never precedes what it names: a topic's partitions are in their shards before the meta shard names the topic;
//! it is deleted in the other order. A crash in between leaves copies that nobody can name, which are swept later.

use std::collections::BTreeSet;

use alluvium_infra::runtime::Instant;
use alluvium_record::{ShardId, TopicId};
use futures_util::future::{join_all, try_join_all};

use crate::commit::Committed;
use crate::open::Log;
use crate::operation::{CommitError, Operation, Rejection};
use crate::placement::{META_SHARD, shard_of_partition};
use crate::state::Topic;

impl Log {
    /// Commits `CreateTopic`, `CreatePartitions` or `DeleteTopic` in every shard that it concerns.
    ///
    /// # Errors
    /// Each error says what became of the operation in the meta shard, which is what counts.
    pub async fn commit_topic(
        &self,
        operation: Operation,
        deadline: Option<Instant>,
    ) -> Result<Committed, CommitError> {
        let deadline = Some(deadline.unwrap_or_else(|| self.runtime().monotonic() + self.meta().deadline_default));
        match &operation {
            Operation::CreateTopic { id, partition_count, shard_count, .. } => {
                let shards: BTreeSet<ShardId> =
                    (0..*partition_count).map(|partition| shard_of_partition(*id, partition, *shard_count)).collect();
                self.prepare(shards, |_| vec![operation.clone()], deadline).await?;
                self.meta().commit(operation, deadline).await
            }
            Operation::CreatePartitions { id, new_count } => {
                let known = match self.meta().state().topic(*id).cloned() {
                    Some(topic) => Some(topic),
                    None => self.meta_topic(*id).await?,
                };
                // Without shards of its own the meta shard has all to say.
                if let Some(topic) = known
                    && topic.shard_count > 1
                {
                    let copy = copy_of(&topic, *new_count);
                    let added =
                        (topic.partition_count..*new_count).map(|partition| topic.shard_of(partition)).collect();
                    self.prepare(added, |_| vec![copy.clone(), operation.clone()], deadline).await?;
                }
                self.meta().commit(operation, deadline).await
            }
            Operation::DeleteTopic { .. } => {
                let committed = self.meta().commit(operation.clone(), deadline).await?;
                self.forget_elsewhere(&operation, deadline).await;
                Ok(committed)
            }
            _ => self.meta().commit(operation, deadline).await,
        }
    }

    async fn meta_topic(&self, id: TopicId) -> Result<Option<Topic>, CommitError> {
        let state = self.meta().catch_up().await.map_err(|error| CommitError::Unavailable(error.to_string()))?;
        Ok(state.topic(id).cloned())
    }

    /// Commits copies in shards other than the meta shard; they change nothing that anybody can see.
    async fn prepare(
        &self,
        shards: BTreeSet<ShardId>,
        operations: impl Fn(ShardId) -> Vec<Operation>,
        deadline: Option<Instant>,
    ) -> Result<(), CommitError> {
        let preparing = shards.into_iter().filter(|shard| *shard != META_SHARD).map(|id| {
            let (shard, operations) = (self.shard(id), operations(id));
            async move {
                let absent = || CommitError::Unavailable(format!("shard {id} is not open yet"));
                let shard = shard.ok_or_else(absent)?;
                for operation in operations {
                    shard.commit(operation, deadline).await?;
                }
                Ok(())
            }
        });
        match try_join_all(preparing).await {
            Ok(_) => Ok(()),
            // Whatever became of the copy, the topic itself is as it was.
            Err(CommitError::Unknown) => Err(CommitError::Unavailable("a shard did not answer in time".to_owned())),
            Err(CommitError::Rejected(Rejection::UnknownTopic)) => Err(Rejection::UnknownTopic.into()),
            Err(error) => Err(error),
        }
    }

    async fn forget_elsewhere(&self, operation: &Operation, deadline: Option<Instant>) {
        let others = self.shards().into_iter().filter(|shard| shard.id() != META_SHARD);
        let results = join_all(others.map(|shard| {
            let operation = operation.clone();
            async move { (shard.id(), shard.commit(operation, deadline).await) }
        }));
        for (shard, result) in results.await {
            if let Err(error) = result {
                tracing::info!(shard = shard.0, %error, "a deleted topic stays in a shard until it is swept");
            }
        }
    }
}

/// What brings a topic into a shard that had none of its partitions.
fn copy_of(topic: &Topic, partition_count: i32) -> Operation {
    Operation::CreateTopic {
        id: topic.id,
        name: topic.name.clone(),
        partition_count,
        replication_factor: topic.replication_factor,
        configs: std::collections::BTreeMap::new(),
        shard_count: topic.shard_count,
    }
}
