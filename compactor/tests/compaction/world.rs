//! A log with a topic, a store that fails as told, and what was written to compare with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings, RoundReport};
use alluvium_infra::Runtime;
use alluvium_infra::store::{Faulty, MemoryStore, Payload, Store, StorePath};
use alluvium_log::format::segment;
use alluvium_log::invariants::check_state;
use alluvium_log::{
    Append, AppendOutcome, AppendSource, BatchToAppend, Log, LogOptions, ObjectRef, Operation, Partition,
    TransactionTag,
};
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use alluvium_record::{Compression, Header, TopicId, TopicPartition, split_batches};
use alluvium_table::{StoreFile, TableReader};
use bytes::Bytes;

pub(crate) const PRODUCER: i64 = 4000;
pub(crate) const ID: &str = "billing";

/// A record as a consumer sees it: offset, timestamp, key, value, headers.
pub(crate) type Seen = (i64, i64, Option<Bytes>, Option<Bytes>, Vec<(Bytes, Option<Bytes>)>);

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) faulty: Arc<Faulty>,
    pub(crate) log: Log,
    pub(crate) topic: TopicId,
}

/// Records of one batch: key, value.
pub(crate) type Pair = (Option<String>, Option<String>);

pub(crate) fn pair(key: &str, value: &str) -> Pair {
    (Some(key.to_owned()), Some(value.to_owned()))
}

pub(crate) fn tombstone(key: &str) -> Pair {
    (Some(key.to_owned()), None)
}

impl World {
    pub(crate) async fn new(runtime: &Runtime, configs: &[(&str, &str)]) -> Self {
        let memory = Arc::new(MemoryStore::new(runtime.clone()));
        let faulty = Faulty::new(memory.clone(), runtime.clone());
        let log = Log::open(faulty.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
        let topic = TopicId(runtime.random_uuid());
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let operation = Operation::CreateTopic {
            id: topic,
            name: "orders".to_owned(),
            partition_count: 2,
            replication_factor: 1,
            configs: configs.collect::<BTreeMap<_, _>>(),
            shard_count: 1,
        };
        log.meta().commit(operation, None).await.unwrap();
        Self { runtime: runtime.clone(), memory, faulty, log, topic }
    }

    pub(crate) fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.topic, partition }
    }

    pub(crate) fn partition(&self, partition: i32) -> Partition {
        self.log.view().partition(self.at(partition)).unwrap().clone()
    }

    pub(crate) fn objects(&self, partition: i32) -> Vec<ObjectRef> {
        self.partition(partition).runs().map(|run| run.object).collect()
    }

    /// `raw`, `table` or `nothing` for each run.
    pub(crate) fn kinds(&self, partition: i32) -> String {
        let kind = |object: ObjectRef| match object {
            ObjectRef::Entry(_) | ObjectRef::Segment(_) => 'r',
            ObjectRef::Table(_) => 't',
            ObjectRef::Nothing => 'n',
        };
        self.objects(partition).into_iter().map(kind).collect()
    }

    pub(crate) fn settings() -> CompactorSettings {
        CompactorSettings { small_files_min: 4, ..CompactorSettings::default() }.at_once()
    }

    pub(crate) fn compactor(&self, settings: CompactorSettings) -> Compactor {
        Compactor::new(CompactorParts { log: self.log.clone(), duty: Arc::new(AllShards), settings })
    }

    pub(crate) async fn compact(&self) -> RoundReport {
        let report = self.compactor(Self::settings()).run_once(None, |_| {}).await;
        self.check();
        report
    }

    pub(crate) fn check(&self) {
        check_state(&self.log.meta().state()).unwrap();
    }

    pub(crate) fn batch(&self, records: &[Pair], compression: Compression) -> RecordBatch {
        let mut builder = BatchBuilder::new(compression);
        self.fill(&mut builder, records);
        builder.build(0)
    }

    fn fill(&self, builder: &mut BatchBuilder, records: &[Pair]) {
        let bytes = |text: &Option<String>| text.clone().map(Bytes::from);
        for (key, value) in records {
            let header = |name: &'static str| Header { name: Bytes::from_static(name.as_bytes()), value: bytes(value) };
            builder.push(self.runtime.now_ms(), bytes(key), bytes(value), vec![header("h"), header("h")]).unwrap();
        }
    }

    pub(crate) async fn append(&self, batches: Vec<(i32, RecordBatch)>) -> Vec<AppendOutcome> {
        let batches = batches.into_iter().map(|(partition, batch)| BatchToAppend::new(self.at(partition), batch));
        self.append_as(batches.collect(), AppendSource::Inline).await
    }

    pub(crate) async fn append_segment(&self, batches: Vec<(i32, RecordBatch)>) -> ObjectRef {
        let batches: Vec<_> =
            batches.into_iter().map(|(partition, batch)| BatchToAppend::new(self.at(partition), batch)).collect();
        let (id, created_ms) = (self.runtime.unique_uuid(), self.runtime.now_ms());
        let shard = self.log.meta();
        let payload = segment::encode(shard.id(), id, created_ms, &batches);
        self.memory.put(&shard.paths().segment(id), payload).await.unwrap();
        self.append_as(batches, AppendSource::Segment { id, created_ms }).await;
        ObjectRef::Segment(id)
    }

    async fn append_as(&self, batches: Vec<BatchToAppend>, source: AppendSource) -> Vec<AppendOutcome> {
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        self.log.meta().append(Append { batches, source }, deadline).outcome().await.unwrap()
    }

    /// One batch of records for partition 0.
    pub(crate) async fn write(&self, records: &[Pair]) {
        self.append(vec![(0, self.batch(records, Compression::None))]).await;
    }

    pub(crate) async fn init_transactions(&self) {
        let operation = Operation::InitTransaction {
            transactional_id: ID.to_owned(),
            timeout_ms: 60_000,
            seen: None,
            producer_id: PRODUCER,
            epoch: 0,
            repeatable: false,
        };
        self.log.meta().commit(operation, None).await.unwrap();
    }

    /// Records in the transaction of this epoch; it begins when none is open.
    pub(crate) async fn write_in_transaction(&self, epoch: i16, sequence: i32, records: &[Pair]) {
        let tag = TransactionTag::Here { transactional_id: ID.into(), implicit: true };
        let mut builder = BatchBuilder::new(Compression::None).producer(PRODUCER, epoch, sequence).transactional(true);
        self.fill(&mut builder, records);
        let batch = BatchToAppend { transaction: Some(tag), ..BatchToAppend::new(self.at(0), builder.build(0)) };
        let outcome = self.append_as(vec![batch], AppendSource::Inline).await;
        assert!(matches!(outcome[0], AppendOutcome::Appended { .. }), "{outcome:?}");
    }

    pub(crate) async fn end_transaction(&self, epoch: i16, commit: bool) {
        let number = self.log.view().transaction(ID).unwrap().number;
        let operation = Operation::EndTransaction {
            transactional_id: ID.to_owned(),
            producer_id: PRODUCER,
            epoch,
            number,
            commit,
            next_producer_id: PRODUCER,
            next_epoch: epoch + 1,
            overdue_only: false,
        };
        self.log.meta().commit(operation, None).await.unwrap();
    }

    /// What is in the runs of a partition, from the log start on, whatever was aborted; markers are not shown.
    pub(crate) async fn read(&self, partition: i32) -> Vec<Seen> {
        read(&self.memory, &self.log, self.at(partition)).await
    }

    pub(crate) async fn exists(&self, object: ObjectRef) -> bool {
        let paths = self.log.meta().paths();
        let path = match object {
            ObjectRef::Segment(id) => paths.segment(id),
            ObjectRef::Entry(number) => paths.entry(number),
            ObjectRef::Table(_) | ObjectRef::Nothing => {
                return self
                    .table_paths()
                    .await
                    .iter()
                    .any(|path| matches!(object, ObjectRef::Table(id) if path.as_str().contains(&id.to_string())));
            }
        };
        self.memory.get(&path).await.is_ok()
    }

    pub(crate) async fn table_paths(&self) -> Vec<StorePath> {
        let prefix = self.log.meta().paths().table_prefix();
        self.memory.list(&prefix, None, 1000).await.unwrap().objects.into_iter().map(|object| object.path).collect()
    }

    /// Nothing that runs refer to is missing.
    pub(crate) async fn check_reachable(&self) {
        for object in self.log.meta().state().referenced_objects() {
            assert!(self.exists(object).await, "{object:?} is referred to and gone");
        }
    }

    /// Bytes of all objects of the shard.
    pub(crate) async fn stored_bytes(&self) -> u64 {
        let (mut bytes, mut after) = (0, None::<String>);
        loop {
            let page = self.memory.list("", after.as_deref(), 1000).await.unwrap();
            after = page.objects.last().map(|object| object.path.as_str().to_owned());
            bytes += page.objects.iter().map(|object| object.size).sum::<u64>();
            if !page.truncated {
                return bytes;
            }
        }
    }

    pub(crate) async fn overwrite(&self, path: &StorePath, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.memory.get(path).await.unwrap().to_vec();
        change(&mut bytes);
        self.memory.put(path, Payload::from(bytes)).await.unwrap();
    }
}

/// Reads without the compactor's help.
pub(crate) async fn read(memory: &Arc<MemoryStore>, log: &Log, at: TopicPartition) -> Vec<Seen> {
    let view = log.view();
    let partition = view.partition(at).unwrap();
    let mut seen = Vec::new();
    for run in partition.runs() {
        let Some(path) = run.path(at, log.meta().paths()) else { continue };
        if let Some(table) = partition.table(run) {
            let file = Arc::new(StoreFile { store: memory.clone(), path });
            let reader =
                TableReader::open(file, u64::from(run.length), Some(u64::from(table.footer_bytes))).await.unwrap();
            for group in 0..reader.row_groups().len() {
                let rows = reader.read_row_group(log.runtime(), group).await.unwrap();
                let copy = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
                seen.extend(rows.rows().map(|row| {
                    let headers = row.headers.map(|header| (Bytes::copy_from_slice(header.name), copy(header.value)));
                    (row.offset, row.timestamp, copy(row.key), copy(row.value), headers.collect())
                }));
            }
            continue;
        }
        let bytes = memory.get_range(&path, run.position..run.position + u64::from(run.length)).await.unwrap();
        let mut next = run.base_offset;
        for batch in split_batches(bytes).unwrap() {
            let batch = batch.at_offset(next);
            next = batch.header.next_offset();
            if batch.header.attributes.is_control() {
                continue;
            }
            seen.extend(batch.records(1 << 20).unwrap().into_iter().map(|record| {
                let headers = record.headers.into_iter().map(|header| (header.name, header.value)).collect();
                (record.offset, record.timestamp, record.key, record.value, headers)
            }));
        }
    }
    seen.retain(|record| record.0 >= partition.log_start_offset());
    seen
}
