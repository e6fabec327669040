//! OffsetDelete (key 47), version 0.
//!
//! Deletes committed offsets of topics that no member of the group is subscribed to.
//!
//! Missing: nothing.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use alluvium_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use alluvium_record::TopicPartition;

use crate::context::RequestContext;
use crate::errors::{group_error, offsets_error};

/// How long a deletion may take, in milliseconds; the request has no timeout of its own.
const DELETE_TIMEOUT_MS: i32 = 20_000;

pub(crate) async fn handle(context: &RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let node = &context.node;
    let deletion = match node.groups.delete_offsets(&request.group_id).await {
        Ok(deletion) => deletion,
        Err(error) => return message!(OffsetDeleteResponse { error_code: group_error(error).code() }),
    };
    let view = node.view(|state| request.topics.iter().all(|topic| state.topic_by_name(&topic.name).is_some())).await;
    let check = |name: &str, index: i32| -> Result<TopicPartition, ErrorCode> {
        let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
        let topic = view.state.topic_by_name(name).ok_or(absent)?;
        if deletion.is_subscribed(name).map_err(group_error)? {
            return Err(ErrorCode::GroupSubscribedToTopic);
        }
        let found = TopicPartition::new(topic.id, index);
        view.state.partition(found).map(|_| found).ok_or(absent)
    };
    let mut partitions = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut answers = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let checked = check(&topic.name, partition.partition_index);
            let error_code = checked.err().map_or(0, ErrorCode::code);
            partitions.extend(checked.ok());
            answers.push(message!(OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code
            }));
        }
        topics.push(message!(OffsetDeleteResponseTopic { name: topic.name.clone(), partitions: answers }));
    }
    if !partitions.is_empty()
        && let Err(error) = deletion.delete(partitions, Some(node.deadline(DELETE_TIMEOUT_MS))).await
    {
        tracing::warn!(group = %request.group_id, %error, "committed offsets were not deleted");
        return message!(OffsetDeleteResponse { error_code: offsets_error(&error).code() });
    }
    message!(OffsetDeleteResponse { topics })
}
