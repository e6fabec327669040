//! The end of a bucket that was compacted: all nodes are gone, and days later somebody compacts it, again and again.
//!
//! Invariant 8: after that there is nothing in it that nobody needs. What is left is read once more, so what went too far is seen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts};
use alluvium_infra::store::{ObjectInfo, Store};
use alluvium_log::paths::ShardPaths;
use alluvium_log::{Log, ObjectRef, State};
use alluvium_record::ShardId;

use crate::cluster::Cluster;
use crate::node::{compactor_settings, log_options};
use crate::store::SimulatedStore;
use crate::world::World;

/// Longer than anything is kept that nobody refers to.
const IDLE: Duration = Duration::from_secs(25 * 3_600);
/// Merge; write a checkpoint that knows of the garbage; delete it; forget it; and once more.
const ROUNDS: u32 = 5;
/// Checkpoints of a shard that may be left.
const CHECKPOINTS_MAX: usize = 4;

/// Lets all nodes go, compacts, and looks at what is left.
pub(crate) async fn sweep(cluster: &Cluster) {
    let world = &cluster.world;
    cluster.nodes.iter().for_each(|node| node.stop());
    for round in 0..ROUNDS {
        world.runtime.sleep(IDLE).await;
        if let Err(problem) = compact(world, cluster.nodes.len() as u32 + 1).await {
            world.finding(8, format!("round {round} over an idle bucket: {problem}"));
        }
    }
    for shard in world.shards() {
        if let Err(problem) = left_over(world, shard).await {
            world.finding(8, problem);
        }
    }
}

async fn compact(world: &Arc<World>, node: u32) -> Result<(), String> {
    let runtime = world.runtime.fork();
    let store: Arc<dyn Store> = Arc::new(SimulatedStore::new(world.clone(), node, runtime.clone()));
    let log = Log::open(store, log_options(&world.scenario, node), runtime.clone()).await;
    let log = log.map_err(|error| error.to_string())?;
    let settings = compactor_settings(&world.scenario).at_once();
    let compactor = Compactor::new(CompactorParts { log, duty: Arc::new(AllShards), settings });
    let report = compactor.run_once(None, |_| {}).await;
    let damaged = compactor.counters().jobs_damaged.get();
    runtime.crash();
    // No producer here packs a batch wrongly: a run that seems so is a failure.
    match (report.failed + report.unreadable, report.lost, damaged) {
        (0, 0, 0) => Ok(()),
        (failed, lost, damaged) => Err(format!("{failed} jobs failed, {lost} lost, {damaged} found damage")),
    }
}

/// Objects of a shard that ought to be gone.
async fn left_over(world: &World, shard: ShardId) -> Result<(), String> {
    let paths = world.paths.shard(shard);
    let state = world.durable_state(shard).ok_or("a shard without a state")?;
    let list = async |prefix: String| {
        let page = world.bucket.list(&prefix, None, usize::MAX).await.map_err(|error| error.to_string())?;
        Ok::<Vec<ObjectInfo>, String>(page.objects)
    };
    let number_of = |object: &ObjectInfo| ShardPaths::parse_number(object.path.as_str());
    let checkpoints: BTreeSet<u64> = list(paths.checkpoint_prefix()).await?.iter().filter_map(number_of).collect();
    if checkpoints.len() > CHECKPOINTS_MAX {
        return Err(format!("{} checkpoints are left: {checkpoints:?}", checkpoints.len()));
    }
    let covered = checkpoints.first().copied().unwrap_or(0);
    let entries = list(paths.entry_prefix()).await?;
    let is_over = |number: &u64| *number <= covered && state.references(ObjectRef::Entry(*number)) == 0;
    if let Some(number) = entries.iter().filter_map(number_of).find(is_over) {
        return Err(format!("entry {number} is left, all checkpoints cover it and nobody needs it"));
    }
    let id_of = |object: &ObjectInfo| uuid::Uuid::parse_str(object.path.as_str().rsplit('/').next()?).ok();
    for object in list(paths.segment_prefix()).await? {
        needed(&state, &object, id_of(&object).map(ObjectRef::Segment))?;
    }
    for object in list(paths.table_prefix()).await? {
        needed(&state, &object, ShardPaths::parse_table(object.path.as_str()).map(|(_, id)| ObjectRef::Table(id)))?;
    }
    match state.garbage().count() {
        0 => Ok(()),
        count => Err(format!("{count} objects are on the list of garbage and deleted")),
    }
}

fn needed(state: &State, object: &ObjectInfo, named: Option<ObjectRef>) -> Result<(), String> {
    match named.map(|named| state.references(named)) {
        Some(1..) => Ok(()),
        _ => Err(format!("{} is left, nobody needs it", object.path)),
    }
}
