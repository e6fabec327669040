//! Which shards this node leads: what the cluster says, or all of them when the node stands alone.
//!
//! Invariant: this is the same advice that clients get from FindCoordinator.

use std::sync::Arc;

use alluvium_cluster::Cluster;
use alluvium_coordinator::{Leadership, SoleNode};
use alluvium_infra::Runtime;
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_record::{NodeId, ShardId};
use uuid::Uuid;

use crate::settings::ServerSettings;

/// The leadership of a node of `cluster`, or of one that stands alone.
pub(crate) fn leadership(
    cluster: Option<&Cluster>,
    settings: &ServerSettings,
    runtime: &Runtime,
) -> Arc<dyn Leadership> {
    let Some(cluster) = cluster else {
        return Arc::new(SoleNode::new(NodeId(settings.node_id), runtime.random_uuid()));
    };
    let (publisher, changes) = published(0);
    let mut members = cluster.subscribe();
    runtime.spawn("leadership", async move {
        while members.changed().await.is_ok() {
            publisher.publish(publisher.newest() + 1);
        }
    });
    Arc::new(ClusterLeadership { cluster: cluster.clone(), changes })
}

/// What the members of the cluster make of it.
#[derive(Debug)]
struct ClusterLeadership {
    cluster: Cluster,
    changes: Subscription<u64>,
}

impl Leadership for ClusterLeadership {
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

/// A process that coordinates nothing, whatever happens: a function may be frozen at any moment.
#[derive(Debug)]
pub(crate) struct LeadsNothing {
    node: NodeId,
    /// Kept so that those who wait for a change wait for ever.
    _changes: Publisher<u64>,
    subscription: Subscription<u64>,
}

impl LeadsNothing {
    pub(crate) fn new(settings: &ServerSettings) -> Self {
        let (changes, subscription) = published(0);
        Self { node: NodeId(settings.node_id), _changes: changes, subscription }
    }
}

impl Leadership for LeadsNothing {
    fn leads(&self, _shard: ShardId) -> bool {
        false
    }

    fn node(&self) -> (NodeId, Uuid) {
        (self.node, Uuid::nil())
    }

    fn subscribe(&self) -> Subscription<u64> {
        self.subscription.clone()
    }
}
