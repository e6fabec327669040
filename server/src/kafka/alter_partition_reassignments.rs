//! AlterPartitionReassignments (key 45), versions 0 to 1.
//!
//! Replicas cannot be placed: the object store holds every record, and leaders follow from the nodes that are up. A
//! placement is refused with that sentence (INVALID_REPLICA_ASSIGNMENT), and there is never one to cancel
//! (NO_REASSIGNMENT_IN_PROGRESS). It is served so that tools show the sentence in place of a missing API.
//!
//! Missing: nothing that an object store leaves to be done.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::alter_partition_reassignments_request::ReassignablePartition;
use alluvium_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use alluvium_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, StrBytes};

use crate::context::{Known, RequestContext};

const NOTHING_TO_MOVE: &str = "Partitions have no replicas to move: the object store holds all records, and any node serves \
                               them";

pub(crate) async fn handle(
    context: &RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let known = |state: &View| {
        request
            .topics
            .iter()
            .all(|topic| topic.partitions.iter().all(|partition| exists(state, &topic.name, partition.partition_index)))
    };
    let view = context.node.view(known).await;
    let responses = request
        .topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| refuse(&view, &topic.name, partition)).collect();
            message!(ReassignableTopicResponse { name: topic.name.clone(), partitions })
        })
        .collect();
    message!(AlterPartitionReassignmentsResponse {
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses
    })
}

fn exists(state: &View, topic: &str, index: i32) -> bool {
    state.topic_by_name(topic).is_some_and(|topic| (0..topic.partition_count).contains(&index))
}

fn refuse(view: &Known, topic: &str, wanted: &ReassignablePartition) -> ReassignablePartitionResponse {
    let (error, why) = match (exists(&view.state, topic, wanted.partition_index), &wanted.replicas) {
        (false, _) => (view.missing(ErrorCode::UnknownTopicOrPartition), "The partition does not exist."),
        (true, Some(_)) => (ErrorCode::InvalidReplicaAssignment, NOTHING_TO_MOVE),
        (true, None) => (ErrorCode::NoReassignmentInProgress, "No partition reassignment is in progress."),
    };
    message!(ReassignablePartitionResponse {
        partition_index: wanted.partition_index,
        error_code: error.code(),
        error_message: Some(StrBytes::from(why))
    })
}
