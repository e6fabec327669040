//! A node that clients are not sent to any more says so to those who still ask it.

use std::time::Duration;

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{FindCoordinatorRequest, MetadataRequest, StrBytes};

use crate::groups::commit;
use crate::harness::{Client, Node, batch};
use crate::records::{fetch, produce};

async fn produced(client: &mut Client, text: &'static str) -> i16 {
    client.ask(9, &produce("t", 0, batch(&[text]).bytes, -1)).await.responses[0].partition_responses[0].error_code
}

async fn fetched(client: &mut Client) -> i16 {
    client.ask(11, &fetch("t", 0, 0)).await.responses[0].partitions[0].error_code
}

async fn committed(client: &mut Client) -> i16 {
    client.ask(8, &commit(-1, "", 1, "")).await.topics[0].partitions[0].error_code
}

async fn members(client: &mut Client) -> Vec<i32> {
    let asked = message!(MetadataRequest { topics: Some(Vec::new()), allow_auto_topic_creation: false });
    client.ask(12, &asked).await.brokers.iter().map(|broker| broker.node_id).collect()
}

async fn coordinator(client: &mut Client) -> i32 {
    client.ask(3, &message!(FindCoordinatorRequest { key: StrBytes::from("g"), key_type: 0 })).await.node_id
}

#[tokio::test]
async fn a_node_that_leaves_says_so_to_producers_consumers_and_groups() {
    let nodes = Node::start_cluster(2).await;
    let mut clients = Vec::new();
    for (node, _) in &nodes {
        let mut client = node.client().await;
        while members(&mut client).await != [1, 2] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clients.push(client);
    }
    clients[0].create_topic("t", 1).await;
    let leader = usize::try_from(coordinator(&mut clients[0]).await - 1).unwrap();
    let (own, other) = (leader, 1 - leader);
    // Both take records; only one coordinates.
    assert_eq!((produced(&mut clients[own], "a").await, produced(&mut clients[other], "b").await), (0, 0));
    assert_eq!((fetched(&mut clients[own]).await, fetched(&mut clients[other]).await), (0, 0));
    let not_coordinator = ErrorCode::NotCoordinator.code();
    assert_eq!((committed(&mut clients[own]).await, committed(&mut clients[other]).await), (0, not_coordinator));

    nodes[own].1.leave().await;
    let not_leader = ErrorCode::NotLeaderOrFollower.code();
    assert_eq!(produced(&mut clients[own], "c").await, not_leader);
    assert_eq!(fetched(&mut clients[own]).await, not_leader);
    assert_eq!(committed(&mut clients[own]).await, not_coordinator);
    let successor = i32::try_from(other).unwrap() + 1;
    assert_eq!(members(&mut clients[own]).await, [successor]);
    while coordinator(&mut clients[other]).await != successor {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((produced(&mut clients[other], "d").await, fetched(&mut clients[other]).await), (0, 0));
    assert_eq!(committed(&mut clients[other]).await, 0);
    for (_, cluster) in &nodes {
        cluster.close().await;
    }
}
