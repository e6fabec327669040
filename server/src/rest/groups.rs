//! v3 consumer groups as the log knows them: list, describe, members, lags. Any process shows all of them.
//!
//! Invariant: what is shown is at least as new as the question. Members that the log does not know yet (a rebalance is under
//! way) are not shown; their coordinator knows them.

use alluvium_log::{GroupState, View};
use alluvium_record::TopicPartition;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::{RestError, code};
use super::extract::Names;
use super::{Rest, clusters, v3};

/// `GET /v3/clusters/{cluster}/consumer-groups`
pub(super) async fn list(State(rest): State<Rest>, Names(cluster): Names<String>) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let view = rest.fresh_view().await?;
    let mut groups: Vec<(&str, &GroupState)> = view.groups().collect();
    groups.sort_unstable_by_key(|(id, _)| *id);
    let data = groups.into_iter().map(|(id, group)| shown(&rest, &cluster, id, group)).collect();
    Ok(v3::list("KafkaConsumerGroupList", &format!("/v3/clusters/{cluster}/consumer-groups"), data).into_response())
}

/// `GET /v3/clusters/{cluster}/consumer-groups/{group}`
pub(super) async fn get(
    State(rest): State<Rest>,
    Names((cluster, id)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let view = find(&rest, &cluster, &id).await?;
    let group = view.group(&id).ok_or_else(|| not_found(&id))?;
    Ok(v3::one(shown(&rest, &cluster, &id, group)).into_response())
}

/// `GET /v3/clusters/{cluster}/consumer-groups/{group}/consumers`
pub(super) async fn members(
    State(rest): State<Rest>,
    Names((cluster, id)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let view = find(&rest, &cluster, &id).await?;
    let group = view.group(&id).ok_or_else(|| not_found(&id))?;
    let path = format!("{}/consumers", path_of(&cluster, &id));
    let data = members_of(group)
        .into_iter()
        .map(|Member { member_id, instance_id, client_id }| {
            json!({
                "kind": "KafkaConsumer",
                "metadata": v3::metadata(&format!("{path}/{member_id}"), &format!("crn:///kafka={cluster}/consumer-group={id}/consumer={member_id}")),
                "cluster_id": cluster,
                "consumer_group_id": id,
                "consumer_id": member_id,
                "instance_id": instance_id,
                "client_id": client_id,
            })
        })
        .collect();
    Ok(v3::list("KafkaConsumerList", &path, data).into_response())
}

/// `GET /v3/clusters/{cluster}/consumer-groups/{group}/lags`
pub(super) async fn lags(
    State(rest): State<Rest>,
    Names((cluster, id)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let view = find(&rest, &cluster, &id).await?;
    let group = view.group(&id).ok_or_else(|| not_found(&id))?;
    let path = format!("{}/lags", path_of(&cluster, &id));
    let data = lags_of(&view, group)
        .into_iter()
        .map(|lag| {
            let itself = format!("{path}/{}/partitions/{}", lag.topic, lag.partition);
            json!({
                "kind": "KafkaConsumerLag",
                "metadata": v3::metadata(&itself, &format!("crn:///kafka={cluster}/consumer-group={id}/lag={}/partition={}", lag.topic, lag.partition)),
                "cluster_id": cluster,
                "consumer_group_id": id,
                "topic_name": lag.topic,
                "partition_id": lag.partition,
                "current_offset": lag.current,
                "log_end_offset": lag.end,
                "lag": lag.end.saturating_sub(lag.current).max(0),
            })
        })
        .collect();
    Ok(v3::list("KafkaConsumerLagList", &path, data).into_response())
}

/// `GET /v3/clusters/{cluster}/consumer-groups/{group}/lag-summary`
pub(super) async fn lag_summary(
    State(rest): State<Rest>,
    Names((cluster, id)): Names<(String, String)>,
) -> Result<Response, RestError> {
    let view = find(&rest, &cluster, &id).await?;
    let group = view.group(&id).ok_or_else(|| not_found(&id))?;
    let lags = lags_of(&view, group);
    let behind = |lag: &Lag| lag.end.saturating_sub(lag.current).max(0);
    let most = lags.iter().max_by_key(|lag| behind(lag));
    Ok(v3::one(json!({
        "kind": "KafkaConsumerGroupLagSummary",
        "metadata": v3::metadata(&format!("{}/lag-summary", path_of(&cluster, &id)), &format!("crn:///kafka={cluster}/consumer-group={id}/lag-summary")),
        "cluster_id": cluster,
        "consumer_group_id": id,
        "max_lag": most.map_or(0, behind),
        "max_lag_topic_name": most.map(|lag| lag.topic.as_str()),
        "max_lag_partition_id": most.map(|lag| lag.partition),
        "total_lag": lags.iter().map(behind).sum::<i64>(),
    }))
    .into_response())
}

/// The state after a look at the log, in which the group is.
async fn find(rest: &Rest, cluster: &str, id: &str) -> Result<View, RestError> {
    clusters::check(rest, cluster)?;
    let view = rest.fresh_view().await?;
    if view.group(id).is_none() {
        return Err(not_found(id));
    }
    Ok(view)
}

fn not_found(id: &str) -> RestError {
    RestError::new(code::GROUP_NOT_FOUND, format!("Consumer group {id} cannot be found."))
}

fn path_of(cluster: &str, id: &str) -> String {
    format!("/v3/clusters/{cluster}/consumer-groups/{id}")
}

fn shown(rest: &Rest, cluster: &str, id: &str, group: &GroupState) -> Value {
    let path = path_of(cluster, id);
    let node = rest.node();
    let shard = node.log.group_shard(id);
    let coordinator = node.nodes.members().leader(shard).map(|member| member.id.0);
    let assignor = group.record().and_then(|record| record.protocol.clone());
    json!({
        "kind": "KafkaConsumerGroup",
        "metadata": v3::metadata(&path, &format!("crn:///kafka={cluster}/consumer-group={id}")),
        "cluster_id": cluster,
        "consumer_group_id": id,
        "is_simple": group.record().is_none() && group.consumer().is_none(),
        "type": if group.consumer().is_some() { "CONSUMER" } else { "CLASSIC" },
        "partition_assignor": assignor.unwrap_or_default(),
        "state": if group.has_members() { "STABLE" } else { "EMPTY" },
        "coordinator_id": coordinator,
        "consumers": v3::related(&format!("{path}/consumers")),
        "lag_summary": v3::related(&format!("{path}/lag-summary")),
        "offsets": v3::related(&format!("{path}/offsets")),
    })
}

struct Member {
    member_id: String,
    instance_id: Option<String>,
    client_id: String,
}

fn members_of(group: &GroupState) -> Vec<Member> {
    let classic = group.record().into_iter().flat_map(|record| &record.members).map(|member| Member {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
    });
    let consumers = group.consumer().into_iter().flat_map(|group| group.members.values()).map(|member| Member {
        member_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
    });
    classic.chain(consumers).collect()
}

struct Lag {
    topic: String,
    partition: i32,
    current: i64,
    end: i64,
}

/// How far the group is behind, by topic and partition; topics that are gone are left out.
fn lags_of(view: &View, group: &GroupState) -> Vec<Lag> {
    let lag = |place: &TopicPartition, offset: i64| {
        let topic = view.topic(place.topic)?.name.clone();
        let end = view.partition(*place)?.high_watermark();
        Some(Lag { topic, partition: place.partition, current: offset, end })
    };
    let mut lags: Vec<Lag> = group.offsets().filter_map(|(place, committed)| lag(place, committed.offset)).collect();
    lags.sort_unstable_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
    lags
}
