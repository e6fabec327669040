//! OffsetForLeaderEpoch (key 23), versions 2 to 4.
//!
//! Every partition has had one leader epoch only, 0, which ends at the high watermark. Later epochs are unknown and
//! earlier ones never were.
//!
//! Missing: nothing.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use alluvium_protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use alluvium_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use alluvium_record::TopicPartition;

use crate::context::{Known, LEADER_EPOCH, RequestContext};
use crate::topics;

pub(crate) async fn handle(
    context: &RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    // An end that is not the newest would make a client that has read further believe that the log was truncated.
    let view = context.node.fresh_view().await;
    let topics = request
        .topics
        .iter()
        .map(|wanted| {
            let partitions =
                wanted.partitions.iter().map(|partition| end_of(&view, &wanted.topic, partition)).collect();
            message!(OffsetForLeaderTopicResult { topic: wanted.topic.clone(), partitions })
        })
        .collect();
    message!(OffsetForLeaderEpochResponse { topics })
}

fn end_of(view: &Known, name: &str, wanted: &OffsetForLeaderPartition) -> EpochEndOffset {
    let partition = wanted.partition;
    let refused = |error: ErrorCode| {
        message!(EpochEndOffset { error_code: error.code(), partition, leader_epoch: -1, end_offset: -1 })
    };
    let found =
        view.state.topic_by_name(name).and_then(|topic| view.state.partition(TopicPartition::new(topic.id, partition)));
    if view.is_stale() {
        return refused(ErrorCode::LeaderNotAvailable);
    }
    let Some(found) = found else { return refused(view.missing(ErrorCode::UnknownTopicOrPartition)) };
    if let Some(error) = topics::epoch_error(wanted.current_leader_epoch) {
        return refused(error);
    }
    if wanted.leader_epoch != LEADER_EPOCH {
        return message!(EpochEndOffset { partition, leader_epoch: -1, end_offset: -1 });
    }
    message!(EpochEndOffset { partition, leader_epoch: LEADER_EPOCH, end_offset: found.high_watermark() })
}
