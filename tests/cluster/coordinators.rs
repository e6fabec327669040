//! Scenario 4: the node that coordinates the groups dies, or is frozen and comes back as a zombie.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::errors::ErrorCode;
use alluvium_tests::wire::Wire;

use crate::asking;
use crate::load::{Load, usual_roles};
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;

const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// The node that coordinates a group, as all nodes that are up say.
async fn coordinator(cluster: &Cluster, group: &str) -> usize {
    let mut found = None;
    let _took = eventually(&cluster.runtime, Duration::from_secs(15), "all name the same coordinator", async || {
        let mut named = Vec::new();
        for node in cluster.nodes.iter().filter(|node| node.is_up()) {
            named.push(asking::coordinator(&node.address, group, &cluster.runtime).await.ok());
        }
        found = named[0];
        found.is_some() && named.iter().all(|other| *other == found)
    })
    .await;
    cluster.index_of(found.expect("a coordinator was named"))
}

/// 4a: kill -9 of the coordinator under load, as often as there are nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04a_coordinator_dies() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s04a", &Plan::default(), &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "failover", usual_roles()).await else { return };
    for _ in 0..3 {
        let index = coordinator(&cluster, "java-cooperative").await;
        let killed = load.event(format!("kill -9 of coordinator {}", cluster.nodes[index].id));
        cluster.nodes[index].kill();
        let _took = load.progress(killed, PROGRESS_MAX).await;
        let other = coordinator(&cluster, "java-cooperative").await;
        assert_ne!(other, index, "another node coordinates");
        cluster.nodes[index].start();
        cluster.complete().await;
        let whole = runtime.monotonic();
        let _took = load.progress(whole, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s04a: {checked}\n{}", stalls.table());
    cluster.stop().await;
}

/// 4b: the coordinator is frozen until another has taken over, and then wakes: whatever it still believes, it changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s04b_zombie_coordinator() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s04b", &Plan::default(), &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "zombie", usual_roles()).await else { return };
    let group = "zombie-offsets";
    let index = coordinator(&cluster, group).await;
    // The connection is there before the node is frozen: what it carries is read when the node wakes.
    let mut to_zombie = Wire::open(&cluster.nodes[index].address, &runtime).await.expect("the node serves");
    let nobody = (group, -1, "");
    let code = asking::commit(&mut to_zombie, nobody, "zombie", 0, 10).await.expect("the coordinator answers");
    assert_eq!(code, 0, "the coordinator takes a commit");

    let frozen = load.event(format!("SIGSTOP of coordinator {}", cluster.nodes[index].id));
    cluster.nodes[index].freeze();
    let others: Vec<String> = cluster
        .nodes
        .iter()
        .filter(|node| node.id != cluster.nodes[index].id)
        .map(|node| node.address.clone())
        .collect();
    let mut heir = None;
    let took = eventually(&runtime, Duration::from_secs(20), "another node coordinates", async || {
        for address in &others {
            match asking::coordinator(address, group, &runtime).await {
                Ok(id) if id != cluster.nodes[index].id => heir = Some(id),
                _ => return false,
            }
        }
        true
    })
    .await;
    let heir = cluster.index_of(heir.expect("a coordinator was named"));
    let mut to_heir = asking::open(&cluster.nodes[heir].address, &runtime).await.expect("the heir serves");
    let _took = eventually(&runtime, Duration::from_secs(10), "the heir takes a commit", async || {
        asking::commit(&mut to_heir, nobody, "zombie", 0, 20).await.expect("the heir answers") == 0
    })
    .await;

    load.event(format!("SIGCONT of zombie {}", cluster.nodes[index].id));
    cluster.nodes[index].thaw();
    let code = asking::commit(&mut to_zombie, nobody, "zombie", 0, 11).await.expect("the zombie answers");
    let told = ErrorCode::from_code(code);
    assert_eq!(told, Some(ErrorCode::NotCoordinator), "what the zombie says to a commit");
    // Now that it is back it may lead again: whoever coordinates says what the heir was told.
    cluster.complete().await;
    let _took = eventually(&runtime, Duration::from_secs(15), "a coordinator says what is committed", async || {
        for node in &cluster.nodes {
            let mut wire = Wire::open(&node.address, &runtime).await.expect("the node serves");
            let answer = asking::committed(&mut wire, group, "zombie", 1).await.expect("the node answers");
            if let Ok(offsets) = answer {
                assert_eq!(offsets[&0], 20, "what is committed after the zombie spoke");
                return true;
            }
        }
        false
    })
    .await;
    let _took = load.progress(frozen.max(runtime.monotonic()), PROGRESS_MAX).await;
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s04b: another coordinator after {took:.0?}; {checked}\n{}", stalls.table());
    cluster.stop().await;
}
