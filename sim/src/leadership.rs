//! Who leads, as nodes believe. Nodes with links follow the cluster's members. Where they have none, beliefs change now and then,
//! each node hears of it in its own time, and in between two nodes believe that they lead, or none does.
//!
//! Invariants: beliefs of nodes without links depend on the seed and the time alone; a node that stands still or is down hears nothing; some time
//! after faults have ended all nodes agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alluvium_cluster::Cluster;
use alluvium_coordinator::Leadership;
use alluvium_infra::Runtime;
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_record::{NodeId, ShardId};
use uuid::Uuid;

use crate::random::{Random, mix};
use crate::world::World;

/// How long somebody leads, in microseconds.
const REIGN_US: u64 = 6_000_000;
/// The longest time after which a node has heard of it, in microseconds.
const RUMOUR_US_MAX: u64 = 4_000_000;

impl World {
    /// Who leads now, by the word of the world.
    pub fn leader(&self) -> u32 {
        self.leader_of(self.now_us() / REIGN_US)
    }

    fn leader_of(&self, reign: u64) -> u32 {
        match self.is_healed() {
            true => 0,
            false => Random::new(self.seed, mix(0x1eade4 ^ reign)).below(u64::from(self.scenario.nodes.max(1))) as u32,
        }
    }
}

/// What one node believes.
#[derive(Debug)]
pub struct Beliefs {
    node: u32,
    incarnation: Uuid,
    leads: AtomicBool,
    changes: Publisher<u64>,
    subscription: Subscription<u64>,
}

impl Beliefs {
    /// The beliefs of a node that starts now.
    #[must_use]
    pub fn start(world: Arc<World>, node: u32, runtime: &Runtime) -> Arc<Self> {
        let (changes, subscription) = published(0);
        let leads = AtomicBool::new(world.leader() == node);
        let beliefs = Arc::new(Self { node, incarnation: runtime.random_uuid(), leads, changes, subscription });
        drop(runtime.spawn("rumours", beliefs.clone().hear(world, runtime.clone())));
        beliefs
    }

    async fn hear(self: Arc<Self>, world: Arc<World>, runtime: Runtime) {
        loop {
            let next_us = REIGN_US - world.now_us() % REIGN_US + runtime.random_below(RUMOUR_US_MAX);
            runtime.sleep(Duration::from_micros(next_us)).await;
            let leads = world.leader() == self.node;
            if self.leads.swap(leads, Ordering::Relaxed) != leads {
                let words = if leads { "believes that it leads" } else { "believes that another node leads" };
                world.note(format_args!("n{}", self.node), || words.to_owned());
                self.changes.publish(self.changes.newest() + 1);
            }
        }
    }
}

impl Leadership for Beliefs {
    fn leads(&self, _shard: ShardId) -> bool {
        self.leads.load(Ordering::Relaxed)
    }

    fn node(&self) -> (NodeId, Uuid) {
        (NodeId(self.node as i32), self.incarnation)
    }

    fn subscribe(&self) -> Subscription<u64> {
        self.subscription.clone()
    }
}

/// What the members of the cluster make of it, as in the server.
#[derive(Debug)]
pub struct LinkedLeadership {
    cluster: Cluster,
    changes: Subscription<u64>,
}

impl LinkedLeadership {
    /// The leadership of a node that has joined.
    #[must_use]
    pub fn start(cluster: Cluster, world: Arc<World>, runtime: &Runtime) -> Arc<Self> {
        let (publisher, changes) = published(0);
        let (mut members, node) = (cluster.subscribe(), cluster.node_id());
        drop(runtime.spawn("leadership", async move {
            while members.changed().await.is_ok() {
                let ids: Vec<i32> = members.newest().all().iter().map(|member| member.id.0).collect();
                world.note(format_args!("n{node}"), || format!("members {ids:?}"));
                publisher.publish(publisher.newest() + 1);
            }
        }));
        Arc::new(Self { cluster, changes })
    }
}

impl Leadership for LinkedLeadership {
    fn leads(&self, shard: ShardId) -> bool {
        self.cluster.members().leader(shard).is_some_and(|member| member.id == self.cluster.node_id())
    }

    fn node(&self) -> (NodeId, Uuid) {
        (self.cluster.node_id(), self.cluster.incarnation())
    }

    fn subscribe(&self) -> Subscription<u64> {
        self.changes.clone()
    }
}
