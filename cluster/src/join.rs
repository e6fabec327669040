//! A node comes: is its id free, who else is here, links to them.
//!
//! Cost: one GET and one PUT of the own record, one LIST, one GET for each other node.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::store::StoreError;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use tokio::sync::oneshot;

use crate::dial;
use crate::discovery;
use crate::handshake;
use crate::node::Node;

/// Attempts at each request to the store.
const ATTEMPTS_MAX: u32 = 5;
/// The pause between two.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(500);

/// Why a node did not join.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JoinError {
    /// The settings cannot be used.
    #[error("{0}")]
    Settings(String),
    /// Other nodes cannot be listened for.
    #[error("cannot listen for other nodes on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// A live node has the id.
    #[error("node id {id} is taken: the node at {address} has it and answers; give each node an id of its own")]
    IdTaken {
        /// The id.
        id: NodeId,
        /// The other node's address for peers.
        address: String,
    },
    /// The store did not do what was asked.
    #[error("{store}: {error}")]
    Store {
        /// The store.
        store: String,
        /// What it said.
        error: StoreError,
    },
}

/// Joins: afterwards the record is written and each node that could be reached at once has a link.
pub(crate) async fn join(node: &Arc<Node>) -> Result<(), JoinError> {
    claim_id(node).await?;
    patiently(node, || discovery::look(node)).await?;
    node.set_joined();
    let undialed = node.table.lock().take_undialed();
    let mut attempts = Vec::new();
    for id in undialed {
        let (first, attempted) = oneshot::channel();
        drop(node.shutdown.spawn(&node.runtime, "dial", dial::keep_link(node.clone(), id, Some(first))));
        attempts.push(attempted);
    }
    for attempted in attempts {
        // Whoever attempts has a timeout, and drops his end whatever came of it.
        drop(attempted.await);
    }
    node.refresh();
    Ok(())
}

/// Writes the own record, unless another live node has the id.
async fn claim_id(node: &Arc<Node>) -> Result<(), JoinError> {
    let path = node.log.paths().node(node.id());
    let before = patiently(node, || async {
        match node.store.get(&path).await {
            Ok(bytes) => Ok(NodeRecord::decode(&bytes).ok()),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    })
    .await?;
    if let Some(before) = before.filter(|before| node.clock.is_within(before.heartbeat_ms, node.settings.fresh_for))
        && let Ok(other) = handshake::ask(node, &before.peer_address).await
        && other.id == node.id()
        && other.incarnation != node.incarnation
    {
        return Err(JoinError::IdTaken { id: node.id(), address: before.peer_address });
    }
    patiently(node, || node.store.put(&path, node.record_now().encode())).await
}

async fn patiently<T, Fut>(node: &Node, request: impl Fn() -> Fut) -> Result<T, JoinError>
where
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut attempts = 1;
    loop {
        match request().await {
            Ok(done) => return Ok(done),
            Err(error) if attempts >= ATTEMPTS_MAX || !error.is_retryable() => {
                return Err(JoinError::Store { store: node.store.describe(), error });
            }
            Err(error) => tracing::debug!(node = %node.id(), %error, "joining; trying again"),
        }
        attempts += 1;
        node.runtime.sleep(ATTEMPT_PAUSE).await;
    }
}

/// Tells whoever started this node when its address leads nowhere or to somebody else.
pub(crate) async fn check_own_address(node: Arc<Node>) {
    let Some(problem) = node.shutdown.unless_triggered(own_address_problem(&node)).await else { return };
    if let Some(reason) = problem {
        tracing::warn!(
            node = %node.id(), address = node.record().peer_address, reason,
            "the address that other nodes are told does not lead to this node: they cannot forward to it or push to it"
        );
    }
}

/// Why other nodes may not reach this one, as far as it can see itself.
pub(crate) async fn own_address_problem(node: &Node) -> Option<String> {
    match handshake::ask(node, &node.record().peer_address).await {
        Ok(greeting) if greeting.incarnation == node.incarnation => None,
        Ok(greeting) => Some(format!("node {} answers there", greeting.id)),
        Err(error) => Some(error.to_string()),
    }
}
