//! OffsetFetch (key 9), versions 1 to 10; all topics (version 2), several groups (version 8), topics by id (version
//! 10).
//!
//! Answered by every node, which reads the log to its end first: what was acknowledged anywhere is what is answered here. So
//! nobody is told NOT_COORDINATOR, which librdkafka takes for the last word (confluentinc/librdkafka#5586); when the store does
//! not say, the answer is COORDINATOR_LOAD_IN_PROGRESS, for which it asks again. A partition without a committed offset answers -1. With `require_stable` (version 7), a
//! partition whose offset an open transaction is about to commit is UNSTABLE_OFFSET_COMMIT, and the client asks again
//! (KIP-447).
//!
//! Missing: nothing.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_coordinator::consumer_group::FetchInput;
use alluvium_log::{GroupState, Topic, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use alluvium_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use alluvium_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse, StrBytes};
use alluvium_record::{TopicId, TopicPartition};
use futures_util::future::join_all;

use crate::context::{RequestContext, topic_id, wire_id};
use crate::errors::group_error;

/// First version with an error of the whole group.
const GROUP_ERROR_VERSION_MIN: i16 = 2;
/// First version that asks for several groups.
const BATCH_VERSION_MIN: i16 = 8;
/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 10;

pub(crate) async fn handle(context: &RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if context.version >= BATCH_VERSION_MIN {
        return fetch_groups(context, request.groups, request.require_stable).await;
    }
    let topics = request.topics.map(|topics| {
        topics
            .into_iter()
            .map(|topic| {
                message!(OffsetFetchRequestTopics { name: topic.name, partition_indexes: topic.partition_indexes })
            })
            .collect()
    });
    let group = message!(OffsetFetchRequestGroup { group_id: request.group_id, topics });
    let fetched =
        fetch_groups(context, vec![group], request.require_stable).await.groups.into_iter().next().unwrap_or_default();
    let topics = fetched
        .topics
        .into_iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .into_iter()
                .map(|partition| {
                    message!(OffsetFetchResponsePartition {
                        partition_index: partition.partition_index,
                        committed_offset: partition.committed_offset,
                        committed_leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.metadata,
                        error_code: partition.error_code
                    })
                })
                .collect();
            message!(OffsetFetchResponseTopic { name: topic.name, partitions })
        })
        .collect();
    message!(OffsetFetchResponse { topics, error_code: fetched.error_code })
}

async fn fetch_groups(
    context: &RequestContext,
    groups: Vec<OffsetFetchRequestGroup>,
    require_stable: bool,
) -> OffsetFetchResponse {
    let groups = join_all(groups.into_iter().map(|group| fetch_group(context, group, require_stable))).await;
    message!(OffsetFetchResponse { groups })
}

async fn fetch_group(
    context: &RequestContext,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let input = FetchInput {
        group: group.group_id.as_str().to_owned(),
        member_id: group.member_id.as_ref().map(|member_id| member_id.as_str().to_owned()),
        member_epoch: group.member_epoch,
    };
    let state = match context.node.groups.fetch_offsets(&input).await {
        Ok(state) => state,
        Err(error) => return refuse(context.version, group, to_be_repeated(group_error(error))),
    };
    let offsets = state.group(&group.group_id).map(|state| Offsets { state, require_stable });
    tracing::debug!(
        group = %input.group,
        client = context.client_id.as_deref().unwrap_or_default(),
        peer = %context.client.peer,
        correlation_id = context.correlation_id,
        entry = state.entry_number(),
        "offsets are fetched"
    );
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
    let is_known = |view: &View| match &group.topics {
        Some(topics) => topics.iter().all(|topic| find(view, by_id, topic).is_some()),
        None => offsets.iter().flat_map(Offsets::partitions).all(|found| view.topic(found.topic).is_some()),
    };
    let known = context.node.view(is_known).await;
    if known.missing(ErrorCode::None) != ErrorCode::None {
        // A topic that this node has not heard of may have offsets all the same.
        return refuse(context.version, group, to_be_repeated(ErrorCode::CoordinatorNotAvailable));
    }
    let topics = match &group.topics {
        Some(topics) => topics.iter().map(|topic| named(&known.state, offsets.as_ref(), by_id, topic)).collect(),
        None => all(&known.state, offsets.as_ref()),
    };
    message!(OffsetFetchResponseGroup { group_id: group.group_id, topics })
}

/// The error that every client repeats this request for.
fn to_be_repeated(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::CoordinatorNotAvailable => ErrorCode::CoordinatorLoadInProgress,
        error => error,
    }
}

/// The oldest versions have errors of partitions alone.
fn refuse(version: i16, group: OffsetFetchRequestGroup, error: ErrorCode) -> OffsetFetchResponseGroup {
    let error_code = error.code();
    let mut refused = message!(OffsetFetchResponseGroup { group_id: group.group_id, error_code });
    if version < GROUP_ERROR_VERSION_MIN {
        let refuse_topic = |topic: OffsetFetchRequestTopics| {
            let partitions = topic.partition_indexes.into_iter().map(|index| {
                let mut partition = absent(index);
                partition.error_code = error_code;
                partition
            });
            message!(OffsetFetchResponseTopics { name: topic.name, partitions: partitions.collect() })
        };
        refused.topics = group.topics.into_iter().flatten().map(refuse_topic).collect();
    }
    refused
}

fn find<'view>(view: &'view View, by_id: bool, wanted: &OffsetFetchRequestTopics) -> Option<&'view Topic> {
    if by_id { view.topic(topic_id(wanted.topic_id)) } else { view.topic_by_name(&wanted.name) }
}

/// The offsets of a group, as they are asked for.
struct Offsets<'state> {
    state: &'state GroupState,
    require_stable: bool,
}

impl Offsets<'_> {
    /// Every partition with an offset, once; with one that is on its way only when that counts.
    fn partitions(&self) -> BTreeSet<TopicPartition> {
        let pending = self.state.pending_offsets().filter(|_| self.require_stable).map(|(_, partition, _)| *partition);
        self.state.offsets().map(|(partition, _)| *partition).chain(pending).collect()
    }

    /// Whether an open transaction may change the offset.
    fn is_unstable(&self, topic_partition: TopicPartition) -> bool {
        self.require_stable && self.state.has_pending_offset(topic_partition)
    }
}

fn named(
    state: &View,
    group: Option<&Offsets<'_>>,
    by_id: bool,
    wanted: &OffsetFetchRequestTopics,
) -> OffsetFetchResponseTopics {
    let topic = find(state, by_id, wanted);
    let partitions = wanted
        .partition_indexes
        .iter()
        .map(|index| match topic {
            Some(topic) => partition(group, topic.id, *index),
            None => {
                let mut answer = absent(*index);
                answer.error_code = if by_id { ErrorCode::UnknownTopicId.code() } else { 0 };
                answer
            }
        })
        .collect();
    message!(OffsetFetchResponseTopics { name: wanted.name.clone(), topic_id: wanted.topic_id, partitions })
}

fn all(state: &View, group: Option<&Offsets<'_>>) -> Vec<OffsetFetchResponseTopics> {
    let mut indexes: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for topic_partition in group.into_iter().flat_map(Offsets::partitions) {
        indexes.entry(topic_partition.topic).or_default().push(topic_partition.partition);
    }
    indexes
        .into_iter()
        .filter_map(|(id, indexes)| {
            let topic = state.topic(id)?;
            let partitions = indexes.into_iter().map(|index| partition(group, id, index)).collect();
            let name = StrBytes::from(topic.name.as_str());
            Some(message!(OffsetFetchResponseTopics { name, topic_id: wire_id(id), partitions }))
        })
        .collect()
}

fn partition(group: Option<&Offsets<'_>>, topic: TopicId, partition_index: i32) -> OffsetFetchResponsePartitions {
    let topic_partition = TopicPartition::new(topic, partition_index);
    if group.is_some_and(|group| group.is_unstable(topic_partition)) {
        let mut unstable = absent(partition_index);
        unstable.error_code = ErrorCode::UnstableOffsetCommit.code();
        return unstable;
    }
    match group.and_then(|group| group.state.offset(topic_partition)) {
        Some(committed) => message!(OffsetFetchResponsePartitions {
            partition_index,
            committed_offset: committed.offset,
            committed_leader_epoch: committed.leader_epoch,
            metadata: Some(StrBytes::from(committed.metadata.as_str()))
        }),
        None => absent(partition_index),
    }
}

fn absent(partition_index: i32) -> OffsetFetchResponsePartitions {
    message!(OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(StrBytes::default())
    })
}
