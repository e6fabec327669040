//! The layouts of responses about consumer groups of KIP-848.

use super::MAX;
use crate::request::layout::Field;
use crate::request::layout::Kind::{Array, Fixed, Optional, PlainArray, Structure, Text};

pub(super) const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Fixed(2)), // error_code
    (0, MAX, Text), // error_message
    (0, MAX, Text), // member_id
    (0, MAX, Fixed(4)), // member_epoch
    (0, MAX, Fixed(4)), // heartbeat_interval_ms
    (0, MAX, Optional(&[
        (0, MAX, Array(1, &[
            (0, MAX, Fixed(16)), // topic_id
            (0, MAX, PlainArray(1, &Fixed(4))), // partitions
        ])), // topic_partitions
    ])), // assignment
];

pub(super) const CONSUMER_GROUP_DESCRIBE: &[Field] = &[
    (0, MAX, Fixed(4)), // throttle_time_ms
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(2)), // error_code
        (0, MAX, Text), // error_message
        (0, MAX, Text), // group_id
        (0, MAX, Text), // group_state
        (0, MAX, Fixed(4)), // group_epoch
        (0, MAX, Fixed(4)), // assignment_epoch
        (0, MAX, Text), // assignor_name
        (0, MAX, Array(1, &[
            (0, MAX, Text), // member_id
            (0, MAX, Text), // instance_id
            (0, MAX, Text), // rack_id
            (0, MAX, Fixed(4)), // member_epoch
            (0, MAX, Text), // client_id
            (0, MAX, Text), // client_host
            (0, MAX, PlainArray(1, &Text)), // subscribed_topic_names
            (0, MAX, Text), // subscribed_topic_regex
            (0, MAX, Structure(ASSIGNMENT)), // assignment
            (0, MAX, Structure(ASSIGNMENT)), // target_assignment
            (1, MAX, Fixed(1)), // member_type
        ])), // members
        (0, MAX, Fixed(4)), // authorized_operations
    ])), // groups
];

const ASSIGNMENT: &[Field] = &[
    (0, MAX, Array(1, &[
        (0, MAX, Fixed(16)), // topic_id
        (0, MAX, Text), // topic_name
        (0, MAX, PlainArray(1, &Fixed(4))), // partitions
    ])), // topic_partitions
];
