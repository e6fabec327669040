//! The cluster as the rest of a node sees it: join, who is up, leave, close.
//!
//! Invariants:
//! 1. After [`Cluster::start`] this node is announced, and the log forwards and pushes.
//! 2. After [`Cluster::leave`] no other node that hears of it takes this one for up; links stay and appends are still served.
//! 3. After [`Cluster::close`] no task of it runs and every forwarded append is answered.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::published::Subscription;
use alluvium_infra::store::StoreError;
use alluvium_log::Log;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use uuid::Uuid;

use crate::accept;
use crate::discovery;
use crate::frame;
use crate::heartbeat;
use crate::join::{self, JoinError};
use crate::members::Members;
use crate::messages::{FrameKind, GoodbyeMessage, NodeMessage};
use crate::node::{Counters, Node};
use crate::peers::ClusterPeers;
use crate::settings::ClusterSettings;
use crate::transport::Transport;

/// How long a goodbye may take to be written to the connections.
const GOODBYE_WAIT: Duration = Duration::from_millis(500);
/// How long removing the own record may take.
const REMOVE_WAIT: Duration = Duration::from_secs(3);
/// How long tasks may take to end.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// This node's part in the cluster. Clones share it.
#[derive(Debug, Clone)]
pub struct Cluster {
    pub(crate) node: Arc<Node>,
}

impl Cluster {
    /// Joins the cluster of `log`, and attaches to the log: from now on it forwards and pushes.
    ///
    /// Nodes that can be reached have links when this returns; one that cannot delays it by the connect timeout.
    ///
    /// # Errors
    /// When the settings cannot be used, the address cannot be listened on, a live node has the id or the store fails.
    pub async fn start(
        log: Log,
        settings: ClusterSettings,
        transport: Arc<dyn Transport>,
        runtime: Runtime,
    ) -> Result<Self, JoinError> {
        settings.validate().map_err(JoinError::Settings)?;
        let address = settings.peer_listen.clone();
        let listener = transport
            .listen(&address)
            .await
            .map_err(|error| JoinError::Listen { address, reason: error.to_string() })?;
        let peer_address = settings.advertised(&listener.address()).map_err(JoinError::Settings)?;
        let node = Node::new(log, settings, peer_address, transport, runtime);
        let cluster = Self { node: node.clone() };
        drop(node.shutdown.spawn_essential(&node.runtime, "accept peers", accept::accept_all(node.clone(), listener)));
        if let Err(error) = join::join(&node).await {
            cluster.stop().await;
            return Err(error);
        }
        drop(node.shutdown.spawn_essential(&node.runtime, "heartbeat", heartbeat::keep_beating(node.clone())));
        drop(node.shutdown.spawn_essential(&node.runtime, "discovery", discovery::keep_looking(node.clone())));
        drop(node.shutdown.spawn(&node.runtime, "own address", join::check_own_address(node.clone())));
        node.log.attach(Arc::new(ClusterPeers(node.clone())));
        let record = node.record();
        tracing::info!(node = %node.id(), incarnation = %node.incarnation, peers = record.peer_address, "joined the cluster");
        Ok(cluster)
    }

    /// This node's id.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.node.id()
    }

    /// This start of the node.
    #[must_use]
    pub fn incarnation(&self) -> Uuid {
        self.node.incarnation
    }

    /// Where other nodes reach this one.
    #[must_use]
    pub fn peer_address(&self) -> String {
        self.node.record().peer_address
    }

    /// Who is up now.
    #[must_use]
    pub fn members(&self) -> Arc<Members> {
        self.node.members()
    }

    /// Tells when that changes.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<Arc<Members>> {
        self.node.subscribe()
    }

    /// What this node did and suffered.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.node.counters
    }

    /// Waits until this node must stop because another one has its id; says so in one line.
    pub fn failed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut failure = self.node.failure();
        async move {
            loop {
                if let Some(message) = failure.newest_seen() {
                    return message;
                }
                if failure.changed().await.is_err() {
                    // Nobody is left who could fail.
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Leaves: says goodbye and removes this node's record. Links stay, and appends of other nodes are served until
    /// [`Cluster::close`].
    pub async fn leave(&self) {
        let node = &self.node;
        node.set_leaving();
        self.say_goodbye().await;
        let turn = node.record_turn.lock().await;
        match node.runtime.timeout(REMOVE_WAIT, remove_record(node)).await.unwrap_or(Err(StoreError::Timeout)) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(node = %node.id(), %error, "the node record stays; it grows stale by itself");
            }
        }
        drop(turn);
    }

    /// Answers what is being served, ends all links and tasks.
    pub async fn close(&self) {
        let node = &self.node;
        node.set_leaving();
        let answered = node.runtime.timeout(node.settings.answer_wait, node.served.drain()).await;
        if answered.is_err() {
            tracing::warn!(node = %node.id(), "appends of other nodes were still being served");
        }
        self.flush().await;
        self.stop().await;
    }

    async fn say_goodbye(&self) {
        let node = Some(NodeMessage::new(self.node.id(), self.node.incarnation));
        let goodbye = frame::notice(FrameKind::Goodbye(GoodbyeMessage { node }));
        let outboxes = self.node.table.lock().outboxes();
        for outbox in outboxes {
            outbox.control(goodbye.clone());
        }
        self.flush().await;
    }

    /// Waits a little until everything that waits is written.
    async fn flush(&self) {
        let outboxes = self.node.table.lock().outboxes();
        let flushed = async {
            for outbox in outboxes {
                outbox.flushed().await;
            }
        };
        // A peer that does not read will notice by itself.
        drop(self.node.runtime.timeout(GOODBYE_WAIT, flushed).await);
    }

    async fn stop(&self) {
        let node = &self.node;
        if let Err(error) = node.shutdown.drain(&node.runtime, CLOSE_WAIT).await {
            tracing::warn!(node = %node.id(), %error, "closing the cluster");
        }
    }
}

/// Removes the own record, unless another node has written its own there.
async fn remove_record(node: &Node) -> Result<(), StoreError> {
    let path = node.log.paths().node(node.id());
    match node.store.get(&path).await {
        Ok(bytes) if NodeRecord::decode(&bytes).is_ok_and(|record| record.incarnation == node.incarnation) => {
            node.store.delete(&path).await
        }
        Ok(_) | Err(StoreError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}
