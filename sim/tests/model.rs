//! The small model of the commit protocol: nothing is found in the protocol as it is meant, and each mistake is found.
//!
//! `cargo test -p alluvium-sim --test model -- --nocapture` prints how far each search went and the trace of each mistake.

#[path = "../src/model.rs"]
pub mod model;

use alluvium_infra::Runtime;
use model::bug::{Bug, Bugs};
use model::world::Violation;
use model::{Bounds, Report, explore};

/// A crash and a restart, a put that lands late, and a collection, with three operations.
const ALL_AT_ONCE: Bounds =
    Bounds { ticks: 1, kept_ticks: 1, crashes: 1, late_puts: 1, looks: 0, operations: [1, 2], states_max: 20_000_000 };

/// The same with one operation each.
const SMALL: Bounds = Bounds { operations: [1, 1], ..ALL_AT_ONCE };

/// Three operations and a crash.
const WITH_CRASH: Bounds = Bounds { late_puts: 0, ..ALL_AT_ONCE };

/// Three operations and a put that lands late.
const WITH_LATE_PUT: Bounds = Bounds { crashes: 0, ..ALL_AT_ONCE };

/// Time in halves of the retention, so that a node is late before anything is collected.
const BY_HALVES: Bounds = Bounds { ticks: 2, kept_ticks: 2, late_puts: 0, ..SMALL };

/// Collection happens twice, and what was written between is collected as well.
const TWO_COLLECTIONS: Bounds = Bounds { ticks: 2, crashes: 0, ..SMALL };

/// Readers ask for the end of the log between commits.
const WITH_READERS: Bounds = Bounds { late_puts: 0, looks: 1, ..SMALL };

#[allow(clippy::print_stdout, reason = "how far a search went, and its trace, are what a reader of the test wants")]
fn search(name: &str, bounds: Bounds, bugs: Bugs) -> Report {
    let runtime = Runtime::system();
    let started = runtime.monotonic();
    let report = explore(bounds, bugs);
    let elapsed = runtime.monotonic().duration_since(started);
    println!(
        "{name}: {} states, {} steps, depth {}, {:.1} s, {}",
        report.states,
        report.steps,
        report.depth,
        elapsed.as_secs_f64(),
        if report.complete { "complete" } else { "ended early" },
    );
    if let Some(found) = &report.counterexample {
        println!("broken: {}\n{}", found.violation.describe(), found.trace);
    }
    report
}

fn holds(name: &str, bounds: Bounds) {
    let report = search(name, bounds, Bugs::NONE);
    assert!(report.counterexample.is_none(), "{name}: the protocol breaks an invariant, see the trace");
    assert!(report.complete, "{name}: the search did not reach its end");
}

fn finds(bug: Bug, violation: Violation) {
    finds_within(ALL_AT_ONCE, bug, violation);
}

fn finds_within(bounds: Bounds, bug: Bug, violation: Violation) {
    let report = search(&format!("{bug:?}"), bounds, Bugs::of(&[bug]));
    let found = report.counterexample.expect("the search finds this mistake");
    assert_eq!(found.violation, violation);
    let trace = found.trace.to_string();
    assert_eq!(trace.lines().count(), found.trace.steps.len(), "one line a step");
    // The search is deterministic: the same mistake has the same trace.
    if report.states < 5_000 {
        let again = explore(bounds, Bugs::of(&[bug])).counterexample.expect("found before");
        assert_eq!(again.trace.to_string(), trace);
    }
}

#[test]
fn holds_with_everything_at_once() {
    holds("everything at once", SMALL);
}

#[test]
fn holds_with_a_crash() {
    holds("three operations, a crash", WITH_CRASH);
}

#[test]
fn holds_with_a_late_put() {
    holds("three operations, a late put", WITH_LATE_PUT);
}

#[test]
fn holds_when_time_passes_by_halves() {
    holds("by halves", BY_HALVES);
}

#[test]
fn holds_when_collection_happens_twice() {
    holds("two collections", TWO_COLLECTIONS);
}

#[test]
fn holds_when_readers_ask_as_well() {
    holds("with readers", WITH_READERS);
}

#[test]
#[ignore = "a minute or two and 2 GiB: cargo test --release -p alluvium-sim --test model -- --ignored --nocapture"]
fn holds_with_more_of_everything() {
    holds("three operations, everything at once", ALL_AT_ONCE);
    holds("four operations, a crash", Bounds { operations: [2, 2], ..WITH_CRASH });
    holds("four operations, a late put", Bounds { operations: [2, 2], ..WITH_LATE_PUT });
    holds("three operations, everything, by halves", Bounds { ticks: 2, kept_ticks: 2, ..ALL_AT_ONCE });
}

#[test]
fn every_mistake_has_its_test() {
    let tests = include_str!("model.rs");
    for bug in Bug::ALL {
        assert!(tests.contains(&format!("Bug::{bug:?}, Violation::")), "nothing shows that {bug:?} is found");
    }
}

#[test]
fn finds_that_412_is_taken_for_lost() {
    finds(Bug::ExistsMeansLost, Violation::NotWrittenAppeared);
}

#[test]
fn finds_that_a_timeout_is_acknowledged() {
    finds(Bug::AcknowledgeOnTimeout, Violation::AcknowledgedIsGone);
}

#[test]
fn finds_that_a_new_id_goes_to_a_slot_in_doubt() {
    finds(Bug::NewIdWithoutReading, Violation::NotWrittenAppeared);
}

#[test]
fn finds_that_the_clock_rule_is_skipped() {
    finds(Bug::SkipClockRule, Violation::AcknowledgedIntoCollectedSlot);
}

#[test]
fn finds_that_the_catch_up_rule_is_skipped() {
    finds(Bug::SkipCatchUpRule, Violation::DoubtWithoutCause);
}

#[test]
fn finds_that_a_late_node_reads_on_from_its_state() {
    finds(Bug::SkipResync, Violation::LookMissedAcknowledged);
}

#[test]
fn finds_that_a_stale_head_refuses() {
    finds(Bug::RejectFromStaleHead, Violation::RejectedFromStaleHead);
}

#[test]
fn finds_that_unknown_is_called_not_written() {
    finds(Bug::UnknownIsNotWritten, Violation::NotWrittenAppeared);
}

#[test]
fn finds_that_a_lost_slot_counts_as_a_look() {
    finds(Bug::LossIsLook, Violation::NoPrefix);
}

#[test]
fn finds_that_a_lost_slot_is_certain() {
    finds_within(WITH_LATE_PUT, Bug::LossIsCertain, Violation::WrittenTwice);
}

#[test]
fn finds_that_a_look_is_dated_at_its_end() {
    finds(Bug::ClockAtEndOfLook, Violation::LookMissedAcknowledged);
}

#[test]
fn finds_that_the_hint_is_trusted() {
    finds_within(Bounds { late_puts: 0, ..SMALL }, Bug::TrustHint, Violation::LookMissedAcknowledged);
}

#[test]
fn finds_that_an_unreadable_slot_is_called_not_written() {
    finds(Bug::UnreadableIsNotWritten, Violation::NotWrittenAppeared);
}

#[test]
fn finds_that_replay_asks_no_clock() {
    finds(Bug::ReplayWithoutClock, Violation::LookMissedAcknowledged);
}

#[test]
fn finds_that_recovery_asks_no_clock() {
    finds(Bug::RecoverWithoutClock, Violation::LookMissedAcknowledged);
}

#[test]
fn finds_that_recovery_is_shown_before_the_clock_is_asked() {
    let bounds = Bounds { ticks: 2, late_puts: 0, ..SMALL };
    finds_within(bounds, Bug::ShowBeforeClock, Violation::StateWentBack);
}

#[test]
fn finds_that_a_fresh_checkpoint_lets_entries_go() {
    finds(Bug::CollectBehindFreshCheckpoint, Violation::LookMissedAcknowledged);
}
