//! What both the fuzzer and the tests run on any bytes: a frame, its header, its body, and what was decoded encoded again.
//!
//! Nothing here may panic, whatever the bytes. What decodes must encode, and decode to the same again.

use alluvium_protocol::apis::{self, ApiName};
use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::consumer::{decode_assignment, decode_subscription};
use alluvium_protocol::frame::{FRAME_LENGTH_BYTES, FrameLimits, frame_length};
use alluvium_protocol::messages::*;
use alluvium_protocol::request::{RequestHeader, decode_body, decode_header};
use alluvium_protocol::response::refuse_legacy_produce;
use bytes::Bytes;

macro_rules! with_request_type {
    ($api:expr, $request:ident => $body:expr) => {
        match $api {
            ApiName::Produce => {
                type $request = ProduceRequest;
                $body
            }
            ApiName::Fetch => {
                type $request = FetchRequest;
                $body
            }
            ApiName::ListOffsets => {
                type $request = ListOffsetsRequest;
                $body
            }
            ApiName::Metadata => {
                type $request = MetadataRequest;
                $body
            }
            ApiName::OffsetCommit => {
                type $request = OffsetCommitRequest;
                $body
            }
            ApiName::OffsetFetch => {
                type $request = OffsetFetchRequest;
                $body
            }
            ApiName::FindCoordinator => {
                type $request = FindCoordinatorRequest;
                $body
            }
            ApiName::JoinGroup => {
                type $request = JoinGroupRequest;
                $body
            }
            ApiName::Heartbeat => {
                type $request = HeartbeatRequest;
                $body
            }
            ApiName::LeaveGroup => {
                type $request = LeaveGroupRequest;
                $body
            }
            ApiName::SyncGroup => {
                type $request = SyncGroupRequest;
                $body
            }
            ApiName::DescribeGroups => {
                type $request = DescribeGroupsRequest;
                $body
            }
            ApiName::ListGroups => {
                type $request = ListGroupsRequest;
                $body
            }
            ApiName::ApiVersions => {
                type $request = ApiVersionsRequest;
                $body
            }
            ApiName::CreateTopics => {
                type $request = CreateTopicsRequest;
                $body
            }
            ApiName::DeleteTopics => {
                type $request = DeleteTopicsRequest;
                $body
            }
            ApiName::DeleteRecords => {
                type $request = DeleteRecordsRequest;
                $body
            }
            ApiName::InitProducerId => {
                type $request = InitProducerIdRequest;
                $body
            }
            ApiName::OffsetForLeaderEpoch => {
                type $request = OffsetForLeaderEpochRequest;
                $body
            }
            ApiName::DescribeConfigs => {
                type $request = DescribeConfigsRequest;
                $body
            }
            ApiName::AlterConfigs => {
                type $request = AlterConfigsRequest;
                $body
            }
            ApiName::DescribeLogDirs => {
                type $request = DescribeLogDirsRequest;
                $body
            }
            ApiName::CreatePartitions => {
                type $request = CreatePartitionsRequest;
                $body
            }
            ApiName::DeleteGroups => {
                type $request = DeleteGroupsRequest;
                $body
            }
            ApiName::IncrementalAlterConfigs => {
                type $request = IncrementalAlterConfigsRequest;
                $body
            }
            ApiName::OffsetDelete => {
                type $request = OffsetDeleteRequest;
                $body
            }
            ApiName::DescribeCluster => {
                type $request = DescribeClusterRequest;
                $body
            }
            ApiName::DescribeQuorum => {
                type $request = DescribeQuorumRequest;
                $body
            }
            ApiName::ListPartitionReassignments => {
                type $request = ListPartitionReassignmentsRequest;
                $body
            }
            ApiName::AlterPartitionReassignments => {
                type $request = AlterPartitionReassignmentsRequest;
                $body
            }
            ApiName::ElectLeaders => {
                type $request = ElectLeadersRequest;
                $body
            }
            ApiName::DescribeProducers => {
                type $request = DescribeProducersRequest;
                $body
            }
            ApiName::AddPartitionsToTxn => {
                type $request = AddPartitionsToTxnRequest;
                $body
            }
            ApiName::AddOffsetsToTxn => {
                type $request = AddOffsetsToTxnRequest;
                $body
            }
            ApiName::EndTxn => {
                type $request = EndTxnRequest;
                $body
            }
            ApiName::WriteTxnMarkers => {
                type $request = WriteTxnMarkersRequest;
                $body
            }
            ApiName::TxnOffsetCommit => {
                type $request = TxnOffsetCommitRequest;
                $body
            }
            ApiName::DescribeTransactions => {
                type $request = DescribeTransactionsRequest;
                $body
            }
            ApiName::ListTransactions => {
                type $request = ListTransactionsRequest;
                $body
            }
            ApiName::ConsumerGroupHeartbeat => {
                type $request = ConsumerGroupHeartbeatRequest;
                $body
            }
            ApiName::ConsumerGroupDescribe => {
                type $request = ConsumerGroupDescribeRequest;
                $body
            }
            ApiName::ListConfigResources => {
                type $request = ListConfigResourcesRequest;
                $body
            }
            ApiName::DescribeTopicPartitions => {
                type $request = DescribeTopicPartitionsRequest;
                $body
            }
        }
    };
}

/// Takes the bytes as they would come from a socket. Returns whether they held a request that was decoded.
pub(crate) fn receive(bytes: &[u8], limits: &FrameLimits) -> bool {
    let Some((first4, rest)) = bytes.split_first_chunk::<FRAME_LENGTH_BYTES>() else {
        return false;
    };
    match frame_length(*first4, limits) {
        Ok(length) => receive_frame(Bytes::copy_from_slice(&rest[..length.min(rest.len())]), limits),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Takes the bytes as a whole frame.
pub(crate) fn receive_frame(frame: Bytes, limits: &FrameLimits) -> bool {
    let _ = (decode_subscription(frame.clone()), decode_assignment(frame.clone()));
    match decode_header(frame, limits) {
        Ok((header, body)) => {
            receive_response(&header, &body, limits);
            receive_body(&header, body, limits)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

/// Decodes a body by its header, as the server does.
pub(crate) fn receive_body(header: &RequestHeader, body: Bytes, limits: &FrameLimits) -> bool {
    let Some(api) = apis::served(header.api_key) else {
        return false;
    };
    if !api.serves(header.api_version) {
        return refuse_legacy_produce(header, body, limits).is_ok();
    }
    with_request_type!(api.key, Request => decode::<Request>(header, body, limits))
}

/// Takes a body as if it were the response that our client waits for.
pub(crate) fn receive_response(header: &RequestHeader, frame: &Bytes, limits: &FrameLimits) {
    if let Some(api) = apis::served(header.api_key) {
        with_request_type!(api.key, Request => {
            type Response = <Request as RequestResponsePair>::Response;
            let _ = decode_response::<Response>(header.api_version, frame.clone(), limits);
        });
    }
}

fn decode<T: RequestResponsePair + PartialEq + std::fmt::Debug>(
    header: &RequestHeader,
    body: Bytes,
    limits: &FrameLimits,
) -> bool {
    let version = header.api_version;
    let Ok(request) = decode_body::<T>(version, body, limits) else {
        return false;
    };
    let frame = encode_request(header.correlation_id, header.client_id.as_ref(), version, &request)
        .expect("what was decoded can be encoded in the same version");
    // What was written in a longer way than necessary becomes shorter, so the second frame is within the limits as well.
    let (again, body) = decode_header(frame.slice(FRAME_LENGTH_BYTES..), limits).expect("our own header");
    assert_eq!(&again, header);
    assert_eq!(decode_body::<T>(version, body, limits).as_ref(), Ok(&request));
    true
}
