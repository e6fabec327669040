//! ConsumerGroupHeartbeat (key 68), versions 0 to 1; regular expressions and member ids made by clients in version 1.
//!
//! Members of the consumer protocol (KIP-848) join, stay and leave by this one request. Answered by the coordinator,
//! which is the node that leads the shard of the group; what changes something is durable when the answer arrives.
//!
//! Missing: access control of the topics that a regular expression matches.

use std::collections::BTreeMap;

use alluvium_coordinator::Ticket;
use alluvium_coordinator::consumer_group::{ConsumerHeartbeatInput, HeartbeatRefused};
use alluvium_protocol::message;
use alluvium_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use alluvium_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, StrBytes};
use alluvium_record::{TopicId, TopicPartition};

use crate::context::{RequestContext, topic_id, wire_id};
use crate::errors::group_error;

/// First version in which clients make the ids of members.
const CLIENT_ID_VERSION_MIN: i16 = 1;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let text = |text: Option<StrBytes>| text.map(StrBytes::into_string);
    let input = ConsumerHeartbeatInput {
        ticket: Ticket(0),
        group: request.group_id.as_str().to_owned(),
        member_id: request.member_id.as_str().to_owned(),
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        subscribed_topics: request
            .subscribed_topic_names
            .map(|names| names.into_iter().map(StrBytes::into_string).collect()),
        subscribed_regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned: request.topic_partitions.map(|owned| {
            let topics = owned.into_iter().map(|topic| (topic_id(topic.topic_id), topic.partitions));
            topics
                .flat_map(|(id, indexes)| indexes.into_iter().map(move |index| TopicPartition::new(id, index)))
                .collect()
        }),
        client_id: context.client_id.as_ref().map(|client_id| client_id.as_str().to_owned()).unwrap_or_default(),
        client_host: format!("/{}", context.client.peer.ip()),
        id_made_by_client: context.version >= CLIENT_ID_VERSION_MIN,
        fresh_id: context.node.runtime.random_uuid(),
    };
    match context.node.groups.consumer_heartbeat(input).await {
        Ok(told) => message!(ConsumerGroupHeartbeatResponse {
            member_id: Some(StrBytes::from(told.member_id)),
            member_epoch: told.member_epoch,
            heartbeat_interval_ms: told.heartbeat_interval_ms,
            assignment: told.assignment.map(assignment)
        }),
        Err(HeartbeatRefused { error, message }) => {
            let message = if message.is_empty() { error.to_string() } else { message };
            message!(ConsumerGroupHeartbeatResponse {
                error_code: group_error(error).code(),
                error_message: Some(StrBytes::from(message))
            })
        }
    }
}

fn assignment(partitions: Vec<TopicPartition>) -> Assignment {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(partition.topic).or_default().push(partition.partition);
    }
    let topic_partitions = topics
        .into_iter()
        .map(|(id, partitions)| message!(TopicPartitions { topic_id: wire_id(id), partitions }))
        .collect();
    message!(Assignment { topic_partitions })
}
