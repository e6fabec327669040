//! Scenario 5: a node loses the others but not the store, or the store but not the others.

use std::time::Duration;

use alluvium_infra::Runtime;

use crate::asking;
use crate::load::{Load, small_roles};
use crate::network::{Network, Side};
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;

const PROGRESS_MAX: Duration = Duration::from_secs(90);

/// The node that leads and coordinates whatever there is: with one shard that is one node.
async fn leader(cluster: &Cluster, topic: &str) -> usize {
    let runtime = &cluster.runtime;
    let seen = asking::metadata(&cluster.nodes[0].address, Some(topic), runtime).await.expect("the node answers");
    cluster.index_of(seen.leaders[&0])
}

async fn cluster_in_networks(scenario: &str, runtime: &Runtime) -> Option<(Network, Cluster)> {
    let network = Network::make(runtime).await?;
    let plan = Plan { network: Some(network.clone()), ..Plan::default() };
    let cluster = Cluster::start(scenario, &plan, runtime).await?;
    Some((network, cluster))
}

/// 5a: first the leader, then another node is cut off from its peers: both sides commit to the store, which alone decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s05a_cut_from_peers() {
    let runtime = Runtime::system();
    let Some((network, mut cluster)) = cluster_in_networks("s05a", &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "cut-peers", small_roles()).await else { return };
    let first = leader(&cluster, "cut-peers").await;
    for index in [first, (first + 1) % 3] {
        let id = cluster.nodes[index].id;
        let cut = load.event(format!("node {id} loses its peers"));
        network.cut(index, Side::Peers);
        // Either side may go on listing the other for a while, since its heartbeats are in the store: clients go on meanwhile.
        let _took = load.progress(cut, PROGRESS_MAX).await;
        let _took = eventually(&runtime, Duration::from_secs(20), "the others do without it", async || {
            let other = &cluster.nodes[(index + 1) % 3].address;
            asking::members(other, &runtime).await.is_some_and(|ids| !ids.contains(&id))
        })
        .await;
        let alone = runtime.monotonic();
        let _took = load.progress(alone, PROGRESS_MAX).await;
        let healed = load.event(format!("node {id} has its peers again"));
        network.heal(index, Side::Peers);
        cluster.complete().await;
        let _took = load.progress(healed, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s05a: {checked}\n{}", stalls.table());
    cluster.stop().await;
}

/// 5b: first the leader, then another node is cut off from the store, and keeps its links to the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s05b_cut_from_the_store() {
    let runtime = Runtime::system();
    let Some((network, mut cluster)) = cluster_in_networks("s05b", &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "cut-store", small_roles()).await else { return };
    let first = leader(&cluster, "cut-store").await;
    for index in [first, (first + 1) % 3] {
        let id = cluster.nodes[index].id;
        let cut = load.event(format!("node {id} loses the store"));
        network.cut(index, Side::Store);
        // Without the store it can neither commit nor keep its membership: the others go on without it.
        let _took = eventually(&runtime, Duration::from_secs(30), "the others do without it", async || {
            let other = &cluster.nodes[(index + 1) % 3].address;
            asking::members(other, &runtime).await.is_some_and(|ids| !ids.contains(&id))
        })
        .await;
        let _took = load.progress(cut, PROGRESS_MAX).await;
        let healed = load.event(format!("node {id} has the store again"));
        network.heal(index, Side::Store);
        cluster.complete().await;
        let _took = load.progress(healed, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s05b: {checked}\n{}", stalls.table());
    // What it could not do without the store is logged, also as errors.
    for node in &mut cluster.nodes {
        node.stop(&runtime).await;
        assert!(node.lines(|line| line.contains("panicked")).is_empty(), "node {} panicked", node.id);
    }
}
