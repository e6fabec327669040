//! Scenario 6: nodes that are set up wrongly. Each says what is wrong, and nothing is lost.

use std::path::Path;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, StoreCredentials, StoreOptions};
use alluvium_log::paths::ClusterPaths;
use alluvium_tests::places;

use crate::asking;
use crate::load::{Load, small_roles};
use crate::nodes::{Cluster, Plan};
use crate::waiting::eventually;

const PROGRESS_MAX: Duration = Duration::from_secs(60);

/// 6a: the second node with an id is refused and says which id; the first goes on. When the first is dead, its id is free at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06a_two_nodes_with_one_id() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s06a", &Plan::default(), &runtime).await else { return };
    asking::create_topic(&cluster.nodes[0].address, "one-id", 1, &runtime).await;
    let first = cluster.nodes[0].address.clone();
    let (third_address, third_peer) = (cluster.nodes[2].address.clone(), cluster.nodes[2].peer_address());
    cluster.nodes[2].stop(&runtime).await;
    cluster.complete().await;

    // Node 3's ports, node 1's id.
    cluster.nodes[2].set_log("second-with-an-id.log");
    cluster.nodes[2].set_flag("--node-id", "1");
    cluster.nodes[2].start();
    let status = cluster.nodes[2].end(&runtime).await;
    assert!(!status.success(), "the second node 1 is refused: {status}");
    let said = cluster.nodes[2].last_words();
    let clear = said.lines().any(|line| line.contains("node id 1") || line.contains("node 1"));
    assert!(clear, "what is wrong is said:\n{said}");
    let seen = asking::metadata(&first, None, &runtime).await.expect("the first node 1 goes on");
    assert_eq!(seen.nodes[&1].1, first, "node 1 is where it was");
    let mut wire = asking::open(&first, &runtime).await.unwrap();
    let offset = asking::produce(&mut wire, "one-id", 0, "still here", runtime.now_ms()).await.unwrap();
    assert_eq!(offset, Ok(0), "the first node 1 takes records");

    // Once the first is dead nothing keeps another from being node 1.
    cluster.nodes[0].kill();
    cluster.nodes[2].start();
    cluster.serving(2).await;
    let seen = asking::metadata(&third_address, None, &runtime).await.unwrap();
    assert_eq!(seen.nodes[&1].1, third_address, "node 1 is the new one ({third_peer})");
    let log = asking::read_all(&third_address, "one-id", 1, &runtime).await;
    assert_eq!(log, [["still here"]]);
    println!("ok s06a: {}", said.lines().last().unwrap_or_default());
    cluster.nodes[2].stop(&runtime).await;
    cluster.nodes[1].stop(&runtime).await;
}

/// What shifts the wall clock of a node, and not the clock by which it waits.
fn off(library: &str, shift: &str) -> Vec<(String, String)> {
    [("LD_PRELOAD", library), ("FAKETIME", shift), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("DONT_FAKE_MONOTONIC", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

/// 6b: a clock that is an hour off is refused by the store, which the node says; ten minutes ahead and behind are members like any other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06b_clocks_an_hour_off() {
    let runtime = Runtime::system();
    let Some(library) = faketime() else {
        places::skip("clocks an hour off (libfaketime is not installed and could not be)");
        return;
    };
    let Some(mut cluster) = Cluster::plan("s06b", &Plan::default(), &runtime) else { return };
    // S3 refuses a signature that is off by more than a quarter of an hour: then the node says what is wrong, and ends.
    for shift in ["+1h", "-1h"] {
        cluster.nodes[0].environment = off(&library, shift);
        cluster.nodes[0].start();
        let status = cluster.nodes[0].end(&runtime).await;
        let said = cluster.nodes[0].last_words();
        assert!(!status.success() && said.contains("the clock of this machine is wrong"), "{status}: {said}");
    }
    for (index, shift) in [(0, "+10m"), (1, "-10m")] {
        cluster.nodes[index].environment = off(&library, shift);
    }
    for index in 0..3 {
        cluster.nodes[index].start();
    }
    cluster.complete().await;
    let Some(mut load) = Load::start(&cluster, "clocks", small_roles()).await else { return };
    for index in 0..3 {
        let killed = load.event(format!("kill -9 of node {}", cluster.nodes[index].id));
        cluster.nodes[index].kill();
        let _took = load.progress(killed, PROGRESS_MAX).await;
        cluster.nodes[index].start();
        cluster.complete().await;
    }
    let begun = runtime.monotonic();
    let _took = load.progress(begun, PROGRESS_MAX).await;
    let (checked, stalls) = load.finish(&cluster).await;
    println!("ok s06b: {checked}\n{}", stalls.table());
    cluster.stop().await;
}

/// 6c: an address that nobody can reach is advertised: the node says so when it starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06c_unreachable_address() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::plan("s06c", &Plan::default(), &runtime) else { return };
    // A port of this machine on which nobody listens.
    let nowhere = "127.0.0.1:9";
    cluster.nodes[0].set_flag("--advertise", nowhere);
    cluster.nodes[0].start();
    cluster.serving(0).await;
    let mut said = Vec::new();
    let _took = eventually(&runtime, Duration::from_secs(15), "the address is said to be unreachable", async || {
        said = cluster.nodes[0].lines(|line| line.contains("WARN") && line.contains(nowhere));
        !said.is_empty()
    })
    .await;
    // Others are told the same address, whatever it is worth.
    let seen = asking::metadata(&cluster.nodes[0].address, None, &runtime).await.unwrap();
    assert_eq!(seen.nodes[&1].1, nowhere);
    println!("ok s06c: {}", said[0]);
    cluster.stop().await;
}

/// 6f: a bucket that a newer version made is refused, and left as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06f_newer_bucket() {
    let runtime = Runtime::system();
    let Some(mut cluster) = Cluster::start("s06f", &Plan::default(), &runtime).await else { return };
    asking::create_topic(&cluster.nodes[0].address, "newer", 1, &runtime).await;
    for index in 0..3 {
        cluster.nodes[index].stop(&runtime).await;
    }
    let key = places::access_key("minio").to_owned();
    let credentials = StoreCredentials { access_key_id: key.clone(), secret_access_key: key, session_token: None };
    let options = StoreOptions {
        endpoint: Some(cluster.endpoint.clone()),
        credentials: Some(credentials),
        ..StoreOptions::default()
    };
    let bucket = store::open(&cluster.url, &options, &runtime).unwrap();
    let path = ClusterPaths::new("").cluster();
    let description = bucket.get(&path).await.unwrap();
    let mut newer: serde_json::Value = serde_json::from_slice(&description).unwrap();
    newer["format_version"] = 99.into();
    newer["from_the_future"] = "yes".into();
    bucket.put(&path, newer.to_string().into_bytes().into()).await.unwrap();
    cluster.nodes[0].set_log("newer.log");
    cluster.nodes[0].start();
    let status = cluster.nodes[0].end(&runtime).await;
    assert!(!status.success(), "a newer bucket is refused: {status}");
    let said = cluster.nodes[0].last_words();
    assert!(said.contains("99") && said.contains("upgrade"), "what is wrong is said:\n{said}");
    // As it was again, everything is there.
    bucket.put(&path, description.into()).await.unwrap();
    cluster.nodes[0].start();
    cluster.serving(0).await;
    let seen = asking::metadata(&cluster.nodes[0].address, Some("newer"), &runtime).await.unwrap();
    assert_eq!(seen.leaders.len(), 1, "the topic is there");
    println!("ok s06f: {}", said.lines().last().unwrap_or_default());
    cluster.stop().await;
}

/// libfaketime, installed when it can be.
fn faketime() -> Option<String> {
    let places =
        ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib"];
    let find = || {
        let paths = places.iter().map(|place| format!("{place}/faketime/libfaketime.so.1"));
        paths.into_iter().find(|path| Path::new(path).exists())
    };
    find().or_else(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/worker/command");
        let _absent = std::process::Command::new(script).arg("faketime").output();
        find()
    })
}
