//! What rides in one entry, and how each rider is answered.
//!
//! Invariant: every request is answered exactly once.

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Committed, OutstandingGuard, Request};
use crate::apply::ApplyError;
use crate::operation::{Append, AppendOutcome, AppendSource, CommitError, Operation, Rejection};
use crate::plan::Plan;
use crate::replay::CatchUpError;

/// A request that waits for a commit.
#[derive(Debug)]
pub(crate) enum Rider {
    Operation {
        operation: Box<Operation>,
        coordinator: Option<u64>,
        deadline: Instant,
        reply: oneshot::Sender<Result<Committed, CommitError>>,
    },
    Append {
        append: Append,
        deadline: Instant,
        reply: oneshot::Sender<Result<Vec<AppendOutcome>, CommitError>>,
        doubtful: bool,
        /// Dropped with the rider, which is when it has its answer.
        outstanding: Option<OutstandingGuard>,
    },
}

/// The answer that a rider gets when its entry wins.
pub(crate) enum Answer {
    Operation(Result<(), Rejection>),
    /// There was nothing to change, as far as this node knows.
    Unchanged,
    Append(Vec<AppendOutcome>),
}

impl Answer {
    /// Whether a node that may be stale has to look at the log before it says this.
    pub(crate) fn is_denial(&self) -> bool {
        match self {
            Self::Operation(result) => result.is_err(),
            Self::Unchanged => true,
            Self::Append(outcomes) => outcomes.iter().any(|outcome| matches!(outcome, AppendOutcome::Rejected(_))),
        }
    }
}

impl Rider {
    /// A rider, or the request back when it is no commit.
    pub(crate) fn board(request: Request) -> Result<Self, Request> {
        match request {
            Request::Operation { operation, coordinator, deadline, reply } => {
                Ok(Self::Operation { operation, coordinator, deadline, reply })
            }
            Request::Append { append, deadline, reply, doubtful, outstanding } => {
                Ok(Self::Append { append, deadline, reply, doubtful, outstanding })
            }
            other => Err(other),
        }
    }

    pub(crate) fn deadline(&self) -> Instant {
        match self {
            Self::Operation { deadline, .. } | Self::Append { deadline, .. } => *deadline,
        }
    }

    /// Bytes that would ride in the entry.
    pub(crate) fn inline_bytes(&self) -> u64 {
        match self {
            Self::Append { append, .. } if append.source == AppendSource::Inline => {
                append.batches.iter().map(|batch| u64::from(batch.length)).sum()
            }
            _ => 0,
        }
    }

    pub(crate) fn plan(&self, plan: &mut Plan) -> Result<Answer, ApplyError> {
        match self {
            Self::Operation { operation, coordinator, .. } => {
                let before = plan.message.operations.len();
                let result = plan.operation(operation, *coordinator)?;
                Ok(match result.is_ok() && plan.message.operations.len() == before {
                    true => Answer::Unchanged,
                    false => Answer::Operation(result),
                })
            }
            Self::Append { append, .. } => plan.append(append).map(Answer::Append),
        }
    }

    /// The data of the segment that this rider brought, for the tail; nothing when another node put it.
    pub(crate) fn segment(&self) -> Option<(uuid::Uuid, Vec<Bytes>)> {
        match self {
            Self::Append { append: Append { batches, source: AppendSource::Segment { id, .. } }, .. }
                if batches.iter().all(|batch| batch.batch.bytes.len() == batch.length as usize) =>
            {
                Some((*id, batches.iter().map(|batch| batch.batch.bytes.clone()).collect()))
            }
            _ => None,
        }
    }

    pub(crate) fn succeed(self, answer: Answer, committed: Committed) {
        // A caller that went away is no reason to stop: what it asked for is durable or definitely refused.
        match (self, answer) {
            (Self::Operation { reply, .. }, Answer::Operation(result)) => {
                drop(reply.send(result.map(|()| committed).map_err(CommitError::from)));
            }
            (Self::Operation { reply, .. }, Answer::Unchanged) => drop(reply.send(Ok(committed))),
            (Self::Append { reply, doubtful: true, .. }, Answer::Append(outcomes))
                if outcomes.iter().any(|outcome| matches!(outcome, AppendOutcome::Rejected(_))) =>
            {
                drop(reply.send(Err(CommitError::Unknown)));
            }
            (Self::Append { reply, outstanding, .. }, Answer::Append(outcomes)) => {
                drop(reply.send(Ok(outcomes)));
                drop(outstanding);
            }
            (rider, _) => rider.fail(CommitError::Unknown),
        }
    }

    pub(crate) fn fail(self, error: CommitError) {
        match self {
            Self::Operation { reply, .. } => drop(reply.send(Err(error))),
            Self::Append { reply, doubtful: true, .. } => drop(reply.send(Err(CommitError::Unknown))),
            Self::Append { reply, .. } => drop(reply.send(Err(error))),
        }
    }
}

/// Fails every rider whose deadline has passed; those that stay keep their order.
pub(crate) fn expire(riders: &mut Vec<Rider>, runtime: &Runtime, error: impl Fn() -> CommitError) {
    let now = runtime.monotonic();
    if riders.iter().all(|rider| rider.deadline() > now) {
        return;
    }
    let (stay, gone) = std::mem::take(riders).into_iter().partition(|rider| rider.deadline() > now);
    *riders = stay;
    let gone: Vec<Rider> = gone;
    for rider in gone {
        rider.fail(error());
    }
}

/// Refuses what still waits when the shard is closed: none of it was attempted.
pub(super) async fn refuse_waiting(mut requests: mpsc::Receiver<Request>) {
    requests.close();
    while let Some(request) = requests.recv().await {
        match Rider::board(request) {
            Ok(rider) => rider.fail(CommitError::Closed),
            Err(Request::CatchUp { reply }) => drop(reply.send(Err(CatchUpError::Closed))),
            Err(Request::Close { reply }) => {
                let _closed = reply.send(());
            }
            Err(_) => {}
        }
    }
}
