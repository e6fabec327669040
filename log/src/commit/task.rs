//! The task that owns a shard's end.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::planted::{self, Bug};
use alluvium_infra::published::{Publisher, Subscription, published};
use alluvium_infra::runtime::Instant;
use alluvium_infra::store::Store;
use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::checkpointer::Checkpointer;
use super::group::{Answer, Rider, expire, refuse_waiting};
use super::pushed::{Early, Waiting};
use super::slot::{SlotOutcome, write_slot};
use super::turns::Turns;
use super::{CommitRules, Committed, Look, Request};
use crate::apply::{ApplyError, apply, finish};
use crate::counters::ShardCounters;
use crate::format::entry::{self, EncodedEntry};
use crate::operation::CommitError;
use crate::paths::ShardPaths;
use crate::peers::PeersSlot;
use crate::plan::Plan;
use crate::recover::Recovered;
use crate::state::{ObjectRef, State};
use crate::tail::Tail;
use crate::view::Changes;

/// Most requests that are looked at for one entry.
const RIDERS_MAX: usize = 4096;

/// Owns the end of a shard's log.
pub(crate) struct ShardTask {
    pub(super) store: Arc<dyn Store>,
    pub(super) paths: ShardPaths,
    pub(super) runtime: Runtime,
    pub(super) rules: CommitRules,
    node: String,
    pub(super) tail: Arc<Tail>,
    pub(super) state: State,
    pub(super) published: Publisher<Arc<State>>,
    changes: Changes,
    pub(super) checkpointer: Checkpointer,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) peers: PeersSlot,
    waiting: Waiting,
    pub(super) turns: Turns,
    pub(super) early: Early,
    /// Since when entries are missing before one that was pushed.
    gap_since: Option<Instant>,
    /// All others had links to this node when the log was last probed.
    told: bool,
    /// When the state last changed or the log was last read to its end.
    pub(super) heard: Instant,
    /// When the end of the log was last seen, and by which of the looks.
    pub(super) looked: Look,
    pub(super) looked_serial: u64,
    /// Looks at the log that were begun.
    pub(super) looks: u64,
    /// Why the shard cannot be used any more.
    pub(super) broken: Option<ApplyError>,
}

/// How many times as rarely the log is probed when every other node would tell us of its entries.
const PROBE_RARELY: u32 = 10;
/// How long an entry that was pushed past may be on its way: pushes may be reordered.
const GAP_PAUSE: Duration = Duration::from_millis(50);

/// What a shard's task is made of.
pub(crate) struct ShardParts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) paths: ShardPaths,
    pub(crate) runtime: Runtime,
    pub(crate) rules: CommitRules,
    pub(crate) node: String,
    pub(crate) tail: Arc<Tail>,
    pub(crate) recovered: Recovered,
    pub(crate) looked: Look,
    pub(crate) changes: Changes,
    pub(crate) peers: PeersSlot,
    pub(crate) waiting: Waiting,
    pub(crate) counters: Arc<ShardCounters>,
}

enum Step {
    Done,
    /// The log went on without us: validate again.
    Again,
}

impl ShardTask {
    pub(crate) fn new(parts: ShardParts) -> (Self, Subscription<Arc<State>>) {
        let ShardParts {
            store,
            paths,
            runtime,
            rules,
            node,
            tail,
            recovered,
            looked,
            changes,
            peers,
            waiting,
            counters,
        } = parts;
        counters.looked(&runtime);
        let checkpointer = Checkpointer::new(store.clone(), paths.clone(), runtime.clone(), &rules, &recovered);
        let (published, receiver) = published(Arc::new(recovered.state.clone()));
        let task = Self {
            store,
            paths,
            heard: runtime.monotonic(),
            runtime,
            rules,
            turns: Turns::new(&node),
            node,
            tail,
            state: recovered.state,
            published,
            changes,
            checkpointer,
            counters,
            peers,
            waiting,
            early: Early::default(),
            gap_since: None,
            told: false,
            looked,
            looked_serial: 0,
            looks: 0,
            broken: None,
        };
        (task, receiver)
    }

    /// Serves requests until every handle is gone or one asks to close.
    pub(crate) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let first = tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(request) => request,
                    None => return,
                },
                () = self.probe_due() => {
                    self.probe().await;
                    continue;
                }
            };
            let (riders, others) = self.gather(first, &mut requests);
            let looks = self.looks;
            if !riders.is_empty() {
                self.commit(riders).await;
            }
            let closed = self.serve(others, looks).await;
            if !closed.is_empty() {
                refuse_waiting(requests).await;
                let snapshot = self.published.newest();
                self.checkpointer.close(&snapshot).await;
                closed.into_iter().for_each(|reply| {
                    let _closed = reply.send(());
                });
                return;
            }
        }
    }

    /// Takes what waits, as far as it fits into one entry.
    fn gather(&self, first: Request, requests: &mut mpsc::Receiver<Request>) -> (Vec<Rider>, Vec<Request>) {
        let mut riders = Vec::new();
        let mut others = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match Rider::board(request) {
                Ok(rider) => {
                    bytes += rider.inline_bytes();
                    riders.push(rider);
                }
                Err(other) => others.push(other),
            }
            if riders.len() >= RIDERS_MAX || bytes >= self.rules.entry_data_bytes_max {
                break;
            }
            next = requests.try_recv().ok();
        }
        (riders, others)
    }

    /// Answers what is no commit; `looks` counts the looks at the log that had begun when it was gathered. Returns who is to
    /// be told when the shard has closed.
    async fn serve(&mut self, others: Vec<Request>, looks: u64) -> Vec<oneshot::Sender<()>> {
        let mut waiting = Vec::new();
        let mut closed = Vec::new();
        let mut pushed = Vec::new();
        for request in others {
            match request {
                Request::Pushed { entry } => pushed.push(entry),
                Request::CatchUp { reply } => waiting.push(reply),
                Request::Close { reply } => closed.push(reply),
                Request::Operation { reply, .. } => drop(reply.send(Err(CommitError::Closed))),
                Request::Append { reply, .. } => drop(reply.send(Err(CommitError::Closed))),
            }
        }
        if !pushed.is_empty() && self.broken.is_none() {
            let gap = self.take_pushed(pushed);
            self.gap_since = gap.then(|| self.gap_since.unwrap_or_else(|| self.runtime.monotonic()));
        }
        if !waiting.is_empty() && planted::is(Bug::StaleCatchUp) {
            waiting.drain(..).for_each(|reply| drop(reply.send(Ok(self.published.newest()))));
        }
        if !waiting.is_empty() {
            // A slot that was won since is the end of the log, seen after the question was asked.
            let result = match self.looked_serial > looks && self.broken.is_none() {
                true => Ok(()),
                false => self.catch_up().await,
            };
            let result = result.map(|()| self.published.newest());
            for reply in waiting {
                drop(reply.send(result.clone()));
            }
        }
        closed
    }

    /// Until it is time to look for entries of other nodes that nobody told us of.
    async fn probe_due(&self) {
        if let Some(since) = self.gap_since {
            return self.runtime.sleep_until(since + GAP_PAUSE).await;
        }
        self.waiting.somebody().await;
        if planted::is(Bug::NoProbe) {
            std::future::pending::<()>().await;
        }
        // Whoever commits tells those that it has a link to.
        let told = self.told && self.peers.get().is_some_and(|peers| peers.all_connected());
        let pause = if told { self.rules.probe_interval * PROBE_RARELY } else { self.rules.probe_interval };
        self.runtime.sleep_until(self.heard + pause).await;
    }

    /// Reads what was pushed past: entries whose own push was lost.
    async fn close_gap(&mut self) {
        self.gap_since = match self.catch_up().await {
            Ok(()) => None,
            Err(error) => {
                tracing::debug!(%error, shard = self.paths.shard().0, "cannot read entries whose push was lost");
                Some(self.runtime.monotonic() + self.rules.probe_interval)
            }
        };
    }

    async fn probe(&mut self) {
        if self.gap_since.is_some() {
            return self.close_gap().await;
        }
        if !self.waiting.is_anybody() {
            // They left while we slept.
            return;
        }
        if let Err(error) = self.catch_up().await {
            tracing::debug!(%error, shard = self.paths.shard().0, "cannot look for entries of other nodes");
        }
        self.heard = self.runtime.monotonic();
        // What was pushed before all had links was lost: from now on nothing should be.
        self.told = self.peers.get().is_some_and(|peers| peers.all_connected());
    }

    pub(super) fn publish(&mut self) {
        self.published.publish(Arc::new(self.state.clone()));
        self.changes.bump();
    }

    /// Commits `riders`, in as many attempts as other writers make necessary, and answers each of them.
    async fn commit(&mut self, mut riders: Vec<Rider>) {
        let mut looked = false;
        if self.looked.age(&self.runtime) > self.rules.look_after || self.is_past(self.looked) {
            if !self.look(&mut riders).await {
                return;
            }
            looked = true;
        }
        loop {
            looked |= self.await_turn(&mut riders).await;
            expire(&mut riders, &self.runtime, || CommitError::Unavailable("the deadline passed".to_owned()));
            if riders.is_empty() {
                return;
            }
            if let Some(broken) = &self.broken {
                let reason = broken.to_string();
                riders.into_iter().for_each(|rider| rider.fail(CommitError::Unavailable(reason.clone())));
                return;
            }
            match self.attempt(&mut riders, &mut looked).await {
                Ok(Step::Done) => return,
                Ok(Step::Again) => {}
                Err(error) => self.break_with(error),
            }
        }
    }

    async fn attempt(&mut self, riders: &mut Vec<Rider>, looked: &mut bool) -> Result<Step, ApplyError> {
        let id = self.runtime.random_uuid();
        let mut plan = Plan::new(&self.state, id, &self.node, self.runtime.now_ms(), self.rules.plan)?;
        let mut answers = Vec::with_capacity(riders.len());
        for rider in riders.iter() {
            answers.push(rider.plan(&mut plan)?);
        }
        let refused = answers.iter().any(Answer::is_denial);
        if !*looked && refused && !planted::is(Bug::RejectFromStaleHead) {
            *looked = true;
            self.look(riders).await;
            return Ok(Step::Again);
        }
        if plan.is_empty() {
            self.answer(std::mem::take(riders), answers);
            return Ok(Step::Done);
        }
        let data = std::mem::take(&mut plan.data);
        let encoded = entry::encode(&plan.message, data.clone());
        let look = self.begin_look();
        let mut waiting: Vec<_> = std::mem::take(riders).into_iter().zip(answers).collect();
        self.misbehave(&plan, &encoded, &data, &mut waiting);
        let (outcome, waiting) = self.hold_slot(plan.message.number, &encoded, id, waiting).await;
        match outcome {
            SlotOutcome::Won => {
                self.won(plan, &encoded, data, waiting, look)?;
                Ok(Step::Done)
            }
            // After a long pause the slot may hold a stray in the place of a collected entry, which may have been ours. The next
            // commit builds the state anew.
            SlotOutcome::Lost(_) if self.is_past(self.looked) => {
                waiting.into_iter().for_each(|(rider, _)| rider.fail(CommitError::Unknown));
                Ok(Step::Done)
            }
            SlotOutcome::Lost(entry) => {
                *riders = waiting.into_iter().map(|(rider, _)| rider).collect();
                self.state = apply(&self.state, &entry)?;
                self.counters.slots_lost.increment();
                self.counters.entries_read.increment();
                if !entry.data.is_empty() {
                    self.tail.insert(ObjectRef::Entry(entry.message.number), vec![entry.data.clone()]);
                }
                self.turns.saw(&entry.message.node, entry.message.timestamp_ms);
                self.publish();
                // In a race it is most likely the end; whoever was left behind reads on.
                let is_end = self.turns.is_newest(entry.message.timestamp_ms, self.runtime.now_ms());
                *looked = !is_end && self.look(riders).await;
                Ok(Step::Again)
            }
            SlotOutcome::Refused(error) => {
                tracing::error!(%error, shard = self.paths.shard().0, "the store does not take entries from this node: nothing is written");
                waiting.into_iter().for_each(|(rider, _)| rider.fail(CommitError::Unavailable(error.to_string())));
                Ok(Step::Done)
            }
            SlotOutcome::Unreadable(error) => {
                // It may be our own entry, damaged on the way to us.
                waiting.into_iter().for_each(|(rider, _)| rider.fail(CommitError::Unknown));
                Err(error.into())
            }
        }
    }

    /// Writes the slot until it is known who holds it. Riders whose deadline passes meanwhile are told that nobody knows.
    async fn hold_slot(
        &mut self,
        number: u64,
        encoded: &EncodedEntry,
        id: Uuid,
        mut waiting: Vec<(Rider, Answer)>,
    ) -> (SlotOutcome, Vec<(Rider, Answer)>) {
        let (path, begun) = (self.paths.entry(number), self.runtime.monotonic());
        let writing = write_slot(self.store.as_ref(), &self.runtime, &path, &encoded.payload, id, self.rules.slot);
        tokio::pin!(writing);
        loop {
            let deadline = waiting.iter().map(|(rider, _)| rider.deadline()).min();
            let expired = async {
                match deadline {
                    Some(deadline) => self.runtime.sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                outcome = &mut writing => {
                    let now = self.runtime.monotonic();
                    let took = now.saturating_duration_since(begun);
                    self.counters.commits.record(took);
                    if matches!(outcome, SlotOutcome::Won) {
                        self.turns.won(took, now);
                    }
                    return (outcome, waiting);
                }
                () = expired => {
                    let now = self.runtime.monotonic();
                    let (stay, gone): (Vec<_>, Vec<_>) =
                        waiting.into_iter().partition(|(rider, _)| rider.deadline() > now);
                    waiting = stay;
                    gone.into_iter().for_each(|(rider, _)| rider.fail(doubt()));
                }
            }
        }
    }

    /// Does what must never be done before the slot is won, when such a bug is planted.
    fn misbehave(&self, plan: &Plan, encoded: &EncodedEntry, data: &[Bytes], waiting: &mut Vec<(Rider, Answer)>) {
        if planted::is(Bug::AcknowledgeBeforeDurable) {
            let (riders, answers): (Vec<_>, Vec<_>) = std::mem::take(waiting).into_iter().unzip();
            self.answer(riders, answers);
        }
        if planted::is(Bug::PublishBeforeWin) {
            let mut early = plan.working.clone();
            finish(&mut early, &plan.message, encoded.hash);
            if !data.is_empty() {
                self.tail.insert(ObjectRef::Entry(plan.message.number), data.to_vec());
            }
            self.published.publish(Arc::new(early));
        }
    }

    fn won(
        &mut self,
        mut plan: Plan,
        encoded: &EncodedEntry,
        data: Vec<Bytes>,
        waiting: Vec<(Rider, Answer)>,
        look: Look,
    ) -> Result<(), ApplyError> {
        if self.is_past(self.looked) {
            // The slot may have been collected before we wrote it: what we know of the log is not worth an answer.
            tracing::warn!("a commit took longer than half the log retention: its outcome is unknown");
            waiting.into_iter().for_each(|(rider, _)| rider.fail(CommitError::Unknown));
            return Ok(());
        }
        finish(&mut plan.working, &plan.message, encoded.hash);
        #[cfg(debug_assertions)]
        if let Err(broken) = crate::invariants::check_step(&self.state, &plan.working) {
            return Err(ApplyError::Inconsistent { number: plan.message.number, reason: broken.to_string() });
        }
        self.state = plan.working;
        let number = plan.message.number;
        self.turns.saw(&self.node, plan.message.timestamp_ms);
        if !data.is_empty() {
            self.tail.insert(ObjectRef::Entry(number), data);
        }
        for (rider, _) in &waiting {
            if let Some((id, chunks)) = rider.segment() {
                self.tail.insert(ObjectRef::Segment(id), chunks);
            }
        }
        self.publish();
        self.looked = look;
        self.looked_serial = self.looks;
        self.heard = self.runtime.monotonic();
        self.counters.entries_own.increment();
        self.counters.looked(&self.runtime);
        let (riders, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        self.answer(riders, answers);
        if let Some(peers) = self.peers.get()
            && !planted::is(Bug::NoPush)
        {
            peers.push(self.paths.shard(), number, encoded.payload.clone());
        }
        self.checkpointer.applied(1, encoded.payload.len() as u64, &self.published.newest());
        Ok(())
    }

    fn answer(&self, riders: Vec<Rider>, answers: Vec<Answer>) {
        let committed = Committed { entry_number: self.state.entry_number(), timestamp_ms: self.state.timestamp_ms() };
        for (rider, answer) in riders.into_iter().zip(answers) {
            rider.succeed(answer, committed);
        }
    }
}

/// The answer to a request whose deadline passes while its entry may be in the log.
pub(super) fn doubt() -> CommitError {
    if planted::is(Bug::UnknownIsNotWritten) {
        return CommitError::Unavailable("the deadline passed".to_owned());
    }
    CommitError::Unknown
}
