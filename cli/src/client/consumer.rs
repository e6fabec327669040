//! Reading records: positions of partitions, and one Fetch for each leader at a time.
//!
//! Invariants:
//! 1. A record is given out once and in the order of its partition.
//! 2. The position is behind everything that was given out, control batches included.

use std::collections::BTreeMap;
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

/// Reads one topic.
#[derive(Debug)]
pub(crate) struct Consumer {
    cluster: Cluster,
    topic: TopicMetadata,
    positions: BTreeMap<i32, i64>,
    /// Where the next request begins, so that no partition waits for ever behind a busy one.
    turn: usize,
    tries: u32,
    /// When an unbroken row of failures becomes an error.
    deadline: Option<Instant>,
}

impl Consumer {
    /// Reads from these positions on.
    pub(crate) fn new(cluster: Cluster, topic: TopicMetadata, positions: BTreeMap<i32, i64>) -> Consumer {
        Consumer { cluster, topic, positions, turn: 0, tries: 0, deadline: None }
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
        match self.fetch(wait_max).await {
            Ok(fetched) => {
                self.tries = 0;
                self.deadline = None;
                Ok(fetched)
            }
            Err(error) => {
                let deadline = *self.deadline.get_or_insert_with(|| self.cluster.deadline());
                let mut tries = self.tries;
                self.cluster.pause(error, &mut tries, deadline).await?;
                self.tries = tries;
                self.topic = self.cluster.topic(&self.topic.name, false).await?;
                Ok(Vec::new())
            }
        }
    }

    async fn fetch(&mut self, wait_max: Duration) -> Result<Vec<Fetched>, ClientError> {
        if self.positions.is_empty() {
            self.cluster.runtime().sleep(wait_max).await;
            return Ok(Vec::new());
        }
        let mut answers = Vec::new();
        for (node_id, partitions) in self.by_leader() {
            let request = self.request(&partitions, wait_max);
            answers.push(self.cluster.broker(node_id).await?.send(&request, FETCH_VERSION_MAX).await?);
        }
        self.turn = self.turn.wrapping_add(1);
        let patience = self.cluster.timeout() + wait_max;
        let mut fetched = Vec::new();
        for answer in answers {
            let answer = answer.answer_within(patience).await?;
            self.take(answer, &mut fetched).await?;
        }
        Ok(fetched)
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
            session_epoch: NO_SESSION_EPOCH,
            topics: vec![topic],
        })
    }

    async fn take(&mut self, answer: FetchResponse, fetched: &mut Vec<Fetched>) -> Result<(), ClientError> {
        ClientError::refused("Fetch", answer.error_code, None)?;
        for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let partition = data.partition_index;
            if data.error_code == ErrorCode::OffsetOutOfRange.code() {
                self.back_into_range(partition).await?;
                continue;
            }
            ClientError::refused(self.named(partition), data.error_code, None)?;
            let records = self.decode(data)?;
            if !records.is_empty() {
                fetched.push(Fetched { partition, records });
            }
        }
        Ok(())
    }

    fn named(&self, partition: i32) -> String {
        format!("topic {}, partition {partition}", self.topic.name)
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

    fn decode(&mut self, data: PartitionData) -> Result<Vec<Record>, ClientError> {
        let partition = data.partition_index;
        let Some(position) = self.positions.get(&partition).copied() else { return Ok(Vec::new()) };
        let (next, records) = read_batches(data.records.unwrap_or_default(), position).map_err(|error| {
            ClientError::Codec { address: self.named(partition), api: "a record batch", reason: error.to_string() }
        })?;
        self.positions.insert(partition, next);
        Ok(records)
    }
}

/// The records from `position` on, and the next position. A batch that is cut at the end is left for the next time.
fn read_batches(bytes: Bytes, position: i64) -> Result<(i64, Vec<Record>), BatchError> {
    let (mut rest, mut next, mut records) = (bytes, position, Vec::new());
    while !rest.is_empty() {
        let batch = match RecordBatch::decode_first(&rest) {
            Ok(batch) => batch,
            Err(BatchError::Truncated { .. }) => break,
            Err(error) => return Err(error),
        };
        rest = rest.slice(batch.bytes.len()..);
        batch.verify_crc()?;
        if batch.header.next_offset() <= next {
            continue;
        }
        if !batch.header.attributes.is_control() {
            let all = batch.records(limits::DECOMPRESSED_BYTES_MAX)?;
            records.extend(all.into_iter().filter(|record| record.offset >= position));
        }
        next = batch.header.next_offset();
    }
    Ok((next, records))
}

#[cfg(test)]
mod tests {
    use alluvium_record::{BatchBuilder, Compression};

    use super::*;

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
        let (next, records) = read_batches(Bytes::from(bytes.clone()), 1).unwrap();
        assert_eq!(next, 4);
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [1, 2, 3]);
        bytes.truncate(bytes.len() - 1);
        let (next, records) = read_batches(Bytes::from(bytes), 0).unwrap();
        assert_eq!((next, records.len()), (2, 2));
    }
}
