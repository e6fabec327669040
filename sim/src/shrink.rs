//! Which of the faults of a failing run matter: delta debugging over the fault list (Zeller, Hildebrandt 2002).
//!
//! Invariant: what is returned was run, and broke the same invariant.

use std::collections::BTreeSet;

use crate::run::{RunOptions, run};

/// Runs that are spent at most.
const RUNS_MAX: u32 = 200;

/// The keys of a few faults with which the run still breaks `invariant`.
#[must_use]
pub fn shrink(options: &RunOptions, invariant: u8, keys: &[u64]) -> BTreeSet<u64> {
    let mut keys: Vec<u64> = keys.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mut runs = 0;
    let mut fails = |keys: &[u64]| {
        runs += 1;
        let options = RunOptions { only: Some(keys.iter().copied().collect()), tracing: false, ..options.clone() };
        runs <= RUNS_MAX && run(&options).violations.iter().any(|violation| violation.invariant == invariant)
    };
    if fails(&[]) {
        return BTreeSet::new();
    }
    let mut parts = 2;
    while keys.len() > 1 {
        let size = keys.len().div_ceil(parts);
        let chunks: Vec<Vec<u64>> = keys.chunks(size).map(<[u64]>::to_vec).collect();
        let without = |index: usize| -> Vec<u64> {
            chunks
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .flat_map(|(_, chunk)| chunk.clone())
                .collect()
        };
        if let Some(chunk) = chunks.iter().find(|chunk| fails(chunk)) {
            keys = chunk.clone();
            parts = 2;
        } else if let Some(rest) = (0..chunks.len()).map(without).find(|rest| fails(rest)) {
            keys = rest;
            parts = (parts - 1).max(2);
        } else if parts >= keys.len() {
            break;
        } else {
            parts = (parts * 2).min(keys.len());
        }
    }
    keys.into_iter().collect()
}
