//! DescribeTopicPartitions (key 75), version 0.
//!
//! Describes the named topics, or all topics when none is named, sorted by name, up to the smaller of the request's and
//! this node's limit of partitions; a cursor says where to go on. A cursor for a topic that is gone goes on with the
//! next one.
//!
//! Missing: authorized operations. Eligible leader replicas do not exist here and are reported as empty.

use alluvium_log::Topic;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use alluvium_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, StrBytes};

use crate::context::{LEADER_EPOCH, RequestContext, wire_id};
use crate::nodes::Leaders;
use crate::topics;

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_PER_ANSWER_MAX: i32 = 2_000;

pub(crate) async fn handle(
    context: &RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let node = &context.node;
    let wanted: Vec<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let view = node.view(|state| wanted.iter().all(|name| state.topic_by_name(name).is_some())).await;
    let mut names: Vec<String> = if wanted.is_empty() {
        view.state.topics().map(|topic| topic.name.clone()).collect()
    } else {
        wanted.iter().map(|name| (*name).to_owned()).collect()
    };
    names.sort();
    names.dedup();
    let (cursor_topic, cursor_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index.max(0)),
        None => ("", 0),
    };
    names.retain(|name| name.as_str() >= cursor_topic);

    let roster = context.roster();
    let leaders = roster.leaders(&view.state);
    let mut room = request.response_partition_limit.clamp(1, PARTITIONS_PER_ANSWER_MAX);
    let mut response = message!(DescribeTopicPartitionsResponse {});
    for name in &names {
        if room == 0 {
            response.next_cursor = Some(message!(Cursor { topic_name: StrBytes::from(name.as_str()) }));
            break;
        }
        let Some(topic) = view.state.topic_by_name(name) else {
            let error = match topics::check_name(name) {
                Ok(()) => view.missing(ErrorCode::UnknownTopicOrPartition),
                Err(_) => ErrorCode::InvalidTopicException,
            };
            response.topics.push(message!(DescribeTopicPartitionsResponseTopic {
                error_code: error.code(),
                name: Some(StrBytes::from(name.as_str()))
            }));
            continue;
        };
        let first = if name == cursor_topic { cursor_partition } else { 0 };
        let last = topic.partition_count.min(first.saturating_add(room));
        response.topics.push(describe(topic, first..last, &leaders));
        room -= (last - first).max(0);
        if last < topic.partition_count {
            response.next_cursor =
                Some(message!(Cursor { topic_name: StrBytes::from(name.as_str()), partition_index: last }));
            break;
        }
    }
    response
}

fn describe(
    topic: &Topic,
    partitions: std::ops::Range<i32>,
    leaders: &Leaders<'_>,
) -> DescribeTopicPartitionsResponseTopic {
    let partitions = partitions
        .map(|partition_index| {
            let replicas = leaders.replicas(topic, partition_index);
            message!(DescribeTopicPartitionsResponsePartition {
                partition_index,
                leader_id: leaders.of(topic, partition_index),
                leader_epoch: LEADER_EPOCH,
                replica_nodes: replicas.clone(),
                isr_nodes: replicas,
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new())
            })
        })
        .collect();
    message!(DescribeTopicPartitionsResponseTopic {
        name: Some(StrBytes::from(topic.name.as_str())),
        topic_id: wire_id(topic.id),
        is_internal: topics::is_internal(&topic.name),
        partitions
    })
}
