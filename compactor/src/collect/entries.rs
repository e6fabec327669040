//! Entries that checkpoints cover, and checkpoints that newer ones replace.
//!
//! Invariants:
//! 1. An entry goes when two checkpoints cover it that are older than the log retention, so that one of them may be damaged; when
//!    no run has its data in it; and when it is older than the log retention itself, which is what writers count on (7).
//! 2. The checkpoints that cover what is gone stay, and so do the two newest.
//! 3. Entries whose data was merged do not stay because a shard rests: when they are more than a share of what it holds, checkpoints
//!    are written that cover them.

use alluvium_infra::planted::{self, Bug};
use alluvium_log::format::checkpoint;
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ObjectRef, Operation, Partition, Shard};

use super::{CollectError, Collector, DELETES_PER_ROUND_MAX, is_past};

/// Checkpoints that stay of those that are old, and of all.
const CHECKPOINTS_KEPT: usize = 2;
/// Entries without data that runs need may take this share of what runs have, and at least so many bytes, before checkpoints are
/// written to be rid of them.
const MERGED_SHARE: u64 = 100;
const MERGED_BYTES_MIN: u64 = 1024 * 1024;

impl Collector {
    /// How many entries and how many checkpoints were deleted.
    pub(super) async fn collect_log(&self, shard: &Shard, now_ms: i64) -> Result<(u64, u64), CollectError> {
        let (paths, retention) = (shard.paths(), self.settings.log_retention);
        let (mut checkpoints, mut newest_bytes) = (Vec::new(), 0);
        self.list(&paths.checkpoint_prefix(), |object| {
            newest_bytes = object.size;
            let number = ShardPaths::parse_number(object.path.as_str());
            checkpoints.extend(number.map(|number| (number, is_past(object.last_modified_ms, retention, now_ms))));
            true
        })
        .await?;
        checkpoints.sort_unstable();
        let old: Vec<u64> = checkpoints.iter().filter(|(_, is_old)| *is_old).map(|(number, _)| *number).collect();
        let kept_old = old.len().saturating_sub(CHECKPOINTS_KEPT);
        let mut entries = 0;
        if old.len() >= CHECKPOINTS_KEPT {
            entries = self.collect_entries(shard, old[kept_old], now_ms).await?;
        }
        let newest = checkpoints.len().saturating_sub(CHECKPOINTS_KEPT);
        let behind = checkpoints.get(newest).map_or(0, |(number, _)| *number);
        let gone = old[..kept_old].iter().filter(|number| **number < behind);
        let gone = gone.map(|number| (paths.checkpoint(*number), *number)).collect();
        let gone = self.delete(gone).await.len() as u64;
        self.cover_merged(shard, &checkpoints, newest_bytes).await?;
        Ok((entries, gone))
    }

    /// Writes a checkpoint when entries that not two cover take more than their share and more than a checkpoint. The next time
    /// it writes another, and then two cover them.
    async fn cover_merged(
        &self,
        shard: &Shard,
        checkpoints: &[(u64, bool)],
        checkpoint_bytes: u64,
    ) -> Result<(), CollectError> {
        let (paths, mut state, mut merged) = (shard.paths(), shard.state(), 0);
        let newest = checkpoints.last().map_or(0, |(number, _)| *number);
        let covered = checkpoints.iter().rev().nth(CHECKPOINTS_KEPT - 1).map_or(0, |(number, _)| *number);
        self.list_after(&paths.entry_prefix(), Some(paths.entry(covered).as_str().to_owned()), |object| {
            let number = ShardPaths::parse_number(object.path.as_str());
            if number.is_some_and(|number| state.references(ObjectRef::Entry(number)) == 0) {
                merged += object.size;
            }
            true
        })
        .await?;
        let held: u64 = state.partitions().map(|(_, partition)| Partition::size_bytes(partition)).sum();
        if merged <= (held / MERGED_SHARE).max(MERGED_BYTES_MIN).max(checkpoint_bytes) {
            return Ok(());
        }
        if state.entry_number() <= newest {
            // Nothing has happened since: an entry that changes nothing gives the next checkpoint a number of its own.
            shard.commit(Operation::ForgetObjects { objects: Vec::new() }, None).await?;
            state = shard.state();
        }
        let number = state.entry_number();
        self.store().put(&paths.checkpoint(number), checkpoint::encode(&state)).await?;
        tracing::debug!(shard = shard.id().0, number, merged, "checkpoint written to cover entries that were merged");
        Ok(())
    }

    async fn collect_entries(&self, shard: &Shard, covered: u64, now_ms: i64) -> Result<u64, CollectError> {
        let mut old = Vec::new();
        let known = shard.state();
        self.list(&shard.paths().entry_prefix(), |object| {
            let Some(number) = ShardPaths::parse_number(object.path.as_str()) else { return true };
            let is_old = number <= covered && is_past(object.last_modified_ms, self.settings.log_retention, now_ms);
            if is_old && (known.references(ObjectRef::Entry(number)) == 0 || planted::is(Bug::CollectReachable)) {
                old.push((object.path, number));
            }
            is_old && old.len() < DELETES_PER_ROUND_MAX
        })
        .await?;
        if old.is_empty() {
            return Ok(0);
        }
        let state = shard.catch_up().await?;
        old.retain(|(_, number)| {
            state.references(ObjectRef::Entry(*number)) == 0 || planted::is(Bug::CollectReachable)
        });
        Ok(self.delete(old).await.len() as u64)
    }
}
