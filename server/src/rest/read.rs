//! `GET /v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/records`: records from an offset on, without a session.
//!
//! Parameters: `offset` (a number, `earliest` or `latest`; `earliest`), `max_bytes` (1 MiB), `max_records`, `wait_ms` (0),
//! `format` (`binary`), `key_format` (as `format`), `isolation` (`read_committed`). The answer names the offset to go on with.
//!
//! Invariants:
//! 1. Before it is said that nothing is there, the log is read to its end; in a function, before any end is shown.
//! 2. With `read_committed`, nothing of an open or aborted transaction is shown; markers are never shown, and passed over.
//! 3. An answer is at most `response_bytes_max` long, in a function within the JSON text that it is handed over in. A record that
//!    does not fit alone is an error that names it, and one that cannot be shown ends the answer before it.

use std::collections::BTreeSet;
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_reader::{
    AbortedTransaction, FetchRequest, FetchedData, Isolation, OffsetQuery, PartitionFetch, ReadError,
};
use alluvium_record::batch::{RecordBatch, split_batches};
use alluvium_record::{Marker, Record, TopicPartition};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::error::{RestError, code};
use super::extract::{self, Answering, Names, Parameters};
use super::record::{self, Format, Shown};
use super::{Rest, RestSettings, Role, clusters};
use crate::context::STORE_WAIT_MAX;

const BYTES_MAX_DEFAULT: usize = 1024 * 1024;
/// Bytes of an answer without its records at most, and of what a gateway puts around it.
const HEAD_BYTES_MAX: usize = 1024;

/// What is asked for.
pub(super) struct Wanted {
    pub(super) offset: i64,
    pub(super) bytes_max: usize,
    pub(super) records_max: usize,
    pub(super) wait_max: Duration,
    pub(super) isolation: Isolation,
}

/// Records from one partition.
struct Read {
    records: Vec<Record>,
    /// Where to go on, behind everything that was passed over.
    next_offset: i64,
    data: FetchedData,
}

#[derive(Serialize)]
struct Answer<'a> {
    cluster_id: &'a str,
    topic_name: &'a str,
    partition_id: i32,
    log_start_offset: i64,
    last_stable_offset: i64,
    high_watermark: i64,
    next_offset: i64,
    records: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct ShownRecord<'a> {
    offset: i64,
    timestamp_ms: i64,
    headers: Vec<ShownHeader<'a>>,
    key: Shown<'a>,
    value: Shown<'a>,
}

#[derive(Serialize)]
struct ShownHeader<'a> {
    name: std::borrow::Cow<'a, str>,
    value: Option<String>,
}

pub(super) async fn handle(
    State(rest): State<Rest>,
    Names((cluster, topic, partition)): Names<(String, String, String)>,
    parameters: Parameters,
    answering: Answering,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let index = extract::partition(&partition)?;
    let value_format = format(&parameters, "format")?.unwrap_or(Format::Binary);
    let key_format = format(&parameters, "key_format")?.unwrap_or(value_format);
    let isolation = isolation(&parameters)?;
    let topic_partition = rest.partition(&topic, index).await?;
    let offset = start(&rest, topic_partition, &parameters, isolation).await?;
    let wanted = Wanted {
        offset,
        bytes_max: bytes_max(&rest, &parameters)?,
        records_max: parameters.parsed("max_records", "a number")?.unwrap_or(usize::MAX).max(1),
        wait_max: wait_max(&rest, &parameters, answering)?,
        isolation,
    };
    let Read { records, next_offset, data } = read(&rest, topic_partition, &wanted).await?;
    let mut answer = Answer {
        cluster_id: rest.node().log.cluster_id(),
        topic_name: &topic,
        partition_id: index,
        log_start_offset: data.log_start_offset,
        last_stable_offset: data.last_stable_offset,
        high_watermark: data.high_watermark,
        next_offset,
        records: Vec::with_capacity(records.len()),
    };
    let RestSettings { role, response_bytes_max, .. } = *rest.settings();
    let mut left = response_bytes_max.saturating_sub(HEAD_BYTES_MAX);
    for record in &records {
        let shown = show(key_format, value_format, record).and_then(|shown| {
            let bytes = answer_bytes(role, shown.get());
            if bytes > left { Err(too_large(record, bytes, response_bytes_max)) } else { Ok((shown, bytes)) }
        });
        match shown {
            Ok((shown, bytes)) => {
                left -= bytes;
                answer.records.push(shown);
            }
            Err(refusal) if answer.records.is_empty() => return Err(refusal),
            // What comes before it is given; whoever goes on there is told.
            Err(_) => {
                answer.next_offset = record.offset;
                break;
            }
        }
    }
    Ok(super::json_answer("application/json", &answer).into_response())
}

/// What is said about a record that fits into no answer.
fn too_large(record: &Record, bytes: usize, bytes_max: usize) -> RestError {
    RestError::too_large(format!(
        "the record at offset {} takes {bytes} bytes of an answer, and answers here have at most {bytes_max}: read it with a \
         Kafka client, or go on at offset {}",
        record.offset,
        record.offset + 1
    ))
}

/// Bytes of a piece of JSON in an answer. A function hands its answer over as a string in JSON, with each quote and backslash
/// escaped once more; nothing else in JSON has to be.
fn answer_bytes(role: Role, json: &str) -> usize {
    let escaped = match role {
        Role::Node => 0,
        Role::Ingest | Role::Reader => json.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count(),
    };
    // And a comma.
    json.len() + escaped + 1
}

fn show(key_format: Format, value_format: Format, record: &Record) -> Result<Box<RawValue>, RestError> {
    let what = |field: &'static str| move || format!("the {field} at offset {}", record.offset);
    let headers = record.headers.iter().map(|header| ShownHeader {
        name: String::from_utf8_lossy(&header.name),
        value: header.value.as_deref().map(record::to_base64),
    });
    let shown = ShownRecord {
        offset: record.offset,
        timestamp_ms: record.timestamp,
        headers: headers.collect(),
        key: key_format.encode(&what("key"), record.key.as_deref())?,
        value: value_format.encode(&what("value"), record.value.as_deref())?,
    };
    to_raw_value(&shown).map_err(|error| RestError::new(code::KAFKA_ERROR, error.to_string()))
}

fn format(parameters: &Parameters, name: &str) -> Result<Option<Format>, RestError> {
    let Some(given) = parameters.text(name) else { return Ok(None) };
    let wrong = || RestError::invalid(format!("{name}={given}: give binary, json or string"));
    Format::named(given).map(Some).ok_or_else(wrong)
}

fn isolation(parameters: &Parameters) -> Result<Isolation, RestError> {
    match parameters.text("isolation") {
        None | Some("read_committed") => Ok(Isolation::ReadCommitted),
        Some("read_uncommitted") => Ok(Isolation::ReadUncommitted),
        Some(other) => Err(RestError::invalid(format!("isolation={other}: give read_committed or read_uncommitted"))),
    }
}

fn bytes_max(rest: &Rest, parameters: &Parameters) -> Result<usize, RestError> {
    let asked = parameters.parsed("max_bytes", "a number of bytes")?.unwrap_or(BYTES_MAX_DEFAULT);
    Ok(asked.clamp(1, rest.settings().response_bytes_max))
}

/// How long to wait for records: as asked, but never so long that no answer can be given.
fn wait_max(rest: &Rest, parameters: &Parameters, answering: Answering) -> Result<Duration, RestError> {
    let asked: u64 = parameters.parsed("wait_ms", "a number of milliseconds")?.unwrap_or(0);
    let now = rest.node().runtime.monotonic();
    let until = answering.at_most(now + Duration::from_millis(asked.min(limits::FETCH_WAIT_MS_MAX)));
    Ok(until.saturating_duration_since(now))
}

async fn start(
    rest: &Rest,
    topic_partition: TopicPartition,
    parameters: &Parameters,
    isolation: Isolation,
) -> Result<i64, RestError> {
    match parameters.text("offset") {
        None | Some("earliest") => offset_of(rest, topic_partition, OffsetQuery::Earliest, isolation).await,
        Some("latest") => offset_of(rest, topic_partition, OffsetQuery::Latest, isolation).await,
        Some(_) => {
            let form = "a number, earliest or latest";
            let offset = parameters.parsed::<i64>("offset", form)?.filter(|offset| *offset >= 0);
            offset.ok_or_else(|| RestError::invalid(format!("offset: {form}")))
        }
    }
}

/// An offset by its place.
pub(super) async fn offset_of(
    rest: &Rest,
    topic_partition: TopicPartition,
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<i64, RestError> {
    let node = rest.node();
    let looking = node.reader.offset_for(topic_partition, query, isolation);
    match node.runtime.timeout(STORE_WAIT_MAX, looking).await {
        Ok(Ok(found)) => Ok(found.offset),
        Ok(Err(error)) => Err(RestError::from(&error)),
        Err(_elapsed) => Err(RestError::not_known()),
    }
}

/// Reads, and waits when there is nothing yet.
async fn read(rest: &Rest, topic_partition: TopicPartition, wanted: &Wanted) -> Result<Read, RestError> {
    let mut data = fetch(rest, topic_partition, wanted, Duration::ZERO).await?;
    let is_at_end = match data.bytes {
        0 => true,
        // Nobody tells a function what others write.
        _ => rest.settings().role == Role::Reader && visible(&data, wanted)?.1 >= end_of(&data, wanted.isolation),
    };
    if is_at_end {
        let known = end_of(&data, wanted.isolation);
        rest.look(topic_partition).await?;
        let looked = fetch(rest, topic_partition, wanted, Duration::ZERO).await?;
        if data.bytes == 0 || end_of(&looked, wanted.isolation) > known {
            data = looked;
        }
    }
    if data.bytes == 0 && !wanted.wait_max.is_zero() {
        let waiting = fetch(rest, topic_partition, wanted, wanted.wait_max);
        if let Some(waited) = rest.shutdown().unless_triggered(waiting).await {
            data = waited?;
        }
    }
    let (records, next_offset) = visible(&data, wanted)?;
    Ok(Read { records, next_offset, data })
}

/// First offset that may not be shown.
fn end_of(data: &FetchedData, isolation: Isolation) -> i64 {
    match isolation {
        Isolation::ReadUncommitted => data.high_watermark,
        Isolation::ReadCommitted => data.last_stable_offset,
    }
}

async fn fetch(
    rest: &Rest,
    topic_partition: TopicPartition,
    wanted: &Wanted,
    wait_max: Duration,
) -> Result<FetchedData, RestError> {
    let node = rest.node();
    let granted = node.fetch_memory.grant().min(wanted.bytes_max);
    let bytes_max = i32::try_from(granted).unwrap_or(i32::MAX);
    let partition = PartitionFetch { topic_partition, offset: wanted.offset, bytes_max, leader_epoch: None };
    let isolation = wanted.isolation;
    let request = FetchRequest { partitions: vec![partition], bytes_max, bytes_min: 1, wait_max, isolation };
    let fetching = node.reader.fetch(request);
    match node.runtime.timeout(wait_max + STORE_WAIT_MAX, fetching).await {
        Ok(mut fetched) => match fetched.pop().map(|fetched| fetched.result) {
            Some(Ok(data)) => Ok(data),
            Some(Err(error)) => Err(RestError::from(&error)),
            None => Err(RestError::from(&ReadError::UnknownTopicOrPartition)),
        },
        Err(_elapsed) => Err(RestError::not_known()),
    }
}

/// The records that may be shown, and the offset behind what was looked at.
pub(super) fn visible(data: &FetchedData, wanted: &Wanted) -> Result<(Vec<Record>, i64), RestError> {
    let corrupt = |error: &dyn std::fmt::Display| RestError::new(code::KAFKA_ERROR, format!("corrupt: {error}"));
    let mut whole = BytesMut::with_capacity(data.bytes);
    data.slices.iter().for_each(|slice| whole.extend_from_slice(slice));
    let mut records = Vec::new();
    let mut next_offset = wanted.offset;
    let mut aborted = Aborted::new(&data.aborted, wanted.isolation);
    for batch in split_batches(whole.freeze()).map_err(|error| corrupt(&error))? {
        if aborted.hides(&batch).map_err(|error| corrupt(&error))? {
            next_offset = batch.header.next_offset();
            continue;
        }
        for record in batch.iterate(limits::DECOMPRESSED_BYTES_MAX).map_err(|error| corrupt(&error))? {
            let record = record.map_err(|error| corrupt(&error))?;
            if record.offset < wanted.offset {
                continue;
            }
            if records.len() == wanted.records_max {
                return Ok((records, next_offset));
            }
            next_offset = record.offset + 1;
            records.push(record);
        }
        next_offset = next_offset.max(batch.header.next_offset());
    }
    Ok((records, next_offset))
}

/// Whose records are not shown, on the way through the batches.
struct Aborted<'a> {
    /// Those that begin further on, the nearest last.
    ahead: Vec<&'a AbortedTransaction>,
    open: BTreeSet<i64>,
}

impl<'a> Aborted<'a> {
    fn new(aborted: &'a [AbortedTransaction], isolation: Isolation) -> Self {
        let mut ahead: Vec<_> = match isolation {
            Isolation::ReadCommitted => aborted.iter().collect(),
            Isolation::ReadUncommitted => Vec::new(),
        };
        ahead.sort_by_key(|aborted| std::cmp::Reverse(aborted.first_offset));
        Self { ahead, open: BTreeSet::new() }
    }

    /// Whether nothing of the batch is shown.
    fn hides(&mut self, batch: &RecordBatch) -> Result<bool, alluvium_record::BatchError> {
        while let Some(next) = self.ahead.last()
            && next.first_offset <= batch.header.last_offset()
        {
            self.open.insert(next.producer_id);
            self.ahead.pop();
        }
        if batch.header.attributes.is_control() {
            let marker = batch.records(limits::DECOMPRESSED_BYTES_MAX)?.into_iter().next();
            let commits = marker.and_then(|marker| Marker::commits(&marker.key?));
            if commits == Some(false) {
                self.open.remove(&batch.header.producer_id);
            }
            return Ok(true);
        }
        Ok(batch.header.attributes.is_transactional() && self.open.contains(&batch.header.producer_id))
    }
}

#[cfg(test)]
mod tests;
