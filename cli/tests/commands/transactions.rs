//! `alluvium transaction`: what it shows, what it ends, what it refuses.

use std::io::{Read, Write};
use std::net::TcpStream;

use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::message;
use alluvium_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, KafkaRequest, KafkaResponse, ProduceRequest,
    RequestResponsePair, StrBytes,
};
use alluvium_record::{BatchBuilder, Compression};
use bytes::Bytes;

use crate::harness::{Server, json};

/// A producer that can be left alone with its transaction.
struct Producer {
    stream: TcpStream,
    transactional_id: StrBytes,
    id: i64,
    epoch: i16,
}

impl Producer {
    fn of(server: &Server, transactional_id: &str) -> Producer {
        let stream = TcpStream::connect(&server.address).unwrap();
        let transactional_id = StrBytes::from(transactional_id);
        let mut producer = Producer { stream, transactional_id: transactional_id.clone(), id: -1, epoch: -1 };
        let request = message!(InitProducerIdRequest {
            transactional_id: Some(transactional_id),
            transaction_timeout_ms: 60_000,
            producer_id: -1,
            producer_epoch: -1,
        });
        let answer = producer.ask(4, &request);
        assert_eq!(answer.error_code, 0);
        (producer.id, producer.epoch) = (answer.producer_id, answer.producer_epoch);
        producer
    }

    fn begin(&mut self, topic: &str, partitions: &[i32]) {
        let topic = message!(AddPartitionsToTxnTopic { name: StrBytes::from(topic), partitions: partitions.to_vec() });
        let request = message!(AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
        });
        let answer = self.ask(3, &request);
        let results = &answer.results_by_topic_v3_and_below[0].results_by_partition;
        assert!(results.iter().all(|result| result.partition_error_code == 0));
    }

    /// Sends one record of the open transaction.
    fn send(&mut self, topic: &str, sequence: i32, value: &'static str) {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(self.id, self.epoch, sequence).transactional(true);
        builder.push(1, None, Some(Bytes::from(value)), Vec::new()).unwrap();
        let data = message!(PartitionProduceData { index: 0, records: Some(builder.build(0).bytes) });
        let topic = message!(TopicProduceData { name: StrBytes::from(topic), partition_data: vec![data] });
        let request = message!(ProduceRequest {
            transactional_id: Some(self.transactional_id.clone()),
            acks: -1,
            timeout_ms: 30_000,
            topic_data: vec![topic],
        });
        let answer = self.ask(9, &request);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }

    fn commit(&mut self) -> i16 {
        self.end(true)
    }

    fn end(&mut self, committed: bool) -> i16 {
        let request = message!(EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        });
        self.ask(4, &request).error_code
    }

    fn ask<T>(&mut self, version: i16, request: &T) -> T::Response
    where
        T: KafkaRequest + RequestResponsePair,
        T::Response: KafkaResponse,
    {
        self.stream.write_all(&encode_request(1, None, version, request).unwrap()).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).unwrap();
        decode_response::<T::Response>(version, frame.into(), &FrameLimits::default()).unwrap().1
    }
}

const PRODUCER_FENCED: i16 = 90;

#[test]
fn transactions_are_shown_and_aborted() {
    let server = Server::in_memory();
    assert_eq!(server.run(&["transaction", "list"]).err, "there are no transactional ids yet\n");
    assert_eq!(server.run(&["transaction", "list", "--json"]).expect_done(), "[]\n");
    server.run(&["topic", "create", "t", "-p", "3"]).expect_done();
    let mut done = Producer::of(&server, "done");
    done.begin("t", &[0]);
    assert_eq!(done.commit(), 0);
    let mut open = Producer::of(&server, "open");
    open.begin("t", &[2, 1]);

    let listed = json(&server.run(&["transaction", "list", "--json"]).expect_done());
    let row = |index: usize| (listed[index]["transactional_id"].clone(), listed[index]["state"].clone());
    assert_eq!(row(0), ("done".into(), "CompleteCommit".into()));
    assert_eq!(row(1), ("open".into(), "Ongoing".into()));
    let table = server.run(&["transaction", "list", "--state", "ongoing"]).expect_done();
    assert!(table.contains("open") && !table.contains("done"), "{table}");
    let none = server.run(&["transaction", "list", "--open-for", "1h"]);
    assert_eq!((none.code, none.err.as_str()), (0, "there are no such transactions\n"));

    let described = json(&server.run(&["transaction", "describe", "open", "--json"]).expect_done());
    assert_eq!(described[0]["state"], "Ongoing");
    assert_eq!(described[0]["partitions"]["t"], serde_json::json!([1, 2]));
    assert_eq!((described[0]["timeout_ms"].clone(), described[0]["producer_epoch"].clone()), (60_000.into(), 0.into()));
    assert!(described[0]["started_ms"].as_i64().unwrap() > 0);
    let table = server.run(&["transaction", "describe", "open", "done"]).expect_done();
    assert!(table.contains("t:1,2"), "{table}");
    let unknown = server.run(&["transaction", "describe", "nobody"]).expect_refused(1);
    assert!(unknown.contains("nobody") && unknown.contains("TRANSACTIONAL_ID_NOT_FOUND"), "{unknown}");

    server.run(&["transaction", "abort", "open"]).expect_refused(2);
    let aborted = server.run(&["transaction", "abort", "open", "done", "--yes"]).expect_done();
    assert_eq!(aborted, "aborted the transaction of open\ndone has nothing open\n");
    let described = json(&server.run(&["transaction", "describe", "open", "--json"]).expect_done());
    assert_ne!(described[0]["state"], "Ongoing");
    assert_eq!(open.commit(), PRODUCER_FENCED, "its producer has to begin anew");
}

#[test]
fn records_of_transactions_are_read_as_it_is_asked_for() {
    let server = Server::in_memory();
    server.run(&["topic", "create", "t"]).expect_done();
    let read = |isolation: &[&str]| {
        let lines = server.run(&[&["consume", "t"], isolation].concat()).expect_done();
        lines.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let committed = || read(&["--isolation", "read_committed"]);
    let mut producer = Producer::of(&server, "mover");
    producer.begin("t", &[0]);
    producer.send("t", 0, "given up");
    assert_eq!(producer.end(false), 0);
    producer.begin("t", &[0]);
    producer.send("t", 1, "done");
    assert_eq!(producer.commit(), 0);
    producer.begin("t", &[0]);
    producer.send("t", 2, "open");
    assert_eq!(read(&[]), ["given up", "done", "open"]);
    assert_eq!(committed(), ["done"]);
    assert_eq!(producer.commit(), 0);
    assert_eq!(committed(), ["done", "open"]);
    let refused = server.run(&["consume", "t", "--isolation", "serializable"]);
    assert!(refused.code == 2 && refused.err.contains("read_committed"), "{refused:?}");
}
