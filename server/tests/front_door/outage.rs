//! The store goes away and comes back.

use std::time::Duration;

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::metadata_request::MetadataRequestTopic;
use alluvium_protocol::messages::{MetadataRequest, ProduceRequest, StrBytes};

use crate::harness::{Node, batch};
use crate::records::{fetch, produce, texts};

#[tokio::test]
async fn what_was_acknowledged_is_served_and_the_rest_is_retried_or_unknown() {
    let (node, store) = Node::start_on_faulty_store().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let answer = client.ask(9, &produce("t", 0, batch(&["before"]).bytes, -1)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);

    store.set_down(true);
    // What is in memory is read without the store.
    assert_eq!(texts(&client.ask(11, &fetch("t", 0, 0)).await).len(), 1);
    let mut during = node.client().await;
    let mut request = produce("t", 0, batch(&["during"]).bytes, -1);
    request.timeout_ms = 1_500;
    during.send(9, &request).await;
    let (_, answer) = during.receive::<ProduceRequest>(9).await.unwrap();
    let error = ErrorCode::from_code(answer.responses[0].partition_responses[0].error_code).unwrap();
    assert!(error.is_retriable(), "{error}");
    // A topic that this node does not know may exist: nobody is told that it does not.
    let asked = message!(MetadataRequest {
        topics: Some(vec![message!(MetadataRequestTopic { name: Some(StrBytes::from("unknown")) })]),
        allow_auto_topic_creation: true
    });
    let mut other = node.client().await;
    let asking = other.ask(12, &asked);
    let answer = tokio::time::timeout(Duration::from_secs(15), asking).await.expect("an answer in time");
    assert_eq!(answer.topics[0].error_code, ErrorCode::LeaderNotAvailable.code());

    store.set_down(false);
    let mut after = node.client().await;
    let answer = after.ask(9, &produce("t", 0, batch(&["after"]).bytes, -1)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    let last = answer.responses[0].partition_responses[0].base_offset;
    let all: Vec<String> = texts(&after.ask(11, &fetch("t", 0, 0)).await).into_iter().map(|(_, text)| text).collect();
    assert_eq!(all.first().map(String::as_str), Some("before"));
    assert_eq!(all.get(usize::try_from(last).unwrap()).map(String::as_str), Some("after"));
}
