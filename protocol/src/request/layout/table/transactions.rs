//! The layouts of requests about transactions.

use super::MAX;
use crate::messages::*;
use crate::request::layout::Field;
use crate::request::layout::Kind::{Array, Fixed, PlainArray, Text};

const TOPIC_TO_ADD: &[Field] = &[
    (0, MAX, Text), // name
    (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partitions
];

pub(super) const ADD_PARTITIONS_TO_TXN: &[Field] = &[
    (4, MAX, Array(size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTransaction>(), &[
        (4, MAX, Text), // transactional_id
        (4, MAX, Fixed(8)), // producer_id
        (4, MAX, Fixed(2)), // producer_epoch
        (4, MAX, Fixed(1)), // verify_only
        (4, MAX, Array(size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(), TOPIC_TO_ADD)), // topics
    ])), // transactions
    (0, 3, Text), // v3_and_below_transactional_id
    (0, 3, Fixed(8)), // v3_and_below_producer_id
    (0, 3, Fixed(2)), // v3_and_below_producer_epoch
    (0, 3, Array(size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(), TOPIC_TO_ADD)), // v3_and_below_topics
];

pub(super) const ADD_OFFSETS_TO_TXN: &[Field] = &[
    (0, MAX, Text), // transactional_id
    (0, MAX, Fixed(8)), // producer_id
    (0, MAX, Fixed(2)), // producer_epoch
    (0, MAX, Text), // group_id
];

pub(super) const END_TXN: &[Field] = &[
    (0, MAX, Text), // transactional_id
    (0, MAX, Fixed(8)), // producer_id
    (0, MAX, Fixed(2)), // producer_epoch
    (0, MAX, Fixed(1)), // committed
];

pub(super) const WRITE_TXN_MARKERS: &[Field] = &[
    (0, MAX, Array(size_of::<write_txn_markers_request::WritableTxnMarker>(), &[
        (0, MAX, Fixed(8)), // producer_id
        (0, MAX, Fixed(2)), // producer_epoch
        (0, MAX, Fixed(1)), // transaction_result
        (0, MAX, Array(size_of::<write_txn_markers_request::WritableTxnMarkerTopic>(), &[
            (0, MAX, Text), // name
            (0, MAX, PlainArray(size_of::<i32>(), &Fixed(4))), // partition_indexes
        ])), // topics
        (0, MAX, Fixed(4)), // coordinator_epoch
        (2, MAX, Fixed(1)), // transaction_version
    ])), // markers
];

pub(super) const TXN_OFFSET_COMMIT: &[Field] = &[
    (0, MAX, Text), // transactional_id
    (0, MAX, Text), // group_id
    (0, MAX, Fixed(8)), // producer_id
    (0, MAX, Fixed(2)), // producer_epoch
    (3, MAX, Fixed(4)), // generation_id_or_member_epoch
    (3, MAX, Text), // member_id
    (3, MAX, Text), // group_instance_id
    (0, MAX, Array(size_of::<txn_offset_commit_request::TxnOffsetCommitRequestTopic>(), &[
        (0, 5, Text), // name
        (6, MAX, Fixed(16)), // topic_id
        (0, MAX, Array(size_of::<txn_offset_commit_request::TxnOffsetCommitRequestPartition>(), &[
            (0, MAX, Fixed(4)), // partition_index
            (0, MAX, Fixed(8)), // committed_offset
            (2, MAX, Fixed(4)), // committed_leader_epoch
            (0, MAX, Text), // committed_metadata
        ])), // partitions
    ])), // topics
];

pub(super) const DESCRIBE_TRANSACTIONS: &[Field] = &[
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // transactional_ids
];

pub(super) const LIST_TRANSACTIONS: &[Field] = &[
    (0, MAX, PlainArray(size_of::<StrBytes>(), &Text)), // state_filters
    (0, MAX, PlainArray(size_of::<i64>(), &Fixed(8))), // producer_id_filters
    (1, MAX, Fixed(8)), // duration_filter
    (2, MAX, Text), // transactional_id_pattern
];
