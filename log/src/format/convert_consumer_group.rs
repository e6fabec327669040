//! Between protobuf messages and the types of consumer groups of the new protocol.

use alluvium_record::TopicPartition;
use bytes::Bytes;

use super::FormatError;
use super::convert::{partition_of, topic_field};
use super::messages::{
    ClassicMemberMessage, ClassicProtocolMessage, ConsumerGroupChangeMessage, ConsumerMemberMessage,
    TopicPartitionMessage,
};
use crate::state::{ClassicMemberRecord, ConsumerGroupChange, ConsumerMemberRecord};

pub(crate) fn consumer_group_message(change: &ConsumerGroupChange) -> ConsumerGroupChangeMessage {
    ConsumerGroupChangeMessage {
        group: change.group.clone(),
        epoch: change.epoch,
        assignment_epoch: change.assignment_epoch,
        put: change.put.iter().map(member_message).collect(),
        remove: change.remove.clone(),
        updated_ms: change.updated_ms,
    }
}

pub(crate) fn consumer_group_from(message: &ConsumerGroupChangeMessage) -> Result<ConsumerGroupChange, FormatError> {
    Ok(ConsumerGroupChange {
        group: message.group.clone(),
        epoch: message.epoch,
        assignment_epoch: message.assignment_epoch,
        put: message.put.iter().map(member_from).collect::<Result<_, _>>()?,
        remove: message.remove.clone(),
        updated_ms: message.updated_ms,
    })
}

fn member_message(member: &ConsumerMemberRecord) -> ConsumerMemberMessage {
    ConsumerMemberMessage {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        subscribed_topics: member.subscribed_topics.clone(),
        subscribed_regex: member.subscribed_regex.clone(),
        assignor: member.assignor.clone(),
        member_epoch: member.member_epoch,
        previous_member_epoch: member.previous_member_epoch,
        state: member.state,
        assigned: partition_messages(&member.assigned),
        pending_revocation: partition_messages(&member.pending_revocation),
        target: partition_messages(&member.target),
        classic: member.classic.as_ref().map(|classic| ClassicMemberMessage {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .protocols
                .iter()
                .map(|(name, metadata)| ClassicProtocolMessage { name: name.clone(), metadata: metadata.clone() })
                .collect(),
        }),
    }
}

fn member_from(message: &ConsumerMemberMessage) -> Result<ConsumerMemberRecord, FormatError> {
    Ok(ConsumerMemberRecord {
        member_id: message.member_id.clone(),
        instance_id: message.instance_id.clone(),
        rack_id: message.rack_id.clone(),
        client_id: message.client_id.clone(),
        client_host: message.client_host.clone(),
        rebalance_timeout_ms: message.rebalance_timeout_ms,
        subscribed_topics: message.subscribed_topics.clone(),
        subscribed_regex: message.subscribed_regex.clone(),
        assignor: message.assignor.clone(),
        member_epoch: message.member_epoch,
        previous_member_epoch: message.previous_member_epoch,
        state: message.state,
        assigned: partitions_from(&message.assigned)?,
        pending_revocation: partitions_from(&message.pending_revocation)?,
        target: partitions_from(&message.target)?,
        classic: message.classic.as_ref().map(|classic| ClassicMemberRecord {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .protocols
                .iter()
                // Copied: a slice would pin the whole entry that it came from.
                .map(|protocol| (protocol.name.clone(), Bytes::copy_from_slice(&protocol.metadata)))
                .collect(),
        }),
    })
}

fn partition_messages(partitions: &[TopicPartition]) -> Vec<TopicPartitionMessage> {
    partitions
        .iter()
        .map(|partition| TopicPartitionMessage { topic: topic_field(partition.topic), partition: partition.partition })
        .collect()
}

fn partitions_from(messages: &[TopicPartitionMessage]) -> Result<Vec<TopicPartition>, FormatError> {
    messages.iter().map(|message| partition_of(&message.topic, message.partition)).collect()
}
