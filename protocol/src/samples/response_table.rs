//! The layouts of all served responses, from Kafka's message schemas: an account of them that does not come from the codec.

mod cluster;
mod consumer_groups;
mod transactions;

use crate::apis::ApiName;
use crate::request::layout::Field;
use crate::request::layout::Kind::{Array, Blob, Fixed, Optional, PlainArray, Text};

const MAX: i16 = i16::MAX;

/// The layout of one API's response.
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
        ApiName::DescribeLogDirs => cluster::DESCRIBE_LOG_DIRS,
        ApiName::CreatePartitions => CREATE_PARTITIONS,
        ApiName::DeleteGroups => DELETE_GROUPS,
        ApiName::ElectLeaders => cluster::ELECT_LEADERS,
        ApiName::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiName::AlterPartitionReassignments => cluster::ALTER_PARTITION_REASSIGNMENTS,
        ApiName::ListPartitionReassignments => cluster::LIST_PARTITION_REASSIGNMENTS,
        ApiName::OffsetDelete => OFFSET_DELETE,
        ApiName::DescribeQuorum => cluster::DESCRIBE_QUORUM,
        ApiName::DescribeCluster => cluster::DESCRIBE_CLUSTER,
        ApiName::DescribeProducers => cluster::DESCRIBE_PRODUCERS,
        ApiName::DescribeTransactions => transactions::DESCRIBE_TRANSACTIONS,
        ApiName::ListTransactions => transactions::LIST_TRANSACTIONS,
        ApiName::ConsumerGroupHeartbeat => consumer_groups::CONSUMER_GROUP_HEARTBEAT,
        ApiName::ConsumerGroupDescribe => consumer_groups::CONSUMER_GROUP_DESCRIBE,
        ApiName::ListConfigResources => cluster::LIST_CONFIG_RESOURCES,
        ApiName::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
    }
}

const PRODUCE: &[Field] = &[
    (0, MAX, Array(1, &[
        (0, 12, Text), // name
        (13, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // index
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Fixed(8)), // base_offset
            (2, MAX, Fixed(8)), // log_append_time_ms
            (5, MAX, Fixed(8)), // log_start_offset
            (8, MAX, Array(1, &[
                (8, MAX, Fixed(4)), // batch_index
                (8, MAX, Text), // batch_index_error_message
            ])), // record_errors
            (8, MAX, Text), // error_message
        ])), // partition_responses
    ])), // responses
    (1, MAX, Fixed(4)), // throttle_time_ms
];

const FETCH: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (7, MAX, Fixed(2)), // error_code
    (7, MAX, Fixed(4)), // session_id
    (0, MAX, Array(1, &[
        (0, 12, Text), // topic
        (13, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Fixed(8)), // high_watermark
            (4, MAX, Fixed(8)), // last_stable_offset
            (5, MAX, Fixed(8)), // log_start_offset
            (4, MAX, Array(1, &[
                (4, MAX, Fixed(8)), // producer_id
                (4, MAX, Fixed(8)), // first_offset
            ])), // aborted_transactions
            (11, MAX, Fixed(4)), // preferred_read_replica
            (0, MAX, Blob), // records
        ])), // partitions
    ])), // responses
];

const LIST_OFFSETS: &[Field] = &[
    (2, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
            (1, MAX, Fixed(8)), // timestamp
            (1, MAX, Fixed(8)), // offset
            (4, MAX, Fixed(4)), // leader_epoch
        ])), // partitions
    ])), // topics
];

const METADATA: &[Field] = &[
    (3, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(4)), // node_id
        (0, MAX, Text), // host
        (0, MAX, Fixed(4)), // port
        (1, MAX, Text), // rack
    ])), // brokers
    (2, MAX, Text), // cluster_id
    (1, MAX, Fixed(4)), // controller_id
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // name
        (10, MAX, Fixed(16)), // topic_id
        (1, MAX, Fixed(1)), // is_internal
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(4)), // leader_id
            (7, MAX, Fixed(4)), // leader_epoch
            (0, MAX, PlainArray(1, &Fixed(4))), // replica_nodes
            (0, MAX, PlainArray(1, &Fixed(4))), // isr_nodes
            (5, MAX, PlainArray(1, &Fixed(4))), // offline_replicas
        ])), // partitions
        (8, MAX, Fixed(4)), // topic_authorized_operations
    ])), // topics
    (8, 10, Fixed(4)), // cluster_authorized_operations
    (13, MAX, Fixed(2)), // error_code
];

const OFFSET_COMMIT: &[Field] = &[
    (3, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, 9, Text), // name
        (10, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
        ])), // partitions
    ])), // topics
];

const OFFSET_FETCH: &[Field] = &[
    (3, MAX, Fixed(4)), // throttle_time_ms
    (0, 7, Array(1, &[
        (0, 7, Text), // name
        (0, 7, Array(1, &[
            (0, 7, Fixed(4)), // partition_index
            (0, 7, Fixed(8)), // committed_offset
            (5, 7, Fixed(4)), // committed_leader_epoch
            (0, 7, Text), // metadata
            (0, 7, Fixed(2)), // error_code
        ])), // partitions
    ])), // topics
    (2, 7, Fixed(2)), // error_code
    (8, MAX, Array(1, &[
        (8, MAX, Text), // group_id
        (8, MAX, Array(1, &[
            (8, 9, Text), // name
            (10, MAX, Fixed(16)), // topic_id
            (8, MAX, Array(1, &[
                (8, MAX, Fixed(4)), // partition_index
                (8, MAX, Fixed(8)), // committed_offset
                (8, MAX, Fixed(4)), // committed_leader_epoch
                (8, MAX, Text), // metadata
                (8, MAX, Fixed(2)), // error_code
            ])), // partitions
        ])), // topics
        (8, MAX, Fixed(2)), // error_code
    ])), // groups
];

const FIND_COORDINATOR: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, 3, Fixed(2)), // error_code
    (1, 3, Text), // error_message
    (0, 3, Fixed(4)), // node_id
    (0, 3, Text), // host
    (0, 3, Fixed(4)), // port
    (4, MAX, Array(1, &[
        (4, MAX, Text), // key
        (4, MAX, Fixed(4)), // node_id
        (4, MAX, Text), // host
        (4, MAX, Fixed(4)), // port
        (4, MAX, Fixed(2)), // error_code
        (4, MAX, Text), // error_message
    ])), // coordinators
];

const JOIN_GROUP: &[Field] = &[
    (2, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Fixed(4)), // generation_id
    (7, MAX, Text), // protocol_type
    (0, MAX, Text), // protocol_name
    (0, MAX, Text), // leader
    (9, MAX, Fixed(1)), // skip_assignment
    (0, MAX, Text), // member_id
    (0, MAX, Array(1, &[
        (0, MAX, Text), // member_id
        (5, MAX, Text), // group_instance_id
        (0, MAX, Blob), // metadata
    ])), // members
];

const HEARTBEAT: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
];

const LEAVE_GROUP: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (3, MAX, Array(1, &[
        (3, MAX, Text), // member_id
        (3, MAX, Text), // group_instance_id
        (3, MAX, Fixed(2)), // error_code
    ])), // members
];

const SYNC_GROUP: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (5, MAX, Text), // protocol_type
    (5, MAX, Text), // protocol_name
    (0, MAX, Blob), // assignment
];

const DESCRIBE_GROUPS: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (6, MAX, Text), // error_message
        (0, MAX, Text), // group_id
        (0, MAX, Text), // group_state
        (0, MAX, Text), // protocol_type
        (0, MAX, Text), // protocol_data
        (0, MAX, Array(1, &[
            (0, MAX, Text), // member_id
            (4, MAX, Text), // group_instance_id
            (0, MAX, Text), // client_id
            (0, MAX, Text), // client_host
            (0, MAX, Blob), // member_metadata
            (0, MAX, Blob), // member_assignment
        ])), // members
        (3, MAX, Fixed(4)), // authorized_operations
    ])), // groups
];

const LIST_GROUPS: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Array(1, &[
        (0, MAX, Text), // group_id
        (0, MAX, Text), // protocol_type
        (4, MAX, Text), // group_state
        (5, MAX, Text), // group_type
    ])), // groups
];

const API_VERSIONS: &[Field] = &[
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // api_key
        (0, MAX, Fixed(2)), // min_version
        (0, MAX, Fixed(2)), // max_version
    ])), // api_keys
    (1, MAX, Fixed(4)), // throttle_time_ms
];

const CREATE_TOPICS: &[Field] = &[
    (2, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (7, MAX, Fixed(16)), // topic_id
        (0, MAX, Fixed(2)), // error_code
        (1, MAX, Text), // error_message
        (5, MAX, Fixed(4)), // num_partitions
        (5, MAX, Fixed(2)), // replication_factor
        (5, MAX, Array(1, &[
            (5, MAX, Text), // name
            (5, MAX, Text), // value
            (5, MAX, Fixed(1)), // read_only
            (5, MAX, Fixed(1)), // config_source
            (5, MAX, Fixed(1)), // is_sensitive
        ])), // configs
    ])), // topics
];

const DELETE_TOPICS: &[Field] = &[
    (1, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (6, MAX, Fixed(16)), // topic_id
        (0, MAX, Fixed(2)), // error_code
        (5, MAX, Text), // error_message
    ])), // responses
];

const DELETE_RECORDS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(8)), // low_watermark
            (0, MAX, Fixed(2)), // error_code
        ])), // partitions
    ])), // topics
];

const INIT_PRODUCER_ID: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Fixed(8)), // producer_id
    (0, MAX, Fixed(2)), // producer_epoch
    (6, MAX, Fixed(8)), // ongoing_txn_producer_id
    (6, MAX, Fixed(2)), // ongoing_txn_producer_epoch
];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[
    (2, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // topic
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Fixed(4)), // partition
            (1, MAX, Fixed(4)), // leader_epoch
            (0, MAX, Fixed(8)), // end_offset
        ])), // partitions
    ])), // topics
];

const DESCRIBE_CONFIGS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // error_message
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
        (0, MAX, Array(1, &[
            (0, MAX, Text), // name
            (0, MAX, Text), // value
            (0, MAX, Fixed(1)), // read_only
            (1, MAX, Fixed(1)), // config_source
            (0, MAX, Fixed(1)), // is_sensitive
            (1, MAX, Array(1, &[
                (1, MAX, Text), // name
                (1, MAX, Text), // value
                (1, MAX, Fixed(1)), // source
            ])), // synonyms
            (3, MAX, Fixed(1)), // config_type
            (3, MAX, Text), // documentation
        ])), // configs
    ])), // results
];

const ALTER_CONFIGS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // error_message
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
    ])), // responses
];

const CREATE_PARTITIONS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // error_message
    ])), // results
];

const DELETE_GROUPS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // group_id
        (0, MAX, Fixed(2)), // error_code
    ])), // results
];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // error_message
        (0, MAX, Fixed(1)), // resource_type
        (0, MAX, Text), // resource_name
    ])), // responses
];

const OFFSET_DELETE: &[Field] = &[
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
        ])), // partitions
    ])), // topics
];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // name
        (0, MAX, Fixed(16)), // topic_id
        (0, MAX, Fixed(1)), // is_internal
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(4)), // leader_id
            (0, MAX, Fixed(4)), // leader_epoch
            (0, MAX, PlainArray(1, &Fixed(4))), // replica_nodes
            (0, MAX, PlainArray(1, &Fixed(4))), // isr_nodes
            (0, MAX, PlainArray(1, &Fixed(4))), // eligible_leader_replicas
            (0, MAX, PlainArray(1, &Fixed(4))), // last_known_elr
            (0, MAX, PlainArray(1, &Fixed(4))), // offline_replicas
        ])), // partitions
        (0, MAX, Fixed(4)), // topic_authorized_operations
    ])), // topics
    (0, MAX, Optional(&[
        (0, MAX, Text), // topic_name
        (0, MAX, Fixed(4)), // partition_index
    ])), // next_cursor
];
