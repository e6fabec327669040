//! Which runs become one: pure, over what a snapshot of the state says.
//!
//! Invariants:
//! 1. Only runs behind the last stable offset are picked, and those side by side.
//! 2. Raw runs are picked from the front: the log forgets aborted transactions behind the first one that is left.
//! 3. What is picked is within what a file may have, in bytes and, with keys, in records, unless one run alone has more.
//! 4. A run whose records cannot be unpacked, because its producer sent them so, stays raw and holds up no merge behind it. Keys are
//!    compacted before it alone: nobody knows which keys it has.
//! 5. A file is merged again only with about as much as it has itself, so that each record is written a few times at most.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use alluvium_log::{ObjectRef, Partition, Run, TableRun, View};
use alluvium_record::{ShardId, TopicPartition};

use crate::collect::time_of;
use crate::keys;
use crate::rules::TopicRules;
use crate::settings::CompactorSettings;

/// So many files that are small fit into one at least.
const SMALL_SHARE: u64 = 4;

/// What is done to runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompactionKind {
    /// Raw runs become a file.
    Merge,
    /// Files become a larger one.
    Rewrite,
    /// Keys are compacted, from this offset on for the first time.
    Keys {
        /// Before it they were compacted before.
        dirty_from: i64,
        /// The time by which tombstones go, milliseconds since 1970.
        now_ms: i64,
    },
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct PickTime {
    /// By this machine, milliseconds since 1970.
    pub local_ms: i64,
    /// By the store, when that is believed. Keys are not compacted without it.
    pub store_ms: Option<i64>,
}

/// A job: runs of a partition side by side, and what is done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionSpec {
    /// The shard of the partition.
    pub shard: ShardId,
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The runs.
    pub runs: Vec<Run>,
    /// What is done.
    pub kind: CompactionKind,
}

impl CompactionSpec {
    /// Bytes that are read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.runs.iter().map(|run| u64::from(run.length)).sum()
    }
}

/// What picking looks at in a partition: the runs behind the last stable offset, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StableRuns {
    /// The runs, with what is known of those that are files.
    pub runs: Vec<(Run, Option<TableRun>)>,
    /// Before this offset keys were compacted.
    pub cleaned_to: i64,
    /// First offsets of runs that stay raw.
    pub unreadable: BTreeSet<i64>,
}

impl StableRuns {
    /// Those of a partition.
    #[must_use]
    pub fn of(partition: &Partition) -> Self {
        let stable = partition.last_stable_offset();
        let runs = partition.runs().take_while(|run| run.last_offset < stable);
        Self {
            runs: runs.map(|run| (*run, partition.table(run).copied())).collect(),
            cleaned_to: partition.cleaned_to(),
            unreadable: BTreeSet::new(),
        }
    }

    pub(crate) fn slice(&self, range: Range<usize>) -> Vec<Run> {
        self.runs[range].iter().map(|(run, _)| *run).collect()
    }

    fn first_raw(&self) -> Option<usize> {
        self.runs.iter().position(|(run, _)| self.can_merge(run))
    }

    fn can_merge(&self, run: &Run) -> bool {
        is_raw(run) && !self.unreadable.contains(&run.base_offset)
    }
}

/// Whether a run is record batches as they came.
pub(crate) fn is_raw(run: &Run) -> bool {
    matches!(run.object, ObjectRef::Entry(_) | ObjectRef::Segment(_))
}

/// When a raw run was written: by its segment, or else by its newest record. One that tells no time that was is as old as can be,
/// so that it does not wait for ever.
fn written_ms(run: &Run, now_ms: i64) -> i64 {
    let told = match run.object {
        ObjectRef::Segment(id) => time_of(id),
        _ => None,
    };
    let told = told.unwrap_or(run.max_timestamp);
    if (0..=now_ms).contains(&told) { told } else { 0 }
}

/// What picking remembers: when the oldest raw run of each partition was first seen, since runs carry no time of their own but that
/// of producers; and runs that cannot be merged.
#[derive(Debug, Default)]
pub struct FirstSeen {
    seen: BTreeMap<TopicPartition, (i64, i64)>,
    unreadable: BTreeMap<TopicPartition, BTreeSet<i64>>,
    /// Whether runs are as old as they themselves tell, when they were not seen for as long.
    believes_runs: bool,
}

impl FirstSeen {
    /// For a single pass, which has seen nothing before: as far as runs tell their age, it counts.
    #[must_use]
    pub fn of_one_pass() -> Self {
        Self { believes_runs: true, ..Self::default() }
    }

    /// How long ago the oldest raw run was first seen; partitions without raw runs are forgotten.
    pub fn age(&mut self, topic_partition: TopicPartition, runs: &StableRuns, now_ms: i64) -> Duration {
        let Some(first) = runs.first_raw() else {
            self.seen.remove(&topic_partition);
            return Duration::ZERO;
        };
        let run = &runs.runs[first].0;
        let base_offset = run.base_offset;
        let seen = self.seen.entry(topic_partition).or_insert((base_offset, now_ms));
        if seen.0 != base_offset {
            *seen = (base_offset, now_ms);
        }
        let since_ms = if self.believes_runs { seen.1.min(written_ms(run, now_ms)) } else { seen.1 };
        Duration::from_millis(u64::try_from(now_ms.saturating_sub(since_ms)).unwrap_or(0))
    }

    /// Remembers a run that stays raw.
    pub fn cannot_read(&mut self, topic_partition: TopicPartition, base_offset: i64) {
        self.unreadable.entry(topic_partition).or_default().insert(base_offset);
    }

    /// Forgets partitions that are not among these any more.
    pub fn keep(&mut self, known: impl Fn(TopicPartition) -> bool) {
        self.seen.retain(|topic_partition, _| known(*topic_partition));
        self.unreadable.retain(|topic_partition, _| known(*topic_partition));
    }
}

/// Which jobs are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// All.
    All,
    /// Those that make files of runs.
    Files,
    /// Those that compact keys.
    Keys,
}

impl Lane {
    fn has(self, kind: CompactionKind) -> bool {
        match self {
            Self::All => true,
            Self::Files => !matches!(kind, CompactionKind::Keys { .. }),
            Self::Keys => matches!(kind, CompactionKind::Keys { .. }),
        }
    }
}

/// Whether there are keys to compact somewhere, if it is now so late.
pub(crate) fn keys_are_due(view: &View, leads: impl Fn(ShardId) -> bool, now_ms: i64) -> bool {
    view.topics().any(|topic| {
        let rules = TopicRules::of(topic);
        rules.compacts
            && (0..topic.partition_count).filter(|index| leads(topic.shard_of(*index))).any(|index| {
                let partition = view.partition(TopicPartition::new(topic.id, index));
                partition.is_some_and(|partition| keys::due(&StableRuns::of(partition), &rules, now_ms).is_some())
            })
    })
}

/// The jobs of a lane that are due, the most urgent first: raw runs before files before keys, many bytes before few.
pub fn pick(
    view: &View,
    leads: impl Fn(ShardId) -> bool,
    seen: &mut FirstSeen,
    settings: &CompactorSettings,
    now: PickTime,
    lane: Lane,
) -> Vec<CompactionSpec> {
    let mut specs = Vec::new();
    for topic in view.topics() {
        let rules = TopicRules::of(topic);
        if lane == Lane::Keys && !rules.compacts {
            continue;
        }
        for index in 0..topic.partition_count {
            let (shard, topic_partition) = (topic.shard_of(index), TopicPartition::new(topic.id, index));
            let Some(partition) = view.partition(topic_partition).filter(|_| leads(shard)) else { continue };
            let unreadable = seen.unreadable.get(&topic_partition).cloned().unwrap_or_default();
            let runs = StableRuns { unreadable, ..StableRuns::of(partition) };
            let age = seen.age(topic_partition, &runs, now.local_ms);
            let due = due(&runs, &rules, age, settings, now.store_ms);
            let due = due.into_iter().filter(|(_, kind)| lane.has(*kind));
            specs.extend(due.map(|(range, kind)| CompactionSpec {
                shard,
                topic_partition,
                runs: runs.slice(range),
                kind,
            }));
        }
    }
    seen.keep(|topic_partition| view.partition(topic_partition).is_some());
    let rank = |spec: &CompactionSpec| match spec.kind {
        CompactionKind::Merge => 0,
        CompactionKind::Rewrite => 1,
        CompactionKind::Keys { .. } => 2,
    };
    specs.sort_by_key(|spec| (rank(spec), std::cmp::Reverse(spec.bytes())));
    specs
}

/// What is due in one partition. The ranges do not overlap.
pub(crate) fn due(
    runs: &StableRuns,
    rules: &TopicRules,
    raw_age: Duration,
    settings: &CompactorSettings,
    store_ms: Option<i64>,
) -> Vec<(Range<usize>, CompactionKind)> {
    let mut due = Vec::new();
    // What is to be compacted by key in time is in a file by then.
    let age_max = if rules.compacts { rules.compaction_lag_ms_max } else { i64::MAX };
    let age_max = Duration::from_millis(u64::try_from(age_max).unwrap_or(0));
    if let Some(range) = due_merge(runs, raw_age, age_max, rules, settings) {
        due.push((range, CompactionKind::Merge));
    }
    let keys = store_ms.filter(|_| rules.compacts).and_then(|now_ms| {
        let (range, dirty_from) = keys::due(runs, rules, now_ms)?;
        Some((range, CompactionKind::Keys { dirty_from, now_ms }))
    });
    if let Some(keys) = keys {
        due.push(keys);
    } else {
        let rewrites = due_rewrites(runs, rules, settings);
        due.extend(rewrites.into_iter().map(|range| (range, CompactionKind::Rewrite)));
    }
    due
}

fn length(run: &(Run, Option<TableRun>)) -> u64 {
    u64::from(run.0.length)
}

fn due_merge(
    runs: &StableRuns,
    age: Duration,
    age_max: Duration,
    rules: &TopicRules,
    settings: &CompactorSettings,
) -> Option<Range<usize>> {
    let first = runs.first_raw()?;
    let raw = runs.runs[first..].iter().take_while(|(run, _)| runs.can_merge(run));
    let bytes: u64 = raw.clone().map(length).sum();
    let is_due = bytes >= settings.merge_bytes_min
        || (age >= settings.merge_age && bytes >= settings.merge_idle_bytes_min)
        || age >= settings.merge_idle_age.min(age_max);
    is_due.then(|| {
        let (mut total, base_offset) = (0, runs.runs[first].0.base_offset);
        let count = raw
            .take_while(|run| {
                total += length(run);
                total <= settings.file_bytes_max && run.0.last_offset.abs_diff(base_offset) < rules.file_records_max()
            })
            .count();
        first..first + count.max(1)
    })
}

/// Stretches of small files that are worth a larger one.
fn due_rewrites(runs: &StableRuns, rules: &TopicRules, settings: &CompactorSettings) -> Vec<Range<usize>> {
    // What is nearly as long as a file may be is not written again for little beside it.
    let small_file_bytes = settings.small_file_bytes.min(settings.file_bytes_max / SMALL_SHARE);
    let may = |index: usize| {
        let (run, _) = &runs.runs[index];
        // What was compacted by key is grouped by the next compaction, which knows when tombstones may go.
        let is_compacted = rules.compacts && run.base_offset < runs.cleaned_to;
        !is_raw(run) && u64::from(run.length) < small_file_bytes && !is_compacted
    };
    let mut found = Vec::new();
    let mut index = 0;
    while index < runs.runs.len() {
        let end = (index..runs.runs.len()).find(|index| !may(*index)).unwrap_or(runs.runs.len());
        windows(runs, index..end, settings, &mut found);
        index = end + 1;
    }
    found
}

fn windows(runs: &StableRuns, range: Range<usize>, settings: &CompactorSettings, found: &mut Vec<Range<usize>>) {
    if range.len() < settings.small_files_min.max(2) {
        return;
    }
    let lengths = range.clone().map(|index| length(&runs.runs[index]));
    let total: u64 = lengths.clone().sum();
    let largest = lengths.clone().zip(range.clone()).max().unwrap_or((0, range.start));
    if largest.0 > total - largest.0 {
        // Too large for what is beside it: it waits until there is more.
        windows(runs, range.start..largest.1, settings, found);
        windows(runs, largest.1 + 1..range.end, settings, found);
        return;
    }
    let mut sum = 0;
    let fitting = lengths
        .take_while(|length| {
            sum += length;
            sum <= settings.file_bytes_max
        })
        .count();
    if fitting >= 2 {
        found.push(range.start..range.start + fitting);
    }
    windows(runs, range.start + fitting.max(1)..range.end, settings, found);
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::stable;
