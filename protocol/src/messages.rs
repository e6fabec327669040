//! The message types of every served API, and the words they are made of.
//!
//! A message is a plain struct with one public field per field of Kafka's schema, whatever the version; nested structs live
//! in a module named after the message ([`metadata_response`], [`fetch_request`], ...). They come from the codec crate and are
//! `#[non_exhaustive]`: build them with [`message!`](crate::message!), which starts from `Default` (Kafka's defaults).
//!
//! Rules that callers rely on:
//! 1. Strings and byte fields of a decoded message are slices of the frame: no copy, and the frame lives as long as they do.
//! 2. Encoding a field that the version does not have fails unless the field holds its default or the schema says "ignorable".

pub use kafka_wire::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, KafkaMessage, KafkaRequest, KafkaResponse,
    RequestResponsePair, consumer_protocol_assignment, consumer_protocol_subscription,
};
pub use kafka_wire_core::{ApiKey, ApiVersion, StrBytes, TaggedField, TaggedFields, Uuid};

pub use kafka_wire::{
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse,
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest,
    CreateTopicsResponse, DeleteGroupsRequest, DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, DescribeGroupsRequest, DescribeGroupsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeProducersRequest, DescribeProducersResponse, DescribeQuorumRequest,
    DescribeQuorumResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, ElectLeadersRequest,
    ElectLeadersResponse, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, HeartbeatResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    InitProducerIdRequest, InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListConfigResourcesRequest, ListConfigResourcesResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
    MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, SyncGroupRequest, SyncGroupResponse,
};
pub use kafka_wire::{
    alter_configs_request, alter_configs_response, alter_partition_reassignments_request,
    alter_partition_reassignments_response, api_versions_request, api_versions_response, create_partitions_request,
    create_partitions_response, create_topics_request, create_topics_response, delete_groups_request,
    delete_groups_response, delete_records_request, delete_records_response, delete_topics_request,
    delete_topics_response, describe_cluster_request, describe_cluster_response, describe_configs_request,
    describe_configs_response, describe_groups_request, describe_groups_response, describe_log_dirs_request,
    describe_log_dirs_response, describe_producers_request, describe_producers_response, describe_quorum_request,
    describe_quorum_response, describe_topic_partitions_request, describe_topic_partitions_response,
    elect_leaders_request, elect_leaders_response, fetch_request, fetch_response, find_coordinator_request,
    find_coordinator_response, heartbeat_request, heartbeat_response, incremental_alter_configs_request,
    incremental_alter_configs_response, init_producer_id_request, init_producer_id_response, join_group_request,
    join_group_response, leave_group_request, leave_group_response, list_config_resources_request,
    list_config_resources_response, list_groups_request, list_groups_response, list_offsets_request,
    list_offsets_response, list_partition_reassignments_request, list_partition_reassignments_response,
    metadata_request, metadata_response, offset_commit_request, offset_commit_response, offset_delete_request,
    offset_delete_response, offset_fetch_request, offset_fetch_response, offset_for_leader_epoch_request,
    offset_for_leader_epoch_response, produce_request, produce_response, sync_group_request, sync_group_response,
};

pub use kafka_wire::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, consumer_group_describe_request, consumer_group_describe_response,
    consumer_group_heartbeat_request, consumer_group_heartbeat_response,
};

pub use kafka_wire::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, ListTransactionsRequest,
    ListTransactionsResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse, WriteTxnMarkersRequest,
    WriteTxnMarkersResponse, add_offsets_to_txn_request, add_offsets_to_txn_response, add_partitions_to_txn_request,
    add_partitions_to_txn_response, describe_transactions_request, describe_transactions_response, end_txn_request,
    end_txn_response, list_transactions_request, list_transactions_response, txn_offset_commit_request,
    txn_offset_commit_response, write_txn_markers_request, write_txn_markers_response,
};

/// Builds a message from its defaults: `message!(HeartbeatResponse { error_code: 25, throttle_time_ms })`.
///
/// The messages are `#[non_exhaustive]`, so a struct literal with `..Default::default()` does not compile outside the codec crate.
#[macro_export]
macro_rules! message {
    (@set $message:ident $field:ident $value:expr) => {
        $message.$field = $value;
    };
    (@set $message:ident $field:ident) => {
        $message.$field = $field;
    };
    ($type:ty { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        #[allow(unused_mut, reason = "a message may keep every default")]
        let mut message = <$type as ::core::default::Default>::default();
        $($crate::message!(@set message $field $($value)?);)*
        message
    }};
}
