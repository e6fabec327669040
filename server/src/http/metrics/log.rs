//! Where the log stands, and what is in it.

use alluvium_infra::metrics::Exposition;
use alluvium_log::{Topic, View};
use alluvium_record::TopicPartition;

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node, view: &View, topic_series_max: usize) {
    let (shards, now) = (node.log.shards(), node.runtime.monotonic());
    let mut entries = exposition.family(&metric::SHARD_ENTRY);
    for shard in &shards {
        entries.value(&[&shard.id().to_string()], shard.state().entry_number());
    }
    let mut ages = exposition.family(&metric::SHARD_LOOK_AGE);
    for shard in &shards {
        if let Some(looked_at) = shard.counters().looked_at() {
            let age = now.saturating_duration_since(looked_at);
            ages.value(&[&shard.id().to_string()], age.as_secs_f64());
        }
    }
    let mut looks = exposition.family(&metric::SHARD_LOOKS);
    for shard in &shards {
        looks.value(&[&shard.id().to_string()], shard.counters().looks.get());
    }
    exposition.value(&metric::TOPICS, view.topic_count());
    exposition.value(&metric::PARTITIONS, view.partition_count());
    topics(exposition, view, topic_series_max);
}

fn topics(exposition: &mut Exposition, view: &View, topic_series_max: usize) {
    let shown: Vec<&Topic> = view.topics().take(topic_series_max).collect();
    let mut records = exposition.family(&metric::TOPIC_RECORDS);
    for topic in &shown {
        let ends = (0..topic.partition_count).filter_map(|partition| {
            let found = view.partition(TopicPartition { topic: topic.id, partition })?;
            u64::try_from(found.high_watermark()).ok()
        });
        records.value(&[&topic.name], ends.sum::<u64>());
    }
    let mut partitions = exposition.family(&metric::TOPIC_PARTITIONS);
    for topic in &shown {
        partitions.value(&[&topic.name], i64::from(topic.partition_count));
    }
    exposition.value(&metric::TOPIC_OMITTED, view.topic_count().saturating_sub(shown.len()));
}
