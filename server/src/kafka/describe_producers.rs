//! DescribeProducers (key 61), version 0.
//!
//! Lists the idempotent and transactional producers that a partition remembers, and where the open transaction of each
//! begins: by this `kafka-transactions find-hanging` finds what nobody ends. Markers carry coordinator epoch 0; a
//! producer that has had no transaction end here shows -1, as in Kafka.
//!
//! Missing: nothing.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use alluvium_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use alluvium_record::TopicPartition;

use crate::context::{Known, RequestContext};

/// The coordinator epoch in markers: the log decides, not a coordinator.
const MARKER_COORDINATOR_EPOCH: i32 = 0;

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
                coordinator_epoch: if producer.ended > 0 { MARKER_COORDINATOR_EPOCH } else { -1 },
                current_txn_start_offset: producer.transaction.map_or(-1, |open| open.first_offset)
            })
        })
        .collect();
    message!(PartitionResponse { partition_index, active_producers })
}
