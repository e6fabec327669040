//! What queries take. Not part of the suite: `cargo test --release -p alluvium-query --test measured -- --ignored --nocapture`.
//! `ALLUVIUM_BENCH_GIB` says how large the topic is (2); it needs about twice as much room in the folder for temporary files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails by panicking and says what it found")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{FolderStore, Metered, Modelled, Store, StoreModel, StoreOperation, StoreOutcome};
use alluvium_log::format::segment;
use alluvium_log::{Append, AppendSource, BatchToAppend, Log, LogOptions, Operation};
use alluvium_query::{OutputForm, Queries, QuerySettings, print};
use alluvium_reader::Isolation;
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;

const PARTITIONS: i32 = 4;
/// The topic goes back so far.
const AGE_MS: i64 = 24 * 60 * 60 * 1000;
/// What is younger is not in files yet.
const RAW_MS: i64 = 10 * 60 * 1000;
const BATCH: u64 = 500;

struct Bench {
    log: Log,
    runtime: Runtime,
    topic: TopicId,
    now_ms: i64,
    records: u64,
}

fn value(index: u64) -> Bytes {
    let words = ["order", "paid", "shipped", "returned", "customer", "street", "berlin", "2026-11-22"];
    let mut value = String::with_capacity(1_024);
    let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while value.len() < 1_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        value.push_str(words[(state >> 61) as usize]);
        value.push_str(&(state >> 40).to_string());
    }
    Bytes::from(value)
}

impl Bench {
    async fn new(store: Arc<dyn Store>, records: u64, runtime: &Runtime) -> Bench {
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap();
        let topic = TopicId(runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id: topic,
            name: "measured".to_owned(),
            partition_count: PARTITIONS,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.unwrap();
        Bench { log, runtime: runtime.clone(), topic, now_ms: runtime.now_ms(), records }
    }

    /// When a record was written: evenly over a day, the last one now.
    fn timestamp(&self, index: u64) -> i64 {
        let share = i128::from(self.records - index) * i128::from(AGE_MS) / i128::from(self.records);
        self.now_ms - i64::try_from(share).unwrap()
    }

    /// Appends records as segments of sixteen batches, partition by partition.
    async fn write(&self, indexes: std::ops::Range<u64>) {
        let mut next = indexes.start;
        while next < indexes.end {
            let mut batches = Vec::new();
            for batch in 0..16 {
                let mut builder = BatchBuilder::new(Compression::Lz4);
                for index in next..(next + BATCH).min(indexes.end) {
                    let key = Bytes::from(format!("key-{:06}", index % 100_003));
                    builder.push(self.timestamp(index), Some(key), Some(value(index)), Vec::new()).unwrap();
                }
                next = (next + BATCH).min(indexes.end);
                if !builder.is_empty() {
                    let at = TopicPartition { topic: self.topic, partition: batch % PARTITIONS };
                    batches.push(BatchToAppend::new(at, builder.build(0)));
                }
            }
            batches.sort_by_key(|batch| batch.topic_partition.partition);
            let (id, created_ms) = (self.runtime.unique_uuid(), self.runtime.now_ms());
            let shard = self.log.meta();
            let payload = segment::encode(shard.id(), id, created_ms, &batches);
            self.log.store().put(&shard.paths().segment(id), payload).await.unwrap();
            let append = Append { batches, source: AppendSource::Segment { id, created_ms } };
            let deadline = self.runtime.monotonic() + Duration::from_secs(60);
            shard.append(append, deadline).outcome().await.unwrap();
        }
    }

    async fn compact(&self) {
        let settings = CompactorSettings::default().at_once();
        let parts = CompactorParts { log: self.log.clone(), duty: Arc::new(AllShards), settings };
        let report = Compactor::new(parts).run_once(Some(self.topic), |_| {}).await;
        assert_eq!((report.lost, report.failed), (0, 0));
    }
}

/// The most memory that this process has had resident.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

async fn ask(store: &Arc<dyn Store>, runtime: &Runtime, sql: &str) {
    let begun = runtime.monotonic();
    let metered = Metered::new(store.clone(), runtime.clone());
    let options = LogOptions { probe: false, ..LogOptions::default() };
    let log = Log::open(metered.clone(), options, runtime.clone()).await.unwrap();
    let opened = runtime.monotonic();
    let before = metered.snapshot();
    let settings = QuerySettings { isolation: Isolation::ReadCommitted, memory_bytes_max: 1 << 30, workers: 2 };
    let answer = Queries::new(log, settings, runtime.clone()).run(sql).await.unwrap();
    let mut out = Vec::new();
    print(answer, OutputForm::Json, &mut out).await.unwrap();
    let took = (runtime.monotonic() - opened).as_secs_f64();
    let spent = metered.snapshot().since(&before);
    let (ranged, whole) = (spent.of(StoreOperation::GetRange), spent.of(StoreOperation::Get));
    println!(
        "{sql}\n  {took:.3} s after {:.3} s to open the log, {} GET, {:.1} MiB read, peak memory {} MiB: {}",
        (opened - begun).as_secs_f64(),
        ranged.ended(StoreOutcome::Done) + whole.ended(StoreOutcome::Done),
        (ranged.bytes + whole.bytes) as f64 / f64::from(1 << 20),
        peak_mib(),
        String::from_utf8(out).unwrap().lines().next().unwrap_or_default()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn the_last_five_minutes_of_a_large_topic() {
    let gib: f64 = std::env::var("ALLUVIUM_BENCH_GIB").map_or(2.0, |text| text.parse().unwrap());
    let records = (gib * f64::from(1 << 30) / 1_020.0) as u64;
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(FolderStore::open(folder.path(), false, &runtime).unwrap());
    let bench = Bench::new(store.clone(), records, &runtime).await;
    let merged = records - records * RAW_MS as u64 / AGE_MS as u64;
    let begun = runtime.monotonic();
    bench.write(0..merged).await;
    let written = runtime.monotonic();
    bench.compact().await;
    println!(
        "{gib} GiB, {records} records: written in {:.0} s, merged in {:.0} s",
        (written - begun).as_secs_f64(),
        (runtime.monotonic() - written).as_secs_f64()
    );
    bench.write(merged..records).await;
    bench.log.close().await;
    let modelled: Arc<dyn Store> = Modelled::new(store.clone(), StoreModel::s3(), runtime.clone());
    // The first five minutes of the queries are those of what was written, however long merging took.
    let since = |minutes: i64| format!("to_timestamp_millis({})", bench.now_ms - minutes * 60_000);
    for (name, store) in [("folder", &store), ("S3 model", &modelled)] {
        println!("-- {name}");
        for sql in [
            format!("select count(*) from measured where timestamp > {}", since(5)),
            format!("select count(*) from measured where timestamp > {} and timestamp < {}", since(605), since(600)),
            format!(
                "select count(distinct key) from measured where timestamp > {} and timestamp < {}",
                since(605),
                since(600)
            ),
            "select count(*) from measured".to_owned(),
            "select max(timestamp) from measured".to_owned(),
            "select partition, offset, key from measured limit 10".to_owned(),
            "select count(*) from measured where text(value) like '%berlin12%'".to_owned(),
        ] {
            ask(store, &runtime, &sql).await;
        }
    }
}
