//! The role: on the leader of a shard jobs in their lanes ([`crate::lanes`]), and beside them retention and garbage collection.
//!
//! Invariants: nothing here holds a lock that anybody else waits for; a job that fails is reported and its partition left alone for a
//! while, longer each time; on a stop jobs end between two steps and leave at most an orphan.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::shutdown::{DrainTimedOut, Shutdown};
use alluvium_log::{Log, Run, Shard};
use alluvium_record::{ShardId, TopicId, TopicPartition};
use parking_lot::Mutex;

use crate::clock::{ClockDoubt, TrustedClock};
use crate::collect::{Collected, Collector, is_past};
use crate::counters::CompactorCounters;
use crate::job::{JobError, JobOutcome, Workshop};
use crate::lanes::{Looked, Running};
use crate::pick::{CompactionKind, CompactionSpec, FirstSeen, Lane, PickTime, pick};
use crate::scrub::{ScrubProgress, ScrubReport, scrub};
use crate::settings::CompactorSettings;
use crate::shared::SharedEntries;
use crate::{keys, merge, retention};

/// How long a stop waits for a step of a job.
const STOP_WAIT_MAX: Duration = Duration::from_secs(10);

/// Which shards this node works for: a hint, as leadership is.
pub trait Duty: Send + Sync + Debug + 'static {
    /// Whether this node leads the shard.
    fn leads(&self, shard: ShardId) -> bool;
}

/// The duty of a node that stands alone.
#[derive(Debug, Clone, Copy)]
pub struct AllShards;

impl Duty for AllShards {
    fn leads(&self, _shard: ShardId) -> bool {
        true
    }
}

/// What a compactor stands on.
#[derive(Debug)]
pub struct CompactorParts {
    /// The log.
    pub log: Log,
    /// Which shards it works for.
    pub duty: Arc<dyn Duty>,
    /// Its settings.
    pub settings: CompactorSettings,
}

/// A running compactor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Compactor {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) workshop: Workshop,
    collector: Collector,
    pub(crate) duty: Arc<dyn Duty>,
    clock: Mutex<TrustedClock>,
    pub(crate) running: Running,
    pub(crate) looked: Looked,
}

/// What one round over everything did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RoundReport {
    /// Jobs whose files took the place of runs.
    pub replaced: u64,
    /// Jobs that lost against others.
    pub lost: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Runs that stay raw because their producer packed a batch wrongly. What is around them is merged.
    pub unreadable: u64,
    /// Log starts that retention moved.
    pub retentions: u64,
    /// What was deleted.
    pub collected: Collected,
}

impl Compactor {
    /// A compactor that does nothing by itself.
    #[must_use]
    pub fn new(parts: CompactorParts) -> Self {
        let CompactorParts { log, duty, settings } = parts;
        let (settings, counters, shutdown) = (Arc::new(settings), Arc::<CompactorCounters>::default(), Shutdown::new());
        let collector = Collector::new(log.clone(), settings.clone(), counters.clone(), shutdown.clone());
        let runtime = log.runtime().clone();
        let shared = SharedEntries::default();
        let workshop = Workshop { log, settings, counters, shutdown, runtime, shared };
        let (clock, running, looked) = (Mutex::default(), Running::default(), Looked::default());
        Self { inner: Arc::new(Inner { workshop, collector, duty, clock, running, looked }) }
    }

    /// A compactor that works until it is stopped.
    #[must_use]
    pub fn start(parts: CompactorParts) -> Self {
        let compactor = Self::new(parts);
        let (files, keys, house) = (compactor.clone(), compactor.clone(), compactor.clone());
        let Workshop { shutdown, runtime, .. } = &compactor.inner.workshop;
        drop(shutdown.spawn(runtime, "compaction", async move { files.inner.work(Lane::Files).await }));
        drop(shutdown.spawn(runtime, "compaction by key", async move { keys.inner.work(Lane::Keys).await }));
        drop(shutdown.spawn(runtime, "housekeeping", async move { house.inner.keep_house().await }));
        compactor
    }

    /// Stops: no job begins, and those that run end after their step.
    ///
    /// # Errors
    /// When the step takes too long. What it leaves is collected later.
    pub async fn stop(&self) -> Result<(), DrainTimedOut> {
        let Workshop { shutdown, runtime, .. } = &self.inner.workshop;
        shutdown.drain(runtime, STOP_WAIT_MAX).await
    }

    /// What it counts.
    #[must_use]
    pub fn counters(&self) -> &CompactorCounters {
        &self.inner.workshop.counters
    }

    /// Proves a topic, or all, from the manifest to the last byte.
    pub async fn scrub(&self, topic: Option<TopicId>, tell: impl Fn(ScrubProgress) + Send + Sync) -> ScrubReport {
        scrub(&self.inner.workshop, topic, tell).await
    }

    /// Does all that can be done now, once: of one topic, or of all, and then retention and collection as well.
    pub async fn run_once(&self, topic: Option<TopicId>, report: impl Fn(&CompactionSpec) + Send) -> RoundReport {
        self.inner.run_once(topic, report).await
    }
}

/// The time now, by what it was at some moment.
pub(crate) fn since(store_ms: i64, at: Instant, now: Instant) -> i64 {
    let passed = now.saturating_duration_since(at).as_millis();
    store_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
}

/// Since when each shard has been at its entry.
#[derive(Debug, Default)]
struct Changes(BTreeMap<ShardId, (u64, Instant)>);

impl Changes {
    fn age(&mut self, shard: ShardId, number: u64, now: Instant) -> Duration {
        let known = self.0.entry(shard).or_insert((number, now));
        if known.0 != number {
            *known = (number, now);
        }
        now.saturating_duration_since(known.1)
    }
}

/// The run of a batch that its producer packed wrongly. It stays as it is.
pub(crate) fn unreadable<'a>(spec: &'a CompactionSpec, error: &JobError) -> Option<&'a Run> {
    let base_offset = error.unreadable_batch().filter(|_| spec.kind == CompactionKind::Merge)?;
    spec.runs.iter().find(|run| (run.base_offset..=run.last_offset).contains(&base_offset))
}

impl Inner {
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.workshop.runtime
    }

    pub(crate) fn settings(&self) -> &CompactorSettings {
        &self.workshop.settings
    }

    /// The store's time, when it is believed.
    pub(crate) async fn store_ms(&self) -> Result<i64, ClockDoubt> {
        let store = self.workshop.store();
        // An idle store tells no time: any answer does.
        let _answer = store.get(&self.workshop.log.meta().paths().head()).await;
        let (store_ms, wall_ms, at) = (store.clock_ms(), self.runtime().now_ms(), self.runtime().monotonic());
        let looked = self.clock.lock().look(store_ms, wall_ms, at);
        if let Err(doubt) = looked {
            self.workshop.counters.clock_doubts.increment();
            tracing::warn!(%doubt, "nothing is deleted and no key compacted for now");
        }
        looked
    }

    fn pick(&self, seen: &mut FirstSeen, store_ms: Option<i64>) -> Vec<CompactionSpec> {
        let now = PickTime { local_ms: self.runtime().now_ms(), store_ms };
        pick(&self.workshop.log.view(), |shard| self.duty.leads(shard), seen, self.settings(), now, Lane::All)
    }

    pub(crate) async fn run(&self, spec: &CompactionSpec) -> Result<JobOutcome, JobError> {
        let workshop = &self.workshop;
        let ended = match spec.kind {
            CompactionKind::Merge | CompactionKind::Rewrite => merge::merge(workshop, spec).await,
            CompactionKind::Keys { dirty_from, now_ms } => keys::compact(workshop, spec, dirty_from, now_ms).await,
        };
        let (topic_partition, kind, counters) = (spec.topic_partition, spec.kind, &workshop.counters);
        match &ended {
            Ok(JobOutcome::Replaced | JobOutcome::Nothing) => counters.jobs_done.increment(),
            Ok(JobOutcome::Lost | JobOutcome::Unknown) => {
                counters.jobs_lost.increment();
                // What was picked from may be old.
                if let Some(shard) = workshop.log.shard(spec.shard) {
                    let _newest = shard.catch_up().await;
                }
            }
            Err(JobError::Stopped) => {}
            Err(error) if error.is_damage() && self.is_as_picked(spec).await => {
                counters.jobs_failed.increment();
                counters.jobs_damaged.increment();
                tracing::error!(%topic_partition, ?kind, %error, "what is in the store is damaged: the runs stay as they are");
            }
            Err(error) if unreadable(spec, error).is_some() => {
                counters.runs_unreadable.increment();
                tracing::warn!(
                    %topic_partition,
                    %error,
                    "a producer packed a batch wrongly: its run stays raw, and keys are compacted only before it"
                );
            }
            Err(error) => {
                counters.jobs_failed.increment();
                tracing::warn!(%topic_partition, ?kind, %error, "compaction failed: the runs stay as they are");
            }
        }
        ended
    }

    /// Whether the runs of a job are still those of the log: an object that is gone with its runs is no damage.
    async fn is_as_picked(&self, spec: &CompactionSpec) -> bool {
        let Some(shard) = self.workshop.log.shard(spec.shard) else { return false };
        let Ok(state) = shard.catch_up().await else { return true };
        let bounds = merge::bounds(&spec.runs);
        let now = state
            .partition(spec.topic_partition)
            .and_then(|partition| bounds.and_then(|(base, last)| partition.runs_between(base, last)));
        now.as_ref() == Some(&spec.runs)
    }

    /// Retention and collection, until the stop. The store is asked for its time only when by this machine's clock something is due.
    async fn keep_house(&self) {
        let (settings, shutdown) = (self.settings(), self.workshop.shutdown.clone());
        let (mut retained, mut collected, mut listed, mut changes) = (None, None, None, Changes::default());
        let is_due = |last: Option<Instant>, interval: Duration| {
            last.is_none_or(|last: Instant| self.runtime().monotonic().saturating_duration_since(last) >= interval)
        };
        let tick = settings.retention_interval.min(settings.collect_interval);
        while !shutdown.is_triggered() {
            let now = self.runtime().monotonic();
            let retains = is_due(retained, settings.retention_interval) && self.has_expired();
            let lists = is_due(listed, settings.orphan_interval) && self.is_restless(&mut changes, now);
            let collects = is_due(collected, settings.collect_interval) && (lists || self.has_garbage());
            if (retains || collects)
                && let Ok(now_ms) = self.store_ms().await
            {
                if retains {
                    retained = Some(now);
                    self.retain(now_ms, None).await;
                }
                if collects {
                    collected = Some(now);
                    listed = if lists { collected } else { listed };
                    self.collect(now_ms, lists).await;
                }
            }
            let _stopped = shutdown.unless_triggered(self.runtime().sleep(tick)).await;
        }
    }

    fn led(&self) -> impl Iterator<Item = Shard> {
        self.workshop.log.shards().into_iter().filter(|shard| self.duty.leads(shard.id()))
    }

    fn has_expired(&self) -> bool {
        let now_ms = self.runtime().now_ms();
        !retention::expired(&self.workshop.log.view(), |shard| self.duty.leads(shard), now_ms).is_empty()
    }

    fn has_garbage(&self) -> bool {
        let (now_ms, grace) = (self.runtime().now_ms(), self.settings().garbage_grace);
        self.led().any(|shard| shard.state().garbage().any(|(_, garbage)| is_past(garbage.since_ms, grace, now_ms)))
    }

    /// Whether a LIST may find something in some shard: once it has been quiet for longer than anything waits to be old, none does.
    fn is_restless(&self, changes: &mut Changes, now: Instant) -> bool {
        let settings = self.settings();
        let quiet = 2 * settings.orphan_age.max(settings.log_retention) + 2 * settings.orphan_interval;
        let led = self.led().map(|shard| (shard.id(), shard.state().entry_number()));
        led.filter(|(shard, number)| changes.age(*shard, *number, now) <= quiet).count() > 0
    }

    async fn retain(&self, now_ms: i64, topic: Option<TopicId>) -> u64 {
        let mut expired = retention::expired(&self.workshop.log.view(), |shard| self.duty.leads(shard), now_ms);
        expired.retain(|expired| topic.is_none_or(|topic| expired.topic_partition.topic == topic));
        retention::apply(&self.workshop, expired).await
    }

    async fn collect(&self, now_ms: i64, listing: bool) -> Collected {
        let mut all = Collected::default();
        for shard in self.led() {
            match self.collector.collect(&shard, now_ms, listing).await {
                Ok(collected) => {
                    all.garbage += collected.garbage;
                    all.orphans += collected.orphans;
                    all.entries += collected.entries;
                    all.checkpoints += collected.checkpoints;
                    if collected != Collected::default() {
                        tracing::info!(shard = shard.id().0, ?collected, "garbage was deleted");
                    }
                }
                Err(error) => tracing::info!(shard = shard.id().0, %error, "garbage is collected later"),
            }
        }
        all
    }

    async fn run_once(&self, topic: Option<TopicId>, tell: impl Fn(&CompactionSpec) + Send) -> RoundReport {
        let (mut seen, mut report, mut given_up) = (FirstSeen::of_one_pass(), RoundReport::default(), Vec::new());
        let store_ms = self.store_ms().await.ok();
        let looked = self.runtime().monotonic();
        let ends: BTreeMap<TopicPartition, i64> = self
            .workshop
            .log
            .view()
            .partitions()
            .map(|(topic_partition, partition)| (topic_partition, partition.high_watermark()))
            .collect();
        let is_wanted = |spec: &CompactionSpec| {
            let is_old = ends.get(&spec.topic_partition).is_some_and(|end| spec.runs[0].base_offset < *end);
            is_old && topic.is_none_or(|topic| spec.topic_partition.topic == topic)
        };
        while !self.workshop.shutdown.is_triggered() {
            let now_ms = store_ms.map(|store_ms| since(store_ms, looked, self.runtime().monotonic()));
            let specs = self.pick(&mut seen, now_ms);
            let spec = specs.into_iter().find(|spec| is_wanted(spec) && !given_up.contains(&spec.topic_partition));
            let Some(spec) = spec else { break };
            tell(&spec);
            match self.run(&spec).await {
                Ok(JobOutcome::Replaced) => report.replaced += 1,
                Ok(JobOutcome::Lost | JobOutcome::Unknown) => {
                    report.lost += 1;
                    given_up.push(spec.topic_partition);
                }
                Ok(JobOutcome::Nothing) => given_up.push(spec.topic_partition),
                Err(error) => match unreadable(&spec, &error) {
                    Some(run) => {
                        report.unreadable += 1;
                        seen.cannot_read(spec.topic_partition, run.base_offset);
                    }
                    None => {
                        report.failed += 1;
                        given_up.push(spec.topic_partition);
                    }
                },
            }
        }
        self.workshop.shared.clear();
        if let Some(now_ms) = store_ms {
            report.retentions = self.retain(now_ms, topic).await;
            if topic.is_none() {
                report.collected = self.collect(now_ms, true).await;
            }
        }
        report
    }
}
