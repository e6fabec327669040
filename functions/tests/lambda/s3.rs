//! An S3 server in memory that serves, asks for fewer requests, or does not answer: what functions make of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;

/// What it does with requests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    Serves,
    /// 503 SlowDown for so many requests, nothing done.
    Throttles(u64),
    /// No answer, nothing done.
    Hangs,
}

impl Mood {
    /// For as long as a test lasts.
    pub(crate) const THROTTLES: Mood = Mood::Throttles(u64::MAX);
}

/// One bucket, named `bucket`.
pub(crate) struct S3 {
    pub(crate) endpoint: String,
    state: Arc<Kept>,
}

struct Kept {
    objects: Mutex<BTreeMap<String, Bytes>>,
    mood: Mutex<Mood>,
}

impl S3 {
    pub(crate) const URL: &str = "s3://bucket/prefix";

    pub(crate) async fn start(mood: Mood) -> S3 {
        let state = Arc::new(Kept { objects: Mutex::default(), mood: Mutex::new(mood) });
        let router = Router::new().fallback(handle).with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        S3 { endpoint, state }
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.state.mood.lock() = mood;
    }

    pub(crate) fn mood(&self) -> Mood {
        *self.state.mood.lock()
    }
}

async fn handle(State(kept): State<Arc<Kept>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let mood = {
        let mut mood = kept.mood.lock();
        let now = *mood;
        *mood = match now {
            Mood::Throttles(0 | 1) => Mood::Serves,
            Mood::Throttles(left) => Mood::Throttles(left - 1),
            other => other,
        };
        now
    };
    match mood {
        Mood::Serves | Mood::Throttles(0) => serve(&kept, &method, &uri, &headers, body),
        Mood::Throttles(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
        Mood::Hangs => std::future::pending().await,
    }
}

fn serve(kept: &Kept, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response {
    let key = uri.path().strip_prefix("/bucket").unwrap().trim_start_matches('/').to_owned();
    let query = uri.query().unwrap_or_default();
    assert!(!key.contains('%') && !query.contains("upload"), "{method} {uri} is not served here");
    let mut objects = kept.objects.lock();
    match *method {
        Method::PUT if headers.contains_key("if-none-match") && objects.contains_key(&key) => {
            refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed")
        }
        Method::PUT => {
            objects.insert(key, body);
            [("etag", "\"1\"")].into_response()
        }
        Method::DELETE => {
            objects.remove(&key);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::GET if query.contains("list-type=2") => list(&objects, query),
        Method::GET | Method::HEAD => match objects.get(&key) {
            None => refuse(StatusCode::NOT_FOUND, "NoSuchKey"),
            Some(object) => get(object, headers),
        },
        _ => panic!("{method} {uri} is not served here"),
    }
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>")).into_response()
}

fn get(object: &Bytes, headers: &HeaderMap) -> Response {
    let described = [("etag", "\"1\""), ("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT")];
    let Some(range) = headers.get("range") else { return (described, object.clone()).into_response() };
    let (first, last) = range.to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let bytes = object.len();
    let (begin, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, (last + 1).min(bytes)),
        (Ok(first), Err(_)) => (first, bytes),
        (Err(_), Ok(count)) => (bytes.saturating_sub(count), bytes),
        (Err(_), Err(_)) => panic!("{range:?}"),
    };
    if begin >= end {
        return refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange");
    }
    let told = [("content-range", format!("bytes {begin}-{}/{bytes}", end - 1))];
    (StatusCode::PARTIAL_CONTENT, described, told, object.slice(begin..end)).into_response()
}

fn list(objects: &BTreeMap<String, Bytes>, query: &str) -> Response {
    let parameter = |name: &str| {
        let values = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = values.filter(|(key, _)| *key == name).map(|(_, value)| value.replace("%2F", "/")).next();
        assert!(!value.as_deref().unwrap_or_default().contains('%'), "{query}");
        value
    };
    let (prefix, after) = (parameter("prefix").unwrap_or_default(), parameter("start-after").unwrap_or_default());
    let found = objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
    let contents: String = found
        .map(|(key, object)| {
            let bytes = object.len();
            format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"1\"</ETag>\
                 <Size>{bytes}</Size></Contents>"
            )
        })
        .collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>").into_response()
}
