//! What clients do. They write down what they asked and heard; whether that was right is for the checkers to say.

mod admin;
mod consumer;
mod copy;
mod group;
mod producer;
mod session;
mod transaction;

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::JoinHandle;
use alluvium_record::TopicPartition;

use crate::cluster::Cluster;
use crate::history::{Operation, Outcome};
use crate::random::Random;

/// One client.
pub(crate) struct Client {
    cluster: Arc<Cluster>,
    number: u32,
    random: Random,
}

impl Client {
    fn new(cluster: &Arc<Cluster>, number: u32) -> Self {
        let random = cluster.world.random(0xc11e_4700 + u64::from(number));
        Self { cluster: cluster.clone(), number, random }
    }

    /// Whether there is still something to do, and time to do it.
    fn goes_on(&self) -> bool {
        !self.cluster.world.is_healed()
    }

    fn any_node(&mut self) -> u32 {
        self.random.below(self.cluster.nodes.len() as u64) as u32
    }

    fn any_partition(&mut self) -> TopicPartition {
        self.random.pick(&self.cluster.partitions())
    }

    async fn pause(&mut self, ms_max: u64) {
        // Files take seconds to come into being, and clients are to read and write meanwhile.
        let slowly = if self.cluster.world.scenario.compacts { 20 } else { 1 };
        let pause = Duration::from_micros(self.random.below(ms_max * 1000 + 1)) * slowly;
        self.cluster.world.runtime.sleep(pause).await;
    }

    async fn call(&mut self, operation: Operation, wait: Duration) -> Outcome {
        let node = self.any_node();
        self.cluster.call(self.number, node, operation, wait).await
    }
}

/// Starts all clients of the scenario.
pub fn start(cluster: &Arc<Cluster>) -> Vec<JoinHandle<()>> {
    let scenario = cluster.world.scenario.clone();
    let runtime = cluster.world.runtime.clone();
    let mut number = 0;
    let mut clients = Vec::new();
    let mut next = || {
        number += 1;
        Client::new(cluster, number)
    };
    for _ in 0..scenario.idempotent {
        clients.push(runtime.spawn("idempotent producer", producer::idempotent(next(), scenario.operations)));
    }
    for _ in 0..scenario.plain {
        clients.push(runtime.spawn("plain producer", producer::plain(next(), scenario.operations)));
    }
    for _ in 0..scenario.streams {
        clients.push(runtime.spawn("stream", producer::stream(next(), scenario.operations)));
    }
    for index in 0..scenario.consumers {
        clients.push(runtime.spawn("consumer", consumer::consume(next(), scenario.operations, index % 2 == 0)));
    }
    for _ in 0..scenario.committers {
        clients.push(runtime.spawn("committer", group::commit_and_read_back(next(), scenario.operations)));
    }
    for _ in 0..scenario.members {
        clients.push(runtime.spawn("member", group::member(next(), scenario.operations)));
    }
    for index in 0..scenario.transactional {
        // Two clients share an id, one of each kind every other time.
        let (id, modern) = (format!("tx{}", index / 2), (index + index / 2) % 2 == 0);
        let writing = transaction::write(next(), scenario.operations, id, modern);
        clients.push(runtime.spawn("transactional producer", writing));
    }
    for index in 0..scenario.copiers {
        clients.push(runtime.spawn("copier", copy::copy(next(), scenario.operations, index % 2 == 0)));
    }
    for _ in 0..scenario.admins {
        clients.push(runtime.spawn("admin", admin::administer(next(), scenario.operations / 2)));
    }
    if scenario.shards_later > scenario.shards {
        clients.push(runtime.spawn("growth", admin::grow(next(), scenario.shards_later)));
    }
    clients
}
