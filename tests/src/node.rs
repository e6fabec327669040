//! One node without its doors: log, ingest and reader over a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::Store;
use alluvium_ingest::{AppendError, AppendReply, Appended, Ingest, IngestSettings, PartitionAppend, ProducerPresence};
use alluvium_log::format::checkpoint;
use alluvium_log::{Log, LogOptions, OpenLogError, Operation, State};
use alluvium_reader::{FetchRequest, FetchedData, Isolation, PartitionFetch, ReadError, Reader, ReaderSettings};
use alluvium_record::batch::RecordBatch;
use alluvium_record::{Record, TopicId, TopicPartition};

use crate::records;

/// How long a test's producer waits for an answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How a node is built.
#[derive(Clone, Debug, Default)]
pub struct NodeOptions {
    /// The log's.
    pub log: LogOptions,
    /// Ingest's.
    pub ingest: IngestSettings,
    /// The reader's.
    pub reader: ReaderSettings,
}

/// One node.
#[derive(Debug)]
pub struct Node {
    /// Its log.
    pub log: Log,
    /// Its way in.
    pub ingest: Ingest,
    /// Its way out.
    pub reader: Reader,
    /// Its clock.
    pub runtime: Runtime,
    presence: ProducerPresence,
}

impl Node {
    /// Opens the log and starts ingest and reader. The one producer of the node is said to wait always, so that nothing lingers.
    pub async fn open(store: Arc<dyn Store>, options: &NodeOptions, runtime: &Runtime) -> Result<Node, OpenLogError> {
        let log = Log::open(store, options.log.clone(), runtime.clone()).await?;
        let ingest = Ingest::start(log.clone(), options.ingest.clone(), runtime.clone());
        let reader = Reader::new(log.clone(), options.reader.clone(), runtime.clone());
        let presence = ingest.connect();
        presence.blocked();
        Ok(Node { log, ingest, reader, runtime: runtime.clone(), presence })
    }

    /// Creates a topic with settings that are given.
    pub async fn create_topic(&self, name: &str, partition_count: i32, configs: &[(&str, &str)]) -> TopicId {
        let id = TopicId(self.runtime.random_uuid());
        let configs: BTreeMap<String, String> =
            configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let operation = Operation::CreateTopic {
            id,
            name: name.to_owned(),
            partition_count,
            replication_factor: 3,
            configs,
            shard_count: 1,
        };
        self.log.meta().commit(operation, None).await.expect("the topic is new");
        id
    }

    /// Hands over the batches of one request, in order, and returns what will be their answers.
    pub async fn begin(&self, batches: Vec<(TopicPartition, RecordBatch)>, patience: Duration) -> AppendReply {
        let bytes = batches.iter().map(|(_, batch)| batch.bytes.len()).sum();
        let permit = self.ingest.admit(bytes).await;
        let partitions = batches
            .into_iter()
            .map(|(topic_partition, batch)| PartitionAppend {
                topic_partition,
                records: batch.bytes,
                transaction: None,
            })
            .collect();
        self.ingest.append(permit, partitions, self.runtime.monotonic() + patience, &self.presence)
    }

    /// Produces one request with batches for several partitions.
    pub async fn produce_all(&self, batches: Vec<(TopicPartition, RecordBatch)>) -> Vec<Result<Appended, AppendError>> {
        self.begin(batches, PATIENCE).await.await
    }

    /// Produces one batch.
    pub async fn produce(&self, at: TopicPartition, batch: RecordBatch) -> Result<Appended, AppendError> {
        self.produce_for(at, batch, PATIENCE).await
    }

    /// Produces one batch and waits so long for its answer.
    pub async fn produce_for(
        &self,
        at: TopicPartition,
        batch: RecordBatch,
        patience: Duration,
    ) -> Result<Appended, AppendError> {
        let mut answers = self.begin(vec![(at, batch)], patience).await.await;
        answers.pop().expect("one answer a partition")
    }

    /// Produces one batch that must be taken, and returns its offset.
    pub async fn must_produce(&self, at: TopicPartition, batch: RecordBatch) -> i64 {
        self.produce(at, batch).await.expect("the batch is taken").base_offset
    }

    /// Produces one batch of values without keys, with the time of the clock.
    pub async fn say(&self, at: TopicPartition, values: &[&str]) -> i64 {
        self.must_produce(at, records::batch(self.runtime.now_ms(), values)).await
    }

    /// Fetches from one partition, with these bytes for it and without waiting.
    pub async fn fetch(&self, at: TopicPartition, offset: i64, bytes_max: i32) -> Result<FetchedData, ReadError> {
        let request = fetch_request(vec![partition_fetch(at, offset, bytes_max)], bytes_max, 0, Duration::ZERO);
        let mut answers = self.reader.fetch(request).await;
        answers.pop().expect("one answer a partition").result
    }

    /// Reads a partition from `offset` to its high watermark, one fetch after another.
    pub async fn read_from(&self, at: TopicPartition, offset: i64) -> Result<Vec<Record>, ReadError> {
        let mut next = offset;
        let mut all = Vec::new();
        loop {
            let data = self.fetch(at, next, 1 << 20).await?;
            let read = records::read(&data.slices);
            // A batch may begin before the offset that was asked for: clients skip its first records.
            all.extend(read.into_iter().filter(|record| record.offset >= next));
            next = all.last().map_or(offset, |record: &Record| record.offset + 1);
            if next >= data.high_watermark {
                return Ok(all);
            }
        }
    }

    /// The values of a partition from its start, as text; offsets must be dense from the log start offset on.
    pub async fn values(&self, at: TopicPartition) -> Vec<String> {
        let start = self.state().partition(at).expect("the partition exists").log_start_offset();
        let records = self.read_from(at, start).await.expect("the partition is readable");
        for (record, offset) in records.iter().zip(start..) {
            assert_eq!(record.offset, offset, "offsets of {at} are dense");
        }
        records.iter().map(|record| records::text(record).to_owned()).collect()
    }

    /// The newest state that the node knows.
    pub fn state(&self) -> Arc<State> {
        self.log.meta().state()
    }

    /// The bytes of that state.
    pub fn state_bytes(&self) -> Vec<u8> {
        checkpoint::state_bytes(&self.state())
    }

    /// Stops in good order: all is flushed and answered, the log is closed.
    pub async fn close(self) {
        self.ingest.drain().await;
        self.log.close().await;
    }
}

/// A fetch of several partitions.
pub fn fetch_request(
    partitions: Vec<PartitionFetch>,
    bytes_max: i32,
    bytes_min: i32,
    wait_max: Duration,
) -> FetchRequest {
    FetchRequest { partitions, bytes_max, bytes_min, wait_max, isolation: Isolation::ReadUncommitted }
}

/// One partition of a fetch.
pub fn partition_fetch(topic_partition: TopicPartition, offset: i64, bytes_max: i32) -> PartitionFetch {
    PartitionFetch { topic_partition, offset, bytes_max, leader_epoch: None }
}
