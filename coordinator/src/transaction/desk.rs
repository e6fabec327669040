//! One request about a transactional id at work: what is known of the id, what is proposed to the log, and for how long.
//!
//! Invariants:
//! 1. Nothing is answered from what this node happens to know, unless the log was read to its end since the request came.
//! 2. What was proposed and not answered is looked for in the log before anything else happens.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, Operation, Rejection, TransactionRecord};

use super::Shared;
use super::error::TransactionError;
use super::identity::{Identity, Next};
use super::post::{LOOK_MAX, Post};
use super::rules::Standing;
use super::turn::Turn;

/// How long a request is worked on; less than clients wait by default.
const WORK_MAX: Duration = Duration::from_secs(15);
/// How long an answer waits for the end of the last transaction to be known everywhere.
const PATIENCE: Duration = Duration::from_secs(1);
/// Proposals of one request, each of which something came in between.
const PROPOSALS_MAX: u32 = 16;

/// A request at work.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    shared: &'a Shared,
    post: &'a Arc<Post>,
    transactional_id: &'a str,
    deadline: Instant,
    /// Until when the end of the last transaction is waited for; set when that begins.
    patience: Option<Instant>,
    /// Whether the log was read to its end since the request came.
    certain: bool,
    proposals: u32,
    turn: Option<Turn>,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proposed {
    /// It is in the log.
    Written,
    /// It is not, for this reason, which the newest state shows.
    Refused(Rejection),
    /// Look at the newest state: it shows whether it is in the log.
    See,
}

impl<'a> Desk<'a> {
    /// A desk for requests to the coordinator of the id, when it is their turn.
    pub(super) async fn of_coordinator(
        shared: &'a Shared,
        transactional_id: &'a str,
    ) -> Result<Desk<'a>, TransactionError> {
        let mut desk = Desk::open(shared, transactional_id)?;
        if !shared.serves(desk.post) {
            return Err(TransactionError::NotCoordinator);
        }
        desk.take_turn().await?;
        Ok(desk)
    }

    /// A desk on any node. Others may be at work for the same id.
    pub(super) fn open(shared: &'a Shared, transactional_id: &'a str) -> Result<Desk<'a>, TransactionError> {
        let post = shared.post(transactional_id).ok_or(TransactionError::CoordinatorNotAvailable)?;
        let deadline = shared.runtime.monotonic() + WORK_MAX;
        let (patience, certain, proposals, turn) = (None, false, 0, None);
        Ok(Desk { shared, post, transactional_id, deadline, patience, certain, proposals, turn })
    }

    /// Waits until no other request for the id is at work here. Tells whether that was not so before.
    pub(super) async fn take_turn(&mut self) -> Result<bool, TransactionError> {
        if self.turn.is_some() {
            return Ok(false);
        }
        let turn = self.shared.runtime.timeout_at(self.deadline, self.shared.turns.take(self.transactional_id)).await;
        // Who has waited for so long was not attempted.
        self.turn = Some(turn.ok().flatten().ok_or(TransactionError::CoordinatorNotAvailable)?);
        Ok(true)
    }

    pub(super) fn post(&self) -> &'a Arc<Post> {
        self.post
    }

    /// What this node knows of the id.
    pub(super) fn record(&self) -> Option<Arc<TransactionRecord>> {
        self.post.shard().state().transaction(self.transactional_id).cloned()
    }

    /// Where the id stands, as far as this node knows.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.record().map(|record| Standing::of(&record))
    }

    /// Whether what is known may be answered. If not, it is after this: look at the state again.
    pub(super) async fn may_answer(&mut self) -> Result<bool, TransactionError> {
        if self.certain {
            return Ok(true);
        }
        self.look().await?;
        Ok(false)
    }

    /// Reads the log to its end unless that was done since the request came, or `age_max` ago at most.
    pub(super) async fn be_fresh(&mut self, age_max: Option<Duration>) -> Result<(), TransactionError> {
        let is_fresh = age_max.is_some_and(|age_max| self.post.age().is_some_and(|age| age <= age_max));
        if !self.certain && !is_fresh {
            self.look().await?;
        }
        Ok(())
    }

    /// When what is known was surely so, milliseconds since 1970.
    pub(super) fn known_ms(&self) -> i64 {
        let age_ms = self.post.age().map_or(i64::MAX, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        self.shared.runtime.now_ms().saturating_sub(age_ms)
    }

    pub(super) async fn look(&mut self) -> Result<(), TransactionError> {
        self.post.look().await?;
        self.certain = true;
        Ok(())
    }

    /// Proposes a change. An error says what is known of it.
    pub(super) async fn propose(&mut self, operation: Operation) -> Result<Proposed, TransactionError> {
        self.proposals += 1;
        if self.proposals > PROPOSALS_MAX {
            return Err(TransactionError::ConcurrentTransactions);
        }
        if self.shared.runtime.monotonic() >= self.deadline {
            // This one was not attempted.
            return Err(TransactionError::CoordinatorNotAvailable);
        }
        match self.post.commit_in_time(operation, self.deadline).await {
            Ok(_) => Ok(Proposed::Written),
            Err(CommitError::Rejected(rejection)) => {
                self.certain = true;
                if self.proposals == PROPOSALS_MAX || rejection == Rejection::TransactionTooLarge {
                    return Err(TransactionError::of_rejection(&rejection));
                }
                Ok(Proposed::Refused(rejection))
            }
            Err(CommitError::Unknown) => {
                // The slot is settled before the log is read to its end.
                self.look().await.map_err(|_| TransactionError::Unknown)?;
                Ok(Proposed::See)
            }
            Err(error) => Err(TransactionError::of_commit(&error)),
        }
    }

    /// The identity that `next` stands for.
    pub(super) async fn identity(&self, next: Next) -> Result<Identity, TransactionError> {
        match next {
            Next::Pair(identity) => Ok(identity),
            Next::NewProducerId => self.shared.new_identity().await,
        }
    }

    /// Waits until the last transaction is known everywhere to have ended.
    ///
    /// # Errors
    /// `ConcurrentTransactions` when it takes too long.
    pub(super) async fn wait_for_end(&mut self) -> Result<(), TransactionError> {
        if self.wait_while_decided().await {
            return Ok(());
        }
        // Nobody told us, perhaps.
        self.look().await?;
        match self.is_decided() {
            true => Err(TransactionError::ConcurrentTransactions),
            false => Ok(()),
        }
    }

    /// Waits for the same, as long as it is worth waiting for: the decision stands.
    pub(super) async fn wait_while_decided(&mut self) -> bool {
        if !self.is_decided() {
            return true;
        }
        let patience = *self.patience.get_or_insert(self.shared.runtime.monotonic() + PATIENCE);
        let mut states = self.post.shard().subscribe();
        // What other nodes write is looked for meanwhile.
        let _waiting = self.post.shard().waiting();
        let ended = async {
            while self.is_decided() {
                if states.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        self.shared.runtime.timeout_at(patience, ended).await.unwrap_or(false)
    }

    fn is_decided(&self) -> bool {
        self.record().is_some_and(|record| record.status.is_decided())
    }
}

impl Shared {
    /// A producer id that nobody had, with epoch 0.
    pub(super) async fn new_identity(&self) -> Result<Identity, TransactionError> {
        let allocated = self.runtime.timeout(LOOK_MAX, self.log.allocate_producer_id()).await;
        match allocated {
            Ok(Ok(producer_id)) => Ok(Identity::new(producer_id, 0)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no producer id can be allocated");
                Err(TransactionError::CoordinatorNotAvailable)
            }
            Err(_elapsed) => Err(TransactionError::CoordinatorNotAvailable),
        }
    }
}
