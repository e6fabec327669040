//! What a shard asks of the other nodes of the cluster. The cluster room implements it; a log without it stands alone.
//!
//! Invariant: everything here is a hint or best effort. No answer of another node but that of its commit is believed, and
//! put-if-absent decides.

use std::fmt::Debug;
use std::sync::{Arc, OnceLock};

use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Payload;
use alluvium_record::{NodeId, ShardId};
use tokio::sync::oneshot;

use crate::operation::{Append, AppendOutcome, CommitError};

/// The other nodes.
pub trait Peers: Send + Sync + Debug + 'static {
    /// The other node that leads the shard, when it can be asked. `None`: commit here.
    fn leader(&self, shard: ShardId) -> Option<NodeId>;

    /// Sends an append to a node that commits it as its own. Resolves by `deadline`, or sooner when the node does not answer.
    fn forward(
        &self,
        to: NodeId,
        shard: ShardId,
        append: &Append,
        deadline: Instant,
    ) -> oneshot::Receiver<Result<Vec<AppendOutcome>, ForwardError>>;

    /// Tells everybody of an entry that holds its slot. Best effort, never waits.
    fn push(&self, shard: ShardId, number: u64, entry: Payload);

    /// Whether every other live node would push to this one what it commits.
    fn all_connected(&self) -> bool;
}

/// Why a forwarded append has no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ForwardError {
    /// It never left this node, or the other one did nothing with it: it may be committed here.
    #[error("not forwarded: {0}")]
    NotSent(String),
    /// It was sent and nobody knows what became of it.
    #[error("the other node did not answer")]
    Unknown,
    /// What the other node's commit said.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The place where the cluster room plugs in, shared by all shards.
#[derive(Debug, Clone, Default)]
pub(crate) struct PeersSlot(Arc<OnceLock<Arc<dyn Peers>>>);

impl PeersSlot {
    pub(crate) fn get(&self) -> Option<&Arc<dyn Peers>> {
        self.0.get()
    }

    /// The first one stays.
    pub(crate) fn fill(&self, peers: Arc<dyn Peers>) {
        let _first = self.0.set(peers);
    }
}
