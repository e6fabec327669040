//! v2: `POST /topics/{topic}` and `POST /topics/{topic}/partitions/{partition}`.
//!
//! The Content-Type names the embedded format: `application/vnd.kafka.{binary,json,string}.v2+json`. The answer has one element
//! for each record, with its offset or its error. Avro, Protobuf and JSON Schema need a registry and are 415.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Rest;
use super::error::{RestError, code};
use super::extract::{self, Answering, Names};
use super::produce::{self, Produced, Target};
use super::record::{Format, NewRecord};
use super::request_id::RequestId;

/// The media type of answers.
pub(super) const V2: &str = "application/vnd.kafka.v2+json";

/// Bytes of the answer to one record at most.
const OUTCOME_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    records: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct RequestRecord<'a> {
    #[serde(borrow)]
    key: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
    partition: Option<i32>,
}

#[derive(Serialize)]
struct Answer {
    offsets: Vec<Outcome>,
    key_schema_id: Option<i32>,
    value_schema_id: Option<i32>,
}

#[derive(Serialize)]
struct Outcome {
    partition: Option<i32>,
    offset: Option<i64>,
    error_code: Option<u32>,
    error: Option<String>,
}

pub(super) async fn to_topic(
    State(rest): State<Rest>,
    Names(topic): Names<String>,
    answering: Answering,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    handle(&rest, &topic, None, answering, &headers, body).await
}

pub(super) async fn to_partition(
    State(rest): State<Rest>,
    Names((topic, partition)): Names<(String, String)>,
    answering: Answering,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    let partition = extract::partition(&partition)?;
    handle(&rest, &topic, Some(partition), answering, &headers, body).await
}

async fn handle(
    rest: &Rest,
    topic: &str,
    partition: Option<i32>,
    answering: Answering,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    let format = format_of(headers)?;
    let request_id = RequestId::of(headers)?;
    let permit = extract::admit(rest, headers).await?;
    let body = extract::read_body(rest, body, rest.settings().request_bytes_max).await?;
    let request: Request<'_> = extract::json(&body)?;
    let records = request.records.filter(|records| !records.is_empty());
    let records = records.ok_or_else(|| RestError::new(code::MISSING_VALUE, "records: give at least one"))?;
    let records_max = rest.settings().response_bytes_max / OUTCOME_BYTES_MAX;
    if records.len() > records_max {
        let told =
            format!("{} records: their answer would be too long, send at most {records_max} in each", records.len());
        return Err(RestError::too_large(told));
    }
    let deadline = produce::deadline(rest, answering);
    let target = Target::find(rest, topic, deadline).await?;
    let records = records.into_iter().map(|record| read(format, partition, record)).collect();
    let begun = produce::begin(rest, &target, records, request_id.as_ref(), permit, deadline);
    let outcomes = begun.finish().await;
    produce::tell(topic, &outcomes);
    let offsets = outcomes.into_iter().map(Outcome::from).collect();
    let answer = Answer { offsets, key_schema_id: None, value_schema_id: None };
    Ok(super::json_answer(V2, &answer).into_response())
}

fn format_of(headers: &HeaderMap) -> Result<Format, RestError> {
    let given = extract::media_type(headers, header::CONTENT_TYPE);
    let name =
        given.as_deref().and_then(|given| given.strip_prefix("application/vnd.kafka.")?.strip_suffix(".v2+json"));
    name.and_then(Format::named).ok_or_else(|| {
        let told = "Content-Type: give application/vnd.kafka.binary.v2+json, application/vnd.kafka.json.v2+json or \
                    application/vnd.kafka.string.v2+json; formats with schemas are not served";
        RestError::new(code::UNSUPPORTED_MEDIA_TYPE, told)
    })
}

fn read(format: Format, partition: Option<i32>, record: &RawValue) -> Result<NewRecord, RestError> {
    let record: RequestRecord<'_> =
        serde_json::from_str(record.get()).map_err(|error| RestError::invalid(format!("the record: {error}")))?;
    Ok(NewRecord {
        partition: partition.or(record.partition),
        key: format.decode("key", record.key)?,
        value: format.decode("value", record.value)?,
        ..NewRecord::default()
    })
}

impl From<Result<Produced, RestError>> for Outcome {
    fn from(result: Result<Produced, RestError>) -> Self {
        match result {
            Ok(Produced { partition, offset, .. }) => {
                Self { partition: Some(partition), offset: Some(offset), error_code: None, error: None }
            }
            Err(error) => {
                Self { partition: None, offset: None, error_code: Some(error.code), error: Some(error.message) }
            }
        }
    }
}
