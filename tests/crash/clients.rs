//! The load: idempotent producers, a consumer that follows, a group that commits. They try again until they are answered, and
//! write down every answer.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use alluvium_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use alluvium_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, OffsetCommitRequest,
    OffsetFetchRequest, ProduceRequest, ProduceResponse, StrBytes,
};
use alluvium_record::batch::split_batches;
use alluvium_tests::records;
use bytes::{Buf, Bytes};
use parking_lot::Mutex;

use alluvium_tests::wire::{Broken, Wire};

pub(crate) const TOPIC: &str = "crash";
pub(crate) const PARTITIONS: i32 = 3;
/// Bytes that a partition of a topic with retention keeps.
const TOPIC_BYTES: &str = "2000000";
const GROUP: &str = "crash-group";
/// Requests of one producer under way at the same time, as many as Kafka allows an idempotent one.
const IN_FLIGHT_MAX: usize = 5;
const PRODUCE_VERSION: i16 = 11;
const FETCH_VERSION: i16 = 12;

/// What is kept of a value: its beginning, its length, its checksum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    beginning: String,
    bytes: usize,
    checksum: u32,
}

impl Mark {
    fn of(value: &[u8]) -> Mark {
        let beginning = String::from_utf8_lossy(&value[..value.len().min(24)]).into_owned();
        Mark { beginning, bytes: value.len(), checksum: alluvium_record::crc32c(value) }
    }
}

/// A batch that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) partition: i32,
    pub(crate) base_offset: i64,
    pub(crate) values: Vec<Mark>,
}

/// What all clients share.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) port: u16,
    pub(crate) runtime: Runtime,
    /// From now on nothing new is sent; what was sent is brought to its end.
    pub(crate) finish: Shutdown,
    pub(crate) acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    pub(crate) seen: Arc<Mutex<Vec<(i32, i64, Mark)>>>,
    pub(crate) retries: Arc<AtomicU64>,
    /// Whether the topic keeps only so many bytes.
    pub(crate) retains: bool,
    /// Whether all values are long.
    long_values: bool,
}

impl Load {
    pub(crate) fn new(port: u16, runtime: &Runtime) -> Load {
        Load {
            port,
            runtime: runtime.clone(),
            finish: Shutdown::new(),
            acknowledged: Arc::default(),
            seen: Arc::default(),
            retries: Arc::default(),
            retains: false,
            long_values: false,
        }
    }

    /// Of a topic that keeps few bytes.
    pub(crate) fn retaining(port: u16, runtime: &Runtime) -> Load {
        Load { retains: true, ..Load::new(port, runtime) }
    }

    /// More load for the same topic, of long values and with an end of its own; what is acknowledged is written down together.
    pub(crate) fn of_long_values(&self) -> Load {
        Load { long_values: true, finish: Shutdown::new(), ..self.clone() }
    }

    pub(crate) fn acknowledged_bytes(&self) -> usize {
        self.acknowledged.lock().iter().flat_map(|batch| &batch.values).map(|mark| mark.bytes).sum()
    }

    /// Makes the topic.
    pub(crate) async fn create_topic(&self) {
        let retention = message!(CreatableTopicConfig {
            name: StrBytes::from("retention.bytes"),
            value: Some(StrBytes::from(TOPIC_BYTES)),
        });
        let topic = message!(CreatableTopic {
            name: StrBytes::from(TOPIC),
            num_partitions: PARTITIONS,
            replication_factor: 3,
            configs: if self.retains { vec![retention] } else { Vec::new() },
        });
        let request = message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000 });
        let mut wire = Wire::open(("127.0.0.1", self.port), &self.runtime).await.expect("the program serves");
        let answer = wire.call(&request, 5).await.expect("the program answers");
        assert_eq!(answer.topics[0].error_code, 0, "the topic is made");
    }

    async fn producer_id(&self) -> (i64, i16) {
        let request = message!(InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1 });
        loop {
            let mut wire = Wire::reopen(("127.0.0.1", self.port), &self.runtime).await;
            if let Ok(answer) = wire.call(&request, 4).await {
                match ErrorCode::from_code(answer.error_code) {
                    Some(ErrorCode::None) => return (answer.producer_id, answer.producer_epoch),
                    error => assert!(error.is_some_and(ErrorCode::is_retriable), "InitProducerId: {error:?}"),
                }
            }
            self.runtime.sleep(Duration::from_millis(20)).await;
        }
    }
}

struct Unanswered {
    base_sequence: i32,
    values: Vec<Bytes>,
    batch: Bytes,
}

/// One idempotent producer on one partition.
pub(crate) struct Producer {
    load: Load,
    number: usize,
    partition: i32,
    id: (i64, i16),
    sequence: i32,
    window: VecDeque<Unanswered>,
}

impl Producer {
    pub(crate) async fn run(load: Load, number: usize) {
        let id = load.producer_id().await;
        let partition = number as i32 % PARTITIONS;
        let mut producer = Producer { load, number, partition, id, sequence: 0, window: VecDeque::new() };
        while !(producer.load.finish.is_triggered() && producer.window.is_empty()) {
            if producer.session().await.is_err() {
                producer.load.retries.fetch_add(1, Ordering::Relaxed);
                producer.load.runtime.sleep(Duration::from_millis(3)).await;
            }
        }
    }

    /// From a fresh connection to its end: all that is unanswered goes first, again, in order.
    async fn session(&mut self) -> Result<(), Broken> {
        let mut wire = Wire::reopen(("127.0.0.1", self.load.port), &self.load.runtime).await;
        for index in 0..self.window.len() {
            let request = self.request(&self.window[index].batch);
            wire.send(&request, PRODUCE_VERSION).await?;
        }
        loop {
            while self.window.len() < IN_FLIGHT_MAX && !self.load.finish.is_triggered() {
                self.make();
                let newest = self.window.back().expect("one was made");
                let request = self.request(&newest.batch);
                wire.send(&request, PRODUCE_VERSION).await?;
                self.load.runtime.sleep(Duration::from_millis(5)).await;
            }
            if self.window.is_empty() {
                return Ok(());
            }
            let answer: ProduceResponse = wire.receive(PRODUCE_VERSION).await?;
            self.judge(&answer)?;
        }
    }

    /// Makes the next batch: mostly small ones, some that need a segment of their own.
    fn make(&mut self) {
        let runtime = &self.load.runtime;
        let count = 1 + runtime.random_below(4);
        let is_long = self.load.long_values || runtime.random_below(150) == 0;
        let length = if is_long { 200_000 } else { runtime.random_below(200) as usize };
        let values: Vec<Bytes> = (0..count as i32)
            .map(|n| {
                let name = format!("producer {} record {} ", self.number, self.sequence + n);
                let filling = records::noise(u64::from(self.sequence as u32), length);
                Bytes::from([name.as_bytes(), &filling[..]].concat())
            })
            .collect();
        let sequence = Some((self.id.0, self.id.1, self.sequence));
        let codec = alluvium_record::Compression::None;
        let batch = records::values_batch(codec, sequence, runtime.now_ms(), values.iter().cloned()).bytes;
        self.window.push_back(Unanswered { base_sequence: self.sequence, values, batch });
        self.sequence += count as i32;
    }

    fn request(&self, batch: &Bytes) -> ProduceRequest {
        let partition = message!(PartitionProduceData { index: self.partition, records: Some(batch.clone()) });
        let topic = message!(TopicProduceData { name: StrBytes::from(TOPIC), partition_data: vec![partition] });
        message!(ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 10_000, topic_data: vec![topic] })
    }

    /// Takes the answer to the oldest request. An error means that the window goes once more, on another connection.
    fn judge(&mut self, answer: &ProduceResponse) -> Result<(), Broken> {
        let partition = &answer.responses[0].partition_responses[0];
        let oldest = self.window.front().expect("an answer has a request");
        match ErrorCode::from_code(partition.error_code) {
            Some(ErrorCode::None) => {
                let acknowledged = Acknowledged {
                    partition: self.partition,
                    base_offset: partition.base_offset,
                    values: oldest.values.iter().map(|value| Mark::of(value)).collect(),
                };
                assert!(acknowledged.base_offset >= 0, "an acknowledgement tells the offset");
                self.load.acknowledged.lock().push(acknowledged);
                self.window.pop_front();
                Ok(())
            }
            // Everything before this batch was acknowledged: whoever finds a gap has lost something.
            Some(ErrorCode::OutOfOrderSequenceNumber) => panic!(
                "producer {} was told that sequence {} does not follow, and {} was acknowledged",
                self.number,
                oldest.base_sequence,
                oldest.base_sequence - 1
            ),
            Some(error) if error.is_retriable() => Err(Broken),
            other => panic!("producer {} was answered {other:?} ({})", self.number, partition.error_code),
        }
    }
}

/// Follows all partitions and writes down what it reads.
pub(crate) async fn consume(load: Load) {
    let mut positions = [0; PARTITIONS as usize];
    while !load.finish.is_triggered() {
        let mut wire = Wire::reopen(("127.0.0.1", load.port), &load.runtime).await;
        while !load.finish.is_triggered() {
            let Ok(records) = fetch(&mut wire, &mut positions, 1 << 20, load.retains).await else { break };
            load.seen.lock().extend(records);
        }
    }
}

/// Reads all partitions from their beginning to their end.
pub(crate) async fn read_all(load: &Load) -> Vec<(i32, i64, Mark)> {
    let mut wire = Wire::open(("127.0.0.1", load.port), &load.runtime).await.expect("the program serves");
    let mut positions = [0; PARTITIONS as usize];
    let mut all = Vec::new();
    loop {
        let before = positions;
        let records = fetch(&mut wire, &mut positions, 8 << 20, load.retains).await.expect("the program answers");
        if positions == before {
            return all;
        }
        all.extend(records);
    }
}

/// One Fetch of all partitions; moves the positions.
async fn fetch(
    wire: &mut Wire,
    positions: &mut [i64],
    max_bytes: i32,
    retains: bool,
) -> Result<Vec<(i32, i64, Mark)>, Broken> {
    let partitions = (0_i32..).zip(positions.iter()).map(|(partition, fetch_offset)| {
        message!(FetchPartition {
            partition,
            current_leader_epoch: -1,
            fetch_offset: *fetch_offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 1 << 20,
        })
    });
    let topic = message!(FetchTopic { topic: StrBytes::from(TOPIC), partitions: partitions.collect() });
    let request = message!(FetchRequest {
        replica_id: -1,
        max_wait_ms: 50,
        min_bytes: 1,
        max_bytes,
        session_epoch: -1,
        topics: vec![topic],
    });
    let answer = wire.call(&request, FETCH_VERSION).await?;
    assert_eq!(answer.error_code, 0);
    let mut read = Vec::new();
    for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        // After a restart a store that has just come back may not answer yet; nothing else may go wrong.
        if data.error_code == ErrorCode::KafkaStorageError.code() {
            return Err(Broken);
        }
        let position = &mut positions[data.partition_index as usize];
        if retains && data.error_code == ErrorCode::OffsetOutOfRange.code() {
            let start = earliest(wire, data.partition_index).await?;
            assert!(start > *position, "{position} of partition {} is in the log", data.partition_index);
            *position = start;
            continue;
        }
        assert_eq!(data.error_code, 0, "fetch of partition {}", data.partition_index);
        for batch in split_batches(whole(data.records.unwrap_or_default())).expect("whole batches are sent") {
            batch.verify_crc().expect("the checksum holds");
            for record in batch.records(64 << 20).expect("records are readable") {
                if record.offset >= *position {
                    assert!(record.offset < data.high_watermark, "nothing is shown beyond the high watermark");
                    *position = record.offset + 1;
                    let mark = Mark::of(&record.value.unwrap_or_default());
                    read.push((data.partition_index, record.offset, mark));
                }
            }
        }
    }
    Ok(read)
}

/// Where a partition begins.
async fn earliest(wire: &mut Wire, partition_index: i32) -> Result<i64, Broken> {
    let partition = message!(ListOffsetsPartition { partition_index, current_leader_epoch: -1, timestamp: -2 });
    let topic = message!(ListOffsetsTopic { name: StrBytes::from(TOPIC), partitions: vec![partition] });
    let answer = wire.call(&message!(ListOffsetsRequest { replica_id: -1, topics: vec![topic] }), 7).await?;
    match &answer.topics[0].partitions[0] {
        found if found.error_code == 0 => Ok(found.offset),
        _ => Err(Broken),
    }
}

/// The records of a response in one piece.
fn whole(mut records: impl Buf) -> Bytes {
    records.copy_to_bytes(records.remaining())
}

/// Commits ever larger offsets and, after each one that was acknowledged, asks what is committed.
pub(crate) async fn commit(load: Load) -> u64 {
    let (mut acknowledged, mut sent, mut checks) = (-1, 0, 0);
    while !load.finish.is_triggered() {
        let mut wire = Wire::reopen(("127.0.0.1", load.port), &load.runtime).await;
        loop {
            // Asked first on each connection: what was acknowledged before the crash must be there.
            match committed(&mut wire).await {
                Ok(Some(offset)) => {
                    assert!(offset >= acknowledged, "{acknowledged} was acknowledged as committed, {offset} is found");
                    assert!(offset <= sent, "{offset} is found, {sent} is the newest that was sent");
                    checks += 1;
                }
                Ok(None) => {}
                Err(Broken) => break,
            }
            sent += 1;
            match commit_one(&mut wire, sent).await {
                Ok(true) => acknowledged = sent,
                Ok(false) => {}
                Err(Broken) => break,
            }
            load.runtime.sleep(Duration::from_millis(10)).await;
            if load.finish.is_triggered() {
                break;
            }
        }
        load.runtime.sleep(Duration::from_millis(3)).await;
    }
    checks
}

async fn commit_one(wire: &mut Wire, committed_offset: i64) -> Result<bool, Broken> {
    let partition = message!(OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(StrBytes::default()),
    });
    let topic = message!(OffsetCommitRequestTopic { name: StrBytes::from(TOPIC), partitions: vec![partition] });
    let request = message!(OffsetCommitRequest {
        group_id: StrBytes::from(GROUP),
        generation_id_or_member_epoch: -1,
        topics: vec![topic],
    });
    let answer = wire.call(&request, 8).await?;
    Ok(answer.topics[0].partitions[0].error_code == 0)
}

/// The committed offset; `None` while nobody knows.
async fn committed(wire: &mut Wire) -> Result<Option<i64>, Broken> {
    let topic = message!(OffsetFetchRequestTopic { name: StrBytes::from(TOPIC), partition_indexes: vec![0] });
    let request = message!(OffsetFetchRequest { group_id: StrBytes::from(GROUP), topics: Some(vec![topic]) });
    let answer = wire.call(&request, 7).await?;
    if answer.error_code != 0 {
        return Ok(None);
    }
    let partition = &answer.topics[0].partitions[0];
    Ok((partition.error_code == 0).then_some(partition.committed_offset))
}
