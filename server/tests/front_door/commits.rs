//! Commits of offsets that come faster than the log takes them, or whose sender has gone elsewhere.

use std::time::Duration;

use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::CreatableTopic;
use alluvium_protocol::messages::{CreateTopicsRequest, OffsetCommitRequest, StrBytes};
use tokio::io::AsyncWriteExt;

use crate::groups::{commit, committed};
use crate::harness::{Client, Node};

/// Every entry takes this long from now on.
fn slow(delay: Duration) -> FaultRule {
    FaultRule::always(StoreOperation::PutIfAbsent, "log/", Fault::Slow(delay))
}

/// Sends what takes one entry.
async fn send_something_slow(client: &mut Client) {
    let topic = message!(CreatableTopic { name: StrBytes::from("slow"), num_partitions: 1, replication_factor: 1 });
    client.send(7, &message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000 })).await;
}

async fn answer_to_commit(client: &mut Client) -> i16 {
    client.receive::<OffsetCommitRequest>(8).await.unwrap().1.topics[0].partitions[0].error_code
}

#[tokio::test]
async fn commits_of_one_connection_ride_in_one_entry() {
    let (node, store) = Node::start_on_faulty_store().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    assert_eq!(client.ask(8, &commit(-1, "", 0, "")).await.topics[0].partitions[0].error_code, 0);
    store.script(slow(Duration::from_millis(300)));
    let before = node.entry_number();
    for offset in 1..=20 {
        client.send(8, &commit(-1, "", offset, "")).await;
    }
    for _ in 1..=20 {
        assert_eq!(answer_to_commit(&mut client).await, 0);
    }
    let entries = node.entry_number() - before;
    assert!(entries <= 4, "20 commits took {entries} entries");
    assert_eq!(committed(&mut client, 7).await, 20, "the last one is last");
}

#[tokio::test]
async fn a_request_behind_commits_waits_for_them() {
    let (node, store) = Node::start_on_faulty_store().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    assert_eq!(client.ask(8, &commit(-1, "", 0, "")).await.topics[0].partitions[0].error_code, 0);
    store.script(slow(Duration::from_millis(300)));
    for offset in [7, 8] {
        client.send(8, &commit(-1, "", offset, "")).await;
    }
    client.send(8, &commit(-1, "", 9, "")).await;
    send_something_slow(&mut client).await;
    for _ in [7, 8, 9] {
        assert_eq!(answer_to_commit(&mut client).await, 0);
    }
    let (_, created) = client.receive::<CreateTopicsRequest>(7).await.unwrap();
    assert_eq!(created.topics[0].error_code, 0);
    assert_eq!(committed(&mut client, 7).await, 9);
}

#[tokio::test]
async fn what_waits_on_a_connection_that_its_client_has_left_is_not_committed() {
    let (node, store) = Node::start_on_faulty_store().await;
    let (mut left, mut other) = (node.client().await, node.client().await);
    other.create_topic("t", 1).await;
    store.script(slow(Duration::from_millis(500)));
    send_something_slow(&mut left).await;
    left.send(8, &commit(-1, "", 5, "")).await;
    left.stream.shutdown().await.unwrap();
    assert_eq!(other.ask(8, &commit(-1, "", 100, "")).await.topics[0].partitions[0].error_code, 0);
    assert!(left.is_closed().await, "the node has done with what was left");
    assert_eq!(committed(&mut other, 7).await, 100);
}

#[tokio::test]
async fn what_could_not_even_be_read_before_its_client_left_is_not_committed() {
    let (node, store) = Node::start_on_faulty_store_with(1, |settings| settings.requests_in_flight_max = 1).await;
    let (mut left, mut other) = (node.client().await, node.client().await);
    other.create_topic("t", 1).await;
    store.script(slow(Duration::from_millis(500)));
    send_something_slow(&mut left).await;
    // One waits in the queue, one for the queue, all others in the socket.
    for offset in 1..=9 {
        left.send(8, &commit(-1, "", offset, "")).await;
    }
    left.stream.shutdown().await.unwrap();
    assert_eq!(other.ask(8, &commit(-1, "", 100, "")).await.topics[0].partitions[0].error_code, 0);
    assert!(left.is_closed().await, "the node has done with what was left");
    assert_eq!(committed(&mut other, 7).await, 100);
}

#[tokio::test]
async fn what_waited_too_long_is_refused_although_its_client_is_there() {
    let (node, store) = Node::start_on_faulty_store().await;
    let (mut patient, mut other) = (node.client().await, node.client().await);
    other.create_topic("t", 1).await;
    store.script(slow(Duration::from_millis(5_300)));
    send_something_slow(&mut patient).await;
    patient.send(8, &commit(-1, "", 5, "")).await;
    let (_, created) = patient.receive::<CreateTopicsRequest>(7).await.unwrap();
    assert_eq!(created.topics[0].error_code, 0);
    assert_eq!(answer_to_commit(&mut patient).await, ErrorCode::CoordinatorNotAvailable.code());
    store.clear();
    assert_eq!(committed(&mut other, 7).await, -1);
    assert_eq!(patient.ask(8, &commit(-1, "", 5, "")).await.topics[0].partitions[0].error_code, 0);
}

#[tokio::test]
async fn a_member_of_a_group_that_is_not_there_is_told_so_when_it_can_understand_that() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    for (version, told) in [(8, ErrorCode::IllegalGeneration), (9, ErrorCode::GroupIdNotFound)] {
        let answer = client.ask(version, &commit(1, "member", 5, "")).await;
        assert_eq!(answer.topics[0].partitions[0].error_code, told.code(), "version {version}");
    }
    assert_eq!(committed(&mut client, 7).await, -1);
}
