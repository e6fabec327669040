//! A node with a Kafka door on the same store, and what a Kafka client reads there.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{StoreOptions, open};
use alluvium_ingest::{Ingest, IngestSettings};
use alluvium_log::{Log, LogOptions};
use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::message;
use alluvium_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use alluvium_protocol::messages::fetch_response::FetchResponse;
use alluvium_protocol::messages::{FetchRequest, StrBytes};
use alluvium_reader::{Reader, ReaderSettings};
use alluvium_record::split_batches;
use alluvium_server::{ListenerSettings, Listeners, Server, ServerParts, ServerSettings};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const FETCH_VERSION: i16 = 11;

pub(crate) struct Gateway {
    server: Server,
    pub(crate) cluster: String,
}

impl Gateway {
    pub(crate) async fn start(store: &str) -> Gateway {
        let runtime = Runtime::system();
        let store = open(store, &StoreOptions::default(), &runtime).unwrap();
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap();
        let cluster = log.cluster_id().to_owned();
        let listener = ListenerSettings { bind: "127.0.0.1:0".to_owned(), ..ListenerSettings::default() };
        let settings = ServerSettings { listeners: vec![listener], ..ServerSettings::default() };
        let parts = ServerParts {
            ingest: Ingest::start(log.clone(), IngestSettings::default(), runtime.clone()),
            reader: Reader::new(log.clone(), ReaderSettings::default(), runtime.clone()),
            log,
            cluster: None,
            listeners: Listeners::bind(&settings).await.unwrap(),
            settings,
            runtime,
            shutdown: Shutdown::new(),
        };
        Gateway { server: Server::start(parts).await.unwrap(), cluster }
    }

    /// The values of partition 0 from an offset on, fetched by Kafka's protocol until there are so many.
    pub(crate) async fn values(&self, topic: &str, offset: i64, count: usize) -> Vec<String> {
        let reading = async {
            let mut stream = TcpStream::connect(self.server.local_addr()).await.unwrap();
            let (mut values, mut next) = (Vec::new(), offset);
            while values.len() < count {
                for record in fetch(&mut stream, topic, next).await {
                    next = record.offset + 1;
                    values.push(String::from_utf8(record.value.unwrap().to_vec()).unwrap());
                }
            }
            values
        };
        tokio::time::timeout(Duration::from_secs(30), reading).await.expect("the records are there")
    }
}

async fn fetch(stream: &mut TcpStream, topic: &str, offset: i64) -> Vec<alluvium_record::Record> {
    let partition = message!(FetchPartition { partition: 0, fetch_offset: offset, partition_max_bytes: 1 << 20 });
    let request = message!(FetchRequest {
        max_wait_ms: 1_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_epoch: -1,
        topics: vec![message!(FetchTopic { topic: StrBytes::from(topic), partitions: vec![partition] })]
    });
    let frame = encode_request(1, Some(&StrBytes::from("test")), FETCH_VERSION, &request).unwrap();
    stream.write_all(&frame).await.unwrap();
    let length = stream.read_i32().await.unwrap() as usize;
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.unwrap();
    let decoded = decode_response::<FetchResponse>(FETCH_VERSION, Bytes::from(bytes), &FrameLimits::default());
    let (_, response) = decoded.unwrap();
    let partitions = response.responses.into_iter().flat_map(|topic| topic.partitions);
    let batches = partitions.flat_map(|partition| split_batches(partition.records.unwrap_or_default()).unwrap());
    let records = batches.flat_map(|batch| batch.records(1 << 20).unwrap());
    records.filter(|record| record.offset >= offset).collect()
}
