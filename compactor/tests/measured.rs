//! What compaction costs in time and memory. Not part of the suite: `cargo test --release -p alluvium-compactor --test measured --
//! --ignored --nocapture --test-threads 1`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails by panicking and says what it found")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{FolderStore, Store};
use alluvium_log::format::segment;
use alluvium_log::{Append, AppendSource, BatchToAppend, Log, LogOptions, Operation};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;

struct Bench {
    log: Log,
    runtime: Runtime,
    topic: TopicId,
}

impl Bench {
    /// A topic with these settings in a folder.
    async fn create(folder: &Path, configs: &[(&str, &str)]) -> Self {
        let (log, runtime) = open(folder).await;
        let topic = TopicId(runtime.random_uuid());
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let operation = Operation::CreateTopic {
            id: topic,
            name: "measured".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: configs.collect::<BTreeMap<_, _>>(),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.unwrap();
        Self { log, runtime, topic }
    }

    /// The topic that another process created.
    async fn open(folder: &Path) -> Self {
        let (log, runtime) = open(folder).await;
        let topic = log.view().topics().next().unwrap().id;
        Self { log, runtime, topic }
    }

    /// Appends records as segments of sixteen batches; gives the bytes of keys and values.
    async fn write(&self, count: u64, record: impl Fn(u64) -> (String, Bytes), compression: Compression) -> u64 {
        const BATCH: u64 = 1_000;
        let at = TopicPartition { topic: self.topic, partition: 0 };
        let (mut next, mut bytes) = (0, 0);
        while next < count {
            let mut batches = Vec::new();
            for _ in 0..16 {
                let mut builder = BatchBuilder::new(compression);
                for index in next..(next + BATCH).min(count) {
                    let (key, value) = record(index);
                    bytes += (key.len() + value.len()) as u64;
                    builder.push(self.runtime.now_ms(), Some(Bytes::from(key)), Some(value), Vec::new()).unwrap();
                }
                next = (next + BATCH).min(count);
                if !builder.is_empty() {
                    batches.push(BatchToAppend::new(at, builder.build(0)));
                }
            }
            let (id, created_ms) = (self.runtime.unique_uuid(), self.runtime.now_ms());
            let shard = self.log.meta();
            let payload = segment::encode(shard.id(), id, created_ms, &batches);
            self.log.store().put(&shard.paths().segment(id), payload).await.unwrap();
            let append = Append { batches, source: AppendSource::Segment { id, created_ms } };
            let deadline = self.runtime.monotonic() + Duration::from_secs(30);
            shard.append(append, deadline).outcome().await.unwrap();
        }
        bytes
    }

    async fn compact(&self, settings: CompactorSettings) -> (Compactor, Duration) {
        let parts = CompactorParts { log: self.log.clone(), duty: Arc::new(AllShards), settings: settings.at_once() };
        let (compactor, begun) = (Compactor::new(parts), self.runtime.monotonic());
        let report = compactor.run_once(Some(self.topic), |_| {}).await;
        assert_eq!((report.lost, report.failed), (0, 0));
        (compactor, self.runtime.monotonic() - begun)
    }
}

async fn open(folder: &Path) -> (Log, Runtime) {
    let runtime = Runtime::system();
    let store: Arc<dyn Store> = Arc::new(FolderStore::open(folder, false, &runtime).unwrap());
    (Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap(), runtime)
}

/// The most memory that this process has had resident, since it was forgotten.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

#[tokio::test(flavor = "current_thread")]
#[ignore = "a measurement"]
async fn merging_half_a_gigabyte() {
    for compression in [Compression::None, Compression::Lz4] {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench::create(folder.path(), &[]).await;
        let record = |index: u64| {
            let words = ["order", "paid", "shipped", "returned", "customer", "street", "berlin", "2026-11-22"];
            let mut value = String::with_capacity(1_024);
            let mut state = index.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            while value.len() < 1_000 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                value.push_str(words[(state >> 61) as usize]);
                value.push_str(&(state >> 40).to_string());
            }
            (format!("key-{index:012}"), Bytes::from(value))
        };
        let bytes = bench.write(500_000, record, compression).await;
        let before = peak_mib();
        let (compactor, took) = bench.compact(CompactorSettings::default()).await;
        let megabytes = bytes as f64 / 1e6;
        println!(
            "merge of {megabytes:.0} MB ({compression:?}): {:.1} s, {:.0} MB/s, {} bytes read, {} written, peak memory {before} -> {} MiB",
            took.as_secs_f64(),
            megabytes / took.as_secs_f64(),
            compactor.counters().read_bytes.get(),
            compactor.counters().written_bytes.get(),
            peak_mib()
        );
    }
}

/// Names the folder to the process that compacts what another has written.
const FOLDER: &str = "ALLUVIUM_MEASURED_FOLDER";

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_million_keys_within_256_mib() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return compact_ten_million_keys(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::create(folder.path(), &[("min.cleanable.dirty.ratio", "0.01")]).await;
    let value = Bytes::from_static(b"a value of a few bytes");
    let record = |index: u64| (format!("key-{}", index % 10_000_000), value.clone());
    bench.write(12_000_000, record, Compression::Lz4).await;
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "ten_million_keys_within_256_mib"])
        .env(FOLDER, folder.path())
        .status();
    assert!(child.unwrap().success());
}

/// In a process that does nothing else, as a node on a small machine.
async fn compact_ten_million_keys(folder: &Path) {
    let bench = Bench::open(folder).await;
    let opened = peak_mib();
    // All of it becomes files first; the last run is not compacted, so there is one more.
    let (_, took) = bench.compact(CompactorSettings::default()).await;
    let merged = peak_mib();
    println!("opened: {opened} MiB; merge: {:.1} s, peak memory {merged} MiB", took.as_secs_f64());
    bench.write(1, |_| ("the end".to_owned(), Bytes::new()), Compression::None).await;
    let set = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let alter = Operation::AlterTopicConfigs { id: bench.topic, set, remove: Vec::new() };
    bench.log.meta().commit(alter, None).await.unwrap();
    forget_peak();
    let before = peak_mib();
    let (compactor, took) = bench.compact(CompactorSettings::default()).await;
    let compacted = peak_mib();
    let view = bench.log.view();
    let partition = view.partition(TopicPartition { topic: bench.topic, partition: 0 }).unwrap();
    let left: u64 = partition.runs().filter_map(|run| partition.table(run)).map(|table| table.record_count).sum();
    let removed = compactor.counters().records_removed.get();
    println!(
        "12,000,000 records of 10,000,000 keys: {:.1} s, {left} left, {removed} removed, peak memory {before} -> {compacted} MiB",
        took.as_secs_f64()
    );
    assert_eq!((left, removed), (10_000_001, 2_000_000));
    let peak = merged.max(compacted);
    assert!(peak <= 256, "{peak} MiB is more than a small node has");
}
