//! Garbage: what nobody refers to goes in the end, and nothing else ever does.

use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{
    AllShards, Collected, Collector, Compactor, CompactorCounters, CompactorParts, CompactorSettings,
};
use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Fault, FaultRule, MemoryStore, Payload, Store, StoreOperation};
use alluvium_log::{Log, LogOptions, ObjectRef, TablePlace};
use alluvium_record::Compression;
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use bytes::Bytes;

use crate::world::{Pair, World, pair};

const HOUR: Duration = Duration::from_secs(3_600);

fn records(count: usize) -> Vec<Pair> {
    (0..count).map(|index| pair(&format!("key {index}"), "value")).collect()
}

struct Garbage {
    collector: Collector,
    counters: Arc<CompactorCounters>,
}

impl Garbage {
    fn of(world: &World) -> Self {
        Self::with(world, CompactorSettings::default())
    }

    fn with(world: &World, settings: CompactorSettings) -> Self {
        let counters = Arc::<CompactorCounters>::default();
        let collector = Collector::new(world.log.clone(), Arc::new(settings), counters.clone(), Shutdown::new());
        Self { collector, counters }
    }

    async fn collect(&self, world: &World, listing: bool) -> Collected {
        let now_ms = world.runtime.now_ms();
        let collected = self.collector.collect(world.log.meta(), now_ms, listing).await.unwrap();
        world.check();
        world.check_reachable().await;
        collected
    }
}

#[test]
fn garbage_goes_when_a_checkpoint_of_the_graces_age_knows_it() {
    Runtime::simulate(31, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let segment = world.append_segment(vec![(0, world.batch(&records(10), Compression::None))]).await;
        let both =
            vec![(0, world.batch(&records(10), Compression::None)), (1, world.batch(&records(10), Compression::None))];
        let shared = world.append_segment(both).await;
        world.compact().await;
        let garbage = Garbage::of(&world);
        assert_eq!(garbage.collect(&world, true).await, Collected::default());
        runtime.sleep(HOUR + Duration::from_secs(1)).await;
        assert_eq!(
            garbage.collect(&world, false).await,
            Collected::default(),
            "no checkpoint covers it: one is written"
        );
        runtime.sleep(HOUR / 2).await;
        assert_eq!(garbage.collect(&world, false).await, Collected::default(), "that is too young");
        assert!(world.exists(segment).await && world.exists(shared).await);
        runtime.sleep(HOUR / 2 + Duration::from_secs(1)).await;
        assert_eq!(garbage.collect(&world, false).await.garbage, 2);
        assert!(!world.exists(segment).await && !world.exists(shared).await);
        assert_eq!(world.log.meta().state().garbage().count(), 0);
        assert_eq!(garbage.counters.objects_deleted.get(), 2);
        assert_eq!(world.read(0).await.len(), 20);
    });
}

#[test]
fn throttled_deletes_make_progress_and_one_that_fails_holds_up_no_other() {
    Runtime::simulate(32, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let mut segments = Vec::new();
        for _ in 0..20 {
            segments.push(world.append_segment(vec![(0, world.batch(&records(3), Compression::None))]).await);
        }
        world.compact().await;
        let garbage = Garbage::of(&world);
        runtime.sleep(HOUR + Duration::from_secs(1)).await;
        garbage.collect(&world, false).await;
        runtime.sleep(HOUR + Duration::from_secs(1)).await;
        world.faulty.chance(Some(StoreOperation::Delete), Fault::Throttle429, 0.7);
        let ObjectRef::Segment(id) = segments[0] else { panic!("a segment") };
        world.faulty.script(FaultRule::always(StoreOperation::Delete, &id.to_string(), Fault::Precondition412));
        garbage.collect(&world, false).await;
        let left = world.log.meta().state().garbage().count();
        assert!((1..10).contains(&left), "{left} are left");
        world.faulty.clear();
        assert_eq!(garbage.collect(&world, false).await.garbage, left as u64);
    });
}

#[test]
fn orphans_go_after_a_day_by_their_id_and_by_the_store() {
    Runtime::simulate(33, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.append_segment(vec![(0, world.batch(&records(10), Compression::None))]).await;
        let paths = world.log.meta().paths().clone();
        let segment = paths.segment(runtime.unique_uuid());
        let place = TablePlace { topic_partition: world.at(0), base_offset: 0, last_offset: 9 };
        let file = paths.table(place, runtime.unique_uuid());
        let timeless = paths.segment(runtime.random_uuid());
        let wrong_id = runtime.unique_uuid();
        for path in [&segment, &file, &timeless] {
            world.memory.put(path, Payload::from(&b"orphan"[..])).await.unwrap();
        }
        let garbage = Garbage::of(&world);
        runtime.sleep(23 * HOUR).await;
        assert_eq!(garbage.collect(&world, true).await.orphans, 0);
        runtime.sleep(HOUR + Duration::from_secs(1)).await;
        // A node whose clock is a day behind has just uploaded this.
        let late = paths.segment(wrong_id);
        world.memory.put(&late, Payload::from(&b"not an orphan yet"[..])).await.unwrap();
        assert_eq!(garbage.collect(&world, false).await.orphans, 0);
        assert_eq!(garbage.collect(&world, true).await.orphans, 2);
        assert!(world.memory.get(&segment).await.is_err() && world.memory.get(&file).await.is_err());
        assert!(world.memory.get(&timeless).await.is_ok(), "what is not ours is left alone");
        assert!(world.memory.get(&late).await.is_ok());
    });
}

async fn numbers(memory: &MemoryStore, prefix: &str) -> Vec<u64> {
    let page = memory.list(prefix, None, 10_000).await.unwrap();
    page.objects
        .iter()
        .filter_map(|object| alluvium_log::paths::ShardPaths::parse_number(object.path.as_str()))
        .collect()
}

#[test]
fn entries_go_behind_two_old_checkpoints_and_the_log_is_still_whole() {
    Runtime::simulate(34, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let paths = world.log.meta().paths().clone();
        let garbage = Garbage::of(&world);
        let put_checkpoint = async || {
            let state = world.log.meta().state();
            let bytes = alluvium_log::format::checkpoint::encode(&state);
            world.memory.put(&paths.checkpoint(state.entry_number()), bytes).await.unwrap();
            state.entry_number()
        };
        for _ in 0..10 {
            world.write(&records(3)).await;
        }
        world.append(vec![(1, world.batch(&records(1), Compression::None))]).await;
        let first = put_checkpoint().await;
        let held = world.objects(1);
        world.compact().await;
        world.append(vec![(1, world.batch(&records(1), Compression::None))]).await;
        let second = put_checkpoint().await;
        runtime.sleep(25 * HOUR).await;
        world.write(&records(3)).await;
        let third = put_checkpoint().await;
        let collected = garbage.collect(&world, true).await;
        assert_eq!((collected.entries, collected.checkpoints), (first, 0));
        assert_eq!(numbers(&world.memory, &paths.entry_prefix()).await.first(), Some(&(first + 1)));
        assert!(!world.exists(held[0]).await, "its runs are in a file");
        let inline = *world.objects(1).last().unwrap();
        runtime.sleep(25 * HOUR).await;
        let fourth = put_checkpoint().await;
        assert_eq!(fourth, third, "nothing was written");
        let before = world.read(0).await;
        let collected = garbage.collect(&world, true).await;
        assert_eq!((collected.entries, collected.checkpoints), (0, 0), "the third was just written again");
        runtime.sleep(25 * HOUR).await;
        let collected = garbage.collect(&world, true).await;
        assert_eq!(collected.entries, second - first - 1, "but for the one that holds records");
        assert_eq!(collected.checkpoints, 1);
        assert_eq!(numbers(&world.memory, &paths.checkpoint_prefix()).await, [second, third]);
        assert!(world.exists(inline).await);
        // Whoever starts now finds everything.
        let again = Log::open(world.memory.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
        assert_eq!(again.meta().state().entry_hash(), world.log.meta().state().entry_hash());
        assert_eq!(crate::world::read(&world.memory, &again, world.at(0)).await, before);
    });
}

/// Records of so many bytes that no codec makes smaller.
fn noise(world: &World, seed: u64, count: usize) -> RecordBatch {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut builder = BatchBuilder::new(Compression::None);
    let value: Vec<u8> = (0..count / 8).flat_map(|_| next().to_le_bytes()).collect();
    let key = Bytes::from(seed.to_string());
    builder.push(world.runtime.now_ms(), Some(key), Some(value.into()), Vec::new()).unwrap();
    builder.build(0)
}

#[test]
fn after_a_day_and_the_graces_little_more_is_stored_than_is_referred_to() {
    Runtime::simulate(38, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let (log, duty) = (world.log.clone(), Arc::new(AllShards));
        let compactor = Compactor::start(CompactorParts { log, duty, settings: CompactorSettings::default() });
        // A day of 240 flushes of 320 KiB: most of them in entries, some in segments.
        for flush in 0..240_u64 {
            let batches = (0..2).map(|partition| (partition, noise(&world, flush * 2 + partition as u64, 160 * 1024)));
            let batches: Vec<_> = batches.collect();
            match flush % 5 {
                0 => drop(world.append_segment(batches).await),
                _ => drop(world.append(batches).await),
            }
            runtime.sleep(HOUR / 10).await;
        }
        // Entries and what they were merged from stay for a day; until then a record may lie there twice.
        let stored = world.stored_bytes().await;
        let referred = || world.partition(0).size_bytes() + world.partition(1).size_bytes();
        assert!(stored <= referred() * 22 / 10, "{stored} bytes for {}", referred());
        // Nobody writes. A checkpoint an hour, two of them, a day until they are old, and an hour until it is noticed.
        runtime.sleep(29 * HOUR).await;
        let (stored, referred) = (world.stored_bytes().await, referred());
        assert!(referred > 240 * 320 * 1024, "all of it is there");
        assert!(stored <= referred * 102 / 100, "{stored} bytes are stored, {referred} referred to");
        compactor.stop().await.unwrap();
        world.check();
        world.check_reachable().await;
        assert_eq!((world.read(0).await.len(), world.read(1).await.len()), (240, 240));
        // What is left is enough to open the log.
        let entries = world.log.meta().state().entry_number();
        let again = Log::open(world.faulty.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
        assert_eq!(again.meta().state().entry_number(), entries);
    });
}
