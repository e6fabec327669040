//! A garbage collector at the shortest grace that the design allows, until the product has one.
//!
//! It deletes entries that a checkpoint of at least the grace's age covers, that nothing refers to, and that are older than
//! the grace on the store's clock. Invariant 8: nothing reachable is deleted; invariant 7 is what writers owe it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::store::Store;
use alluvium_log::format::checkpoint;
use alluvium_log::paths::ShardPaths;
use alluvium_log::{ObjectRef, State};
use alluvium_record::ShardId;

use crate::world::World;

const PAGE: usize = 10_000;

/// Collects for as long as the world lasts.
pub(crate) async fn collect(world: Arc<World>, grace: Duration) {
    loop {
        world.runtime.sleep(grace / 4).await;
        for shard in world.shards() {
            if let Err(error) = sweep(&world, shard, grace).await {
                world.finding(8, format!("the collector cannot read the bucket: {error}"));
                return;
            }
        }
    }
}

async fn sweep(world: &World, shard: ShardId, grace: Duration) -> Result<(), String> {
    let now_ms = world.runtime.now_ms();
    let is_old = |written_ms: i64| now_ms.saturating_sub(written_ms) > grace.as_millis() as i64;
    let (bucket, paths) = (&world.bucket, world.paths.shard(shard));
    let list = async |prefix: String| bucket.list(&prefix, None, PAGE).await.map_err(|error| error.to_string());
    let checkpoints = list(paths.checkpoint_prefix()).await?;
    let Some(covering) = checkpoints.objects.iter().rev().find(|object| is_old(object.last_modified_ms)) else {
        return Ok(());
    };
    let bytes = bucket.get(&covering.path).await.map_err(|error| error.to_string())?;
    let covered = checkpoint::decode(&bytes).map_err(|error| error.to_string())?;
    let mut reachable = references(&covered);
    if let Some(durable) = world.durable_state(shard) {
        reachable.extend(references(&durable));
    }
    if planted::is(Bug::CollectReachable) {
        reachable.clear();
    }
    for object in list(paths.entry_prefix()).await?.objects {
        let Some(number) = ShardPaths::parse_number(object.path.as_ref()) else { continue };
        if number <= covered.entry_number() && !reachable.contains(&number) && is_old(object.last_modified_ms) {
            bucket.delete(&object.path).await.map_err(|error| error.to_string())?;
            world.note(format_args!("world"), || format!("entry {number} is collected"));
            let at_us = world.now_us();
            world.history(|history| history.collected.push((object.path.to_string(), at_us)));
        }
    }
    Ok(())
}

/// Entries that hold records of a state.
fn references(state: &State) -> BTreeSet<u64> {
    state
        .partitions()
        .flat_map(|(_, partition)| partition.runs())
        .filter_map(|run| match run.object {
            ObjectRef::Entry(number) => Some(number),
            ObjectRef::Segment(_) | ObjectRef::Table(_) | ObjectRef::Nothing => None,
        })
        .collect()
}
