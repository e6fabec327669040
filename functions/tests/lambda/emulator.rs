//! The side of the Lambda Runtime API that a function talks to, and a function's real binary on it.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::NamedTempFile;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

/// How long an invocation may take.
const INVOCATION_MAX: Duration = Duration::from_secs(60);

/// What a function made of an event.
pub(crate) type Outcome = Result<Value, String>;

/// An event, its id and how long its invocation may take.
type Event = (String, Value, Duration);

struct Service {
    events: AsyncMutex<mpsc::Receiver<Event>>,
    waiting: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

/// A function in a sandbox of its own.
pub(crate) struct Function {
    service: Arc<Service>,
    events: mpsc::Sender<Event>,
    child: Child,
    log: NamedTempFile,
}

/// An answer of the HTTP API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Offsets of a v3 produce.
    pub(crate) fn offsets(&self) -> Vec<i64> {
        self.body
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| line["offset"].as_i64().unwrap_or_else(|| panic!("{line}")))
            .collect()
    }
}

impl Function {
    /// Starts the binary of this role on a store.
    pub(crate) async fn start(role: &str, store: &str, settings: &[(&str, &str)]) -> Function {
        let (events, receiver) = mpsc::channel(64);
        let service = Arc::new(Service { events: AsyncMutex::new(receiver), waiting: Mutex::default() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(respond))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(fail))
            .with_state(service.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let binary = match role {
            "ingest" => env!("CARGO_BIN_EXE_ingest_lambda"),
            "reader" => env!("CARGO_BIN_EXE_reader_lambda"),
            "compactor" => env!("CARGO_BIN_EXE_compactor_lambda"),
            other => panic!("there is no {other}"),
        };
        let log = NamedTempFile::new().unwrap();
        let child = Command::new(binary)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", role)
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "stream")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "group")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("ALLUVIUM_STORE", store)
            .env("ALLUVIUM_LOG_FORMAT", "text")
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap())
            .spawn()
            .unwrap();
        Function { service, events, child, log }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// Sends an event; the outcome comes later.
    pub(crate) async fn begin(&self, event: Value) -> oneshot::Receiver<Outcome> {
        self.begin_within(event, INVOCATION_MAX).await
    }

    /// The same for an invocation that may take so long.
    pub(crate) async fn begin_within(&self, event: Value, invocation_max: Duration) -> oneshot::Receiver<Outcome> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = format!("8476a536-e9f4-11e8-9739-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (reply, outcome) = oneshot::channel();
        self.service.waiting.lock().insert(id.clone(), reply);
        self.events.send((id, event, invocation_max)).await.unwrap();
        outcome
    }

    /// Sends an event and waits.
    pub(crate) async fn invoke(&self, event: Value) -> Outcome {
        let outcome = self.begin(event).await;
        tokio::time::timeout(INVOCATION_MAX, outcome).await.expect("it answers in time").expect("it answers")
    }

    /// Sends a request as a function URL does.
    pub(crate) async fn request(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        answer(self.invoke(url_event(method, target, headers, body)).await)
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.request("GET", target, &[], "").await
    }

    /// Stops and goes on, as a sandbox between two instructions.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until the process has ended; its exit code.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            println!("{}", self.log());
        }
    }
}

/// What a function URL answers with.
pub(crate) fn answer(outcome: Outcome) -> Answer {
    let reply = outcome.expect("the function does not fail");
    assert_ne!(reply["isBase64Encoded"], true, "{reply}");
    Answer {
        status: reply["statusCode"].as_u64().unwrap_or_else(|| panic!("{reply}")),
        body: reply["body"].as_str().unwrap_or_default().to_owned(),
    }
}

/// A request as a function URL and an HTTP API send it.
pub(crate) fn url_event(method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers: HashMap<&str, &str> = headers.iter().copied().chain([("host", "x.lambda-url.local")]).collect();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "headers": headers,
        "requestContext": {
            "accountId": "anonymous", "apiId": "x", "domainName": "x.lambda-url.local", "domainPrefix": "x",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"
            },
            "requestId": "id", "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": 1_767_225_600_000_i64
        },
        "body": body, "isBase64Encoded": false
    })
}

/// A request as an HTTP API sends it from a stage that has a name.
pub(crate) fn stage_event(stage: &str, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let mut event = url_event(method, target, headers, body);
    let path = format!("/{stage}{}", event["rawPath"].as_str().unwrap());
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["requestContext"]["stage"] = json!(stage);
    event
}

/// A request as a REST API with a stage sends it.
pub(crate) fn gateway_event(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Value {
    let single: HashMap<&str, &str> = headers.iter().copied().collect();
    let multi: HashMap<&str, Vec<&str>> = headers.iter().map(|(name, value)| (*name, vec![*value])).collect();
    json!({
        "resource": "/{proxy+}", "path": path, "httpMethod": method, "headers": single, "multiValueHeaders": multi,
        "queryStringParameters": null, "multiValueQueryStringParameters": null, "pathParameters": null,
        "stageVariables": null,
        "requestContext": {
            "accountId": "1", "apiId": "x", "resourceId": "r", "resourcePath": "/{proxy+}", "httpMethod": method,
            "stage": "prod", "path": format!("/prod{path}"), "protocol": "HTTP/1.1", "requestId": "id",
            "requestTimeEpoch": 1_767_225_600_000_i64, "identity": { "sourceIp": "127.0.0.1", "userAgent": "test" }
        },
        "body": body, "isBase64Encoded": false
    })
}

async fn next(State(service): State<Arc<Service>>) -> Response {
    let Some((id, event, invocation_max)) = service.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", (now + invocation_max).as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:1:function:test".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700".to_owned()),
    ] {
        headers.insert(name, HeaderValue::from_str(&value).unwrap());
    }
    (headers, event.to_string()).into_response()
}

async fn respond(State(service): State<Arc<Service>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    end(&service, &id, Ok(serde_json::from_slice(&body).unwrap()))
}

async fn fail(State(service): State<Arc<Service>>, Path(id): Path<String>, body: Bytes) -> StatusCode {
    end(&service, &id, Err(String::from_utf8_lossy(&body).into_owned()))
}

fn end(service: &Service, id: &str, outcome: Outcome) -> StatusCode {
    if let Some(reply) = service.waiting.lock().remove(id) {
        // Whoever invoked may have gone.
        let _told = reply.send(outcome);
    }
    StatusCode::ACCEPTED
}
