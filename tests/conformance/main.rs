//! One suite of numbered scenarios over log, ingest and reader, on every store: memory, a local folder, MinIO and moto.
//!
//! On memory the clock is simulated and waiting costs nothing. A scenario gets a fresh cluster: a root of its own in the store.
//! `ALLUVIUM_TEST_SCENARIO=C19` runs the scenarios whose number begins like this and leaves the others out.
//!
//! Faults are scripted in C31 to C35, each one deterministic; [`bad_day`] mixes them at random, seed by seed.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking and says what it ran or skipped"
)]

mod appending;
mod bad_day;
mod caching;
mod corner;
mod cost;
mod damage;
mod faults;
mod fetching;
mod lookup;
mod operations;
mod probing;
mod producers;
mod racing;
mod recovery;
mod timeouts;

use std::panic::AssertUnwindSafe;

use alluvium_infra::Runtime;
use alluvium_tests::places::{self, Place};

use corner::Corner;
use futures_util::FutureExt;

/// Runs all scenarios and prints a line for each; one that fails does not keep the others from running.
async fn run(place: Place) {
    let wanted = std::env::var("ALLUVIUM_TEST_SCENARIO").unwrap_or_default();
    let mut failed = Vec::new();
    macro_rules! scenarios {
        ($($number:literal $file:ident::$scenario:ident),* $(,)?) => {$({
            let number = format!("C{:02}", $number);
            if number.starts_with(&wanted) {
                let begun = place.runtime.monotonic();
                let corner = Corner::new(&place, $number);
                let result = AssertUnwindSafe($file::$scenario(&corner)).catch_unwind().await;
                let took = place.runtime.monotonic() - begun;
                let verdict = if result.is_ok() { "ok" } else { "FAILED" };
                println!("{verdict} {} {number} {} ({took:.1?})", place.name, stringify!($scenario).replace('_', " "));
                if result.is_err() {
                    failed.push(number);
                }
            }
        })*};
    }
    scenarios! {
        1 appending::one_record_goes_in_and_comes_out,
        2 appending::many_partitions_ride_in_one_flush,
        3 appending::a_small_flush_is_inline_and_a_large_one_has_a_segment,
        4 cost::many_appends_ride_in_few_entries,
        5 cost::a_flush_costs_one_put_or_two_and_idling_costs_nothing,
        6 racing::two_nodes_race_and_every_slot_has_one_winner,
        7 producers::a_duplicate_is_answered_with_its_first_offset,
        8 producers::a_gap_in_sequences_is_refused_and_not_written,
        9 producers::an_old_epoch_is_fenced,
        10 appending::timestamps_are_the_producers_or_the_logs,
        11 appending::a_batch_larger_than_the_topic_allows_is_refused,
        12 appending::a_compacted_topic_takes_no_record_without_a_key,
        13 appending::damaged_and_foreign_batches_are_refused,
        14 appending::every_codec_passes_through_unchanged,
        15 lookup::deleting_records_moves_the_start,
        16 lookup::offsets_are_found_by_place_and_by_time,
        17 operations::topics_come_change_and_go,
        18 operations::groups_and_offsets_are_kept,
        19 recovery::a_checkpoint_and_entries_equal_replay_from_zero,
        20 recovery::the_head_hint_may_be_missing_wrong_or_garbage,
        21 damage::a_missing_entry_is_noticed,
        22 damage::damaged_objects_are_noticed,
        23 damage::newer_and_foreign_objects_are_refused,
        24 probing::the_probe_passes_here_and_refuses_rogues,
        25 fetching::a_long_poll_is_woken_by_the_commit,
        26 fetching::budgets_bound_a_fetch_but_one_batch_always_comes,
        27 caching::what_left_the_tail_is_read_once_and_cached,
        28 caching::a_replay_has_its_own_pool,
        29 fetching::a_stale_node_does_not_say_no,
        30 operations::producer_ids_are_given_out_once,
        31 faults::a_slot_is_resolved_through_every_fault,
        32 faults::a_segment_is_put_through_every_fault,
        33 faults::reads_fail_aloud_or_not_at_all,
        34 faults::recovery_survives_or_fails_aloud,
        35 timeouts::an_unknown_outcome_is_never_called_a_failure,
        36 timeouts::a_drain_answers_everything,
        37 timeouts::bytes_in_flight_are_bounded,
        38 timeouts::a_writer_that_froze_acknowledges_nothing,
    }
    assert!(failed.is_empty(), "failed on {}: {failed:?}", place.name);
}

#[test]
fn memory() {
    Runtime::simulate(1, |runtime| async move { run(places::memory(&runtime)).await });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder() {
    let folder = tempfile::tempdir().unwrap();
    run(places::folder(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio() {
    if let Some(place) = places::server("conformance", "minio") {
        run(place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto() {
    if let Some(place) = places::server("conformance", "moto") {
        run(place).await;
    }
}

/// Not a store for Alluvium, as docs/guides/object-stores.md says.
#[tokio::test]
async fn s3rver() {
    if let Some(place) = places::server("conformance", "s3rver") {
        probing::the_probe_refuses(&place).await;
    }
}
