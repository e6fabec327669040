//! The commit loop: one task owns the end of a shard's log, all others send it what they want committed.
//!
//! Owns: the newest state, the next slot, and the answers of everything that waits for it. One commit is in flight; what
//! arrives meanwhile rides in the next entry (group commit).
//!
//! Invariants:
//! - nothing is acknowledged before its entry holds the slot (1, 3, 6);
//! - nothing is rejected before the log was read to its end (10);
//! - a request whose deadline passes while its entry may be in the log is answered `Unknown`, never as failed, and is not
//!   proposed again; the slot is resolved before the shard is used again (6);
//! - after a win that took longer than half the time that entries are kept, nothing is acknowledged (7).

mod catch_up;
mod checkpointer;
mod group;
mod look;
mod pushed;
mod route;
pub mod slot;
mod task;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::published::Subscription;
use alluvium_infra::runtime::Instant;
use alluvium_record::ShardId;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::counters::ShardCounters;
use crate::operation::{Append, AppendOutcome, CommitError, Operation};
use crate::paths::ShardPaths;
use crate::peers::PeersSlot;
use crate::replay::CatchUpError;
use crate::state::State;
use crate::tail::Tail;

pub(crate) use look::Look;
pub(crate) use pushed::Waiting;
pub use pushed::WaitingGuard;
pub(crate) use route::{OutstandingGuard, Routed, Router};
pub(crate) use task::{ShardParts, ShardTask};

/// How a shard commits.
#[derive(Debug, Clone)]
pub struct CommitRules {
    /// How slots are written.
    pub slot: slot::SlotRules,
    /// How entries are planned.
    pub plan: crate::plan::PlanRules,
    /// The log is read to its end before a commit when that was last done longer ago than this.
    pub look_after: Duration,
    /// How long entries are kept behind a checkpoint; half of it is what a commit may take (invariant 7).
    pub log_retention: Duration,
    /// Bytes of inline data after which an entry takes no more proposals.
    pub entry_data_bytes_max: u64,
    /// A checkpoint is due after so many entries.
    pub checkpoint_entries: u64,
    /// A checkpoint is due after so many bytes of entries.
    pub checkpoint_entry_bytes: u64,
    /// The deadline of requests that give none.
    pub deadline_default: Duration,
    /// While somebody waits for records and none came for so long, the next slot is read: another node may have written it.
    pub probe_interval: Duration,
}

/// What a commit without records tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The entry that holds the operation, or the newest one when there was nothing to change.
    pub entry_number: u64,
    /// Its timestamp.
    pub timestamp_ms: i64,
}

/// A request to the task that owns the shard.
#[derive(Debug)]
pub(crate) enum Request {
    Operation {
        operation: Box<Operation>,
        /// The epoch of the coordinator that commands it.
        coordinator: Option<u64>,
        deadline: Instant,
        reply: oneshot::Sender<Result<Committed, CommitError>>,
    },
    Append {
        append: Append,
        deadline: Instant,
        reply: oneshot::Sender<Result<Vec<AppendOutcome>, CommitError>>,
        /// Another node may have committed it: it is never answered as refused.
        doubtful: bool,
        outstanding: Option<OutstandingGuard>,
    },
    /// An entry that another node says it committed.
    Pushed {
        entry: Bytes,
    },
    CatchUp {
        reply: oneshot::Sender<Result<Arc<State>, CatchUpError>>,
    },
    Close {
        reply: oneshot::Sender<()>,
    },
}

/// A handle on one shard. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shard {
    pub(crate) requests: mpsc::Sender<Request>,
    pub(crate) state: Subscription<Arc<State>>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) paths: ShardPaths,
    pub(crate) runtime: alluvium_infra::Runtime,
    pub(crate) deadline_default: Duration,
    /// Where appends go while there are other nodes.
    pub(crate) routed: mpsc::Sender<Routed>,
    pub(crate) peers: PeersSlot,
    pub(crate) waiting: Waiting,
    pub(crate) counters: Arc<ShardCounters>,
}

/// The answer to an append, in time.
#[derive(Debug)]
pub struct AppendTicket {
    reply: oneshot::Receiver<Result<Vec<AppendOutcome>, CommitError>>,
}

impl AppendTicket {
    /// Waits for the answer: one outcome a batch.
    ///
    /// # Errors
    /// When none of the batches was written, or when it is not known.
    pub async fn outcome(self) -> Result<Vec<AppendOutcome>, CommitError> {
        // The task answers everything that it takes; a dropped reply means that it ended with the slot in doubt.
        self.reply.await.unwrap_or(Err(CommitError::Unknown))
    }
}

impl Shard {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.paths.shard()
    }

    /// The newest state that this node knows.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.state.newest()
    }

    /// Tells when there is a newer state.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<Arc<State>> {
        self.state.clone()
    }

    /// Paths of this shard's objects.
    #[must_use]
    pub fn paths(&self) -> &ShardPaths {
        &self.paths
    }

    /// What was committed last, in memory.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What this shard counts.
    #[must_use]
    pub fn counters(&self) -> &ShardCounters {
        &self.counters
    }

    /// Reads the log to its end: the state is at least as new as the call.
    ///
    /// # Errors
    /// When the store does not answer or holds what cannot be applied.
    pub async fn catch_up(&self) -> Result<Arc<State>, CatchUpError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(Request::CatchUp { reply }).await.map_err(|_| CatchUpError::Closed)?;
        answer.await.map_err(|_| CatchUpError::Closed)?
    }

    /// Commits one operation without records.
    ///
    /// # Errors
    /// Each error says what became of the operation.
    pub async fn commit(&self, operation: Operation, deadline: Option<Instant>) -> Result<Committed, CommitError> {
        self.commit_under(None, operation, deadline).await
    }

    /// Commits one operation that the coordinator of epoch `coordinator` commands. Refused when there is a newer one
    /// ([`Rejection::NotCoordinator`](crate::operation::Rejection::NotCoordinator)).
    ///
    /// # Errors
    /// Each error says what became of the operation.
    pub async fn commit_as(
        &self,
        coordinator: u64,
        operation: Operation,
        deadline: Option<Instant>,
    ) -> Result<Committed, CommitError> {
        self.commit_under(Some(coordinator), operation, deadline).await
    }

    async fn commit_under(
        &self,
        coordinator: Option<u64>,
        operation: Operation,
        deadline: Option<Instant>,
    ) -> Result<Committed, CommitError> {
        let deadline = deadline.unwrap_or_else(|| self.runtime.monotonic() + self.deadline_default);
        let (reply, answer) = oneshot::channel();
        let request = Request::Operation { operation: Box::new(operation), coordinator, deadline, reply };
        // While a slot is in doubt nothing behind it is looked at: whoever waits there is not kept longer than he said.
        match self.runtime.timeout_at(deadline, self.requests.reserve()).await {
            Ok(Ok(place)) => place.send(request),
            Ok(Err(_closed)) => return Err(CommitError::Closed),
            Err(_elapsed) => return Err(CommitError::Unavailable("too many commits are waiting".to_owned())),
        }
        match self.runtime.timeout_at(deadline, answer).await {
            Ok(answer) => answer.unwrap_or(Err(CommitError::Unknown)),
            Err(_elapsed) => Err(task::doubt()),
        }
    }

    /// Appends record batches, here or by the node that leads the shard. The order of calls is the order of the log.
    #[must_use]
    pub fn append(&self, append: Append, deadline: Instant) -> AppendTicket {
        if self.peers.get().is_none() {
            return self.append_here(append, deadline);
        }
        let (reply, answer) = oneshot::channel();
        match self.routed.try_send(Routed { append, deadline, reply, doubtful: false }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(routed)) => {
                drop(routed.reply.send(Err(CommitError::Unavailable("too many commits are waiting".to_owned()))));
            }
            Err(mpsc::error::TrySendError::Closed(routed)) => drop(routed.reply.send(Err(CommitError::Closed))),
        }
        AppendTicket { reply: answer }
    }

    /// Takes an entry that another node says it committed: it is applied when it follows on what is known here. Never waits.
    pub fn pushed(&self, entry: Bytes) {
        // When the shard is busy the push is lost, as any push may be: the entry is in the bucket.
        drop(self.requests.try_send(Request::Pushed { entry }));
    }

    /// While this lives, entries of other nodes are looked for every now and then.
    #[must_use]
    pub fn waiting(&self) -> WaitingGuard {
        self.waiting.begin()
    }

    /// Appends record batches without asking another node. The order of calls is the order of the log.
    #[must_use]
    pub fn append_here(&self, append: Append, deadline: Instant) -> AppendTicket {
        let (reply, answer) = oneshot::channel();
        let request = Request::Append { append, deadline, reply, doubtful: false, outstanding: None };
        match self.requests.try_send(request) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(request)) => {
                refuse(request, CommitError::Unavailable("too many commits are waiting".to_owned()));
            }
            Err(mpsc::error::TrySendError::Closed(request)) => refuse(request, CommitError::Closed),
        }
        AppendTicket { reply: answer }
    }
}

fn refuse(request: Request, error: CommitError) {
    if let Request::Append { reply, .. } = request {
        // Nobody may be listening any more, which is fine: nothing was written.
        drop(reply.send(Err(error)));
    }
}
