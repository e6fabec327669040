//! Transactions, as the log knows them: the same on every node.

use std::collections::BTreeMap;

use alluvium_coordinator::transaction::status_name;
use alluvium_infra::metrics::Exposition;
use alluvium_log::{TransactionStatus, View};
use alluvium_record::TopicPartition;

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node, view: &View) {
    let mut by_status: BTreeMap<TransactionStatus, u64> = BTreeMap::new();
    let mut oldest_ms: Option<i64> = None;
    for shard in node.log.shards() {
        for record in shard.state().transactions() {
            *by_status.entry(record.status).or_default() += 1;
            if record.status == TransactionStatus::Ongoing {
                oldest_ms = Some(oldest_ms.map_or(record.started_ms, |oldest| oldest.min(record.started_ms)));
            }
        }
    }
    let mut ids = exposition.family(&metric::TRANSACTIONAL_IDS);
    for (status, count) in by_status {
        ids.value(&[status_name(status)], count);
    }
    let open_ms = oldest_ms.map_or(0, |oldest_ms| (node.runtime.now_ms() - oldest_ms).max(0));
    exposition.value(&metric::TRANSACTION_OPEN_MAX, open_ms as f64 / 1000.0);
    exposition.value(&metric::PARTITIONS_HELD, held(view));
}

/// Partitions whose last stable offset is not their end.
fn held(view: &View) -> u64 {
    let partitions = view
        .topics()
        .flat_map(|topic| (0..topic.partition_count).map(|partition| TopicPartition { topic: topic.id, partition }));
    let is_held = |place: &TopicPartition| {
        view.partition(*place).is_some_and(|found| found.last_stable_offset() < found.high_watermark())
    };
    partitions.filter(is_held).count() as u64
}
