//! ListOffsets (key 2), versions 1 to 11.
//!
//! Answers the latest and earliest offset, the offset of the first record at or after a timestamp, and the offset of
//! the largest timestamp (version 7 and later). All data is in the object store, so the earliest local offset (version
//! 8) is the earliest one, the latest tiered offset (version 9) and the earliest pending upload (version 11) are unset.
//! A timestamp that nothing follows answers offset -1. The reader catches up with the log first.
//!
//! Missing: nothing.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::list_offsets_request::ListOffsetsPartition;
use alluvium_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use alluvium_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use alluvium_reader::{Isolation, OffsetQuery};
use alluvium_record::TopicPartition;
use futures_util::future::join_all;

use crate::context::{Known, RequestContext, STORE_WAIT_MAX};
use crate::errors::read_error;
use crate::topics;

/// First version whose answers carry the leader epoch.
const LEADER_EPOCH_VERSION_MIN: i16 = 4;
/// Partitions looked up at a time.
const LOOKUPS_AT_ONCE: usize = 64;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// What a lookup found.
struct Found {
    offset: i64,
    timestamp: i64,
    leader_epoch: i32,
}

const NOTHING: Found = Found { offset: -1, timestamp: -1, leader_epoch: -1 };

pub(crate) async fn handle(context: &RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let sufficient = |state: &View| {
        request.topics.iter().all(|wanted| {
            state.topic_by_name(&wanted.name).is_some_and(|topic| {
                wanted
                    .partitions
                    .iter()
                    .all(|partition| (0..topic.partition_count).contains(&partition.partition_index))
            })
        })
    };
    let view = context.node.view(sufficient).await;
    let isolation = if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let mut topics = Vec::with_capacity(request.topics.len());
    for wanted in &request.topics {
        let name = wanted.name.as_str();
        let mut partitions = Vec::with_capacity(wanted.partitions.len());
        for chunk in wanted.partitions.chunks(LOOKUPS_AT_ONCE) {
            let lookups = chunk.iter().map(|partition| answer(context, &view, name, partition, isolation));
            partitions.extend(join_all(lookups).await);
        }
        topics.push(message!(ListOffsetsTopicResponse { name: wanted.name.clone(), partitions }));
    }
    message!(ListOffsetsResponse { topics })
}

async fn answer(
    context: &RequestContext,
    view: &Known,
    name: &str,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> ListOffsetsPartitionResponse {
    let partition_index = wanted.partition_index;
    match look_up(context, view, name, wanted, isolation).await {
        Ok(found) => {
            let has_epoch = context.version >= LEADER_EPOCH_VERSION_MIN;
            message!(ListOffsetsPartitionResponse {
                partition_index,
                timestamp: found.timestamp,
                offset: found.offset,
                leader_epoch: if has_epoch { found.leader_epoch } else { -1 }
            })
        }
        Err(error) => message!(ListOffsetsPartitionResponse { partition_index, error_code: error.code() }),
    }
}

async fn look_up(
    context: &RequestContext,
    view: &Known,
    name: &str,
    wanted: &ListOffsetsPartition,
    isolation: Isolation,
) -> Result<Found, ErrorCode> {
    let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
    let topic = view.state.topic_by_name(name).ok_or(absent)?;
    let topic_partition = TopicPartition::new(topic.id, wanted.partition_index);
    view.state.partition(topic_partition).ok_or(absent)?;
    if let Some(error) = topics::epoch_error(wanted.current_leader_epoch) {
        return Err(error);
    }
    let since = |version: i16| if context.version >= version { Ok(()) } else { Err(ErrorCode::UnsupportedVersion) };
    let query = match wanted.timestamp {
        LATEST => OffsetQuery::Latest,
        EARLIEST => OffsetQuery::Earliest,
        MAX_TIMESTAMP => since(7).map(|()| OffsetQuery::MaxTimestamp)?,
        EARLIEST_LOCAL => since(8).map(|()| OffsetQuery::Earliest)?,
        LATEST_TIERED => return since(9).map(|()| NOTHING),
        EARLIEST_PENDING_UPLOAD => return since(11).map(|()| NOTHING),
        timestamp if timestamp < 0 => return Err(ErrorCode::UnsupportedVersion),
        timestamp => OffsetQuery::Timestamp(timestamp),
    };
    let node = &context.node;
    let looking = node.reader.offset_for(topic_partition, query, isolation);
    let found = match node.runtime.timeout(STORE_WAIT_MAX, looking).await {
        Ok(found) => found.map_err(|error| {
            tracing::warn!(%topic_partition, %error, "cannot look up an offset");
            read_error(&error)
        })?,
        Err(_elapsed) => {
            tracing::warn!(%topic_partition, "cannot look up an offset: the store does not answer");
            return Err(ErrorCode::KafkaStorageError);
        }
    };
    Ok(Found { offset: found.offset, timestamp: found.timestamp, leader_epoch: found.leader_epoch })
}
