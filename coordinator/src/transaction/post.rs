//! A shard that holds transactional ids, as this node sees it: whether it leads it, and how old its knowledge is.
//!
//! Invariant: what is known counts as known at a time only if the log was seen to end there, or was extended, after that time.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, Committed, Operation, Shard, State};
use parking_lot::Mutex;

use super::error::TransactionError;
use crate::driver::Leadership;

/// How long an answer waits for a look at the log; less than clients wait by default.
pub(super) const LOOK_MAX: Duration = Duration::from_secs(10);
/// How long after its deadline the fate of a commit is waited for.
const LATE_MAX: Duration = Duration::from_millis(500);

/// One shard.
#[derive(Debug)]
pub(super) struct Post {
    shard: Shard,
    leadership: Arc<dyn Leadership>,
    runtime: Runtime,
    known: Mutex<Option<Known>>,
}

/// When the state was last known to be the newest one, by both clocks.
#[derive(Clone, Copy, Debug)]
struct Known {
    at: Instant,
    at_ms: i64,
}

impl Post {
    pub(super) fn new(shard: Shard, leadership: Arc<dyn Leadership>, runtime: Runtime) -> Post {
        Post { shard, leadership, runtime, known: Mutex::new(None) }
    }

    pub(super) fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Whether this node believes that it leads the shard.
    pub(super) fn leads(&self) -> bool {
        self.leadership.leads(self.shard.id())
    }

    /// How long ago the state was last known to be the newest one. The larger answer of both clocks: one of them stands
    /// still while the machine is suspended, the other may be set back.
    pub(super) fn age(&self) -> Option<Duration> {
        let known = (*self.known.lock())?;
        let by_wall_clock_ms = u64::try_from(self.runtime.now_ms().saturating_sub(known.at_ms)).unwrap_or(0);
        let elapsed = self.runtime.monotonic().saturating_duration_since(known.at);
        Some(elapsed.max(Duration::from_millis(by_wall_clock_ms)))
    }

    fn now(&self) -> Known {
        Known { at: self.runtime.monotonic(), at_ms: self.runtime.now_ms() }
    }

    fn note(&self, known: Known) {
        let mut newest = self.known.lock();
        if newest.is_none_or(|newest| newest.at < known.at) {
            *newest = Some(known);
        }
    }

    /// The state at the end of the log.
    pub(super) async fn look(&self) -> Result<Arc<State>, TransactionError> {
        let begun = self.now();
        match self.runtime.timeout(LOOK_MAX, self.shard.catch_up()).await {
            Ok(Ok(state)) => {
                self.note(begun);
                Ok(state)
            }
            Ok(Err(error)) => {
                tracing::warn!(shard = %self.shard.id(), %error, "transactions cannot catch up with the log");
                Err(TransactionError::CoordinatorNotAvailable)
            }
            Err(_elapsed) => {
                tracing::warn!(shard = %self.shard.id(), "the store does not say how transactions stand");
                Err(TransactionError::CoordinatorNotAvailable)
            }
        }
    }

    /// Commits, or gives up a little after the deadline: what waits in line behind a commit that hangs is not answered before.
    pub(super) async fn commit_in_time(
        &self,
        operation: Operation,
        deadline: Instant,
    ) -> Result<Committed, CommitError> {
        let committing = self.commit(operation, deadline);
        self.runtime.timeout_at(deadline + LATE_MAX, committing).await.unwrap_or(Err(CommitError::Unknown))
    }

    pub(super) async fn commit(&self, operation: Operation, deadline: Instant) -> Result<Committed, CommitError> {
        let begun = self.now();
        let result = self.shard.commit(operation, Some(deadline)).await;
        if matches!(result, Ok(_) | Err(CommitError::Rejected(_))) {
            self.note(begun);
        }
        result
    }
}
