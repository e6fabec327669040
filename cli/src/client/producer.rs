//! Writing records: batches for each partition, several requests in flight, in order, each record once.
//!
//! Invariants:
//! 1. Batches of a partition reach its log in the order in which their records were pushed.
//! 2. With idempotence a batch is tried again with the same sequence, so that the log has it once.
//! 3. After a failed request nothing new is sent until everything in flight is settled and what failed is written.

use std::collections::{BTreeMap, HashMap, VecDeque};

use alluvium_infra::runtime::Instant;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProduceResponse, StrBytes};
use alluvium_record::{BatchBuilder, Compression, Header};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::cluster::TopicMetadata;
use super::partitioner::partition_of_key;
use super::{ClientError, Cluster};

/// The last version that names topics; later ones carry ids, which nothing here needs.
const PRODUCE_VERSION_MAX: i16 = 12;
const INIT_PRODUCER_ID_VERSION_MAX: i16 = 4;
/// What idempotence allows.
const REQUESTS_IN_FLIGHT_MAX: usize = 5;
/// The most bytes of records in a batch, unless one record alone is larger. Half of Kafka's limit for a batch.
const BATCH_BYTES_MAX: usize = 512 * 1024;

/// How records are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProduceOptions {
    /// -1 for all, 1, or 0 for no answer.
    pub(crate) acks: i16,
    pub(crate) idempotent: bool,
    pub(crate) compression: Compression,
}

/// A record to be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutgoingRecord {
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
    /// Now, when it is none.
    pub(crate) timestamp_ms: Option<i64>,
    /// Chosen by the key, when it is none.
    pub(crate) partition: Option<i32>,
}

/// A batch that the server has taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) partition: i32,
    /// Offset of the first record; -1 when the server did not say.
    pub(crate) base_offset: i64,
    pub(crate) record_count: i32,
}

/// A batch as it is sent.
#[derive(Clone, Debug)]
struct Sealed {
    partition: i32,
    bytes: Bytes,
    record_count: i32,
}

type Answer = Result<ProduceResponse, ClientError>;

/// A request in flight.
struct Flight {
    batches: Vec<Sealed>,
    coming: BoxFuture<'static, Answer>,
    come: Option<Answer>,
}

/// Writes records to one topic.
pub(crate) struct Producer {
    cluster: Cluster,
    topic: TopicMetadata,
    options: ProduceOptions,
    /// Id and epoch, with idempotence.
    identity: Option<(i64, i16)>,
    /// The next sequence of each partition.
    sequences: HashMap<i32, i32>,
    open: BTreeMap<i32, BatchBuilder>,
    /// Index of the partition that takes records without a key.
    keyless: usize,
    in_flight: VecDeque<Flight>,
    acknowledged: Vec<Acknowledged>,
}

impl Producer {
    /// Finds the topic, which servers may make on this occasion, and gets a producer id.
    pub(crate) async fn start(
        mut cluster: Cluster,
        topic: &str,
        options: ProduceOptions,
    ) -> Result<Producer, ClientError> {
        let topic = cluster.topic(topic, true).await?;
        let identity = match options.idempotent && options.acks == -1 {
            true => Some(producer_id(&mut cluster).await?),
            false => None,
        };
        let keyless = cluster.runtime().random_below(topic.partitions.len() as u64) as usize;
        Ok(Producer {
            cluster,
            topic,
            options,
            identity,
            sequences: HashMap::new(),
            open: BTreeMap::new(),
            keyless,
            in_flight: VecDeque::new(),
            acknowledged: Vec::new(),
        })
    }

    /// Adds a record, and sends its batch when that is full.
    pub(crate) async fn push(&mut self, record: OutgoingRecord) -> Result<(), ClientError> {
        let partition = self.partition_for(&record)?;
        let timestamp_ms = record.timestamp_ms.unwrap_or_else(|| self.cluster.runtime().now_ms());
        let size = record.key.as_ref().map_or(0, Bytes::len) + record.value.as_ref().map_or(0, Bytes::len);
        let full =
            |builder: &BatchBuilder| !builder.is_empty() && builder.uncompressed_bytes() + size > BATCH_BYTES_MAX;
        if self.open.get(&partition).is_some_and(full) {
            self.send_batches(Some(partition)).await?;
        }
        if !self.open.contains_key(&partition) {
            let builder = self.new_batch(partition);
            self.open.insert(partition, builder);
        }
        let pushed = self
            .open
            .get_mut(&partition)
            .map_or(Ok(()), |builder| builder.push(timestamp_ms, record.key, record.value, record.headers));
        pushed.map_err(|error| ClientError::Refused {
            what: "a record".to_owned(),
            code: ErrorCode::MessageTooLarge,
            message: format!(": {error}"),
        })
    }

    fn partition_for(&self, record: &OutgoingRecord) -> Result<i32, ClientError> {
        let partitions = &self.topic.partitions;
        if let Some(partition) = record.partition {
            return match partitions.iter().any(|leader| leader.partition == partition) {
                true => Ok(partition),
                false => Err(ClientError::Refused {
                    what: format!("topic {}, partition {partition}", self.topic.name),
                    code: ErrorCode::UnknownTopicOrPartition,
                    message: format!(": it has partitions 0 to {}", partitions.len().saturating_sub(1)),
                }),
            };
        }
        let index = match &record.key {
            Some(key) => partition_of_key(key, partitions.len()),
            None => self.keyless % partitions.len().max(1),
        };
        Ok(partitions.get(index).map_or(0, |leader| leader.partition))
    }

    fn new_batch(&self, partition: i32) -> BatchBuilder {
        let builder = BatchBuilder::new(self.options.compression);
        match self.identity {
            Some((id, epoch)) => {
                builder.producer(id, epoch, self.sequences.get(&partition).copied().unwrap_or_default())
            }
            None => builder,
        }
    }

    /// Sends all batches that have records.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        self.send_batches(None).await
    }

    /// Sends what is left and waits until everything is written.
    pub(crate) async fn finish(&mut self) -> Result<(), ClientError> {
        self.flush().await?;
        while !self.in_flight.is_empty() {
            self.arrived().await;
            self.settle().await?;
        }
        Ok(())
    }

    /// Whether a request waits for its answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.in_flight.is_empty()
    }

    /// What has been written since the last call.
    pub(crate) fn take_acknowledged(&mut self) -> Vec<Acknowledged> {
        std::mem::take(&mut self.acknowledged)
    }

    async fn send_batches(&mut self, only: Option<i32>) -> Result<(), ClientError> {
        let chosen: Vec<i32> =
            self.open.keys().copied().filter(|partition| only.is_none_or(|only| only == *partition)).collect();
        let mut by_leader: BTreeMap<i32, Vec<Sealed>> = BTreeMap::new();
        for partition in chosen {
            let Some(builder) = self.open.remove(&partition) else { continue };
            let record_count = builder.record_count();
            let sequence = self.sequences.entry(partition).or_default();
            *sequence = next_sequence(*sequence, record_count);
            let bytes = builder.build(0).bytes;
            by_leader.entry(self.leader_of(partition)).or_default().push(Sealed { partition, bytes, record_count });
        }
        self.keyless = self.keyless.wrapping_add(1) % self.topic.partitions.len().max(1);
        for (node_id, batches) in by_leader {
            while self.in_flight.len() >= REQUESTS_IN_FLIGHT_MAX {
                self.arrived().await;
                self.settle().await?;
            }
            self.send(node_id, batches).await?;
        }
        Ok(())
    }

    fn leader_of(&self, partition: i32) -> i32 {
        self.topic.partitions.iter().find(|leader| leader.partition == partition).map_or(-1, |leader| leader.node_id)
    }

    fn request(&self, batches: &[Sealed]) -> ProduceRequest {
        let partition = |batch: &Sealed| {
            message!(PartitionProduceData { index: batch.partition, records: Some(batch.bytes.clone()) })
        };
        let topic = message!(TopicProduceData {
            name: StrBytes::from(self.topic.name.as_str()),
            partition_data: batches.iter().map(partition).collect(),
        });
        message!(ProduceRequest {
            acks: self.options.acks,
            timeout_ms: self.cluster.timeout_ms(),
            topic_data: vec![topic],
        })
    }

    async fn send(&mut self, node_id: i32, batches: Vec<Sealed>) -> Result<(), ClientError> {
        let request = self.request(&batches);
        let connection = self.cluster.broker(node_id).await;
        if self.options.acks == 0 {
            connection?.send_only(&request, PRODUCE_VERSION_MAX).await?;
            self.acknowledge_unseen(&batches);
            return Ok(());
        }
        let sent = match connection {
            Ok(connection) => connection.send(&request, PRODUCE_VERSION_MAX).await,
            Err(error) => Err(error),
        };
        let coming = async move { sent?.answer().await }.boxed();
        self.in_flight.push_back(Flight { batches, coming, come: None });
        Ok(())
    }

    fn acknowledge_unseen(&mut self, batches: &[Sealed]) {
        self.acknowledged.extend(batches.iter().map(|batch| Acknowledged {
            partition: batch.partition,
            base_offset: -1,
            record_count: batch.record_count,
        }));
    }

    /// Waits until the oldest request has its answer. May be given up at any time; never ends when nothing is in flight.
    pub(crate) async fn arrived(&mut self) {
        match self.in_flight.front_mut() {
            Some(flight) => flight.arrive().await,
            None => std::future::pending().await,
        }
    }

    /// Takes the oldest answer into account. What failed and may be tried again is written before this returns.
    pub(crate) async fn settle(&mut self) -> Result<(), ClientError> {
        let Some(mut flight) = self.in_flight.pop_front() else { return Ok(()) };
        let (mut failed, mut error) = self.split(&mut flight).await?;
        if failed.is_empty() {
            return Ok(());
        }
        while let Some(mut later) = self.in_flight.pop_front() {
            let (also_failed, also_error) = self.split(&mut later).await?;
            failed.extend(also_failed);
            error = error.or(also_error);
        }
        let deadline = self.cluster.deadline();
        for batch in failed {
            self.write_again(batch, error.take(), deadline).await?;
        }
        Ok(())
    }

    /// Notes what a flight has written, and gives back what may be tried again, with the first error.
    async fn split(&mut self, flight: &mut Flight) -> Result<(Vec<Sealed>, Option<ClientError>), ClientError> {
        flight.arrive().await;
        let batches = std::mem::take(&mut flight.batches);
        let answer = match flight.come.take() {
            Some(Ok(answer)) => answer,
            Some(Err(error)) if error.is_retriable() => return Ok((batches, Some(error))),
            Some(Err(error)) => return Err(error),
            None => return Ok((batches, None)),
        };
        let (mut failed, mut first_error) = (Vec::new(), None);
        for batch in batches {
            match self.outcome(&answer, &batch) {
                Ok(acknowledged) => self.acknowledged.push(acknowledged),
                Err(error) if self.may_try_again(&error) => {
                    first_error = first_error.or(Some(error));
                    failed.push(batch);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((failed, first_error))
    }

    /// With idempotence, batches behind a failed one are out of order, and in order once that is written.
    fn may_try_again(&self, error: &ClientError) -> bool {
        let behind = self.identity.is_some() && error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        error.is_retriable() || behind
    }

    fn outcome(&self, answer: &ProduceResponse, batch: &Sealed) -> Result<Acknowledged, ClientError> {
        let (partition, record_count) = (batch.partition, batch.record_count);
        let what = format!("topic {}, partition {partition}", self.topic.name);
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let Some(found) = partitions.into_iter().find(|found| found.index == partition) else {
            ClientError::refused(what, ErrorCode::UnknownServerError.code(), None)?;
            return Ok(Acknowledged { partition, base_offset: -1, record_count });
        };
        if found.error_code == ErrorCode::DuplicateSequenceNumber.code() {
            return Ok(Acknowledged { partition, base_offset: -1, record_count });
        }
        ClientError::refused(what, found.error_code, found.error_message.as_ref())?;
        Ok(Acknowledged { partition, base_offset: found.base_offset, record_count })
    }

    async fn write_again(
        &mut self,
        batch: Sealed,
        error: Option<ClientError>,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let mut tries = 0;
        if let Some(error) = error.filter(ClientError::is_retriable) {
            self.cluster.pause(error, &mut tries, deadline).await?;
        }
        loop {
            let error = match self.write_once(&batch).await {
                Ok(acknowledged) => {
                    self.acknowledged.push(acknowledged);
                    return Ok(());
                }
                Err(error) => error,
            };
            self.cluster.pause(error, &mut tries, deadline).await?;
        }
    }

    async fn write_once(&mut self, batch: &Sealed) -> Result<Acknowledged, ClientError> {
        self.topic = self.cluster.topic(&self.topic.name, false).await?;
        let request = self.request(std::slice::from_ref(batch));
        let connection = self.cluster.broker(self.leader_of(batch.partition)).await?;
        let answer = connection.call(&request, PRODUCE_VERSION_MAX).await?;
        self.outcome(&answer, batch)
    }
}

impl Flight {
    /// May be given up and called again.
    async fn arrive(&mut self) {
        if self.come.is_none() {
            self.come = Some((&mut self.coming).await);
        }
    }
}

async fn producer_id(cluster: &mut Cluster) -> Result<(i64, i16), ClientError> {
    let request = message!(InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1,
    });
    let (deadline, mut tries) = (cluster.deadline(), 0);
    loop {
        let called = async {
            let answer = cluster.any().await?.call(&request, INIT_PRODUCER_ID_VERSION_MAX).await?;
            ClientError::refused("a producer id", answer.error_code, None)?;
            Ok((answer.producer_id, answer.producer_epoch))
        };
        match called.await {
            Ok(identity) => return Ok(identity),
            Err(error) => cluster.pause(error, &mut tries, deadline).await?,
        }
    }
}

/// Sequences go from the largest number on to 0.
fn next_sequence(sequence: i32, record_count: i32) -> i32 {
    ((i64::from(sequence) + i64::from(record_count)) % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::next_sequence;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(next_sequence(0, 3), 3);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 3), 1);
    }
}
