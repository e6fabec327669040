//! Between protobuf messages and the types of the state.

use std::collections::BTreeMap;

use alluvium_record::{TopicId, TopicPartition};
use bytes::Bytes;
use uuid::Uuid;

use super::FormatError;
use super::messages::{CommittedOffsetMessage, ConfigMessage, GroupMemberMessage, GroupMessage, TopicMessage};
use crate::state::{CommittedOffset, GroupRecord, MemberRecord, Topic};

pub(crate) fn uuid_field(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

pub(crate) fn topic_field(id: TopicId) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

pub(crate) fn uuid_of(field: &[u8]) -> Result<Uuid, FormatError> {
    Uuid::from_slice(field).map_err(|_| FormatError::malformed("id", format!("{} bytes, not 16", field.len())))
}

pub(crate) fn topic_of(field: &[u8]) -> Result<TopicId, FormatError> {
    uuid_of(field).map(TopicId)
}

pub(crate) fn partition_of(topic: &[u8], partition: i32) -> Result<TopicPartition, FormatError> {
    Ok(TopicPartition { topic: topic_of(topic)?, partition })
}

pub(crate) fn topic_message(topic: &Topic) -> TopicMessage {
    TopicMessage {
        id: topic_field(topic.id),
        name: topic.name.clone(),
        partition_count: topic.partition_count,
        replication_factor: i32::from(topic.replication_factor),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| ConfigMessage { name: name.clone(), value: value.clone() })
            .collect(),
        created_ms: topic.created_ms,
        // As releases before many shards wrote it.
        shard_count: if topic.shard_count <= 1 { 0 } else { topic.shard_count },
    }
}

pub(crate) fn topic_from(message: &TopicMessage) -> Result<Topic, FormatError> {
    let replication_factor = i16::try_from(message.replication_factor)
        .map_err(|_| FormatError::malformed("topic", "replication factor out of range"))?;
    let configs: BTreeMap<String, String> =
        message.configs.iter().map(|config| (config.name.clone(), config.value.clone())).collect();
    Ok(Topic {
        id: topic_of(&message.id)?,
        name: message.name.clone(),
        partition_count: message.partition_count,
        replication_factor,
        configs,
        shard_count: message.shard_count.max(1),
        created_ms: message.created_ms,
    })
}

pub(crate) fn group_message(record: &GroupRecord) -> GroupMessage {
    let members = record
        .members
        .iter()
        .map(|member| GroupMemberMessage {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            subscription: member.subscription.clone(),
            assignment: member.assignment.clone(),
        })
        .collect();
    GroupMessage {
        group: record.group.clone(),
        generation: record.generation,
        protocol_type: record.protocol_type.clone(),
        protocol: record.protocol.clone(),
        leader: record.leader.clone(),
        members,
        updated_ms: record.updated_ms,
    }
}

pub(crate) fn group_from(message: &GroupMessage) -> GroupRecord {
    let members = message
        .members
        .iter()
        .map(|member| MemberRecord {
            member_id: member.member_id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session_timeout_ms: member.session_timeout_ms,
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            // Copied: a slice would pin the whole entry that it came from.
            subscription: Bytes::copy_from_slice(&member.subscription),
            assignment: Bytes::copy_from_slice(&member.assignment),
        })
        .collect();
    GroupRecord {
        group: message.group.clone(),
        generation: message.generation,
        protocol_type: message.protocol_type.clone(),
        protocol: message.protocol.clone(),
        leader: message.leader.clone(),
        members,
        updated_ms: message.updated_ms,
    }
}

pub(crate) fn offset_message(topic_partition: TopicPartition, offset: &CommittedOffset) -> CommittedOffsetMessage {
    CommittedOffsetMessage {
        topic: topic_field(topic_partition.topic),
        partition: topic_partition.partition,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
        commit_ms: offset.commit_ms,
    }
}

pub(crate) fn offset_from(message: &CommittedOffsetMessage) -> Result<(TopicPartition, CommittedOffset), FormatError> {
    let topic_partition = partition_of(&message.topic, message.partition)?;
    let offset = CommittedOffset {
        offset: message.offset,
        leader_epoch: message.leader_epoch,
        metadata: message.metadata.clone(),
        commit_ms: message.commit_ms,
    };
    Ok((topic_partition, offset))
}
