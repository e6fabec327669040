use std::collections::BTreeMap;

use alluvium_log::Topic;
use alluvium_record::TopicId;

use super::*;
use crate::pick::stable;

fn rules(configs: &[(&str, &str)]) -> TopicRules {
    let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    TopicRules::of(&Topic {
        id: TopicId::NIL,
        name: "orders".to_owned(),
        partition_count: 1,
        replication_factor: 1,
        configs: configs.collect::<BTreeMap<_, _>>(),
        shard_count: 1,
        created_ms: 0,
    })
}

fn when(
    kinds: &str,
    lengths: &[u64],
    cleaned_to: i64,
    configs: &[(&str, &str)],
    now_ms: i64,
) -> Option<(Range<usize>, i64)> {
    due(&StableRuns { cleaned_to, ..stable(kinds, lengths) }, &rules(configs), now_ms)
}

#[test]
fn what_is_dirty_enough_is_due_but_for_the_last_run() {
    let none: &[(&str, &str)] = &[];
    assert_eq!(when("", &[], 0, none, 0), None);
    assert_eq!(when("t", &[100], 0, none, 0), None);
    assert_eq!(when("tt", &[100, 100], 0, none, 0), Some((0..1, 0)));
    assert_eq!(when("tr", &[100, 100], 0, none, 0), Some((0..1, 0)));
    assert_eq!(when("rt", &[100, 100], 0, none, 0), None, "raw runs are merged first");
    assert_eq!(when("ttt", &[100, 100, 1], 10, none, 0), None, "half is not more than half");
    assert_eq!(when("ttt", &[100, 101, 1], 10, none, 0), Some((0..2, 10)));
    assert_eq!(when("ttt", &[100, 101, 1], 20, none, 0), None, "all but the last is clean");
    assert_eq!(when("tnt", &[100, 0, 1], 10, none, 0), None, "nothing is not dirty");
    assert_eq!(when("ttt", &[100, 1, 1], 10, &[("min.cleanable.dirty.ratio", "0.009")], 0), Some((0..2, 10)));
}

#[test]
fn lags_hold_back_and_force() {
    // The runs have the timestamps 1000, 1001 and so on.
    let min = |now_ms| when("tttt", &[100; 4], 0, &[("min.compaction.lag.ms", "500")], now_ms);
    assert_eq!(min(1_499), None);
    assert_eq!(min(1_500), Some((0..1, 0)));
    assert_eq!(min(1_501), Some((0..2, 0)));
    assert_eq!(min(9_999), Some((0..3, 0)));
    let max = [("min.cleanable.dirty.ratio", "1"), ("max.compaction.lag.ms", "500")];
    assert_eq!(when("ttt", &[100; 3], 10, &max, 1_501), None);
    assert_eq!(when("ttt", &[100; 3], 10, &max, 1_502), Some((0..2, 10)));
}

#[test]
fn the_oldest_record_with_a_time_forces_in_whichever_file_it_is() {
    let max = rules(&[("min.cleanable.dirty.ratio", "1"), ("max.compaction.lag.ms", "500")]);
    let at = |times: [i64; 4], now_ms| {
        let mut runs = stable("tttt", &[100; 4]);
        for ((_, table), time) in runs.runs.iter_mut().zip(times) {
            table.as_mut().unwrap().min_timestamp = time;
        }
        due(&StableRuns { cleaned_to: 10, ..runs }, &max, now_ms).is_some()
    };
    assert!(at([0, 2_000, 1_000, 2_000], 1_501), "the second of the files that are not compacted has it");
    assert!(!at([0, 2_000, 1_000, 2_000], 1_500));
    assert!(!at([0, -1, 0, 2_000], 1_000_000_000), "what has no time is not from 1970");
    assert!(at([0, -1, 1_000, 2_000], 1_501));
    assert!(!at([0, 2_000, 2_000, 1_000], 1_501), "the last run is not touched");
}

#[test]
fn horizons_are_late_by_a_quarter_at_most() {
    assert_eq!(horizon(1_000, 0), 1_000);
    for now_ms in [0, 1, 99, 12_345] {
        let due = horizon(now_ms, 400);
        assert!((now_ms + 400..now_ms + 500).contains(&due) && due % 100 == 0, "{due}");
    }
    assert_eq!(horizon(i64::MAX - 5, 400), i64::MAX);
}

/// `kept` and `tombstones` of each run of ten records; `dirty_from` is the offset.
fn grouped(
    kinds: &str,
    lengths: &[u64],
    found: &[(u64, u64)],
    horizons: &[i64],
    dirty_from: i64,
) -> Vec<(Range<usize>, i64, bool)> {
    let mut runs = stable(kinds, lengths).runs;
    for ((_, table), horizon) in runs.iter_mut().zip(horizons) {
        if let Some(table) = table {
            table.tombstone_horizon_ms = *horizon;
        }
    }
    let found: Vec<RunFindings> =
        found.iter().map(|(kept, tombstones)| RunFindings { kept: *kept, tombstones: *tombstones }).collect();
    let groups = groups(&runs, &found, dirty_from, 700, 1_000);
    groups.into_iter().map(|group| (group.runs, group.tombstone_horizon_ms, group.is_dirty)).collect()
}

#[test]
fn files_with_one_horizon_are_put_together_and_what_does_not_change_is_left() {
    const NEVER: i64 = i64::MAX;
    let all = (10, 0);
    assert_eq!(grouped("tt", &[500, 500], &[all, all], &[1, NEVER], 10), [(1..2, 1, true)]);
    assert_eq!(grouped("tt", &[500, 500], &[(9, 0), (5, 2)], &[1, NEVER], 10), [(0..1, 1, false), (1..2, 700, true)]);
    assert_eq!(
        grouped("ttt", &[500, 900, 900], &[all, (5, 0), (4, 0)], &[1, 1, 1], 30),
        [(0..2, 1, false), (2..3, 1, false)]
    );
    assert_eq!(
        grouped("ttt", &[300; 3], &[(9, 1), (9, 1), (9, 1)], &[500, 500, 600], 30),
        [(0..2, 500, false), (2..3, 600, false)]
    );
    assert_eq!(grouped("ttt", &[300; 3], &[(9, 1), (9, 0), (9, 1)], &[500, 400, 500], 30), [(0..3, 500, false)]);
    assert_eq!(grouped("nt", &[0, 300], &[(0, 0), all], &[0, 1], 20), []);
    assert_eq!(grouped("nt", &[0, 300], &[(0, 0), (8, 0)], &[0, 1], 20), [(0..2, 1, false)]);
}
