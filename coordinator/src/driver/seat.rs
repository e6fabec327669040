//! The seat of a shard's coordinator: whether this node sits in it, and how it gets in and out.
//!
//! Owns: the phase of the shard. Invariants:
//! 1. A term begins with a take-over in the log and with the groups of a state that includes it.
//! 2. At most one take-over is under way. It goes on when whoever asked for it has gone.
//! 3. A node that does not believe that it leads the shard has no term. One whose epoch is over has none either.
//! 4. Where two nodes believe that they lead a shard, each takes over at most [`TAKE_OVERS_MAX`] times in
//!    [`CONTEST_PERIOD`].

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::{CommitError, Operation, Shard, State};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::clock::GroupClock;
use super::leadership::Leadership;
use super::term::{Ended, Term};
use super::topics::TopicSnapshots;
use crate::consumer_group::ConsumerGroupSettings;
use crate::group::{GroupError, GroupSettings};
use crate::table::GroupTable;

/// How long a request waits for a take-over; less than clients wait by default, and more than a take-over should take.
const WAIT_MAX: Duration = Duration::from_secs(8);
/// How long a take-over may take.
const TAKE_OVER_MAX: Duration = Duration::from_secs(20);
/// Pause after a take-over that failed, if nobody asks for one.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Take-overs of a contested shard in one [`CONTEST_PERIOD`].
const TAKE_OVERS_MAX: usize = 2;
/// How long a take-over of a contested shard is remembered.
const CONTEST_PERIOD: Duration = Duration::from_secs(6);

/// One shard, as its coordinator or who might become it sees it.
#[derive(Debug)]
pub(super) struct Seat {
    shard: Shard,
    leadership: Arc<dyn Leadership>,
    topics: Arc<TopicSnapshots>,
    settings: GroupSettings,
    consumer_settings: ConsumerGroupSettings,
    clock: GroupClock,
    runtime: Runtime,
    inner: Mutex<Inner>,
    /// Told when a take-over has failed or the seat is closed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    phase: Phase,
    /// Take-overs that were begun, ever.
    attempts: u64,
    /// When the last of them were begun.
    recent: VecDeque<Instant>,
    /// The last term was ended by another node's take-over although this node leads.
    contested: bool,
    /// When to try again although nobody asks.
    retry_at: Option<Instant>,
    closed: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Vacant,
    TakingOver {
        attempt: u64,
        waiting: Vec<oneshot::Sender<Result<Arc<Term>, GroupError>>>,
    },
    Seated(Arc<Term>),
}

/// What a request finds.
enum Found {
    Term(Arc<Term>),
    TakingOver(oneshot::Receiver<Result<Arc<Term>, GroupError>>),
}

impl Seat {
    pub(super) fn new(
        shard: Shard,
        leadership: Arc<dyn Leadership>,
        topics: Arc<TopicSnapshots>,
        settings: (GroupSettings, ConsumerGroupSettings),
        clock: GroupClock,
        runtime: Runtime,
    ) -> Arc<Seat> {
        let (settings, consumer_settings) = settings;
        let (inner, changed) = (Mutex::default(), Notify::new());
        Arc::new(Seat { shard, leadership, topics, settings, consumer_settings, clock, runtime, inner, changed })
    }

    /// The shard.
    pub(super) fn shard(&self) -> &Shard {
        &self.shard
    }

    /// Whether this node believes that it leads the shard, and may serve.
    pub(super) fn leads(&self) -> bool {
        !self.inner.lock().closed && self.leadership.leads(self.shard.id())
    }

    /// Take-overs that were begun, ever.
    pub(super) fn take_overs(&self) -> u64 {
        self.inner.lock().attempts
    }

    /// The term that goes on, if one does. Nothing is taken over.
    pub(super) fn seated(&self) -> Option<Arc<Term>> {
        match &self.inner.lock().phase {
            Phase::Seated(term) if term.ended().is_none() => Some(term.clone()),
            Phase::Vacant | Phase::TakingOver { .. } | Phase::Seated(_) => None,
        }
    }

    /// A group as the log has it, for who does not coordinate it.
    pub(super) fn group_in_log(&self, state: &State, group: &str) -> GroupTable {
        let mut groups = GroupTable::new(self.settings.clone(), self.consumer_settings.clone());
        if let Some(known) = state.group(group) {
            let now_ms = self.clock.now_ms();
            // Only a coordinator carries out what comes of it.
            drop((groups.set_topics(now_ms, self.topics.snapshot()), groups.restore(now_ms, group, known)));
        }
        groups
    }

    /// The term of this node; takes over when it leads and has not done so yet.
    pub(super) async fn term(self: &Arc<Self>) -> Result<Arc<Term>, GroupError> {
        let taking_over = match self.find()? {
            Found::Term(term) => {
                term.confirm().await;
                return Ok(term);
            }
            Found::TakingOver(answer) => answer,
        };
        match self.runtime.timeout(WAIT_MAX, taking_over).await {
            Ok(answer) => answer.unwrap_or(Err(GroupError::NotCoordinator)),
            Err(_elapsed) => Err(GroupError::CoordinatorLoadInProgress),
        }
    }

    fn find(self: &Arc<Self>) -> Result<Found, GroupError> {
        let mut inner = self.inner.lock();
        self.review(&mut inner)?;
        let (sender, receiver) = oneshot::channel();
        match &mut inner.phase {
            Phase::Seated(term) => return Ok(Found::Term(term.clone())),
            Phase::TakingOver { waiting, .. } => waiting.push(sender),
            Phase::Vacant => {
                if self.must_keep_back(&mut inner) {
                    return Err(GroupError::NotCoordinator);
                }
                self.begin(&mut inner, vec![sender]);
            }
        }
        Ok(Found::TakingOver(receiver))
    }

    /// Brings the phase in line with what is known: no term without leadership, none whose epoch is over.
    fn review(&self, inner: &mut Inner) -> Result<(), GroupError> {
        if inner.closed || !self.leadership.leads(self.shard.id()) {
            self.vacate(inner);
            inner.contested = false;
            return Err(GroupError::NotCoordinator);
        }
        if let Phase::Seated(term) = &inner.phase {
            if !is_current(&self.shard.state(), term.epoch()) {
                term.end(Ended::Fenced);
            }
            if let Some(ended) = term.ended() {
                inner.contested = ended == Ended::Fenced;
                inner.phase = Phase::Vacant;
            }
        }
        Ok(())
    }

    /// Ends the term, and sends those away who wait for one.
    fn vacate(&self, inner: &mut Inner) {
        match std::mem::take(&mut inner.phase) {
            Phase::Vacant => {}
            Phase::Seated(term) => term.end(Ended::Resigned),
            Phase::TakingOver { waiting, .. } => answer(waiting, &Err(GroupError::NotCoordinator)),
        }
        inner.retry_at = None;
    }

    /// Whether another node takes this shard over again and again, so that this one must not do the same now.
    fn must_keep_back(&self, inner: &mut Inner) -> bool {
        let now = self.runtime.monotonic();
        inner.recent.retain(|begun| *begun + CONTEST_PERIOD > now);
        inner.contested && inner.recent.len() >= TAKE_OVERS_MAX
    }

    fn begin(self: &Arc<Self>, inner: &mut Inner, waiting: Vec<oneshot::Sender<Result<Arc<Term>, GroupError>>>) {
        inner.attempts += 1;
        inner.retry_at = None;
        inner.recent.push_back(self.runtime.monotonic());
        inner.phase = Phase::TakingOver { attempt: inner.attempts, waiting };
        drop(self.runtime.spawn_essential("coordinator take-over", self.clone().take_over(inner.attempts)));
    }

    async fn take_over(self: Arc<Self>, attempt: u64) {
        let (node, incarnation) = self.leadership.node();
        let deadline = self.runtime.monotonic() + TAKE_OVER_MAX;
        let operation = Operation::TakeOver { node: node.0, incarnation };
        let taken = match self.shard.commit(operation, Some(deadline)).await {
            Ok(committed) => self.learn_topics().await.map(|()| committed.entry_number),
            Err(error) => {
                tracing::warn!(shard = %self.shard.id(), %error, "the groups of a shard could not be taken over");
                Err(take_over_error(&error))
            }
        };
        let mut inner = self.inner.lock();
        // Leadership may have gone meanwhile: then nobody waits any more, and the epoch is nobody's.
        let _leads = self.review(&mut inner);
        match &mut inner.phase {
            Phase::TakingOver { attempt: current, .. } if *current == attempt => {}
            Phase::Vacant | Phase::TakingOver { .. } | Phase::Seated(_) => return,
        }
        let begun = taken.and_then(|epoch| self.begin_term(epoch));
        let next = match &begun {
            Ok(term) => Phase::Seated(term.clone()),
            Err(error) => {
                inner.contested |= *error == GroupError::NotCoordinator;
                inner.retry_at = Some(self.runtime.monotonic() + RETRY_PAUSE);
                self.changed.notify_one();
                Phase::Vacant
            }
        };
        if let Phase::TakingOver { waiting, .. } = std::mem::replace(&mut inner.phase, next) {
            answer(waiting, &begun);
        }
    }

    /// A topic that this node has not heard of may be assigned to members: it must not be taken from them.
    async fn learn_topics(&self) -> Result<(), GroupError> {
        let meta = self.topics.meta();
        if meta.id() == self.shard.id() {
            return Ok(());
        }
        let caught_up = self.runtime.timeout(TAKE_OVER_MAX, meta.catch_up()).await;
        match caught_up {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(shard = %self.shard.id(), "the topics are not known, so groups cannot be taken over");
                Err(GroupError::CoordinatorNotAvailable)
            }
        }
    }

    fn begin_term(&self, epoch: u64) -> Result<Arc<Term>, GroupError> {
        let state = self.shard.state();
        if !is_current(&state, epoch) {
            tracing::warn!(shard = %self.shard.id(), epoch, "another node took over at the same time");
            return Err(GroupError::NotCoordinator);
        }
        tracing::info!(shard = %self.shard.id(), epoch, groups = state.groups().count(), "the groups of a shard are taken over");
        let groups = GroupTable::new(self.settings.clone(), self.consumer_settings.clone());
        let (clock, runtime) = (self.clock.clone(), self.runtime.clone());
        Ok(Term::begin(epoch, self.shard.clone(), &state, groups, &self.topics, clock, runtime))
    }

    /// Answers everybody and takes over no more.
    pub(super) fn close(&self) {
        let mut inner = self.inner.lock();
        inner.closed = true;
        self.vacate(&mut inner);
        self.changed.notify_one();
    }

    /// Takes over when this node leads a shard with members, whom nobody else would miss when they fall silent.
    fn take_over_members(self: &Arc<Self>) {
        let mut inner = self.inner.lock();
        if self.review(&mut inner).is_err() || !matches!(inner.phase, Phase::Vacant) {
            return;
        }
        if !self.shard.state().groups().any(|(_, group)| group.has_members()) {
            return;
        }
        if self.must_keep_back(&mut inner) {
            inner.retry_at = Some(self.runtime.monotonic() + CONTEST_PERIOD);
        } else {
            self.begin(&mut inner, Vec::new());
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        self.inner.lock().retry_at
    }

    fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// Follows leadership and the log until the seat is closed.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut leadership = self.leadership.subscribe();
        let mut states = self.shard.subscribe();
        self.take_over_members();
        while !self.is_closed() {
            let retry_at = self.retry_at();
            let retry = async {
                match retry_at {
                    Some(retry_at) => self.runtime.sleep_until(retry_at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                changed = leadership.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.take_over_members();
                }
                changed = states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // What is found is found again by the next request.
                    let _reviewed = self.review(&mut self.inner.lock());
                }
                () = retry => {
                    self.inner.lock().retry_at = None;
                    self.take_over_members();
                }
            }
        }
    }
}

/// Whether the epoch is the shard's newest.
pub(super) fn is_current(state: &State, epoch: u64) -> bool {
    state.coordinator().is_some_and(|coordinator| coordinator.epoch == epoch)
}

fn answer(waiting: Vec<oneshot::Sender<Result<Arc<Term>, GroupError>>>, result: &Result<Arc<Term>, GroupError>) {
    for waiting in waiting {
        // Who has gone does not hear it.
        drop(waiting.send(result.clone()));
    }
}

fn take_over_error(error: &CommitError) -> GroupError {
    match error {
        CommitError::Closed => GroupError::NotCoordinator,
        CommitError::Rejected(_) | CommitError::Unknown | CommitError::Unavailable(_) => {
            GroupError::CoordinatorNotAvailable
        }
    }
}
