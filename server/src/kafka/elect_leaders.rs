//! ElectLeaders (key 43), versions 0 to 2.
//!
//! Leaders are advice: they follow from the nodes that are up, every node comes to the same result, and none but the best
//! one is ever advised. So there is nothing to elect, which is what each partition that exists answers
//! (ELECTION_NOT_NEEDED), for preferred and for unclean elections. Asked for all partitions, the answer is empty, as it is in
//! Kafka when every leader is the preferred one.
//!
//! Missing: nothing.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::elect_leaders_request::TopicPartitions;
use alluvium_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use alluvium_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, StrBytes};

use crate::context::{Known, RequestContext};

pub(crate) async fn handle(context: &RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse {
    let Some(wanted) = request.topic_partitions else {
        return ElectLeadersResponse::default();
    };
    let known = |state: &View| {
        wanted.iter().all(|topic| topic.partitions.iter().all(|index| exists(state, &topic.topic, *index)))
    };
    let view = context.node.view(known).await;
    let replica_election_results = wanted.iter().map(|topic| answer(&view, topic)).collect();
    message!(ElectLeadersResponse { replica_election_results })
}

fn exists(state: &View, topic: &str, index: i32) -> bool {
    state.topic_by_name(topic).is_some_and(|topic| (0..topic.partition_count).contains(&index))
}

fn answer(view: &Known, wanted: &TopicPartitions) -> ReplicaElectionResult {
    let result = |index: &i32| {
        let (error, why) = match exists(&view.state, &wanted.topic, *index) {
            true => (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition."),
            false => (view.missing(ErrorCode::UnknownTopicOrPartition), "The partition does not exist."),
        };
        message!(PartitionResult {
            partition_id: *index,
            error_code: error.code(),
            error_message: Some(StrBytes::from(why))
        })
    };
    message!(ReplicaElectionResult {
        topic: wanted.topic.clone(),
        partition_result: wanted.partitions.iter().map(result).collect()
    })
}
