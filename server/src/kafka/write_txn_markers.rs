//! WriteTxnMarkers (key 27), versions 1 to 2.
//!
//! For tools: `kafka-transactions abort` ends the open transaction of a producer on one partition by it, when nothing
//! else does. Nodes of Alluvium end transactions by entries of the log. A producer without an open transaction on a
//! partition is no error and leaves the partition as it is. The coordinator epoch and the transaction version are not
//! looked at: the log decides.
//!
//! Missing: markers for `__consumer_offsets`, which is no topic here.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use alluvium_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use alluvium_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use alluvium_record::TopicPartition;

use crate::context::RequestContext;
use crate::errors::marker_error;
use crate::topics;

pub(crate) async fn handle(context: &RequestContext, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut markers = Vec::with_capacity(request.markers.len());
    // One after the other: two of the same producer keep their order.
    for marker in request.markers {
        markers.push(write(context, marker).await);
    }
    message!(WriteTxnMarkersResponse { markers })
}

async fn write(context: &RequestContext, marker: WritableTxnMarker) -> WritableTxnMarkerResult {
    let node = &context.node;
    let wanted = || {
        let topics = marker.topics.iter();
        topics.flat_map(|topic| topic.partition_indexes.iter().map(|index| (topic.name.as_str(), *index)))
    };
    let view =
        node.view(|view| wanted().all(|(name, index)| topics::find_partition(view, name, index).is_some())).await;
    let found: Vec<Option<TopicPartition>> =
        wanted().map(|(name, index)| topics::find_partition(&view.state, name, index)).collect();
    let known: Vec<TopicPartition> = found.iter().flatten().copied().collect();
    let WritableTxnMarker { producer_id, producer_epoch, transaction_result, .. } = marker;
    let written = node.transactions.write_markers(producer_id, producer_epoch, transaction_result, &known).await;
    let mut written = written.into_iter();
    let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
    let mut codes = found.iter().map(|found| match found {
        Some(_) => match written.next() {
            Some(Ok(())) => ErrorCode::None,
            Some(Err(error)) => marker_error(error),
            None => ErrorCode::RequestTimedOut,
        },
        None => absent,
    });
    let topics = marker.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().zip(&mut codes).map(|(partition_index, code)| {
            message!(WritableTxnMarkerPartitionResult { partition_index: *partition_index, error_code: code.code() })
        });
        let partitions = partitions.collect();
        message!(WritableTxnMarkerTopicResult { name: topic.name.clone(), partitions })
    });
    let topics = topics.collect();
    message!(WritableTxnMarkerResult { producer_id, topics })
}
