//! Compaction by key, with Kafka's rules.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use alluvium_log::{ObjectRef, Operation};
use alluvium_record::Compression;

use crate::world::{Pair, World, pair, tombstone};

const HOUR: Duration = Duration::from_secs(3_600);

/// Offset and value by key, for those that are there.
async fn shown(world: &World) -> String {
    let text = |bytes: Option<bytes::Bytes>| {
        bytes.map_or("-".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let seen = world.read(0).await;
    seen.into_iter().map(|seen| format!("{}:{}={}", seen.0, text(seen.2), text(seen.3))).collect::<Vec<_>>().join(" ")
}

async fn world(runtime: &Runtime, configs: &[(&str, &str)]) -> World {
    let all = [&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")], configs].concat();
    World::new(runtime, &all).await
}

/// A batch that becomes a file of its own.
async fn file(world: &World, records: &[Pair]) {
    world.write(records).await;
    world.compact().await;
}

#[test]
fn the_last_record_of_each_key_stays_at_its_offset() {
    Runtime::simulate(41, |runtime| async move {
        let world = world(&runtime, &[]).await;
        file(&world, &[pair("a", "1"), pair("b", "1"), pair("c", "1"), pair("a", "2")]).await;
        assert_eq!(shown(&world).await, "0:a=1 1:b=1 2:c=1 3:a=2", "the last run is not touched");
        file(&world, &[pair("b", "2"), pair("d", "1")]).await;
        assert_eq!(shown(&world).await, "1:b=1 2:c=1 3:a=2 4:b=2 5:d=1");
        assert_eq!(world.partition(0).cleaned_to(), 4);
        file(&world, &[pair("e", "1")]).await;
        assert_eq!(shown(&world).await, "2:c=1 3:a=2 4:b=2 5:d=1 6:e=1");
        assert_eq!((world.partition(0).cleaned_to(), world.partition(0).high_watermark()), (6, 7));
        world.check_reachable().await;
    });
}

#[test]
fn what_is_read_of_files_is_counted_each_time() {
    Runtime::simulate(40, |runtime| async move {
        let world = world(&runtime, &[]).await;
        let noise: Vec<Pair> = (0..200).map(|key| pair(&key.to_string(), &runtime.random_uuid().to_string())).collect();
        file(&world, &noise).await;
        let file_bytes = u64::from(world.partition(0).runs().next().unwrap().length);
        world.write(&[pair("end", "1")]).await;
        let compactor = world.compactor(World::settings());
        assert_eq!(compactor.run_once(None, |_| {}).await.replaced, 2);
        // For its keys, to judge its records, and to write those that stay: of these files about half are row groups.
        let read = compactor.counters().read_bytes.get();
        assert!((file_bytes..3 * file_bytes).contains(&read), "{read} bytes read of a file of {file_bytes}");
    });
}

#[test]
fn empty_keys_are_keys_and_records_without_one_go() {
    Runtime::simulate(42, |runtime| async move {
        let world = world(&runtime, &[]).await;
        file(&world, &[pair("", "1"), (None, Some("no key".to_owned())), pair("a", ""), pair("", "2")]).await;
        file(&world, &[pair("end", "1")]).await;
        assert_eq!(shown(&world).await, "2:a= 3:=2 4:end=1");
    });
}

#[test]
fn tombstones_stay_for_their_retention_and_what_they_delete_goes_first() {
    Runtime::simulate(43, |runtime| async move {
        let world = world(&runtime, &[("delete.retention.ms", "86400000")]).await;
        file(&world, &[pair("a", "1"), pair("b", "1")]).await;
        file(&world, &[tombstone("a")]).await;
        file(&world, &[pair("c", "1")]).await;
        assert_eq!(shown(&world).await, "1:b=1 2:a=- 3:c=1");
        runtime.sleep(23 * HOUR).await;
        file(&world, &[pair("c", "2")]).await;
        assert_eq!(shown(&world).await, "1:b=1 2:a=- 3:c=1 4:c=2");
        runtime.sleep(8 * HOUR).await;
        file(&world, &[pair("c", "3")]).await;
        assert_eq!(shown(&world).await, "1:b=1 4:c=2 5:c=3", "a day after the compaction that saw it first");
    });
}

#[test]
fn tombstones_go_although_there_are_new_ones_all_the_time() {
    Runtime::simulate(44, |runtime| async move {
        let world = world(&runtime, &[("delete.retention.ms", "14400000")]).await;
        for hour in 0..24 {
            file(&world, &[pair(&format!("key {hour}"), "1")]).await;
            file(&world, &[tombstone(&format!("key {hour}"))]).await;
            runtime.sleep(HOUR).await;
        }
        let left = world.read(0).await;
        let tombstones = left.iter().filter(|seen| seen.3.is_none()).count();
        assert!((4..=8).contains(&tombstones), "{tombstones} tombstones of the last hours");
        let first = left.first().unwrap();
        assert_eq!(first.2.as_deref(), Some(format!("key {}", 24 - tombstones).as_bytes()), "the oldest go first");
    });
}

#[test]
fn young_records_are_not_compacted_and_old_ones_must_be() {
    Runtime::simulate(45, |runtime| async move {
        let lagging = world(&runtime, &[("min.compaction.lag.ms", "3600000")]).await;
        file(&lagging, &[pair("a", "1"), pair("a", "2")]).await;
        file(&lagging, &[pair("b", "1")]).await;
        assert_eq!(shown(&lagging).await, "0:a=1 1:a=2 2:b=1");
        runtime.sleep(HOUR).await;
        lagging.compact().await;
        assert_eq!(shown(&lagging).await, "1:a=2 2:b=1");
        let rare = world(&runtime, &[("min.cleanable.dirty.ratio", "1.0"), ("max.compaction.lag.ms", "7200000")]).await;
        file(&rare, &[pair("a", "1"), pair("a", "2")]).await;
        file(&rare, &[pair("b", "1")]).await;
        assert_eq!(shown(&rare).await, "0:a=1 1:a=2 2:b=1");
        runtime.sleep(2 * HOUR + Duration::from_secs(1)).await;
        rare.compact().await;
        assert_eq!(shown(&rare).await, "1:a=2 2:b=1");
    });
}

#[test]
fn what_was_aborted_deletes_nothing() {
    Runtime::simulate(46, |runtime| async move {
        let world = world(&runtime, &[]).await;
        world.init_transactions().await;
        file(&world, &[pair("a", "1"), pair("b", "1")]).await;
        world.write_in_transaction(0, 0, &[pair("a", "aborted"), tombstone("b")]).await;
        world.end_transaction(0, false).await;
        world.write_in_transaction(1, 0, &[pair("b", "2")]).await;
        world.end_transaction(1, true).await;
        world.compact().await;
        file(&world, &[pair("end", "1")]).await;
        assert_eq!(shown(&world).await, "0:a=1 5:b=2 7:end=1");
    });
}

#[test]
fn many_keys_in_little_memory_are_compacted_in_passes() {
    Runtime::simulate(47, |runtime| async move {
        let world = world(&runtime, &[]).await;
        for round in 0..4 {
            let records: Vec<Pair> =
                (0..2_000).map(|key| pair(&format!("key {}", key * 7 % 1_500), &format!("round {round}"))).collect();
            world.write(&records).await;
        }
        world.compact().await;
        world.write(&[pair("end", "1")]).await;
        let mut expected = BTreeMap::new();
        for seen in world.read(0).await {
            expected.insert(seen.2.clone(), seen);
        }
        let mut expected: Vec<_> = expected.into_values().collect();
        expected.sort();
        let settings = CompactorSettings { key_memory_bytes: 8 * 1024, ..World::settings() };
        let report = world.compactor(settings).run_once(None, |_| {}).await;
        assert_eq!((report.replaced, report.failed), (2, 0));
        assert_eq!(world.read(0).await, expected);
    });
}

#[test]
fn a_file_of_which_nothing_is_left_becomes_a_run_without_an_object() {
    Runtime::simulate(48, |runtime| async move {
        let world = world(&runtime, &[]).await;
        file(&world, &[pair("a", "1"), pair("b", "1")]).await;
        file(&world, &[pair("a", "2"), pair("b", "2")]).await;
        file(&world, &[pair("a", "3")]).await;
        assert_eq!(world.objects(0)[0], ObjectRef::Nothing);
        assert_eq!(shown(&world).await, "2:a=2 3:b=2 4:a=3");
        file(&world, &[pair("a", "4")]).await;
        assert_eq!(shown(&world).await, "3:b=2 4:a=3 5:a=4");
        assert_eq!(world.kinds(0), "ttt", "it goes into the next file");
        assert_eq!(world.partition(0).runs().next().map(|run| run.base_offset), Some(0));
    });
}

/// What is left of five files with so many keys in each, and how many files were written.
async fn in_stretches(runtime: &Runtime, keys: usize, key_memory_bytes: usize) -> (String, u64) {
    let world = World::new(runtime, &[("min.cleanable.dirty.ratio", "0.01")]).await;
    let settings = || CompactorSettings { small_files_min: 1_000, key_memory_bytes, ..World::settings() };
    for round in 0..6 {
        let value = format!("round {round}");
        let record = |index: usize| match (index * 7 + round * 11) % 13 {
            0 => tombstone(&format!("key {}", index % keys)),
            _ => pair(&format!("key {}", (index * 31 + round * 17) % (keys + round)), &value),
        };
        world.write(&(0..400).map(record).collect::<Vec<_>>()).await;
        assert_eq!(world.compactor(settings()).run_once(None, |_| {}).await.replaced, 1);
    }
    let before = world.read(0).await;
    let set = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let alter = Operation::AlterTopicConfigs { id: world.topic, set, remove: Vec::new() };
    world.log.meta().commit(alter, None).await.unwrap();
    let tables = world.log.meta().state().entry_number();
    let report = world.compactor(settings()).run_once(Some(world.topic), |_| {}).await;
    assert_eq!((report.replaced, report.failed), (1, 0));
    world.check();
    let mut newest = BTreeMap::new();
    // The last file is not touched.
    let end = world.partition(0).runs().last().unwrap().base_offset;
    for seen in before.iter().filter(|seen| seen.0 < end) {
        newest.insert(seen.2.clone(), seen.0);
    }
    let mut expected: Vec<i64> = newest.into_values().chain(end..end + 400).collect();
    expected.sort_unstable();
    let left: Vec<i64> = world.read(0).await.iter().map(|seen| seen.0).collect();
    assert_eq!(left, expected, "{keys} keys in {key_memory_bytes} bytes");
    assert_eq!(world.partition(0).cleaned_to(), end);
    (shown(&world).await, world.log.meta().state().entry_number() - tables)
}

#[test]
fn a_stretch_at_a_time_comes_to_the_same() {
    Runtime::simulate(49, |runtime| async move {
        // Few keys, of which one map holds all, and many, which need passes. Five files, two of them at a time.
        for keys in [20, 300] {
            let (at_once, files) = in_stretches(&runtime, keys, 64 * 1024).await;
            assert_eq!(files, 1);
            let (in_stretches, files) = in_stretches(&runtime, keys, 2 * 1024).await;
            assert_eq!((in_stretches, files), (at_once, 3));
        }
    });
}

#[test]
fn runs_become_files_while_keys_are_compacted() {
    Runtime::simulate(51, |runtime| async move {
        let world = world(&runtime, &[]).await;
        file(&world, &[pair("a", "1"), pair("b", "1"), pair("a", "2")]).await;
        file(&world, &[pair("b", "2")]).await;
        assert_eq!(world.partition(0).cleaned_to(), 3);
        // Of the first file, and of what it becomes, every read takes two hours.
        let first_file = format!("{}/0/{:020}-", world.topic, 0);
        world.faulty.script(FaultRule::always(StoreOperation::GetRange, &first_file, Fault::Slow(2 * HOUR)));
        world.write(&[pair("a", "3")]).await;
        let (log, duty) = (world.log.clone(), Arc::new(AllShards));
        let compactor = Compactor::start(CompactorParts { log, duty, settings: World::settings() });
        while world.faulty.injected_count() == 0 {
            runtime.sleep(Duration::from_secs(1)).await;
        }
        let begun = runtime.monotonic();
        world.append(vec![(1, world.batch(&[pair("c", "1")], Compression::None))]).await;
        world.write(&[pair("d", "1")]).await;
        while (world.kinds(0), world.kinds(1)) != ("tttt".to_owned(), "t".to_owned()) {
            assert_eq!(world.partition(0).cleaned_to(), 3, "keys are compacted before other runs become files");
            runtime.sleep(Duration::from_secs(1)).await;
        }
        assert!(runtime.monotonic() - begun < HOUR, "merges have waited for keys");
        // The reads that are under way take their time, those behind them none.
        world.faulty.clear();
        while world.partition(0).cleaned_to() < 5 {
            runtime.sleep(Duration::from_secs(60)).await;
        }
        assert!(runtime.monotonic() - begun > HOUR);
        compactor.stop().await.unwrap();
        assert_eq!(shown(&world).await, "3:b=2 4:a=3 5:d=1");
        world.check();
    });
}
