//! Invariant 5: the state after an entry is the same everywhere: on every node, in every checkpoint, and from zero.

use std::collections::BTreeMap;

use alluvium_log::State;
use alluvium_log::format::checkpoint;
use alluvium_log::paths::ClusterPaths;
use alluvium_record::ShardId;

use super::Violations;
use crate::history::History;
use crate::world::Replayed;

pub(super) fn check(history: &History, replayed: &Replayed, paths: &ClusterPaths, violations: &mut Violations) {
    let mut expected: BTreeMap<(ShardId, u64), Vec<u8>> = BTreeMap::new();
    let mut compare = |state: &State, who: String, violations: &mut Violations| {
        let (shard, number) = (state.shard(), state.entry_number());
        if number == 0 {
            return;
        }
        let Some(truth) = replayed.get(&shard).and_then(|states| states.get(number as usize)) else {
            violations.add(3, format!("{who} has published entry {number} of shard {shard}, which was never durable"));
            return;
        };
        let bytes = expected.entry((shard, number)).or_insert_with(|| checkpoint::state_bytes(truth));
        violations.require(5, *bytes == checkpoint::state_bytes(state), || {
            format!("{who} has another state of shard {shard} after entry {number} than a replay from zero")
        });
    };
    for sample in &history.samples {
        compare(&sample.state, format!("node {} (start {})", sample.node, sample.incarnation), violations);
    }
    for (path, bytes) in &history.objects {
        if !replayed.keys().any(|shard| path.starts_with(&paths.shard(*shard).checkpoint_prefix())) {
            continue;
        }
        match checkpoint::decode(bytes) {
            Ok(state) => compare(&state, path.clone(), violations),
            Err(error) => violations.add(5, format!("{path}: {error}")),
        }
    }
    for (shard, states) in replayed {
        let newest = states.len() as u64 - 1;
        let end = history.final_states.get(shard).map(|state| state.entry_number());
        // A run that found no fresh node has said so.
        violations.require(1, history.final_states.is_empty() || end == Some(newest), || {
            format!("a fresh node ends at entry {end:?} of shard {shard}, the log at {newest}")
        });
    }
    for state in history.final_states.values() {
        if let Err(broken) = alluvium_log::invariants::check_state(state) {
            violations.add(broken.number, broken.what);
        }
    }
}
