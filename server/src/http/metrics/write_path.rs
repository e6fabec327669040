//! Batches, flushes, commits and what is forwarded.

use alluvium_infra::metrics::{Exposition, LatencySnapshot};
use alluvium_ingest::{BatchOutcome, FlushKind};
use alluvium_log::{ForwardOutcome, Shard};

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node) {
    let counters = node.ingest.counters();
    let mut batches = exposition.family(&metric::PRODUCE_BATCHES);
    for outcome in BatchOutcome::ALL {
        batches.value(&[outcome.name()], counters.batches(outcome));
    }
    exposition.value(&metric::PRODUCE_RECORDS, counters.records());
    exposition.value(&metric::PRODUCE_RECORD_BYTES, counters.record_bytes());
    let mut flushes = exposition.family(&metric::FLUSHES);
    for kind in FlushKind::ALL {
        flushes.value(&[kind.name()], counters.flushes(kind));
    }
    let mut bytes = exposition.family(&metric::FLUSH_BYTES);
    for kind in FlushKind::ALL {
        bytes.value(&[kind.name()], counters.flush_bytes(kind));
    }
    exposition.family(&metric::FLUSH_DURATION).latencies(&[], &counters.flush_latencies());
    commits(exposition, &node.log.shards());
}

fn commits(exposition: &mut Exposition, shards: &[Shard]) {
    let commits = shards.iter().map(|shard| shard.counters().commits.snapshot());
    let all = commits.reduce(|all, one| all.plus(&one)).unwrap_or_else(LatencySnapshot::default);
    exposition.family(&metric::COMMIT_DURATION).latencies(&[], &all);
    let mut applied = exposition.family(&metric::ENTRIES_APPLIED);
    for shard in shards {
        let (id, counters) = (shard.id().to_string(), shard.counters());
        applied.value(&[&id, "own"], counters.entries_own.get());
        applied.value(&[&id, "pushed"], counters.entries_pushed.get());
        applied.value(&[&id, "read"], counters.entries_read.get());
    }
    let mut lost = exposition.family(&metric::SLOTS_LOST);
    for shard in shards {
        lost.value(&[&shard.id().to_string()], shard.counters().slots_lost.get());
    }
    let mut forwards = exposition.family(&metric::FORWARDS);
    for outcome in ForwardOutcome::ALL {
        let count: u64 = shards.iter().map(|shard| shard.counters().forwards(outcome)).sum();
        forwards.value(&[outcome.name()], count);
    }
}
