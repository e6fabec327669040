//! DescribeProducers (key 61), version 0.
//!
//! Lists the idempotent producers that a partition remembers.
//!
//! Missing: transactions; coordinator epoch and transaction start offset are always -1.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use alluvium_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use alluvium_record::TopicPartition;

use crate::context::{Known, RequestContext};

pub(crate) async fn handle(context: &RequestContext, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let known = |state: &View| {
        request.topics.iter().all(|wanted| {
            state.topic_by_name(&wanted.name).is_some_and(|topic| {
                wanted.partition_indexes.iter().all(|index| (0..topic.partition_count).contains(index))
            })
        })
    };
    let view = context.node.view(known).await;
    let topics = request
        .topics
        .iter()
        .map(|wanted| {
            let partitions =
                wanted.partition_indexes.iter().map(|index| describe(&view, &wanted.name, *index)).collect();
            message!(TopicResponse { name: wanted.name.clone(), partitions })
        })
        .collect();
    message!(DescribeProducersResponse { topics })
}

fn describe(view: &Known, name: &str, partition_index: i32) -> PartitionResponse {
    let partition = view
        .state
        .topic_by_name(name)
        .and_then(|topic| view.state.partition(TopicPartition::new(topic.id, partition_index)));
    let Some(partition) = partition else {
        let error_code = view.missing(ErrorCode::UnknownTopicOrPartition).code();
        return message!(PartitionResponse { partition_index, error_code });
    };
    let active_producers = partition
        .producers()
        .map(|(producer_id, producer)| {
            message!(ProducerState {
                producer_id,
                producer_epoch: i32::from(producer.epoch),
                last_sequence: producer.batches.last().map_or(-1, |batch| batch.last_sequence()),
                last_timestamp: producer.updated_ms,
                coordinator_epoch: -1,
                current_txn_start_offset: -1
            })
        })
        .collect();
    message!(PartitionResponse { partition_index, active_producers })
}
