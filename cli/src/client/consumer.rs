//! Reading records: positions of partitions, and one Fetch for each leader at a time. Leaders do not wait for each other.
//!
//! Invariants:
//! 1. A record is given out once and in the order of its partition.
//! 2. An answer counts for a partition only while its position is the one that was asked for.
//! 3. The position is behind everything that was given out or passed over (control batches, batches of transactions that the
//!    answer names as aborted), and behind nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::runtime::Instant;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use alluvium_protocol::messages::fetch_response::PartitionData;
use alluvium_protocol::messages::{FetchRequest, FetchResponse, StrBytes};
use alluvium_record::{BatchError, Record, RecordBatch};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::cluster::TopicMetadata;
use super::offsets::OffsetPoint;
use super::{ClientError, Cluster};

/// The last version that names topics; later ones carry ids, which nothing here needs.
const FETCH_VERSION_MAX: i16 = 12;
const PARTITION_BYTES_MAX: i32 = 2 * 1024 * 1024;
const FETCH_BYTES_MAX: i32 = 16 * 1024 * 1024;
/// A request outside any fetch session.
const NO_SESSION_EPOCH: i32 = -1;
const REPLICA_CONSUMER: i32 = -1;
const LEADER_EPOCH_UNKNOWN: i32 = -1;

/// Records of one partition, in order.
#[derive(Clone, Debug)]
pub(crate) struct Fetched {
    pub(crate) partition: i32,
    pub(crate) records: Vec<Record>,
}

/// A request that was sent to a leader, and in the end its answer.
#[derive(Debug)]
struct Answered {
    node_id: i32,
    /// The positions that were asked for.
    asked: BTreeMap<i32, i64>,
    answer: Result<FetchResponse, ClientError>,
}

/// Reads one topic.
#[derive(Debug)]
pub(crate) struct Consumer {
    cluster: Cluster,
    topic: TopicMetadata,
    positions: BTreeMap<i32, i64>,
    in_flight: FuturesUnordered<BoxFuture<'static, Answered>>,
    /// The leaders that they were sent to.
    busy: BTreeSet<i32>,
    /// Where the next request begins, so that no partition waits for ever behind a busy one.
    turn: usize,
    tries: u32,
    /// When an unbroken row of failures becomes an error.
    deadline: Option<Instant>,
}

impl Consumer {
    /// Reads from these positions on.
    pub(crate) fn new(cluster: Cluster, topic: TopicMetadata, positions: BTreeMap<i32, i64>) -> Consumer {
        Consumer {
            cluster,
            topic,
            positions,
            in_flight: FuturesUnordered::new(),
            busy: BTreeSet::new(),
            turn: 0,
            tries: 0,
            deadline: None,
        }
    }

    /// The connection to the cluster.
    pub(crate) fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// The topic that is read.
    pub(crate) fn topic(&self) -> &TopicMetadata {
        &self.topic
    }

    /// The next offset of each partition that is read.
    pub(crate) fn positions(&self) -> &BTreeMap<i32, i64> {
        &self.positions
    }

    /// Reads other partitions from now on.
    pub(crate) fn set_positions(&mut self, positions: BTreeMap<i32, i64>) {
        self.positions = positions;
    }

    /// Reads this partition no further.
    pub(crate) fn leave(&mut self, partition: i32) {
        self.positions.remove(&partition);
    }

    /// The next records of all partitions; empty when none came within `wait_max`.
    pub(crate) async fn poll(&mut self, wait_max: Duration) -> Result<Vec<Fetched>, ClientError> {
        let (fetched, error) = self.fetch(wait_max).await;
        let Some(error) = error else {
            self.tries = 0;
            self.deadline = None;
            return Ok(fetched);
        };
        if fetched.is_empty() {
            let deadline = *self.deadline.get_or_insert_with(|| self.cluster.deadline());
            let mut tries = self.tries;
            self.cluster.pause(error, &mut tries, deadline).await?;
            self.tries = tries;
        }
        match self.cluster.topic(&self.topic.name, false).await {
            Ok(topic) => self.topic = topic,
            // What came is given out before anything is an error.
            Err(_) if !fetched.is_empty() => {}
            Err(error) => return Err(error),
        }
        Ok(fetched)
    }

    /// Asks the leaders that owe no answer, and takes what comes first. What came is there beside the first error, since
    /// positions are behind it already.
    async fn fetch(&mut self, wait_max: Duration) -> (Vec<Fetched>, Option<ClientError>) {
        if self.positions.is_empty() {
            self.cluster.runtime().sleep(wait_max).await;
            return (Vec::new(), None);
        }
        let mut first_error = self.ask(wait_max).await;
        let mut fetched = Vec::new();
        let runtime = self.cluster.runtime().clone();
        // Nobody waits for a leader that may be gone while others have records, nor after an error.
        let patience = if first_error.is_some() { Duration::ZERO } else { wait_max };
        let mut next = runtime.timeout(patience, self.in_flight.next()).await.ok().flatten();
        while let Some(answered) = next {
            self.busy.remove(&answered.node_id);
            let sorted = match answered.answer {
                Ok(answer) => sort(answer, &answered.asked, &self.topic.name, &mut self.positions),
                Err(error) => Sorted { error: Some(error), ..Sorted::default() },
            };
            fetched.extend(sorted.fetched);
            first_error = first_error.or(sorted.error);
            for partition in sorted.out_of_range {
                first_error = first_error.or(self.back_into_range(partition).await.err());
            }
            next = self.in_flight.next().now_or_never().flatten();
        }
        (fetched, first_error)
    }

    /// Sends a request to each leader that owes no answer. The first error of those that could not be asked.
    async fn ask(&mut self, wait_max: Duration) -> Option<ClientError> {
        let mut first_error = None;
        let patience = self.cluster.timeout() + wait_max;
        for (node_id, partitions) in self.by_leader() {
            if self.busy.contains(&node_id) {
                continue;
            }
            let request = self.request(&partitions, wait_max);
            let sent = match self.cluster.broker(node_id).await {
                Ok(connection) => connection.send(&request, FETCH_VERSION_MAX).await,
                Err(error) => Err(error),
            };
            match sent {
                Ok(pending) => {
                    let asked = partitions.into_iter().collect();
                    self.busy.insert(node_id);
                    self.in_flight.push(
                        async move { Answered { node_id, asked, answer: pending.answer_within(patience).await } }
                            .boxed(),
                    );
                }
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        self.turn = self.turn.wrapping_add(1);
        first_error
    }

    fn by_leader(&self) -> BTreeMap<i32, Vec<(i32, i64)>> {
        let mut by_leader: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
        for leader in &self.topic.partitions {
            if let Some(position) = self.positions.get(&leader.partition) {
                by_leader.entry(leader.node_id).or_default().push((leader.partition, *position));
            }
        }
        for partitions in by_leader.values_mut() {
            let first = self.turn % partitions.len().max(1);
            partitions.rotate_left(first);
        }
        by_leader
    }

    fn request(&self, partitions: &[(i32, i64)], wait_max: Duration) -> FetchRequest {
        let partition = |(partition, fetch_offset): &(i32, i64)| {
            message!(FetchPartition {
                partition: *partition,
                current_leader_epoch: LEADER_EPOCH_UNKNOWN,
                fetch_offset: *fetch_offset,
                last_fetched_epoch: LEADER_EPOCH_UNKNOWN,
                log_start_offset: -1,
                partition_max_bytes: PARTITION_BYTES_MAX,
            })
        };
        let topic = message!(FetchTopic {
            topic: StrBytes::from(self.topic.name.as_str()),
            partitions: partitions.iter().map(partition).collect(),
        });
        message!(FetchRequest {
            replica_id: REPLICA_CONSUMER,
            max_wait_ms: i32::try_from(wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            isolation_level: self.cluster.isolation().code(),
            session_epoch: NO_SESSION_EPOCH,
            topics: vec![topic],
        })
    }

    fn named(&self, partition: i32) -> String {
        named(&self.topic.name, partition)
    }

    /// Records before the first that is left are gone: goes on with that. A position behind the end is an error.
    async fn back_into_range(&mut self, partition: i32) -> Result<(), ClientError> {
        let topic = self.topic.clone();
        let earliest = self.cluster.offsets(&topic, &[partition], OffsetPoint::Earliest).await?;
        let (position, earliest) = (self.positions.get(&partition), earliest.get(&partition));
        match (position, earliest) {
            (Some(position), Some(earliest)) if position < earliest => {
                eprintln!(
                    "alluvium: {}: offsets {position} to {} are deleted, going on with {earliest}",
                    self.named(partition),
                    earliest - 1
                );
                self.positions.insert(partition, *earliest);
                Ok(())
            }
            _ => ClientError::refused(self.named(partition), ErrorCode::OffsetOutOfRange.code(), None),
        }
    }
}

/// What an answer to a Fetch holds.
#[derive(Debug, Default)]
struct Sorted {
    fetched: Vec<Fetched>,
    /// Partitions whose position is not in their log.
    out_of_range: Vec<i32>,
    /// The first that went wrong.
    error: Option<ClientError>,
}

/// Takes an answer apart and moves positions behind what it holds. An error of one partition does not touch the others, and
/// partitions that are read from elsewhere by now are left out.
fn sort(answer: FetchResponse, asked: &BTreeMap<i32, i64>, topic: &str, positions: &mut BTreeMap<i32, i64>) -> Sorted {
    let mut sorted =
        Sorted { error: ClientError::refused("Fetch", answer.error_code, None).err(), ..Sorted::default() };
    for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        let partition = data.partition_index;
        let is_current = positions.get(&partition).is_some_and(|position| asked.get(&partition) == Some(position));
        if !is_current {
            continue;
        }
        if data.error_code == ErrorCode::OffsetOutOfRange.code() {
            sorted.out_of_range.push(partition);
            continue;
        }
        let refused = ClientError::refused(named(topic, partition), data.error_code, None);
        match refused.and_then(|()| decode(data, topic, positions)) {
            Ok(records) if records.is_empty() => {}
            Ok(records) => sorted.fetched.push(Fetched { partition, records }),
            Err(error) => sorted.error = sorted.error.or(Some(error)),
        }
    }
    sorted
}

fn named(topic: &str, partition: i32) -> String {
    format!("topic {topic}, partition {partition}")
}

fn decode(data: PartitionData, topic: &str, positions: &mut BTreeMap<i32, i64>) -> Result<Vec<Record>, ClientError> {
    let partition = data.partition_index;
    let Some(position) = positions.get(&partition).copied() else { return Ok(Vec::new()) };
    let mut aborted: Vec<(i64, i64)> = data
        .aborted_transactions
        .iter()
        .flatten()
        .map(|transaction| (transaction.first_offset, transaction.producer_id))
        .collect();
    aborted.sort_unstable();
    let bytes = data.records.unwrap_or_default();
    let (next, records) = read_batches(bytes, position, &aborted).map_err(|error| ClientError::Codec {
        address: named(topic, partition),
        api: "a record batch",
        reason: error.to_string(),
    })?;
    positions.insert(partition, next);
    Ok(records)
}

/// The records from `position` on, and the next position. A batch that is cut at the end is left for the next time. `aborted`
/// names transactions by first offset and producer id, in that order: each goes on until its marker.
fn read_batches(bytes: Bytes, position: i64, aborted: &[(i64, i64)]) -> Result<(i64, Vec<Record>), BatchError> {
    let (mut rest, mut next, mut records) = (bytes, position, Vec::new());
    let (mut aborted, mut aborting) = (aborted.iter().peekable(), BTreeSet::new());
    while !rest.is_empty() {
        let batch = match RecordBatch::decode_first(&rest) {
            Ok(batch) => batch,
            Err(BatchError::Truncated { .. }) => break,
            Err(error) => return Err(error),
        };
        rest = rest.slice(batch.bytes.len()..);
        batch.verify_crc()?;
        while let Some((_, producer_id)) =
            aborted.next_if(|(first_offset, _)| *first_offset < batch.header.next_offset())
        {
            aborting.insert(*producer_id);
        }
        let (attributes, producer_id) = (batch.header.attributes, batch.header.producer_id);
        if attributes.is_control() {
            aborting.remove(&producer_id);
        }
        if batch.header.next_offset() <= next {
            continue;
        }
        let is_aborted = attributes.is_transactional() && aborting.contains(&producer_id);
        if !attributes.is_control() && !is_aborted {
            let all = batch.records(limits::DECOMPRESSED_BYTES_MAX)?;
            records.extend(all.into_iter().filter(|record| record.offset >= position));
        }
        next = batch.header.next_offset();
    }
    Ok((next, records))
}

#[cfg(test)]
mod tests {
    use alluvium_protocol::messages::fetch_response::FetchableTopicResponse;

    use alluvium_record::{BatchBuilder, Compression, Marker};

    use super::*;

    #[test]
    fn what_came_is_kept_when_another_partition_fails() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(1, None, Some(Bytes::from_static(b"kept")), Vec::new()).unwrap();
        let records = Some(builder.build(5).bytes);
        let data =
            |partition_index, error_code, records| message!(PartitionData { partition_index, error_code, records });
        let partitions = vec![
            data(0, ErrorCode::NotLeaderOrFollower.code(), None),
            data(1, 0, records),
            data(2, ErrorCode::OffsetOutOfRange.code(), None),
            data(3, ErrorCode::KafkaStorageError.code(), None),
        ];
        let answer = message!(FetchResponse { responses: vec![message!(FetchableTopicResponse { partitions })] });
        let mut positions = BTreeMap::from([(0, 0), (1, 5), (2, 9), (3, 0)]);
        let asked = positions.clone();
        let sorted = sort(answer.clone(), &asked, "t", &mut positions);
        assert_eq!(sorted.fetched.len(), 1);
        assert_eq!((sorted.fetched[0].partition, sorted.fetched[0].records[0].offset), (1, 5));
        assert_eq!(sorted.out_of_range, [2]);
        assert_eq!(sorted.error.unwrap().code(), Some(ErrorCode::NotLeaderOrFollower));
        assert_eq!(positions, BTreeMap::from([(0, 0), (1, 6), (2, 9), (3, 0)]));

        // The same answer again, after partition 0 was left and others moved: nothing of it counts.
        let mut positions = BTreeMap::from([(1, 6), (2, 4), (3, 1)]);
        let late = sort(answer, &asked, "t", &mut positions);
        assert!(late.fetched.is_empty() && late.out_of_range.is_empty() && late.error.is_none());
        assert_eq!(positions, BTreeMap::from([(1, 6), (2, 4), (3, 1)]));
    }

    #[test]
    fn batches_are_read_from_the_position_on() {
        let mut bytes = Vec::new();
        for base in [0, 2] {
            let mut builder = BatchBuilder::new(Compression::Lz4);
            for index in 0..2 {
                builder.push(1, None, Some(Bytes::from(format!("{}", base + index))), Vec::new()).unwrap();
            }
            bytes.extend_from_slice(&builder.build(base).bytes);
        }
        let (next, records) = read_batches(Bytes::from(bytes.clone()), 1, &[]).unwrap();
        assert_eq!(next, 4);
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [1, 2, 3]);
        bytes.truncate(bytes.len() - 1);
        let (next, records) = read_batches(Bytes::from(bytes), 0, &[]).unwrap();
        assert_eq!((next, records.len()), (2, 2));
    }

    #[test]
    fn what_is_aborted_is_passed_over_until_its_marker() {
        let mut bytes = Vec::new();
        let records = |producer_id, transactional, value: &str, base| {
            let mut builder =
                BatchBuilder::new(Compression::None).producer(producer_id, 0, 0).transactional(transactional);
            builder.push(1, None, Some(Bytes::copy_from_slice(value.as_bytes())), Vec::new()).unwrap();
            builder.build(base).bytes
        };
        let end = |producer_id, commit, base: i64| {
            let marker = Marker { producer_id, producer_epoch: 0, commit, coordinator_epoch: 0, timestamp_ms: 1 };
            Bytes::from(marker.batch().patched(base, 0).concat())
        };
        for batch in [
            records(7, true, "aborted", 0),
            records(8, true, "committed", 1),
            records(7, false, "of no transaction", 2),
            end(7, false, 3),
            records(7, true, "of the next one", 4),
            end(8, true, 5),
            end(7, true, 6),
        ] {
            bytes.extend_from_slice(&batch);
        }
        let (next, read) = read_batches(Bytes::from(bytes), 0, &[(0, 7)]).unwrap();
        let offsets: Vec<i64> = read.iter().map(|record| record.offset).collect();
        assert_eq!((next, offsets), (7, vec![1, 2, 4]));
    }
}
