//! A server with all its parts, and a client made of a socket and the protocol's codec.

use std::net::SocketAddr;
use std::sync::Arc;

use alluvium_cluster::{Cluster, ClusterSettings, TcpTransport};
use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{Faulty, Store, StoreOptions, open};
use alluvium_ingest::{Ingest, IngestSettings};
use alluvium_log::{Log, LogOptions};
use alluvium_protocol::client::{decode_response, encode_request};
use alluvium_protocol::frame::FrameLimits;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::CreatableTopic;
use alluvium_protocol::messages::{
    CreateTopicsRequest, KafkaRequest, KafkaResponse, RequestResponsePair, StrBytes, Uuid,
};
use alluvium_reader::{Reader, ReaderSettings};
use alluvium_record::{BatchBuilder, Compression, NodeId, RecordBatch};
use alluvium_server::{ListenerSettings, Listeners, Server, ServerParts, ServerSettings};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running node on a memory store.
pub(crate) struct Node {
    pub(crate) server: Server,
    pub(crate) log: Log,
    ingest: Ingest,
}

impl Node {
    pub(crate) async fn start() -> Node {
        Node::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(adjust: impl FnOnce(&mut ServerSettings)) -> Node {
        let runtime = Runtime::system();
        let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap();
        Node::on(log, adjust).await
    }

    /// A node of a cluster with so many shards.
    pub(crate) async fn start_with_shards(shard_count: u32, adjust: impl FnOnce(&mut ServerSettings)) -> Node {
        let runtime = Runtime::system();
        let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
        let options = LogOptions { shard_count, ..LogOptions::default() };
        Node::on(Log::open(store, options, runtime).await.unwrap(), adjust).await
    }

    pub(crate) async fn start_on(store: Arc<dyn Store>, runtime: &Runtime) -> Node {
        let log = Log::open(store, LogOptions::default(), runtime.clone()).await.unwrap();
        Node::on(log, |_| {}).await
    }

    /// Nodes of one cluster, with the ids 1, 2, …
    pub(crate) async fn start_cluster(count: i32) -> Vec<(Node, Cluster)> {
        let runtime = Runtime::system();
        let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
        let mut nodes = Vec::new();
        for id in 1..=count {
            let log = Log::open(store.clone(), LogOptions::default(), runtime.clone()).await.unwrap();
            let mut settings = Node::settings();
            settings.node_id = id;
            let listeners = Listeners::bind(&settings).await.unwrap();
            let mut cluster = ClusterSettings::new(NodeId(id));
            cluster.listeners = listeners.announced();
            let cluster = Cluster::start(log.clone(), cluster, Arc::new(TcpTransport), runtime.clone()).await.unwrap();
            nodes.push((Node::serve(log, Some(cluster.clone()), listeners, settings).await, cluster));
        }
        nodes
    }

    fn settings() -> ServerSettings {
        ServerSettings {
            listeners: vec![ListenerSettings { bind: "127.0.0.1:0".to_owned(), ..ListenerSettings::default() }],
            group_initial_rebalance_delay_ms: 0,
            ..ServerSettings::default()
        }
    }

    async fn on(log: Log, adjust: impl FnOnce(&mut ServerSettings)) -> Node {
        let mut settings = Node::settings();
        adjust(&mut settings);
        let listeners = Listeners::bind(&settings).await.unwrap();
        Node::serve(log, None, listeners, settings).await
    }

    async fn serve(log: Log, cluster: Option<Cluster>, listeners: Listeners, settings: ServerSettings) -> Node {
        let runtime = log.runtime().clone();
        let ingest = Ingest::start(log.clone(), IngestSettings::default(), runtime.clone());
        let reader = Reader::new(log.clone(), ReaderSettings::default(), runtime.clone());
        let server = Server::start(ServerParts {
            log: log.clone(),
            cluster,
            listeners,
            ingest: ingest.clone(),
            reader,
            settings,
            runtime,
            shutdown: Shutdown::new(),
        })
        .await
        .unwrap();
        Node { server, log, ingest }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    pub(crate) async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.address()).await.unwrap(), correlation_id: 0 }
    }

    /// A node whose store fails on demand.
    pub(crate) async fn start_on_faulty_store() -> (Node, Arc<Faulty>) {
        Node::start_on_faulty_store_with(1, |_| {}).await
    }

    /// The same with so many shards.
    pub(crate) async fn start_on_faulty_store_with(
        shard_count: u32,
        adjust: impl FnOnce(&mut ServerSettings),
    ) -> (Node, Arc<Faulty>) {
        let runtime = Runtime::system();
        let store = open("memory://", &StoreOptions::default(), &runtime).unwrap();
        let faulty = Faulty::new(store, runtime.clone());
        let options = LogOptions { shard_count, ..LogOptions::default() };
        let log = Log::open(faulty.clone(), options, runtime).await.unwrap();
        (Node::on(log, adjust).await, faulty)
    }

    /// The newest entry of the only shard.
    pub(crate) fn entry_number(&self) -> u64 {
        self.log.meta().state().entry_number()
    }

    /// Stops this node and starts another one on the same store.
    pub(crate) async fn restart(self) -> Node {
        let runtime = Runtime::system();
        self.server.drain().await.unwrap();
        self.ingest.drain().await;
        let store = self.log.store().clone();
        self.log.close().await;
        let log = Log::open(store, LogOptions::default(), runtime).await.unwrap();
        Node::on(log, |_| {}).await
    }
}

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    /// Sends a request and reads its answer.
    pub(crate) async fn ask<T>(&mut self, version: i16, request: &T) -> T::Response
    where
        T: KafkaRequest + RequestResponsePair,
        T::Response: KafkaResponse,
    {
        let sent = self.send(version, request).await;
        let (received, response) = self.receive::<T>(version).await.expect("an answer");
        assert_eq!(received, sent, "the answer belongs to the request");
        response
    }

    /// Sends a request without waiting for the answer.
    pub(crate) async fn send<T: KafkaRequest>(&mut self, version: i16, request: &T) -> i32 {
        self.correlation_id += 1;
        let name = StrBytes::from("test");
        let frame = encode_request(self.correlation_id, Some(&name), version, request).unwrap();
        self.stream.write_all(&frame).await.unwrap();
        self.correlation_id
    }

    /// Reads the next answer; `None` when the server has closed the connection.
    pub(crate) async fn receive<T>(&mut self, version: i16) -> Option<(i32, T::Response)>
    where
        T: KafkaRequest + RequestResponsePair,
        T::Response: KafkaResponse,
    {
        let frame = self.receive_frame().await?;
        Some(decode_response(version, frame, &FrameLimits::default()).unwrap())
    }

    pub(crate) async fn receive_frame(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut frame = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(Bytes::from(frame))
    }

    /// Waits until the server closes the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(std::time::Duration::from_secs(10), self.stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }

    /// Creates a topic and gives its id.
    pub(crate) async fn create_topic(&mut self, name: &str, partitions: i32) -> Uuid {
        let topic =
            message!(CreatableTopic { name: StrBytes::from(name), num_partitions: partitions, replication_factor: 1 });
        let request = message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000 });
        let response = self.ask(7, &request).await;
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
        response.topics[0].topic_id
    }
}

/// A batch of text records.
pub(crate) fn batch(texts: &[&str]) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for text in texts {
        let now_ms = Runtime::system().now_ms();
        builder.push(now_ms, None, Some(Bytes::copy_from_slice(text.as_bytes())), Vec::new()).unwrap();
    }
    builder.build(0)
}
