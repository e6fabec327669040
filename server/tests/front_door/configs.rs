//! Configuration is shown, checked and changed.

use alluvium_infra::Runtime;
use alluvium_infra::store::{StoreOptions, open};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use alluvium_protocol::messages::describe_configs_request::DescribeConfigsResource;
use alluvium_protocol::messages::describe_configs_response::DescribeConfigsResult;
use alluvium_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, StrBytes, alter_configs_request, incremental_alter_configs_request,
};
use alluvium_record::{BatchBuilder, Compression};
use bytes::Bytes;

use crate::harness::{Client, Node};
use crate::records::produce;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

async fn describe(client: &mut Client, version: i16, kind: i8, name: &str) -> DescribeConfigsResult {
    let request = message!(DescribeConfigsRequest {
        resources: vec![message!(DescribeConfigsResource {
            resource_type: kind,
            resource_name: StrBytes::from(name),
            configuration_keys: None
        })],
        include_synonyms: true,
        include_documentation: version >= 3
    });
    client.ask(version, &request).await.results.remove(0)
}

async fn change(client: &mut Client, kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> i16 {
    use incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let configs = changes
        .iter()
        .map(|(name, config_operation, value)| {
            message!(AlterableConfig {
                name: StrBytes::from(*name),
                config_operation: *config_operation,
                value: value.map(StrBytes::from)
            })
        })
        .collect();
    let resource = message!(AlterConfigsResource { resource_type: kind, resource_name: StrBytes::from(name), configs });
    let request = message!(IncrementalAlterConfigsRequest { resources: vec![resource] });
    client.ask(1, &request).await.responses[0].error_code
}

async fn value_of(client: &mut Client, name: &str) -> (String, i8) {
    let result = describe(client, 4, TOPIC, "t").await;
    let config = result.configs.into_iter().find(|config| config.name.as_str() == name).unwrap();
    (config.value.unwrap().into_string(), config.config_source)
}

#[tokio::test]
async fn topic_configs_are_described_and_changed() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    for version in 1..=4 {
        let result = describe(&mut client, version, TOPIC, "t").await;
        assert_eq!(result.error_code, 0);
        assert!(result.configs.len() > 30);
    }
    assert_eq!(value_of(&mut client, "retention.ms").await, ("604800000".to_owned(), 5));
    assert_eq!(change(&mut client, TOPIC, "t", &[("retention.ms", 0, Some("5000"))]).await, 0);
    assert_eq!(value_of(&mut client, "retention.ms").await, ("5000".to_owned(), 1));
    assert_eq!(change(&mut client, TOPIC, "t", &[("cleanup.policy", 2, Some("compact"))]).await, 0);
    assert_eq!(value_of(&mut client, "cleanup.policy").await.0, "delete,compact");
    assert_eq!(change(&mut client, TOPIC, "t", &[("cleanup.policy", 3, Some("delete"))]).await, 0);
    assert_eq!(value_of(&mut client, "cleanup.policy").await.0, "compact");
    assert_eq!(change(&mut client, TOPIC, "t", &[("cleanup.policy", 1, None), ("retention.ms", 1, None)]).await, 0);
    assert_eq!(value_of(&mut client, "retention.ms").await, ("604800000".to_owned(), 5));

    let invalid = ErrorCode::InvalidConfig.code();
    assert_eq!(change(&mut client, TOPIC, "t", &[("retention.ms", 0, Some("never"))]).await, invalid);
    assert_eq!(change(&mut client, TOPIC, "t", &[("no.such", 0, Some("1"))]).await, invalid);
    assert_eq!(change(&mut client, TOPIC, "t", &[("retention.ms", 2, Some("1"))]).await, invalid);
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(change(&mut client, TOPIC, "none", &[("retention.ms", 0, Some("1"))]).await, unknown);
}

/// A batch of one record, with a key or without one.
fn record(key: Option<&'static [u8]>) -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let value = Some(Bytes::from_static(b"value"));
    builder.push(Runtime::system().now_ms(), key.map(Bytes::from_static), value, Vec::new()).unwrap();
    builder.build(0).bytes
}

#[tokio::test]
async fn a_node_that_has_not_heard_of_a_compacted_topic_takes_no_record_without_a_key() {
    let runtime = Runtime::system();
    let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
    let (node, other) = (Node::start_on(store.clone(), &runtime).await, Node::start_on(store, &runtime).await);
    let (mut client, mut elsewhere) = (node.client().await, other.client().await);
    let compact = message!(CreatableTopicConfig {
        name: StrBytes::from("cleanup.policy"),
        value: Some(StrBytes::from("compact"))
    });
    let topic = message!(CreatableTopic {
        name: StrBytes::from("table"),
        num_partitions: 1,
        replication_factor: 1,
        configs: vec![compact]
    });
    let request = message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000 });
    assert_eq!(client.ask(7, &request).await.topics[0].error_code, 0);
    assert_eq!(other.log.view().topics().count(), 0, "the other node has not heard of it");
    for (key, expected) in [(None, ErrorCode::InvalidRecord.code()), (Some(&b"key"[..]), 0)] {
        let answer = elsewhere.ask(9, &produce("table", 0, record(key), -1)).await;
        assert_eq!(answer.responses[0].partition_responses[0].error_code, expected, "{key:?}");
    }
    let ends: Vec<i64> = other.log.view().partitions().map(|(_, partition)| partition.high_watermark()).collect();
    assert_eq!(ends, [1]);
}

#[tokio::test]
async fn the_older_api_replaces_everything() {
    use alter_configs_request::{AlterConfigsResource, AlterableConfig};
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    assert_eq!(change(&mut client, TOPIC, "t", &[("retention.ms", 0, Some("5000"))]).await, 0);
    let resource = message!(AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: StrBytes::from("t"),
        configs: vec![message!(AlterableConfig {
            name: StrBytes::from("segment.ms"),
            value: Some(StrBytes::from("7"))
        })]
    });
    let request = message!(AlterConfigsRequest { resources: vec![resource] });
    assert_eq!(client.ask(2, &request).await.responses[0].error_code, 0);
    assert_eq!(value_of(&mut client, "retention.ms").await.1, 5);
    assert_eq!(value_of(&mut client, "segment.ms").await, ("7".to_owned(), 1));
}

#[tokio::test]
async fn broker_settings_are_shown_and_not_changed() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let result = describe(&mut client, 4, BROKER, "1").await;
    assert_eq!(result.error_code, 0);
    assert!(result.configs.iter().any(|config| config.name.as_str() == "num.partitions" && config.read_only));
    assert_eq!(describe(&mut client, 4, BROKER, "9").await.error_code, ErrorCode::InvalidRequest.code());
    let refused = change(&mut client, BROKER, "1", &[("num.partitions", 0, Some("3"))]).await;
    assert_eq!(refused, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn resources_with_configuration_are_listed() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let answer = client.ask(1, &ListConfigResourcesRequest::default()).await;
    let kinds: Vec<i8> = answer.config_resources.iter().map(|resource| resource.resource_type).collect();
    assert_eq!(kinds, [TOPIC, BROKER]);
    assert_eq!(client.ask(0, &ListConfigResourcesRequest::default()).await.config_resources.len(), 0);
}
