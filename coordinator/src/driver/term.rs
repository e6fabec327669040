//! One term of a coordinator: the groups of a shard from its take-over until it ends.
//!
//! Owns: the table of groups, the answers that clients wait for, and the timers of the groups.
//! Invariants:
//! 1. Every call into the state machines and the effects it has happen under one lock, so that effects are carried out
//!    in the order in which they were decided. Nothing is awaited under the lock.
//! 2. Every change is written in a task of its own, names the epoch of the term, and its fate is reported once, whatever
//!    became of the client.
//! 3. A term ends once and for good: whoever waits is answered, nothing is asked of it afterwards.
//! 4. Nobody is answered from memory, and no member is missed, when the epoch was last seen to be current longer than
//!    [`CONFIRMATION_AGE_MAX`] ago, unless the store does not say: a node that was frozen looks at the log first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::planted::{self, Bug};
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, Committed, Operation, Rejection, Shard, State};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::changes;
use super::clock::GroupClock;
use super::seat::is_current;
use super::topics::TopicSnapshots;
use crate::group::{Effect, GroupError, Response, Ticket};
use crate::table::GroupTable;

/// How long a look at the log is worth an answer from memory.
const CONFIRMATION_AGE_MAX: Duration = Duration::from_secs(5);
/// How long an answer from memory waits for a look at the log. A store that is away ends no session.
const CONFIRMATION_WAIT_MAX: Duration = Duration::from_secs(2);

/// Why a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// This node does not lead the shard any more, or shuts down.
    Resigned,
    /// The log names another epoch than this term's.
    Fenced,
}

/// The groups of one shard under one epoch.
pub(super) struct Term {
    epoch: u64,
    shard: Shard,
    runtime: Runtime,
    clock: GroupClock,
    table: Mutex<Table>,
    /// Told when the next timer may be earlier than before, and at the end.
    rescheduled: Notify,
}

/// What the lock guards.
struct Table {
    groups: GroupTable,
    waiting: BTreeMap<Ticket, oneshot::Sender<Response>>,
    tickets: u64,
    ended: Option<Ended>,
    /// When the look at the log began that showed last that the epoch is current.
    confirmed: Instant,
}

impl std::fmt::Debug for Term {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Term").field("shard", &self.shard.id()).field("epoch", &self.epoch).finish()
    }
}

impl Term {
    /// Restores the groups of `state`, which is at least as new as the take-over, and starts their timers.
    pub(super) fn begin(
        epoch: u64,
        shard: Shard,
        state: &State,
        groups: GroupTable,
        topics: &TopicSnapshots,
        clock: GroupClock,
        runtime: Runtime,
    ) -> Arc<Term> {
        let table = Table { groups, waiting: BTreeMap::new(), tickets: 0, ended: None, confirmed: runtime.monotonic() };
        let term = Arc::new(Term {
            epoch,
            shard,
            clock,
            table: Mutex::new(table),
            rescheduled: Notify::new(),
            runtime: runtime.clone(),
        });
        term.set_topics(topics);
        for (group, known) in state.groups() {
            // A term that begins has not ended.
            let _restored = term.act(|groups, now| ((), groups.restore(now, group, known)));
        }
        drop(runtime.spawn_essential("group timers", run_timers(term.clone())));
        term
    }

    /// The epoch of the term: the number of the entry with the take-over.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The shard whose groups these are.
    pub(super) fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Time as the groups see it.
    pub(super) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// Why the term has ended, if it has.
    pub(super) fn ended(&self) -> Option<Ended> {
        self.table.lock().ended
    }

    /// Ends the term: whoever waits is told to look for the coordinator again.
    pub(super) fn end(&self, why: Ended) {
        let mut table = self.table.lock();
        if table.ended.is_some() {
            return;
        }
        let effects = table.groups.resign(GroupError::NotCoordinator);
        for effect in effects {
            if let Effect::Respond { ticket, response } = effect {
                table.respond(ticket, response);
            }
        }
        table.ended = Some(why);
        table.waiting.clear();
        self.rescheduled.notify_one();
        tracing::info!(shard = %self.shard.id(), epoch = self.epoch, ?why, "the groups of a shard are given up");
    }

    /// Looks at the log when that was last done too long ago, and ends the term when its epoch is over.
    pub(super) async fn confirm(&self) {
        if self.runtime.monotonic() < self.table.lock().confirmed + CONFIRMATION_AGE_MAX {
            return;
        }
        if self.runtime.timeout(CONFIRMATION_WAIT_MAX, self.catch_up()).await.is_err() {
            tracing::debug!(shard = %self.shard.id(), "the store does not say whether this node still coordinates");
        }
    }

    /// The state of the shard at its end, which shows that the epoch is still current.
    pub(super) async fn catch_up(&self) -> Result<Arc<State>, GroupError> {
        let begun = self.runtime.monotonic();
        let state = self.shard.catch_up().await.map_err(|error| {
            tracing::warn!(shard = %self.shard.id(), %error, "the coordinator cannot catch up with the log");
            GroupError::CoordinatorNotAvailable
        })?;
        if !is_current(&state, self.epoch) {
            self.end(Ended::Fenced);
            return Err(GroupError::NotCoordinator);
        }
        self.confirmed(begun);
        Ok(state)
    }

    /// Notes that the epoch was current at some time after `begun`.
    pub(super) fn confirmed(&self, begun: Instant) {
        let mut table = self.table.lock();
        table.confirmed = table.confirmed.max(begun);
    }

    /// Commits an operation under this epoch. The term ends when the log says that its epoch is over.
    pub(super) async fn commit(
        &self,
        operation: Operation,
        deadline: Option<Instant>,
    ) -> Result<Committed, CommitError> {
        let begun = self.runtime.monotonic();
        let result = self.send_off(operation, deadline).await;
        self.heard(begun, &result);
        result
    }

    async fn send_off(&self, operation: Operation, deadline: Option<Instant>) -> Result<Committed, CommitError> {
        match planted::is(Bug::CoordinatorWithoutEpoch) {
            true => self.shard.commit(operation, deadline).await,
            false => self.shard.commit_as(self.epoch, operation, deadline).await,
        }
    }

    /// As [`commit`](Term::commit), if `check` allows it. On return the operation has its place in the queue of the shard,
    /// before anything else happens to the groups, so that it never follows on what happens next; the future tells what
    /// became of it.
    pub(super) fn place_if(
        self: &Arc<Self>,
        check: impl FnOnce(&mut GroupTable, i64) -> Result<(), GroupError>,
        operation: Operation,
        deadline: Option<Instant>,
    ) -> Result<BoxFuture<'static, Result<Committed, CommitError>>, GroupError> {
        let (begun, term) = (self.runtime.monotonic(), self.clone());
        let mut committing = Box::pin(async move { term.send_off(operation, deadline).await });
        let at_once = {
            let mut table = self.table.lock();
            table.check_not_ended()?;
            check(&mut table.groups, self.now_ms())?;
            // The first poll sends it off.
            (&mut committing).now_or_never()
        };
        self.rescheduled.notify_one();
        let term = self.clone();
        Ok(async move {
            let result = match at_once {
                Some(result) => result,
                None => committing.await,
            };
            term.heard(begun, &result);
            result
        }
        .boxed())
    }

    fn heard(&self, begun: Instant, result: &Result<Committed, CommitError>) {
        match result {
            Ok(_) => self.confirmed(begun),
            Err(CommitError::Rejected(Rejection::NotCoordinator { .. })) => self.end(Ended::Fenced),
            Err(_) => {}
        }
    }

    /// There are other topics than before.
    pub(super) fn set_topics(self: &Arc<Self>, topics: &TopicSnapshots) {
        // Taken under the lock, so that no older snapshot follows a newer one. A term that has ended assigns nothing.
        let _set = self.act(|groups, now| ((), groups.set_topics(now, topics.snapshot())));
    }

    /// Lets the coordinator act and carries out what it wants done.
    pub(super) fn act<R>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut GroupTable, i64) -> (R, Vec<Effect>),
    ) -> Result<R, GroupError> {
        let mut table = self.table.lock();
        table.check_not_ended()?;
        let (result, effects) = act(&mut table.groups, self.now_ms());
        self.carry_out(&mut table, effects);
        Ok(result)
    }

    /// Lets the coordinator act on something that is answered later.
    pub(super) async fn ask(
        self: &Arc<Self>,
        act: impl FnOnce(&mut GroupTable, i64, Ticket) -> Vec<Effect>,
    ) -> Result<Response, GroupError> {
        let answer = {
            let mut table = self.table.lock();
            table.check_not_ended()?;
            let (ticket, answer) = table.ticket();
            let effects = act(&mut table.groups, self.now_ms(), ticket);
            self.carry_out(&mut table, effects);
            answer
        };
        answer.await.map_err(|_ended| GroupError::NotCoordinator)
    }

    /// Looks at the groups.
    pub(super) fn read<R>(&self, read: impl FnOnce(&GroupTable) -> R) -> Result<R, GroupError> {
        let table = self.table.lock();
        table.check_not_ended()?;
        Ok(read(&table.groups))
    }

    fn carry_out(self: &Arc<Self>, table: &mut Table, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Respond { ticket, response } => table.respond(ticket, response),
                Effect::Persist { group, token, change } => {
                    drop(
                        self.runtime
                            .spawn_essential("group change", changes::write(self.clone(), group, token, change)),
                    );
                }
            }
        }
        self.rescheduled.notify_one();
    }
}

impl Table {
    fn check_not_ended(&self) -> Result<(), GroupError> {
        match self.ended {
            Some(_) => Err(GroupError::NotCoordinator),
            None => Ok(()),
        }
    }

    fn ticket(&mut self) -> (Ticket, oneshot::Receiver<Response>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(ticket, sender);
        (ticket, receiver)
    }

    fn respond(&mut self, ticket: Ticket, response: Response) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            // A client that has gone does not hear its answer.
            drop(waiting.send(response));
        }
    }
}

/// Carries out timers as they fall due, until the term ends.
async fn run_timers(term: Arc<Term>) {
    while let Ok(next_ms) = term.read(GroupTable::next_deadline_ms) {
        let pause = next_ms
            .map(|next_ms| Duration::from_millis(u64::try_from(next_ms.saturating_sub(term.now_ms())).unwrap_or(0)));
        let due = async {
            match pause {
                Some(pause) => term.runtime.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = term.rescheduled.notified() => continue,
            () = due => {}
        }
        term.confirm().await;
        // A term that has ended has no timers.
        let _ticked = term.act(|groups, now| ((), groups.tick(now)));
    }
}
