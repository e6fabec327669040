//! Metadata (key 3), versions 0 to 13.
//!
//! Answers for all topics, for none, for names and (version 12 and later) for ids. Every live node is a broker, under the
//! address of its listener of the name that the client came in by. The leader of a partition is the node that is advised for
//! its shard (on a zonal listener, the one of this node's zone), with the constant leader epoch 0: any node would do. The
//! replicas are nodes that may be read from as well; the object store replicates.
//! A topic that does not exist is created when both the request and this node's settings allow it, and is usable as
//! soon as the answer arrives. Before a topic is called unknown the node catches up with the log.
//!
//! Missing: authorized operations (always the value that means "not asked for").

use std::collections::BTreeMap;

use alluvium_log::{CommitError, Operation, Rejection, Topic, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::metadata_request::MetadataRequestTopic;
use alluvium_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use alluvium_protocol::messages::{MetadataRequest, MetadataResponse, StrBytes, Uuid};
use alluvium_record::TopicId;

use crate::context::{Known, LEADER_EPOCH, Node, RequestContext, topic_id, wire_id};
use crate::nodes::{Leaders, Roster};
use crate::topics;

/// First version in which an answer may leave out a topic's name.
const NULLABLE_NAME_VERSION_MIN: i16 = 12;
/// How long the creation of a topic on first use may take, in milliseconds.
const AUTO_CREATE_TIMEOUT_MS: i32 = 15_000;

pub(crate) async fn handle(context: &RequestContext, request: MetadataRequest) -> MetadataResponse {
    let node = &context.node;
    let roster = context.roster();
    let topics = match request.topics {
        // Version 0 has no null: there, naming no topic means all of them.
        Some(wanted) if !(context.version == 0 && wanted.is_empty()) => {
            describe_wanted(context, &roster, &wanted, request.allow_auto_topic_creation).await
        }
        _ => describe_all(&roster, &node.state()),
    };
    message!(MetadataResponse {
        brokers: roster
            .brokers
            .iter()
            .map(|broker| {
                message!(MetadataResponseBroker {
                    node_id: broker.id.0,
                    host: broker.endpoint.host.clone(),
                    port: broker.endpoint.port,
                    rack: broker.rack.clone()
                })
            })
            .collect(),
        cluster_id: Some(StrBytes::from(node.log.cluster_id())),
        controller_id: roster.controller_id(),
        topics
    })
}

fn describe_all(roster: &Roster, state: &View) -> Vec<MetadataResponseTopic> {
    let leaders = roster.leaders(state);
    state.topics().map(|topic| describe(&leaders, topic)).collect()
}

fn find<'a>(state: &'a View, wanted: &MetadataRequestTopic) -> Option<&'a Topic> {
    match (&wanted.name, wanted.topic_id.is_zero()) {
        (_, false) => state.topic(topic_id(wanted.topic_id)),
        (Some(name), true) => state.topic_by_name(name),
        (None, true) => None,
    }
}

async fn describe_wanted(
    context: &RequestContext,
    roster: &Roster,
    wanted: &[MetadataRequestTopic],
    creation_allowed: bool,
) -> Vec<MetadataResponseTopic> {
    let node = &context.node;
    let view = node.view(|state| wanted.iter().all(|topic| find(state, topic).is_some())).await;
    let creation_allowed = creation_allowed && node.settings.auto_create_topics;
    let leaders = roster.leaders(&view.state);
    let mut described = Vec::with_capacity(wanted.len());
    for topic in wanted {
        described.push(match find(&view.state, topic) {
            Some(found) => describe(&leaders, found),
            None => describe_absent(context, roster, &view, topic, creation_allowed).await,
        });
    }
    described
}

async fn describe_absent(
    context: &RequestContext,
    roster: &Roster,
    view: &Known,
    wanted: &MetadataRequestTopic,
    creation_allowed: bool,
) -> MetadataResponseTopic {
    let by_id = !wanted.topic_id.is_zero();
    if by_id && context.version < NULLABLE_NAME_VERSION_MIN {
        return refused(ErrorCode::InvalidRequest, Some(StrBytes::default()), wanted.topic_id);
    }
    if by_id {
        return refused(view.missing(ErrorCode::UnknownTopicId), None, wanted.topic_id);
    }
    let Some(name) = &wanted.name else {
        let name = (context.version < NULLABLE_NAME_VERSION_MIN).then(StrBytes::default);
        return refused(ErrorCode::InvalidRequest, name, Uuid::ZERO);
    };
    if topics::check_name(name).is_err() {
        return refused(ErrorCode::InvalidTopicException, Some(name.clone()), Uuid::ZERO);
    }
    let absent = view.missing(ErrorCode::UnknownTopicOrPartition);
    if !creation_allowed || absent != ErrorCode::UnknownTopicOrPartition {
        return refused(absent, Some(name.clone()), Uuid::ZERO);
    }
    match create(&context.node, &view.state, name).await {
        Ok(()) => {
            let state = context.node.state();
            match state.topic_by_name(name) {
                Some(topic) => describe(&roster.leaders(&state), topic),
                None => refused(ErrorCode::LeaderNotAvailable, Some(name.clone()), Uuid::ZERO),
            }
        }
        Err(error) => refused(error, Some(name.clone()), Uuid::ZERO),
    }
}

/// Creates a topic on first use. One that somebody else has just created is as good.
async fn create(node: &Node, state: &View, name: &str) -> Result<(), ErrorCode> {
    if topics::colliding_name(state, name).is_some() {
        return Err(ErrorCode::InvalidTopicException);
    }
    let operation = Operation::CreateTopic {
        id: TopicId::from(node.runtime.random_uuid()),
        name: name.to_owned(),
        partition_count: node.settings.default_partition_count,
        replication_factor: node.settings.default_replication_factor,
        configs: BTreeMap::new(),
        shard_count: node.log.shard_count(),
    };
    match node.log.commit_topic(operation, Some(node.deadline(AUTO_CREATE_TIMEOUT_MS))).await {
        Ok(_) => {
            tracing::info!(topic = name, "topic created on first use");
            Ok(())
        }
        Err(CommitError::Rejected(Rejection::TopicExists(_))) => Ok(()),
        Err(error) => {
            tracing::warn!(topic = name, %error, "cannot create a topic on first use");
            Err(ErrorCode::LeaderNotAvailable)
        }
    }
}

fn refused(error: ErrorCode, name: Option<StrBytes>, id: Uuid) -> MetadataResponseTopic {
    message!(MetadataResponseTopic { error_code: error.code(), name, topic_id: id })
}

fn describe(leaders: &Leaders<'_>, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..topic.partition_count)
        .map(|partition_index| {
            let replicas = leaders.replicas(topic, partition_index);
            message!(MetadataResponsePartition {
                partition_index,
                leader_id: leaders.of(topic, partition_index),
                leader_epoch: LEADER_EPOCH,
                replica_nodes: replicas.clone(),
                isr_nodes: replicas
            })
        })
        .collect();
    message!(MetadataResponseTopic {
        name: Some(StrBytes::from(topic.name.as_str())),
        topic_id: wire_id(topic.id),
        is_internal: topics::is_internal(&topic.name),
        partitions
    })
}
