//! DeleteTopics (key 20), versions 1 to 6.
//!
//! By name, and since version 6 also by id. The records and committed offsets of the topic go with it; the objects that
//! held its bytes are collected later.
//!
//! Missing: nothing.

use std::collections::BTreeSet;

use alluvium_log::{Operation, Topic, View};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::delete_topics_request::DeleteTopicState;
use alluvium_protocol::messages::delete_topics_response::DeletableTopicResult;
use alluvium_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, StrBytes};
use futures_util::future::join_all;

use crate::context::{Known, RequestContext, topic_id, wire_id};
use crate::errors::{Refusal, admin_error};

pub(crate) async fn handle(context: &RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let node = &context.node;
    let deadline = node.deadline(request.timeout_ms);
    let mut wanted = request.topics;
    for name in request.topic_names {
        wanted.push(message!(DeleteTopicState { name: Some(name) }));
    }
    let view = node.view(|state| wanted.iter().all(|topic| find(state, topic).is_some())).await;
    let mut seen = BTreeSet::new();
    let responses = join_all(wanted.iter().map(|topic| {
        let found = check(&view, topic).and_then(|found| {
            if seen.insert(found.id) {
                Ok((found.id, found.name.clone()))
            } else {
                Err(Refusal::new(ErrorCode::InvalidRequest, "The topic is named more than once."))
            }
        });
        async move {
            let outcome = match found {
                Ok((id, name)) => match node.log.commit_topic(Operation::DeleteTopic { id }, Some(deadline)).await {
                    Ok(_) => {
                        tracing::info!(topic = name, "topic deleted");
                        Ok((id, name))
                    }
                    Err(error) => Err(admin_error(&error)),
                },
                Err(refusal) => Err(refusal),
            };
            match outcome {
                Ok((id, name)) => {
                    message!(DeletableTopicResult { name: Some(StrBytes::from(name)), topic_id: wire_id(id) })
                }
                Err(refusal) => message!(DeletableTopicResult {
                    name: topic.name.clone(),
                    topic_id: topic.topic_id,
                    error_code: refusal.code(),
                    error_message: refusal.wire_message()
                }),
            }
        }
    }))
    .await;
    message!(DeleteTopicsResponse { responses })
}

fn find<'a>(state: &'a View, wanted: &DeleteTopicState) -> Option<&'a Topic> {
    match &wanted.name {
        Some(name) => state.topic_by_name(name),
        None => state.topic(topic_id(wanted.topic_id)),
    }
}

fn check<'a>(view: &'a Known, wanted: &DeleteTopicState) -> Result<&'a Topic, Refusal> {
    match (&wanted.name, wanted.topic_id.is_zero()) {
        (Some(_), false) => {
            Err(Refusal::new(ErrorCode::InvalidRequest, "You may not specify both topic name and topic id."))
        }
        (None, true) => Err(Refusal::new(ErrorCode::InvalidRequest, "Neither topic name nor id were specified.")),
        (Some(_), true) => {
            find(&view.state, wanted).ok_or_else(|| Refusal::bare(view.missing(ErrorCode::UnknownTopicOrPartition)))
        }
        (None, false) => {
            find(&view.state, wanted).ok_or_else(|| Refusal::bare(view.missing(ErrorCode::UnknownTopicId)))
        }
    }
}
