//! Producers: idempotent ones, which send a batch until they know its fate, plain ones, which send it once, and streams of them.
//!
//! An idempotent producer has up to five batches of a partition in flight. As with Kafka's clients, a later batch is not sent
//! before the one five places ahead of it is answered, and the first of a partition goes alone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::JoinHandle;
use alluvium_record::TopicPartition;

use super::Client;
use crate::cluster::Cluster;
use crate::history::{Operation, Outcome};
use crate::random::Random;

const IN_FLIGHT_MAX: usize = 5;
const WAIT: Duration = Duration::from_secs(12);

#[derive(Default)]
struct Sequence {
    next: i32,
    in_flight: VecDeque<JoinHandle<()>>,
}

pub(super) async fn idempotent(mut client: Client, operations: u32) {
    let id = loop {
        match client.call(Operation::AllocateProducerId, WAIT).await {
            Outcome::ProducerId(id) => break id,
            _ => client.pause(200).await,
        }
    };
    let mut sequences: BTreeMap<TopicPartition, Sequence> = BTreeMap::new();
    for _ in 0..operations {
        if !client.goes_on() {
            break;
        }
        let topic_partition = client.any_partition();
        let count = client.random.between(1, 3) as u32;
        let sequence = sequences.entry(topic_partition).or_default();
        while sequence.in_flight.len() >= IN_FLIGHT_MAX {
            let Some(first) = sequence.in_flight.pop_front() else { break };
            // The task ends only when its batch is answered.
            let _ended = first.await;
        }
        let operation = Operation::Produce {
            topic_partition,
            batch: client.cluster.world.next_batch(),
            count,
            producer: Some((id, 0, sequence.next)),
            part: None,
        };
        let is_first = sequence.next == 0;
        sequence.next += count as i32;
        let random = Random::new(client.random.bits(), 1);
        let sending = send(client.cluster.clone(), client.number, random, operation);
        if is_first {
            sending.await;
        } else {
            sequence.in_flight.push_back(client.cluster.world.runtime.spawn("batch", sending));
        }
        client.pause(60).await;
    }
    for sending in sequences.into_values().flat_map(|sequence| sequence.in_flight) {
        let _ended = sending.await;
    }
}

/// Sends one batch until it is known to be written.
async fn send(cluster: Arc<Cluster>, client: u32, mut random: Random, operation: Operation) {
    let mut pause_ms_max = 150;
    loop {
        let node = random.below(cluster.nodes.len() as u64) as u32;
        if let Outcome::Produced { .. } = cluster.call(client, node, operation.clone(), WAIT).await {
            return;
        }
        cluster.world.runtime.sleep(Duration::from_millis(random.between(5, pause_ms_max))).await;
        pause_ms_max = (pause_ms_max * 5 / 4).min(5_000);
    }
}

pub(super) async fn plain(mut client: Client, operations: u32) {
    for _ in 0..operations {
        if !client.goes_on() {
            break;
        }
        let operation = Operation::Produce {
            topic_partition: client.any_partition(),
            batch: client.cluster.world.next_batch(),
            count: client.random.between(1, 4) as u32,
            producer: None,
            part: None,
        };
        if client.random.chance(300) {
            // Fire and go on.
            let (cluster, number, node) = (client.cluster.clone(), client.number, client.any_node());
            let runtime = cluster.world.runtime.clone();
            drop(runtime.spawn("batch", async move {
                let _outcome = cluster.call(number, node, operation, WAIT).await;
            }));
        } else {
            client.call(operation, WAIT).await;
        }
        client.pause(80).await;
    }
}

/// Batches of one stream for each operation of other clients.
const STREAMED_EACH: u32 = 4;

/// Sends batches for one partition to one node, one after the other, whatever becomes of those before.
pub(super) async fn stream(mut client: Client, operations: u32) {
    let (node, topic_partition) = (client.any_node(), client.any_partition());
    for _ in 0..operations * STREAMED_EACH {
        if !client.goes_on() {
            break;
        }
        let batch = client.cluster.world.next_batch();
        let operation = Operation::Produce { topic_partition, batch, count: 1, producer: None, part: None };
        let (cluster, number) = (client.cluster.clone(), client.number);
        drop(client.cluster.world.runtime.spawn("batch", async move {
            let _outcome = cluster.call(number, node, operation, WAIT).await;
        }));
        client.pause(120).await;
    }
}
