//! Scenario 7: a consumer that waits on one node for what is produced through another.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_tests::wire::Wire;

use crate::asking;
use crate::network::{Network, Side};
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;

const TOPIC: &str = "wakeups";
/// With links between the nodes.
const PUSHED_MAX: Duration = Duration::from_millis(20);
/// Without: one look at the log a second, and what that takes.
const PROBED_MAX: Duration = Duration::from_millis(1200);

/// How long after its acknowledgement by one node each record reaches a consumer that waits on another, in order.
async fn wakeups(cluster: &Cluster, from: usize, to: usize, count: usize) -> Vec<Duration> {
    let runtime = &cluster.runtime;
    let mut producer = Wire::open(&cluster.nodes[from].address, runtime).await.unwrap();
    let consumer_address = cluster.nodes[to].address.clone();
    let mut took = Vec::new();
    for number in 0..count {
        let value = format!("{from} to {to}: {number}");
        let mut consumer = Wire::open(&consumer_address, runtime).await.unwrap();
        let end = asking::read_all(&consumer_address, TOPIC, 1, runtime).await[0].len() as i64;
        let waiting = runtime.spawn("waiting consumer", {
            let (runtime, value) = (runtime.clone(), value.clone());
            async move {
                let mut positions = BTreeMap::from([(0, end)]);
                loop {
                    let longest = Duration::from_secs(10);
                    let read = asking::fetch(&mut consumer, TOPIC, &mut positions, longest).await.unwrap();
                    if read.iter().any(|(_, _, read)| *read == value) {
                        return runtime.monotonic();
                    }
                }
            }
        });
        // The fetch is under way before anything is produced: half of what this looks at is a fetch that waits.
        runtime.sleep(Duration::from_millis(100 + runtime.random_below(200))).await;
        let offset = asking::produce(&mut producer, TOPIC, 0, &value, runtime.now_ms()).await.unwrap();
        let acknowledged = runtime.monotonic();
        assert!(offset.is_ok(), "{value}: error {offset:?}");
        took.push(after(waiting.await.unwrap(), acknowledged));
    }
    took.sort_unstable();
    took
}

fn after(moment: Instant, other: Instant) -> Duration {
    moment.saturating_duration_since(other)
}

fn median(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() / 2]
}

/// 7a: entries are pushed: a waiting consumer of another node has the record within 20 ms of the commit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s07a_pushed() {
    let runtime = Runtime::system();
    let Some(cluster) = Cluster::start("s07a", &Plan::default(), &runtime).await else { return };
    asking::create_topic(&cluster.nodes[0].address, TOPIC, 1, &runtime).await;
    let mut told = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let took = wakeups(&cluster, from, to, 15).await;
        told.push(format!("{from}→{to} median {:.1?}, longest {:.1?}", median(&took), took[took.len() - 1]));
        assert!(median(&took) < PUSHED_MAX, "from node {from} to node {to}: {took:?}");
    }
    println!("ok s07a: {}", told.join("; "));
    cluster.stop().await;
}

/// 7b: no node reaches another: a waiting consumer has the record within a second and a bit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s07b_probed() {
    let runtime = Runtime::system();
    let Some(network) = Network::make(&runtime).await else { return };
    let plan = Plan { network: Some(network.clone()), ..Plan::default() };
    let Some(cluster) = Cluster::start("s07b", &plan, &runtime).await else { return };
    asking::create_topic(&cluster.nodes[0].address, TOPIC, 1, &runtime).await;
    for index in 0..3 {
        network.cut(index, Side::Peers);
    }
    let _took = eventually(&runtime, Duration::from_secs(30), "each node is alone", async || {
        for node in &cluster.nodes {
            if asking::members(&node.address, &runtime).await != Some(vec![node.id]) {
                return false;
            }
        }
        true
    })
    .await;
    let took = wakeups(&cluster, 0, 1, 10).await;
    println!("ok s07b: median {:.0?}, longest {:.0?}", median(&took), took[took.len() - 1]);
    assert!(took[took.len() - 1] < PROBED_MAX, "{took:?}");
    cluster.stop().await;
}
