//! The HTTP API: produce, read, topics, request ids and refusals, beside the Kafka door of the same node.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Fault, FaultRule, Faulty, Store, StoreOperation, StoreOptions, open};
use alluvium_ingest::{Ingest, IngestSettings};
use alluvium_log::{Log, LogOptions};
use alluvium_reader::{Reader, ReaderSettings};
use alluvium_server::ServerSettings;
use alluvium_server::rest::{AnswerBy, Rest, RestParts, RestSettings, Role};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::Node;
use crate::records::{fetch, texts};

/// The HTTP API of some process.
pub(crate) struct Api {
    router: Router,
    pub(crate) cluster: String,
    /// How long requests may take, where somebody sets that.
    pub(crate) patience: Option<Duration>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The objects of a streamed answer.
    fn lines(&self) -> Vec<Value> {
        self.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// A refusal's code; its shape is checked.
    pub(crate) fn error_code(&self) -> u64 {
        let json = self.json();
        assert!(!json["message"].as_str().unwrap().is_empty(), "{json}");
        let code = json["error_code"].as_u64().unwrap();
        let status = if code < 1000 { code } else { code / 100 };
        assert_eq!(status, u64::from(self.status), "{json}");
        code
    }
}

impl Api {
    pub(crate) fn of(node: &Node) -> Api {
        let router = node.server.rest(RestSettings::default()).router();
        Api { router, cluster: node.log.cluster_id().to_owned(), patience: None }
    }

    /// A process of its own without Kafka doors, on this store.
    async fn alone(store: Arc<dyn Store>, settings: RestSettings) -> Api {
        Api::until(store, settings, Shutdown::new()).await
    }

    /// The same, until it is told to end.
    async fn until(store: Arc<dyn Store>, settings: RestSettings, shutdown: Shutdown) -> Api {
        let runtime = Runtime::system();
        let options = LogOptions { probe: false, ..LogOptions::default() };
        let log = Log::open(store, options, runtime.clone()).await.unwrap();
        let cluster = log.cluster_id().to_owned();
        let parts = RestParts {
            ingest: Ingest::start(log.clone(), IngestSettings::default(), runtime.clone()),
            reader: Reader::new(log.clone(), ReaderSettings::default(), runtime.clone()),
            log,
            server: ServerSettings::default(),
            settings,
            runtime,
            shutdown,
        };
        Api { router: Rest::without_doors(parts).router(), cluster, patience: None }
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let path = path.replace("{c}", &self.cluster);
        let mut request = Request::builder().method(method).uri(path);
        if let Some(patience) = self.patience {
            request = request.extension(AnswerBy(Runtime::system().monotonic() + patience));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        Answer { status, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    /// v2 records in this format.
    pub(crate) async fn produce(&self, topic: &str, format: &str, body: &Value) -> Answer {
        let media_type = format!("application/vnd.kafka.{format}.v2+json");
        self.send(Method::POST, &format!("/topics/{topic}"), &[("content-type", &media_type)], body.to_string()).await
    }

    /// v3 records with a request id.
    async fn produce_once(&self, topic: &str, id: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", id)];
        self.send(Method::POST, &format!("/v3/clusters/{{c}}/topics/{topic}/records"), &headers, body.to_owned()).await
    }

    /// The values of partition 0 as texts.
    async fn values(&self, topic: &str) -> Vec<String> {
        let path = format!("/v3/clusters/{{c}}/topics/{topic}/partitions/0/records?format=string");
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let records = json["records"].as_array().unwrap();
        records.iter().map(|record| record["value"].as_str().unwrap().to_owned()).collect()
    }
}

fn v3_record(value: &str) -> String {
    json!({ "value": { "type": "STRING", "data": value } }).to_string()
}

#[tokio::test]
async fn what_is_produced_in_each_format_is_read_by_kafka_clients_and_here() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let binary = json!({ "records": [{ "key": "aw==", "value": "aGk=", "partition": 0 }] });
    let answer = api.produce("t", "binary", &binary).await;
    assert_eq!(answer.status, 200);
    let outcome = json!({ "partition": 0, "offset": 0, "error_code": null, "error": null });
    assert_eq!(answer.json()["offsets"], json!([outcome]));
    let mut client = node.client().await;
    assert_eq!(texts(&client.ask(11, &fetch("t", 0, 0)).await), [(0, "hi".to_owned())]);
    let text = r#"{"records":[{"value":{"b":1e400,"a":[1, 2]}},{"value":null}]}"#;
    let headers = [("content-type", "application/vnd.kafka.json.v2+json; charset=utf-8")];
    let answer = api.send(Method::POST, "/topics/t/partitions/0", &headers, text).await;
    assert_eq!(answer.json()["offsets"][1]["offset"], 2, "{answer:?}");
    assert_eq!(api.produce("t", "string", &json!({ "records": [{ "value": "ü" }] })).await.status, 200);
    let read = api.get("/v3/clusters/{c}/topics/t/partitions/0/records?offset=1&format=json&max_records=2").await;
    assert!(read.text.contains(r#""value":{"b":1e400,"a":[1, 2]}"#), "{read:?}");
    let json: Value = serde_json::from_str(&read.text.replace("1e400", "1")).unwrap();
    assert_eq!((json["next_offset"].as_i64(), json["high_watermark"].as_i64()), (Some(3), Some(4)));
    assert_eq!(json["records"][1]["value"], Value::Null);
    let read = api.get("/v3/clusters/{c}/topics/t/partitions/0/records?offset=0&max_records=1").await.json();
    assert_eq!((&read["records"][0]["key"], &read["records"][0]["value"]), (&json!("aw=="), &json!("aGk=")));
}

#[tokio::test]
async fn each_record_of_a_request_has_a_result_of_its_own() {
    let node = Node::start().await;
    let api = Api::of(&node);
    assert_eq!(
        api.post("/v3/clusters/{c}/topics", &json!({ "topic_name": "t", "partitions_count": 2 })).await.status,
        201
    );
    let records = json!({ "records": [
        { "value": "YQ==", "partition": 1 }, { "value": "?", "partition": 1 }, { "value": "YQ==", "partition": 2 },
        { "value": "YQ==", "partition": "x" }, { "value": "YQ==", "partition": 1 }, { "value": {}, "partition": 0 },
        { "value": "YQ==", "partition": 0 }
    ] });
    let answer = api.produce("t", "binary", &records).await.json();
    let offsets: Vec<(Option<i64>, Option<u64>)> = answer["offsets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|outcome| (outcome["offset"].as_i64(), outcome["error_code"].as_u64()))
        .collect();
    let refused = |code| (None, Some(code));
    let expected = [
        (Some(0), None),
        refused(42202),
        refused(40402),
        refused(42202),
        (Some(1), None),
        refused(42202),
        (Some(0), None),
    ];
    assert_eq!(offsets, expected);
}

#[tokio::test]
async fn a_stream_of_records_is_answered_record_by_record() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let good = r#"{"key":{"type":"STRING","data":"k"},"value":{"type":"JSON","data":{"a":1}},"headers":[{"name":"h","value":"aGk="}],"timestamp":"2026-01-01T00:00:00Z"}"#;
    let body = format!("{good}\n{}{good} {{\"value\":{{\"type\":\"AVRO\",\"data\":1}}}}", v3_record("x"));
    // Cut at every place that is hard: within a name, a string, a number.
    let pieces: Vec<Result<String, std::io::Error>> =
        body.as_bytes().chunks(7).map(|piece| Ok(String::from_utf8(piece.to_vec()).unwrap())).collect();
    let stream = Body::from_stream(futures_util::stream::iter(pieces));
    let path = "/v3/clusters/{c}/topics/t/records";
    let answer = api.send(Method::POST, path, &[("content-type", "application/json")], stream).await;
    let lines = answer.lines();
    assert_eq!(lines.len(), 4, "{answer:?}");
    let offsets: Vec<_> = lines.iter().map(|line| line["offset"].as_i64()).collect();
    assert_eq!(offsets, [Some(0), Some(1), Some(2), None]);
    assert_eq!(lines[0]["timestamp"], "2026-01-01T00:00:00.000Z");
    assert_eq!(lines[0]["key"], json!({ "type": "STRING", "size": 1 }));
    assert_eq!((lines[0]["error_code"].as_u64(), lines[3]["error_code"].as_u64()), (Some(200), Some(42202)));
    let read = api
        .get("/v3/clusters/{c}/topics/t/partitions/0/records?format=json&key_format=string&max_records=1")
        .await
        .json();
    assert_eq!(read["records"][0]["headers"], json!([{ "name": "h", "value": "aGk=" }]));
    let broken = api.send(Method::POST, path, &[], format!("{} ]", v3_record("y"))).await.lines();
    assert_eq!((broken[0]["offset"].as_i64(), broken[1]["error_code"].as_u64()), (Some(3), Some(400)));
    let cut = api.send(Method::POST, path, &[], r#"{"value":"#).await.lines();
    assert_eq!(cut[0]["error_code"], 400);
    assert_eq!(api.send(Method::POST, path, &[], " ").await.lines()[0]["error_code"], 42201);
    assert_eq!(api.produce_once("t", "id", "").await.error_code(), 42201);
    assert_eq!(api.produce_once("t", "id", "]").await.error_code(), 400);
}

#[tokio::test]
async fn the_same_request_id_is_one_set_of_records() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let body = format!("{}{}", v3_record("a"), v3_record("b"));
    let first = api.produce_once("t", "id-1", &body).await;
    let again = api.produce_once("t", "id-1", &body).await;
    let offsets =
        |answer: &Answer| answer.lines().iter().map(|line| line["offset"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!((offsets(&first), offsets(&again)), (vec![0, 1], vec![0, 1]));
    let other = api.produce_once("t", "id-1", &v3_record("c")).await.lines();
    assert_eq!(other[0]["error_code"], 40903);
    assert_eq!(api.produce_once("t", "id-2", &v3_record("c")).await.lines()[0]["offset"], 2);
    assert_eq!(api.values("t").await, ["a", "b", "c"]);
    let headers = [("content-type", "application/vnd.kafka.string.v2+json"), ("idempotency-key", "id-3")];
    for _ in 0..3 {
        let answer = api.send(Method::POST, "/topics/t", &headers, r#"{"records":[{"value":"d"}]}"#).await;
        assert_eq!(answer.json()["offsets"][0]["offset"], 3);
    }
    let wrong = api.produce_once("t", &"x".repeat(256), &v3_record("c")).await;
    assert_eq!(wrong.error_code(), 42202);
}

#[tokio::test]
async fn a_large_request_with_an_id_is_cut_the_same_way_each_time() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let large = "x".repeat(200_000);
    let body: String = (0..9).map(|_| v3_record(&large)).collect();
    let first = api.produce_once("t", "large", &body).await.lines();
    let again = api.produce_once("t", "large", &body).await.lines();
    let offsets = |lines: &[Value]| lines.iter().map(|line| line["offset"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(offsets(&first), (0..9).collect::<Vec<_>>());
    assert_eq!(offsets(&again), offsets(&first));
}

#[tokio::test]
async fn a_retry_that_is_cut_in_another_way_is_refused_and_doubles_nothing() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let body = v3_record(&"x".repeat(200_000)).repeat(5);
    let offsets = |answer: &Answer| answer.lines().iter().map(|line| line["offset"].as_i64()).collect::<Vec<_>>();
    let all: Vec<_> = (0..5).map(Some).collect();
    assert_eq!(offsets(&api.produce_once("t", "large", &body).await), all);
    let config = "/v3/clusters/{c}/topics/t/configs/max.message.bytes";
    for bytes in ["250000", "450000"] {
        let value = json!({ "value": bytes }).to_string();
        assert_eq!(api.send(Method::PUT, config, &[], value).await.status, 204);
        let again = api.produce_once("t", "large", &body).await.lines();
        let is_same_cut = bytes == "450000";
        for (line, offset) in again.iter().zip(0..) {
            match is_same_cut {
                true => assert_eq!(line["offset"], offset, "{bytes}: {again:?}"),
                false => assert_eq!(line["error_code"], 40903, "{bytes}: {again:?}"),
            }
        }
        assert_eq!(again.len(), 5);
    }
    // The other way round: what was written in five batches is not taken as three.
    assert_eq!(api.send(Method::PUT, config, &[], r#"{"value":"250000"}"#).await.status, 204);
    assert_eq!(api.produce_once("t", "small", &body).await.lines()[4]["offset"], 9);
    assert_eq!(api.send(Method::DELETE, config, &[], "").await.status, 204);
    let joined = api.produce_once("t", "small", &body).await.lines();
    assert!(joined.iter().all(|line| line["error_code"] == 40903), "{joined:?}");
    let ends = api.get("/topics/t/partitions/0/offsets").await.json();
    assert_eq!(ends, json!({ "beginning_offset": 0, "end_offset": 10 }));
}

#[tokio::test]
async fn the_batches_of_a_large_request_follow_the_first_one() {
    let runtime = Runtime::system();
    let faulty = Faulty::new(open("memory://", &StoreOptions::default(), &runtime).unwrap(), runtime.clone());
    let mut api = Api::alone(faulty.clone(), RestSettings::default()).await;
    assert_eq!(api.produce_once("t", "first", &v3_record("0")).await.status, 200);
    let body = v3_record(&"x".repeat(200_000)).repeat(5);
    api.patience = Some(Duration::from_millis(500));
    faulty.script(FaultRule::always(StoreOperation::PutIfAbsent, "", Fault::Unavailable503));
    let lines = api.produce_once("t", "large", &body).await.lines();
    assert!(lines[..2].iter().all(|line| [50303, 50402].contains(&line["error_code"].as_u64().unwrap())), "{lines:?}");
    assert!(lines[2..].iter().all(|line| line["error_code"] == 50303), "{lines:?}");
    faulty.clear();
    api.patience = None;
    let lines = api.produce_once("t", "large", &body).await.lines();
    let offsets: Vec<_> = lines.iter().map(|line| line["offset"].as_i64()).collect();
    assert_eq!(offsets, (1..6).map(Some).collect::<Vec<_>>());
    assert_eq!(api.produce_once("t", "next", &v3_record("1")).await.lines()[0]["offset"], 6);
}

#[tokio::test]
async fn one_id_at_two_processes_at_once_is_one_record() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let one = Api::alone(store.clone(), RestSettings::default()).await;
    let two = Api::alone(store.clone(), RestSettings::default()).await;
    assert_eq!(one.produce_once("t", "first", &v3_record("0")).await.lines()[0]["offset"], 0);
    for round in 1..20 {
        let (id, body) = (format!("round-{round}"), v3_record(&round.to_string()));
        let (here, there) = tokio::join!(one.produce_once("t", &id, &body), two.produce_once("t", &id, &body));
        let offset = |answer: &Answer| answer.lines()[0]["offset"].as_i64();
        assert_eq!((offset(&here), offset(&there)), (Some(round), Some(round)), "{here:?} {there:?}");
    }
    let expected: Vec<String> = (0..20).map(|round| round.to_string()).collect();
    assert_eq!(two.values("t").await, expected);
}

#[tokio::test]
async fn a_reply_that_was_lost_is_found_by_the_retry_of_another_process() {
    let runtime = Runtime::system();
    let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
    let faulty = Faulty::new(store.clone(), runtime.clone());
    let frozen = Api::alone(faulty.clone(), RestSettings::default()).await;
    let other = Api::alone(store, RestSettings::default()).await;
    assert_eq!(frozen.produce_once("t", "first", &v3_record("0")).await.status, 200);
    // Its next PUT is applied, and then nothing comes back for long.
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::SlowReply(Duration::from_secs(3))));
    let lost = v3_record("1");
    let hanging = frozen.produce_once("t", "lost", &lost);
    let retried = async {
        while faulty.injected().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let retried = other.produce_once("t", "lost", &v3_record("1")).await;
        assert_eq!(other.produce_once("t", "next", &v3_record("2")).await.lines()[0]["offset"], 2);
        retried
    };
    let (hanging, retried) = tokio::join!(hanging, retried);
    assert_eq!(retried.lines()[0]["offset"], 1);
    assert_eq!(hanging.lines()[0]["offset"], 1, "{hanging:?}");
    assert_eq!(frozen.values("t").await, ["0", "1", "2"]);
}

#[tokio::test]
async fn refusals_have_a_code_and_a_sentence() {
    let node = Node::start_with(|settings| settings.auto_create_topics = false).await;
    let api = Api::of(&node);
    assert_eq!(api.post("/v3/clusters/{c}/topics", &json!({ "topic_name": "t" })).await.status, 201);
    let v2 = ("content-type", "application/vnd.kafka.json.v2+json");
    let records = r#"{"records":[{"value":1}]}"#;
    let path = "/v3/clusters/{c}/topics/t/partitions/0/records";
    for (method, target, headers, body, code) in [
        (Method::GET, "/nothing", &[][..], "", 404),
        (Method::PATCH, "/topics", &[], "", 405),
        (Method::GET, "/topics/u", &[], "", 40401),
        (Method::GET, "/topics/t/partitions/1", &[], "", 40402),
        (Method::GET, "/topics/t/partitions/x", &[], "", 40402),
        (Method::GET, "/topics/%FF", &[], "", 400),
        (Method::GET, "/v3/clusters/x", &[], "", 404),
        (Method::POST, "/topics/u", &[v2], records, 40401),
        (Method::POST, "/topics/t", &[], records, 415),
        (Method::POST, "/topics/t", &[("content-type", "application/vnd.kafka.avro.v2+json")], records, 415),
        (Method::POST, "/topics/t", &[v2], "{", 400),
        (Method::POST, "/topics/t", &[v2], "[]", 42202),
        (Method::POST, "/topics/t", &[v2], "{}", 42201),
        (Method::POST, "/topics/t", &[v2], r#"{"records":[]}"#, 42201),
        (Method::POST, "/topics/t", &[v2, ("content-length", "99999999")], records, 413),
        (Method::POST, "/v3/clusters/{c}/topics/u/records", &[], "{}", 40401),
        (Method::POST, "/v3/clusters/{c}/topics/t/records", &[("content-type", "text/plain")], "{}", 415),
        (Method::POST, "/v3/clusters/{c}/topics", &[], r#"{"topic_name":"t"}"#, 40901),
        (Method::POST, "/v3/clusters/{c}/topics", &[], r#"{"topic_name":"a b"}"#, 40002),
        (Method::POST, "/v3/clusters/{c}/topics", &[], "{}", 42201),
        (Method::PUT, "/v3/clusters/{c}/topics/t/configs/retention.ms", &[], r#"{"value":"x"}"#, 40002),
        (Method::PUT, "/v3/clusters/{c}/topics/t/configs/nothing", &[], r#"{"value":"1"}"#, 40002),
        (Method::GET, "/v3/clusters/{c}/topics/t/configs/nothing", &[], "", 404),
    ] {
        let answer = api.send(method.clone(), target, headers, body).await;
        assert_eq!(answer.error_code(), code, "{method} {target} {answer:?}");
    }
    for (query, code) in [
        ("offset=1", 41601),
        ("offset=x", 42202),
        ("offset=-1", 42202),
        ("wait_ms=x", 42202),
        ("format=avro", 42202),
        ("isolation=x", 42202),
        ("max_bytes=x", 42202),
        ("max_records=-1", 42202),
    ] {
        assert_eq!(api.get(&format!("{path}?{query}")).await.error_code(), code, "{query}");
    }
    assert_eq!(api.get(path).await.json()["records"], json!([]));
}

#[tokio::test]
async fn large_requests_and_large_answers_have_their_bounds() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let settings = RestSettings { role: Role::Node, request_bytes_max: 20_000, response_bytes_max: 10_000 };
    let api = Api::alone(store, settings).await;
    let record = |bytes: usize| json!({ "records": [{ "value": "x".repeat(bytes) }] });
    assert_eq!(api.produce("t", "string", &record(21_000)).await.error_code(), 413);
    let pieces = (0..30).map(|_| Ok::<_, std::io::Error>("x".repeat(1_000)));
    let endless = Body::from_stream(futures_util::stream::iter(pieces));
    let headers = [("content-type", "application/vnd.kafka.string.v2+json")];
    assert_eq!(api.send(Method::POST, "/topics/t", &headers, endless).await.error_code(), 413);
    for bytes in [6_000, 6_000, 12_000] {
        assert_eq!(api.produce("t", "string", &record(bytes)).await.status, 200);
    }
    let path = "/v3/clusters/{c}/topics/t/partitions/0/records";
    let first = api.get(path).await.json();
    assert_eq!((first["records"].as_array().unwrap().len(), first["next_offset"].as_i64()), (1, Some(1)));
    let too_large = api.get(&format!("{path}?offset=2")).await;
    assert_eq!(too_large.error_code(), 413);
    assert!(too_large.text.contains("offset 2") && too_large.text.contains("offset 3"), "{too_large:?}");
}

#[tokio::test]
async fn answers_of_functions_fit_with_what_is_put_around_them_in_every_format() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let writer = Api::alone(store.clone(), RestSettings::default()).await;
    let response_bytes_max = 20_000;
    let bounded = RestSettings { role: Role::Reader, response_bytes_max, ..RestSettings::default() };
    let reader = Api::alone(store, bounded).await;
    let values = [
        ("quotes", "\"".repeat(1_000), &["binary", "string"][..]),
        ("control", "\u{1}".repeat(1_000), &["binary", "string"]),
        ("letters", "ü".repeat(1_000), &["binary", "string"]),
        ("json", json!({ "a": vec!["\"\\\n"; 100] }).to_string(), &["binary", "string", "json"]),
    ];
    for (topic, value, formats) in values {
        let records: Vec<Value> = (0..30).map(|_| json!({ "value": value })).collect();
        assert_eq!(writer.produce(topic, "string", &json!({ "records": records })).await.status, 200);
        for format in formats {
            let (mut next, mut count) = (0, 0);
            while next < 30 {
                let path =
                    format!("/v3/clusters/{{c}}/topics/{topic}/partitions/0/records?format={format}&offset={next}");
                let answer = reader.get(&path).await;
                let enclosed = json!({ "statusCode": 200, "body": answer.text }).to_string();
                assert!(enclosed.len() <= response_bytes_max, "{topic} {format}: {}", enclosed.len());
                let answer = answer.json();
                count += answer["records"].as_array().unwrap_or_else(|| panic!("{answer}")).len();
                next = answer["next_offset"].as_i64().unwrap();
            }
            assert_eq!(count, 30, "{topic} {format}");
        }
    }
    let invalid = json!({ "records": vec![json!({ "value": "////".repeat(1_000) }); 2] });
    assert_eq!(writer.produce("invalid", "binary", &invalid).await.status, 200);
    let path = "/v3/clusters/{c}/topics/invalid/partitions/0/records";
    let replaced = reader.get(&format!("{path}?format=string")).await;
    assert_eq!(replaced.json()["next_offset"], 2, "{replaced:?}");
    assert!(json!({ "body": replaced.text }).to_string().len() <= response_bytes_max);
    // What cannot be shown ends the answer before it, and is told to whoever goes on there.
    let mixed = json!({ "records": [{ "value": "1" }, { "value": "{" }, { "value": "3" }] });
    assert_eq!(writer.produce("mixed", "string", &mixed).await.status, 200);
    let path = "/v3/clusters/{c}/topics/mixed/partitions/0/records?format=json";
    let first = reader.get(path).await.json();
    assert_eq!((&first["records"][0]["value"], &first["next_offset"]), (&json!(1), &json!(1)));
    assert_eq!(reader.get(&format!("{path}&offset=1")).await.error_code(), 42206);
}

#[tokio::test]
async fn answers_that_are_not_streamed_bound_the_number_of_records() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let settings = RestSettings { role: Role::Ingest, request_bytes_max: 100_000, response_bytes_max: 4_096 };
    let api = Api::alone(store, settings).await;
    let records: Vec<Value> = (0..17).map(|_| json!({ "value": "a" })).collect();
    let refused = api.produce("t", "string", &json!({ "records": records })).await;
    assert_eq!(refused.error_code(), 413);
    let lines = api.produce_once("t", "id", &v3_record("a").repeat(20)).await.lines();
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert_eq!((lines[9]["offset"].as_i64(), lines[10]["error_code"].as_u64()), (Some(9), Some(413)));
    let large = json!({ "records": [{ "value": "x".repeat(1_100_000) }, { "value": "y" }] });
    let node = Node::start().await;
    let outcomes = Api::of(&node).produce("t", "string", &large).await.json();
    assert_eq!((&outcomes["offsets"][0]["error_code"], &outcomes["offsets"][1]["offset"]), (&json!(413), &json!(0)));
}

#[tokio::test]
async fn what_is_not_written_and_what_is_in_doubt_are_told_apart() {
    let runtime = Runtime::system();
    let faulty = Faulty::new(open("memory://", &StoreOptions::default(), &runtime).unwrap(), runtime.clone());
    let mut api = Api::alone(faulty.clone(), RestSettings::default()).await;
    assert_eq!(api.produce_once("t", "first", &v3_record("0")).await.status, 200);
    api.patience = Some(Duration::from_millis(300));
    faulty.script(FaultRule::next(StoreOperation::PutIfAbsent, Fault::SlowReply(Duration::from_secs(2))));
    let doubtful = api.produce_once("t", "doubtful", &v3_record("1")).await.lines();
    assert_eq!(doubtful[0]["error_code"], 50402);
    api.patience = None;
    assert_eq!(api.produce_once("t", "doubtful", &v3_record("1")).await.lines()[0]["offset"], 1);
    faulty.set_down(true);
    api.patience = Some(Duration::from_millis(300));
    let refused = api.produce("u", "string", &json!({ "records": [{ "value": "x" }] })).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(api.get("/topics").await.status, 503);
    faulty.set_down(false);
    api.patience = None;
    assert_eq!(api.values("t").await, ["0", "1"]);
}

#[tokio::test]
async fn a_stream_that_is_open_ends_with_the_node() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let shutdown = Shutdown::new();
    let api = Api::until(store, RestSettings::default(), shutdown.clone()).await;
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(v3_record("a"))]);
    let open_for_ever = Body::from_stream(first.chain(futures_util::stream::pending()));
    let streaming = api.send(Method::POST, "/v3/clusters/{c}/topics/t/records", &[], open_for_ever);
    let ending = async {
        while api.get("/v3/clusters/{c}/topics/t/partitions/0/records").await.status != 200 {}
        while api.values("t").await.is_empty() {}
        shutdown.trigger();
    };
    let (answer, ()) = tokio::join!(streaming, ending);
    let lines = answer.lines();
    assert_eq!((lines[0]["offset"].as_i64(), lines[1]["error_code"].as_u64()), (Some(0), Some(50301)), "{lines:?}");
}

#[tokio::test]
async fn a_read_waits_for_what_another_process_writes() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let writer = Api::alone(store.clone(), RestSettings { role: Role::Ingest, ..RestSettings::default() }).await;
    assert_eq!(writer.produce_once("t", "1", &v3_record("a")).await.status, 200);
    let reader = Api::alone(store, RestSettings { role: Role::Reader, ..RestSettings::default() }).await;
    assert_eq!(reader.values("t").await, ["a"]);
    // Nobody tells the reader: it looks by itself, at once and while it waits.
    assert_eq!(writer.produce_once("t", "2", &v3_record("b")).await.status, 200);
    let path = "/v3/clusters/{c}/topics/t/partitions/0/records?format=string";
    assert_eq!(reader.get(&format!("{path}&offset=1")).await.json()["records"][0]["value"], "b");
    let waiting_path = format!("{path}&offset=2&wait_ms=20000");
    let third = v3_record("c");
    let (read, _) = tokio::join!(reader.get(&waiting_path), writer.produce_once("t", "3", &third));
    assert_eq!(read.json()["records"][0]["value"], "c");
    assert_eq!(writer.get("/topics").await.status, 404, "an ingest function reads nothing");
    assert_eq!(reader.produce("t", "string", &json!({})).await.status, 405, "a reader function writes nothing");
}

#[tokio::test]
async fn topics_are_managed_and_listed() {
    let node = Node::start().await;
    let api = Api::of(&node);
    let wanted =
        json!({ "topic_name": "t", "partitions_count": 3, "configs": [{ "name": "retention.ms", "value": "5000" }] });
    let only_checked = json!({ "topic_name": "t", "validate_only": true });
    assert_eq!(api.post("/v3/clusters/{c}/topics", &only_checked).await.status, 200);
    assert_eq!(api.get("/topics").await.json(), json!([]));
    assert_eq!(api.post("/v3/clusters/{c}/topics", &wanted).await.json()["partitions_count"], 3);
    assert_eq!(api.get("/topics").await.json(), json!(["t"]));
    let topic = api.get("/topics/t").await.json();
    assert_eq!((topic["partitions"].as_array().unwrap().len(), &topic["configs"]["retention.ms"]), (3, &json!("5000")));
    assert_eq!(api.get("/topics/t/partitions").await.json()[2]["partition"], 2);
    assert_eq!(api.get("/topics/t/partitions/2").await.json()["leader"], 1);
    let config = "/v3/clusters/{c}/topics/t/configs/retention.ms";
    assert_eq!(api.get(config).await.json()["value"], "5000");
    assert_eq!(api.send(Method::PUT, config, &[], r#"{"value":"7000"}"#).await.status, 204);
    assert_eq!(api.get(config).await.json()["value"], "7000");
    assert_eq!(api.send(Method::DELETE, config, &[], "").await.status, 204);
    assert_eq!(api.get(config).await.json()["is_default"], true);
    let list = api.get("/v3/clusters/{c}/topics").await.json();
    assert_eq!((list["kind"].as_str(), list["data"][0]["topic_name"].as_str()), (Some("KafkaTopicList"), Some("t")));
    assert_eq!(api.get("/v3/clusters/{c}/topics/t/partitions/1").await.json()["partition_id"], 1);
    assert_eq!(api.get("/v3/clusters").await.json()["data"][0]["cluster_id"], api.cluster.as_str());
    let offsets = || async { api.get("/topics/t/partitions/0/offsets").await.json() };
    assert_eq!(offsets().await, json!({ "beginning_offset": 0, "end_offset": 0 }));
    assert_eq!(api.produce("t", "string", &json!({ "records": [{ "value": "a", "partition": 0 }] })).await.status, 200);
    assert_eq!(offsets().await, json!({ "beginning_offset": 0, "end_offset": 1 }));
    assert_eq!(api.send(Method::DELETE, "/v3/clusters/{c}/topics/t", &[], "").await.status, 204);
    assert_eq!(api.get("/topics/t").await.error_code(), 40401);
}

#[tokio::test]
async fn groups_are_shown_and_offsets_committed_without_membership() {
    let node = Node::start().await;
    let api = Api::of(&node);
    assert_eq!(
        api.produce("t", "string", &json!({ "records": [{ "value": "a" }, { "value": "b" }] })).await.status,
        200
    );
    let path = "/v3/clusters/{c}/consumer-groups/g";
    assert_eq!(api.get(path).await.error_code(), 40404);
    assert_eq!(api.get(&format!("{path}/offsets")).await.json()["data"], json!([]));
    let commit = |offset: i64| {
        json!({ "offsets": [
        { "topic_name": "t", "partition_id": 0, "offset": offset, "metadata": "m" },
        { "topic_name": "t", "partition_id": 7, "offset": 0 }, { "topic_name": "u", "partition_id": 0, "offset": 0 },
        { "topic_name": "t", "partition_id": 0, "offset": -1 }
    ] })
    };
    let results = api.post(&format!("{path}/offsets"), &commit(1)).await.json();
    let codes: Vec<_> = results["results"].as_array().unwrap().iter().map(|one| one["error_code"].as_u64()).collect();
    assert_eq!(codes, [Some(200), Some(40402), Some(40401), Some(42202)]);
    let read = api.get(&format!("{path}/offsets?topic=t&partition=0")).await.json();
    assert_eq!((&read["data"][0]["offset"], &read["data"][0]["metadata"]), (&json!(1), &json!("m")));
    assert_eq!(api.get(&format!("{path}/offsets?topic=u")).await.json()["data"], json!([]));
    let lags = api.get(&format!("{path}/lags")).await.json();
    assert_eq!((&lags["data"][0]["lag"], &lags["data"][0]["topic_name"]), (&json!(1), &json!("t")));
    let summary = api.get(&format!("{path}/lag-summary")).await.json();
    assert_eq!((&summary["max_lag"], &summary["total_lag"]), (&json!(1), &json!(1)));
    assert_eq!(api.get(path).await.json()["is_simple"], true);
    assert_eq!(api.get("/v3/clusters/{c}/consumer-groups").await.json()["data"][0]["consumer_group_id"], "g");
    assert_eq!(api.post(&format!("{path}/offsets"), &json!({})).await.error_code(), 42201);
}

#[tokio::test]
async fn a_process_that_leads_nothing_commits_offsets_of_groups_without_members() {
    let store = open("memory://", &StoreOptions::default(), &Runtime::system()).unwrap();
    let node = Node::start_on(store.clone(), &Runtime::system()).await;
    let (api, reader) =
        (Api::of(&node), Api::alone(store, RestSettings { role: Role::Reader, ..RestSettings::default() }).await);
    assert_eq!(api.produce("t", "string", &json!({ "records": [{ "value": "a" }] })).await.status, 200);
    let commit = json!({ "offsets": [{ "topic_name": "t", "partition_id": 0, "offset": 1 }] });
    let path = "/v3/clusters/{c}/consumer-groups/g/offsets";
    assert_eq!(reader.post(path, &commit).await.json()["results"][0]["error_code"], 200);
    assert_eq!(api.get(path).await.json()["data"][0]["offset"], 1);
    let consumer = "/consumers/g/instances/one";
    assert_eq!(api.post("/consumers/g", &json!({ "name": "one" })).await.status, 200);
    assert_eq!(api.post(&format!("{consumer}/subscription"), &json!({ "topics": ["t"] })).await.status, 204);
    for outside in [&api, &reader] {
        assert_eq!(outside.post(path, &commit).await.error_code(), 40904);
    }
    assert_eq!(api.send(Method::DELETE, consumer, &[], "").await.status, 204);
    assert_eq!(reader.post(path, &commit).await.json()["results"][0]["error_code"], 200);
}
