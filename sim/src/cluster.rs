//! The cluster and the network in front of it: how a client's request gets to a node and its answer back.
//!
//! Invariant: a client that hears nothing knows nothing: its operation is `Unknown`.

use std::sync::Arc;
use std::time::Duration;

use alluvium_cluster::testing::Network;
use alluvium_record::{TopicId, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::faults::NetworkFault;
use crate::history::{Microseconds, Operation, Outcome};
use crate::node::Node;
use crate::serve::serve;
use crate::world::World;

/// Nodes and what clients know about them.
pub struct Cluster {
    /// The world.
    pub world: Arc<World>,
    /// The nodes.
    pub nodes: Vec<Arc<Node>>,
    /// The network between them.
    pub network: Network,
    /// Topics that clients use, with their partitions: those that are there from the beginning, then those that came later.
    pub topics: Mutex<Vec<(TopicId, i32)>>,
}

type Answer = (Outcome, Microseconds);

impl Cluster {
    /// All partitions that clients use.
    #[must_use]
    pub fn partitions(&self) -> Vec<TopicPartition> {
        let partitions = |(topic, count): &(TopicId, i32)| {
            let topic = *topic;
            (0..*count).map(move |partition| TopicPartition { topic, partition })
        };
        self.topics.lock().iter().flat_map(partitions).collect()
    }

    /// Asks a node, and waits for its answer for so long.
    pub async fn call(self: &Arc<Self>, client: u32, node: u32, operation: Operation, wait: Duration) -> Outcome {
        let world = &self.world;
        let call = world.ask(client, node, operation.clone());
        let (fault, mut random) = world.network_fault(client);
        let there = Duration::from_micros(random.between(200, 3_000));
        let back = Duration::from_micros(random.between(200, 3_000));
        let mut arrivals = vec![there];
        match fault {
            Some(NetworkFault::Delayed(ms)) => arrivals[0] += Duration::from_millis(ms),
            Some(NetworkFault::Doubled(_)) if !operation.may_come_twice() => {}
            Some(NetworkFault::Doubled(ms)) => arrivals.push(there + Duration::from_millis(ms)),
            _ => {}
        }
        let (answers, mut answered) = mpsc::unbounded_channel();
        for arrival in arrivals {
            let delivery = Delivery { cluster: self.clone(), call, client, node, arrival, back, fault };
            drop(world.runtime.spawn("delivery", delivery.run(operation.clone(), answers.clone())));
        }
        drop(answers);
        let (outcome, answered_us) = match world.runtime.timeout(wait, answered.recv()).await {
            Ok(Some((outcome, at_us))) => (outcome, Some(at_us)),
            Ok(None) | Err(_) => (Outcome::Unknown, None),
        };
        world.returned(call, &outcome, answered_us);
        outcome
    }
}

struct Delivery {
    cluster: Arc<Cluster>,
    call: usize,
    client: u32,
    node: u32,
    arrival: Duration,
    back: Duration,
    fault: Option<NetworkFault>,
}

impl Delivery {
    async fn run(self, operation: Operation, answers: mpsc::UnboundedSender<Answer>) {
        let world = &self.cluster.world;
        world.runtime.sleep(self.arrival).await;
        if self.fault == Some(NetworkFault::RequestLost) || !world.reaches(self.client, self.node) {
            return;
        }
        let Some(running) = self.cluster.nodes[self.node as usize].running() else { return };
        world.delivered(self.call);
        let runtime = running.runtime.clone();
        let mut serving = runtime.spawn("request", serve(running, operation));
        if let Some(NetworkFault::Cancelled(ms)) = self.fault {
            match world.runtime.timeout(Duration::from_millis(ms), &mut serving).await {
                Ok(_served) => {}
                Err(_elapsed) => serving.abort(),
            }
            return;
        }
        // A node that crashed answers nobody.
        let Ok(outcome) = serving.await else { return };
        let answered_us = world.now_us();
        world.runtime.sleep(self.back).await;
        if self.fault == Some(NetworkFault::AnswerLost) || !world.reaches(self.client, self.node) {
            return;
        }
        // The client may have stopped waiting.
        let _gone = answers.send((outcome, answered_us));
    }
}
