//! A log with topics, a store that counts, and a consumer to compare with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, CompactorSettings};
use alluvium_infra::Runtime;
use alluvium_infra::store::{MemoryStore, Metered, StoreOperation};
use alluvium_log::{
    Append, AppendOutcome, AppendSource, BatchToAppend, Log, LogOptions, ObjectRef, Operation, TransactionTag,
};
use alluvium_query::{OutputForm, Queries, QueryError, QuerySettings, print};
use alluvium_reader::{AbortedTransaction, FetchRequest, Isolation, PartitionFetch, Reader, ReaderSettings};
use alluvium_record::batch::{BatchBuilder, RecordBatch, split_batches};
use alluvium_record::{Compression, Header, TopicId, TopicPartition};
use bytes::Bytes;
use serde_json::{Value, json};

pub(crate) const PRODUCER: i64 = 4000;
pub(crate) const ID: &str = "billing";

pub(crate) struct World {
    pub(crate) runtime: Runtime,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) log: Log,
    pub(crate) orders: TopicId,
}

/// What a query gave, and what it took.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) rows: Vec<Value>,
    /// Ranged reads, and reads of whole objects that are no entries of the log itself.
    pub(crate) reads: u64,
    pub(crate) bytes: u64,
}

impl World {
    pub(crate) async fn new(runtime: &Runtime, configs: &[(&str, &str)]) -> World {
        let memory = Arc::new(MemoryStore::new(runtime.clone()));
        let log = Log::open(memory.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
        let orders = TopicId(runtime.random_uuid());
        let world = World { runtime: runtime.clone(), memory, log, orders };
        world.create("orders", orders, 2, configs).await;
        world
    }

    pub(crate) async fn create(&self, name: &str, id: TopicId, partition_count: i32, configs: &[(&str, &str)]) {
        // Timestamps are of no matter to what stays.
        let configs = configs.iter().chain([&("retention.ms", "-1")]);
        let configs = configs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let operation = Operation::CreateTopic {
            id,
            name: name.to_owned(),
            partition_count,
            replication_factor: 1,
            configs: configs.collect::<BTreeMap<_, _>>(),
            shard_count: 1,
        };
        self.log.meta().commit(operation, None).await.unwrap();
    }

    pub(crate) fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition { topic: self.orders, partition }
    }

    /// `r` for each run that is raw, `t` for each file, `n` for each run of which nothing is left.
    pub(crate) fn kinds(&self, partition: i32) -> String {
        let view = self.log.view();
        let kind = |object: ObjectRef| match object {
            ObjectRef::Entry(_) | ObjectRef::Segment(_) => 'r',
            ObjectRef::Table(_) => 't',
            ObjectRef::Nothing => 'n',
        };
        view.partition(self.at(partition)).unwrap().runs().map(|run| kind(run.object)).collect()
    }

    /// Merges what is raw. Files stay as they are.
    pub(crate) async fn compact(&self) {
        let settings = CompactorSettings { small_files_min: 1000, ..CompactorSettings::default() }.at_once();
        let parts = CompactorParts { log: self.log.clone(), duty: Arc::new(AllShards), settings };
        let report = Compactor::new(parts).run_once(None, |_| {}).await;
        assert_eq!(report.failed, 0);
    }

    pub(crate) async fn append(&self, partition: i32, batch: RecordBatch) {
        self.append_as(BatchToAppend::new(self.at(partition), batch)).await;
    }

    async fn append_as(&self, batch: BatchToAppend) {
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        let append = Append { batches: vec![batch], source: AppendSource::Inline };
        let outcome = self.log.meta().append(append, deadline).outcome().await.unwrap();
        assert!(matches!(outcome[0], AppendOutcome::Appended { .. }), "{outcome:?}");
    }

    /// `count` records with these timestamps on, a millisecond apart; all that a record can have.
    pub(crate) async fn write(&self, partition: i32, count: i64, from_timestamp: i64) {
        let compression = [Compression::None, Compression::Zstd, Compression::Lz4][count as usize % 3];
        let mut builder = BatchBuilder::new(compression);
        for index in 0..count {
            let key = (index % 4 != 0).then(|| Bytes::from(format!("key-{}", index % 5)));
            let value = match index % 5 {
                0 => None,
                1 => Some(Bytes::from_static(&[0xff, 0x00])),
                _ => Some(Bytes::from(format!("{{\"n\":{index},\"name\":\"n{index}\",\"deep\":{{\"x\":[{index}]}}}}"))),
            };
            let names: [&'static [u8]; 3] = [b"trace", b"trace", b"\xffraw"];
            let headers = names.into_iter().take(index as usize % 4).enumerate().map(|(place, name)| Header {
                name: Bytes::from_static(name),
                value: (place != 2).then(|| Bytes::from(format!("h{place}"))),
            });
            builder.push(from_timestamp + index, key, value, headers.collect()).unwrap();
        }
        self.append(partition, builder.build(0)).await;
    }

    /// One batch of records with values of one size that cannot be compressed.
    pub(crate) async fn write_large(&self, partition: i32, count: i64, value_bytes: usize, from_timestamp: i64) {
        let mut builder = BatchBuilder::new(Compression::None);
        for index in 0..count {
            let words = (0..value_bytes / 8).flat_map(|_| self.runtime.random_u64().to_le_bytes());
            let value = Bytes::from_iter(words);
            builder.push(from_timestamp + index, None, Some(value), Vec::new()).unwrap();
        }
        self.append(partition, builder.build(0)).await;
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

    pub(crate) async fn write_in_transaction(&self, epoch: i16, values: &[&str]) {
        let tag = TransactionTag::Here { transactional_id: ID.into(), implicit: true };
        let mut builder = BatchBuilder::new(Compression::None).producer(PRODUCER, epoch, 0).transactional(true);
        for value in values {
            builder.push(self.runtime.now_ms(), None, Some(Bytes::from((*value).to_owned())), Vec::new()).unwrap();
        }
        let batch = BatchToAppend::new(self.at(0), builder.build(0));
        self.append_as(BatchToAppend { transaction: Some(tag), ..batch }).await;
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

    /// All rows of `orders` that a consumer sees, by partition and offset, as a query prints them.
    pub(crate) async fn consume(&self, isolation: Isolation) -> Vec<Value> {
        let reader = Reader::new(self.log.clone(), ReaderSettings::default(), self.runtime.clone());
        let mut seen = Vec::new();
        for partition in 0..2 {
            let found = self.log.view().partition(self.at(partition)).unwrap().clone();
            let end = match isolation {
                Isolation::ReadCommitted => found.last_stable_offset(),
                Isolation::ReadUncommitted => found.high_watermark(),
            };
            let mut offset = found.log_start_offset();
            while offset < end {
                let (rows, next) = self.fetch(&reader, partition, offset, isolation).await;
                assert!(next > offset, "stuck at {offset} of {end}");
                seen.extend(rows);
                offset = next;
            }
        }
        seen
    }

    async fn fetch(&self, reader: &Reader, partition: i32, offset: i64, isolation: Isolation) -> (Vec<Value>, i64) {
        let wanted =
            PartitionFetch { topic_partition: self.at(partition), offset, bytes_max: 1 << 20, leader_epoch: None };
        let request = FetchRequest {
            partitions: vec![wanted],
            bytes_max: i32::MAX,
            bytes_min: 1,
            wait_max: Duration::ZERO,
            isolation,
        };
        let fetched = reader.fetch(request).await.remove(0).result.unwrap();
        let mut rows = Vec::new();
        let mut next = offset;
        let (mut pending, mut aborting) = (fetched.aborted, std::collections::BTreeSet::new());
        for batch in split_batches(Bytes::from(fetched.slices.concat())).unwrap() {
            let header = batch.header;
            next = header.next_offset();
            let (begun, later) = pending.into_iter().partition(|aborted| aborted.first_offset <= header.last_offset());
            pending = later;
            aborting.extend(begun.into_iter().map(|aborted: AbortedTransaction| aborted.producer_id));
            if header.attributes.is_control() {
                aborting.remove(&header.producer_id);
                continue;
            }
            if header.attributes.is_transactional() && aborting.contains(&header.producer_id) {
                continue;
            }
            let records = batch.records(1 << 30).unwrap().into_iter().filter(|record| record.offset >= offset);
            rows.extend(records.map(|record| row(partition, &record)));
        }
        (rows, next)
    }

    pub(crate) fn queries(&self, log: &Log, isolation: Isolation) -> Queries {
        let settings = QuerySettings { isolation, memory_bytes_max: 64 << 20, workers: 3 };
        Queries::new(log.clone(), settings, self.runtime.clone())
    }

    /// The log as another process sees it that has nothing in memory, over a store that counts.
    pub(crate) async fn elsewhere(&self) -> (Log, Arc<Metered>) {
        let metered = Metered::new(self.memory.clone(), self.runtime.clone());
        let options = LogOptions { tail_bytes_max: 0, probe: false, ..LogOptions::default() };
        (Log::open(metered.clone(), options, self.runtime.clone()).await.unwrap(), metered)
    }

    /// Asks from elsewhere.
    pub(crate) async fn ask(&self, sql: &str) -> Result<Answered, QueryError> {
        let (log, metered) = self.elsewhere().await;
        // What is read of the log itself before is no matter of the query.
        log.catch_up().await.unwrap();
        let before = metered.snapshot();
        let answer = self.queries(&log, Isolation::ReadCommitted).run(sql).await?;
        let rows = printed(answer).await?;
        let spent = metered.snapshot().since(&before);
        let (ranged, whole) = (spent.of(StoreOperation::GetRange), spent.of(StoreOperation::Get));
        let found = whole.ended(alluvium_infra::store::StoreOutcome::Done);
        let reads = ranged.ended(alluvium_infra::store::StoreOutcome::Done) + found;
        Ok(Answered { rows, reads, bytes: ranged.bytes + whole.bytes })
    }

    pub(crate) async fn rows(&self, sql: &str) -> Vec<Value> {
        self.ask(sql).await.unwrap().rows
    }
}

/// All rows, as JSON.
pub(crate) async fn printed(answer: alluvium_query::Answer) -> Result<Vec<Value>, QueryError> {
    let mut out = Vec::new();
    match print(answer, OutputForm::Json, &mut out).await {
        Ok(rows) => assert_eq!(rows as usize, out.iter().filter(|byte| **byte == b'\n').count()),
        Err(alluvium_query::PrintError::Query(error)) => return Err(error),
        Err(error) => panic!("memory takes everything: {error}"),
    }
    Ok(String::from_utf8(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn row(partition: i32, record: &alluvium_record::Record) -> Value {
    let bytes = |bytes: &Option<Bytes>| match bytes {
        None => Value::Null,
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.into(),
            Err(_) => json!({"base64": if bytes.as_ref() == [0xff, 0x00] { "/wA=" } else { "?" }}),
        },
    };
    let name = |name: &Bytes| String::from_utf8(name.to_vec()).unwrap_or_else(|_| "\\xffraw".to_owned());
    let headers: Vec<Value> = record
        .headers
        .iter()
        .map(|header| json!({"name": name(&header.name), "value": bytes(&header.value)}))
        .collect();
    json!({
        "partition": partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "timestamp_type": 0,
        "key": bytes(&record.key),
        "value": bytes(&record.value),
        "headers": headers,
    })
}
