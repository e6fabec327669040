//! Scenario 2: a rolling restart under load.

use std::time::Duration;

use alluvium_infra::Runtime;

use crate::load::{Load, usual_roles};
use crate::nodes::{Cluster, Plan};

/// The longest that a client may take until it has gone on in every partition.
const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// 2: every node is restarted in turn while producers and groups of all languages run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s02_rolling_restart() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s02", &Plan::default(), &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "rolling", usual_roles()).await else { return };
    for index in 0..3 {
        let id = cluster.nodes[index].id;
        let stopped = load.event(format!("SIGTERM to node {id}"));
        cluster.nodes[index].stop(&runtime).await;
        let _took = load.progress(stopped, PROGRESS_MAX).await;
        let started = load.event(format!("start of node {id}"));
        cluster.nodes[index].start();
        cluster.complete().await;
        let _took = load.progress(started, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s02: {checked}\n{}", stalls.table());
    cluster.stop().await;
}
