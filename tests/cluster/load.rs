//! The usual load: idempotent producers and groups of three languages on one topic, and an eye on committed offsets.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::{Instant, JoinHandle};
use alluvium_infra::shutdown::Shutdown;

use crate::asking;
use crate::checks::{self, Checked};
use crate::nodes::Cluster;
use crate::pulse::Pulse;
use crate::stalls::Stalls;
use crate::waiting::eventually;
use crate::workers::{RoleSpec, Workers, consume, produce};

/// Partitions of the topic.
pub(crate) const PARTITIONS: i32 = 6;

/// Clients begin within this time, on a busy machine.
const WARM_MAX: Duration = Duration::from_secs(60);

/// Roles by language.
pub(crate) type Roles = Vec<(&'static str, Vec<RoleSpec>)>;

/// A load that runs.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) workers: Workers,
    /// What was done to the nodes, and when.
    pub(crate) events: Vec<(Instant, String)>,
    end_watch: Shutdown,
    watch: JoinHandle<u64>,
    pulse: Pulse,
    runtime: Runtime,
}

/// Producers and groups of all languages: cooperative groups with a static member in each, eager ones in Java and Python.
pub(crate) fn usual_roles() -> Roles {
    let java = vec![
        produce("java-producer", 60, ""),
        consume("java-1", "java-cooperative", "assignor=cooperative,instance=java-static"),
        consume("java-2", "java-cooperative", "assignor=cooperative"),
        consume("java-3", "java-eager", "assignor=range"),
        consume("java-4", "java-eager", "assignor=range"),
    ];
    let python = vec![
        produce("librdkafka-producer", 60, ""),
        produce("kafka-python-producer", 30, "client=kafka-python"),
        consume("librdkafka-1", "librdkafka", "assignor=cooperative,instance=librdkafka-static"),
        consume("librdkafka-2", "librdkafka", "assignor=cooperative"),
        consume("kafka-python-1", "kafka-python", "client=kafka-python,assignor=range,instance=kafka-python-static"),
        consume("kafka-python-2", "kafka-python", "client=kafka-python,assignor=range"),
    ];
    let go = vec![
        produce("franz-producer", 60, ""),
        consume("franz-1", "franz", "assignor=cooperative,instance=franz-static"),
        consume("franz-2", "franz", "assignor=cooperative"),
    ];
    vec![("java", java), ("python", python), ("go", go)]
}

/// A smaller one, for scenarios about something else.
pub(crate) fn small_roles() -> Roles {
    let java = vec![
        produce("java-producer", 40, ""),
        consume("java-1", "java", "assignor=cooperative"),
        consume("java-2", "java", "assignor=cooperative"),
    ];
    let go = vec![produce("franz-producer", 40, ""), consume("franz-1", "franz", ""), consume("franz-2", "franz", "")];
    vec![("java", java), ("go", go)]
}

impl Load {
    /// Makes the topic, starts all clients, waits until each has begun. `None`: clients are missing, which was said.
    pub(crate) async fn start(cluster: &Cluster, topic: &str, roles: Roles) -> Option<Load> {
        let runtime = &cluster.runtime;
        let languages: Vec<&'static str> = roles.iter().map(|(language, _)| *language).collect();
        let mut workers = Workers::install(&languages, &cluster.bootstrap(), topic, PARTITIONS, runtime)?;
        asking::create_topic(&cluster.nodes[0].address, topic, PARTITIONS, runtime).await;
        for (language, roles) in &roles {
            workers.start(language, roles);
        }
        workers.warm(WARM_MAX).await;
        let groups = workers.history.lock().groups();
        let addresses: Vec<String> = cluster.nodes.iter().map(|node| node.address.clone()).collect();
        let questions =
            groups.iter().flat_map(|group| addresses.iter().map(|address| (group.clone(), address.clone())));
        let end_watch = Shutdown::new();
        let watching = watch_committed(questions.collect(), topic.to_owned(), end_watch.clone(), runtime.clone());
        let watch = runtime.spawn("watch of committed offsets", watching);
        let pulse = Pulse::start(runtime)?;
        Some(Load { workers, events: Vec::new(), end_watch, watch, pulse, runtime: runtime.clone() })
    }

    /// Notes what is done to the nodes now.
    pub(crate) fn event(&mut self, what: impl Into<String>) -> Instant {
        let (now, what) = (self.runtime.monotonic(), what.into());
        println!("  {what}");
        self.events.push((now, what));
        now
    }

    /// Waits until every producer was acknowledged something, and every group has read something, in each partition since `since`.
    pub(crate) async fn progress(&mut self, since: Instant, longest: Duration) -> Duration {
        let runtime = self.runtime.clone();
        let progressed = async || {
            self.workers.still_well();
            assert!(!self.watch.is_finished(), "the watch of committed offsets ended");
            self.workers.progressed(since)
        };
        let took = eventually(&runtime, longest, "every client goes on in every partition", progressed).await;
        println!("    every client has gone on after {took:.1?}");
        took
    }

    /// Ends the clients in good order and checks everything.
    pub(crate) async fn finish(mut self, cluster: &Cluster) -> (Checked, Stalls) {
        let end = self.event("end of the load");
        self.workers.finish().await;
        self.end_watch.trigger();
        let looks = (&mut self.watch).await.expect("committed offsets never go back");
        assert!(looks > 0, "nobody answered what is committed");
        let topic = self.workers.topic.clone();
        let log = self.same_log_everywhere(cluster, &topic).await;
        let (checked, stalls) = {
            let history = self.workers.history.lock();
            (checks::check(&history, &log), Stalls::measure(&history, &self.events, end, &self.pulse))
        };
        self.check_committed(cluster, &log).await;
        (checked, stalls)
    }

    /// What every node shows in the end; one that missed a push may be behind for a moment.
    async fn same_log_everywhere(&self, cluster: &Cluster, topic: &str) -> Vec<Vec<String>> {
        let mut first = Vec::new();
        let mut lengths = Vec::new();
        let same = async || {
            lengths.clear();
            for node in cluster.nodes.iter().filter(|node| node.is_up()) {
                let log = asking::read_all(&node.address, topic, PARTITIONS, &self.runtime).await;
                lengths.push((node.id, log.iter().map(Vec::len).collect::<Vec<_>>()));
                if lengths.len() == 1 {
                    first = log;
                } else if log != first {
                    println!("    not yet the same: {lengths:?}");
                    return false;
                }
            }
            true
        };
        let _took = eventually(&self.runtime, Duration::from_secs(15), "all nodes show the same log", same).await;
        first
    }

    /// Members that ended in good order have committed all they read: all groups are at the end of each partition. Of partitions
    /// that a member had lost in the end, because it had not heard of its coordinator for a whole session, less may be committed.
    async fn check_committed(&self, cluster: &Cluster, log: &[Vec<String>]) {
        let ends: BTreeMap<i32, i64> = (0..).zip(log.iter().map(|values| values.len() as i64)).collect();
        let groups = self.workers.history.lock().groups();
        for group in groups {
            let lost = self.workers.history.lock().lost_in_the_end(&group);
            if !lost.is_empty() {
                println!("    group {group} lost the partitions {lost:?} in the end");
            }
            let what = format!("group {group} has committed the end of every partition");
            let committed = async || {
                for node in cluster.nodes.iter().filter(|node| node.is_up()) {
                    let Ok(mut wire) = asking::open(&node.address, &self.runtime).await else { continue };
                    let told = asking::committed(&mut wire, &group, &self.workers.topic, PARTITIONS).await;
                    if let Ok(Ok(mut told)) = told {
                        for partition in &lost {
                            if let Some(said) = told.get_mut(partition).filter(|said| **said <= ends[partition]) {
                                *said = ends[partition];
                            }
                        }
                        assert_eq!(told, ends, "{what}");
                        return true;
                    }
                }
                false
            };
            let _took = eventually(&self.runtime, Duration::from_secs(20), &what, committed).await;
        }
    }
}

/// Asks every node again and again what each group has committed, and fails when any answer is older than one before. Returns the answers.
async fn watch_committed(questions: Vec<(String, String)>, topic: String, end: Shutdown, runtime: Runtime) -> u64 {
    let mut newest: BTreeMap<(String, i32), i64> = BTreeMap::new();
    let mut answers = 0;
    while !end.is_triggered() {
        for (group, address) in &questions {
            // Whoever does not answer, or is not the coordinator, is asked again in the next round.
            let Ok(mut wire) = asking::open(address, &runtime).await else { continue };
            let Ok(Ok(told)) = asking::committed(&mut wire, group, &topic, PARTITIONS).await else { continue };
            answers += 1;
            for (partition, offset) in told {
                let before = newest.entry((group.clone(), partition)).or_insert(offset);
                assert!(
                    *before <= offset,
                    "{address}: group {group} had committed {before} in partition {partition}, and now {offset}"
                );
                *before = offset;
            }
        }
        runtime.sleep(Duration::from_millis(100)).await;
    }
    answers
}
