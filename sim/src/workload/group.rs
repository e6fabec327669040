//! Group members, and clients that commit offsets without being members.

use std::time::Duration;

use super::Client;
use crate::history::{Operation, Outcome};

const WAIT: Duration = Duration::from_secs(12);

/// Commits offsets of a group that others commit to as well, and reads them back from any node.
pub(super) async fn commit_and_read_back(mut client: Client, operations: u32) {
    for index in 0..operations {
        if !client.goes_on() {
            break;
        }
        let group = "shared".to_owned();
        let topic_partition = client.cluster.partitions()[0];
        let operation = if client.random.chance(500) {
            let tag = format!("c{}.{index}", client.number);
            let offset = i64::from(index);
            Operation::CommitOffset { group, topic_partition, offset, tag, member: None }
        } else {
            Operation::FetchOffset { group, topic_partition, stable: false }
        };
        let node = coordinator(&mut client, "shared");
        client.cluster.call(client.number, node, operation, WAIT).await;
        client.pause(150).await;
    }
}

/// Clients follow the advice of who coordinates, most of the time.
pub(super) fn coordinator(client: &mut Client, group: &str) -> u32 {
    let node = client.any_node();
    if client.random.chance(100) {
        return node;
    }
    if !client.cluster.world.scenario.linked {
        return client.cluster.world.leader();
    }
    // Whoever is asked tells what it knows; who is down tells nothing.
    let Some(running) = client.cluster.nodes[node as usize].running() else { return node };
    let Some(cluster) = &running.cluster else { return node };
    let leader = cluster.members().leader(running.log.group_shard(group)).map(|member| member.id.0);
    leader.and_then(|id| u32::try_from(id).ok()).unwrap_or(node)
}

/// A member of a group: joins, syncs, beats, commits, and joins again when it is told to.
pub(super) async fn member(mut client: Client, operations: u32) {
    let group = "team".to_owned();
    let mut member = String::new();
    let mut generation = None;
    for index in 0..operations {
        if !client.goes_on() {
            break;
        }
        let node = coordinator(&mut client, &group);
        let Some(current) = generation else {
            generation = join(&mut client, node, &group, &mut member).await;
            client.pause(100).await;
            continue;
        };
        let topic_partition = client.cluster.partitions()[1];
        let operation = match client.random.below(4) {
            0 => Operation::Heartbeat { group: group.clone(), member: member.clone(), generation: current },
            1 => Operation::FetchOffset { group: group.clone(), topic_partition, stable: false },
            _ => Operation::CommitOffset {
                group: group.clone(),
                topic_partition,
                offset: i64::from(index),
                tag: format!("m{}.{index}", client.number),
                member: Some((current, member.clone())),
            },
        };
        let outcome = client.cluster.call(client.number, node, operation, WAIT).await;
        // A member that is sent to another coordinator goes on there.
        if let Outcome::Refused(reason) = outcome
            && !reason.contains("does not coordinate")
        {
            if reason.contains("no such member") {
                member.clear();
            }
            generation = None;
        }
        client.pause(200).await;
    }
}

async fn join(client: &mut Client, node: u32, group: &str, member: &mut String) -> Option<i32> {
    let operation = Operation::Join { group: group.to_owned(), member: member.clone() };
    match client.cluster.call(client.number, node, operation, WAIT).await {
        Outcome::Joined { member: id, generation, members } => {
            *member = id;
            let assignments = assign(client, members);
            let operation =
                Operation::Sync { group: group.to_owned(), member: member.clone(), generation, assignments };
            match client.cluster.call(client.number, node, operation, WAIT).await {
                Outcome::Synced(_) => Some(generation),
                _ => None,
            }
        }
        Outcome::Refused(reason) => {
            if reason.contains("no such member") {
                member.clear();
            }
            None
        }
        _ => None,
    }
}

/// Partitions of a group's subscription.
const PARTITIONS: usize = 6;

/// Deals the partitions out, beginning with any member: two leaders of one generation would hardly agree.
fn assign(client: &mut Client, members: Vec<String>) -> Vec<(String, String)> {
    let count = members.len().max(1);
    let first = client.random.below(count as u64) as usize;
    let partitions_of = |index: usize| -> Vec<String> {
        let mine = (0..PARTITIONS).filter(|partition| (partition + first) % count == index);
        mine.map(|partition| format!("p{partition}")).collect()
    };
    let assignments = members.into_iter().enumerate();
    assignments.map(|(index, member)| (member, partitions_of(index).join(","))).collect()
}
