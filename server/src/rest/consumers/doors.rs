//! `/consumers/{group}` and what is below: requests about consumer instances and their answers.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_log::CommittedOffset;
use alluvium_reader::{Isolation, OffsetQuery};
use alluvium_record::{Record, TopicPartition};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex as AsyncMutex;

use super::membership::{self, Membership};
use super::{Fetched, Instance, Mode, Reset};
use crate::rest::error::{RestError, code};
use crate::rest::extract::{self, Answering, Names, Parameters};
use crate::rest::produce_topics::V2;
use crate::rest::record::{Format, Shown};
use crate::rest::{Rest, json_answer, read};

const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The longest wait of a read: its instance sends no heartbeat meanwhile.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);
const READ_WAIT_DEFAULT: Duration = Duration::from_secs(1);

#[derive(Deserialize, Serialize)]
struct Place {
    topic: String,
    partition: i32,
}

#[derive(Deserialize)]
struct GivenOffset {
    topic: String,
    partition: i32,
    offset: i64,
    #[serde(default)]
    metadata: String,
}

#[derive(Deserialize)]
struct Places {
    partitions: Vec<Place>,
}

#[derive(Deserialize)]
struct GivenOffsets {
    offsets: Vec<GivenOffset>,
}

#[derive(Deserialize)]
struct Subscription {
    topics: Option<Vec<String>>,
    topic_pattern: Option<String>,
}

#[derive(Serialize)]
struct ShownRecord<'a> {
    topic: &'a str,
    key: Shown<'a>,
    value: Shown<'a>,
    partition: i32,
    offset: i64,
}

/// `POST /consumers/{group}`
pub(in crate::rest) async fn create(
    State(rest): State<Rest>,
    Names(group): Names<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    let given: BTreeMap<String, Value> = if body.is_empty() { BTreeMap::new() } else { extract::json(&body)? };
    let text =
        |name: &str| given.get(name).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    let runtime = &rest.node().runtime;
    let name = text("name").or_else(|| text("id")).filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| format!("rest-consumer-{}", runtime.random_uuid()));
    let format = text("format").unwrap_or_else(|| "binary".to_owned());
    let refuse =
        |what: &str, value: &str| RestError::new(code::INVALID_CONSUMER, format!("{what}: {value} is not served"));
    let instance = Instance {
        group: group.clone(),
        format: Format::named(&format).ok_or_else(|| refuse("format", &format))?,
        reset: match text("auto.offset.reset").as_deref() {
            None | Some("latest") => Reset::Latest,
            Some("earliest") => Reset::Earliest,
            Some("none") => Reset::None,
            Some(other) => return Err(refuse("auto.offset.reset", other)),
        },
        auto_commit: match text("auto.commit.enable").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(refuse("auto.commit.enable", other)),
        },
        name: name.clone(),
        used_at: Mutex::new(runtime.monotonic()),
        state: AsyncMutex::default(),
    };
    let instance = rest.consumers().add(instance)?;
    membership::keep(&rest, &instance);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let base = if host.is_empty() { String::new() } else { format!("http://{host}") };
    let base_uri = format!("{base}/consumers/{group}/instances/{name}");
    Ok(json_answer(V2, &json!({ "instance_id": name, "base_uri": base_uri })).into_response())
}

/// `DELETE /consumers/{group}/instances/{instance}`
pub(in crate::rest) async fn delete(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    rest.consumers().remove(&instance);
    instance.close(&rest).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST …/subscription`
pub(in crate::rest) async fn subscribe(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let given: Subscription = extract::json(&extract::read_body(&rest, body, BODY_BYTES_MAX).await?)?;
    let (topics, pattern) = match given {
        Subscription { topics: Some(topics), topic_pattern: None } if !topics.is_empty() => (topics, None),
        Subscription { topics: None, topic_pattern: Some(pattern) } => (Vec::new(), Some(pattern)),
        _ => return Err(RestError::new(code::MISSING_VALUE, "give either topics or topic_pattern")),
    };
    instance.touch(&rest);
    let mut state = instance.state.lock().await;
    match std::mem::take(&mut state.mode) {
        Mode::Assigned => {
            state.mode = Mode::Assigned;
            let told = "Subscription to topics, partitions and pattern are mutually exclusive";
            return Err(RestError::new(code::ILLEGAL_STATE, told));
        }
        Mode::Subscribed(before) => before.leave(&rest, &group).await,
        Mode::Nothing => {}
    }
    state.positions.clear();
    let mut membership = Membership::new(&rest, topics, pattern);
    let told = membership.heartbeat(&rest, &group).await?;
    state.mode = Mode::Subscribed(membership);
    instance.own(&rest, &mut state, told).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/subscription`
pub(in crate::rest) async fn subscription(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let state = instance.state.lock().await;
    let topics = match &state.mode {
        Mode::Subscribed(membership) if membership.pattern.is_none() => membership.topics.clone(),
        Mode::Subscribed(_) => names(&rest, state.positions.keys()),
        Mode::Nothing | Mode::Assigned => Vec::new(),
    };
    Ok(json_answer(V2, &json!({ "topics": topics })).into_response())
}

/// `DELETE …/subscription`
pub(in crate::rest) async fn unsubscribe(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let mut state = instance.state.lock().await;
    if let Mode::Subscribed(membership) = std::mem::take(&mut state.mode) {
        membership.leave(&rest, &group).await;
    }
    state.positions.clear();
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST …/assignments`
pub(in crate::rest) async fn assign(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let given: Places = extract::json(&extract::read_body(&rest, body, BODY_BYTES_MAX).await?)?;
    let mut positions = BTreeMap::new();
    for Place { topic, partition } in &given.partitions {
        positions.insert(rest.partition(topic, *partition).await?, None);
    }
    instance.touch(&rest);
    let mut state = instance.state.lock().await;
    if matches!(state.mode, Mode::Subscribed(_)) {
        let told = "Subscription to topics, partitions and pattern are mutually exclusive";
        return Err(RestError::new(code::ILLEGAL_STATE, told));
    }
    state.mode = Mode::Assigned;
    state.positions = positions;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/assignments`
pub(in crate::rest) async fn assignments(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let state = instance.state.lock().await;
    let view = rest.node().state();
    let shown = |place: &TopicPartition| {
        Some(Place { topic: view.topic(place.topic)?.name.clone(), partition: place.partition })
    };
    let partitions: Vec<Place> = state.positions.keys().filter_map(shown).collect();
    Ok(json_answer(V2, &json!({ "partitions": partitions })).into_response())
}

/// `POST …/positions`
pub(in crate::rest) async fn seek(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let given: GivenOffsets = extract::json(&extract::read_body(&rest, body, BODY_BYTES_MAX).await?)?;
    let mut places = Vec::new();
    for GivenOffset { topic, partition, offset, .. } in &given.offsets {
        if *offset < 0 {
            return Err(RestError::invalid(format!("offset {offset}: give one from 0 on")));
        }
        places.push((rest.partition(topic, *partition).await?, *offset));
    }
    set_positions(&rest, &instance, places).await
}

/// `POST …/positions/beginning`
pub(in crate::rest) async fn seek_to_beginning(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    seek_to(&rest, &group, &name, body, OffsetQuery::Earliest).await
}

/// `POST …/positions/end`
pub(in crate::rest) async fn seek_to_end(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    seek_to(&rest, &group, &name, body, OffsetQuery::Latest).await
}

async fn seek_to(rest: &Rest, group: &str, name: &str, body: Body, query: OffsetQuery) -> Result<Response, RestError> {
    let instance = rest.consumers().get(group, name)?;
    let given: Places = extract::json(&extract::read_body(rest, body, BODY_BYTES_MAX).await?)?;
    let mut places = Vec::new();
    for Place { topic, partition } in &given.partitions {
        let place = rest.partition(topic, *partition).await?;
        places.push((place, read::offset_of(rest, place, query, Isolation::ReadCommitted).await?));
    }
    set_positions(rest, &instance, places).await
}

async fn set_positions(
    rest: &Rest,
    instance: &Instance,
    places: Vec<(TopicPartition, i64)>,
) -> Result<Response, RestError> {
    instance.touch(rest);
    let mut state = instance.state.lock().await;
    if let Some((place, _)) = places.iter().find(|(place, _)| !state.positions.contains_key(place)) {
        let told = format!("No current assignment for partition {}", place.partition);
        return Err(RestError::new(code::ILLEGAL_STATE, told));
    }
    for (place, offset) in places {
        state.positions.insert(place, Some(offset));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/records`
pub(in crate::rest) async fn records(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    parameters: Parameters,
    answering: Answering,
    headers: HeaderMap,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let media_type = check_accepted(&instance, &headers)?;
    let wait =
        parameters.parsed("timeout", "a number of milliseconds")?.map_or(READ_WAIT_DEFAULT, Duration::from_millis);
    let bytes_max: usize = parameters.parsed("max_bytes", "a number of bytes")?.unwrap_or(1024 * 1024);
    let bytes_max = bytes_max.clamp(1, rest.settings().response_bytes_max);
    instance.touch(&rest);
    let reading = instance.read(&rest, wait.min(READ_WAIT_MAX), bytes_max, answering).await?;
    let view = rest.node().state();
    let (mut shown, mut positions) = (Vec::new(), Vec::with_capacity(reading.partitions.len()));
    for Fetched { topic_partition, records, next_offset } in &reading.partitions {
        // A topic that was deleted meanwhile has no name, and no records that anybody wants.
        let Some(topic) = view.topic(topic_partition.topic) else { continue };
        let mut position = *next_offset;
        for (index, record) in records.iter().enumerate() {
            match show(instance.format, &topic.name, topic_partition.partition, record) {
                Ok(record) => shown.push(record),
                Err(refusal) if index == 0 => return Err(refusal),
                // What comes before it is given, and the next read says why there is no more.
                Err(_) => {
                    position = record.offset;
                    break;
                }
            }
        }
        positions.push((*topic_partition, position));
    }
    let answer = json_answer(media_type, &shown).into_response();
    drop(shown);
    reading.given(positions);
    Ok(answer)
}

fn show<'a>(format: Format, topic: &'a str, partition: i32, record: &'a Record) -> Result<ShownRecord<'a>, RestError> {
    let what = |field: &'static str| move || format!("the {field} at offset {} of {topic}-{partition}", record.offset);
    Ok(ShownRecord {
        topic,
        key: format.encode(&what("key"), record.key.as_deref())?,
        value: format.encode(&what("value"), record.value.as_deref())?,
        partition,
        offset: record.offset,
    })
}

/// The media type of the instance's records, when the client takes it.
fn check_accepted(instance: &Instance, headers: &HeaderMap) -> Result<&'static str, RestError> {
    let own = match instance.format {
        Format::Binary => "application/vnd.kafka.binary.v2+json",
        Format::Json => "application/vnd.kafka.json.v2+json",
        Format::String => "application/vnd.kafka.string.v2+json",
    };
    let Some(accepted) = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()) else {
        return Ok(own);
    };
    let mut types = accepted.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
    if types.any(|one| one == own || one == "*/*" || one == "application/*" || one == "application/vnd.kafka.v2+json") {
        return Ok(own);
    }
    let told = "The requested embedded data format does not match the deserializer for this consumer instance";
    Err(RestError::new(code::WRONG_FORMAT, told))
}

/// `POST …/offsets`: these, or where the instance stands.
pub(in crate::rest) async fn commit(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    answering: Answering,
    body: Body,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    instance.touch(&rest);
    if body.iter().all(u8::is_ascii_whitespace) {
        let state = instance.state.lock().await;
        instance.commit_positions(&rest, &state, answering).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let given: GivenOffsets = extract::json(&body)?;
    let now_ms = rest.node().runtime.now_ms();
    let mut offsets = Vec::new();
    for GivenOffset { topic, partition, offset, metadata } in given.offsets {
        if offset < 0 || metadata.len() > rest.node().settings.offset_metadata_bytes_max {
            return Err(RestError::invalid(format!("offset {offset}: it is negative, or its metadata too long")));
        }
        let committed = CommittedOffset { offset, leader_epoch: -1, metadata, commit_ms: now_ms };
        offsets.push((rest.partition(&topic, partition).await?, committed));
    }
    let state = instance.state.lock().await;
    instance.commit(&rest, &state, offsets, answering).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET …/offsets`: what is committed for the partitions in the body, or for all that the instance owns.
pub(in crate::rest) async fn committed(
    State(rest): State<Rest>,
    Names((group, name)): Names<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    let instance = rest.consumers().get(&group, &name)?;
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    let places: Vec<TopicPartition> = if body.iter().all(u8::is_ascii_whitespace) {
        instance.state.lock().await.positions.keys().copied().collect()
    } else {
        let given: Places = extract::json(&body)?;
        let mut places = Vec::new();
        for Place { topic, partition } in &given.partitions {
            places.push(rest.partition(topic, *partition).await?);
        }
        places
    };
    let view = rest.fresh_view().await?;
    let known = view.group(&group);
    let shown = |place: &TopicPartition| {
        let committed = known?.offset(*place)?;
        let topic = &view.topic(place.topic)?.name;
        let (offset, metadata) = (committed.offset, &committed.metadata);
        Some(json!({ "topic": topic, "partition": place.partition, "offset": offset, "metadata": metadata }))
    };
    let offsets: Vec<Value> = places.iter().filter_map(shown).collect();
    Ok(json_answer(V2, &json!({ "offsets": offsets })).into_response())
}

/// Names of the topics of these partitions.
fn names<'a>(rest: &Rest, places: impl Iterator<Item = &'a TopicPartition>) -> Vec<String> {
    let view = rest.node().state();
    let mut names: Vec<String> = places.filter_map(|place| Some(view.topic(place.topic)?.name.clone())).collect();
    names.dedup();
    names
}
