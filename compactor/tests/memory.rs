//! Keys are compacted in the memory that is set for them, however many there are.
//!
//! A counting allocator watches the whole process, so there is one test here.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{FolderStore, Store};
use alluvium_log::{Append, AppendSource, BatchToAppend, Log, LogOptions, Operation};
use alluvium_record::batch::BatchBuilder;
use alluvium_record::{Compression, TopicId, TopicPartition};
use bytes::Bytes;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
/// What a job may take beside the keys: what is read and written of files of so few records.
const FILES_BYTES_MAX: usize = 16 * MIB;

const KEYS: i64 = 10_000;
const FILES: i64 = 8;
const FILE_RECORDS: i64 = 22_000;

struct World {
    log: Log,
    runtime: Runtime,
    topic: TopicId,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let (runtime, folder) = (Runtime::system(), tempfile::tempdir().unwrap());
        let store: Arc<dyn Store> = Arc::new(FolderStore::open(folder.path(), false, &runtime).unwrap());
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap();
        let topic = TopicId(runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id: topic,
            name: "accounts".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: BTreeMap::from([("min.cleanable.dirty.ratio".to_owned(), "0.01".to_owned())]),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.unwrap();
        Self { log, runtime, topic, _folder: folder }
    }

    fn at(&self) -> TopicPartition {
        TopicPartition { topic: self.topic, partition: 0 }
    }

    /// A file with these records, of all keys in turn.
    async fn file(&self, records: std::ops::Range<i64>) {
        let mut builder = BatchBuilder::new(Compression::Lz4);
        for record in records {
            let key = Some(Bytes::from(format!("key {}", record % KEYS)));
            builder.push(self.runtime.now_ms(), key, Some(Bytes::from_static(b"value")), Vec::new()).unwrap();
        }
        let batches = vec![BatchToAppend::new(self.at(), builder.build(0))];
        let deadline = self.runtime.monotonic() + Duration::from_secs(60);
        let append = Append { batches, source: AppendSource::Inline };
        self.log.meta().append(append, deadline).outcome().await.unwrap();
        assert_eq!(self.compact(CompactorSettings::default()).await, 1);
    }

    async fn compact(&self, settings: CompactorSettings) -> u64 {
        let parts = CompactorParts { log: self.log.clone(), duty: Arc::new(AllShards), settings: settings.at_once() };
        let parts = CompactorParts { settings: CompactorSettings { small_files_min: 100, ..parts.settings }, ..parts };
        let report = Compactor::new(parts).run_once(Some(self.topic), |_| {}).await;
        assert_eq!((report.lost, report.failed), (0, 0));
        report.replaced
    }

    /// The most that is allocated while keys are compacted, more than before.
    async fn peak_of_keys(&self, key_memory_bytes: usize) -> usize {
        let before = ALLOCATOR.current_usage();
        ALLOCATOR.reset_peak_usage();
        let settings = CompactorSettings { key_memory_bytes, ..CompactorSettings::default() };
        assert_eq!(self.compact(settings).await, 1);
        ALLOCATOR.peak_usage() - before
    }

    fn records(&self) -> u64 {
        let view = self.log.view();
        let partition = view.partition(self.at()).unwrap();
        partition.runs().filter_map(|run| partition.table(run)).map(|table| table.record_count).sum()
    }
}

#[tokio::test]
async fn keys_are_compacted_in_the_memory_that_is_set() {
    let mut peaks = Vec::new();
    for key_memory_bytes in [MIB / 2, 32 * MIB] {
        let world = World::new().await;
        for file in 0..FILES {
            world.file(file * FILE_RECORDS..(file + 1) * FILE_RECORDS).await;
        }
        // The last file is not touched.
        world.file(KEYS - 1..KEYS).await;
        let set = vec![("cleanup.policy".to_owned(), "compact".to_owned())];
        let alter = Operation::AlterTopicConfigs { id: world.topic, set, remove: Vec::new() };
        world.log.meta().commit(alter, None).await.unwrap();
        peaks.push(world.peak_of_keys(key_memory_bytes).await);
        assert_eq!(world.records(), KEYS as u64 + 1);
    }
    let [little, much] = peaks[..] else { panic!("two measurements") };
    assert!(little < FILES_BYTES_MAX + MIB / 2, "{little} bytes with half a MiB for keys");
    assert!(much > little + MIB, "{much} bytes with 32 MiB for keys, {little} with half a MiB");
}
