//! Responses of the APIs about the cluster as a whole: its nodes, leaders, directories and what is configured.

use crate::request::layout::Field;
use crate::request::layout::Kind::{Array, Fixed, PlainArray, Text};

const MAX: i16 = i16::MAX;

pub(super) const ELECT_LEADERS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (1, MAX, Fixed(2)), // error_code
    (0, MAX, Array(1, &[
        (0, MAX, Text), // topic
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_id
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Text), // error_message
        ])), // partition_result
    ])), // replica_election_results
];

pub(super) const ALTER_PARTITION_REASSIGNMENTS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (1, MAX, Fixed(1)), // allow_replication_factor_change
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Text), // error_message
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Text), // error_message
        ])), // partitions
    ])), // responses
];

pub(super) const LIST_PARTITION_REASSIGNMENTS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Text), // error_message
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, PlainArray(1, &Fixed(4))), // replicas
            (0, MAX, PlainArray(1, &Fixed(4))), // adding_replicas
            (0, MAX, PlainArray(1, &Fixed(4))), // removing_replicas
        ])), // partitions
    ])), // topics
];

pub(super) const DESCRIBE_QUORUM: &[Field] = &[
    (0, MAX, Fixed(2)), // error_code
    (2, MAX, Text), // error_message
    (0, MAX, Array(1, &[
        (0, MAX, Text), // topic_name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
            (2, MAX, Text), // error_message
            (0, MAX, Fixed(4)), // leader_id
            (0, MAX, Fixed(4)), // leader_epoch
            (0, MAX, Fixed(8)), // high_watermark
            (0, MAX, Array(1, REPLICA_STATE)), // current_voters
            (0, MAX, Array(1, REPLICA_STATE)), // observers
        ])), // partitions
    ])), // topics
    (2, MAX, Array(1, &[
        (2, MAX, Fixed(4)), // node_id
        (2, MAX, Array(1, &[
            (2, MAX, Text), // name
            (2, MAX, Text), // host
            (2, MAX, Fixed(2)), // port
        ])), // listeners
    ])), // nodes
];

const REPLICA_STATE: &[Field] = &[
    (0, MAX, Fixed(4)), // replica_id
    (2, MAX, Fixed(16)), // replica_directory_id
    (0, MAX, Fixed(8)), // log_end_offset
    (1, MAX, Fixed(8)), // last_fetch_timestamp
    (1, MAX, Fixed(8)), // last_caught_up_timestamp
];

pub(super) const DESCRIBE_CLUSTER: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Text), // error_message
    (1, MAX, Fixed(1)), // endpoint_type
    (0, MAX, Text), // cluster_id
    (0, MAX, Fixed(4)), // controller_id
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(4)), // broker_id
        (0, MAX, Text), // host
        (0, MAX, Fixed(4)), // port
        (0, MAX, Text), // rack
        (2, MAX, Fixed(1)), // is_fenced
    ])), // brokers
    (0, MAX, Fixed(4)), // cluster_authorized_operations
];

pub(super) const DESCRIBE_PRODUCERS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Text), // name
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
            (0, MAX, Text), // error_message
            (0, MAX, Array(1, &[
                (0, MAX, Fixed(8)), // producer_id
                (0, MAX, Fixed(4)), // producer_epoch
                (0, MAX, Fixed(4)), // last_sequence
                (0, MAX, Fixed(8)), // last_timestamp
                (0, MAX, Fixed(4)), // coordinator_epoch
                (0, MAX, Fixed(8)), // current_txn_start_offset
            ])), // active_producers
        ])), // partitions
    ])), // topics
];

pub(super) const LIST_CONFIG_RESOURCES: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Array(1, &[
        (0, MAX, Text), // resource_name
        (1, MAX, Fixed(1)), // resource_type
    ])), // config_resources
];

pub(super) const DESCRIBE_LOG_DIRS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (3, MAX, Fixed(2)), // error_code
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // log_dir
        (0, MAX, Array(1, &[
            (0, MAX, Text), // name
            (0, MAX, Array(1, &[
                (0, MAX, Fixed(4)), // partition_index
                (0, MAX, Fixed(8)), // partition_size
                (0, MAX, Fixed(8)), // offset_lag
                (0, MAX, Fixed(1)), // is_future_key
            ])), // partitions
        ])), // topics
        (4, MAX, Fixed(8)), // total_bytes
        (4, MAX, Fixed(8)), // usable_bytes
    ])), // results
];
