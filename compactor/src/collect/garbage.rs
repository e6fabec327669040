//! The list of garbage: what lost its last reference in an entry.
//!
//! Invariant: a node that recovers from a checkpoint that is older than the grace, or reads with a state that is, still finds
//! everything that its state refers to.

use alluvium_infra::limits::FORGOTTEN_PER_ENTRY_MAX;
use alluvium_infra::planted::{self, Bug};
use alluvium_log::format::checkpoint;
use alluvium_log::paths::ShardPaths;
use alluvium_log::{Garbage, ObjectRef, Operation, Shard, State};

use super::{CollectError, Collector, is_past};

impl Collector {
    pub(super) async fn collect_garbage(&self, shard: &Shard, now_ms: i64) -> Result<u64, CollectError> {
        let state = shard.state();
        let grace = self.settings.garbage_grace;
        let due: Vec<(ObjectRef, Garbage)> = state
            .garbage()
            .filter(|(_, garbage)| is_past(garbage.since_ms, grace, now_ms) || planted::is(Bug::CollectWithoutGrace))
            .map(|(object, garbage)| (object, *garbage))
            .collect();
        if due.is_empty() {
            return Ok(0);
        }
        let covered = self.covered(shard, &state, &due, now_ms).await?;
        let covered = due.into_iter().filter(|(_, garbage)| garbage.entry_number <= covered);
        let paths = shard.paths();
        let objects: Vec<_> =
            covered.filter_map(|(object, garbage)| Some((garbage.path(object, paths)?, object))).collect();
        let mut count = 0;
        for objects in objects.chunks(FORGOTTEN_PER_ENTRY_MAX) {
            let newest = shard.state();
            let unreferred = objects.iter().filter(|(_, object)| newest.references(*object) == 0).cloned().collect();
            let objects = self.delete(unreferred).await;
            if !objects.is_empty() {
                count += objects.len() as u64;
                shard.commit(Operation::ForgetObjects { objects }, None).await?;
            }
        }
        Ok(count)
    }

    /// The newest entry that a checkpoint of the grace's age covers. Where none will cover the garbage soon, one is written: an
    /// idle shard has no other reason to.
    async fn covered(
        &self,
        shard: &Shard,
        state: &State,
        due: &[(ObjectRef, Garbage)],
        now_ms: i64,
    ) -> Result<u64, CollectError> {
        let paths = shard.paths();
        let (mut covered, mut newest) = (0, 0);
        self.list(&paths.checkpoint_prefix(), |object| {
            if let Some(number) = ShardPaths::parse_number(object.path.as_str()) {
                newest = newest.max(number);
                if is_past(object.last_modified_ms, self.settings.garbage_grace, now_ms) {
                    covered = covered.max(number);
                }
            }
            true
        })
        .await?;
        let needed = due.iter().map(|(_, garbage)| garbage.entry_number).max().unwrap_or(0);
        if needed > newest {
            let number = state.entry_number();
            // The same state gives the same bytes: whoever else writes it writes the same.
            self.store().put(&paths.checkpoint(number), checkpoint::encode(state)).await?;
            tracing::debug!(shard = shard.id().0, number, "checkpoint written to cover garbage");
        }
        Ok(if planted::is(Bug::CollectWithoutGrace) { u64::MAX } else { covered })
    }
}
