//! Looks after the transactions of one shard, until the node resigns.
//!
//! The leader of the shard aborts what is overdue, finishes what is decided and removes ids that nobody uses. It sleeps until
//! something in the shard changes or the next deadline has come. Every other node does the first two as well, much later: whoever
//! wrote something that the leader was not told of, because a push was lost, still has it.
//!
//! Owns: the jobs under way. Invariants:
//! 1. At most one job for a transactional id is under way.
//! 2. Whenever somebody may have begun or ceased to lead, the leader reads the log to its end.
//! 3. While nothing is open or decided, only real deadlines wake this up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::planted::{self, Bug};
use alluvium_infra::published::Subscription;
use alluvium_log::{State, TransactionRecord};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Shared;
use super::expire::{expire, pause_ms};
use super::finish::Job;
use super::post::Post;

/// Jobs for one shard at one time.
const JOBS_MAX: usize = 256;
/// After so long a node does what the leader of the shard should have done.
const GRACE_MS: i64 = 30_000;
/// While something is open or decided, the clock is read at least once in so long.
const CLOCK_PAUSE_MS: i64 = 10_000;
/// Pause after a look at the log that failed.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// What a job was about.
enum Done {
    Transaction(String),
    Looked,
    Expired { next_ms: i64 },
}

/// The jobs of one shard.
struct Watch {
    shared: Arc<Shared>,
    post: Arc<Post>,
    /// How much later than its leader this node does the work of the shard.
    grace_ms: i64,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Ids that there is a job for.
    busy: BTreeSet<String>,
    looking: bool,
    expiring: bool,
    /// When ids may be too old, milliseconds since 1970.
    next_expiry_ms: i64,
}

/// Looks after the transactions of the shard.
pub(super) async fn run(shared: Arc<Shared>, post: Arc<Post>, mut leadership: Subscription<u64>) {
    let mut states = post.shard().subscribe();
    // Nodes that wait for the same do not all wake up at once.
    let grace_ms = GRACE_MS + i64::try_from(shared.runtime.random_below(GRACE_MS as u64)).unwrap_or(0);
    let resigned = shared.resigned.clone();
    // Whoever is here from before may be too old; who comes later is not, for long.
    let is_empty = post.shard().state().transaction_count() == 0;
    let next_expiry_ms = shared.runtime.now_ms().saturating_add(if is_empty { pause_ms(&shared) } else { 0 });
    let mut watch = Watch {
        shared,
        post,
        grace_ms,
        jobs: FuturesUnordered::new(),
        busy: BTreeSet::new(),
        looking: false,
        expiring: false,
        next_expiry_ms,
    };
    loop {
        let wake_ms = watch.begin_jobs();
        let runtime = watch.shared.runtime.clone();
        let wake = async {
            match wake_ms {
                Some(pause_ms) => runtime.sleep(Duration::from_millis(pause_ms)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = resigned.cancelled() => return,
            changed = leadership.changed() => {
                if changed.is_err() {
                    return;
                }
                watch.look();
            }
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            Some(done) = watch.jobs.next() => watch.done(done),
            () = wake => {}
        }
    }
}

impl Watch {
    /// Begins what is due. Gives the pause until something else is, in milliseconds.
    fn begin_jobs(&mut self) -> Option<u64> {
        let (state, now_ms) = (self.post.shard().state(), self.shared.runtime.now_ms());
        let leads = self.shared.serves(&self.post);
        let late_ms = if leads { 0 } else { self.grace_ms };
        let mut wake_ms = self.finish_decided(&state, now_ms, late_ms);
        wake_ms = wake_ms.min(self.abort_overdue(&state, now_ms, late_ms));
        if wake_ms < i64::MAX {
            // A clock that was behind may be set right meanwhile.
            wake_ms = wake_ms.min(now_ms.saturating_add(CLOCK_PAUSE_MS));
        }
        if leads && !self.expiring && state.transaction_count() > 0 {
            match self.next_expiry_ms <= now_ms {
                true => self.expire(),
                false => wake_ms = wake_ms.min(self.next_expiry_ms),
            }
        }
        (wake_ms < i64::MAX).then(|| u64::try_from(wake_ms.saturating_sub(now_ms)).unwrap_or(0))
    }

    fn finish_decided(&mut self, state: &State, now_ms: i64, late_ms: i64) -> i64 {
        let mut wake_ms = i64::MAX;
        for record in state.unfinished_transactions() {
            let due_ms = if late_ms == 0 { i64::MIN } else { record.updated_ms.saturating_add(late_ms) };
            if self.busy.contains(&record.transactional_id) {
                continue;
            }
            if due_ms > now_ms {
                wake_ms = wake_ms.min(due_ms);
                continue;
            }
            let Some(job) = self.take(record, late_ms > 0) else { break };
            self.begin(job, |job| Box::pin(job.finish()));
        }
        wake_ms
    }

    fn abort_overdue(&mut self, state: &State, now_ms: i64, late_ms: i64) -> i64 {
        // All that are open, by deadline.
        for record in state.overdue_transactions(i64::MAX) {
            if self.busy.contains(&record.transactional_id) {
                continue;
            }
            let due_ms = record.deadline_ms().saturating_add(late_ms);
            if due_ms > now_ms {
                return due_ms;
            }
            let Some(job) = self.take(record, late_ms > 0) else { break };
            self.begin(job, |job| Box::pin(job.abort()));
        }
        i64::MAX
    }

    /// Takes on a job, unless there are too many: then the end of one of them wakes this up.
    fn take(&mut self, record: &Arc<TransactionRecord>, in_place: bool) -> Option<Job> {
        if self.jobs.len() >= JOBS_MAX {
            return None;
        }
        self.busy.insert(record.transactional_id.clone());
        let (shared, post) = (self.shared.clone(), self.post.clone());
        Some(Job { shared, post, record: record.clone(), in_place })
    }

    fn begin(&mut self, job: Job, work: impl FnOnce(Job) -> BoxFuture<'static, ()>) {
        let id = job.record.transactional_id.clone();
        let working = work(job);
        self.jobs.push(Box::pin(async move {
            working.await;
            Done::Transaction(id)
        }));
    }

    /// Reads the log to its end while this node leads the shard: the node that led it may have written what nobody told us of.
    fn look(&mut self) {
        if planted::is(Bug::DecisionLeftToOthers) {
            let state = self.post.shard().state();
            self.busy.extend(state.unfinished_transactions().map(|record| record.transactional_id.clone()));
        }
        if self.looking || !self.shared.serves(&self.post) {
            return;
        }
        self.looking = true;
        let (shared, post) = (self.shared.clone(), self.post.clone());
        self.jobs.push(Box::pin(async move {
            while shared.serves(&post) && post.look().await.is_err() {
                shared.runtime.sleep(LOOK_PAUSE).await;
            }
            Done::Looked
        }));
    }

    fn expire(&mut self) {
        self.expiring = true;
        let (shared, post) = (self.shared.clone(), self.post.clone());
        self.jobs.push(Box::pin(async move { Done::Expired { next_ms: expire(&shared, &post).await } }));
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Transaction(id) => {
                self.busy.remove(&id);
            }
            Done::Looked => self.looking = false,
            Done::Expired { next_ms } => {
                self.expiring = false;
                self.next_expiry_ms = next_ms;
            }
        }
    }
}
