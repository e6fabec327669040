//! OffsetCommit (key 8), versions 2 to 10; topics by id in version 10.
//!
//! Members of a group are checked by the coordinator, which is the node that leads the shard of the group; consumers without
//! group management commit to groups without members. Offsets are durable when the answer arrives. Metadata above the limit
//! is refused per partition. Commits that one connection sends one after the other ride in one entry.
//!
//! Invariant: commits take effect in the order in which their sender sent them, also when it went to another connection or
//! another node in between: what has no place in the log when its sender is gone, or is old, is not taken up.
//!
//! Missing: a retention time per commit (versions 2 to 4 can carry one; it is ignored, as Kafka 4 does).

use std::fmt::Debug;
use std::time::Duration;

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::group::{CommitInput, GroupError};
use alluvium_log::{CommittedOffset, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use alluvium_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};
use alluvium_record::{TopicId, TopicPartition};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::context::{Known, RequestContext, topic_id};
use crate::errors::{group_error, offsets_error};

/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 10;
/// First version whose senders may be told that the group does not exist.
const NO_GROUP_VERSION_MIN: i16 = 9;
/// How long a commit may take, in milliseconds; the request has no timeout of its own.
pub(super) const COMMIT_TIMEOUT_MS: i32 = 20_000;
/// How long after its arrival a commit is still taken up.
pub(super) const LATE_MAX: Duration = Duration::from_secs(5);

/// What became of a request until it had its place in the log, or was refused.
pub(crate) struct Placed {
    view: Known,
    offsets: String,
    outcome: Result<BoxFuture<'static, Result<u64, OffsetsError>>, ErrorCode>,
}

/// Checks the request and gives what it commits its place: whatever this connection or any other sends from now on comes
/// after it.
pub(crate) async fn place(context: &RequestContext, request: &OffsetCommitRequest) -> Placed {
    let node = &context.node;
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
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
    let said = said(&offsets);
    let outcome = match node.groups.committer(&request.group_id).await {
        // A node that was frozen or without the store may have kept this request while its sender went on elsewhere: what it
        // says is old by now.
        Ok(_) if node.runtime.monotonic() > context.received + LATE_MAX => Err(ErrorCode::CoordinatorNotAvailable),
        Ok(committer) => committer
            .commit(&sender(request), offsets, Some(node.deadline(COMMIT_TIMEOUT_MS)))
            .map(FutureExt::boxed)
            .map_err(|error| refusal(context.version, error)),
        Err(error) => Err(refusal(context.version, error)),
    };
    Placed { view, offsets: said, outcome }
}

/// Waits until the offsets are durable.
pub(crate) async fn finish(
    context: &RequestContext,
    request: &OffsetCommitRequest,
    placed: Placed,
) -> OffsetCommitResponse {
    let Placed { view, offsets, outcome } = placed;
    let committed = match outcome {
        Ok(committing) => committing.await,
        // The coordinator's word about the sender goes before everything about partitions.
        Err(error) => {
            tell(context, request, &offsets, &error);
            return answer(request, |_, _| error);
        }
    };
    tell(context, request, &offsets, &committed);
    let outcome = match committed {
        Ok(_) => ErrorCode::None,
        Err(OffsetsError::Refused(error)) => return answer(request, |_, _| refusal(context.version, error)),
        Err(error) => {
            tracing::warn!(group = %request.group_id, %error, "offsets were not committed");
            offsets_error(&error)
        }
    };
    let by_id = context.version >= TOPIC_ID_VERSION_MIN;
    answer(request, |topic, partition| match check(context, &view, by_id, topic, partition) {
        Ok(_) => outcome,
        Err(error) => error,
    })
}

/// What a sender is told that the coordinator refuses. Older clients do not expect to hear that there is no such group.
fn refusal(version: i16, error: GroupError) -> ErrorCode {
    match error {
        GroupError::GroupIdNotFound if version < NO_GROUP_VERSION_MIN => ErrorCode::IllegalGeneration,
        error => group_error(error),
    }
}

fn sender(request: &OffsetCommitRequest) -> CommitInput {
    CommitInput {
        group: request.group_id.as_str().to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.as_ref().map(|instance_id| instance_id.as_str().to_owned()),
        transactional: false,
    }
}

/// The trace of a commit, for whoever asks how an offset came to be committed.
fn tell(context: &RequestContext, request: &OffsetCommitRequest, offsets: &str, outcome: &dyn Debug) {
    tracing::debug!(
        group = %request.group_id,
        member = %request.member_id,
        generation = request.generation_id_or_member_epoch,
        client = context.client_id.as_deref().unwrap_or_default(),
        peer = %context.client.peer,
        correlation_id = context.correlation_id,
        waited = ?context.node.runtime.monotonic().saturating_duration_since(context.received),
        offsets,
        ?outcome,
        "offsets to commit"
    );
}

/// Partitions and their offsets, for the log of who looks for what became of them.
fn said(offsets: &[(TopicPartition, CommittedOffset)]) -> String {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return String::new();
    }
    let said = offsets.iter().map(|(place, committed)| format!("{}:{}", place.partition, committed.offset));
    said.collect::<Vec<_>>().join(" ")
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
