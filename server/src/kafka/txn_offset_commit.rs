//! TxnOffsetCommit (key 28), versions 0 to 5; the member of the group in version 3 (KIP-447), TRANSACTION_ABORTABLE in
//! version 4, the group is added to the transaction in version 5 (KIP-890).
//!
//! Answered by the coordinator of the group. The offsets become the group's when the transaction commits, and never
//! when it aborts; until then consumers that ask for stable offsets wait.
//!
//! Missing: nothing.

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::group::CommitInput;
use alluvium_log::{CommittedOffset, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use alluvium_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use alluvium_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use alluvium_record::TopicPartition;

use super::offset_commit::{COMMIT_TIMEOUT_MS, LATE_MAX};
use crate::context::{Known, RequestContext};
use crate::errors::{COMMIT_ADDS_VERSION_MIN, offset_admission_error, transactional_offsets_error};
use crate::topics;

pub(crate) async fn handle(context: &RequestContext, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let node = &context.node;
    let known = |view: &View| {
        request.topics.iter().all(|topic| {
            topic
                .partitions
                .iter()
                .all(|partition| topics::find_partition(view, &topic.name, partition.partition_index).is_some())
        })
    };
    let view = node.view(known).await;
    let mut offsets = Vec::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            if let Ok(found) = check(context, &view, topic, partition) {
                offsets.push((found, committed(partition, node.runtime.now_ms())));
            }
        }
    }
    let outcome = if request.group_id.is_empty() {
        Err(ErrorCode::InvalidGroupId)
    } else if request.transactional_id.is_empty() {
        Err(ErrorCode::InvalidRequest)
    } else if offsets.is_empty() {
        Ok(())
    } else {
        commit(context, &request, offsets).await
    };
    answer(&request, |topic, partition| match (outcome, check(context, &view, topic, partition)) {
        (_, Err(error)) => error,
        (outcome, Ok(_)) => outcome.err().unwrap_or(ErrorCode::None),
    })
}

async fn commit(
    context: &RequestContext,
    request: &TxnOffsetCommitRequest,
    offsets: Vec<(TopicPartition, CommittedOffset)>,
) -> Result<(), ErrorCode> {
    let node = &context.node;
    let (version, group) = (context.version, request.group_id.as_str());
    let TxnOffsetCommitRequest { transactional_id, producer_id, producer_epoch, .. } = request;
    let adds = version >= COMMIT_ADDS_VERSION_MIN;
    let admitted = node.transactions.admit_group(transactional_id, *producer_id, *producer_epoch, group, adds).await;
    let tag = admitted.map_err(|error| offset_admission_error(version, error))?;
    // A node that was cut off or frozen may have kept this request while its sender went on elsewhere: what it says is old by now.
    if node.runtime.monotonic() > context.received + LATE_MAX {
        return Err(ErrorCode::CoordinatorNotAvailable);
    }
    let input = CommitInput {
        group: group.to_owned(),
        generation: request.generation_id_or_member_epoch,
        member_id: request.member_id.as_str().to_owned(),
        instance_id: request.group_instance_id.as_ref().map(|instance_id| instance_id.as_str().to_owned()),
        transactional: true,
    };
    let deadline = Some(node.deadline(COMMIT_TIMEOUT_MS));
    let producer = (*producer_id, *producer_epoch);
    let committed = node.groups.commit_transaction_offsets(&input, producer, tag, offsets, deadline).await;
    committed.map(|_entry| ()).map_err(|error| {
        if !matches!(error, OffsetsError::Refused(_)) {
            tracing::debug!(group, id = %transactional_id, %error, "offsets of a transaction were not committed");
        }
        transactional_offsets_error(version, &error)
    })
}

fn check(
    context: &RequestContext,
    view: &Known,
    topic: &TxnOffsetCommitRequestTopic,
    partition: &TxnOffsetCommitRequestPartition,
) -> Result<TopicPartition, ErrorCode> {
    let absent = || view.missing(ErrorCode::UnknownTopicOrPartition);
    let found = topics::find_partition(&view.state, &topic.name, partition.partition_index).ok_or_else(absent)?;
    let metadata_bytes = partition.committed_metadata.as_ref().map_or(0, |metadata| metadata.len());
    if metadata_bytes > context.node.settings.offset_metadata_bytes_max {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(found)
}

fn committed(partition: &TxnOffsetCommitRequestPartition, now_ms: i64) -> CommittedOffset {
    let metadata = partition.committed_metadata.as_ref();
    CommittedOffset {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: metadata.map(|metadata| metadata.as_str().to_owned()).unwrap_or_default(),
        commit_ms: now_ms,
    }
}

fn answer(
    request: &TxnOffsetCommitRequest,
    error_of: impl Fn(&TxnOffsetCommitRequestTopic, &TxnOffsetCommitRequestPartition) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            message!(TxnOffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: error_of(topic, partition).code()
            })
        });
        let partitions = partitions.collect();
        message!(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions })
    });
    message!(TxnOffsetCommitResponse { topics: topics.collect() })
}
