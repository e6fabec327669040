//! Orphans: segments and files that were uploaded and that no entry ever named.
//!
//! Invariant: no entry names a segment or a file that is nearly so old, so what is not referred to at this age never will be. Its
//! age is that by its id *and* that by the store: a node whose clock is wrong loses nothing.

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::store::{ObjectInfo, StorePath};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ObjectRef, Shard};
use uuid::Uuid;

use super::{CollectError, Collector, DELETES_PER_ROUND_MAX, is_past, time_of};

impl Collector {
    pub(super) async fn collect_orphans(&self, shard: &Shard, now_ms: i64) -> Result<u64, CollectError> {
        let (paths, known) = (shard.paths(), shard.state());
        let referred = |id: Uuid| known.references(ObjectRef::Segment(id)) + known.references(ObjectRef::Table(id)) > 0;
        let mut old: Vec<(StorePath, ObjectRef)> = Vec::new();
        self.list(&paths.segment_prefix(), |object| {
            let id = object.path.as_str().rsplit('/').next().and_then(|name| Uuid::parse_str(name).ok());
            old.extend(
                self.is_old(&object, id, now_ms)
                    .filter(|id| !referred(*id))
                    .map(|id| (object.path, ObjectRef::Segment(id))),
            );
            old.len() < DELETES_PER_ROUND_MAX
        })
        .await?;
        self.list(&paths.table_prefix(), |object| {
            let id = ShardPaths::parse_table(object.path.as_str()).map(|(_, id)| id);
            old.extend(
                self.is_old(&object, id, now_ms)
                    .filter(|id| !referred(*id))
                    .map(|id| (object.path, ObjectRef::Table(id))),
            );
            old.len() < 2 * DELETES_PER_ROUND_MAX
        })
        .await?;
        if old.is_empty() || planted::is(Bug::OrphansStay) {
            return Ok(0);
        }
        let state = shard.catch_up().await?;
        let listed: std::collections::BTreeSet<ObjectRef> = state.garbage().map(|(object, _)| object).collect();
        old.retain(|(_, object)| state.references(*object) == 0 && !listed.contains(object));
        let deleted = self.delete(old).await;
        Ok(deleted.len() as u64)
    }

    /// The id, when the object is so old that no entry will name it. What is not ours is left alone.
    fn is_old(&self, object: &ObjectInfo, id: Option<Uuid>, now_ms: i64) -> Option<Uuid> {
        let age = self.settings.orphan_age;
        let id = id?;
        (is_past(time_of(id)?, age, now_ms) && is_past(object.last_modified_ms, age, now_ms)).then_some(id)
    }
}
