//! Runs become files, record for record.

use std::time::Duration;

use alluvium_compactor::CompactorSettings;
use alluvium_infra::Runtime;
use alluvium_infra::store::{Fault, FaultRule, Store, StoreOperation};
use alluvium_log::{ObjectRef, Operation};
use alluvium_record::Compression;
use alluvium_record::batch::RecordBatch;

use crate::world::{Pair, World, pair, tombstone};

fn many(count: usize, prefix: &str) -> Vec<Pair> {
    (0..count).map(|index| pair(&format!("{prefix} {index}"), &"value ".repeat(index % 50))).collect()
}

#[test]
fn a_merged_partition_has_every_record_as_it_was() {
    Runtime::simulate(1, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let odd: Vec<Pair> = vec![(None, None), (None, Some(String::new())), (Some(String::new()), None)];
        let mut segments = Vec::new();
        for (round, compression) in
            [Compression::None, Compression::Zstd, Compression::Lz4, Compression::Gzip, Compression::Snappy]
                .into_iter()
                .enumerate()
        {
            world.append(vec![(0, world.batch(&odd, compression)), (1, world.batch(&odd, compression))]).await;
            let records = many(500, &format!("round {round}"));
            let batches = (0..3).flat_map(|_| [(0, world.batch(&records, compression))]);
            let other = [(1, world.batch(&records[..7], compression))];
            segments.push(world.append_segment(batches.chain(other).collect()).await);
        }
        let (before, other_before) = (world.read(0).await, world.read(1).await);
        assert_eq!(before.len(), 5 * (3 + 1500));
        let report = world.compact().await;
        assert_eq!((report.replaced, report.lost, report.failed), (2, 0, 0));
        assert_eq!((world.kinds(0), world.kinds(1)), ("t".to_owned(), "t".to_owned()));
        assert_eq!(world.read(0).await, before);
        assert_eq!(world.read(1).await, other_before);
        let garbage: Vec<ObjectRef> = world.log.meta().state().garbage().map(|(object, _)| object).collect();
        segments.sort();
        assert_eq!(garbage, segments);
        assert_eq!(world.compact().await.replaced, 0, "there is nothing left to do");
        world.check_reachable().await;
    });
}

#[test]
fn small_files_become_a_larger_one() {
    Runtime::simulate(2, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for round in 0..3 {
            world.write(&many(100, &format!("round {round}"))).await;
            assert_eq!(world.compact().await.replaced, 1);
        }
        assert_eq!(world.kinds(0), "ttt");
        world.write(&many(100, "the last")).await;
        let before = world.read(0).await;
        assert_eq!(world.compact().await.replaced, 2);
        assert_eq!(world.kinds(0), "t");
        assert_eq!(world.read(0).await, before);
    });
}

#[test]
fn what_was_aborted_and_markers_are_left_out() {
    Runtime::simulate(3, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.init_transactions().await;
        world.write(&many(10, "outside")).await;
        world.write_in_transaction(0, 0, &many(10, "committed")).await;
        world.end_transaction(0, true).await;
        world.write_in_transaction(1, 0, &many(10, "aborted")).await;
        world.write(&many(10, "between")).await;
        world.write_in_transaction(1, 10, &many(10, "aborted too")).await;
        world.end_transaction(1, false).await;
        world.write_in_transaction(2, 0, &many(10, "committed again")).await;
        world.end_transaction(2, true).await;
        world.write_in_transaction(3, 0, &many(10, "open")).await;
        let key = |prefix: &str| prefix.to_owned();
        let is_aborted = |seen: &crate::world::Seen| seen.2.as_ref().is_some_and(|key| key.starts_with(b"aborted"));
        let (stable, mut expected) = (world.partition(0).last_stable_offset(), world.read(0).await);
        expected.retain(|seen| !is_aborted(seen));
        assert_eq!(world.compact().await.replaced, 1);
        assert_eq!(world.kinds(0), "tr", "{}", key("what is open stays raw"));
        let file = world.partition(0).runs().next().copied().unwrap();
        assert_eq!(file.last_offset + 1, stable);
        assert_eq!(world.read(0).await, expected);
        world.end_transaction(3, false).await;
        let expected: Vec<_> = expected.into_iter().filter(|seen| seen.0 < stable).collect();
        assert_eq!(world.compact().await.replaced, 1);
        assert_eq!(world.kinds(0), "tn", "no record is left of the second run");
        assert_eq!(world.read(0).await, expected);
    });
}

#[test]
fn deleted_records_are_left_out() {
    Runtime::simulate(4, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(&many(10, "one batch")).await;
        world.write(&[tombstone("x")]).await;
        let delete = Operation::DeleteRecords { topic_partition: world.at(0), before_offset: 4 };
        world.log.meta().commit(delete, None).await.unwrap();
        let before = world.read(0).await;
        assert_eq!(before[0].0, 4);
        assert_eq!(world.compact().await.replaced, 1);
        assert_eq!(world.read(0).await, before);
        let run = *world.partition(0).runs().next().unwrap();
        assert_eq!(world.partition(0).table(&run).unwrap().record_count, 7);
    });
}

#[test]
fn a_batch_that_its_producer_packed_wrongly_stays_raw_and_holds_up_nothing() {
    Runtime::simulate(6, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        world.write(&many(10, "before")).await;
        // Says that it is packed with zstd, and is not; its checksum is right.
        let sound = world.batch(&[pair("no", "zstd")], Compression::None);
        let attributes = sound.header.attributes.with_compression(Compression::Zstd);
        let unpackable = resealed(&sound, |bytes| bytes[21..23].copy_from_slice(&attributes.0.to_be_bytes()));
        world.append(vec![(0, unpackable)]).await;
        world.write(&many(10, "between")).await;
        // Its two records have the same offset.
        let sound = world.batch(&[pair("a", ""), pair("b", "")], Compression::None);
        world.append(vec![(0, resealed(&sound, same_offset_twice))]).await;
        world.write(&many(10, "behind")).await;
        let compactor = world.compactor(World::settings());
        let report = compactor.run_once(None, |_| {}).await;
        assert_eq!((report.replaced, report.failed, report.unreadable), (3, 0, 2));
        assert_eq!((compactor.counters().jobs_failed.get(), compactor.counters().runs_unreadable.get()), (0, 2));
        assert_eq!(world.kinds(0), "trtrt");
        let report = world.compact().await;
        assert_eq!((report.replaced, report.failed, report.unreadable), (0, 0, 2), "a pass remembers nothing");
    });
}

/// The batch with other bytes and a checksum that is right.
fn resealed(batch: &RecordBatch, change: impl FnOnce(&mut [u8])) -> RecordBatch {
    let mut bytes = batch.bytes.to_vec();
    change(&mut bytes);
    let crc = alluvium_record::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let batch = alluvium_record::split_batches(bytes.into()).unwrap().remove(0);
    batch.verify_crc().unwrap();
    batch
}

/// Of two records of a batch that is not packed: a record has its length first, then attributes, the timestamp and the offset, in one byte each.
fn same_offset_twice(bytes: &mut [u8]) {
    let second = 61 + 1 + usize::from(bytes[61] >> 1);
    assert_eq!((bytes[61 + 3], bytes[second + 3]), (0, 2), "offsets 0 and 1, zigzag");
    bytes[second + 3] = 0;
}

#[test]
fn what_arrives_damaged_is_read_again_and_what_is_damaged_stays_as_it_is() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let segment = world.append_segment(vec![(0, world.batch(&many(100, "a"), Compression::None))]).await;
        world.write(&many(100, "b")).await;
        let before = world.read(0).await;
        // Entries are read whole, of segments a part.
        let reads = [(StoreOperation::Get, "/log/"), (StoreOperation::GetRange, "/segment/")];
        let faults = [Fault::FlippedBit, Fault::TruncatedRead];
        for ((operation, path), fault) in reads.iter().flat_map(|read| faults.clone().map(|fault| (read, fault))) {
            let other = World::new(&runtime, &[]).await;
            let batch = other.batch(&many(100, "b"), Compression::None);
            match operation {
                StoreOperation::Get => drop(other.append(vec![(0, batch)]).await),
                _ => drop(other.append_segment(vec![(0, batch)]).await),
            }
            let written = other.read(0).await;
            other.faulty.script(FaultRule::nth(1, *operation, path, fault));
            assert_eq!(other.compact().await.replaced, 1);
            assert_eq!(other.faulty.injected_count(), 1);
            assert_eq!(other.read(0).await, written);
        }
        let ObjectRef::Segment(id) = segment else { panic!("a segment") };
        let path = world.log.meta().paths().segment(id);
        let whole = world.memory.get(&path).await.unwrap();
        world.overwrite(&path, |bytes| bytes[2000] ^= 1).await;
        let compactor = world.compactor(World::settings());
        let report = compactor.run_once(None, |_| {}).await;
        assert_eq!((report.replaced, report.failed), (0, 1));
        assert_eq!(compactor.counters().jobs_damaged.get(), 1);
        assert_eq!(world.kinds(0), "rr");
        world.memory.delete(&path).await.unwrap();
        assert_eq!(world.compact().await.failed, 1);
        assert_eq!(world.table_paths().await, []);
        world.memory.put(&path, whole.into()).await.unwrap();
        assert_eq!(world.compact().await.replaced, 1);
        assert_eq!(world.read(0).await, before);
    });
}

#[test]
fn an_entry_that_partitions_share_is_read_once() {
    Runtime::simulate(37, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        for _ in 0..20 {
            let records = [pair("key", "value")];
            let both = [0, 1].map(|partition| (partition, world.batch(&records, Compression::None)));
            world.append(both.to_vec()).await;
        }
        let count = |operation: StoreOperation| FaultRule {
            operation: Some(operation),
            path_contains: "/log/".to_owned(),
            skip: 0,
            times: u64::MAX,
            fault: Fault::Slow(Duration::ZERO),
        };
        world.faulty.script(count(StoreOperation::GetRange));
        world.faulty.script(count(StoreOperation::Get));
        let report = world.compactor(World::settings()).run_once(Some(world.topic), |_| {}).await;
        assert_eq!((report.replaced, report.failed), (2, 0));
        // One for each entry, and those that look for what comes behind the newest.
        let reads = world.faulty.injected_count();
        assert!((20..26).contains(&reads), "{reads} reads of 20 entries for two partitions");
        world.faulty.clear();
        assert_eq!((world.read(0).await.len(), world.read(1).await.len()), (20, 20));
    });
}

#[test]
fn passes_that_remember_nothing_merge_by_age_with_the_usual_settings() {
    Runtime::simulate(7, |runtime| async move {
        let world = World::new(&runtime, &[]).await;
        let (few, many) = (many(10, "few"), many(1_000, "many"));
        world.append(vec![(0, world.batch(&few, Compression::None))]).await;
        world.append_segment(vec![(1, world.batch(&many, Compression::None))]).await;
        let pass = async |minutes: u64, expected: u64| {
            runtime.sleep(Duration::from_secs(60 * minutes)).await;
            let report = world.compactor(CompactorSettings::default()).run_once(None, |_| {}).await;
            assert_eq!((report.replaced, report.failed), (expected, 0), "after {minutes} minutes more");
        };
        pass(0, 0).await;
        pass(9, 0).await;
        pass(2, 1).await;
        assert_eq!((world.kinds(0), world.kinds(1)), ("r".to_owned(), "t".to_owned()));
        pass(48, 0).await;
        pass(2, 1).await;
        assert_eq!((world.kinds(0), world.kinds(1)), ("t".to_owned(), "t".to_owned()));
    });
}

#[test]
fn a_file_that_is_missing_or_cut_fails_what_reads_it_and_nothing_is_lost() {
    Runtime::simulate(8, |runtime| async move {
        // A rewrite, a compaction by key, and one of which each file is a stretch of its own.
        for (policy, key_memory_bytes) in [("delete", 1 << 20), ("compact", 1 << 20), ("compact", 64)] {
            let world = World::new(&runtime, &[("min.cleanable.dirty.ratio", "0.01")]).await;
            let apart = CompactorSettings { small_files_min: 1_000, key_memory_bytes, ..World::settings() };
            for _ in 0..4 {
                world.write(&many(100, "key")).await;
                assert_eq!(world.compactor(apart.clone()).run_once(None, |_| {}).await.replaced, 1);
            }
            let set = vec![("cleanup.policy".to_owned(), policy.to_owned())];
            world
                .log
                .meta()
                .commit(Operation::AlterTopicConfigs { id: world.topic, set, remove: vec![] }, None)
                .await
                .unwrap();
            let settings = if policy == "delete" { World::settings() } else { apart };
            let (before, files) = (world.read(0).await, world.table_paths().await);
            for (index, is_cut) in [(0, false), (0, true), (2, false), (2, true)] {
                let path = &files[index];
                let whole = world.memory.get(path).await.unwrap();
                world.memory.delete(path).await.unwrap();
                if is_cut {
                    world.memory.put(path, whole.slice(..whole.len() - 9).into()).await.unwrap();
                }
                let compactor = world.compactor(settings.clone());
                let report = compactor.run_once(Some(world.topic), |_| {}).await;
                let case = format!("{policy}, file {index}, cut: {is_cut}");
                assert_eq!((report.replaced, report.failed), (0, 1), "{case}");
                assert_eq!(compactor.counters().jobs_damaged.get(), 1, "{case}");
                world.memory.put(path, whole.into()).await.unwrap();
                assert_eq!((world.kinds(0).as_str(), world.table_paths().await), ("tttt", files.clone()), "{case}");
            }
            assert_eq!(world.read(0).await, before);
            let report = world.compactor(settings).run_once(Some(world.topic), |_| {}).await;
            assert_eq!((report.replaced, report.failed), (1, 0), "{policy}");
            let left = world.read(0).await.len();
            assert_eq!(left, if policy == "delete" { 400 } else { 200 });
        }
    });
}
