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
            Operation::FetchOffset { group, topic_partition }
        };
        let node = coordinator(&mut client);
        client.cluster.call(client.number, node, operation, WAIT).await;
        client.pause(150).await;
    }
}

/// Clients follow the advice of who coordinates, most of the time.
fn coordinator(client: &mut Client) -> u32 {
    if client.random.chance(900) { client.cluster.world.leader() } else { client.any_node() }
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
        let node = coordinator(&mut client);
        let Some(current) = generation else {
            generation = join(&mut client, node, &group, &mut member).await;
            client.pause(100).await;
            continue;
        };
        let topic_partition = client.cluster.partitions()[1];
        let operation = match client.random.below(4) {
            0 => Operation::Heartbeat { group: group.clone(), member: member.clone(), generation: current },
            1 => Operation::FetchOffset { group: group.clone(), topic_partition },
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
            let assignments =
                members.into_iter().map(|member| (member.clone(), format!("{member} at {generation}"))).collect();
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
