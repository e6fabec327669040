//! Functions on a store that does not answer or asks for fewer requests: every answer comes in time and says what is known.

use std::time::Duration;

use serde_json::{Value, json};

use crate::emulator::{Answer, Function, answer, url_event};
use crate::s3::{Mood, S3};
use crate::{JSON, cluster_of, read, record, records_path};

/// As short as somebody may set `timeout_seconds`.
const SHORT: Duration = Duration::from_secs(3);
/// Longer than a sandbox may take to start.
const STARTED_BY: Duration = Duration::from_secs(20);
const V2: (&str, &str) = ("content-type", "application/vnd.kafka.string.v2+json");

async fn start(role: &str, bucket: &S3) -> Function {
    Function::start(role, S3::URL, &[("ALLUVIUM_ENDPOINT", bucket.endpoint.as_str())]).await
}

/// The answer to a request that has so much time; it comes before that is up.
async fn in_time(function: &Function, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let outcome = function.begin_within(url_event(method, target, headers, body), SHORT).await;
    answer(tokio::time::timeout(SHORT, outcome).await.expect("it answers in time").unwrap())
}

fn error_code(answer: &Answer) -> u64 {
    answer.json()["error_code"].as_u64().unwrap_or_else(|| panic!("{answer:?}"))
}

/// A v2 request with this value; the code of its only record, or 200.
async fn produce(ingest: &Function, id: &str, value: &str) -> u64 {
    let body = json!({ "records": [{ "value": value, "partition": 0 }] }).to_string();
    let answer = in_time(ingest, "POST", "/topics/t", &[V2, ("idempotency-key", id)], &body).await;
    if answer.status != 200 {
        return error_code(&answer);
    }
    let json = answer.json();
    json["offsets"][0]["error_code"].as_u64().unwrap_or(200)
}

#[tokio::test]
async fn a_store_that_never_answered_is_told_in_time() {
    let bucket = S3::start(Mood::Hangs).await;
    for role in ["ingest", "reader"] {
        let function = start(role, &bucket).await;
        // The sandbox starts without the store, in the time that it has for that.
        let first = function.begin_within(url_event("GET", "/topics", &[], ""), SHORT).await;
        let first = answer(tokio::time::timeout(STARTED_BY, first).await.expect("it starts").unwrap());
        assert_eq!((first.status, error_code(&first)), (503, 50301), "{first:?}");
        let body = json!({ "records": [{ "value": "a" }] }).to_string();
        let second = in_time(&function, "POST", "/topics/t", &[V2], &body).await;
        assert_eq!((second.status, error_code(&second)), (503, 50301), "{second:?}");
    }
}

#[tokio::test]
async fn a_store_that_answers_no_more_is_told_in_time() {
    let bucket = S3::start(Mood::Serves).await;
    let ingest = start("ingest", &bucket).await;
    let reader = start("reader", &bucket).await;
    let cluster = cluster_of(&reader).await;
    let path = records_path(&cluster);
    assert_eq!(ingest.request("POST", &path, &[JSON], &record("a")).await.offsets(), [0]);
    assert_eq!(read(&reader, &cluster, 0).await, ["a"]);
    bucket.set(Mood::Hangs);
    let doubtful = [JSON, ("idempotency-key", "id")];
    let unknown = in_time(&ingest, "POST", &path, &doubtful, &record("b")).await;
    assert_eq!(error_code(&unknown), 50402, "{unknown:?}");
    // A topic that is not known: the log must be read, and nothing is written.
    assert_eq!(in_time(&ingest, "POST", "/topics/u", &[V2], r#"{"records":[{"value":"a"}]}"#).await.status / 100, 5);
    let target = format!("/v3/clusters/{cluster}/topics/t/partitions/0/records?offset=1&wait_ms=60000");
    for target in [target.as_str(), "/topics", "/topics/t/partitions/0/offsets"] {
        let refused = in_time(&reader, "GET", target, &[], "").await;
        assert_eq!((refused.status, error_code(&refused)), (503, 50301), "{target} {refused:?}");
    }
    bucket.set(Mood::Serves);
    assert_eq!(ingest.request("POST", &path, &doubtful, &record("b")).await.offsets(), [1]);
    assert_eq!(read(&reader, &cluster, 0).await, ["a", "b"]);
}

#[tokio::test]
async fn a_store_that_throttles_is_waited_for_and_then_told() {
    let bucket = S3::start(Mood::Serves).await;
    let ingest = start("ingest", &bucket).await;
    let reader = start("reader", &bucket).await;
    let compactor = start("compactor", &bucket).await;
    let cluster = cluster_of(&reader).await;
    assert_eq!(produce(&ingest, "first", "a").await, 200);
    bucket.set(Mood::Throttles(2));
    assert_eq!(produce(&ingest, "second", "b").await, 200);
    assert_eq!(bucket.mood(), Mood::Serves, "it was throttled");
    bucket.set(Mood::Throttles(2));
    assert_eq!(read(&reader, &cluster, 0).await, ["a", "b"]);
    assert_eq!(bucket.mood(), Mood::Serves, "it was throttled");

    bucket.set(Mood::THROTTLES);
    let refused = produce(&ingest, "third", "c").await;
    assert!([50303, 50402].contains(&refused), "{refused}");
    let logged = ingest.log();
    let line = logged.lines().find(|line| line.contains("records were not acknowledged"));
    assert!(line.is_some_and(|line| line.contains("ERROR") && line.contains("topic=\"t\"")), "{logged}");
    let target = format!("/v3/clusters/{cluster}/topics/t/partitions/0/records?offset=2");
    let unread = in_time(&reader, "GET", &target, &[], "").await;
    assert_eq!((unread.status, error_code(&unread)), (503, 50301), "{unread:?}");
    let failed = compactor.invoke(json!({ "at_once": true })).await.unwrap_err();
    assert!(failed.contains("fewer requests"), "{failed}");

    bucket.set(Mood::Serves);
    assert_eq!(produce(&ingest, "third", "c").await, 200);
    assert_eq!(read(&reader, &cluster, 0).await, ["a", "b", "c"]);
    bucket.set(Mood::Throttles(2));
    let report: Value = compactor.invoke(json!({ "at_once": true })).await.unwrap();
    assert_eq!((&report["complete"], &report["replaced"], &report["failed"]), (&json!(true), &json!(1), &json!(0)));
    assert_eq!(read(&reader, &cluster, 0).await, ["a", "b", "c"]);
}
