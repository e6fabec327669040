//! Consumer groups and how far behind they are, as the log knows them: the same on every node.

use std::collections::BTreeMap;

use alluvium_infra::metrics::Exposition;
use alluvium_log::{GroupState, View};
use alluvium_record::TopicPartition;

use super::definitions as metric;
use crate::context::Node;

/// Groups and members of one protocol.
#[derive(Default)]
struct Count {
    groups: u64,
    members: u64,
}

pub(super) fn collect(exposition: &mut Exposition, node: &Node, view: &View, series_max: usize) {
    coordinators(exposition, node);
    let (mut classic, mut consumer, mut none) = (Count::default(), Count::default(), Count::default());
    for (_, group) in view.groups() {
        let (count, members) = match (group.consumer(), group.record()) {
            (Some(record), _) => (&mut consumer, record.members.size()),
            (None, Some(record)) => (&mut classic, record.members.len()),
            (None, None) => (&mut none, 0),
        };
        count.groups += 1;
        count.members += members as u64;
    }
    let mut groups = exposition.family(&metric::GROUPS);
    groups.value(&["classic"], classic.groups);
    groups.value(&["consumer"], consumer.groups);
    groups.value(&["none"], none.groups);
    let mut members = exposition.family(&metric::GROUP_MEMBERS);
    members.value(&["classic"], classic.members);
    members.value(&["consumer"], consumer.members);
    lag(exposition, view, series_max);
}

/// What this node coordinates.
fn coordinators(exposition: &mut Exposition, node: &Node) {
    let standing = node.groups.standing();
    let mut all: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (key, count) in standing.iter().flat_map(|shard| &shard.groups) {
        *all.entry(*key).or_default() += count;
    }
    let mut groups = exposition.family(&metric::COORDINATED);
    for ((kind, state), count) in all {
        groups.value(&[kind, state], count);
    }
    let mut epochs = exposition.family(&metric::COORDINATOR_EPOCH);
    for shard in &standing {
        if let Some(epoch) = shard.epoch {
            epochs.value(&[&shard.shard.to_string()], epoch);
        }
    }
    let mut take_overs = exposition.family(&metric::TAKE_OVERS);
    for shard in &standing {
        take_overs.value(&[&shard.shard.to_string()], shard.take_overs);
    }
}

fn lag(exposition: &mut Exposition, view: &View, series_max: usize) {
    let mut groups: Vec<(&str, &GroupState)> = view.groups().collect();
    groups.sort_unstable_by_key(|(name, _)| *name);
    let mut family = exposition.family(&metric::GROUP_LAG);
    let (mut shown, mut omitted) = (0, 0_u64);
    for (name, group) in groups {
        for (topic_partition, committed) in group.offsets() {
            if shown == series_max {
                omitted += 1;
                continue;
            }
            let Some((topic, lag)) = lag_of(view, *topic_partition, committed.offset) else { continue };
            family.value(&[name, topic, &topic_partition.partition.to_string()], lag);
            shown += 1;
        }
    }
    exposition.value(&metric::GROUP_OMITTED, omitted);
}

/// The topic's name and the records behind an offset; `None` for a partition that is gone. An offset before the first record
/// that is kept counts from that record.
fn lag_of(view: &View, topic_partition: TopicPartition, offset: i64) -> Option<(&str, i64)> {
    let topic = view.topic(topic_partition.topic)?;
    let partition = view.partition(topic_partition)?;
    let from = offset.max(partition.log_start_offset());
    Some((&topic.name, (partition.high_watermark() - from).max(0)))
}
