//! Scenario 3: random nodes are killed under load.

#![allow(clippy::disallowed_methods, reason = "how often is set by the environment")]

use std::time::Duration;

use alluvium_infra::Runtime;

use crate::load::{Load, Roles, usual_roles};
use crate::nodes::{Cluster, Plan};
use crate::workers::{consume, produce};

/// The longest that a client may take until it has gone on in every partition.
const PROGRESS_MAX: Duration = Duration::from_secs(60);
/// The longest that a client may stand still.
const STALL_MAX: Duration = Duration::from_secs(3);
/// franz-go asks for leaders at most once in 5 s unless told otherwise: the first answer may still name the node that died.
const FRANZ_STALL_MAX: Duration = Duration::from_secs(2 * 5 + 3);
/// What franz-go is told otherwise here.
const OFTEN: &str = "metadata_min_age_ms=250";

/// The usual ones, and franz-go once more with that one setting.
fn roles() -> Roles {
    let mut roles = usual_roles();
    for (_, roles) in roles.iter_mut().filter(|(language, _)| *language == "go") {
        roles.push(produce("quick-franz-producer", 30, OFTEN));
        roles.push(consume("quick-franz-1", "quick-franz", OFTEN));
    }
    roles
}

fn kills() -> usize {
    std::env::var("ALLUVIUM_TEST_CLUSTER_KILLS").map_or(20, |text| text.parse().expect("a number of kills"))
}

/// 3: kill -9 of a random node, again and again; it comes back after the clients went on without it, or at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s03_kills() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s03", &Plan::default(), &runtime).await else { return };
    let Some(mut load) = Load::start(&cluster, "kills", roles()).await else { return };
    for kill in 1..=kills() {
        let index = runtime.random_below(3) as usize;
        let at_once = runtime.random_below(4) == 0;
        let id = cluster.nodes[index].id;
        let come_back = if at_once { ", back at once" } else { "" };
        let killed = load.event(format!("{kill}: kill -9 of node {id}{come_back}"));
        cluster.nodes[index].kill();
        if !at_once {
            let _took = load.progress(killed, PROGRESS_MAX).await;
        }
        cluster.nodes[index].start();
        cluster.complete().await;
        let whole = runtime.monotonic();
        let _took = load.progress(whole, PROGRESS_MAX).await;
    }
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s03: {} kills; {checked}\n{}", kills(), stalls.table());
    let is_slow = |client: &str| client.trim_start_matches("group ").starts_with("franz");
    let (worst, whose) = stalls.worst(|client| !is_slow(client));
    assert!(worst < STALL_MAX, "{whose} stood still for {worst:?}");
    let (worst, whose) = stalls.worst(is_slow);
    assert!(worst < FRANZ_STALL_MAX, "{whose} stood still for {worst:?}");
    cluster.stop().await;
}
