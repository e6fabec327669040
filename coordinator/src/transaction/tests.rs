//! Transactions on nodes over one store, with beliefs about leadership that the test decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_infra::store::{Fault, FaultRule, Faulty, MemoryStore, Store, StoreOperation};
use alluvium_log::{
    Append, AppendOutcome, AppendSource, BatchToAppend, Log, LogOptions, Operation, Partition, State,
    TransactionRecord, TransactionStatus, TransactionTag,
};
use alluvium_record::{BatchBuilder, Compression, NodeId, ShardId, TopicId, TopicPartition};
use bytes::Bytes;
use futures_util::future::join;
use uuid::Uuid;

use super::identity::EPOCH_MAX;
use super::*;
use crate::consumer_group::ConsumerGroupSettings;
use crate::driver::{CoordinatorParts, Coordinators};
use crate::group::GroupSettings;

mod admission;
mod ending;
mod fencing;
mod looking_after;
mod offsets;
mod requests;

const ID: &str = "orders-copier";
const TIMEOUT_MS: i32 = 60_000;
const PARTITIONS: i32 = 64;

type Producer = (i64, i16);

/// What a node believes, as the test says.
#[derive(Debug)]
struct Beliefs {
    node: NodeId,
    incarnation: Uuid,
    leads: AtomicBool,
    changes: Publisher<u64>,
    subscription: Subscription<u64>,
}

impl Beliefs {
    fn leads_from_now_on(&self, leads: bool) {
        self.leads.store(leads, Ordering::SeqCst);
        self.changes.publish(self.changes.newest() + 1);
    }
}

impl Leadership for Beliefs {
    fn leads(&self, _shard: ShardId) -> bool {
        self.leads.load(Ordering::SeqCst)
    }

    fn node(&self) -> (NodeId, Uuid) {
        (self.node, self.incarnation)
    }

    fn subscribe(&self) -> Subscription<u64> {
        self.subscription.clone()
    }
}

/// The bucket of a test, and its clock.
struct World {
    store: Arc<Faulty>,
    runtime: Runtime,
    shard_count: u32,
    topic: TopicId,
}

/// One node.
struct Node {
    log: Log,
    beliefs: Arc<Beliefs>,
    transactions: Transactions,
    coordinators: Coordinators,
    store: Arc<Faulty>,
    runtime: Runtime,
    topic: TopicId,
}

impl World {
    /// A bucket with one topic.
    async fn new(runtime: Runtime, shard_count: u32) -> World {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
        let store = Faulty::new(memory, runtime.clone());
        let topic = TopicId(runtime.random_uuid());
        let options = LogOptions { shard_count, ..LogOptions::default() };
        let log = Log::open(store.clone(), options, runtime.clone()).await.unwrap();
        let operation = Operation::CreateTopic {
            id: topic,
            name: "t".to_owned(),
            partition_count: PARTITIONS,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count,
        };
        log.commit_topic(operation, None).await.unwrap();
        log.close().await;
        World { store, runtime, shard_count, topic }
    }

    /// A node whose requests to the bucket can fail apart from those of others.
    async fn node(&self, number: i32, leads: bool) -> Node {
        self.node_with(number, leads, TransactionSettings::default()).await
    }

    async fn node_with(&self, number: i32, leads: bool, settings: TransactionSettings) -> Node {
        let runtime = self.runtime.fork();
        let store = Faulty::new(self.store.clone(), runtime.clone());
        let options = LogOptions { shard_count: self.shard_count, ..LogOptions::default() };
        let log = Log::open(store.clone(), options, runtime.clone()).await.unwrap();
        let (changes, subscription) = published(0);
        let incarnation = runtime.random_uuid();
        let leads = AtomicBool::new(leads);
        let beliefs = Arc::new(Beliefs { node: NodeId(number), incarnation, leads, changes, subscription });
        let transactions = Transactions::start(TransactionParts {
            log: log.clone(),
            leadership: beliefs.clone(),
            settings,
            runtime: runtime.clone(),
        });
        let coordinators = Coordinators::start(CoordinatorParts {
            log: log.clone(),
            leadership: beliefs.clone(),
            consumer_settings: ConsumerGroupSettings::default(),
            settings: GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() },
            offsets_retention: Duration::from_secs(3_600),
            runtime: runtime.clone(),
        });
        Node { log, beliefs, transactions, coordinators, store, runtime, topic: self.topic }
    }

    async fn pass(&self, milliseconds: u64) {
        self.runtime.sleep(Duration::from_millis(milliseconds)).await;
    }
}

/// Leadership goes from one node to the other, and both know.
fn hand_over(from: &Node, to: &Node) {
    from.beliefs.leads_from_now_on(false);
    to.beliefs.leads_from_now_on(true);
}

impl Node {
    fn at(&self, partition: i32) -> TopicPartition {
        TopicPartition::new(self.topic, partition)
    }

    fn shard_of(&self, partition: TopicPartition) -> ShardId {
        self.log.view().shard_of(partition).unwrap()
    }

    fn home(&self) -> ShardId {
        self.transactions.shard_of(ID)
    }

    /// A partition in the shard of the id.
    fn near(&self) -> TopicPartition {
        (0..PARTITIONS).map(|number| self.at(number)).find(|at| self.shard_of(*at) == self.home()).unwrap()
    }

    /// One partition in each other shard.
    fn far(&self) -> Vec<TopicPartition> {
        let mut by_shard = BTreeMap::new();
        for at in (0..PARTITIONS).map(|number| self.at(number)).filter(|at| self.shard_of(*at) != self.home()) {
            by_shard.entry(self.shard_of(at)).or_insert(at);
        }
        by_shard.into_values().collect()
    }

    /// One partition in each shard.
    fn everywhere(&self) -> Vec<TopicPartition> {
        [vec![self.near()], self.far()].concat()
    }

    async fn init(&self) -> Result<Producer, TransactionError> {
        self.init_as(None).await
    }

    async fn init_as(&self, producer: Option<Producer>) -> Result<Producer, TransactionError> {
        let transactional_id = ID.to_owned();
        self.transactions.init(InitTransactionalProducer { transactional_id, timeout_ms: TIMEOUT_MS, producer }).await
    }

    async fn add(&self, producer: Producer, partitions: &[TopicPartition]) -> Result<(), TransactionError> {
        self.transactions.add_partitions(ID, producer.0, producer.1, partitions).await
    }

    /// EndTxn as clients send it that know KIP-890.
    async fn end(&self, producer: Producer, commit: bool) -> Result<Producer, TransactionError> {
        self.end_as(producer, commit, true).await
    }

    async fn end_as(&self, producer: Producer, commit: bool, raises_epoch: bool) -> Result<Producer, TransactionError> {
        let (producer_id, epoch) = producer;
        let transactional_id = ID.to_owned();
        self.transactions
            .end(EndTransactionalProducer { transactional_id, producer_id, epoch, commit, raises_epoch })
            .await
    }

    async fn admit(
        &self,
        producer: Producer,
        partitions: &[TopicPartition],
        implicit: bool,
    ) -> Vec<Result<TransactionTag, TransactionError>> {
        let (producer_id, epoch) = producer;
        let batches = AdmitBatches { transactional_id: ID, producer_id, epoch, partitions, implicit };
        self.transactions.admit(batches).await
    }

    /// Appends one batch as part of a transaction.
    async fn append(
        &self,
        producer: Producer,
        at: TopicPartition,
        sequence: i32,
        tag: TransactionTag,
    ) -> AppendOutcome {
        let mut builder =
            BatchBuilder::new(Compression::None).producer(producer.0, producer.1, sequence).transactional(true);
        builder.push(7, None, Some(Bytes::from_static(b"value")), Vec::new()).unwrap();
        let batch = BatchToAppend { transaction: Some(tag), ..BatchToAppend::new(at, builder.build(0)) };
        let append = Append { batches: vec![batch], source: AppendSource::Inline };
        let deadline = self.runtime.monotonic() + Duration::from_secs(30);
        let shard = self.log.shard(self.shard_of(at)).unwrap();
        shard.append(append, deadline).outcome().await.unwrap().remove(0)
    }

    /// Writes to each partition, as a produce request does.
    async fn write(&self, producer: Producer, partitions: &[TopicPartition], implicit: bool) {
        for (at, tag) in partitions.iter().zip(self.admit(producer, partitions, implicit).await) {
            let outcome = self.append(producer, *at, 0, tag.unwrap()).await;
            assert!(matches!(outcome, AppendOutcome::Appended { .. }), "{outcome:?}");
        }
    }

    /// A new process that has written to these partitions.
    async fn begun(&self, partitions: &[TopicPartition]) -> Producer {
        let producer = self.init().await.unwrap();
        self.write(producer, partitions, true).await;
        producer
    }

    /// The log at its end.
    async fn state(&self, shard: ShardId) -> Arc<State> {
        self.log.shard(shard).unwrap().catch_up().await.unwrap()
    }

    async fn record(&self) -> Arc<TransactionRecord> {
        self.state(self.home()).await.transaction(ID).unwrap().clone()
    }

    async fn partition(&self, at: TopicPartition) -> Partition {
        self.state(self.shard_of(at)).await.partition(at).unwrap().clone()
    }

    /// High watermark, last stable offset and aborted transactions.
    async fn shape(&self, at: TopicPartition) -> (i64, i64, usize) {
        let partition = self.partition(at).await;
        let aborted = partition.aborted_transactions(0, i64::MAX).count();
        (partition.high_watermark(), partition.last_stable_offset(), aborted)
    }

    /// Asserts what every one of these partitions shows.
    async fn show(&self, partitions: &[TopicPartition], expected: (i64, i64, usize)) {
        for at in partitions {
            assert_eq!(self.shape(*at).await, expected, "{at}");
        }
    }

    /// Writes of this node to a shard's log fail.
    fn cut_off(&self, shard: ShardId) {
        let path = self.log.shard(shard).unwrap().paths().entry_prefix();
        self.store.script(FaultRule::always(StoreOperation::PutIfAbsent, &path, Fault::Unavailable503));
    }

    fn cut_off_all_but_home(&self) {
        for shard in self.log.shards().iter().filter(|shard| shard.id() != self.home()) {
            self.cut_off(shard.id());
        }
    }

    /// Counts requests to the bucket from now on.
    fn count_requests(&self) -> u64 {
        self.store.clear();
        let rule = FaultRule {
            operation: None,
            path_contains: String::new(),
            skip: 0,
            times: u64::MAX,
            fault: Fault::Slow(Duration::ZERO),
        };
        self.store.script(rule);
        self.store.injected_count()
    }
}
