//! The layouts of responses about transactions.

use super::MAX;
use crate::request::layout::Field;
use crate::request::layout::Kind::{Array, Fixed, PlainArray, Text};

const ADDED_TOPIC: &[Field] = &[
    (0, MAX, Text), // name
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(4)), // partition_index
        (0, MAX, Fixed(2)), // partition_error_code
    ])), // results_by_partition
];

pub(super) const ADD_PARTITIONS_TO_TXN: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (4, MAX, Fixed(2)), // error_code
    (4, MAX, Array(1, &[
        (4, MAX, Text), // transactional_id
        (4, MAX, Array(1, ADDED_TOPIC)), // topic_results
    ])), // results_by_transaction
    (0, 3, Array(1, ADDED_TOPIC)), // results_by_topic_v3_and_below
];

pub(super) const ADD_OFFSETS_TO_TXN: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
];

pub(super) const END_TXN: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (5, MAX, Fixed(8)), // producer_id
    (5, MAX, Fixed(2)), // producer_epoch
];

pub(super) const WRITE_TXN_MARKERS: &[Field] = &[
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(8)), // producer_id
        (0, MAX, Array(1, &[
            (0, MAX, Text), // name
            (0, MAX, Array(1, &[
                (0, MAX, Fixed(4)), // partition_index
                (0, MAX, Fixed(2)), // error_code
            ])), // partitions
        ])), // topics
    ])), // markers
];

pub(super) const TXN_OFFSET_COMMIT: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, 5, Text), // name
        (6, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(2)), // error_code
        ])), // partitions
    ])), // topics
];

pub(super) const DESCRIBE_TRANSACTIONS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // transactional_id
        (0, MAX, Text), // transaction_state
        (0, MAX, Fixed(4)), // transaction_timeout_ms
        (0, MAX, Fixed(8)), // transaction_start_time_ms
        (0, MAX, Fixed(8)), // producer_id
        (0, MAX, Fixed(2)), // producer_epoch
        (0, MAX, Array(1, &[
            (0, MAX, Text), // topic
            (0, MAX, PlainArray(1, &Fixed(4))), // partitions
        ])), // topics
    ])), // transaction_states
];

pub(super) const LIST_TRANSACTIONS: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, PlainArray(1, &Text)), // unknown_state_filters
    (0, MAX, Array(1, &[
        (0, MAX, Text), // transactional_id
        (0, MAX, Fixed(8)), // producer_id
        (0, MAX, Text), // transaction_state
    ])), // transaction_states
];
