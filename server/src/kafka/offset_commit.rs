//! OffsetCommit (key 8), versions 2 to 10; topics by id in version 10.
//!
//! Members of a group are checked by the coordinator, which is the node that leads the shard of the group; consumers without group management commit to groups without
//! members. Offsets are durable when the answer arrives. Metadata above the limit is refused per partition.
//!
//! Missing: a retention time per commit (versions 2 to 4 can carry one; it is ignored, as Kafka 4 does).

use std::time::Duration;

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::group::CommitInput;
use alluvium_log::{CommittedOffset, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use alluvium_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use alluvium_record::{TopicId, TopicPartition};

use crate::context::{Known, RequestContext, topic_id};
use crate::errors::{group_error, offsets_error};

/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 10;
/// How long a commit may take, in milliseconds; the request has no timeout of its own.
const COMMIT_TIMEOUT_MS: i32 = 20_000;
/// How long after its arrival a commit is still taken up.
const LATE_MAX: Duration = Duration::from_secs(5);

pub(crate) async fn handle(context: &RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let node = &context.node;
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
    let input = CommitInput {
        group: request.group_id.as_str().to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.as_ref().map(|instance_id| instance_id.as_str().to_owned()),
        transactional: false,
    };
    let known = |state: &View| {
        request.topics.iter().all(|topic| {
            topic.partitions.iter().all(|partition| find(state, by_id, topic, partition.partition_index).is_ok())
        })
    };
    let view = node.view(known).await;
    let now_ms = node.runtime.now_ms();
    let mut offsets = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if let Ok(found) = check(context, &view, by_id, topic, partition) {
                offsets.push((found, committed(partition, now_ms)));
            }
        }
    }
    // A node that was cut off or frozen may have kept this request while its sender went on elsewhere: what it says is old by now.
    if node.runtime.monotonic() > context.received + LATE_MAX {
        return answer(&request, |_, _| ErrorCode::CoordinatorNotAvailable);
    }
    let committed = node.groups.commit_offsets(&input, offsets, Some(node.deadline(COMMIT_TIMEOUT_MS))).await;
    let outcome = match committed {
        Ok(_) => ErrorCode::None,
        // The coordinator's word about the sender goes before everything about partitions.
        Err(OffsetsError::Refused(error)) => return answer(&request, |_, _| group_error(error)),
        Err(error) => {
            tracing::warn!(group = %request.group_id, %error, "offsets were not committed");
            offsets_error(&error)
        }
    };
    answer(&request, |topic, partition| match check(context, &view, by_id, topic, partition) {
        Ok(_) => outcome,
        Err(error) => error,
    })
}

fn find(
    state: &View,
    by_id: bool,
    wanted: &OffsetCommitRequestTopic,
    partition_index: i32,
) -> Result<TopicPartition, ErrorCode> {
    let id: Option<TopicId> = if by_id {
        state.topic(topic_id(wanted.topic_id)).map(|topic| topic.id)
    } else {
        state.topic_by_name(&wanted.name).map(|topic| topic.id)
    };
    let absent = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let found = TopicPartition::new(id.ok_or(absent)?, partition_index);
    state.partition(found).map(|_| found).ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn check(
    context: &RequestContext,
    view: &Known,
    by_id: bool,
    topic: &OffsetCommitRequestTopic,
    partition: &OffsetCommitRequestPartition,
) -> Result<TopicPartition, ErrorCode> {
    let found = find(&view.state, by_id, topic, partition.partition_index).map_err(|error| view.missing(error))?;
    let metadata_bytes = partition.committed_metadata.as_ref().map_or(0, |metadata| metadata.len());
    if metadata_bytes > context.node.settings.offset_metadata_bytes_max {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(found)
}

fn committed(partition: &OffsetCommitRequestPartition, now_ms: i64) -> CommittedOffset {
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition
            .committed_metadata
            .as_ref()
            .map(|metadata| metadata.as_str().to_owned())
            .unwrap_or_default(),
        commit_ms: now_ms,
    }
}

fn answer(
    request: &OffsetCommitRequest,
    error_of: impl Fn(&OffsetCommitRequestTopic, &OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = request
        .topics
        .iter()
        .map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| {
                    message!(OffsetCommitResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: error_of(topic, partition).code()
                    })
                })
                .collect();
            message!(OffsetCommitResponseTopic { name: topic.name.clone(), topic_id: topic.topic_id, partitions })
        })
        .collect();
    message!(OffsetCommitResponse { topics })
}
