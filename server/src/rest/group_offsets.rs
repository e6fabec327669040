//! `/v3/clusters/{cluster}/consumer-groups/{group}/offsets`: offsets of a group, read and committed without being a member.
//!
//! GET takes `topic` and `partition` to show less than all. POST takes `{"offsets": [{"topic_name", "partition_id", "offset",
//! "metadata"?}]}` and has one result for each.
//!
//! Invariants:
//! 1. A group with members takes no commit from outside (40904). Where this process coordinates the group, its coordinator
//!    decides; elsewhere the log does, also about who joins at the same moment.
//! 2. What is read includes everything that was acknowledged before the question.

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::group::{CommitInput, GroupError};
use alluvium_log::{CommitError, CommittedOffset, Operation, Rejection, View};
use alluvium_record::TopicPartition;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::{RestError, code};
use super::extract::{self, Answering, Names, Parameters};
use super::{Rest, clusters, v3};
use crate::context::STORE_WAIT_MAX;

const BODY_BYTES_MAX: usize = 1024 * 1024;
const TIMEOUT_MS: i32 = 20_000;
/// What Kafka knows of the sender of a commit that is no member.
const NO_GENERATION: i32 = -1;
const NO_LEADER_EPOCH: i32 = -1;

#[derive(Deserialize)]
struct CommitRequest {
    offsets: Option<Vec<GivenOffset>>,
}

#[derive(Deserialize)]
struct GivenOffset {
    topic_name: String,
    partition_id: i32,
    offset: i64,
    metadata: Option<String>,
}

/// Reads.
pub(super) async fn get(
    State(rest): State<Rest>,
    Names((cluster, group)): Names<(String, String)>,
    parameters: Parameters,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let partition = parameters.parsed::<i32>("partition", "a number")?;
    let view = rest.fresh_view().await?;
    let known = view.group(&group);
    let mut found: Vec<(String, i32, &CommittedOffset)> = known
        .into_iter()
        .flat_map(|known| known.offsets())
        .filter_map(|(place, committed)| Some((view.topic(place.topic)?.name.clone(), place.partition, committed)))
        .filter(|(topic, index, _)| {
            parameters.text("topic").is_none_or(|wanted| wanted == topic)
                && partition.is_none_or(|wanted| wanted == *index)
        })
        .collect();
    found.sort_unstable_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
    let data = found
        .into_iter()
        .map(|(topic, index, committed)| {
            json!({
                "topic_name": topic,
                "partition_id": index,
                "offset": committed.offset,
                "metadata": committed.metadata,
                "committed_ms": committed.commit_ms,
            })
        })
        .collect();
    let path = format!("/v3/clusters/{cluster}/consumer-groups/{group}/offsets");
    Ok(v3::list("KafkaConsumerGroupOffsetList", &path, data).into_response())
}

/// Commits.
pub(super) async fn commit(
    State(rest): State<Rest>,
    Names((cluster, group)): Names<(String, String)>,
    answering: Answering,
    body: Body,
) -> Result<Response, RestError> {
    clusters::check(&rest, &cluster)?;
    let body = extract::read_body(&rest, body, BODY_BYTES_MAX).await?;
    let request: CommitRequest = extract::json(&body)?;
    let given = request.offsets.filter(|offsets| !offsets.is_empty());
    let given = given.ok_or_else(|| RestError::new(code::MISSING_VALUE, "offsets: give at least one"))?;
    let node = rest.node();
    let find =
        |view: &View, given: &GivenOffset| crate::topics::find_partition(view, &given.topic_name, given.partition_id);
    let view = node.view(|view| given.iter().all(|given| find(view, given).is_some())).await;
    let now_ms = node.runtime.now_ms();
    let placed: Vec<Result<(TopicPartition, CommittedOffset), RestError>> = given
        .into_iter()
        .map(|given| match find(&view.state, &given) {
            Some(place) => Ok((place, checked(&rest, given, now_ms)?)),
            None if view.is_stale() => Err(RestError::not_known()),
            None if view.state.topic_by_name(&given.topic_name).is_none() => {
                Err(RestError::topic_not_found(&given.topic_name))
            }
            None => Err(RestError::partition_not_found(given.partition_id)),
        })
        .collect();
    let offsets: Vec<_> = placed.iter().flatten().cloned().collect();
    if !offsets.is_empty() {
        commit_outside(&rest, &group, offsets, answering).await?;
    }
    let results: Vec<Value> = placed
        .into_iter()
        .map(|placed| match placed {
            Ok((_, committed)) => json!({ "error_code": 200, "offset": committed.offset }),
            Err(refusal) => json!(refusal),
        })
        .collect();
    Ok(super::json_answer("application/json", &json!({ "results": results })).into_response())
}

fn checked(rest: &Rest, given: GivenOffset, now_ms: i64) -> Result<CommittedOffset, RestError> {
    let metadata = given.metadata.unwrap_or_default();
    let bytes_max = rest.node().settings.offset_metadata_bytes_max;
    if metadata.len() > bytes_max {
        return Err(RestError::invalid(format!("metadata: at most {bytes_max} bytes")));
    }
    if given.offset < 0 {
        return Err(RestError::invalid(format!("offset {}: give the next offset to read, from 0 on", given.offset)));
    }
    Ok(CommittedOffset { offset: given.offset, leader_epoch: NO_LEADER_EPOCH, metadata, commit_ms: now_ms })
}

/// Commits offsets for somebody who is no member.
pub(super) async fn commit_outside(
    rest: &Rest,
    group: &str,
    offsets: Vec<(TopicPartition, CommittedOffset)>,
    answering: Answering,
) -> Result<(), RestError> {
    let node = rest.node();
    let deadline = answering.at_most(node.deadline(TIMEOUT_MS));
    let sender = CommitInput {
        group: group.to_owned(),
        generation: NO_GENERATION,
        member_id: String::new(),
        instance_id: None,
        transactional: false,
    };
    match node.groups.commit_offsets(&sender, offsets.clone(), Some(deadline)).await {
        Ok(_) => Ok(()),
        Err(OffsetsError::Refused(GroupError::NotCoordinator)) => commit_by_log(rest, group, offsets, deadline).await,
        Err(OffsetsError::Refused(GroupError::UnknownMemberId)) => Err(has_members(group)),
        Err(error) => Err(error.into()),
    }
}

/// Without the coordinator: what the log says of the members counts.
async fn commit_by_log(
    rest: &Rest,
    group: &str,
    offsets: Vec<(TopicPartition, CommittedOffset)>,
    deadline: alluvium_infra::runtime::Instant,
) -> Result<(), RestError> {
    let node = rest.node();
    let shard = node.log.shard(node.log.group_shard(group)).ok_or_else(RestError::not_known)?;
    let state = match node.runtime.timeout(STORE_WAIT_MAX, shard.catch_up()).await {
        Ok(Ok(state)) => state,
        Ok(Err(_)) | Err(_) => return Err(RestError::not_known()),
    };
    if state.group(group).is_some_and(alluvium_log::GroupState::has_members) {
        return Err(has_members(group));
    }
    let operation = Operation::CommitOffsets { group: group.to_owned(), offsets };
    let committed: Result<_, CommitError> = shard.commit(operation, Some(deadline)).await;
    match committed {
        Ok(_) => Ok(()),
        // Somebody has joined meanwhile.
        Err(CommitError::Rejected(Rejection::GroupNotEmpty)) => Err(has_members(group)),
        Err(error) => Err(RestError::from(&error)),
    }
}

fn has_members(group: &str) -> RestError {
    RestError::new(code::ILLEGAL_STATE, format!("consumer group {group} has members: they alone commit its offsets"))
}
