//! What is done for a transaction without a request: markers of what is decided, and the abort of what takes too long.
//!
//! Invariants: each step may be done twice, or by two nodes at once, and is tried until it is done or somebody else's job; a
//! transaction is complete only after every shard has its markers.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::planted::{self, Bug};
use alluvium_log::{CommitError, Operation, TransactionRecord};
use alluvium_record::ShardId;
use futures_util::future::join_all;

use super::Shared;
use super::coordinate::end_operation;
use super::identity::{Identity, Next};
use super::participants::Participants;
use super::post::Post;

/// How long one attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);
/// Pause after an attempt that failed; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Pauses between attempts.
struct Pauses(Duration);

impl Pauses {
    fn new() -> Pauses {
        Pauses(PAUSE_MIN)
    }

    async fn pause(&mut self, shared: &Shared) {
        let spread = shared.runtime.random_below(u64::try_from(self.0.as_millis()).unwrap_or(0));
        shared.runtime.sleep(self.0 + Duration::from_millis(spread)).await;
        self.0 = (self.0 * 2).min(PAUSE_MAX);
    }
}

/// One transaction to look after.
pub(super) struct Job {
    pub(super) shared: Arc<Shared>,
    pub(super) post: Arc<Post>,
    pub(super) record: Arc<TransactionRecord>,
    /// Whether this node does it although it does not lead the shard: whoever should has not done it for long.
    pub(super) in_place: bool,
}

impl Job {
    /// Whether it is still there to be done, by this node.
    fn goes_on(&self) -> bool {
        let state = self.post.shard().state();
        let same =
            |known: &Arc<TransactionRecord>| known.number == self.record.number && known.status == self.record.status;
        (self.in_place || self.shared.serves(&self.post))
            && state.transaction(&self.record.transactional_id).is_some_and(same)
    }

    /// Makes sure of what this node believes before it does the work of another.
    async fn is_due_in_place(&self) -> bool {
        !self.in_place || (self.post.look().await.is_ok() && self.goes_on())
    }

    /// Ends a decided transaction on all shards.
    pub(super) async fn finish(self) {
        if !self.is_due_in_place().await {
            return Pauses::new().pause(&self.shared).await;
        }
        let mut elsewhere = Participants::elsewhere(&self.record, self.post.shard().id());
        if planted::is(Bug::MarkerLeftOut) {
            elsewhere.pop_last();
        }
        let marking = elsewhere.into_iter().map(|(shard, participants)| self.mark(shard, participants));
        if !join_all(marking).await.into_iter().all(|done| done) {
            return;
        }
        let mut pauses = Pauses::new();
        while self.goes_on() {
            let deadline = self.shared.runtime.monotonic() + ATTEMPT_MAX;
            let operation = Operation::CompleteTransaction {
                transactional_id: self.record.transactional_id.clone(),
                number: self.record.number,
            };
            match self.post.commit(operation, deadline).await {
                // A rejection means that somebody else has completed it; the newest state shows that.
                Ok(_) | Err(CommitError::Rejected(_)) => return,
                Err(CommitError::Unknown | CommitError::Unavailable(_) | CommitError::Closed) => {
                    pauses.pause(&self.shared).await
                }
            }
        }
    }

    /// Writes the markers of one shard. Tells whether they are there.
    async fn mark(&self, shard: ShardId, participants: Participants) -> bool {
        let operation = Operation::WriteMarkers {
            producer_id: self.record.marker_producer_id,
            epoch: self.record.marker_epoch,
            number: self.record.number,
            commit: self.record.status == alluvium_log::TransactionStatus::PrepareCommit,
            partitions: participants.partitions.into_iter().map(|(partition, _)| partition).collect(),
            groups: participants.groups.into_iter().map(|(group, _)| group).collect(),
        };
        let mut pauses = Pauses::new();
        while self.goes_on() {
            let deadline = self.shared.runtime.monotonic() + ATTEMPT_MAX;
            let result = match self.shared.log.shard(shard) {
                Some(shard) => shard.commit(operation.clone(), Some(deadline)).await.map_err(|error| error.to_string()),
                // A shard that was added a moment ago is opened by this.
                None => self
                    .shared
                    .log
                    .catch_up()
                    .await
                    .map_or_else(|error| Err(error.to_string()), |_| Err("the shard is not open yet".to_owned())),
            };
            match result {
                Ok(_) => return true,
                Err(error) => {
                    let id = &self.record.transactional_id;
                    tracing::debug!(id, %shard, error, "the markers of a transaction are not written yet");
                    pauses.pause(&self.shared).await;
                }
            }
        }
        false
    }

    /// Aborts an open transaction that takes longer than it may.
    pub(super) async fn abort(self) {
        let mut pauses = Pauses::new();
        if !self.is_due_in_place().await {
            return pauses.pause(&self.shared).await;
        }
        let current = Identity::new(self.record.producer_id, self.record.epoch);
        let next = match current.raised() {
            Next::Pair(identity) => Ok(identity),
            Next::NewProducerId => self.shared.new_identity().await,
        };
        let Ok(next) = next else { return pauses.pause(&self.shared).await };
        let deadline = self.shared.runtime.monotonic() + ATTEMPT_MAX;
        let (id, timeout_ms) = (&self.record.transactional_id, self.record.timeout_ms);
        match self.post.commit(end_operation(&self.record, false, next, true), deadline).await {
            Ok(_) => {
                tracing::info!(id, timeout_ms, "a transaction took longer than it may and is aborted");
                let decided = self.post.shard().state().transaction(id).cloned();
                let is_its_end =
                    |known: &Arc<TransactionRecord>| known.number == self.record.number && known.status.is_decided();
                if let Some(record) = decided.filter(is_its_end) {
                    Job { record, ..self }.finish().await;
                }
            }
            Err(error) => {
                tracing::debug!(id, %error, "an overdue transaction is not aborted yet");
                pauses.pause(&self.shared).await;
            }
        }
    }
}
