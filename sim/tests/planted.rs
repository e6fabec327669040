//! Checkers that can fail: each bug that can be planted is found within a bounded number of seeds, and by the right one.

#![cfg(feature = "planted-bugs")]

use alluvium_infra::planted::{Bug, plant};
use alluvium_sim::run::{RunOptions, run};
use alluvium_sim::scenario::by_name;

/// Plants `bug` and looks for it. One of `invariants` has to be among what is violated.
fn is_found(bug: Bug, scenario: &str, seeds_max: u64, invariants: &[u8]) {
    let scenario = by_name(scenario).expect("the scenario exists");
    plant(Some(bug));
    for seed in 0..seeds_max {
        let report = run(&RunOptions { seed, scenario, only: None, tracing: false });
        if report.violations.iter().any(|violation| invariants.contains(&violation.invariant)) {
            plant(None);
            let report = run(&RunOptions { seed, scenario, only: None, tracing: false });
            assert_eq!(report.violations, [], "seed {seed} without the bug");
            return;
        }
    }
    panic!("{bug:?} was not found in {seeds_max} seeds of {}", scenario.name);
}

#[test]
fn acknowledging_before_the_entry_is_durable() {
    is_found(Bug::AcknowledgeBeforeDurable, "race", 20, &[1, 6]);
}

#[test]
fn taking_412_for_lost_without_reading_the_slot() {
    is_found(Bug::ExistsMeansLost, "store", 60, &[4, 6]);
}

#[test]
fn taking_412_for_won_without_reading_the_slot() {
    is_found(Bug::ExistsMeansWon, "race", 20, &[1, 3, 5, 6]);
}

#[test]
fn writing_a_repeated_batch_again() {
    is_found(Bug::SkipDuplicateCheck, "network", 20, &[4]);
}

#[test]
fn refusing_from_a_stale_head() {
    is_found(Bug::RejectFromStaleHead, "race", 20, &[10]);
}

#[test]
fn showing_an_entry_before_it_holds_its_slot() {
    is_found(Bug::PublishBeforeWin, "race", 20, &[3]);
}

#[test]
fn answering_unknown_as_not_written() {
    is_found(Bug::UnknownIsNotWritten, "store", 60, &[6]);
}

#[test]
fn acknowledging_into_a_slot_that_was_collected() {
    is_found(Bug::SkipClockRule, "freeze", 60, &[7]);
}

#[test]
fn answering_from_a_stale_head() {
    is_found(Bug::StaleCatchUp, "race", 20, &[2, 10]);
}

#[test]
fn forgetting_on_replay_what_was_planned() {
    is_found(Bug::ReplayForgets, "race", 20, &[5, 10]);
}

#[test]
fn waking_nobody() {
    is_found(Bug::NoWake, "store", 60, &[12]);
}

#[test]
fn giving_room_back_too_early() {
    is_found(Bug::PermitDroppedEarly, "pressure", 20, &[12]);
}

#[test]
fn deleting_more_records_than_were_asked_to_go() {
    is_found(Bug::LogStartTooFar, "admin", 60, &[1, 2]);
}

#[test]
fn collecting_what_is_referred_to() {
    is_found(Bug::CollectReachable, "freeze", 20, &[8]);
}

#[test]
fn collecting_entries_that_wait_for_a_transaction_to_end() {
    is_found(Bug::CollectReachable, "compaction", 20, &[8]);
}

#[test]
fn applying_a_pushed_entry_that_does_not_follow() {
    is_found(Bug::PushWithoutCheck, "linked", 20, &[3, 5]);
}

#[test]
fn telling_nobody_of_a_win() {
    is_found(Bug::NoPush, "healthy", 20, &[12]);
}

#[test]
fn looking_for_no_entries_of_others() {
    is_found(Bug::NoProbe, "alone", 20, &[12]);
}

#[test]
fn committing_here_what_may_be_committed_elsewhere() {
    is_found(Bug::ForwardedTwice, "linked", 60, &[4]);
}

#[test]
fn committing_again_what_was_refused_in_part() {
    is_found(Bug::ForwardedAgainWhole, "linked", 200, &[4]);
}

#[test]
fn letting_a_later_append_overtake() {
    is_found(Bug::RouterOvertakes, "split", 150, &[4]);
}

#[test]
fn commanding_without_an_epoch() {
    is_found(Bug::CoordinatorWithoutEpoch, "coordinators", 60, &[10]);
}

#[test]
fn reading_offsets_back_from_memory() {
    is_found(Bug::OffsetsFromMemory, "coordinators", 60, &[10]);
}

#[test]
fn leaving_out_the_markers_of_one_shard() {
    is_found(Bug::MarkerLeftOut, "transactions", 20, &[9]);
}

#[test]
fn letting_batches_into_what_has_ended() {
    is_found(Bug::EndedTakesMore, "zombies", 100, &[0, 9]);
}

#[test]
fn ending_with_the_epoch_of_before() {
    is_found(Bug::MarkerKeepsEpoch, "one-shard", 20, &[9]);
}

#[test]
fn taking_what_is_open_for_stable() {
    is_found(Bug::OpenIsStable, "transactions", 20, &[9]);
}

#[test]
fn leaving_to_others_what_was_decided() {
    is_found(Bug::DecisionLeftToOthers, "four-shards", 100, &[9]);
}

#[test]
fn reading_back_offsets_of_an_open_transaction() {
    is_found(Bug::PendingOffsetsShow, "one-shard", 60, &[9]);
}

#[test]
fn forgetting_that_a_transaction_was_aborted() {
    is_found(Bug::AbortForgotten, "one-shard", 20, &[9]);
}

#[test]
fn letting_any_producer_into_a_transaction() {
    is_found(Bug::ProducerNotCompared, "one-shard", 100, &[9]);
}

#[test]
fn collecting_before_the_grace_is_over() {
    is_found(Bug::CollectWithoutGrace, "compaction", 10, &[8]);
}

#[test]
fn never_looking_for_what_nobody_named() {
    is_found(Bug::OrphansStay, "compaction", 20, &[8]);
}

#[test]
fn leaving_a_record_out_of_a_merge() {
    is_found(Bug::MergeDropsRecord, "compaction", 10, &[1, 11]);
}

#[test]
fn leaving_a_record_out_and_out_of_the_sum() {
    is_found(Bug::SumsNotConserved, "compaction", 10, &[11]);
}

#[test]
fn compacting_the_newest_record_of_a_key_away() {
    is_found(Bug::NewestOfKeyGoes, "compaction", 10, &[11]);
}

#[test]
fn forgetting_tombstones_before_anybody_saw_them() {
    is_found(Bug::TombstonesGoAtOnce, "compaction", 60, &[11]);
}

#[test]
fn taking_a_file_for_runs_that_were_deleted() {
    is_found(Bug::ReplacementWins, "compaction", 40, &[11]);
}

#[test]
fn retaining_less_than_may_be_kept() {
    is_found(Bug::RetentionTakesOneMore, "compaction", 10, &[11]);
}

#[test]
fn giving_two_producers_one_identity() {
    is_found(Bug::InitLeavesOpen, "one-shard", 60, &[4, 9]);
}
