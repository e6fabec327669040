use alluvium_infra::limits::FILTERED_TABLE_RECORDS_MAX;
use alluvium_record::TopicId;
use uuid::Uuid;

use super::*;

const NONE: [Range<usize>; 0] = [];
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// One run of ten offsets for each length: `r` raw, `t` a file, `n` nothing.
pub(crate) fn stable(kinds: &str, lengths: &[u64]) -> StableRuns {
    let runs = kinds.chars().zip(lengths).enumerate().map(|(index, (kind, length))| {
        let id = Uuid::from_u128(index as u128);
        let object = match kind {
            'r' => ObjectRef::Segment(id),
            't' => ObjectRef::Table(id),
            _ => ObjectRef::Nothing,
        };
        let run = Run {
            base_offset: index as i64 * 10,
            last_offset: index as i64 * 10 + 9,
            object,
            position: 0,
            length: *length as u32,
            segment_end: 0,
            max_timestamp: 1000 + index as i64,
            sum: 0,
        };
        let table = TableRun {
            record_count: 10,
            sum: 1,
            footer_bytes: 1,
            min_timestamp: 1000 + index as i64,
            tombstone_horizon_ms: i64::MAX,
        };
        (run, (kind == 't').then_some(table))
    });
    StableRuns { runs: runs.collect(), ..StableRuns::default() }
}

fn merge(kinds: &str, lengths: &[u64], age_s: u64) -> Option<Range<usize>> {
    let (rules, settings) = (TopicRules::of(&topic()), CompactorSettings::default());
    due_merge(&stable(kinds, lengths), Duration::from_secs(age_s), Duration::MAX, &rules, &settings)
}

fn one(range: Range<usize>) -> Vec<Range<usize>> {
    Vec::from([range])
}

#[test]
fn raw_runs_are_merged_by_bytes_and_by_age() {
    assert_eq!(merge("", &[], 1_000_000), None);
    assert_eq!(merge("tt", &[MIB, MIB], 1_000_000), None);
    assert_eq!(merge("trr", &[MIB, 32 * MIB, 31 * MIB], 0), None);
    assert_eq!(merge("trr", &[MIB, 32 * MIB, 32 * MIB], 0), Some(1..3));
    assert_eq!(merge("rr", &[32 * KIB, 32 * KIB], 599), None);
    assert_eq!(merge("rr", &[32 * KIB, 32 * KIB], 600), Some(0..2));
    assert_eq!(merge("rr", &[32 * KIB, 31 * KIB], 3_599), None);
    assert_eq!(merge("rr", &[32 * KIB, 31 * KIB], 3_600), Some(0..2));
}

#[test]
fn raw_runs_of_a_compacted_topic_wait_no_longer_than_its_largest_lag() {
    let due_at = |policy: &str, lag: &str, age_s: u64| {
        let configs = [("cleanup.policy", policy), ("max.compaction.lag.ms", lag)];
        let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let rules = TopicRules::of(&alluvium_log::Topic { configs, ..topic() });
        let (runs, settings) = (stable("tr", &[KIB, KIB]), CompactorSettings::default());
        due(&runs, &rules, Duration::from_secs(age_s), &settings, None)
    };
    let merged = [(1..2, CompactionKind::Merge)];
    assert_eq!(due_at("compact", "60000", 59), []);
    assert_eq!(due_at("compact", "60000", 60), merged);
    assert_eq!(due_at("delete", "60000", 60), [], "the lag is of compaction by key");
    assert_eq!(due_at("compact", "999999999", 3_599), []);
    assert_eq!(due_at("compact", "999999999", 3_600), merged);
}

#[test]
fn a_merge_begins_at_the_front_and_is_cut_to_the_length_of_a_file() {
    assert_eq!(merge("trrrr", &[1, 200 * MIB, 200 * MIB, 200 * MIB, 200 * MIB], 0), Some(1..3));
    assert_eq!(merge("rr", &[600 * MIB, 1], 0), Some(0..1));
    assert_eq!(merge("rtr", &[64 * MIB, 1, 64 * MIB], 0), Some(0..1));
}

#[test]
fn a_merge_of_keys_is_cut_to_the_records_of_a_file() {
    const MOST: i64 = FILTERED_TABLE_RECORDS_MAX as i64;
    let cut = |policy: &str, ends: &[i64]| {
        let configs = [("cleanup.policy".to_owned(), policy.to_owned())].into();
        let rules = TopicRules::of(&alluvium_log::Topic { configs, ..topic() });
        let mut runs = stable(&"r".repeat(ends.len()), &vec![64 * MIB; ends.len()]);
        let mut base_offset = 100;
        for ((run, _), end) in runs.runs.iter_mut().zip(ends) {
            (run.base_offset, run.last_offset) = (base_offset, 100 + end - 1);
            base_offset = 100 + end;
        }
        due_merge(&runs, Duration::ZERO, Duration::MAX, &rules, &CompactorSettings::default())
    };
    assert_eq!(cut("compact", &[10, MOST, MOST + 1]), Some(0..2));
    assert_eq!(cut("compact", &[MOST + 1, MOST + 2]), Some(0..1), "one run alone may have more");
    assert_eq!(cut("delete", &[10, MOST, MOST + 1]), Some(0..3));
}

#[test]
fn a_run_that_cannot_be_read_holds_up_nothing_behind_it() {
    let settings = CompactorSettings::default();
    let at = |unreadable: &[i64]| {
        let runs = stable("trrr", &[1, MIB, MIB, 64 * MIB]);
        let runs = StableRuns { unreadable: unreadable.iter().copied().collect(), ..runs };
        due_merge(&runs, Duration::ZERO, Duration::MAX, &TopicRules::of(&topic()), &settings)
    };
    assert_eq!(at(&[]), Some(1..4));
    assert_eq!(at(&[10, 20]), Some(3..4));
    assert_eq!(at(&[20]), None, "what is before it waits for its time");
    assert_eq!(at(&[10, 20, 30]), None);
}

fn rewrites(kinds: &str, lengths: &[u64]) -> Vec<Range<usize>> {
    let rules = TopicRules::of(&topic());
    due_rewrites(&stable(kinds, lengths), &rules, &CompactorSettings::default())
}

fn topic() -> alluvium_log::Topic {
    alluvium_log::Topic {
        id: TopicId::NIL,
        name: "orders".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
        shard_count: 1,
        created_ms: 0,
    }
}

#[test]
fn four_small_files_side_by_side_become_one() {
    assert_eq!(rewrites("ttt", &[MIB; 3]), NONE);
    assert_eq!(rewrites("tttt", &[MIB; 4]), one(0..4));
    assert_eq!(rewrites("tntn", &[MIB, 0, MIB, 0]), one(0..4));
    assert_eq!(rewrites("nnnn", &[0; 4]), one(0..4));
    assert_eq!(rewrites("ttrtt", &[MIB; 5]), NONE);
    assert_eq!(rewrites("tttttrtttt", &[128 * MIB, MIB, MIB, MIB, MIB, 1, MIB, MIB, MIB, MIB]), [1..5, 6..10]);
}

#[test]
fn a_file_waits_until_there_is_as_much_beside_it() {
    assert_eq!(rewrites("ttttt", &[20 * MIB, MIB, MIB, MIB, MIB]), one(1..5));
    assert_eq!(rewrites("tttt", &[20 * MIB, MIB, MIB, MIB]), NONE);
    assert_eq!(rewrites("ttttt", &[20 * MIB, 10 * MIB, 5 * MIB, 5 * MIB, MIB]), one(0..5));
    assert_eq!(rewrites("t".repeat(12).as_str(), &[127 * MIB; 12]), [0..4, 4..8, 8..12]);
}

#[test]
fn each_record_is_written_a_few_times() {
    // A file of 1 MiB arrives 1024 times; whatever is due is done at once.
    let settings = CompactorSettings::default();
    let rules = TopicRules::of(&topic());
    let mut lengths: Vec<u64> = Vec::new();
    let mut written = 0;
    for _ in 0..1024 {
        lengths.extend([MIB]);
        loop {
            let runs = stable(&"t".repeat(lengths.len()), &lengths);
            let Some(range) = due_rewrites(&runs, &rules, &settings).into_iter().next() else { break };
            let total: u64 = lengths[range.clone()].iter().sum();
            written += total;
            lengths.splice(range, [total]);
        }
    }
    assert!(written <= 4 * 1024 * MIB, "{} MiB were written again", written / MIB);
    assert!(lengths.iter().filter(|length| **length < 128 * MIB).count() < 12, "{lengths:?}");
}

/// Files after a day in which a merge leaves a file of each of these lengths in turn, and whatever is due is done at once.
fn after(day: impl Iterator<Item = u64>, settings: &CompactorSettings) -> (Vec<u64>, u64) {
    let (rules, mut lengths, mut written) = (TopicRules::of(&topic()), Vec::new(), 0);
    for length in day {
        lengths.push(length);
        loop {
            let runs = stable(&"t".repeat(lengths.len()), &lengths);
            let Some(range) = due_rewrites(&runs, &rules, settings).into_iter().next() else { break };
            let total: u64 = lengths[range.clone()].iter().sum();
            written += total;
            lengths.splice(range, [total]);
        }
    }
    (lengths, written)
}

#[test]
fn steady_merges_end_as_files_of_128_to_512_mib() {
    let settings = CompactorSettings::default();
    // Half a MiB a second is 64 MiB every other minute, 675 times a day; records pack to much less, or to nothing less.
    for length in [64 * MIB, 33 * MIB, 12 * MIB, 3 * MIB, 64 * MIB + KIB, 127 * MIB] {
        let (lengths, written) = after(std::iter::repeat_n(length, 675), &settings);
        let total: u64 = lengths.iter().sum();
        let full: u64 = lengths.iter().filter(|length| (128 * MIB..=512 * MIB).contains(*length)).sum();
        // What is not full yet is what the next few merges put together.
        assert!(total - full < 512 * MIB, "of {length}: {lengths:?}");
        assert!(lengths.iter().all(|length| *length <= 512 * MIB));
        assert!(written <= 3 * total, "{} of {total} written again", written);
    }
    // Files that are set to be short are not written again and again for little beside them.
    let short = CompactorSettings { file_bytes_max: 64 * MIB, ..settings };
    let (lengths, written) = after([60 * MIB, MIB, MIB, MIB, 40 * MIB].into_iter().cycle().take(500), &short);
    assert!(written <= 2 * lengths.iter().sum::<u64>() / 10, "{written}");
}

#[test]
fn age_counts_from_when_the_oldest_run_was_seen() {
    let at = TopicPartition::new(TopicId::NIL, 0);
    let mut seen = FirstSeen::default();
    let seconds = |duration: Duration| duration.as_secs();
    assert_eq!(seconds(seen.age(at, &stable("tr", &[1, 1]), 5_000)), 0);
    assert_eq!(seconds(seen.age(at, &stable("trr", &[1, 1, 1]), 65_000)), 60);
    assert_eq!(seconds(seen.age(at, &stable("ttr", &[1, 1, 1]), 70_000)), 0);
    assert_eq!(seconds(seen.age(at, &stable("ttr", &[1, 1, 1]), 80_000)), 10);
    assert_eq!(seconds(seen.age(at, &stable("ttt", &[1, 1, 1]), 90_000)), 0);
    assert_eq!(seconds(seen.age(at, &stable("ttr", &[1, 1, 1]), 95_000)), 0);
}

#[test]
fn a_single_pass_believes_what_runs_tell_of_their_age() {
    let at = TopicPartition::new(TopicId::NIL, 0);
    let now_ms = 1_000_000_000_000;
    let age = |object: ObjectRef, max_timestamp: i64, mut seen: FirstSeen| {
        let mut runs = stable("tr", &[1, 1]);
        (runs.runs[1].0.object, runs.runs[1].0.max_timestamp) = (object, max_timestamp);
        seen.age(at, &runs, now_ms).as_secs()
    };
    let written = uuid::Timestamp::from_unix(uuid::NoContext, now_ms as u64 / 1000 - 700, 0);
    let segment = ObjectRef::Segment(Uuid::new_v7(written));
    assert_eq!(age(segment, now_ms, FirstSeen::default()), 0);
    assert_eq!(age(segment, now_ms, FirstSeen::of_one_pass()), 700, "producers do not count where the object tells");
    assert_eq!(age(ObjectRef::Entry(7), now_ms - 60_000, FirstSeen::of_one_pass()), 60);
    let for_ever = now_ms as u64 / 1000;
    for untold in [-1, now_ms + 1] {
        assert_eq!(age(ObjectRef::Entry(7), untold, FirstSeen::of_one_pass()), for_ever, "{untold}");
    }
}
