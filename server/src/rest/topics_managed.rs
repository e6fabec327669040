//! v3 topics: list, create, get, delete, their partitions and their configurations.
//!
//! Names, counts and configurations are checked by the same rules as CreateTopics and IncrementalAlterConfigs.

use alluvium_log::{Operation, Topic};
use alluvium_record::TopicPartition;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{RestError, code};
use super::extract::{self, Names};
use super::{Rest, clusters, v3};
use crate::config::{self, ConfigSource, DescribedConfig};
use crate::kafka::create_topics::{self, NewTopic};

/// The longest document that describes a topic.
const BODY_BYTES_MAX: usize = 256 * 1024;
const TIMEOUT_MS: i32 = 30_000;

#[derive(Deserialize)]
struct CreateRequest {
    topic_name: Option<String>,
    partitions_count: Option<i32>,
    replication_factor: Option<i16>,
    #[serde(default)]
    configs: Vec<GivenConfig>,
    #[serde(default)]
    validate_only: bool,
}

#[derive(Deserialize)]
struct GivenConfig {
    name: String,
    value: Option<String>,
}

#[derive(Deserialize)]
struct ConfigValue {
    value: Option<String>,
}

/// `GET /v3/clusters/{cluster}/topics`
pub(super) async fn list(State(rest): State<Rest>, Names(cluster): Names<String>) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let view = rest.fresh_view().await?;
    let mut topics: Vec<&Topic> = view.topics().collect();
    topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let data = topics.into_iter().map(|topic| shown(&cluster, topic)).collect();
    Ok(v3::list("KafkaTopicList", &format!("/v3/clusters/{cluster}/topics"), data).into_response())
}

/// `POST /v3/clusters/{cluster}/topics`
pub(super) async fn create(
    State(rest): State<Rest>,
    Names(cluster): Names<String>,
    body: Body,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    let request: CreateRequest = extract::json(&body)?;
    let name = request.topic_name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| RestError::new(code::MISSING_VALUE, "topic_name: give one"))?;
    let configs = request.configs.into_iter().map(|config| (config.name, config.value)).collect();
    let wanted = NewTopic {
        name: name.clone(),
        partition_count: request.partitions_count.unwrap_or(-1),
        replication_factor: request.replication_factor.unwrap_or(-1),
        configs,
        validate_only: request.validate_only,
    };
    let created = create_topics::create_one(rest.node(), wanted, rest.node().deadline(TIMEOUT_MS)).await?;
    let location = [(header::LOCATION, path_of(&cluster, &name))];
    if request.validate_only {
        return Ok((StatusCode::OK, v3::one(shown(&cluster, &created))).into_response());
    }
    Ok((StatusCode::CREATED, location, v3::one(shown(&cluster, &created))).into_response())
}

/// `GET /v3/clusters/{cluster}/topics/{topic}`
pub(super) async fn get(
    State(rest): State<Rest>,
    Names((cluster, topic)): Names<(String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    Ok(v3::one(shown(&cluster, &rest.topic(&topic).await?)).into_response())
}

/// `DELETE /v3/clusters/{cluster}/topics/{topic}`
pub(super) async fn delete(
    State(rest): State<Rest>,
    Names((cluster, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let topic = rest.topic(&name).await?;
    let node = rest.node();
    let operation = Operation::DeleteTopic { id: topic.id };
    let deleted = node.log.commit_topic(operation, Some(node.deadline(TIMEOUT_MS))).await;
    deleted.map_err(|error| RestError::from(&error))?;
    tracing::info!(topic = name, "topic deleted");
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v3/clusters/{cluster}/topics/{topic}/partitions`
pub(super) async fn partitions(
    State(rest): State<Rest>,
    Names((cluster, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let topic = rest.topic(&name).await?;
    let data = (0..topic.partition_count).map(|index| shown_partition(&rest, &cluster, &topic, index)).collect();
    let path = format!("{}/partitions", path_of(&cluster, &name));
    Ok(v3::list("KafkaPartitionList", &path, data).into_response())
}

/// `GET /v3/clusters/{cluster}/topics/{topic}/partitions/{partition}`
pub(super) async fn partition(
    State(rest): State<Rest>,
    Names((cluster, name, partition)): Names<(String, String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let index = extract::partition(&partition)?;
    let found = rest.partition(&name, index).await?;
    let topic = rest.topic(&name).await?;
    Ok(v3::one(shown_partition(&rest, &cluster, &topic, found.partition)).into_response())
}

/// `GET /v3/clusters/{cluster}/topics/{topic}/configs`
pub(super) async fn configs(
    State(rest): State<Rest>,
    Names((cluster, name)): Names<(String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let topic = rest.topic(&name).await?;
    let described = config::topic::describe(&topic.configs);
    let data = described.iter().map(|config| shown_config(&cluster, &name, config)).collect();
    let path = format!("{}/configs", path_of(&cluster, &name));
    Ok(v3::list("KafkaTopicConfigList", &path, data).into_response())
}

/// `GET /v3/clusters/{cluster}/topics/{topic}/configs/{config}`
pub(super) async fn get_config(
    State(rest): State<Rest>,
    Names((cluster, name, config)): Names<(String, String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let topic = rest.topic(&name).await?;
    let described = config::topic::describe(&topic.configs);
    let found = described.iter().find(|described| described.name == config).ok_or_else(|| no_config(&config))?;
    Ok(v3::one(shown_config(&cluster, &name, found)).into_response())
}

/// `PUT /v3/clusters/{cluster}/topics/{topic}/configs/{config}`
pub(super) async fn set_config(
    State(rest): State<Rest>,
    Names((cluster, name, config)): Names<(String, String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    let given: ConfigValue = extract::json(&body)?;
    let value = given.value.ok_or_else(|| RestError::new(code::MISSING_VALUE, "value: give one, or DELETE"))?;
    let topic = rest.topic(&name).await?;
    let refuse = |why: String| RestError::new(code::INVALID_TOPIC_OR_CONFIG, why);
    let value = config::topic::check(&config, &value).map_err(refuse)?;
    let mut changed = topic.configs.clone();
    changed.insert(config.clone(), value.clone());
    config::topic::check_together(&changed).map_err(refuse)?;
    alter(&rest, &topic, vec![(config, value)], Vec::new()).await
}

/// `DELETE /v3/clusters/{cluster}/topics/{topic}/configs/{config}`
pub(super) async fn reset_config(
    State(rest): State<Rest>,
    Names((cluster, name, config)): Names<(String, String, String)>,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let topic = rest.topic(&name).await?;
    config::topic::find(&config).ok_or_else(|| no_config(&config))?;
    let mut changed = topic.configs.clone();
    changed.remove(&config);
    let refuse = |why: String| RestError::new(code::INVALID_TOPIC_OR_CONFIG, why);
    config::topic::check_together(&changed).map_err(refuse)?;
    alter(&rest, &topic, Vec::new(), vec![config]).await
}

async fn alter(
    rest: &Rest,
    topic: &Topic,
    set: Vec<(String, String)>,
    remove: Vec<String>,
) -> Result<Response, RestError> {
    let node = rest.node();
    let operation = Operation::AlterTopicConfigs { id: topic.id, set, remove };
    let altered = node.log.commit_topic(operation, Some(node.deadline(TIMEOUT_MS))).await;
    altered.map_err(|error| RestError::from(&error))?;
    tracing::info!(topic = topic.name, "topic configuration changed");
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn no_config(config: &str) -> RestError {
    RestError::new(code::NOT_FOUND, format!("Config {config} cannot be found."))
}

fn path_of(cluster: &str, topic: &str) -> String {
    format!("/v3/clusters/{cluster}/topics/{topic}")
}

fn shown(cluster: &str, topic: &Topic) -> Value {
    let path = path_of(cluster, &topic.name);
    json!({
        "kind": "KafkaTopic",
        "metadata": v3::metadata(&path, &format!("crn:///kafka={cluster}/topic={}", topic.name)),
        "cluster_id": cluster,
        "topic_name": topic.name,
        "topic_id": topic.id.to_string(),
        "is_internal": crate::topics::is_internal(&topic.name),
        "replication_factor": topic.replication_factor,
        "partitions_count": topic.partition_count,
        "partitions": v3::related(&format!("{path}/partitions")),
        "configs": v3::related(&format!("{path}/configs")),
    })
}

fn shown_partition(rest: &Rest, cluster: &str, topic: &Topic, index: i32) -> Value {
    let path = format!("{}/partitions/{index}", path_of(cluster, &topic.name));
    json!({
        "kind": "KafkaPartition",
        "metadata": v3::metadata(&path, &format!("crn:///kafka={cluster}/topic={}/partition={index}", topic.name)),
        "cluster_id": cluster,
        "topic_name": topic.name,
        "partition_id": index,
        "leader_id": rest.leader_of(TopicPartition::new(topic.id, index)),
        "records": v3::related(&format!("{path}/records")),
    })
}

fn shown_config(cluster: &str, topic: &str, config: &DescribedConfig) -> Value {
    let visible = |value: &Option<String>| if config.sensitive { None } else { value.clone() };
    let source = |source: ConfigSource| match source {
        ConfigSource::Topic => "DYNAMIC_TOPIC_CONFIG",
        ConfigSource::DynamicAllBrokers => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
        ConfigSource::Default => "DEFAULT_CONFIG",
    };
    let synonyms: Vec<Value> = config
        .synonyms
        .iter()
        .map(|synonym| {
            json!({ "name": synonym.name, "value": visible(&synonym.value), "source": source(synonym.source) })
        })
        .collect();
    let path = format!("{}/configs/{}", path_of(cluster, topic), config.name);
    json!({
        "kind": "KafkaTopicConfig",
        "metadata": v3::metadata(&path, &format!("crn:///kafka={cluster}/topic={topic}/config={}", config.name)),
        "cluster_id": cluster,
        "topic_name": topic,
        "name": config.name,
        "value": visible(&config.value),
        "is_default": config.source == ConfigSource::Default,
        "is_read_only": config.read_only,
        "is_sensitive": config.sensitive,
        "source": source(config.source),
        "synonyms": synonyms,
    })
}
