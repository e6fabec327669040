//! Offsets by time, and the sizes of partitions.

use std::collections::BTreeMap;

use alluvium_protocol::message;
use alluvium_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use alluvium_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use alluvium_protocol::messages::{DescribeLogDirsRequest, ListOffsetsRequest, StrBytes};

use super::cluster::TopicMetadata;
use super::{ClientError, Cluster};

/// The last version before those that speak of remote storage, which mean the same here.
const LIST_OFFSETS_VERSION_MAX: i16 = 7;
const DESCRIBE_LOG_DIRS_VERSION_MAX: i16 = 4;
/// What a client calls itself in place of a replica id.
const REPLICA_CONSUMER: i32 = -1;
/// No leader epoch is known.
const LEADER_EPOCH_UNKNOWN: i32 = -1;

/// What to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OffsetPoint {
    /// The first record that is there.
    Earliest,
    /// After the last record.
    Latest,
    /// The first record with this timestamp or a later one.
    At(i64),
}

impl OffsetPoint {
    fn timestamp(self) -> i64 {
        match self {
            OffsetPoint::Earliest => -2,
            OffsetPoint::Latest => -1,
            OffsetPoint::At(timestamp_ms) => timestamp_ms,
        }
    }
}

impl Cluster {
    /// The offset of a point in each of these partitions; -1 where no record is that new.
    pub(crate) async fn offsets(
        &mut self,
        topic: &TopicMetadata,
        partitions: &[i32],
        point: OffsetPoint,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        let mut topic = topic.clone();
        loop {
            let error = match self.offsets_once(&topic, partitions, point).await {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            self.pause(error, &mut tries, deadline).await?;
            topic = self.topic(&topic.name, false).await?;
        }
    }

    async fn offsets_once(
        &mut self,
        topic: &TopicMetadata,
        partitions: &[i32],
        point: OffsetPoint,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for leader in topic.partitions.iter().filter(|leader| partitions.contains(&leader.partition)) {
            by_leader.entry(leader.node_id).or_default().push(leader.partition);
        }
        let mut offsets = BTreeMap::new();
        for (node_id, partitions) in by_leader {
            let partition = |index: &i32| {
                message!(ListOffsetsPartition {
                    partition_index: *index,
                    current_leader_epoch: LEADER_EPOCH_UNKNOWN,
                    timestamp: point.timestamp(),
                })
            };
            let asked = message!(ListOffsetsTopic {
                name: StrBytes::from(topic.name.as_str()),
                partitions: partitions.iter().map(partition).collect(),
            });
            let request = message!(ListOffsetsRequest {
                replica_id: REPLICA_CONSUMER,
                isolation_level: self.isolation().code(),
                topics: vec![asked],
            });
            let answer = self.broker(node_id).await?.call(&request, LIST_OFFSETS_VERSION_MAX).await?;
            for found in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                let what = format!("topic {}, partition {}", topic.name, found.partition_index);
                ClientError::refused(what, found.error_code, None)?;
                offsets.insert(found.partition_index, found.offset);
            }
        }
        Ok(offsets)
    }

    /// Bytes of each partition of a topic, as far as servers tell.
    pub(crate) async fn partition_sizes(&mut self, topic: &TopicMetadata) -> Result<BTreeMap<i32, i64>, ClientError> {
        let asked = message!(DescribableLogDirTopic {
            topic: StrBytes::from(topic.name.as_str()),
            partitions: topic.partitions.iter().map(|leader| leader.partition).collect(),
        });
        let request = message!(DescribeLogDirsRequest { topics: Some(vec![asked]) });
        let mut nodes: Vec<i32> = topic.partitions.iter().map(|leader| leader.node_id).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut sizes = BTreeMap::new();
        for node_id in nodes {
            let answer = self.broker(node_id).await?.call(&request, DESCRIBE_LOG_DIRS_VERSION_MAX).await?;
            let topics = answer.results.iter().flat_map(|result| &result.topics);
            for partition in
                topics.filter(|found| found.name.as_str() == topic.name).flat_map(|found| &found.partitions)
            {
                sizes.insert(partition.partition_index, partition.partition_size);
            }
        }
        Ok(sizes)
    }
}
