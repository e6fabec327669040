//! DeleteRecords (key 21), versions 0 to 2.
//!
//! Moves the log start offset of a partition up to the given offset; -1 stands for the high watermark. An offset that
//! readers have passed already changes nothing and answers the log start offset. Topics that are only compacted are
//! refused with POLICY_VIOLATION, as in Kafka.
//!
//! Missing: nothing.

use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, Operation, Rejection, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use alluvium_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use alluvium_record::TopicPartition;
use futures_util::future::join_all;

use crate::config;
use crate::context::{Known, Node, RequestContext};
use crate::errors::admin_error;

/// The offset that stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;

pub(crate) async fn handle(context: &RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let node = &context.node;
    let deadline = node.deadline(request.timeout_ms);
    let known = |state: &View| {
        request.topics.iter().all(|wanted| {
            state.topic_by_name(&wanted.name).is_some_and(|topic| {
                wanted.partitions.iter().all(|partition| {
                    state
                        .partition(TopicPartition::new(topic.id, partition.partition_index))
                        .is_some_and(|found| (0..=found.high_watermark()).contains(&partition.offset))
                })
            })
        })
    };
    let view = node.view(known).await;
    let topics = join_all(request.topics.iter().map(|wanted| {
        let view = &view;
        async move {
            let partitions = join_all(wanted.partitions.iter().map(|partition| async move {
                let partition_index = partition.partition_index;
                match delete(node, view, &wanted.name, partition_index, partition.offset, deadline).await {
                    Ok(low_watermark) => message!(DeleteRecordsPartitionResult { partition_index, low_watermark }),
                    Err(error) => message!(DeleteRecordsPartitionResult {
                        partition_index,
                        low_watermark: -1,
                        error_code: error.code()
                    }),
                }
            }))
            .await;
            message!(DeleteRecordsTopicResult { name: wanted.name.clone(), partitions })
        }
    }))
    .await;
    message!(DeleteRecordsResponse { topics })
}

/// Answers the log start offset afterwards.
async fn delete(
    node: &Node,
    view: &Known,
    name: &str,
    partition_index: i32,
    offset: i64,
    deadline: Instant,
) -> Result<i64, ErrorCode> {
    let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
    let topic = view.state.topic_by_name(name).ok_or(absent)?;
    let topic_partition = TopicPartition::new(topic.id, partition_index);
    let partition = view.state.partition(topic_partition).ok_or(absent)?;
    let policy = topic.configs.get("cleanup.policy").map_or("delete", String::as_str);
    if !config::topic::list_items(policy).contains(&"delete") {
        return Err(ErrorCode::PolicyViolation);
    }
    let before_offset = if offset == HIGH_WATERMARK { partition.high_watermark() } else { offset };
    if before_offset < 0 || before_offset > partition.high_watermark() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if before_offset <= partition.log_start_offset() {
        return Ok(partition.log_start_offset());
    }
    let operation = Operation::DeleteRecords { topic_partition, before_offset };
    let shard = node.shard_of(topic_partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    match shard.commit(operation, Some(deadline)).await {
        Ok(_) => {
            Ok(node.state().partition(topic_partition).map_or(before_offset, |partition| partition.log_start_offset()))
        }
        // Somebody else has moved it further meanwhile.
        Err(CommitError::Rejected(Rejection::OffsetOutOfRange { log_start_offset, .. }))
            if log_start_offset >= before_offset =>
        {
            Ok(log_start_offset)
        }
        Err(error) => Err(admin_error(&error).error()),
    }
}
