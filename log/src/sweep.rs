//! Sweeping copies of topics that the meta shard does not know: what a crash between two shards left behind.
//!
//! Invariants: only the leader of a shard sweeps it; only copies that are older than a creation can take; and only after the
//! meta shard was read to its end *after* the copy was seen.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_record::TopicId;
use tokio_util::sync::CancellationToken;

use crate::open::Log;
use crate::operation::Operation;
use crate::placement::META_SHARD;

/// How often the shards are looked through; nothing is read from the store unless a copy looks orphaned.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A copy younger than this may belong to a topic that is being created.
const COPY_AGE_MS_MIN: i64 = 10 * 60 * 1000;

/// Sweeps now and then, until the log is closed or gone.
pub(crate) async fn sweep_for_ever(log: impl Fn() -> Option<Log>, runtime: Runtime, closed: CancellationToken) {
    loop {
        tokio::select! {
            () = closed.cancelled() => return,
            () = runtime.sleep(SWEEP_INTERVAL) => {}
        }
        match log() {
            Some(log) => log.sweep().await,
            None => return,
        }
    }
}

impl Log {
    /// Deletes the copies of topics that are gone.
    pub async fn sweep(&self) {
        for shard in self.shards().into_iter().filter(|shard| shard.id() != META_SHARD) {
            if self.peers().is_some_and(|peers| peers.leader(shard.id()).is_some()) {
                continue;
            }
            let meta = self.meta().state();
            let now_ms = self.runtime().now_ms();
            let state = shard.state();
            let orphaned: Vec<TopicId> = state
                .topic_copies()
                .filter(|copy| {
                    now_ms.saturating_sub(copy.created_ms) > COPY_AGE_MS_MIN && meta.topic(copy.id).is_none()
                })
                .map(|copy| copy.id)
                .collect();
            if orphaned.is_empty() {
                continue;
            }
            let Ok(meta) = self.meta().catch_up().await else { return };
            for id in orphaned.into_iter().filter(|id| meta.topic(*id).is_none()) {
                match shard.commit(Operation::DeleteTopic { id }, None).await {
                    Ok(_) => {
                        tracing::info!(topic = %id, shard = shard.id().0, "copy of a topic that is gone was swept")
                    }
                    Err(error) => tracing::info!(topic = %id, %error, "copy of a topic was not swept"),
                }
            }
        }
    }
}
