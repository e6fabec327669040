//! DescribeQuorum (key 55), versions 0 to 2.
//!
//! There is no Raft quorum: the metadata log is shard 0 in the object store, put-if-absent decides who writes an entry, and
//! any one node that is up can go on alone. In Kafka's words that is told as follows:
//! - the log is `__cluster_metadata`, partition 0; its high watermark is the number of entries of shard 0 as this node knows it;
//! - the leader is the controller, with the constant epoch 0;
//! - voters are the nodes that are up, since each of them may lead; their majority means nothing. There are no observers;
//! - nodes keep no copy of the log that could be behind, so its end is the same for all; when other nodes looked at it last
//!   is not known here (-1).
//!
//! Missing: directory ids, since there are no directories. Voters cannot be added or removed: nodes join by starting.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::describe_quorum_request;
use alluvium_protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use alluvium_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, StrBytes};

use crate::context::{LEADER_EPOCH, RequestContext};
use crate::nodes::Roster;

/// Kafka's name for the log of the metadata.
const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;
/// First version that tells nodes and messages.
const NODES_VERSION_MIN: i16 = 2;
/// A time that is not known.
const UNKNOWN: i64 = -1;

pub(crate) async fn handle(context: &RequestContext, request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let roster = context.roster();
    let topics = request.topics.iter().map(|topic| describe_topic(context, &roster, topic)).collect();
    if context.version < NODES_VERSION_MIN {
        return message!(DescribeQuorumResponse { topics });
    }
    let nodes = roster.brokers.iter().map(|broker| {
        let listener = message!(Listener {
            name: StrBytes::from(&*context.client.listener.name),
            host: broker.endpoint.host.clone(),
            port: u16::try_from(broker.endpoint.port).unwrap_or_default()
        });
        message!(Node { node_id: broker.id.0, listeners: vec![listener] })
    });
    message!(DescribeQuorumResponse { topics, nodes: nodes.collect() })
}

fn describe_topic(context: &RequestContext, roster: &Roster, wanted: &describe_quorum_request::TopicData) -> TopicData {
    let partitions = wanted
        .partitions
        .iter()
        .map(|partition| match (wanted.topic_name.as_str(), partition.partition_index) {
            (METADATA_TOPIC, METADATA_PARTITION) => describe_log(context, roster),
            (_, partition_index) => {
                message!(PartitionData { partition_index, error_code: ErrorCode::UnknownTopicOrPartition.code() })
            }
        })
        .collect();
    message!(TopicData { topic_name: wanted.topic_name.clone(), partitions })
}

fn describe_log(context: &RequestContext, roster: &Roster) -> PartitionData {
    let node = &context.node;
    let entries = i64::try_from(node.state().meta().entry_number()).unwrap_or(i64::MAX);
    let now_ms = node.runtime.now_ms();
    let leader_id = roster.controller_id();
    let voter = |replica_id: i32| {
        let seen_ms = if replica_id == node.settings.node_id { now_ms } else { UNKNOWN };
        message!(ReplicaState {
            replica_id,
            log_end_offset: entries,
            last_fetch_timestamp: seen_ms,
            last_caught_up_timestamp: seen_ms
        })
    };
    message!(PartitionData {
        partition_index: METADATA_PARTITION,
        leader_id,
        leader_epoch: LEADER_EPOCH,
        high_watermark: entries,
        current_voters: roster.brokers.iter().map(|broker| voter(broker.id.0)).collect()
    })
}
