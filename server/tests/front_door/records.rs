//! Records go in and come out.

use std::time::{Duration, Instant};

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use alluvium_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use alluvium_protocol::messages::fetch_response::FetchResponse;
use alluvium_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use alluvium_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::{
    DeleteRecordsRequest, DescribeLogDirsRequest, DescribeProducersRequest, FetchRequest, InitProducerIdRequest,
    ListOffsetsRequest, OffsetForLeaderEpochRequest, ProduceRequest, StrBytes, Uuid, describe_producers_request,
};
use alluvium_record::{BatchBuilder, Compression, split_batches};
use bytes::{Bytes, BytesMut};

use crate::harness::{Client, Node, batch};

pub(crate) fn produce(topic: &str, partition: i32, records: Bytes, acks: i16) -> ProduceRequest {
    message!(ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![message!(TopicProduceData {
            name: StrBytes::from(topic),
            partition_data: vec![message!(PartitionProduceData { index: partition, records: Some(records) })]
        })]
    })
}

pub(crate) fn fetch(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    message!(FetchRequest {
        max_wait_ms: 2_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![message!(FetchTopic {
            topic: StrBytes::from(topic),
            partitions: vec![message!(FetchPartition {
                partition,
                fetch_offset: offset,
                partition_max_bytes: 1 << 20
            })]
        })]
    })
}

pub(crate) fn texts(response: &FetchResponse) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
        for batch in split_batches(partition.records.clone().unwrap_or_default()).unwrap() {
            for record in batch.records(1 << 20).unwrap() {
                found.push((record.offset, String::from_utf8(record.value.unwrap().to_vec()).unwrap()));
            }
        }
    }
    found
}

async fn produce_ok(client: &mut Client, topic: &str, partition: i32, values: &[&str]) -> i64 {
    let answer = client.ask(9, &produce(topic, partition, batch(values).bytes, -1)).await;
    let partition = &answer.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0, "{:?}", partition.error_message);
    partition.base_offset
}

#[tokio::test]
async fn every_version_produces_and_fetches() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let id = client.create_topic("t", 1).await;
    let mut expected = Vec::new();
    for version in 3..=13 {
        let mut request = produce("t", 0, batch(&[&format!("v{version}")]).bytes, 1);
        if version >= 13 {
            request.topic_data[0].name = StrBytes::default();
            request.topic_data[0].topic_id = id;
        }
        let answer = client.ask(version, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, i64::from(version) - 3), "version {version}");
        expected.push((i64::from(version) - 3, format!("v{version}")));
    }
    for version in 4..=18 {
        let mut request = fetch("t", 0, 0);
        if version >= 13 {
            request.topics[0].topic = StrBytes::default();
            request.topics[0].topic_id = id;
        }
        let answer = client.ask(version, &request).await;
        assert_eq!(texts(&answer), expected, "version {version}");
        assert_eq!(answer.responses[0].partitions[0].high_watermark, 11);
    }
}

#[tokio::test]
async fn errors_of_produce_say_what_is_wrong() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let good = batch(&["a"]).bytes;
    let mut corrupt = BytesMut::from(&good[..]);
    let last = corrupt.len() - 1;
    corrupt[last] ^= 1;
    let mut old = BytesMut::from(&good[..]);
    old[16] = 1;
    let large = batch(&[&"x".repeat(2 << 20)]).bytes;
    let cases = [
        (produce("none", 0, good.clone(), -1), ErrorCode::UnknownTopicOrPartition),
        (produce("t", 7, good.clone(), -1), ErrorCode::UnknownTopicOrPartition),
        (produce("t", 0, corrupt.freeze(), -1), ErrorCode::CorruptMessage),
        (produce("t", 0, old.freeze(), -1), ErrorCode::InvalidRecord),
        (produce("t", 0, good.slice(..30), -1), ErrorCode::CorruptMessage),
        (produce("t", 0, Bytes::new(), -1), ErrorCode::InvalidRecord),
        (produce("t", 0, large, -1), ErrorCode::MessageTooLarge),
        (produce("t", 0, good.clone(), 2), ErrorCode::InvalidRequiredAcks),
    ];
    for (request, error) in cases {
        let answer = client.ask(9, &request).await;
        let partition = &answer.responses[0].partition_responses[0];
        assert_eq!(ErrorCode::from_code(partition.error_code), Some(error), "{:?}", partition.error_message);
        assert_eq!(partition.base_offset, -1);
    }
    let mut by_id = produce("", 0, good, -1);
    by_id.topic_data[0].topic_id = Uuid::from_bytes([7; 16]);
    let answer = client.ask(13, &by_id).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::UnknownTopicId.code());
    assert_eq!(produce_ok(&mut client, "t", 0, &["still works"]).await, 0);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let mut sent = Vec::new();
    for number in 0..20 {
        sent.push(client.send(9, &produce("t", 0, batch(&[&number.to_string()]).bytes, -1)).await);
    }
    let last = client.send(4, &fetch("t", 0, 0)).await;
    for (number, correlation_id) in sent.into_iter().enumerate() {
        let (received, answer) = client.receive::<ProduceRequest>(9).await.unwrap();
        assert_eq!(received, correlation_id);
        assert_eq!(answer.responses[0].partition_responses[0].base_offset, number as i64);
    }
    let (received, answer) = client.receive::<FetchRequest>(4).await.unwrap();
    assert_eq!(received, last);
    assert_eq!(texts(&answer).len(), 20, "a fetch sees what was produced before it on its connection");
}

#[tokio::test]
async fn acks_0_gets_no_answer_and_a_failure_closes_the_connection() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    client.send(9, &produce("t", 0, batch(&["silent"]).bytes, 0)).await;
    assert_eq!(texts(&client.ask(4, &fetch("t", 0, 0)).await), [(0, "silent".to_owned())]);
    client.send(9, &produce("none", 0, batch(&["lost"]).bytes, 0)).await;
    assert!(client.is_closed().await);
}

#[tokio::test]
async fn old_produce_versions_are_refused_politely() {
    use bytes::BufMut;
    use tokio::io::AsyncWriteExt;
    let node = Node::start().await;
    let mut client = node.client().await;
    let mut body = BytesMut::new();
    body.put_slice(&[0, 0, 0, 2, 0, 0, 0, 9, 0xff, 0xff]); // Produce, version 2, correlation id 9, no client id
    body.put_i16(1);
    body.put_i32(1000);
    body.put_i32(1);
    body.put_i16(1);
    body.put_slice(b"t");
    body.put_i32(1);
    body.put_i32(0);
    body.put_i32(-1);
    client.stream.write_all(&(body.len() as u32).to_be_bytes()).await.unwrap();
    client.stream.write_all(&body).await.unwrap();
    let frame = client.receive_frame().await.unwrap();
    assert_eq!(frame[..4], 9_i32.to_be_bytes());
    assert!(frame.windows(2).any(|pair| pair == ErrorCode::UnsupportedVersion.code().to_be_bytes()));
}

#[tokio::test]
async fn a_long_poll_is_woken_by_records_and_ends_by_itself() {
    let node = Node::start().await;
    let mut consumer = node.client().await;
    let mut producer = node.client().await;
    producer.create_topic("t", 1).await;
    let mut request = fetch("t", 0, 0);
    request.max_wait_ms = 10_000;
    let begun = Instant::now();
    consumer.send(11, &request).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    produce_ok(&mut producer, "t", 0, &["wake up"]).await;
    let (_, answer) = consumer.receive::<FetchRequest>(11).await.unwrap();
    assert_eq!(texts(&answer).len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(5));
    let mut request = fetch("t", 0, 1);
    request.max_wait_ms = 100;
    assert_eq!(texts(&consumer.ask(11, &request).await).len(), 0);
}

#[tokio::test]
async fn fetch_refuses_what_is_not_there() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    produce_ok(&mut client, "t", 0, &["a", "b"]).await;
    let error = |answer: FetchResponse| ErrorCode::from_code(answer.responses[0].partitions[0].error_code).unwrap();
    assert_eq!(error(client.ask(12, &fetch("none", 0, 0)).await), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(client.ask(12, &fetch("t", 3, 0)).await), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(error(client.ask(12, &fetch("t", 0, 3)).await), ErrorCode::OffsetOutOfRange);
    let mut by_id = fetch("", 0, 0);
    by_id.topics[0].topic_id = Uuid::from_bytes([9; 16]);
    assert_eq!(error(client.ask(13, &by_id).await), ErrorCode::UnknownTopicId);
    let mut epoch = fetch("t", 0, 0);
    epoch.topics[0].partitions[0].current_leader_epoch = 5;
    assert_eq!(error(client.ask(12, &epoch).await), ErrorCode::UnknownLeaderEpoch);
}

#[tokio::test]
async fn a_fetch_session_sends_only_news() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 2).await;
    let mut request = fetch("t", 0, 0);
    request.max_wait_ms = 50;
    request.session_epoch = 0;
    let mut second = request.topics[0].partitions[0].clone();
    second.partition = 1;
    request.topics[0].partitions.push(second);
    let answer = client.ask(12, &request).await;
    assert_ne!(answer.session_id, 0);
    assert_eq!(answer.responses[0].partitions.len(), 2);

    let mut next = message!(FetchRequest {
        max_wait_ms: 50,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: answer.session_id,
        session_epoch: 1
    });
    let answer = client.ask(12, &next).await;
    assert_eq!((answer.error_code, answer.responses.len()), (0, 0), "nothing is new");
    produce_ok(&mut client, "t", 1, &["news"]).await;
    next.session_epoch = 2;
    let answer = client.ask(12, &next).await;
    assert_eq!(texts(&answer), [(0, "news".to_owned())]);
    assert_eq!(answer.responses[0].partitions.len(), 1);
    assert_eq!(client.ask(12, &next).await.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
    next.session_epoch = 3;
    next.forgotten_topics_data = vec![message!(ForgottenTopic { topic: StrBytes::from("t"), partitions: vec![0, 1] })];
    assert_eq!(client.ask(12, &next).await.error_code, 0);
    next.session_epoch = 4;
    assert_eq!(client.ask(12, &next).await.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

async fn offset_at(client: &mut Client, version: i16, timestamp: i64) -> (i16, i64, i64) {
    let request = message!(ListOffsetsRequest {
        topics: vec![message!(ListOffsetsTopic {
            name: StrBytes::from("t"),
            partitions: vec![message!(ListOffsetsPartition { timestamp })]
        })]
    });
    let answer = client.ask(version, &request).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.offset, partition.timestamp)
}

#[tokio::test]
async fn offsets_are_found_by_place_and_time() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let now_ms = alluvium_infra::Runtime::system().now_ms();
    let mut builder = BatchBuilder::new(Compression::None);
    for step in [10, 30, 20] {
        builder.push(now_ms + step, None, Some(Bytes::from_static(b"x")), Vec::new()).unwrap();
    }
    let answer = client.ask(9, &produce("t", 0, builder.build(0).bytes, -1)).await;
    assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    for version in 1..=11 {
        assert_eq!(offset_at(&mut client, version, -1).await, (0, 3, -1), "latest, version {version}");
        assert_eq!(offset_at(&mut client, version, -2).await, (0, 0, -1), "earliest, version {version}");
        assert_eq!(offset_at(&mut client, version, now_ms + 15).await, (0, 1, now_ms + 30));
        assert_eq!(offset_at(&mut client, version, now_ms + 31).await, (0, -1, -1));
    }
    assert_eq!(offset_at(&mut client, 7, -3).await, (0, 1, now_ms + 30));
    assert_eq!(offset_at(&mut client, 6, -3).await.0, ErrorCode::UnsupportedVersion.code());

    let request = message!(OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![message!(OffsetForLeaderTopic {
            topic: StrBytes::from("t"),
            partitions: vec![message!(OffsetForLeaderPartition { leader_epoch: 0 })]
        })]
    });
    let answer = client.ask(4, &request).await;
    assert_eq!(answer.topics[0].partitions[0].end_offset, 3);
}

#[tokio::test]
async fn deleting_records_moves_the_log_start() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    produce_ok(&mut client, "t", 0, &["a", "b", "c"]).await;
    for (offset, error, low_watermark) in
        [(2, 0, 2), (1, 0, 2), (9, ErrorCode::OffsetOutOfRange.code(), -1), (-1, 0, 3)]
    {
        let request = message!(DeleteRecordsRequest {
            topics: vec![message!(DeleteRecordsTopic {
                name: StrBytes::from("t"),
                partitions: vec![message!(DeleteRecordsPartition { offset })]
            })],
            timeout_ms: 10_000
        });
        let answer = client.ask(2, &request).await;
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.low_watermark), (error, low_watermark), "offset {offset}");
    }
    let answer = client.ask(12, &fetch("t", 0, 0)).await;
    assert_eq!(answer.responses[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange.code());
}

#[tokio::test]
async fn idempotent_producers_are_kept_from_doubling() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let request = message!(InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000 });
    let first = client.ask(4, &request).await;
    let second = client.ask(0, &request).await;
    assert_eq!((first.error_code, first.producer_epoch), (0, 0));
    assert_ne!(first.producer_id, second.producer_id);
    let sequenced = |sequence: i32| {
        let mut builder = BatchBuilder::new(Compression::None).producer(first.producer_id, 0, sequence);
        let now_ms = alluvium_infra::Runtime::system().now_ms();
        builder.push(now_ms, None, Some(Bytes::from_static(b"x")), Vec::new()).unwrap();
        produce("t", 0, builder.build(0).bytes, -1)
    };
    let mut outcome = Vec::new();
    for sequence in [0, 1, 0, 5, 2] {
        let answer = client.ask(9, &sequenced(sequence)).await;
        let partition = &answer.responses[0].partition_responses[0];
        outcome.push((partition.error_code, partition.base_offset));
    }
    let out_of_order = ErrorCode::OutOfOrderSequenceNumber.code();
    assert_eq!(outcome, [(0, 0), (0, 1), (0, 0), (out_of_order, -1), (0, 2)]);

    let request = message!(DescribeProducersRequest {
        topics: vec![message!(describe_producers_request::TopicRequest {
            name: StrBytes::from("t"),
            partition_indexes: vec![0]
        })]
    });
    let answer = client.ask(0, &request).await;
    let producer = &answer.topics[0].partitions[0].active_producers[0];
    assert_eq!((producer.producer_id, producer.last_sequence), (first.producer_id, 2));
}

#[tokio::test]
async fn the_store_is_the_log_dir() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    produce_ok(&mut client, "t", 0, &["a"]).await;
    let answer = client.ask(4, &message!(DescribeLogDirsRequest { topics: None })).await;
    assert_eq!((answer.error_code, answer.results.len()), (0, 1));
    assert!(answer.results[0].topics[0].partitions[0].partition_size > 0);
}

#[tokio::test]
async fn records_and_topics_outlive_the_node() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    produce_ok(&mut client, "t", 0, &["a", "b"]).await;
    let node = node.restart().await;
    assert!(client.is_closed().await);
    let mut client = node.client().await;
    assert_eq!(texts(&client.ask(12, &fetch("t", 0, 1)).await).last().unwrap(), &(1, "b".to_owned()));
}
