//! Scenario 8: the same over four shards.

use std::collections::BTreeSet;
use std::time::Duration;

use alluvium_infra::Runtime;

use crate::asking;
use crate::load::{Load, PARTITIONS, usual_roles};
use crate::nodes::{Cluster, Plan};

const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// 8: topics and groups are spread over four shards and their leaders; a kill and a restart under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s08_four_shards() {
    let runtime = Runtime::system();
    let plan = Plan { settings: vec![("shards", "4".to_owned())], ..Plan::default() };
    let Some(mut cluster) = Cluster::start("s08", &plan, &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "spread", usual_roles()).await else { return };
    let first = cluster.nodes[0].address.clone();
    let mut leaders = BTreeSet::new();
    for number in 0..4 {
        let name = format!("also-spread-{number}");
        asking::create_topic(&first, &name, PARTITIONS, &runtime).await;
        let seen = asking::metadata(&first, Some(&name), &runtime).await.unwrap();
        leaders.extend(seen.leaders.into_values());
    }
    assert!(leaders.len() > 1, "the partitions of five topics on four shards all have the leader {leaders:?}");
    for index in 0..2 {
        let killed = load.event(format!("kill -9 of node {}", cluster.nodes[index].id));
        cluster.nodes[index].kill();
        let _took = load.progress(killed, PROGRESS_MAX).await;
        cluster.nodes[index].start();
        cluster.complete().await;
        let whole = runtime.monotonic();
        let _took = load.progress(whole, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s08: {} leaders; {checked}\n{}", leaders.len(), stalls.table());
    cluster.stop().await;
}
