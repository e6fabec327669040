//! CreatePartitions (key 37), versions 0 to 3.
//!
//! A topic can only grow. A manual assignment must name as many partitions as are added; where replicas are is for the
//! object store to decide. `validate_only` checks everything and writes nothing.
//!
//! Missing: quotas.

use std::collections::BTreeSet;

use alluvium_log::Operation;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use alluvium_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use alluvium_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use alluvium_record::TopicId;
use futures_util::future::join_all;

use crate::context::{Known, RequestContext};
use crate::errors::{Refusal, admin_error};

pub(crate) async fn handle(context: &RequestContext, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let node = &context.node;
    let deadline = node.deadline(request.timeout_ms);
    let view = node.view(|state| request.topics.iter().all(|topic| state.topic_by_name(&topic.name).is_some())).await;
    let mut seen = BTreeSet::new();
    let results = join_all(request.topics.iter().map(|topic| {
        let checked = if seen.insert(topic.name.as_str()) {
            check(&view, topic, node.settings.partitions_per_topic_max)
        } else {
            Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        };
        async move {
            let outcome = match checked {
                Ok(_) if request.validate_only => Ok(()),
                Ok(id) => {
                    let operation = Operation::CreatePartitions { id, new_count: topic.count };
                    let committed = node.log.commit_topic(operation, Some(deadline)).await;
                    committed.map(|_| ()).map_err(|error| admin_error(&error))
                }
                Err(refusal) => Err(refusal),
            };
            match outcome {
                Ok(()) => message!(CreatePartitionsTopicResult { name: topic.name.clone() }),
                Err(refusal) => message!(CreatePartitionsTopicResult {
                    name: topic.name.clone(),
                    error_code: refusal.code(),
                    error_message: refusal.wire_message()
                }),
            }
        }
    }))
    .await;
    message!(CreatePartitionsResponse { results })
}

fn check(view: &Known, wanted: &CreatePartitionsTopic, count_max: i32) -> Result<TopicId, Refusal> {
    let topic = view
        .state
        .topic_by_name(&wanted.name)
        .ok_or_else(|| Refusal::bare(view.missing(ErrorCode::UnknownTopicOrPartition)))?;
    let (name, current, asked) = (&topic.name, topic.partition_count, wanted.count);
    if asked == current {
        return Err(Refusal::new(ErrorCode::InvalidPartitions, format!("Topic already has {current} partition(s).")));
    }
    if asked < current {
        let why = format!("The topic {name} currently has {current} partition(s); {asked} would not be an increase.");
        return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
    }
    if asked > count_max {
        let why = format!("Number of partitions must not be above {count_max}.");
        return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
    }
    if let Some(assignments) = &wanted.assignments {
        let added = usize::try_from(asked - current).unwrap_or(0);
        if assignments.len() != added {
            let why = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(Refusal::new(ErrorCode::InvalidReplicaAssignment, why));
        }
    }
    Ok(topic.id)
}
