//! Who leads which shard, as far as this node believes.
//!
//! Invariant: a belief is a hint. What a coordinator may change is decided by the log alone, by the epoch of the last
//! take-over.

use std::fmt::Debug;

use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_record::{NodeId, ShardId};
use uuid::Uuid;

/// What this node believes about the leaders of shards.
pub trait Leadership: Send + Sync + Debug + 'static {
    /// Whether this node leads the shard, so that it coordinates the groups of the shard.
    fn leads(&self, shard: ShardId) -> bool;

    /// This node's id, and the random id of its start.
    fn node(&self) -> (NodeId, Uuid);

    /// Tells when the answer to [`leads`](Leadership::leads) may have changed for any shard.
    fn subscribe(&self) -> Subscription<u64>;
}

/// A node that is alone and leads every shard.
#[derive(Debug)]
pub struct SoleNode {
    node: NodeId,
    incarnation: Uuid,
    /// Kept so that those who wait for a change wait for ever.
    _changes: Publisher<u64>,
    subscription: Subscription<u64>,
}

impl SoleNode {
    /// A node of this id, started with this incarnation.
    pub fn new(node: NodeId, incarnation: Uuid) -> SoleNode {
        let (changes, subscription) = published(0);
        SoleNode { node, incarnation, _changes: changes, subscription }
    }
}

impl Leadership for SoleNode {
    fn leads(&self, _shard: ShardId) -> bool {
        true
    }

    fn node(&self) -> (NodeId, Uuid) {
        (self.node, self.incarnation)
    }

    fn subscribe(&self) -> Subscription<u64> {
        self.subscription.clone()
    }
}
