//! Invariant 5: the state after an entry is the same everywhere: on every node, in every checkpoint, and from zero.

use std::collections::BTreeMap;

use alluvium_log::State;
use alluvium_log::format::checkpoint;
use alluvium_log::paths::ShardPaths;

use super::Violations;
use crate::history::History;

pub(super) fn check(history: &History, replayed: &[State], paths: &ShardPaths, violations: &mut Violations) {
    let mut expected: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    let mut compare = |state: &State, who: String, violations: &mut Violations| {
        let number = state.entry_number();
        let Some(truth) = replayed.get(number as usize) else {
            violations.add(3, format!("{who} has published entry {number}, which was never durable"));
            return;
        };
        let bytes = expected.entry(number).or_insert_with(|| checkpoint::state_bytes(truth));
        violations.require(5, *bytes == checkpoint::state_bytes(state), || {
            format!("{who} has another state after entry {number} than a replay from zero")
        });
    };
    for sample in &history.samples {
        compare(&sample.state, format!("node {} (start {})", sample.node, sample.incarnation), violations);
    }
    for (path, bytes) in &history.objects {
        if !path.starts_with(&paths.checkpoint_prefix()) {
            continue;
        }
        match checkpoint::decode(bytes) {
            Ok(state) => compare(&state, path.clone(), violations),
            Err(error) => violations.add(5, format!("{path}: {error}")),
        }
    }
    if let Some(state) = &history.final_state {
        if let Err(broken) = alluvium_log::invariants::check_state(state) {
            violations.add(broken.number, broken.what);
        }
        let newest = replayed.len() as u64 - 1;
        violations.require(1, state.entry_number() == newest, || {
            format!("a fresh node ends at entry {}, the log at {newest}", state.entry_number())
        });
    }
}
