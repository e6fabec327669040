//! Topics come, are described, grow and go.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use alluvium_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use alluvium_protocol::messages::delete_topics_request::DeleteTopicState;
use alluvium_protocol::messages::describe_topic_partitions_request::TopicRequest;
use alluvium_protocol::messages::metadata_request::MetadataRequestTopic;
use alluvium_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeTopicPartitionsRequest, MetadataRequest, StrBytes,
};

use crate::harness::{Client, Node};

fn by_name(name: &str, create: bool) -> MetadataRequest {
    message!(MetadataRequest {
        topics: Some(vec![message!(MetadataRequestTopic { name: Some(StrBytes::from(name)) })]),
        allow_auto_topic_creation: create
    })
}

async fn create(client: &mut Client, topic: CreatableTopic) -> (i16, String) {
    let request = message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000 });
    let result = client.ask(7, &request).await.topics.remove(0);
    (result.error_code, result.error_message.map(StrBytes::into_string).unwrap_or_default())
}

#[tokio::test]
async fn a_topic_is_created_described_and_deleted() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let topic = message!(CreatableTopic {
        name: StrBytes::from("test_topic"),
        num_partitions: 3,
        replication_factor: 3,
        configs: vec![message!(CreatableTopicConfig {
            name: StrBytes::from("retention.ms"),
            value: Some(StrBytes::from("1000"))
        })]
    });
    let request = message!(CreateTopicsRequest { topics: vec![topic.clone()], timeout_ms: 10_000 });
    let created = client.ask(7, &request).await.topics.remove(0);
    assert_eq!((created.error_code, created.num_partitions, created.replication_factor), (0, 3, 3));
    let configs = created.configs.unwrap();
    assert!(configs.iter().any(|config| config.name.as_str() == "retention.ms" && config.config_source == 1));
    assert_eq!(create(&mut client, topic).await.0, ErrorCode::TopicAlreadyExists.code());

    let described = client.ask(13, &by_name("test_topic", false)).await;
    assert_eq!(described.brokers.len(), 1);
    assert_eq!(described.brokers[0].port, i32::from(node.address().port()));
    let topic = &described.topics[0];
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    assert_eq!(topic.topic_id, created.topic_id);
    assert_eq!(topic.partitions[0].replica_nodes, [1, 1, 1]);
    // Every version can carry it.
    for version in 0..=13 {
        let described = client.ask(version, &by_name("test_topic", true)).await;
        assert_eq!(described.topics[0].partitions.len(), 3, "version {version}");
    }

    let by_id = message!(MetadataRequest {
        topics: Some(vec![message!(MetadataRequestTopic { topic_id: created.topic_id, name: None })])
    });
    assert_eq!(client.ask(12, &by_id).await.topics[0].name.as_deref(), Some("test_topic"));

    let request = message!(DeleteTopicsRequest {
        topics: vec![message!(DeleteTopicState { name: Some(StrBytes::from("test_topic")) })],
        timeout_ms: 10_000
    });
    assert_eq!(client.ask(6, &request).await.responses[0].error_code, 0);
    assert_eq!(client.ask(6, &request).await.responses[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(client.ask(12, &by_id).await.topics[0].error_code, ErrorCode::UnknownTopicId.code());
    let gone = client.ask(13, &by_name("test_topic", false)).await;
    assert_eq!(gone.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn topics_are_created_on_first_use_when_allowed() {
    let node = Node::start_with(|settings| settings.default_partition_count = 2).await;
    let mut client = node.client().await;
    let answer = client.ask(4, &by_name("fresh", false)).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let answer = client.ask(4, &by_name("fresh", true)).await;
    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (0, 2));
    let answer = client.ask(4, &by_name("not a name", true)).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::InvalidTopicException.code());
    let all = message!(MetadataRequest { topics: None });
    assert_eq!(client.ask(13, &all).await.topics.len(), 1);
    let none = message!(MetadataRequest { topics: Some(Vec::new()) });
    assert_eq!(client.ask(13, &none).await.topics.len(), 0);
    assert_eq!(client.ask(0, &none).await.topics.len(), 1, "version 0 means all");

    let strict = Node::start_with(|settings| settings.auto_create_topics = false).await;
    let answer = strict.client().await.ask(4, &by_name("fresh", true)).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn what_cannot_be_created_is_refused_as_kafka_does() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let topic = |name: &str, partitions: i32, factor: i16| {
        message!(CreatableTopic { name: StrBytes::from(name), num_partitions: partitions, replication_factor: factor })
    };
    let cases = [
        (topic("", 1, 1), ErrorCode::InvalidTopicException),
        (topic("a b", 1, 1), ErrorCode::InvalidTopicException),
        (topic("zero", 0, 1), ErrorCode::InvalidPartitions),
        (topic("many", 1_000_000, 1), ErrorCode::InvalidPartitions),
        (topic("factor", 1, 0), ErrorCode::InvalidReplicationFactor),
    ];
    for (topic, error) in cases {
        assert_eq!(create(&mut client, topic.clone()).await.0, error.code(), "{}", topic.name);
    }
    let mut bad_config = topic("config", 1, 1);
    bad_config.configs = vec![message!(CreatableTopicConfig {
        name: StrBytes::from("retention.ms"),
        value: Some(StrBytes::from("soon"))
    })];
    let (code, why) = create(&mut client, bad_config).await;
    assert_eq!(code, ErrorCode::InvalidConfig.code());
    assert!(why.contains("retention.ms"), "{why}");

    assert_eq!(create(&mut client, topic("a.b", 1, 1)).await.0, 0);
    assert_eq!(create(&mut client, topic("a_b", 1, 1)).await.0, ErrorCode::InvalidTopicException.code());

    let twice = message!(CreateTopicsRequest { topics: vec![topic("t", 1, 1), topic("t", 1, 1)], timeout_ms: 1000 });
    for result in client.ask(5, &twice).await.topics {
        assert_eq!(result.error_code, ErrorCode::InvalidRequest.code());
    }
    let dry = message!(CreateTopicsRequest { topics: vec![topic("dry", 1, 1)], timeout_ms: 1000, validate_only: true });
    assert_eq!(client.ask(5, &dry).await.topics[0].error_code, 0);
    let answer = client.ask(4, &by_name("dry", false)).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn a_manual_assignment_counts_partitions_and_replicas() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let assignments = (0..2)
        .map(|partition_index| message!(CreatableReplicaAssignment { partition_index, broker_ids: vec![1, 2, 3] }))
        .collect();
    let topic = message!(CreatableTopic {
        name: StrBytes::from("manual"),
        num_partitions: -1,
        replication_factor: -1,
        assignments
    });
    assert_eq!(create(&mut client, topic).await, (0, String::new()));
    let described = client.ask(13, &by_name("manual", false)).await;
    assert_eq!(described.topics[0].partitions.len(), 2);
    assert_eq!(described.topics[0].partitions[0].replica_nodes.len(), 3);
}

#[tokio::test]
async fn partitions_can_only_be_added() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("grows", 2).await;
    for (count, error) in [(4, 0), (4, ErrorCode::InvalidPartitions.code()), (1, ErrorCode::InvalidPartitions.code())] {
        let topic = message!(CreatePartitionsTopic { name: StrBytes::from("grows"), count, assignments: None });
        let request = message!(CreatePartitionsRequest { topics: vec![topic], timeout_ms: 10_000 });
        assert_eq!(client.ask(3, &request).await.results[0].error_code, error);
    }
    assert_eq!(client.ask(13, &by_name("grows", false)).await.topics[0].partitions.len(), 4);
}

#[tokio::test]
async fn describing_pages_through_partitions() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("a", 3).await;
    client.create_topic("b", 2).await;
    let mut request = message!(DescribeTopicPartitionsRequest { response_partition_limit: 2 });
    let mut pages = Vec::new();
    loop {
        let page = client.ask(0, &request).await;
        pages.push(page.topics.iter().map(|topic| topic.partitions.len()).collect::<Vec<_>>());
        let Some(next) = page.next_cursor else { break };
        let cursor = message!(alluvium_protocol::messages::describe_topic_partitions_request::Cursor {
            topic_name: next.topic_name,
            partition_index: next.partition_index
        });
        request.cursor = Some(cursor);
    }
    assert_eq!(pages, [vec![2], vec![1, 1], vec![1]]);
    let request = message!(DescribeTopicPartitionsRequest {
        topics: vec![message!(TopicRequest { name: StrBytes::from("none") })],
        response_partition_limit: 2000
    });
    let answer = client.ask(0, &request).await;
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn the_cluster_is_one_node_that_can_be_reached() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let answer = client.ask(2, &DescribeClusterRequest::default()).await;
    assert_eq!((answer.error_code, answer.brokers.len(), answer.controller_id), (0, 1, 1));
    assert_eq!(answer.brokers[0].host.as_str(), "127.0.0.1");
    assert!(!answer.cluster_id.is_empty());
    let controllers = message!(DescribeClusterRequest { endpoint_type: 2 });
    assert_eq!(client.ask(1, &controllers).await.error_code, ErrorCode::UnsupportedEndpointType.code());
}
