//! Consumers notice nothing when what they read becomes a Parquet file.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Payload, Store};
use alluvium_log::{
    Append, AppendSource, BatchToAppend, Log, LogOptions, ObjectRef, Operation, RecordTotal, Replacement,
    ReplacementFile, Run, TableRun, runs_digest,
};
use alluvium_reader::{
    CacheKind, FetchRequest, FoundOffset, Isolation, OffsetQuery, PartitionFetch, ReadError, Reader, ReaderSettings,
};
use alluvium_record::batch::{BatchBuilder, RecordBatch, split_batches};
use alluvium_record::{Compression, Header, TopicId, TopicPartition};
use alluvium_table::{FORMAT, RecordTally, StoreFile, TableFacts, TableOptions, TableReader, TableWriter};
use bytes::Bytes;

/// A record as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<Header>,
    /// Producer id and epoch of its batch.
    producer: (i64, i16),
}

struct World {
    log: Log,
    reader: Reader,
    store: Arc<dyn Store>,
    runtime: Runtime,
    place: TopicPartition,
}

impl World {
    async fn new() -> Self {
        let runtime = Runtime::seeded(11);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
        let log = Log::open(store.clone(), LogOptions::default(), runtime.clone()).await.expect("opens");
        let topic = TopicId(runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id: topic,
            name: "orders".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.expect("topic is new");
        let reader = Reader::new(log.clone(), ReaderSettings::default(), runtime.clone());
        Self { log, reader, store, runtime, place: TopicPartition { topic, partition: 0 } }
    }

    async fn append(&self, batch: RecordBatch) {
        let batches = vec![BatchToAppend::new(self.place, batch)];
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        let append = Append { batches, source: AppendSource::Inline };
        self.log.meta().append(append, deadline).outcome().await.expect("is written");
    }

    /// Batches of one to seven records with all that a record can have.
    async fn append_all(&self) -> Vec<Seen> {
        let mut sequence = 0;
        for n in 0..40_i32 {
            let compression = [Compression::None, Compression::Zstd, Compression::Lz4][n as usize % 3];
            let mut builder = BatchBuilder::new(compression);
            if n % 2 == 0 {
                builder = builder.producer(4000, 1, sequence);
                sequence += n % 7 + 1;
            }
            for record in 0..=(n % 7) {
                let key = (record % 3 != 0).then(|| Bytes::from(format!("key-{record}")));
                let value = (record % 4 != 1).then(|| Bytes::from("v".repeat(record as usize * 100)));
                let headers = (0..record % 3)
                    .map(|header| Header::new("same", (header == 0).then(|| Bytes::from_static(&[0xff, 0x00]))));
                let timestamp = 1_000_000 + i64::from(n) * 10 - i64::from(record);
                builder.push(timestamp, key, value, headers.collect()).expect("fits");
            }
            self.append(builder.build(0)).await;
        }
        self.consume(0, 1 << 20).await
    }

    fn run_at(&self, offset: i64) -> Run {
        *self.log.view().partition(self.place).expect("is known").run_at(offset).expect("is there")
    }

    fn request(&self, offset: i64, bytes_max: i32) -> FetchRequest {
        FetchRequest {
            partitions: vec![PartitionFetch { topic_partition: self.place, offset, bytes_max, leader_epoch: None }],
            bytes_max: i32::MAX,
            bytes_min: 1,
            wait_max: Duration::ZERO,
            isolation: Isolation::ReadUncommitted,
        }
    }

    async fn fetch(&self, offset: i64, bytes_max: i32) -> Vec<RecordBatch> {
        let fetched = self.reader.fetch(self.request(offset, bytes_max)).await.remove(0).result.expect("is read");
        let batches = split_batches(Bytes::from(fetched.slices.concat())).expect("whole batches");
        batches.iter().for_each(|batch| batch.verify_crc().expect("checksum holds"));
        batches
    }

    /// All records from an offset on, as a consumer that takes `bytes_max` at a time sees them.
    async fn consume(&self, from: i64, bytes_max: i32) -> Vec<Seen> {
        let end = self.log.view().partition(self.place).expect("is known").high_watermark();
        let mut seen = Vec::new();
        let mut offset = from;
        while offset < end {
            let batches = self.fetch(offset, bytes_max).await;
            assert!(!batches.is_empty(), "stuck at {offset} of {end}");
            for batch in batches {
                let header = batch.header;
                for record in batch.records(1 << 20).expect("readable") {
                    if record.offset >= offset {
                        seen.push(Seen {
                            offset: record.offset,
                            timestamp: record.timestamp,
                            key: record.key,
                            value: record.value,
                            headers: record.headers,
                            producer: (header.producer_id, header.producer_epoch),
                        });
                    }
                }
                offset = header.next_offset();
            }
        }
        seen
    }

    /// Makes a file of what is between two offsets, without the records that `keep` does not want.
    async fn compact(&self, base_offset: i64, last_offset: i64, keep: impl Fn(i64) -> bool) {
        let view = self.log.view();
        let partition = view.partition(self.place).expect("is known");
        let runs = partition.runs_between(base_offset, last_offset).expect("runs end there");
        let facts = TableFacts {
            cluster_id: "cluster".to_owned(),
            topic_id: self.place.topic,
            topic_name: "orders".to_owned(),
            partition: 0,
            base_offset,
            last_offset,
            format: FORMAT,
        };
        let options = TableOptions { row_group_bytes_max: 2_000, ..TableOptions::default() };
        let mut writer = TableWriter::new(facts, options).expect("begins");
        let mut offset = base_offset;
        while offset <= last_offset {
            for batch in self.fetch(offset, 1 << 20).await {
                offset = batch.header.next_offset();
                if batch.header.base_offset <= last_offset {
                    writer.push(&batch, |row| keep(row.offset)).expect("is written");
                }
            }
        }
        let mut parts = writer.take_finished();
        let finished = writer.finish().expect("ends");
        parts.extend(finished.rest);
        let summary = finished.summary;
        let file = ReplacementFile {
            id: self.runtime.random_uuid(),
            length: u32::try_from(summary.bytes).expect("is small"),
            max_timestamp: summary.max_timestamp,
            table: TableRun {
                record_count: summary.record_count,
                sum: summary.sum.0,
                footer_bytes: u32::try_from(summary.footer_bytes).expect("is small"),
                min_timestamp: summary.min_timestamp,
                tombstone_horizon_ms: i64::MAX,
            },
        };
        let total = |tally: RecordTally| RecordTotal { count: tally.record_count, sum: tally.sum.0 };
        let all = total(finished.pushed.kept) + total(finished.pushed.left_out);
        let files = runs.iter().filter_map(|run| partition.table(run));
        let files = files
            .fold(RecordTotal::default(), |sum, table| sum + RecordTotal { count: table.record_count, sum: table.sum });
        let raw = RecordTotal { count: all.count - files.count, sum: all.sum.wrapping_sub(files.sum) };
        let kept = summary.record_count > 0;
        if kept {
            let run = Run { base_offset, last_offset, object: ObjectRef::Table(file.id), ..runs[0] };
            let path = run.path(self.place, self.log.meta().paths()).expect("a path");
            self.store.put(&path, Payload(parts)).await.expect("is put");
        }
        let replacement = Replacement {
            topic_partition: self.place,
            base_offset,
            last_offset,
            inputs_digest: runs_digest(&runs),
            raw,
            removed: total(finished.pushed.left_out),
            file: kept.then_some(file),
            cleaned_to: None,
        };
        let operation = Operation::ReplaceRuns { replacement: Box::new(replacement) };
        self.log.meta().commit(operation, None).await.expect("is believed");
    }

    async fn find(&self, query: OffsetQuery) -> FoundOffset {
        self.reader.offset_for(self.place, query, Isolation::ReadUncommitted).await.expect("is answered")
    }
}

#[tokio::test(start_paused = true)]
async fn records_are_the_same_from_any_offset_and_in_any_portion() {
    let world = World::new().await;
    let before = world.append_all().await;
    let end = before.len() as i64;
    let times: Vec<i64> = (999_990..1_000_400).step_by(7).collect();
    let mut found = Vec::new();
    for time in &times {
        found.push(world.find(OffsetQuery::Timestamp(*time)).await);
    }
    let newest = world.find(OffsetQuery::MaxTimestamp).await;
    // A file in the middle, one at the front, then both together with what lay between them.
    let middle = (world.run_at(end / 3).base_offset, world.run_at(2 * end / 3).last_offset);
    for (base, last) in [middle, (0, world.run_at(5).last_offset), (0, middle.1)] {
        world.compact(base, last, |_| true).await;
        assert_eq!(world.consume(0, 1 << 20).await, before);
        assert_eq!(world.consume(0, 1).await, before);
        for offset in 0..end {
            assert_eq!(world.consume(offset, 700).await, before[offset as usize..], "from {offset}");
        }
        for (time, found) in times.iter().zip(&found) {
            assert_eq!(world.find(OffsetQuery::Timestamp(*time)).await, *found, "at {time}");
        }
        assert_eq!(world.find(OffsetQuery::MaxTimestamp).await, newest);
    }
    // All of it, so that nothing but the file answers.
    world.compact(0, end - 1, |_| true).await;
    assert_eq!(world.consume(0, 3_000).await, before);
    assert_eq!(world.find(OffsetQuery::MaxTimestamp).await, newest);
    assert_eq!(world.log.view().partition(world.place).expect("is known").runs().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_left_out_is_passed_by() {
    let world = World::new().await;
    let mut left = world.append_all().await;
    let end = left.len() as i64;
    // Some at the front, whole batches in the middle, the last ones, and in the end everything.
    for gap in [0..3, end / 3..end / 2, end - 9..end, 0..end] {
        world.compact(0, end - 1, |offset| !gap.contains(&offset)).await;
        left.retain(|seen| !gap.contains(&seen.offset));
        for offset in 0..end {
            let from: Vec<Seen> = left.iter().filter(|seen| seen.offset >= offset).cloned().collect();
            assert_eq!(world.consume(offset, 500).await, from, "from {offset} without {gap:?}");
        }
    }
    assert_eq!(world.run_at(0).object, ObjectRef::Nothing);
    assert_eq!(world.find(OffsetQuery::Timestamp(0)).await.offset, -1);
    // Who comes later reads on behind it.
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(5, None, Some(Bytes::from_static(b"later")), Vec::new()).expect("fits");
    world.append(builder.build(0)).await;
    assert_eq!(world.consume(0, 1).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_through_a_file_in_small_portions_has_each_row_group_decoded_once() {
    let mut world = World::new().await;
    let before = world.append_all().await;
    world.compact(0, before.len() as i64 - 1, |_| true).await;
    let run = world.run_at(0);
    let path = run.path(world.place, world.log.meta().paths()).expect("a path");
    let file = Arc::new(StoreFile { store: world.store.clone(), path });
    let facts = TableReader::open(file, u64::from(run.length), None).await.expect("opens").row_groups().to_vec();
    let largest = facts.iter().map(|group| group.raw_bytes).max().expect("has row groups");
    assert!(facts.len() > 8, "{facts:?}");
    // Room for few of them: those that are done with have to make room for those that come.
    let settings = ReaderSettings { replay_cache_bytes_max: 8 * largest, ..ReaderSettings::default() };
    world.reader = Reader::new(world.log.clone(), settings, world.runtime.clone());
    for _ in 0..3 {
        let misses = world.reader.counters().misses(CacheKind::Replay);
        assert_eq!(world.consume(0, 1).await, before);
        let misses = world.reader.counters().misses(CacheKind::Replay) - misses;
        assert!(misses <= facts.len() as u64, "{misses} misses for {} row groups", facts.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_comes_near_the_end_goes_on_with_what_was_read_for_it() {
    let mut world = World::new().await;
    let before = world.append_all().await;
    // Opened anew with nothing in memory, by a node for which the last quarter of the records is near the end.
    let options = LogOptions { tail_bytes_max: 0, ..LogOptions::default() };
    world.log = Log::open(world.store.clone(), options, world.runtime.clone()).await.expect("opens");
    let size = world.log.view().partition(world.place).expect("is known").size_bytes();
    let settings = ReaderSettings { replay_distance_bytes: size / 4, ..ReaderSettings::default() };
    world.reader = Reader::new(world.log.clone(), settings, world.runtime.clone());
    let mut offset = 0;
    while offset < before.len() as i64 {
        offset = world.fetch(offset, 1).await.last().expect("is not stuck").header.next_offset();
        // What is read ahead arrives.
        world.runtime.sleep(Duration::from_secs(1)).await;
    }
    let counters = world.reader.counters();
    assert!(counters.hits(CacheKind::Live) > 5, "nothing was near the end");
    assert_eq!((counters.misses(CacheKind::Replay), counters.misses(CacheKind::Live)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_said_to_be_and_one_that_is_gone_is_looked_up_again() {
    let world = World::new().await;
    let before = world.append_all().await;
    let end = before.len() as i64;
    let reader = || Reader::new(world.log.clone(), ReaderSettings::default(), world.runtime.clone());
    world.compact(0, end - 1, |_| true).await;
    let path = world.run_at(0).path(world.place, world.log.meta().paths()).expect("a path");
    let good = world.store.get(&path).await.expect("is there");
    let mut damaged = good.to_vec();
    damaged[good.len() / 2] ^= 1;
    world.store.put(&path, Payload::from(damaged)).await.expect("is put");
    let result = reader().fetch(world.request(0, i32::MAX)).await.remove(0).result;
    assert!(matches!(result, Err(ReadError::Corrupt(_))), "{result:?}");
    world.store.put(&path, Payload::from(good)).await.expect("is put");
    assert_eq!(world.consume(0, 1 << 20).await, before);
    // Another compactor makes a new file of it, and the old one goes.
    world.compact(0, end - 1, |_| true).await;
    world.store.delete(&path).await.expect("is deleted");
    assert_eq!(world.consume(0, 1 << 20).await, before);
    let path = world.run_at(0).path(world.place, world.log.meta().paths()).expect("a path");
    world.store.delete(&path).await.expect("is deleted");
    let result = reader().fetch(world.request(0, i32::MAX)).await.remove(0).result;
    assert!(matches!(result, Err(ReadError::Corrupt(_))), "{result:?}");
}
