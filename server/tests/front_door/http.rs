//! The HTTP door: what it says while a node starts, serves, loses its store, drains and breaks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::metrics::MetricKind;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Faulty, Metered, StoreOptions, StorePrices, open};
use alluvium_protocol::messages::ApiVersionsRequest;
use alluvium_server::http::metrics::definitions;
use alluvium_server::http::{HttpServer, Observed, ObservedParts, router};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::groups::commit;
use crate::harness::{Node, batch};
use crate::records::{fetch, produce, texts};

/// A door in front of a store that fails on demand; the node is up to the test.
struct Door {
    observed: Observed,
    address: SocketAddr,
    store: Arc<Metered>,
    faulty: Arc<Faulty>,
    runtime: Runtime,
    shutdown: Shutdown,
}

impl Door {
    async fn open() -> Door {
        let runtime = Runtime::system();
        let faulty = Faulty::new(open("memory://", &StoreOptions::default(), &runtime).unwrap(), runtime.clone());
        let store = Metered::new(faulty.clone(), runtime.clone());
        let observed = Observed::new(ObservedParts {
            store: store.clone(),
            prices: StorePrices::default(),
            store_silence_max: Duration::ZERO,
            group_series_max: 2,
            topic_series_max: 2,
            version: "1.2.3",
            runtime: runtime.clone(),
        });
        let shutdown = Shutdown::new();
        let http = HttpServer::start("127.0.0.1:0", router(observed.clone()), 64, &runtime, &shutdown).await.unwrap();
        Door { observed, address: http.local_addr(), store, faulty, runtime, shutdown }
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split_whitespace().nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn readiness(&self) -> (u16, Vec<String>) {
        let (status, body) = self.get("/readyz").await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["ready"], status == 200, "{body}");
        let reasons = body["reasons"].as_array().unwrap();
        (status, reasons.iter().map(|reason| reason.as_str().unwrap().to_owned()).collect())
    }

    /// The samples of a scrape, checked against the definitions.
    async fn scrape(&self) -> BTreeMap<String, f64> {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200);
        let mut samples = BTreeMap::new();
        let mut current = None;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.split(' ');
                let (what, name) = (words.next().unwrap(), words.next().unwrap());
                let metric = definitions::all().find(|metric| metric.name == name);
                let metric = metric.unwrap_or_else(|| panic!("{name} is not defined"));
                assert!(what != "TYPE" || words.next() == Some(metric.kind.name()), "{line}");
                current = Some(metric);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').unwrap();
            let metric = current.unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let suffix = name.strip_prefix(metric.name).unwrap_or_else(|| panic!("{line} is under {}", metric.name));
            let expected: &[&str] =
                if metric.kind == MetricKind::Histogram { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(expected.contains(&suffix), "{line}");
            let count = labels.matches("=\"").count();
            assert_eq!(count, metric.labels.len() + usize::from(suffix == "_bucket"), "{line}");
            let before = samples.insert(series.to_owned(), value.parse().unwrap());
            assert_eq!(before, None, "{series} came twice");
        }
        samples
    }
}

#[tokio::test]
async fn a_node_is_ready_from_its_start_until_it_drains() {
    let door = Door::open().await;
    assert_eq!(door.readiness().await, (503, vec!["the node is starting: the log is not open yet".to_owned()]));
    assert_eq!(door.get("/healthz").await.0, 200);
    assert_eq!(door.scrape().await["alluvium_node_serving"], 0.0);

    let node = Node::start_on(door.store.clone(), &door.runtime).await;
    door.observed.serving(&node.server);
    assert_eq!(door.readiness().await, (200, vec![]));
    assert_eq!(door.scrape().await["alluvium_node_serving"], 1.0);

    door.faulty.set_down(true);
    let (status, reasons) = door.readiness().await;
    assert_eq!((status, reasons.len()), (503, 1));
    assert!(reasons[0].starts_with("the store does not serve: "), "{reasons:?}");
    // A restart would not bring the store back.
    assert_eq!(door.get("/healthz").await.0, 200);
    door.faulty.set_down(false);
    assert_eq!(door.readiness().await, (200, vec![]));

    door.observed.draining();
    assert_eq!(door.readiness().await, (503, vec!["the node is draining".to_owned()]));
    assert_eq!(door.get("/nothing").await.0, 404);
    door.shutdown.trigger();
}

#[tokio::test]
async fn a_panic_of_an_essential_task_is_seen() {
    let door = Door::open().await;
    let node = Node::start_on(door.store.clone(), &door.runtime).await;
    door.observed.serving(&node.server);
    door.runtime.spawn_essential("shard", async { panic!("the state contradicts itself") }).await.unwrap_err();
    let (status, body) = door.get("/healthz").await;
    assert_eq!(status, 503);
    assert!(body.contains("the task \\\"shard\\\" panicked: the state contradicts itself"), "{body}");
    assert_eq!(door.readiness().await.0, 503);
    assert_eq!(door.scrape().await["alluvium_essential_task_failed"], 1.0);
}

#[tokio::test]
async fn what_clients_do_is_counted() {
    let door = Door::open().await;
    let node = Node::start_on(door.store.clone(), &door.runtime).await;
    door.observed.serving(&node.server);
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let before = door.scrape().await;
    let records = batch(&["a", "b", "c"]);
    client.ask(9, &produce("t", 0, records.bytes.clone(), -1)).await;
    let mut fetching = fetch("t", 0, 3);
    fetching.max_wait_ms = 60_000;
    fetching.min_bytes = 1;
    client.send(11, &fetching).await;
    // The client goes away while its fetch waits.
    drop(client);
    let mut other = node.client().await;
    other.stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(other.is_closed().await);
    let given_up = "alluvium_kafka_requests_total{api=\"Fetch\",outcome=\"given_up\"}";
    let gone = async {
        while door.scrape().await[given_up] < 1.0 || door.scrape().await["alluvium_kafka_connections"] > 0.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("the fetch is given up");
    let after = door.scrape().await;
    let since = |series: &str| after[series] - before[series];
    assert_eq!(since("alluvium_kafka_requests_total{api=\"Produce\",outcome=\"answered\"}"), 1.0);
    assert!(!before.contains_key("alluvium_kafka_request_duration_seconds_count{api=\"Produce\"}"));
    assert_eq!(after["alluvium_kafka_request_duration_seconds_count{api=\"Produce\"}"], 1.0);
    assert_eq!(after["alluvium_kafka_request_duration_seconds_bucket{api=\"Produce\",le=\"+Inf\"}"], 1.0);
    assert!(since("alluvium_kafka_received_bytes_total{api=\"Produce\"}") > records.bytes.len() as f64);
    assert!(since("alluvium_kafka_sent_bytes_total") > 0.0);
    assert_eq!(after["alluvium_kafka_connections_accepted_total"], 2.0);
    assert_eq!(since("alluvium_store_requests_total{operation=\"put_if_absent\",outcome=\"done\"}"), 1.0);
    let cost = since("alluvium_store_cost_dollars_total{operation=\"put_if_absent\"}");
    assert!((cost - 0.000_005).abs() < 1e-12, "{cost}");
    assert_eq!(after["alluvium_produce_in_flight_bytes"], 0.0);
}

#[tokio::test]
async fn records_topics_and_group_lag_are_shown_within_their_limits() {
    let door = Door::open().await;
    let node = Node::start_on(door.store.clone(), &door.runtime).await;
    door.observed.serving(&node.server);
    let mut client = node.client().await;
    client.create_topic("t", 4).await;
    client.create_topic("u", 1).await;
    client.create_topic("v", 1).await;
    let records = batch(&["a", "b", "c"]);
    client.ask(9, &produce("t", 0, records.bytes.clone(), -1)).await;
    let mut broken = records.bytes.to_vec();
    *broken.last_mut().unwrap() ^= 1;
    client.ask(9, &produce("t", 1, broken.into(), -1)).await;
    assert_eq!(texts(&client.ask(11, &fetch("t", 0, 0)).await).len(), 3);
    let mut offsets = commit(-1, "", 1, "");
    let committed = offsets.topics[0].partitions[0].clone();
    for partition in 1..4 {
        let mut other = committed.clone();
        other.partition_index = partition;
        other.committed_offset = 0;
        offsets.topics[0].partitions.push(other);
    }
    client.ask(9, &offsets).await;

    let samples = door.scrape().await;
    for (series, expected) in [
        ("alluvium_produce_batches_total{outcome=\"appended\"}", 1.0),
        ("alluvium_produce_batches_total{outcome=\"rejected\"}", 1.0),
        ("alluvium_produce_records_total", 3.0),
        ("alluvium_produce_record_bytes_total", records.bytes.len() as f64),
        ("alluvium_flushes_total{kind=\"inline\"}", 1.0),
        ("alluvium_flush_bytes_total{kind=\"inline\"}", records.bytes.len() as f64),
        ("alluvium_flush_duration_seconds_count", 1.0),
        ("alluvium_topics", 3.0),
        ("alluvium_partitions", 6.0),
        ("alluvium_topic_records_total{topic=\"t\"}", 3.0),
        ("alluvium_topic_partitions{topic=\"t\"}", 4.0),
        ("alluvium_topic_records_total{topic=\"u\"}", 0.0),
        ("alluvium_topic_series_omitted", 1.0),
        ("alluvium_cache_requests_total{cache=\"tail\",outcome=\"hit\"}", 1.0),
        ("alluvium_read_bytes_total", records.bytes.len() as f64),
        ("alluvium_groups{protocol=\"none\"}", 1.0),
        ("alluvium_group_lag_records{group=\"g\",topic=\"t\",partition=\"0\"}", 2.0),
        ("alluvium_group_lag_records{group=\"g\",topic=\"t\",partition=\"1\"}", 0.0),
        ("alluvium_group_series_omitted", 2.0),
        ("alluvium_coordinator_take_overs_total{shard=\"0\"}", 1.0),
        ("alluvium_coordinator_groups{type=\"classic\",state=\"Empty\"}", 1.0),
        ("alluvium_essential_tasks{task=\"shard\"}", 1.0),
        ("alluvium_kafka_errors_total{api=\"Produce\",error=\"CORRUPT_MESSAGE\"}", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&expected), "{series}");
    }
    for absent in
        ["alluvium_topic_records_total{topic=\"v\"}", "alluvium_kafka_errors_total{api=\"Produce\",error=\"NONE\"}"]
    {
        assert_eq!(samples.get(absent), None, "{absent}");
    }
    let entries = samples["alluvium_shard_entry_number{shard=\"0\"}"];
    assert_eq!(samples["alluvium_shard_entries_applied_total{shard=\"0\",source=\"own\"}"], entries);
    assert_eq!(samples["alluvium_commit_duration_seconds_count"], entries);
    assert!(samples["alluvium_cache_bytes{cache=\"tail\"}"] >= records.bytes.len() as f64);
    assert!(samples["alluvium_shard_look_age_seconds{shard=\"0\"}"] < 60.0);
}

#[tokio::test]
async fn every_metric_that_is_defined_is_served() {
    let door = Door::open().await;
    let node = Node::start_on(door.store.clone(), &door.runtime).await;
    door.observed.serving(&node.server);
    node.client().await.ask(3, &ApiVersionsRequest::default()).await;
    let (_, text) = door.get("/metrics").await;
    for metric in definitions::all() {
        assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{} is defined and never written", metric.name);
    }
}
