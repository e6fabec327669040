//! Transactions: who is let in, who decides, and who finishes what was decided.
//!
//! Every step of a transaction is an operation that the log takes or refuses by itself: it names the producer id, the epoch and
//! the number of its transaction. So nothing here is needed for correctness, and two nodes that both believe to coordinate an
//! id do the same twice. What is left: to tell clients what they may do, to end what takes too long, to write the markers of
//! what is decided, and to forget ids that nobody uses (docs/rfcs/2026-11-22-transactions.md).
//!
//! Flow of a request: id -> [`post`] (the shard of the id) -> [`turn`] (one at a time) -> [`rules`] (what it means for an id that
//! stands there) -> [`desk`] (answer, wait, or propose to the log and look again). Flow of everything else: [`watch`] ->
//! [`finish`], [`expire`].
//!
//! Invariants:
//! 1. A decision that a client was told of is in the log, and is finished by whoever leads the shard of the id.
//! 2. Nobody is refused for what this node happens not to know: the log is read to its end first.
//! 3. What may have happened is never called failed.
//! 4. While nothing is open, nothing is written and nothing is read.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_log::Log;
use alluvium_record::{ShardId, TopicPartition};
use tokio_util::sync::CancellationToken;

mod admit;
mod coordinate;
mod describe;
mod desk;
mod error;
mod expire;
mod finish;
mod identity;
mod markers;
mod participants;
mod post;
mod rules;
#[cfg(test)]
mod tests;
mod turn;
mod watch;

pub use describe::{
    InvalidPattern, ListedTransaction, TransactionDescription, TransactionFilter, TransactionIdPattern, status_by_name,
    status_name,
};
pub use error::TransactionError;

use crate::driver::Leadership;
use post::Post;
use turn::Turns;

/// The transactions of a cluster, as one node serves them. Cloning shares them.
#[derive(Clone)]
pub struct Transactions {
    shared: Arc<Shared>,
}

/// What transactions stand on.
#[derive(Clone, Debug)]
pub struct TransactionParts {
    /// The log of the cluster.
    pub log: Log,
    /// Which shards this node leads.
    pub leadership: Arc<dyn Leadership>,
    /// Limits.
    pub settings: TransactionSettings,
    /// Clock and tasks.
    pub runtime: Runtime,
}

/// Limits of transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionSettings {
    /// The longest timeout that a producer may ask for (`transaction.max.timeout.ms`).
    pub timeout_max: Duration,
    /// How long an id is kept that nobody uses (`transactional.id.expiration.ms`).
    pub id_expiration: Duration,
}

impl Default for TransactionSettings {
    fn default() -> TransactionSettings {
        TransactionSettings {
            timeout_max: Duration::from_secs(15 * 60),
            id_expiration: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// InitProducerId of a transactional producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitTransactionalProducer {
    /// The id.
    pub transactional_id: String,
    /// How long a transaction may take, in milliseconds.
    pub timeout_ms: i32,
    /// Producer id and epoch that the producer has, if it goes on after an error (KIP-360).
    pub producer: Option<(i64, i16)>,
}

/// EndTxn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTransactionalProducer {
    /// The id.
    pub transactional_id: String,
    /// The producer id.
    pub producer_id: i64,
    /// The epoch.
    pub epoch: i16,
    /// Whether the transaction is committed.
    pub commit: bool,
    /// Whether the end raises the epoch: EndTxn from version 5 on (KIP-890).
    pub raises_epoch: bool,
}

/// Batches of one producer that want to become part of its transaction.
#[derive(Clone, Copy, Debug)]
pub struct AdmitBatches<'a> {
    /// The id.
    pub transactional_id: &'a str,
    /// The producer id.
    pub producer_id: i64,
    /// The epoch.
    pub epoch: i16,
    /// Where the batches go.
    pub partitions: &'a [TopicPartition],
    /// Whether partitions become part of the transaction by being written to (KIP-890).
    pub implicit: bool,
}

struct Shared {
    log: Log,
    settings: TransactionSettings,
    runtime: Runtime,
    /// Shards that hold transactional ids, from 0 on.
    posts: Vec<Arc<Post>>,
    turns: Turns,
    resigned: CancellationToken,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").field("posts", &self.posts).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Transactions").field("posts", &self.shared.posts.len()).finish_non_exhaustive()
    }
}

impl Transactions {
    /// Serves transactions, and looks after those of the shards that this node leads, now and whenever that changes.
    pub fn start(parts: TransactionParts) -> Transactions {
        let TransactionParts { log, leadership, settings, runtime } = parts;
        let post = |shard| Arc::new(Post::new(shard, leadership.clone(), runtime.clone()));
        let posts: Vec<Arc<Post>> = log.group_shards().into_iter().map(post).collect();
        let shared = Arc::new(Shared {
            log,
            settings,
            runtime: runtime.clone(),
            posts,
            turns: Turns::default(),
            resigned: CancellationToken::new(),
        });
        for post in &shared.posts {
            let watching = watch::run(shared.clone(), post.clone(), leadership.subscribe());
            drop(runtime.spawn_essential("transactions of a shard", watching));
        }
        Transactions { shared }
    }

    /// The shard that holds a transactional id: its leader is the id's coordinator.
    pub fn shard_of(&self, transactional_id: &str) -> ShardId {
        self.shared.log.group_shard(transactional_id)
    }

    /// Coordinates no more, at shutdown. What is decided and not finished is finished by the next leader.
    pub fn resign(&self) {
        self.shared.resigned.cancel();
    }
}

impl Shared {
    /// The shard of a transactional id.
    fn post(&self, transactional_id: &str) -> Option<&Arc<Post>> {
        self.posts.get(self.log.group_shard(transactional_id).0 as usize)
    }

    /// Whether this node coordinates the ids of a shard.
    fn serves(&self, post: &Post) -> bool {
        !self.resigned.is_cancelled() && post.leads()
    }
}
