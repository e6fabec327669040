//! The checkers: predicates over a history, each with the number of its invariant.
//!
//! Invariants: a checker reads the history and the bytes in the bucket, never the workload; it decodes the log by itself
//! ([`durable`]) and trusts the product's state only where that state is what is being checked.

mod compaction;
mod divergence;
pub mod durable;
pub mod durable_transactions;
mod groups;
mod isolation;
mod offsets;
mod producers;
mod reads;
mod slots;
mod transactions;
mod waiting;

use alluvium_log::paths::ClusterPaths;

use crate::history::History;
use crate::world::Replayed;
pub(crate) use compaction::DELETE_RETENTION_MS;
use durable::Durable;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in docs/internals/invariants.md; 0 for a panic.
    pub invariant: u8,
    /// What was found.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "invariant {}: {}", self.invariant, self.what)
    }
}

/// Collects violations, a few of each kind.
#[derive(Debug, Default)]
pub(crate) struct Violations {
    found: Vec<Violation>,
}

/// Violations of one invariant that are reported; more say the same.
const EACH_MAX: usize = 5;

impl Violations {
    pub(crate) fn add(&mut self, invariant: u8, what: impl Into<String>) {
        if self.found.iter().filter(|violation| violation.invariant == invariant).count() < EACH_MAX {
            self.found.push(Violation { invariant, what: what.into() });
        }
    }

    pub(crate) fn require(&mut self, invariant: u8, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.add(invariant, what());
        }
    }
}

/// Checks everything. `replayed` holds the states of each shard after each entry, from zero.
#[must_use]
pub fn check(history: &History, replayed: &Replayed, paths: &ClusterPaths) -> Vec<Violation> {
    let mut violations = Violations::default();
    for (invariant, what) in &history.findings {
        violations.add(*invariant, what.clone());
    }
    match Durable::read(history, paths) {
        Ok(durable) => {
            producers::acknowledged(history, &durable, &mut violations);
            offsets::check(history, &durable, &mut violations);
            reads::durable(history, &durable, &mut violations);
            producers::once(history, &durable, &mut violations);
            producers::in_order(history, &durable, &mut violations);
            slots::refused(history, &durable, &mut violations);
            slots::reused(history, &durable, &mut violations);
            groups::offsets_are_fresh(history, &durable, &mut violations);
            groups::only_coordinators_write(history, &mut violations);
            groups::partitions_have_one_owner(history, &mut violations);
            transactions::check(history, &durable, &mut violations);
            isolation::check(history, &durable, &mut violations);
            compaction::check(history, &durable, replayed, &mut violations);
            waiting::woken(history, &durable, &mut violations);
        }
        Err(problem) => violations.add(8, problem),
    }
    divergence::check(history, replayed, paths, &mut violations);
    slots::objects_exist(history, paths, &mut violations);
    waiting::check(history, &mut violations);
    violations.found
}
