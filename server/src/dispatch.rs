//! From a frame to a started request: header, version, body, handler.
//!
//! Invariants:
//! 1. Every served API has its arm: the match is over the table's names and has no default.
//! 2. Produce requests are handed to ingest before the next frame is read, so that their order is the order of arrival.
//!    Everything else runs when all earlier requests of the connection are answered, as in Kafka; but an OffsetCommit
//!    waits for earlier ones only until they have their place in the log, so that many ride in one entry.
//! 3. A request that waits for others (Fetch, JoinGroup, SyncGroup) is given up when its client has gone. So is an
//!    OffsetCommit that has no place in the log yet: its sender may have committed later offsets elsewhere since. The
//!    rest is carried out even if nobody waits for the answer any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use alluvium_ingest::{Permit, ProducerPresence};
use alluvium_protocol::apis::ApiName;
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::messages as wire;
use alluvium_protocol::request::{RequestError, decode_body, decode_header};
use alluvium_protocol::response::{encode_api_versions_unsupported, encode_response, refuse_legacy_produce};
use alluvium_protocol::{EncodeError, apis};
use bytes::Bytes;
use thiserror::Error;

use crate::context::{Client, Node, RequestContext};
use crate::fetch_memory::HeldBytes;
use crate::kafka;

/// The slices of one or more responses, in order; empty when the request has no response.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    pub(crate) slices: Vec<Bytes>,
    /// Kept until the slices are written.
    pub(crate) held: Vec<HeldBytes>,
}

impl Frames {
    /// One response in one slice.
    pub(crate) fn one(frame: Bytes) -> Frames {
        Frames { slices: vec![frame], held: Vec::new() }
    }

    /// The bytes of all slices.
    pub(crate) fn bytes(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }

    /// Adds responses that follow.
    pub(crate) fn append(&mut self, mut more: Frames) {
        self.slices.append(&mut more.slices);
        self.held.append(&mut more.held);
    }
}

/// A response to come.
pub(crate) type Reply = Pin<Box<dyn Future<Output = Result<Frames, CloseReason>> + Send>>;

/// Why a connection is closed instead of answered.
#[derive(Debug, Error)]
pub(crate) enum CloseReason {
    #[error("{0}")]
    Request(#[from] RequestError),
    #[error("a response cannot be encoded: {0}")]
    Encode(#[from] EncodeError),
    #[error("a Produce request with acks=0 failed: {0}")]
    UnacknowledgedProduce(String),
}

/// A request whose handling has begun or will begin in its turn.
pub(crate) enum Started {
    /// It acts: it is carried out whether its client waits for the response or not.
    Acting(Reply),
    /// It only waits for something, so that nobody misses it once its client has gone.
    Waiting(Reply),
    /// It takes its place among others first, and is answered when what has that place is done.
    Placing(Placing),
}

/// Resolves when the request has its place.
pub(crate) type Placing = Pin<Box<dyn Future<Output = InPlace> + Send>>;

/// A request that has its place, and its response to come.
pub(crate) struct InPlace(pub(crate) Reply);

impl Started {
    fn ready(frames: Frames) -> Started {
        Started::acting(async move { Ok(frames) })
    }

    fn acting(reply: impl Future<Output = Result<Frames, CloseReason>> + Send + 'static) -> Started {
        Started::Acting(Box::pin(reply))
    }

    fn waiting(reply: impl Future<Output = Result<Frames, CloseReason>> + Send + 'static) -> Started {
        Started::Waiting(Box::pin(reply))
    }
}

/// What a Produce request needs beside its frame.
pub(crate) struct ProduceAdmission<'a> {
    /// Room for the bytes of the frame.
    pub(crate) permit: Permit,
    /// The connection as ingest sees it.
    pub(crate) presence: &'a ProducerPresence,
}

/// Starts the request in `frame`. `admission` is present for the frames that peeked as Produce.
pub(crate) async fn start(
    node: &Arc<Node>,
    client: &Arc<Client>,
    limits: &FrameLimits,
    frame: Bytes,
    admission: Option<ProduceAdmission<'_>>,
) -> Result<Started, CloseReason> {
    let (header, body) = match decode_header(frame, limits) {
        Ok(split) => split,
        Err(RequestError::VersionNotServed { header, api: ApiName::ApiVersions, .. }) => {
            return Ok(Started::ready(Frames::one(encode_api_versions_unsupported(header.correlation_id)?)));
        }
        Err(error) => return Err(error.into()),
    };
    let Some(api) = apis::served(header.api_key) else {
        return Err(RequestError::ApiNotServed { header }.into());
    };
    if !api.serves(header.api_version) {
        let refusal = refuse_legacy_produce(&header, body, limits)?;
        return Ok(Started::ready(refusal.map(Frames::one).unwrap_or_default()));
    }
    let context = RequestContext {
        node: node.clone(),
        client: client.clone(),
        client_id: header.client_id,
        version: header.api_version,
        correlation_id: header.correlation_id,
        received: node.runtime.monotonic(),
    };
    match (api.key, admission) {
        (ApiName::Produce, Some(admission)) => {
            let request: wire::ProduceRequest = decode_body(context.version, body, limits)?;
            let outcome = kafka::produce::start(&context, request, admission).await;
            Ok(Started::acting(kafka::produce::finish(context, outcome)))
        }
        (name, _) => start_in_turn(name, context, body, limits),
    }
}

fn start_commit(context: RequestContext, body: Bytes, limits: &FrameLimits) -> Result<Started, CloseReason> {
    let request: wire::OffsetCommitRequest = decode_body(context.version, body, limits)?;
    Ok(Started::Placing(Box::pin(async move {
        let placed = kafka::offset_commit::place(&context, &request).await;
        InPlace(Box::pin(async move {
            let response = kafka::offset_commit::finish(&context, &request, placed).await;
            context.node.counters.api(ApiName::OffsetCommit.code()).answered_with(&response);
            Ok(Frames::one(encode_response(context.correlation_id, context.version, &response)?))
        }))
    })))
}

fn start_fetch(context: RequestContext, body: Bytes, limits: &FrameLimits) -> Result<Started, CloseReason> {
    let request: wire::FetchRequest = decode_body(context.version, body, limits)?;
    Ok(Started::waiting(async move {
        let response = kafka::fetch::handle(&context, request).await;
        context.node.counters.api(ApiName::Fetch.code()).answered_with(&response);
        let slices = response.encode(context.correlation_id, context.version)?;
        Ok(context.node.fetch_memory.hold(slices))
    }))
}

/// Decodes the body now and makes the future that handles it when its turn comes.
fn start_in_turn(
    name: ApiName,
    context: RequestContext,
    body: Bytes,
    limits: &FrameLimits,
) -> Result<Started, CloseReason> {
    macro_rules! handled {
        ($how:ident, $module:ident, $request:ident) => {{
            let request: wire::$request = decode_body(context.version, body, limits)?;
            Ok(Started::$how(async move {
                let response = kafka::$module::handle(&context, request).await;
                context.node.counters.api(name.code()).answered_with(&response);
                Ok(Frames::one(encode_response(context.correlation_id, context.version, &response)?))
            }))
        }};
    }
    #[rustfmt::skip] // Two words for the table below.
    macro_rules! acts { ($module:ident, $request:ident) => { handled!(acting, $module, $request) }; }
    #[rustfmt::skip] // The other one.
    macro_rules! waits { ($module:ident, $request:ident) => { handled!(waiting, $module, $request) }; }
    match name {
        // The connection admits every Produce frame, so this arm is for a frame whose header could not be peeked.
        ApiName::Produce => Err(CloseReason::UnacknowledgedProduce("the request was not admitted".to_owned())),
        ApiName::Fetch => start_fetch(context, body, limits),
        ApiName::ListOffsets => acts!(list_offsets, ListOffsetsRequest),
        ApiName::Metadata => acts!(metadata, MetadataRequest),
        ApiName::OffsetCommit => start_commit(context, body, limits),
        ApiName::OffsetFetch => acts!(offset_fetch, OffsetFetchRequest),
        ApiName::FindCoordinator => acts!(find_coordinator, FindCoordinatorRequest),
        ApiName::JoinGroup => waits!(join_group, JoinGroupRequest),
        ApiName::Heartbeat => acts!(heartbeat, HeartbeatRequest),
        ApiName::LeaveGroup => acts!(leave_group, LeaveGroupRequest),
        ApiName::SyncGroup => waits!(sync_group, SyncGroupRequest),
        ApiName::DescribeGroups => acts!(describe_groups, DescribeGroupsRequest),
        ApiName::ListGroups => acts!(list_groups, ListGroupsRequest),
        ApiName::ApiVersions => acts!(api_versions, ApiVersionsRequest),
        ApiName::CreateTopics => acts!(create_topics, CreateTopicsRequest),
        ApiName::DeleteTopics => acts!(delete_topics, DeleteTopicsRequest),
        ApiName::DeleteRecords => acts!(delete_records, DeleteRecordsRequest),
        ApiName::InitProducerId => acts!(init_producer_id, InitProducerIdRequest),
        ApiName::OffsetForLeaderEpoch => acts!(offset_for_leader_epoch, OffsetForLeaderEpochRequest),
        ApiName::AddPartitionsToTxn => acts!(add_partitions_to_txn, AddPartitionsToTxnRequest),
        ApiName::AddOffsetsToTxn => acts!(add_offsets_to_txn, AddOffsetsToTxnRequest),
        ApiName::EndTxn => acts!(end_txn, EndTxnRequest),
        ApiName::WriteTxnMarkers => acts!(write_txn_markers, WriteTxnMarkersRequest),
        ApiName::TxnOffsetCommit => acts!(txn_offset_commit, TxnOffsetCommitRequest),
        ApiName::DescribeConfigs => acts!(describe_configs, DescribeConfigsRequest),
        ApiName::AlterConfigs => acts!(alter_configs, AlterConfigsRequest),
        ApiName::DescribeLogDirs => acts!(describe_log_dirs, DescribeLogDirsRequest),
        ApiName::CreatePartitions => acts!(create_partitions, CreatePartitionsRequest),
        ApiName::DeleteGroups => acts!(delete_groups, DeleteGroupsRequest),
        ApiName::ElectLeaders => acts!(elect_leaders, ElectLeadersRequest),
        ApiName::IncrementalAlterConfigs => acts!(incremental_alter_configs, IncrementalAlterConfigsRequest),
        ApiName::AlterPartitionReassignments => {
            acts!(alter_partition_reassignments, AlterPartitionReassignmentsRequest)
        }
        ApiName::ListPartitionReassignments => acts!(list_partition_reassignments, ListPartitionReassignmentsRequest),
        ApiName::OffsetDelete => acts!(offset_delete, OffsetDeleteRequest),
        ApiName::DescribeQuorum => acts!(describe_quorum, DescribeQuorumRequest),
        ApiName::DescribeCluster => acts!(describe_cluster, DescribeClusterRequest),
        ApiName::DescribeProducers => acts!(describe_producers, DescribeProducersRequest),
        ApiName::DescribeTransactions => acts!(describe_transactions, DescribeTransactionsRequest),
        ApiName::ListTransactions => acts!(list_transactions, ListTransactionsRequest),
        ApiName::ConsumerGroupHeartbeat => waits!(consumer_group_heartbeat, ConsumerGroupHeartbeatRequest),
        ApiName::ConsumerGroupDescribe => acts!(consumer_group_describe, ConsumerGroupDescribeRequest),
        ApiName::ListConfigResources => acts!(list_config_resources, ListConfigResourcesRequest),
        ApiName::DescribeTopicPartitions => acts!(describe_topic_partitions, DescribeTopicPartitionsRequest),
    }
}
