//! Where an append is committed: here, or by the node that leads the shard.
//!
//! One task a shard, so that appends keep their order: a producer's batches reach the log in the order of its requests or not
//! at all. It hands them to the shard's own task or to [`Peers`], never both ways at a time: what would go the other way is
//! held until everything on the first way is answered.
//!
//! Invariants: 4 and 6. What was sent to another node and not answered is committed here only when each of its batches has
//! a sequence number, which lets one of the two in; otherwise nobody knows what became of it, and that is the answer. What
//! was in doubt once is never answered as refused.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::runtime::Instant;
use alluvium_record::{NodeId, ShardId};
use tokio::sync::{Notify, mpsc, oneshot};

use super::Request;
use crate::counters::{ForwardOutcome, ShardCounters};
use crate::operation::{Append, AppendOutcome, AppendRejection, CommitError};
use crate::peers::{ForwardError, Peers, PeersSlot};

type Outcomes = Result<Vec<AppendOutcome>, CommitError>;

/// An append on its way.
#[derive(Debug)]
pub(crate) struct Routed {
    pub(crate) append: Append,
    pub(crate) deadline: Instant,
    pub(crate) reply: oneshot::Sender<Outcomes>,
    /// Another node may have committed it.
    pub(crate) doubtful: bool,
}

/// Counts appends that the shard's own task has not answered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outstanding(Arc<(AtomicUsize, Notify)>);

/// Held by one such append.
#[derive(Debug)]
pub(crate) struct OutstandingGuard(Outstanding);

impl Outstanding {
    fn begin(&self) -> OutstandingGuard {
        self.0.0.fetch_add(1, Ordering::AcqRel);
        OutstandingGuard(self.clone())
    }

    fn is_none(&self) -> bool {
        self.0.0.load(Ordering::Acquire) == 0
    }
}

impl Drop for OutstandingGuard {
    fn drop(&mut self) {
        let Outstanding(shared) = &self.0;
        if shared.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            shared.1.notify_one();
        }
    }
}

/// Decides where the appends of one shard go.
pub(crate) struct Router {
    shard: ShardId,
    peers: PeersSlot,
    requests: mpsc::Sender<Request>,
    counters: Arc<ShardCounters>,
    direct: Outstanding,
    /// Sent to `to`, oldest first.
    in_flight: VecDeque<InFlight>,
    to: NodeId,
    /// To be committed here when nothing is in flight any more, oldest first.
    retries: VecDeque<Routed>,
    /// Came later and has to wait.
    held: VecDeque<Routed>,
}

struct InFlight {
    routed: Routed,
    answer: oneshot::Receiver<Result<Vec<AppendOutcome>, ForwardError>>,
}

/// Appends that are held back before callers are.
const HELD_MAX: usize = 1024;

impl Router {
    pub(crate) fn new(
        shard: ShardId,
        peers: PeersSlot,
        requests: mpsc::Sender<Request>,
        counters: Arc<ShardCounters>,
    ) -> Self {
        Self {
            shard,
            peers,
            requests,
            counters,
            direct: Outstanding::default(),
            in_flight: VecDeque::new(),
            to: NodeId(-1),
            retries: VecDeque::new(),
            held: VecDeque::new(),
        }
    }

    /// Routes until every handle is gone.
    pub(crate) async fn run(mut self, mut appends: mpsc::Receiver<Routed>) {
        let mut open = true;
        while open || !self.is_idle() {
            let may_take = open && self.held.len() < HELD_MAX;
            let direct = self.direct.clone();
            let waits_for_direct = !self.held.is_empty() || !self.retries.is_empty();
            tokio::select! {
                biased;
                answer = front(&mut self.in_flight) => self.answered(answer).await,
                () = direct.0.1.notified(), if waits_for_direct && self.in_flight.is_empty() => {}
                routed = appends.recv(), if may_take => match routed {
                    Some(routed) => self.held.push_back(routed),
                    None => open = false,
                },
            }
            self.advance().await;
        }
    }

    fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.retries.is_empty() && self.held.is_empty()
    }

    /// The oldest in flight was answered.
    async fn answered(&mut self, answer: Result<Vec<AppendOutcome>, ForwardError>) {
        let Some(InFlight { mut routed, .. }) = self.in_flight.pop_front() else { return };
        self.counters.forwarded(ForwardOutcome::of(&answer, &routed.append));
        match answer {
            // An append that is committed here again lies before it: so will this one. What nobody numbered may be in the log.
            Ok(outcomes)
                if !self.retries.is_empty()
                    && outcomes.iter().any(is_out_of_order)
                    && (routed.append.is_idempotent() || planted::is(Bug::ForwardedAgainWhole)) =>
            {
                // Some of it is in the log: that it is refused when it comes again, because its producer was fenced meanwhile, is no
                // answer.
                routed.doubtful |= !outcomes.iter().all(|outcome| matches!(outcome, AppendOutcome::Rejected(_)));
                self.retries.push_back(routed);
            }
            Ok(outcomes) => {
                self.refuse_overtaken();
                settle(routed, Ok(outcomes));
            }
            Err(ForwardError::Commit(error)) => settle(routed, Err(error)),
            Err(ForwardError::NotSent(reason)) => {
                tracing::debug!(
                    shard = self.shard.0,
                    to = self.to.0,
                    reason,
                    "append was not forwarded: committing here"
                );
                self.retries.push_back(routed);
            }
            Err(ForwardError::Unknown) if routed.append.is_idempotent() || planted::is(Bug::ForwardedTwice) => {
                tracing::debug!(
                    shard = self.shard.0,
                    to = self.to.0,
                    "no answer to a forwarded append: committing here"
                );
                routed.doubtful = true;
                self.retries.push_back(routed);
            }
            Err(ForwardError::Unknown) => settle(routed, Err(CommitError::Unknown)),
        }
    }

    /// What nobody numbered and did not reach the leader has lost its place to what was sent after it.
    fn refuse_overtaken(&mut self) {
        let (numbered, overtaken) =
            std::mem::take(&mut self.retries).into_iter().partition(|routed| routed.append.is_idempotent());
        self.retries = numbered;
        let overtaken: VecDeque<Routed> = overtaken;
        for routed in overtaken {
            settle(routed, Err(CommitError::Unavailable("a later append was committed first".to_owned())));
        }
    }

    /// Sends on what may go now.
    async fn advance(&mut self) {
        if self.in_flight.is_empty() {
            while let Some(routed) = self.retries.pop_front() {
                self.commit_here(routed).await;
            }
        }
        while let Some(routed) = self.held.pop_front() {
            let peers = self.peers.get().cloned();
            match peers.as_ref().and_then(|peers| peers.leader(self.shard)) {
                None if self.in_flight.is_empty() || planted::is(Bug::RouterOvertakes) => {
                    self.commit_here(routed).await;
                }
                Some(to) if self.may_forward(to) => {
                    if let Some(peers) = &peers {
                        self.forward(peers.as_ref(), to, routed);
                    }
                }
                _ => {
                    self.held.push_front(routed);
                    return;
                }
            }
        }
    }

    fn may_forward(&self, to: NodeId) -> bool {
        if planted::is(Bug::RouterOvertakes) {
            return true;
        }
        self.retries.is_empty() && self.direct.is_none() && (self.in_flight.is_empty() || self.to == to)
    }

    fn forward(&mut self, peers: &dyn Peers, to: NodeId, routed: Routed) {
        self.to = to;
        let answer = peers.forward(to, self.shard, &routed.append, routed.deadline);
        self.in_flight.push_back(InFlight { routed, answer });
    }

    async fn commit_here(&self, routed: Routed) {
        let Routed { append, deadline, reply, doubtful } = routed;
        let outstanding = Some(self.direct.begin());
        let request = Request::Append { append, deadline, reply, doubtful, outstanding };
        if let Err(mpsc::error::SendError(Request::Append { reply, .. })) = self.requests.send(request).await {
            let error = if doubtful { CommitError::Unknown } else { CommitError::Closed };
            // Nobody may be listening any more, which is fine.
            drop(reply.send(Err(error)));
        }
    }
}

/// The answer to the oldest in flight; waits for ever when there is none.
async fn front(in_flight: &mut VecDeque<InFlight>) -> Result<Vec<AppendOutcome>, ForwardError> {
    match in_flight.front_mut() {
        Some(oldest) => (&mut oldest.answer).await.unwrap_or(Err(ForwardError::Unknown)),
        None => std::future::pending().await,
    }
}

impl ForwardOutcome {
    fn of(answer: &Result<Vec<AppendOutcome>, ForwardError>, append: &Append) -> ForwardOutcome {
        match answer {
            Ok(_) => ForwardOutcome::Answered,
            Err(ForwardError::Commit(_)) => ForwardOutcome::Failed,
            Err(ForwardError::NotSent(_)) => ForwardOutcome::NotSent,
            Err(ForwardError::Unknown) if append.is_idempotent() => ForwardOutcome::CommittedHere,
            Err(ForwardError::Unknown) => ForwardOutcome::Unknown,
        }
    }
}

fn settle(routed: Routed, outcomes: Outcomes) {
    // A caller that went away is no reason to stop.
    drop(routed.reply.send(outcomes));
}

fn is_out_of_order(outcome: &AppendOutcome) -> bool {
    matches!(outcome, AppendOutcome::Rejected(AppendRejection::OutOfOrderSequence { .. }))
}
