//! Jobs that are overtaken, cut off, or run twice: nothing is lost, nothing is changed twice.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use alluvium_log::Operation;
use alluvium_record::Compression;
use alluvium_record::batch::{BatchBuilder, RecordBatch};

use crate::world::{Pair, World, pair, tombstone};

fn records(count: usize) -> Vec<Pair> {
    (0..count).map(|index| pair(&format!("key {index}"), "value")).collect()
}

/// Compacts while the upload of the file is held up, and does `meanwhile` then.
async fn overtaken<F: Future<Output = ()>>(
    world: &World,
    meanwhile: impl FnOnce() -> F,
) -> alluvium_compactor::RoundReport {
    world.faulty.script(FaultRule::nth(1, StoreOperation::Put, "/topic/", Fault::SlowReply(Duration::from_secs(60))));
    let compactor = world.compactor(World::settings());
    let job = world.runtime.spawn("job", async move { compactor.run_once(None, |_| {}).await });
    world.runtime.sleep(Duration::from_secs(30)).await;
    meanwhile().await;
    job.await.unwrap()
}

#[test]
fn a_job_loses_against_retention_and_leaves_no_file() {
    Runtime::simulate(11, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(&records(10)).await;
        world.write(&records(10)).await;
        let report = overtaken(&world, async || {
            let delete = Operation::DeleteRecords { topic_partition: world.at(0), before_offset: 12 };
            world.log.meta().commit(delete, None).await.unwrap();
        })
        .await;
        assert_eq!((report.replaced, report.lost, report.failed), (0, 1, 0));
        assert_eq!(world.table_paths().await, []);
        assert_eq!(world.kinds(0), "r");
        assert_eq!(world.compact().await.replaced, 1);
        assert_eq!(world.read(0).await.len(), 8);
    });
}

#[test]
fn a_job_loses_against_the_deletion_of_its_topic() {
    Runtime::simulate(12, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(&records(10)).await;
        let report = overtaken(&world, async || {
            world.log.meta().commit(Operation::DeleteTopic { id: world.topic }, None).await.unwrap();
        })
        .await;
        assert_eq!((report.replaced, report.lost, report.failed), (0, 1, 0));
        assert_eq!(world.table_paths().await, []);
    });
}

#[test]
fn of_two_compactors_one_wins_and_the_other_leaves_nothing() {
    Runtime::simulate(13, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for _ in 0..3 {
            world.write(&records(100)).await;
            world.append_segment(vec![(0, world.batch(&records(50), Compression::Zstd))]).await;
        }
        let before = world.read(0).await;
        let report = overtaken(&world, async || {
            assert_eq!(world.compact().await.replaced, 1);
        })
        .await;
        assert_eq!((report.replaced, report.lost, report.failed), (0, 1, 0));
        assert_eq!(world.table_paths().await.len(), 1);
        assert_eq!(world.read(0).await, before);
        world.check_reachable().await;
    });
}

#[test]
fn what_is_written_meanwhile_is_no_hindrance() {
    Runtime::simulate(14, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(&records(10)).await;
        let report = overtaken(&world, async || world.write(&records(5)).await).await;
        assert_eq!((report.replaced, report.lost), (1, 0));
        assert_eq!(world.kinds(0), "tr");
        assert_eq!(world.read(0).await.len(), 15);
    });
}

/// A world with raw runs, whose content is known.
async fn raw(runtime: &Runtime) -> World {
    let world = World::new(runtime, &[]).await;
    world.write(&[pair("key 1", "value"), tombstone("key 2")]).await;
    let both = vec![(0, world.batch(&records(5), Compression::Lz4)), (1, world.batch(&records(5), Compression::None))];
    world.append_segment(both).await;
    world
}

/// A world with two files to compact by key.
async fn keyed(runtime: &Runtime) -> World {
    let world = World::new(runtime, &[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]).await;
    world.write(&records(5)).await;
    world.compact().await;
    world.write(&[pair("key 1", "new"), tombstone("key 2"), pair("key 3", "new")]).await;
    world
}

/// The newest value of each key.
async fn newest(world: &World) -> std::collections::BTreeMap<Vec<u8>, (i64, Option<Vec<u8>>)> {
    let seen = world.read(0).await;
    seen.into_iter().map(|seen| (seen.2.unwrap().to_vec(), (seen.0, seen.3.map(|value| value.to_vec())))).collect()
}

/// Records that no codec makes smaller: their file is longer than two parts of an upload.
fn incompressible(runtime: &Runtime) -> Vec<RecordBatch> {
    let batch = |batch: usize| {
        let mut builder = BatchBuilder::new(Compression::None);
        for record in 0..2 {
            let value: Vec<u8> = (0..64 * 1024).flat_map(|_| runtime.random_u64().to_le_bytes()).collect();
            let key = format!("key {batch} {record}");
            builder.push(runtime.now_ms(), Some(key.into()), Some(value.into()), Vec::new()).unwrap();
        }
        builder.build(0)
    };
    (0..17).map(batch).collect()
}

/// A world with these in two segments.
async fn large(runtime: &Runtime, batches: &[RecordBatch]) -> World {
    let world = World::new(runtime, &[]).await;
    for batches in batches.chunks(9) {
        world.append_segment(batches.iter().map(|batch| (0, batch.clone())).collect()).await;
    }
    world
}

/// How many requests suffered.
async fn cut_at(world: World, nth: u64, times: u64, fault: Fault) -> u64 {
    cut_by(world, FaultRule { operation: None, path_contains: String::new(), skip: nth - 1, times, fault }).await
}

async fn cut_by(world: World, rule: FaultRule) -> u64 {
    let (runtime, nth) = (world.runtime.clone(), rule.skip + 1);
    let (before, other) = (newest(&world).await, world.read(1).await);
    world.faulty.script(rule);
    let compactor = world.compactor(World::settings());
    // A process that dies: wherever it is, it does nothing more.
    let _ended = runtime.timeout(Duration::from_secs(90), compactor.run_once(None, |_| {})).await;
    let injected = world.faulty.injected_count();
    world.faulty.clear();
    world.log.catch_up().await.unwrap();
    world.check();
    world.check_reachable().await;
    assert_eq!(newest(&world).await, before, "after a cut at operation {nth}");
    assert_eq!(world.read(1).await, other, "after a cut at operation {nth}");
    world.write(&[pair("behind", "all")]).await;
    world.compact().await;
    world.check_reachable().await;
    let mut after = newest(&world).await;
    after.remove(b"behind".as_slice());
    assert_eq!(after, before, "after a cut at operation {nth} and another try");
    injected
}

#[test]
fn a_cut_at_any_operation_of_the_store_loses_nothing() {
    Runtime::simulate(15, |runtime| async move {
        for fault in [Fault::Unavailable503, Fault::ReplyLost] {
            let mut nth = 1;
            while cut_at(raw(&runtime.fork()).await, nth, u64::MAX, fault.clone()).await > 0 {
                nth += 1;
            }
            assert!(nth > 15, "{nth} operations");
        }
    });
}

#[test]
fn a_cut_at_any_operation_of_a_compaction_by_key_loses_nothing() {
    Runtime::simulate(16, |runtime| async move {
        let mut nth = 1;
        while cut_at(keyed(&runtime.fork()).await, nth, u64::MAX, Fault::Unavailable503AfterApply).await > 0 {
            nth += 1;
        }
        assert!(nth > 20, "{nth} operations");
    });
}

#[test]
fn a_failure_of_any_operation_of_the_store_loses_nothing() {
    Runtime::simulate(17, |runtime| async move {
        let faults = [
            Fault::Unavailable503AfterApply,
            Fault::Conflict409,
            Fault::LatePut(Duration::from_secs(3)),
            Fault::TruncatedRead,
        ];
        for fault in faults {
            let mut nth = 1;
            while cut_at(raw(&runtime.fork()).await, nth, 1, fault.clone()).await > 0 {
                nth += 1;
            }
            assert!(nth > 15, "{nth} operations");
        }
    });
}

#[test]
fn a_file_of_several_parts_is_uploaded_in_parts() {
    Runtime::simulate(18, |runtime| async move {
        let world = large(&runtime, &incompressible(&runtime)).await;
        let path_contains = "/topic/".to_owned();
        let fault = Fault::Slow(Duration::ZERO);
        world.faulty.script(FaultRule { operation: None, path_contains, skip: 0, times: u64::MAX, fault });
        assert_eq!(world.compact().await.replaced, 1);
        let injected = world.faulty.injected();
        let count = |wanted: StoreOperation| injected.iter().filter(|fault| fault.operation == wanted).count();
        let requests = [
            StoreOperation::Put,
            StoreOperation::BeginUpload,
            StoreOperation::PutPart,
            StoreOperation::FinishUpload,
            StoreOperation::AbortUpload,
        ];
        assert_eq!(requests.map(count), [0, 1, 3, 1, 0]);
    });
}

#[test]
fn a_cut_at_any_operation_of_an_upload_in_parts_loses_nothing() {
    Runtime::simulate(19, |runtime| async move {
        let batches = incompressible(&runtime);
        // Begin, three parts, finish, the first look at what was written; what is not of the file goes on.
        for (skip, fault) in (0..6).flat_map(|skip| [(skip, Fault::Unavailable503), (skip, Fault::ReplyLost)]) {
            let path_contains = "/topic/".to_owned();
            let rule = FaultRule { operation: None, path_contains, skip, times: u64::MAX, fault };
            let suffered = cut_by(large(&runtime.fork(), &batches).await, rule).await;
            assert!(suffered > 0, "operation {skip} of the file");
        }
    });
}
