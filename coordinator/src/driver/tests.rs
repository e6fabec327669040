//! Coordinators on two nodes over one store, with beliefs about leadership that the test decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_infra::store::{Faulty, MemoryStore, Store};
use alluvium_log::{CommittedOffset, Log, LogOptions, Operation, State};
use alluvium_record::{NodeId, ShardId, TopicId, TopicPartition};
use bytes::Bytes;
use uuid::Uuid;

use super::*;
use crate::consumer_group::FetchInput;
use crate::group::{CommitInput, Ticket};

mod consumer_groups;
mod failover;
mod taking_over;
mod zombies;

const GROUP: &str = "g";
const SESSION_MS: i32 = 10_000;

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
}

/// One node.
struct Node {
    log: Log,
    beliefs: Arc<Beliefs>,
    coordinators: Coordinators,
    store: Arc<Faulty>,
    runtime: Runtime,
}

/// Who is in a group, and how far.
#[derive(Clone, Debug)]
struct Place {
    member_id: String,
    generation: i32,
}

impl World {
    fn new(runtime: Runtime) -> World {
        let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
        World { store: Faulty::new(memory, runtime.clone()), runtime }
    }

    /// A node whose requests to the bucket can fail apart from those of others.
    async fn node(&self, number: i32, leads: bool) -> Node {
        self.node_of(number, leads, 1).await
    }

    /// A node of a cluster that is spread over so many shards.
    async fn node_of(&self, number: i32, leads: bool, shard_count: u32) -> Node {
        let runtime = self.runtime.fork();
        let store = Faulty::new(self.store.clone(), runtime.clone());
        let log = Log::open(store.clone(), LogOptions { shard_count, ..LogOptions::default() }, runtime.clone())
            .await
            .unwrap();
        let (changes, subscription) = published(0);
        let incarnation = runtime.random_uuid();
        let beliefs = Arc::new(Beliefs {
            node: NodeId(number),
            incarnation,
            leads: AtomicBool::new(leads),
            changes,
            subscription,
        });
        let coordinators = Coordinators::start(CoordinatorParts {
            log: log.clone(),
            leadership: beliefs.clone(),
            consumer_settings: ConsumerGroupSettings::default(),
            settings: GroupSettings { initial_rebalance_delay_ms: 0, ..GroupSettings::default() },
            offsets_retention: Duration::from_secs(3_600),
            runtime: runtime.clone(),
        });
        Node { log, beliefs, coordinators, store, runtime }
    }

    /// Two nodes, of which the first leads, and a topic.
    async fn two_nodes(&self) -> (Node, Node, TopicPartition) {
        let (one, two) = (self.node(1, true).await, self.node(2, false).await);
        let topic = one.create_topic().await;
        (one, two, topic)
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
    async fn create_topic(&self) -> TopicPartition {
        let id = TopicId(self.runtime.random_uuid());
        let operation = Operation::CreateTopic {
            id,
            name: "t".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
            shard_count: 1,
        };
        self.log.meta().commit(operation, None).await.unwrap();
        TopicPartition::new(id, 0)
    }

    /// The log at its end.
    async fn state(&self) -> Arc<State> {
        self.log.meta().catch_up().await.unwrap()
    }

    fn join_input(&self, member_id: &str, instance_id: Option<&str>) -> JoinInput {
        JoinInput {
            ticket: Ticket(0),
            group: GROUP.to_owned(),
            member_id: member_id.to_owned(),
            instance_id: instance_id.map(str::to_owned),
            client_id: "client".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"subscription"))],
            member_id_required: false,
            skip_assignment_supported: true,
            fresh_id: self.runtime.random_uuid(),
        }
    }

    async fn join(&self, member_id: &str) -> Result<Joined, JoinRefused> {
        self.coordinators.join(self.join_input(member_id, None)).await
    }

    async fn sync(&self, place: &Place, assignment: &str) -> Result<Synced, GroupError> {
        let input = SyncInput {
            ticket: Ticket(0),
            group: GROUP.to_owned(),
            generation: place.generation,
            member_id: place.member_id.clone(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: match assignment {
                "" => Vec::new(),
                _ => vec![(place.member_id.clone(), Bytes::copy_from_slice(assignment.as_bytes()))],
            },
        };
        self.coordinators.sync(input).await
    }

    /// The only member of the group, with an assignment.
    async fn settle(&self, instance_id: Option<&str>) -> Place {
        let joined = self.coordinators.join(self.join_input("", instance_id)).await.unwrap();
        let place = Place { member_id: joined.member_id, generation: joined.generation };
        assert_eq!(self.sync(&place, "mine").await.unwrap().assignment, "mine");
        place
    }

    async fn heartbeat(&self, place: &Place) -> Result<(), GroupError> {
        let input = HeartbeatInput {
            group: GROUP.to_owned(),
            generation: place.generation,
            member_id: place.member_id.clone(),
            instance_id: None,
        };
        self.coordinators.heartbeat(&input).await
    }

    async fn commit(
        &self,
        place: Option<&Place>,
        topic_partition: TopicPartition,
        offset: i64,
    ) -> Result<u64, OffsetsError> {
        let (input, committed) = self.to_commit(place, offset);
        self.coordinators.commit_offsets(&input, vec![(topic_partition, committed)], None).await
    }

    fn to_commit(&self, place: Option<&Place>, offset: i64) -> (CommitInput, CommittedOffset) {
        let input = CommitInput {
            group: GROUP.to_owned(),
            generation: place.map_or(-1, |place| place.generation),
            member_id: place.map_or_else(String::new, |place| place.member_id.clone()),
            instance_id: None,
            transactional: false,
        };
        let committed =
            CommittedOffset { offset, leader_epoch: 0, metadata: String::new(), commit_ms: self.runtime.now_ms() };
        (input, committed)
    }

    async fn committed(&self, topic_partition: TopicPartition) -> Result<Option<i64>, GroupError> {
        let input = FetchInput { group: GROUP.to_owned(), member_id: None, member_epoch: -1 };
        let state = self.coordinators.fetch_offsets(&input).await?;
        Ok(committed_in(&state, topic_partition))
    }
}

fn committed_in(state: &State, topic_partition: TopicPartition) -> Option<i64> {
    state.group(GROUP)?.offset(topic_partition).map(|committed| committed.offset)
}

fn refused(error: OffsetsError) -> GroupError {
    match error {
        OffsetsError::Refused(error) => error,
        OffsetsError::Commit(error) => panic!("no refusal: {error}"),
    }
}
