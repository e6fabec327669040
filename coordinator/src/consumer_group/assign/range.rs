//! The range assignor: static members by instance id, then the others by member id, share each topic in that order.

use std::collections::BTreeSet;

use alluvium_record::TopicPartition;

use super::AssignorInput;

pub(super) fn assign(input: &AssignorInput<'_>) -> Vec<BTreeSet<TopicPartition>> {
    let mut given = vec![BTreeSet::new(); input.members.len()];
    for (topic, (partition_count, mut subscribers)) in input.topics() {
        subscribers.sort_by_key(|index| {
            let member = &input.members[*index];
            (member.instance_id.is_none(), member.instance_id, member.member_id)
        });
        let share = partition_count / subscribers.len() as i32;
        let larger_shares = partition_count % subscribers.len() as i32;
        let mut next = 0;
        for (rank, member) in subscribers.into_iter().enumerate() {
            let end = next + share + i32::from((rank as i32) < larger_shares);
            given[member].extend((next..end).map(|partition| TopicPartition::new(topic, partition)));
            next = end;
        }
    }
    given
}
