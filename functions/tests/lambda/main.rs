//! The three functions as they are shipped, under an emulator of the Lambda Runtime API, on one folder that stands for the
//! bucket and beside a node with a Kafka door.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests drive real processes with the real clock")]
#![allow(clippy::print_stdout, reason = "a suite says what it skips")]

mod emulator;
mod gateway;
mod s3;
mod troubled;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alluvium_log::inspect::describe;
use axum::Router;
use axum::http::StatusCode;
use emulator::{Function, answer, gateway_event, stage_event, url_event};
use gateway::Gateway;
use serde_json::{Value, json};
use tempfile::TempDir;

const JSON: (&str, &str) = ("content-type", "application/json");

/// A folder that stands for a bucket.
struct Bucket {
    folder: TempDir,
}

impl Bucket {
    fn new() -> Bucket {
        Bucket { folder: TempDir::new().unwrap() }
    }

    fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }

    /// The same, as slow as S3.
    fn slow_url(&self) -> String {
        format!("model+{}", self.url())
    }

    fn entries(&self) -> usize {
        files(self.folder.path(), "/log/").len()
    }

    fn tables(&self) -> usize {
        files(self.folder.path(), ".parquet").len()
    }

    /// Whom entries name as their writers.
    fn writers(&self) -> BTreeSet<String> {
        let entries = files(self.folder.path(), "/log/").into_iter();
        let described = entries.filter_map(|path| describe(&std::fs::read(path).unwrap().into()).ok());
        described
            .filter_map(|text| Some(text.lines().find_map(|line| line.trim().strip_prefix("node "))?.trim().to_owned()))
            .collect()
    }
}

/// Files below a folder whose paths contain this.
fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
    found
        .flatten()
        .flat_map(|entry| match entry.path().is_dir() {
            true => files(&entry.path(), part),
            false => Some(entry.path()).filter(|path| path.to_string_lossy().contains(part)).into_iter().collect(),
        })
        .collect()
}

fn record(value: &str) -> String {
    json!({ "partition_id": 0, "value": { "type": "STRING", "data": value } }).to_string()
}

fn records_path(cluster: &str) -> String {
    format!("/v3/clusters/{cluster}/topics/t/records")
}

/// The values that the reader function shows from an offset on.
async fn read(reader: &Function, cluster: &str, offset: i64) -> Vec<String> {
    let path = format!("/v3/clusters/{cluster}/topics/t/partitions/0/records?format=string&offset={offset}");
    let answer = reader.get(&path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let records = json["records"].as_array().unwrap();
    records.iter().map(|record| record["value"].as_str().unwrap().to_owned()).collect()
}

async fn cluster_of(reader: &Function) -> String {
    let clusters = reader.get("/v3/clusters").await.json();
    clusters["data"][0]["cluster_id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_function_takes_others_and_kafka_clients_read_before_and_after_compaction() {
    let bucket = Bucket::new();
    let ingest = Function::start("ingest", &bucket.url(), &[]).await;
    let v2 = ("content-type", "application/vnd.kafka.string.v2+json");
    let body = json!({ "records": [{ "value": "a" }, { "value": "b" }, { "value": 7 }] }).to_string();
    let before = bucket.entries();
    let first = ingest.request("POST", "/topics/t", &[v2], &body).await;
    assert_eq!(first.status, 200, "{first:?}");
    let outcomes = first.json();
    assert_eq!((&outcomes["offsets"][1]["offset"], &outcomes["offsets"][2]["error_code"]), (&json!(1), &json!(42202)));
    assert!(before < bucket.entries(), "it is in the bucket when the answer is here");
    let entries = bucket.entries();
    // Through a gateway with a stage, many records, one PUT.
    let many = json!({ "records": (0..500).map(|_| json!({ "value": "c" })).collect::<Vec<_>>() }).to_string();
    let second = answer(ingest.invoke(gateway_event("POST", "/topics/t", &[v2], &many)).await);
    assert_eq!((second.status, second.json()["offsets"][499]["offset"].as_i64()), (200, Some(501)), "{second:?}");
    assert_eq!(bucket.entries(), entries + 1);

    let gateway = Gateway::start(&bucket.url()).await;
    assert_eq!(gateway.values("t", 0, 502).await[..3], ["a", "b", "c"]);
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    assert_eq!(read(&reader, &gateway.cluster, 0).await.len(), 502);
    assert_eq!(reader.get("/topics").await.json(), json!(["t"]));

    let compactor = Function::start("compactor", &bucket.url(), &[]).await;
    let report = compactor.invoke(json!({ "source": "aws.events", "at_once": true })).await.unwrap();
    assert_eq!((&report["complete"], &report["replaced"]), (&json!(true), &json!(1)), "{report}");
    assert_eq!(bucket.tables(), 1);
    assert_eq!(read(&reader, &gateway.cluster, 0).await[..3], ["a", "b", "c"]);
    assert_eq!(gateway.values("t", 500, 2).await, ["c", "c"]);
    assert_eq!(ingest.request("POST", "/topics/t", &[v2], &body).await.json()["offsets"][0]["offset"], 502);
    assert_eq!(read(&reader, &gateway.cluster, 501).await, ["c", "a", "b"]);
}

#[tokio::test]
async fn frozen_between_put_and_reply_it_is_one_record() {
    let bucket = Bucket::new();
    let frozen = Function::start("ingest", &bucket.slow_url(), &[]).await;
    let other = Function::start("ingest", &bucket.url(), &[]).await;
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    let mut expected = vec!["begin".to_owned()];
    assert_eq!(other.request("POST", &path, &[JSON], &record("begin")).await.offsets(), [0]);
    let mut caught = 0;
    for round in 0..40 {
        let (id, value) = (format!("round-{round}"), format!("value-{round}"));
        let headers = [JSON, ("idempotency-key", id.as_str())];
        let entries = bucket.entries();
        let mut hanging = frozen.begin(url_event("POST", &path, &headers, &record(&value))).await;
        while bucket.entries() == entries {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
        // Its entry is there, and its reply a few milliseconds away.
        frozen.signal("STOP");
        let was_caught = hanging.try_recv().is_err();
        let retried = other.request("POST", &path, &headers, &record(&value)).await;
        let offset = retried.offsets()[0];
        assert_eq!(offset, expected.len() as i64, "round {round}");
        expected.push(value);
        let next = format!("next-{round}");
        assert_eq!(other.request("POST", &path, &[JSON], &record(&next)).await.offsets(), [offset + 1]);
        expected.push(next);
        frozen.signal("CONT");
        if was_caught {
            let thawed = answer(tokio::time::timeout(Duration::from_secs(30), hanging).await.unwrap().unwrap());
            assert_eq!(thawed.offsets(), [offset], "round {round}");
            caught += 1;
        }
        if caught == 3 {
            break;
        }
    }
    assert_eq!(caught, 3, "it was never caught between PUT and reply");
    assert_eq!(read(&reader, &cluster, 0).await, expected);
}

#[tokio::test]
async fn one_request_id_at_three_functions_at_once_is_one_record() {
    let bucket = Bucket::new();
    let one = Function::start("ingest", &bucket.slow_url(), &[]).await;
    let two = Function::start("ingest", &bucket.slow_url(), &[]).await;
    let three = Function::start("ingest", &bucket.url(), &[]).await;
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    let mut expected = Vec::new();
    for round in 0..8_i64 {
        let (id, value) = (format!("id-{round}"), format!("value-{round}"));
        let headers = [JSON, ("idempotency-key", id.as_str())];
        let body = record(&value);
        let send = |function| Function::request(function, "POST", &path, &headers, &body);
        let (first, second, third) = tokio::join!(send(&one), send(&two), send(&three));
        for answer in [first, second, third] {
            assert_eq!(answer.offsets(), [round], "{answer:?}");
        }
        expected.push(value);
    }
    assert_eq!(read(&reader, &cluster, 0).await, expected);
}

#[tokio::test]
async fn a_reader_that_was_frozen_shows_what_came_meanwhile() {
    let bucket = Bucket::new();
    let ingest = Function::start("ingest", &bucket.url(), &[]).await;
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    assert_eq!(ingest.request("POST", &path, &[JSON], &record("a")).await.status, 200);
    assert_eq!(read(&reader, &cluster, 0).await, ["a"]);
    reader.signal("STOP");
    for value in ["b", "c"] {
        assert_eq!(ingest.request("POST", &path, &[JSON], &record(value)).await.status, 200);
    }
    reader.signal("CONT");
    assert_eq!(read(&reader, &cluster, 1).await, ["b", "c"]);
}

#[tokio::test]
async fn a_store_that_refuses_is_an_answer() {
    let told = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
    let router = Router::new().fallback(move || async move { (StatusCode::FORBIDDEN, told) });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let settings = [("ALLUVIUM_ENDPOINT", endpoint.as_str())];
    for role in ["ingest", "reader"] {
        let function = Function::start(role, "s3://bucket/prefix", &settings).await;
        for _ in 0..2 {
            let refused = function.get("/topics").await;
            let message = refused.json()["message"].as_str().unwrap().to_owned();
            assert_eq!((refused.status, refused.json()["error_code"].as_u64()), (500, Some(50002)), "{refused:?}");
            assert!(message.contains("s3://bucket/prefix") && message.contains("denied"), "{message}");
        }
    }
    let compactor = Function::start("compactor", "s3://bucket/prefix", &settings).await;
    let failed = compactor.invoke(json!({})).await.unwrap_err();
    assert!(failed.contains("denied"), "{failed}");
}

#[tokio::test]
async fn oversized_and_malformed_events_are_refused_and_the_next_one_is_served() {
    let bucket = Bucket::new();
    let ingest = Function::start("ingest", &bucket.url(), &[]).await;
    let v2 = ("content-type", "application/vnd.kafka.string.v2+json");
    let oversized = json!({ "records": [{ "value": "x".repeat(6_000_001) }] }).to_string();
    let refused = ingest.request("POST", "/topics/t", &[v2], &oversized).await;
    assert_eq!((refused.status, refused.json()["error_code"].as_u64()), (413, Some(413)));
    assert!(refused.json()["message"].as_str().unwrap().contains("6000000"), "{refused:?}");
    assert_eq!(ingest.request("POST", "/topics/t", &[v2], "{\"records\":[").await.status, 400);
    assert_eq!(ingest.request("GET", "/nothing", &[], "").await.status, 404);
    for event in [json!(null), json!({ "version": "2.0" }), json!([1, 2]), json!("text")] {
        let failed = ingest.invoke(event.clone()).await;
        assert!(failed.is_err(), "{event} gave {failed:?}");
    }
    let good = json!({ "records": [{ "value": "a" }] }).to_string();
    let taken = ingest.request("POST", "/topics/t", &[v2], &good).await;
    assert_eq!(taken.json()["offsets"][0]["offset"], 0, "{taken:?}");
    // A body that came as base64 is the same body.
    let mut event = url_event("POST", "/topics/t", &[v2], "");
    event["body"] = json!("eyJyZWNvcmRzIjpbeyJ2YWx1ZSI6ImIifV19");
    event["isBase64Encoded"] = json!(true);
    assert_eq!(answer(ingest.invoke(event).await).json()["offsets"][0]["offset"], 1);
}

#[tokio::test]
async fn two_compactors_at_once_lose_nothing() {
    let bucket = Bucket::new();
    let ingest = Function::start("ingest", &bucket.url(), &[]).await;
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    let one = Function::start("compactor", &bucket.slow_url(), &[]).await;
    let two = Function::start("compactor", &bucket.slow_url(), &[]).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        for number in 0..5 {
            let value = format!("{round}-{number}");
            assert_eq!(ingest.request("POST", &path, &[JSON], &record(&value)).await.status, 200);
            expected.push(value);
        }
        let event = json!({ "at_once": true });
        let (first, second) = tokio::join!(one.invoke(event.clone()), two.invoke(event));
        let count = |report: &Value, what: &str| report[what].as_u64().unwrap();
        let (first, second) = (first.unwrap(), second.unwrap());
        assert_eq!(count(&first, "failed") + count(&second, "failed"), 0, "{first} {second}");
        assert!(count(&first, "replaced") + count(&second, "replaced") >= 1, "{first} {second}");
        assert_eq!(read(&reader, &cluster, 0).await, expected);
    }
}

/// As on AWS: the store is S3, credentials come from the environment that a role fills.
#[tokio::test]
async fn on_an_s3_server_with_the_credentials_of_a_role() {
    let Ok(endpoint) = std::env::var("ALLUVIUM_TEST_MINIO_ENDPOINT") else {
        assert_ne!(std::env::var("ALLUVIUM_TEST_NO_SKIP").as_deref(), Ok("1"), "there is no MinIO");
        println!("skipped: functions on MinIO (ALLUVIUM_TEST_MINIO_ENDPOINT is not set)");
        return;
    };
    let bucket = std::env::var("ALLUVIUM_TEST_S3_BUCKET").unwrap_or_else(|_| "conformance".to_owned());
    let corner = TempDir::new().unwrap();
    let corner = corner.path().file_name().unwrap().to_string_lossy().replace('.', "");
    let store = format!("s3://{bucket}/functions/{corner}");
    let role = [
        ("ALLUVIUM_ENDPOINT", endpoint.as_str()),
        ("AWS_ACCESS_KEY_ID", "minioadmin"),
        ("AWS_SECRET_ACCESS_KEY", "minioadmin"),
    ];
    let ingest = Function::start("ingest", &store, &role).await;
    let second = Function::start("ingest", &store, &role).await;
    let reader = Function::start("reader", &store, &role).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    let mut expected = Vec::new();
    for round in 0..5_i64 {
        let (id, value) = (format!("id-{round}"), format!("value-{round}"));
        let headers = [JSON, ("idempotency-key", id.as_str())];
        let body = record(&value);
        let send = |function| Function::request(function, "POST", &path, &headers, &body);
        let (first, other) = tokio::join!(send(&ingest), send(&second));
        assert_eq!((first.offsets(), other.offsets()), (vec![round], vec![round]));
        expected.push(value);
    }
    let compactor = Function::start("compactor", &store, &role).await;
    let report = compactor.invoke(json!({ "at_once": true })).await.unwrap();
    assert_eq!(report["replaced"], 1, "{report}");
    assert_eq!(read(&reader, &cluster, 0).await, expected);
    let wrong = [role[0], role[1], ("AWS_SECRET_ACCESS_KEY", "wrong")];
    let stranger = Function::start("reader", &store, &wrong).await;
    assert_eq!(stranger.get("/topics").await.status, 500);
}

#[tokio::test]
async fn a_signal_ends_a_function_in_order_after_the_request_at_hand() {
    let bucket = Bucket::new();
    let mut ingest = Function::start("ingest", &bucket.slow_url(), &[]).await;
    assert_eq!(ingest.get("/nothing").await.status, 404);
    let v2 = ("content-type", "application/vnd.kafka.string.v2+json");
    let entries = bucket.entries();
    let body = json!({ "records": [{ "value": "a" }] }).to_string();
    let open = ingest.begin(url_event("POST", "/topics/t", &[v2], &body)).await;
    // The topic is made, and the records are on their way.
    while bucket.entries() == entries {
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    ingest.signal("TERM");
    let answered = answer(tokio::time::timeout(Duration::from_secs(10), open).await.expect("it answers").unwrap());
    assert_eq!(answered.json()["offsets"][0]["offset"], 0, "{answered:?}");
    let ended = tokio::time::timeout(Duration::from_secs(10), ingest.ended()).await;
    assert_eq!(ended.expect("it ends"), Some(0));
}

#[tokio::test]
async fn a_stage_of_an_http_api_is_no_part_of_the_path() {
    let bucket = Bucket::new();
    let reader = Function::start("reader", &bucket.url(), &[]).await;
    for stage in ["prod", "topics", "$default"] {
        let event = match stage {
            "$default" => url_event("GET", "/topics?x=1", &[], ""),
            stage => stage_event(stage, "GET", "/topics?x=1", &[], ""),
        };
        let listed = answer(reader.invoke(event).await);
        assert_eq!((listed.status, listed.json()), (200, json!([])), "{stage}");
    }
    assert_eq!(answer(reader.invoke(stage_event("prod", "GET", "/nothing", &[], "")).await).status, 404);
}

#[tokio::test]
async fn each_sandbox_writes_under_a_name_of_its_own() {
    let bucket = Bucket::new();
    for value in ["a", "b"] {
        let ingest = Function::start("ingest", &bucket.url(), &[]).await;
        let v2 = ("content-type", "application/vnd.kafka.string.v2+json");
        let body = json!({ "records": [{ "value": value }] }).to_string();
        assert_eq!(ingest.request("POST", "/topics/t", &[v2], &body).await.status, 200);
    }
    let writers = bucket.writers();
    assert_eq!(writers.len(), 2, "{writers:?}");
    for writer in writers {
        let number = writer.strip_prefix("ingest-function-").unwrap_or_else(|| panic!("{writer}"));
        assert!(number.len() == 8 && u32::from_str_radix(number, 16).is_ok(), "{writer}");
    }
}
