//! The codec against another implementation (`kafka-protocol`), for every API and every version that both have.
//!
//! Both decode the same well-formed bytes and encode them again; what they write must be the same bytes. The other implementation
//! never sees malformed input: it aborts on some.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as other;
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use kafka_wire_core::{ApiVersion, DecodeError, Decoder, Encoder, KafkaDecode};
use proptest::prelude::*;

use super::{entropy, request_body, response_body, with_api_types};
use crate::apis::{ApiName, SERVED, ServedApi};
use crate::frame::FrameLimits;
use crate::messages::KafkaMessage;

/// `None` for a version that the other implementation does not have.
fn recoded_by_other<T: Message + Decodable + Encodable>(version: i16, body: &Bytes) -> Option<Bytes> {
    if !(T::VERSIONS.min..=T::VERSIONS.max).contains(&version) {
        return None;
    }
    let mut rest = body.clone();
    let message = T::decode(&mut rest, version).unwrap();
    assert!(rest.is_empty());
    let mut buffer = BytesMut::new();
    message.encode(&mut buffer, version).unwrap();
    Some(buffer.freeze())
}

fn recoded<T: KafkaMessage>(version: i16, body: &Bytes) -> Result<Bytes, DecodeError> {
    let mut decoder = Decoder::new(body.clone(), FrameLimits::default().decode_limits(body.len()))?;
    let message = <T as KafkaDecode>::decode(&mut decoder, ApiVersion::new(version))?;
    decoder.finish()?;
    let mut buffer = BytesMut::new();
    message.encode(&mut Encoder::new(&mut buffer), ApiVersion::new(version)).unwrap();
    Ok(buffer.freeze())
}

/// The other implementation's request and response of an API, recoded.
fn others(api: &ServedApi, version: i16, request: &Bytes, response: &Bytes) -> [Option<Bytes>; 2] {
    macro_rules! recode {
        ($request:ident, $response:ident) => {
            [
                recoded_by_other::<other::$request>(version, request),
                recoded_by_other::<other::$response>(version, response),
            ]
        };
    }
    match api.key {
        ApiName::Produce => recode!(ProduceRequest, ProduceResponse),
        ApiName::Fetch => recode!(FetchRequest, FetchResponse),
        ApiName::ListOffsets => recode!(ListOffsetsRequest, ListOffsetsResponse),
        ApiName::Metadata => recode!(MetadataRequest, MetadataResponse),
        ApiName::OffsetCommit => recode!(OffsetCommitRequest, OffsetCommitResponse),
        ApiName::OffsetFetch => recode!(OffsetFetchRequest, OffsetFetchResponse),
        ApiName::FindCoordinator => recode!(FindCoordinatorRequest, FindCoordinatorResponse),
        ApiName::JoinGroup => recode!(JoinGroupRequest, JoinGroupResponse),
        ApiName::Heartbeat => recode!(HeartbeatRequest, HeartbeatResponse),
        ApiName::LeaveGroup => recode!(LeaveGroupRequest, LeaveGroupResponse),
        ApiName::SyncGroup => recode!(SyncGroupRequest, SyncGroupResponse),
        ApiName::DescribeGroups => recode!(DescribeGroupsRequest, DescribeGroupsResponse),
        ApiName::ListGroups => recode!(ListGroupsRequest, ListGroupsResponse),
        ApiName::ApiVersions => recode!(ApiVersionsRequest, ApiVersionsResponse),
        ApiName::CreateTopics => recode!(CreateTopicsRequest, CreateTopicsResponse),
        ApiName::DeleteTopics => recode!(DeleteTopicsRequest, DeleteTopicsResponse),
        ApiName::DeleteRecords => recode!(DeleteRecordsRequest, DeleteRecordsResponse),
        ApiName::InitProducerId => recode!(InitProducerIdRequest, InitProducerIdResponse),
        ApiName::OffsetForLeaderEpoch => {
            recode!(OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse)
        }
        ApiName::AddPartitionsToTxn => recode!(AddPartitionsToTxnRequest, AddPartitionsToTxnResponse),
        ApiName::AddOffsetsToTxn => recode!(AddOffsetsToTxnRequest, AddOffsetsToTxnResponse),
        ApiName::EndTxn => recode!(EndTxnRequest, EndTxnResponse),
        ApiName::WriteTxnMarkers => recode!(WriteTxnMarkersRequest, WriteTxnMarkersResponse),
        ApiName::TxnOffsetCommit => recode!(TxnOffsetCommitRequest, TxnOffsetCommitResponse),
        ApiName::DescribeConfigs => recode!(DescribeConfigsRequest, DescribeConfigsResponse),
        ApiName::AlterConfigs => recode!(AlterConfigsRequest, AlterConfigsResponse),
        ApiName::DescribeLogDirs => recode!(DescribeLogDirsRequest, DescribeLogDirsResponse),
        ApiName::CreatePartitions => recode!(CreatePartitionsRequest, CreatePartitionsResponse),
        ApiName::DeleteGroups => recode!(DeleteGroupsRequest, DeleteGroupsResponse),
        ApiName::ElectLeaders => recode!(ElectLeadersRequest, ElectLeadersResponse),
        ApiName::IncrementalAlterConfigs => recode!(IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse),
        ApiName::AlterPartitionReassignments => {
            recode!(AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse)
        }
        ApiName::ListPartitionReassignments => {
            recode!(ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse)
        }
        ApiName::OffsetDelete => recode!(OffsetDeleteRequest, OffsetDeleteResponse),
        ApiName::DescribeQuorum => recode!(DescribeQuorumRequest, DescribeQuorumResponse),
        ApiName::DescribeCluster => recode!(DescribeClusterRequest, DescribeClusterResponse),
        ApiName::DescribeProducers => recode!(DescribeProducersRequest, DescribeProducersResponse),
        ApiName::DescribeTransactions => recode!(DescribeTransactionsRequest, DescribeTransactionsResponse),
        ApiName::ListTransactions => recode!(ListTransactionsRequest, ListTransactionsResponse),
        ApiName::ConsumerGroupHeartbeat => recode!(ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse),
        ApiName::ConsumerGroupDescribe => recode!(ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse),
        ApiName::ListConfigResources => {
            recode!(ListConfigResourcesRequest, ListConfigResourcesResponse)
        }
        ApiName::DescribeTopicPartitions => recode!(DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn both_codecs_write_what_they_read(entropy in entropy()) {
        for api in SERVED {
            for version in api.version_min..=api.version_max {
                let request = Bytes::from(request_body(api, version, &mut entropy.clone()));
                let response = Bytes::from(response_body(api, version, &mut entropy.clone()));
                let ours = with_api_types!(api.key, Request, Response => [
                    recoded::<Request>(version, &request).unwrap(),
                    recoded::<Response>(version, &response).unwrap(),
                ]);
                prop_assert_eq!(&ours[0], &request, "{} v{}", api.name, version);
                prop_assert_eq!(&ours[1], &response, "{} v{}", api.name, version);
                let others = others(api, version, &request, &response);
                for (ours, other) in ours.iter().zip(others) {
                    if let Some(other) = other {
                        prop_assert_eq!(ours, &other, "{} v{}", api.name, version);
                    }
                }
            }
        }
    }
}
