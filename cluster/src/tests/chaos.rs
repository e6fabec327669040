//! Everything at once, over many seeds: cuts, deaths, frozen and leaving nodes. When it is over all agree, and an idempotent
//! producer that went on all the while finds each of its batches once and in order.

use super::*;

const NODES: usize = 4;

struct Chaos {
    world: World,
    nodes: Vec<Option<TestNode>>,
}

impl Chaos {
    async fn start(&mut self, index: usize) {
        // A node that died just now may still be taken for alive by its record; it is asked and does not answer.
        let node = self.world.start(index as i32).await;
        self.nodes[index] = Some(node);
    }

    fn random(&self, bound: usize) -> usize {
        self.world.runtime.random_below(bound as u64) as usize
    }

    async fn step(&mut self) {
        let (index, other) = (self.random(NODES), self.random(NODES));
        let names = (host(index as i32), host(other as i32));
        match (self.random(7), self.nodes[index].is_some()) {
            (0 | 1, _) if index != other => self.world.network.cut(&names.0, &names.1),
            (2, _) if index != other => self.world.network.cut_direction(&names.0, &names.1),
            (3, _) => self.world.network.heal_all(),
            (4, true) => {
                if let Some(node) = self.nodes[index].take() {
                    node.runtime.crash();
                }
            }
            (5, true) => {
                if let Some(node) = self.nodes[index].take() {
                    node.cluster.leave().await;
                    node.cluster.close().await;
                    node.runtime.crash();
                }
            }
            (6, true) => {
                let frozen = self.nodes[index].as_ref().map(|node| node.runtime.clone());
                let frozen_ms = self.world.runtime.random_below(15_000);
                if let Some(frozen) = frozen {
                    frozen.freeze();
                    self.world.runtime.sleep(Duration::from_millis(frozen_ms)).await;
                    frozen.thaw();
                }
            }
            (_, false) => self.start(index).await,
            _ => {}
        }
        self.world.runtime.sleep(Duration::from_millis(self.world.runtime.random_below(4_000))).await;
    }

    /// One more batch of the producer, by any node that lives, until the log has it.
    async fn produce(&self, at: TopicPartition, sequence: i32) {
        loop {
            let index = self.random(NODES);
            let Some(node) = &self.nodes[index] else { continue };
            let deadline = self.world.runtime.monotonic() + Duration::from_secs(5);
            let append = append_of(at, batch(Some((5, sequence))));
            let outcome = node.log.meta().append(append, deadline).outcome();
            match self.world.runtime.timeout(Duration::from_secs(20), outcome).await {
                Ok(Ok(outcomes)) => match outcomes.as_slice() {
                    [AppendOutcome::Appended { base_offset, .. } | AppendOutcome::Duplicate { base_offset, .. }] => {
                        return assert_eq!(*base_offset, i64::from(sequence));
                    }
                    other => panic!("the producer is in order, and is told {other:?}"),
                },
                Ok(Err(CommitError::Unknown | CommitError::Unavailable(_) | CommitError::Closed)) | Err(_) => {}
                Ok(Err(error)) => panic!("{error}"),
            }
        }
    }
}

fn run(seed: u64) {
    Runtime::simulate(seed, |runtime| async move {
        let bucket = Arc::new(MemoryStore::new(runtime.clone()));
        let network = Network::new(runtime.clone());
        let world = World { runtime, bucket, network };
        let mut chaos = Chaos { world: world.clone(), nodes: (0..NODES).map(|_| None).collect() };
        for index in 0..NODES {
            chaos.start(index).await;
        }
        let at = create_topic(chaos.nodes[0].as_ref().expect("it runs")).await;
        let mut sequence = 0;
        for _ in 0..25 {
            chaos.step().await;
            if chaos.nodes.iter().all(Option::is_none) {
                continue;
            }
            for _ in 0..3 {
                chaos.produce(at, sequence).await;
                sequence += 1;
            }
        }
        world.network.heal_all();
        for index in 0..NODES {
            if chaos.nodes[index].is_none() {
                chaos.start(index).await;
            }
        }
        let nodes: Vec<&TestNode> = chaos.nodes.iter().flatten().collect();
        let ids: Vec<i32> = (0..NODES as i32).collect();
        world.agree(&nodes, &ids, Duration::from_secs(40)).await;
        world.sleep(5.0).await;
        world.stays(&nodes, &ids, 10).await;
        for node in &nodes {
            assert!(node.cluster.members().all().iter().all(|member| member.linked), "node {}, seed {seed}", node.id);
            assert_eq!(leaders(node), leaders(nodes[0]));
            let state = node.log.catch_up().await.expect("is read");
            assert_eq!(state.partition(at).expect("is there").high_watermark(), i64::from(sequence));
        }
    });
}

#[test]
fn whatever_happens_all_agree_in_the_end_and_nothing_is_lost_or_doubled() {
    let seeds = std::env::var("CLUSTER_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for seed in 0..seeds {
        run(seed);
    }
}
