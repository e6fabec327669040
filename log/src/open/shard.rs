//! Opening one shard: recover its state, start the task that owns its end and the one that routes its appends.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Store, StoreError};
use alluvium_record::ShardId;
use tokio::sync::mpsc;

use super::{LogOptions, OpenLogError};
use crate::commit::{CommitRules, Look, Router, Shard, ShardParts, ShardTask, Waiting};
use crate::counters::ShardCounters;
use crate::paths::{ClusterPaths, ShardPaths};
use crate::peers::PeersSlot;
use crate::recover::{RecoverError, Recovered, recover};
use crate::tail::Tail;
use crate::view::Changes;

/// Requests that may wait for a shard's task.
const REQUESTS_MAX: usize = 4096;
/// Recoveries that are tried when each takes longer than half the log retention.
const RECOVERIES_MAX: usize = 3;

/// What a shard is opened with.
pub(super) struct OpenShard {
    pub(super) store: Arc<dyn Store>,
    pub(super) paths: ClusterPaths,
    pub(super) tail_bytes_max: u64,
    pub(super) options: LogOptions,
    pub(super) changes: Changes,
    pub(super) peers: PeersSlot,
    pub(super) runtime: Runtime,
}

impl OpenShard {
    /// Recovers a shard and starts its tasks.
    pub(super) async fn open(&self, id: ShardId) -> Result<Shard, OpenLogError> {
        let paths = self.paths.shard(id);
        let (recovered, looked) = recover_in_time(self.store.as_ref(), &paths, &self.options.commit, &self.runtime)
            .await
            .map_err(|error| OpenLogError::Recover { shard: id.0, error })?;
        tracing::debug!(
            shard = id.0,
            entry = recovered.state.entry_number(),
            checkpoint = recovered.checkpoint,
            "shard recovered"
        );
        let tail = Arc::new(Tail::new(self.tail_bytes_max));
        let (waiting, counters) = (Waiting::default(), Arc::new(ShardCounters::default()));
        let deadline_default = self.options.commit.deadline_default;
        let (task, state) = ShardTask::new(ShardParts {
            store: self.store.clone(),
            paths: paths.clone(),
            runtime: self.runtime.clone(),
            rules: self.options.commit.clone(),
            node: self.options.node.clone(),
            tail: tail.clone(),
            recovered,
            looked,
            changes: self.changes.clone(),
            peers: self.peers.clone(),
            waiting: waiting.clone(),
            counters: counters.clone(),
        });
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        drop(self.runtime.spawn_essential("shard", task.run(receiver)));
        let (routed, appends) = mpsc::channel(REQUESTS_MAX);
        let router = Router::new(id, self.peers.clone(), requests.clone(), counters.clone());
        drop(self.runtime.spawn_essential("router", router.run(appends)));
        Ok(Shard {
            requests,
            state,
            tail,
            paths,
            runtime: self.runtime.clone(),
            deadline_default,
            routed,
            peers: self.peers.clone(),
            waiting,
            counters,
        })
    }
}

/// Recovers, and again when that took so long that entries may have been collected meanwhile.
async fn recover_in_time(
    store: &dyn Store,
    paths: &ShardPaths,
    rules: &CommitRules,
    runtime: &Runtime,
) -> Result<(Recovered, Look), RecoverError> {
    for _ in 0..RECOVERIES_MAX {
        let look = Look::begin(store, runtime);
        let recovered = recover(store, paths).await;
        // Whoever stands still while he reads may find holes where collection has passed meanwhile, or nothing new.
        if !look.is_past(rules.log_retention, store, runtime) {
            return Ok((recovered?, look));
        }
    }
    Err(StoreError::Timeout.into())
}
