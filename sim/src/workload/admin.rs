//! Administrators: topics come, grow, change and go; records are deleted.

use std::time::Duration;

use alluvium_record::{TopicId, TopicPartition};

use super::Client;
use crate::history::{Operation, Outcome};

const WAIT: Duration = Duration::from_secs(12);

pub(super) async fn administer(mut client: Client, operations: u32) {
    let mut mine: Option<TopicId> = None;
    for index in 0..operations {
        if !client.goes_on() {
            break;
        }
        if client.random.chance(350) {
            delete_records(&mut client).await;
            continue;
        }
        let operation = match (mine, client.random.below(5)) {
            (None, _) => {
                let topic = TopicId(client.cluster.world.runtime.random_uuid());
                mine = Some(topic);
                let name = format!("made-{}-{index}", client.number);
                Operation::CreateTopic { topic, name, partitions: 1, settings: Vec::new() }
            }
            (Some(topic), 0) => {
                mine = None;
                Operation::DeleteTopic { topic }
            }
            (Some(topic), 1) => Operation::CreatePartitions { topic, partitions: index as i32 + 2 },
            (Some(topic), 2) => Operation::AlterTopic { topic, value: format!("{}", 1000 + index) },
            (Some(topic), _) => Operation::Produce {
                topic_partition: TopicPartition { topic, partition: 0 },
                batch: client.cluster.world.next_batch(),
                count: 1,
                producer: None,
                part: None,
            },
        };
        client.call(operation, WAIT).await;
        client.pause(150).await;
    }
}

/// Deletes records of the third partition, up to somewhere in it.
async fn delete_records(client: &mut Client) {
    let partitions = client.cluster.partitions();
    let topic_partition = partitions[2];
    let list = Operation::ListOffsets { topic_partition, earliest: false, committed: false };
    if let Outcome::Offset(end) = client.call(list, WAIT).await {
        let before = client.random.below(end as u64 + 1) as i64;
        client.call(Operation::DeleteRecords { topic_partition, before }, WAIT).await;
    }
    client.pause(200).await;
}

/// Raises the number of shards in the middle of everything, then makes topics that lie on the new ones; everybody uses them.
pub(super) async fn grow(mut client: Client, count: u32) {
    client.pause(4_000).await;
    let raise = Operation::SetShardCount { count };
    while client.goes_on() && !matches!(client.call(raise.clone(), WAIT).await, Outcome::Done { .. }) {
        client.pause(300).await;
    }
    for index in 0..2 {
        if !client.goes_on() {
            return;
        }
        let (topic, partitions) = (TopicId(client.cluster.world.runtime.random_uuid()), 3);
        let create = Operation::CreateTopic { topic, name: format!("grown-{index}"), partitions, settings: Vec::new() };
        if let Outcome::Done { .. } = client.call(create, WAIT).await {
            client.cluster.topics.lock().push((topic, partitions));
        }
        client.pause(1_000).await;
    }
}
