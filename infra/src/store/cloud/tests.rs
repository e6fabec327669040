//! The S3 client against a server that answers as told: what each reply becomes, and how many requests it takes.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::store::{self, StoreCredentials};

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Answers every request with the same bytes and counts them.
struct Answering {
    endpoint: String,
    requests: Arc<AtomicUsize>,
}

impl Answering {
    async fn with(runtime: &Runtime, reply: String) -> Answering {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        let tasks = runtime.clone();
        runtime.spawn("server", async move {
            while let Ok((connection, _)) = listener.accept().await {
                tasks.spawn("connection", serve(connection, reply.clone(), Arc::clone(&counter)));
            }
        });
        Answering { endpoint, requests }
    }

    async fn status(runtime: &Runtime, status: &str, body: &str) -> Answering {
        let length = body.len();
        Answering::with(
            runtime,
            format!("HTTP/1.1 {status}\r\ndate: {DATE}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"),
        )
        .await
    }

    fn open(&self, runtime: &Runtime) -> Arc<dyn Store> {
        let options = StoreOptions {
            endpoint: Some(self.endpoint.clone()),
            credentials: Some(StoreCredentials {
                access_key_id: "key".to_owned(),
                secret_access_key: "secret".to_owned(),
                session_token: None,
            }),
            retries_max: 2,
            ..StoreOptions::default()
        };
        store::open("s3://bucket/prefix", &options, runtime).unwrap()
    }

    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::SeqCst)
    }
}

async fn serve(mut connection: TcpStream, reply: String, requests: Arc<AtomicUsize>) {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let Ok(length @ 1..) = connection.read(&mut buffer).await else {
            return;
        };
        received.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&received).to_lowercase();
        let Some(head) = text.find("\r\n\r\n") else {
            continue;
        };
        let body: usize =
            text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()?.parse().ok()).unwrap_or(0);
        if received.len() >= head + 4 + body {
            break;
        }
    }
    requests.fetch_add(1, Ordering::SeqCst);
    let _gone = connection.write_all(reply.as_bytes()).await;
    let _gone = connection.shutdown().await;
}

fn error_body(code: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>words</Message></Error>")
}

#[tokio::test]
async fn each_status_becomes_the_error_it_means_and_puts_are_sent_once() {
    let runtime = Runtime::system();
    let path = StorePath::from("a");
    let cases: [(&str, &str, StoreErrorKind); 14] = [
        ("412 Precondition Failed", "PreconditionFailed", |error| *error == StoreError::AlreadyExists),
        ("409 Conflict", "ConditionalRequestConflict", |error| *error == StoreError::Conflict),
        ("429 Too Many Requests", "TooManyRequests", |error| *error == StoreError::Throttled),
        ("503 Service Unavailable", "SlowDown", |error| *error == StoreError::Throttled),
        ("503 Service Unavailable", "ServiceUnavailable", |error| matches!(error, StoreError::Unavailable(_))),
        ("500 Internal Server Error", "InternalError", |error| matches!(error, StoreError::Unavailable(_))),
        ("501 Not Implemented", "NotImplemented", |error| matches!(error, StoreError::Unsupported(_))),
        ("404 Not Found", "NoSuchBucket", |error| matches!(error, StoreError::BucketMissing(_))),
        ("404 Not Found", "NoSuchKey", |error| *error == StoreError::NotFound),
        ("403 Forbidden", "AccessDenied", |error| matches!(error, StoreError::PermissionDenied(_))),
        ("401 Unauthorized", "Unauthorized", |error| matches!(error, StoreError::PermissionDenied(_))),
        ("408 Request Timeout", "RequestTimeout", |error| *error == StoreError::Timeout),
        (
            "400 Bad Request",
            "AuthorizationHeaderMalformed",
            |error| matches!(error, StoreError::Other(words) if words.contains("AWS_REGION")),
        ),
        ("400 Bad Request", "InvalidRequest", |error| matches!(error, StoreError::Other(_))),
    ];
    for (status, code, expected) in cases {
        let server = Answering::status(&runtime, status, &error_body(code)).await;
        let store = server.open(&runtime);
        let error = store.put_if_absent(&path, Payload::from(&b"x"[..])).await.unwrap_err();
        assert!(expected(&error), "{status} {code} gave {error:?}");
        assert_eq!(server.requests(), 1, "requests at {status}");
        assert_eq!(store.clock_ms(), Some(784_111_777_000));
    }
}

type StoreErrorKind = fn(&StoreError) -> bool;

#[tokio::test]
async fn reads_and_plain_puts_are_tried_again() {
    let runtime = Runtime::system();
    let path = StorePath::from("a");
    let server = Answering::status(&runtime, "503 Service Unavailable", "").await;
    let store = server.open(&runtime);
    assert!(store.get(&path).await.unwrap_err().is_retryable());
    assert_eq!(server.requests(), 3);
    assert!(store.put(&path, Payload::from(&b"x"[..])).await.unwrap_err().is_retryable());
    assert_eq!(server.requests(), 3);
}

#[tokio::test]
async fn a_closed_connection_is_one_unavailable_attempt() {
    let runtime = Runtime::system();
    let server = Answering::with(&runtime, String::new()).await;
    let store = server.open(&runtime);
    let error = store.put_if_absent(&StorePath::from("a"), Payload::from(&b"x"[..])).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable(words) if words.contains("broke")), "{error:?}");
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_reply_that_breaks_off_never_gives_fewer_bytes() {
    let runtime = Runtime::system();
    let path = StorePath::from("a");
    let reply = format!(
        "HTTP/1.1 206 Partial Content\r\ndate: {DATE}\r\netag: \"x\"\r\nlast-modified: {DATE}\r\n\
         content-range: bytes 0-9/100\r\ncontent-length: 10\r\n\r\n01234"
    );
    let server = Answering::with(&runtime, reply).await;
    let error = server.open(&runtime).get_range(&path, 0..10).await.unwrap_err();
    assert!(matches!(error, StoreError::Truncated { expected: 10, .. }), "{error:?}");
}

#[tokio::test]
async fn a_range_past_the_end_is_truncated() {
    let runtime = Runtime::system();
    let path = StorePath::from("a");
    let server = Answering::status(&runtime, "416 Range Not Satisfiable", &error_body("InvalidRange")).await;
    let error = server.open(&runtime).get_range(&path, 500..510).await.unwrap_err();
    assert_eq!(error, StoreError::Truncated { path, expected: 10, actual: 0 });
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let runtime = Runtime::system();
    let open = |url: &str, endpoint: Option<&str>| {
        let options = StoreOptions { endpoint: endpoint.map(str::to_owned), ..StoreOptions::default() };
        store::open(url, &options, &runtime).unwrap_err().to_string()
    };
    assert!(open("s3:bucket", None).contains("there is no scheme"));
    assert!(open("ftp://x", None).contains("the scheme \"ftp\" is unknown"));
    assert!(open("s3:///prefix", None).contains("the bucket is missing"));
    assert!(open("s3://b/../x", None).contains("is not a key"));
    assert!(open("file://", None).contains("the folder is missing"));
    assert!(open("s3://b", Some("localhost:9000")).contains("must begin with http:// or https://"));
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() && std::env::var_os("AWS_SECRET_ACCESS_KEY").is_none() {
        let error = open("s3://b", Some("http://127.0.0.1:1"));
        assert_eq!(error, "no credentials for s3://b: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
}

#[tokio::test]
#[ignore = "a measurement, to be run by hand with --ignored --nocapture"]
async fn time_to_open() {
    let runtime = Runtime::system();
    let server = Answering { endpoint: "http://127.0.0.1:1".to_owned(), requests: Arc::default() };
    for _ in 0..3 {
        let begun = runtime.monotonic();
        let _store = server.open(&runtime);
        println!("{:?}", runtime.monotonic() - begun);
    }
}
