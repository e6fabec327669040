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
    let groups = groups(&runs, &found, dirty_from, 700, (1_000, 25));
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
    assert_eq!(grouped("ttt", &[300; 3], &[(8, 1), (8, 0), (9, 1)], &[500, 400, 500], 30), [(0..3, 500, false)]);
    assert_eq!(grouped("ttt", &[300; 3], &[(9, 0), (9, 0), (8, 0)], &[1; 3], 30), [(0..2, 1, false), (2..3, 1, false)]);
    assert_eq!(grouped("nt", &[0, 300], &[(0, 0), all], &[0, 1], 20), []);
    assert_eq!(grouped("nt", &[0, 300], &[(0, 0), (8, 0)], &[0, 1], 20), [(0..2, 1, false)]);
}

#[test]
fn stretches_hold_what_fits_and_one_file_at_least() {
    // Ten offsets of a file take two bytes at most, and a place.
    assert_eq!(staying_bytes_max(&stable("t", &[1]).runs[0]), 66);
    assert_eq!(staying_bytes_max(&stable("n", &[0]).runs[0]), 0);
    let cut = |kinds: &str, bytes_max: usize| -> Vec<usize> {
        let stretches = stretches(&stable(kinds, &[1; 9]).runs, bytes_max);
        assert!(stretches.windows(2).all(|pair| pair[0].end == pair[1].start));
        stretches.into_iter().map(|stretch| stretch.len()).collect()
    };
    assert_eq!(cut("", 100), [0; 0]);
    assert_eq!(cut("tttt", 1_000), [4]);
    assert_eq!(cut("ttttt", 132), [2, 2, 1]);
    assert_eq!(cut("ttt", 131), [1, 1, 1]);
    assert_eq!(cut("ttt", 0), [1, 1, 1]);
    assert_eq!(cut("tnntt", 132), [4, 1]);
}

#[test]
fn a_bitmap_takes_no_more_than_was_reckoned() {
    let reckoned = |offsets: i64, records: u64| {
        let (mut run, table) = stable("t", &[1]).runs[0];
        run.last_offset = run.base_offset + offsets - 1;
        staying_bytes_max(&(run, table.map(|table| TableRun { record_count: records, ..table })))
    };
    for step in [1, 3, 15, 16, 17, 1_000, 65_536, 1_000_000] {
        let count = 20_000_u64;
        let bitmap: RoaringTreemap = (0..count).map(|index| index * step).collect();
        let taken = bitmap.bitmaps().map(|(_, bitmap)| bitmap.statistics()).fold(0, |bytes, found| {
            let (arrays, bitsets) = (u64::from(found.n_array_containers), u64::from(found.n_bitset_containers));
            // Arrays, of at most 4,096 values, and the list of containers grow by doubling.
            let of_arrays = (2 * 2 * u64::from(found.n_values_array_containers)).min(8_192 * arrays);
            bytes + of_arrays + 8_192 * bitsets + 2 * 32 * (arrays + bitsets)
        });
        let bound = reckoned((count * step) as i64, count) + 8_192;
        assert!(taken <= bound, "{taken} bytes for each {step}th, {bound} reckoned");
        assert!(bound <= 20 * taken, "{bound} reckoned are far more than {taken} for each {step}th");
    }
}
