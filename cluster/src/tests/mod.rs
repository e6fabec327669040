//! Whole nodes over a network in memory, in simulated time.

mod chaos;
mod forwarding;
mod identity;
mod membership;
mod said;
mod tcp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::{MemoryStore, Metered, Store};
use alluvium_log::{Append, AppendOutcome, AppendSource, BatchToAppend, CommitError, Log, LogOptions, Operation};
use alluvium_record::batch::{BatchBuilder, RecordBatch};
use alluvium_record::{Compression, NodeId, ShardId, TopicId, TopicPartition};
use bytes::Bytes;

use crate::testing::Network;
use crate::{Cluster, ClusterSettings, JoinError};

/// A bucket, a network, and the clock of both.
#[derive(Clone)]
struct World {
    runtime: Runtime,
    bucket: Arc<MemoryStore>,
    network: Network,
}

/// A node that runs, at the host `n{id}`.
struct TestNode {
    id: i32,
    runtime: Runtime,
    store: Arc<Metered>,
    log: Log,
    cluster: Cluster,
}

fn simulate<Fut: Future<Output = ()>>(scenario: impl FnOnce(World) -> Fut) {
    Runtime::simulate(7, |runtime| {
        let bucket = Arc::new(MemoryStore::new(runtime.clone()));
        let network = Network::new(runtime.clone());
        scenario(World { runtime, bucket, network })
    });
}

fn host(id: i32) -> String {
    format!("n{id}")
}

impl World {
    fn settings(&self, id: i32) -> ClusterSettings {
        let zone = Some(if id % 2 == 0 { "even" } else { "odd" }.to_owned());
        ClusterSettings { zone, peer_listen: format!("{}:0", host(id)), ..ClusterSettings::new(NodeId(id)) }
    }

    async fn start(&self, id: i32) -> TestNode {
        self.start_with(self.settings(id), &host(id)).await.expect("joins")
    }

    async fn start_with(&self, settings: ClusterSettings, host: &str) -> Result<TestNode, JoinError> {
        self.start_in(self.runtime.fork(), settings, host).await
    }

    async fn start_in(&self, runtime: Runtime, settings: ClusterSettings, host: &str) -> Result<TestNode, JoinError> {
        self.start_on(self.bucket.clone(), runtime, settings, host).await
    }

    async fn start_on(
        &self,
        bucket: Arc<dyn Store>,
        runtime: Runtime,
        settings: ClusterSettings,
        host: &str,
    ) -> Result<TestNode, JoinError> {
        let id = settings.node_id.0;
        let transport = self.network.host(host);
        // In a task of its own, so that a crash of the node's runtime ends everything.
        let starting = runtime.spawn("start", {
            let runtime = runtime.clone();
            async move {
                let store = Metered::new(bucket, runtime.clone());
                let options = LogOptions { node: format!("node-{id}"), probe: false, ..LogOptions::default() };
                let log = Log::open(store.clone(), options, runtime.clone()).await.expect("opens");
                let cluster = Cluster::start(log.clone(), settings, transport, runtime.clone()).await?;
                Ok(TestNode { id, runtime, store, log, cluster })
            }
        });
        starting.await.expect("starts")
    }

    async fn sleep(&self, seconds: f64) {
        self.runtime.sleep(Duration::from_secs_f64(seconds)).await;
    }

    /// Waits until all of `nodes` see exactly `ids` as up.
    async fn agree(&self, nodes: &[&TestNode], ids: &[i32], within: Duration) -> Duration {
        let begun = self.runtime.monotonic();
        for node in nodes {
            let mut members = node.cluster.subscribe();
            let agreed = async {
                while ids_of(node) != ids {
                    members.changed().await.expect("the node lives");
                }
            };
            let in_time = self.runtime.timeout_at(begun + within, agreed).await.is_ok();
            assert!(in_time, "node {} sees {:?}, not {ids:?}, after {within:?}", node.id, ids_of(node));
        }
        self.runtime.monotonic() - begun
    }

    /// Asserts that for so long none of `nodes` sees anything but `ids`.
    async fn stays(&self, nodes: &[&TestNode], ids: &[i32], seconds: u64) {
        for _ in 0..seconds * 10 {
            self.sleep(0.1).await;
            for node in nodes {
                assert_eq!(ids_of(node), ids, "as node {} sees it", node.id);
            }
        }
    }
}

fn ids_of(node: &TestNode) -> Vec<i32> {
    node.cluster.members().all().iter().map(|member| member.id.0).collect()
}

/// Whether a node can forward to another one.
fn is_linked(node: &TestNode, to: i32) -> bool {
    node.cluster.members().get(NodeId(to)).is_some_and(|member| member.linked)
}

fn leaders(node: &TestNode) -> Vec<NodeId> {
    let members = node.cluster.members();
    (0..32).map(|shard| members.leader(ShardId(shard)).expect("a leader").id).collect()
}

/// Of `nodes`, the one that leads shard 0 and another one.
fn leader_and_other(nodes: [TestNode; 2]) -> (TestNode, TestNode) {
    let leader = nodes[0].cluster.members().leader(ShardId(0)).expect("a leader").id.0;
    let [one, other] = nodes;
    if one.id == leader { (one, other) } else { (other, one) }
}

async fn create_topic(node: &TestNode) -> TopicPartition {
    let id = TopicId(node.log.runtime().random_uuid());
    let operation = Operation::CreateTopic {
        id,
        name: "orders".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
    };
    node.log.meta().commit(operation, None).await.expect("topic is new");
    TopicPartition { topic: id, partition: 0 }
}

fn batch(producer: Option<(i64, i32)>) -> RecordBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, 0, sequence);
    }
    builder.push(7, None, Some(Bytes::from_static(b"value")), Vec::new()).expect("fits");
    builder.build(0)
}

fn append_of(topic_partition: TopicPartition, batch: RecordBatch) -> Append {
    Append { batches: vec![BatchToAppend::new(topic_partition, batch)], source: AppendSource::Inline }
}

fn soon(runtime: &Runtime) -> Instant {
    runtime.monotonic() + Duration::from_secs(30)
}

async fn append(node: &TestNode, at: TopicPartition, batch: RecordBatch) -> Result<i64, CommitError> {
    let outcomes = node.log.meta().append(append_of(at, batch), soon(&node.runtime)).outcome().await?;
    match outcomes.as_slice() {
        [AppendOutcome::Appended { base_offset, .. } | AppendOutcome::Duplicate { base_offset, .. }] => {
            Ok(*base_offset)
        }
        other => panic!("not appended: {other:?}"),
    }
}
