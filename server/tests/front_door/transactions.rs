//! Transactions: what becomes visible when, to whom, and how clients of several generations get there.

use std::time::{Duration, Instant};

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use alluvium_protocol::messages::fetch_response::{FetchResponse, PartitionData};
use alluvium_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use alluvium_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use alluvium_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use alluvium_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use alluvium_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use alluvium_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiVersionsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest,
    ListTransactionsRequest, OffsetFetchRequest, ProduceRequest, StrBytes, TxnOffsetCommitRequest,
    WriteTxnMarkersRequest, describe_producers_request,
};
use alluvium_record::{BatchBuilder, Compression, split_batches};
use bytes::Bytes;

use crate::harness::{Client, Node};
use crate::records::{fetch, produce};

/// A transactional producer, as far as a test drives it.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) transactional_id: StrBytes,
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

pub(crate) fn init_request(transactional_id: &str) -> InitProducerIdRequest {
    message!(InitProducerIdRequest {
        transactional_id: Some(StrBytes::from(transactional_id)),
        transaction_timeout_ms: 60_000,
        producer_id: -1,
        producer_epoch: -1
    })
}

/// InitProducerId, which succeeds.
pub(crate) async fn init(client: &mut Client, transactional_id: &str) -> Producer {
    let answer = client.ask(5, &init_request(transactional_id)).await;
    assert_eq!(answer.error_code, 0);
    let (id, epoch) = (answer.producer_id, answer.producer_epoch);
    Producer { transactional_id: StrBytes::from(transactional_id), id, epoch }
}

impl Producer {
    pub(crate) fn batch(&self, sequence: i32, texts: &[&str]) -> Bytes {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(self.id, self.epoch, sequence).transactional(true);
        for text in texts {
            let now_ms = alluvium_infra::Runtime::system().now_ms();
            builder.push(now_ms, None, Some(Bytes::copy_from_slice(text.as_bytes())), Vec::new()).unwrap();
        }
        builder.build(0).bytes
    }

    pub(crate) fn produce(&self, topic: &str, partition: i32, sequence: i32, texts: &[&str]) -> ProduceRequest {
        let mut request = produce(topic, partition, self.batch(sequence, texts), -1);
        request.transactional_id = Some(self.transactional_id.clone());
        request
    }

    pub(crate) fn add_partitions(&self, topics: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
        let topics = topics.iter().map(|(name, partitions)| {
            message!(AddPartitionsToTxnTopic { name: StrBytes::from(*name), partitions: partitions.to_vec() })
        });
        message!(AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: topics.collect()
        })
    }

    pub(crate) fn add_offsets(&self, group: &str) -> AddOffsetsToTxnRequest {
        message!(AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: StrBytes::from(group)
        })
    }

    pub(crate) fn commit_offset(&self, group: &str, topic: &str, offset: i64) -> TxnOffsetCommitRequest {
        let partition = message!(TxnOffsetCommitRequestPartition { committed_offset: offset });
        message!(TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: StrBytes::from(group),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![message!(TxnOffsetCommitRequestTopic {
                name: StrBytes::from(topic),
                partitions: vec![partition]
            })]
        })
    }

    pub(crate) fn end(&self, committed: bool) -> EndTxnRequest {
        message!(EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed
        })
    }

    /// EndTxn as clients of KIP-890 send it: the producer goes on with what the answer says.
    pub(crate) async fn end_and_raise(&mut self, client: &mut Client, committed: bool) {
        let answer = client.ask(5, &self.end(committed)).await;
        assert_eq!(answer.error_code, 0);
        (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
    }
}

pub(crate) fn produced(answer: &alluvium_protocol::messages::ProduceResponse) -> (ErrorCode, i64) {
    let partition = &answer.responses[0].partition_responses[0];
    (ErrorCode::from_code(partition.error_code).unwrap(), partition.base_offset)
}

/// Produces with version 12, which adds the partition.
pub(crate) async fn send(client: &mut Client, request: &ProduceRequest) -> i64 {
    let (error, offset) = produced(&client.ask(12, request).await);
    assert_eq!(error, ErrorCode::None);
    offset
}

pub(crate) fn committed_fetch(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let mut request = fetch(topic, partition, offset);
    request.isolation_level = 1;
    request.max_wait_ms = 0;
    request
}

/// The records of a partition as a consumer of committed records takes them: by the list of aborted transactions, without
/// control records; and the next offset.
fn committed(data: &PartitionData) -> (Vec<String>, i64) {
    let mut aborted: Vec<(i64, i64)> =
        data.aborted_transactions.iter().flatten().map(|aborted| (aborted.first_offset, aborted.producer_id)).collect();
    aborted.sort_unstable();
    let (mut texts, mut next) = (Vec::new(), -1);
    let mut under_abort: Vec<i64> = Vec::new();
    for batch in split_batches(data.records.clone().unwrap_or_default()).unwrap() {
        let header = &batch.header;
        next = header.next_offset();
        while aborted.first().is_some_and(|(first, _)| *first <= header.last_offset()) {
            under_abort.push(aborted.remove(0).1);
        }
        if header.attributes.is_control() {
            under_abort.retain(|producer| *producer != header.producer_id);
        } else if !header.attributes.is_transactional() || !under_abort.contains(&header.producer_id) {
            for record in batch.records(1 << 20).unwrap() {
                texts.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
            }
        }
    }
    (texts, next)
}

fn only(answer: &FetchResponse) -> &PartitionData {
    &answer.responses[0].partitions[0]
}

async fn read_committed(client: &mut Client, topic: &str, partition: i32) -> Vec<String> {
    let answer = client.ask(11, &committed_fetch(topic, partition, 0)).await;
    assert_eq!(only(&answer).error_code, 0);
    committed(only(&answer)).0
}

async fn last_offset(client: &mut Client, topic: &str, isolation_level: i8, timestamp: i64) -> i64 {
    let partition = message!(ListOffsetsPartition { timestamp, current_leader_epoch: -1 });
    let topics = vec![message!(ListOffsetsTopic { name: StrBytes::from(topic), partitions: vec![partition] })];
    let answer = client.ask(7, &message!(ListOffsetsRequest { replica_id: -1, isolation_level, topics })).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    answer.topics[0].partitions[0].offset
}

const LATEST: i64 = -1;
const MAX_TIMESTAMP: i64 = -3;

#[tokio::test]
async fn the_feature_is_announced() {
    let node = Node::start().await;
    let mut client = node.client().await;
    let request = message!(ApiVersionsRequest {
        client_software_name: StrBytes::from("test"),
        client_software_version: StrBytes::from("1")
    });
    for version in [3, 4] {
        let answer = client.ask(version, &request).await;
        assert_eq!((answer.error_code, answer.finalized_features_epoch), (0, 0));
        let finalized = &answer.finalized_features[0];
        assert_eq!((finalized.name.as_str(), finalized.max_version_level), ("transaction.version", 2));
        assert_eq!(answer.supported_features.len(), usize::from(version == 4));
    }
    assert!(client.ask(2, &request).await.finalized_features.is_empty());
}

#[tokio::test]
async fn records_become_visible_with_the_commit_and_never_after_an_abort() {
    for shards in [1, 3] {
        let node = Node::start_with_shards(shards, |_| {}).await;
        let mut client = node.client().await;
        client.create_topic("t", 4).await;
        let mut producer = init(&mut client, "tx").await;
        for partition in 0..4 {
            assert_eq!(send(&mut client, &producer.produce("t", partition, 0, &["a", "b"])).await, 0);
            assert_eq!(send(&mut client, &producer.produce("t", partition, 2, &["c"])).await, 2);
        }
        for partition in 0..4 {
            let answer = client.ask(11, &committed_fetch("t", partition, 0)).await;
            let data = only(&answer);
            assert_eq!((data.error_code, data.high_watermark, data.last_stable_offset), (0, 3, 0));
            assert!(data.records.as_ref().is_none_or(Bytes::is_empty), "nothing of an open transaction");
            let answer = client.ask(11, &fetch("t", partition, 0)).await;
            assert_eq!(committed(only(&answer)), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], 3));
        }
        let before = producer.clone();
        producer.end_and_raise(&mut client, true).await;
        assert_eq!((producer.id, producer.epoch), (before.id, before.epoch + 1));
        for partition in 0..4 {
            assert_eq!(read_committed(&mut client, "t", partition).await, ["a", "b", "c"]);
        }

        // The next transaction begins at sequence 0 of the next epoch, and is aborted.
        for partition in 0..2 {
            assert_eq!(send(&mut client, &producer.produce("t", partition, 0, &["d"])).await, 4);
        }
        producer.end_and_raise(&mut client, false).await;
        assert_eq!(producer.epoch, before.epoch + 2);
        for partition in 0..2 {
            assert_eq!(read_committed(&mut client, "t", partition).await, ["a", "b", "c"]);
            let answer = client.ask(11, &committed_fetch("t", partition, 0)).await;
            let aborted = only(&answer).aborted_transactions.clone().unwrap();
            assert_eq!(aborted.len(), 1);
            assert_eq!((aborted[0].producer_id, aborted[0].first_offset), (before.id, 4));
            let behind = client.ask(11, &committed_fetch("t", partition, 6)).await;
            assert_eq!(only(&behind).aborted_transactions.as_deref(), Some(&[][..]), "nothing of it is in the answer");
            let before = client.ask(11, &fetch("t", partition, 0)).await;
            assert!(only(&before).aborted_transactions.is_none(), "others are told of none");
        }
        // What the fenced epoch sends late leads nowhere.
        let late = client.ask(12, &before.produce("t", 3, 3, &["late"])).await;
        assert_eq!(produced(&late).0, ErrorCode::InvalidProducerEpoch);

        // A restart forgets nothing.
        send(&mut client, &producer.produce("t", 3, 0, &["e"])).await;
        let node = node.restart().await;
        let mut client = node.client().await;
        assert_eq!(read_committed(&mut client, "t", 3).await, ["a", "b", "c"]);
        producer.end_and_raise(&mut client, true).await;
        assert_eq!(read_committed(&mut client, "t", 3).await, ["a", "b", "c", "e"]);
        assert_eq!(read_committed(&mut client, "t", 0).await, ["a", "b", "c"]);
    }
}

#[tokio::test]
async fn older_clients_add_partitions_and_keep_their_epoch() {
    for shards in [1, 3] {
        let node = Node::start_with_shards(shards, |_| {}).await;
        let mut client = node.client().await;
        client.create_topic("t", 3).await;
        let mut sequence = 0;
        let producer = init(&mut client, "tx").await;
        for version in 0..=3 {
            let added = client.ask(version, &producer.add_partitions(&[("t", &[0, 1, 2])])).await;
            let topic = &added.results_by_topic_v3_and_below[0];
            assert_eq!(topic.name.as_str(), "t");
            let codes: Vec<i16> = topic.results_by_partition.iter().map(|result| result.partition_error_code).collect();
            assert_eq!(codes, [0, 0, 0]);
            for partition in 0..3 {
                let text = format!("v{version}");
                let answer = client.ask(9, &producer.produce("t", partition, sequence, &[&text])).await;
                assert_eq!(produced(&answer).0, ErrorCode::None);
            }
            sequence += 1;
            let commit = version % 2 == 0;
            assert_eq!(client.ask(version, &producer.end(commit)).await.error_code, 0);
        }
        for partition in 0..3 {
            assert_eq!(read_committed(&mut client, "t", partition).await, ["v0", "v2"]);
        }
    }
}

#[tokio::test]
async fn a_long_poll_of_committed_records_is_woken_by_the_end() {
    let node = Node::start().await;
    let (mut client, mut consumer) = (node.client().await, node.client().await);
    client.create_topic("t", 1).await;
    let mut producer = init(&mut client, "tx").await;
    send(&mut client, &producer.produce("t", 0, 0, &["a"])).await;
    let mut request = committed_fetch("t", 0, 0);
    request.max_wait_ms = 20_000;
    let begun = Instant::now();
    consumer.send(11, &request).await;
    // More of the open transaction is no reason to answer.
    send(&mut client, &producer.produce("t", 0, 1, &["b"])).await;
    let answering = tokio::time::timeout(Duration::from_millis(300), consumer.receive_frame());
    assert!(answering.await.is_err(), "answered with nothing to say");
    producer.end_and_raise(&mut client, true).await;
    let frame = tokio::time::timeout(Duration::from_secs(10), consumer.receive_frame()).await.expect("woken").unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    let limits = alluvium_protocol::frame::FrameLimits::default();
    let (_, answer) = alluvium_protocol::client::decode_response::<FetchResponse>(11, frame, &limits).unwrap();
    assert_eq!(committed(only(&answer)).0, ["a", "b"]);
}

#[tokio::test]
async fn offsets_are_listed_at_both_levels() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    client.ask(9, &produce("t", 0, crate::harness::batch(&["plain"]).bytes, -1)).await;
    let mut producer = init(&mut client, "tx").await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    send(&mut client, &producer.produce("t", 0, 0, &["a", "b"])).await;
    assert_eq!(last_offset(&mut client, "t", 0, LATEST).await, 3);
    assert_eq!(last_offset(&mut client, "t", 1, LATEST).await, 1);
    let (_, in_transaction) = (0, last_offset(&mut client, "t", 0, MAX_TIMESTAMP).await);
    assert!([1, 2].contains(&in_transaction), "{in_transaction}");
    assert_eq!(last_offset(&mut client, "t", 1, MAX_TIMESTAMP).await, -1, "what has it is not committed");
    producer.end_and_raise(&mut client, true).await;
    assert_eq!(last_offset(&mut client, "t", 0, LATEST).await, 4, "the marker has an offset");
    assert_eq!(last_offset(&mut client, "t", 1, LATEST).await, 4);
}

async fn offset_of(client: &mut Client, group: &str, require_stable: bool) -> OffsetFetchResponsePartitions {
    let topic = message!(OffsetFetchRequestTopics { name: StrBytes::from("t"), partition_indexes: vec![0] });
    let group = message!(OffsetFetchRequestGroup { group_id: StrBytes::from(group), topics: Some(vec![topic]) });
    let request = message!(OffsetFetchRequest { groups: vec![group], require_stable });
    let answer = client.ask(9, &request).await;
    assert_eq!(answer.groups[0].error_code, 0);
    answer.groups[0].topics[0].partitions[0].clone()
}

#[tokio::test]
async fn offsets_of_a_transaction_become_the_groups_with_it() {
    for shards in [1, 3] {
        let node = Node::start_with_shards(shards, |_| {}).await;
        let mut client = node.client().await;
        client.create_topic("t", 1).await;
        let mut producer = init(&mut client, "tx").await;
        for (group, explicit) in [("new", false), ("old", true), ("other", false)] {
            let mut version = 5;
            if explicit {
                version = 3;
                assert_eq!(client.ask(3, &producer.add_offsets(group)).await.error_code, 0);
            }
            let answer = client.ask(version, &producer.commit_offset(group, "t", 7)).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{group} of {shards} shards");
            assert_eq!(offset_of(&mut client, group, false).await.committed_offset, -1);
            let unstable = offset_of(&mut client, group, true).await;
            let expected = (ErrorCode::UnstableOffsetCommit.code(), -1);
            assert_eq!((unstable.error_code, unstable.committed_offset), expected);
            let all = message!(OffsetFetchRequest {
                groups: vec![message!(OffsetFetchRequestGroup { group_id: StrBytes::from(group), topics: None })],
                require_stable: true
            });
            let all = client.ask(9, &all).await;
            assert_eq!(all.groups[0].topics[0].partitions[0].error_code, ErrorCode::UnstableOffsetCommit.code());
            producer.end_and_raise(&mut client, true).await;
            let stable = offset_of(&mut client, group, true).await;
            assert_eq!((stable.error_code, stable.committed_offset), (0, 7));

            let answer = client.ask(5, &producer.commit_offset(group, "t", 9)).await;
            assert_eq!(answer.topics[0].partitions[0].error_code, 0);
            producer.end_and_raise(&mut client, false).await;
            let stable = offset_of(&mut client, group, true).await;
            assert_eq!((stable.error_code, stable.committed_offset), (0, 7), "aborted offsets never were");
        }
    }
}

#[tokio::test]
async fn the_next_producer_of_an_id_aborts_what_is_open() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let first = init(&mut client, "tx").await;
    send(&mut client, &first.produce("t", 0, 0, &["lost"])).await;
    let second = init(&mut client, "tx").await;
    assert_eq!(second.id, first.id);
    assert!(second.epoch > first.epoch);
    assert_eq!(read_committed(&mut client, "t", 0).await, Vec::<String>::new());
    assert_eq!(last_offset(&mut client, "t", 1, LATEST).await, 2, "its marker is there");
    let late = client.ask(12, &first.produce("t", 0, 1, &["late"])).await;
    assert_eq!(produced(&late).0, ErrorCode::InvalidProducerEpoch);
    // The one that has the id may say so and goes on with the next epoch (KIP-360).
    let mut again = init_request("tx");
    (again.producer_id, again.producer_epoch) = (second.id, second.epoch);
    let answer = client.ask(4, &again).await;
    assert_eq!((answer.error_code, answer.producer_id), (0, second.id));
    assert!(answer.producer_epoch > second.epoch);
}

#[tokio::test]
async fn an_open_transaction_ends_at_its_timeout() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let mut request = init_request("tx");
    request.transaction_timeout_ms = 300;
    let answer = client.ask(5, &request).await;
    let producer =
        Producer { transactional_id: StrBytes::from("tx"), id: answer.producer_id, epoch: answer.producer_epoch };
    send(&mut client, &producer.produce("t", 0, 0, &["a"])).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while last_offset(&mut client, "t", 1, LATEST).await == 0 {
        assert!(Instant::now() < deadline, "the transaction hangs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(read_committed(&mut client, "t", 0).await, Vec::<String>::new());
    let late = client.ask(5, &producer.end(true)).await;
    assert_eq!(late.error_code, ErrorCode::ProducerFenced.code());
}

#[tokio::test]
async fn tools_see_transactions_and_end_them() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 2).await;
    let mut producer = init(&mut client, "tx-1").await;
    init(&mut client, "tx-2").await;
    send(&mut client, &producer.produce("t", 1, 0, &["a"])).await;

    let ids = vec![StrBytes::from("tx-1"), StrBytes::from("tx-2"), StrBytes::from("none"), StrBytes::default()];
    let described = client.ask(0, &message!(DescribeTransactionsRequest { transactional_ids: ids })).await;
    let states: Vec<(i16, &str)> =
        described.transaction_states.iter().map(|one| (one.error_code, one.transaction_state.as_str())).collect();
    let not_found = ErrorCode::TransactionalIdNotFound.code();
    assert_eq!(states, [(0, "Ongoing"), (0, "Empty"), (not_found, ""), (ErrorCode::InvalidRequest.code(), "")]);
    let open = &described.transaction_states[0];
    assert_eq!((open.producer_id, open.producer_epoch), (producer.id, producer.epoch));
    assert_eq!((open.transaction_timeout_ms, open.transaction_start_time_ms > 0), (60_000, true));
    assert_eq!((open.topics[0].topic.as_str(), &open.topics[0].partitions[..]), ("t", &[1][..]));
    assert_eq!(described.transaction_states[1].transaction_start_time_ms, -1);

    let names = |answer: alluvium_protocol::messages::ListTransactionsResponse| -> Vec<String> {
        assert_eq!(answer.error_code, 0);
        answer.transaction_states.into_iter().map(|one| one.transactional_id.as_str().to_owned()).collect()
    };
    assert_eq!(names(client.ask(0, &ListTransactionsRequest::default()).await), ["tx-1", "tx-2"]);
    let ongoing = message!(ListTransactionsRequest { state_filters: vec![StrBytes::from("Ongoing")] });
    assert_eq!(names(client.ask(0, &ongoing).await), ["tx-1"]);
    let wrong = message!(ListTransactionsRequest { state_filters: vec![StrBytes::from("Wrong")] });
    let answer = client.ask(0, &wrong).await;
    assert_eq!(answer.unknown_state_filters[0].as_str(), "Wrong");
    assert!(names(answer).is_empty());
    let by_producer = message!(ListTransactionsRequest { producer_id_filters: vec![producer.id] });
    assert_eq!(names(client.ask(1, &by_producer).await), ["tx-1"]);
    let long = message!(ListTransactionsRequest { duration_filter: 3_600_000 });
    assert!(names(client.ask(1, &long).await).is_empty());
    let pattern = |text: &str| {
        message!(ListTransactionsRequest { duration_filter: -1, transactional_id_pattern: Some(StrBytes::from(text)) })
    };
    assert_eq!(names(client.ask(2, &pattern(".*-2")).await), ["tx-2"]);
    assert_eq!(client.ask(2, &pattern("(")).await.error_code, ErrorCode::InvalidRegularExpression.code());

    let topics = vec![message!(describe_producers_request::TopicRequest {
        name: StrBytes::from("t"),
        partition_indexes: vec![0, 1]
    })];
    let answer = client.ask(0, &message!(DescribeProducersRequest { topics })).await;
    assert!(answer.topics[0].partitions[0].active_producers.is_empty());
    let active = &answer.topics[0].partitions[1].active_producers[0];
    assert_eq!((active.producer_id, active.producer_epoch), (producer.id, i32::from(producer.epoch)));
    assert_eq!((active.current_txn_start_offset, active.coordinator_epoch, active.last_sequence), (0, -1, 0));

    // As `kafka-transactions abort` sends it.
    let marker = message!(WritableTxnMarker {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        transaction_result: false,
        topics: vec![message!(WritableTxnMarkerTopic { name: StrBytes::from("t"), partition_indexes: vec![1, 7] })],
        coordinator_epoch: 0
    });
    let answer = client.ask(1, &message!(WriteTxnMarkersRequest { markers: vec![marker] })).await;
    assert_eq!(answer.markers[0].producer_id, producer.id);
    let codes: Vec<i16> = answer.markers[0].topics[0].partitions.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()]);
    let answer = client.ask(11, &committed_fetch("t", 1, 0)).await;
    assert_eq!(only(&answer).last_stable_offset, 2, "nothing is open");
    assert!(read_committed(&mut client, "t", 1).await.is_empty());
    producer.end_and_raise(&mut client, false).await;
}

#[tokio::test]
async fn plain_batches_go_on_beside_transactions() {
    let node = Node::start().await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    let mut one = init(&mut client, "one").await;
    let mut two = init(&mut client, "two").await;
    send(&mut client, &one.produce("t", 0, 0, &["one"])).await;
    client.ask(9, &produce("t", 0, crate::harness::batch(&["plain"]).bytes, -1)).await;
    send(&mut client, &two.produce("t", 0, 0, &["two"])).await;
    two.end_and_raise(&mut client, true).await;
    assert!(read_committed(&mut client, "t", 0).await.is_empty(), "the first one is still open");
    one.end_and_raise(&mut client, false).await;
    assert_eq!(read_committed(&mut client, "t", 0).await, ["plain", "two"]);
    // A transactional id alone makes no transaction.
    let mut request = produce("t", 0, crate::harness::batch(&["named"]).bytes, -1);
    request.transactional_id = Some(StrBytes::from("one"));
    assert_eq!(produced(&client.ask(12, &request).await).0, ErrorCode::None);
    assert_eq!(read_committed(&mut client, "t", 0).await, ["plain", "two", "named"]);
}
