//! The layouts of all served requests: field by field, with the versions that have it, from Kafka's message schemas.
//!
//! Fields that travel only as tagged fields are absent: they are skipped with the other tags. Kept one field a line, unformatted.

mod transactions;

use super::Field;
use super::Kind::{Array, Blob, Fixed, Optional, PlainArray, Text};
use crate::apis::ApiName;
use crate::messages::*;

const MAX: i16 = i16::MAX;

/// The layout of one API's request.
pub(crate) fn layout_of(api: ApiName) -> &'static [Field] {
    match api {
        ApiName::Produce => PRODUCE,
        ApiName::Fetch => FETCH,
        ApiName::ListOffsets => LIST_OFFSETS,
        ApiName::Metadata => METADATA,
        ApiName::OffsetCommit => OFFSET_COMMIT,
        ApiName::OffsetFetch => OFFSET_FETCH,
        ApiName::FindCoordinator => FIND_COORDINATOR,
        ApiName::JoinGroup => JOIN_GROUP,
        ApiName::Heartbeat => HEARTBEAT,
        ApiName::LeaveGroup => LEAVE_GROUP,
        ApiName::SyncGroup => SYNC_GROUP,
        ApiName::DescribeGroups => DESCRIBE_GROUPS,
        ApiName::ListGroups => LIST_GROUPS,
        ApiName::ApiVersions => API_VERSIONS,
        ApiName::CreateTopics => CREATE_TOPICS,
        ApiName::DeleteTopics => DELETE_TOPICS,
        ApiName::DeleteRecords => DELETE_RECORDS,
        ApiName::InitProducerId => INIT_PRODUCER_ID,
        ApiName::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiName::AddPartitionsToTxn => transactions::ADD_PARTITIONS_TO_TXN,
        ApiName::AddOffsetsToTxn => transactions::ADD_OFFSETS_TO_TXN,
        ApiName::EndTxn => transactions::END_TXN,
        ApiName::WriteTxnMarkers => transactions::WRITE_TXN_MARKERS,
        ApiName::TxnOffsetCommit => transactions::TXN_OFFSET_COMMIT,
        ApiName::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiName::AlterConfigs => ALTER_CONFIGS,
        ApiName::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        ApiName::CreatePartitions => CREATE_PARTITIONS,
        ApiName::DeleteGroups => DELETE_GROUPS,
        ApiName::ElectLeaders => ELECT_LEADERS,
        ApiName::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiName::AlterPartitionReassignments => ALTER_PARTITION_REASSIGNMENTS,
        ApiName::ListPartitionReassignments => LIST_PARTITION_REASSIGNMENTS,
        ApiName::OffsetDelete => OFFSET_DELETE,
        ApiName::DescribeQuorum => DESCRIBE_QUORUM,
        ApiName::DescribeCluster => DESCRIBE_CLUSTER,
        ApiName::DescribeProducers => DESCRIBE_PRODUCERS,
        ApiName::DescribeTransactions => transactions::DESCRIBE_TRANSACTIONS,
        ApiName::ListTransactions => transactions::LIST_TRANSACTIONS,
        ApiName::ConsumerGroupHeartbeat => CONSUMER_GROUP_HEARTBEAT,
        ApiName::ConsumerGroupDescribe => CONSUMER_GROUP_DESCRIBE,
        ApiName::ListConfigResources => LIST_CONFIG_RESOURCES,
        ApiName::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
    }
}

const PRODUCE: &[Field] = &[
    (3, MAX, Text), // transactional_id
    (0, MAX, Fixed(2)), // acks
    (0, MAX, Fixed(4)), // timeout_ms
    (0, MAX, Array(size_of::<produce_request::TopicProduceData>(), &[
        (0, 12, Text), // name
        (13, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(size_of::<produce_request::PartitionProduceData>(), &[
            (0, MAX, Fixed(4)), // index
            (0, MAX, Blob), // records
        ])), // partition_data
    ])), // topic_data
];

const FETCH: &[Field] = &[
    (0, 14, Fixed(4)), // replica_id
    (0, MAX, Fixed(4)), // max_wait_ms
    (0, MAX, Fixed(4)), // min_bytes
    (3, MAX, Fixed(4)), // max_bytes
    (4, MAX, Fixed(1)), // isolation_level
    (7, MAX, Fixed(4)), // session_id
    (7, MAX, Fixed(4)), // session_epoch
    (0, MAX, Array(size_of::<fetch_request::FetchTopic>(), &[
        (0, 12, Text), // topic
        (13, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(size_of::<fetch_request::FetchPartition>(), &[
            (0, MAX, Fixed(4)), // partition
            (9, MAX, Fixed(4)), // current_leader_epoch
            (0, MAX, Fixed(8)), // fetch_offset
            (12, MAX, Fixed(4)), // last_fetched_epoch
            (5, MAX, Fixed(8)), // log_start_offset
            (0, MAX, Fixed(4)), // partition_max_bytes
        ])), // partitions
    ])), // topics
    (7, MAX, Array(size_of::<fetch_request::ForgottenTopic>(), &[
        (7, 12, Text), // topic
        (13, MAX, Fixed(16)), // topic_id
        (7, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partitions
    ])), // forgotten_topics_data
    (11, MAX, Text), // rack_id
];

const LIST_OFFSETS: &[Field] = &[
    (0, MAX, Fixed(4)), // replica_id
    (2, MAX, Fixed(1)), // isolation_level
    (0, MAX, Array(size_of::<list_offsets_request::ListOffsetsTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Array(size_of::<list_offsets_request::ListOffsetsPartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (4, MAX, Fixed(4)), // current_leader_epoch
            (0, MAX, Fixed(8)), // timestamp
        ])), // partitions
    ])), // topics
    (10, MAX, Fixed(4)), // timeout_ms
];

const METADATA: &[Field] = &[
    (0, MAX, Array(size_of::<metadata_request::MetadataRequestTopic>(), &[
        (10, MAX, Fixed(16)), // topic_id
        (0, MAX, Text), // name
    ])), // topics
    (4, MAX, Fixed(1)), // allow_auto_topic_creation
    (8, 10, Fixed(1)), // include_cluster_authorized_operations
    (8, MAX, Fixed(1)), // include_topic_authorized_operations
];

const OFFSET_COMMIT: &[Field] = &[
    (0, MAX, Text), // group_id
    (1, MAX, Fixed(4)), // generation_id_or_member_epoch
    (1, MAX, Text), // member_id
    (7, MAX, Text), // group_instance_id
    (2, 4, Fixed(8)), // retention_time_ms
    (0, MAX, Array(size_of::<offset_commit_request::OffsetCommitRequestTopic>(), &[
        (0, 9, Text), // name
        (10, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(size_of::<offset_commit_request::OffsetCommitRequestPartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(8)), // committed_offset
            (6, MAX, Fixed(4)), // committed_leader_epoch
            (0, MAX, Text), // committed_metadata
        ])), // partitions
    ])), // topics
];

const OFFSET_FETCH: &[Field] = &[
    (0, 7, Text), // group_id
    (0, 7, Array(size_of::<offset_fetch_request::OffsetFetchRequestTopic>(), &[
        (0, 7, Text), // name
        (0, 7, PlainArray(size_of::<i32>(), &Fixed(4))), // partition_indexes
    ])), // topics
    (8, MAX, Array(size_of::<offset_fetch_request::OffsetFetchRequestGroup>(), &[
        (8, MAX, Text), // group_id
        (9, MAX, Text), // member_id
        (9, MAX, Fixed(4)), // member_epoch
        (8, MAX, Array(size_of::<offset_fetch_request::OffsetFetchRequestTopics>(), &[
            (8, 9, Text), // name
            (10, MAX, Fixed(16)), // topic_id
            (8, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partition_indexes
        ])), // topics
    ])), // groups
    (7, MAX, Fixed(1)), // require_stable
];

const FIND_COORDINATOR: &[Field] = &[
    (0, 3, Text), // key
    (1, MAX, Fixed(1)), // key_type
    (4, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // coordinator_keys
];

const JOIN_GROUP: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, MAX, Fixed(4)), // session_timeout_ms
    (1, MAX, Fixed(4)), // rebalance_timeout_ms
    (0, MAX, Text), // member_id
    (5, MAX, Text), // group_instance_id
    (0, MAX, Text), // protocol_type
    (0, MAX, Array(size_of::<join_group_request::JoinGroupRequestProtocol>(), &[
        (0, MAX, Text), // name
        (0, MAX, Blob), // metadata
    ])), // protocols
    (8, MAX, Text), // reason
];

const HEARTBEAT: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, MAX, Fixed(4)), // generation_id
    (0, MAX, Text), // member_id
    (3, MAX, Text), // group_instance_id
];

const LEAVE_GROUP: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, 2, Text), // member_id
    (3, MAX, Array(size_of::<leave_group_request::MemberIdentity>(), &[
        (3, MAX, Text), // member_id
        (3, MAX, Text), // group_instance_id
        (5, MAX, Text), // reason
    ])), // members
];

const SYNC_GROUP: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, MAX, Fixed(4)), // generation_id
    (0, MAX, Text), // member_id
    (3, MAX, Text), // group_instance_id
    (5, MAX, Text), // protocol_type
    (5, MAX, Text), // protocol_name
    (0, MAX, Array(size_of::<sync_group_request::SyncGroupRequestAssignment>(), &[
        (0, MAX, Text), // member_id
        (0, MAX, Blob), // assignment
    ])), // assignments
];

const DESCRIBE_GROUPS: &[Field] = &[
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // groups
    (3, MAX, Fixed(1)), // include_authorized_operations
];

const LIST_GROUPS: &[Field] = &[
    (4, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // states_filter
    (5, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // types_filter
];

const API_VERSIONS: &[Field] = &[
    (3, MAX, Text), // client_software_name
    (3, MAX, Text), // client_software_version
];

const CREATE_TOPICS: &[Field] = &[
    (0, MAX, Array(size_of::<create_topics_request::CreatableTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Fixed(4)), // num_partitions
        (0, MAX, Fixed(2)), // replication_factor
        (0, MAX, Array(size_of::<create_topics_request::CreatableReplicaAssignment>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // broker_ids
        ])), // assignments
        (0, MAX, Array(size_of::<create_topics_request::CreatableTopicConfig>(), &[
            (0, MAX, Text), // name
            (0, MAX, Text), // value
        ])), // configs
    ])), // topics
    (0, MAX, Fixed(4)), // timeout_ms
    (1, MAX, Fixed(1)), // validate_only
];

const DELETE_TOPICS: &[Field] = &[
    (6, MAX, Array(size_of::<delete_topics_request::DeleteTopicState>(), &[
        (6, MAX, Text), // name
        (6, MAX, Fixed(16)), // topic_id
    ])), // topics
    (0, 5, PlainArray(size_of::<StrBytes>(), &Text)), // topic_names
    (0, MAX, Fixed(4)), // timeout_ms
];

const DELETE_RECORDS: &[Field] = &[
    (0, MAX, Array(size_of::<delete_records_request::DeleteRecordsTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Array(size_of::<delete_records_request::DeleteRecordsPartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(8)), // offset
        ])), // partitions
    ])), // topics
    (0, MAX, Fixed(4)), // timeout_ms
];

const INIT_PRODUCER_ID: &[Field] = &[
    (0, MAX, Text), // transactional_id
    (0, MAX, Fixed(4)), // transaction_timeout_ms
    (3, MAX, Fixed(8)), // producer_id
    (3, MAX, Fixed(2)), // producer_epoch
    (6, MAX, Fixed(1)), // enable2_pc
    (6, MAX, Fixed(1)), // keep_prepared_txn
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    (3, MAX, Fixed(4)), // replica_id
    (0, MAX, Array(size_of::<offset_for_leader_epoch_request::OffsetForLeaderTopic>(), &[
        (0, MAX, Text), // topic
        (0, MAX, Array(size_of::<offset_for_leader_epoch_request::OffsetForLeaderPartition>(), &[
            (0, MAX, Fixed(4)), // partition
            (2, MAX, Fixed(4)), // current_leader_epoch
            (0, MAX, Fixed(4)), // leader_epoch
        ])), // partitions
    ])), // topics
];

const DESCRIBE_CONFIGS: &[Field] = &[
    (0, MAX, Array(size_of::<describe_configs_request::DescribeConfigsResource>(), &[
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
        (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // configuration_keys
    ])), // resources
    (1, MAX, Fixed(1)), // include_synonyms
    (3, MAX, Fixed(1)), // include_documentation
];

const ALTER_CONFIGS: &[Field] = &[
    (0, MAX, Array(size_of::<alter_configs_request::AlterConfigsResource>(), &[
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
        (0, MAX, Array(size_of::<alter_configs_request::AlterableConfig>(), &[
            (0, MAX, Text), // name
            (0, MAX, Text), // value
        ])), // configs
    ])), // resources
    (0, MAX, Fixed(1)), // validate_only
];

const DESCRIBE_LOG_DIRS: &[Field] = &[
    (0, MAX, Array(size_of::<describe_log_dirs_request::DescribableLogDirTopic>(), &[
        (0, MAX, Text), // topic
        (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partitions
    ])), // topics
];

const CREATE_PARTITIONS: &[Field] = &[
    (0, MAX, Array(size_of::<create_partitions_request::CreatePartitionsTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Fixed(4)), // count
        (0, MAX, Array(size_of::<create_partitions_request::CreatePartitionsAssignment>(), &[
            (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // broker_ids
        ])), // assignments
    ])), // topics
    (0, MAX, Fixed(4)), // timeout_ms
    (0, MAX, Fixed(1)), // validate_only
];

const DELETE_GROUPS: &[Field] = &[
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // groups_names
];

const ELECT_LEADERS: &[Field] = &[
    (1, MAX, Fixed(1)), // election_type
    (0, MAX, Array(size_of::<elect_leaders_request::TopicPartitions>(), &[
        (0, MAX, Text), // topic
        (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partitions
    ])), // topic_partitions
    (0, MAX, Fixed(4)), // timeout_ms
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    (0, MAX, Array(size_of::<incremental_alter_configs_request::AlterConfigsResource>(), &[
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
        (0, MAX, Array(size_of::<incremental_alter_configs_request::AlterableConfig>(), &[
            (0, MAX, Text), // name
            (0, MAX, Fixed(1)), // config_operation
            (0, MAX, Text), // value
        ])), // configs
    ])), // resources
    (0, MAX, Fixed(1)), // validate_only
];

const ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    (0, MAX, Fixed(4)), // timeout_ms
    (1, MAX, Fixed(1)), // allow_replication_factor_change
    (0, MAX, Array(size_of::<alter_partition_reassignments_request::ReassignableTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Array(size_of::<alter_partition_reassignments_request::ReassignablePartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // replicas
        ])), // partitions
    ])), // topics
];

const LIST_PARTITION_REASSIGNMENTS: &[Field] = &[
    (0, MAX, Fixed(4)), // timeout_ms
    (0, MAX, Array(size_of::<list_partition_reassignments_request::ListPartitionReassignmentsTopics>(), &[
        (0, MAX, Text), // name
        (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partition_indexes
    ])), // topics
];

const OFFSET_DELETE: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, MAX, Array(size_of::<offset_delete_request::OffsetDeleteRequestTopic>(), &[
        (0, MAX, Text), // name
        (0, MAX, Array(size_of::<offset_delete_request::OffsetDeleteRequestPartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
        ])), // partitions
    ])), // topics
];

const DESCRIBE_QUORUM: &[Field] = &[
    (0, MAX, Array(size_of::<describe_quorum_request::TopicData>(), &[
        (0, MAX, Text), // topic_name
        (0, MAX, Array(size_of::<describe_quorum_request::PartitionData>(), &[
            (0, MAX, Fixed(4)), // partition_index
        ])), // partitions
    ])), // topics
];

const DESCRIBE_CLUSTER: &[Field] = &[
    (0, MAX, Fixed(1)), // include_cluster_authorized_operations
    (1, MAX, Fixed(1)), // endpoint_type
    (2, MAX, Fixed(1)), // include_fenced_brokers
];

const DESCRIBE_PRODUCERS: &[Field] = &[
    (0, MAX, Array(size_of::<describe_producers_request::TopicRequest>(), &[
        (0, MAX, Text), // name
        (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partition_indexes
    ])), // topics
];

const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    (0, MAX, Text), // group_id
    (0, MAX, Text), // member_id
    (0, MAX, Fixed(4)), // member_epoch
    (0, MAX, Text), // instance_id
    (0, MAX, Text), // rack_id
    (0, MAX, Fixed(4)), // rebalance_timeout_ms
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // subscribed_topic_names
    (1, MAX, Text), // subscribed_topic_regex
    (0, MAX, Text), // server_assignor
    (0, MAX, Array(size_of::<consumer_group_heartbeat_request::TopicPartitions>(), &[
        (0, MAX, Fixed(16)), // topic_id
        (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partitions
    ])), // topic_partitions
];

const CONSUMER_GROUP_DESCRIBE: &[Field] = &[
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // group_ids
    (0, MAX, Fixed(1)), // include_authorized_operations
];

const LIST_CONFIG_RESOURCES: &[Field] = &[
    (1, MAX, PlainArray(size_of::<i8>(), &Fixed(1))), // resource_types
];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    (0, MAX, Array(size_of::<describe_topic_partitions_request::TopicRequest>(), &[
        (0, MAX, Text), // name
    ])), // topics
    (0, MAX, Fixed(4)), // response_partition_limit
    (0, MAX, Optional(&[
        (0, MAX, Text), // topic_name
        (0, MAX, Fixed(4)), // partition_index
    ])), // cursor
];
