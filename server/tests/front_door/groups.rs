//! Consumer groups: rebalance, committed offsets, and both after a restart.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use alluvium_protocol::messages::leave_group_request::MemberIdentity;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use alluvium_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use alluvium_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use alluvium_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, StrBytes, SyncGroupRequest,
};
use bytes::Bytes;

use crate::harness::{Client, Node};

fn join(member_id: &str) -> JoinGroupRequest {
    message!(JoinGroupRequest {
        group_id: StrBytes::from("g"),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: StrBytes::from(member_id),
        protocol_type: StrBytes::from("consumer"),
        protocols: vec![message!(JoinGroupRequestProtocol {
            name: StrBytes::from("range"),
            metadata: Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff])
        })]
    })
}

fn sync(joined: &JoinGroupResponse, assignments: &[(&str, &'static [u8])]) -> SyncGroupRequest {
    let assignments = assignments
        .iter()
        .map(|(member_id, assignment)| {
            message!(SyncGroupRequestAssignment {
                member_id: StrBytes::from(*member_id),
                assignment: Bytes::from_static(assignment)
            })
        })
        .collect();
    message!(SyncGroupRequest {
        group_id: StrBytes::from("g"),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some(StrBytes::from("consumer")),
        protocol_name: Some(StrBytes::from("range")),
        assignments
    })
}

fn heartbeat(joined: &JoinGroupResponse) -> HeartbeatRequest {
    message!(HeartbeatRequest {
        group_id: StrBytes::from("g"),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone()
    })
}

pub(crate) fn commit(generation: i32, member_id: &str, offset: i64, metadata: &str) -> OffsetCommitRequest {
    message!(OffsetCommitRequest {
        group_id: StrBytes::from("g"),
        generation_id_or_member_epoch: generation,
        member_id: StrBytes::from(member_id),
        topics: vec![message!(OffsetCommitRequestTopic {
            name: StrBytes::from("t"),
            partitions: vec![message!(OffsetCommitRequestPartition {
                committed_offset: offset,
                committed_metadata: Some(StrBytes::from(metadata))
            })]
        })]
    })
}

pub(crate) async fn committed(client: &mut Client, version: i16) -> i64 {
    let request = message!(OffsetFetchRequest {
        group_id: StrBytes::from("g"),
        topics: Some(vec![message!(OffsetFetchRequestTopic { name: StrBytes::from("t"), partition_indexes: vec![0] })])
    });
    client.ask(version, &request).await.topics[0].partitions[0].committed_offset
}

/// Joins as the only member and takes an assignment.
async fn settle(client: &mut Client) -> JoinGroupResponse {
    let told = client.ask(7, &join("")).await;
    assert_eq!(told.error_code, ErrorCode::MemberIdRequired.code());
    let joined = client.ask(7, &join(&told.member_id)).await;
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.leader, joined.member_id);
    let synced = client.ask(5, &sync(&joined, &[(&joined.member_id, b"all")])).await;
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"all"[..]));
    joined
}

#[tokio::test]
async fn two_members_share_a_group_and_one_leaves() {
    let node = Node::start().await;
    let (mut one, mut two) = (node.client().await, node.client().await);
    let first = settle(&mut one).await;
    assert_eq!(one.ask(4, &heartbeat(&first)).await.error_code, 0);

    // The second member's join waits until the first has heard of the rebalance and joined again.
    let told = two.ask(7, &join("")).await;
    two.send(7, &join(&told.member_id)).await;
    let rebalance = ErrorCode::RebalanceInProgress.code();
    while one.ask(4, &heartbeat(&first)).await.error_code != rebalance {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let first = one.ask(7, &join(&first.member_id)).await;
    let (_, second) = two.receive::<JoinGroupRequest>(7).await.unwrap();
    assert_eq!((first.error_code, second.error_code), (0, 0));
    assert_eq!(first.generation_id, second.generation_id);
    assert_eq!(first.members.len(), 2, "the leader sees both");
    two.send(5, &sync(&second, &[])).await;
    let assignments: [(&str, &[u8]); 2] = [(&first.member_id, b"one"), (&second.member_id, b"two")];
    let synced = one.ask(5, &sync(&first, &assignments)).await;
    assert_eq!(&synced.assignment[..], b"one");
    let (_, synced) = two.receive::<SyncGroupRequest>(5).await.unwrap();
    assert_eq!(&synced.assignment[..], b"two");

    let described = one.ask(6, &message!(DescribeGroupsRequest { groups: vec![StrBytes::from("g")] })).await;
    assert_eq!(described.groups[0].group_state.as_str(), "Stable");
    assert_eq!(described.groups[0].members.len(), 2);

    let leave = message!(LeaveGroupRequest {
        group_id: StrBytes::from("g"),
        members: vec![message!(MemberIdentity { member_id: second.member_id.clone() })]
    });
    assert_eq!(two.ask(5, &leave).await.members[0].error_code, 0);
    assert_eq!(one.ask(4, &heartbeat(&first)).await.error_code, rebalance);
    let again = one.ask(7, &join(&first.member_id)).await;
    assert_eq!((again.error_code, again.members.len()), (0, 1));
}

#[tokio::test]
async fn offsets_are_committed_by_members_and_found_after_a_restart() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    for version in 1..=7 {
        assert_eq!(committed(&mut client, version).await, -1);
    }
    let joined = settle(&mut client).await;
    let request = commit(joined.generation_id, &joined.member_id, 42, "note");
    assert_eq!(client.ask(9, &request).await.topics[0].partitions[0].error_code, 0);
    assert_eq!(committed(&mut client, 7).await, 42);
    let stale = commit(joined.generation_id + 1, &joined.member_id, 43, "");
    let answer = client.ask(9, &stale).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::IllegalGeneration.code());
    let long = commit(joined.generation_id, &joined.member_id, 43, &"x".repeat(5000));
    let answer = client.ask(9, &long).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::OffsetMetadataTooLarge.code());

    let node = node.restart().await;
    let mut client = node.client().await;
    let request = message!(OffsetFetchRequest {
        groups: vec![message!(OffsetFetchRequestGroup { group_id: StrBytes::from("g"), topics: None })],
        require_stable: true
    });
    let answer = client.ask(9, &request).await;
    let partition = &answer.groups[0].topics[0].partitions[0];
    assert_eq!((partition.committed_offset, partition.metadata.as_deref()), (42, Some("note")));
    // The member goes on where it was: its group was restored with it.
    assert_eq!(client.ask(4, &heartbeat(&joined)).await.error_code, 0);
}

#[tokio::test]
async fn topics_are_named_by_id_in_the_newest_versions() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let topic_id = client.create_topic("t", 1).await;
    let mut request = commit(-1, "", 7, "");
    request.topics[0].name = StrBytes::default();
    request.topics[0].topic_id = topic_id;
    assert_eq!(client.ask(10, &request).await.topics[0].partitions[0].error_code, 0);
    let topics = Some(vec![message!(OffsetFetchRequestTopics { topic_id, partition_indexes: vec![0, 1] })]);
    let request = message!(OffsetFetchRequest {
        groups: vec![message!(OffsetFetchRequestGroup { group_id: StrBytes::from("g"), topics })]
    });
    let answer = client.ask(10, &request).await;
    let offsets: Vec<i64> =
        answer.groups[0].topics[0].partitions.iter().map(|partition| partition.committed_offset).collect();
    assert_eq!(offsets, [7, -1]);
}

#[tokio::test]
async fn groups_are_listed_and_deleted() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    assert_eq!(client.ask(9, &commit(-1, "", 5, "")).await.topics[0].partitions[0].error_code, 0);
    let listed = client.ask(5, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups[0].group_id.as_str(), "g");
    assert_eq!(listed.groups[0].group_state.as_str(), "Empty");

    let request = message!(OffsetDeleteRequest {
        group_id: StrBytes::from("g"),
        topics: vec![message!(OffsetDeleteRequestTopic {
            name: StrBytes::from("t"),
            partitions: vec![OffsetDeleteRequestPartition::default()]
        })]
    });
    let answer = client.ask(0, &request).await;
    assert_eq!((answer.error_code, answer.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!(committed(&mut client, 7).await, -1);

    let joined = settle(&mut client).await;
    let delete = message!(DeleteGroupsRequest { groups_names: vec![StrBytes::from("g")] });
    assert_eq!(client.ask(2, &delete).await.results[0].error_code, ErrorCode::NonEmptyGroup.code());
    let leave = message!(LeaveGroupRequest { group_id: StrBytes::from("g"), member_id: joined.member_id.clone() });
    assert_eq!(client.ask(2, &leave).await.error_code, 0);
    assert_eq!(client.ask(2, &delete).await.results[0].error_code, 0);
    assert_eq!(client.ask(2, &delete).await.results[0].error_code, ErrorCode::GroupIdNotFound.code());
    let absent = client.ask(6, &message!(DescribeGroupsRequest { groups: vec![StrBytes::from("g")] })).await;
    assert_eq!(absent.groups[0].group_state.as_str(), "Dead");
}

#[tokio::test]
async fn this_node_coordinates_groups_and_transactions() {
    let node = Node::start().await;
    let mut client = node.client().await;
    for version in 0..=3 {
        let request = message!(FindCoordinatorRequest { key: StrBytes::from("g") });
        let answer = client.ask(version, &request).await;
        assert_eq!((answer.error_code, answer.port), (0, i32::from(node.address().port())));
    }
    let keys = vec![StrBytes::from("g"), StrBytes::from("h")];
    let request = message!(FindCoordinatorRequest { coordinator_keys: keys.clone() });
    assert_eq!(client.ask(6, &request).await.coordinators.len(), 2);
    let request = message!(FindCoordinatorRequest { coordinator_keys: keys.clone(), key_type: 1 });
    let answer = client.ask(4, &request).await;
    assert_eq!((answer.coordinators[0].error_code, answer.coordinators[0].node_id), (0, 1));
    let request = message!(FindCoordinatorRequest { coordinator_keys: keys, key_type: 2 });
    let answer = client.ask(6, &request).await;
    assert_eq!(answer.coordinators[0].error_code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn members_that_wait_are_sent_away_at_shutdown() {
    let node = Node::start().await;
    let (mut one, mut two) = (node.client().await, node.client().await);
    settle(&mut one).await;
    let told = two.ask(7, &join("")).await;
    two.send(7, &join(&told.member_id)).await;
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let begun = std::time::Instant::now();
    node.server.drain().await.unwrap();
    assert!(begun.elapsed() < std::time::Duration::from_secs(2));
}
