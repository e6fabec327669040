//! What transactional clients are told when something is wrong: Kafka's own codes, one by one, by version.

use std::time::Duration;

use alluvium_infra::store::{Fault, FaultRule, StoreOperation};
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use alluvium_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnResponse;
use alluvium_protocol::messages::produce_request::PartitionProduceData;
use alluvium_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use alluvium_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeTransactionsRequest, FindCoordinatorRequest, ListTransactionsRequest,
    MetadataRequest, StrBytes, TxnOffsetCommitResponse, WriteTxnMarkersRequest,
};

use crate::harness::{Client, Node};
use crate::records::produce;
use crate::transactions::{Producer, init, init_request, produced, send};

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

fn added(answer: &AddPartitionsToTxnResponse) -> Vec<ErrorCode> {
    let topics = answer.results_by_topic_v3_and_below.iter();
    topics.flat_map(|topic| &topic.results_by_partition).map(|result| code(result.partition_error_code)).collect()
}

fn offset(answer: &TxnOffsetCommitResponse) -> ErrorCode {
    code(answer.topics[0].partitions[0].error_code)
}

/// A node with topic `t` of two partitions, in so many shards.
async fn start(shards: u32) -> (Node, Client) {
    let node = Node::start_with_shards(shards, |_| {}).await;
    let mut client = node.client().await;
    client.create_topic("t", 2).await;
    (node, client)
}

/// What each API says to this producer, in the oldest and in the newest version: InitProducerId, AddPartitionsToTxn,
/// AddOffsetsToTxn, TxnOffsetCommit, Produce, EndTxn.
async fn told(client: &mut Client, producer: &Producer, newest: bool) -> [ErrorCode; 6] {
    let version = |oldest: i16, newest_version: i16| if newest { newest_version } else { oldest };
    let mut again = init_request(&producer.transactional_id);
    (again.producer_id, again.producer_epoch) = (producer.id, producer.epoch);
    let initialized = client.ask(version(3, 5), &again).await.error_code;
    let partitions = added(&client.ask(version(0, 3), &producer.add_partitions(&[("t", &[0])])).await)[0];
    let offsets = client.ask(version(0, 4), &producer.add_offsets("g")).await.error_code;
    let committed = offset(&client.ask(version(0, 5), &producer.commit_offset("g", "t", 1)).await);
    let batch = produced(&client.ask(version(3, 12), &producer.produce("t", 0, 0, &["a"])).await).0;
    let ended = client.ask(version(0, 5), &producer.end(true)).await.error_code;
    [code(initialized), partitions, code(offsets), committed, batch, code(ended)]
}

#[tokio::test]
async fn a_fenced_epoch() {
    use ErrorCode::{InvalidProducerEpoch as Invalid, ProducerFenced as Fenced};
    for shards in [1, 3] {
        let (_node, mut client) = start(shards).await;
        let old = init(&mut client, "tx").await;
        init(&mut client, "tx").await;
        assert_eq!(told(&mut client, &old, false).await, [Invalid; 6], "the words of old versions");
        assert_eq!(told(&mut client, &old, true).await, [Fenced, Fenced, Fenced, Invalid, Invalid, Fenced]);
    }
}

#[tokio::test]
async fn an_unknown_transactional_id() {
    let unknown = ErrorCode::InvalidProducerIdMapping;
    for shards in [1, 3] {
        let (_node, mut client) = start(shards).await;
        let nobody = Producer { transactional_id: StrBytes::from("nobody"), id: 77, epoch: 0 };
        assert_eq!(client.ask(5, &nobody.end(true)).await.error_code, unknown.code(), "of an id that never was");
        assert_eq!(produced(&client.ask(12, &nobody.produce("t", 1, 0, &["a"])).await).0, unknown);
        for (newest, expected) in [(false, ErrorCode::None), (true, ErrorCode::ProducerFenced)] {
            let [initialized, rest @ ..] = told(&mut client, &nobody, newest).await;
            assert_eq!(initialized, expected);
            // A producer whose id was forgotten begins anew, and gets another producer id.
            assert_eq!(rest, [unknown; 5], "{shards} shards, newest: {newest}");
        }
        let ids = vec![StrBytes::from("never")];
        let answer = client.ask(0, &message!(DescribeTransactionsRequest { transactional_ids: ids })).await;
        assert_eq!(code(answer.transaction_states[0].error_code), ErrorCode::TransactionalIdNotFound);
    }
}

#[tokio::test]
async fn another_producer_id() {
    let (_node, mut client) = start(1).await;
    let mut other = init(&mut client, "tx").await;
    other.id += 1;
    let [initialized, rest @ ..] = told(&mut client, &other, true).await;
    assert_eq!(initialized, ErrorCode::ProducerFenced);
    assert_eq!(rest, [ErrorCode::InvalidProducerIdMapping; 5]);
}

#[tokio::test]
async fn a_partition_that_does_not_exist() {
    let (_node, mut client) = start(1).await;
    let producer = init(&mut client, "tx").await;
    let (unknown, others) = (ErrorCode::UnknownTopicOrPartition, ErrorCode::OperationNotAttempted);
    let answer = client.ask(3, &producer.add_partitions(&[("t", &[0, 9, 1]), ("none", &[0])])).await;
    assert_eq!(added(&answer), [others, unknown, others, unknown]);
    // Nothing was added.
    let answer = client.ask(10, &producer.produce("t", 0, 0, &["a"])).await;
    assert_eq!(produced(&answer).0, ErrorCode::InvalidTxnState);
    assert_eq!(produced(&client.ask(12, &producer.produce("t", 9, 0, &["a"])).await).0, unknown);
    assert_eq!(offset(&client.ask(5, &producer.commit_offset("g", "none", 1)).await), unknown);
    let marker = message!(WritableTxnMarker {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![message!(WritableTxnMarkerTopic { name: StrBytes::from("none"), partition_indexes: vec![0] })]
    });
    let answer = client.ask(1, &message!(WriteTxnMarkersRequest { markers: vec![marker] })).await;
    assert_eq!(code(answer.markers[0].topics[0].partitions[0].error_code), unknown);
}

#[tokio::test]
async fn ending_twice() {
    let (_node, mut client) = start(1).await;
    let mut producer = init(&mut client, "tx").await;
    let state = ErrorCode::InvalidTxnState;
    for version in [0, 4] {
        assert_eq!(code(client.ask(version, &producer.end(true)).await.error_code), state, "nothing was begun");
        assert_eq!(code(client.ask(version, &producer.end(false)).await.error_code), state);
    }
    assert_eq!(code(client.ask(5, &producer.end(true)).await.error_code), state);
    // Older clients: the same again is answered as the first time, the opposite is not.
    for commit in [true, false] {
        assert_eq!(added(&client.ask(3, &producer.add_partitions(&[("t", &[0])])).await), [ErrorCode::None]);
        for version in [0, 1, 2, 3, 4] {
            assert_eq!(client.ask(version, &producer.end(commit)).await.error_code, 0);
        }
        assert_eq!(code(client.ask(4, &producer.end(!commit)).await.error_code), state);
    }
    // KIP-890: the same request again gets the same epoch, and the opposite is refused.
    send(&mut client, &producer.produce("t", 0, 0, &["a"])).await;
    let first = client.ask(5, &producer.end(true)).await;
    let second = client.ask(5, &producer.end(true)).await;
    assert_eq!((first.error_code, second.error_code), (0, 0));
    assert_eq!((first.producer_id, first.producer_epoch), (second.producer_id, second.producer_epoch));
    assert_eq!(first.producer_epoch, producer.epoch + 1);
    assert_eq!(code(client.ask(5, &producer.end(false)).await.error_code), state);
    (producer.id, producer.epoch) = (first.producer_id, first.producer_epoch);
    // To abort nothing raises the epoch; to commit nothing is refused.
    let nothing = client.ask(5, &producer.end(true)).await;
    assert_eq!((code(nothing.error_code), nothing.producer_id, nothing.producer_epoch), (state, -1, -1));
    let aborted = client.ask(5, &producer.end(false)).await;
    assert_eq!((aborted.error_code, aborted.producer_epoch), (0, producer.epoch + 1));
}

#[tokio::test]
async fn a_partition_that_was_never_added() {
    for shards in [1, 3] {
        let (_node, mut client) = start(shards).await;
        let producer = init(&mut client, "tx").await;
        assert_eq!(added(&client.ask(3, &producer.add_partitions(&[("t", &[0])])).await), [ErrorCode::None]);
        for (version, expected) in [
            (3, ErrorCode::InvalidTxnState),
            (10, ErrorCode::InvalidTxnState),
            (11, ErrorCode::TransactionAbortable),
            (12, ErrorCode::None),
        ] {
            let answer = client.ask(version, &producer.produce("t", 1, 0, &["a"])).await;
            assert_eq!(produced(&answer).0, expected, "version {version}, {shards} shards");
        }
        for (version, expected) in
            [(3, ErrorCode::InvalidTxnState), (4, ErrorCode::TransactionAbortable), (5, ErrorCode::None)]
        {
            let answer = client.ask(version, &producer.commit_offset("g", "t", 1)).await;
            assert_eq!(offset(&answer), expected, "version {version}, {shards} shards");
        }
    }
}

#[tokio::test]
async fn verification_as_brokers_ask_for_it() {
    let (_node, mut client) = start(1).await;
    let producer = init(&mut client, "tx").await;
    assert_eq!(added(&client.ask(3, &producer.add_partitions(&[("t", &[0])])).await), [ErrorCode::None]);
    let request = |epoch| {
        let topics = vec![message!(AddPartitionsToTxnTopic { name: StrBytes::from("t"), partitions: vec![0, 1] })];
        let transaction = message!(AddPartitionsToTxnTransaction {
            transactional_id: producer.transactional_id.clone(),
            producer_id: producer.id,
            producer_epoch: epoch,
            verify_only: true,
            topics
        });
        message!(AddPartitionsToTxnRequest { transactions: vec![transaction] })
    };
    for (version, absent) in [(4, ErrorCode::InvalidTxnState), (5, ErrorCode::TransactionAbortable)] {
        let answer = client.ask(version, &request(producer.epoch)).await;
        let results = &answer.results_by_transaction[0].topic_results[0].results_by_partition;
        let codes: Vec<ErrorCode> = results.iter().map(|result| code(result.partition_error_code)).collect();
        assert_eq!(codes, [ErrorCode::None, absent]);
        let answer = client.ask(version, &request(producer.epoch + 1)).await;
        let results = &answer.results_by_transaction[0].topic_results[0].results_by_partition;
        assert_eq!(code(results[0].partition_error_code), ErrorCode::ProducerFenced);
    }
}

#[tokio::test]
async fn a_timeout_out_of_range() {
    let node = Node::start_with(|settings| settings.transaction_timeout_ms_max = 10_000).await;
    let mut client = node.client().await;
    for (timeout_ms, expected) in [
        (10_001, ErrorCode::InvalidTransactionTimeout),
        (0, ErrorCode::InvalidTransactionTimeout),
        (-1, ErrorCode::InvalidTransactionTimeout),
        (10_000, ErrorCode::None),
    ] {
        let mut request = init_request("tx");
        request.transaction_timeout_ms = timeout_ms;
        assert_eq!(code(client.ask(5, &request).await.error_code), expected, "{timeout_ms} ms");
    }
}

#[tokio::test]
async fn requests_without_sense() {
    let (_node, mut client) = start(1).await;
    let invalid = ErrorCode::InvalidRequest;
    assert_eq!(code(client.ask(5, &init_request("")).await.error_code), invalid);
    let mut half = init_request("tx");
    half.producer_id = 5;
    assert_eq!(code(client.ask(5, &half).await.error_code), invalid);
    let nameless = Producer { transactional_id: StrBytes::default(), id: 5, epoch: 0 };
    assert_eq!(added(&client.ask(3, &nameless.add_partitions(&[("t", &[0])])).await), [invalid]);
    assert_eq!(code(client.ask(4, &nameless.add_offsets("g")).await.error_code), invalid);
    assert_eq!(code(client.ask(5, &nameless.end(true)).await.error_code), invalid);
    assert_eq!(offset(&client.ask(5, &nameless.commit_offset("g", "t", 1)).await), invalid);
    let producer = init(&mut client, "tx").await;
    assert_eq!(offset(&client.ask(5, &producer.commit_offset("", "t", 1)).await), ErrorCode::InvalidGroupId);
    let mut long = producer.commit_offset("g", "t", 1);
    long.topics[0].partitions[0].committed_metadata = Some(StrBytes::from("x".repeat(5000)));
    assert_eq!(offset(&client.ask(5, &long).await), ErrorCode::OffsetMetadataTooLarge);
    let mut stranger = producer.commit_offset("g", "t", 1);
    (stranger.generation_id_or_member_epoch, stranger.member_id) = (3, StrBytes::from("nobody"));
    assert_eq!(offset(&client.ask(5, &stranger).await), ErrorCode::IllegalGeneration);
}

#[tokio::test]
async fn transactional_batches_out_of_place() {
    let (_node, mut client) = start(1).await;
    let one = init(&mut client, "one").await;
    let two = init(&mut client, "two").await;
    let nameless = produce("t", 0, one.batch(0, &["a"]), -1);
    let answer = client.ask(12, &nameless).await;
    assert_eq!(produced(&answer).0, ErrorCode::TransactionalIdAuthorizationFailed);
    let mut mixed = one.produce("t", 0, 0, &["a"]);
    mixed.topic_data[0]
        .partition_data
        .push(message!(PartitionProduceData { index: 1, records: Some(two.batch(0, &["b"])) }));
    let answer = client.ask(12, &mixed).await;
    for partition in &answer.responses[0].partition_responses {
        assert_eq!(code(partition.error_code), ErrorCode::InvalidProducerIdMapping);
    }
    // A control batch is no client's to send.
    let marker = alluvium_record::Marker {
        producer_id: one.id,
        producer_epoch: one.epoch,
        commit: true,
        coordinator_epoch: 0,
        timestamp_ms: alluvium_infra::Runtime::system().now_ms(),
    };
    let mut forged = one.produce("t", 0, 0, &["a"]);
    forged.topic_data[0].partition_data[0].records = Some(marker.batch().bytes);
    assert_eq!(produced(&client.ask(12, &forged).await).0, ErrorCode::InvalidRecord);
    // While a transaction is open, its producer sends nothing else to the partition.
    send(&mut client, &one.produce("t", 0, 0, &["a"])).await;
    let mut plain =
        alluvium_record::BatchBuilder::new(alluvium_record::Compression::None).producer(one.id, one.epoch, 1);
    let now_ms = alluvium_infra::Runtime::system().now_ms();
    plain.push(now_ms, None, Some(bytes::Bytes::from_static(b"plain")), Vec::new()).unwrap();
    let answer = client.ask(10, &produce("t", 0, plain.build(0).bytes, -1)).await;
    assert_eq!(produced(&answer).0, ErrorCode::InvalidTxnState);
    let answer = client.ask(12, &one.produce("t", 0, 7, &["gap"])).await;
    assert_eq!(produced(&answer).0, ErrorCode::OutOfOrderSequenceNumber);
}

/// Who coordinates a transactional id, as a node says.
async fn coordinator(client: &mut Client, transactional_id: &str) -> i32 {
    let request = message!(FindCoordinatorRequest { key: StrBytes::from(transactional_id), key_type: 1 });
    client.ask(3, &request).await.node_id
}

#[tokio::test]
async fn a_node_that_does_not_coordinate() {
    let nodes = Node::start_cluster(2).await;
    let mut clients = [nodes[0].0.client().await, nodes[1].0.client().await];
    // Both know of each other when they name the same node of two.
    let begun = std::time::Instant::now();
    let leader = loop {
        let brokers = clients[0].ask(9, &MetadataRequest::default()).await.brokers.len();
        let named = [coordinator(&mut clients[0], "tx").await, coordinator(&mut clients[1], "tx").await];
        if brokers == 2 && named[0] == named[1] {
            break named[0];
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{brokers} nodes, {named:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let [mut one, mut two] = clients;
    let (leading, other) = if leader == 1 { (&mut one, &mut two) } else { (&mut two, &mut one) };
    leading.create_topic("t", 1).await;
    let mut producer = init(leading, "tx").await;
    let not_coordinator = ErrorCode::NotCoordinator;
    assert_eq!(code(other.ask(5, &init_request("tx")).await.error_code), not_coordinator);
    assert_eq!(added(&other.ask(3, &producer.add_partitions(&[("t", &[0])])).await), [not_coordinator]);
    assert_eq!(code(other.ask(4, &producer.add_offsets("g")).await.error_code), not_coordinator);
    assert_eq!(offset(&other.ask(5, &producer.commit_offset("g", "t", 1)).await), not_coordinator);
    assert_eq!(code(other.ask(5, &producer.end(true)).await.error_code), not_coordinator);
    let ids = vec![producer.transactional_id.clone()];
    let described = other.ask(0, &message!(DescribeTransactionsRequest { transactional_ids: ids })).await;
    assert_eq!(code(described.transaction_states[0].error_code), not_coordinator);
    assert!(other.ask(0, &ListTransactionsRequest::default()).await.transaction_states.is_empty());
    // Batches are taken anywhere.
    send(other, &producer.produce("t", 0, 0, &["a"])).await;
    producer.end_and_raise(leading, true).await;
    let listed = leading.ask(0, &ListTransactionsRequest::default()).await;
    assert_eq!(listed.transaction_states[0].transaction_state.as_str(), "CompleteCommit");
}

/// A name of a topic with one partition that does not lie in the shard of the transactional id.
async fn topic_elsewhere(node: &Node, client: &mut Client, transactional_id: &str) -> (String, u32) {
    for number in 0..50 {
        let name = format!("elsewhere-{number}");
        client.create_topic(&name, 1).await;
        let view = node.log.view();
        let topic = view.topic_by_name(&name).expect("it was made");
        let shard = topic.shard_of(0);
        if shard != node.log.group_shard(transactional_id) && shard.0 != 0 {
            return (name, shard.0);
        }
    }
    panic!("all topics are in one shard");
}

#[tokio::test]
async fn a_transaction_that_is_still_ending() {
    let (node, store) = Node::start_on_faulty_store_with(3, |_| {}).await;
    let mut client = node.client().await;
    client.create_topic("t", 1).await;
    // The id is in the meta shard, which stays writable.
    let id = (0..).map(|number| format!("tx-{number}")).find(|id| node.log.group_shard(id).0 == 0).unwrap();
    let (topic, shard) = topic_elsewhere(&node, &mut client, &id).await;
    let producer = init(&mut client, &id).await;
    assert_eq!(added(&client.ask(3, &producer.add_partitions(&[(&topic, &[0])])).await), [ErrorCode::None]);
    let answer = client.ask(9, &producer.produce(&topic, 0, 0, &["a"])).await;
    assert_eq!(produced(&answer).0, ErrorCode::None);
    let path = format!("/{shard}/log/");
    store.script(FaultRule::always(StoreOperation::PutIfAbsent, &path, Fault::Unavailable503));
    // The decision stands although the marker cannot be written.
    assert_eq!(client.ask(1, &producer.end(true)).await.error_code, 0);
    assert!(store.injected_count() > 0, "the shard is not where the test looks");
    let concurrent = ErrorCode::ConcurrentTransactions;
    assert_eq!(added(&client.ask(3, &producer.add_partitions(&[(&topic, &[0])])).await), [concurrent]);
    assert_eq!(code(client.ask(5, &init_request(&id)).await.error_code), concurrent);
    let answer = client.ask(12, &producer.produce(&topic, 0, 1, &["b"])).await;
    assert_eq!(produced(&answer).0, concurrent);
    let answer = client.ask(10, &producer.produce(&topic, 0, 1, &["b"])).await;
    assert_eq!(produced(&answer).0, ErrorCode::NotEnoughReplicas, "older clients repeat it");
    let answer = client.ask(12, &producer.produce("t", 0, 0, &["b"])).await;
    assert_eq!(produced(&answer).0, concurrent, "in the shard of the id too");
    store.clear();
    let begun = std::time::Instant::now();
    while code(client.ask(5, &init_request(&id)).await.error_code) == concurrent {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "nobody finishes the transaction");
    }
}
