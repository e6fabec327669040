//! v2: topics and their partitions, read only.

use alluvium_log::Topic;
use alluvium_reader::{Isolation, OffsetQuery};
use alluvium_record::TopicPartition;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::extract::{self, Names};
use super::produce_topics::V2;
use super::{Rest, read};
use crate::config;

/// `GET /topics`
pub(super) async fn list(State(rest): State<Rest>) -> Result<Response, RestError> {
    let view = rest.fresh_view().await?;
    let mut names: Vec<&str> = view.topics().map(|topic| topic.name.as_str()).collect();
    names.sort_unstable();
    Ok(super::json_answer(V2, &names).into_response())
}

/// `GET /topics/{topic}`
pub(super) async fn get(State(rest): State<Rest>, Names(topic): Names<String>) -> Result<Response, RestError> {
    let topic = rest.topic(&topic).await?;
    let described = config::topic::describe(&topic.configs);
    let configs: Map<String, Value> = described
        .into_iter()
        .filter(|config| !config.sensitive)
        .map(|config| (config.name.to_owned(), config.value.map_or(Value::Null, Value::String)))
        .collect();
    let answer = json!({ "name": topic.name, "configs": configs, "partitions": partitions(&rest, &topic) });
    Ok(super::json_answer(V2, &answer).into_response())
}

/// `GET /topics/{topic}/partitions`
pub(super) async fn list_partitions(
    State(rest): State<Rest>,
    Names(topic): Names<String>,
) -> Result<Response, RestError> {
    let topic = rest.topic(&topic).await?;
    Ok(super::json_answer(V2, &partitions(&rest, &topic)).into_response())
}

/// `GET /topics/{topic}/partitions/{partition}`
pub(super) async fn get_partition(
    State(rest): State<Rest>,
    Names((topic, partition)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let index = extract::partition(&partition)?;
    let found = rest.partition(&topic, index).await?;
    Ok(super::json_answer(V2, &shown(&rest, found)).into_response())
}

/// `GET /topics/{topic}/partitions/{partition}/offsets`
pub(super) async fn offsets(
    State(rest): State<Rest>,
    Names((topic, partition)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let found = rest.partition(&topic, extract::partition(&partition)?).await?;
    let beginning = read::offset_of(&rest, found, OffsetQuery::Earliest, Isolation::ReadUncommitted).await?;
    let end = read::offset_of(&rest, found, OffsetQuery::Latest, Isolation::ReadUncommitted).await?;
    let answer = json!({ "beginning_offset": beginning, "end_offset": end });
    Ok(super::json_answer(V2, &answer).into_response())
}

fn partitions(rest: &Rest, topic: &Topic) -> Vec<Value> {
    (0..topic.partition_count).map(|index| shown(rest, TopicPartition::new(topic.id, index))).collect()
}

fn shown(rest: &Rest, found: TopicPartition) -> Value {
    let leader = rest.leader_of(found);
    let replica = json!({ "broker": leader, "leader": true, "in_sync": true });
    json!({ "partition": found.partition, "leader": leader, "replicas": [replica] })
}
