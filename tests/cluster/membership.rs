//! Scenario 1: who is in the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;

use crate::asking;
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;

const TOPIC: &str = "members";
const PARTITIONS: i32 = 6;

/// All nodes that are up answer Metadata and DescribeCluster alike.
async fn agree(cluster: &Cluster) {
    let up: Vec<_> = cluster.nodes.iter().filter(|node| node.is_up()).collect();
    let expected: BTreeMap<i32, (Option<String>, String)> =
        up.iter().map(|node| (node.id, (Some(node.zone.clone()), node.address.clone()))).collect();
    let mut leaders = None;
    for node in &up {
        let seen = asking::metadata(&node.address, Some(TOPIC), &cluster.runtime).await.expect("the node answers");
        assert_eq!(seen.nodes, expected, "Metadata of node {}", node.id);
        assert_eq!(seen.leaders.len(), PARTITIONS as usize, "every partition has a leader");
        for (partition, leader) in &seen.leaders {
            assert!(expected.contains_key(leader), "node {leader} leads partition {partition} and is not listed");
        }
        assert_eq!(leaders.get_or_insert(seen.leaders.clone()), &seen.leaders, "leaders as node {} sees them", node.id);
        let described = asking::describe_cluster(&node.address, &cluster.runtime).await.expect("the node answers");
        assert_eq!(described, expected, "DescribeCluster of node {}", node.id);
    }
}

/// 1: three nodes list each other with zones and the same leaders; who is told to end, or is killed, is gone soon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s01_nodes_come_and_go() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s01", &Plan::default(), &runtime).await else { return };
    asking::create_topic(&cluster.nodes[0].address, TOPIC, PARTITIONS, &runtime).await;
    agree_soon(&cluster).await;
    for index in 0..3 {
        leaves_before_it_closes(&mut cluster, index).await;
        cluster.nodes[index].start();
        cluster.complete().await;
        agree_soon(&cluster).await;
    }
    let mut gone = Vec::new();
    for index in 0..3 {
        cluster.nodes[index].kill();
        let id = cluster.nodes[index].id;
        gone.push(all_others_forget(&cluster, id, Duration::from_secs(10)).await);
        agree(&cluster).await;
        cluster.nodes[index].start();
        cluster.complete().await;
        agree_soon(&cluster).await;
    }
    println!("ok s01: nodes that were killed are gone from Metadata after {gone:.0?}");
    cluster.stop().await;
}

/// A topic that was just made, or a node that just came, is known to all within a moment.
async fn agree_soon(cluster: &Cluster) {
    let up: Vec<_> = cluster.nodes.iter().filter(|node| node.is_up()).collect();
    let same = async || {
        let mut all = Vec::new();
        for node in &up {
            all.push(asking::metadata(&node.address, Some(TOPIC), &cluster.runtime).await.expect("the node answers"));
        }
        all.windows(2).all(|pair| pair[0] == pair[1]) && all[0].leaders.len() == PARTITIONS as usize
    };
    let _took = eventually(&cluster.runtime, Duration::from_secs(5), "all nodes say the same", same).await;
    agree(cluster).await;
}

/// How long it takes until no other node lists this one.
async fn all_others_forget(cluster: &Cluster, id: i32, longest: Duration) -> Duration {
    let what = format!("node {id} is gone from Metadata");
    eventually(&cluster.runtime, longest, &what, async || {
        for node in cluster.nodes.iter().filter(|node| node.id != id && node.is_up()) {
            match asking::members(&node.address, &cluster.runtime).await {
                Some(ids) if !ids.contains(&id) => {}
                _ => return false,
            }
        }
        true
    })
    .await
}

/// SIGTERM: the others stop listing the node while it still answers on a connection that was there before.
async fn leaves_before_it_closes(cluster: &mut Cluster, index: usize) {
    let runtime = cluster.runtime.clone();
    let id = cluster.nodes[index].id;
    let other = cluster.nodes[(index + 1) % 3].address.clone();
    let mut open = asking::open(&cluster.nodes[index].address, &runtime).await.expect("the node serves");
    cluster.nodes[index].terminate();
    let mut answered = 0;
    loop {
        // In this order: who is listed after it closed was listed when it closed.
        let request = alluvium_protocol::messages::ApiVersionsRequest::default();
        let closed = open.call(&request, 0).await.is_err();
        let listed = asking::members(&other, &runtime).await.expect("the other node answers").contains(&id);
        assert!(!(closed && listed), "node {id} closed its connections and is still listed");
        if !listed {
            break;
        }
        answered += 1;
    }
    let status = cluster.nodes[index].end(&runtime).await;
    assert!(status.success(), "node {id}: {status} after {answered} answers\n{}", cluster.nodes[index].last_words());
}
