//! The lanes of a running compactor: one in which runs become files, and one beside it in which keys are compacted.
//!
//! Invariants:
//! 1. One job at most runs in each lane, so the memory of a node is that of one job of each kind, and keys, which may take an hour,
//!    hold up no merge.
//! 2. Jobs that run at the same time are never about the same runs: none of them works to lose.
//! 3. What is due is found away from the tasks: it takes a look at all runs.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_record::TopicPartition;
use parking_lot::Mutex;

use crate::job::JobOutcome;
use crate::merge::bounds;
use crate::pick::{CompactionSpec, FirstSeen, Lane, PickTime, keys_are_due, pick};
use crate::role::{Inner, since, unreadable};

/// How old the time may be that keys are compacted by.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);
/// The longest time that a partition is left alone after failures.
const FAILURE_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Partitions that are left alone after failures, until when, and how often it was in a row.
#[derive(Debug, Default)]
struct Pauses(BTreeMap<TopicPartition, (u32, Instant)>);

impl Pauses {
    fn holds(&self, spec: &CompactionSpec, now: Instant) -> bool {
        self.0.get(&spec.topic_partition).is_some_and(|(_, until)| now < *until)
    }

    fn failed(&mut self, spec: &CompactionSpec, first: Duration, now: Instant) {
        let entry = self.0.entry(spec.topic_partition).or_insert((0, now));
        let pause = first.saturating_mul(1 << entry.0.min(16)).min(FAILURE_PAUSE_MAX);
        *entry = (entry.0 + 1, now + pause);
    }

    fn ended(&mut self, spec: &CompactionSpec) {
        self.0.remove(&spec.topic_partition);
    }
}

/// Offsets from one to another of a partition.
type Stretch = (TopicPartition, i64, i64);

/// What jobs are about that run now.
#[derive(Debug, Default)]
pub(crate) struct Running(Mutex<Vec<Stretch>>);

/// A job that runs, until it is dropped.
#[derive(Debug)]
struct Taken<'a> {
    running: &'a Running,
    stretch: Stretch,
}

impl Running {
    /// Takes the runs of a job, unless one that runs has some of them.
    fn take(&self, spec: &CompactionSpec) -> Option<Taken<'_>> {
        let (base_offset, last_offset) = bounds(&spec.runs)?;
        let stretch = (spec.topic_partition, base_offset, last_offset);
        let mut running = self.0.lock();
        let is_free = running
            .iter()
            .all(|(other, base, last)| *other != spec.topic_partition || *last < base_offset || last_offset < *base);
        is_free.then(|| {
            running.push(stretch);
            Taken { running: self, stretch }
        })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.running.0.lock().retain(|stretch| *stretch != self.stretch);
    }
}

/// The store's time when it was last asked for, if it was believed.
pub(crate) type Looked = Mutex<Option<(Instant, Option<i64>)>>;

impl Inner {
    /// Job after job of a lane, until the stop.
    pub(crate) async fn work(&self, lane: Lane) {
        let (mut seen, mut pauses) = (FirstSeen::default(), Pauses::default());
        let shutdown = self.workshop.shutdown.clone();
        while !shutdown.is_triggered() {
            let now = self.runtime().monotonic();
            let store_ms = self.time_for_keys(now).await;
            let specs;
            (specs, seen) = self.find(lane, seen, store_ms).await;
            let next = specs.iter().filter(|spec| !pauses.holds(spec, now));
            let next = next.filter_map(|spec| self.running.take(spec).map(|taken| (spec, taken))).next();
            let Some((spec, _taken)) = next else {
                if lane == Lane::Files {
                    self.workshop.shared.clear();
                }
                let _stopped = shutdown.unless_triggered(self.runtime().sleep(self.settings().pick_interval)).await;
                continue;
            };
            match self.run(spec).await {
                Ok(JobOutcome::Replaced) => pauses.ended(spec),
                Ok(JobOutcome::Nothing | JobOutcome::Lost | JobOutcome::Unknown) => {
                    pauses.failed(spec, self.settings().pick_interval, self.runtime().monotonic());
                }
                Err(error) => match unreadable(spec, &error) {
                    Some(run) => seen.cannot_read(spec.topic_partition, run.base_offset),
                    None => pauses.failed(spec, self.settings().failure_pause, self.runtime().monotonic()),
                },
            }
        }
    }

    /// What is due in a lane. What was seen is lost only with the process.
    async fn find(&self, lane: Lane, mut seen: FirstSeen, store_ms: Option<i64>) -> (Vec<CompactionSpec>, FirstSeen) {
        let (view, duty, settings) = (self.workshop.log.view(), self.duty.clone(), self.workshop.settings.clone());
        let now = PickTime { local_ms: self.runtime().now_ms(), store_ms };
        let found = self.runtime().compute(move || {
            let specs = pick(&view, |shard| duty.leads(shard), &mut seen, &settings, now, lane);
            (specs, seen)
        });
        found.await.unwrap_or_default()
    }

    /// The store's time, asked for when by this machine's clock there are keys to compact. It goes on between two looks: a tombstone
    /// that is younger than the last one has its whole time before it.
    async fn time_for_keys(&self, now: Instant) -> Option<i64> {
        let known = self.looked.lock().filter(|(at, _)| now.saturating_duration_since(*at) < LOOK_INTERVAL);
        let (at, store_ms) = match known {
            Some(known) => known,
            None => {
                let looked = (now, if self.needs_time().await { self.store_ms().await.ok() } else { return None });
                *self.looked.lock() = Some(looked);
                looked
            }
        };
        Some(since(store_ms?, at, now))
    }

    async fn needs_time(&self) -> bool {
        let (view, duty, local_ms) = (self.workshop.log.view(), self.duty.clone(), self.runtime().now_ms());
        let due = self.runtime().compute(move || keys_are_due(&view, |shard| duty.leads(shard), local_ms));
        due.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use alluvium_log::Run;
    use alluvium_record::{ShardId, TopicId};

    use super::*;
    use crate::pick::CompactionKind;

    fn spec(partition: i32, base_offset: i64, last_offset: i64) -> CompactionSpec {
        let (run, _) = crate::pick::stable("t", &[1]).runs[0];
        CompactionSpec {
            shard: ShardId(0),
            topic_partition: TopicPartition { topic: TopicId::NIL, partition },
            runs: vec![Run { base_offset, last_offset, ..run }],
            kind: CompactionKind::Merge,
        }
    }

    #[test]
    fn runs_are_of_one_job_at_a_time() {
        let running = Running::default();
        let keys = running.take(&spec(0, 10, 19));
        assert!(keys.is_some());
        for (partition, base, last, is_free) in [
            (0, 0, 9, true),
            (0, 20, 30, true),
            (1, 10, 19, true),
            (0, 19, 25, false),
            (0, 0, 10, false),
            (0, 12, 13, false),
        ] {
            assert_eq!(running.take(&spec(partition, base, last)).is_some(), is_free, "{partition}: {base} to {last}");
        }
        drop(keys);
        assert!(running.take(&spec(0, 12, 13)).is_some());
    }
}
