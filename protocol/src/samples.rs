//! Test messages of every API and version, made from layouts and a string of entropy.
//!
//! The bytes are canonical: what decodes them must encode them back to the same bytes. Arrays and strings are never null, since
//! the layouts do not say which may be. Less entropy makes smaller messages, so that a failing case shrinks.

mod differential;
#[rustfmt::skip] // A table reads by its lines.
pub(crate) mod response_table;

use proptest::prelude::*;

use crate::apis::ServedApi;
use crate::request::layout::{Field, Kind, table};

/// Runs the body with the request and response types of an API.
macro_rules! with_api_types {
    ($api:expr, $request:ident, $response:ident => $body:expr) => {
        match $api {
            $crate::apis::ApiName::Produce => {
                type $request = $crate::messages::ProduceRequest;
                type $response = $crate::messages::ProduceResponse;
                $body
            }
            $crate::apis::ApiName::Fetch => {
                type $request = $crate::messages::FetchRequest;
                type $response = $crate::messages::FetchResponse;
                $body
            }
            $crate::apis::ApiName::ListOffsets => {
                type $request = $crate::messages::ListOffsetsRequest;
                type $response = $crate::messages::ListOffsetsResponse;
                $body
            }
            $crate::apis::ApiName::Metadata => {
                type $request = $crate::messages::MetadataRequest;
                type $response = $crate::messages::MetadataResponse;
                $body
            }
            $crate::apis::ApiName::OffsetCommit => {
                type $request = $crate::messages::OffsetCommitRequest;
                type $response = $crate::messages::OffsetCommitResponse;
                $body
            }
            $crate::apis::ApiName::OffsetFetch => {
                type $request = $crate::messages::OffsetFetchRequest;
                type $response = $crate::messages::OffsetFetchResponse;
                $body
            }
            $crate::apis::ApiName::FindCoordinator => {
                type $request = $crate::messages::FindCoordinatorRequest;
                type $response = $crate::messages::FindCoordinatorResponse;
                $body
            }
            $crate::apis::ApiName::JoinGroup => {
                type $request = $crate::messages::JoinGroupRequest;
                type $response = $crate::messages::JoinGroupResponse;
                $body
            }
            $crate::apis::ApiName::Heartbeat => {
                type $request = $crate::messages::HeartbeatRequest;
                type $response = $crate::messages::HeartbeatResponse;
                $body
            }
            $crate::apis::ApiName::LeaveGroup => {
                type $request = $crate::messages::LeaveGroupRequest;
                type $response = $crate::messages::LeaveGroupResponse;
                $body
            }
            $crate::apis::ApiName::SyncGroup => {
                type $request = $crate::messages::SyncGroupRequest;
                type $response = $crate::messages::SyncGroupResponse;
                $body
            }
            $crate::apis::ApiName::DescribeGroups => {
                type $request = $crate::messages::DescribeGroupsRequest;
                type $response = $crate::messages::DescribeGroupsResponse;
                $body
            }
            $crate::apis::ApiName::ListGroups => {
                type $request = $crate::messages::ListGroupsRequest;
                type $response = $crate::messages::ListGroupsResponse;
                $body
            }
            $crate::apis::ApiName::ApiVersions => {
                type $request = $crate::messages::ApiVersionsRequest;
                type $response = $crate::messages::ApiVersionsResponse;
                $body
            }
            $crate::apis::ApiName::CreateTopics => {
                type $request = $crate::messages::CreateTopicsRequest;
                type $response = $crate::messages::CreateTopicsResponse;
                $body
            }
            $crate::apis::ApiName::DeleteTopics => {
                type $request = $crate::messages::DeleteTopicsRequest;
                type $response = $crate::messages::DeleteTopicsResponse;
                $body
            }
            $crate::apis::ApiName::DeleteRecords => {
                type $request = $crate::messages::DeleteRecordsRequest;
                type $response = $crate::messages::DeleteRecordsResponse;
                $body
            }
            $crate::apis::ApiName::InitProducerId => {
                type $request = $crate::messages::InitProducerIdRequest;
                type $response = $crate::messages::InitProducerIdResponse;
                $body
            }
            $crate::apis::ApiName::OffsetForLeaderEpoch => {
                type $request = $crate::messages::OffsetForLeaderEpochRequest;
                type $response = $crate::messages::OffsetForLeaderEpochResponse;
                $body
            }
            $crate::apis::ApiName::AddPartitionsToTxn => {
                type $request = $crate::messages::AddPartitionsToTxnRequest;
                type $response = $crate::messages::AddPartitionsToTxnResponse;
                $body
            }
            $crate::apis::ApiName::AddOffsetsToTxn => {
                type $request = $crate::messages::AddOffsetsToTxnRequest;
                type $response = $crate::messages::AddOffsetsToTxnResponse;
                $body
            }
            $crate::apis::ApiName::EndTxn => {
                type $request = $crate::messages::EndTxnRequest;
                type $response = $crate::messages::EndTxnResponse;
                $body
            }
            $crate::apis::ApiName::WriteTxnMarkers => {
                type $request = $crate::messages::WriteTxnMarkersRequest;
                type $response = $crate::messages::WriteTxnMarkersResponse;
                $body
            }
            $crate::apis::ApiName::TxnOffsetCommit => {
                type $request = $crate::messages::TxnOffsetCommitRequest;
                type $response = $crate::messages::TxnOffsetCommitResponse;
                $body
            }
            $crate::apis::ApiName::DescribeConfigs => {
                type $request = $crate::messages::DescribeConfigsRequest;
                type $response = $crate::messages::DescribeConfigsResponse;
                $body
            }
            $crate::apis::ApiName::AlterConfigs => {
                type $request = $crate::messages::AlterConfigsRequest;
                type $response = $crate::messages::AlterConfigsResponse;
                $body
            }
            $crate::apis::ApiName::DescribeLogDirs => {
                type $request = $crate::messages::DescribeLogDirsRequest;
                type $response = $crate::messages::DescribeLogDirsResponse;
                $body
            }
            $crate::apis::ApiName::CreatePartitions => {
                type $request = $crate::messages::CreatePartitionsRequest;
                type $response = $crate::messages::CreatePartitionsResponse;
                $body
            }
            $crate::apis::ApiName::DeleteGroups => {
                type $request = $crate::messages::DeleteGroupsRequest;
                type $response = $crate::messages::DeleteGroupsResponse;
                $body
            }
            $crate::apis::ApiName::ElectLeaders => {
                type $request = $crate::messages::ElectLeadersRequest;
                type $response = $crate::messages::ElectLeadersResponse;
                $body
            }
            $crate::apis::ApiName::IncrementalAlterConfigs => {
                type $request = $crate::messages::IncrementalAlterConfigsRequest;
                type $response = $crate::messages::IncrementalAlterConfigsResponse;
                $body
            }
            $crate::apis::ApiName::AlterPartitionReassignments => {
                type $request = $crate::messages::AlterPartitionReassignmentsRequest;
                type $response = $crate::messages::AlterPartitionReassignmentsResponse;
                $body
            }
            $crate::apis::ApiName::ListPartitionReassignments => {
                type $request = $crate::messages::ListPartitionReassignmentsRequest;
                type $response = $crate::messages::ListPartitionReassignmentsResponse;
                $body
            }
            $crate::apis::ApiName::OffsetDelete => {
                type $request = $crate::messages::OffsetDeleteRequest;
                type $response = $crate::messages::OffsetDeleteResponse;
                $body
            }
            $crate::apis::ApiName::DescribeQuorum => {
                type $request = $crate::messages::DescribeQuorumRequest;
                type $response = $crate::messages::DescribeQuorumResponse;
                $body
            }
            $crate::apis::ApiName::DescribeCluster => {
                type $request = $crate::messages::DescribeClusterRequest;
                type $response = $crate::messages::DescribeClusterResponse;
                $body
            }
            $crate::apis::ApiName::DescribeProducers => {
                type $request = $crate::messages::DescribeProducersRequest;
                type $response = $crate::messages::DescribeProducersResponse;
                $body
            }
            $crate::apis::ApiName::DescribeTransactions => {
                type $request = $crate::messages::DescribeTransactionsRequest;
                type $response = $crate::messages::DescribeTransactionsResponse;
                $body
            }
            $crate::apis::ApiName::ListTransactions => {
                type $request = $crate::messages::ListTransactionsRequest;
                type $response = $crate::messages::ListTransactionsResponse;
                $body
            }
            $crate::apis::ApiName::ConsumerGroupHeartbeat => {
                type $request = $crate::messages::ConsumerGroupHeartbeatRequest;
                type $response = $crate::messages::ConsumerGroupHeartbeatResponse;
                $body
            }
            $crate::apis::ApiName::ConsumerGroupDescribe => {
                type $request = $crate::messages::ConsumerGroupDescribeRequest;
                type $response = $crate::messages::ConsumerGroupDescribeResponse;
                $body
            }
            $crate::apis::ApiName::ListConfigResources => {
                type $request = $crate::messages::ListConfigResourcesRequest;
                type $response = $crate::messages::ListConfigResourcesResponse;
                $body
            }
            $crate::apis::ApiName::DescribeTopicPartitions => {
                type $request = $crate::messages::DescribeTopicPartitionsRequest;
                type $response = $crate::messages::DescribeTopicPartitionsResponse;
                $body
            }
        }
    };
}
pub(crate) use with_api_types;

/// Bytes that choose the shape of a message; zeros when they run out.
#[derive(Clone, Debug)]
pub(crate) struct Entropy(std::vec::IntoIter<u8>);

impl Entropy {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    pub(crate) fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        (0..self.below(length_max + 1)).map(|_| self.byte()).collect()
    }

    pub(crate) fn text(&mut self, length_max: usize) -> String {
        (0..self.below(length_max + 1)).map(|_| char::from(b'a' + self.byte() % 26)).collect()
    }
}

/// A strategy for entropy.
pub(crate) fn entropy() -> impl Strategy<Value = Entropy> {
    proptest::collection::vec(any::<u8>(), 0..600).prop_map(Entropy::new)
}

/// The body of a request.
pub(crate) fn request_body(api: &ServedApi, version: i16, entropy: &mut Entropy) -> Vec<u8> {
    body(api, version, table::layout_of(api.key), entropy)
}

/// The body of a response.
pub(crate) fn response_body(api: &ServedApi, version: i16, entropy: &mut Entropy) -> Vec<u8> {
    body(api, version, response_table::layout_of(api.key), entropy)
}

fn body(api: &ServedApi, version: i16, fields: &[Field], entropy: &mut Entropy) -> Vec<u8> {
    let mut writer = Writer { version, flexible: api.is_flexible(version), entropy, out: Vec::new() };
    writer.structure(fields);
    writer.out
}

struct Writer<'a> {
    version: i16,
    flexible: bool,
    entropy: &'a mut Entropy,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn structure(&mut self, fields: &[Field]) {
        for (since, until, kind) in fields {
            if (*since..=*until).contains(&self.version) {
                self.field(kind);
            }
        }
        if self.flexible {
            self.tags();
        }
    }

    fn field(&mut self, kind: &Kind) {
        match kind {
            // A boolean or a small number: both take 0 and 1.
            Kind::Fixed(1) => {
                let byte = self.entropy.byte() & 1;
                self.out.push(byte);
            }
            Kind::Fixed(bytes) => {
                for _ in 0..*bytes {
                    let byte = self.entropy.byte();
                    self.out.push(byte);
                }
            }
            Kind::Text => {
                let text = self.entropy.text(9);
                if self.flexible {
                    self.varint(text.len() + 1);
                } else {
                    self.out.extend((text.len() as i16).to_be_bytes());
                }
                self.out.extend(text.as_bytes());
            }
            Kind::Blob => {
                let blob = self.entropy.bytes(200);
                self.length(blob.len());
                self.out.extend(blob);
            }
            Kind::PlainArray(_, element) => {
                for _ in 0..self.array() {
                    self.field(element);
                }
            }
            Kind::Array(_, fields) => {
                for _ in 0..self.array() {
                    self.structure(fields);
                }
            }
            Kind::Structure(fields) => self.structure(fields),
            Kind::Optional(fields) => {
                if self.entropy.byte() & 1 == 1 {
                    self.out.push(1);
                    self.structure(fields);
                } else {
                    self.out.push(0xff);
                }
            }
        }
    }

    fn array(&mut self) -> usize {
        let count = self.entropy.below(4);
        self.length(count);
        count
    }

    fn length(&mut self, length: usize) {
        if self.flexible {
            self.varint(length + 1);
        } else {
            self.out.extend((length as i32).to_be_bytes());
        }
    }

    /// Mostly none; sometimes one that no version knows.
    fn tags(&mut self) {
        if self.entropy.below(16) == 15 {
            let data = self.entropy.bytes(5);
            self.varint(1);
            self.varint(1000);
            self.varint(data.len());
            self.out.extend(data);
        } else {
            self.varint(0);
        }
    }

    fn varint(&mut self, mut value: usize) {
        while value > 0x7f {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
