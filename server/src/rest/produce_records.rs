//! v3: `POST /v3/clusters/{cluster}/topics/{topic}/records`.
//!
//! The body is one JSON object for each record, one after the other; the answer one object for each, in the same order, with
//! 200 or an error code. Records are committed as they come, so a client may keep the request open and read its answers. With
//! an Idempotency-Key the whole body is read first: the batches of a retry have to be the same.
//!
//! Invariants: what can be refused for the whole request is, by its status; after that the status is 200 and each record
//! speaks for itself. Something that is no object ends the request with a last answer of 400. Where answers are not streamed,
//! in functions, a request has no more records than answers have room.

use std::collections::VecDeque;

use alluvium_ingest::Permit;
use alluvium_record::Header;
use axum::body::{Body, BodyDataStream};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream, StreamExt, unfold};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::error::{RestError, code};
use super::extract::{self, Answering, Names};
use super::produce::{self, Produced, Target};
use super::record::{Format, NewRecord};
use super::request_id::RequestId;
use super::split::{NoObject, Splitter};
use super::{Rest, Role, clusters};

/// Bytes of the answer to one record at most, the name of the topic apart.
const ANSWER_BYTES_MAX: usize = 400;
/// Pieces of a request that wait for the store at once.
const PIECES_IN_FLIGHT_MAX: usize = 8;

#[derive(Deserialize)]
struct RequestRecord<'a> {
    partition_id: Option<i32>,
    #[serde(borrow)]
    headers: Option<Vec<RequestHeader<'a>>>,
    #[serde(borrow)]
    key: Option<RequestData<'a>>,
    #[serde(borrow)]
    value: Option<RequestData<'a>>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RequestHeader<'a> {
    name: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RequestData<'a> {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Answer<'a> {
    error_code: u32,
    cluster_id: &'a str,
    topic_name: &'a str,
    partition_id: i32,
    offset: i64,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<AnswerData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<AnswerData>,
}

/// What is told about a key or a value.
#[derive(Clone, Copy, Debug, Serialize)]
struct AnswerData {
    #[serde(rename = "type")]
    kind: &'static str,
    size: usize,
}

pub(super) async fn handle(
    State(rest): State<Rest>,
    Names((cluster, topic)): Names<(String, String)>,
    answering: Answering,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    match extract::media_type(&headers, header::CONTENT_TYPE).as_deref() {
        None | Some("application/json") => {}
        Some(other) => {
            let told = format!("Content-Type {other}: give application/json");
            return Err(RestError::new(code::UNSUPPORTED_MEDIA_TYPE, told));
        }
    }
    let request_id = RequestId::of(&headers)?;
    let deadline = produce::deadline(&rest, answering);
    let stream = match &request_id {
        None => {
            let target = Target::find(&rest, &topic, deadline).await?;
            let pieces = body.into_data_stream();
            Records::new(rest, topic, target, answering, Some(pieces))
        }
        Some(request_id) => {
            let permit = extract::admit(&rest, &headers).await?;
            let body = extract::read_body(&rest, body, rest.settings().request_bytes_max).await?;
            let target = Target::find(&rest, &topic, deadline).await?;
            let mut records = Records::new(rest, topic, target, answering, None);
            records.take(&body);
            records.end();
            if let Some(failure) = records.failure.take_if(|_| records.parsed.is_empty()) {
                return Err(failure);
            }
            records.send(permit, Some(request_id));
            records
        }
    };
    let answers = Body::from_stream(stream.answers());
    Ok(([(header::CONTENT_TYPE, "application/json")], answers).into_response())
}

/// A request on its way.
struct Records {
    rest: Rest,
    topic: String,
    target: Target,
    answering: Answering,
    /// The rest of the body, until its end.
    pieces: Option<BodyDataStream>,
    splitter: Splitter,
    /// Records that were cut out.
    count: usize,
    /// Records whose answers have room: an answer that is not streamed has a bound.
    count_max: usize,
    /// Cut out and not sent yet.
    parsed: VecDeque<(Result<NewRecord, RestError>, Told)>,
    sent: FuturesOrdered<BoxFuture<'static, String>>,
    /// Ends the request, after everything before it is answered.
    failure: Option<RestError>,
}

/// What the answer repeats of a record.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    key: Option<AnswerData>,
    value: Option<AnswerData>,
}

impl Records {
    fn new(rest: Rest, topic: String, target: Target, answering: Answering, pieces: Option<BodyDataStream>) -> Self {
        let count_max = match rest.settings().role {
            Role::Node => usize::MAX,
            Role::Ingest | Role::Reader => rest.settings().response_bytes_max / (ANSWER_BYTES_MAX + topic.len()),
        };
        Self {
            rest,
            topic,
            target,
            answering,
            pieces,
            splitter: Splitter::default(),
            count: 0,
            count_max,
            parsed: VecDeque::new(),
            sent: FuturesOrdered::new(),
            failure: None,
        }
    }

    /// Lines of answers, as they become known.
    fn answers(self) -> impl Stream<Item = Result<String, std::convert::Infallible>> {
        unfold(self, |mut records| async move {
            let lines = records.next().await?;
            Some((Ok(lines), records))
        })
    }

    async fn next(&mut self) -> Option<String> {
        loop {
            let may_read = self.pieces.is_some() && self.sent.len() < PIECES_IN_FLIGHT_MAX;
            let piece = match self.pieces.as_mut() {
                Some(pieces) if may_read => tokio::select! {
                    biased;
                    piece = extract::next_piece(&self.rest, pieces) => piece,
                    Some(lines) = self.sent.next(), if !self.sent.is_empty() => return Some(lines),
                    () = self.rest.shutdown().triggered() => {
                        Err(RestError::new(code::UNAVAILABLE, "the node stops: send what follows to another"))
                    }
                },
                _ if !self.sent.is_empty() => return self.sent.next().await,
                _ => return self.failure.take().map(|failure| line(&failure)),
            };
            match piece {
                Ok(Some(piece)) => self.receive(&piece).await,
                Ok(None) => self.end(),
                Err(failure) => self.fail(failure),
            }
        }
    }

    async fn receive(&mut self, piece: &[u8]) {
        self.take(piece);
        if self.parsed.is_empty() {
            return;
        }
        let permit = self.rest.node().ingest.admit(piece.len()).await;
        self.send(permit, None);
    }

    /// Cuts out and reads what is whole.
    fn take(&mut self, piece: &[u8]) {
        self.splitter.add(piece);
        loop {
            match self.splitter.next() {
                Ok(Some(_)) if self.count == self.count_max => {
                    let told = format!(
                        "a request has at most {} records here: this one and the rest are not read",
                        self.count
                    );
                    return self.fail(RestError::too_large(told));
                }
                Ok(Some(object)) => {
                    self.count += 1;
                    self.parsed.push_back(read(&object));
                }
                Ok(None) => break,
                Err(NoObject) => {
                    let told = "the body must be JSON objects, one after the other";
                    return self.fail(RestError::new(code::BAD_REQUEST, told));
                }
            }
        }
        let bytes_max = self.rest.settings().request_bytes_max;
        if self.splitter.waiting_bytes() > bytes_max {
            self.fail(RestError::too_large(format!("a record is larger than {bytes_max} bytes")));
        }
    }

    fn end(&mut self) {
        self.pieces = None;
        if self.failure.is_some() {
            return;
        }
        if self.splitter.waiting_bytes() > 0 {
            self.fail(RestError::new(code::BAD_REQUEST, "the body ends within a record"));
        } else if self.count == 0 {
            self.fail(RestError::new(code::MISSING_VALUE, "give at least one record"));
        }
    }

    fn fail(&mut self, failure: RestError) {
        self.pieces = None;
        self.failure = Some(failure);
    }

    /// Hands over what was read.
    fn send(&mut self, permit: Permit, request_id: Option<&RequestId>) {
        let (records, told): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parsed).into_iter().unzip();
        let deadline = produce::deadline(&self.rest, self.answering);
        let begun = produce::begin(&self.rest, &self.target, records, request_id, permit, deadline);
        let cluster = self.rest.node().log.cluster_id().to_owned();
        let topic = self.topic.clone();
        self.sent.push_back(Box::pin(async move {
            let outcomes = begun.finish().await;
            produce::tell(&topic, &outcomes);
            let lines = outcomes.iter().zip(told).map(|(outcome, told)| match outcome {
                Ok(produced) => line(&answer(&cluster, &topic, produced, told)),
                Err(refusal) => line(refusal),
            });
            lines.collect()
        }));
    }
}

fn answer<'a>(cluster_id: &'a str, topic_name: &'a str, produced: &Produced, told: Told) -> Answer<'a> {
    Answer {
        error_code: 200,
        cluster_id,
        topic_name,
        partition_id: produced.partition,
        offset: produced.offset,
        timestamp: super::time::shown(produced.timestamp_ms),
        key: told.key,
        value: told.value,
    }
}

fn line(answer: &impl Serialize) -> String {
    // Structs of numbers and texts always are JSON.
    let mut line = serde_json::to_string(answer).unwrap_or_default();
    line.push_str("\r\n");
    line
}

fn read(object: &Bytes) -> (Result<NewRecord, RestError>, Told) {
    match read_record(object) {
        Ok((record, told)) => (Ok(record), told),
        Err(refusal) => (Err(refusal), Told::default()),
    }
}

fn read_record(object: &[u8]) -> Result<(NewRecord, Told), RestError> {
    let given: RequestRecord<'_> = extract::json(object)?;
    let (key, key_told) = read_data("key", given.key)?;
    let (value, value_told) = read_data("value", given.value)?;
    let headers = given.headers.unwrap_or_default().into_iter().map(read_header).collect::<Result<_, _>>()?;
    let timestamp_ms = given.timestamp.map(|given| super::time::read(given.get())).transpose()?;
    let record = NewRecord { partition: given.partition_id, key, value, headers, timestamp_ms };
    Ok((record, Told { key: key_told, value: value_told }))
}

fn read_data(what: &str, given: Option<RequestData<'_>>) -> Result<(Option<Bytes>, Option<AnswerData>), RestError> {
    let Some(RequestData { kind, data }) = given else { return Ok((None, None)) };
    let format = kind.as_deref().and_then(Format::named).ok_or_else(|| {
        RestError::invalid(format!("{what}.type must be BINARY, JSON or STRING; formats with schemas are not served"))
    })?;
    let bytes = format.decode(what, data)?;
    let told = bytes.as_ref().map(|bytes| AnswerData { kind: format.name(), size: bytes.len() });
    Ok((bytes, told))
}

fn read_header(given: RequestHeader<'_>) -> Result<Header, RestError> {
    let value = Format::Binary.decode(&format!("header {}", given.name), given.value)?;
    Ok(Header::new(given.name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_with_all_it_can_say() {
        let text = br#"{"partition_id":2,"headers":[{"name":"h","value":"aGk="},{"name":"n","value":null}],
            "key":{"type":"string","data":"k"},"value":{"type":"JSON","data":{"b":1}},"timestamp":"1970-01-01T00:00:01Z"}"#;
        let (record, told) = read_record(text).unwrap();
        assert_eq!((record.partition, record.timestamp_ms), (Some(2), Some(1000)));
        assert_eq!((record.key.unwrap(), record.value.unwrap()), (Bytes::from("k"), Bytes::from("{\"b\":1}")));
        assert_eq!(record.headers, [Header::new("h", Some(Bytes::from("hi"))), Header::new("n", None)]);
        assert_eq!((told.key.unwrap().kind, told.value.unwrap().size), ("STRING", 7));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (text, part) in [
            (r#"{"value":{"data":"x"}}"#, "value.type"),
            (r#"{"value":{"type":"AVRO","data":"x"}}"#, "schemas"),
            (r#"{"value":{"type":"BINARY","data":"?"}}"#, "base64"),
            (r#"{"timestamp":"yesterday"}"#, "timestamp"),
            (r#"{"partition_id":"x"}"#, "invalid type"),
        ] {
            let refusal = read_record(text.as_bytes()).unwrap_err();
            assert!(refusal.code == code::INVALID_VALUE && refusal.message.contains(part), "{text}: {refusal}");
        }
    }
}
