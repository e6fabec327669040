//! ConsumerGroupDescribe (key 69), versions 0 to 1; what protocol a member speaks in version 1.
//!
//! A group that does not exist, or that is a classic one, is answered with GROUP_ID_NOT_FOUND.
//!
//! Missing: authorized operations.

use std::collections::BTreeMap;

use alluvium_coordinator::consumer_group::{ConsumerGroupDescription, ConsumerMemberDescription};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use alluvium_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, StrBytes};
use alluvium_record::{TopicId, TopicPartition};
use futures_util::future::join_all;

use crate::context::{RequestContext, wire_id};
use crate::errors::group_error;

/// First version that says what protocol a member speaks.
const MEMBER_TYPE_VERSION_MIN: i16 = 1;
/// What a member that speaks the classic protocol is called on the wire.
const CLASSIC_MEMBER: i8 = 0;
/// What a member that speaks the consumer protocol is called on the wire.
const CONSUMER_MEMBER: i8 = 1;

pub(crate) async fn handle(
    context: &RequestContext,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let groups = join_all(request.group_ids.into_iter().map(|group_id| describe(context, group_id))).await;
    message!(ConsumerGroupDescribeResponse { groups })
}

async fn describe(context: &RequestContext, group_id: StrBytes) -> DescribedGroup {
    match context.node.groups.describe_consumer(&group_id).await {
        Ok(Some(group)) => described(context.version, group_id, group),
        Ok(None) => {
            let message = format!("Group {group_id} is not a consumer group.");
            refused(group_id, ErrorCode::GroupIdNotFound, message)
        }
        Err(error) => refused(group_id, group_error(error), error.to_string()),
    }
}

fn refused(group_id: StrBytes, error: ErrorCode, message: String) -> DescribedGroup {
    message!(DescribedGroup { group_id, error_code: error.code(), error_message: Some(StrBytes::from(message)) })
}

fn described(version: i16, group_id: StrBytes, group: ConsumerGroupDescription) -> DescribedGroup {
    message!(DescribedGroup {
        group_id,
        group_state: StrBytes::from(group.state.name()),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: StrBytes::from(group.assignor),
        members: group.members.into_iter().map(|member| described_member(version, member)).collect()
    })
}

fn described_member(version: i16, member: ConsumerMemberDescription) -> Member {
    let mut described = message!(Member {
        member_id: StrBytes::from(member.member_id),
        instance_id: member.instance_id.map(StrBytes::from),
        rack_id: member.rack_id.map(StrBytes::from),
        member_epoch: member.member_epoch,
        client_id: StrBytes::from(member.client_id),
        client_host: StrBytes::from(member.client_host),
        subscribed_topic_names: member.subscribed_topics.into_iter().map(StrBytes::from).collect(),
        subscribed_topic_regex: member.subscribed_regex.map(StrBytes::from),
        assignment: assignment(member.assigned),
        target_assignment: assignment(member.target)
    });
    if version >= MEMBER_TYPE_VERSION_MIN {
        described.member_type = if member.is_classic { CLASSIC_MEMBER } else { CONSUMER_MEMBER };
    }
    described
}

fn assignment(partitions: Vec<(TopicPartition, String)>) -> Assignment {
    let mut topics: BTreeMap<TopicId, (String, Vec<i32>)> = BTreeMap::new();
    for (partition, name) in partitions {
        topics.entry(partition.topic).or_insert_with(|| (name, Vec::new())).1.push(partition.partition);
    }
    let topic_partitions = topics
        .into_iter()
        .map(|(id, (name, partitions))| {
            message!(TopicPartitions { topic_id: wire_id(id), topic_name: StrBytes::from(name), partitions })
        })
        .collect();
    message!(Assignment { topic_partitions })
}
