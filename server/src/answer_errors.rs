//! The error codes of answers, for those who watch a node: one `each_error` per response.
//!
//! Invariant: every error code of a response is told, at whatever depth it stands; codes of success are told too.

use alluvium_protocol::messages as wire;
use alluvium_protocol::response::FetchResponseFrame;

/// A response that may carry error codes.
pub(crate) trait AnswerErrors {
    /// Tells each error code.
    fn each_error(&self, tell: &mut dyn FnMut(i16));
}

impl AnswerErrors for FetchResponseFrame {
    fn each_error(&self, tell: &mut dyn FnMut(i16)) {
        tell(self.error_code);
        self.topics.iter().flat_map(|topic| &topic.partitions).for_each(|partition| tell(partition.error_code));
    }
}

/// `Response: answer => codes;` where `codes` iterates over references to error codes.
macro_rules! answer_errors {
    ($($response:ident: $answer:ident => $codes:expr;)+) => {
        $(impl AnswerErrors for wire::$response {
            fn each_error(&self, tell: &mut dyn FnMut(i16)) {
                let $answer = self;
                for code in $codes {
                    tell(*code);
                }
            }
        })+
    };
}

/// The error codes of a list, and those of the lists in it.
macro_rules! codes {
    ($list:expr, $inner:ident) => {
        $list.iter().flat_map(|outer| outer.$inner.iter().map(|inner| &inner.error_code))
    };
    ($list:expr) => {
        $list.iter().map(|one| &one.error_code)
    };
}

/// The error codes of partitions that were added to a transaction.
macro_rules! added {
    ($topics:expr) => {
        $topics
            .iter()
            .flat_map(|topic| topic.results_by_partition.iter().map(|partition| &partition.partition_error_code))
    };
}

answer_errors! {
    AddOffsetsToTxnResponse: answer => [&answer.error_code];
    AddPartitionsToTxnResponse: answer => [&answer.error_code]
        .into_iter()
        .chain(added!(answer.results_by_topic_v3_and_below))
        .chain(answer.results_by_transaction.iter().flat_map(|transaction| added!(transaction.topic_results)));
    AlterConfigsResponse: answer => codes!(answer.responses);
    AlterPartitionReassignmentsResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.responses, partitions));
    ApiVersionsResponse: answer => [&answer.error_code];
    ConsumerGroupDescribeResponse: answer => codes!(answer.groups);
    ConsumerGroupHeartbeatResponse: answer => [&answer.error_code];
    CreatePartitionsResponse: answer => codes!(answer.results);
    CreateTopicsResponse: answer => codes!(answer.topics);
    DeleteGroupsResponse: answer => codes!(answer.results);
    DeleteRecordsResponse: answer => codes!(answer.topics, partitions);
    DeleteTopicsResponse: answer => codes!(answer.responses);
    DescribeClusterResponse: answer => [&answer.error_code];
    DescribeConfigsResponse: answer => codes!(answer.results);
    DescribeGroupsResponse: answer => codes!(answer.groups);
    DescribeLogDirsResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.results));
    DescribeProducersResponse: answer => codes!(answer.topics, partitions);
    DescribeQuorumResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.topics, partitions));
    DescribeTopicPartitionsResponse: answer => codes!(answer.topics).chain(codes!(answer.topics, partitions));
    DescribeTransactionsResponse: answer => codes!(answer.transaction_states);
    ElectLeadersResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.replica_election_results, partition_result));
    EndTxnResponse: answer => [&answer.error_code];
    FindCoordinatorResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.coordinators));
    HeartbeatResponse: answer => [&answer.error_code];
    IncrementalAlterConfigsResponse: answer => codes!(answer.responses);
    InitProducerIdResponse: answer => [&answer.error_code];
    JoinGroupResponse: answer => [&answer.error_code];
    LeaveGroupResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.members));
    ListConfigResourcesResponse: answer => [&answer.error_code];
    ListGroupsResponse: answer => [&answer.error_code];
    ListOffsetsResponse: answer => codes!(answer.topics, partitions);
    ListPartitionReassignmentsResponse: answer => [&answer.error_code];
    ListTransactionsResponse: answer => [&answer.error_code];
    MetadataResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.topics)).chain(codes!(answer.topics, partitions));
    OffsetCommitResponse: answer => codes!(answer.topics, partitions);
    OffsetDeleteResponse: answer => [&answer.error_code].into_iter().chain(codes!(answer.topics, partitions));
    OffsetFetchResponse: answer => [&answer.error_code]
        .into_iter()
        .chain(codes!(answer.topics, partitions))
        .chain(codes!(answer.groups))
        .chain(answer.groups.iter().flat_map(|group| codes!(group.topics, partitions)));
    OffsetForLeaderEpochResponse: answer => codes!(answer.topics, partitions);
    ProduceResponse: answer => codes!(answer.responses, partition_responses);
    SyncGroupResponse: answer => [&answer.error_code];
    TxnOffsetCommitResponse: answer => codes!(answer.topics, partitions);
    WriteTxnMarkersResponse: answer => answer.markers.iter().flat_map(|marker| codes!(marker.topics, partitions));
}
