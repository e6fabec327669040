//! CreateTopics (key 19), versions 2 to 7.
//!
//! Topics are created with a fresh random id and are usable as soon as the answer arrives. Names, counts and
//! configurations are checked as Kafka does, with its error codes and sentences. A count or factor of -1 takes this
//! node's default. A manual assignment is taken as a count of partitions and a replication factor: where replicas are
//! is for the object store to decide. `validate_only` checks everything and writes nothing. Since version 5 the answer
//! lists the configuration of the new topic.
//!
//! Missing: creation policies and quotas.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_infra::runtime::Instant;
use alluvium_log::{Operation, Topic, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use alluvium_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use alluvium_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, StrBytes};
use alluvium_record::TopicId;
use futures_util::future::join_all;

use crate::config;
use crate::context::{Node, RequestContext, topic_id, wire_id};
use crate::errors::{Refusal, admin_error};
use crate::settings::ServerSettings;
use crate::topics;

/// A topic that may be created.
struct Plan {
    name: String,
    partition_count: i32,
    replication_factor: i16,
    configs: BTreeMap<String, String>,
}

pub(crate) async fn handle(context: &RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let node = &context.node;
    let deadline = node.deadline(request.timeout_ms);
    // A topic that seems to exist may have been deleted elsewhere.
    let view = node.view(|state| request.topics.iter().all(|topic| state.topic_by_name(&topic.name).is_none())).await;
    let repeated = repeated_names(&request.topics);
    let mut planned = BTreeSet::new();
    let topics = join_all(request.topics.iter().map(|topic| {
        let plan = plan(&node.settings, &view.state, topic, &repeated, &mut planned);
        async move {
            let result = match plan {
                Ok(plan) => create(node, plan, request.validate_only, deadline).await,
                Err(refusal) => Err(refusal),
            };
            result.unwrap_or_else(|refusal| {
                message!(CreatableTopicResult {
                    name: topic.name.clone(),
                    error_code: refusal.code(),
                    error_message: refusal.wire_message()
                })
            })
        }
    }))
    .await;
    message!(CreateTopicsResponse { topics })
}

/// A topic that somebody wants outside of the Kafka protocol; -1 takes the node's default.
pub(crate) struct NewTopic {
    pub(crate) name: String,
    pub(crate) partition_count: i32,
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(String, Option<String>)>,
    pub(crate) validate_only: bool,
}

/// Creates one topic by the rules of this API. Of one that is only validated, the id is nil.
pub(crate) async fn create_one(node: &Node, wanted: NewTopic, deadline: Instant) -> Result<Topic, Refusal> {
    let configs = wanted.configs.into_iter().map(|(name, value)| {
        message!(CreatableTopicConfig { name: StrBytes::from(name), value: value.map(StrBytes::from) })
    });
    let topic = message!(CreatableTopic {
        name: StrBytes::from(wanted.name),
        num_partitions: wanted.partition_count,
        replication_factor: wanted.replication_factor,
        configs: configs.collect()
    });
    let view = node.view(|state| state.topic_by_name(&topic.name).is_none()).await;
    let plan = plan(&node.settings, &view.state, &topic, &BTreeSet::new(), &mut BTreeSet::new())?;
    let mut created = Topic {
        id: TopicId::NIL,
        name: plan.name.clone(),
        partition_count: plan.partition_count,
        replication_factor: plan.replication_factor,
        configs: plan.configs.clone(),
        shard_count: node.log.shard_count(),
        created_ms: node.runtime.now_ms(),
    };
    let result = create(node, plan, wanted.validate_only, deadline).await?;
    created.id = topic_id(result.topic_id);
    Ok(created)
}

fn repeated_names(topics: &[CreatableTopic]) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    topics
        .iter()
        .filter(|topic| !seen.insert(topic.name.as_str()))
        .map(|topic| topic.name.as_str().to_owned())
        .collect()
}

fn plan(
    settings: &ServerSettings,
    state: &View,
    topic: &CreatableTopic,
    repeated: &BTreeSet<String>,
    planned: &mut BTreeSet<String>,
) -> Result<Plan, Refusal> {
    let name = topic.name.as_str();
    if repeated.contains(name) {
        return Err(Refusal::new(ErrorCode::InvalidRequest, "Duplicate topic name."));
    }
    topics::check_name(name).map_err(|why| Refusal::new(ErrorCode::InvalidTopicException, why))?;
    if state.topic_by_name(name).is_some() {
        return Err(Refusal::new(ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
    }
    let collides = topics::colliding_name(state, name).map(str::to_owned);
    let collides = collides.or_else(|| planned.iter().find(|other| topics::fold(other) == topics::fold(name)).cloned());
    if let Some(other) = collides {
        let why = format!("Topic '{name}' collides with existing topic: {other}");
        return Err(Refusal::new(ErrorCode::InvalidTopicException, why));
    }
    let (partition_count, replication_factor) =
        if topic.assignments.is_empty() { counts(settings, topic)? } else { assigned_counts(topic)? };
    if partition_count > settings.partitions_per_topic_max {
        let why = format!("Number of partitions must not be above {}.", settings.partitions_per_topic_max);
        return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
    }
    let configs = configs(topic)?;
    planned.insert(name.to_owned());
    Ok(Plan { name: name.to_owned(), partition_count, replication_factor, configs })
}

fn counts(settings: &ServerSettings, topic: &CreatableTopic) -> Result<(i32, i16), Refusal> {
    let partition_count = match topic.num_partitions {
        -1 => settings.default_partition_count,
        count if count > 0 => count,
        _ => {
            let why = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refusal::new(ErrorCode::InvalidPartitions, why));
        }
    };
    let replication_factor = match topic.replication_factor {
        -1 => settings.default_replication_factor,
        factor if factor > 0 => factor,
        _ => {
            let why = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refusal::new(ErrorCode::InvalidReplicationFactor, why));
        }
    };
    Ok((partition_count, replication_factor))
}

/// What a manual assignment amounts to.
fn assigned_counts(topic: &CreatableTopic) -> Result<(i32, i16), Refusal> {
    if topic.num_partitions != -1 || topic.replication_factor != -1 {
        let field = if topic.num_partitions != -1 { "numPartitions" } else { "replicationFactor" };
        let why = format!("A manual partition assignment was specified, but {field} was not set to -1.");
        return Err(Refusal::new(ErrorCode::InvalidRequest, why));
    }
    let refuse = |why: &str| Refusal::new(ErrorCode::InvalidReplicaAssignment, why);
    let mut indexes: Vec<i32> = topic.assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    if !indexes.iter().enumerate().all(|(position, index)| usize::try_from(*index) == Ok(position)) {
        return Err(refuse("partitions should be a consecutive 0-based integer sequence"));
    }
    let factor = topic.assignments.first().map_or(0, |assignment| assignment.broker_ids.len());
    if factor == 0 {
        return Err(refuse("The manual partition assignment includes an empty replica list."));
    }
    if topic.assignments.iter().any(|assignment| assignment.broker_ids.len() != factor) {
        return Err(refuse("The manual partition assignment includes partitions with different numbers of replicas."));
    }
    let count = i32::try_from(indexes.len()).map_err(|_| refuse("too many partitions"))?;
    let factor = i16::try_from(factor).map_err(|_| refuse("too many replicas"))?;
    Ok((count, factor))
}

fn configs(topic: &CreatableTopic) -> Result<BTreeMap<String, String>, Refusal> {
    let refuse = |why: String| Refusal::new(ErrorCode::InvalidConfig, why);
    let mut configs = BTreeMap::new();
    for given in &topic.configs {
        let name = given.name.as_str();
        let Some(value) = &given.value else {
            return Err(refuse(format!("Null value not supported for topic configs: {name}")));
        };
        configs.insert(name.to_owned(), config::topic::check(name, value).map_err(refuse)?);
    }
    config::topic::check_together(&configs).map_err(refuse)?;
    Ok(configs)
}

async fn create(
    node: &Node,
    plan: Plan,
    validate_only: bool,
    deadline: Instant,
) -> Result<CreatableTopicResult, Refusal> {
    let mut id = TopicId::NIL;
    if !validate_only {
        id = TopicId::from(node.runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id,
            name: plan.name.clone(),
            partition_count: plan.partition_count,
            replication_factor: plan.replication_factor,
            configs: plan.configs.clone(),
            shard_count: node.log.shard_count(),
        };
        node.log.commit_topic(operation, Some(deadline)).await.map_err(|error| admin_error(&error))?;
        tracing::info!(topic = plan.name, partitions = plan.partition_count, "topic created");
    }
    let configs = config::topic::describe(&plan.configs)
        .into_iter()
        .map(|config| {
            message!(CreatableTopicConfigs {
                name: StrBytes::from(config.name),
                value: config.value.map(StrBytes::from),
                read_only: config.read_only,
                config_source: config.source.code(),
                is_sensitive: config.sensitive
            })
        })
        .collect();
    Ok(message!(CreatableTopicResult {
        name: StrBytes::from(plan.name),
        topic_id: wire_id(id),
        num_partitions: plan.partition_count,
        replication_factor: plan.replication_factor,
        configs: Some(configs)
    }))
}
